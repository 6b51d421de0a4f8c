"""CultureSPA's score of a series, and how alike its cultures are, on the codes of the file.

Invariant: all scales are taken for ordered and are as the survey's file codes them, as the released
system has it; where people come from a user's own file, the recoded scales stand in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np

from eval.item import Item
from eval.metrics import baseline, culture_score
from eval.metrics.bootstrap import compare, culturespa, score_interval, tabulate
from eval.metrics.grid import Bools, Floats, Grid, known_mean
from eval.report.answers import SeriesAnswers
from eval.report.results import ALL, Matrix, PairedDifference, Panel, Score
from eval.respondents.marginals import load_marginals

_GOLD: tuple[culture_score.Gold, ...] = ("mode", "mean", "median")
_SHEETS = {
    True: """
select country, item_id, code, round(sum(weight), 9) as weight from survey_readings
where condition_id = ? and reading = ? and code is not null group by all order by code
""",
    False: """
select country, item_id, point, round(sum(weight), 9) as weight from survey_answers
where condition_id = ? and reading = ? and point is not null group by all order by point
""",
}
"""The weight of each answer, on the codes of the file or on the recoded scales. It is rounded, so
that a tie does not hang on the order in which weights were added."""
Sheets = Sequence[tuple[SeriesAnswers, Floats]]
"""Series with their likeliest codes (C, I, T)."""


def coded_grid(grid: Grid, items: Sequence[Item], published: bool) -> Grid:
    """Return people's answers on the codes of the file, NaN for countries without any.

    The countries of CultureSPA come first and in its order, which decides ties of the world's mode.
    """
    if not published:
        return grid
    people = load_marginals()
    ranked = dict.fromkeys([*people.culturespa, *people.countries])
    known = [country for country in ranked if country in grid.countries]
    unknown = [country for country in grid.countries if country not in ranked]
    found = people.file_grid(known, [item.id for item in items])
    arrays = []
    for part in (found.shares, found.valid, found.missing, found.mode):
        nothing = np.full((len(unknown), *part.shape[1:]), np.nan)
        arrays.append(np.concatenate([part, nothing]))
    return Grid((*known, *unknown), found.scales, *arrays)


def modal_sheet(
    con: duckdb.DuckDBPyConnection, given: SeriesAnswers, people: Grid, published: bool
) -> Floats:
    """Return the likeliest codes of a series (C, I, T): all that are equally likely, so that no
    place on a scale is favoured, then NaN; nothing but NaN without a valid answer."""
    likeliest: dict[tuple[str, str], tuple[float, list[int]]] = {}
    key = [given.series.condition, given.series.reading]
    for country, item, code, weight in con.execute(_SHEETS[published], key).fetchall():
        most, codes = likeliest.get((country, item), (0.0, []))
        if weight > most:
            likeliest[country, item] = weight, [code]
        elif weight == most:
            codes.append(code)
    ties = max((len(codes) for _, codes in likeliest.values()), default=1)
    sheet = np.full((*people.mode.shape, ties), np.nan)
    columns = {item: column for column, item in enumerate(people.scales.items)}
    homes = {country: [row] for row, country in enumerate(people.countries)}
    homes["*"] = [*range(len(people.countries))]
    for (country, item), (_, codes) in likeliest.items():
        sheet[homes[country], columns[item], : len(codes)] = codes
    return sheet


def spa_scores(sheets: Sheets, people: Grid, rng: np.random.Generator, draws: int) -> list[Score]:
    """Return CultureSPA's score against the modes, means and medians of people, with intervals over
    items; invalid answers are left out, and in `culturespa_penalised` as wrong as can be. Where
    several codes are likeliest the squared error is their mean."""
    scores = []
    for given, sheet in sheets:
        who, scales = given.series.id, people.scales
        for kind in _GOLD:
            target = culture_score.gold(people, kind)
            errors, lengths = culture_score.tied_squares(sheet, target, scales)
            scores += _scored(who, _name(kind), errors, lengths, people, rng, draws)
        far = np.maximum(people.mode - scales.codes[:, 0], scales.codes[:, -1] - people.mode)
        errors = culture_score.tied_squares(sheet, people.mode, scales)[0]
        errors = np.where(np.isnan(sheet[..., 0]), far**2, errors)
        errors[~_asked(given, people)] = np.nan
        lengths = np.where(np.isnan(errors), np.nan, (scales.lengths - 1) ** 2)
        scores += _scored(who, "culturespa_penalised", errors, lengths, people, rng, draws)
    return scores


def spa_gap(
    one: tuple[SeriesAnswers, Floats],
    two: tuple[SeriesAnswers, Floats],
    people: Grid,
    rng: np.random.Generator,
    draws: int,
) -> Iterator[PairedDifference]:
    """Yield the paired difference of two series' scores against the modes of people, for the cells
    that both answered validly, with its interval over items."""
    target = culture_score.gold(people, "mode")
    found = [culture_score.tied_squares(sheet, target, people.scales) for _, sheet in (one, two)]
    both = ~np.isnan(found[0][0]) & ~np.isnan(found[1][0])
    rows = [row for row in range(len(both)) if both[row].any()]
    if not rows:
        return
    left, right = (
        tabulate(*(np.where(both, part, np.nan)[rows] for part in parts)) for parts in found
    )
    gap = compare(left, right, rng, rows=False, items=True, statistic=culturespa, draws=draws)
    value, low, high, p = (float(part[0]) for part in gap)
    who = (one[0].series.id, two[0].series.id)
    yield PairedDifference(
        *who, "culturespa", ALL, value, low, high, p, int(both[rows].any(axis=0).sum())
    )


def _name(kind: culture_score.Gold) -> str:
    return "culturespa" if kind == "mode" else f"culturespa_{kind}"


def _asked(given: SeriesAnswers, people: Grid) -> Bools:
    """Return whether a series was asked (C, I), in the order of the countries of `people`."""
    order = [given.countries.index(country) for country in people.countries]
    return ~np.isnan(given.pooled.invalid[order])


def _scored(
    who: str,
    name: str,
    errors: Floats,
    lengths: Floats,
    people: Grid,
    rng: np.random.Generator,
    draws: int,
) -> list[Score]:
    known = [row for row in range(len(errors)) if not np.isnan(errors[row]).all()]
    if not known:
        return []
    found = score_interval(errors[known], lengths[known], rng, draws=draws)
    homes = [(ALL, known), *((people.countries[row], [row]) for row in known)]
    scores = []
    for at, (country, rows) in enumerate(homes):
        value, low, high = (float(part[at]) for part in found)
        scores.append(Score(who, country, name, value, low, high, _count(errors[rows])))
    return scores


def _count(errors: Floats) -> int:
    """Return the number of items with a value in any country."""
    return int((~np.isnan(errors)).any(axis=0).sum())


def spa_baselines(panel: Panel, n: Floats, grid: Grid, people: Grid) -> list[Score]:
    """Return the same scores of what costs nothing, in the cells of a panel, which have n (C, I)
    answers by `grid`; of uniform guessing with the expected squared error."""
    scales, order = people.scales, [grid.countries.index(home) for home in people.countries]
    outside = np.isnan(n[order])
    sheets = {
        "first": np.broadcast_to(scales.codes[:, 0], people.mode.shape),
        "last": np.broadcast_to(scales.codes[:, -1], people.mode.shape),
        "middle": baseline.middle_sheet(people),
        "world-mode": baseline.world_mode_sheet(people),
        "mean of other countries' modes": np.round(baseline.mean_of_modes_sheet(people)),
        "national-mode": people.mode,
    }
    scores = []
    for kind in _GOLD:
        target = np.where(outside, np.nan, culture_score.gold(people, kind))
        guessed = culture_score.expected_culturespa(baseline.uniform(people), target, scales)
        scores += _plain("uniform", kind, guessed, target, people, panel)
        for who, sheet in sheets.items():
            values = culture_score.culturespa(sheet, target, scales)
            scores += _plain(who, kind, values, sheet + target, people, panel)
        if len(panel.countries) > 1:
            each = culture_score.culturespa(people.mode[:, None], target, scales)
            np.fill_diagonal(each, np.nan)
            within = [people.countries.index(home) for home in panel.countries]
            scores += _plain(
                "other countries' mode",
                kind,
                known_mean(each[within], axis=0),
                target,
                people,
                panel,
            )
    return scores


def _plain(
    who: str,
    kind: culture_score.Gold,
    values: Floats,
    scored: Floats,
    people: Grid,
    panel: Panel,
) -> list[Score]:
    """Return the scores (C,) of a baseline and their mean; `scored` (C, I) is NaN for items that
    are not."""
    known = [row for row in range(len(values)) if not np.isnan(values[row])]
    homes = [(ALL, known), *((people.countries[row], [row]) for row in known)]
    name = _name(kind)
    return [
        Score(
            who, home, name, float(values[rows].mean()), None, None, _count(scored[rows]), panel.id
        )
        for home, rows in homes
        if rows
    ]


def matrices(sheets: Sheets, people: Grid) -> list[Matrix]:
    """Return the scores of countries' sheets against each other, of people and of every series that
    was asked by culture; nothing with fewer than three countries. Where a country's people were not
    asked an item, the series are not compared on it either. Of several likeliest codes the mean
    stands for the country, so that equal answers are alike."""
    human = culture_score.score_matrix(people.mode, people.scales)
    if (~np.isnan(np.diag(human))).sum() < 3:
        return []
    found = [_matrix("people", human, people.countries, None)]
    alike = people.asked | ~people.asked.any(axis=1, keepdims=True)
    for given, sheet in sheets:
        if given.names_culture:
            shared = np.where(alike, known_mean(sheet), np.nan)
            model = culture_score.score_matrix(shared, people.scales)
            found.append(_matrix(given.series.id, model, people.countries, human))
    return found


def _matrix(who: str, scores: Floats, countries: tuple[str, ...], human: Floats | None) -> Matrix:
    shared = scores if human is None else np.where(np.isnan(human), np.nan, scores)
    pairs = shared[np.triu_indices(len(scores), k=1)]
    mean = float(np.nanmean(pairs)) if (~np.isnan(pairs)).any() else None
    r = None if human is None else culture_score.structure_correlation(scores, human)
    rows = tuple(tuple(None if np.isnan(v) else float(v) for v in row) for row in scores)
    return Matrix(who, countries, rows, r, mean)
