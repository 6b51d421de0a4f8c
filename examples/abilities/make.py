"""Makes the questions in data/: `python examples/abilities/make.py` writes the same files again.

Sums and comparisons are computed. kinds.csv (words of the same kind; the odd one out is of another)
and sense.csv (the beginning of a sentence, the one ending that makes sense, three that do not) are
written by hand. Every answer is as often in one place as in any other.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from operator import add, mul, sub
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent
EACH = 60
"""Questions of a task; it is divided by 2, 3 and 4, and by the number of kinds."""
OPERATIONS = {"plus": add, "minus": sub, "times": mul}
Document = dict[str, Any]


def sums(rng: Random) -> Iterator[Document]:
    """Yield sums of small numbers; wrong results are near and have as many digits."""
    seen: set[tuple[str, int, int]] = set()
    while len(seen) < EACH:
        word = [*OPERATIONS][len(seen) % len(OPERATIONS)]
        a, b = rng.randint(2, 9 if word == "times" else 40), rng.randint(2, 9)
        result = OPERATIONS[word](a, b)
        if (word, a, b) in seen or not 10 <= result <= 99:
            continue
        near = [n for n in range(result - 12, result + 13) if 10 <= n <= 99 and n != result]
        question = f"Question: What is {a} {word} {b}?\nAnswer:"
        yield document("sums", len(seen), question, str(result), map(str, rng.sample(near, 3)))
        seen.add((word, a, b))


def larger(rng: Random) -> Iterator[Document]:
    """Yield pairs of numbers with as many digits, the larger one first in every other."""
    for number in range(EACH):
        low, high = sorted(rng.sample(range(10, 100) if number % 4 < 2 else range(100, 1000), 2))
        one, two = (high, low) if number % 2 == 0 else (low, high)
        question = f"Question: Which number is larger, {one} or {two}?\nAnswer:"
        yield document("larger", number, question, str(high), [str(low)])


def odd(rng: Random) -> Iterator[Document]:
    """Yield three words of a kind and one of another; every kind comes as often as any other."""
    kinds = {row["kind"]: row["words"].split() for row in rows("kinds.csv")}
    for number in range(EACH):
        kind = [*kinds][number % len(kinds)]
        alike = rng.sample(kinds[kind], 3)
        stranger = rng.choice(kinds[rng.choice([other for other in kinds if other != kind])])
        asked = document("odd", number, "", stranger, alike)
        listed = ", ".join(asked["choices"])
        asked["question"] = f"Question: Which word does not belong: {listed}?\nAnswer:"
        yield asked


def sense(_: Random) -> Iterator[Document]:
    """Yield beginnings of sentences with four endings."""
    for number, row in enumerate(rows("sense.csv")):
        start, right, *wrong = row.values()
        yield document("sense", number, start, right, wrong)


def document(task: str, number: int, question: str, right: str, wrong: Any) -> Document:
    """Return a question; the place of the answer follows from its number."""
    choices = list(wrong)
    place = number % (len(choices) + 1)
    choices.insert(place, right)
    return {
        "id": f"{task}-{number + 1:02}", "question": question, "choices": choices, "answer": place,
    }  # fmt: skip


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a file written by hand."""
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def texts() -> dict[str, str]:
    """Return the content of every file in data/ by name."""
    return {
        f"{make.__name__}.jsonl": "".join(
            json.dumps(each, ensure_ascii=False) + "\n" for each in make(Random(make.__name__))
        )
        for make in (sums, larger, odd, sense)
    }


if __name__ == "__main__":
    for name, text in texts().items():
        (HERE / "data" / name).write_text(text, encoding="utf-8", newline="\n")
