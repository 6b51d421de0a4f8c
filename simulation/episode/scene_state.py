"""The state of a scene, derived from an episode's log: who is there, who perceived what.

Invariant: a state is a function of its scene and the log's entries in order, so replaying a stored
log rebuilds every prompt that was ever made from it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.actor import Actor, Asked, Cue, Hearing, Moment, ReplyForm, new_actor
from agents.offer import WorldCue
from agents.player import Observation
from agents.reply import Act, read_script
from agents.role_view import Conditioning, display_names, role_view
from agents.template import Template, load_template
from scenarios.culture import Culture
from scenarios.part import Span, number_in
from scenarios.persona import Persona
from scenarios.placeholder import filled
from scenarios.scenario import ACTIONS, Phase, Policy, Scenario
from scenarios.statement import Sought, stance
from scenarios.world.expression import WorldFault
from scenarios.world.schema import Hears
from scenarios.world.scope import acts_of
from simulation.episode.entry import Entry, as_spoken, said, words
from simulation.episode.play_settings import PLAIN, PlaySettings, allowed
from simulation.episode.world_acts import offers, read_act, world_cue
from simulation.episode.world_state import WorldState

if TYPE_CHECKING:
    import networkx as nx

_NEAR_COPY = 0.8
"""Share of a turn's words that must stand in one earlier turn for it to count as a copy."""
_COMPARED_TURNS = 30
"""How many earlier turns a turn is compared with."""


class Stated(NamedTuple):
    """A turn that says something of the phrases that were looked for."""

    turn: Entry
    yes: bool
    """Whether it says that it is so; otherwise it says that it is not."""


class _PublicLine(NamedTuple):
    """A line that everyone who was there could perceive."""

    text: str
    turns: int
    """Number of its turn; of what happened, of the turn that follows."""
    perceived: frozenset[str]


class SceneState:
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
        play: PlaySettings = PLAIN,
        forms: Mapping[str, ReplyForm] | None = None,
    ) -> None:
        """`told` has the culture of those roles that are told of another than their persona's,
        `forms` the reply form of those with one of their own."""
        self.play = play
        self.forms = dict.fromkeys(scenario.roles, form) | dict(forms or {})
        self.names = display_names(cast)
        scenario = filled(scenario, self.names)
        written_here = {person.id for person in scenario.personas}
        cast = {
            part: filled(person, self.names) if person.id in written_here else person
            for part, person in cast.items()
        }
        self.scenario, self.cast, self.form, self.language = scenario, cast, form, language
        self.ties: nx.DiGraph[str] = scenario.graph()
        self.template = load_template(form)
        self._templates = {one: load_template(one) for one in {form, *self.forms.values()}}
        self.actors: dict[str, Actor] = {}
        for role in scenario.roles:
            own = cast[role].culture
            known = {own: told[role]} if told and role in told else cultures
            view = role_view(scenario, cast, known, role, language, conditioning)
            self.actors[role] = new_actor(self.forms[role], role, view)
        self.present = [role for role, part in scenario.roles.items() if part.enters is None]
        self.world = WorldState(scenario, self.present) if scenario.has_world else None
        self._world_cues: dict[str, tuple[int, WorldCue]] = {}
        self.left: list[str] = []
        self.happened: list[str] = []
        """Ids of events that have happened, once for each time."""
        self.happened_at: dict[str, int] = {}
        """Event to the number of turns when it last happened."""
        self._begin(-1 if scenario.phases else None)
        self._phase_numbers = {phase.id: n for n, phase in enumerate(scenario.phases)}
        self.phase_began = 0
        """Number of the last turn before the phase began."""
        self.rounds = 0
        """Rounds within the phase: all who may act and are there have acted."""
        self.all_rounds = 0
        """Rounds of all phases."""
        self._acted: set[str] = set()
        """Roles that have acted in the round."""
        self.turns: list[Entry] = []
        self.quiet = 0
        """Acts in a row without a spoken word."""
        self.last_act = dict.fromkeys(scenario.roles, 0)
        """Role to the number of its last turn, 0 for none."""
        self._made: dict[str, list[str | None]] = {role: [] for role in scenario.roles}
        """The actions of each role, in order."""
        self._words: dict[str, str | None] = dict.fromkeys(scenario.roles)
        """What each role said last."""
        self._news: dict[str, list[str]] = {role: [] for role in scenario.roles}
        """What each role perceived of events, entrances and exits since it last acted."""
        self._public: list[_PublicLine] = []
        self.copies = 0
        """Turns in a row that were empty or near-copies of earlier ones, for staleness rules."""
        self._recent: deque[frozenset[str]] = deque(maxlen=_COMPARED_TURNS)
        self._saying: dict[str, tuple[int, list[Entry]]] = {}
        self._stances: dict[Sought, tuple[int, list[Stated]]] = {}
        self._cursor = 0

    def _begin(self, index: int | None) -> None:
        """Note the current phase: -1 before the first has begun, None in a scenario without phases.
        What it allows is looked up often, so it is worked out once.
        """
        self.phase_index = index
        phase = None if index is None else self.scenario.phases[max(index, 0)]
        self.phase: Phase | None = phase
        self.rules = acts_of(self.scenario, phase)
        """Acts beside speaking that the phase allows, by name."""
        self.acts: tuple[str, ...] = phase.acts if phase else ACTIONS
        """Acts allowed now, those of a world left out."""
        if self.world and phase:
            self.acts = tuple(act for act in phase.acts if act in ACTIONS)

    @property
    def in_last_phase(self) -> bool:
        """Whether the current phase is the last one, as far as that can be worked out by now."""
        with suppress(WorldFault):
            return self.phase_index is not None and self.next_phase() is None
        return False

    def next_phase(self) -> int | None:
        """Return the phase that follows the current one, or None where none does."""
        phases, index = self.scenario.phases, self.phase_index
        assert index is not None
        if self.world and index >= 0:
            return self.world.next_phase(index)
        return index + 1 if index + 1 < len(phases) else None

    def phase_over(self) -> bool:
        """Tell whether the phase is over: ended or closed, or in a world without anybody to act."""
        if self.world and self.phase_index is not None and not self.acts and not self.candidates():
            return self.phase_index >= 0
        until = self.phase.until if self.phase else None
        if until is None or (self.world and self.world.closed):
            return self.world is not None and self.world.closed
        turns = until.turns is not None and len(self.turns) - self.phase_began >= until.turns
        rounds = until.rounds is not None and self.rounds >= until.rounds
        return turns or rounds or until.event in self.happened

    @property
    def policy(self) -> Policy:
        """The turn policy in force."""
        return (self.phase and self.phase.policy) or self.scenario.policy

    @property
    def turns_left(self) -> int:
        """Turns until the limit of turns, or that of rounds if all who may act now do in each."""
        limits, left = self.scenario.limits, self.scenario.limits.turns - len(self.turns)
        if limits.rounds is None:
            return left
        rounds = limits.rounds - self.all_rounds
        return min(left, rounds * max(1, len(self.candidates())) - len(self._acted))

    @property
    def round_is_over(self) -> bool:
        """Whether a round has just been completed."""
        return self.all_rounds > 0 and not self._acted

    def acts_in(self, span: Span) -> int:
        """Return how many acts a span has; of rounds, one of all who may act now for each."""
        several = max(1, len(self.candidates())) if isinstance(span, str) else 1
        return number_in(span) * several

    def here(self) -> list[str]:
        """Return the roles that are there, in the order of the scenario file."""
        return [role for role in self.scenario.roles if role in self.present]

    def candidates(self) -> list[str]:
        """Return the roles that may act now, in the order of the scenario file."""
        may = self.phase.who if self.phase else None
        found = [role for role in self.here() if may is None or role in may]
        return [role for role in found if offers(self, role)] if self._only_typed else found

    @property
    def _only_typed(self) -> bool:
        """Whether only acts of the world are allowed now."""
        return self.world is not None and not self.acts

    def opener(self) -> str | None:
        """Return the role that opens the phase, where it is there, may act and nobody has yet."""
        if len(self.turns) > self.phase_began or self.scenario.opens not in self.candidates():
            return None
        return self.scenario.opens

    def cue(self, role: str) -> Cue:
        """Return what a role whose turn it is now is told, but for the moment."""
        present = tuple(self.names[other] for other in self.here())
        hearers = self.hearers(role)
        hearing: Hearing = "all" if len(hearers) >= len(present) - 1 else "some"
        if self._hears == "addressees" and hearers:
            hearing = "addressed"
        elif not hearers and len(present) > 1:
            hearing = "nobody"
        names = tuple(self.names[other] for other in hearers)
        acts = self._with_offers(role, allowed(self.acts, self.play, self._made[role]))
        return Cue(self.turns_left, acts, present, hearing, names)

    def _with_offers(self, role: str, acts: tuple[str, ...]) -> tuple[str, ...]:
        """Return acts with those that the world offers a role now."""
        world = self.world_cue(role)
        return (*(offer.name for offer in world.offers), *acts) if world else acts

    def ask(self, role: str) -> Asked:
        """Return the prompt for a role's next act."""
        cue = self.cue(role)
        if self.play.cue == "full":
            cue = cue._replace(moment=self._moment(role))
        return self.actors[role].ask(cue, self.world_cue(role), self.play.thoughts is True)

    def observation(self, role: str) -> Observation:
        """Return what a player of a role may know at its turn."""
        world, told, phase = self.world, self.world_cue(role), self.phase
        return Observation(
            role,
            self.names,
            phase.id if phase else None,
            world.round if world else 0,
            len(self.turns),
            len(self._made[role]),
            world.visible(role) if world else {},
            told.offers if told else (),
        )

    def world_cue(self, role: str) -> WorldCue | None:
        """Return what a role whose turn it is now is told of the world, where there is one."""
        if self.world is None:
            return None
        version, told = self._world_cues.get(role, (-1, None))
        if told is None or version != self.world.version:
            told = world_cue(self, role)
            self._world_cues[role] = self.world.version, told
        return told

    def read(self, role: str, reply: str, form: ReplyForm | None = None) -> Act:
        """Read a reply as an act of a role, of the world or not. Raises Unreadable."""
        form = form or self.forms[role]
        if self.world and (typed := read_act(self, role, reply, form)):
            return typed
        acts = self._with_offers(role, self.acts)
        if form != self.forms[role]:
            return read_script(reply, role, self.names, acts)
        return self.actors[role].read(reply, self.names, acts)

    def _moment(self, role: str) -> Moment:
        """Return what has come of the scene since a role last acted, as it perceived it."""
        since = [turn for turn in self.turns[self.last_act[role] :] if role in turn["audience"]]
        spoken = [turn for turn in since if turn["text"] and turn["action"] in ("speak", "leave")]
        asking = dict.fromkeys(t["speaker"] for t in spoken if role in t["addressees"])
        last = spoken[-1] if spoken else None
        return Moment(
            (self.names[last["speaker"]], last["text"] or "") if last else None,
            tuple(self.names[other] for other in asking),
            tuple(self._news[role]),
            self._words[role],
        )

    @property
    def _hears(self) -> Hears | tuple[str, ...]:
        return self.phase.hears if self.phase else "all"

    def hearers(self, speaker: str, hears: Hears | tuple[str, ...] | None = None) -> list[str]:
        """Return who can perceive an act, in the order of the scenario file; `hears` goes before
        what the phase says."""
        hears = self._hears if hears is None else hears
        around = [role for role in self.here() if role != speaker]
        if self.policy.name == "network":
            around = [role for role in around if self.ties.has_edge(speaker, role)]
        if hears == "actors":
            hears = tuple(self.candidates())
        if isinstance(hears, tuple):
            return [role for role in around if role in hears]
        return [] if hears == "nobody" else around

    def audience(self, speaker: str, addressees: Sequence[str], whisper: bool) -> list[str]:
        """Return who perceives an act, in the order of the scenario file.

        A whisper narrows what the phase lets others hear, and never widens it.
        """
        around = self.hearers(speaker)
        if whisper or self._hears == "addressees":
            return [role for role in around if role in addressees]
        return around

    def turns_saying(self, phrase: str) -> list[Entry]:
        """Return the turns that hold the words of a phrase; each turn is searched once."""
        seen, found = self._saying.get(phrase, (0, []))
        found += [turn for turn in self.turns[seen:] if said(phrase, turn)]
        self._saying[phrase] = (len(self.turns), found)
        return found

    def statements(self, sought: Sought, since: int = 0) -> list[Stated]:
        """Return what turns after a number say of phrases, in order; each turn is read once."""
        seen, found = self._stances.get(sought, (0, []))
        for turn in self.turns[seen:]:
            if turn["text"] and turn["action"] in ("speak", "leave"):
                says = stance(turn["text"], sought, self._spoken_by(turn["speaker"]))
                found += [] if says is None else [Stated(turn, says)]
        self._stances[sought] = (len(self.turns), found)
        return [one for one in found if one.turn["turn"] > since]

    def _spoken_by(self, role: str) -> str:
        return self.scenario.roles[role].language or self.language

    def public_lines(self, since: int = 0, role: str | None = None) -> list[str]:
        """Return the lines that everyone who was there could perceive, after a number of turns;
        with a role, only those that it perceived.
        """
        return [
            line.text
            for line in self._public
            if line.turns > since and (role is None or role in line.perceived)
        ]

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
        lines = []
        for entry in batch:
            if entry["action"] is not None:
                spoken = as_spoken(entry, self.names)
                speaker, line = entry["speaker"], self._lines(spoken)
                told, own = self.world_cue(speaker), line[self.forms[speaker]]
                self.actors[speaker].acted(self.cue(speaker), spoken, own, told)
                lines.append((entry, line))
        for entry, line in lines:
            self._news[entry["speaker"]] = []
            for role in entry["audience"]:
                self.actors[role].perceive(line[self.forms[role]])
                if entry["action"] == "leave":
                    self._news[role].append(line[self.forms[role]])
            self._note_public(
                line[self.form], {entry["speaker"], *entry["audience"]}, entry["turn"]
            )
        for entry in batch:
            self._count(entry)
        self._acted |= {entry["speaker"] for entry in batch}
        if self._acted >= set(self.candidates()):
            self.rounds, self._acted = self.rounds + 1, set()
            self.all_rounds += 1
        if self.world:
            self.world.count_turns(len(self.turns))

    def templates(self) -> tuple[Template, ...]:
        """Return the templates of the reply forms that are in use."""
        return (self.template, *(t for t in self._templates.values() if t is not self.template))

    def _lines(self, shown: Mapping[str, Any]) -> dict[ReplyForm, str]:
        """Return a line in every reply form that somebody has."""
        return {form: template.line(shown) for form, template in self._templates.items()}

    def _note_public(self, line: str, perceived: set[str], turns: int) -> None:
        if perceived >= set(self.present):
            self._public.append(_PublicLine(line, turns, frozenset(perceived)))

    def _count(self, entry: Entry) -> None:
        self.turns.append(entry)
        speaker = entry["speaker"]
        self.last_act[speaker] = entry["turn"]
        self._made[speaker].append(entry["action"])
        if entry["text"] and entry["action"] in ("speak", "leave"):
            self._words[speaker] = entry["text"]
        new = words(entry)
        is_copy = any(len(new & old) >= _NEAR_COPY * len(new) for old in self._recent)
        self.copies = self.copies + 1 if (not new or is_copy) and "act" not in entry else 0
        self._recent.append(new)
        self.quiet = 0 if entry["action"] == "speak" else self.quiet + 1
        if entry["action"] == "leave":
            self.present.remove(speaker)
            self.left.append(speaker)

    def _absorb_happening(self, entry: Entry) -> None:
        if entry["kind"] == "event":
            self.happened.append(entry["name"])
            self.happened_at[entry["name"]] = len(self.turns)
        elif entry["kind"] == "phase":
            self._begin(self._phase_numbers[entry["name"]])
            if self.world:
                self.world.begin_phase(entry["name"])
            self.phase_began = len(self.turns)
            self.rounds, self._acted = 0, set()
        elif entry["kind"] == "world":
            assert self.world is not None
            self.world.absorb(entry["changes"], entry["name"])
        elif entry["kind"] == "removal":
            self.present.remove(entry["name"])
            self._acted.discard(entry["name"])
        elif entry["kind"] in ("entrance", "return"):
            self.present.append(entry["name"])
        if self.world:
            self.world.version += 1
        if entry["text"] is None and entry["kind"] != "entrance":
            return
        shown = {"kind": entry["kind"], "text": entry["text"]}
        if entry["kind"] == "entrance":
            shown["name"] = self.names[entry["name"]]
        line = self._lines(shown)
        for role in entry["audience"]:
            self.actors[role].perceive(line[self.forms[role]])
            self._news[role].append(line[self.forms[role]])
        self._note_public(line[self.form], {*entry["audience"]}, len(self.turns) + 1)
