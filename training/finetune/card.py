"""The model card of an adapter.

Invariant: every number on it was counted or measured; nothing is said of a licence or of results
that nobody has given.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from agents.template import load_template
from training.finetune.config import preset_note

if TYPE_CHECKING:
    from training.finetune.result import TrainingMetadata


def render_card(facts: TrainingMetadata, results: dict[str, Any]) -> str:
    """Return the card of a trained adapter as Markdown."""
    template = load_template("card", Path(__file__).parent, folded=False)
    values = facts.config.model_dump(mode="json")
    settings = {key: values[key] for key in ("lora", "optimisation", "template", "seed")}
    return template.card(
        name=facts.config.name,
        adapter=facts.job.name,
        cultures=facts.job.cultures,
        base=facts.base.name,
        hub=facts.base.hub,
        preset=facts.config.preset,
        note=preset_note(facts.config.preset),
        settings=yaml.safe_dump(settings, sort_keys=False).strip(),
        full=bool(facts.config.lora.modules_to_save),
        results=results,
    )
