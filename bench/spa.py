"""Collecting answers for CultureSPA: answers per second, against two other ways of asking.

Part one is step 2 of a run as users run it, store and all: made-up questions, without a culture and
for each, log-probabilities, options in forward order. Part two gives the same prompts to vLLM's own
batch call, each time in a fresh process with an empty cache: culture by culture, as part one has
them, and question by question. Part three asks some of them the published way: one prompt at a
time, generated text, batches of one, transformers.

Run it with: python bench/spa.py [QUESTIONS] [CULTURES] [PROMPTS OF PART THREE]
or, part one alone with the fake model: python bench/spa.py --fake [QUESTIONS] [CULTURES]
"""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import duckdb
from asking import ASKING, SEQUENCES, batch_apart, prompts, published

from eval.item import load_items
from folkways.clock import utc_now
from simulation.store.record import Record
from simulation.store.writer import Store
from training.culturespa.collect import chosen_questions, collect, make_planner
from training.culturespa.config import CULTURES, SpaConfig
from training.culturespa.questions import as_item, question_id, question_row, settle_questions


def prepare(out: Path, model: str, questions: int, cultures: int) -> SpaConfig:
    """Return a run with questions: survey items, over and over, each time about another town."""
    options = {"max_num_seqs": SEQUENCES} if model.startswith("vllm") else {}
    config = SpaConfig.model_validate(
        {
            "name": "bench", "out": str(out), "model": {"name": model, "options": options},
            "cultures": CULTURES[:cultures], "per_topic": questions,
            "collection": {"readouts": ["logprobs"], "orders": "forward"},
        }
    )  # fmt: skip
    config.run.mkdir()
    settle_questions(config)
    items, numbers, rows = list(load_items().values()), count(1), []
    for number in range(questions):
        item = items[number % len(items)]
        ask = f"In town {number + 1}: {item.ask}"
        labels = {place: label for place, label in enumerate(item.options.values(), 1)}
        made = as_item(question_id(item.topic, next(numbers)), item.topic, ask, labels)
        rows.append(question_row(made, None, 0.0, utc_now()))
    Store(config.run).append([Record({"spa_questions": rows}, "written")])
    return config


def ours(config: SpaConfig) -> tuple[int, float, float | None]:
    """Return answers, seconds without loading the model, and the prefix-cache hit rate."""
    assert collect(config, quiet=True) == "done"
    with duckdb.connect(str(config.run / "log.duckdb"), read_only=True) as con:
        row = con.execute(ASKING).fetchone()
    assert row is not None
    return row


def tell(what: str, answers: int, seconds: float, hit_rate: float | None = None) -> None:
    cached = "" if hit_rate is None else f", prefix-cache hit rate {hit_rate:.1%}"
    print(f"  {what:<28} {answers:>7} in {seconds:>7.1f} s: {answers / seconds:>8.2f}/s{cached}")


def main(model: str, questions: int = 400, cultures: int = 6, singles: int = 88) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = prepare(folder, model, questions, cultures)
        print(f"{questions} questions, without a culture and for {cultures}, {model}")
        began = time.process_time()
        answers, seconds, hit_rate = ours(config)
        tell("ours", answers, seconds, hit_rate)
        print(
            f"  of ours, this process {(time.process_time() - began) / answers * 1e3:.2f} ms each"
        )
        if model == "fake":
            return
        planner = make_planner(config, chosen_questions(config, Store(config.run)))
        asked = prompts(planner)
        by_culture = batch_apart(asked, folder)
        tell("batch call by culture", answers, *by_culture)
        sheet = len(planner.items)
        by_question = [one for at in range(sheet) for one in asked[at::sheet]]
        tell("batch call by question", answers, *batch_apart(by_question, folder))
    single = published(asked[:: max(1, len(asked) // singles)][:singles])
    tell("one by one", singles, single)
    rate = answers / seconds
    print(f"ratio to the batch call {rate / (answers / by_culture[0]):.2f}, "
          f"to one by one {rate / (singles / single):.1f}")  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fake"]:
        main("fake", *map(int, sys.argv[2:4]))
    else:
        main("vllm:embedded", *map(int, sys.argv[1:4]))
