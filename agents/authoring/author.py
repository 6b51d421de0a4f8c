"""The author: a model that adapts a scenario to a culture, or writes a new one around a norm.

Invariant: what is returned has passed `scenarios.checks.check` and the checks below; an answer that
has not is mended once, on the findings, and then refused with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from agents.actor import Asked
from agents.answer import complaints
from agents.authoring.character import CLOSED, asked_of, slug
from agents.authoring.manuscript import (
    adaptation_schema,
    adapted_data,
    blank,
    generated_data,
    generation_schema,
    outline,
)
from agents.language import speaks
from agents.models.base import (
    CUT_IN_REASONING,
    CallFailed,
    Message,
    Model,
    Sampling,
    prompt_hash,
    with_room,
)
from agents.reply import Unreadable, read_object
from agents.role_view import language_name
from agents.template import Template, load_template
from folkways.errors import FolkwaysError
from folkways.text import sound
from scenarios.adaptation import deviations, is_local, people, texts
from scenarios.checks.check import check_file
from scenarios.culture import Culture
from scenarios.descriptors import describe
from scenarios.layout import lay_out
from scenarios.parsing.problem import Finding, Problem, Severity, show_path
from scenarios.parsing.validation import parse
from scenarios.scenario import THEMES, Scenario, Selector

_PLAN_TOKENS = 5000
"""Completion tokens of a new scenario at most."""
_PERSON_TOKENS = 600
"""Completion tokens that a person adds to an adaptation at most; the texts may take a token for
each character of the original's, which is several times what they take in any language."""
_TOLD = 10
"""Faults that a repair is told of."""
_QUOTED = 2000
"""Characters of an unreadable answer that a repair is shown again."""
_SAMPLING = Sampling(temperature=0.7, repetition_penalty=1.05)
"""A light penalty: without one a 1.5B model goes round in circles within one text, and a heavy one
breaks long JSON, in which keys and quotes recur."""


class Refused(FolkwaysError):
    """No usable scenario came of it; `kind` is short and fit for counting."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class _AuthorFault(NamedTuple):
    """Something that is wrong with an answer, in words the model can act on."""

    kind: str
    text: str
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class _AuthorTask:
    """One scenario to be written."""

    model: Model
    template: Template
    text: str
    """The prompt."""
    schema: dict[str, Any]
    max_tokens: int
    seed: int
    made: str
    """`adapted` or `generated`."""
    parent: str | None
    build: Callable[[Mapping[str, Any]], dict[str, Any]]
    """From an answer of the schema's form to the data of a file."""
    judge: Callable[[Scenario], Iterator[Finding]]
    """What is wrong beyond what `check_file` finds."""


async def adapt_scenario(
    model: Model,
    original: Scenario,
    culture: Culture,
    language: str,
    id_: str,
    siblings: Sequence[Scenario],
    seed: int = 0,
) -> dict[str, Any]:
    """Return the original moved to a culture, as the data of a file that passes every check.

    `language` is a BCP 47 tag. `siblings` are other adaptations of it, from which this one must
    differ; those that are added while the model writes count as well. Raises Refused.
    """
    wanted = {
        name: asked_of(role.select or Selector())
        for name, role in original.roles.items()
        if is_local(original, role)
    }
    _require_foreigners(original, culture)
    schema = adaptation_schema(original, culture)
    properties = schema["properties"].get("people", {}).get("properties", {})
    native = any("native_name" in person["properties"] for person in properties.values())
    taken = sorted({who.name for scene in (original, *siblings) for who in people(scene)})
    template = load_template("adapt")
    told = outline(original)
    text = template.ask(
        culture,
        describe(culture),
        [norm.text for norm in culture.norms],
        language_name(language),
        told,
        wanted,
        taken,
        native,
        CLOSED,
        json.dumps(blank(schema)),
    )
    room = len(json.dumps(told, ensure_ascii=False)) + _PERSON_TOKENS * (len(wanted) + 1)
    return await _write(_AuthorTask(
        model, template, text, schema, room, seed, "adapted", original.id,
        lambda answer: adapted_data(original, answer, culture, language, id_),
        lambda scene: deviations(original, scene, siblings),
    ))  # fmt: skip


def _require_foreigners(original: Scenario, culture: Culture) -> None:
    """Raise Refused where a role would no longer come from elsewhere."""
    for name, role in original.roles.items():
        abroad = role.select.culture if role.select and not is_local(original, role) else ()
        if abroad == (culture.id,):
            reason = f"the role '{name}' is there because it comes from {culture.id}"
            raise Refused("unsuitable", reason)


async def generate_scenario(
    model: Model,
    norm: str,
    culture: Culture,
    language: str,
    roles: tuple[int, int],
    number: int,
    count: int,
    titles: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Return a new scenario around a norm, as the data of a file that passes the check.

    `roles` are the fewest and the most; it is the `number`th of `count`, and `titles` are in use.
    Its id is made from its title. Raises Refused.
    """
    template = load_template("generate")
    text = template.ask(
        culture,
        describe(culture),
        [one.text for one in culture.norms],
        language_name(language),
        norm,
        number,
        count,
        *roles,
        titles,
        THEMES,
    )
    plain = f"{culture.id.lower()}-{number}"
    return await _write(_AuthorTask(
        model, template, text, generation_schema(*roles), _PLAN_TOKENS, seed, "generated", None,
        lambda answer: generated_data(
            answer, norm, culture, language, slug(answer["title"]) or plain
        ),
        lambda scene: iter(()),
    ))  # fmt: skip


async def _write(job: _AuthorTask) -> dict[str, Any]:
    """Ask, check, and ask once more with the faults; warnings alone are reason enough to ask."""
    first: list[Message] = [{"role": "user", "content": job.text}]
    asked = Asked(first, prompt_hash(first), job.schema)
    parent = {"parent": job.parent} if job.parent else {}
    provenance = {
        "author": "folkways",
        "made": job.made,
        **parent,
        "model": job.model.name,
        "prompt_hash": asked.prompt_hash,
    }
    usable: dict[str, Any] | None = None
    faults: list[_AuthorFault] = []
    sampling = replace(_SAMPLING, max_tokens=job.max_tokens)
    for attempt in range(2):
        sampling = replace(sampling, seed=Random(f"{job.seed} {attempt}").getrandbits(31))
        try:
            done = await job.model.complete(asked.prompt, sampling, job.schema)
        except CallFailed as error:
            failure = _AuthorFault(
                error.reason, f"the model gave no answer ({error.reason}: {error})"
            )
            faults = [*faults, failure] if attempt else [failure]
            break
        if done.cut_in_reasoning:
            told = f"the model reasoned for {sampling.max_tokens} tokens and came to no answer"
            faults, sampling = [_AuthorFault(CUT_IN_REASONING, told)], with_room(sampling)
            continue
        data, faults = _read(done.text, job, provenance)
        if data and not faults:
            return data
        if data and not any(fault.severity == "error" for fault in faults):
            usable = data
            if attempt:
                return data
        asked = _asked_again(job, done.text, faults)
    if usable and not any(fault.severity == "error" for fault in _faults(usable, job)):
        return usable
    raise _refusal([fault for fault in faults if fault.severity == "error"])


def _asked_again(job: _AuthorTask, reply: str, faults: Sequence[_AuthorFault]) -> Asked:
    """Return the prompt with the answer and what is wrong with it; what cannot be read is quoted
    in part, lest the prompt grow too long.
    """
    note = job.template.repair([fault.text for fault in faults[:_TOLD]])
    try:
        read_object(reply, job.schema["properties"])
    except Unreadable:
        reply = reply[:_QUOTED]
    messages: list[Message] = [
        {"role": "user", "content": job.text},
        {"role": "assistant", "content": sound(reply).strip() or "{}"},
        {"role": "user", "content": note},
    ]
    return Asked(messages, prompt_hash(messages), job.schema)


def _refusal(faults: Sequence[_AuthorFault]) -> Refused:
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Refused(faults[0].kind, f"{' '.join(faults[0].text.split()).rstrip('.')}{more}")


def _read(
    reply: str, job: _AuthorTask, provenance: Mapping[str, str]
) -> tuple[dict[str, Any] | None, list[_AuthorFault]]:
    """Return the data that an answer makes, None where it makes none, and what is wrong with it."""
    try:
        answer = read_object(reply, job.schema["properties"])
    except Unreadable as error:
        return None, [_AuthorFault("unreadable", f"the answer cannot be read: {error}")]
    malformed = [_AuthorFault("unreadable", text) for text in complaints(answer, job.schema)]
    if malformed:
        return None, malformed
    data = {**job.build(answer), "provenance": dict(provenance)}
    return data, list(dict.fromkeys(_faults(data, job)))


def _faults(data: Mapping[str, Any], job: _AuthorTask) -> Iterator[_AuthorFault]:
    """Yield what the check finds in the file that the data makes, and what only a judge can say."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{data['id']}.yaml"
        path.write_text(lay_out(data), encoding="utf-8")
        found: list[Problem | Finding] = [*check_file(path)]
    scene, _ = parse(dict(data), Scenario)
    if scene:
        found += job.judge(scene)
    by_person = {role.persona: name for name, role in scene.roles.items()} if scene else {}
    for problem in sorted(found, key=lambda one: one.severity):
        yield _AuthorFault("faulty", _told(problem, scene, by_person), problem.severity)
    if scene:
        yield from _language_faults(scene)
        yield from _name_faults(scene, by_person)


def _told(problem: Problem | Finding, scene: Scenario | None, by_person: Mapping[Any, str]) -> str:
    """Return a problem as the model is told of it: people stand under their roles in its answer."""
    path = problem.path
    if path[:1] == ("personas",) and len(path) > 1 and scene:
        path = ("people", by_person[scene.personas[int(path[1])].id], *path[2:])
    text = f"{show_path(path)}: {problem.message}"
    text += f"; found {problem.value}" if problem.value else ""
    return f"{text}; allowed: {problem.allowed}" if problem.allowed else text


def _language_faults(scene: Scenario) -> Iterator[_AuthorFault]:
    """Yield the parts that are in another language than the scene's; people are told of in English,
    as all personas are.
    """
    parts: dict[str, list[str]] = {}
    for path, text in texts(scene).items():
        parts.setdefault(show_path(path[:2] if path[0] == "roles" else path), []).append(text)
    for where, told in parts.items():
        if not speaks(" ".join(told), scene.language):
            name = language_name(scene.language)
            yield _AuthorFault("wrong-language", f"{where}: is not in {name}, as it must be")
    for person in scene.personas:
        if not speaks(f"{person.household}. {person.background}", "en"):
            yield _AuthorFault("wrong-language", f"{person.name}: a person is described in English")


def _name_faults(scene: Scenario, by_person: Mapping[Any, str]) -> Iterator[_AuthorFault]:
    names = [person.name for person in scene.personas]
    for person in scene.personas:
        where = f"people.{by_person[person.id]}"
        if not slug(person.name):
            yield _AuthorFault("faulty", f"{where}: the name must be in Latin letters")
        if names.count(person.name) > 1:
            yield _AuthorFault("faulty", f"{where}: two people are called {person.name}")
