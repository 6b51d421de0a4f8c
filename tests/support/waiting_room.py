"""A sound little scene in a waiting room that tests break, and the people who may play it."""

from __future__ import annotations

from pathlib import Path

from scenarios.checks.check import check_file
from scenarios.parsing.problem import Problem
from scenarios.parsing.yaml_file import load_yaml
from scenarios.persona import Persona

SCENE = """\
id: the-scene
title: The scene
theme: public-rules
setting: >-
  A waiting room in the town hall, shortly before it closes for the weekend.
roles:
  clerk:
    brief: The clerk behind the glass.
    goal: You want to go home on time.
  visitor:
    brief: A visitor who came late.
    goal: You need the stamp today.
    secret: The form you carry was signed by your brother in your name.
relationships:
  - between: [clerk, visitor]
    type: strangers
    closeness: 0
policy: addressed
limits: {turns: 10}
norms:
  - id: closing-time
    text: Closing time holds for everyone.
provenance: {author: a test, made: written by hand}
"""


def person(number: int, culture: str = "GBR", **fields: object) -> Persona:
    """Return one of any number of people."""
    plain = {
        "id": f"test-{number}", "name": f"Test {number}", "age": 40, "gender": "woman",
        "pronouns": "she/her", "occupation": "school nurse", "education": "vocational",
        "settlement": "town", "place": "Ludlow", "marital_status": "single", "household": "alone",
        "background": "Lives there.", "traits": ("calm", "curt"), "culture": culture,
        "languages": ("en",),
    }  # fmt: skip
    return Persona.model_validate(plain | fields)


PEOPLE = {p.id: p for p in (person(1), person(2, age=70), person(3, "JPN"), person(4, "JPN"))}


def check(text: str, folder: Path, name: str = "the-scene", **shipped: Path) -> list[Problem]:
    """Return the problems of a text saved as a file."""
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return check_file(path, shipped, PEOPLE)


def faults(name: str) -> dict[str, tuple[str, list[str]]]:
    """Return the cases of a file of faults: the edited scene and the lines that must be told."""
    cases = load_yaml(Path(__file__).with_name(name)).data
    assert all(case["replace"] in SCENE for case in cases)
    return {
        case["case"]: (SCENE.replace(case["replace"], case["by"]), case["told"]) for case in cases
    }


def agree(lines: list[str], told: list[str]) -> bool:
    """Return whether every line begins with what must be told, and nothing more is told."""
    return len(lines) == len(told) and all(
        any(line.startswith(f"F:{wanted}") for line in lines) for wanted in told
    )
