"""What answers of OpenAI-compatible endpoints say, in the shapes that servers give them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.models.base import CallFailed, Completion
from agents.models.openai.events import joined_events
from agents.models.openai.reply import MOST_TOKENS, read_completion


def read(message: dict[str, Any], limit: int | None = None, **changes: Any) -> Completion:
    """Read a chat completion with this message; `changes` are fields of the choice or the body."""
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    choice |= {name: changes.pop(name) for name in ("finish_reason",) if name in changes}
    body = {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 7}, **changes}
    return read_completion(json.dumps(body).encode(), (), 1, (1e6, 1e6, 1e6), limit)


SAID = {"type": "text", "text": "Good morning."}
MESSAGES: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "a text": ({"content": "Good morning."}, "Good morning.", None),
    "parts": ({"content": [{"type": "text", "text": "Good "}, "morning."]}, "Good morning.", None),
    "one part": ({"content": SAID}, "Good morning.", None),
    "output_text": ({"content": [{**SAID, "type": "output_text"}]}, "Good morning.", None),
    "thinking parts (Mistral)": (
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, SAID]},
        "Good morning.", "hm",
    ),
    "a thinking text (Anthropic)": (
        {"content": [{"type": "thinking", "thinking": "hm", "signature": "x"}, SAID]},
        "Good morning.", "hm",
    ),
    "a reasoning part": (
        {"content": [{"type": "reasoning", "text": "hm"}, SAID]}, "Good morning.", "hm",
    ),
    "reasoning_content (DeepSeek)": (
        {"content": "Good morning.", "reasoning_content": "hm"}, "Good morning.", "hm",
    ),
    "reasoning (OpenRouter)": (
        {
            "content": "Good morning.", "reasoning": "hm",
            "reasoning_details": [{"type": "reasoning.text", "text": "hm"}],
        },
        "Good morning.", "hm",
    ),
    "only details": (
        {"content": "Hi.", "reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]},
        "Hi.", "hm",
    ),
    "thinking (Ollama)": ({"content": "Good morning.", "thinking": "hm"}, "Good morning.", "hm"),
    "a text with a value": (
        {"content": [{"type": "text", "text": {"value": "Good morning."}}]}, "Good morning.", None,
    ),
    "a part under another name": ({"content": [{"content": "Hi."}]}, "Hi.", None),
    "JSON, read already": (
        {"content": {"action": "speak", "text": "Hé"}}, '{"action": "speak", "text": "Hé"}', None,
    ),
    "a number, read already": ({"content": 3}, "3", None),
    "thinking_blocks (LiteLLM)": (
        {"content": "Hi.", "thinking_blocks": [{"type": "thinking", "thinking": "hm"}]},
        "Hi.", "hm",
    ),
    "thoughts": ({"content": "Hi.", "thoughts": ["h", "m"]}, "Hi.", "hm"),
    "no words in it": ({"content": "Hi.", "reasoning": {"effort": "low"}}, "Hi.", None),
    "a part of another kind": (
        {"content": [{"type": "image_url", "image_url": {}}, SAID]}, "Good morning.", None,
    ),
    "reasoning null": ({"content": "Hi.", "reasoning_content": None}, "Hi.", None),
}  # fmt: skip


@pytest.mark.parametrize(("message", "text", "reasoning"), MESSAGES.values(), ids=MESSAGES)
def test_the_text_is_the_reply_and_the_reasoning_stands_apart(
    message: dict[str, Any], text: str, reasoning: str | None
) -> None:
    completion = read(message)
    assert (completion.text, completion.reasoning) == (text, reasoning)
    assert completion.finish_reason == "stop"


def test_a_piece_of_a_stream_in_place_of_a_message_is_read() -> None:
    body = {"choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}]}
    assert read_completion(json.dumps(body).encode(), (), 1, None).text == "Hi."


def events(*pieces: str, end: str = "data: [DONE]\n\n", **last: Any) -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    chunks[-1]["choices"][0] |= last
    said = [json.dumps(chunk, ensure_ascii=False) for chunk in chunks]
    return ("".join(f"data: {one}\n\n" for one in said) + end).encode()


@pytest.mark.parametrize(
    "stream",
    [
        events("Good ", "morning."),
        events("Good ", "morning.", end="", finish_reason="stop"),
        b": a comment\n\n" + events("Good ", "morning."),
        events("Good ", "morning.").replace(b"\n", b"\r\n"),
        events("Good ", "morning.").replace(b"data: ", b"data:"),
        events("Good ", "morning.").replace(b'"index"', b'\ndata: "index"'),
    ],
)
def test_a_stream_of_events_that_nobody_asked_for_is_one_reply(stream: bytes) -> None:
    assert read_completion(joined_events(stream), (), 1, None).text == "Good morning."


def test_a_line_separator_in_a_stream_is_text() -> None:
    stream = joined_events(events("Good\u2028morning."))
    assert read_completion(stream, (), 1, None).text == "Good\u2028morning."


def test_a_stream_that_was_cut_is_a_failure() -> None:
    for stream in (events("Good mor", end=""), events("Good", " mor", end='data: {"choi')):
        with pytest.raises(CallFailed):
            read_completion(joined_events(stream), (), 1, None)


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("stop", "stop"), ("length", "length"), ("MAX_TOKENS", "length"), ("eos", "stop"),
        ("model_length", "length"), (None, "stop"), ("", "stop"), (3, "stop"), ("end_turn", "stop"),
    ],
)  # fmt: skip
def test_an_unknown_finish_reason_is_no_failure(finish: Any, expected: str) -> None:
    assert read({"content": "Hi."}, finish_reason=finish).finish_reason == expected


def test_a_reply_as_long_as_its_limit_that_does_not_say_why_it_ended_was_cut() -> None:
    assert read({"content": "Hi"}, limit=7, finish_reason=None).finish_reason == "length"
    assert read({"content": "Hi"}, limit=8, finish_reason=None).finish_reason == "stop"
    assert read({"content": "Hi"}, limit=7).finish_reason == "stop"


@pytest.mark.parametrize("content", [None, "", []])
def test_a_reply_cut_while_it_thought_has_an_empty_text_and_says_so(content: Any) -> None:
    completion = read({"content": content, "reasoning_content": "hm"}, finish_reason="length")
    assert completion.text == ""
    assert (completion.reasoning, completion.finish_reason) == ("hm", "length")


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("content_filter", "refusal"), ("SAFETY", "refusal"), ("sensitive", "refusal"),
        ("error", "server-error"), ("insufficient_system_resource", "server-error"),
    ],
)  # fmt: skip
def test_a_reply_that_the_endpoint_stopped_is_a_failure(finish: str, reason: str) -> None:
    with pytest.raises(CallFailed) as caught:
        read({"content": "Good mor"}, finish_reason=finish)
    assert caught.value.reason == reason


WRONG = [-1, MOST_TOKENS + 1, 2**32, 2**70, True, 12.5, "12", float("nan"), float("inf"), None, {}]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_number_that_cannot_be_is_not_told(wrong: Any) -> None:
    for name, field in (("prompt_tokens", 0), ("completion_tokens", 1)):
        completion = read(
            {"content": "Hi."}, usage={"prompt_tokens": 9, "completion_tokens": 7} | {name: wrong}
        )
        told = [completion.prompt_tokens, completion.completion_tokens]
        assert told == [None if at == field else number for at, number in enumerate((9, 7))]
        assert completion.cost is None
    details = {"prompt_tokens_details": {"cached_tokens": wrong}}
    completion = read(
        {"content": "Hi."}, usage={"prompt_tokens": 9, "completion_tokens": 7} | details
    )
    assert completion.cached_tokens is None
    assert completion.cost == 16.0


@pytest.mark.parametrize("usage", [None, [], "none", 3, {"prompt_tokens_details": 3}, {}])
def test_usage_in_another_shape_is_not_told(usage: Any) -> None:
    completion = read({"content": "Hi."}, usage=usage)
    assert completion.text == "Hi."
    assert (completion.prompt_tokens, completion.completion_tokens) == (None, None)


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 7, "prompt_cache_hit_tokens": 4}, (9, 7, 4)),
        ({"input_tokens": 9, "output_tokens": 7, "cache_read_input_tokens": 4}, (9, 7, 4)),
        ({"prompt_tokens": MOST_TOKENS, "completion_tokens": 0}, (MOST_TOKENS, 0, None)),
        (
            {"prompt_tokens": 9, "completion_tokens": 7,
             "prompt_tokens_details": {"cached_tokens": 10}},
            (9, 7, None),
        ),
    ],
)  # fmt: skip
def test_usage_is_read_under_the_names_that_servers_use(
    usage: dict[str, Any], told: tuple[int | None, ...]
) -> None:
    completion = read({"content": "Hi."}, usage=usage)
    assert told == (
        completion.prompt_tokens, completion.completion_tokens, completion.cached_tokens,
    )  # fmt: skip


def test_a_count_of_thousands_of_digits_is_not_told() -> None:
    usage = f'{{"prompt_tokens": {"9" * 5000}, "completion_tokens": 7}}'
    body = f'{{"choices": [{{"message": {{"content": "No."}}}}], "usage": {usage}}}'
    read = read_completion(body.encode(), (), 1, None, None)
    assert (read.text, read.prompt_tokens, read.completion_tokens) == ("No.", None, 7)
