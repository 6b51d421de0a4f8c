"""Which packages keep tables and views in a run's store, in the order in which they build on each
other.

Invariant: every store has the tables and views of all of them, whatever command makes it.
"""

STORE_PARTS = ("simulation.store.part", "eval.store_part", "training.store_part")
"""Modules with a `PART` each."""
