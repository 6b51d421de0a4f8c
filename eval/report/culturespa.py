"""CultureSPA's score of a series, and how alike its cultures are, on the codes of the file.

Invariant: all scales are taken for ordered and are as the survey's file codes them, as the released
system has it; where people come from a user's own file, the recoded scales stand in.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np

from eval.item import Item
from eval.people.marginals import load_marginals
from eval.report.answers import Given
from eval.report.results import ALL, Matrix, Score
from eval.scoring import baseline, culture_score
from eval.scoring.bootstrap import culturespa, interval, tabulate
from eval.scoring.grid import Floats, Grid

GOLD: tuple[culture_score.Gold, ...] = ("mode", "mean", "median")
SHEET = """
select country, item_id, code, sum(weight) from survey_readings
where condition_id = ? and reading = ? and code is not null group by all
"""


def published_grid(grid: Grid, items: Sequence[Item], published: bool) -> Grid:
    """Return people's answers on the codes of the file, NaN for countries without any."""
    if not published:
        return grid
    people = load_marginals()
    known = [country for country in grid.countries if country in people.countries]
    found = people.file_grid(known, [item.id for item in items])
    if len(known) == len(grid.countries):
        return found
    rows = [grid.countries.index(country) for country in known]
    arrays = []
    for part in (found.shares, found.valid, found.missing, found.mode):
        whole = np.full((len(grid.countries), *part.shape[1:]), np.nan)
        whole[rows] = part
        arrays.append(whole)
    return Grid(grid.countries, found.scales, *arrays)


def modal_sheet(con: duckdb.DuckDBPyConnection, given: Given, grid: Grid) -> Floats:
    """Return the likeliest code (C, I) of a series; of equally likely ones the first, NaN without
    a valid answer."""
    sheet = np.full((len(grid.countries), len(grid.scales.items)), np.nan)
    most = np.zeros(sheet.shape)
    columns = {item: column for column, item in enumerate(grid.scales.items)}
    rows = con.execute(SHEET, [given.series.condition, given.series.reading]).fetchall()
    for country, item, code, weight in sorted(rows, key=lambda row: row[2]):
        column = columns[item]
        for row in (
            range(len(grid.countries)) if country == "*" else [grid.countries.index(country)]
        ):
            if weight > most[row, column]:
                most[row, column], sheet[row, column] = weight, code
    return sheet


def spa_scores(
    con: duckdb.DuckDBPyConnection, all_given: Sequence[Given], grid: Grid, items: Sequence[Item],
    published: bool, rng: np.random.Generator, draws: int,
) -> list[Score]:  # fmt: skip
    """Return CultureSPA's score against the modes, means and medians of people, with intervals over
    items; invalid answers are left out, and in `culturespa_penalised` as wrong as can be."""
    people = published_grid(grid, items, published)
    scores = []
    for given in all_given:
        sheet = modal_sheet(con, given, people)
        for kind in GOLD:
            target = culture_score.gold(people, kind)
            name = "culturespa" if kind == "mode" else f"culturespa_{kind}"
            errors, lengths = culture_score.squares(sheet, target, people.scales)
            scores += _scored(given.series.id, name, errors, lengths, people, rng, draws)
        target = people.mode
        far = np.maximum(target - people.scales.codes[:, 0], people.scales.codes[:, -1] - target)
        errors = np.where(np.isnan(sheet), far, sheet - target) ** 2
        lengths = np.where(np.isnan(errors), np.nan, (people.scales.lengths - 1) ** 2)
        name = "culturespa_penalised"
        scores += _scored(given.series.id, name, errors, lengths, people, rng, draws)
    return scores


def _scored(
    who: str, name: str, errors: Floats, lengths: Floats, grid: Grid, rng: np.random.Generator,
    draws: int,
) -> list[Score]:  # fmt: skip
    known = [row for row in range(len(errors)) if not np.isnan(errors[row]).all()]
    found = []
    for country, rows in [(ALL, known), *((grid.countries[row], [row]) for row in known)]:
        if rows:
            table = tabulate(errors[rows], lengths[rows])
            ends = interval(table, rng, rows=False, items=True, statistic=culturespa, draws=draws)
            count = int((~np.isnan(errors[rows])).any(axis=0).sum())
            value, low, high = (float(part[0]) for part in ends)
            found.append(Score(who, country, name, value, low, high, count))
    return found


def spa_baselines(grid: Grid, items: Sequence[Item], published: bool) -> list[Score]:
    """Return the same scores of sheets that cost nothing."""
    people = published_grid(grid, items, published)
    scales = people.scales
    sheets = {
        "first": np.broadcast_to(scales.codes[:, 0], people.mode.shape),
        "last": np.broadcast_to(scales.codes[:, -1], people.mode.shape),
        "middle": baseline.middle_sheet(people),
        "world-mode": baseline.world_mode_sheet(people),
        "mean of other countries' modes": np.round(baseline.mean_of_modes_sheet(people)),
        "national-mode": people.mode,
    }
    scores = []
    for kind in GOLD:
        target = culture_score.gold(people, kind)
        name = "culturespa" if kind == "mode" else f"culturespa_{kind}"
        for who, sheet in sheets.items():
            values = culture_score.culturespa(sheet, target, scales)
            count = int((~np.isnan(sheet + target)).any(axis=0).sum())
            for country, value in [
                (ALL, np.nanmean(values)),
                *zip(people.countries, values, strict=True),
            ]:
                if not np.isnan(value):
                    scores.append(Score(who, country, name, float(value), None, None, count))
    return scores


def matrices(
    con: duckdb.DuckDBPyConnection, all_given: Sequence[Given], grid: Grid, items: Sequence[Item],
    published: bool,
) -> list[Matrix]:  # fmt: skip
    """Return the scores of countries' sheets against each other, of people and of every series that
    was asked by culture; nothing with fewer than three countries."""
    people = published_grid(grid, items, published)
    human = culture_score.score_matrix(people.mode, people.scales)
    known = ~np.isnan(np.diag(human))
    if known.sum() < 3:
        return []
    found = [_matrix("people", human, people.countries, None)]
    for given in all_given:
        if given.series.method == "unaware":
            continue
        model = culture_score.score_matrix(modal_sheet(con, given, people), people.scales)
        found.append(_matrix(given.series.id, model, people.countries, human))
    return found


def _matrix(who: str, scores: Floats, countries: tuple[str, ...], human: Floats | None) -> Matrix:
    pairs = scores[np.triu_indices(len(scores), k=1)]
    mean = float(np.nanmean(pairs)) if (~np.isnan(pairs)).any() else None
    r = None if human is None else culture_score.structure_correlation(scores, human)
    rows = tuple(tuple(None if np.isnan(v) else float(v) for v in row) for row in scores)
    return Matrix(who, countries, rows, r, mean)
