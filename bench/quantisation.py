"""One model's weights in several quantisations, on the engine over llama.cpp: tokens a CPU-second.

The file is quantised again into a temporary folder; all are loaded at once and take turns on one
thread, so that other work on the machine slows all of them. Q8_0 and Q4_0 are what llama.cpp
repacks for the processor.

Run it with: python bench/quantisation.py [FILE.gguf] [ROUNDS]
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import gguf
import numpy as np

from agents.models.base import Model, Sampling, open_model
from agents.models.weights import packaged_gguf

KINDS = ("Q8_0", "Q4_0")
PROMPT_NUMBERS, ANSWER_TOKENS = 300, 100


def quantise(source: Path, target: Path, kind: str) -> None:
    """Write a GGUF file's weights in another quantisation; what is not quantised stays."""
    reader, to = gguf.GGUFReader(source), gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            writer.add_key_value(name, field.contents(), *field.types[:2])
    for tensor in reader.tensors:
        if tensor.tensor_type == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(tensor.name, np.ascontiguousarray(tensor.data))
            continue
        whole = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(
            tensor.name, gguf.quants.quantize(whole.astype(np.float32), to), raw_dtype=to
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


async def rates(model: Model, rng: random.Random) -> tuple[float, float]:
    """Return the tokens a CPU-second of a prompt, and of an answer to a short one."""
    text = " ".join(str(rng.randrange(1_000)) for _ in range(PROMPT_NUMBERS))
    began = time.process_time()
    read = await model.complete(text, Sampling(max_tokens=1, seed=1))
    told = time.process_time()
    answer = await model.complete(f"In {rng.random()}", Sampling(max_tokens=ANSWER_TOKENS, seed=1))
    ended = time.process_time()
    return (read.prompt_tokens or 0) / (told - began), (answer.completion_tokens or 0) / (
        ended - told
    )


async def measure(files: dict[str, Path], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return the rates of every round, by file."""
    models = {name: open_model(f"llama:{file}", {"threads": 1}) for name, file in files.items()}
    for model in models.values():
        await model.start()
    rng, found = random.Random(1), dict[str, list[tuple[float, float]]]()
    for _ in range(rounds):
        for name, model in models.items():
            found.setdefault(name, []).append(await rates(model, rng))
    for model in models.values():
        await model.close()
    return found


def main(file: str = "", rounds: int = 5) -> None:
    """Print one row for each quantisation; ratios are to the file as it is, round by round."""
    source = Path(file) if file else packaged_gguf()[0]
    with tempfile.TemporaryDirectory() as folder:
        files = {source.stem: source}
        for kind in KINDS:
            quantise(source, files.setdefault(kind, Path(folder) / f"{kind}.gguf"), kind)
        found = asyncio.run(measure(files, rounds))
        sizes = {name: path.stat().st_size / 2**20 for name, path in files.items()}
    print("| weights | MiB | prompt tokens a CPU-second | ratio | answer tokens | ratio |")
    print("|---|---|---|---|---|---|")
    for name, rows in found.items():
        cells = [f"{sizes[name]:.0f}"]
        for part in (0, 1):
            pairs = zip(rows, found[source.stem], strict=True)
            ratio = statistics.median(ours[part] / first[part] for ours, first in pairs)
            cells += [f"{statistics.median(row[part] for row in rows):.0f}", f"{ratio:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
