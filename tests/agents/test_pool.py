"""The pool of endpoints, against real servers that fail on order."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pytest
import yaml
from misbehaving_server import (
    Answer,
    Server,
    chat,
    echoes,
    error,
    free_port,
    models,
    serving,
)

from agents.models.base import (
    CallFailed,
    Completion,
    Message,
    ModelUnavailable,
    Sampling,
    ScoresUnavailable,
    open_model,
)
from agents.models.fake import FakeModel
from agents.models.pool.endpoint import EndpointState
from agents.models.pool.engine import PoolModel
from agents.models.pool.pool_file import EndpointConfig, HealthConfig, PoolConfig, read_pool
from agents.models.pool.token_bucket import BURST, TokenBucket
from folkways.errors import UserError
from simulation.config import RunConfig
from simulation.plan import make_plan
from simulation.run import launch

ROOT = Path(__file__).parents[2]
GREETING: list[Message] = [{"role": "user", "content": "Greet Bo."}]
PLAIN = Sampling(max_tokens=20)
OK = chat("Hello, Bo.")
BROKEN = error(502, "bad gateway")
T = TypeVar("T")


class Clock:
    """A clock that sleepers push forward."""

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, list[float]()
        self.look: Callable[[], object] = int
        """Called whenever somebody goes to sleep."""

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.look()
        await asyncio.sleep(0)
        self.now += seconds


def endpoint(name: str, server: Server | str, **more: Any) -> dict[str, Any]:
    url = server if isinstance(server, str) else server.url
    options = {"max_retries": 0, "timeout_s": 20} | more.pop("options", {})
    return {"name": name, "model": f"openai:m@{url}", "options": options, **more}


def with_pool(
    folder: Path,
    endpoints: Sequence[dict[str, Any]],
    do: Callable[[PoolModel], Awaitable[T]],
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
    **settings: Any,
) -> T:
    """Run `do` on the pool of a file; a call that never ends is a failure."""
    path = folder / "pool.yaml"
    path.write_text(yaml.safe_dump({"endpoints": list(endpoints), **settings}), encoding="utf-8")
    time_ = {"clock": clock, "sleep": clock.sleep} if clock else {}

    async def run() -> T:
        pool = PoolModel(f"pool:{path}", *read_pool(path, environ or {}), **time_)
        try:
            return await asyncio.wait_for(do(pool), 60)
        finally:
            await pool.close()

    return asyncio.run(run())


async def ask(pool: PoolModel) -> Completion:
    return await pool.complete(GREETING, PLAIN)


def asking(count: int) -> Callable[[PoolModel], Awaitable[list[Completion]]]:
    async def many(pool: PoolModel) -> list[Completion]:
        return await asyncio.gather(*(ask(pool) for _ in range(count)))

    return many


def fakes(*settings: dict[str, Any], **more: Any) -> PoolConfig:
    """Return the settings of a pool of fake models."""
    named = [{"name": f"e{n}", "model": "fake"} | each for n, each in enumerate(settings)]
    return PoolConfig.model_validate({"endpoints": named, **more})


# Who is asked -------------------------------------------------------------------------------------


def test_calls_are_shared_by_weight_and_each_tells_its_endpoint(tmp_path: Path) -> None:
    async def in_a_row(pool: PoolModel) -> list[Completion]:
        return [await ask(pool) for _ in range(20)]

    with serving(OK) as big, serving(OK) as small:
        places = [endpoint("big", big, weight=3), endpoint("small", small)]
        done = with_pool(tmp_path, places, in_a_row)
    served = [one.endpoint for one in done]
    assert Counter(served) == {"big": 15, "small": 5}
    assert all(Counter(served[at : at + 4])["big"] == 3 for at in range(0, 20, 4))
    assert (len(big.asked), len(small.asked)) == (15, 5)
    assert {one.attempts for one in done} == {1}


def test_no_endpoint_has_more_in_flight_than_it_may(tmp_path: Path) -> None:
    slow = Answer(OK.body, wait_s=0.05)
    with serving(slow) as one, serving(slow) as two:
        places = [endpoint("one", one, concurrency=2), endpoint("two", two, concurrency=3)]
        done = with_pool(tmp_path, places, asking(25))
    assert (one.most_in_flight, two.most_in_flight) == (2, 3)
    assert len(done) == len(one.asked) + len(two.asked) == 25


def test_first_come_is_first_served() -> None:
    order: list[int] = []
    model = FakeModel(latency_s=0.001, reply=lambda _, sampling, __: order.append(sampling.seed))  # type: ignore

    async def run() -> None:
        pool = PoolModel("pool", fakes({"concurrency": 1}), [model])
        await asyncio.gather(
            *(pool.complete("", Sampling(seed=number)) for number in range(20)),
            return_exceptions=True,
        )

    asyncio.run(run())
    assert order == list(range(20))


def test_a_call_that_is_moved_keeps_its_place(tmp_path: Path) -> None:
    async def run(pool: PoolModel) -> None:
        prompts: list[list[Message]] = [[{"role": "user", "content": c}] for c in "abcde"]
        await asyncio.gather(*(pool.complete(prompt, PLAIN) for prompt in prompts))

    with serving(BROKEN, OK) as server:
        place = endpoint("one", server, concurrency=1)
        with_pool(tmp_path, [place], run)
    order = [asked.body["messages"][0]["content"] for asked in server.asked]
    assert order == ["a", "a", "b", "c", "d", "e"]


def test_a_large_call_is_not_overtaken_by_small_ones_for_ever() -> None:
    clock, order = Clock(), list[int]()

    def reply(_: Any, sampling: Sampling, __: Any) -> str:
        order.append(sampling.max_tokens)
        return "x" * 4 * sampling.max_tokens

    async def run() -> None:
        pool = PoolModel("pool", fakes({"tokens_per_minute": 1000}), [FakeModel(reply=reply)],
                         clock=clock, sleep=clock.sleep)  # fmt: skip
        sizes = [60, 60, 90, 1, 1, 1, 1]
        await asyncio.gather(*(pool.complete("", Sampling(max_tokens=size)) for size in sizes))

    asyncio.run(run())
    assert order == [60, 60, 90, 1, 1, 1, 1]


# How much -----------------------------------------------------------------------------------------


def busiest_minute(events: Sequence[tuple[float, float]]) -> float:
    return max(sum(n for at, n in events if start <= at < start + 60) for start, _ in events)


@pytest.mark.parametrize("per_minute", [1, 3, 30, 600])
def test_no_minute_sees_more_requests_than_allowed(per_minute: int) -> None:
    clock, sent = Clock(), list[tuple[float, float]]()
    model = FakeModel(reply=lambda *_: sent.append((clock(), 1)) or "Yes.")

    async def run() -> None:
        config = fakes({"requests_per_minute": per_minute}, wait_s=30)
        pool = PoolModel("pool", config, [model], clock=clock, sleep=clock.sleep)
        await asyncio.gather(*(ask(pool) for _ in range(3 * per_minute)))

    asyncio.run(run())
    assert len(sent) == 3 * per_minute
    assert busiest_minute(sent) <= per_minute
    assert clock.now - 1000 <= 60 * 3 / (1 - BURST) + 60 / (1 - BURST)


def test_tokens_are_reserved_ahead_and_settled_by_what_was_used() -> None:
    clock, spent = Clock(), list[tuple[float, float]]()

    def reply(_: Any, sampling: Sampling, __: Any) -> str:
        spent.append((clock(), 12))
        return "x" * 4 * 9  # ten tokens, and two of the prompt

    async def run(count: int) -> None:
        pool = PoolModel("pool", fakes({"tokens_per_minute": 600}), [FakeModel(reply=reply)],
                         clock=clock, sleep=clock.sleep)  # fmt: skip
        for _ in range(count):
            await pool.complete("Greet Bo.", Sampling(max_tokens=50))
        assert pool.endpoints()[0].tokens == 12 * count

    asyncio.run(run(100))
    assert busiest_minute(spent) <= 600
    # 1,200 tokens at 540 a minute; had the reserve been kept, the 5,300 would have taken 9 minutes.
    assert clock.now - 1000 == pytest.approx((1200 - 60) / 540 * 60, rel=0.1)


def test_retries_within_an_endpoint_count_as_requests(tmp_path: Path) -> None:
    clock = Clock()
    with serving(BROKEN, BROKEN, OK) as server:
        place = endpoint("one", server, requests_per_minute=1, options={"max_retries": 2})

        async def twice(pool: PoolModel) -> int:
            return sum([(await ask(pool)).attempts for _ in range(2)])

        assert with_pool(tmp_path, [place], twice, clock) == 4
    assert clock.now - 1000 >= 3 * 60


def test_a_jump_of_the_clock_gives_nothing_away() -> None:
    assert inspect.signature(PoolModel).parameters["clock"].default is time.monotonic
    clock = Clock()
    bucket = TokenBucket(60, clock)
    bucket.take(6)
    wait = bucket.delay(1)
    clock.now -= 86_400
    assert bucket.delay(1) == pytest.approx(wait)
    clock.now += wait
    assert bucket.delay(1) == pytest.approx(0, abs=1e-6)


def test_a_call_that_is_given_up_returns_its_slot_and_its_tokens(tmp_path: Path) -> None:
    async def hurried(pool: PoolModel) -> list[Any]:
        calls = [asyncio.create_task(ask(pool)) for _ in range(3)]
        while pool.endpoints()[0].in_flight < 1:
            await asyncio.sleep(0.01)
        calls[0].cancel()  # in flight
        calls[1].cancel()  # waits
        return await asyncio.gather(*calls, return_exceptions=True)

    with serving(Answer(OK.body, wait_s=60), OK) as server:
        # A call reserves 23 tokens: were they kept, the third call would wait for two minutes.
        place = endpoint("one", server, concurrency=1, tokens_per_minute=10)
        first, second, third = with_pool(tmp_path, [place], hurried)
    assert isinstance(first, asyncio.CancelledError) and isinstance(second, asyncio.CancelledError)
    assert third.endpoint == "one"


def test_any_storm_of_cancellations_leaves_no_slot_behind() -> None:
    rng = random.Random(5)

    async def run() -> None:
        pool = PoolModel("pool", fakes({"concurrency": 2}, {"concurrency": 1}),
                         [FakeModel(latency_s=0.002), FakeModel(latency_s=0.001)])  # fmt: skip
        calls = [asyncio.create_task(ask(pool)) for _ in range(300)]
        while not all(call.done() for call in calls):
            rng.choice(calls).cancel()
            await asyncio.sleep(rng.choice([0, 0, 0.001]))
        await asyncio.gather(*calls, return_exceptions=True)
        assert [one.in_flight for one in pool.endpoints()] == [0, 0]
        assert (await ask(pool)).text
        served = sum(one.served for one in pool.endpoints())
        assert served == 1 + sum(not call.cancelled() for call in calls)

    asyncio.run(run())


# When one fails -----------------------------------------------------------------------------------

ITS_OWN_FAULT = {
    "500": BROKEN,
    "429": error(429, "slow down"),
    "hang": Answer(b"{}", wait_s=60),
    "blanks": Answer(b"{}", blanks=True),
    "cut": Answer(OK.body, cut=True),
    "no JSON": Answer(b"<h1>hello</h1>"),
    "another shape": Answer(b"{}"),
    "wrong key": error(401, "no such key"),
    "wrong model": error(404, "The model `m` does not exist", code="model_not_found"),
}


@pytest.mark.parametrize("answer", ITS_OWN_FAULT.values(), ids=ITS_OWN_FAULT)
def test_a_call_moves_on_when_an_endpoint_fails_it(answer: Answer, tmp_path: Path) -> None:
    with serving(answer) as sick, serving(OK) as well:
        patience = {"timeout_s": 1 if answer.wait_s or answer.blanks else 20}
        places = [endpoint("sick", sick, weight=9, options=patience), endpoint("well", well)]
        done = with_pool(tmp_path, places, ask)
    assert (done.text, done.endpoint, done.attempts) == ("Hello, Bo.", "well", 2)
    assert (len(sick.asked), len(well.asked)) == (1, 1)


def test_a_call_moves_on_from_an_endpoint_that_is_gone(tmp_path: Path) -> None:
    async def run(pool: PoolModel) -> Completion:
        done = await ask(pool)
        assert [one.state for one in pool.endpoints()] == ["sick", "ok"]
        assert "cannot reach" in (pool.endpoints()[0].reason or "")
        return done

    with serving(OK) as well:
        gone = endpoint("gone", f"http://127.0.0.1:{free_port()}/v1", weight=9)
        assert with_pool(tmp_path, [gone, endpoint("well", well)], run).endpoint == "well"


PROMPTS_FAULT = {
    "prompt-too-long": error(400, "the model's context length is 2048 tokens"),
    "refusal": chat(None, refusal="I will not say that."),
}


@pytest.mark.parametrize(("reason", "answer"), PROMPTS_FAULT.items(), ids=PROMPTS_FAULT)
def test_what_the_prompt_brings_about_is_not_tried_elsewhere(
    reason: str, answer: Answer, tmp_path: Path
) -> None:
    async def run(pool: PoolModel) -> CallFailed:
        with pytest.raises(CallFailed) as caught:
            await ask(pool)
        assert [one.state for one in pool.endpoints()] == ["ok", "ok"]
        return caught.value

    with serving(answer) as first, serving(OK) as second:
        places = [endpoint("first", first, weight=9), endpoint("second", second)]
        failed = with_pool(tmp_path, places, run)
    assert (failed.reason, failed.attempts) == (reason, 1)
    assert second.asked == []


def test_a_call_moves_so_often_and_then_fails_with_all_its_attempts(tmp_path: Path) -> None:
    async def run(pool: PoolModel) -> CallFailed:
        with pytest.raises(CallFailed) as caught:
            await ask(pool)
        return caught.value

    with serving(BROKEN) as one, serving(BROKEN) as two:
        places = [endpoint("one", one), endpoint("two", two, options={"max_retries": 1})]
        failed = with_pool(tmp_path, places, run, moves=3, health={"failures": 100})
    assert failed.reason == "server-error"
    assert (len(one.asked), len(two.asked)) == (2, 4)
    assert failed.attempts == 6


def test_a_sick_endpoint_is_drained_looked_at_and_brought_back(tmp_path: Path) -> None:
    clock, seen = Clock(), list[EndpointState]()

    async def run(pool: PoolModel) -> Counter[str | None]:
        clock.look = lambda: seen.append(pool.endpoints()[0])
        served = Counter[str | None]()
        while pool.endpoints()[0].served <= 10:
            served[(await ask(pool)).endpoint] += 1
        seen.append(pool.endpoints()[0])
        return served

    with serving(*[BROKEN] * 5, OK) as ill, serving(OK) as well:
        places = [endpoint("ill", ill), endpoint("well", well)]
        health = {"failures": 3, "pause_s": 2, "longest_pause_s": 5}
        served = with_pool(tmp_path, places, run, clock, health=health)
    assert [one.state for one in seen] == ["sick", "sick", "sick", "ok"]
    assert [one.failed for one in seen] == [3, 4, 5, 5]
    assert "HTTP 502" in (seen[0].reason or "") and seen[-1].reason is None
    assert clock.slept == [2, 4, 5]
    assert served["ill"] == len(ill.asked) - 5 == 11


def test_an_endpoint_on_trial_gets_one_call_at_a_time(tmp_path: Path) -> None:
    slow = Answer(OK.body, wait_s=0.2)

    async def run(pool: PoolModel) -> None:
        await ask(pool)
        await asyncio.gather(*(ask(pool) for _ in range(8)))

    with serving(BROKEN, slow) as ill, serving(OK, Answer(OK.body, wait_s=0.5)) as well:
        places = [endpoint("ill", ill, weight=9), endpoint("well", well, concurrency=1)]
        with_pool(tmp_path, places, run, Clock(), health={"failures": 1})
    _, trial, second, *_ = (asked.time_s for asked in ill.asked)
    assert second >= trial + 0.2
    assert ill.most_in_flight > 1


def test_a_trial_does_not_wait_for_calls_that_still_hang(tmp_path: Path) -> None:
    async def run(pool: PoolModel) -> str | None:
        hanging = asyncio.create_task(ask(pool))
        while not ill.asked:
            await asyncio.sleep(0.01)
        await ask(pool)
        assert pool.endpoints()[0].in_flight == 1
        while pool.endpoints()[0].state != "trial":
            await asyncio.sleep(0.01)
        done = await ask(pool)
        assert not hanging.done()
        hanging.cancel()
        return done.endpoint

    with serving(Answer(b"{}", wait_s=60), BROKEN, OK) as ill, serving(OK) as well:
        places = [endpoint("ill", ill, weight=9), endpoint("well", well)]
        assert with_pool(tmp_path, places, run, Clock(), health={"failures": 1}) == "ill"


def test_an_endpoint_that_turns_wrong_is_named_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(pool: PoolModel) -> list[Completion]:
        done = [await ask(pool) for _ in range(10)]
        assert pool.endpoints()[0].state == "sick"
        assert "FIRST_KEY" in (pool.endpoints()[0].reason or "")
        return done

    with serving(OK, OK, error(401, "no")) as turned, serving(OK) as well:
        place = endpoint("turned", turned) | {"api_key_env": "FIRST_KEY"}
        keys = {"FIRST_KEY": "sk-first", "OPENAI_API_KEY": "sk-other"}
        done = with_pool(tmp_path, [place, endpoint("well", well)], run, environ=keys)
    assert Counter(one.endpoint for one in done) == {"turned": 2, "well": 8}
    assert {asked.authorization for asked in turned.asked} == {"Bearer sk-first"}
    assert {asked.authorization for asked in well.asked} == {"Bearer sk-other"}
    (told,) = caplog.messages
    assert "endpoint turned gets no calls" in told and "FIRST_KEY" in told


# When none is left --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [(BROKEN, CallFailed, "no endpoint took the call within 0.3 s (one: "),
     (error(401, "no"), ModelUnavailable, "can be used: one: ")],
)  # fmt: skip
def test_a_call_waits_for_an_endpoint_and_then_fails(
    answer: Answer, kind: type[Exception], words: str, tmp_path: Path
) -> None:
    with serving(answer, listing=answer) as one, serving(answer, listing=answer) as two:
        places = [endpoint("one", one), endpoint("two", two)]
        with pytest.raises(kind) as caught:
            with_pool(tmp_path, places, ask, wait_s=0.3, health={"failures": 1, "pause_s": 60})
    assert words in str(caught.value) and "; two: http" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_call_that_only_found_others_in_front_of_it_ran_out_of_time(tmp_path: Path) -> None:
    async def run(pool: PoolModel) -> CallFailed:
        first = asyncio.create_task(ask(pool))
        await asyncio.sleep(0)
        with pytest.raises(CallFailed) as caught:
            await ask(pool)
        first.cancel()
        return caught.value

    with serving(Answer(OK.body, wait_s=60)) as server:
        failed = with_pool(tmp_path, [endpoint("one", server, concurrency=1)], run, wait_s=0.2)
    assert (failed.reason, failed.attempts) == ("timeout", 0)
    assert "(one: busy)" in str(failed)


def test_start_names_each_endpoint_when_none_can_be_reached(tmp_path: Path) -> None:
    missing = error(404, "no such model")
    with serving(listing=models("other"), probe=missing) as other:
        places = [endpoint("far", f"http://127.0.0.1:{free_port()}/v1"), endpoint("other", other)]
        with pytest.raises(ModelUnavailable) as caught:
            with_pool(tmp_path, places, PoolModel.start)
    assert "far: cannot reach http" in str(caught.value)
    assert "has no model 'm'; known: other" in str(caught.value)


def test_start_goes_on_with_those_that_can_and_finds_the_others_later(tmp_path: Path) -> None:
    clock, port = Clock(), free_port()

    async def run(pool: PoolModel) -> list[str]:
        await pool.start()
        assert [one.state for one in pool.endpoints()] == ["sick", "ok"]
        assert (await ask(pool)).endpoint == "there"
        return [one.state for one in pool.endpoints()]

    with serving(OK) as there:
        places = [endpoint("far", f"http://127.0.0.1:{port}/v1"), endpoint("there", there)]
        assert with_pool(tmp_path, places, run, clock) == ["sick", "ok"]
    assert clock.slept[:1] == [1.0]


def test_long_prompts_make_no_endpoint_sick_in_whatever_words(tmp_path: Path) -> None:
    gemini = "The input token count (12000) exceeds the maximum number of tokens allowed (8192)."
    body = [{"error": {"code": 400, "message": gemini, "status": "INVALID_ARGUMENT"}}]
    too_long = Answer(json.dumps(body).encode(), 400)

    async def run(pool: PoolModel) -> list[str]:
        for _ in range(12):
            with pytest.raises(CallFailed) as caught:
                await ask(pool)
            assert (caught.value.reason, caught.value.attempts) == ("prompt-too-long", 1)
        return [one.state for one in pool.endpoints()]

    with serving(too_long) as one, serving(too_long) as two:
        places = [endpoint("one", one), endpoint("two", two)]
        assert with_pool(tmp_path, places, run) == ["ok", "ok"]
    assert len(one.asked) + len(two.asked) == 12


def test_a_local_engine_that_cannot_be_loaded_is_for_the_user_to_mend(tmp_path: Path) -> None:
    places = [{"name": "here", "model": "fake"}, {"name": "gone", "model": f"hf:{tmp_path}/no"}]
    with pytest.raises(UserError, match="no"):
        with_pool(tmp_path, places, PoolModel.start)


# Scores -------------------------------------------------------------------------------------------

ECHO = echoes([("Tea", None)], [("Tea", None), (" or", -0.5)])


async def scored(pool: PoolModel) -> list[float]:
    return await pool.score("Tea", [" or"])


def test_scores_come_from_endpoints_that_give_them(tmp_path: Path) -> None:
    async def run(pool: PoolModel) -> list[list[float]]:
        scores = [await scored(pool) for _ in range(3)]
        assert [one.state for one in pool.endpoints()] == ["ok", "ok"]
        assert (await ask(pool)).endpoint == "without"
        return scores

    none = error(400, "echo is not supported")
    with serving(none, OK) as without, serving(BROKEN, ECHO) as giving:
        places = [endpoint("without", without, weight=9), endpoint("giving", giving)]
        assert with_pool(tmp_path, places, run) == [[-0.5]] * 3
    assert (len(without.asked), len(giving.asked)) == (2, 4)


def test_a_pool_without_scores_says_so(tmp_path: Path) -> None:
    async def both(pool: PoolModel) -> list[Any]:
        return await asyncio.gather(*(scored(pool) for _ in range(4)), return_exceptions=True)

    none = error(404, "no such path")
    with serving(none) as one, serving(none) as two:
        places = [endpoint("one", one, concurrency=1), endpoint("two", two, concurrency=1)]
        found = with_pool(tmp_path, places, both)
    assert [type(each) for each in found] == [ScoresUnavailable] * 4


# The file -----------------------------------------------------------------------------------------

ONE = "endpoints:\n- {name: a, model: fake}\n"
FAULTS = {
    "an unknown key": (ONE + "retries: 3\n", "3:1: error: retries: unknown key"),
    "an unknown key of an endpoint": (
        "endpoints:\n- {name: a, model: fake, wait: 1}\n", "2:26: error: endpoints[1].wait"),
    "no endpoints": ("endpoints: []\n", "1:12: error: endpoints: too few"),
    "nothing": ("", "the file is empty"),
    "no model": ("endpoints: [{name: a}]\n", "endpoints[1].model: missing"),
    "a name twice": (ONE + "- {name: a, model: fake}\n", "3:10: error: endpoints[2].name"),
    "a reserved name": (ONE.replace("a,", "response-cache,"), "this name is taken"),
    "a negative weight": (
        "endpoints:\n- name: a\n  model: fake\n  weight: -1\n",
        "4:11: error: endpoints[1].weight: too small; found -1; allowed: more than 0"),
    "no room": (ONE.replace("}", ", concurrency: 0}"), "concurrency: too small"),
    "no tokens": (ONE.replace("}", ", tokens_per_minute: 0}"), "tokens_per_minute: too small"),
    "an unknown model": (ONE.replace("fake", "fakir"), "2:20: error: endpoints[1].model: unknown"),
    "an unknown option": (ONE.replace("}", ", options: {speed: 2}}"), "unexpected keyword"),
    "a pool in a pool": (ONE.replace("fake", "'pool:pool.yaml'"), "a pool holds no pools"),
    "a bad address": (ONE.replace("fake", "'openai:m@there'"), "http://"),
    "a key that is not set": (
        ONE.replace("fake", "'openai:m@http://h/v1', api_key_env: NO_SUCH_KEY"), "no NO_SUCH_KEY"),
    "a key for a local engine": (ONE.replace("}", ", api_key_env: K}"), "for openai models alone"),
    "no YAML": ("endpoints: [\n", "error: not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_file_is_refused_at_its_place(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        open_model(f"pool:{path}")
    assert str(caught.value).startswith(f"{path}:") and words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pool_needs_a_file_that_is_there() -> None:
    with pytest.raises(UserError, match=r"pool:FILE\.yaml"):
        open_model("pool")
    with pytest.raises(UserError, match="cannot read"):
        open_model("pool:no-such.yaml")


def test_the_example_file_says_every_field_and_is_sound() -> None:
    path = ROOT / "examples/endpoints/pool.yaml"
    config, models_ = read_pool(path, {"OTHER_KEY": "sk-other"})
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert written.keys() == PoolConfig.model_fields.keys()
    assert written["health"].keys() == HealthConfig.model_fields.keys()
    assert {key for each in written["endpoints"] for key in each} == (
        EndpointConfig.model_fields.keys()
    )
    assert [type(model).__name__ for model in models_] == ["OpenAIModel"] * len(config.endpoints)
    defaults = PoolConfig(endpoints=config.endpoints)
    assert (config.health, config.moves, config.wait_s) == (
        defaults.health, defaults.moves, defaults.wait_s,
    )  # fmt: skip
    page = (ROOT / "docs/endpoints.md").read_text(encoding="utf-8")
    assert f"```yaml\n{path.read_text(encoding='utf-8')}```" in page


# A whole run --------------------------------------------------------------------------------------


def test_a_run_tells_which_endpoint_served_what(tmp_path: Path) -> None:
    said = chat('{"action": "speak", "to": [], "whisper": false, "text": "The forms are gone."}')
    with serving(BROKEN, said) as one, serving(said, said, error(401, "no")) as two:
        priced = endpoint("one", one, options={"prices": [1, 1, 1]})
        places = {"endpoints": [priced, endpoint("two", two)], "health": {"pause_s": 60}}
        (tmp_path / "pool.yaml").write_text(yaml.safe_dump(places), encoding="utf-8")
        config = RunConfig.model_validate({
            "name": "pooled", "scenarios": ["soup-before-dusk"], "cultures": ["JPN"],
            "out": str(tmp_path), "limits": {"turns": 8}, "replicates": 2, "concurrency": 1,
            "model": {"name": f"pool:{tmp_path}/pool.yaml"},
        })  # fmt: skip
        assert launch(make_plan(config), limit=None, fresh=False, quiet=True) == "done"
    with duckdb.connect(str(tmp_path / "pooled" / "log.duckdb")) as con:
        loads = con.execute(
            "select endpoint, calls, failed_calls, retries, prompt_tokens, cost > 0 "
            "from endpoint_loads order by endpoint"
        ).fetchall()
        page = (ROOT / "docs/endpoints.md").read_text(encoding="utf-8")
        (query,) = re.findall(r"^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        assert [row[0] for row in con.execute(query).fetchall()] == ["one", "two"]
        said_turns = con.execute("select distinct text from turns").fetchall()
        latencies = con.execute(
            "from endpoint_loads select bool_and(median_latency_s <= p95_latency_s)"
        ).fetchone()
    assert said_turns == [("The forms are gone.",)] and latencies == (True,)
    assert [row[0] for row in loads] == ["one", "two"]
    assert loads[0][1] == len(one.asked) - 1 and loads[1][1] == 2
    assert sum(row[3] for row in loads) == 2
    assert loads[0][4:] == (100 * loads[0][1], True) and loads[1][5] is None
