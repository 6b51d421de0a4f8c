"""Reading GGUF headers: what is played, and one line for what is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from gguf_files import ADAPTER, LORA, MODEL, TENSORS, write_gguf
from hypothesis import given, settings
from hypothesis import strategies as st
from local_models import needs

from agents.models.adapter import adapter_hash
from agents.models.base import default_reply_form, open_model
from agents.models.context import context_length
from agents.models.local.gguf_file import check_adapter, read_model
from agents.models.local.llama_server import (
    ServerSettings,
    require_memory,
    usable_memory,
    usable_threads,
)
from folkways.errors import UserError


def refusal(path: Path) -> str:
    """Return the one line with which a file is refused."""
    with pytest.raises(UserError) as refused:
        read_model(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_header_tells_what_the_model_is(tmp_path: Path) -> None:
    file = read_model(write_gguf(tmp_path / "small.gguf"))
    assert (file.architecture, file.context, file.chat_template) == ("llama", 512, "{{ messages }}")
    assert file.tensors == TENSORS
    assert file.metadata["tokenizer.ggml.tokens"] == 2
    assert file.size == (tmp_path / "small.gguf").stat().st_size
    assert file.cache_bytes() == 2 * 2 * 2 * (2 + 2)  # half precision, layers, heads, key and value


def test_a_file_cut_anywhere_is_cut_short(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "small.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    weights = 4 * 8 * 8
    for length in range(4, len(whole) - weights):
        cut.write_bytes(whole[:length])
        assert "cut short or damaged" in refusal(cut)


@settings(max_examples=300, deadline=None)
@given(st.integers(4, 700), st.binary(min_size=1, max_size=12))
def test_any_damage_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, garbage: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    whole = write_gguf(path).read_bytes()
    path.write_bytes(whole[:at] + garbage + whole[at + len(garbage) :])
    try:
        read_model(path)
    except UserError as error:
        assert "\n" not in str(error)


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    text = tmp_path / "notes.gguf"
    text.write_text("no model at all", encoding="utf-8")
    assert "is not a GGUF file" in refusal(text)
    assert "is a folder" in refusal(tmp_path)
    assert "no file at" in refusal(tmp_path / "absent.gguf")
    old = tmp_path / "old.gguf"
    old.write_bytes(b"GGUF\x01" + bytes(30))
    assert "GGUF version 1" in refusal(old)
    path = tmp_path / "other.gguf"
    assert "a vocabulary only" in refusal(write_gguf(path, tensors={}))
    assert "is a LoRA adapter" in refusal(write_gguf(path, ADAPTER, LORA))
    assert "no tokenizer" in refusal(
        write_gguf(path, {key: MODEL[key] for key in MODEL if "tokenizer" not in key})
    )
    for architecture in ("bert", "nomic-bert", "clip", "t5"):
        assert "does not continue texts" in refusal(
            write_gguf(path, MODEL | {"general.architecture": architecture})
        )
    not_causal = MODEL | {"llama.attention.causal": False}
    assert "does not continue texts" in refusal(write_gguf(path, not_causal))


def test_a_model_in_parts_needs_all_of_them(tmp_path: Path) -> None:
    parts = [tmp_path / f"big-{at:05d}-of-00003.gguf" for at in (1, 2, 3)]
    for at, part in enumerate(parts):
        head = MODEL if at == 0 else {}
        write_gguf(part, {**head, "split.count": 3, "split.no": at}, {f"{at}.weight": (8, 8)})
    file = read_model(parts[0])
    assert sorted(file.tensors) == ["0.weight", "1.weight", "2.weight"]
    assert file.size == sum(part.stat().st_size for part in parts)
    assert f"give {parts[0].name}" in refusal(parts[1])
    whole = parts[2].read_bytes()
    parts[2].write_bytes(whole[:80])
    assert f"{parts[2]} is cut short" in refusal(parts[0])
    parts[2].unlink()
    assert f"1 are missing: {parts[2].name}" in refusal(parts[0])
    renamed = parts[0].rename(tmp_path / "renamed.gguf")
    assert "their names must end in -00001-of-00003.gguf" in refusal(renamed)


def test_an_adapter_must_fit_the_model(tmp_path: Path) -> None:
    model = read_model(write_gguf(tmp_path / "model.gguf"))
    path = tmp_path / "adapter.gguf"
    check_adapter(write_gguf(path, ADAPTER, LORA), model)
    others = [
        (ADAPTER | {"general.architecture": "qwen3"}, LORA),
        (ADAPTER, {"blk.9.attn_q.weight.lora_a": (8, 2)}),
        (ADAPTER, {"blk.0.attn_q.weight.lora_a": (16, 2)}),
        (ADAPTER, LORA | {"blk.0.attn_q.weight.lora_b": (2, 16)}),
    ]
    for metadata, tensors in others:
        with pytest.raises(UserError, match="is an adapter of another model"):
            check_adapter(write_gguf(path, metadata, tensors), model)
    with pytest.raises(UserError, match="of the type 'aloha'"):
        check_adapter(write_gguf(path, ADAPTER | {"adapter.type": "aloha"}, LORA), model)
    with pytest.raises(UserError, match="is a model, not a LoRA adapter"):
        check_adapter(model.path, model)


def test_a_model_larger_than_memory_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    with path.open("r+b") as stream:
        stream.truncate(usable_memory() + 2**30)  # takes no space on the disk
    file = read_model(path)
    asked = ServerSettings(
        file=file, slots=4, context=512, threads=1, gpu_layers=None, adapter=None, debug=False
    )
    with pytest.raises(UserError, match=r"GiB for weights.*take a smaller model"):
        require_memory(asked, usable_memory())
    contexts = 4 * 512 * file.cache_bytes()
    require_memory(asked, file.size + contexts)
    with pytest.raises(UserError, match="set the options slots or context lower"):
        require_memory(asked, file.size + contexts - 1)


@needs("xllamacpp")
def test_a_file_is_checked_before_llama_cpp_is_given_it(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    with path.open("r+b") as stream:
        stream.truncate(usable_memory() + 2**30)
    with pytest.raises(UserError, match="take a smaller model"):
        asyncio.run(open_model(f"llama:{path}").start())


def test_the_form_and_the_context_come_from_the_file(tmp_path: Path) -> None:
    chatting, plain = tmp_path / "chat.gguf", tmp_path / "plain.gguf"
    write_gguf(chatting)
    write_gguf(plain, {key: value for key, value in MODEL.items() if "template" not in key})
    assert default_reply_form(f"llama:{chatting}") == "json"
    assert default_reply_form(f"llama:{plain}") == "script"
    assert default_reply_form("llama:embedded") == "script"
    assert default_reply_form(f"llama:{tmp_path / 'absent.gguf'}") == "json"
    assert context_length(f"llama:{chatting}", {}) == 512
    assert context_length(f"llama:{chatting}", {"context": 256}) == 256
    assert context_length("llama:embedded", {}) == 4096


def test_threads_are_at_least_one_and_at_most_the_cores() -> None:
    import os

    assert 1 <= usable_threads() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("options", [{"slots": 0}, {"threads": "two"}, {"gpu_layers": -1}])
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(options))} is .* whole number from"):
        open_model("llama:embedded", options)


def test_what_embedded_cannot_do_names_who_can(tmp_path: Path) -> None:
    assert open_model("embedded").name == "llama:embedded"
    assert default_reply_form("embedded") == "script"
    with pytest.raises(UserError, match="unexpected keyword argument 'dtype'; hf:embedded and"):
        open_model("embedded", {"dtype": "float32"})
    with pytest.raises(UserError, match=r"'dtype'$"):
        open_model("llama:other.gguf", {"dtype": "float32"})
    model = read_model(write_gguf(tmp_path / "small.gguf"))
    with pytest.raises(UserError, match=r"adapters as GGUF; .* hf:NAME or vllm:NAME"):
        check_adapter(tmp_path, model)


def test_an_adapter_is_known_by_the_contents_of_its_file(tmp_path: Path) -> None:
    one = write_gguf(tmp_path / "one.gguf", ADAPTER, LORA)
    same = write_gguf(tmp_path / "same.gguf", ADAPTER, LORA)
    other = write_gguf(tmp_path / "other.gguf", ADAPTER | {"adapter.lora.alpha": 2.0}, LORA)
    assert adapter_hash(str(one)) == adapter_hash(str(same)) != adapter_hash(str(other))
