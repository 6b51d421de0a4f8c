"""YAML files read as plain data, with the line and column of every key and value.

Invariant: nothing in a file is executed, and no file, however hostile, costs more than the limits
below or raises anything but a `UserError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from folkways.errors import UserError
from scenarios.parsing.problem import (
    Finding,
    Keys,
    Position,
    Problem,
    Severity,
    SourceError,
    show_value,
)
from scenarios.parsing.scalar import KINDS, resolve_scalar
from scenarios.parsing.syntax import INVISIBLE, LINE_BREAK, SPACE, explain, invisible

MAX_BYTES = 256 * 1024
"""Size of a file."""
MAX_DEPTH = 32
"""Lists and mappings inside one another, aliases followed."""
_MAX_NODES = 20_000
"""Keys, values, lists and mappings, every alias counted as all that it stands for."""
_MAX_CHARACTERS = 4 * MAX_BYTES
"""Characters in keys and values, every alias counted as all that it stands for."""

_LOADERS = (*((yaml.CSafeLoader,) if yaml.__with_libyaml__ else ()), yaml.SafeLoader)
"""The fast parser, and the one that decides about what the fast one refuses: the fast one has a
limit of its own, which it may reach before ours are counted."""
_CORE_TAG = "tag:yaml.org,2002:"
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff"
_FORBIDDEN = re.compile(f"[{_CONTROLS}]")
_FORBIDDEN_WHEN_ESCAPED = re.compile(f"[\r{_CONTROLS}]")
_COLON = re.compile(r"\s*:")
_CUT_OFF = re.compile(r"[ \t]*#(?![\s#!])")
_OR_QUOTE = ", or put the whole text in quotes"


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file."""

    name: str
    data: Any
    """Dicts, lists, strings, numbers, booleans and None; None where nothing could be parsed."""
    values: Mapping[Keys, Position]
    keys: Mapping[Keys, Position]
    problems: tuple[Problem, ...] = ()

    def locate(self, path: Keys, key: bool = False) -> Position:
        """Return where the value (or key) at `path` stands, else the nearest thing around it."""
        for known in (path, path[:-1]) if key else ():
            if known in self.keys:
                return self.keys[known]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Position(1, 1))

    def renamed(self, path: Keys, key: str) -> Source:
        """Return the file as it would be with another name for the key at `path`, where it was."""

        def moved(where: Keys) -> Keys:
            return (*path[:-1], key, *where[len(path) :]) if where[: len(path)] == path else where

        data = deepcopy(self.data)
        inner = data
        for part in path[:-1]:
            inner = inner[part]
        fresh = {key if name == path[-1] else name: value for name, value in inner.items()}
        inner.clear()
        inner.update(fresh)
        values = {moved(where): at for where, at in self.values.items()}
        keys = {moved(where): at for where, at in self.keys.items()}
        return replace(self, data=data, values=values, keys=keys)

    def place(self, finding: Finding) -> Problem:
        """Return a finding as a problem of this file."""
        path, message, value, allowed, severity, key = finding
        return Problem(*self.locate(path, key), path, value, message, allowed, severity)


def load_yaml(source: Path | str | bytes) -> Source:
    """Return the parsed file (a `Path`) or text.

    Raises SourceError, a UserError that lists everything that is not well-formed.
    """
    parsed = read_yaml(source)
    if any(problem.severity == "error" for problem in parsed.problems):
        raise SourceError(parsed.name, parsed.problems)
    return parsed


def read_yaml(source: Path | str | bytes) -> Source:
    """Return the parsed file or text with its problems, for callers that go on and find more.

    Raises UserError when the file cannot be read at all.
    """
    name = str(source) if isinstance(source, Path) else "<text>"
    try:
        text = _decode(_read(source))
        root, problems = _compose(text)
    except _Refused as refusal:
        return Source(name, None, {}, {}, (refusal.problem,))
    builder = _Builder(text)
    try:
        data = builder.build(root, ())
    except _Refused as refusal:
        return Source(name, None, {}, {}, (refusal.problem,))
    found = (*builder.problems, *problems)
    unique = {(problem.line, problem.column, problem.message): problem for problem in found}
    return Source(name, data, builder.values, builder.keys, tuple(unique.values()))


class _Refused(Exception):
    """Reading stops here."""

    def __init__(self, at: Position, message: str, allowed: str = "") -> None:
        self.problem = Problem(*at, (), "", message, allowed)


def _read(source: Path | str | bytes) -> bytes:
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(f"cannot read '{source}': {reason}") from error
    else:
        data = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if len(data) > MAX_BYTES:
        raise _Refused(Position(1, 1), "the file is too large", f"at most {MAX_BYTES // 1024} KiB")
    return data


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        at = Position(data.count(b"\n", 0, start) + 1, error.start - start + 1)
        byte = f"byte {error.start} is 0x{data[error.start]:02x}"
        raise _Refused(at, f"not UTF-8 ({byte}); save the file as UTF-8") from error
    if bad := _FORBIDDEN.search(text):
        before = LINE_BREAK.split(text[: bad.start()])
        at = Position(len(before), len(before[-1]) + 1)
        raise _Refused(at, _forbidden_character(bad[0]))
    return text


def _forbidden_character(character: str) -> str:
    name = invisible(character) or f"the control character U+{ord(character):04X}"
    return f"{name} is not allowed; remove it"


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)


@dataclass(slots=True)
class _Node:
    at: Position
    kind: Literal["scalar", "list", "mapping"]
    tag: str | None
    text: str = ""
    plain: bool = False
    """A scalar without quotes."""
    end: int = 0
    """Where a scalar ends in the text."""
    braces: bool = False
    """A mapping in braces."""
    anchor: str = ""
    children: list[_Node] = field(default_factory=list)
    """The items of a list; key, value, key, value ... of a mapping."""
    nodes: int = 1
    characters: int = 0
    height: int = 0
    closed: bool = True


def _compose(text: str) -> tuple[_Node, list[Problem]]:
    """Return the root of a text, and what is wrong behind it."""
    for loader in _LOADERS:
        composer = _Composer()
        try:
            root = composer.compose(text, loader)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            fault = error
            continue
        if root is None or (root.kind == "scalar" and root.plain and not root.text):
            raise _Refused(Position(1, 1), "the file is empty, or holds comments alone; fill it in")
        return root, composer.problems
    mark = getattr(fault, "problem_mark", None)
    if mark is None:
        raise _Refused(Position(1, 1), "not valid YAML") from fault
    start = getattr(fault, "context_mark", None)
    at, message = explain(text, _position(mark), _position(start) if start else None)
    raise _Refused(at, f"not valid YAML: {message}") from fault


class _Composer:
    """Turns parser events into a graph of nodes, without recursion, and keeps the limits."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._open: list[_Node] = []
        self._anchors: dict[str, _Node] = {}
        self._used: set[str] = set()
        self._nodes = self._characters = 0
        self._root: _Node | None = None

    def compose(self, text: str, loader: Any) -> _Node | None:
        """Return the root, None for a text without one. Raises yaml.YAMLError."""
        for event in yaml.parse(text, Loader=loader):
            at = _position(event.start_mark)
            if isinstance(event, yaml.DocumentStartEvent) and self._root:
                message = "a second document begins here; put it into a file of its own"
                self.problems.append(Problem(*at, (), "", message))
                break
            self._take(event, at)
        for name in self._anchors.keys() - self._used:
            if (node := self._anchors[name]).plain:
                message = f"no alias uses the anchor &{name}; remove it{_OR_QUOTE}"
                self.problems.append(Problem(*node.at, (), "", message))
        return self._root

    def _take(self, event: yaml.Event, at: Position) -> None:
        if isinstance(event, yaml.AliasEvent):
            target = self._anchors.get(event.anchor or "")
            if target is None or not target.closed:
                reason = "contains itself" if target else "has no anchor before it"
                raise _Refused(at, f"the alias *{event.anchor} {reason}{_OR_QUOTE}")
            self._used.add(target.anchor)
            self._add(replace(target, at=at, anchor=""))
        elif isinstance(event, yaml.ScalarEvent):
            plain, size = not event.style, len(event.value)
            node = _Node(at, "scalar", event.tag, event.value, plain, characters=size)
            node.end = event.end_mark.index if event.end_mark else 0
            self._add(node, event.anchor)
        elif isinstance(event, yaml.MappingStartEvent):
            node = _Node(at, "mapping", event.tag, height=1, closed=False)
            node.braces = bool(event.flow_style)
            self._enter(node, event.anchor)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._enter(_Node(at, "list", event.tag, height=1, closed=False), event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            node = self._open.pop()
            node.closed = True
            node.nodes = 1 + sum(child.nodes for child in node.children)
            node.characters = sum(child.characters for child in node.children)
            node.height = 1 + max((child.height for child in node.children), default=0)

    def _enter(self, node: _Node, anchor: str | None) -> None:
        self._add(node, anchor)
        self._open.append(node)

    def _add(self, node: _Node, anchor: str | None = None) -> None:
        self._nodes += node.nodes
        self._characters += node.characters
        if len(self._open) + node.height > MAX_DEPTH:
            raise _Refused(node.at, "nested too deeply", f"at most {MAX_DEPTH} levels")
        if self._nodes > _MAX_NODES:
            raise _Refused(node.at, "too many values, aliases counted", f"at most {_MAX_NODES}")
        if self._characters > _MAX_CHARACTERS:
            allowed = f"at most {_MAX_CHARACTERS} characters"
            raise _Refused(node.at, "too much text, aliases counted", allowed)
        if anchor:
            node.anchor = anchor
            self._anchors[anchor] = node
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node


class _Builder:
    """Turns nodes into data; recursive, which the depth limit makes safe."""

    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        self.values: dict[Keys, Position] = {}
        self.keys: dict[Keys, Position] = {}
        self._text = text

    def build(self, node: _Node, path: Keys) -> Any:
        self.values[path] = node.at
        if node.kind == "scalar":
            return self._scalar(node, path)
        expected = "map" if node.kind == "mapping" else "seq"
        if node.tag not in (None, "!", _CORE_TAG + expected):
            self._refuse_tag(node, path)
        if node.kind == "list":
            return [self.build(child, (*path, i)) for i, child in enumerate(node.children)]
        return self._mapping(node, path)

    def _mapping(self, node: _Node, path: Keys) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[_Node] = []
        for key_node, value_node in zip(node.children[::2], node.children[1::2], strict=True):
            if key_node.kind == "scalar" and key_node.plain and key_node.text == "<<":
                self._refuse(key_node, path, "the merge key << is not read; write the keys out")
                merged.append(value_node)
                continue
            if node.braces and node.tag is None and self._is_loose(key_node, value_node):
                message = f"'{key_node.text:.40}' has no value; in braces a text with a comma in it"
                self._refuse(key_node, path, f"{message} must be in quotes")
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if key in result:
                first = self.keys[here].line
                message = f"given twice, on lines {first} and {key_node.at.line}; keep one"
                self._refuse(key_node, here, message)
                continue
            self.keys[here] = key_node.at
            result[key] = self.build(value_node, here)
        for value_node in merged:
            self._merge(value_node, path, result)
        return result

    def _key(self, node: _Node, path: Keys) -> str | None:
        """Return the key that a node stands for, None where it can be none."""
        key = self._scalar(node, path) if node.kind == "scalar" else node
        if not isinstance(key, str):
            text = node.text if node.kind == "scalar" else f"a {node.kind}"
            message = f"a key must be text, not {text or 'nothing'}; put it in quotes"
            self._refuse(node, path, message)
            return None
        if node.plain and SPACE.match(key):
            message = f"the character U+{ord(key[0]):04X} stands before the key"
            raise _Refused(node.at, f"{message}; indent with plain spaces")
        if node.plain and (name := invisible(key)):
            key = INVISIBLE.sub("", key)
            self._refuse(node, (*path, key), f"the key holds {name}; remove it")
        return key

    def _is_loose(self, key: _Node, value: _Node) -> bool:
        """Return whether a word in braces stands alone, which a comma in a text makes of its
        rest."""
        bare = value.kind == "scalar" and value.plain and not value.text and value.tag is None
        return key.kind == "scalar" and bare and not _COLON.match(self._text, key.end)

    def _merge(self, node: _Node, path: Keys, result: dict[str, Any]) -> None:
        """Read on as if what a merge key brings stood here, so that it is told of once."""
        brought = self.build(node, (*path, "<<"))
        for one in brought if isinstance(brought, list) else [brought]:
            if isinstance(one, dict):
                result.update({key: value for key, value in one.items() if key not in result})

    def _scalar(self, node: _Node, path: Keys) -> Any:
        if bad := _FORBIDDEN_WHEN_ESCAPED.search(node.text):
            self._refuse(node, path, _forbidden_character(bad[0]))
            return node.text.replace(bad[0], "")
        kind = (node.tag or "").removeprefix(_CORE_TAG)
        if node.tag == "!" or kind == "str" or (node.tag is None and not node.plain):
            return node.text
        if node.plain and _CUT_OFF.match(self._text, node.end):
            message = "what stands behind # is a comment; put the text in quotes to keep it"
            self._refuse(node, path, message, severity="warning")
        if node.tag is not None and (node.tag == kind or kind not in KINDS):
            self._refuse_tag(node, path)
            return node.text
        try:
            return resolve_scalar(node.text, kind or None)
        except ValueError as error:
            self._refuse(node, path, str(error), show_value(node.text))
            return None

    def _refuse_tag(self, node: _Node, path: Keys) -> None:
        tag = (node.tag or "").replace(_CORE_TAG, "!!")
        self._refuse(node, path, f"the tag {tag} is not allowed here; remove it{_OR_QUOTE}")

    def _refuse(
        self, node: _Node, path: Keys, message: str, value: str = "", severity: Severity = "error"
    ) -> None:
        self.problems.append(Problem(*node.at, path, value, message, severity=severity))
