"""Items are given out, come back and are given up: none is lost, none is done twice."""

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from simulation.execution.scheduler import ALONE_AFTER, GIVEN_UP_AFTER, Scheduler


def test_batches_are_full_until_nothing_is_left() -> None:
    async def all_batches() -> list[list[int]]:
        scheduler, batches, done = Scheduler(iter("abcde"), 5, 2), [], set[int]()
        while batch := await scheduler.take("one"):
            batches.append([task.number for task in batch])
            done |= {task.number for task in batch}
            await scheduler.requeue("one", batches[-1], done)
        return batches

    assert asyncio.run(all_batches()) == [[0, 1], [2, 3], [4]]


def test_what_a_dead_worker_had_goes_to_others_but_for_what_it_had_written() -> None:
    async def second() -> list[int]:
        scheduler = Scheduler(iter("abcd"), 4, 4)
        await scheduler.take("one")
        waiting = asyncio.create_task(scheduler.take("two"))
        await asyncio.sleep(0)
        assert not waiting.done(), "all is in other hands, and may come back"
        await scheduler.release("one", {1}, died=True)
        return [task.number for task in await waiting]

    assert asyncio.run(second()) == [0, 2, 3]


def test_an_item_that_kills_is_given_out_alone_and_then_given_up() -> None:
    async def deaths() -> tuple[int, list[list[int]], int]:
        scheduler, done, alone = Scheduler(iter(range(4)), 4, 4), set[int](), list[list[int]]()
        died = 0
        while batch := await scheduler.take(f"worker {died}"):
            numbers = [task.number for task in batch]
            if batch[0].deaths >= ALONE_AFTER:
                alone.append(numbers)
            if 2 in numbers:  # the poisoned one
                await scheduler.release(f"worker {died}", done, died=True)
                died += 1
            else:
                done |= set(numbers)
                await scheduler.requeue(f"worker {died}", numbers, done)
        return died, alone, scheduler.given_up

    died, alone, given_up = asyncio.run(deaths())
    assert died == GIVEN_UP_AFTER and given_up == 1
    assert all(len(numbers) == 1 for numbers in alone)
    assert {0, 1} <= {number for numbers in alone for number in numbers}, "the innocent are done"


def test_stopping_wakes_whoever_waits() -> None:
    async def stopped() -> list[object]:
        scheduler = Scheduler(iter("ab"), 2, 2)
        await scheduler.take("one")
        waiting = [
            asyncio.create_task(scheduler.take("two")),
            asyncio.create_task(scheduler.wanted()),
        ]
        await asyncio.sleep(0)
        await scheduler.stop()
        return list(await asyncio.gather(*waiting))

    assert asyncio.run(stopped()) == [[], False]


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 4), st.integers(0, 2**32))
def test_every_item_is_done_once_or_given_up(
    count: int, size: int, workers: int, seed: int
) -> None:
    """Workers do some of a batch, and then finish it, leave the rest, or die."""
    rng = random.Random(seed)

    async def play() -> tuple[set[int], list[int], int]:
        scheduler, done, times = Scheduler(iter(range(count)), count, size), set[int](), list[int]()

        async def work(place: int) -> None:
            lives = 0
            while await scheduler.wanted():
                name = f"{place} {lives}"
                while batch := await scheduler.take(name):
                    numbers = [task.number for task in batch]
                    written = numbers[: rng.randint(0, len(numbers))]
                    times.extend(written)
                    done.update(written)
                    await asyncio.sleep(0)
                    if rng.random() < 0.3:
                        break
                    await scheduler.requeue(name, numbers, done)
                await scheduler.release(name, done, died=True)
                lives += 1

        await asyncio.wait_for(asyncio.gather(*map(work, range(workers))), 20)
        assert scheduler.held == 0
        return done, times, scheduler.given_up

    done, times, given_up = asyncio.run(play())
    assert len(times) == len(done), "nothing is done twice"
    assert len(done) + given_up == count


def test_it_is_over_when_all_is_done_or_it_was_stopped() -> None:
    async def overs() -> list[bool]:
        found = [Scheduler(iter(""), 0, 2).over.is_set()]
        scheduler = Scheduler(iter("ab"), 2, 2)
        await scheduler.take("one")
        found.append(scheduler.over.is_set())
        await scheduler.requeue("one", [0, 1], {0, 1})
        found.append(scheduler.over.is_set())
        other = Scheduler(iter("ab"), 2, 2)
        await other.stop()
        return [*found, other.over.is_set()]

    assert asyncio.run(overs()) == [True, False, True, True]
