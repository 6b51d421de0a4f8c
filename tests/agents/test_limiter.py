"""The limiter before an endpoint: what it can take is found out, and nothing is wasted on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from misbehaving_server import Answer, Server, chat, error, serving

from agents.models.base import CallFailed, Message, Sampling
from agents.models.deadline import time_limit
from agents.models.openai.engine import OpenAIModel
from agents.models.openai.limiter import FIRST, Limiter, Unanswered, retry_after

GREETING: list[Message] = [{"role": "user", "content": "Good morning."}]


def ask(server: Server, count: int, limit_s: float = 600, **options: Any) -> list[str]:
    """Ask so many questions at once; return each answer, or the reason why there is none."""

    async def one(model: OpenAIModel) -> str:
        try:
            async with time_limit(limit_s):
                return (await model.complete(GREETING, Sampling())).text
        except CallFailed as failed:
            return failed.reason
        except TimeoutError:
            return "out of time"

    async def all_of_them() -> list[str]:
        model = OpenAIModel("t", "m", server.url, "k", **options)
        try:
            return await asyncio.gather(*(one(model) for _ in range(count)))
        finally:
            await model.close()

    return asyncio.run(all_of_them())


def test_a_server_with_one_slot_answers_everybody_and_nothing_is_sent_twice() -> None:
    """All of them, one after the other, take more than one request and one call may."""
    with serving(Answer(chat("Hm.").body, wait_s=0.1), slots=1) as server:
        assert ask(server, 80, limit_s=6, timeout_s=4) == ["Hm."] * 80
    assert len(server.asked) <= 84


def test_a_server_with_one_slot_that_turns_others_away_is_asked_a_little_more() -> None:
    busy = error(503, "no slot is free")
    with serving(Answer(chat("Hm.").body, wait_s=0.02), slots=1, busy=busy) as server:
        assert ask(server, 60) == ["Hm."] * 60
    assert len(server.asked) < 60 * 1.35


def test_a_server_that_becomes_slow_is_asked_less_and_then_more_again() -> None:
    def reply(body: Any, number: int) -> Answer:
        return Answer(chat("Hm.").body, wait_s=1.9 if 20 <= number < 24 else 0.01)

    with serving(reply=reply) as server:
        assert ask(server, 100, timeout_s=1, concurrency=8) == ["Hm."] * 100
    assert len(server.asked) <= 106


def test_an_able_server_is_soon_given_all_that_is_allowed() -> None:
    with serving(Answer(chat("Hm.").body, wait_s=1.0)) as server:
        assert ask(server, 100, concurrency=24) == ["Hm."] * 100
    assert server.most_in_flight == 24
    assert FIRST < 24


def test_everybody_waits_as_long_as_one_was_told_to() -> None:
    told = error(429, "slow down", {"Retry-After": "1"})

    def reply(body: Any, number: int) -> Answer:
        return told if number == 5 else chat("Hm.")

    with serving(reply=reply) as server:
        assert ask(server, 20) == ["Hm."] * 20
    at = [asked.time_s for asked in server.asked]
    assert all(later < at[4] + 0.2 or later >= at[4] + 0.95 for later in at)


def test_a_dead_endpoint_is_not_waited_for_by_each_call_in_turn() -> None:
    """Fifty calls with two tries each would take 10 s one after the other."""
    began = time.monotonic()
    with serving(Answer(chat().body, wait_s=60)) as server:
        assert ask(server, 50, timeout_s=0.1, max_retries=1) == ["timeout"] * 50
    assert len(server.asked) < 20
    assert time.monotonic() - began < 5


def test_one_request_at_a_time_goes_on_trying_a_dead_endpoint() -> None:
    async def try_it() -> int:
        limiter = Limiter(8, timeout_s=1)
        for _ in range(12):
            await limiter.admit()
            limiter.given_up()
        await limiter.admit()
        waiting = asyncio.create_task(limiter.admit())
        await asyncio.sleep(0)
        limiter.given_up()
        with pytest.raises(Unanswered):
            await waiting
        await limiter.admit()
        limiter.answered(0.01)
        return limiter.bound

    assert asyncio.run(try_it()) == 1


def test_a_call_that_is_cancelled_in_the_line_leaves_its_place_to_others() -> None:
    async def try_it() -> None:
        limiter = Limiter(1, timeout_s=1)
        await limiter.admit()
        first, second = (asyncio.create_task(limiter.admit()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        limiter.left()
        await second
        third = asyncio.create_task(limiter.admit())
        await asyncio.sleep(0)
        limiter.left()
        third.cancel()  # it has its place, and does not know it yet
        await asyncio.gather(third, return_exceptions=True)
        await limiter.admit()

    asyncio.run(asyncio.wait_for(try_it(), 5))


def test_the_line_does_not_count_and_the_answer_does() -> None:
    with serving(Answer(chat("Hm.").body, wait_s=0.3), slots=1) as server:
        assert ask(server, 4, limit_s=0.5, concurrency=1) == ["Hm."] * 4
        assert ask(server, 2, limit_s=0.2, concurrency=1, max_retries=0) == ["out of time"] * 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3423"}, lambda s: s == 3423),
        ({"retry-after-ms": "1500", "retry-after": "2"}, lambda s: s == 1.5),
        ({"retry-after": "soon"}, lambda s: s is None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "50"}, lambda s: s == 50),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "50"}, lambda s: s is None),
        ({}, lambda s: s is None),
    ],
)
def test_what_a_server_says_of_the_time_to_wait(
    headers: dict[str, str], seconds: Callable[[float | None], bool]
) -> None:
    assert seconds(retry_after(headers))


def test_a_server_may_say_when_instead_of_how_long() -> None:
    at = time.time() + 3600
    used_up = {"x-ratelimit-remaining": "0"}
    for said in (
        {"retry-after": formatdate(at)},
        used_up | {"x-ratelimit-reset": f"{at:.0f}"},
        used_up | {"x-ratelimit-reset": f"{1000 * at:.0f}"},
    ):
        left = retry_after(said)
        assert left is not None and 3500 < left <= 3601
