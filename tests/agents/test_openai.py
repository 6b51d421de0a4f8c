"""The engine for OpenAI-compatible endpoints, against a server that misbehaves on order."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from misbehaving_server import (
    Answer,
    chat,
    continuation,
    echoes,
    error,
    free_port,
    serving,
)

from agents.models.base import (
    CallFailed,
    Completion,
    Message,
    ModelUnavailable,
    Sampling,
    ScoresUnavailable,
)
from agents.models.openai.engine import OpenAIModel, from_spec
from agents.models.openai.reply import read_completion
from folkways.errors import UserError

KEY = "sk-test-0123456789abcdef"
GREETING: list[Message] = [
    {"role": "system", "content": "You are Ana."},
    {"role": "user", "content": "Greet Bo."},
]
PLAIN = Sampling()
SCHEMA = {
    "type": "object",
    "properties": {"action": {"enum": ["speak", "none"]}},
    "required": ["action"],
    "additionalProperties": False,
}
T = TypeVar("T")


def with_model(url: str, do: Callable[[OpenAIModel], Awaitable[T]], **options: Any) -> T:
    """Run `do` on a model at `url` and close it; a call that never ends is a failure."""

    async def run() -> T:
        model = OpenAIModel("test", "m", url, KEY, **{"max_retries": 0, **options})
        try:
            return await asyncio.wait_for(do(model), 60)
        finally:
            await model.close()

    return asyncio.run(run())


def answered(url: str, sampling: Sampling = PLAIN, **options: Any) -> Completion:
    return with_model(url, lambda model: model.complete(GREETING, sampling), **options)


def failure(do: Callable[[], object]) -> Exception:
    """Return what `do` raises, after a look for the key in all that could be printed of it."""
    with pytest.raises((CallFailed, UserError)) as caught:
        do()
    printed = "".join(traceback.format_exception(caught.value))
    assert KEY not in printed
    assert "\n" not in str(caught.value)
    return caught.value


def call_failure(do: Callable[[], object]) -> CallFailed:
    failed = failure(do)
    assert isinstance(failed, CallFailed), failed
    return failed


def test_a_chat_is_sent_with_all_its_parameters_and_read_with_its_costs() -> None:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 600},
    }
    sampling = Sampling(temperature=0.7, top_p=0.9, max_tokens=50, stop=("\n", "BO:"), seed=5)
    with serving(chat(usage=usage)) as server:
        completion = with_model(
            server.url,
            lambda model: model.complete(GREETING, sampling, SCHEMA),
            prices=(2.0, 0.5, 8.0),
        )
    assert completion == Completion(
        text="Good morning.",
        finish_reason="stop",
        prompt_tokens=1000,
        completion_tokens=20,
        cached_tokens=600,
        attempts=1,
        cost=pytest.approx((400 * 2.0 + 600 * 0.5 + 20 * 8.0) / 1e6),
    )
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.authorization == f"Bearer {KEY}"
    assert asked.body == {
        "model": "m",
        "messages": GREETING,
        "temperature": 0.7,
        "top_p": 0.9,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "repeat_penalty": 1.1,
        "max_tokens": 50,
        "stop": ["\n", "BO:"],
        "seed": 5,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True},
        },
    }


def test_variables_of_the_chat_template_go_with_every_chat() -> None:
    options = {"template": {"enable_thinking": False}}
    with serving(chat()) as server:
        answered(server.url, **options)
        with pytest.raises(ScoresUnavailable):
            chat_scores(server.url, ["1"], **options)
        with_model(server.url, lambda model: model.complete("Once", PLAIN), **options)
    told = [asked.body.get("chat_template_kwargs") for asked in server.asked]
    paths = [asked.path.rpartition("/v1")[2] for asked in server.asked]
    assert paths == ["/chat/completions"] * 2 + ["/completions"]
    assert told == [{"enable_thinking": False}] * 2 + [None]


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("quiet", "template is 'quiet'; it maps variables"),
        ({"messages": []}, "template.messages is set by the chat itself"),
    ],
)
def test_what_is_no_variable_is_refused(template: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        OpenAIModel("test", "m", "http://localhost/v1", KEY, template=template)


def test_text_is_continued_and_ends_before_a_stop_string_even_if_the_server_goes_on() -> None:
    with serving(continuation(" Hello, Bo.\nBO: Hello!", finish_reason="length")) as server:
        completion = with_model(
            server.url, lambda model: model.complete("ANA:", Sampling(stop=("BO:", "\n")))
        )
    assert (completion.text, completion.finish_reason) == (" Hello, Bo.", "stop")
    assert server.asked[0].path == "/v1/completions"
    assert server.asked[0].body["prompt"] == "ANA:"


def test_a_reply_cut_by_its_limit_says_so() -> None:
    with serving(chat("Good mor", finish_reason="length")) as server:
        assert answered(server.url).finish_reason == "length"


def test_tokens_that_the_server_does_not_report_stay_unknown() -> None:
    with serving(chat(usage=None)) as server:
        completion = answered(server.url, prices=(1.0, 1.0, 1.0))
    assert completion.prompt_tokens is None
    assert completion.completion_tokens is None
    assert completion.cached_tokens is None
    assert completion.cost is None


def test_a_slow_answer_within_the_timeout_is_fine() -> None:
    with serving(Answer(chat().body, wait_s=0.5)) as server:
        assert answered(server.url, timeout_s=20).attempts == 1
    assert len(server.asked) == 1


LONG = "max_tokens=3000 is not supported: the model's context length is 2048 tokens"
FAILURES = {
    "500": (error(500, "internal"), "server-error", 3),
    "429 for good": (error(429, "slow down"), "server-error", 3),
    "hang": (Answer(b"{}", wait_s=60), "timeout", 3),
    "blanks without end": (Answer(b"{}", blanks=True), "timeout", 3),
    "cut in the body": (Answer(chat().body, cut=True), "server-error", 3),
    "invalid JSON": (Answer(b'{"choices": [{"mess'), "bad-response", 1),
    "HTML": (Answer(b"<h1>hello</h1>", headers={"Content-Type": "text/html"}), "bad-response", 1),
    "another shape": (Answer(b'["m"]'), "bad-response", 1),
    "error with status 200": (Answer(b'{"error": {"message": "upstream"}}'), "server-error", 3),
    "empty choices": (chat(choices=[]), "bad-response", 1),
    "no message": (chat(choices=[{"finish_reason": "stop"}]), "bad-response", 1),
    "null content": (chat(None), "bad-response", 1),
    "a call of a tool": (chat(None, finish_reason="tool_calls"), "bad-response", 1),
    "broken off": (chat(finish_reason="error"), "server-error", 1),
    "refusal": (chat(None, refusal="I will not say that."), "refusal", 1),
    "content filter": (chat("I will not", finish_reason="content_filter"), "refusal", 1),
    "filtered prompt": (error(400, "filtered", code="content_filter"), "refusal", 1),
    "prompt too long": (error(400, LONG), "prompt-too-long", 1),
    "any other 400": (error(400, "nonsense"), "server-error", 4),
}


@pytest.mark.parametrize(("answer", "reason", "attempts"), FAILURES.values(), ids=FAILURES)
def test_each_failure_has_its_reason_and_its_attempts(
    answer: Answer, reason: str, attempts: int
) -> None:
    with serving(answer) as server:
        failed = call_failure(lambda: answered(server.url, timeout_s=1, max_retries=2))
    assert failed.reason == reason
    assert failed.attempts == attempts == len(server.asked)


def test_a_refusal_is_quoted() -> None:
    with serving(chat(None, refusal="I will not say that.")) as server:
        assert "I will not say that." in str(failure(lambda: answered(server.url)))


def test_retry_after_is_honoured() -> None:
    busy = error(429, "slow down", headers={"Retry-After": "1"})
    with serving(busy, busy, chat()) as server:
        assert answered(server.url, max_retries=5).attempts == 3
    times = [asked.time_s for asked in server.asked]
    assert len(times) == 3
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))


@pytest.mark.parametrize("answer", [error(500, "x"), Answer(chat().body, cut=True)])
def test_a_passing_failure_costs_one_more_attempt(answer: Answer) -> None:
    with serving(answer, chat()) as server:
        assert answered(server.url, max_retries=2).attempts == 2
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error(401, f"Incorrect API key provided: {KEY}"), "OPENAI_API_KEY"),
        (error(403, f"The key {KEY} may not use m"), "HTTP 403"),
        (error(404, "The model `m` does not exist", code="model_not_found"), "'m'"),
        (error(400, "Invalid model: m"), "'m'"),
        (error(429, "You exceeded your quota", code="insufficient_quota"), "account"),
        (
            error(402, "Nothing left", details=[{"retryDelay": "7200s"}]),
            "will answer again in 2:00:00 (h:mm:ss), at 2",
        ),
        (error(400, "temperature does not support 0.8", param="temperature"), "temperature"),
    ],
)
def test_what_only_the_user_can_mend_makes_the_model_unavailable(
    answer: Answer, words: str
) -> None:
    with serving(answer) as server:
        unavailable = failure(lambda: answered(server.url))
    assert isinstance(unavailable, ModelUnavailable)
    assert words in str(unavailable)
    assert len(server.asked) == 1 + (words == "temperature")


def test_an_echoed_key_is_hidden_in_a_failed_call() -> None:
    with serving(error(400, f"bad header: Bearer {KEY}"), Answer(KEY.encode())) as server:
        assert "***" in str(failure(lambda: answered(server.url)))
        assert "***" in str(failure(lambda: answered(server.url)))


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_an_unreachable_endpoint_is_named(host: str) -> None:
    url = f"http://{host}:{free_port()}/v1"
    for unavailable in (
        failure(lambda: with_model(url, OpenAIModel.start, max_retries=1)),
        failure(lambda: answered(url, max_retries=1)),
    ):
        assert isinstance(unavailable, ModelUnavailable)
        assert f"cannot reach {url}" in str(unavailable)


def test_parameters_that_the_endpoint_refuses_are_left_out_from_then_on() -> None:
    forbidden = {"detail": [{"loc": ["body", "repetition_penalty"], "msg": "Extra inputs"}]}
    script = (
        error(400, "Unrecognized request argument supplied: min_p"),
        Answer(json.dumps(forbidden).encode(), 422),
        error(400, "Unsupported parameter: 'max_tokens'", param="max_tokens"),
        chat(),
    )

    async def twice(model: OpenAIModel) -> list[Completion]:
        return [await model.complete(GREETING, Sampling(max_tokens=9)) for _ in range(2)]

    with serving(*script) as server:
        first, second = with_model(server.url, twice)
    assert (first.attempts, second.attempts) == (4, 1)
    assert server.asked[3].body == server.asked[4].body
    assert server.asked[4].body == {
        "model": "m",
        "messages": GREETING,
        "temperature": 0.75,
        "top_p": 1.0,
        "repeat_penalty": 1.1,
        "max_completion_tokens": 9,
    }


def test_a_prompt_that_is_too_long_changes_no_parameter() -> None:
    with serving(error(400, LONG), chat()) as server:
        failure(lambda: answered(server.url, Sampling(seed=1)))
        answered(server.url, Sampling(seed=1))
    assert [set(asked.body) for asked in server.asked[1:]] == [set(server.asked[0].body)]


def test_openai_itself_is_spared_the_parameters_it_does_not_know() -> None:
    program = (
        "import asyncio; from agents.models.openai.engine import OpenAIModel; "
        "from agents.models.base import Sampling; "
        "model = OpenAIModel('t', 'm', 'http://api.openai.com/v1', 'k', max_retries=0); "
        "asyncio.run(model.complete('A:', Sampling()))"
    )
    with serving(continuation(" yes")) as server:
        proxy = {"HTTP_PROXY": server.url.removesuffix("/v1"), "NO_PROXY": ""}
        proxy |= {name.lower(): value for name, value in proxy.items()}
        subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, **proxy})
    (asked,) = server.asked
    assert asked.path == "http://api.openai.com/v1/completions"
    assert set(asked.body) == {"model", "prompt", "temperature", "top_p", "max_tokens"}


def test_no_more_calls_than_allowed_run_at_once() -> None:
    async def many(model: OpenAIModel) -> list[Completion]:
        return await asyncio.gather(*(model.complete(GREETING, PLAIN) for _ in range(9)))

    with serving(Answer(chat().body, wait_s=0.05)) as server:
        assert len(with_model(server.url, many, concurrency=3)) == 9
    assert server.most_in_flight == 3


def test_waiting_for_one_s_turn_is_no_timeout() -> None:
    async def many(model: OpenAIModel) -> list[Completion]:
        return await asyncio.gather(*(model.complete(GREETING, PLAIN) for _ in range(6)))

    with serving(Answer(chat().body, wait_s=0.5)) as server:
        completions = with_model(server.url, many, concurrency=1, timeout_s=2)
    assert [completion.attempts for completion in completions] == [1] * 6


def test_scores_are_sums_over_the_tokens_that_the_option_adds() -> None:
    prompt = [("<s>", None), ("Tea", -2.0), (" or", -1.0)]
    answer = echoes(
        prompt,
        [*prompt[:2], (" or", -1.1), (" cof", -0.5), ("fee", -0.25)],
        [*prompt[:2], (" order", -4.0)],
    )
    answer = Answer(answer.body.replace(b'"<s>Tea', b'"Tea'))
    with serving(answer) as server:
        scores = with_model(server.url, lambda model: model.score("Tea or", [" coffee", "der"]))
    assert scores == pytest.approx([-0.75, -4.0 + 1.0])
    assert server.asked[0].body["prompt"] == ["Tea or", "Tea or coffee", "Tea order"]


def likeliest(*tokens: tuple[str, float]) -> Answer:
    """Return a chat completion with the likeliest tokens of its beginning, the first one drawn."""
    top = [{"token": token, "logprob": value, "bytes": [49]} for token, value in tokens]
    said = {"role": "assistant", "content": tokens[0][0]}
    first = {"content": [top[0] | {"top_logprobs": top}]}
    return chat(choices=[{"index": 0, "message": said, "logprobs": first}])


def chat_scores(url: str, options: list[str], **how: Any) -> list[float]:
    return with_model(url, lambda model: model.score(GREETING, options), **how)


def test_a_chat_is_scored_by_the_likeliest_beginnings_of_its_answer() -> None:
    answer = likeliest(("2", -0.5), (" 1", -1.5), ("Well", -3.0), ("1", -4.0))
    too_new = error(400, "Unsupported parameter: 'max_tokens'", param="max_tokens")
    with serving(too_new, answer) as server:
        scores = chat_scores(server.url, ["1", " 1", "2", " 2"])
    assert scores == [-4.0, -1.5, -0.5, float("-inf")]
    assert server.asked[-1].path == "/v1/chat/completions"
    assert server.asked[0].body == {
        "model": "m", "messages": GREETING, "logprobs": True, "top_logprobs": 20, "max_tokens": 1,
        "temperature": 1.0,
    }  # fmt: skip
    assert "max_tokens" not in server.asked[1].body
    assert server.asked[1].body["max_completion_tokens"] == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (error(500, "internal"), "server-error"), (Answer(b"{", 200), "bad-response"),
        (Answer(b"{}", wait_s=60), "timeout"), (error(400, LONG), "prompt-too-long"),
        (Answer(b'{"choices": [{"logprobs": {"content": [{"token": 1}]}}]}'), "bad-response"),
    ],
)  # fmt: skip
def test_scoring_a_chat_fails_for_a_reason(answer: Answer, reason: str) -> None:
    with serving(answer) as server:
        failed = call_failure(
            lambda: with_model(
                server.url, lambda model: model.score(GREETING, ["1"]), timeout_s=0.4
            )
        )
    assert failed.reason == reason


@pytest.mark.parametrize(
    "answer",
    [
        error(404, "no such path"),
        error(400, "echo is not supported"),
        error(400, "logprobs are not available for this model", param="logprobs"),
        Answer(json.dumps({"choices": [{"index": i, "text": "!"} for i in (0, 1)]}).encode()),
    ],
)
def test_an_endpoint_without_log_probabilities_says_so(answer: Answer) -> None:
    with serving(answer) as server:
        refused = failure(lambda: with_model(server.url, lambda model: model.score("A", ["b"])))
        chatting = failure(lambda: chat_scores(server.url, ["1", "2"]))
    for one in (refused, chatting):
        assert isinstance(one, ScoresUnavailable)
        assert "no log-probabilities of given text" in str(one)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_no_want_of_log_probabilities(status: int) -> None:
    with serving(error(status, f"no such key: {KEY}")) as server:
        refused = failure(lambda: chat_scores(server.url, ["1", "2"]))
    assert isinstance(refused, ModelUnavailable)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "text", "usage", "finish_reason"]),
            inner,
        )
    ),
)


@given(JSON_VALUES.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_body_is_an_answer_or_a_bad_response(content: bytes) -> None:
    try:
        completion = read_completion(content, (), 1, None)
    except CallFailed as failed:
        assert failed.reason in ("bad-response", "refusal", "server-error")
    else:
        assert isinstance(completion.text, str)


@pytest.mark.parametrize(
    ("spec", "environ", "model", "url"),
    [
        ("m@http://127.0.0.1:8000/v1", {}, "m", "http://127.0.0.1:8000/v1"),
        ("@cf/org/m@https://h.example/v1/", {}, "@cf/org/m", "https://h.example/v1"),
        ("m", {"OPENAI_BASE_URL": "http://h.example/v1"}, "m", "http://h.example/v1"),
        ("m", {"OPENAI_API_KEY": KEY}, "m", "https://api.openai.com/v1"),
    ],
)
def test_a_spec_gives_name_and_address(
    spec: str, environ: dict[str, str], model: str, url: str
) -> None:
    made = from_spec(spec, environ=environ)
    assert (made.name, made.model, made.base_url) == (f"openai:{spec}", model, url)


@pytest.mark.parametrize(
    ("spec", "environ", "words"),
    [
        ("m@localhost:8000/v1", {}, "http://"),
        ("m@ftp://h.example/v1", {}, "http://"),
        ("m@http://", {}, "http://HOST"),
        ("m@http://h.example:port/v1", {}, "malformed"),
        ("m@http://h.example:99999/v1", {}, "malformed"),
        ("m@http://h example/v1", {}, "malformed"),
        ("m@http://h\n.example/v1", {}, "malformed"),
        ("m@http://[::1", {}, "malformed"),
        ("m@http://h.example/v1?key=1", {}, "malformed"),
        (f"m@https://me:{KEY}@h.example/v1", {}, "OPENAI_API_KEY"),
        ("", {}, "no name"),
        ("@http://h.example/v1", {}, "no name"),
        ("http://h.example/v1", {"OPENAI_API_KEY": KEY}, "write NAME@http://h.example/v1"),
        ("m", {"OPENAI_BASE_URL": "h.example/v1"}, "OPENAI_BASE_URL"),
        ("m", {}, "OPENAI_API_KEY"),
        ("m", {"OPENAI_API_KEY": f"{KEY}\n{KEY}"}, "line break"),
        ("m", {"OPENAI_API_KEY": "clé"}, "ASCII"),
    ],
)
def test_a_malformed_spec_is_refused(spec: str, environ: dict[str, str], words: str) -> None:
    refused = failure(lambda: from_spec(spec, environ=environ))
    assert isinstance(refused, UserError)
    assert words in str(refused)


def test_an_address_among_the_options_is_not_left_out() -> None:
    refused = failure(lambda: from_spec("m", base_url="http://127.0.0.1:1/v1"))
    assert "write m@http://127.0.0.1:1/v1" in str(refused)


BUSY = error(429, "slow down", headers={"retry-after-ms": "5"})


@pytest.mark.parametrize(
    ("refused", "others", "attempts"), [(7, True, 8), (7, False, 2), (1000, True, 12)]
)
def test_what_is_refused_while_others_are_answered_gets_its_turn_within_bounds(
    refused: int, others: bool, attempts: int
) -> None:
    """With two attempts a round; where nobody is answered the first round is the last one."""
    asked = Counter[bool]()

    def reply(body: Any, number: int) -> Answer:
        unlucky = "unlucky" in str(body)
        asked[unlucky] += 1
        return BUSY if unlucky and asked[unlucky] <= refused else chat("Hm.")

    async def ask(model: OpenAIModel) -> Completion | CallFailed:
        async def go_on() -> None:
            while others:
                await model.complete(GREETING, PLAIN)

        crowd = asyncio.create_task(go_on())
        try:
            return await model.complete([{"role": "user", "content": "unlucky"}], PLAIN)
        except CallFailed as failed:
            return failed
        finally:
            crowd.cancel()

    with serving(reply=reply) as server:
        found = with_model(server.url, ask, max_retries=1)
    assert found.attempts == attempts == asked[True]
    assert isinstance(found, Completion) == (refused < attempts)
