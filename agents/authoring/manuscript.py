"""A model's answer when it adapts or invents a scenario: the schema it is asked for, and its way
into the data of a scenario file.

Invariant: ids, ties, rules, culture, languages and provenance are the program's; an answer fills in
texts, names and people, and nothing else of it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.answer import TEXT, list_of, object_of, one_of, whole
from agents.authoring.character import person_schema, persona_data, slug, tell_apart, tidy
from scenarios.adaptation import is_local
from scenarios.culture import Culture
from scenarios.scenario import THEMES, Scenario, Selector

_MOST_PHRASES = 12
_MOVE = ("place", "occasion", "instead")


def outline(original: Scenario) -> dict[str, Any]:
    """Return the texts of a scenario in the form in which an adaptation is answered."""
    stop = {str(n): _phrases(rule) for n, rule in enumerate(original.stop, 1)}
    phases = {
        phase.id: ({"brief": phase.brief} if phase.brief else {})
        | (_phrases(phase.until.rule) if phase.until and phase.until.rule else {})
        for phase in original.phases
    }
    events = {
        event.id: {"text": event.text}
        | ({"says": event.when.says} if event.when and event.when.says else {})
        for event in original.events
    }
    form: dict[str, Any] = {
        "title": original.title,
        "setting": original.setting,
        "roles": {
            name: role.model_dump(include={"brief", "goal", "secret"}, exclude_none=True)
            | ({"knows": list(role.knows)} if role.knows else {})
            for name, role in original.roles.items()
        },
        "relationships": {" and ".join(tie.between): tie.type for tie in original.relationships},
        "stop": {key: phrases for key, phrases in stop.items() if phrases},
        "phases": {key: part for key, part in phases.items() if part},
        "events": events,
        "norms": {norm.id: norm.text for norm in original.norms},
    }
    return {key: part for key, part in form.items() if part}


def adaptation_schema(original: Scenario, culture: Culture) -> dict[str, Any]:
    """Return the JSON Schema of an adaptation: where it is moved, the people, then the texts by
    their ids. A model that has said what becomes what copies less; `move` is not kept.
    """
    people = {
        name: person_schema(role.select or Selector(), culture)
        for name, role in original.roles.items()
        if is_local(original, role)
    }
    parts = {key: _schema_of(key, part) for key, part in outline(original).items()}
    move = object_of(dict.fromkeys(_MOVE, TEXT))
    return object_of({"move": move, **({"people": object_of(people)} if people else {}), **parts})


def blank(schema: Mapping[str, Any]) -> Any:
    """Return an answer of a schema's form with dots for texts and the least for numbers."""
    if schema["type"] == "object":
        return {key: blank(part) for key, part in schema["properties"].items()}
    if schema["type"] == "integer":
        return schema["minimum"]
    return [blank(schema["items"])] * max(1, schema["minItems"]) if "items" in schema else "..."


def generation_schema(least: int, most: int) -> dict[str, Any]:
    """Return the JSON Schema of a new scenario with so many roles."""
    role = {
        "role": TEXT,
        "brief": TEXT,
        "goal": TEXT,
        "secret": TEXT,
        "gender": one_of(["any", "woman", "man"]),
        "youngest": whole(14, 100),
        "oldest": whole(14, 100),
    }
    tie = {
        "first": whole(1, most),
        "second": whole(1, most),
        "type": TEXT,
        "closeness": whole(0, 5),
        "status": whole(-3, 3),
    }
    parts = {
        "title": TEXT,
        "theme": one_of(THEMES),
        "setting": TEXT,
        "roles": list_of(object_of(role), least, most),
        "relationships": list_of(object_of(tie), 1, most * (most - 1) // 2),
        "event": object_of({"at": whole(3, 10), "text": TEXT}),
        "stop": list_of(TEXT, 2, _MOST_PHRASES),
        "against": TEXT,
    }
    return object_of(parts)


def adapted_data(
    original: Scenario, answer: Mapping[str, Any], culture: Culture, language: str, id_: str
) -> dict[str, Any]:
    """Return an adaptation as the data of a file, without its provenance.

    `answer` has the form of `adaptation_schema`. A role from elsewhere keeps its selector, less the
    culture the scene is now set in.
    """
    data = original.model_dump(mode="json", exclude_unset=True, exclude={"personas", "provenance"})
    data |= {"id": id_, "culture": culture.id, "language": language}
    data |= {key: tidy(answer[key]) for key in ("title", "setting")}
    if isinstance(data.get("policy"), dict) and set(data["policy"]) == {"name"}:
        data["policy"] = data["policy"]["name"]
    people = {
        name: persona_data(person, culture)
        for name, person in answer.get("people", {}).items()
        if name in original.roles
    }
    tell_apart(people)
    for name, role in data["roles"].items():
        _fill(role, answer["roles"][name])
        if name in people:
            role.pop("select", None)
            data["roles"][name] = {**role, "persona": people[name]["id"]}
        elif isinstance(abroad := role.get("select", {}).get("culture"), list):
            role["select"]["culture"] = [one for one in abroad if one != culture.id]
    _retell(data, answer)
    return data | ({"personas": list(people.values())} if people else {})


def _retell(data: dict[str, Any], answer: Mapping[str, Any]) -> None:
    """Put the texts of an answer into all sections but the roles."""
    for tie in data.get("relationships", ()):
        tie["type"] = tidy(answer["relationships"][" and ".join(tie["between"])])
    for number, rule in enumerate(data.get("stop", ()), 1):
        _fill(rule, answer.get("stop", {}).get(str(number), {}))
    for phase in data.get("phases", ()):
        told = answer.get("phases", {}).get(phase["id"], {})
        _fill(phase, {"brief": told["brief"]} if "brief" in told else {})
        _fill((phase.get("until") or {}).get("rule") or {}, told)
    for event in data.get("events", ()):
        told = answer["events"][event["id"]]
        event["text"] = tidy(told["text"])
        if "says" in told:
            event["when"] = {**event["when"], "says": tidy(told["says"])}
    for norm in data["norms"]:
        norm["text"] = tidy(answer["norms"][norm["id"]])


def generated_data(
    answer: Mapping[str, Any], norm: str, culture: Culture, language: str, id_: str
) -> dict[str, Any]:
    """Return a new scenario as the data of a file, without its provenance."""
    ids: list[str] = []
    for number, role in enumerate(answer["roles"], 1):
        name = slug(role["role"], 30).replace("-", "_").lstrip("0123456789_")
        ids.append(f"role_{number}" if not name or name in ids else name)
    roles = {
        name: {
            "select": {"age": [role["youngest"], role["oldest"]]}
            | ({} if role["gender"] == "any" else {"gender": role["gender"]}),
            **{key: tidy(role[key]) for key in ("brief", "goal", "secret") if tidy(role[key])},
        }
        for name, role in zip(ids, answer["roles"], strict=True)
    }
    ties = [
        {
            "between": [_nth(ids, tie["first"]), _nth(ids, tie["second"])],
            "type": tidy(tie["type"]),
            "closeness": tie["closeness"],
            "status": tie["status"],
        }
        for tie in answer["relationships"]
    ]
    at, text = answer["event"]["at"], tidy(answer["event"]["text"])
    against = {"id": "against-it", "text": tidy(answer["against"])}
    return {
        "id": id_,
        "title": tidy(answer["title"]),
        "theme": answer["theme"],
        "culture": culture.id,
        "language": language,
        "setting": tidy(answer["setting"]),
        "roles": roles,
        "relationships": ties,
        "policy": "round-robin" if len(roles) == 2 else "addressed",
        "opens": ids[0],
        "limits": {"turns": 14},
        "stop": [{"rule": "agreement", "phrases": [tidy(one) for one in answer["stop"]]}],
        "events": [{"id": "turn-of-events", "at": at, "text": text}],
        "norms": [{"id": "the-norm", "text": norm}, against],
    }


def _phrases(rule: Any) -> dict[str, list[str]]:
    texts = {"offers": rule.offers, "phrases": rule.phrases, "not": rule.contrary}
    return {key: list(phrases) for key, phrases in texts.items() if phrases}


def _schema_of(section: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return TEXT
    if isinstance(value, list):
        free = section in ("stop", "phases")
        return list_of(TEXT, 1 if free else len(value), _MOST_PHRASES if free else len(value))
    return object_of({key: _schema_of(section, part) for key, part in value.items()})


def _fill(part: dict[str, Any], texts: Mapping[str, Any]) -> None:
    """Put new texts in the place of those that are there."""
    for key, text in texts.items():
        if key in part:
            part[key] = tidy(text) if isinstance(text, str) else [tidy(one) for one in text]


def _nth(ids: list[str], number: int) -> str:
    return ids[number - 1] if number <= len(ids) else f"role_{number}"
