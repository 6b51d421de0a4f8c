"""Whether a run may start at an endpoint: one request of one token decides."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from misbehaving_server import Answer, chat, continuation, error, free_port, models, serving

from agents.models.base import ModelUnavailable, Sampling
from agents.models.openai.engine import OpenAIModel, from_spec
from folkways.errors import UserError

KEY = "sk-test-0123456789abcdef"


def started(url: str, **options: Any) -> None:
    async def run() -> None:
        model = OpenAIModel("test", "m", url, KEY, **{"max_retries": 0, **options})
        try:
            await asyncio.wait_for(model.start(), 60)
        finally:
            await model.close()

    asyncio.run(run())


def refused(url: str, **options: Any) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        started(url, **options)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def listing(body: Any) -> Answer:
    return Answer(json.dumps(body).encode())


NAMED = [
    models("other", "m"), models("m:latest"), models("models/m"), models("*"),
    listing([{"id": "m"}]), listing(["m"]), listing({"models": [{"name": "m"}]}),
    listing({"data": ["m"]}), listing({"models": {"m": {}}}),
]  # fmt: skip
UNNAMED = [
    error(404, "no"), error(500, "no"), error(401, "no"), models(), Answer(b"<html>"), Answer(b""),
    listing({"error": "Unexpected endpoint"}), listing(3), listing({"data": [3, None, {}]}),
    Answer(b"[" * 100_000),
]  # fmt: skip


@pytest.mark.parametrize("known", [*NAMED, *UNNAMED])
def test_a_model_that_answers_starts_whatever_the_list_of_models_is(
    known: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(listing=known) as server:
        started(server.url)
    assert caplog.messages == []


def test_a_model_that_answers_and_is_not_listed_starts_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving(listing=models("gpt-4o", "gpt-4o-mini")) as server:
        started(server.url)
    (line,) = caplog.messages
    assert "answers as 'm' but does not list it (" in line
    assert "gpt-4o-mini" in line


PASSING = {
    "a chat": chat(),
    "nothing but reasoning": chat(None, finish_reason="length"),
    "busy": error(429, "slow down"),
    "one token is too few": error(
        400, "Could not finish the message because max_tokens or model output limit was reached. "
        "Please try again with higher max_tokens."
    ),
    "filtered": error(400, "x", code="content_filter"),
    "too long": Answer(
        b'[{"error": {"code": 400, "message": "The input token count (12000) exceeds the maximum '
        b'number of tokens allowed (8192).", "status": "INVALID_ARGUMENT"}}]', 400
    ),
}  # fmt: skip


@pytest.mark.parametrize("probe", PASSING.values(), ids=PASSING)
def test_what_leaves_other_calls_a_chance_starts(probe: Answer) -> None:
    with serving(probe=probe) as server:
        started(server.url)


REFUSING = {
    "key": (error(401, f"no such key: {KEY}"), "set OPENAI_API_KEY"),
    "key (Gemini)": (error(400, "API key not valid. Please pass a valid API key."), "OPENAI_API"),
    "access": (error(403, "not for you"), "check what the account"),
    "quota": (error(429, "You exceeded your current quota", code="insufficient_quota"), "nothing"),
    "payment": (error(402, "Insufficient Balance"), "account"),
    "credit (Anthropic)": (error(400, "Your credit balance is too low"), "account"),
    "no such model": (error(404, "The model `m` does not exist"), "model's name 'm'"),
    "no such model (OpenRouter)": (error(400, "m is not a valid model ID"), "model's name 'm'"),
    "no such deployment (Azure)": (
        error(
            404, "The API deployment for this resource does not exist", code="DeploymentNotFound"
        ),
        "model's name 'm'",
    ),
    "server error": (error(500, "internal"), "HTTP 500"),
    "broken": (error(503, "upstream connect error"), "HTTP 503"),
    "failed to load": (error(500, "error loading model: out of memory"), "HTTP 500"),
    "HTML": (Answer(b"<html>"), "usually ends in /v1"),
    "other JSON": (Answer(b'{"ok": true}'), "usually ends in /v1"),
    "unknown words": (error(400, "nein"), "HTTP 400: nein"),
    "TLS": (error(400, "Client sent an HTTP request to an HTTPS server."), "write https://"),
    "loading for too long": (error(503, "Loading model"), "Loading model"),
}


@pytest.mark.parametrize(("probe", "words"), REFUSING.values(), ids=REFUSING)
def test_what_cannot_work_does_not_start(probe: Answer, words: str) -> None:
    with serving(probe=probe) as server:
        assert words in refused(server.url, loading_s=0)


def test_a_missing_model_is_told_with_up_to_ten_known_ones() -> None:
    known = models(*(f"model-{number}" for number in range(40)))
    with serving(probe=error(404, "not found"), listing=known) as server:
        message = refused(server.url)
    assert "has no model 'm'; known: model-" in message
    assert message.count("model-") == 10


@pytest.mark.parametrize(
    "probe",
    [
        Answer(b'{"error": "Unexpected endpoint or method. (POST /chat/completions)"}'),
        error(404, "Not Found"), Answer(b"404 page not found", 404), Answer(b"<html>"),
        Answer(b'{"error": "Unexpected endpoint or method"}', 404), error(405, "no"),
    ],
)  # fmt: skip
def test_an_address_without_its_version_is_told_so(probe: Answer) -> None:
    with serving(probe=probe, listing=probe) as server:
        address = server.url.removesuffix("/v1")
        assert f"seems to lack /v1: write m@{address}/v1" in refused(address)


def test_an_address_that_ends_in_the_path_of_a_call_is_told_so() -> None:
    for path in ("/chat/completions", "/completions/"):
        with pytest.raises(UserError, match=r"write m@http://h\.example/v1$"):
            from_spec(f"m@http://h.example/v1{path}", environ={})


def test_a_model_without_a_chat_template_starts_by_its_texts() -> None:
    with serving(
        probe=error(400, "default chat template is no longer allowed"),
        text_probe=continuation("x"),
    ) as server:
        started(server.url)


LOADING = {
    "llama.cpp": error(503, "Loading model", type="unavailable_error"),
    "TGI": Answer(b'{"error": "Model x is currently loading", "estimated_time": 0.01}', 503),
    "Ollama": error(500, "llm server loading model"),
    "a gateway": error(503, "The service is starting up"),
    "no words": error(503, "Service Unavailable"),
    "a gateway with nobody behind it": Answer(b"<html>502 Bad Gateway</html>", 502),
    "a time-out of a gateway": error(504, "upstream request timeout"),
    "with another status": error(425, "Too early: model loading"),
    "in a good answer": Answer(b'{"error": {"code": 503, "message": "Model is loading"}}'),
}


@pytest.mark.parametrize("loading", LOADING.values(), ids=LOADING)
def test_an_endpoint_that_is_loading_is_waited_for_and_that_is_said_once(
    loading: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(probe=[loading, loading, chat()]) as server:
        started(server.url)
    (line,) = caplog.messages
    assert "is not ready (" in line
    assert "waiting for up to 300 s" in line


def test_a_port_that_nobody_listens_at_is_waited_for_on_demand(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    assert "cannot reach" in refused(url)
    assert caplog.messages == []
    assert "cannot reach" in refused(url, startup_s=0.1)
    assert "nobody listens there yet" in caplog.messages[0]


def test_parameters_found_out_at_the_start_are_not_tried_again() -> None:
    too_new = error(
        400,
        "Use 'max_completion_tokens' instead.",
        param="max_tokens",
        code="unsupported_parameter",
    )

    async def run(url: str) -> None:
        model = OpenAIModel("test", "m", url, KEY)
        await model.start()
        await model.complete([{"role": "user", "content": "Greet Bo."}], Sampling())
        await model.close()

    with serving(chat(), probe=[too_new, chat()]) as server:
        asyncio.run(run(server.url))
    assert [asked.body.get("max_completion_tokens") for asked in server.asked] == [120]
