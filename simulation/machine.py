"""What this machine has for running models and keeping runs: one fact a line.

Invariant: nothing is asked of the network, nothing stays behind, and no key or password is in what
is told.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Literal
from urllib.request import getproxies

from agents.models.base import open_model
from agents.models.local.llama_server import usable_memory, usable_threads
from agents.models.openai.engine import OPENAI_URL
from agents.models.openai.route import find_route
from agents.models.readiness import is_endpoint_set
from agents.models.weights import SPACE_NEEDED, cache_folder
from folkways.errors import UserError
from folkways.secrets import redacted
from simulation.trial import ended

_GPU_S = 10.0
"""Seconds that the GPU's driver may take to answer."""
_LITTLE = 2**30
"""Bytes of disk or memory below which it is said that this is little."""
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Fact:
    """What was found of one thing."""

    about: str
    state: Literal["ok", "--", "no"]
    """ok: it works; --: it is not there, or is worth a look; no: it does not work."""
    words: str


def machine_facts(folder: Path, environ: Mapping[str, str]) -> list[Fact]:
    """Return what there is: Python, cores, memory, GPU, disk, cache, proxies, endpoint; `folder` is
    where runs are kept.
    """
    return [
        _python(),
        _cores(),
        _memory(),
        _gpu(),
        _disk(folder),
        _cache(),
        _proxies(environ),
        endpoint(environ),
    ]


def endpoint(environ: Mapping[str, str]) -> Fact:
    """Return whether the environment names an endpoint that can be asked; it is not asked."""
    if not is_endpoint_set(environ):
        words = "not set; with OPENAI_API_KEY, or OPENAI_BASE_URL: --model openai:NAME"
        return Fact("endpoint", "--", words)
    key = f"OPENAI_API_KEY is {'' if environ.get('OPENAI_API_KEY') else 'not '}set"
    where = redacted(environ.get("OPENAI_BASE_URL") or OPENAI_URL)
    try:
        open_model("openai:any")
    except UserError as error:
        return Fact("endpoint", "no", f"{key}; {error}")
    ask = "not asked; folkways doctor --model openai:NAME asks it"
    return Fact("endpoint", "ok", f"{where}, {key}; {ask}")


def _python() -> Fact:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Fact("python", "ok", f"{platform.python_version()} in {sys.prefix}, {system}")


def _cores() -> Fact:
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return Fact("cores", "ok", f"{own}{load}; llama.cpp would take {usable_threads()} now")


def _memory() -> Fact:
    whole, free = usable_memory(), _free_memory()
    if whole >= 2**60:
        return Fact("memory", "--", "not known here")
    left = "" if free is None else f", {free / _GIB:.1f} GiB of it free"
    return _amount("memory", f"{whole / _GIB:.1f} GiB{left}", min(whole, free or whole))


def _free_memory() -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _gpu() -> Fact:
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return Fact("gpu", "ok", "Apple silicon: llama and hf use it through Metal")
    if command := shutil.which("nvidia-smi"):
        return _nvidia(command)
    if Path("/dev/kfd").exists():
        return Fact("gpu", "--", "an AMD GPU; llama, torch and vllm need builds for ROCm to use it")
    return Fact("gpu", "--", "none found; models run on the CPU")


def _nvidia(command: str) -> Fact:
    query = [command, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        said = Path(folder) / "said"
        code = ended(query, _GPU_S, said)
        lines = said.read_text(errors="replace").splitlines()
    if code is None:
        return Fact("gpu", "no", f"nvidia-smi did not answer within {_GPU_S:g} s: see the driver")
    cards = [part for line in lines if len(part := [one.strip() for one in line.split(",")]) == 3]
    if code or not cards:
        why = lines[0][:200] if lines else "it says nothing"
        return Fact("gpu", "no", f"nvidia-smi finds none: {why}")
    return Fact("gpu", "ok", "; ".join(map(_card, cards)))


def _card(parts: list[str]) -> str:
    name, *sizes = parts
    if not all(size.isdecimal() for size in sizes):  # some cards share the machine's memory
        return name
    whole, free = (int(size) / 1024 for size in sizes)
    return f"{name}, {whole:.0f} GiB, {free:.0f} GiB of it free"


def _disk(folder: Path) -> Fact:
    free = shutil.disk_usage(folder).free
    return _amount("disk", f"{free / _GIB:.1f} GiB free in {folder}", free)


def _amount(about: str, words: str, free: int) -> Fact:
    return Fact(about, "ok", words) if free >= _LITTLE else Fact(about, "--", f"{words}: little")


def _cache() -> Fact:
    folder = cache_folder()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    remedy = "point XDG_CACHE_HOME at another folder"
    try:
        with TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Fact("cache", "no", f"{folder} cannot be written ({error.strerror}): {remedy}")
    told = f"{folder} can be written, {free / _GIB:.1f} GiB free"
    if free < SPACE_NEEDED:
        short = f"{told}; hf:embedded needs {SPACE_NEEDED / _GIB:.1f} GiB once: {remedy}"
        return Fact("cache", "--", short)
    return Fact("cache", "ok", told)


def _proxies(environ: Mapping[str, str]) -> Fact:
    known = getproxies()
    spared = known.pop("no", "")
    if not known:
        return Fact("proxies", "ok", "none set")
    told = ", ".join(f"{kind} through {_without_password(at)}" for kind, at in known.items())
    told += f"; not for {spared}" if spared else ""
    try:
        find_route(environ.get("OPENAI_BASE_URL") or OPENAI_URL)
    except UserError as error:
        return Fact("proxies", "no", str(error))
    return Fact("proxies", "ok", told)


def _without_password(address: str) -> str:
    scheme, _, rest = address.rpartition("://")
    return f"{scheme or 'http'}://{rest.rpartition('@')[2]}"
