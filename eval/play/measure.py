"""What a stored scene is worth as play, in counts: faults of its acts, and what carries it.

Invariant: every share is hits out of cases, both kept, so that scenes can be drawn anew; what has
no cases is not measured, never zero, and an act that an endpoint failed is nobody's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from agents.conversation import Conversation, Line, Person
from agents.critics.act_fault import content_words, faults
from agents.models.health import NO_RESULT
from scenarios.words import words
from simulation.replay.stored_episode import StoredEpisode, read_book
from simulation.review.conversations import load_conversations
from simulation.store.reader import open_reader
from simulation.store.record import Row

Count = tuple[float, float]
"""Hits, and the cases out of which they are."""

MEASURES = {
    "silent": "acts that say and do nothing, those that could not be read included",
    "mute_roles": "roles that never say a word",
    "repeated": "spoken acts that repeat the speaker's own words",
    "echoed": "spoken acts that give back the words just heard",
    "repeated_or_echoed": "spoken acts with either",
    "said_before": "spoken acts that anybody's one earlier act holds half of",
    "copied": "acts whose words stand in the prompt",
    "repeated_directions": "acts that are a stage direction given before, or the prompt's",
    "for_others": "spoken acts that speak for somebody else, what was cut included",
    "wrong_language": "spoken acts in another language than the role's",
    "about_ai": "spoken acts about being a machine",
    "assistant": "spoken acts with a phrase of a chat assistant",
    "secret_told": "spoken acts that give a secret away",
    "cut_short": "scenes of which somebody leaves within the first two acts of each role",
    "on_topic": "spoken acts with a word of the setting or of an own goal",
    "goals_in_play": "roles that use a word of their goal which is not in the setting",
    "secrets_in_play": "roles with a secret that use a word of it which is not in the setting",
    "takes_up": "spoken acts with a word of the line before them",
    "follows": "spoken acts likelier after the true line before them than after three others",
    "distinct_2": "different pairs of words out of all in a scene",
    "tokens_a_turn": "completion tokens of all calls, by turn",
    "prompt_tokens_a_turn": "prompt tokens of all calls that were not kept from before, by turn",
    "seconds_a_turn": "seconds of the scene, by turn",
    "calls_a_turn": "model calls, by turn",
}
"""Measures with what each counts."""
_FAULTS = {
    "repeated": "repetition",
    "echoed": "echo",
    "said_before": "said-before",
    "for_others": "speaks-for-others",
    "wrong_language": "wrong-language",
    "about_ai": "meta-talk",
    "assistant": "assistant-voice",
    "secret_told": "secret-leak",
}
"""Measures of spoken acts with the fault that they count."""


class Scene(NamedTuple):
    """One stored scene, measured."""

    episode_id: str
    scenario_id: str
    culture_id: str
    replicate: int
    counts: Mapping[str, Count]
    talk: Conversation


def measure_run(run: Path) -> list[Scene]:
    """Return the scenes of a run that came to an end, measured, in the order of their scenarios."""
    with open_reader(run) as con:
        ids = [row[0] for row in con.execute(_ENDED).fetchall()]
        talks, book = load_conversations(con, ids), read_book(con, ids)
    return [_measured(book[id_], talks[id_]) for id_ in ids]


_ENDED = """
select episode_id from episodes where exit_reason not in ('error', 'budget', 'endpoint-failure')
order by scenario_id, culture_id, replicate
"""


def _measured(stored: StoredEpisode, talk: Conversation) -> Scene:
    row = stored.row
    stage = stored.premise().stage()
    told = {role: actor.template.header(actor.view) for role, actor in stage.actors.items()}
    cut = {turn["turn"] for turn in stored.tables["turns"] if turn["cut"]}
    void = {turn["turn"] for turn in stored.tables["turns"] if turn["failure"] in NO_RESULT}
    talk = replace(talk, lines=tuple(line for line in talk.lines if line.turn not in void))
    counts = scene_counts(talk, told, cut) | _costs(row, stored.tables["calls"])
    place = row["episode_id"], row["scenario_id"], row["culture_id"], row["replicate"]
    return Scene(*place, counts, talk)


def scene_counts(talk: Conversation, told: Mapping[str, str], cut: set[int]) -> dict[str, Count]:
    """Return what can be counted in a scene: `told` has what stands in each role's prompt before
    anything is said, `cut` the acts of which words of somebody else were left out.
    """
    people = {person.role: person for person in talk.people}
    acts = [
        (line, faults(talk, people[line.role or ""], line, told[line.role or ""]))
        for line in talk.turns
    ]
    spoken = [(line, found) for line, found in acts if line.words]

    def share(of: Sequence[tuple[Line, tuple[str, ...]]], *names: str) -> Count:
        return sum(any(name in found for name in names) for _, found in of), len(of)

    counts = {name: share(spoken, fault) for name, fault in _FAULTS.items()}
    others = sum("speaks-for-others" in found or line.turn in cut for line, found in spoken)
    said = {
        person.role: [line for line, _ in spoken if line.role == person.role]
        for person in talk.people
    }
    return counts | {
        "silent": share(acts, "silent"),
        "mute_roles": (sum(not lines for lines in said.values()), len(said)),
        "repeated_or_echoed": share(spoken, "repetition", "echo"),
        "copied": share(acts, "copied-from-prompt"),
        "repeated_directions": share(acts, "repeated-direction"),
        "for_others": (others, len(spoken)),
        "cut_short": (_is_cut_short(talk), 1),
        "on_topic": _on_topic(talk, people, [line for line, _ in spoken]),
        "takes_up": _takes_up([line for line, _ in spoken]),
        "distinct_2": _distinct_pairs([line for line, _ in spoken]),
        **_in_play(talk, said),
    }


def _is_cut_short(talk: Conversation) -> bool:
    return any(line.action == "leave" for line in talk.turns[: 2 * len(talk.people)])


def _on_topic(talk: Conversation, people: Mapping[str, Person], spoken: Sequence[Line]) -> Count:
    setting = content_words(f"{talk.title} {talk.setting}")
    hits = [
        content_words(line.text) & (setting | content_words(people[line.role or ""].goal))
        for line in spoken
    ]
    return sum(map(bool, hits)), len(hits)


def _takes_up(spoken: Sequence[Line]) -> Count:
    """Count answers to somebody else that use a word of the line before them."""
    pairs = [(one, two) for one, two in pairwise(spoken) if one.role != two.role]
    hits = [content_words(one.text) & content_words(two.text) for one, two in pairs]
    return sum(map(bool, hits)), len(pairs)


def _in_play(talk: Conversation, said: Mapping[str, Sequence[Line]]) -> dict[str, Count]:
    known = content_words(" ".join((talk.title, *talk.public)))
    goals, secrets = [], []
    for person in talk.people:
        used = frozenset[str]().union(*(content_words(line.text) for line in said[person.role]))
        goals.append(bool(used & (content_words(person.goal) - known)))
        if person.secret:
            secrets.append(bool(used & (content_words(person.secret) - known)))
    return {
        "goals_in_play": (sum(goals), len(goals)),
        "secrets_in_play": (sum(secrets), len(secrets)),
    }


def _distinct_pairs(spoken: Sequence[Line]) -> Count:
    pairs = [pair for line in spoken for pair in pairwise(words(line.text or ""))]
    return len(set(pairs)), len(pairs)


def _costs(row: Row, calls: Sequence[Row]) -> dict[str, Count]:
    turns = row["turns"]
    written = sum(call["completion_tokens"] or 0 for call in calls)
    read = sum((call["prompt_tokens"] or 0) - (call["cached_tokens"] or 0) for call in calls)
    return {
        "tokens_a_turn": (written, turns),
        "prompt_tokens_a_turn": (read, turns),
        "seconds_a_turn": (row["wall_s"], turns),
        "calls_a_turn": (len(calls), turns),
    }
