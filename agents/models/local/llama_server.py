"""Starts llama.cpp's server in this process, with the threads and the memory that are there.

Invariant: what does not fit is refused before it is loaded; llama.cpp's log stays off unless asked
for.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.models.base import ModelUnavailable
from agents.models.local.gguf_file import GgufFile
from folkways.errors import UserError

_PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Set before llama.cpp is imported, unless the user has set it: threads that sleep while they wait.
Threads that spin for cores that others use made a prompt of seconds take minutes."""
_KEPT_PROMPTS_MIB = 1024
"""Memory for prompts that have left their slots and may come back."""
_SAME_PROMPT = 0.75
"""Share of a prompt that a slot has to hold to be given it. Prompts of two roles of a scene begin
alike; below this the second would take the slot of the first, which would be computed anew."""
SPARE_CONNECTIONS = 4
"""Requests beyond the slots' that the server is given; it counts and templates beside computing."""
SILENT, ERRORS, INFORMATION = -1, 1, 3
"""Levels of llama.cpp's log."""
_REASON_S = 60.0
"""How long llama.cpp may take to say why it cannot load a file, in seconds."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a server is started with."""

    file: GgufFile
    slots: int
    context: int
    """Tokens a slot."""
    threads: int
    gpu_layers: int | None
    """None is as many as fit."""
    adapter: Path | None
    debug: bool


def usable_threads() -> int:
    """Return how many threads to compute with: the cores that nobody uses, and half of those this
    process may use in any case.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, (cores + 1) // 2, round(cores - load))


def launch(settings: ServerSettings, key: str) -> Any:
    """Return a server that is ready; raise UserError where the model does not fit into memory and
    ModelUnavailable where llama.cpp cannot load it.
    """
    for name, value in _PATIENT_THREADS.items():
        os.environ.setdefault(name, value)
    import xllamacpp

    has_gpu = any("GPU" in str(device["type"]) for device in xllamacpp.get_device_info())
    if not has_gpu or settings.gpu_layers == 0:
        require_memory(settings, usable_memory())
    params = _parameters(settings, key, has_gpu)
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise ModelUnavailable(
            f"llama.cpp cannot load {settings.file.path} (architecture "
            f"'{settings.file.architecture}'): {_reason(settings) or error}"
        ) from error


def require_memory(settings: ServerSettings, memory: int) -> None:
    """Raise UserError unless weights and contexts fit into so many bytes."""
    weights = settings.file.size
    contexts = settings.slots * settings.context * settings.file.cache_bytes()
    if weights + contexts <= memory:
        return
    advice = (
        "take a smaller model or quantisation"
        if weights > memory
        else "set the options slots or context lower"
    )
    raise UserError(
        f"{settings.file.path} takes {_gib(weights)} for weights and {_gib(contexts)} for "
        f"{settings.slots} contexts of {settings.context} tokens, and this machine has "
        f"{_gib(memory)}; {advice}"
    )


def usable_memory() -> int:
    """Return the bytes of memory that this process may use; no limit where that is not known."""
    known = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (said := limit.read_text().strip()).isdecimal():
        known.append(int(said))
    return min(known, default=2**63)


def _parameters(settings: ServerSettings, key: str, has_gpu: bool) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(settings.file.path)
    params.n_parallel = settings.slots
    params.n_ctx = settings.slots * settings.context
    params.kv_unified = False
    params.cache_ram_mib = _KEPT_PROMPTS_MIB
    params.slot_prompt_similarity = _SAME_PROMPT
    params.warmup = False
    params.fit_params = has_gpu and settings.gpu_layers is None
    if settings.gpu_layers is not None:
        params.n_gpu_layers = settings.gpu_layers
    for computing in (params.cpuparams, params.cpuparams_batch):
        computing.n_threads = settings.threads
        computing.poll = 0
    if settings.adapter is not None:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(settings.adapter), 1.0)]
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.api_keys = [key]
    params.ui = params.endpoint_slots = False
    params.n_threads_http = settings.slots + 2 * SPARE_CONNECTIONS
    params.verbosity = INFORMATION if settings.debug else SILENT
    return params


def _reason(settings: ServerSettings) -> str:
    """Return why llama.cpp does not load a file, in its words: it writes them to standard error
    only, so a process of its own is asked.
    """
    code = (
        "import sys, xllamacpp as x; p = x.CommonParams(); p.model.path = sys.argv[1]\n"
        "if sys.argv[2]: p.lora_adapters = [x.CommonAdapterLoraInfo(sys.argv[2], 1.0)]\n"
        f"p.verbosity = {ERRORS}; p.n_ctx = 64; p.port = 0; x.Server(p)"
    )
    try:
        asked = subprocess.run(
            [sys.executable, "-c", code, str(settings.file.path), str(settings.adapter or "")],
            capture_output=True,
            text=True,
            timeout=_REASON_S,
            errors="replace",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = re.findall(r"error loading model: (.+)|failed to .*?: (.+)", asked.stderr)
    return " ".join(next((a or b for a, b in said), "").split())


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
