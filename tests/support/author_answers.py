"""What a model that adapts scenarios or writes new ones would have answered."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from agents.authoring.manuscript import outline
from scenarios.library import load_scenario

SOUP = "soup-before-dusk"


def answer_like(name: str) -> dict[str, Any]:
    """Return the answer of a model that would have written a shipped adaptation."""
    scene = load_scenario(name)
    people = {person.id: person for person in scene.personas}
    answer: dict[str, Any] = {"people": {}}
    for role, part in scene.roles.items():
        person = people[part.persona or ""].model_dump(mode="json")
        first, second = person["name"].split(" ", 1)
        family_first = scene.culture in ("JPN", "CHN")
        names = (first, second) if family_first else (second, first)
        answer["people"][role] = {
            "family_name": names[0], "given_name": names[1],
            **{key: value for key, value in person.items() if value is not None},
        }  # fmt: skip
    return {"move": dict.fromkeys(("place", "occasion", "instead"), "Elsewhere.")} | (
        answer | outline(scene)
    )


PLAN: dict[str, Any] = {
    "title": "The third week",
    "theme": "hospitality-and-gifts",
    "setting": "A flat above a noodle shop in Weinan, a rainy Thursday before supper. The cousin "
    "from the county town has slept on the sofa for three weeks, and nobody has said a word.",
    "roles": [
        {"role": "Host", "brief": "The one whose flat it is.", "secret": "",
         "goal": "You want the sofa back by Sunday.", "gender": "any", "youngest": 20,
         "oldest": 70},
        {"role": "Guest", "brief": "A cousin on a visit.", "gender": "any", "youngest": 20,
         "goal": "You want to stay until work turns up.", "oldest": 70,
         "secret": "There is no job interview on Monday; the firm turned you down long ago."},
    ],
    "relationships": [
        {"first": 1, "second": 2, "type": "cousins", "closeness": 3, "status": 1},
    ],
    "event": {"at": 5, "text": "The shop below pulls its shutter down."},
    "stop": ["that is agreed", "so be it"],
    "against": "A household must know how many it has to feed.",
}  # fmt: skip


def plan(number: int, **changes: Any) -> dict[str, Any]:
    """Return one of any number of plans that differ from each other."""
    rooms = [f"{room}{number}" for room in ("attic", "barge", "canteen", "depot", "embassy")]
    told = " ".join(f"The {room} is cold." for room in rooms)
    base = deepcopy(PLAN) | {"title": f"Week {number}", "setting": told}
    for role in base["roles"]:
        role["goal"] = f"You want the {role['role']} out of {' and '.join(rooms)}."
    return base | changes
