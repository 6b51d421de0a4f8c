"""folkways: social simulation with culture-conditioned persona agents, every turn in DuckDB.

```python
import folkways as fw

run = fw.run("pilot.yaml", model="fake", limit=10)
run.sql("select title, turns from conversations").df()
print(run.transcript())
```

Importing it loads nothing else: each name below is imported when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from folkways.moved import keep_old_names
from folkways.telemetry import switch_off

if TYPE_CHECKING:
    from folkways.api import Run, arun, evaluate, experiment, open, run, train  # noqa: A004
    from folkways.errors import FolkwaysError, UserError
    from folkways.extensions import (
        critic,
        export_format,
        metric,
        model,
        stop_rule,
        turn_policy,
    )
    from folkways.rows import Rows
    from folkways.scene import Scenario

switch_off()  # before any library that reports to its makers is imported
keep_old_names()

_HOMES = {
    "Run": "api", "arun": "api", "evaluate": "api", "experiment": "api", "open": "api",
    "run": "api", "train": "api", "FolkwaysError": "errors", "UserError": "errors",
    "critic": "extensions", "export_format": "extensions", "metric": "extensions",
    "model": "extensions", "stop_rule": "extensions", "turn_policy": "extensions",
    "Rows": "rows", "Scenario": "scene",
}  # fmt: skip

__all__ = [
    "FolkwaysError", "Rows", "Run", "Scenario", "UserError", "arun", "critic", "evaluate",
    "experiment", "export_format", "metric", "model", "open", "run", "stop_rule", "train",
    "turn_policy",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'folkways' has no attribute '{name}'")
    return getattr(import_module(f"folkways.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
