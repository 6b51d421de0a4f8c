"""A small tournament of play profiles for one model, and the winner as a profile of its own.

Invariant: the score is made of measures that are all in the table beside it; what was not measured
does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agents.models.facts import model_facts
from eval.play.bench import Contender, Size, play, summarise, table_lines
from folkways.files import write_named
from simulation.profile import load_profile, profile_name

FAULTS = (
    "silent",
    "mute_roles",
    "repeated_or_echoed",
    "copied",
    "repeated_directions",
    "for_others",
    "wrong_language",
    "about_ai",
    "assistant",
    "secret_told",
    "cut_short",
)
"""Measures whose shares are taken off."""
CARRIES = ("on_topic", "goals_in_play", "takes_up", "follows", "distinct_2")
"""Measures whose mean counts for a profile."""


def tune(
    model: str,
    profiles: Sequence[str],
    size: Size,
    options: Mapping[str, Any],
    out: Path,
    quiet: bool,
) -> dict[str, Any]:
    """Play the same scenes under each profile and return the results, with each one's score and
    the winner's name, the earliest of equals.
    """
    results = summarise(
        [
            play(Contender(Path(name).stem, model, name), size, options, out, quiet)
            for name in profiles
        ]
    )
    scores = [score(one["measures"]) for one in results["contenders"]]
    results["scores"] = dict(zip(profiles, scores, strict=True))
    results["winner"] = profiles[scores.index(max(scores))]
    return results


def score(measures: Mapping[str, Any]) -> float:
    """Return the mean of the shares that carry a scene less the sum of the faults' shares."""
    value = {name: float(number["value"]) for name, number in measures.items() if number}
    carrying = [value[name] for name in CARRIES if name in value]
    return sum(carrying) / max(len(carrying), 1) - sum(value.get(name, 0.0) for name in FAULTS)


def rivals(model: str) -> list[str]:
    """Return the profiles that a model is tried with: the one that suits it, none, and those of
    other reply forms.
    """
    own = profile_name(model_facts(model))
    return list(dict.fromkeys((own, "none", "small", "base")))


def write_winner(results: Mapping[str, Any], model: str, file: Path) -> Path:
    """Write the winner as a profile file, and the table beside it; return where the table is."""
    winner = results["winner"]
    told = f"{winner}, the best of {', '.join(results['scores'])} for {model} on the bench of play."
    kept: dict[str, Any] = {"about": told}
    if winner != "none":
        profile = load_profile(winner).model_dump(mode="json", exclude_unset=True)
        kept = profile | kept
    write_named(file, yaml.safe_dump(kept, sort_keys=False, allow_unicode=True))
    table = file.with_suffix(".md")
    scores = "\n".join(f"* {name}: score {value:.3f}" for name, value in results["scores"].items())
    lines = "\n".join(table_lines(results))
    write_named(table, f"# Play profiles of {model}\n\n{scores}\n\n{lines}\n")
    return table
