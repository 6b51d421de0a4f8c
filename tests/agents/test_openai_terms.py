"""What endpoints refuse of a request, in the words of real servers, is found out and remembered."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from misbehaving_server import Answer, chat, error, serving

from agents.models.base import (
    CallFailed,
    Completion,
    Message,
    ModelUnavailable,
    Sampling,
    ScoresUnavailable,
)
from agents.models.openai.engine import OpenAIModel
from agents.models.openai.terms import EXTENSIONS

CHAT: list[Message] = [
    {"role": "system", "content": "You are Ana."},
    {"role": "user", "content": "Greet Bo."},
]
FULL = Sampling(max_tokens=50, stop=("\n",), seed=5)
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}
Reply = Callable[[Any, int], Answer]


def said(status: int, body: Any) -> Answer:
    return Answer(json.dumps(body).encode(), status)


def refusing(answer: Answer, is_refused: Callable[[Any], bool]) -> Reply:
    """A server that gives this answer to what it refuses, and a good one to the rest."""
    return lambda body, _: answer if is_refused(body) else chat()


def has(name: str) -> Callable[[Any], bool]:
    return lambda body: name in body


def has_schema(body: Any) -> bool:
    return bool(body.get("response_format", {}).get("type") == "json_schema")


def has_system(body: Any) -> bool:
    return any(one["role"] == "system" for one in body["messages"])


async def completions(url: str, times: int = 2, prompt: list[Message] = CHAT) -> list[Completion]:
    model = OpenAIModel("test", "m", url, None, max_retries=0)
    await model.start()
    try:
        return [await model.complete(prompt, FULL, SCHEMA) for _ in range(times)]
    finally:
        await model.close()


JSON_OBJECT = {"type": "json_object"}
FOLDED = [{"role": "user", "content": "You are Ana.\n\nGreet Bo."}]
REFUSED: dict[str, tuple[Answer, Callable[[Any], bool], Mapping[str, Any], str]] = {
    "a schema (DeepSeek)": (
        error(400, "This response_format type is unavailable now", code="invalid_request_error"),
        has_schema, {"response_format": JSON_OBJECT}, "JSON schema",
    ),
    "a schema (LM Studio)": (
        said(400, {"error": "'response_format.type' must be 'json_object' or 'text'"}),
        has_schema, {"response_format": JSON_OBJECT}, "JSON schema",
    ),
    "a schema (llama.cpp)": (
        error(500, "Failed to parse grammar", type="server_error"),
        has_schema, {"response_format": JSON_OBJECT}, "JSON schema",
    ),
    "a schema, in unknown words": (
        error(422, "nein"), has_schema, {"response_format": JSON_OBJECT}, "JSON schema",
    ),
    "any form": (
        error(400, "response_format is not allowed"), has("response_format"),
        {"response_format": None}, "response_format",
    ),
    "any form (OpenAI)": (
        error(400, "'messages' must contain the word 'json' in some form, to use 'response_format' "
              "of type 'json_object'.", param="response_format"),
        has("response_format"), {"response_format": None}, "response_format",
    ),
    "any form, in unknown words": (
        error(400, "nein"), has("response_format"), {"response_format": None}, "response_format",
    ),
    "an extension (Groq)": (
        error(400, "property 'min_p' is unsupported"), has("min_p"), {"min_p": None}, "min_p",
    ),
    "an extension (Mistral)": (
        said(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "repetition_penalty"],
                               "msg": "Extra inputs are not permitted"}]}),
        has("repetition_penalty"), {"repetition_penalty": None}, "repetition_penalty",
    ),
    "an extension (Gemini)": (
        said(400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":
                    'Invalid JSON payload received. Unknown name "min_p": Cannot find field.'}}]),
        has("min_p"), {"min_p": None}, "min_p",
    ),
    "an extension, in unknown words": (
        error(415, "nein"), has("min_p"), {"min_p": None}, "min_p",
    ),
    "the seed (Mistral)": (
        error(400, "seed: this parameter is not taken"), has("seed"), {"seed": None}, "seed",
    ),
    "the seed, in unknown words": (error(400, "nein"), has("seed"), {"seed": None}, "seed"),
    "stop (o3)": (
        error(400, "Unsupported parameter: 'stop' is not supported with this model.", param="stop"),
        has("stop"), {"stop": None}, "stop",
    ),
    "max_tokens (OpenAI)": (
        error(400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
              "'max_completion_tokens' instead.", param="max_tokens", code="unsupported_parameter"),
        has("max_tokens"), {"max_tokens": None, "max_completion_tokens": 50},
        "max_completion_tokens",
    ),
    "max_tokens, in unknown words": (
        error(400, "nein"), has("max_tokens"), {"max_tokens": None, "max_completion_tokens": 50},
        "max_completion_tokens",
    ),
    "temperature (gpt-5)": (
        error(400, "Unsupported value: 'temperature' does not support 0.75 with this model. Only "
              "the default (1) value is supported.", param="temperature", code="unsupported_value"),
        has("temperature"), {"temperature": None}, "temperature",
    ),
    "top_p (Anthropic)": (
        error(400, "`temperature` and `top_p` cannot both be specified for this model."),
        lambda body: "top_p" in body and "temperature" in body, {"top_p": None}, "top_p",
    ),
    "the system role (Gemma)": (
        error(400, "System role not supported"), has_system, {"messages": FOLDED}, "system",
    ),
    "the system role (Gemma at Google)": (
        said(400, [{"error": {"message": "Developer instruction is not enabled for gemma"}}]),
        has_system, {"messages": FOLDED}, "system",
    ),
    "the system role (llama.cpp)": (
        error(500, "Jinja Exception: System role not supported", type="server_error"),
        has_system, {"messages": FOLDED}, "system",
    ),
    "the system role (Mistral's template)": (
        error(400, "Conversation roles must alternate user/assistant/user/assistant/..."),
        has_system, {"messages": FOLDED}, "system",
    ),
    "the system role (TGI)": (
        said(422, {"error": "Template error: invalid operation: Only user and assistant roles are "
                   "supported! (in <string>:1)", "error_type": "template_error"}),
        has_system, {"messages": FOLDED}, "system",
    ),
    "the system role (o1-mini)": (
        error(400, "Unsupported value: 'messages[0].role' does not support 'system' with this "
              "model.", param="messages[0].role", code="unsupported_value"),
        has_system, {"messages": FOLDED}, "system",
    ),
    "the system role (Anthropic)": (
        error(400, 'messages: Unexpected role "system". The Messages API accepts a top-level '
              "`system` parameter"),
        has_system, {"messages": FOLDED}, "system",
    ),
    "the system role, in unknown words": (
        error(400, "nein"), has_system, {"messages": FOLDED}, "system",
    ),
    "an extension (LiteLLM)": (
        error(400, "UnsupportedParamsError: x does not support parameters: ['min_p']",
              param="None", code="400"), has("min_p"), {"min_p": None}, "min_p",
    ),
    "the seed (vLLM)": (
        said(400, {"object": "error", "message": "Per-request seed is not supported", "code": 400}),
        has("seed"), {"seed": None}, "seed",
    ),
    "the seed (Bedrock)": (
        said(400, {"message": "extraneous key [seed] is not permitted"}),
        has("seed"), {"seed": None}, "seed",
    ),
    "a schema (Azure)": (
        error(400, "response_format value as json_schema is enabled only for api versions "
              "2024-08-01-preview and later", code="BadRequest"),
        has_schema, {"response_format": JSON_OBJECT}, "JSON schema",
    ),
    "the system role (Bedrock)": (
        said(400, {"detail": "This model doesn't support system messages. Try again without"}),
        has_system, {"messages": FOLDED}, "system",
    ),
    "the system role (Perplexity)": (
        error(400, "After the (optional) system message(s), user or tool message(s) should "
              "alternate with assistant message(s)."),
        has_system, {"messages": FOLDED}, "system",
    ),
    "a schema, in Chinese": (
        error(400, "参数 response_format 不支持 json_schema"),
        has_schema, {"response_format": JSON_OBJECT}, "JSON schema",
    ),
    "a schema, not implemented": (
        error(501, "nein"), has_schema, {"response_format": JSON_OBJECT}, "JSON schema",
    ),
    "the seed, with a gateway's own status": (
        error(424, "nein"), has("seed"), {"seed": None}, "seed",
    ),
    "the seed, as 403": (
        error(403, "seed is for other plans"), has("seed"), {"seed": None}, "seed",
    ),
    "the system role, in a list of faults": (
        said(422, {"detail": [{"loc": ["body", "messages", 0, "role"], "type": "literal_error",
                               "msg": "Input should be 'user' or 'assistant'"}]}),
        has_system, {"messages": FOLDED}, "system",
    ),
    "the system role, as a server's fault": (
        error(500, "Value is not callable: null"), has_system, {"messages": FOLDED}, "system",
    ),
    "a schema, as a server's fault": (
        error(500, "Internal Server Error"), has_schema, {"response_format": JSON_OBJECT},
        "JSON schema",
    ),
    "an error in a good answer, in unknown words": (
        error(200, "nein", code=None), has("min_p"), {"min_p": None}, "min_p",
    ),
    "an error in a good answer": (
        error(200, "min_p is not supported", code=400), has("min_p"), {"min_p": None}, "min_p",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "is_refused", "changes", "warning"), REFUSED.values(), ids=REFUSED
)
def test_what_is_refused_is_left_out_and_remembered_with_one_warning(
    answer: Answer,
    is_refused: Callable[[Any], bool],
    changes: Mapping[str, Any],
    warning: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving(reply=refusing(answer, is_refused)) as server:
        first, _second, third = asyncio.run(completions(server.url, 3))
    assert first.text == third.text == "Good morning."
    assert first.attempts <= 11
    assert third.attempts == 1
    sent = server.asked[-1].body
    expected = {**server.asked[0].body, **changes}
    extensions = set(EXTENSIONS) if "min_p" in changes else set()
    assert {name: value for name, value in sent.items() if name not in extensions} == {
        name: value
        for name, value in expected.items()
        if value is not None and name not in extensions
    }
    assert set(changes) - {"max_completion_tokens"} | {"max_completion_tokens"} >= {
        name for name in server.asked[0].body if name not in sent and name not in extensions
    }
    assert any(warning in line for line in caplog.messages)
    assert len(caplog.messages) == len({*caplog.messages}) <= 3


def test_several_things_that_are_refused_in_unknown_words_are_found_one_after_the_other() -> None:
    refused = refusing(error(400, "nein"), lambda body: "seed" in body or "min_p" in body)
    with serving(reply=refused) as server:
        made = asyncio.run(completions(server.url, 4))
    assert made[-1].attempts == 1
    sent = server.asked[-1].body
    assert "seed" not in sent and "min_p" not in sent
    assert sent["stop"] == ["\n"] and "response_format" in sent and "max_tokens" in sent


def test_a_path_that_has_answered_is_not_missing_where_a_parameter_is_refused_with_404() -> None:
    words = "No endpoints found that can handle the requested parameters."

    async def run(url: str) -> Completion:
        model = OpenAIModel("test", "m", url, None, max_retries=0)
        await model.start()
        try:
            return await model.complete(CHAT, FULL, SCHEMA)
        finally:
            await model.close()

    with serving(reply=refusing(error(404, words), has("min_p"))) as server:
        assert asyncio.run(run(server.url)).text == "Good morning."


def test_only_what_then_succeeds_is_remembered_and_tries_are_bounded() -> None:
    with serving(reply=lambda body, n: chat() if n > 60 else error(400, "nein")) as server:

        async def run() -> list[Any]:
            model = OpenAIModel("test", "m", server.url, None, max_retries=0)
            calls = []
            for _ in range(6):
                with pytest.raises(CallFailed) as caught:
                    await model.complete(CHAT, FULL, SCHEMA)
                calls.append(caught.value.attempts)
            await model.close()
            return calls

        attempts = asyncio.run(run())
    assert max(attempts) <= 9
    assert attempts[3:] == [1, 1, 1]
    assert server.asked[-1].body == server.asked[0].body


def test_a_fault_of_the_server_that_passes_is_no_refusal(caplog: pytest.LogCaptureFixture) -> None:
    def reply(_body: Any, number: int) -> Answer:
        return error(500, "Internal Server Error") if number < 4 else chat()

    with serving(reply=reply) as server:
        asyncio.run(completions(server.url))
    assert server.asked[-1].body == server.asked[0].body
    assert caplog.messages == []


def test_requests_at_once_find_out_together() -> None:
    async def run(url: str) -> list[Completion]:
        model = OpenAIModel("test", "m", url, None, max_retries=0)
        calls = (model.complete(CHAT, FULL, SCHEMA) for _ in range(8))
        made = await asyncio.gather(*calls)
        await model.close()
        return made

    with serving(reply=refusing(error(400, "nein"), has("seed"))) as server:
        asyncio.run(run(server.url))
    assert len(server.asked) <= 8 + 8 + 5


def test_a_parameter_whose_value_is_out_of_range_is_for_the_user_to_choose() -> None:
    answer = error(400, "temperature must be between 0 and 0.5", param="temperature")
    with serving(answer) as server, pytest.raises(ModelUnavailable, match="choose a temperature"):
        asyncio.run(completions(server.url))
    assert len(server.asked) == 1


def test_messages_of_one_role_in_a_row_are_joined_where_roles_must_alternate() -> None:
    prompt: list[Message] = [*CHAT, {"role": "user", "content": "Now."}]
    words = "does not support successive user or assistant messages (messages[1] and messages[2])"

    def is_refused(body: Any) -> bool:
        roles = [one["role"] for one in body["messages"]]
        return any(one == next_ for one, next_ in itertools.pairwise(roles))

    with serving(reply=refusing(error(400, words), is_refused)) as server:
        assert asyncio.run(completions(server.url, 2, prompt))[1].attempts == 1
    assert server.asked[-1].body["messages"][-1]["content"].endswith("Greet Bo.\n\nNow.")


# Prompts that are too long ----------


def test_a_prompt_far_longer_than_those_that_were_taken_is_too_long_in_any_words() -> None:
    def is_refused(body: Any) -> bool:
        return sum(len(one["content"]) for one in body["messages"]) > 1000

    async def run(url: str) -> CallFailed:
        model = OpenAIModel("test", "m", url, None, max_retries=0)
        for _ in range(2):
            await model.complete(CHAT, FULL)
        with pytest.raises(CallFailed) as caught:
            await model.complete([{"role": "user", "content": "x" * 2000}], FULL)
        await model.complete(CHAT, FULL)
        await model.close()
        return caught.value

    with serving(reply=refusing(error(400, "nein"), is_refused)) as server:
        assert asyncio.run(run(server.url)).reason == "prompt-too-long"
    assert server.asked[-1].body == server.asked[0].body


@pytest.mark.parametrize(("status", "reason"), [(418, "prompt-too-long"), (500, "server-error")])
def test_a_long_prompt_is_not_too_long_where_short_ones_are_refused_as_well(
    status: int, reason: str
) -> None:
    broken = iter([chat(), error(status, "nein") if status == 500 else chat()])

    async def run(url: str) -> CallFailed:
        model = OpenAIModel("test", "m", url, None, max_retries=0)
        await model.start()
        for _ in range(2):
            await model.complete(CHAT, FULL)
        with pytest.raises(CallFailed) as caught:
            await model.complete([{"role": "user", "content": "x" * 2000}], FULL)
        await model.close()
        return caught.value

    refused = refusing(error(status, "nein"), lambda body: "x" * 2000 in str(body))
    with serving(reply=refused, probe=broken) as server:
        assert asyncio.run(run(server.url)).reason == reason


# Log-probabilities ----------


def likeliest(body: Any, tokens: Mapping[str, float]) -> Answer:
    top = [{"token": token, "logprob": math.log(p)} for token, p in tokens.items()]
    top = top[: body["top_logprobs"]]
    first = {"content": [top[0] | {"top_logprobs": top}]}
    message = {"role": "assistant", "content": "1"}
    return chat(choices=[{"index": 0, "message": message, "logprobs": first}])


LIMITED = {
    "OpenAI's words": error(400, "Invalid value for 'top_logprobs': must be less than or equal to "
                            "5.", param="top_logprobs", code="integer_above_max_value"),
    "vLLM's words": error(400, "Requested sample logprobs of 20, which is greater than "
                          "max allowed: 5"),
    "Fireworks' words": error(400, "top_logprobs: Input should be less than or equal to 5"),
    "no number": error(400, "top_logprobs is too large", param="top_logprobs"),
    "unknown words": error(400, "nein"),
}  # fmt: skip
OPTIONS = ["1", "2", "3", "4"]
SPREAD = {"1": 0.4, "2": 0.3, "3": 0.2, "4": 0.05, " ": 0.01, "5": 0.005}
FLAT = {str(number): 0.1 for number in range(1, 11)}


def scored(model: OpenAIModel, options: list[str]) -> Any:
    return model.score(CHAT, options)


@pytest.mark.parametrize("answer", LIMITED.values(), ids=LIMITED)
def test_fewer_log_probabilities_are_asked_for_where_more_are_refused(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(url: str) -> list[list[float]]:
        model = OpenAIModel("test", "m", url, None, max_retries=0)
        found = [await scored(model, OPTIONS) for _ in range(2)]
        await model.close()
        return found

    def reply(body: Any, _: int) -> Answer:
        return answer if body["top_logprobs"] > 5 else likeliest(body, SPREAD)

    with serving(reply=reply) as server:
        first, second = asyncio.run(run(server.url))
    assert first == second == pytest.approx([math.log(p) for p in (0.4, 0.3, 0.2, 0.05)])
    assert server.asked[-1].body["top_logprobs"] == 5
    assert len(server.asked) <= 4
    assert [line for line in caplog.messages if "5 likeliest tokens" in line] == caplog.messages


def test_options_that_need_more_log_probabilities_than_are_told_say_so() -> None:
    async def run(url: str) -> str:
        model = OpenAIModel("test", "m", url, None, max_retries=0)
        with pytest.raises(CallFailed) as caught:
            await scored(model, [str(number) for number in range(1, 10)])
        await model.close()
        assert caught.value.reason == "bad-response"
        return str(caught.value)

    def reply(body: Any, _: int) -> Answer:
        limited = LIMITED["OpenAI's words"]
        return limited if body["top_logprobs"] > 5 else likeliest(body, FLAT)

    with serving(reply=reply) as server:
        assert "the 5 likeliest first tokens" in asyncio.run(run(server.url))


def test_fewer_log_probabilities_than_were_asked_for_are_known_as_fewer() -> None:
    async def run(url: str) -> None:
        model = OpenAIModel("test", "m", url, None, max_retries=0)
        with pytest.raises(CallFailed, match="the 5 likeliest first tokens"):
            await scored(model, [str(number) for number in range(1, 10)])
        assert await scored(model, OPTIONS[:2]) == pytest.approx([math.log(0.1)] * 2)
        await model.close()

    with serving(reply=lambda body, _: likeliest({"top_logprobs": 5}, FLAT)) as server:
        asyncio.run(run(server.url))


def test_log_probabilities_that_an_account_may_not_have_are_none_at_all() -> None:
    async def run(url: str) -> None:
        model = OpenAIModel("test", "m", url, None, max_retries=0)
        with pytest.raises(ScoresUnavailable):
            await scored(model, OPTIONS)
        await model.close()

    with serving(error(403, "You are not allowed to request logprobs from this model")) as server:
        asyncio.run(run(server.url))


def test_an_endpoint_without_log_probabilities_is_not_asked_for_fewer() -> None:
    async def run(url: str) -> None:
        model = OpenAIModel("test", "m", url, None, max_retries=0)
        with pytest.raises(ScoresUnavailable):
            await scored(model, OPTIONS)
        await model.close()

    with serving(error(400, "logprobs are not supported by this model")) as server:
        asyncio.run(run(server.url))
    assert len(server.asked) == 1
