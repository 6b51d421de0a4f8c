"""Small runs to make corpora of: people who whisper, gesture, come late, say nothing, and leave."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from review_runs import new_words, played
from scenes import ROLES, json_act, persona, scenario

from agents.models.base import Prompt, Sampling
from agents.models.fake import FakeModel
from training.corpus.config import make_config
from training.corpus.export import export_corpus

GOSSIP = "corpus_runs:gossip"
Lines = list[dict[str, Any]]


def gossip(name: str) -> FakeModel:
    """Return an actor that does everything one can do; every act has a word of its own in it."""
    return FakeModel(reply=_gossip)


def _gossip(prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None) -> str:
    fields = (schema or {})["properties"]
    if "action" not in fields:
        return new_words(prompt, sampling, schema)
    rng = random.Random(sampling.seed)
    names = fields["to"]["items"].get("enum") or []
    text, kind = f"Did you hear of word{sampling.seed}?", rng.randrange(12)
    if kind == 0:
        return "Hm."
    if kind == 1 and names:
        return json_act(text, to=[rng.choice(names)], whisper=True)
    action = {2: "none", 3: "non-verbal", 4: "non-verbal", 5: "leave"}.get(kind, "speak")
    return json_act("" if action == "none" else text, action=action)


def scene(folder: Path, name: str, roles: int = 2, culture: str = "GBR", **fields: Any) -> str:
    """Write a scene whose people play in no other, as a scenario file; return its path."""
    people = [
        persona(role, culture).model_copy(update={"id": f"{name}-{role}"}) for role in ROLES[:roles]
    ]
    parts = {
        role: {
            "persona": f"{name}-{role}", "goal": f"You want the goalword-{role}.",
            "secret": f"You hide the secretword-{role}.", "knows": [f"The factword-{role}."],
        }
        for role in ROLES[:roles]
    }  # fmt: skip
    for role, extra in fields.pop("parts", {}).items():
        parts[role] |= extra
    told = {"id": name, "title": f"Scene {name}", "personas": people, "culture": culture}
    data = scenario(parts, **told | fields).model_dump(mode="json", exclude_defaults=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return str(path)


def gossiped(folder: Path, **fields: Any) -> Path:
    """Play scenes of two, three, four and five, in two cultures, and return the run's folder."""
    late = {
        "parts": {"cleo": {"enters": "knock"}},
        "events": [{"id": "knock", "at": 3, "text": "There is a knock at the door."},
                   {"id": "crash", "at": 5, "text": "Glass breaks in the cellar.",
                    "audience": ["ada"]}],
        "limits": {"turns": 12},
    }  # fmt: skip
    scenes = [
        scene(folder, "pair"), scene(folder, "late", 3, **late),
        scene(folder, "both-at-once", 4, "JPN", policy="simultaneous", limits={"turns": 12}),
        scene(folder, "pair-abroad", 2, "JPN"),
        scene(folder, "crowd", 5, policy="bidding", limits={"turns": 15}),
    ]  # fmt: skip
    given = {"model": {"name": GOSSIP, "repairs": 0}, "replicates": 4} | fields
    return played(folder, *scenes, **given)


def exported(run: Path, folder: Path, preset: str | None = None, **given: Any) -> Path:
    """Export a run with this configuration and return the folder."""
    export_corpus(run, folder, make_config(preset, **given))
    return folder


def lines(folder: Path, split: str = "train") -> Lines:
    """Return the rows of a corpus of the formats that have one a line."""
    text = (folder / f"{split}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]
