"""Turns prompts into the token ids that a local model is given.

Invariant: ids come from the whole text at once, so that they are the ones the model was trained on;
pieces tokenised apart are never joined.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from agents.models.base import CallFailed, Prompt
from agents.models.local.chat_form import ChatForm
from folkways.errors import UserError

AskNext = Callable[[list[int], list[int]], Awaitable[dict[int, float]]]
"""Gives the log-probabilities of tokens, the second argument, right after the first."""


class Choice(NamedTuple):
    """The token ids of a prompt with several continuations."""

    shared: list[int]
    """What all of them begin with."""
    rests: list[list[int]]
    """What follows in each."""


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a model folder; raise UserError when it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UserError(f"the tokenizer in {folder} cannot be loaded: {error}") from error


def encode_prompt(form: ChatForm, prompt: Prompt) -> list[int]:
    """Return the ids of a text to be continued, or of a chat up to where the answer begins.

    Raises UserError for a chat where the model has no chat template or its template refuses it.
    """
    is_chat = not isinstance(prompt, str)
    text = prompt if isinstance(prompt, str) else form.prompt(prompt)
    ids: list[int] = form.tokenizer(text, add_special_tokens=not is_chat, verbose=False).input_ids
    return ids


def encode_choice(form: ChatForm, prompt: Prompt, options: Sequence[str]) -> Choice:
    """Return the ids of `prompt` followed by each of `options`, split where they part.

    A chat's ids are fixed up to where the answer begins, and each option is what the model might
    write there. Of a text, tokens may span the seam: one that ends in a space and the option `Yes`
    become one token ` Yes`. The split is therefore after the longest run of tokens that the bare
    text and all the continuations have in common. Where that falls before the text's end, its last
    letters are scored along with every option, which leaves the options comparable.
    """
    if not isinstance(prompt, str):
        rests = form.tokenizer(list(options), add_special_tokens=False, verbose=False).input_ids
        return Choice(encode_prompt(form, prompt), rests)
    texts = [prompt, *(prompt + option for option in options)]
    bare, *whole = form.tokenizer(texts, verbose=False).input_ids
    return split_choice(bare, whole)


def split_choice(bare: list[int], whole: Sequence[list[int]]) -> Choice:
    """Return the choice between continuations of a text, from the ids of the bare text and of the
    text with each; see `encode_choice`.
    """
    seam = 0
    for column in zip(bare, *whole, strict=False):
        if len(set(column)) > 1:
            break
        seam += 1
    if seam == 0:
        raise ValueError("options can only be scored after a prompt of at least one token")
    return Choice(bare[:seam], [ids[seam:] for ids in whole])


async def score_choice(choice: Choice, floor: float, ask: AskNext) -> list[float]:
    """Return the log-probability (nats) of each continuation; see `Model.score`.

    For every beginning that continuations share, `ask` is asked once for the tokens that may
    follow; beginnings less likely than `floor` are not followed.
    """
    shared, rests = choice
    known: dict[tuple[int, ...], float] = {(): 0.0}
    for length in range(max(map(len, rests))):
        following: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        for rest in rests:
            beginning = tuple(rest[:length])
            if len(rest) > length and known.get(beginning, -math.inf) > floor:
                following[beginning].add(rest[length])
        asked = {key: sorted(tokens) for key, tokens in following.items()}
        found = await asyncio.gather(*(ask([*shared, *key], ids) for key, ids in asked.items()))
        for key, answer in zip(asked, found, strict=True):
            known |= {(*key, token): known[key] + value for token, value in answer.items()}
    return exclude_longer(rests, [known.get(tuple(rest), -math.inf) for rest in rests])


def exclude_longer(rests: Sequence[Sequence[Any]], logprobs: Sequence[float]) -> list[float]:
    """Return the log-probabilities of beginning with an option and with no longer one of the list.

    `rests` are the options' tokens. Where the tokens of "10" go on from those of "1", the
    probability of "1" includes that of "10", which is taken off here. Of options with the same
    tokens, such as "1" and " 1" to some tokenizers, the first stands for all.
    """
    keys = [tuple(rest) for rest in rests]
    return [
        _log_difference(logprob, [logprobs[other] for other in _next_longer(place, keys)])
        if keys.index(keys[place]) == place
        else -math.inf
        for place, logprob in enumerate(logprobs)
    ]


def _next_longer(place: int, keys: Sequence[tuple[Any, ...]]) -> list[int]:
    """Return the options that go on from one, without those that go on from another such."""
    key = keys[place]
    longer = {
        other: at
        for at, other in enumerate(keys)
        if len(other) > len(key) and other[: len(key)] == key
    }
    return [
        at
        for other, at in longer.items()
        if not any(other[: len(one)] == one for one in longer if len(one) < len(other))
    ]


def _log_difference(whole: float, parts: Sequence[float]) -> float:
    if not parts:
        return whole
    rest = 1 - sum(math.exp(part - whole) for part in parts) if whole > -math.inf else 0.0
    return whole + math.log(rest) if rest > 0 else -math.inf


def require_room(tokens: int, context: int) -> None:
    """Raise CallFailed unless `tokens` leave room for at least one more in the model's context."""
    if tokens >= context:
        raise CallFailed(
            "prompt-too-long",
            f"the prompt has {tokens} tokens and the model's context holds {context}",
        )


def first_line(error: BaseException) -> str:
    """Return a one-line account of an error of another library; of a list of faults, the first."""
    told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
    said = re.sub(r"\s+", " ", told.strip().partition("\n")[0])
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
