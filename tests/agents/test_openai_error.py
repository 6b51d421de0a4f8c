"""What endpoints say when they refuse: the words and shapes of real servers, and what they mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.models.openai.error import read_fault, status_within


def inner(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


TOO_LONG: dict[str, tuple[int, Any]] = {
    "OpenAI": (400, inner(
        "This model's maximum context length is 8192 tokens. However, your messages resulted in "
        "12000 tokens.", code="context_length_exceeded", param="messages",
    )),
    "OpenAI, by code": (400, inner("nein", code="context_length_exceeded")),
    "OpenAI, a minute's tokens": (429, inner(
        "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000. The "
        "input or output tokens must be reduced in order to run successfully.",
    )),
    "Gemini": (400, [inner(
        "The input token count (12000) exceeds the maximum number of tokens allowed (8192).",
        code=400, status="INVALID_ARGUMENT",
    )]),
    "Anthropic": (400, {"type": "error", "error": {
        "type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 "
        "maximum",
    }}),
    "Anthropic, with the reply": (400, inner(
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    )),
    "Bedrock": (400, {"message": "Input is too long for requested model."}),
    "Bedrock, other": (400, {"message": "Too many input tokens. Max input tokens: 4096"}),
    "Mistral": (400, {"object": "error", "message": "Prompt contains 40000 tokens and 0 draft "
        "tokens, too large for model with 32768 maximum context length", "code": 3051}),
    "Groq": (400, inner("Please reduce the length of the messages or completion.")),
    "Groq, a minute's tokens": (413, inner(
        "Request too large for model", code="rate_limit_exceeded",
    )),
    "Cerebras": (400, inner(
        "Current length is 9000 while limit is 8192", code="context_length_exceeded",
    )),
    "Cohere": (400, {"message": "too many tokens: total number of tokens in the prompt cannot "
        "exceed 4081 - received 5000"}),
    "TGI": (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= "
        "2048. Given: 1800 `inputs` tokens and 500 `max_new_tokens`", "error_type": "validation"}),
    "TGI, inputs": (422, {"error": "Input validation error: `inputs` must have less than 1024 "
        "tokens. Given: 2000"}),
    "llama.cpp": (400, inner(
        "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
        type="exceed_context_size_error", n_prompt_tokens=5000, n_ctx=4096,
    )),
    "llama.cpp, older": (500, inner(
        "the request exceeds the available context size. try increasing the context size",
        type="server_error",
    )),
    "LM Studio": (400, {"error": "Trying to keep the first 5000 tokens when context the overflows. "
        "However, the model is loaded with context length of only 4096 tokens"}),
    "vLLM": (400, {"object": "error", "code": 400, "type": "BadRequestError", "message": "The "
        "decoder prompt (length 5000) is longer than the maximum model length of 4096."}),
    "vLLM, max_tokens": (400, inner(
        "'max_tokens' or 'max_completion_tokens' is too large: 3000. This model's maximum context "
        "length is 2048 tokens and your request has 100 input tokens", param="max_tokens",
    )),
    "SGLang": (400, {"object": "error", "message": "The input (5000 tokens) is longer than the "
        "model's context length (4096 tokens)."}),
    "xAI": (400, {"code": "Client specified an invalid argument", "error": "This model's maximum "
        "prompt length is 131072 but the request contains 200000 tokens."}),
    "watsonx": (400, {"errors": [{"code": "invalid_input_argument", "message": "the number of "
        "input tokens 5000 cannot exceed the total tokens limit 4096 for this model"}]}),
    "Moonshot": (400, inner("Invalid request: Your request exceeded model token limit: 8192")),
    "DashScope": (400, inner("Range of input length should be [1, 30720]")),
    "TabbyAPI": (400, {"detail": "Prompt length 5000 is greater than max_seq_len 4096"}),
    "OpenRouter": (400, inner("Provider returned error", code=400, metadata={
        "raw": '{"error":{"message":"This endpoint\'s maximum context length is 32768 tokens"}}',
    })),
    "LiteLLM": (400, inner("litellm.ContextWindowExceededError: litellm.BadRequestError: ...: "
        "context window", type=None, param=None, code="400")),
    "Zhipu": (400, inner("Prompt 超长", code="1261")),
    "DashScope, in Chinese": (400, inner("请求的输入长度超过了模型的最大上下文长度")),
    "a gateway's own status": (424, {"error": "Input validation error: `inputs` tokens + "
        "`max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens", "error_type": "x"}),
    "llama.cpp, a batch": (500, inner("input is too large to process. increase the batch")),
    "by another code": (400, inner("x", code="input_too_long")),
    "details beside the error": (400, {"error": "Bad Request", "message": "input tokens exceed 8"}),
    "two numbers": (400, inner("12000 tokens; erlaubt: 8192 tokens")),
    "a proxy's limit": (413, "<html><h1>413 Request Entity Too Large</h1></html>"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body"), TOO_LONG.values(), ids=TOO_LONG)
def test_a_prompt_that_is_too_long_is_known_in_the_words_of_each_server(
    status: int, body: Any
) -> None:
    fault = read_fault(status, said(body), {})
    assert fault.kind == "too-long"
    assert fault.is_final


def said(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


OTHER: dict[str, tuple[int, Any, str]] = {
    "max_tokens of OpenAI": (400, inner(
        "max_tokens is too large: 10000. This model supports at most 4096 completion tokens, "
        "whereas you provided 10000.", param="max_tokens",
    ), "other"),
    "max_tokens of DeepSeek": (400, inner(
        "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
    ), "other"),
    "top_logprobs of vLLM": (400, {"object": "error", "message": "[{'type': 'less_than_equal', "
        "'loc': ('body', 'top_logprobs'), 'msg': 'Input should be less than or equal to 5', "
        "'input': 20}]"}, "other"),
    "extra inputs": (422, {"detail": [{"loc": ["body", "min_p"], "type": "extra_forbidden",
        "msg": "Extra inputs are not permitted"}]}, "other"),
    "stop of OpenAI": (400, inner(
        "Invalid 'stop': array too long. Expected an array with maximum length 4", param="stop",
    ), "other"),
    "a schema": (400, inner(
        "Invalid schema for response_format 'reply': In context=(), 'additionalProperties' is "
        "required to be supplied and to be false.", param="response_format",
    ), "other"),
    "the key": (401, inner("Incorrect API key provided"), "key"),
    "the key, as 400": (400, [inner("API key not valid. Please pass a valid API key.")], "key"),
    "a limit a minute": (429, inner(
        "Rate limit reached for model on tokens per minute (TPM): Limit 6000, Used 5900, Requested "
        "700. Please try again in 6.1s.",
    ), "busy"),
    "Gemini, a limit a minute": (429, [inner(
        "You exceeded your current quota, please check your plan and billing details.", code=429,
        status="RESOURCE_EXHAUSTED", details=[{"retryDelay": "34s"}],
    )], "busy"),
    "Gemini, the quota": (429, [inner(
        "You exceeded your current quota, please check your plan and billing details.", code=429,
    )], "quota"),
    "OpenAI, the quota": (429, inner("You exceeded", code="insufficient_quota"), "quota"),
    "DeepSeek, the quota": (402, inner("Insufficient Balance"), "quota"),
    "Anthropic, the quota": (400, inner("Your credit balance is too low"), "quota"),
    "OpenRouter, the quota": (402, inner("Insufficient credits. Add more", code=402), "quota"),
    "OpenRouter, moderation": (403, inner(
        "m requires moderation. Your input was flagged for \"violence\"", code=403,
    ), "filtered"),
    "Azure, the filter": (400, inner(
        "The response was filtered due to the prompt triggering Azure OpenAI's content management "
        "policy.", code="content_filter", param="prompt",
    ), "filtered"),
    "DashScope, the filter": (400, inner("Output data may contain inappropriate content.",
        code="data_inspection_failed"), "filtered"),
    "no such model": (404, inner("model 'm' not found, try pulling it first"), "no-model"),
    "Anthropic, no such model": (404, {"type": "error", "error": {
        "type": "not_found_error", "message": "model: m",
    }}, "no-model"),
    "loading": (503, inner("Loading model", type="unavailable_error"), "loading"),
    "failed to load": (500, inner("error loading model: unable to allocate"), "other"),
    "overloaded": (529, {"type": "error", "error": {"type": "overloaded_error"}}, "busy"),
    "access": (403, inner("You are not allowed to sample from this model"), "access"),
    "access, by a number of the model": (403, inner("Project has no access to model"), "access"),
    "a parameter, as 403": (403, inner(
        "You are not allowed to request logprobs from this model",
    ), "other"),
    "loading, with other statuses": (425, inner("Too early: model loading"), "loading"),
    "loading, as a limit": (429, inner("Model is warming up, try again in 20s"), "loading"),
    "loading, as missing": (404, {"error": "model 'm' is still loading"}, "loading"),
    "not loaded yet": (409, {"error": "model not yet loaded"}, "loading"),
    "being fetched": (503, {"message": "model weights are being downloaded"}, "loading"),
    "unknown words": (400, inner("nein"), "other"),
    "nothing": (400, "", "other"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), OTHER.values(), ids=OTHER)
def test_other_refusals_are_not_the_prompts_length(status: int, body: Any, kind: str) -> None:
    assert read_fault(status, said(body), {}).kind == kind


@pytest.mark.parametrize(
    ("body", "headers", "wait"),
    [
        (inner("x"), {"retry-after": "30"}, 30.0), (inner("x"), {"retry-after-ms": "1500"}, 1.5),
        (inner("Please try again in 7m12.5s."), {}, 432.5), (inner("try again in 20ms"), {}, 0.02),
        (inner("Retry after 30 seconds"), {}, 30.0), (inner("try again in 1h2m3s"), {}, 3723.0),
        (inner("x", details=[{"@type": "RetryInfo", "retryDelay": "34s"}]), {}, 34.0),
        ({"error": "Model x is currently loading", "estimated_time": 20.0}, {}, 20.0),
        (inner("x", metadata={"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": 9}}),
         {}, 9.0),
        (inner("try again"), {}, None), (inner("x"), {"retry-after": "soon"}, None),
        (inner("x"), {"retry-after": "nan"}, None), (inner("x", details=3), {}, None),
    ],
)  # fmt: skip
def test_the_time_of_the_next_try_is_read_from_headers_fields_and_words(
    body: Any, headers: dict[str, str], wait: float | None
) -> None:
    assert read_fault(429, said(body), headers).retry_after_s == wait


WITHIN: dict[str, tuple[Any, int | None]] = {
    "OpenRouter": ({"choices": None, **inner("Provider returned error", code=429)}, 429),
    "a code in words": (inner("x", code="502"), 502),
    "a named code": (inner("x", code="rate_limit_exceeded"), 429),
    "a type": (inner("x", type="invalid_request_error"), 400),
    "Gemini": ([inner("x", status="UNAVAILABLE")], 503),
    "a word": ({"error": "Too many requests"}, 429),
    "LM Studio": ({"error": "Unexpected endpoint or method. (POST /chat/completions)"}, 404),
    "no code": (inner("upstream"), 500),
    "a number with a point": (inner("x", code=429.0), 429),
    "no code, a phrase of HTTP": ({"error": "Service Unavailable"}, 503),
    "an error within an error": ({"error": inner("x", code=429)}, 429),
    "beside a reply": ({"choices": [{"message": {"content": "par"}}], **inner("x", code=503)}, 503),
    "a reply with an error that is none": (
        {"choices": [{"message": {}}], **inner("", code=0)}, None,
    ),
    "a reply with an empty text for an error": ({"choices": [{"message": {}}], "error": ""}, None),
    "msg": ({"code": 50301, "msg": "system busy", "data": None}, 500),
    "no success": ({"success": False, "msg": "x"}, 500),
    "a status of its own": ({"statusCode": 429, "message": "x"}, 429),
    "a text in the choice": ({"choices": [{"error": "Bad Gateway", "message": {}}]}, 502),
    "in the choice": ({"choices": [{"error": {"code": 502, "message": "x"}, "message": {}}]}, 502),
    "MiniMax": ({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, 429),
    "FastChat": ({"object": "error", "message": "x", "code": 40303}, 500),
    "a reply": ({"choices": [{"message": {"content": "x"}}]}, None),
    "a reply with an empty error": ({"choices": [{"message": {}}], "error": None}, None),
    "models": ({"object": "list", "data": []}, None),
    "an empty object": ({}, None), "a list": ([], None), "a number": (3, None),
}  # fmt: skip


@pytest.mark.parametrize(("body", "status"), WITHIN.values(), ids=WITHIN)
def test_an_error_inside_a_good_answer_has_the_status_that_it_stands_for(
    body: Any, status: int | None
) -> None:
    assert status_within(said(body)) == status


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (inner("a\n b"), "a b"), ({"detail": "x"}, "x"), ({"error": "x"}, "x"), ("plain", "plain"),
        ({"detail": [{"loc": ["body", "n"], "msg": "no"}]}, "body.n: no"), ({"msg": "x"}, "x"),
        ({"error": "Bad Request", "message": "no seed"}, "Bad Request: no seed"),
        ({"choices": [{"error": {"message": "x"}}]}, "x"), ({"error": inner("x")}, "x"),
        ({"errors": [{"message": "x"}]}, "x"), (inner("x", metadata={"raw": "y"}), "x: y"),
    ],
)  # fmt: skip
def test_the_words_of_a_refusal_are_found_in_any_shape(body: Any, words: str) -> None:
    assert read_fault(400, said(body), {}).words == words
