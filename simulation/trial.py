"""Trials in processes of their own: whether a model writes here, and whether a run can be stored.

Invariant: a trial ends in time whatever the engine does, and nothing of it is left.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from agents.models.base import CallFailed, Prompt, Sampling, default_reply_form, open_model
from agents.template import load_template
from folkways.errors import UserError
from folkways.files import read_json

_MEASURED_S = 1.0
"""Seconds of writing, at least, unless the model is so fast that MOST_CALLS are over before."""
MOST_CALLS, TOKENS = 64, 16
"""Calls of a trial, and the tokens of each."""
_GRACE_S = 2.0
"""Seconds that a process which was ended may take to be gone."""
_SCENE = "soup-before-dusk"
_LIGHT = {
    "llama": {"slots": 1, "context": 512},
    "vllm": {"max_num_seqs": 1, "max_model_len": 512, "kv_cache_gib": 1, "compiled": False},
}
"""Options by engine with which it starts sooner."""


class TrialFailed(Exception):
    """A trial that came to nothing, with the reason in one line."""


def try_model(name: str, timeout_s: float) -> str:
    """Have a model write for a second; return how fast it was, in words. Raises TrialFailed."""
    found = _in_process("model", name, timeout_s)
    speed = found["tokens"] / max(found["seconds"], 1e-3)
    shown = f"{speed:.3g}" if speed < 1000 else "over 1,000"
    told = f"{shown} tokens/s{found['where']}" if found["tokens"] else "answers"
    return f"{told}, one request at a time, ready after {found['start_s']:.1f} s"


def try_run(folder: Path, timeout_s: float) -> str:
    """Play and store two turns with the fake model below a folder, and remove them; return what was
    done, in words. Raises TrialFailed.
    """
    try:
        made = mkdtemp(prefix=".folkways-trial-", dir=folder)
    except OSError as error:
        reason = f"{folder} cannot be written: {error.strerror}; go to a folder of your own"
        raise TrialFailed(reason) from error
    try:
        found = _in_process("run", made, timeout_s)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return f"{found['turns']} turns played with fake and stored in {folder}, then removed"


def ended(command: list[str], timeout_s: float, output: Path) -> int | None:
    """Run a command with its output in a file; return its exit code, or None where its time was
    over. Its process group is gone then, or the system does not let it go.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(os.path.isabs, sys.path))}
    with output.open("wb") as stream:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env=environment,
        )
    try:
        return child.wait(timeout_s)
    except BaseException as error:
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_S)
        if isinstance(error, subprocess.TimeoutExpired):
            return None
        raise


def _in_process(kind: str, about: str, timeout_s: float) -> dict[str, Any]:
    """Return what a trial in a process of its own found."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        result, log = Path(folder) / "result.json", Path(folder) / "log"
        command = [sys.executable, "-P", "-m", __name__, kind, about, str(timeout_s), str(result)]
        code = ended(command, timeout_s, log)
        if code is None:
            raise TrialFailed(f"not finished within {timeout_s:g} s; if busy, try it alone")
        if not result.is_file():
            raise TrialFailed(f"its process ended with {_ending(code)}{_last_line(log)}")
        found = read_json(result, dict[str, Any])
    if "error" in found:
        raise TrialFailed(str(found["error"]))
    return found


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"


def _last_line(log: Path) -> str:
    lines = log.read_bytes()[-4000:].decode(errors="replace").split("\n")
    said = [" ".join(line.split()) for line in lines if line.strip()]
    return f": {said[-1][:300]}" if said else ""


def _main(kind: str, about: str, timeout_s: str, result: str) -> None:
    """Do a trial and write what it found; this process ends in time even if nobody waits for it."""
    signal.alarm(int(float(timeout_s) + _GRACE_S))
    try:
        found = asyncio.run(_write(about)) if kind == "model" else _play(Path(about))
    except (UserError, CallFailed) as error:
        found = {"error": " ".join(str(error).split())}
    except Exception as error:
        found = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    beside = Path(f"{result}.part")
    beside.write_text(json.dumps(found), encoding="utf-8")
    beside.replace(result)


async def _write(name: str) -> dict[str, Any]:
    """Start a model and have it write; the first call is not measured."""
    began = time.monotonic()
    model = open_model(name, _LIGHT.get(name.partition(":")[0], {}))
    text = load_template("trial").prompt()
    prompt: Prompt = text
    if default_reply_form(name) == "json":
        prompt = [{"role": "user", "content": text}]
    try:
        await model.start()
        await model.complete(prompt, Sampling(max_tokens=TOKENS // 2, seed=0))
        start_s, began, tokens = time.monotonic() - began, time.monotonic(), 0
        for seed in range(1, MOST_CALLS):
            done = await model.complete(prompt, Sampling(max_tokens=TOKENS, seed=seed))
            tokens += done.completion_tokens or 0
            if time.monotonic() - began >= _MEASURED_S:
                break
        seconds = time.monotonic() - began
    finally:
        await model.close()
    where = _where(name.partition(":")[0])
    return {"start_s": start_s, "tokens": tokens, "seconds": seconds, "where": where}


def _where(engine: str) -> str:
    """Return what an engine on this machine computes on, in words: a build may not use the GPU."""
    if engine == "llama":
        import xllamacpp

        has_gpu = any("GPU" in str(device["type"]) for device in xllamacpp.get_device_info())
    elif engine == "hf":
        import torch

        has_gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    elif engine == "vllm":
        from vllm.platforms import current_platform

        has_gpu = not current_platform.is_cpu()
    else:
        return ""
    return " on the GPU" if has_gpu else " on the CPU"


def _play(folder: Path) -> dict[str, Any]:
    from simulation.config import parse_config
    from simulation.plan import make_plan
    from simulation.run import launch
    from simulation.store.reader import open_reader

    data = {
        "name": "trial",
        "scenarios": [_SCENE],
        "cultures": ["GBR"],
        "limits": {"turns": 2},
        "model": {"name": "fake"},
        "out": str(folder),
    }
    launch(make_plan(parse_config(data, "trial")), limit=None, fresh=False, quiet=True)
    with open_reader(folder / "trial") as con:
        rows = con.execute("select sum(turns) from episodes").fetchall()
    return {"turns": int(rows[0][0])}


if __name__ == "__main__":
    _main(*sys.argv[1:])
