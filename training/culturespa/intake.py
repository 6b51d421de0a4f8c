"""Puts released answer sheets into the store of an evaluation, which then scores them like its own.

Invariant: sheets arrive whole or not at all, and the same answers never twice; what the evaluation
does not ask is counted and not stored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from eval.config import ModelRef, parse_eval_config
from eval.evaluate import add_facts, find_people
from eval.survey.condition import NOBODY, Condition, Planner
from eval.survey.method import method as known_method
from eval.survey.voice import Voice, languages, load_voice
from folkways.errors import UserError, unknown_name
from folkways.files import parse_yaml
from folkways.text import sound
from simulation.config import config_hash
from simulation.episode.call import KEPT_REPLY
from simulation.run import settle_configuration
from simulation.store.record import Record, Row
from simulation.store.run_lock import locked
from simulation.store.writer import Store
from training.culturespa.config import CULTURES
from training.culturespa.released import (
    ReleasedSheet,
    listed,
    published_code,
    published_score,
    read_sheet,
    some,
)
from training.culturespa.sheet_country import doubts, told_country

_ENGINE = "imported"
"""What stands for the engine of a model whose answers were given elsewhere."""
_NOT_ASKED = "not asked in this evaluation"
_STORED = """
select country, sample, item_id, coalesce(reply, '') from survey_replies where condition_id = ?
"""


@dataclass(frozen=True, slots=True)
class Source:
    """Whose answers sheets hold."""

    label: str
    """What reports call the model."""
    method: str
    """How it was asked; see `folkways eval wvs methods`."""
    language: str = "en"

    @property
    def condition(self) -> Condition:
        """What the store calls them."""
        return Condition(
            ModelRef(name=_ENGINE, label=self.label), self.method, None, self.language, "text"
        )

    def homes(self, countries: Sequence[str], sheets: Sequence[ReleasedSheet]) -> list[str]:
        """Return the country of each sheet: as given, or else as its entries or its name tell.
        Raises UserError where these are not clear."""
        files = len(sheets)
        chosen = known_method(self.method)
        if chosen.by_respondent:
            raise UserError(
                f"the method '{self.method}' is about described respondents, whom a sheet does not "
                "name; take one of a culture, such as culture"
            )
        if self.language not in languages():
            raise unknown_name("survey language", self.language, languages())
        if not chosen.by_culture:
            if countries:
                raise UserError(
                    f"the method '{self.method}' names no culture, so its sheets have no --country"
                )
            return [NOBODY] * files
        known = load_voice("en").words.countries
        for country in countries:
            if country not in known:
                raise unknown_name("country", country, known)
        told = [told_country(sheet) for sheet in sheets]
        if not countries and all(told):
            return [home for home in told if home]
        if len(countries) not in (1, files):
            raise UserError(
                f"{files} sheets and {len(countries)} countries: name one --country for all, or "
                "one for each: --country USA,CAN; or name the files so: p1_usa.json"
            )
        return [*countries] * (files if len(countries) == 1 else 1)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one sheet."""

    sheet: ReleasedSheet
    country: str
    sample: int
    strict: int
    lenient: int
    problems: Mapping[str, int]
    """By reason: answers that the lenient reading finds no option in."""
    published: Mapping[str, int]
    """What the published parser takes for the answer, by item."""
    left_out: Mapping[str, Sequence[str]]
    missing: Sequence[str]
    """Items of the evaluation that the sheet has no entry for."""
    compared: Sequence[str]
    """Countries whose people the published score is taken against."""
    doubts: Sequence[str] = ()
    """What speaks against the country that it is taken for."""

    @property
    def stored(self) -> int:
        """How many answers went into the store."""
        return self.lenient + sum(self.problems.values())

    def lines(self) -> list[str]:
        """Return what a person should know of it."""
        where = "" if self.country == NOBODY else f", {self.country}"
        again = f", answers no. {self.sample + 1}" if self.sample else ""
        said = ", ".join(f"{count} {problem}" for problem, count in self.problems.items())
        lines = [
            f"{self.sheet.path}{where}{again}: {self.sheet.size} entries, {self.stored} stored",
            f"  read strictly {self.strict}, leniently {self.lenient}, by the published parser "
            f"{len(self.published)}" + (f"; no option: {said}" if said else ""),
        ]
        if self.left_out:
            lines.append(f"  left out: {listed(self.left_out)}")
        if self.missing:
            lines.append(f"  {len(self.missing)} items are not in the sheet: {some(self.missing)}")
        lines += [f"  warning: {doubt}" for doubt in self.doubts]
        known = self.scores()
        if not known:
            return lines
        mean = sum(score for score, _ in known.values()) / len(known)
        home, (_, items) = next(iter(known.items()))
        of = f"{items} items, {home}" if len(known) == 1 else f"mean of {len(known)} countries"
        return [*lines, f"  CultureSPA's score by the published parser: {mean:.2f} ({of})"]

    def scores(self) -> dict[str, tuple[float, int]]:
        """Return CultureSPA's score by the published parser and its items, by country."""
        found = {home: published_score(self.published, home) for home in self.compared}
        return {home: score for home, score in found.items() if score and score[1]}


def mean_line(found: Sequence[Imported]) -> list[str]:
    """Return the mean over several sheets of what the published parser leads to, as a line."""
    scores = [score for one in found for score, _ in one.scores().values()]
    if len(found) < 2 or not scores:
        return []
    mean = sum(scores) / len(scores)
    return [f"CultureSPA's score by the published parser, mean of {len(found)} sheets: {mean:.2f}"]


def import_sheets(
    files: Sequence[Path],
    run: Path,
    source: Source,
    countries: Sequence[str] = (),
    *,
    add: bool = False,
    utc: Callable[[], datetime],
) -> list[Imported]:
    """Store the answers in `files` in an evaluation's folder, which is made if it is missing.

    Several sheets of a country are several answers to the same questions. Raises UserError for a
    faulty sheet, an unclear country, answers that are there already, and, unless they are to be
    added, further answers of a country that has some. Then nothing is stored.
    """
    sheets = [read_sheet(path) for path in files]
    homes = source.homes(countries, sheets)
    run.mkdir(parents=True, exist_ok=True)
    with locked(run):
        store = Store(run)
        planner = _planner(store, run, source, [home for home in homes if home != NOBODY])
        samples = _samples(store, source, homes, sheets, planner, add)
        asked = [item.id for item in planner.items]
        voice, started = load_voice(source.language), utc()
        found, rows = [], list[Row]()
        for sheet, home, sample in zip(sheets, homes, samples, strict=True):
            answers = list(_replies(sheet, source, home, sample, voice, asked, started))
            if not answers:
                raise UserError(f"{sheet.path}: this evaluation asks none of its items")
            compared = planner.config.cultures if home == NOBODY else (home,)
            found.append(_imported(sheet, home, sample, answers, asked, compared))
            rows += answers
        doubted = doubts(sheets, [one.published for one in found], homes)
        found = [replace(one, doubts=said) for one, said in zip(found, doubted, strict=True)]
        add_facts(store, planner)
        told = _launch(run, source, found, started, utc())
        shared = {"survey_conditions": [source.condition.row() | {"wording": _ENGINE}]}
        store.append([Record({"survey_replies": rows, "launches": [told]}, _ENGINE, shared)])
    return found


def _planner(store: Store, run: Path, source: Source, homes: Sequence[str]) -> Planner:
    """Return what the evaluation in a folder asks; a new one asks all items in the survey's order,
    and is compared with the people of the published countries."""
    store.create()
    stored = store.run("survey")
    if stored is None:
        data: dict[str, Any] = {"items": "culturespa-259", "orders": "forward"}
        cultures = [*CULTURES]
    else:
        data = parse_yaml(stored[0], f"the configuration of the evaluation in {run}")
        with store.reading() as con:
            told = con.execute("select distinct country from survey_people order by 1").fetchall()
        cultures = [country for (country,) in told]
    name = run.resolve().name
    data |= {"name": name, "methods": [source.method], "out": str(run.parent)}
    data |= {"cultures": list(dict.fromkeys([*cultures, *homes]))}
    config = parse_eval_config(data, str(run))
    if stored is None:
        known = {"items": data["items"], "people": config.people, "orders": data["orders"]}
        hashed = config_hash(known)  # how the sheets' answers were drawn is not
        settle_configuration(run, name, known, hashed, "survey", ("survey_replies",))
    return Planner(config, find_people(config, run))


def _samples(
    store: Store,
    source: Source,
    homes: Sequence[str],
    sheets: Sequence[ReleasedSheet],
    planner: Planner,
    add: bool,
) -> list[int]:
    """Return which answer to each question every sheet is. Raises UserError where it is not to be
    stored."""
    asked = {item.id for item in planner.items}
    known: dict[str, dict[int, dict[str, str]]] = {}
    with store.reading() as con:
        for home, sample, item, reply in con.execute(_STORED, [source.condition.id]).fetchall():
            known.setdefault(home, {}).setdefault(sample, {})[item] = reply
    before, samples = set(known), []
    for sheet, home in zip(sheets, homes, strict=True):
        told = known.setdefault(home, {})
        answers = {name: _kept(e.text) for name, e in sheet.entries.items() if name in asked}
        called = f"'{source.label}', {source.method}" + (f", {home}" if home != NOBODY else "")
        if answers in told.values():
            raise UserError(f"{sheet.path}: the same answers are stored already as {called}")
        if home in before and not add:
            raise UserError(
                f"{sheet.path}: there are answers of {called} already; --add stores these as "
                "further answers to the same questions, another --label as another model's"
            )
        samples.append(max(told, default=-1) + 1)
        told[samples[-1]] = answers
    return samples


def _replies(
    sheet: ReleasedSheet,
    source: Source,
    home: str,
    sample: int,
    voice: Voice,
    asked: Sequence[str],
    now: datetime,
) -> list[Row]:
    """Return the rows of the table `survey_replies`."""
    rows = []
    for name in asked:
        if name not in sheet.entries:
            continue
        entry = sheet.entries[name]
        codes = list(entry.item.options)
        read = entry.read(voice.refusals, voice.unsure)
        strict, lenient = (
            None if place is None else codes[place] for place in (read.strict, read.lenient)
        )
        rows.append({
            "condition_id": source.condition.id, "country": home, "item_id": name,
            "arrangement": 0, "sample": sample, "attempt": 1, "shown": codes,
            "reply": _kept(entry.text), "strict": strict, "lenient": lenient,
            "problem": read.problem, "prompt_hash": entry.prompt, "copied": False,
            "latency_s": 0.0, "asked_at": now,
        })  # fmt: skip
    return rows


def _kept(text: str) -> str:
    return sound(text)[:KEPT_REPLY]


def _imported(
    sheet: ReleasedSheet,
    home: str,
    sample: int,
    answers: Sequence[Row],
    asked: Sequence[str],
    compared: Sequence[str],
) -> Imported:
    codes = {row["item_id"]: published_code(row["reply"]) for row in answers}
    wrong = Counter(row["problem"] for row in answers if row["problem"])
    left_out = dict(sheet.left_out)
    if other := [name for name in sheet.entries if name not in codes]:
        left_out[_NOT_ASKED] = other
    named = {name for ids in sheet.left_out.values() for name in ids}
    return Imported(
        sheet,
        home,
        sample,
        sum(row["strict"] is not None for row in answers),
        sum(row["lenient"] is not None for row in answers),
        dict(wrong.most_common()),
        {name: code for name, code in codes.items() if code is not None},
        left_out,
        [name for name in asked if name not in codes and name not in named],
        compared,
    )


def _launch(
    run: Path, source: Source, found: Sequence[Imported], started: datetime, ended: datetime
) -> Row:
    """Return the row of the table `launches`: which files, and what became of them."""
    settings = {
        "model": source.label, "method": source.method, "language": source.language,
        "sheets": [
            {
                "file": str(one.sheet.path), "sha256": one.sheet.digest, "country": one.country,
                "sample": one.sample, "entries": one.sheet.size, "stored": one.stored,
                "strict": one.strict, "lenient": one.lenient, "published": len(one.published),
                "left_out": one.left_out, "missing": one.missing,
            }
            for one in found
        ],
    }  # fmt: skip
    return {
        "run_id": run.resolve().name,
        "stage": "spa-import",
        "started_at": started,
        "ended_at": ended,
        "episodes": len(found),
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cost": None,
        "end_reason": "done",
        "settings": json.dumps(settings),
    }
