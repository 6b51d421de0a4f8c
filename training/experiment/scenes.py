"""The scenes of a run that was played before, which a study takes as they are.

Invariant: a run that is not finished is refused before anything is spent; what its store names is
opened only where it is an engine of ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.models.base import ENGINES
from folkways.errors import UserError
from folkways.files import parse_yaml
from folkways.registry import require_allowed
from simulation.config import RunConfig, parse_config
from simulation.store.run_lock import holder
from simulation.store.writer import FILE, Store

_STAGES = ("run", "critique", "label")
_ENDED = """
select stage, max_by(end_reason, ended_at) from launches where list_contains(?, stage)
group by stage
"""


def finished_run(run: Path) -> RunConfig:
    """Return the configuration of a finished run. Raises UserError for one that is not finished or
    none at all."""
    if not (run / FILE).is_file():
        raise UserError(f"simulation.from: '{run}' holds no run; give the folder of a finished one")
    store = Store(run)
    stored = store.run()
    if stored is None:
        raise UserError(f"simulation.from: {run / FILE} holds no run; give a finished one")
    with store.reading() as con:
        ended: dict[str, str] = dict(con.execute(_ENDED, [_STAGES]).fetchall())
    ended = {"run": "killed"} | ended
    missing = [f"{stage} ended: {why}" for stage, why in ended.items() if why != "done"]
    if holder(run) is not None:
        missing = ["a process works on it"]
    if missing:
        raise UserError(
            f"simulation.from: the run '{run}' is not finished ({', '.join(missing)}); the command "
            "that began it resumes it"
        )
    told: dict[str, Any] = parse_yaml(stored[0], f"the configuration in {run / FILE}")
    told.pop("contents", None)
    config = parse_config(told, f"the configuration in {run / FILE}")
    require_allowed("model", config.model.name, ENGINES)
    return config
