"""How the survey is put to a model: languages, descriptions, orders of options, methods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.config import EvalConfig, ModelRef, Style, parse_eval_config
from eval.item import Item, load_items, preset
from eval.respondents.column import load_columns
from eval.respondents.marginals import load_marginals
from eval.respondents.respondent import CLCA_FIELDS, Respondent
from eval.respondents.source import People, gather_people
from eval.respondents.synthetic import draw_person
from eval.survey.condition import NOBODY, Condition, Planner, Questionnaire, conditions
from eval.survey.method import METHODS
from eval.survey.order import option_orders
from eval.survey.prompt import chat, render_item, render_system
from eval.survey.voice import languages, load_voice, native_language
from folkways.errors import UserError

ITEMS = ("Q1", "Q7", "Q8", "Q27", "Q48", "Q57", "Q149", "Q152", "Q154", "Q241")
"""Ordinal, binary and nominal items, a statement, points without words, two codes of one point."""
COUNTRIES = load_marginals().countries
FAKE = ModelRef(name="fake")
STYLES: tuple[str, ...] = get_args(Style)
FULL = {field: draw_person("MEX", 0, 4)[field] for field in CLCA_FIELDS}
TRACES = re.compile(r"\b(nan|none|null|missing|unknown|no answer|undefined)\b|-\d", re.IGNORECASE)
GAPS = re.compile(r"^- *$|[:\uff1a] *$\n *\n|  |\n\n\n|^- .*[:\uff1a] *$| \.|\.\.", re.MULTILINE)
"""An empty bullet, a question without an answer, a hole in a sentence."""
CULTURAL = sorted(name for name, method in METHODS.items() if not method.by_respondent)


def planner(config: EvalConfig) -> Planner:
    """Plan with national answers, and two respondents of each country, the second saying little."""
    people = gather_people(
        "marginals", config.chosen_items(), config.cultures, Path("unused"),
        count=None, weights="none", seed=0,
    )  # fmt: skip
    return Planner(config, replace(people, respondents=_respondents(people, config)))


def _respondents(people: People, config: EvalConfig) -> dict[str, list[Respondent]]:
    told: list[dict[str, int | None]] = [dict(FULL), dict.fromkeys(FULL)]
    return {
        home: [
            Respondent(f"{home}-{number}", home, True, None, demographics, {})
            for number, demographics in enumerate(told)
        ]
        for home in config.cultures
    }


def plan(**fields: Any) -> Planner:
    """Make a plan from a few fields of a configuration."""
    data = {
        "name": "trial", "items": list(ITEMS), "cultures": ["DEU", "CHN"], "respondents": 2,
        "methods": ["unaware"], "readouts": ["logprobs"],
    }  # fmt: skip
    return planner(parse_eval_config(data | fields, "test"))


def sheets(**fields: Any) -> list[Questionnaire]:
    """Return all sheets of a plan."""
    made = plan(**fields)
    return [one for each in conditions(made.config, FAKE) for one in made.sheets(each)]


def questions(sheet: Questionnaire) -> dict[tuple[str, int, int], str]:
    """Return the user's messages of a sheet."""
    return {(one.item.id, one.arrangement, one.sample): one.text for one in sheet.questions}


def described(language: str, style: str, demographics: Mapping[str, int | None]) -> str:
    """Return what a model is told about a respondent from Mexico."""
    person = Respondent("x", "MEX", True, None, demographics, {})
    voice, method = load_voice(language), METHODS["respondent"]
    return render_system(voice, method, "MEX", style=style, respondent=person)


def test_only_the_system_prompt_differs_between_methods() -> None:
    plain = [name for name, method in METHODS.items() if method.examples is None]
    found = sheets(methods=plain, styles=STYLES)
    asked = questions(found[0])
    assert len(asked) == 7 * 2 + 2 + 4 + 4, "the last three are nominal"
    systems: dict[tuple[str, str], set[str]] = {}
    for sheet in found:
        assert questions(sheet) == asked
        method = sheet.condition.method_name
        systems.setdefault((method, sheet.country), set()).add(sheet.system)
        assert not any(question in sheet.system for question in asked.values())
    assert set(systems) == {
        (name, home) for name in plain for home in ("DEU", "CHN") if name != "unaware"
    } | {("unaware", NOBODY)}
    one_style = [system for (name, _), said in systems.items() if len(said) == 1 for system in said]
    assert len(set(one_style)) == len(one_style), "no two methods and cultures say the same"
    for name in ("respondent", "anthropological"):
        assert len(systems[name, "DEU"]) == 4 + 3, "one country, and four styles told in full"


def test_who_answers_comes_first_and_the_item_last() -> None:
    for sheet in sheets(methods=["culture", "respondent"]):
        for question in sheet.questions:
            first, last = chat(sheet.system, question.text)
            assert (first["role"], first["content"]) == ("system", sheet.system)
            assert last["role"] == "user"
            assert re.search(r"\n\S+:\Z", last["content"]), "the answer is what comes next"
            assert not re.search(r"Germany|China", last["content"])


def asked_in(language: str) -> tuple[Item, ...]:
    """Return the items that a language has words for."""
    if language == "en":
        return tuple(load_items().values())
    both = {item.id for name in ("clca-44", "inglehart-welzel-10") for item in preset(name)}
    return tuple(item for name, item in load_items().items() if name in both)


@pytest.mark.parametrize("language", languages())
def test_every_language_has_words_for_all_that_can_be_told_or_asked(language: str) -> None:
    voice, english = load_voice(language), load_voice("en")
    assert voice.language == voice.words.language == language
    assert list(voice.words.countries) == list(english.words.countries)
    assert list(voice.words.fields) == list(english.words.fields)
    assert set(voice.words.fields) == {"B_COUNTRY", *CLCA_FIELDS}
    for field in CLCA_FIELDS:
        low, high = load_columns().demographics[field].range
        for code in (*range(low, min(high, 9) + 1), low, high):
            for sex in (1, 2, None):
                told = voice.tell("DEU", {"Q260": sex, field: code})
                assert all(all(part.strip() for part in one) for one in told)
                assert not any("{" in "".join(one) for one in told)
    with pytest.raises(UserError, match=f"Q273 is 77; voices/{language}.yaml"):
        voice.tell("DEU", {"Q273": 77})
    for item in asked_in(language):
        labels = voice.wording(item).options
        assert set(item.scale_codes) <= set(labels)
        assert len(set(labels.values())) == len(labels)
    assert all(phrase == phrase.lower() for phrase in (*voice.refusals, *voice.unsure))


@pytest.mark.parametrize("language", [name for name in languages() if name != "en"])
def test_a_prompt_is_of_one_language(language: str) -> None:
    english = load_voice("en")
    labels = [f"{field.label}:" for field in english.words.fields.values()]
    countries = [place.name for place in english.words.countries.values()]
    words = ("Question:", "Statement:", "Answer:", "Interviewer", "You ", "survey", *labels)
    different = {
        name for name in english.words.countries
        if load_voice(language).country(name) != english.country(name)
    }  # fmt: skip
    foreign = [*words, *(english.country(name) for name in different)]
    for name, method in METHODS.items():
        for style in STYLES if method.by_respondent else ("",):
            person = Respondent("x", "NLD", True, None, FULL, {})
            text = render_system(
                load_voice(language), method, "NLD", style=style, similar=("GBR", "USA"),
                respondent=person if method.by_respondent else None, different=("JPN", "CHN"),
            )  # fmt: skip
            assert not [word for word in foreign if word in text], (name, style)
    for item in asked_in(language):
        text = render_item(load_voice(language), item, item.scale_codes)
        assert not [word for word in words if word in text]
        assert text != render_item(english, item, item.scale_codes)
    assert len(countries) == len(set(countries))


@given(
    st.sampled_from(languages()), st.sampled_from(STYLES), st.sets(st.sampled_from(CLCA_FIELDS)),
    st.integers(1, 60),
)  # fmt: skip
def test_a_missing_demographic_leaves_no_trace(
    language: str, style: str, missing: set[str], number: int
) -> None:
    person = draw_person("MEX", 1, number)
    full = {field: person[field] for field in CLCA_FIELDS}
    some = {field: None if field in missing else code for field, code in full.items()}
    text = described(language, style, some)
    assert text == described(language, style, {k: v for k, v in some.items() if v is not None})
    assert not TRACES.search(text)
    assert not GAPS.search(text)
    lines = text.splitlines()
    if style == "bullets":
        assert sum(line.startswith("- ") for line in lines) == 1 + len(full) - len(missing)
    if style == "interview":
        assert lines.index("") - 1 == 2 * (1 + len(full) - len(missing))
    if "Q260" not in missing:  # without a sex other clauses have other forms
        voice = load_voice(language)
        told = zip(voice.words.fields, voice.tell("MEX", full), strict=True)
        assert voice.tell("MEX", some) == [one for name, one in told if name not in missing]


def test_what_is_told_is_text_and_no_template() -> None:
    voice = load_voice("en")
    item = load_items()["Q1"].model_copy(update={"ask": "{{ 7 * 7 }} {% raw %}?"})
    assert "{{ 7 * 7 }} {% raw %}?" in render_item(voice, item, item.scale_codes)


def test_orders_are_permutations_in_which_no_option_keeps_its_place() -> None:
    for item in load_items().values():
        forward = item.scale_codes
        assert option_orders(item, "forward", 3) == [forward]
        orders = option_orders(item, "balanced", 3)
        assert orders == option_orders(item, "balanced", 3)
        assert all(sorted(order) == sorted(forward) for order in orders)
        if item.scale != "nominal":
            assert orders == [forward, forward[::-1]]
            continue
        assert len(orders) == min(4, len(forward))
        for place in zip(*orders, strict=True):
            assert len(set(place)) == len(orders), "each option is at each place at most once"


def test_permutations_are_drawn_by_the_seed_and_by_nothing_else() -> None:
    nominal = [item for item in load_items().values() if item.scale == "nominal"]
    assert len(nominal) > 8
    by_seed = {
        seed: [option_orders(item, "balanced", seed)[0] for item in nominal] for seed in range(40)
    }
    assert len({tuple(orders) for orders in by_seed.values()}) == 40
    for place, item in enumerate(nominal):
        first = {by_seed[seed][place][0] for seed in by_seed}
        assert first == set(item.scale_codes), "every option comes first under some seed"
    there = sheets(seed=5, methods=["unaware", "culture", "respondent"])
    assert len({tuple((q.item.id, q.order) for q in sheet.questions) for sheet in there}) == 1


@pytest.mark.parametrize("language", languages())
def test_options_are_numbered_as_shown(language: str) -> None:
    voice = load_voice(language)
    for item in asked_in(language):
        labels = voice.wording(item).options
        for order in option_orders(item, "balanced", 0):
            head, *lines, end = render_item(voice, item, order).split("\n")
            said = [f"{n}. {labels[code]}" for n, code in enumerate(order, 1)]
            bare = [str(n) for n in range(1, len(order) + 1)]
            assert voice.wording(item).ask in head and end.endswith((":", "\uff1a"))
            for line, full, number, code in zip(lines, said, bare, order, strict=True):
                assert line == (number if labels[code] == str(code) else full)


def shown_before(text: str) -> list[tuple[str, int]]:
    """Return question and number of the answer of each example before a question."""
    blocks = text.split("\n\n")[:-1]
    return [
        (block.split("\n")[0].partition(": ")[2], int(block.rpartition("Answer: ")[2]))
        for block in blocks
    ]


@cache
def by_method() -> dict[tuple[str, str], Questionnaire]:
    """Return a sheet of every method and culture, on the items of CLCA."""
    found = sheets(items="clca-44", methods=CULTURAL, cultures=["DEU", "NGA"])
    return {(sheet.condition.method_name, sheet.country): sheet for sheet in found}


def test_no_method_without_leaks_draws_on_answers_to_evaluated_items() -> None:
    asks = {item.ask: item for item in load_items().values()}
    evaluated = {item.id for item in preset("clca-44")}
    seen = set()
    for (name, country), sheet in by_method().items():
        for question in sheet.questions:
            examples = shown_before(question.text)
            assert len(examples) == (5 if METHODS[name].examples else 0)
            items = [asks[ask] for ask, _ in examples]
            assert question.item not in items
            leaked = {item.id for item in items} & evaluated
            assert METHODS[name].leaks or not leaked
            assert METHODS[name].examples != "evaluated" or len(leaked) == 5
            for item, (_, number) in zip(items, examples, strict=True):
                mode = load_marginals().cell(country, item.id).mode
                assert item.scale_codes[number - 1] == mode, "what most people there said"
            seen.add(name)
    assert seen == set(CULTURAL)


def test_examples_come_before_the_same_question_that_is_asked_without() -> None:
    for (name, country), sheet in by_method().items():
        bare = by_method()["unaware", NOBODY]
        for with_, without in zip(sheet.questions, bare.questions, strict=True):
            assert with_[:4] == without[:4] and with_.text.endswith(without.text)
        if METHODS[name].examples:
            parts = name.removesuffix("-gold").split("+")
            plain = parts[0] if len(parts) > 1 else "unaware"
            if METHODS[name].neighbours == "answers":
                plain += "-gold"
            home = country if plain != "unaware" else NOBODY
            assert sheet.system == by_method()[plain, home].system


def test_a_country_without_answers_can_be_asked_wherever_none_are_shown() -> None:
    for name in CULTURAL:
        method = METHODS[name]
        if method.leaks or method.examples:
            with pytest.raises(UserError, match="no national answers for 'JPN'"):
                sheets(methods=[name], cultures=["DEU", "JPN"])
        else:
            found = sheets(methods=[name], cultures=["DEU", "JPN"])
            assert [sheet.country for sheet in found] in ([NOBODY], ["DEU", "JPN"])


def all_sheets(made: Planner) -> Iterator[tuple[Condition, Questionnaire]]:
    for condition in conditions(made.config, FAKE):
        for sheet in made.sheets(condition):
            yield condition, sheet


def test_sheets_and_questions_are_as_many_as_counted() -> None:
    made = plan(
        methods=["unaware", "culture", "respondent"], languages=["en", "native"], styles=STYLES,
        readouts=["logprobs", "text"], samples=3, temperature=1.0, cultures=["DEU", "GBR"],
        items=["Q1", "Q8", "Q57"],
    )  # fmt: skip
    counted: dict[str, int] = {}
    for condition, sheet in all_sheets(made):
        counted[condition.id] = counted.get(condition.id, 0) + 1
        assert len(questions(sheet)) == len(sheet.questions) == made.questions(condition)
        assert made.questions(condition) == 6 * (3 if condition.readout == "text" else 1)
        language = condition.language
        if language == "native":
            assert sheet.country != NOBODY
            language = native_language(sheet.country)
        assert sheet.voice is load_voice(language)
    chosen = conditions(made.config, FAKE)
    assert len(chosen) == len(counted) == (1 + 1 + 4) * 2 * 2
    assert counted == {condition.id: made.count(condition) for condition in chosen}
    keys = [sheet.key for _, sheet in all_sheets(made)]
    assert len(set(keys)) == len(keys)


def test_respondents_take_turns_by_country() -> None:
    found = sheets(methods=["respondent"], cultures=["CHN", "DEU", "JPN"])
    assert [sheet.country for sheet in found] == ["CHN", "DEU", "JPN"] * 2


def test_a_condition_is_known_by_all_that_shapes_its_answers_and_by_nothing_else() -> None:
    base = Condition(FAKE, "respondent", "story", "en", "text")
    others = [
        replace(base, model=ModelRef(name="fake", label="other")),
        replace(base, model=ModelRef(name="embedded", label="fake")),
        replace(base, model=ModelRef(name="fake", options={"adapter": "a"})),
        replace(base, method_name="anthropological"), replace(base, style="bullets"),
        replace(base, language="de"), replace(base, readout="logprobs"),
    ]  # fmt: skip
    assert len({one.id for one in (base, *others)}) == 1 + len(others)
    options = {"a": 1, "b": {"c": [2]}}
    same = {"b": {"c": [2]}, "a": 1}
    one, two = (replace(base, model=ModelRef(name="fake", options=o)) for o in (options, same))
    assert one.id == two.id and one.row()["leaks"] is False
