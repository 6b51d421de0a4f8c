"""folkways: social simulation with culture-conditioned persona agents, every turn in DuckDB."""
