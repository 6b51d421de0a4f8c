"""Reads the header of a GGUF file: what the model is, before llama.cpp is given it.

Invariant: a file that is handed out has a whole header and can be generated with; weights are not
read.
The format is https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from folkways.errors import UserError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
ARRAY, STRING = 9, 8
_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
"""Types of metadata values of a fixed size, as `struct` writes them."""
MOST = 4_000_000
"""Entries of a header in all, vocabulary included; the largest models have less than a quarter."""
_LONGEST = 16 * 2**20
"""Bytes of one text of a header, such as a chat template."""
_KEPT = 4096
"""Numbers of an array that are kept; of longer ones, such as vocabularies, only the length is."""
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4",
    40: "Q1_0",
}  # fmt: skip
"""Names of `general.file_type`: how most of the weights are quantised."""
_NO_DECODER = ("bert", "clip", "mmproj", "t5", "t5encoder")
"""Architectures, or their last parts, that do not continue texts."""
PART = re.compile(r"^(.*)-(\d{5})-of-(\d{5})\.gguf$")


class _Damaged(Exception):
    """The header does not hold what it says."""


@dataclass(frozen=True, slots=True)
class GgufFile:
    """The header of a file, or of the first of its parts with the tensors of all."""

    path: Path
    metadata: Mapping[str, Any]
    """Long arrays are their lengths only."""
    tensors: Mapping[str, tuple[int, ...]]
    """Shapes by name, the fastest dimension first."""
    size: int
    """Bytes of all parts."""

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @property
    def chat_template(self) -> str | None:
        found = self.metadata.get("tokenizer.chat_template")
        return found if isinstance(found, str) and found.strip() else None

    @property
    def quantisation(self) -> str:
        """How most weights are stored, such as Q4_K_M; empty where the header does not say."""
        found = self.metadata.get("general.file_type")
        return FILE_TYPES.get(found, f"type {found}") if type(found) is int else ""

    @property
    def context(self) -> int | None:
        """Tokens that the model was trained for."""
        found = self._of_architecture("context_length")
        return found if isinstance(found, int) and found > 0 else None

    def cache_bytes(self) -> int:
        """Return what a token takes in the key-value cache, in bytes of half precision; 0 where
        the header does not tell.
        """
        names = ("block_count", "attention.head_count", "embedding_length")
        sizes = layers, heads, width = [self._of_architecture(name) for name in names]
        compressed = self._of_architecture("attention.kv_lora_rank") is not None
        if compressed or not all(type(size) is int and size > 0 for size in sizes):
            return 0
        kept = self._of_architecture("attention.head_count_kv") or heads
        total = sum(kept) if isinstance(kept, list) else layers * kept
        key = self._of_architecture("attention.key_length") or width // heads
        value = self._of_architecture("attention.value_length") or width // heads
        return int(2 * total * (key + value))

    def _of_architecture(self, key: str) -> Any:
        return self.metadata.get(f"{self.architecture}.{key}")


def read_model(path: Path) -> GgufFile:
    """Return the header of a model that can be generated with.

    Raises UserError for a folder, a file that is not GGUF, is cut short, lacks a part, or holds
    something else than a language model.
    """
    file = _read_parts(path)
    kind, architecture = file.metadata.get("general.type"), file.architecture
    if kind == "adapter":
        raise UserError(
            f"{path} is a LoRA adapter, not a model; give its base model, and the "
            "adapter as the option adapter"
        )
    if not file.tensors:
        raise UserError(f"{path} holds a vocabulary only, no weights; get the model's own file")
    if not architecture:
        raise UserError(f"{path} does not say which architecture it is of; get it again")
    causal = file.metadata.get(f"{architecture}.attention.causal", True)
    if kind == "mmproj" or not causal or architecture.split("-")[-1] in _NO_DECODER:
        raise UserError(
            f"{path} is of the architecture '{architecture}', which does not continue texts; "
            "give a language model"
        )
    if file.metadata.get("tokenizer.ggml.model") in (None, "none", "no_vocab"):
        raise UserError(f"{path} has no tokenizer, so it cannot read a text; get another file")
    return file


def check_adapter(path: Path, model: GgufFile) -> None:
    """Raise UserError unless `path` is a LoRA adapter that fits the model."""
    if path.is_dir():
        raise UserError(
            f"{path} is a folder, and llama.cpp takes adapters as GGUF; for an adapter in the PEFT "
            "format name the model hf:NAME or vllm:NAME, such as hf:embedded"
        )
    adapter = _read_parts(path)
    if adapter.metadata.get("general.type") != "adapter":
        raise UserError(f"{path} is a model, not a LoRA adapter; give an adapter as GGUF")
    if (kind := adapter.metadata.get("adapter.type")) != "lora":
        raise UserError(f"{path} is an adapter of the type '{kind}'; known: lora")
    misfit = adapter.architecture != model.architecture
    for name, shape in adapter.tensors.items():
        base, _, side = name.rpartition(".lora_")
        if side in ("a", "b") and not base.startswith("token_embd"):
            place = 0 if side == "a" else 1
            known = model.tensors.get(base, ())
            misfit |= len(known) < 2 or len(shape) < 2 or known[place] != shape[place]
    if misfit:
        raise UserError(
            f"{path} is an adapter of another model (architecture '{adapter.architecture}') than "
            f"{model.path} ('{model.architecture}'); give the base model it was trained on"
        )


def has_chat_template(spec: str) -> bool:
    """Return whether a file has a chat template, and true for one that cannot be read."""
    try:
        return _read_parts(Path(spec).expanduser()).chat_template is not None
    except UserError:
        return True


def _read_parts(path: Path) -> GgufFile:
    """Return a file's header, with the tensors of all parts of a model in several."""
    first = _read(path)
    parts = first.metadata.get("split.count", 0)
    if not isinstance(parts, int) or parts < 2:
        return first
    named = PART.match(path.name)
    if not named or int(named[3]) != parts:
        raise UserError(
            f"{path} is one of {parts} parts; their names must end in -00001-of-{parts:05d}.gguf "
            "and so on"
        )
    names = [f"{named[1]}-{at:05d}-of-{parts:05d}.gguf" for at in range(1, parts + 1)]
    if first.metadata.get("split.no") != 0 or path.name != names[0]:
        raise UserError(f"{path} is not the first of its {parts} parts; give {names[0]}")
    missing = [name for name in names if not path.with_name(name).is_file()]
    if missing:
        raise UserError(
            f"of the {parts} parts of {path} {len(missing)} are missing: {', '.join(missing[:3])}; "
            "put them into the same folder"
        )
    files = [first, *(_read(path.with_name(name)) for name in names[1:])]
    tensors = {name: shape for file in files for name, shape in file.tensors.items()}
    return GgufFile(path, first.metadata, tensors, sum(file.size for file in files))


def _read(path: Path) -> GgufFile:
    if path.is_dir():
        raise UserError(
            f"{path} is a folder; give the .gguf file in it, or hf:{path} or vllm:{path} "
            "for a Hugging Face model"
        )
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            return _read_header(path, stream, size)
    except FileNotFoundError as error:
        raise UserError(f"no file at {path}; give a GGUF file, or 'embedded'") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except _Damaged as error:
        raise UserError(f"{path} is cut short or damaged ({error}); get it again") from error


def _read_header(path: Path, stream: BinaryIO, size: int) -> GgufFile:
    if stream.read(4) != _MAGIC:
        raise UserError(
            f"{path} is not a GGUF file; get the model as .gguf, or give a folder in the Hugging "
            "Face format as hf:PATH or vllm:PATH"
        )
    read = _Reader(stream, size)
    if (version := read.number("I")) not in _VERSIONS:
        raise UserError(f"{path} is of the GGUF version {version}; known: 2 and 3, little-endian")
    tensor_count, pairs = read.number("Q"), read.number("Q")
    metadata = {read.text(): read.value(read.number("I")) for _ in range(read.items(pairs))}
    tensors: dict[str, tuple[int, ...]] = {}
    end = 0
    for _ in range(read.items(tensor_count)):
        name, dimensions = read.text(), read.number("I")
        if not 1 <= dimensions <= 4:
            raise _Damaged(f"a tensor has {dimensions} dimensions")
        shape = tuple(read.number("Q") for _ in range(dimensions))
        read.number("I")
        offset = read.number("Q")
        end = max(end, offset + (1 if prod(shape) else 0))
        tensors[name] = shape
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or alignment < 1:
        raise _Damaged(f"its alignment is {alignment!r}")
    start = -(-stream.tell() // alignment) * alignment
    if tensors and size < start + end:
        raise _Damaged(f"it has {size} bytes where the weights take more than {start + end - 1}")
    return GgufFile(path, metadata, tensors, size)


class _Reader:
    """Takes values out of a stream and never more than the file holds."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size, self._items = stream, size, 0

    def number(self, form: str) -> Any:
        (value,) = struct.unpack(f"<{form}", self._bytes(struct.calcsize(f"<{form}")))
        return value

    def counted(self, count: int, each: int = 1) -> int:
        """Return a number of things, which the rest of the file must have room for."""
        if count * each > self._size - self._stream.tell():
            raise _Damaged("it ends before its header does")
        return count

    def items(self, count: int, each: int = 1) -> int:
        """Return a number of things to go through one by one, of which a header has up to MOST."""
        self._items += self.counted(count, each)
        if self._items > MOST:
            raise _Damaged(f"it has more than {MOST:,} entries")
        return count

    def text(self) -> str:
        length = self.counted(self.number("Q"))
        if length > _LONGEST:
            raise _Damaged(f"a text in it has {length:,} bytes")
        return self._bytes(length).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            return self.number(self._form(kind))
        of, count = self.number("I"), self.number("Q")
        if of == STRING:
            for _ in range(self.items(count, 8)):
                self._stream.seek(self.counted(self.number("Q")), 1)
            return count
        form = self._form(of)
        self.counted(count, struct.calcsize(form))
        if count > _KEPT:
            self._stream.seek(count * struct.calcsize(form), 1)
            return count
        return [self.number(form) for _ in range(self.items(count))]

    def _form(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise _Damaged(f"a value has the unknown type {kind}")
        return _SCALARS[kind]

    def _bytes(self, count: int) -> bytes:
        found = self._stream.read(count)
        if len(found) < count:
            raise _Damaged("it ends before its header does")
        return found
