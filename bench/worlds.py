"""What a world costs: CPU per turn of a game beside a scene in which the same people only speak.

Both are played by the fake model with the same policy, roles and turns, and stored. Memory is the
most that the process has held so far. Run it with:
python bench/worlds.py
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simulation.config import RunConfig
from simulation.plan import make_plan
from simulation.run import launch

_ROLES = ("ann", "bob", "cleo")
_GAME: dict[str, Any] = {
    "world": {
        "pool": {"type": "integer", "start": 1_000_000, "min": 0},
        "wealth": {"type": "integer", "each": "role", "visible": "owner"},
    },
    "acts": {
        "fish": {
            "args": {"tons": {"type": "integer", "min": 0, "max": 9, "shares": "pool"}},
            "effects": {"pool": "pool - tons", "wealth[self]": "wealth[self] + tons"},
            "requires": "wealth[self] < 1000000",
        }
    },
    "payoff": "wealth[self]",
}
"""An act with an argument, a condition, a share and two effects."""


def scene(folder: Path, name: str, rounds: int, game: bool) -> str:
    """Write a scene of three people who act at once, and return its path."""
    acts = ["fish"] if game else ["speak"]
    data = {
        "id": name, "title": "A lake", "theme": "public-rules",
        "setting": "Three people fish the same lake and meet on its shore every evening.",
        "roles": {role: {"brief": "A fisher.", "goal": "You want much fish."} for role in _ROLES},
        "policy": "simultaneous", "limits": {"turns": 3 * rounds},
        "phases": [{"id": "all", "acts": acts, "until": {"rounds": rounds}}],
        "provenance": {"author": "bench", "made": "generated"},
    } | (_GAME if game else {})  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return str(path)


def cost(folder: Path, rounds: int, episodes: int, game: bool) -> float:
    """Play and store episodes, all at once; return CPU milliseconds per turn."""
    name = f"{'game' if game else 'talk'}-{rounds}-{episodes}-{time.monotonic_ns()}"
    config = RunConfig.model_validate(
        {
            "name": name, "scenarios": [scene(folder, name, rounds, game)], "cultures": ["GBR"],
            "replicates": episodes, "concurrency": episodes, "out": str(folder),
            "model": {"name": "fake", "reply_form": "json", "profile": "none"},
        }
    )  # fmt: skip
    plan, began = make_plan(config), time.process_time()
    launch(plan, limit=None, fresh=False, quiet=True)
    return (time.process_time() - began) / (episodes * 3 * rounds) * 1000


def main() -> None:
    """Print one row for each size; the least of three tries, talk and game in turn."""
    print("| live scenes | rounds | talk, ms a turn | game, ms a turn | world | memory, MiB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for episodes, rounds in ((100, 10), (6, 167), (2, 500), (1000, 4)):
            pairs = [
                [cost(Path(name), rounds, episodes, game) for game in (False, True)]
                for _ in range(3)
            ]
            talk, game = (min(column) for column in zip(*pairs, strict=True))
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            row = (episodes, rounds, f"{talk:.2f}", f"{game:.2f}", f"{game - talk:.2f}", held)
            print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()
