"""Replies are read as one option or as none, and no text breaks the reader or takes it long."""

# ruff: noqa: RUF001
from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eval.item import load_items
from eval.survey.reading import Problem, Reading, read_reply

REFUSALS = ("I'm sorry", "I cannot", "as an AI", "无法回答")
UNSURE = ("I don't know", "not sure", "hard to say", "わかりません")
CARE = ("very important", "rather important", "not very important", "not at all important")
AGREE = ("firmly agree", "agree", "neither", "disagree", "firmly disagree")
YES = ("yes", "no")
DONE = ("I have", "I might", "I never would")
TEN = ("never justified", *[""] * 8, "always justified")
GERMAN = ("sehr wichtig", "ziemlich wichtig", "nicht sehr wichtig", "überhaupt nicht wichtig")
SPANISH = ("muy importante", "bastante importante", "no muy importante", "nada importante")
CHINESE = ("非常重要", "比较重要", "不太重要", "一点也不重要")
JAPANESE = ("とても重要", "やや重要", "あまり重要でない", "まったく重要でない")
BARE = ("重要", "不重要")
BOOKS = ("up to 2", "3 to 10", "11 or more", "none")


def read(text: str, options: Sequence[str] = CARE) -> Reading:
    return read_reply(text, options, REFUSALS, UNSURE)


@pytest.mark.parametrize(
    "reply",
    [
        "2", " 2\n", "2.", "2)", "2。", "２", "**2**", '"2"', "`2`", "_2_.", "“2”", "2️⃣", "②", "²",
        "٢",
        "২", "\u200f2\u200b", "2. Rather important", "2 - Rather important", "2 – rather important",
        "2 (Rather important)", "2: RATHER IMPORTANT.", "2\nRather important",
        "**2. Rather important**",
        "2.rather important", "2 rather important", "Rather important", "rather  important.",
        "*Rather important*",
        "«Rather important»", "```\n2\n```",
    ],
)  # fmt: skip
def test_a_reply_that_is_nothing_but_the_answer(reply: str) -> None:
    assert read(reply) == (1, 1, None)


@pytest.mark.parametrize(
    "reply",
    [
        "Option 2", "I would say 2", "Answer: 2.", "(2)", "[2]", "- 2", "option2", "Answer—2", "二",
        "二。", "My answer is (2), rather important.", "It is rather important to me.", "2!?",
        "<answer>2</answer>", r"\boxed{2}", "Option **2**: Rather important", "2 because of them",
        "Rather important (2)", "I say 2, not 3.", "Not 3, but 2.", "I choose 2 out of 4.", "选2",
        "Answer:\n2", "Option 2.\n\nRather important, that is.", "2\n\nIn 3 of 4 homes, 1 matters.",
        "2\nVery important would be too much.", "2\nI cannot say more, as an AI.", "2\n2",
        "On a scale from 1 to 4, 2.", "I'd say rather important, for 3 reasons I have.", "2 or 2",
        "2\n\nQuestion: How happy are you?\n1. very important\n2. rather important\nAnswer: 3",
    ],
)  # fmt: skip
def test_an_answer_with_words_around_it(reply: str) -> None:
    assert read(reply) == (None, 1, None)


@pytest.mark.parametrize(
    ("problem", "replies"),
    [
        ("empty", ["", " \n\t", "\0", "\ud800", "**", '""', "\u200b"]),
        ("decimal", ["1.5", "1,5", "½", "1½", "1.0", ".5", "I would say 2.5", "7/10",
        "2 of it: 1/2",
                     "2 out of 3", "٢٫٥", "1’500"]),
        ("out of range", ["0", "5", "10", "-2", "02", "15", "Option 22", "2024", "十", "I am 45."]),
        ("several", ["2 or 3", "1, 2", "2\n3", "1-3", "1 – 3", "1 to 3", "between 2 and 3", "1、2",
                     "2. Very important", "2 very important",
                     "1. very important\n2. rather important",
                     "1. very important\n2. not at all\n3.",
                     "Option 2.\nOption 3.", "very important or rather important", "12: 1, 2",
                     "1 2"]),
        ("no option", ["2%", "2 percent", "$2", "2 €", "2nd", "Q2", "question 2", "2 children",
                       "May 2", "am 2. Mai", "2 May", "2024-01-02", "2年", "116 123", "no 2", "...",
                       "I am a 2-year-old.", "x²", "unimportant", "important", "not 2", "🙂",
                       "1-800-273-8255", "It is not rather important.", "Strongly disagree",
                       "Yes"]),
        ("refusal", ["I’m sorry, but I can't. Call 1-800-273-8255 or 2.", "As an AI, I say 2.",
                     "Option 2. I cannot say more.", "我无法回答2", "I'M SORRY, I don't know",
                     "I cannot"]),
        ("unsure", ["I dont know, perhaps 2.", "Option 2, but I am not sure.", "2かわかりません"]),
    ],
)  # fmt: skip
def test_a_reply_without_an_option_says_why(problem: Problem, replies: list[str]) -> None:
    assert {reply: read(reply) for reply in replies} == dict.fromkeys(
        replies, (None, None, problem)
    )


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ("one point: 2.", 1), ("7 out of 10", 6), ("On a scale of 1 to 10, I would say 7.", 6),
        ("10", 9), ("1", 0), ("1-10", None), ("Von 1 bis 10: 7", 6), ("del 1 al 10 es un 7", 6),
        ("1から10で言えば7です", 6), ("7番", 6), ("7人", None), ("1 0", None), ("7/10", None),
        ("always justified", 9), ("It is never justified", 0), ("It is not always justified", None),
        ("11", None), ("I was 10 at the time", None), ("7 on a scale of ten", 6),
        ("7 and a half", 6),
    ],
)  # fmt: skip
def test_long_scales(reply: str, place: int | None) -> None:
    assert read(reply, TEN).lenient == place


@pytest.mark.parametrize(
    ("options", "reply", "place"),
    [
        (CARE, "It is not very important to me.", 2), (CARE, "That's very important.", 0),
        (CARE, "not important", None), (CARE, "Not at all important, or hardly so.", 3),
        (CARE, "I don't think it is very important.", None), (CARE, "very very important", 0),
        (CARE, "Not very important but rather important", None),
        (("important", "unimportant"), "It is important.", 0),
        (("important", "unimportant"), "It isn't important.", None),
        (("important", "unimportant"), "extremely important", None),
        (("important", "important to me"), "It is important to me.", 1),
        (AGREE, "I agree with that.", 1), (AGREE, "I disagree with that.", 3),
        (AGREE, "I firmly agree.", 0), (AGREE, "Strongly agree", None),
        (AGREE, "I agree completely", None), (AGREE, "I do not agree.", None),
        (AGREE, "I neither agree nor disagree.", 2), (AGREE, "Agree, not disagree.", 1),
        (AGREE[:2] + AGREE[3:], "I neither agree nor disagree.", None),
        (YES, "Yes, I do.", 0), (YES, "My answer is no.", 1), (YES, "No.", 1),
        (YES, "No, never!", 1),
        (YES, "I have no idea", None), (YES, "There is no way to tell.", None), (YES, "nope", None),
        (("sí", "no"), "No tengo ni idea", None), (("sí", "no"), "Sí, claro.", 0),
        (("是", "否"), "我的答案是这样", None), (("是", "否"), "是的,我同意", 0),
        (("はい", "いいえ"), "はい、そうです", 0), (("はい", "いいえ"), "いいえ。", 1),
        (DONE, "I have never done it, but I might.", 1), (DONE, "I have no opinion", None),
        (DONE, "Yes, I have.", 0), (DONE, "I never would do that", 2),
        (("weekly", "less than yearly", "yearly"), "more than yearly", None),
        (("hard to say", "easy"), "It is hard to say.", 0), (("hard to say", "easy"),
        "Hard to say", 0),
        (BOOKS, "up to 2", 0), (BOOKS, "I own up to 2 of them", 0), (BOOKS, "3 to 10 books", 1),
        (BOOKS, "3–10", 1), (BOOKS, "2", 1), (BOOKS, "2. 3 to 10", 1), (BOOKS, "2. up to 2", None),
        (("one", "two", "three")[::-1], "two", 1), (("one", "two", "three")[::-1], "One", 2),
        (("三", "二", "一"), "三", 0), (("三", "二", "一"), "1", 0), (("3", "2", "1"), "3", 2),
        (("Yes", "yes", "no"), "yes", None), (("Yes", "yes", "no"), "2. yes", 1), ((), "1", None),
        (("so-so", "fine"), "It is so so", 0), (("straße", "haus"), "STRASSE", 0), (("?", "!"),
        "2", 1),
        (GERMAN, "Familie ist sehr wichtig.", 0), (GERMAN, "nicht sehr wichtig", 2),
        (GERMAN, "Sehr wichtig ist sie nicht", None), (GERMAN, "Antwort: 3", 2),
        (SPANISH, "Muy importante", 0), (SPANISH, "Diría que es muy importante.", 0),
        (SPANISH, "No es muy importante", None), (SPANISH, "para mí no muy importante", 2),
        (CHINESE, "我认为家庭非常重要。", 0), (CHINESE, "不太重要", 2), (CHINESE, "三", 2),
        (CHINESE, "我不认为家庭非常重要。", None), (CHINESE, "2、比较重要", 1),
        (CHINESE, "选项1", 0),
        (JAPANESE, "家族はとても重要です。", 0), (JAPANESE, "あまり重要でないと思う", 2),
        (JAPANESE, "とても重要だとは思いません", None), (JAPANESE, "2を選びます", 1),
        (BARE, "这不重要", 1), (BARE, "这很重要", 0), (BARE, "重要ではない", None),
        (BARE, "没那么重要", None),
    ],
)  # fmt: skip
def test_labels_within_sentences(options: Sequence[str], reply: str, place: int | None) -> None:
    assert read(reply, options).lenient == place


def test_an_answer_in_words_is_strict_only_if_it_is_the_label() -> None:
    assert read("Yes", YES).strict == 0 and read("Yes, it is", YES).strict is None
    assert read("1.5 or more", ("5 or more", "less")).strict is None
    assert read("1. 5 or more", ("5 or more", "less")).strict == 0
    assert read("2. not important").strict is None


@pytest.mark.parametrize("backwards", [False, True])
def test_every_item_of_the_registry_is_read_back(backwards: bool) -> None:
    items = load_items().values()
    assert len(items) == 259
    for item in items:
        codes = sorted(item.options, reverse=backwards)
        shown = ["" if item.options[code] == str(code) else item.options[code] for code in codes]
        for place, label in enumerate(shown):
            number = place + 1
            replies = [f"{number}", f"{number}. {label}", f" **{number}) {label.upper()}** "]
            for reply in replies + [label] * bool(label):
                assert read(reply, shown) == (place, place, None), (item.id, reply)
            for reply in (f"Answer: {label}.", f"I would say {number}, {label}.") * bool(label):
                assert read(reply, shown) == (None, place, None), (item.id, reply)


PIECES = st.sampled_from(
    [*CARE, *CHINESE, "yes", "no", "not", "I'm sorry", "hard to say", "1", "2", "3", "4", "9", "½",
    "²",
     "一", "④", "٣", "\ud800", "\0", "\n", " ", ".", ",", "-", "%", "(", ")", "*", " or ", " to "]
)  # fmt: skip
ODD = st.characters(categories=["N", "P", "M", "Cs"])
TEXTS = st.text() | st.text(ODD) | st.lists(PIECES).map("".join)
FEW = st.lists(TEXTS, max_size=2)
LABELS = st.lists(st.text(max_size=8) | PIECES, max_size=11)


@given(TEXTS, LABELS | st.just(list(CARE)), FEW, FEW)
@example("1" * 5000, ["a"], [], [])
def test_any_text_is_one_option_or_has_a_problem(
    text: str, options: list[str], refusals: list[str], unsure: list[str]
) -> None:
    reading = read_reply(text, options, refusals, unsure)
    assert (reading.lenient is None) == (reading.problem in get_args(Problem))
    assert reading.lenient is None or 0 <= reading.lenient < len(options)
    assert reading.strict in (None, reading.lenient)
    assert read_reply(f" **{text}** ", options, refusals, unsure).strict == reading.strict


@given(TEXTS)
def test_a_refusal_wins_but_over_a_first_line(text: str) -> None:
    assert read(f"I'm sorry {text}") == (None, None, "refusal")
    assert read(f"2\n{text}").lenient in (1, None)


@pytest.mark.parametrize(
    "piece",
    ["1", "1 ", "1-", "1.", "a", "²", "½", "\n", "2\n", "1 to ", "'a", "(", "* ", "\u0301\u0316",
    "不重要",
     "I don't ", "very ", "very important ", "neither ", "2 or ", "between 1 ", "-a", "\ufdfa",
     "2,"],
)  # fmt: skip
def test_a_long_text_of_any_piece_comes_to_an_end(piece: str) -> None:
    assert read(piece * (100_000 // len(piece))).strict is None  # a quadratic step takes minutes
