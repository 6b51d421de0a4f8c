"""Texts are counted and compared as words, in any script, by Python and by SQL alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scenarios.words import contains, is_unspaced, length, parts, words
from simulation.store.part import macros_sql

OLD = unicodedata.ucd_3_2_0
"""What Python and DuckDB both know of Unicode, whatever their versions."""


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute(macros_sql())
        yield con


def characters() -> st.SearchStrategy[str]:
    """Any character, those that matter to words more often."""
    known = st.characters(codec="utf-8", exclude_categories=["Cn"], exclude_characters="\0")
    told = "aZ é1.2,3:'\u2019-\u2011 ß我はส\u0e31ดΣς\u0301\u0663\u066b\u200c\u00ad\u2014…\n_½"
    return st.one_of(st.sampled_from(told), known.filter(lambda c: OLD.category(c) != "Cn"))


@given(st.text(characters()))
@example("3 - 4, 1,000.5; e.g. a\u0301 - well--known -'- o'clock's")
def test_sql_counts_the_same_words(con: duckdb.DuckDBPyConnection, text: str) -> None:
    assert con.execute("select words(?)", [text]).fetchall() == [(len(words(text)),)]


def alike(character: str) -> bool:
    """Whether a small letter is the same to SQL, which knows no widths, ligatures or title case."""
    small = character.lower().replace("ß", "ss").replace("ς", "\u03c3")
    return (
        unicodedata.normalize("NFKC", character).casefold() == small and len(character.lower()) == 1
    )


@given(st.text(characters().filter(alike)))
def test_sql_folds_to_the_same_words(con: duckdb.DuckDBPyConnection, text: str) -> None:
    found = con.execute("select folded_words($1), string_split(trim(folded($1)), ' ')", [text])
    whole, cut = found.fetchall()[0]
    assert [*whole] == [*words(unicodedata.normalize("NFC", text))]
    assert [part for part in cut if part] == [*parts(unicodedata.normalize("NFC", text))]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Well - no ... ok?", 3), ("Well \u2014 no \u2026 ok?", 3), ("well--no", 2),
        ("well-known", 1), ("don't", 1), ("don\u2019t", 1), ("rock 'n' roll", 3), ("'quoted'", 1),
        ("1,000.50", 1), ("3.5, 10:30", 2), ("1.2.3", 1), ("3.No", 2), ("a.m.", 2), ("...", 0),
        ("50 % of $20", 3), ("\U0001f389 hurrah", 1), ("cafe\u0301 caf\u00e9", 2), ("\u0301", 0),
        ("exam\u00adple", 1), ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", 1),
        ("\u6211\u4eec\u53bbBeijing\u5427", 5), ("\u304b\u3099\u304b", 2),
        ("\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", 4), ("a\tb\nc", 3), ("every_friday", 2),
        ("col\u00b7legi", 1), ("", 0), ("\u1112\u1161\u11ab\u1100\u116e\u11a8", 1),
    ],
)  # fmt: skip
def test_a_word_has_a_letter_or_a_digit(
    con: duckdb.DuckDBPyConnection, text: str, count: int
) -> None:
    assert len(words(text)) == count
    assert con.execute("select words(?)", [text]).fetchall() == [(count,)]


def test_parts_are_cut_where_words_are_held_together() -> None:
    assert parts("I'm well-known for 1,000!") == ("i", "m", "well", "known", "for", "1", "000")
    assert is_unspaced(parts("\u6211")[0]) and not is_unspaced(parts("a\u0301")[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("You don't KNOW, do you?", ("you", "dont", "know", "do", "you")),
        ("Don\u2019t \u2013 well\u2026", ("dont", "well")),
        ("STRA\u00dfE Strasse", ("strasse", "strasse")),
        ("\uff21\uff22\uff23 caf\u00e9 cafe\u0301", ("abc", "caf\u00e9", "caf\u00e9")),
        ("\u4f60\u597d\uff0cAnna\u3002", ("\u4f60", "\u597d", "anna")),
        ("\u05d3\u05d5\u05d3 \u05db\u05d4\u05df!", ("\u05d3\u05d5\u05d3", "\u05db\u05d4\u05df")),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ("\u0939\u093f\u0928\u094d\u0926\u0940",)),
        ("4 p.m., \U0001f389", ("4", "p", "m")),
        ("A well\u2011known 1,000", ("a", "well-known", "1,000")),
        ("", ()),
    ],
)
def test_words(text: str, expected: tuple[str, ...]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "phrase", "found"),
    [
        ("It's a deal, then.", "its a deal", True),
        ("It is ideal.", "deal", False),
        ("retired bus driver", "Bus Driver", True),
        ("driver of a bus", "bus driver", False),
        ("The bus-driver.", "bus driver", True),
        ("\u6211\u540c\u610f\u3002", "\u540c\u610f", True),
        ("anything", "!?", False),
    ],
)
def test_contains(text: str, phrase: str, found: bool) -> None:
    assert contains(text, phrase) is found


def test_length_counts_words_of_four_letters() -> None:
    assert length(("in", "the", "book", "before")) == 0.5 + 0.75 + 1 + 1
    assert length(("\u4f60", "\u597d")) == 1
