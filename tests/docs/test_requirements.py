"""What `make demo` and `make test` install: pinned, with hashes, as pyproject.toml allows."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

HOUSE = Path(__file__).parents[2]
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
BY_MACHINE = {"torch", "torchvision", "torchaudio", "torchcodec"}
"""Installed in the build that fits the machine, or not at all."""
TESTED = ("local", "train", "eval", "abilities", "ray", "dev")


def pins(name: str) -> dict[str, list[Requirement]]:
    text = (HOUSE / "requirements" / f"{name}.txt").read_text()
    found: dict[str, list[Requirement]] = {}
    for line in re.findall(r"^[a-z0-9].*?(?= \\$)", text, re.MULTILINE):
        requirement = Requirement(line)
        found.setdefault(requirement.name, []).append(requirement)
    return found


def wanted(extras: tuple[str, ...]) -> list[Requirement]:
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][e] for e in extras)]
    found = [Requirement(text) for part in lists for text in part]
    return [r for r in found if r.name not in BY_MACHINE | {"folkways"}]


@pytest.mark.parametrize(
    ("name", "extras"),
    [("demo", ("llama",)), ("test", TESTED), ("vllm-cpu", (*TESTED, "vllm-cpu"))],
)
def test_every_dependency_is_pinned_to_a_version_that_the_project_allows(name, extras):
    pinned = pins(name)
    for requirement in wanted(extras):
        versions = [next(iter(r.specifier)).version for r in pinned[requirement.name.lower()]]
        assert versions and all(map(requirement.specifier.contains, versions)), requirement
    assert not BY_MACHINE & pinned.keys()


@pytest.mark.parametrize("name", ["demo", "test", "vllm-cpu", "weights"])
def test_every_pin_has_a_hash(name):
    text = (HOUSE / "requirements" / f"{name}.txt").read_text()
    for line in re.split(r"\n(?=[a-z0-9])", text)[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line[:60]


def test_the_demo_needs_no_torch():
    assert not {"torch", "transformers", "triton", "accelerate"} & pins("demo").keys()
    assert {"xllamacpp", "setuptools"} <= pins("demo").keys()


def test_the_demo_runs_on_what_the_tests_run_on():
    tested = pins("vllm-cpu")
    for name, requirements in pins("demo").items():
        assert {str(r.specifier) for r in requirements} <= {str(r.specifier) for r in tested[name]}
