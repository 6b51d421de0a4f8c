"""How a scene unfolds and is kept: the LangGraph episode graph, turn policies, the runner and the
DuckDB store.

Invariant: an episode is stored whole or not at all.
"""

import folkways as folkways
