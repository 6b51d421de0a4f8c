"""The command `doctor`.

Invariant: every line is printed as soon as it is known; an endpoint is asked only where the user
names it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agents.models.readiness import TORCH, lacking, lacking_weights, missing_packages, versions_of
from agents.models.weights import INSTALL
from folkways.secrets import redacted
from folkways.text import printable
from simulation.machine import Fact, machine_facts
from simulation.trial import TrialFailed, try_model, try_run

app = typer.Typer()

_ENGINES = {"fake": 20.0, "llama": 60.0, "hf": 120.0, "vllm": 180.0}
"""The engines that are tried, and the seconds each may take, start-up included."""
RUN_S, MODEL_S = 60.0, 300.0
"""Seconds that a run, and a model that the user names, may take."""
FURTHER = {
    "train": (
        ("torch", "transformers", "peft", "trl", "matplotlib"),
        "adapters, with folkways train",
    ),
    "eval": (
        ("numpy", "scipy", "matplotlib", "pyreadstat", "sacrebleu"),
        "surveys, with folkways eval",
    ),
    "abilities": (("lm_eval",), "folkways eval abilities"),
    "ray": (("ray",), "several machines, with folkways run --ray"),
    "metrics": (("prometheus_client",), "Prometheus, with folkways run --metrics"),
    "socks": (("socksio",), "a SOCKS proxy"),
}
"""Extras beside those of engines, by name: their packages and what they are for."""
_REMEDY = f"pip install 'folkways[llama]'; {INSTALL}; or set OPENAI_API_KEY"


@app.command()
def doctor(
    model: Annotated[
        str | None, typer.Option(help="Try this model, an endpoint too, instead of the engines.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Try nothing, only look.")] = False,
) -> None:
    """Say what works on this machine and what to install for what; the exit status is 1 if no
    scene can be played or no run stored.
    """
    facts: list[Fact] = []
    for fact in _examine(model, quick):
        facts.append(fact)
        typer.echo(printable(redacted(f"{fact.state}  {fact.about:<10} {_line(fact.words)}")))
    problem = verdict(facts, model)
    typer.echo("")
    typer.echo(problem or "Scenes can be played and stored here; next: folkways new NAME")
    if problem:
        raise typer.Exit(1)


def _examine(model: str | None, quick: bool) -> Iterator[Fact]:
    """Yield what there is, then what works, each as soon as it is known."""
    folder = (Path("runs") if Path("runs").exists() else Path()).resolve()
    yield from machine_facts(folder, os.environ)
    yield from map(_extra, FURTHER)
    if quick:
        writable = os.access(folder, os.W_OK)
        words = f"{folder} can{'' if writable else 'not'} be written; not tried"
        yield Fact("run", "ok" if writable else "no", words)
    else:
        yield _tried("run", "", lambda: try_run(folder, RUN_S))
    if model is not None:
        yield _tried("model", f"{model}: ", lambda: try_model(model, MODEL_S))
    else:
        for engine in _ENGINES:
            yield _engine(engine, quick)


def verdict(facts: list[Fact], model: str | None = None) -> str:
    """Return why scenes cannot be played and stored here; empty where they can."""
    state = {fact.about: fact.state for fact in facts}
    if state["run"] != "ok":
        return "No run can be stored here: see the line run above."
    able = ("model",) if model else ("llama", "hf", "vllm", "endpoint")
    if not any(state.get(one) == "ok" for one in able):
        if model:
            return f"{printable(redacted(model))} does not work here: see the line model above."
        return (
            f"No engine works and no endpoint is set, so that only fake can play; next: {_REMEDY}"
        )
    return ""


def _engine(engine: str, quick: bool) -> Fact:
    name = "fake" if engine == "fake" else f"{engine}:embedded"
    if lacks := lacking(engine):
        return Fact(engine, "--", lacks)
    if engine != "fake" and (lacks := lacking_weights()):
        return Fact(engine, "--", f"{versions_of(engine)}; not tried: {lacks}")
    with_versions = f"{found}; " if (found := versions_of(engine)) else ""
    if quick:
        return Fact(engine, "ok", f"{with_versions}not tried")
    return _tried(engine, f"{with_versions}{name}: ", lambda: try_model(name, _ENGINES[engine]))


def _extra(name: str) -> Fact:
    packages, purpose = FURTHER[name]
    if missing := missing_packages(packages):
        first = f"{TORCH}, then " if "torch" in missing else ""
        words = f"for {purpose}: {first}pip install 'folkways[{name}]'"
        return Fact(name, "--", f"{words} (missing: {', '.join(missing)})")
    return Fact(name, "ok", f"for {purpose}")


def _tried(about: str, before: str, trial: Callable[[], str]) -> Fact:
    """Return what a trial found; a terminal shows meanwhile that it is under way."""
    with Console(stderr=True).status(f"trying {about}"):
        try:
            return Fact(about, "ok", before + trial())
        except TrialFailed as error:
            return Fact(about, "no", before + str(error))


def _line(words: str) -> str:
    return " ".join(words.split())
