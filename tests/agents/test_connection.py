"""Answers over HTTP: bounded in size, never from another origin, in one shape."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import zlib
from typing import Any

import pytest
from misbehaving_server import JSON, Answer, chat, error, serving

from agents.models.base import CallFailed, Completion, Message, ModelUnavailable, Sampling
from agents.models.openai.connection import MOST_BYTES
from agents.models.openai.engine import OpenAIModel
from agents.models.openai.events import joined_events

CHAT: list[Message] = [{"role": "user", "content": "Greet Bo."}]
KEY = "sk-test-0123456789abcdef"


def answered(url: str, **options: Any) -> Completion:
    async def run() -> Completion:
        model = OpenAIModel("test", "m", url, KEY, **{"max_retries": 2, **options})
        try:
            return await asyncio.wait_for(model.complete(CHAT, Sampling()), 60)
        finally:
            await model.close()

    return asyncio.run(run())


def packed(body: bytes, encoding: str, status: int = 200) -> Answer:
    return Answer(body, status, {**JSON, "Content-Encoding": encoding})


def test_a_compressed_answer_is_read() -> None:
    with serving(packed(gzip.compress(chat().body), "gzip")) as server:
        assert answered(server.url).text == "Good morning."
    with serving(packed(zlib.compress(chat().body), "deflate")) as server:
        assert answered(server.url).text == "Good morning."


BOMB = gzip.compress(b"[" + b" " * (300 * 2**20), 6)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (packed(BOMB, "gzip"), "longer than 16 MiB"), (packed(BOMB, "gzip", 500), "longer than 16"),
        (Answer(b" " * (MOST_BYTES + 1)), "longer than 16 MiB"),
        (packed(gzip.compress(BOMB), "gzip, gzip"), "compressed as 'gzip, gzip'"),
        (packed(b"x", "br"), "compressed as 'br'"),
        (packed(b"x" * 99, "gzip"), "cannot be decompressed"),
    ],
    ids=["bomb", "bomb of an error", "long", "nested", "unknown", "damaged"],
)  # fmt: skip
def test_an_answer_without_bounds_is_given_up_after_one_attempt(answer: Answer, words: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with serving(answer) as server, pytest.raises(CallFailed, match=words) as caught:
        answered(server.url)
    assert caught.value.reason == "bad-response"
    assert caught.value.attempts == len(server.asked) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024  # KiB


def test_a_list_of_models_without_bounds_informs_of_nothing() -> None:
    async def run(url: str) -> set[str]:
        model = OpenAIModel("test", "m", url, KEY)
        try:
            return await model.listed()
        finally:
            await model.close()

    with serving(listing=packed(BOMB, "gzip")) as server:
        assert asyncio.run(run(server.url)) == set()


def redirect(place: str, status: int) -> Answer:
    return Answer(b"", status, {"Location": place})


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_origin_is_not_followed(status: int) -> None:
    with (
        serving(chat()) as other,
        serving(redirect(f"{other.url}/chat/completions", status)) as one,
    ):
        with pytest.raises(ModelUnavailable, match=f"redirects to {other.url[:-3]}") as caught:
            answered(one.url)
        assert other.asked == []
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_within_the_origin_is_followed_with_its_body(status: int) -> None:
    with serving(redirect("/v1/chat/completions/", status), chat()) as server:
        assert answered(server.url).text == "Good morning."
    first, second = server.asked
    assert second.path == "/v1/chat/completions/"
    assert (second.body, second.authorization) == (first.body, f"Bearer {KEY}")


def test_a_redirect_in_a_circle_ends() -> None:
    with serving(redirect("/v1/chat/completions", 307)) as server, pytest.raises(CallFailed):
        answered(server.url)
    assert len(server.asked) == 6


def test_an_error_in_a_good_answer_is_retried_as_what_it_is() -> None:
    busy = {"choices": None, "error": {"message": "Provider returned error", "code": 429}}
    with serving(Answer(json.dumps(busy).encode()), chat()) as server:
        assert answered(server.url).attempts == 2


@pytest.mark.parametrize(
    "answer",
    [
        error(429, "You exceeded", code="insufficient_quota"), error(402, "Insufficient Balance"),
        Answer(b'{"error": {"message": "x", "code": "insufficient_quota"}}'),
    ],
)  # fmt: skip
def test_a_spent_quota_is_not_asked_for_again(answer: Answer) -> None:
    with serving(answer) as server, pytest.raises(ModelUnavailable, match="account"):
        answered(server.url, max_retries=5)
    assert len(server.asked) == 1


def test_a_wait_beyond_the_clients_patience_comes_with_the_failure() -> None:
    limit = error(429, "Rate limit reached for tokens per day. Please try again in 14m24s.")
    with serving(limit) as server, pytest.raises(CallFailed) as caught:
        answered(server.url, max_retries=5)
    assert (caught.value.reason, caught.value.retry_after_s) == ("server-error", 864.0)
    assert len(server.asked) == 1


def test_a_broken_certificate_or_scheme_is_one_line() -> None:
    with serving(chat()) as server, pytest.raises(ModelUnavailable) as caught:
        answered(server.url.replace("http:", "https:"), max_retries=0)
    assert "seems to speak plain HTTP there: write http://" in str(caught.value)
    assert "\n" not in str(caught.value)


# Streams ----------


def events(*parts: Any) -> bytes:
    lines = [f"data: {json.dumps(part)}\n\n" for part in parts]
    return (": PROCESSING\n\n" + "".join(lines) + "data: [DONE]\n\n").encode()


def delta(more: Any, finish: str | None = None) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": 0, "delta": more, "finish_reason": finish}]}


def test_a_stream_that_nobody_asked_for_is_read() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 7}
    body = events(
        delta({"role": "assistant", "content": ""}), delta({"reasoning_content": "h"}),
        delta({"reasoning_content": "m"}), delta({"content": "Good "}),
        delta({"content": "morning."}), delta({}, "length"), {"choices": [], "usage": usage},
    )  # fmt: skip
    kind = {"Content-Type": "text/event-stream"}
    with serving(Answer(body, 200, kind)) as server:
        made = answered(server.url)
    assert (made.text, made.reasoning, made.finish_reason) == ("Good morning.", "hm", "length")
    assert (made.prompt_tokens, made.completion_tokens) == (9, 7)


def test_an_error_in_a_stream_is_retried_as_what_it_is() -> None:
    body = events({"error": {"message": "overloaded", "code": 529}})
    with serving(Answer(body), chat()) as server:
        assert answered(server.url).attempts == 2


def test_a_stream_of_texts_is_joined() -> None:
    parts = [{"choices": [{"index": 0, "text": part}]} for part in ("Hello", ", Bo.")]
    assert json.loads(joined_events(events(*parts)))["choices"][0]["text"] == "Hello, Bo."


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"data", b"data: x", b"data:\n", b"data: 3\n", b"\xff"]
)
def test_what_is_no_stream_stays_as_it_is(body: bytes) -> None:
    assert joined_events(body) == body
