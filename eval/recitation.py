"""Whether a model recites a survey: it is asked for the national shares themselves.

The shares it names for a country are held against people's there and, the matched control, against
people's in the other countries: what is common to all countries, or can be guessed of any, fits
these as well. Invariant: a reply that does not name a share for every option is counted and not
completed; every reply is kept in a file, and the same command asks for what that lacks.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from agents.models.base import CallFailed, Model, Prompt, Sampling, open_model, prompt_hash
from agents.template import load_template
from eval.item import Item
from eval.metrics.bootstrap import draw_weights, ends
from eval.metrics.grid import Floats, Grid, known_mean
from eval.report.name import country_name
from eval.report.number import interval, number
from eval.report.results import ALL
from eval.respondents.source import gather_people
from eval.survey.prompt import chat, shown_labels
from eval.survey.voice import Voice, load_voice
from folkways.errors import UserError
from folkways.event_loop import run_to_end
from folkways.files import read_lines, write_named
from folkways.text import sound

_DRAWS = 2000
_SAMPLING = Sampling(temperature=0, min_p=0, repetition_penalty=1, max_tokens=300)
_LINE = re.compile(r"^\W*(?:option|answer)?\s*(\d{1,2})\s*[:.)=-]\s*(.*)$", re.IGNORECASE)
_PERCENT = re.compile(r"(\d+(?:[.,]\d+)?)\s*%")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_OFF, _NEAR = 5.0, 2.0
"""Points by which a reply's shares may miss 100, and within which a share is recited."""


@dataclass(frozen=True, slots=True)
class Recitation:
    """How well the shares that a model names for a country fit people's."""

    country: str
    items: int
    """Items with a reply that was read."""
    unread: int
    """Replies without a share for every option, failed calls included."""
    own: float | None
    """Correlation with people's shares there, over options, each less an equal share."""
    others: float | None
    """The same with the other countries' people, their mean."""
    gap: float | None
    """Own less others."""
    low: float | None
    """Ends of the gap's 95 % interval, over items."""
    high: float | None
    near: float | None
    """Share of options named within 2 points of people's."""
    near_others: float | None
    """The same of the other countries' people."""


class _Asked(NamedTuple):
    """A question for one country's shares of an item."""

    country: str
    item: Item
    prompt: Prompt

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells the question apart in the file of replies."""
        return self.country, self.item.id, prompt_hash(self.prompt)


@dataclass(frozen=True, slots=True)
class _Reply:
    """A line of the file of replies."""

    model: str
    options: dict[str, Any]
    country: str
    item: str
    prompt_hash: str
    reply: str
    problem: str | None
    """Why there is no reply, where a call failed."""


def read_shares(text: str, options: int) -> list[float] | None:
    """Return the shares, adding up to 1, that a reply names for options numbered from 1; None where
    one is missing or named twice, or where they miss 100 % by more than 5 points."""
    found: dict[int, float] = {}
    for line in text.splitlines():
        if told := _LINE.match(line.strip()):
            place, rest = int(told[1]), told[2].strip()
            percents = _PERCENT.findall(rest) or ([rest] if _NUMBER.fullmatch(rest) else [])
            if percents and (len(percents) > 1 or place in found):
                return None
            if percents:
                found[place] = float(percents[0].replace(",", "."))
    total = sum(found.values())
    if sorted(found) != [*range(1, options + 1)] or abs(total - 100) > _OFF:
        return None
    return [found[place] / total for place in range(1, options + 1)]


def probe(
    model: str,
    items: Sequence[Item],
    countries: Sequence[str],
    out: Path,
    *,
    options: Mapping[str, Any] | None = None,
    people: str = "marginals",
    concurrency: int = 4,
) -> list[Recitation]:
    """Ask a model for the shares of items in countries, write what they come to into `out`, JSON,
    and return it, all countries first; replies are kept beside it.

    Raises UserError for fewer than two countries with people, and where `out` is of another model.
    """
    with TemporaryDirectory() as folder:
        found = gather_people(
            people, items, countries, Path(folder), count=None, weights="national", seed=0
        )
    grid = found.grid
    if len(grid.countries) < 2:
        raise UserError("name two countries or more with answers of people: one is the control")
    voice, kept = load_voice("en"), out.with_suffix(".replies.jsonl")
    asked = [
        _Asked(country, item, _prompt(voice, country, item))
        for row, country in enumerate(grid.countries)
        for column, item in enumerate(items)
        if grid.asked[row, column]
    ]
    told = {"model": model, "options": dict(options or {})}
    replies = _kept(kept, told)
    todo = [each for each in asked if each.key not in replies]
    run_to_end(_ask(open_model(model, options), todo, kept, told, concurrency))
    scores = _scores(grid, items, asked, _kept(kept, told))
    rows = [asdict(each) for each in scores]
    text = json.dumps({**told, "people": found.about, "recitation": rows}, ensure_ascii=False)
    write_named(out, text + "\n")
    return scores


def _prompt(voice: Voice, country: str, item: Item) -> Prompt:
    template, wording = load_template("recitation", Path(__file__).parent), voice.wording(item)
    labels = shown_labels(voice, item, item.scale_codes)
    question = template.question(voice.place(country), wording.ask, wording.statement, labels)
    return chat(template.system(), question)


def _kept(file: Path, told: Mapping[str, Any]) -> dict[tuple[str, str, str], str]:
    """Return the replies of a file that were given."""
    replies = {}
    for row in read_lines(file, _Reply):
        if (row.model, row.options) != (told["model"], told["options"]):
            raise UserError(f"{file} holds replies of {row.model}; name another file (--out)")
        if row.problem is None:
            replies[row.country, row.item, row.prompt_hash] = row.reply
    return replies


async def _ask(
    model: Model, todo: Sequence[_Asked], file: Path, told: Mapping[str, Any], concurrency: int
) -> None:
    """Ask what is open, and append each reply to the file as it comes."""
    gate = asyncio.Semaphore(concurrency)

    async def one(asked: _Asked) -> None:
        reply, problem = "", None
        async with gate:
            try:
                reply = sound((await model.complete(asked.prompt, _SAMPLING)).text)
            except CallFailed as error:
                problem = error.reason
        row = _Reply(told["model"], told["options"], *asked.key, reply, problem)
        line = json.dumps(asdict(row), ensure_ascii=False)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")

    if todo:
        file.parent.mkdir(parents=True, exist_ok=True)
        await model.start()
        try:
            await asyncio.gather(*map(one, todo))
        finally:
            await model.close()


def _scores(
    grid: Grid,
    items: Sequence[Item],
    asked: Sequence[_Asked],
    replies: Mapping[tuple[str, str, str], str],
) -> list[Recitation]:
    said, unread = np.full(grid.shares.shape, np.nan), dict.fromkeys(grid.countries, 0)
    for each in asked:
        codes = each.item.scale_codes
        shares = read_shares(replies.get(each.key, ""), len(codes))
        if shares is None:
            unread[each.country] += 1
            continue
        cell = said[grid.countries.index(each.country), items.index(each.item)]
        cell[:] = 0
        for code, share in zip(codes, shares, strict=True):
            point = each.item.point(code)
            if point is not None:
                cell[each.item.points.index(point)] += share
        cell /= cell.sum()
    by_item = draw_weights(len(items), _DRAWS, np.random.default_rng(0))
    by_item = np.concatenate([np.ones((1, len(items))), by_item])
    fits = np.stack([_fits(said, grid, row, by_item) for row in range(len(grid.countries))])
    counts = (~np.isnan(said[..., 0])).sum(axis=1)
    rows = [(country, fits[row], int(counts[row])) for row, country in enumerate(grid.countries)]
    whole = known_mean(np.moveaxis(fits, 0, -1))
    rows.insert(0, (ALL, whole, int((~np.isnan(said[..., 0])).any(axis=0).sum())))
    unread[ALL] = sum(unread.values())
    return [_recitation(country, fit, many, unread[country]) for country, fit, many in rows]


def _fits(said: Floats, grid: Grid, row: int, by_item: Floats) -> Floats:
    """Return (1 + draws, 4), the observed first: correlations of what is said of a country with its
    people and with the others', and shares of options near them."""
    on = grid.scales.on
    found = []
    for human in grid.shares:
        known = on & ~np.isnan(said[row]) & ~np.isnan(human)
        equal = 1 / grid.scales.lengths[:, None]
        left, right = (np.where(known, each - equal, 0) for each in (said[row], human))
        sums = [(a * b).sum(axis=-1) for a, b in ((left, right), (left, left), (right, right))]
        near = (np.where(known, np.abs(left - right), 9) <= _NEAR / 100).sum(axis=-1)
        both, mine, theirs = (by_item @ part for part in sums)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = (by_item @ near) / (by_item @ known.sum(axis=-1))
            found.append(np.stack([both / np.sqrt(mine * theirs), shares]))
    others = known_mean(np.stack(found[:row] + found[row + 1 :], axis=-1))
    return np.stack([found[row][0], others[0], found[row][1], others[1]], axis=-1)


def _recitation(country: str, fit: Floats, items: int, unread: int) -> Recitation:
    own, others, near, near_others = (float(part) if part == part else None for part in fit[0])
    if own is None or others is None:
        return Recitation(country, items, unread, own, others, None, None, None, near, near_others)
    low, high = (float(end[0]) for end in ends((fit[1:, 0] - fit[1:, 1])[:, None], 0.95))
    gap = own - others
    return Recitation(country, items, unread, own, others, gap, low, high, near, near_others)


def lines(scores: Sequence[Recitation]) -> list[str]:
    """Return what was found as text, a line a country."""
    head = f"{'people of':<24} {'items':>5} {'unread':>6} {'own r':>6} {'others':>6}  "
    rows = [
        f"{country_name(one.country):<24} {one.items:>5} {one.unread:>6} {number(one.own, 2):>6} "
        f"{number(one.others, 2):>6}  {interval(one.gap, one.low, one.high):<22} "
        f"{number(one.near, 2):>6} {number(one.near_others, 2):>6}"
        for one in scores
    ]
    return [
        f"{head}{'own less others':<22} {'near':>6} {'others':>6}",
        *rows,
        "own r: correlation of the shares named with the people's of the country, over options; "
        "others: with those of other countries; near: options named within 2 points. Where the "
        "interval of own less others is above 0 the model knows the country's own figures.",
    ]
