"""Reasoning is told apart from answers: what is thought is neither spoken nor parsed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models.base import Completion, Sampling, with_room
from agents.models.openai.reply import read_completion
from agents.models.reasoning import cut_at_stop, separate

DRAFT = '{"action": "leave", "text": ""}'
ACT = '{"action": "speak", "text": "Sit down."}'
HARMONY = "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}"


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        (f"<think>\nMaybe {DRAFT}?\n</think>\n\n{ACT}", ACT, f"Maybe {DRAFT}?"),
        (f"<thinking>{DRAFT}</thinking>{ACT}", ACT, DRAFT),
        (f"<REASONING>{DRAFT}</REASONING>\n{ACT}", ACT, DRAFT),
        (f"Maybe {DRAFT}? No.</think>\n{ACT}", ACT, f"Maybe {DRAFT}? No."),
        (f"```json\n{DRAFT}\n```\nNo.</think>{ACT}", ACT, f"```json\n{DRAFT}\n```\nNo."),
        (f"<think>a</think>\n<think>{DRAFT}</think>{ACT}", ACT, f"a\n{DRAFT}"),
        (f"<think>a <think>b</think> c</think>{ACT}", ACT, "a\nb\nc"),
        (f"<think>Say `</think>` then {DRAFT}</think>{ACT}", ACT, f"Say `</think>` then {DRAFT}"),
        (f"<think>a</think>{ACT}<think>{DRAFT}", ACT, f"a\n{DRAFT}"),
        (f"[THINK]{DRAFT}[/THINK]{ACT}", ACT, DRAFT),
        (f"\u25c1think\u25b7{DRAFT}\u25c1/think\u25b7{ACT}", ACT, DRAFT),
        ("<|START_THINKING|>3<|END_THINKING|><|START_RESPONSE|>4<|END_RESPONSE|>", "4", "3"),
        (HARMONY.format(DRAFT, ACT) + "<|return|>", ACT, DRAFT),
        (HARMONY.format(DRAFT, ACT).partition("<|message|>")[2], ACT, DRAFT),
        (f"<|channel|>analysis{DRAFT}<|channel|>final<|message|>{ACT}", ACT, DRAFT),
        (f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final "
         f"<|constrain|>json<|message|>{ACT}", ACT, DRAFT),
        (f"analysisWe may {DRAFT}assistantfinal{ACT}", ACT, f"We may {DRAFT}"),
        ("<think>4, or 3?</think> <answer>2</answer>", "2", "4, or 3?"),
        ("<think>\n\n</think>\n\n2", "2", ""),
        ("Sure. <think>a</think> Sit.", "Sure.\nSit.", "a"),
        ("<think></think>", "", ""),
        (f"<thought_process>{DRAFT}</thought_process>\n<output>{ACT}</output>", ACT, DRAFT),
        (f'<thinking budget="9">{DRAFT}</thinking>{ACT}', ACT, DRAFT),
        (f"<inner_monologue>{DRAFT}</inner_monologue>{ACT}", ACT, DRAFT),
        (f"<|inner_prefix|>{DRAFT}<|inner_suffix|>{ACT}", ACT, DRAFT),
        (f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>{ACT}", ACT, DRAFT),
        (f"Here is my thought process:\n{DRAFT}\n\nHere is my response: {ACT}", ACT, DRAFT),
        ("Here's my thought process: I may", "", "I may"),
        ("analysisWe may", "", "We may"),
        ("Let me see. <think>\nI may", "Let me see.", "I may"),
    ],
)  # fmt: skip
def test_reasoning_is_told_apart(text: str, answer: str, reasoning: str) -> None:
    done = Completion(text, "stop", None, None)
    assert (done.text, done.reasoning) == (answer, reasoning)
    assert separate(done.text).reasoning is None, "the same again changes nothing"


@pytest.mark.parametrize(
    "text",
    [
        '{"action": "speak", "text": "She wrote <think> on the board, then </think>."}',
        'So: {"text": "</think>"}',
        '{"action": "speak", "text": "I wrote <think> on',
        "I wrote <think> on the board.",
        'The tag is "<think>" and `</think>` ends it.',
        "<answer>2</answer>",
        "I think [THINK big] of it.",
        "analysis of the case",
        "<thinks aloud> Sit down, please.",
        "Here is my thought: sit down.",
        "",
    ],
)
def test_what_is_merely_mentioned_is_no_reasoning(text: str) -> None:
    assert separate(text) == (text, None, False)


@pytest.mark.parametrize("text", ["<think>\n4", "<|channel|>analysis<|message|>4", "4\n[THINK]"])
def test_a_reply_that_is_cut_in_its_reasoning_is_no_answer(text: str) -> None:
    done = Completion(text, "length", None, 12)
    assert done.cut_in_reasoning and done.text == ""
    assert not Completion(text.replace("4", "<think>a</think>4"), "stop", None, 2).cut_in_reasoning


def test_reasoning_beside_the_text_counts_like_reasoning_in_it() -> None:
    done = Completion("", "length", None, 12, reasoning="Let me think")
    assert done.cut_in_reasoning
    both = Completion("<think>b</think>c", "stop", None, 2, reasoning="a")
    assert (both.text, both.reasoning) == ("c", "a\nb")
    assert Completion("", "length", None, 9).cut_in_reasoning, "reasoning that is not shown"
    assert not Completion("", "stop", None, 0, reasoning="a").cut_in_reasoning


def test_stop_strings_cut_the_answer_alone() -> None:
    assert cut_at_stop("a\nb", ["\n"]) == ("a", None)
    assert cut_at_stop("<think>\nx\n</think>\n\nSit.\nBo: No.", ["\n"]) == ("Sit.", "x")
    assert cut_at_stop("<think>\nx\n</think>\nSit.", ["\n"])[0].endswith("Sit.")
    body = b'{"choices": [{"message": {"content": "<think>\\nx\\n</think>\\n\\nSit.\\nBo: No."}, "finish_reason": "stop"}]}'  # noqa: E501
    done = read_completion(body, ["\n"], 1, None)
    assert (done.text, done.reasoning) == ("Sit.", "x")


def test_another_try_has_more_room_within_bounds() -> None:
    assert with_room(Sampling(max_tokens=160, stop=("\n",))) == Sampling(max_tokens=640)
    assert with_room(Sampling(max_tokens=5000)).max_tokens == 8192
    assert with_room(Sampling(max_tokens=9000)).max_tokens == 9000


PIECES = st.sampled_from(
    ["<think>", "</think>", "[THINK]", "<|channel|>analysis<|message|>", DRAFT, '"', "{", "a b",
     "\n", "<|channel|>final<|message|>", "`", "</thinking>"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_text_breaks_the_separation_and_a_second_pass_finds_nothing(text: str) -> None:
    done = Completion(text, "stop", None, None)
    again = Completion(done.text, "stop", None, None, reasoning=done.reasoning)
    assert again.text == done.text
