"""What a line says of a phrase: yes, no, or nothing; in the languages whose negations are known."""

from pathlib import Path

import pytest

from scenarios.parsing.yaml_file import load_yaml
from scenarios.statement import Sought, denial, has_negation, stance

ENGLISH = [
    ("guilty", "Guilty.", True),
    ("guilty", "Not guilty, I say.", False),
    ("guilty", "I will never say guilty.", False),
    ("guilty", "I don\u2019t think he's guilty.", False),
    ("guilty", "I dont think he is guilty", False),
    ("guilty", "I don't, for the record, find him guilty.", False),
    ("guilty", "Nobody here is guilty.", False),
    ("guilty", "I refuse to say guilty.", False),
    ("guilty", "Is he guilty?", None),
    ("guilty", "Who says guilty here? Not me.", False),
    ("guilty", "No doubt he is guilty.", True),
    ("guilty", "He is not only guilty but proud.", True),
    ("guilty", "No, he is guilty.", True),
    ("guilty", "I said not guilty, but now I say guilty.", True),
    ("guilty", "Guilty. No, wait: not guilty.", False),
    ("not guilty", "Not guilty.", True),
    ("deal", "No deal.", False),
    ("deal", "There's no deal without the tyres.", False),
    ("deal", "Deal? Never.", False),
    ("deal", "Deal or no deal?", None),
    ("deal", "It's a deal!", True),
    ("deal", "Never mind the tyres, deal.", True),
    ("deal", "I'm not sure, but deal.", True),
    ("deal", "That is ideal.", None),
    ("agree", "I couldn't agree more.", True),
    ("agree", "We won't agree.", False),
    ("agree", "We agree not to fight.", True),
    ("agreed", "No problem, agreed.", True),
    ("agreed", "None of us agreed.", False),
    ("agreed", "I disagree.", False),
    ("agreed", "I do not disagree.", None),
    ("agreed", "No, never.", False),
    ("agreed", "The weather is fine.", None),
    ("dollars", "6,000 dollars.", True),
    ("guilty", "NOT-GUILTY.", False),
    ("guilty", "He is anything but guilty.", False),
    ("deal", "The deal is off.", False),
    ("deal", "Nothing but trouble, but a deal.", True),
    ("i agree", "I don't agree.", False),
]
CASES = load_yaml(Path(__file__).with_name("negation_cases.yaml")).data
OTHERS = [tuple(case.values()) for case in CASES]


@pytest.mark.parametrize(("phrase", "line", "says"), ENGLISH)
def test_what_a_line_says_in_english(phrase: str, line: str, says: bool | None) -> None:
    assert stance(line, Sought((phrase,)), "en-GB") is says


@pytest.mark.parametrize(("tag", "phrase", "yes", "no"), OTHERS)
def test_what_a_line_says_in_other_languages(tag: str, phrase: str, yes: str, no: str) -> None:
    assert stance(yes, Sought((phrase,)), tag) is True
    assert stance(no, Sought((phrase,)), tag) is False


@pytest.mark.parametrize(
    ("tag", "line"),
    [("ja", "\u540c\u610f\u3057\u307e\u3059\u304b\u3002"), ("zh", "\u4f60\u540c\u610f\u5417"),
     ("zh", "\u4f60\u540c\u610f\uff1f")],
)  # fmt: skip
def test_a_question_says_nothing_with_its_mark_or_its_particle(tag: str, line: str) -> None:
    assert stance(line, Sought(("\u540c\u610f",)), tag) is None


@pytest.mark.parametrize(
    ("tag", "phrase", "line", "says"),
    [
        ("en", "deal", "If you come down to 500, we have a deal.", None),
        ("en", "deal", "Deal, as long as you deliver it.", None),
        ("en", "deal", "Even if it rains: deal.", True),
        ("en", "guilty", "Unless I see proof, not guilty.", False),
        ("de", "abgemacht", "Wenn du 500 nachl\u00e4sst, abgemacht.", None),
        ("es", "trato hecho", "S\u00ed, trato hecho.", True),
        ("es", "trato hecho", "Si me das 500, trato hecho.", None),
        ("fr", "d'accord", "D'accord, s'il paie.", None),
    ],
)
def test_what_is_said_on_a_condition_is_not_said_yet(
    tag: str, phrase: str, line: str, says: bool | None
) -> None:
    assert stance(line, Sought((phrase,)), tag) is says
    assert stance(line, Sought((phrase,), asking=True), tag) in (True, False), "an offer may be"


def test_words_that_say_the_opposite() -> None:
    sought = Sought(("guilty",), ("innocent", "not guilty"))
    assert stance("Innocent.", sought, "en") is False
    assert stance("He is not innocent.", sought, "en") is None
    assert stance("Innocent? No: guilty.", sought, "en") is True
    turned = Sought(("not guilty",), ("guilty",))
    assert stance("Not guilty.", turned, "en") is True
    assert stance("Guilty.", turned, "en") is False
    unknown = Sought(("ari",), ("ari mana",))
    assert not has_negation("qu")
    assert stance("Ari mana.", unknown, "qu") is False


@pytest.mark.parametrize(
    ("line", "says"),
    [("Aye.", True), ("AYE!", True), ("Aye to that.", None), ("Aye?", None), ("Nay.", False),
     ("No.", False), ("I said aye.", None)],
)  # fmt: skip
def test_a_whole_line(line: str, says: bool | None) -> None:
    assert stance(line, Sought(("aye",), ("nay",), whole_line=True), "en") is says


def test_an_offer_may_be_a_question_and_a_refusal_is_none() -> None:
    sought = Sought(("dollars",), asking=True)
    assert stance("How about 500 dollars?", sought, "en") is True
    assert stance("No less than 6,000 dollars.", sought, "en") is True
    assert stance("I won't pay 500 dollars.", sought, "en") is False


def test_the_words_that_deny_a_phrase() -> None:
    assert denial("Each says guilty or not guilty.", "guilty", "en") == "not guilty"
    assert denial("Each says guilty or innocent.", "guilty", "en") is None
    assert denial("No doubt he is guilty.", "guilty", "en") is None
