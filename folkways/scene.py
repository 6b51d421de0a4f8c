"""One scene in Python: check it, see what each agent is told, play it; and read an episode.

Invariant: nothing is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from folkways.text import printable
from scenarios.checks.check import check_file
from scenarios.library import find_scenario
from scenarios.parsing.problem import Problem
from simulation.display.live import entry_text, heard_by_some
from simulation.display.transcript import load_transcript, render_page, render_text
from simulation.episode.entry import Entry
from simulation.episode.scene_state import SceneState
from simulation.rehearsal import rehearse
from simulation.store.reader import find_episode, open_reader
from simulation.store.scenarios import as_stored


@dataclass(frozen=True, slots=True)
class Transcript:
    """An episode to be read."""

    episode_id: str
    text: str
    page: str
    """HTML with its style inside, without any script or link."""

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.page


def load(run: Path, episode: str | None, thoughts: bool = False) -> Transcript:
    """Return a stored episode, on request with what was thought in it. Raises UserError for an
    unknown one."""
    with open_reader(run) as con:
        found = find_episode(con, episode)
        with as_stored(found):
            stored = load_transcript(con, found)
            return Transcript(
                found,
                _plain(render_text(stored, thoughts=thoughts)),
                render_page(stored, thoughts=thoughts),
            )


@dataclass(frozen=True, slots=True)
class Played:
    """A scene that was played and not stored."""

    turns: list[Entry]
    """Acts and happenings as they came."""
    exit_reason: str
    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario file, or a shipped scenario by its id.

    ```python
    scene = fw.Scenario.load("last-seat.yaml")
    scene.check()
    print(scene.show("mayor"))
    print(await scene.play(model="embedded"))
    ```
    """

    source: str

    @classmethod
    def load(cls, source: str | Path) -> Scenario:
        """Return a scenario. Raises UserError where there is no such file or id."""
        find_scenario(str(source))
        return cls(str(source))

    def check(self) -> list[Problem]:
        """Return every problem with its line and column; nothing where the file is sound."""
        return check_file(find_scenario(self.source))

    def show(
        self,
        role: str,
        *,
        culture: str | None = None,
        seed: int = 0,
        form: str = "json",
        **settings: Any,
    ) -> str:
        """Return exactly what the agent of a role will be told.

        `form` is the reply form, json or script; `settings` are those of a run, such as
        `conditioning`. Raises UserError for an unknown role and for a file with errors.
        """
        from folkways.errors import unknown_name

        given = settings | {"model": {"reply_form": form}}
        stage = rehearse(self.source, given, culture, seed).stage()
        if role not in stage.scenario.roles:
            raise unknown_name("role", role, stage.scenario.roles)
        prompt = stage.ask(role).prompt
        if isinstance(prompt, str):
            return prompt
        return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in prompt)

    async def play(
        self,
        *,
        model: str = "embedded",
        culture: str | None = None,
        seed: int = 0,
        turns: int | None = None,
        **settings: Any,
    ) -> Played:
        """Play one episode and return it; nothing is stored.

        `turns` bounds its length; `settings` are those of a run. Raises UserError for a model that
        cannot be used.
        """
        given: Mapping[str, Any] = {"model": {"name": model}} | settings
        scene = rehearse(self.source, given, culture, seed, turns)
        log: list[Entry] = []
        names: dict[str, str] = {}

        def watch(stage: SceneState, entries: Sequence[Entry]) -> None:
            log.extend(entries)
            names.update(stage.names)

        record = await scene.play(watch)
        roles = scene.scenario.roles.items()
        heard = heard_by_some(log, [role for role, part in roles if part.enters is None])
        lines = [entry_text(entry, names, heard) for entry in log]
        reason = str(record.episode["exit_reason"])
        end = Text(printable(f"[the scene ends: {reason}]"))
        return Played(log, reason, _plain([*lines, end]))


def _plain(parts: Any) -> str:
    console = Console(width=100, highlight=False, force_terminal=False, force_jupyter=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return captured.get().rstrip("\n")
