"""Texts are compared as folded words, in any script."""

from __future__ import annotations

import pytest

from scenarios.words import contains, length, words


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
        ("\u6211\u540c\u610f\u3002", "\u540c\u610f", True),
        ("anything", "!?", False),
    ],
)
def test_contains(text: str, phrase: str, found: bool) -> None:
    assert contains(text, phrase) is found


def test_length_counts_words_of_four_letters() -> None:
    assert length(("in", "the", "book", "before")) == 0.5 + 0.75 + 1 + 1
    assert length(("\u4f60", "\u597d")) == 1
