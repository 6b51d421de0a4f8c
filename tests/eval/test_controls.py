"""Models whose answers are known: the instrument has to say what is true of each."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.models.base import CallFailed, Sampling, open_model
from eval.control_trial import TRUE
from eval.item import load_items, preset
from eval.respondents.marginals import load_marginals
from eval.survey.example import Example
from eval.survey.method import METHODS
from eval.survey.order import option_orders
from eval.survey.prompt import chat, render_item, render_system
from eval.survey.voice import languages, load_voice
from folkways.cli.evaluate import app
from folkways.errors import UserError

ITEMS = load_items()


def ask(
    control: str, item: str, order=None, country="DEU", method="culture", language="en", **more
):
    """Return the probability that a control gives each code."""
    voice, asked = load_voice(language), ITEMS[item]
    order = order or asked.scale_codes
    system = render_system(voice, METHODS[method], country, **more)
    prompt = chat(system, render_item(voice, asked, order))
    forms = [form.format(n) for n in range(1, len(order) + 1) for form in ("{}", " {}")]
    found = asyncio.run(open_model(control).score(prompt, forms))
    chances = [
        math.exp(one) + math.exp(two) for one, two in zip(found[::2], found[1::2], strict=True)
    ]
    return dict(zip(order, chances, strict=True))


def test_people_are_those_of_the_country_in_every_language_and_order():
    people = load_marginals()
    for language in languages():
        voice = load_voice(language)
        for item in preset("clca-44" if language != "en" else "culturespa-259"):
            if ("DEU", item.id) not in people.cells or not voice.knows(item):
                continue
            cell = people.cells["DEU", item.id]
            shares = dict(zip(cell.codes, cell.shares, strict=True))
            kept = sum(shares[code] for code in item.scale_codes)
            for order in option_orders(item, "balanced", 0):
                found = ask("control:people", item.id, order, language=language)
                wanted = {code: shares[code] / kept for code in order}
                assert found == pytest.approx(wanted), (language, item.id, order)


@pytest.mark.parametrize("style", ["country", "story", "bullets", "interview"])
def test_the_country_is_read_from_a_respondents_description(style):
    from eval.respondents.respondent import Respondent

    person = Respondent("x", "MEX", True, None, {"Q260": 2, "Q263": 1}, {})
    told = {"country": "MEX", "method": "respondent", "respondent": person, "style": style}
    assert ask("control:people", "Q182", **told) == ask("control:people-of:MEX", "Q182")


def test_a_culture_among_others_is_the_one_named_first():
    found = ask(
        "control:people", "Q182", country="CHN", method="cross-culture",
        similar=["RUS", "UKR"], different=["NZL", "USA"],
    )  # fmt: skip
    assert found == ask("control:people-of:CHN", "Q182", country="USA")


def test_nobody_in_particular_and_people_who_were_not_asked_are_all_countries_alike():
    cells = load_marginals().cells
    shares = [cell.shares[0] for (_, item), cell in cells.items() if item == "Q1"]
    mean = sum(shares) / len(shares)
    found = ask("control:people", "Q1", method="unaware", country=None)
    assert found[1] == pytest.approx(mean) and sum(found.values()) == pytest.approx(1)
    assert ask("control:people", "Q1", country="JPN") == found


def test_the_other_controls_do_as_they_are_called():
    people = ask("control:people", "Q46")
    assert ask("control:first-option", "Q46", (4, 3, 2, 1)) == {4: 1, 3: 0, 2: 0, 1: 0}
    assert ask("control:uniform", "Q46") == dict.fromkeys((1, 2, 3, 4), 0.25)
    biased = ask("control:order-biased:0.3", "Q46", (4, 3, 2, 1))
    assert biased == pytest.approx(
        {code: 0.7 * people[code] + 0.3 * (code == 4) for code in people}
    )


def test_text_is_drawn_from_the_same_chances_whatever_the_temperature():
    control, item = open_model("control:people"), ITEMS["Q46"]
    voice = load_voice("en")
    examples = [Example(ITEMS["Q47"], 1)]
    system = render_system(voice, METHODS["culture"], "DEU")
    prompt = chat(system, render_item(voice, item, item.scale_codes, examples))

    async def replies():
        samplings = [Sampling(temperature=0.0, seed=seed) for seed in range(2000)]
        return [(await control.complete(prompt, each)).text for each in samplings]

    texts = asyncio.run(replies())
    for code, chance in ask("control:people", "Q46").items():
        assert texts.count(str(code)) / len(texts) == pytest.approx(chance, abs=0.04)
    assert texts[:20] == asyncio.run(replies())[:20]


@pytest.mark.parametrize(
    "name", ["control", "control:person", "control:people-of:JPN", "control:order-biased:2",
             "control:order-biased:x", "control:people:DEU"],
)  # fmt: skip
def test_an_unknown_control_is_named_with_the_known_ones(name):
    with pytest.raises(UserError, match=r"unknown control .* there are people, people-of:COUNTRY"):
        open_model(name)


def test_what_is_no_item_of_the_survey_has_no_answer_of_people():
    prompt = chat("You are from Germany.", "Question: Is it?\n1. yes\n2. no\nAnswer:")
    with pytest.raises(CallFailed, match="no item of the survey is worded so"):
        asyncio.run(open_model("control:people").score(prompt, ["1", "2"]))
    assert asyncio.run(open_model("control:uniform").score(prompt, ["1", "2"])) == pytest.approx(
        [math.log(0.5)] * 2
    )
    with pytest.raises(CallFailed, match="numbered options only"):
        asyncio.run(open_model("control:uniform").complete("Hello!", Sampling()))


def test_the_report_says_what_is_true_of_every_control(tmp_path: Path) -> None:
    run = tmp_path / "controls"
    given = [
        "eval",
        "controls",
        str(run),
        "--countries",
        "CHN,DEU,NGA",
        "--samples",
        "20",
        "--quiet",
    ]
    told = CliRunner().invoke(app, [*given, "--preset", "inglehart-welzel-10"])
    assert told.exit_code == 0, told.output
    lines = [line for line in told.output.splitlines() if line.startswith("ok")]
    assert len(lines) == 2 * len(TRUE)  # by log-probabilities and by text
    said = {line.split(",")[0].removeprefix("ok    control:"): line for line in lines}
    assert "at the floor; nearest people 3 of 3 own" in said["people"]
    assert "nearest people China" in said["people-of:CHN"]
    assert ": a guesser; " in said["uniform"]
    assert "a guesser, an order artefact" in said["first-option"]
    assert ": an order artefact; " in said["order-biased:0.3"]
    results = json.loads((run / "results.json").read_text())
    assert {panel["answers"] for panel in results["panels"]} == {None, 40}
    text = (run / "results.md").read_text()
    assert (
        "not distinguishable from a perfect sampler, at most 0.0" in text
        and "Answers depend on the order of the options" in text
    )


def test_controls_need_china_and_two_others(tmp_path: Path) -> None:
    given = ["eval", "controls", str(tmp_path / "x"), "--countries", "DEU,MEX,USA"]
    told = CliRunner().invoke(app, given)
    assert told.exit_code != 0 and not (tmp_path / "x").exists()
