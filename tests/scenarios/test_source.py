"""YAML with positions: what is read, what is refused, and that hostile files cost little."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkways.errors import UserError
from scenarios.parsing.problem import Position, Problem, SourceError
from scenarios.parsing.yaml_file import MAX_BYTES, MAX_DEPTH, load_yaml, read_yaml


def only_problem(source: str | bytes | Path) -> Problem:
    """Return the one problem of a source, which loading it must tell as well."""
    (problem,) = read_yaml(source).problems
    with pytest.raises(SourceError, match=f":{problem.line}:{problem.column}: error: "):
        load_yaml(source)
    return problem


def test_positions_of_keys_and_values() -> None:
    source = load_yaml(
        "title: A\nroles:\n  mother:\n    goal:   Leave\n    knows:\n      - one\n      - {a: b}\n"
    )
    assert source.values[("title",)] == Position(1, 8)
    assert source.keys[("roles", "mother")] == Position(3, 3)
    assert source.values[("roles", "mother")] == Position(4, 5)
    assert source.keys[("roles", "mother", "goal")] == Position(4, 5)
    assert source.values[("roles", "mother", "goal")] == Position(4, 13)
    assert source.values[("roles", "mother", "knows", 0)] == Position(6, 9)
    assert source.values[("roles", "mother", "knows", 1, "a")] == Position(7, 13)


def test_locate_falls_back_to_what_is_around() -> None:
    source = load_yaml("a:\n  b: 1\n")
    assert source.locate(("a", "b", "c", 3)) == Position(2, 6)
    assert source.locate(("a", "x"), key=True) == Position(1, 1)
    assert source.locate(("x",)) == Position(1, 1)


def test_columns_count_characters_not_bytes() -> None:
    assert load_yaml("{größe: 家, b: 1}").values[("b",)] == Position(1, 15)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("2024-05-01", "2024-05-01"),
        ("1_000", "1_000"),
        ("say {{ x }} {% y %}", "say {{ x }} {% y %}"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-012", -12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("-.5e3", -500.0),
        ("'12'", "12"),
        ('"true"', "true"),
        ("! 12", "12"),
        ("!!str 12", "12"),
        ("!!float 12", 12.0),
        ("!!int '12'", 12),
    ],
)
def test_scalars_of_the_core_schema(text: str, value: object) -> None:
    data = load_yaml(f"a: {text}\n").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


def test_an_alias_repeats_a_value_at_its_own_place() -> None:
    source = load_yaml("a: &x [1, 2]\nb: *x\n")
    assert source.data == {"a": [1, 2], "b": [1, 2]}
    assert source.values[("b",)] == Position(2, 4)
    assert source.values[("b", 1)] == Position(1, 11)


def test_a_byte_order_mark_is_ignored() -> None:
    assert load_yaml(b"\xef\xbb\xbfa: 1").values[("a",)] == Position(1, 4)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1), "given twice, on lines 1 and 3"),
        ("a:\n  b: 1\n  'b': 2\n", (3, 3), "given twice, on lines 2 and 3"),
        ("a: 1\n7: x\n", (2, 1), "a key must be text, not 7"),
        ("a: 1\n~: x\n", (2, 1), "a key must be text, not ~"),
        ("? [a, b]\n: x\n", (1, 3), "a key must be text, not a list"),
        ("a: {{ x }}\n", (1, 5), "a key must be text, not a mapping"),
        ("a: !!python/object/apply:os.system ['true']\n", (1, 4), "!!python/object/apply:os"),
        ("a: !mine 1\n", (1, 4), "the tag !mine is not allowed"),
        ("a: !!set {b}\n", (1, 4), "the tag !!set is not allowed"),
        ("a: !!int two\n", (1, 4), "does not fit its tag !!int"),
        ("a: .inf\n", (1, 4), "must be finite"),
        ("a: 1e999\n", (1, 4), "must be finite"),
        (f"a: {'9' * 5000}\n", (1, 4), "does not fit 64 bits"),
        ("a: 1\n---\nb: 2\n", (2, 1), "a second document"),
        ("a: *nobody\n", (1, 4), r"the alias \*nobody has no anchor"),
        ("a: &x [*x]\n", (1, 8), r"the alias \*x contains itself"),
        ("a: b: c\n", (1, 5), "not valid YAML"),
        ("a: [1, 2\n", (1, 4), r"the bracket \[ that opens here is never closed"),
        ("a: 1\n\tb: 2\n", (2, 1), "not valid YAML"),
        ("a: x\nb: \x1b[31m\n", (2, 4), r"control character U\+001B"),
        ('a: "\\e[31m"\n', (1, 4), r"control character U\+001B"),
        ('a: "\\0"\n', (1, 4), r"control character U\+0000"),
        ("a: one\u2028two\n", (1, 7), r"control character U\+2028"),
        ("a: \ud800\n", (1, 4), "not UTF-8 .byte 3 is 0xed"),
    ],
)
def test_what_is_refused(text: str, place: tuple[int, int], message: str) -> None:
    problem = only_problem(text)
    assert (problem.line, problem.column) == place
    with pytest.raises(UserError, match=message):
        load_yaml(text)


def test_all_problems_of_a_text_are_told_at_once() -> None:
    problems = read_yaml("a: !x 1\na: 2\n3: 4\n---\n").problems
    assert [problem.line for problem in problems] == [1, 2, 3, 4]


def test_what_is_sound_is_kept_beside_the_problems() -> None:
    assert read_yaml("a: !x 1\na: 2\n3: 4\nb: 5\n").data == {"a": "1", "b": 5}


@pytest.mark.parametrize(
    ("data", "offset", "line"),
    [
        (b"\xff\xfea\x00", 0, 1),
        (b"a: 1\nb: caf\xe9\n", 11, 2),
        (b"\xef\xbb\xbfa: \x80", 6, 1),
        (b"a: \xe4\xbd", 3, 1),
    ],
)
def test_wrong_encoding_names_the_byte(data: bytes, offset: int, line: int) -> None:
    problem = only_problem(data)
    assert problem.line == line
    assert f"byte {offset} is 0x{data[offset]:02x}" in problem.message


HOSTILE = {
    "too large": "a" * (MAX_BYTES + 1),
    "nested in brackets": "[" * 200_000,
    "nested in braces": "{a: " * 50_000,
    "nested in dashes": "- " * 100_000,
    "nested in question marks": "? " * 100_000,
    "many values": "[" + "a," * 100_000 + "]",
    "alias bomb": "a0: &a0 [x, x]\n"
    + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30)),
    "text bomb": f"a: &a {'x' * 200_000}\nb: [{'*a, ' * 10_000}]\n",
    "deep by aliases": "a0: &a0 [x]\n"
    + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 40)),
    "an endless quotation": '"' + "\\n" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_quickly(name: str) -> None:
    began = perf_counter()
    only_problem(HOSTILE[name])
    assert perf_counter() - began < 5


def test_the_depth_limit_is_exact() -> None:
    allowed = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert load_yaml(allowed).data is not None
    assert "nested too deeply" in only_problem(f"[{allowed}]").message


def test_files_are_named_in_their_problems(tmp_path: Path) -> None:
    path = tmp_path / "scene.yaml"
    path.write_text("a: 1\na: 2\n")
    with pytest.raises(UserError, match=r"scene\.yaml:2:1: error: a: given twice"):
        load_yaml(path)


def test_a_file_that_cannot_be_read_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*No such file"):
        load_yaml(tmp_path / "missing.yaml")
    with pytest.raises(UserError, match="cannot read"):
        load_yaml(tmp_path)
    with pytest.raises(UserError, match="cannot read"):
        load_yaml(Path("nul\0byte"))


@given(st.binary(max_size=400))
def test_bytes_raise_nothing_but_user_errors(data: bytes) -> None:
    try:
        load_yaml(data)
    except UserError as error:
        assert str(error)


@given(st.text(alphabet="ab1.:-?#&*!|>%@'\"[]{},~ \n\t\\\x00\x85\u2028\ud800é", max_size=60))
def test_yaml_like_text_raises_nothing_but_user_errors(text: str) -> None:
    try:
        load_yaml(text)
    except UserError as error:
        assert str(error)


PLAIN_TEXT = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]))
PLAIN_DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN_DATA)
def test_json_is_read_as_json(data: object) -> None:
    assert load_yaml(json.dumps(data, ensure_ascii=False)).data == data
