"""Answers to short questions in any form are read where they are clear, and refused otherwise."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.prose import read_number, read_role, read_yes_no
from agents.reply import Unreadable

NAMES = {"host": "Lin Meifang", "guest": "Ana O'Neill-Ruiz", "older_sister": "Lin Bo"}


@pytest.mark.parametrize(
    ("reply", "role"),
    [
        ('{"next": "Lin Bo"}', "sister"), ("Lin Bo", "sister"), ("lin bo", "sister"),
        ("**Lin Bo**", "sister"), ('"Lin Bo."', "sister"), ("Ana", "guest"),
        ("I choose Ana.", "guest"), ("Ana should speak next.", "guest"), ("older_sister", "sister"),
        ("The older sister.", "sister"), ('{"speaker": "Ana"}', "guest"), ('["Ana"]', "guest"),
        ('{"next": {"name": "Lin Bo"}}', "sister"), ('{"next": "Ana', "guest"),
        ("**Ana**\nLin Bo has just spoken.", "guest"), ("\u6211\u9009\u62e9Ana", "guest"),
        ('{"next": "Ana", "reason": "Bo is tired"}', "guest"), ("Ana\u2019s turn", "guest"),
    ],
)  # fmt: skip
def test_one_name_is_read(reply: str, role: str) -> None:
    assert read_role(reply, "next", NAMES).endswith(role)


@pytest.mark.parametrize(
    "reply",
    [
        "", "Somebody else", "Ana or Bo", "Not Ana.", "Bo, not Ana", "Anybody but Ana", "an hour",
        "Lin", "Anabel", '{"next": null}', '{"next": "Zoe"}',
        '{"next": "Ana"} {"next": "Lin Bo"}', "{}",
    ],
)  # fmt: skip
def test_what_names_nobody_or_several_is_refused(reply: str) -> None:
    with pytest.raises(Unreadable):
        read_role(reply, "next", NAMES)


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ('{"bid": 7}', 7), ('{"bid": "7"}', 7), ('{"bid": 7.0}', 7), ("7", 7), ("**7**", 7),
        ("7.", 7), ("7/10", 7), ("I bid 7 out of 10.", 7), ("On a scale of 0 to 10: 7", 7),
        ("Seven", 7),
        ('{"interest": 0}', 0), ("10", 10), ("I am the one to speak: 8", 8), ('{"bid": 7', 7),
    ],
)  # fmt: skip
def test_one_number_is_read(reply: str, number: int) -> None:
    assert read_number(reply, "bid", 0, 10) == number


@pytest.mark.parametrize(
    "reply",
    ["", "much", "7.5", "11", "-3", "between 6 and 8", "5 or 6", "50%", '{"bid": null}',
     '{"bid": true}', '{"bid": 3} {"bid": 8}', "1e3", "six or seven"],
)  # fmt: skip
def test_what_is_no_single_number_in_the_range_is_refused(reply: str) -> None:
    with pytest.raises(Unreadable):
        read_number(reply, "bid", 0, 10)


@pytest.mark.parametrize(
    ("reply", "yes"),
    [
        ('{"answer": "yes"}', True), ('{"answer": "No."}', False), ('{"answer": true}', True),
        ('{"settled": false}', False), ("Yes", True), ("**No**.", False), ("NO!", False),
        ("Yes, no offer is open any more.", True), ("No - they have not agreed.", False),
        ("The answer is yes.", True), ("They have shaken hands: yes", True),
    ],
)  # fmt: skip
def test_yes_and_no_are_read(reply: str, yes: bool) -> None:
    assert read_yes_no(reply, "answer") is yes


@pytest.mark.parametrize(
    "reply",
    ["", "maybe", "Yes and no", "no one knows", "There is no agreement.", "not yet", "Yes. No.",
     '{"answer": "yes"} {"answer": "no"}', '{"answer": null}', "yesterday"],
)  # fmt: skip
def test_what_is_neither_yes_nor_no_is_refused(reply: str) -> None:
    with pytest.raises(Unreadable):
        read_yes_no(reply, "answer")


@given(st.text(max_size=60))
def test_no_text_breaks_the_readers(text: str) -> None:
    for read in (
        lambda: read_role(text, "next", NAMES), lambda: read_number(text, "bid", 0, 10),
        lambda: read_yes_no(text, "answer"),
    ):  # fmt: skip
        with suppress(Unreadable):
            read()
