"""What reports call countries, series and pairs of series.

Invariant: two series never share a name.
"""

from __future__ import annotations

from collections import Counter

from eval.report.measure import baseline_name
from eval.report.results import ALL, Panel, Results, Series
from eval.respondents.country import load_countries
from eval.survey.voice import load_voice

PEOPLE = "people"


def country_name(code: str) -> str:
    """Return a country's English name; of an unknown one the code."""
    if code == ALL:
        return "all countries"
    if code in (known := load_voice("en").words.countries):
        return known[code].name
    return load_countries()[code].name if code in load_countries() else code


def names(results: Results) -> dict[str, str]:
    """Return what series are called, by id; those with equal labels are told apart by their id."""
    often = Counter(series.label for series in results.series)
    return {
        series.id: series.label + (f" #{series.id}" if often[series.label] > 1 else "")
        for series in results.series
    }


def who_name(results: Results, who: str) -> str:
    """Return what people, a series or a baseline are called."""
    return PEOPLE if who == PEOPLE else names(results).get(who) or baseline_name(who)


def panel_name(results: Results, panel: Panel) -> str:
    """Return what the series of a panel have in common: how often they answered, and where."""
    many = f"{panel.answers:,} " if panel.answers else ""
    if results.one(panel.series[0]).by_respondent:
        asked = f"{many}respondents{', probabilities' * panel.exact}"
    elif panel.exact:
        asked = "probabilities"
    else:
        asked = f"{many}answer{'s' * (panel.answers != 1)} to each item"
    homes = panel.countries
    where = country_name(homes[0]) if len(homes) == 1 else f"{len(homes)} countries"
    return f"{asked}, {where}, {len(panel.items)} item{'s' * (len(panel.items) > 1)}"


def sampler_name(panel: Panel) -> str:
    """Return what the model is called that draws as many answers from people's own shares."""
    if panel.answers is None:
        return "perfect read-out, people asked again"
    return f"perfect sampler, {panel.answers:,} answer{'s' * (panel.answers > 1)}"


def pair_name(results: Results, one: str, two: str) -> str:
    """Return "first vs second" by what they differ in, and in brackets what they have in common."""
    called, by_id = names(results), {series.id: series for series in results.series}
    if not {one, two} <= set(by_id):
        return f"{who_name(results, one)} vs {who_name(results, two)}"
    first, second = _parts(by_id[one]), _parts(by_id[two])
    apart = [place for place in range(len(first)) if first[place] != second[place]]
    left, right = ([parts[place] for place in apart] for parts in (first, second))
    if not any(left) or not any(right):
        return f"{called[one]} vs {called[two]}"
    shared = [part for place, part in enumerate(first) if place not in apart and part]
    both = f" ({', '.join(shared)})" if shared else ""
    return f"{_listed(left)} vs {_listed(right)}{both}"


def _parts(series: Series) -> tuple[str, ...]:
    method = series.method + (" (sees gold)" if series.leaks else "")
    language = series.language if series.language != "en" else ""
    return series.model, method, series.style or "", series.reading, language


def _listed(parts: list[str]) -> str:
    return ", ".join(part for part in parts if part)
