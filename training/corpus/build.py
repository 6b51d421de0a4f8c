"""From the store to candidate rows, a few episodes at a time.

Invariant: the store is open only while some episodes are copied, so that a live run can go on
writing, and no more than those episodes are ever in memory; what was collected before a process was
killed is collected once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from folkways.errors import UserError
from simulation.store.reader import find_store, open_reader
from training.corpus.candidates import Candidates
from training.corpus.card import RunFacts, read_facts
from training.corpus.config import CorpusConfig
from training.corpus.formats import load_format
from training.corpus.ledger import Ledger
from training.corpus.preference import TASK as PREFERENCE
from training.corpus.preference import preference_rows
from training.corpus.progress import ExportProgress
from training.corpus.row import CorpusRow
from training.corpus.scene import Person, Scene, copied_scenes
from training.corpus.selection import choose_episodes, chosen_episodes, require_accepted
from training.corpus.task import SCENE_ROWS, TASKS, dialogue_row

EPISODES = 2000
"""Episodes copied out of the store at once."""
_COPY = "scenes.parquet"
_ROWS = 500
"""Rows added at once."""


def collect(
    run: Path,
    config: CorpusConfig,
    candidates: Candidates,
    length: Callable[[str], int],
    progress: ExportProgress,
    at_once: int = EPISODES,
) -> tuple[RunFacts, Ledger]:
    """Add the rows of all episodes that the configuration chooses to the candidates, so many
    episodes at once; return what the card says of the run, and the account so far.

    Raises UserError where there is nothing to make rows of.
    """
    ledger, count = Ledger(), 0
    state = f"{_state(run)} {at_once}"

    def visit(episodes: list[str]) -> None:
        nonlocal count
        candidates.visit(episodes)
        count += len(episodes)

    facts = choose(run, config, ledger, visit)
    progress.begin("episodes read", count)
    done, noted = candidates.resume(f"{state} {facts.source}")
    progress.done = min(done * at_once, count)
    for task, reason, rows in noted.get("dropped", ()):
        ledger.drop(task, reason, rows)
    facts.failed, facts.idle = noted.get("failed", 0), noted.get("idle", 0)
    for chunk in candidates.chunks(at_once, done):
        scenes = progress.counted(_scenes(run, config, chunk, candidates.folder / _COPY))
        found = (row for scene in scenes for row in _accounted(scene, config, ledger, facts))
        with candidates.chunk() as note:
            while some := list(islice(found, _ROWS)):
                candidates.add(some, length)
            note({"failed": facts.failed, "idle": facts.idle, "dropped": ledger.noted()})
    _require_rows(candidates, config, ledger)
    return facts, ledger


def choose(
    run: Path, config: CorpusConfig, ledger: Ledger, visit: Callable[[list[str]], object]
) -> RunFacts:
    """Give the ids of the episodes that the configuration chooses to `visit`, some at a time, and
    return what the card says of the run, with a hash of all that decides on the rows."""
    with closing(open_reader(run)) as con:
        choose_episodes(con, config, ledger)
        require_accepted(con, config)
        facts = read_facts(con)
        told = (
            facts.run_id,
            facts.versions,
            facts.players,
            facts.judges,
            facts.labellers,
            facts.cultures,
            facts.funnel,
        )
        code = load_format(config.format).code
        source = hashlib.sha256(f"{config.identity} {told}{code}".encode())
        for episodes in chosen_episodes(con, config):
            visit(episodes)
            source.update("\n".join([*episodes, ""]).encode())
    facts.source = source.hexdigest()[:16]
    return facts


def _scenes(run: Path, config: CorpusConfig, episodes: list[str], copy: Path) -> Iterator[Scene]:
    """Yield some of the episodes to be visited."""
    labels = any(task in config.tasks for task in SCENE_ROWS)
    return copied_scenes(run, episodes, copy, labels, drafts=PREFERENCE in config.tasks)


def _state(run: Path) -> list[tuple[str, int, int]]:
    """Return the names of the files of a run with sizes and times: they change when it does."""
    path = find_store(run)
    files = path.glob("*/*") if path.is_dir() else path.parent.glob(f"{path.name}*")
    found = [(file, file.stat()) for file in sorted(files) if file.is_file()]
    return [(str(file.relative_to(path.parent)), at.st_size, at.st_mtime_ns) for file, at in found]


def _accounted(
    scene: Scene, config: CorpusConfig, ledger: Ledger, facts: RunFacts
) -> Iterator[CorpusRow]:
    """Yield the rows of an episode, and note why others are missing."""
    facts.failed += scene.failed
    facts.idle += scene.idle
    for task in config.tasks:
        for found in _rows(scene, task, config):
            if isinstance(found, str):
                ledger.drop(task, found)
            else:
                yield found


def _rows(scene: Scene, task: str, config: CorpusConfig) -> Iterator[CorpusRow | str]:
    """Yield the rows of an episode in a task, or reasons why there is none."""
    if task == PREFERENCE:
        for person in _focal(scene, config):
            yield from preference_rows(scene, person)
    elif TASKS[task].by_role:
        for person in _focal(scene, config):
            yield dialogue_row(scene, person, config.thoughts) or "no-act"
    elif not config.cultures or scene.culture in config.cultures:
        yield SCENE_ROWS[task](scene) or "no-label"


def _focal(scene: Scene, config: CorpusConfig) -> list[Person]:
    return [p for p in scene.people if not config.cultures or p.culture in config.cultures]


def _require_rows(candidates: Candidates, config: CorpusConfig, ledger: Ledger) -> None:
    """Raise UserError for a task that has no row, with what to do."""
    found = {
        task
        for (task,) in candidates.con.execute("select distinct task from candidates").fetchall()
    }
    for task in config.tasks:
        if task in found:
            continue
        if task == PREFERENCE:
            raise UserError(_no_pairs(ledger))
        if task in SCENE_ROWS and ledger.dropped[task, "no-label"]:
            raise UserError(
                f"no row for the task {task}: none of {ledger.dropped[task, 'no-label']} accepted "
                "episodes has an intent label; folkways label RUN makes them, --preset "
                "dialogue-only does without"
            )
        raise UserError(f"no row for the task {task}: no accepted episode has one of it")


def _no_pairs(ledger: Ledger) -> str:
    reasons = ledger.reasons(PREFERENCE)
    if not reasons:
        return (
            "no act of this run has drafts, so nothing was preferred to anything; play with a "
            "critic in the loop (in_loop in the run's configuration)"
        )
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return f"no draft of this run was judged worse than the act it became ({counts})"
