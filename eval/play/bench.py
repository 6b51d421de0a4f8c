"""The bench of play: the same scenes with each contender, measured and set side by side.

Invariant: contenders play the same scenes with the same seeds; intervals are over scenes, and a
difference is of the scenes that both have played.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.models.base import ScoresUnavailable, open_model
from eval.metrics.bootstrap import Table, compare, interval, tabulate
from eval.play.measure import MEASURES, Count, Scene, measure_run
from eval.play.ranking import rank_answers
from folkways.errors import UserError
from folkways.files import parse_yaml, write_whole
from folkways.provenance import commit, versions
from simulation.config import parse_config
from simulation.plan import make_plan
from simulation.profile import PROFILES
from simulation.run import launch
from simulation.store.reader import open_reader
from simulation.store.writer import FILE

SCENES = (
    "an-envelope-on-the-night-train",
    "hose-after-midnight",
    "keys-in-the-sugar-tin",
    "overloaded-at-the-weighbridge",
    "seven-minutes-by-mistake",
    "drive-home-from-the-clinic",
    "pale-square-on-the-wall",
    "soup-before-dusk",
    "born-in-this-house",
    "surety-before-ten",
    "at-the-dry-cleaners-counter",
    "napkin-from-table-seven",
)
"""Shipped scenes that any culture may play: ten for two people, two for three."""
CULTURES = ("GBR", "MEX", "JPN", "CHN", "DEU")
"""Those that are played, as many as asked for from the first on."""
_SEED = 20
_PATIENCE_S = 1800.0
"""Seconds for a call: a slow machine takes minutes for a first prompt, which is no silence."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is played."""

    scenes: int = len(SCENES)
    cultures: int = 2
    seeds: int = 2
    turns: int = 10
    ranked: int = 3
    """Answers of a scene that are ranked at most."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A model under a play profile, or a run that was played before."""

    label: str
    model: str
    profile: str
    run: Path | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a contender."""

    contender: Contender
    scenes: list[Scene]
    note: str | None
    """Why answers could not be ranked, if they could not."""


def contenders(model: str, profile: str, against: Sequence[str]) -> list[Contender]:
    """Return who plays: the model, and beside it other profiles, other models or earlier runs."""
    found = [Contender(profile, model, profile)]
    for name in against:
        if (Path(name) / FILE).is_file():
            found.append(_earlier(Path(name)))
        elif name in ("auto", "none", *PROFILES) or name.endswith((".yaml", ".yml")):
            found.append(Contender(Path(name).stem, model, name))
        else:
            found.append(Contender(name.rpartition("/")[2], name, profile))
    return found


def _earlier(run: Path) -> Contender:
    """Return a run that was played before, under the model and profile that it has on record."""
    with open_reader(run) as con:
        row = con.execute("select config from runs where kind = 'run'").fetchone()
    if row is None:
        raise UserError(f"'{run}' has no configuration of played scenes")
    model = parse_yaml(row[0], f"the configuration of '{run}'")["model"]
    return Contender(run.name, model["name"], model.get("profile", "none"), run)


def play(
    contender: Contender, size: Size, options: Mapping[str, Any], out: Path, quiet: bool
) -> Played:
    """Play what is not played yet, and measure it all."""
    run = contender.run
    if run is None:
        name = "".join(c if c.isalnum() or c in "._-" else "-" for c in contender.label)
        data = {
            "name": f"play-{name}",
            "scenarios": SCENES[: size.scenes],
            "cultures": CULTURES[: size.cultures],
            "replicates": size.seeds,
            "seed": _SEED,
            "conditioning": "name",
            "limits": {"turns": size.turns},
            "model": {
                "name": contender.model,
                "profile": contender.profile,
                "options": dict(options),
                "timeout_s": _PATIENCE_S,
            },
            "concurrency": 2,
            "out": str(out),
        }
        plan = make_plan(parse_config(data, "the bench of play"))
        run = out / plan.config.name
        reason = launch(plan, limit=None, fresh=False, quiet=quiet)
        if reason != "done":
            raise UserError(f"{run}: {reason}; the same command goes on where it stopped")
    scenes, note = measure_run(run), None
    if size.ranked:
        try:
            ranks = asyncio.run(_ranked(contender.model, options, scenes, size.ranked))
        except ScoresUnavailable as error:
            note = str(error)
        else:
            scenes = [
                one._replace(counts={**one.counts, "follows": ranks[one.episode_id]})
                for one in scenes
            ]
    return Played(replace(contender, profile=_earlier(run).profile), scenes, note)


async def _ranked(
    name: str, options: Mapping[str, Any], scenes: list[Scene], most: int
) -> dict[str, Count]:
    model = open_model(name, options)
    await model.start()
    try:
        return await rank_answers(scenes, model, most, _SEED)
    finally:
        await model.close()


def summarise(played: Sequence[Played], draws: int = 10_000) -> dict[str, Any]:
    """Return every measure of every contender with its 95 % interval over scenes, and the
    differences of the first from the others, as plain data.
    """
    rng = np.random.default_rng(_SEED)
    tables = [_table(one.scenes) for one in played]
    found = []
    for one, table in zip(played, tables, strict=True):
        spread = interval(table, rng, rows=True, items=False, draws=draws)
        found.append(
            {
                "label": one.contender.label,
                "model": one.contender.model,
                "profile": one.contender.profile,
                "episodes": len(one.scenes),
                "acts": int(sum(scene.counts["silent"][1] for scene in one.scenes)),
                "not_ranked": one.note,
                "measures": _numbers(spread.estimate, spread.low, spread.high),
            }
        )
    machine = {"cores": os.cpu_count(), "machine": platform.machine()}
    return {
        "contenders": found,
        "differences": _differences(played, rng, draws),
        "counts": MEASURES,
        "versions": versions(),
        "commit": commit(),
        "machine": machine,
    }


def _differences(
    played: Sequence[Played], rng: np.random.Generator, draws: int
) -> list[dict[str, Any]]:
    """Return by how much the first contender differs from each other on their common scenes."""
    differences = []
    for one in played[1:]:
        both = {scene.scenario_id for scene in played[0].scenes}
        both &= {scene.scenario_id for scene in one.scenes}
        left, right = (
            _table([s for s in p.scenes if s.scenario_id in both]) for p in (played[0], one)
        )
        gap = compare(left, right, rng, rows=True, items=False, draws=draws)
        numbers = _numbers(gap.estimate, gap.low, gap.high)
        differences.append(
            {
                "first": played[0].contender.label,
                "second": one.contender.label,
                "measures": numbers,
            }
        )
    return differences


def _table(scenes: Sequence[Scene]) -> Table:
    """Return the counts by scenario: what is drawn anew are scenarios with all their episodes."""
    ids = sorted({scene.scenario_id for scene in scenes})
    hits = np.full((len(ids), 1, len(MEASURES)), np.nan)
    cases = np.full_like(hits, np.nan)
    for row, id_ in enumerate(ids):
        own = [scene.counts for scene in scenes if scene.scenario_id == id_]
        for column, name in enumerate(MEASURES):
            pairs = [counts[name] for counts in own if name in counts]
            if over := sum(of for _, of in pairs):
                hits[row, 0, column] = sum(hit for hit, _ in pairs)
                cases[row, 0, column] = over
    return tabulate(hits, cases, group=np.zeros(len(ids), np.intp), cluster=np.arange(len(ids)))


def _numbers(estimate: Any, low: Any, high: Any) -> dict[str, Any]:
    """Return measures by name, null where there is nothing to measure."""
    triples = zip(estimate, low, high, strict=True)
    return {
        name: None
        if np.isnan(value)
        else {"value": float(value), "low": float(least), "high": float(most)}
        for name, (value, least, most) in zip(MEASURES, triples, strict=True)
    }


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write the results as JSON."""
    write_whole(path.parent, path, json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def table_lines(results: Mapping[str, Any]) -> list[str]:
    """Return the results as one Markdown table, measures down and contenders across."""
    those = results["contenders"]
    lines = [
        "| measure | " + " | ".join(one["label"] for one in those) + " |",
        "|---|" + "---|" * len(those),
        "| episodes, acts | " + " | ".join(f"{o['episodes']}, {o['acts']}" for o in those) + " |",
    ]
    for name in MEASURES:
        cells = " | ".join(_cell(name, one["measures"][name]) for one in those)
        lines.append(f"| {name.replace('_', ' ')} | {cells} |")
    return lines


def _cell(name: str, number: Mapping[str, float] | None) -> str:
    if number is None:
        return "-"
    value, low, high = number["value"], number["low"], number["high"]
    if name.endswith("_a_turn"):
        return f"{value:.1f} ({low:.1f} to {high:.1f})"
    return f"{value:.0%} ({low:.0%} to {high:.0%})"
