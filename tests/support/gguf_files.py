"""Small GGUF files, whole and broken, and copies of the embedded model's."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

F32 = 0
MODEL = {
    "general.architecture": "llama", "llama.block_count": 2, "llama.context_length": 512,
    "llama.embedding_length": 8, "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2, "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["a", "b"], "tokenizer.chat_template": "{{ messages }}",
}  # fmt: skip
TENSORS = {"token_embd.weight": (8, 2), "blk.0.attn_q.weight": (8, 8)}
ADAPTER = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"}
LORA = {"blk.0.attn_q.weight.lora_a": (8, 2), "blk.0.attn_q.weight.lora_b": (2, 8)}


def write_gguf(
    path: Path,
    metadata: Mapping[str, Any] = MODEL,
    tensors: Mapping[str, Sequence[int]] = TENSORS,
    value: float = 0.0,
) -> Path:
    """Write a file whose 32-bit weights are all `value`; return its path."""
    head, data = [], b""
    for name, shape in tensors.items():
        dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head.append(_text(name) + dimensions + struct.pack("<IQ", F32, len(data)))
        count = 1
        for size in shape:
            count *= size
        data += struct.pack("<f", value) * count
        data += bytes(-len(data) % 32)
    pairs = [_text(key) + _value(each) for key, each in metadata.items()]
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs + head)
    path.write_bytes(header + bytes(-len(header) % 32) + data)
    return path


def edited(source: Path, target: Path, old: str, new: str) -> Path:
    """Copy a file with one text in its header replaced by another as long; return the copy."""
    assert len(old) == len(new)
    content = source.read_bytes()
    assert old.encode() in content
    target.write_bytes(content.replace(old.encode(), new.encode()))
    return target


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))


def dequantise(source: Path, target: Path) -> Path:
    """Write a model with its weights in 32 bits, rounded to bfloat16 as the embedded folder's."""
    import gguf
    import torch

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], inner)
    for tensor in reader.tensors:
        exact = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        writer.add_tensor(tensor.name, exact.bfloat16().float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
