"""Chats as token ids with a loss mask: a model learns what the assistant says, nothing else.

Invariant: every turn that is learned stands right after the very text that the model is asked with
(`ChatForm.prompt`), and what is learned is all that follows up to the end-of-turn token.

Most templates write the beginning of a chat in the same way however it goes on: such a chat is one
row of tokens. Others leave out the reasoning of earlier turns or move text to the last message
(Qwen3, Qwen3.5), and some tokenizers cut white space in another way before text than at the end:
then each of the assistant's turns is a row of its own, after its own prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from agents.models.base import Message
from agents.models.local.chat_form import SAMPLE, ChatForm
from folkways.errors import FolkwaysError, UserError
from training.finetune.rows import ChatRow

IGNORED = -100
"""The label of a token without loss."""
_PROBE: tuple[Message, ...] = (*SAMPLE, {"role": "assistant", "content": "Second answer."})


class _Turn(NamedTuple):
    """A turn of the assistant."""

    asked: str
    """The text that the model is asked with."""
    text: str
    """What is learned, up to the end-of-turn token."""


class Example(NamedTuple):
    """A row in tokens."""

    ids: list[int]
    labels: list[int]
    """The ids, and IGNORED where there is no loss."""


@dataclass(slots=True)
class Tally:
    """What became of the rows."""

    rows: int = 0
    kept: int = 0
    too_long: int = 0
    """Rows dropped because not one of the assistant's turns ends within max_length."""
    control: int = 0
    """Rows dropped because a message holds one of the model's control tokens."""
    cut_rows: int = 0
    """Rows cut at the end of a turn."""
    cut_turns: int = 0
    """The assistant's turns lost that way."""
    tokens: int = 0
    learned: int = 0
    """Tokens with loss."""
    longest: int = 0
    """Tokens of the longest row."""


class Unfit(FolkwaysError):
    """A chat that the template does not render in a way that can be learned from."""


@dataclass(frozen=True, slots=True)
class TrainingForm:
    """How a model's chats are written to be learned from."""

    chats: ChatForm
    end: str
    """What follows the content of an assistant's turn, up to the end-of-turn token."""

    def turns(self, messages: Sequence[Message]) -> list[_Turn]:
        """Return each of the assistant's turns; a last user message, which has no loss, is left
        out. Raises Unfit."""
        chat = self.chats.arrange(messages)
        return [
            self._turn(chat[:place], message["content"])
            for place, message in enumerate(chat)
            if message["role"] == "assistant"
        ]

    @property
    def divides(self) -> bool:
        """Whether each of the assistant's turns is a row of tokens of its own."""
        return self._whole(self.turns(_PROBE)) is None

    def encode(self, messages: Sequence[Message], max_length: int) -> tuple[list[Example], int]:
        """Return a chat in tokens, cut at the end of the last turn of the assistant that fits, and
        how many of its turns were lost that way. Raises Unfit."""
        turns = self.turns(messages)
        if (whole := self._whole(turns)) is not None:
            fit = [span for span in whole[1] if span[1] <= max_length]
            return [_example(whole[0], fit)][: len(fit)], len(turns) - len(fit)
        found = []
        for turn in turns:
            asked = self._ids(turn.asked)
            ids = asked + self._ids(turn.text)
            found.append(_example(ids, [(len(asked), len(ids))]))
        short = [example for example in found if len(example.ids) <= max_length]
        return short, len(found) - len(short)

    def _turn(self, before: Sequence[Message], content: str) -> _Turn:
        asked = self._render(before, opens=True)
        text = self._render([*before, {"role": "assistant", "content": content}])
        turn = content + self.end
        gap, found, _ = text[len(asked) :].partition(turn)
        if not text.startswith(asked) or not found:
            gap = ""
        return _Turn(asked, gap + turn)

    def _render(self, chat: Sequence[Message], opens: bool = False) -> str:
        from jinja2 import TemplateError

        try:
            return self.chats.render(chat, opens)
        except TemplateError as error:
            raise Unfit(f"the template refuses the chat: {error}") from error

    def _whole(self, turns: Sequence[_Turn]) -> tuple[list[int], list[tuple[int, int]]] | None:
        """Return the ids of a chat with where each turn begins and ends in them; None where a turn
        is not asked with the beginning of what comes of it in the end."""
        text = turns[-1].asked + turns[-1].text
        if not all(text.startswith(turn.asked + turn.text) for turn in turns):
            return None
        encoded = self.chats.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        spans, stop = [], 0
        for turn in turns:
            start, end = len(turn.asked), len(turn.asked + turn.text)
            # Pieces of white space may have empty offsets, hence first and last of the turn only.
            first = next(at for at in range(stop, len(ids)) if offsets[at][1] > start)
            stop = 1 + next(at for at in range(first, len(ids)) if offsets[at][1] >= end)
            if ids[:first] != self._ids(turn.asked):  # white space may be cut in another way
                return None
            spans.append((first, stop))
        return ids, spans

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.chats.tokenizer(
            text, add_special_tokens=False, verbose=False
        ).input_ids
        return ids


def _example(ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> Example:
    """Return a row up to the last of the spans that are learned."""
    labels = [IGNORED] * len(ids)
    for start, end in spans:
        labels[start:end] = ids[start:end]
    stop = spans[-1][1] if spans else 0
    return Example(list(ids[:stop]), labels[:stop])


def find_form(chats: ChatForm, model: str) -> TrainingForm:
    """Return how a model's chats are learned from. Raises UserError where its tokenizer has no
    template, or one that cannot be trained on."""
    if not chats.tokenizer.chat_template:
        raise UserError(
            f"model '{model}' has no chat template, so it has no form of its own for a chat; "
            "choose its instruction-tuned version, or put a chat_template.jinja into a copy of its "
            "folder"
        )
    if not chats.tokenizer.is_fast:
        raise UserError(f"the tokenizer of '{model}' does not tell where tokens are; no fast one")
    try:
        form = TrainingForm(chats, _end_of_turn(chats))
        last = form.turns(_PROBE)[-1]
    except (Unfit, UserError) as reason:
        raise _unfit(model, reason) from reason
    if not all(message["content"] in last.asked + last.text for message in _PROBE):
        raise _unfit(model, "a message is dropped")
    return form


def _unfit(model: str, reason: object) -> UserError:
    return UserError(
        f"the chat template of '{model}' cannot be trained on: {reason}; put one that can into a "
        "copy of the model's folder, as chat_template.jinja"
    )


def encode_rows(
    form: TrainingForm, rows: Iterable[ChatRow], max_length: int
) -> tuple[list[Example], Tally]:
    """Return the rows in tokens with counts of what was cut and dropped.

    Raises UserError, naming the row, where the template does not render one faithfully.
    """
    control = _control(form.chats.tokenizer)
    examples, tally = [], Tally()
    for row in rows:
        tally.rows += 1
        if any(control.search(message["content"]) for message in row.messages):
            tally.control += 1
            continue
        try:
            made, cut = form.encode(row.messages, max_length)
        except Unfit as reason:
            raise UserError(f"row {row.id} cannot be learned from: {reason}") from reason
        if not made:
            tally.too_long += 1
            continue
        examples += made
        tally.kept += 1
        tally.cut_rows += cut > 0
        tally.cut_turns += cut
        for example in made:
            tally.tokens += len(example.ids)
            tally.learned += sum(label != IGNORED for label in example.labels)
            tally.longest = max(tally.longest, len(example.ids))
    return examples, tally


def _end_of_turn(chats: ChatForm) -> str:
    """Return what the template puts after the content of an assistant's turn, up to its token."""
    answer = _PROBE[-1]["content"]
    text = TrainingForm(chats, "")._render(chats.arrange(_PROBE))
    found, rest = text.rpartition(answer)[1:]
    ending = _control(chats.tokenizer).search(rest)
    if not found or ending is None:
        raise Unfit("no token of the model's ends the assistant's turn")
    return rest[: ending.end()]


def _control(tokenizer: Any) -> re.Pattern[str]:
    """Return a pattern that finds a control token, the longer ones before those they begin with."""
    added = tokenizer.added_tokens_decoder.values()
    tokens = {*tokenizer.all_special_tokens, *(each.content for each in added if each.special)}
    ordered = sorted((token for token in tokens if token), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)) or r"(?!)")
