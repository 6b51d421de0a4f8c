"""What the tests of the local engines share: requests, skipping, and an independent scorer."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agents.models.base import Message, Sampling
from agents.models.local.chat_form import ChatForm
from agents.models.local.tokens import encode_prompt
from agents.models.weights import embedded_folder

SCENE = "Two neighbours meet at the gate.\n\nANA: Good morning, Bo! How are you?\nBO:"
CHAT: list[Message] = [{"role": "user", "content": "What is the capital of France?"}]
FACT = "The capital of France is"
GREEDY = Sampling(temperature=0, min_p=0, repetition_penalty=1, max_tokens=12)
SCHEMA = {
    "type": "object",
    "properties": {
        "action": {"enum": ["speak", "none"]},
        "text": {"type": "string", "maxLength": 40},
    },
    "required": ["action", "text"],
    "additionalProperties": False,
}


def needs(*packages: str) -> pytest.MarkDecorator:
    """Return the mark that skips a test where one of the packages is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@cache
def plain_model() -> tuple[Any, Any]:
    """Return the embedded model in float32, and its tokenizer, as transformers gives them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = embedded_folder()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def plain_scores(prompt: str, options: Sequence[str]) -> list[float]:
    """Return the options' log-probabilities by one plain forward pass each; no token may span."""
    import torch

    model, tokenizer = plain_model()
    start = len(tokenizer(prompt).input_ids)
    scores = []
    for option in options:
        ids = torch.tensor(tokenizer(prompt + option).input_ids)
        assert ids[:start].tolist() == tokenizer(prompt).input_ids
        with torch.no_grad():
            logprobs = model(ids[None]).logits[0, :-1].log_softmax(-1)
        each = logprobs.gather(1, ids[1:, None])[:, 0]
        scores.append(float(each[start - 1 :].sum()))
    return scores


def most_likely_answers(chat: list[Message], length: int, slack: float = 0.2) -> list[str]:
    """Return what greedy decoding may answer in so many tokens where rounding decides between
    tokens whose log-probabilities differ by less than `slack`."""
    import torch

    model, tokenizer = plain_model()
    start = encode_prompt(ChatForm(tokenizer), chat)
    open_, ended = [start], []
    for _ in range(length):
        longer = []
        for ids in open_:
            with torch.no_grad():
                logprobs = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            near = (logprobs > logprobs.max() - slack).nonzero()[:, 0].tolist()
            for token in near:
                (ended if token == tokenizer.eos_token_id else longer).append([*ids, token])
        open_ = longer
        assert len(open_) < 64, "rounding decides nearly everything: ask something plainer"
    return [
        tokenizer.decode(ids[len(start) :], skip_special_tokens=True) for ids in (*open_, *ended)
    ]


def truncated_copy(folder: Path, target: Path) -> Path:
    """Write a copy of a model folder whose weights break off in the middle."""
    target.mkdir()
    for file in folder.iterdir():
        data = file.read_bytes()
        (target / file.name).write_bytes(data[: len(data) // 2] if len(data) > 10**8 else data)
    return target
