"""A chat as the text that a model on this machine reads: one form for asking, playing and training.

Invariant: the text follows from the messages, the model's chat template and the template's
variables alone, never from today's date; a chat that goes on keeps its system message where it was.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from agents.models.base import Message
from agents.models.chat import alternate, fold_system, template_variables
from agents.models.weights import described_folder
from folkways.errors import UserError
from folkways.provenance import short_hash

_DATE_FORM = "%d %b %Y"
_SYSTEM: Message = {"role": "system", "content": "Where and who."}
_BEGUN: tuple[Message, ...] = (_SYSTEM, {"role": "user", "content": "First question."})
SAMPLE: tuple[Message, ...] = (
    *_BEGUN,
    {"role": "assistant", "content": "First answer."},
    {"role": "user", "content": "Second question."},
)
SAMPLES = (_BEGUN, SAMPLE)
"""A chat by which templates are told apart: its beginning, and all of it."""
_WAY_OUT = (
    "a run does without under model.reply_form: script; a survey takes a model with a chat template"
)


def folds(native: Sequence[str | None], folded: Sequence[str | None]) -> bool:
    """Return whether a template takes the system message in front of the first user message only:
    it refuses, drops or moves one.

    Both are what it makes of the sample's first two messages and of all of it, with the system
    message and with that in front; None is a refusal.
    """
    return not _keeps(native) and _keeps(folded)


def _keeps(texts: Sequence[str | None]) -> bool:
    begun, whole = texts
    if begun is None or whole is None:
        return False
    return _SYSTEM["content"] in begun and whole.startswith(begun)


def stripped(messages: Sequence[Message]) -> list[Message]:
    """Return messages without white space around their contents."""
    return [{"role": each["role"], "content": each["content"].strip()} for each in messages]


def refusal(reason: object) -> UserError:
    """Return the error for a chat that a model's template refuses."""
    return UserError(f"the model's chat template refuses this chat ({reason}); {_WAY_OUT}")


NO_TEMPLATE = f"this model has no chat template, so it cannot answer a chat; {_WAY_OUT}"


def local_form(name: str, variables: Mapping[str, Any] | None) -> ChatForm | None:
    """Return how the chats of a model are written, without loading it; None where the engine does
    that itself."""
    from agents.models.local.tokens import load_tokenizer

    engine, _, spec = name.partition(":")
    if engine not in ("hf", "vllm"):
        return None
    return ChatForm(load_tokenizer(described_folder(spec)), variables)


class ChatForm:
    """How a tokenizer's template writes chats."""

    def __init__(self, tokenizer: Any, variables: Mapping[str, Any] | None = None) -> None:
        """`variables` are those of `template_variables`."""
        self.tokenizer = tokenizer
        self.variables = template_variables(variables)
        self._folds: bool | None = None

    @property
    def folds(self) -> bool:
        """Whether the system message goes in front of the first user message."""
        if self._folds is None:
            native = [self._tried(chat) for chat in SAMPLES]
            self._folds = folds(native, [self._tried(fold_system(chat)) for chat in SAMPLES])
        return self._folds

    @property
    def _joins(self) -> bool:
        """Whether a system message that no user message follows is lost."""
        text = self._tried([_SYSTEM])
        return text is None or _SYSTEM["content"] not in text

    def arrange(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages as the template gets them, without white space around contents."""
        chat = stripped(messages)
        alone = chat[0]["role"] == "system" and [m["role"] for m in chat[1:2]] != ["user"]
        return fold_system(chat) if self.folds or (alone and self._joins) else chat

    def render(self, chat: Sequence[Message], opens: bool = False) -> str:
        """Return arranged messages as text; `opens` begins the assistant's next turn. Raises
        jinja2.TemplateError where the template refuses."""
        from jinja2 import TemplateError

        try:
            text: str = self.tokenizer.apply_chat_template(
                list(chat),
                tokenize=False,
                add_generation_prompt=opens,
                **self.variables,
                strftime_now=self._day,
            )
        except TypeError as error:  # a template that adds text and nothing
            raise TemplateError(str(error)) from error
        return text

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return a chat up to where the answer begins. Raises UserError where the model has no
        template or that refuses the chat."""
        from jinja2 import TemplateError

        from agents.models.local.tokens import first_line

        if not self.tokenizer.chat_template:
            raise UserError(NO_TEMPLATE)
        chat = self.arrange(messages)
        try:
            return self.render(chat, opens=True)
        except TemplateError as error:
            for other in (alternate(chat), alternate(fold_system(chat))):
                with contextlib.suppress(TemplateError):
                    return self.render(other, opens=True)
            raise refusal(first_line(error)) from error

    @property
    def hash(self) -> str | None:
        """Hash of the sample as the model reads it; None for a model that cannot be asked."""
        try:
            return short_hash(self.prompt(SAMPLE))
        except UserError:
            return None

    @property
    def dated(self) -> bool:
        """Whether the template writes the date."""
        return "strftime_now" in str(self.tokenizer.chat_template)

    def _tried(self, chat: Sequence[Message]) -> str | None:
        from jinja2 import TemplateError

        try:
            return self.render(chat)
        except TemplateError:
            return None

    def _day(self, form: str) -> str:
        """Return the day in a template's own form: what it takes for today."""
        told = str(self.variables["date_string"])
        try:
            return (
                datetime.datetime.strptime(told, _DATE_FORM)
                .replace(tzinfo=datetime.UTC)
                .strftime(form)
            )
        except ValueError:
            return told
