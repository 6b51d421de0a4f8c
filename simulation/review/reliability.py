"""How often a judge is right, as its calibration found.

Invariant: what is told of a judge was counted on the calibration set; a judge without such counts
is told to be uncalibrated, with the command that counts.
"""

from __future__ import annotations

import re
import shlex
from datetime import date
from pathlib import Path

import duckdb
import yaml

from folkways.files import parse_yaml, write_whole
from folkways.settings import Settings, validated

_FILE = "calibration.yaml"
"""Name of the counts in the folder of a calibration."""
_SHIPPED = Path(__file__).with_name("calibrated.yaml")
"""The counts of judges that were calibrated for the package."""
_COUNTS = """
select source, sum(cases)::bigint as cases,
    sum(case when expected then flagged else cases - flagged - undecided end)::bigint as correct,
    sum(case when expected then cases else 0 end)::bigint as faulty,
    sum(case when expected then flagged else 0 end)::bigint as found
from calibration_confusion
where (expected or fault = 'sound') and source not in (select distinct detector from detections)
group by source order by source
"""
_JUDGES = """
select distinct model, critic from last_verdicts
where failure is null and episode_id = coalesce(?, episode_id) order by model, critic
"""


class Counted(Settings):
    """What one critic made of the conversations that it should tell apart."""

    cases: int
    """Sound conversations, and those with a fault that the critic should find."""
    correct: int
    """Of these, judged rightly; a case without a decision is not."""
    faulty: int
    found: int
    """Of the faulty ones, found faulty."""


class Calibration(Settings):
    """What a judge made of the calibration set."""

    model: str
    calibrated: date
    critics: dict[str, Counted]
    """By critic, or critic and dimension."""


def calibration_folder(out: Path, model: str, kind: str = "calibration") -> Path:
    """Return the folder of a judge's calibration among the runs in `out`."""
    return out / (f"{kind}-" + re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-")[:60])


def write_counts(con: duckdb.DuckDBPyConnection, run: Path, model: str, today: date) -> None:
    """Write what a calibration that is done has found into its folder."""
    names = ("cases", "correct", "faulty", "found")
    critics = {
        source: dict(zip(names, counts, strict=True))
        for source, *counts in con.execute(_COUNTS).fetchall()
    }
    found = {"model": model, "calibrated": today, "critics": critics}
    write_whole(run, run / _FILE, yaml.safe_dump(found, sort_keys=False))


def judges_told(
    con: duckdb.DuckDBPyConnection, runs: Path, episode_id: str | None = None
) -> list[str]:
    """Return a line for each judge of an episode, or of all, that says how often it is right by
    its calibration among those `runs`, or the shipped one."""
    critics: dict[str, list[str]] = {}
    for model, critic in con.execute(_JUDGES, [episode_id]).fetchall():
        critics.setdefault(model, []).append(critic)
    return [_told(model, names, runs) for model, names in critics.items()]


def _told(model: str, critics: list[str], runs: Path) -> str:
    known = _calibration(model, runs)
    parts = [
        f"as {source} right in {one.correct} of {one.cases} known cases and finds {one.found} of "
        f"{one.faulty} faults"
        for source, one in (known.critics.items() if known else ())
        if source.partition(": ")[0] in critics
    ]
    if not known or not parts:
        command = f"folkways critics calibrate --model {shlex.quote(model)}"
        return f"{model} is uncalibrated: {command} tells how often it is right"
    return f"{model} is {'; '.join(parts)} (calibrated on {known.calibrated})"


def _calibration(model: str, runs: Path) -> Calibration | None:
    for file in (calibration_folder(runs, model) / _FILE, _SHIPPED):
        if not file.is_file():
            continue
        text = parse_yaml(file.read_text(encoding="utf-8"), str(file))
        found = validated(Calibration, text, str(file))
        if found.model == model:
            return found
    return None
