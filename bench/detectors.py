"""How well the detectors do in each language, on cases written for them: precision and recall.

A case is what one speaker says in a conversation, sound or with one fault (`detector_cases/`, a
file a language). Of every list the first, third and so on were looked at while the detectors were
made; the others were set aside and are told apart.

Run it with: python bench/detectors.py [tuned|aside|missed]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import yaml

from agents.conversation import Conversation, Line, Person
from agents.critics.detector import detect
from scenarios.culture import load_cultures

CASES = Path(__file__).with_name("detector_cases")


class Case(NamedTuple):
    """What one speaker says, and whether a detector should flag it."""

    language: str
    detector: str
    faulty: bool
    aside: bool
    """Whether it was set aside while the detectors were made."""
    text: str
    """Turns with ` | ` between them; before ` => ` the speaker's secret."""


class Tally(NamedTuple):
    """What a detector made of some cases."""

    faulty: int
    found: int
    sound: int
    false_alarms: int

    @property
    def precision(self) -> float | None:
        flagged = self.found + self.false_alarms
        return self.found / flagged if flagged else None

    @property
    def recall(self) -> float:
        return self.found / self.faulty


def load() -> list[Case]:
    """Return all cases."""
    return [
        Case(file.stem, detector, kind == "faulty", number % 2 == 1, text)
        for file in sorted(CASES.glob("*.yaml"))
        for detector, kinds in yaml.safe_load(file.read_text(encoding="utf-8")).items()
        for kind, texts in kinds.items()
        for number, text in enumerate(texts)
    ]


def conversation(case: Case) -> Conversation:
    """Return a conversation in which Ada says the case's turns, and Bela nods in between."""
    culture = load_cultures()["GBR"]
    before, _, said = case.text.rpartition(" => ")
    people = tuple(
        Person(
            role=name.lower(), name=name, age=40, occupation="baker", place="Nether Wallop",
            culture=culture, language=case.language, brief="A villager.", background="Born here.",
            goal="You want to be heard.", secret=secret,
        )
        for name, secret in (("Ada", before or None), ("Bela", None))
    )  # fmt: skip
    lines: list[Line] = []
    for turn in said.split(" | "):
        lines.append(Line(len(lines) + 1, "ada", "Ada", "speak", turn))
        lines.append(Line(len(lines) + 1, "bela", "Bela", "non-verbal", "nods"))
    return Conversation("e" * 16, "A visit", "A kitchen.", culture, (), people, tuple(lines))


def flags(case: Case) -> bool:
    """Return whether the case's detector flags it."""
    found = detect(conversation(case))
    return any(one.flagged for one in found if (one.role, one.detector) == ("ada", case.detector))


def tally(cases: list[Case]) -> Tally:
    """Return what their detectors make of some cases."""
    faulty, sound = ([c for c in cases if c.faulty is kind] for kind in (True, False))
    return Tally(len(faulty), sum(map(flags, faulty)), len(sound), sum(map(flags, sound)))


def rows(cases: list[Case]) -> Iterator[str]:
    """Yield the rows of a table: a language each and one of all, precision and recall of each
    detector."""
    detectors = list(dict.fromkeys(case.detector for case in cases))
    yield f"| language | cases | {' | '.join(f'`{name}`' for name in detectors)} |"
    yield "|---|---|" + "---|" * len(detectors)
    for language in (*dict.fromkeys(case.language for case in cases), "all"):
        mine = [case for case in cases if language in (case.language, "all")]
        cells = []
        for name in detectors:
            one = tally([case for case in mine if case.detector == name])
            precision = "none" if one.precision is None else f"{one.precision:.2f}"
            cells.append(f"{precision}, {one.recall:.2f}" if one.faulty else "")
        yield f"| {language} | {len(mine)} | {' | '.join(cells)} |"


def main(which: str = "") -> None:
    cases = load()
    if which == "missed":
        for case in cases:
            if not case.aside and flags(case) is not case.faulty:
                print(case.language, case.detector, "faulty" if case.faulty else "sound", case.text)
        return
    for aside in (False, True):
        if which in ("", "aside" if aside else "tuned"):
            print("Set aside" if aside else "Looked at", "(precision, recall)\n")
            print("\n".join(rows([case for case in cases if case.aside is aside])) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
