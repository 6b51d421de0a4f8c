"""What an evaluation says: results, tables, plots and one page."""
