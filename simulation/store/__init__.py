"""The log of a run: the DuckDB store, its writer and readers, shards, snapshots and salvage."""
