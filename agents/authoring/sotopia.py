"""Sotopia's environments, people and pairs of them as scenario files and a pool of people.

Invariant: what a record says is kept or the record is left out with a reason; what Sotopia does not
say of a person is drawn from the culture's population, and the pool says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from agents.authoring.character import free_name, slug, tidy
from agents.authoring.foreign import Found
from agents.authoring.sotopia_profile import (
    LONGEST,
    Agent,
    Environment,
    Pair,
    Record,
    read_profiles,
)
from folkways.errors import UserError
from scenarios.checks.check import check_file
from scenarios.culture import Culture
from scenarios.layout import lay_out
from scenarios.parsing.yaml_file import load_yaml
from scenarios.persona import Gender, Persona
from scenarios.sampling.household import WORDS
from scenarios.sampling.population import sample_personas

_ROLES = ("first", "second")
_CALLED: dict[type[Record], str] = {Environment: "environments", Agent: "people", Pair: "pairs"}
_DRAWN = 200
"""People of a culture among whom the nearest to an agent is sought."""
_PART = re.compile(r"<(p|[a-z_]{3,30})(\s[^<>]{0,200})?>([^<]{0,5000})</\1\s*>")
"""A part in tags, such as `<p viewer="agent_0">` or `<extra_info>`."""
_TAG = re.compile(r"</?[A-Za-z_]{1,30}(\s[^<>]{0,200})?/?>")
_EMPTIED = re.compile(r"\s*\(\s*\)")
_VIEWER = re.compile(r"agent_?([01])")
_AGES = re.compile(r"\d{1,3}")
_LIST = re.compile(r"\[([^\[\]]*)\]")
_WORDS = re.compile(r"['\"]([^'\"]{1,80})['\"]")


@dataclass(slots=True)
class Imported:
    """What came of Sotopia's records."""

    scenes: list[dict[str, Any]] = field(default_factory=list)
    """The data of scenario files that pass the check."""
    people: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Places with the reason."""
    kinds: Counter[str] = field(default_factory=Counter)


def import_sotopia(found: Sequence[Found], culture: Culture | None, seed: int = 0) -> Imported:
    """Return scenes of environments, played by whoever is cast, and of pairs by the people in them.

    `culture` is that of the people, which Sotopia does not say. Raises UserError where no record is
    Sotopia's, and where there are people and no culture.
    """
    made = Imported()
    read = list(read_profiles(found, made.left_out))
    made.kinds.update(_CALLED[type(one)] for _, one in read)
    if not read:
        place, reason = made.left_out[0]
        raise UserError(f"{place}: {reason}")
    agents = [(place, one) for place, one in read if isinstance(one, Agent)]
    if agents and culture is None:
        raise UserError(
            f"{agents[0][0]}: a person, of a culture that Sotopia does not say; name it: --culture"
        )
    people = _people(agents, culture, seed, made) if culture else {}
    made.people = [person for person, _ in people.values()]
    environments = {one.pk: (place, one) for place, one in read if isinstance(one, Environment)}
    taken, paired = set[str](), set[str]()
    for place, one in read:
        if not isinstance(one, Pair):
            continue
        cast = [people[name] for name in one.agent_ids if name in people]
        if culture is None or one.env_id not in environments or len(cast) < len(one.agent_ids):
            made.left_out.append((place, "a pair whose environment or people are not there"))
            continue
        paired.add(one.env_id)
        _keep(made, place, _played_by(_scene(environments[one.env_id][1]), cast, culture), taken)
    for place, environment in environments.values():
        if environment.pk not in paired:
            _keep(made, place, _scene(environment), taken)
    return made


def pool_of(made: Imported, culture: Culture) -> dict[str, Any]:
    """Return the people as the data of a pool file."""
    told = _words()["pool"].format(count=_DRAWN, culture=culture.name)
    return {"provenance": " ".join(told.split()), "personas": made.people}


@cache
def _words() -> Any:
    return load_yaml(Path(__file__).with_suffix(".yaml")).data


def _scene(environment: Environment) -> dict[str, Any]:
    """Return an environment as the data of a scenario file."""
    words, knows = _words(), ([], [])  # type: tuple[Any, tuple[list[str], list[str]]]
    setting = _told(environment.scenario, knows, None)
    goals = [_told(goal, knows, at) for at, goal in enumerate(environment.agent_goals)]
    title = tidy((environment.codename or setting).replace("_", " "))[:100].strip()
    tie = None if environment.relationship is None else words["ties"][environment.relationship]
    ages = _ages(str(environment.age_constraint))
    works = _occupations(str(environment.occupation_constraint))
    chosen = [
        {key: each[at] for key, each in (("age", ages), ("occupation", works)) if each and each[at]}
        for at in range(2)
    ]
    roles = {
        name: ({"select": chosen[at]} if chosen[at] else {})
        | {"brief": (tie or words["unknown"])["brief"], "goal": goals[at]}
        | ({"knows": knows[at]} if knows[at] else {})
        for at, name in enumerate(_ROLES)
    }
    data: dict[str, Any] = {
        "id": slug(title) or slug(f"sotopia {environment.pk}") or "sotopia",
        "title": title[:1].upper() + title[1:],
        "theme": words["theme"],
        "setting": setting,
        "roles": roles,
        "opens": _ROLES[0],
        "limits": {"turns": words["turns"]},
    }
    if tie:
        closeness = environment.relationship
        data["relationships"] = [
            {"between": list(_ROLES), "type": tie["type"], "closeness": closeness}
        ]
    note = tidy(f"{environment.pk} {environment.source or ''}")[:200]
    return data | {"provenance": {"author": words["author"], "made": "imported", "note": note}}


def _told(text: str, knows: tuple[list[str], list[str]], role: int | None) -> str:
    """Return what of a text everybody it is meant for reads; parts in tags are facts that one role
    knows, and what only Sotopia's environment reads is left out."""

    def part(match: re.Match[str]) -> str:
        viewer = _VIEWER.search(match[2] or "")
        whose = int(viewer[1]) if viewer else role
        if whose is None:
            return "" if "environment" in (match[2] or "") else match[3]
        if told := tidy(match[3]):
            knows[whose].append(told)
        return ""

    return tidy(_EMPTIED.sub("", _TAG.sub(" ", _PART.sub(part, text))))


def _ages(constraint: str) -> list[list[int]]:
    """Return the ages of both roles, none where the constraint does not say two ranges."""
    found = [min(100, max(14, int(number))) for number in _AGES.findall(constraint[:200])]
    if len(found) != 4 or found[0] > found[1] or found[2] > found[3]:
        return []
    return [found[:2], found[2:]]


def _occupations(constraint: str) -> list[list[str]]:
    """Return the occupations of both roles, none where the constraint does not say two lists."""
    lists = [_WORDS.findall(words) for words in _LIST.findall(constraint[:LONGEST])]
    return [[tidy(word).casefold() for word in words] for words in lists] if len(lists) == 2 else []


def _played_by(
    scene: dict[str, Any], people: Sequence[tuple[dict[str, Any], str]], culture: Culture
) -> dict[str, Any]:
    """Return a scene whose roles are played by people with their secrets."""
    roles = {}
    for name, (person, secret) in zip(_ROLES, people, strict=True):
        role = {key: part for key, part in scene["roles"][name].items() if key != "select"}
        own = {"secret": secret} if secret else {}
        roles[name] = {"persona": person["id"]} | role | own
    names = " ".join(person["name"] for person, _ in people)
    return scene | {
        "id": slug(f"{scene['id'][:30]} {names}"),
        "culture": culture.id,
        "roles": roles,
        "personas": [person for person, _ in people],
    }


def _keep(made: Imported, place: str, data: dict[str, Any], taken: set[str]) -> None:
    """Keep a scene that passes the check under an id of its own."""
    data["id"] = free_name(data["id"], taken)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{data['id']}.yaml"
        path.write_text(lay_out(data), encoding="utf-8")
        problems = [problem for problem in check_file(path) if problem.severity == "error"]
    if problems:
        first = problems[0]
        where = ".".join(map(str, first.path))
        made.left_out.append((place, f"{where}: {first.message} {first.allowed or ''}".strip()))
        return
    taken.add(data["id"])
    made.scenes.append(data)


def _people(
    agents: Sequence[tuple[str, Agent]], culture: Culture, seed: int, made: Imported
) -> dict[str, tuple[dict[str, Any], str]]:
    """Return agents as personas with their secrets, by their keys."""
    drawn, taken = sample_personas(culture.id, _DRAWN, seed), set[str]()
    found = {}
    for place, agent in agents:
        gender = _gender(agent.gender)
        near = min(drawn, key=lambda one: (one.gender != gender, abs(one.age - agent.age)))
        name = tidy(f"{agent.first_name} {agent.last_name}")
        id_ = free_name(f"{culture.id.lower()}-{slug(name, 50) or 'agent'}", taken)
        words = WORDS[gender]
        person = near.model_dump(exclude={"native_name"}) | {
            "id": id_,
            "name": name,
            "age": agent.age,
            "gender": gender,
            "pronouns": f"{words.subject}/{words.object}",
            "occupation": tidy(agent.occupation).casefold(),
            "background": tidy(f"{agent.public_info} {agent.personality_and_values}"),
            "traits": _traits(agent),
        }
        try:
            Persona.model_validate(person)
        except ValidationError as error:
            first = error.errors()[0]
            made.left_out.append((place, f"{first['loc'][0]}: {first['msg']}"))
            continue
        taken.add(id_)
        person = {key: list(v) if isinstance(v, tuple) else v for key, v in person.items()}
        found[agent.pk] = (person, tidy(agent.secret))
    return found


_GENDERS: dict[str, Gender] = {"man": "man", "male": "man", "woman": "woman", "female": "woman"}


def _gender(told: str) -> Gender:
    return _GENDERS.get(told.casefold().strip(), "nonbinary")


def _traits(agent: Agent) -> list[str]:
    """Return two to six phrases: how the agent decides, and its big five."""
    style = tidy(agent.decision_making_style)
    parts = [tidy(part) for part in agent.big_five.split(";") if part.strip()]
    return [*parts, *([_words()["style"].format(style=style)] if style else [])][:6]
