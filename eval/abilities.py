"""General abilities of models, measured by EleutherAI's lm-evaluation-harness on any of its tasks.

Invariant: all models of a file of results answered the same questions in the same form; a model
that is in the file already, and whose folder has not changed, is not asked again.
"""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from difflib import get_close_matches
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agents.models.adapter import adapter_folder, add_adapter
from agents.models.local.tokens import first_line, load_tokenizer
from agents.models.weights import model_folder, require_packages
from eval.report.abilities import Measured, changes, read_measured, read_results, table_lines
from folkways.errors import UserError
from folkways.files import read_json, write_whole
from folkways.provenance import short_hash
from simulation.config import differences

_PACKAGES = ("lm_eval", "torch", "transformers", "peft")
_RESAMPLES = 1000
"""Bootstrap draws of the harness for standard errors that have no formula."""
_FAULTY_TASK = (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError)
"""What a task raises that is worded wrongly, or whose data are not at hand."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """A model to be measured, not loaded."""

    name: str
    """As the user named it."""
    folder: Path
    adapter: Path | None
    state: str
    """Hash of its files' names, sizes and times of change."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is asked, and how: the same for all models of a file of results."""

    tasks: tuple[str, ...]
    include: Path | None = None
    """Folder with further tasks."""
    limit: int | None = None
    """Questions of each task; None is all."""
    shots: int | None = None
    """Answered examples before a question; None is what the task says."""
    chat: bool = False
    """Whether questions are put as a chat."""

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, with what the folder of tasks holds."""
        found = asdict(self) | {"tasks": list(self.tasks), "lm_eval": version("lm_eval")}
        found["include"] = None if self.include is None else self.include.resolve().name
        found["task_files"] = None if self.include is None else _contents(self.include)
        return found


def _find_subject(name: str) -> _Subject:
    """Return the model that `embedded`, a folder, a hub id or BASE+ADAPTER names.

    Raises UserError where there is none.
    """
    base, plus, adapter = name.rpartition("+")
    if not plus or Path(name).expanduser().exists():
        folder = model_folder(name)
        return _Subject(name, folder, None, _state(folder))
    folder, added = model_folder(base), adapter_folder(adapter)
    return _Subject(name, folder, added, short_hash(_state(folder) + _state(added)))


def _state(folder: Path) -> str:
    """Return a hash of the names, sizes and times of change of the files in a folder."""
    facts = [(name, path.stat()) for name, path in _files(folder)]
    return short_hash(json.dumps([[name, at.st_size, at.st_mtime_ns] for name, at in facts]))


def _contents(folder: Path) -> str:
    """Return a hash of what the files in a folder hold."""
    return short_hash(
        json.dumps([[name, short_hash(at.read_bytes())] for name, at in _files(folder)])
    )


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Return the files in a folder, those that Python writes by itself left out."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sorted((path.relative_to(folder).as_posix(), path) for path in paths)


def measure_abilities(
    names: Sequence[str],
    setting: Setting,
    out: Path,
    made_at: Callable[[], datetime],
    *,
    batch: int = 8,
    fresh: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Measure models, write what is found into `out` after each of them, and return a table in
    which each model stands beside the first.

    Raises UserError for a missing package, an unknown model or task, and where `out` holds what was
    found otherwise.
    """
    require_packages(*_PACKAGES, extra="abilities")
    if setting.include is not None and not setting.include.is_dir():
        raise UserError(f"no folder of tasks at {setting.include}")
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"'{name}' is named twice")
    subjects = [_find_subject(name) for name in names]
    record = {} if fresh else _read_record(out, setting)
    known = {each["model"]: each for each in record.get("models", [])}
    missing = [each for each in subjects if known.get(each.name, {}).get("state") != each.state]
    if missing:
        manager, tasks = _find_tasks(setting)
    for subject in missing:
        say(f"{subject.name}: {', '.join(setting.tasks)}")
        found = _measure(subject, setting, manager, tasks, batch)
        known[subject.name] = found.plain() | {
            "state": subject.state,
            "measured_at": made_at().isoformat(timespec="seconds"),
        }
        _write_record(out, setting, list(known.values()))
    measured = [read_measured(known[name]) for name in names]
    moved = changes(measured)
    _write_record(out, setting, list(known.values()), [asdict(change) for change in moved])
    return table_lines(measured, moved)


def _read_record(out: Path, setting: Setting) -> dict[str, Any]:
    """Return what was found before. Raises UserError where it was found otherwise."""
    if not out.exists():
        return {}
    try:
        record = read_json(out, dict[str, Any])
        before = record["setting"]
        for each in record["models"]:
            read_measured(each)
    except (OSError, ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(
            f"{out} is no file of measured abilities; name another with --out"
        ) from error
    if changed := differences(before, setting.plain()):
        raise UserError(
            f"{out} holds what was measured otherwise:\n  "
            + "\n  ".join(changed)
            + "\nUndo the change, name another file with --out, or overwrite it with --fresh"
        )
    return dict(record)


def _write_record(
    out: Path,
    setting: Setting,
    models: list[dict[str, Any]],
    moved: list[dict[str, Any]] | None = None,
) -> None:
    record = {"setting": setting.plain(), "changes": moved or [], "models": models}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out.parent, out, json.dumps(record, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error


def _find_tasks(setting: Setting) -> tuple[Any, list[str]]:
    """Return the harness's manager of tasks and the names that are to be run, each loaded once to
    see that it can be. Raises UserError for an unknown task, and for one without its data."""
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    include = None if setting.include is None else str(setting.include)
    manager = TaskManager(include_path=include, include_defaults=include is None)
    if include and any(not _matching(name, manager.all_tasks) for name in setting.tasks):
        manager = TaskManager(include_path=include)  # the harness's own take seconds to list
    chosen: list[str] = []
    for name in setting.tasks:
        found = _matching(name, manager.all_tasks)
        if not found:
            near = get_close_matches(name, manager.all_tasks, 5)
            hint = f"; near to it: {', '.join(near)}" if near else ""
            raise UserError(
                f"unknown task '{name}'{hint}; name one of lm_eval's, or give the folder of your "
                "own with --include"
            )
        chosen += [each for each in found if each not in chosen]
    try:
        loaded = manager.load(chosen)
    except _FAULTY_TASK as error:
        raise UserError(
            f"the tasks {', '.join(chosen)} cannot be loaded: {first_line(error)}; offline, a task "
            "needs its data on this machine"
        ) from error
    for name, task in loaded["tasks"].items():
        if getattr(task, "UNSAFE_CODE", False):
            raise UserError(
                f"the task '{name}' runs code that a model wrote, which is not done here"
            )
    return manager, chosen


def _matching(name: str, known: Sequence[str]) -> list[str]:
    return [each for each in known if fnmatch(each, name)]


def _measure(
    subject: _Subject, setting: Setting, manager: Any, tasks: list[str], batch: int
) -> Measured:
    """Put the tasks to one model, loaded for the time of it."""
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    tokenizer = load_tokenizer(subject.folder)
    if setting.chat and not tokenizer.chat_template:
        raise UserError(f"{subject.name} has no chat template; leave out --chat")
    model = _load(subject)
    try:
        wrapped = HFLM(
            pretrained=model, tokenizer=tokenizer, batch_size=batch, softmax_dtype=torch.float32
        )
        results: Mapping[str, Any] = simple_evaluate(
            model=wrapped,
            tasks=tasks,
            task_manager=manager,
            limit=setting.limit,
            num_fewshot=setting.shots,
            apply_chat_template=setting.chat,
            log_samples=True,
            bootstrap_iters=_RESAMPLES,
        )
    finally:
        del model
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return read_results(subject.name, results)


def _load(subject: _Subject) -> Any:
    """Return the model with its adapter, which is not merged: rounding would change it. Without an
    accelerator it computes in float32, since bfloat16 gives many choices the same likelihood."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    device = "mps" if torch.backends.mps.is_available() else "cpu"
    device = "cuda" if torch.cuda.is_available() else device
    dtype = torch.float32 if device == "cpu" else "auto"
    try:
        model = AutoModelForCausalLM.from_pretrained(
            subject.folder, local_files_only=True, dtype=dtype
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise UserError(f"{subject.folder} cannot be loaded: {first_line(error)}") from error
    if subject.adapter is not None:
        model = add_adapter(model, subject.adapter, merged=False)
    return model.to(device).eval()
