"""A stored episode to be read: in a terminal, or as one web page that needs nothing else.

Invariant: whatever a model or a scenario wrote is shown as text; it can neither steer the terminal
nor become markup, script or a link.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import duckdb
from rich.padding import Padding
from rich.text import Text

from folkways.files import parse_json
from folkways.html import render
from folkways.text import printable
from scenarios.placeholder import filled
from scenarios.words import one_line
from simulation.display.live import COLOURS, entry_text, heard_by_some, heard_text, why_refused
from simulation.episode.entry import Entry
from simulation.review.reliability import judges_told
from simulation.store.episodes import StoredRows, in_order, read_episodes
from simulation.store.reader import read_rows
from simulation.store.record import Row
from simulation.store.scenarios import read_scenario

_PARTS = ("cast", "turns", "decisions", "happenings", "labels", "branches")
_PAGE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True, slots=True)
class Player:
    """Who plays a role, and what only that role was told."""

    role: str
    name: str
    about: str
    """Age, occupation and country."""
    brief: str
    """Who this is in the scene, as everyone was told."""
    language: str
    """BCP 47 tag."""
    goal: str
    secret: str | None
    knows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Purpose:
    """The intent behind a turn, as a labeller wrote it."""

    intent: str
    expectation: str | None
    """The expectation a cultural intent answers; null for a generic one."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one critic says, all judges and samples taken together."""

    critic: str
    name: str | None
    """Whom it is about; null for the whole conversation."""
    verdict: str
    """Label or scores, or why there is none."""
    confidence: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Transcript:
    """One stored episode."""

    episode_id: str
    title: str
    theme: str
    setting: str
    country: str
    """Name of the culture the scene was played in."""
    model: str
    reply_form: str
    policy: str
    replicate: int
    seed: int
    started_at: datetime
    """Naive UTC."""
    exit_reason: str
    exit_detail: str | None
    players: tuple[Player, ...]
    """In the order of the scenario file."""
    entries: tuple[Entry, ...]
    """Turns and happenings as they came."""
    purposes: Mapping[int, Purpose]
    """Turn to the intent behind it; turns without a label are missing."""
    opinions: tuple[Opinion, ...]
    """Verdicts, where critics have judged."""
    heard: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """Turn to the roles that heard it, where not everyone there did."""
    origin: str | None = None
    """Of a branch, where it comes from and what was changed."""

    judges: tuple[str, ...] = ()
    """How often each judge is right, a line each."""

    @property
    def names(self) -> dict[str, str]:
        """Role ids with names."""
        return {player.role: player.name for player in self.players}


def load_transcript(
    con: duckdb.DuckDBPyConnection, episode_id: str, runs: Path = Path("runs")
) -> Transcript:
    """Return an episode that is known to be in the store; calibrations of its judges are sought
    among those `runs`."""
    (stored,) = read_episodes(con, [episode_id], *_PARTS)
    head, people, labels = stored.episode, stored.parts["cast"], stored.parts["labels"]
    told = {row["role"]: row["name"] for row in people}
    scenario = read_scenario(stored.scenario, told, list(told))
    entries = tuple(_entries(stored, told))
    present = [role for role, part in scenario["roles"].items() if not part.get("enters")]
    return Transcript(
        **{each.name: head[each.name] for each in fields(Transcript) if each.name in head},
        title=one_line(filled(stored.title, told)),
        theme=stored.theme,
        country=stored.country,
        setting=one_line(scenario["setting"]),
        players=tuple(_player(row, scenario["roles"][row["role"]]) for row in people),
        entries=entries,
        purposes={row["turn"]: Purpose(row["intent"], row["expectation"]) for row in labels},
        opinions=tuple(_opinions(con, episode_id)),
        heard=heard_by_some(entries, present),
        origin=_origin(stored.parts["branches"]),
        judges=tuple(judges_told(con, runs, episode_id)),
    )


def render_text(
    transcript: Transcript, private: bool = True, thoughts: bool = False
) -> Iterator[Text | Padding]:
    """Return the episode for a terminal: the cast with what each keeps private, then the scene, on
    request with what was thought before each act.
    """
    facts = (transcript.country, transcript.model, f"{transcript.started_at:%Y-%m-%d %H:%M} UTC")
    yield Text(printable(transcript.title), style="bold")
    yield Text(printable(" · ".join((*facts, transcript.episode_id))), style="dim")
    if transcript.origin:
        yield Text(printable(transcript.origin), style="dim")
    yield Text(f"\n{printable(transcript.setting)}\n")
    for number, player in enumerate(transcript.players):
        who = Text(printable(player.name), style=f"bold {COLOURS[number % len(COLOURS)]}")
        who.append(printable(f"  {player.role}; {player.about}"), style="not bold default dim")
        yield who
        yield Padding(Text(printable(player.brief)), (0, 0, 0, 4), expand=False)
        if private:
            for label, text in _private(player):
                yield Padding(
                    Text(f"{label}: {printable(text)}", style="dim"), (0, 0, 0, 4), expand=False
                )
    yield Text()
    for entry in transcript.entries:
        if thoughts and (thought := entry.get("thought")):
            own = f"{transcript.names[entry['speaker']]} thinks: {thought}"
            yield Padding(Text(printable(own), "dim"), (0, 0, 0, 4), expand=False)
        yield entry_text(entry, transcript.names, transcript.heard)
        if entry["kind"] == "turn" and (purpose := transcript.purposes.get(entry["turn"])):
            yield Padding(Text(printable(_told(purpose)), "dim italic"), (0, 0, 0, 8), expand=False)
    yield Text(printable(f"\n[the scene ends: {_ending(transcript)}]"), style="dim")
    for opinion in transcript.opinions:
        said = Text(printable(_subject(opinion)), style="bold")
        said.append(printable(f" {_judged(opinion)}"), style="not bold")
        yield said
    for told in transcript.judges:
        yield Text(printable(f"judge {told}"), style="dim")


def render_page(transcript: Transcript, private: bool = True, thoughts: bool = False) -> str:
    """Return the episode as one HTML page with its style inside, without any script or link."""
    return render(
        _PAGE,
        episode=transcript,
        hues={player.role: number % 8 for number, player in enumerate(transcript.players)},
        private=private,
        thoughts=thoughts,
        private_facts=_private,
        told=_told,
        heard_text=heard_text,
        why_refused=why_refused,
        subject=_subject,
        judged=_judged,
        ending=_ending(transcript),
    )


def _private(player: Player) -> list[tuple[str, str]]:
    """Return what only the player was told, with a label each."""
    told = [("Goal", player.goal)]
    told += [("Secret", player.secret)] if player.secret else []
    return told + [("Knows", fact) for fact in player.knows]


def _told(purpose: Purpose) -> str:
    if purpose.expectation is None:
        return purpose.intent
    return f"{purpose.intent} (expected: {purpose.expectation})"


def _subject(opinion: Opinion) -> str:
    about = f" of {opinion.name}" if opinion.name else ""
    return f"{opinion.critic}{about}:"


def _judged(opinion: Opinion) -> str:
    sure = f" ({opinion.confidence})" if opinion.confidence else ""
    return f"{opinion.verdict}{sure}. {opinion.reason or ''}".rstrip()


def _ending(transcript: Transcript) -> str:
    detail = (transcript.exit_detail or "").strip().splitlines()
    return f"{transcript.exit_reason} ({detail[-1]})" if detail else transcript.exit_reason


def _player(row: Row, part: Row) -> Player:
    about = ", ".join(str(row[key]) for key in ("age", "occupation", "country") if row[key])
    return Player(
        row["role"],
        row["name"],
        one_line(about),
        one_line(part["brief"]),
        row["language"],
        one_line(row["goal"]),
        row["secret"] and one_line(row["secret"]),
        tuple(map(one_line, part.get("knows") or ())),
    )


def _opinions(con: duckdb.DuckDBPyConnection, episode_id: str) -> Iterator[Opinion]:
    """Return what each critic says of each role, dimensions with a score in one line."""
    rows = read_rows(
        con,
        "select c.critic, r.name, any_value(c.label) as label, any_value(c.doubt) as doubt, "
        "any_value(c.confidence) as confidence, any_value(c.reason) as reason, string_agg("
        "replace(c.dimension, '_', ' ') || ' ' || c.score, ', ' order by c.dimension) as scores "
        "from consensus c left join roles r using (episode_id, role) "
        "where c.episode_id = ? group by c.critic, r.name, r.rowid "
        "order by c.critic = 'social', c.critic, r.rowid",
        episode_id,
    )
    for row in rows:
        verdict = row["label"] or row["scores"] or f"no verdict, {row['doubt']}"
        reason = None if row["doubt"] else row["reason"]
        yield Opinion(row["critic"], row["name"], verdict, row["confidence"], reason)


def _origin(branches: Sequence[Row]) -> str | None:
    """Return in words where a branch comes from; None for other episodes."""
    if not branches:
        return None
    at = branches[0]["at_turn"]
    changes = parse_json(branches[0]["changes"], dict[str, Any], "the changes of a stored branch")
    words = [f"{name} is: {value}" for name, value in dict(changes.get("set") or {}).items()]
    words += [f"a person wrote turn {at + 1}"] if "say" in changes else []
    told = "; ".join(words) or "another seed"
    return f"branch of {branches[0]['parent_id']} after turn {at}; {told}"


def _entries(stored: StoredRows, names: Mapping[str, str]) -> Iterator[Entry]:
    made = {row["turn"]: {"act": row} for row in stored.parts["decisions"]}
    for row in in_order(stored.parts["turns"], stored.parts["happenings"], names):
        text = row["text"] and one_line(row["text"])
        turn = {"kind": "turn", **made.get(row.get("turn"), {})}
        yield cast(Entry, row | (turn if "turn" in row else {"text": text}))
