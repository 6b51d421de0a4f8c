"""One side of bench/peers.py: scenes of two agents in Sotopia, the model stubbed just below its
client. It runs in an environment that has Sotopia, imports nothing of folkways and prints one line
of JSON: CPU seconds, wall seconds and turns.

Run it with: PYTHON_WITH_SOTOPIA bench/peer_sotopia.py EPISODES TURNS LIVE LATENCY_S
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from types import SimpleNamespace
from typing import Any

os.environ["SOTOPIA_STORAGE_BACKEND"] = "local"

import sotopia.generation_utils.generate as generation
from sotopia.agents import LLMAgent
from sotopia.database import AgentProfile, EnvironmentProfile
from sotopia.envs.evaluators import RuleBasedTerminatedEvaluator
from sotopia.envs.parallel import ParallelSotopiaEnv
from sotopia.server import arun_one_episode

logging.disable(logging.CRITICAL)
MODEL = "gpt-4o-mini"
LINES = (
    "I have waited here since noon, and nobody has said a word to me about it.",
    "You are right, that was not kind. Let me look at the list once more.",
    "There are two names before mine. Could one of them come later today?",
    "Perhaps. I will ask, but I cannot promise that they agree.",
)
PEOPLE = (("Agnes", "Moor", 61, "baker"), ("Pavel", "Lind", 34, "nurse"))


def stub(latency_s: float) -> Any:
    """Return what takes the place of the client's call: a line after so many seconds."""
    number = iter(range(10**9))

    async def complete(**asked: Any) -> Any:
        await asyncio.sleep(latency_s)
        said = {"action_type": "speak", "argument": LINES[next(number) % len(LINES)]}
        message = SimpleNamespace(content=json.dumps(said))
        return SimpleNamespace(choices=[SimpleNamespace(message=message)])

    return complete


async def play(turns: int) -> int:
    """Play one scene; return its turns."""
    agents = [
        LLMAgent(
            agent_profile=AgentProfile(
                first_name=first, last_name=last, age=age, occupation=occupation,
                public_info=f"{first} lives near the harbour and has a small garden.",
            ),
            model_name=MODEL,
        )
        for first, last, age, occupation in PEOPLE
    ]  # fmt: skip
    setting = "A long table in the hall, in the evening, after everything has been said once."
    ends = RuleBasedTerminatedEvaluator(max_turn_number=turns, max_stale_turn=turns)
    ends.prompt = ""  # the environment reads it of its last judge; here none asks a model
    env = ParallelSotopiaEnv(
        model_name=MODEL,
        action_order="round-robin",
        evaluators=[ends],
        terminal_evaluators=[ends],
        env_profile=EnvironmentProfile(scenario=setting, agent_goals=["You want to be heard."] * 2),
    )
    messages = await arun_one_episode(env, agents)
    return sum(getattr(message, "action_type", "none") == "speak" for _, _, message in messages)


async def main(episodes: int, turns: int, live: int, latency_s: float) -> None:
    generation.acompletion = stub(latency_s)
    gate = asyncio.Semaphore(live)

    async def one() -> int:
        async with gate:
            return await play(turns)

    cpu, wall = time.process_time(), time.perf_counter()
    played = await asyncio.gather(*(one() for _ in range(episodes)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "turns": sum(played)}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
