"""The Python front door: play, open, judge, export, train, evaluate.

Invariant: whatever a command does, the function of the same name does in the same way, so that a
notebook and a shell can go on with each other's work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkways.errors import UserError, unknown_name
from folkways.rows import Rows

if TYPE_CHECKING:
    import duckdb
    import networkx as nx

    from folkways.scene import Transcript
    from simulation.plan import Plan
    from training.finetune.train import Outcome

Place = str | Path
Override = Sequence[str]
"""As after `-o` on the command line: `limits.turns=8`."""


def run(
    config: Place | Mapping[str, Any],
    *,
    model: str | None = None,
    limit: int | None = None,
    override: Override = (),
    fresh: bool = False,
    retry: bool = False,
    quiet: bool = False,
) -> Run:
    """Play the scenes of a configuration, a file or a mapping, and return the run.

    The same call again resumes where it stopped; `limit` plays so many episodes at most, `fresh`
    sets an older run aside, `retry` also plays what failed too often. Works where an event loop
    runs, as in a notebook. Raises UserError as the command `folkways run` does, Incomplete where
    episodes are to be played again.

    ```python
    run = fw.run("pilot.yaml", model="fake", limit=10)
    ```
    """
    from simulation.run import launch

    plan = _plan(config, model, override)
    ending = launch(plan, limit=limit, fresh=fresh, retry=retry, quiet=quiet)
    return Run(_folder(plan), ending=ending)


async def arun(
    config: Place | Mapping[str, Any],
    *,
    model: str | None = None,
    limit: int | None = None,
    override: Override = (),
    fresh: bool = False,
    retry: bool = False,
    quiet: bool = False,
) -> Run:
    """Do what `run` does in a running event loop."""
    from simulation.run import alaunch

    plan = _plan(config, model, override)
    ending = await alaunch(plan, limit=limit, fresh=fresh, retry=retry, quiet=quiet)
    return Run(_folder(plan), ending=ending)


def open(*runs: Place) -> Run:  # noqa: A001
    """Return a run, or several as one: run folders, folders of shards, or patterns of them.

    A live run is read from a snapshot, so that its writer is never held up. Raises UserError where
    there is none.

    ```python
    fw.open("runs/a", "runs/b", "packed/*").sql("select run_id, turns from conversations")
    ```
    """
    from simulation.store.reader import find_store

    found = [path for place in runs for path in _matching(str(place))]
    if not found:
        raise UserError(f"no run matches {', '.join(map(str, runs)) or 'nothing'}")
    for path in found:
        find_store(path)
    return Run(*found)


def evaluate(
    config: Place,
    *,
    model: str | None = None,
    override: Override = (),
    fresh: bool = False,
    quiet: bool = False,
) -> Run:
    """Ask models the World Values Survey, as `folkways eval wvs run` does, and return the run.

    Raises UserError for a faulty configuration, Incomplete where questions have no answer yet.
    """
    from eval.config import load_eval_config
    from eval.evaluate import evaluate as ask

    models = [f"models=[{{name: '{model}'}}]"] if model else []
    chosen = load_eval_config(Path(config), [*override, *models])
    ending = ask(chosen, fresh=fresh, quiet=quiet)
    return Run(Path(chosen.out) / chosen.name, ending=ending)


def train(
    config: Place, *, override: Override = (), fresh: bool = False, quiet: bool = False
) -> list[Outcome]:
    """Train the adapters of a configuration, as `folkways train` does; return how each ended.

    Raises UserError for a faulty configuration or corpus.
    """
    from training.finetune.config import load_train_config
    from training.finetune.train import train as fit

    return fit(load_train_config(Path(config), list(override)), fresh=fresh, quiet=quiet)


def experiment(kind: str, config: Place, *, override: Override = (), quiet: bool = False) -> Path:
    """Run a whole study, `clca` or `culturespa`, each stage in a process of its own; return its
    folder. Raises UserError for a faulty configuration, and where a stage ends early."""
    from training.experiment.config import load_clca
    from training.experiment.spa_config import load_spa_experiment
    from training.experiment.stages import SPA_STAGES, STAGES, run_stages

    kinds: dict[str, Any] = {
        "clca": (load_clca, STAGES),
        "culturespa": (load_spa_experiment, SPA_STAGES),
    }
    if kind not in kinds:
        raise unknown_name("experiment", kind, kinds)
    load, stages = kinds[kind]
    study = load(Path(config), list(override))
    command = [kind, str(config), *(part for one in override for part in ("-o", one))]
    if code := run_stages([*command, *(["--quiet"] if quiet else [])], list(stages), print):
        raise UserError(f"the experiment ended early (exit {code}); the same call resumes it")
    folder: Path = study.folder
    return folder


class Run:
    """One run, or several read as one.

    ```python
    run = fw.open("runs/pilot")
    run.sql("select title, turns from conversations")
    run.critique(model="embedded", critics=["quality", "culture"])
    ```
    """

    def __init__(self, *places: Path, ending: str | None = None) -> None:
        self.places = places
        self.ending = ending
        """Why the launch that made it ended: done, limit, drained, or the budget that ran out."""

    @property
    def path(self) -> Path:
        """Its folder. Raises UserError where there are several."""
        if len(self.places) != 1:
            raise UserError(f"this is done for one run at a time, and these are {len(self.places)}")
        return self.places[0]

    def sql(self, query: str) -> Rows:
        """Return what one reading query returns: as rows, `.df()`, `.pl()`, `.arrow()`.

        One run is read as it is now; several as they were at the first query. Raises UserError for
        anything else and for faulty SQL.
        """
        from simulation.store.reader import open_reader

        con = self._joined.cursor() if len(self.places) > 1 else open_reader(self.path)
        return Rows(con, query)

    @cached_property
    def _joined(self) -> duckdb.DuckDBPyConnection:
        from simulation.store.several_runs import open_several

        return open_several(self.places)

    def episodes(self) -> Rows:
        """Return the view `conversations`: a row an episode with its cast, length and cost."""
        return self.sql("from conversations order by started_at, episode_id")

    def turns(self) -> Rows:
        """Return the view `turns_readable`, in the order in which things were said."""
        return self.sql("from turns_readable order by episode_id, turn")

    def calls(self) -> Rows:
        """Return the table `calls`: every prompt's hash, reply, tokens and cost."""
        return self.sql("from calls order by episode_id, call")

    def verdicts(self) -> Rows:
        """Return the view `last_verdicts`: what each judge says of each episode."""
        return self.sql("from last_verdicts order by all")

    def intents(self) -> Rows:
        """Return the view `last_intents`: the intent behind each turn."""
        return self.sql("from last_intents order by all")

    def transcript(self, episode: str | None = None, *, thoughts: bool = False) -> Transcript:
        """Return an episode by its id or the beginning of it, the latest without one; with
        `thoughts`, what was thought before each act is shown.

        `str()` gives the text, a notebook shows the page.
        """
        from folkways.scene import load

        return load(self.path, episode, thoughts)

    def network(self, weight: str = "words") -> nx.DiGraph[str]:
        """Return who spoke to whom as a directed graph of roles, `SCENARIO:ROLE`, of all episodes.

        Edges have `words` and `turns`, and `weight` is the one that is named.
        """
        import networkx as nx

        if weight not in ("words", "turns"):
            raise UserError(f"unknown weight '{weight}'; known: words, turns")
        graph: nx.DiGraph[str] = nx.DiGraph()
        query = (
            "select scenario_id || ':' || speaker, scenario_id || ':' || hearer, "
            "sum(words)::bigint, sum(turns)::bigint from who_spoke_to_whom "
            "group by all order by all"
        )
        for speaker, hearer, words, turns in self.sql(query):
            chosen = words if weight == "words" else turns
            graph.add_edge(speaker, hearer, words=words, turns=turns, weight=chosen)
        return graph

    def critique(
        self,
        *,
        model: str | Sequence[str] | None = None,
        critics: Sequence[str] | None = None,
        limit: int | None = None,
        quiet: bool = False,
        **settings: Any,
    ) -> Run:
        """Have critics judge the run, as `folkways critique` does; the same call again resumes.

        `settings` are those of a configuration's `critique`. Raises UserError for a model that
        cannot be used, Incomplete where verdicts are missing.
        """
        from simulation.review_settings import CritiqueConfig

        given = settings | {"models": [model] if isinstance(model, str) else list(model or ())}
        given |= {"critics": list(critics)} if critics else {}
        return self._review(CritiqueConfig, given, limit, quiet)

    def label(
        self,
        *,
        model: str | None = None,
        limit: int | None = None,
        quiet: bool = False,
        **settings: Any,
    ) -> Run:
        """Label the intent behind every turn, as `folkways label` does; the same call resumes."""
        from simulation.review_settings import LabelConfig

        return self._review(LabelConfig, settings | {"model": model}, limit, quiet)

    def _review(self, kind: Any, given: dict[str, Any], limit: int | None, quiet: bool) -> Run:
        from folkways.settings import validated
        from simulation.episode.budget import BudgetConfig
        from simulation.review.launch import review
        from simulation.review.task import Bounds

        bounds = Bounds(given.pop("concurrency", 64), limit)
        chosen = validated(kind, given)
        return Run(self.path, ending=review(self.path, chosen, bounds, BudgetConfig(), quiet))

    def export(
        self,
        folder: Place,
        *,
        format: str = "messages",  # noqa: A002
        preset: str | None = None,
        quiet: bool = False,
        **settings: Any,
    ) -> Path:
        """Write the accepted episodes as a corpus to train on, as `folkways export` does.

        Returns its folder. Raises UserError for a folder in which something else is.
        """
        from training.corpus.config import make_config
        from training.corpus.export import export_corpus, made_already

        config = make_config(preset, format=format, **settings)
        if made_already(self.path, Path(folder), config) is None:
            export_corpus(self.path, Path(folder), config, quiet)
        return Path(folder)

    def report(self, *, draws: int = 2000) -> list[Path]:
        """Score the answers of an evaluation, as `folkways eval wvs report` does, with all metrics
        that this process has registered; return the files written.

        Raises UserError where nothing was answered.
        """
        from eval.report.write import write_report
        from folkways.clock import utc_now

        return write_report(self.path, utc_now(), draws)

    def __repr__(self) -> str:
        ended = f", ending={self.ending!r}" if self.ending else ""
        return f"Run({', '.join(repr(str(place)) for place in self.places)}{ended})"


def _plan(config: Place | Mapping[str, Any], model: str | None, override: Override) -> Plan:
    from folkways.settings import apply_override
    from simulation.config import load_config, parse_config
    from simulation.plan import make_plan

    changes = [*override, *([f"model.name={model}"] if model else [])]
    if not isinstance(config, Mapping):
        return make_plan(load_config(Path(config), changes))
    data = dict(config)
    for change in changes:
        apply_override(data, change)
    return make_plan(parse_config(data, "the configuration"))


def _folder(plan: Plan) -> Path:
    return Path(plan.config.out) / plan.config.name


def _matching(place: str) -> Iterator[Path]:
    if Path(place).exists() or not any(character in place for character in "*?["):
        yield Path(place)
    else:
        yield from map(Path, sorted(glob(place)))
