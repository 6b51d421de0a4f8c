"""Corpora of people's answers: the shares of those who answered, to the items that are wanted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from eval.config import ModelRef
from eval.evaluate import find_people
from eval.item import load_items
from eval.respondents.marginals import load_marginals
from eval.survey.condition import Planner
from eval.survey.prompt import chat
from folkways.errors import UserError
from training.experiment.arm import EVALUATED, OTHERS
from training.experiment.config import ClcaExperiment
from training.experiment.survey_rows import survey_rows


def experiment(folder: Path, **evaluation: Any) -> ClcaExperiment:
    given = {"items": ["Q1", "Q7", "Q27"], "methods": ["culture"], "readouts": ["logprobs"]}
    return ClcaExperiment(
        name="a", cultures=("CHN", "DEU"), out=str(folder), evaluation=given | evaluation
    )


@pytest.mark.parametrize("orders", ["forward", "balanced"])
def test_of_each_item_as_many_rows_name_an_option_as_people_chose_it(
    tmp_path: Path, orders: str
) -> None:
    config = experiment(tmp_path, orders=orders)
    rows = survey_rows(config, EVALUATED, ["DEU"])
    asked = [row for row in rows if load_items()["Q1"].ask in row["messages"][1]["content"]]
    assert len(rows) == 3 * 20 and len(asked) == 20
    labels = load_items()["Q1"].options
    chosen: Counter[int] = Counter()
    for row in asked:
        _, question, answer = (message["content"] for message in row["messages"])
        (line,) = (line for line in question.splitlines() if line.startswith(answer))
        chosen[next(code for code, label in labels.items() if line.endswith(label))] += 1
    cell = load_marginals().cell("DEU", "Q1")
    for code, count in zip(cell.codes, cell.counts, strict=True):
        assert abs(chosen[code] - 20 * count / sum(cell.counts)) < 1


def test_a_row_begins_with_the_prompt_of_the_evaluation(tmp_path: Path) -> None:
    config = experiment(tmp_path)
    asked = config.eval_config([ModelRef(name="fake")])
    planner = Planner(asked, find_people(asked, tmp_path))
    (condition,) = planner.conditions(asked.models[0])
    prompts = [
        chat(sheet.system, question.text)
        for sheet in planner.sheets(condition)
        for question in sheet.questions
    ]
    rows = survey_rows(config, EVALUATED, config.cultures)
    assert all(row["messages"][:2] in prompts for row in rows)
    learned = [row["messages"][:2] for row in rows]
    assert all(prompt in learned for prompt in prompts)


def test_no_row_of_other_items_asks_one_that_is_evaluated(tmp_path: Path) -> None:
    config = experiment(tmp_path)
    rows = survey_rows(config, OTHERS, config.cultures)
    evaluated = [load_items()[name].ask for name in ("Q1", "Q7", "Q27")]
    assert not [row for row in rows if any(ask in str(row["messages"]) for ask in evaluated)]
    assert {row["culture_id"] for row in rows[:20]} == {"CHN", "DEU"}
    countries, items = load_marginals().cells, load_items()
    known = sum((culture, item) in countries for culture in ("CHN", "DEU") for item in items)
    assert len(rows) == 20 * (known - 6)


@pytest.mark.parametrize(
    ("evaluation", "fault"),
    [({"items": "culturespa-259"}, "every item of the survey is evaluated"),
     ({"items": "examples/survey/items.yaml", "people": "examples/survey/shares.csv"},
      "of a survey of one's own")],
)  # fmt: skip
def test_where_no_other_items_are_known_it_is_said(
    tmp_path: Path, evaluation: dict[str, Any], fault: str
) -> None:
    root = Path(__file__).parents[2]
    placed = {
        name: str(root / value) if value.startswith("examples/") else value
        for name, value in evaluation.items()
    }
    with pytest.raises(UserError, match=fault):
        survey_rows(experiment(tmp_path, **placed), OTHERS, ["DEU"])
