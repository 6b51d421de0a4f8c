"""The command `status`.

Invariant: what a scenario, a model or an endpoint wrote is printed as text that cannot steer the
terminal.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from folkways.cli.options import RunPath
from folkways.errors import UserError
from folkways.text import printable
from simulation.display.output import console_for, output
from simulation.execution.heartbeat import Used
from simulation.execution.status import (
    Process,
    StageStatus,
    Status,
    Stored,
    read_status,
    read_stored,
    run_folder,
)
from simulation.store.part import counted_tables
from simulation.store.writer import FILE

app = typer.Typer()

_WATCH_S = 2.0
"""Seconds between two looks of --watch."""
_STORE_EVERY_S = 10.0
"""Seconds between two looks into the store, at least."""
_STORE_SHARE = 20
"""How many times as long as its queries took --watch leaves the store alone."""


@app.command()
def status(
    run: RunPath,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again until Ctrl-C.")] = False,
) -> None:
    """Print how far a run is, from any terminal, while it is live or later."""
    if watch:
        if as_json or not sys.stdout.isatty():
            raise UserError("--watch is for a terminal, without --json; leave it out and ask again")
        _watch(run)
        return
    found = read_status(run, _now())
    with output(as_json) as stream:
        if as_json:
            stream.write(found.model_dump_json(indent=2) + "\n")
        else:
            console_for(stream).print(_render_status(found), soft_wrap=True)


def _watch(run: Path) -> None:
    """Show the status again and again until Ctrl-C."""
    stored, due = None, 0.0
    with Live(console=Console(highlight=False), auto_refresh=False) as live:
        try:
            while True:
                if time.monotonic() >= due:
                    began = time.monotonic()
                    stored = read_stored(run)[0] or stored
                    took = time.monotonic() - began
                    due = began + max(_STORE_EVERY_S, _STORE_SHARE * took)
                live.update(_render_status(read_status(run, _now(), 0.0, stored)), refresh=True)
                time.sleep(_WATCH_S)
        except KeyboardInterrupt:
            return


def _now() -> datetime:
    return datetime.now(UTC)


def _render_status(found: Status) -> RenderableType:
    """Return a status for reading."""
    parts: list[RenderableType] = [_line(f"{found.run}: {_state(found)}", "bold")]
    for stage in found.stages:
        parts += [_line(), *_stage(stage)]
    if found.budget:
        parts += [_line(), _line(f"budget used: {_budget(found.budget)}")]
    workers = [process for process in found.processes if process.name != "main"]
    if workers:
        parts += [_line(), _line("workers"), _table([_worker(one) for one in workers])]
    if found.note:
        parts += [_line(), _line(f"not read: {found.note}")]
    if found.stored:
        parts += [_line(), *_stored(found.stored)]
        if found.state == "idle" and found.stored.episodes:
            parts += [_line(), *map(_line, _next_steps(found.run, found.stored))]
    return Group(*parts)


def _next_steps(run: str, stored: Stored) -> list[str]:
    """Return what was made, where it lies, and three commands to go on with."""
    made = {
        "scenes": stored.episodes,
        "turns": stored.turns,
        "scenes judged": stored.critiqued,
        "with intents": stored.labelled,
    }
    here, folder = shlex.quote(run), run_folder(Path(run))
    return [
        f"made:  {', '.join(f'{count:,} {what}' for what, count in made.items() if count)}",
        f"where: {folder / FILE}, a DuckDB file; {folder / 'config.yaml'} makes it again",
        f"next:  folkways view {here} --list      the scenes; with an id, one of them",
        f'next:  folkways sql {here} "from turns_readable"      what was said; any SQL',
        f"next:  folkways schema {here}      the tables, views and columns to ask",
    ]


def _state(found: Status) -> str:
    main = next((one for one in found.processes if one.name == "main"), None)
    who = f"process {found.writer or (main and main.pid) or 'of unknown PID'}"
    if main and not found.writer:
        who += f" on {main.host}"
    last = f"last sign of life {_duration(main.silent_s)} ago" if main else ""
    return {
        "live": f"live, {who}, {last}",
        "silent": f"{who} holds the run and shows no sign of life: {last}",
        "busy": f"{who} holds the run and tells no progress now",
        "killed": f"broken off, {who} ended without notice, {last}; the same command goes on",
        "idle": "nobody is at work",
    }[found.state]


def _stage(stage: StageStatus) -> list[RenderableType]:
    share = f" ({stage.done / stage.total:.0%})" if stage.total else ""
    head = f"{stage.stage}: {stage.done:,} of {stage.total:,} {stage.noun}{share}"
    head += f", {stage.already:,} stored before" if stage.already else ""
    head += f", {stage.live:,} in progress" if stage.live else ""
    over = {"ended": f"ended ({stage.end_reason}) after ", "killed": "broken off after "}
    now = f"{over.get(stage.state, f'{stage.state} for ')}{_duration(stage.seconds)}"
    left = "" if stage.seconds_left is None else f", about {_duration(stage.seconds_left)} left"
    lines = [_line(head), _line(f"  {now}{left}; {', '.join(stage.models)}")]
    rates = (("in the last minute", stage.last_minute), ("since the start", stage.since_start))
    for when, rate in rates:
        if rate:
            turns = f"{_n(rate.turns)} turns, " if stage.turns else ""
            words = f"{_n(rate.items)} {stage.noun}, {turns}{_n(rate.tokens)} tokens a second"
            lines.append(_line(f"  {words} {when}"))
    lines.append(_line(f"  {_spent(stage.prompt_tokens, stage.completion_tokens, stage.cost)}"))
    if stage.outcomes:
        lines.append(_line(f"  {_counts(stage.outcomes)}"))
    parts: list[RenderableType] = [*lines]
    if stage.slow:
        parts += [_line("  longest in progress"), _table([one.model_dump() for one in stage.slow])]
    if stage.endpoints:
        parts += [_line("  endpoints"), _table(stage.endpoints)]
    return parts


def _stored(stored: Stored) -> list[RenderableType]:
    found = {
        "episodes": stored.episodes,
        "turns": stored.turns,
        "critiqued": stored.critiqued,
        "labelled": stored.labelled,
        **{words: getattr(stored, table) for table, words in counted_tables().items()},
        "calls": stored.calls,
        "failed": stored.failed_calls,
    }
    amounts = ", ".join(f"{count:,} {what}" for what, count in found.items() if count)
    parts: list[RenderableType] = [_line(f"stored: {amounts or 'nothing yet'}")]
    if stored.calls:
        spent = _spent(stored.prompt_tokens, stored.completion_tokens, stored.cost)
        parts.append(_line(f"  {spent}"))
    for counts in (stored.exit_reasons, stored.endpoints):
        if counts:
            parts.append(_line(f"  {_counts(counts)}"))
    if stored.launches:
        rows = [
            {
                "stage": one.stage,
                "started (UTC)": f"{one.started_at:%Y-%m-%d %H:%M:%S}",
                "took": _duration((one.ended_at - one.started_at).total_seconds()),
                "done": one.episodes,
                "tokens": one.prompt_tokens + one.completion_tokens,
                "dollars": one.cost,
                "ended": one.end_reason,
            }
            for one in stored.launches
        ]
        parts += [_line(), _line("last launches"), _table(rows)]
    return parts


def _worker(process: Process) -> dict[str, Any]:
    return {
        "name": process.name,
        "pid": str(process.pid),
        "host": process.host,
        "alive": "yes" if process.alive else "no",
        "last sign of life": _duration(process.silent_s),
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return rows as a table; its columns are all the keys there are."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        numbers = all(isinstance(row.get(name), int | float | None) for row in rows)
        table.add_column(_line(name), justify="right" if numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_line(_cell(row.get(name))) for name in names))
    return Padding(table, (0, 0, 0, 4), expand=False)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return _n(value) if isinstance(value, int | float) else " ".join(str(value).split())


def _line(text: str = "", style: str = "") -> Text:
    return Text(printable(text), style=style)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in counts.items())


def _spent(prompt: int, completion: int, cost: float | None) -> str:
    dollars = "" if cost is None else f", ${cost:,.4f}"
    return f"{prompt:,} prompt and {completion:,} completion tokens{dollars}"


def _budget(budget: Mapping[str, Used]) -> str:
    say = {
        "tokens": lambda one: f"{_n(one.used)} of {_n(one.limit)} tokens",
        "cost_usd": lambda one: f"${one.used:,.4f} of ${one.limit:,.2f}",
        "wall_s": lambda one: f"{_duration(one.used)} of {_duration(one.limit)}",
    }
    return ", ".join(say[name](one) for name, one in budget.items() if name in say)


def _n(number: float) -> str:
    """Return a number in as many digits as one reads: whole where it is large."""
    return f"{number:,.0f}" if number == int(number) or number >= 100 else f"{number:,.2f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
