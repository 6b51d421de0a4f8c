"""The stage: who is there, what phase it is, who perceived what; all of it derived from an
episode's log.

Invariant: a stage is a function of its scene and the log's entries in order, so replaying a stored
log rebuilds every prompt that was ever made from it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import networkx as nx

from agents.actor import Actor, Cue, ReplyForm, new_actor
from agents.template import load_template
from agents.view import Conditioning, display_names, role_view
from scenarios.culture import Culture
from scenarios.persona import Persona
from scenarios.scenario import ACTIONS, Phase, Policy, Scenario
from simulation.entry import Entry, said, words

NEAR_COPY = 0.8
"""Share of a turn's words that must stand in one earlier turn for it to count as a copy."""
COMPARED_TURNS = 30
"""How many earlier turns a turn is compared with."""


class Stage:
    """What is derived from the log of one episode, and the actors' memories of it."""

    def __init__(
        self,
        scenario: Scenario,
        cast: Mapping[str, Persona],
        cultures: Mapping[str, Culture],
        language: str,
        form: ReplyForm,
        conditioning: Conditioning,
        told: Mapping[str, Culture] | None = None,
    ) -> None:
        """`told` has the culture of those roles that are told of another than their persona's."""
        self.scenario, self.cast, self.form, self.language = scenario, cast, form, language
        self.names = display_names(cast)
        self.ties: nx.DiGraph[str] = scenario.graph()
        self.template = load_template(form)
        self.actors: dict[str, Actor] = {}
        for role in scenario.roles:
            own = cast[role].culture
            known = {own: told[role]} if told and role in told else cultures
            view = role_view(scenario, cast, known, role, language, conditioning)
            self.actors[role] = new_actor(form, role, view)
        self.present = [role for role, part in scenario.roles.items() if part.enters is None]
        self.left: list[str] = []
        self.happened: list[str] = []
        """Ids of events that have happened."""
        self.phase_index = -1 if scenario.phases else None
        self.phase_began = 0
        """Number of the last turn before the phase began."""
        self.turns: list[Entry] = []
        self.quiet = 0
        """Acts in a row without a spoken word."""
        self.last_act = dict.fromkeys(scenario.roles, 0)
        """Role to the number of its last turn, 0 for none."""
        self.public_lines: list[str] = []
        """Lines that everyone present could perceive, for referee and moderator."""
        self.copies = 0
        """Turns in a row that were empty or near-copies of earlier ones, for staleness rules."""
        self._recent: deque[frozenset[str]] = deque(maxlen=COMPARED_TURNS)
        self._saying: dict[tuple[str, ...], tuple[int, list[Entry]]] = {}
        self._cursor = 0

    @property
    def phase(self) -> Phase | None:
        """The current phase, or None in a scenario without phases."""
        return None if self.phase_index is None else self.scenario.phases[max(self.phase_index, 0)]

    @property
    def policy(self) -> Policy:
        """The turn policy in force."""
        return (self.phase and self.phase.policy) or self.scenario.policy

    @property
    def acts(self) -> tuple[str, ...]:
        """Acts allowed now."""
        return self.phase.acts if self.phase else ACTIONS

    @property
    def turns_left(self) -> int:
        """Turns until the limit."""
        return self.scenario.limits.turns - len(self.turns)

    def here(self) -> list[str]:
        """Return the roles that are there, in the order of the scenario file."""
        return [role for role in self.scenario.roles if role in self.present]

    def candidates(self) -> list[str]:
        """Return the roles that may act now, in the order of the scenario file."""
        may = self.phase.who if self.phase else None
        return [role for role in self.here() if may is None or role in may]

    def cue(self) -> Cue:
        """Return what a role whose turn it is now is told."""
        present = tuple(self.names[role] for role in self.here())
        return Cue(self.turns_left, self.acts, present)

    def audience(self, speaker: str, addressees: Sequence[str], whisper: bool) -> list[str]:
        """Return who perceives an act, in the order of the scenario file."""
        hears = "addressees" if whisper else self.phase.hears if self.phase else "all"
        around = [r for r in self.here() if r != speaker]
        if self.policy.name == "network":
            around = [r for r in around if self.ties.has_edge(speaker, r)]
        if hears == "actors":
            allowed = self.candidates()
            return [r for r in around if r in allowed]
        if hears == "addressees" and (addressees or whisper):
            return [r for r in around if r in addressees]
        return around

    def turns_saying(self, phrases: tuple[str, ...]) -> list[Entry]:
        """Return the turns that speak any of the phrases; each turn is searched once."""
        seen, found = self._saying.get(phrases, (0, []))
        found += [turn for turn in self.turns[seen:] if said(phrases, turn)]
        self._saying[phrases] = (len(self.turns), found)
        return found

    def catch_up(self, log: Sequence[Entry]) -> None:
        """Absorb the entries that were added to the log since the last time."""
        if self._cursor < len(log):
            self.absorb(log[self._cursor :])

    def absorb(self, entries: Iterable[Entry]) -> None:
        """Take in new entries in order; the turns of one step are taken together."""
        for _, group in groupby(entries, key=lambda e: (e["kind"] == "turn", e["step"])):
            batch = list(group)
            self._cursor += len(batch)
            if batch[0]["kind"] == "turn":
                self._absorb_turns(batch)
            else:
                for entry in batch:
                    self._absorb_happening(entry)

    def _absorb_turns(self, batch: Sequence[Entry]) -> None:
        cue, lines = self.cue(), []
        for entry in batch:
            if entry["action"] is not None:
                spoken = self._spoken(entry)
                line = self.template.line(spoken)
                self.actors[entry["speaker"]].acted(cue, spoken, line)
                lines.append((entry, line))
        for entry, line in lines:
            for role in entry["audience"]:
                self.actors[role].perceive(line)
            if set(entry["audience"]) >= set(self.present) - {entry["speaker"]}:
                self.public_lines.append(line)
        for entry in batch:
            self._count(entry)

    def _count(self, entry: Entry) -> None:
        self.turns.append(entry)
        self.last_act[entry["speaker"]] = entry["turn"]
        new = words(entry)
        is_copy = any(len(new & old) >= NEAR_COPY * len(new) for old in self._recent)
        self.copies = self.copies + 1 if not new or is_copy else 0
        self._recent.append(new)
        self.quiet = 0 if entry["action"] == "speak" else self.quiet + 1
        if entry["action"] == "leave":
            self.present.remove(entry["speaker"])
            self.left.append(entry["speaker"])

    def _absorb_happening(self, entry: Entry) -> None:
        if entry["kind"] == "event":
            self.happened.append(entry["name"])
        elif entry["kind"] == "phase":
            assert self.phase_index is not None
            self.phase_index += 1
            self.phase_began = len(self.turns)
        else:
            self.present.append(entry["name"])
        if entry["text"] is None and entry["kind"] != "entrance":
            return
        shown = {"kind": entry["kind"], "text": entry["text"]}
        if entry["kind"] == "entrance":
            shown["name"] = self.names[entry["name"]]
        line = self.template.line(shown)
        for role in entry["audience"]:
            self.actors[role].perceive(line)
        if set(entry["audience"]) >= set(self.present):
            self.public_lines.append(line)

    def _spoken(self, entry: Entry) -> dict[str, Any]:
        """Return a turn as the prompt templates see it: names in place of roles."""
        return {
            "kind": "turn",
            "name": self.names[entry["speaker"]],
            "action": entry["action"],
            "text": entry["text"],
            "to": [self.names[role] for role in entry["addressees"]],
            "whisper": entry["whisper"],
        }
