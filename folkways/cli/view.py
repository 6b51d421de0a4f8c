"""The command that shows an episode: `view`.

Invariant: it neither changes the run nor keeps it open while its output waits to be read, and
what a model wrote cannot steer the terminal.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, TextIO

import typer

from folkways.cli.options import RunPath
from folkways.cli.read import SHOWN, Force, Rows
from folkways.files import write_named
from folkways.text import printable
from simulation.display.output import console_for, output, refuse_to_overwrite
from simulation.display.transcript import load_transcript, render_page, render_text
from simulation.store.child_process import in_child
from simulation.store.reader import find_episode, open_reader, run_query, runs_beside
from simulation.store.result import print_table
from simulation.store.scenarios import as_stored

app = typer.Typer()

_EPISODES = """
select e.episode_id, s.title, e.culture_id, e.model, e.turns, e.exit_reason, e.started_at
from episodes e join scenarios s using (scenario_hash) order by e.started_at desc, e.episode_id
"""


@app.command()
def view(
    run: RunPath,
    episode: Annotated[
        str | None, typer.Argument(help="Id of an episode or its beginning; none for the latest.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one self-contained web page.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private/--no-private", help="Show goals and secrets.")
    ] = True,
    thoughts: Annotated[
        bool, typer.Option("--thoughts", help="Show what was thought before each act.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the episodes instead.")] = False,
    rows: Rows = SHOWN,
    force: Force = False,
) -> None:
    """Print the transcript of an episode, or write it as a web page."""
    if html:
        refuse_to_overwrite(html, force)

    def work(stream: TextIO) -> None:
        with closing(open_reader(run)) as con:
            console = console_for(stream)
            if listed:
                print_table(run_query(con, _EPISODES), console, rows or None)
                return
            id_ = find_episode(con, episode)
            with as_stored(id_):
                transcript = load_transcript(con, id_, runs_beside(run))
                if html:
                    write_named(html, render_page(transcript, private, thoughts))
                    console.print(printable(str(html)), markup=False, soft_wrap=True)
                    return
                for part in render_text(transcript, private, thoughts):
                    console.print(part)

    with output() as stream:
        in_child(work, stream)
