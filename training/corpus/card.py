"""The card of a corpus: README.md, what a reader must know before training on it.

Invariant: every figure in it is counted from the store or from the rows, and the same corpus has
the same card.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import yaml

from agents.template import load_template
from folkways.errors import UserError
from folkways.files import parse_yaml, read_bytes
from folkways.provenance import short_hash
from folkways.text import printable
from simulation.review.funnel import AGREEMENT, BY_CULTURE
from simulation.store.part import POLICIES
from simulation.store.reader import read_rows
from training.corpus.config import NO_POLICY, CorpusConfig
from training.corpus.formats import SPLITS, load_format
from training.corpus.ledger import REASONS, Ledger
from training.corpus.length import BYTES_PER_TOKEN
from training.corpus.perspective import BEGINS, NOBODY
from training.corpus.task import PROMPTS, TASKS

CARD = "README.md"
_PLAYERS = """
select e.model, e.reply_form, e.language, count(*) as episodes
from chosen c join episodes e using (episode_id) where c.reason is null group by all order by all
"""
_JUDGES = """
select critic, model, count(*) as verdicts from last_verdicts v join chosen c using (episode_id)
group by all order by all
"""
_LABELLERS = """
select model, count(*) as labels from intents i join chosen c using (episode_id)
where i.failure is null and c.reason is null group by all order by all
"""
_CULTURES = "select distinct culture_id, name from cultures order by culture_id"
_FUNNEL = (
    "culture",
    "model",
    "simulated",
    "cut short",
    "dropped",
    "unreviewed",
    "needs review",
    "accepted",
)
_AGREED = ("dimension", "culture", "judged twice", "unanimous", "alpha")
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
"""Size categories of the Hugging Face Hub."""


@dataclass(slots=True)
class RunFacts:
    """What the card says of the run that the corpus comes from."""

    run_id: str
    conditioning: str
    versions: Mapping[str, str]
    players: list[dict[str, Any]]
    judges: list[dict[str, Any]]
    labellers: list[dict[str, Any]]
    cultures: dict[str, str]
    """Ids with names."""
    funnel: list[dict[str, Any]]
    """Episodes before and after the policy, a row for each culture and model."""
    agreement: list[dict[str, Any]]
    failed: int = 0
    """Acts of the chosen episodes whose call failed."""
    idle: int = 0
    """Acts of theirs that were none."""
    source: str = ""
    """Hash of the configuration, of the episodes that it chooses, and of the counts here."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the corpus came to."""

    hash: str
    ledger: Ledger
    held_out: list[str]
    """Scenarios of the validation rows."""
    by_culture: Sequence[Mapping[str, Any]]
    """culture, task, split, rows and tokens."""

    def lines(self) -> Iterator[str]:
        """Yield the account in print."""
        for row in _account(self.ledger):
            indent = "" if row["what"] == "candidates" else "  "
            yield f"{indent}{row['task']}, {row['what']}: {row['rows']:,}"
        for split in SPLITS:
            if rows := self.ledger.in_split(split):
                yield f"{split}: {rows:,} rows, {self.ledger.tokens_in(split):,} tokens"


def read_facts(con: duckdb.DuckDBPyConnection) -> RunFacts:
    """Return what the card says of a run whose episodes have been chosen."""
    run = read_rows(con, "select run_id, config, versions from runs where kind = 'run'")
    config, versions = (
        parse_yaml(run[0][name], f"{name} of the stored run") if run else {}
        for name in ("config", "versions")
    )
    return RunFacts(
        run[0]["run_id"] if run else "unknown",
        config.get("conditioning", "unknown"),
        versions,
        read_rows(con, _PLAYERS),
        read_rows(con, _JUDGES),
        read_rows(con, _LABELLERS),
        dict(con.execute(_CULTURES).fetchall()),
        read_rows(con, BY_CULTURE),
        read_rows(con, AGREEMENT),
    )


def by_culture(con: duckdb.DuckDBPyConnection) -> Sequence[Mapping[str, Any]]:
    """Return the rows kept, for each culture, task and split."""
    return read_rows(
        con,
        "select c.culture, k.task, k.split, count(*) as rows, sum(k.tokens)::bigint as tokens "
        "from kept k join candidates c using (number) where k.reason is null "
        "group by all order by all",
    )


def render_card(
    run: Path, folder: Path, config: CorpusConfig, facts: RunFacts, contents: Contents
) -> str:
    """Return the card as Markdown with the metadata block of a Hugging Face dataset."""
    text = load_template("card", PROMPTS, folded=False).page(
        front=_front_matter(config, facts, contents), facts=facts, contents=contents,
        config=config, format=load_format(config.format), command=command(run, folder, config),
        policy=_policy(config), begins=BEGINS, nobody=NOBODY, bytes_per_token=BYTES_PER_TOKEN,
        tasks={task: TASKS[task].about if task in TASKS else "pairs of an act and a worse draft"
               for task in config.tasks},
        tables=_tables(config, facts, contents), cell=cell,
    )  # fmt: skip
    return text.strip() + "\n"


def read_front_matter(folder: Path) -> dict[str, Any]:
    """Return what the card of a corpus says of it in its metadata block, under `folkways`: hash,
    source, format, run, tasks, seed, rows and tokens.

    Raises UserError for a folder that holds no corpus.
    """
    try:
        text = read_bytes(folder / CARD).decode()
        known: dict[str, Any] = parse_yaml(text.split("---\n", 2)[1], CARD)["folkways"]
        if not isinstance(known, dict):
            raise TypeError(known)
    except (OSError, UnicodeDecodeError, IndexError, KeyError, TypeError, UserError) as error:
        raise UserError(
            f"'{folder}' holds no corpus of folkways; folkways export RUN FOLDER makes one"
        ) from error
    return known


def command(run: Path, folder: Path, config: CorpusConfig) -> str:
    """Return the command that makes the same corpus again."""
    weights = ",".join(
        task if weight is None else f"{task}={weight:g}" for task, weight in config.tasks.items()
    )
    options: dict[str, Any] = {
        "--format": config.format,
        "--tasks": None if load_format(config.format).pairs else weights,
        "--by": config.by if config.weighted else None,
        "--policy": config.policy,
        "--cultures": ",".join(config.cultures) or None,
        "--min-parties": config.min_parties if config.min_parties > 2 else None,
        "--max-parties": config.max_parties,
        "--tokens": config.tokens,
        "--validation": config.validation or None,
        "--hold-out": "scenarios" if config.hold_out == "scenarios" else None,
        "--seed": config.seed,
        "--tokenizer": config.tokenizer,
    }
    words = ["folkways", "export", str(run), str(folder)]
    for name, value in options.items():
        words += [] if value is None else [name, str(value)]
    return shlex.join(words + (["--repeat"] if config.repeat else []))


def _front_matter(config: CorpusConfig, facts: RunFacts, contents: Contents) -> str:
    ledger, format_ = contents.ledger, load_format(config.format)
    splits = [split for split in SPLITS if ledger.in_split(split)]
    rows = sum(ledger.in_split(split) for split in splits)
    data = {
        "pretty_name": f"folkways: {facts.run_id}",
        "language": sorted({row["language"].split("-")[0] for row in facts.players}),
        "task_categories": ["text-generation"],
        "tags": ["synthetic", "folkways"],
        "size_categories": [size_category(rows)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": s, "path": format_.file(s)} for s in splits],
            }
        ],
        "folkways": {
            "hash": contents.hash,
            "source": facts.source,
            "format": config.format,
            "run": facts.run_id,
            "tasks": dict(config.tasks),
            "policy": config.policy,
            "seed": config.seed,
            "cultures": sorted({row["culture"] for row in contents.by_culture}),
            "rows": {split: ledger.in_split(split) for split in splits},
            "tokens": {split: ledger.tokens_in(split) for split in splits},
        },
    }
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).strip()


def _policy(config: CorpusConfig) -> str:
    if config.policy == NO_POLICY:
        return "none: every episode that came to its own end, whatever the critics say."
    if config.policy in POLICIES:
        return f"{config.policy}: {POLICIES[config.policy]}"
    path = Path(config.policy)
    return f"a query of its own, {path.name}, content hash {short_hash(path.read_bytes())}."


def _tables(config: CorpusConfig, facts: RunFacts, contents: Contents) -> dict[str, str]:
    ledger = contents.ledger
    totals = [
        {"split": split, "rows": ledger.in_split(split), "tokens": ledger.tokens_in(split)}
        for split in SPLITS
        if ledger.in_split(split)
    ]
    funnel = [
        {key.removesuffix("_id").replace("_", " "): value for key, value in row.items()}
        for row in facts.funnel
    ]
    cultures = [
        {**row, "culture": f"{facts.cultures.get(row['culture'], '?')} ({row['culture']})"}
        for row in contents.by_culture
    ]
    agreement = [row | {"judged twice": row["units"]} for row in facts.agreement]
    return {
        "totals": table(("split", "rows", "tokens"), totals),
        "players": table(("model", "reply_form", "language", "episodes"), facts.players),
        "cultures": table(("culture", "task", "split", "rows", "tokens"), cultures),
        "funnel": table(_FUNNEL, funnel),
        "agreement": table(_AGREED, agreement),
        "account": table(("task", "what", "rows"), _account(ledger)),
    }


def _account(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the account as rows that add up: what there could have been, less what was dropped,
    is what is kept.
    """
    lines: list[tuple[str, str, int]] = []
    for task in ledger.candidates:
        lines.append((task, "candidates", ledger.candidates[task]))
        if ledger.repeats[task]:
            lines.append((task, "repeats", ledger.repeats[task]))
        lines += [(task, f"dropped: {REASONS[r]}", n) for r, n in ledger.reasons(task).items()]
        kept = {split: ledger.kept[task, split] for split in SPLITS}
        lines += [(task, f"kept for {split}", count) for split, count in kept.items() if count]
    return [{"task": task, "what": what, "rows": rows} for task, what, rows in lines]


def size_category(rows: int) -> str:
    """Return how the Hugging Face Hub calls a dataset of so many rows."""
    return next((name for limit, name in _SIZES.items() if rows < limit), "n>1M")


def table(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return these columns of some rows as a Markdown table."""
    head = [names, ["---"] * len(names)]
    lines = [*head, *([cell(row[name]) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
    """Return a value as a cell of a Markdown table."""
    if value is None:
        return ""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return " ".join(printable(text).split()).replace("|", "\\|")
