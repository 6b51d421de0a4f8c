"""Parsed files turned into models, every schema error explained at its place.

Invariant: each error says in one line what is wrong, the value, and what is allowed.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from scenarios.parsing.problem import (
    Finding,
    Keys,
    Problem,
    SourceError,
    nearest,
    show_value,
    suggest,
)
from scenarios.parsing.syntax import invisible
from scenarios.parsing.yaml_file import Source, load_yaml

Model = TypeVar("Model", bound=BaseModel)

_MAX_MISSPELT = 20
"""Keys of a file that are read as those they are like."""
_ABOUT_TEXT = ("missing", "extra_forbidden", "string_too_short", "string_too_long")
"""Faults that no invisible character explains."""

_CULTURE_ID = r"^[A-Z]{3}$"
_FORMS = {
    r"^[a-z0-9]+(-[a-z0-9]+)*$": "lower-case letters, digits and single hyphens, as in last-bus",
    r"^[a-z][a-z0-9_]*$": "lower-case letters, digits and underscores, as in older_sister",
    _CULTURE_ID: "an ISO 3166 alpha-3 code, as in JPN",
}
_KINDS = {
    "string": "must be text",
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "tuple": "must be a list",
    "list": "must be a list",
    "finite": "must be finite",
    "dict": "must be a mapping of keys to values",
    "model": "must be a mapping of keys to values",
}
_BOUNDS = {
    "greater_than": ("too small", "more than {gt}"),
    "greater_than_equal": ("too small", "{ge} or more"),
    "less_than": ("too large", "less than {lt}"),
    "less_than_equal": ("too large", "{le} or less"),
    "string_too_short": ("too short", "at least {min_length} characters"),
    "string_too_long": ("too long", "at most {max_length} characters"),
    "too_short": ("too few entries", "at least {min_length}"),
    "too_long": ("too many entries", "at most {max_length}"),
}


def parse(data: Any, model: type[Model]) -> tuple[Model | None, list[Finding]]:
    """Return plain data as a model, or None with every schema error in it."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        details = [d for d in error.errors(include_url=False) if not _follows(d)]
    groups: dict[Keys, list[_Located]] = {}
    for detail in details:
        located = _locate(detail, data)
        groups.setdefault(located.group, []).append(located)
    return None, [_explain(group, model) for group in groups.values()]


def parse_source(source: Source, model: type[Model]) -> tuple[Model | None, list[Problem], Source]:
    """Return a file's data as a model, or None, with its problems, and the file as it was read.

    A key that is nearly one that is missing is told of once and read as that one, so that nothing
    is told that only follows from it.
    """
    problems: list[Problem] = []
    spelt: set[Keys] = set()
    while (found := _misspelt(source.data, model)) and len(problems) < _MAX_MISSPELT:
        path, key = found
        known = ", ".join(sorted(_known_keys(model, path[:-1])))
        told = Finding(path, f"unknown key, did you mean '{key}'?", allowed=known, key=True)
        problems.append(source.place(told))
        source = source.renamed(path, key)
        spelt.add((*path[:-1], key))
    value, findings = parse(source.data, model)
    problems += [source.place(finding) for finding in findings if finding.path not in spelt]
    ordered = sorted(problems, key=lambda problem: (problem.line, problem.column))
    return (None if problems else value), ordered, source


def load_model(path: Path, model: type[Model]) -> tuple[Model, Source]:
    """Return what is written in a YAML file, and the file.

    Raises SourceError with line and column for whatever is not YAML or not allowed by the schema.
    """
    source = load_yaml(path)
    value, problems, _ = parse_source(source, model)
    if value is None:
        raise SourceError(source.name, problems)
    return value, source


def _misspelt(data: Any, model: Any, path: Keys = ()) -> tuple[Keys, str] | None:
    """Return the first key that is nearly one which its mapping lacks, and that one."""
    if isinstance(data, list):
        inner: Iterable[tuple[str | int, Any]] = enumerate(data)
    elif isinstance(data, dict):
        known = _known_keys(model, path)
        for key in data.keys() - known if known else ():
            if near := nearest(key, known - data.keys()):
                return (*path, key), near
        inner = data.items()
    else:
        return None
    found = (_misspelt(part, model, (*path, key)) for key, part in inner)
    return next((one for one in found if one), None)


def _follows(detail: ErrorDetails) -> bool:
    """Return whether a list is only too short because pydantic does not count its wrong entries."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


class _Located(NamedTuple):
    path: Keys
    """The way to the offending data, without the marks pydantic puts in for unions and keys."""
    group: Keys
    """Errors that only differ in the branch of a union share it."""
    detail: ErrorDetails


def _locate(detail: ErrorDetails, data: Any) -> _Located:
    path: list[str | int] = []
    branch: int | None = None
    for part in detail["loc"]:
        if holds(data, part):
            data = data[part]
            path.append(part)
        elif branch is None:
            branch = len(path)
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
        return _Located(tuple(path), tuple(path), detail)
    if detail["loc"][-1:] == ("[key]",):
        return _Located(tuple(path), (*path, "[key]"), detail)
    return _Located(tuple(path), tuple(path[:branch]), detail)


def _explain(group: list[_Located], model: type[BaseModel]) -> Finding:
    depth = max(len(located.path) for located in group)
    group = [located for located in group if len(located.path) == depth]
    path, _, detail = group[0]
    told = [_describe(located, model) for located in group]
    messages = dict.fromkeys(message for message, _ in told)
    allowed = dict.fromkeys(allowed for _, allowed in told if allowed)
    hints = [each for each in messages if "did you mean" in each]
    message = (hints or ["not an allowed value"])[0] if len(messages) > 1 else told[0][0]
    missing = detail["type"] == "missing"
    about_key = detail["type"] == "extra_forbidden" or detail["loc"][-1:] == ("[key]",)
    value = "" if missing or about_key else show_value(detail["input"])
    key = about_key or (missing and isinstance(path[-1], str))
    return Finding(path, message, value, " or ".join(allowed), key=key)


def _describe(located: _Located, model: type[BaseModel]) -> tuple[str, str]:
    """Return what is wrong and what is allowed."""
    path, _, detail = located
    kind, context = detail["type"], detail.get("ctx", {})
    given = detail["input"]
    if isinstance(given, str) and kind not in _ABOUT_TEXT and (name := invisible(given)):
        return f"the value holds {name}; remove it", ""
    if kind == "missing":
        return ("an entry is missing", "") if isinstance(path[-1], int) else ("missing", "")
    if kind == "extra_forbidden":
        known = sorted(_known_keys(model, path[:-1]))
        return f"unknown key{suggest(str(path[-1]), known)}", ", ".join(known)
    if kind == "literal_error":
        known = context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        return f"unknown value{suggest(str(detail['input']), known)}", ", ".join(known)
    if kind == "string_pattern_mismatch":
        form = _FORMS.get(context["pattern"], f"what matches {context['pattern']}")
        meant = _meant(str(given)) if context["pattern"] == _CULTURE_ID else None
        return f"not in the right form{f', did you mean {meant}?' if meant else ''}", form
    if kind in _BOUNDS:
        message, allowed = _BOUNDS[kind]
        return message, allowed.format(**context)
    if kind == "string_type" and isinstance(given, dict | list):
        sign = "holds a colon" if isinstance(given, dict) else "begins with a bracket"
        return f"must be text; put it in quotes if it {sign}", ""
    if kind in ("model_type", "dict_type"):
        return _KINDS["model"], ", ".join(sorted(_known_keys(model, path)))
    if kind in ("value_error", "assertion_error"):
        return str(context["error"]), ""
    return _KINDS.get(kind.split("_")[0], "not an allowed value"), ""


def _meant(text: str) -> str | None:
    """Return the id of the culture that somebody has written in another way."""
    from scenarios.culture import culture_meant

    return culture_meant(text)


def _known_keys(model: Any, path: Keys) -> set[str]:
    """Return the keys that a file may have at `path`; empty where any key will do."""
    origin, arguments = get_origin(model), get_args(model)
    if origin is Annotated:
        return _known_keys(arguments[0], path)
    if origin in (Union, types.UnionType):
        return set().union(*(_known_keys(branch, path) for branch in arguments))
    if origin is dict or origin is tuple:
        inner = arguments[1] if origin is dict else arguments[0]
        return _known_keys(inner, path[1:]) if path else set()
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return set()
    if not path:
        return {field.alias or name for name, field in model.model_fields.items()}
    fields = (f for name, f in model.model_fields.items() if (f.alias or name) == path[0])
    return next((_known_keys(field.annotation, path[1:]) for field in fields), set())


def holds(data: Any, part: str | int) -> bool:
    """Return whether a mapping has the key or a list the index."""
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)
