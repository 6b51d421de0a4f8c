"""Testing critics on the calibration set, in a run of its own that can be queried like any other.

Invariant: the same judge and the same set continue the same run.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import duckdb
import yaml
from rich.console import Console
from rich.text import Text

from agents.models.base import whole_name
from folkways.clock import utc_now
from folkways.errors import UserError
from folkways.event_loop import run_to_end
from folkways.provenance import versions
from folkways.text import printable
from simulation.config import config_hash
from simulation.episode.budget import Budget, BudgetConfig
from simulation.execution.model_manager import NO_CACHE, CacheConfig, ModelManager
from simulation.review.calibration import configuration, fill_store, load_cases, load_injected
from simulation.review.intents import TAXONOMY, load_plain_turns
from simulation.review.reliability import calibration_folder
from simulation.review.stage import ReviewContext, run_critique, run_labels
from simulation.review.task import Bounds, Player
from simulation.review_settings import CritiqueConfig, LabelConfig
from simulation.store.reader import run_query
from simulation.store.result import print_table
from simulation.store.run_lock import locked
from simulation.store.writer import Store

_REPORT = """
select source, faulty, found, recall, recall_low, recall_high, sound, false_alarms, precision,
    precision_low, precision_high, undecided
from calibration_report
order by source in (select distinct detector from detections) desc, source
"""


def calibrate(
    model: str,
    settings: CritiqueConfig | LabelConfig,
    out: Path,
    bounds: Bounds,
    quiet: bool,
    cache: CacheConfig = NO_CACHE,
    injections: bool = False,
) -> tuple[Path, str]:
    """Judge the calibration set with `model` in a run of its own, and return the run's folder and
    why the launch ended. With `injections`, judge the injected conversations and those without;
    with settings of a labeller, label the turns whose intent is plain.

    Raises UserError as a critique does, and where the folder holds another set.
    """
    model = whole_name(model)
    kind, cases = ("injections", load_injected()) if injections else ("calibration", load_cases())
    if isinstance(settings, LabelConfig):
        kind, cases = "labeller", load_plain_turns()[0]
        settings = settings.model_copy(update={"taxonomy": str(TAXONOMY)})
    run = calibration_folder(out, model, kind)
    name = run.name
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder '{run}': {error.strerror}") from error
    config = configuration(model, name, cases)
    with locked(run):
        store = Store(run)
        store.create()
        _settle(store, run, name, config)
        fill_store(store, utc_now(), cases)
        budget = Budget(BudgetConfig(), time.monotonic)
        engines = ModelManager(cache.opened(out))
        reason = run_to_end(_judge(run, name, model, settings, bounds, budget, quiet, engines))
    return run, reason


async def _judge(
    run: Path,
    name: str,
    model: str,
    settings: CritiqueConfig | LabelConfig,
    bounds: Bounds,
    budget: Budget,
    quiet: bool,
    engines: ModelManager,
) -> str:
    try:
        player = Player(model, settings.options)
        stage = ReviewContext(run, name, player, engines, bounds, budget, utc_now, quiet)
        if isinstance(settings, LabelConfig):
            return await run_labels(stage, settings)
        return await run_critique(stage, settings)
    finally:
        await engines.close()


def _settle(store: Store, run: Path, name: str, config: dict[str, object]) -> None:
    """Record what stands for the configuration, or refuse a run of another set."""
    stored, hash_ = store.run(), config_hash(config)
    if stored is None:
        row = {
            "run_id": name,
            "kind": "run",
            "config": yaml.safe_dump(config, sort_keys=False),
            "config_hash": hash_,
            "versions": json.dumps(versions()),
            "git_commit": None,
            "created_at": utc_now(),
        }
        store.add("runs", row)
    elif stored[1] != hash_:
        raise UserError(
            f"{run} was made with another calibration set; move it away, or choose another --out"
        )


_STEERED = """
select source, coalesce(injection, 'all') as injection, scenes, undecided, against, steered, share,
    share_low, share_high
from injection_report order by source, injection is not null, injection
"""


def print_steered(con: duckdb.DuckDBPyConnection, console: Console) -> None:
    """Print how often each critic was steered by a text within a conversation."""
    console.print(Text("Of scenes judged against what the text wants, those it turned", "bold"))
    print_table(run_query(con, _STEERED), console, None)


def print_report(con: duckdb.DuckDBPyConnection, console: Console) -> None:
    """Print precision, recall and the confusion table of every critic and detector."""
    console.print(Text("On faults that each should find, and on sound conversations", "bold"))
    print_table(run_query(con, _REPORT), console, None)
    console.print(Text("Found faulty, by kind of fault (? without a decision)", "bold"))
    _print_confusion(con, console)


def _print_confusion(con: duckdb.DuckDBPyConnection, console: Console) -> None:
    from rich import box
    from rich.table import Table

    rows = con.execute(
        "select fault, source, cases, flagged, undecided, expected from calibration_confusion "
        "order by fault = 'sound' desc, fault, source"
    ).fetchall()
    detectors = {r[0] for r in con.execute("select distinct detector from detections").fetchall()}
    sources = sorted({row[1] for row in rows} - detectors)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("fault", no_wrap=True)
    table.add_column("cases", justify="right")
    for source in sources:
        table.add_column(Text(printable(source)), justify="right")
    table.add_column("detectors")
    for fault in dict.fromkeys(row[0] for row in rows):
        mine = {row[1]: row for row in rows if row[0] == fault}
        cells = [_cell(*mine[source][3:]) if source in mine else "" for source in sources]
        seen = [
            f"{name} {mine[name][3]}" for name in sorted(detectors & set(mine)) if mine[name][3]
        ]
        row = [fault, str(next(iter(mine.values()))[2]), *cells, ", ".join(seen)]
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)
    console.print(Text("* the critic should find this fault", "dim"))


def _cell(flagged: int, undecided: int, expected: bool) -> str:
    return f"{flagged}{f' (?{undecided})' if undecided else ''}{' *' if expected else '  '}"
