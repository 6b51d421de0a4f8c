"""Reads the questions of a task for lm-evaluation-harness, from the file beside this one."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any


def load_documents(file: str, **_: object) -> dict[str, Any]:
    """Return the documents of a task, as the harness's `custom_dataset` wants them."""
    with Path(__file__).with_name("data").joinpath(file).open(encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    return {"test": import_module("datasets").Dataset.from_list(documents)}
