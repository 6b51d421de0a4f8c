"""Chats as token ids with a loss mask: a model learns what the assistant says, nothing else.

Invariant: ids come from the whole rendered chat at once, and the labels are exactly the contents of
assistant messages, each with the end-of-turn token after it.

Where the assistant's turns are is found by rendering the chat's beginnings, not by marks inside the
template, which few have. Each beginning must be a prefix of the whole, for that is what the model
reads when it is asked. Templates without a system role (Gemma) and those that move or drop the
system message (Mistral) get its content in front of the first user message instead.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from agents.models.base import Message
from agents.models.chat import fold_system
from folkways.errors import FolkwaysError, UserError
from training.finetune.rows import ChatRow

IGNORED = -100
"""The label of a token without loss."""
PROBE: tuple[Message, ...] = (
    {"role": "system", "content": "Where and who."},
    {"role": "user", "content": "First question."},
    {"role": "assistant", "content": "First answer."},
    {"role": "user", "content": "Second question."},
    {"role": "assistant", "content": "Second answer."},
)


class Example(NamedTuple):
    """A row in tokens."""

    ids: list[int]
    labels: list[int]
    """The ids, and IGNORED where there is no loss."""
    cut: int
    """The assistant's turns cut off because the row was too long."""


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
class ChatForm:
    """How a tokenizer's template writes the assistant's turns."""

    tokenizer: Any
    folds: bool
    """Whether the system message goes in front of the first user message."""
    gap: str = ""
    """What stands between the header and the content of a chat's last turn."""
    end: str = ""
    """What follows the content, up to the end-of-turn token."""
    replaced: bool = False
    """Whether the template is TRL's for training, since the model's own keeps no prefix."""

    def arrange(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages as the template gets them: white space around contents and a last
        user message, which has no loss, are left out."""
        chat: list[Message] = [
            {"role": each["role"], "content": each["content"].strip()} for each in messages
        ]
        if chat[-1]["role"] == "user":
            chat.pop()
        if self.folds and chat[0]["role"] == "system":
            if chat[1]["role"] != "user":
                raise Unfit("there is no user message before the assistant's to hold the system's")
            chat = fold_system(chat)
        return chat

    def render(self, chat: Sequence[Message], opens: bool = False) -> str:
        """Return a chat as text; `opens` begins the assistant's next turn."""
        from jinja2 import TemplateError

        try:
            text: str = self.tokenizer.apply_chat_template(
                list(chat), tokenize=False, add_generation_prompt=opens
            )
        except TemplateError as error:
            raise Unfit(f"the template refuses the chat: {error}") from error
        return text

    def spans(self, chat: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
        """Return the text of a chat and where the assistant's turns begin and end in it."""
        text, spans = self.render(chat), []
        for place, message in enumerate(chat):
            if message["role"] != "assistant":
                continue
            before = self.render(chat[:place], opens=True)
            if not text.startswith(before):
                raise Unfit("the beginning of a chat is rendered differently once it goes on")
            turn = message["content"] + self.end
            start = len(before)
            if text.startswith(self.gap + turn, start):
                start += len(self.gap)
            elif not text.startswith(turn, start):
                raise Unfit("the assistant's messages are not rendered as they are written")
            spans.append((start, start + len(turn)))
        return text, spans

    def encode(self, messages: Sequence[Message], max_length: int) -> Example | None:
        """Return a row in tokens, cut at the end of the last turn of the assistant that fits; None
        where not one does. Raises Unfit."""
        text, spans = self.spans(self.arrange(messages))
        encoded = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        labels, stop, fitting = [IGNORED] * len(ids), 0, 0
        for start, end in spans:
            # Pieces of white space may have empty offsets, hence first and last of the turn only.
            first = next(at for at in range(stop, len(ids)) if offsets[at][1] > start)
            last = next(at for at in range(first, len(ids)) if offsets[at][1] >= end)
            if last >= max_length:
                break
            stop, fitting = last + 1, fitting + 1
            labels[first:stop] = ids[first:stop]
        return Example(ids[:stop], labels[:stop], len(spans) - fitting) if fitting else None


def find_form(tokenizer: Any, model: str) -> ChatForm:
    """Return how a tokenizer's template writes chats. Raises UserError where it has none, or one
    that cannot be trained on."""
    if not tokenizer.chat_template:
        raise UserError(
            f"model '{model}' has no chat template, so it has no form of its own for a chat; "
            "choose its instruction-tuned version, or put a chat_template.jinja into a copy of its "
            "folder"
        )
    if not tokenizer.is_fast:
        raise UserError(f"the tokenizer of '{model}' does not tell where tokens are; no fast one")
    form, reason = _fitting(tokenizer)
    if form:
        return form
    if (training := _training_tokenizer(tokenizer)) is not None:
        form, _ = _fitting(training)
    if form:
        return replace(form, replaced=True)
    raise UserError(
        f"the chat template of '{model}' cannot be trained on: {reason}; put one that can into a "
        "copy of the model's folder, as chat_template.jinja: TRL ships some for families of models "
        "(trl/chat_templates/*_training.jinja), and takes the place of templates it knows by itself"
    )


def _fitting(tokenizer: Any) -> tuple[ChatForm | None, str]:
    """Return the form of a tokenizer's template, None with the reason where there is none."""
    reasons = []
    for folds in (False, True):
        try:
            bare = ChatForm(tokenizer, folds)
            form = ChatForm(tokenizer, folds, *_turn(bare))
            chat = form.arrange(PROBE)
            text, _ = form.spans(chat)
            if all(message["content"] in text for message in chat):
                return form, ""
            reasons.append("the system message is dropped")
        except Unfit as reason:
            reasons.append(str(reason))
    return None, f"{reasons[0]}; and with the system message in front of the user's: {reasons[1]}"


def _training_tokenizer(tokenizer: Any) -> Any | None:
    """Return a copy of a tokenizer with the template that TRL puts in place of its own for
    training, None where TRL does not know its own.
    """
    from jinja2 import TemplateError
    from trl.chat_template_utils import get_training_chat_template

    try:
        template = get_training_chat_template(tokenizer)
    except (ValueError, TemplateError):
        return None
    other = copy.deepcopy(tokenizer) if template else None
    if other is not None:
        other.chat_template = template
    return other


def encode_rows(
    form: ChatForm, rows: Iterable[ChatRow], max_length: int
) -> tuple[list[Example], Tally]:
    """Return the rows in tokens with counts of what was cut and dropped.

    Raises UserError, naming the row, where the template does not render one faithfully.
    """
    control = _control(form.tokenizer)
    examples, tally = [], Tally()
    for row in rows:
        tally.rows += 1
        if any(control.search(message["content"]) for message in row.messages):
            tally.control += 1
            continue
        try:
            example = form.encode(row.messages, max_length)
        except Unfit as reason:
            raise UserError(f"row {row.id} cannot be learned from: {reason}") from reason
        if example is None:
            tally.too_long += 1
            continue
        examples.append(example)
        tally.kept += 1
        tally.cut_rows += example.cut > 0
        tally.cut_turns += example.cut
        tally.tokens += len(example.ids)
        tally.learned += sum(label != IGNORED for label in example.labels)
        tally.longest = max(tally.longest, len(example.ids))
    return examples, tally


def _turn(form: ChatForm) -> tuple[str, str]:
    """Return what the template puts before and after the content of an assistant's turn."""
    asked: Message = {"role": "user", "content": "Question."}
    answer = "Answer."
    before = form.render([asked], opens=True)
    whole = form.render([asked, {"role": "assistant", "content": answer}])
    if not whole.startswith(before):
        raise Unfit("the beginning of a chat is rendered differently once it goes on")
    gap, found, rest = whole[len(before) :].partition(answer)
    ending = _control(form.tokenizer).search(rest)
    if not found or ending is None:
        raise Unfit("no token of the model's ends the assistant's turn")
    return gap, rest[: ending.end()]


def _control(tokenizer: Any) -> re.Pattern[str]:
    """Return a pattern that finds a control token, the longer ones before those they begin with."""
    added = tokenizer.added_tokens_decoder.values()
    tokens = {*tokenizer.all_special_tokens, *(each.content for each in added if each.special)}
    ordered = sorted((token for token in tokens if token), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)) or r"(?!)")
