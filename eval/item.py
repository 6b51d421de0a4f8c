"""Survey items: what wave 7 of the World Values Survey asks, in our own words, and how it codes it.

Invariant: every number a data file may hold for an item is either a point of its scale or missing,
and `Item.status` says which; nothing else in the package decides that.

Numbers, codes and recodes are those of the WVS-7 codebook (Haerpfer et al. 2022,
doi:10.14281/18241.24); the wording in `items/*.yaml` is folkways' own.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from folkways.errors import unknown_name

_ITEM_FOLDER = Path(__file__).with_name("items")
"""One YAML file a topic, named by it."""

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

Scale = Literal["ordinal", "nominal", "binary"]
"""What may be computed: only points of an ordinal or binary scale have distances."""

Status = Literal[
    "valid",
    "other",
    "don't know",
    "no answer",
    "not applicable",
    "not asked",
    "missing",
    "out of range",
]
"""What a code says of an answer. "not asked" is the survey's design and no answer at all; "out of
range" is a code that the codebook does not know, which a loader has to count."""

MISSING: dict[int, Status] = {
    -1: "don't know",
    -2: "no answer",
    -3: "not applicable",
    -4: "not asked",
    -5: "missing",
}
"""Missing codes of every item column. They hold for items only: indices such as Y003 have valid
values below zero."""


class Item(BaseModel):
    """One question of the survey, with every code its column may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^([A-Za-z][A-Za-z0-9_.-]{0,79}|[a-z]+(-[a-z]+)*:[0-9]{4,})$")
    """Column name in the wave-7 file, or any name of an item of one's own; or, of a question that a
    model wrote, topic and number, such as corruption:0007."""
    topic: str = ""
    """Stem of the file it stands in."""
    ask: str = Field(min_length=1)
    """A complete question, or a statement to be judged; at most 30 words in the registry, 60 where
    a model wrote it, 300 in a survey of one's own."""
    scale: Scale
    options: dict[int, str] = Field(min_length=2)
    """From code, as in the file, to label, in code order. Where only the ends of a scale have
    words, the label of a point between them is its number."""
    higher: Literal["more", "less"] | None = None
    """Whether a higher point means more or less of what is asked; of a choice between two, of the
    one named first. Null where the scale is nominal."""
    other: tuple[int, ...] = ()
    """Options that are no point of the scale (another answer, does not apply), treated as missing.
    """
    recode: dict[int, int] = Field(default_factory=dict)
    """From code, as in the file, to point of the scale, where they differ."""
    integrated: str | None = Field(
        default=None, pattern=r"^[A-I][0-9]{3}[A-Z]?(_[0-9]{2}[A-Z]?)?(_B)?$"
    )
    """Name in the time-series and integrated files, where the answers may be coded differently
    (items on neighbours and child qualities, for instance, are 0 and 1 there)."""

    @model_validator(mode="after")
    def _check(self) -> Item:
        codes = list(self.options)
        labels = list(self.options.values())
        registry = re.fullmatch(r"Q[1-9][0-9]*[A-Z]?", self.id)
        longest = 60 if self.generated else 30 if registry else 300
        problems = {
            f"more than {longest} words": len(self.ask.split()) > longest,
            "options are not in code order": codes != sorted(codes),
            "a negative code is missing, not an option": codes[0] < 0,
            "two options have one label": len(set(labels)) < len(labels),
            "other or recode names no option": not {*self.other, *self.recode} <= set(codes),
            "an other option is recoded": bool(set(self.other) & set(self.recode)),
            "nominal scales have no polarity, all others need one": (self.scale == "nominal")
            != (self.higher is None),
            "binary means two points": self.scale == "binary" and len(self.points) != 2,
        }
        for problem, found in problems.items():
            if found:
                raise ValueError(f"{self.id}: {problem}")
        return self

    @property
    def generated(self) -> bool:
        """Whether a model wrote it."""
        return ":" in self.id

    @property
    def points(self) -> tuple[int, ...]:
        """The codes of the scale after recodes, ascending, without what is no point of it."""
        return tuple(sorted({self.recode.get(code, code) for code in self.scale_codes}))

    @property
    def scale_codes(self) -> tuple[int, ...]:
        """The codes, as in the file, that are points, in the order of the scale (then of codes)."""
        codes = (code for code in self.options if code not in self.other)
        return tuple(sorted(codes, key=lambda code: (self.recode.get(code, code), code)))

    @property
    def positions(self) -> dict[int, float]:
        """From point v to its place on the unit scale, (v - v_1) / (v_K - v_1).

        Raises ValueError for a nominal scale, whose points have no distances.
        """
        if self.scale == "nominal":
            raise ValueError(f"{self.id} is nominal: its options have no order and no distances")
        points = self.points
        return {point: (point - points[0]) / (points[-1] - points[0]) for point in points}

    @property
    def statement(self) -> bool:
        """Whether `ask` is a statement to be judged rather than a question."""
        return not self.ask.endswith("?")

    def status(self, code: int) -> Status:
        """Return what a code of the file says: a valid answer, or why there is none."""
        if code in self.options:
            return "other" if code in self.other else "valid"
        return MISSING.get(code, "out of range")

    def valid(self, code: int) -> bool:
        """Return whether a code of the file is a point of the scale. 0 is where it is an option."""
        return self.status(code) == "valid"

    def point(self, code: int) -> int | None:
        """Return the point of the scale that a code of the file stands for, None if it is missing.

        Two codes may share a point: 0 and 1 of Q241 to Q249 both say "not essential".
        """
        return self.recode.get(code, code) if self.valid(code) else None


class _Sheet(BaseModel):
    """A file of items."""

    model_config = ConfigDict(extra="forbid")

    topic: str
    items: tuple[dict[str, Any], ...] = Field(min_length=1)


def read_items(path: Path) -> tuple[Item, ...]:
    """Return the items of one topic's file; raises ValueError for whatever the schema forbids."""
    sheet = _Sheet.model_validate(yaml.load(path.read_text(encoding="utf-8"), _LOADER))
    if sheet.topic != path.stem:
        raise ValueError(f"{path.name} says its topic is '{sheet.topic}'; name both alike")
    return tuple(Item.model_validate({**entry, "topic": sheet.topic}) for entry in sheet.items)


@cache
def load_items() -> dict[str, Item]:
    """Return all items by id, in the order of the questionnaire; read once, not to be changed."""
    items = [item for path in _ITEM_FOLDER.glob("*.yaml") for item in read_items(path)]
    items.sort(key=lambda item: _place(item.id))
    by_id = {item.id: item for item in items}
    if len(by_id) < len(items):
        raise ValueError("two items share an id")
    return by_id


def _place(item_id: str) -> tuple[int, str]:
    """Return what sorts Q234A between Q234 and Q235."""
    number, letter = re.fullmatch(r"Q(\d+)([A-Z]?)", item_id).groups()  # type: ignore[union-attr]
    return int(number), letter


def _numbered(*numbers: int) -> tuple[str, ...]:
    return tuple(f"Q{number}" for number in numbers)


_THREES = (1, 46, 57, 106, 112, 121, 131, 158, 164, 176, 199, 235)
"""The first of three items of each topic that WorldValuesBench's probe set takes."""
_SETS: dict[str, tuple[str, ...]] = {
    "clca-44": _numbered(*range(1, 42), 43, 44, 45),
    "inglehart-welzel-10": _numbered(8, 14, 15, 17, 45, 46, 57, 154, 155, 164, 182, 184, 209, 254),
    "worldvaluesbench-36": _numbered(*(first + place for first in _THREES for place in range(3))),
}
"""Item sets by name. `clca-44` is that of Liu, Korhonen and Gurevych (2025), `worldvaluesbench-36`
the probe set of Zhao et al. (2024). The ten indicators of the Inglehart-Welzel map need 14 items:
autonomy (Y003) is made of Q8, Q14, Q15 and Q17, post-materialism (Y002) of Q154 and Q155."""


def preset(name: str) -> tuple[Item, ...]:
    """Return the items of a set or of a topic, in the order of the questionnaire.

    `culturespa-259` is all of them (Xu, Leng, Yu and Xiong 2025): Q1 to Q259 with Q234A and without
    Q223. Raises UserError with the known names for any other.
    """
    items = load_items()
    if name == "culturespa-259":
        return tuple(items.values())
    if name in _SETS:
        return tuple(items[item_id] for item_id in _SETS[name])
    chosen = tuple(item for item in items.values() if item.topic == name)
    if not chosen:
        raise unknown_name("item preset", name, preset_names())
    return chosen


def preset_names() -> tuple[str, ...]:
    """Return every name `preset` knows: the sets, then the topics as the questionnaire has them."""
    return (*_SETS, "culturespa-259", *dict.fromkeys(item.topic for item in load_items().values()))
