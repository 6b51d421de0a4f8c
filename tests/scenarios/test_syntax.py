"""What is no YAML is told at its place, with what to do, whatever the parser says about it."""

from __future__ import annotations

from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folkways.errors import UserError
from scenarios.parsing.yaml_file import MAX_BYTES, load_yaml, read_yaml

CASES: dict[str, tuple[str, str, str]] = {
    "a tab": ("a:\n\tb: 1\n", "2:1", "indented with a tab; use spaces"),
    "a tab behind spaces": ("a:\n  b: 1\n  \tc: 2\n", "3:3", "indented with a tab"),
    "a tab behind a hyphen": ("a:\n  -\tb: 1\n", "2:4", "indented with a tab"),
    "a tab before folded text": ("a:\n  b: >-\n\ttext\n", "3:1", "indented with a tab"),
    "a colon": ("setting: The rule: nobody\nid: x\n", "1:18", "within the text of 'setting'"),
    "a colon in an item": ("a:\n  - The rule: no: x\n", "2:17", "put the text in quotes"),
    "a colon in braces": ("a: {text: He said: go}\n", "1:18", "put the text in quotes"),
    "a colon in braces below": ("a: {x: 1,\n  b: He: go}\nc: 1\n", "2:8", "put the text in quotes"),
    "a comma in braces": (
        "a: {b: The clerk, who is tired, c: go}\n", "1:19", "'who is tired' has no value",
    ),
    "a comma first": ("a: , b\n", "1:4", "',' cannot begin a text; put the text in quotes"),
    "an at sign": ("a: @home\n", "1:4", "'@' cannot begin a text"),
    "a star": ("a: *bold* text\n", "1:4", "'*' cannot begin a text"),
    "an ampersand": ("a: &Co is the firm\n", "1:4", "no alias uses the anchor &Co"),
    "an exclamation mark": ("a: !now go\n", "1:4", "remove it, or put the whole text in quotes"),
    "an apostrophe": ("a: 'it's mine'\n", "1:8", "goes on after the closing '"),
    "stage directions": ("a: [sighs] I go\nb: 1\n", "1:12", "goes on after the closing ]"),
    "an open quotation": ("a: 'x\nb: 1\n", "1:4", "the quotation mark ' that opens here is never"),
    "an open bracket": ("a: [x, y\nb: 2\n", "1:4", "the bracket [ that opens here is never closed"),
    "a backslash": ('a: "C:\\dir"\n', "1:8", "use single quotes"),
    "too deep": ("a:\n  b: 1\n      c: 2\n", "3:7", "indented deeper than 'b' on line 2"),
    "between": ("a:\n  b:\n    c: x\n   d: y\n", "4:4", "allowed: column 5 or 3 or 1"),
    "too shallow": ("  a: 1\nb: 2\n", "2:1", "begins in column 1; allowed: column 3"),
    "an item among keys": ("a: 1\n- x\n", "2:1", "a list item among keys"),
    "a key among items": ("a:\n  - x\n  b: 1\n", "3:3", "a key among the items of a list"),
    "a list behind a key": ("a: - x\n", "1:4", "a list begins on a line of its own"),
    "no colon": ("id: x\ntitle A\nb: c\n", "2:1", "no colon after 'title A'"),
    "no colon above": ("a:\n  clerk\n    b: y\n", "2:3", "no colon after 'clerk'"),
    "no space": ("id:x\ntitle: b\n", "1:3", "no space after the colon; write id: x"),
    "text beside the sign": ("a: > text\n  more\n", "1:6", "begins on the next line"),
    "a hard space": ("a:\u00a0b\nc: 1\n", "1:3", "the invisible character U+00A0 stands here"),
    "a hard space in a key": ("a:\n\u00a0\u00a0b: 1\n", "2:1", "U+00A0 stands before the key"),
    "a wide space in front": ("a:\n\u3000b: 1\n", "2:1", "U+3000 stands before the key"),
    "a wide space after a colon": ("a:\u3000b\nc: 1\n", "1:3", "U+3000 stands here; remove it"),
    "a wide colon": ("a: 1\nb\uff1a c\nd: 2\n", "2:1", "(U+FF1A) is not the colon of YAML"),
    "no width": ("a: 1\n\u200bb: 2\n", "2:1", "b: the key holds the invisible character U+200B"),
    "a soft hyphen": ("go\u00adal: 1\n", "1:1", "the invisible character U+00AD"),
    "a mark inside": ("a: 1\n\ufeffb: 2\n", "2:1", "the invisible character U+FEFF is not"),
    "a merge key": ("b: &b {c: 1}\na:\n  <<: *b\n  c: 2\n", "3:3", "the merge key << is not read"),
    "nothing": ("", "1:1", "the file is empty"),
    "comments": ("# to do\n\n", "1:1", "the file is empty"),
    "Windows lines": ("a: 1\r\n\tb: 2\r\n", "2:1", "indented with a tab"),
    "old Mac lines": ("a: 1\rb: c: d\r", "2:5", "a colon within the text of 'b'"),
    "too many brackets": ("a: " + "[" * 5000, "1:35", "nested too deeply; allowed: at most 32"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_line_says_where_and_what_to_do(name: str) -> None:
    text, place, message = CASES[name]
    with pytest.raises(UserError) as told:
        load_yaml(text)
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"<text>:{place}: error: ")
    assert message in line


def test_what_merge_keys_bring_is_read_so_that_nothing_else_is_told() -> None:
    source = read_yaml("b: &b {c: 1, d: 3}\na:\n  <<: *b\n  c: 2\n")
    assert source.data["a"] == {"c": 2, "d": 3}
    assert len(source.problems) == 1


def test_text_that_becomes_a_comment_is_a_warning() -> None:
    source = load_yaml("goal: Take room #12\nother: Take room # the first\n")
    assert source.data == {"goal": "Take room", "other": "Take room"}
    (problem,) = source.problems
    assert (problem.line, problem.severity) == (1, "warning")
    assert "put the text in quotes to keep it" in problem.message


def test_a_value_that_is_all_comment_is_told_so() -> None:
    source = read_yaml("title: #ladder\n")
    assert [(p.line, p.severity) for p in source.problems] == [(1, "warning")]


def test_invisible_characters_within_a_text_are_kept() -> None:
    text = "\u00ab\u00a0oui\u00a0\u00bb \U0001f469\u200d\U0001f680 \u0645\u06cc\u200c\u0634"
    assert load_yaml(f"a: {text}\n").data == {"a": text}


SLOW = {
    "one long text": "a: " + "x" * (MAX_BYTES - 10) + "\n\tb: 1\n",
    "many lines": "".join(f"k{n}: text of line {n}\n" for n in range(9_000)) + "\tb: 1\n",
    "brackets and words": "a: " + "[x, " * 60_000,
    "braces in quotes": '"{' * 100_000,
    "beyond any bound": "x" * 10_000_000,
}


@pytest.mark.parametrize("name", SLOW)
def test_what_is_refused_is_refused_soon(name: str) -> None:
    began = perf_counter()
    with pytest.raises(UserError) as told:
        load_yaml(SLOW[name])
    assert perf_counter() - began < 10
    assert len(str(told.value).splitlines()) == 1
    assert len(str(told.value)) < 400


PIECES = [
    "a", "b:", ": ", "- ", "\n", "  ", "\t", "'", '"', "[", "]", "{", "}", ", ", "&x ", "*x", "!t ",
    "#", "> ", "| ", "? ", "%", "@", "<<: ", "\u00a0", "\u200b", "\ufeff", "---\n", "1", "\\", "\r",
]  # fmt: skip


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_whatever_is_no_yaml_is_told_in_one_line_a_problem(pieces: list[str]) -> None:
    source = read_yaml("".join(pieces))
    lines = "".join(pieces).replace("\r", "\n").count("\n") + 2
    for problem in source.problems:
        line = problem.render("F")
        assert "\n" not in line
        assert 1 <= problem.line <= lines
        assert len(line) < 400
