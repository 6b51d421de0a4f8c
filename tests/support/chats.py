"""Chats for tests of training: a small corpus, the known shapes of chat templates, a tiny model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.models.base import Message
from agents.models.weights import embedded_folder

THINGS = ("bread", "tea", "rice", "coal", "soap", "paper", "salt", "apples")
LLAMA_32 = """\
{{ bos_token }}{% set day = date_string if date_string is defined else strftime_now('%d %b %Y') -%}
<|start_header_id|>system<|end_header_id|>

Today is {{ day }}.

{% set named = messages[0]['role'] == 'system' -%}
{{ messages[0]['content'] | trim if named }}<|eot_id|>
{%- for message in (messages[1:] if named else messages) -%}
<|start_header_id|>{{ message['role'] }}<|end_header_id|>

{{ message['content'] | trim }}<|eot_id|>
{%- endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}"""
MISTRAL_01 = """\
{{ bos_token }}{% for message in messages -%}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}\
{% endif -%}
{% if message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]\
{% else %}{{ message['content'] }}{{ eos_token }}{% endif -%}
{% endfor %}"""
GEMMA_3 = """\
{{ bos_token }}{% set system = messages[0]['content'] if messages[0]['role'] == 'system' -%}
{% for message in messages if message['role'] != 'system' -%}
<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}
{{ system ~ '\n\n' if loop.first and system }}{{ message['content'] | trim }}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""
PHI = """\
{% for message in messages -%}
{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}
{%- endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"""
LLAMA_3 = """\
{{ bos_token }}{% for message in messages -%}
<|start_header_id|>{{ message['role'] }}<|end_header_id|>

{{ message['content'] | trim }}<|eot_id|>
{%- endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}"""
GEMMA = """\
{{ bos_token }}{% for message in messages -%}
{% if message['role'] == 'system' %}{{ raise_exception('there is no system role') }}{% endif -%}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}\
{% endif -%}
<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}
{{ message['content'] | trim }}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""
MISTRAL = """\
{{ bos_token }}{% set system = messages[0]['content'] if messages[0]['role'] == 'system' -%}
{% for message in messages if message['role'] != 'system' -%}
{% if message['role'] == 'user' %}[INST] {{ system ~ '\n\n' if loop.last and system }}\
{{ message['content'] }}[/INST]{% else %} {{ message['content'] }}{{ eos_token }}{% endif -%}
{% endfor %}"""
QWEN_3 = """\
{% for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\n' }}\
{% if loop.last and message['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}{% endif -%}
{{ message['content'] + '<|im_end|>\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}\
{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}\
{% endif %}{% endif %}"""
TEMPLATES: dict[str, tuple[str | None, dict[str, str], Sequence[str]]] = {
    "chatml": (None, {}, ()),
    "llama 3": (
        LLAMA_3,
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        ("<|start_header_id|>", "<|end_header_id|>"),
    ),
    "gemma": (GEMMA, {"bos_token": "<bos>", "eos_token": "<eos>"},
              ("<start_of_turn>", "<end_of_turn>")),
    "mistral": (MISTRAL, {"bos_token": "<s>", "eos_token": "</s>"}, ("[INST]", "[/INST]")),
    "qwen 3": (QWEN_3, {}, ()),
    "llama 3.2": (
        LLAMA_32,
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        ("<|start_header_id|>", "<|end_header_id|>"),
    ),
    "mistral 0.1": (MISTRAL_01, {"bos_token": "<s>", "eos_token": "</s>"}, ("[INST]", "[/INST]")),
    "gemma 3": (GEMMA_3, {"bos_token": "<bos>", "eos_token": "<eos>"},
                ("<start_of_turn>", "<end_of_turn>")),
    "phi": (PHI, {"eos_token": "<|endoftext|>"},
            ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")),
}  # fmt: skip
"""The known shapes of templates, in our own words: template, named tokens, further control tokens;
None is the embedded tokenizer's own."""
ENDS = {"chatml": "<|im_end|>", "llama 3": "<|eot_id|>", "gemma": "<end_of_turn>",
        "mistral": "</s>", "qwen 3": "<|im_end|>", "llama 3.2": "<|eot_id|>",
        "mistral 0.1": "</s>", "gemma 3": "<end_of_turn>", "phi": "<|end|>"}  # fmt: skip
"""The end-of-turn tokens."""
VARIABLES = {"qwen 3": {"enable_thinking": False}}
"""Variables of templates, where tests set any."""


def tokenizer_with(name: str) -> Any:
    """Return the embedded tokenizer with one of the templates and the control tokens it takes."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_folder(), local_files_only=True)
    template, named, others = TEMPLATES[name]
    if template is not None:
        tokenizer.add_special_tokens(dict(named))
        tokenizer.add_tokens(list(others), special_tokens=True)
        tokenizer.chat_template = template
    return tokenizer


def chat(*texts: str, system: str | None = "A kitchen. You are Ana.") -> list[Message]:
    """Return a chat of user and assistant in turns."""
    first: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    roles = ("user", "assistant")
    return first + [
        {"role": roles[place % 2], "content": text}  # type: ignore[typeddict-item, misc]
        for place, text in enumerate(texts)
    ]


def row(number: int, culture: str | None = "DEU", pairs: int = 2) -> dict[str, Any]:
    """Return a row of a corpus."""
    thing, other = THINGS[number % 8], THINGS[(number + 3) % 8]
    texts = [
        text
        for turn in range(pairs)
        for text in (
            f"Bo: We are out of {thing} again.\nCem: (looks away) It was me, time {turn}.",
            f"Then we have {other} today, and {thing} tomorrow.",
        )
    ]
    found = {"id": f"row-{number}", "task": "dialogue", "episode_id": f"e{number}", "role": "ana",
             "culture_id": culture, "messages": chat(*texts)}  # fmt: skip
    return {key: value for key, value in found.items() if value is not None}


def write_corpus(folder: Path, rows: Sequence[Any], validation: Sequence[Any] = ()) -> Path:
    """Write a corpus folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", rows), ("validation", validation)):
        text = "".join(f"{json.dumps(each)}\n" for each in part)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (folder / "README.md").write_text("# A corpus\n", encoding="utf-8")
    return folder


def tiny_model(folder: Path, **changes: Any) -> Path:
    """Write a model of two narrow layers with random weights and the embedded tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tokenizer_with("chatml")
    torch.manual_seed(0)
    shape = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 512, "tie_word_embeddings": True,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
    }  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(**(shape | changes))).bfloat16()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
