"""What happens beside the training at every step: its numbers are logged, its soundness is checked,
Ctrl-C is heard, and checkpoints are sealed.

Invariant: one process writes, the one of rank 0; all of them stop at the same step.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from folkways.errors import UserError
from folkways.files import inside, parse_json, read_bytes, write_whole
from training.finetune.checkpoint import last_whole, seal, step_of
from training.finetune.progress import FitProgress

_METRICS = "metrics.jsonl"
"""One line a step, and one for every scoring of the validation rows."""
_ECHO_S = 2.0
"""Within so many seconds a second signal is the same wish."""
_NAMES = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "epoch": "epoch",
    "mean_token_accuracy": "accuracy",
    "entropy": "entropy",
    "eval_loss": "validation_loss",
    "eval_mean_token_accuracy": "validation_accuracy",
}
"""The trainer's names for what is logged, and ours."""


class Watch:
    """Follows the training of one adapter."""

    def __init__(self, folder: Path, progress: FitProgress, writes: bool) -> None:
        self.folder, self.progress, self.writes = folder, progress, writes
        self.interrupted = False
        self.tokens = 0
        """Tokens of rows, without padding, since this launch began."""
        self.scored: int | None = None
        """The step after which the validation rows were last scored."""

    def begin(self, step: int) -> None:
        """Drop lines logged after the step that a launch starts from."""
        file = self.folder / _METRICS
        if self.writes and file.is_file():
            kept = [
                json.dumps(row) for row in read_metrics(self.folder) if step and row["step"] <= step
            ]
            write_whole(self.folder, file, "".join(f"{line}\n" for line in kept))

    def log(self, step: int, logs: dict[str, float]) -> None:
        """Log what the trainer reports after a step. Raises UserError for numbers that are none."""
        row: dict[str, float] = {
            ours: logs[theirs] for theirs, ours in _NAMES.items() if theirs in logs
        }
        if not {"loss", "validation_loss"} & row.keys():
            return
        self.tokens = self.progress.tokens = int(logs.get("num_tokens", self.tokens))
        row = {"step": step} | row | {"seconds": round(self.progress.seconds(), 3)}
        if "validation_loss" in row:
            self.scored = step
        if "loss" in row:
            row["tokens"] = self.tokens
        if self.writes:
            with inside(self.folder, self.folder / _METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        self.progress.loss = row.get("loss", self.progress.loss)
        self.progress.validation = row.get("validation_loss", self.progress.validation)
        self._check(step, row)

    def _check(self, step: int, row: dict[str, float]) -> None:
        """Raise UserError at the first number that is not finite."""
        for name in ("loss", "grad_norm", "validation_loss"):
            if name in row and not math.isfinite(row[name]):
                whole = last_whole(self.folder)
                kept = f"the checkpoint of step {step_of(whole)} is from before" if whole else ""
                raise UserError(
                    f"{self.folder}: {name} is {row[name]} at step {step}, so training was "
                    f"stopped{'; ' if kept else ''}{kept}; lower optimisation.learning_rate or "
                    "max_grad_norm, or set bf16 to false, and start over with --fresh"
                )

    def stop_asked(self) -> bool:
        """Return whether any process has been interrupted."""
        import torch

        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self.interrupted
        device = "cuda" if torch.cuda.is_available() else "cpu"
        flag = torch.tensor(float(self.interrupted), device=device)
        torch.distributed.all_reduce(flag)
        return bool(flag.item())

    def sealed(self, step: int) -> None:
        """Mark the checkpoint of a step as whole, once every process has written its part."""
        import torch

        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()
        if self.writes:
            seal(self.folder / "checkpoints" / f"checkpoint-{step}")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the first Ctrl-C, or SIGTERM, as a wish to stop after the step; one that comes later
        stops at once. A launcher of several processes sends its own along with the terminal's."""
        heard = 0.0

        def hear(number: int, frame: Any) -> None:
            nonlocal heard
            if self.interrupted and time.monotonic() - heard > _ECHO_S:
                raise KeyboardInterrupt
            if not self.interrupted:
                self.interrupted, heard = True, time.monotonic()
                self.progress.note("stopping after this step; once more to stop at once")

        main = threading.current_thread() is threading.main_thread()
        signals = (signal.SIGINT, signal.SIGTERM) if main else ()
        before = {each: signal.signal(each, hear) for each in signals}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def as_callback(watch: Watch) -> Any:
    """Return the watch as the trainer takes it."""
    from transformers import TrainerCallback

    class Callback(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            watch.progress.start(state.global_step, state.max_steps)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            watch.progress.done = state.global_step
            if args.load_best_model_at_end and state.global_step >= state.max_steps:
                control.should_evaluate = True
            if watch.stop_asked():
                control.should_save = control.should_training_stop = True

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            watch.log(state.global_step, logs or {})

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            watch.sealed(state.global_step)

    return Callback()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the logged lines. Raises UserError for a line that is none."""
    file = folder / _METRICS
    lines = read_bytes(file).splitlines()
    found = [
        parse_json(line, dict[str, Any], f"{file}:{n}")
        for n, line in enumerate(lines, 1)
        if line.strip()
    ]
    if any(not isinstance(row.get("step"), int) for row in found):
        raise UserError(f"{file}: a line has no step")
    return found
