"""Local engines on the embedded weights: tokens/s, CPU-seconds a turn, start-up and memory.

Scenes of eight turns are played at once on each engine, in a process of its own; a prompt is
all that was said before. vLLM computes in processes of its own and is left out.

Run it with: python bench/local.py [ENGINE,...] [SCENES,...]
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agents.models.base import Model, Sampling, open_model

TURNS, MAX_TOKENS = 8, 32
OPENING = (
    "Scene {number}. Two neighbours meet at the gate on a Sunday morning. Ana has a basket of "
    "plums; Bo has come for the ladder that he lent her in spring.\n\nANA: Good morning, Bo!\nBO:"
)
PACKAGES = {"llama": "xllamacpp", "hf": "transformers"}


async def scene(model: Model, number: int) -> int:
    """Play one scene and return its completion tokens."""
    text, tokens = OPENING.format(number=number), 0
    for turn in range(TURNS):
        sampling = Sampling(max_tokens=MAX_TOKENS, stop=("\n",), seed=turn)
        answer = await model.complete(text, sampling)
        tokens += answer.completion_tokens or 0
        text += f"{answer.text}\n{('ANA', 'BO')[turn % 2]}:"
    return tokens


async def measure(engine: str, scenes: int) -> dict[str, float]:
    """Return what playing so many scenes at once takes on an engine."""
    began = time.perf_counter()
    model = open_model(f"{engine}:embedded")
    await model.start()
    ready, cpu = time.perf_counter(), time.process_time()
    tokens = sum(await asyncio.gather(*(scene(model, number) for number in range(scenes))))
    seconds, cpu = time.perf_counter() - ready, time.process_time() - cpu
    await model.close()
    return {
        "start": ready - began, "rate": tokens / seconds, "cpu": cpu / (scenes * TURNS),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def main(engines: list[str], scenes: list[int]) -> None:
    """Print one row for each engine and number of scenes, and how much CPU the first saves."""
    print("| scenes | engine | tokens/s | CPU s a turn | of the first | start s | memory MiB |")
    print("|---|---|---|---|---|---|---|")
    for count in scenes:
        first = None
        for engine in engines:
            command = [sys.executable, __file__, "measure", engine, str(count)]
            ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(ended.stdout.splitlines()[-1])
            first = first or found["cpu"]
            print(
                f"| {count} | `{engine}` | {found['rate']:.1f} | {found['cpu']:.2f} | "
                f"{found['cpu'] / first:.1f} | {found['start']:.1f} | {found['memory']:,.0f} |"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(asyncio.run(measure(sys.argv[2], int(sys.argv[3])))))
    else:
        here = [name for name in PACKAGES if importlib.util.find_spec(PACKAGES[name])]
        chosen = sys.argv[1].split(",") if len(sys.argv) > 1 else here
        counts = sys.argv[2].split(",") if len(sys.argv) > 2 else ["1", "4", "16"]
        main(chosen, [int(count) for count in counts])
