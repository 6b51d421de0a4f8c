"""Chats arranged for models that take no system message or want the roles in turn."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateError

from agents.models.base import Message, Prompt
from agents.models.chat import alternate, fold_system
from agents.models.local.chat_form import ChatForm
from agents.models.local.tokens import encode_prompt

ROLES = ("system", "user", "assistant")
CHATS = st.lists(st.tuples(st.sampled_from(ROLES), st.text("ab", min_size=1)), min_size=1)


def chat(*said: tuple[str, str]) -> list[Message]:
    return [{"role": role, "content": content} for role, content in said]  # type: ignore[typeddict-item]


def test_a_system_message_goes_in_front_of_the_first_user_message() -> None:
    assert fold_system(chat(("system", "S"), ("user", "U"), ("assistant", "A"))) == chat(
        ("user", "S\n\nU"), ("assistant", "A")
    )
    assert fold_system(chat(("system", "S"), ("system", "T"), ("user", "U"))) == chat(
        ("user", "S\n\nT\n\nU")
    )


def test_a_system_message_before_an_answer_is_a_user_message_of_its_own() -> None:
    assert fold_system(chat(("system", "S"), ("assistant", "A"))) == chat(
        ("user", "S"), ("assistant", "A")
    )
    assert fold_system(chat(("system", "S"))) == chat(("user", "S"))


def test_a_later_system_message_is_the_users() -> None:
    assert fold_system(chat(("user", "U"), ("system", "S"))) == chat(("user", "U"), ("user", "S"))


def test_messages_of_one_role_in_a_row_are_one() -> None:
    assert alternate(chat(("user", "a"), ("user", "b"), ("assistant", "c"), ("user", "d"))) == chat(
        ("user", "a\n\nb"), ("assistant", "c"), ("user", "d")
    )


@given(CHATS)
def test_nothing_is_lost_or_added(said: list[tuple[str, str]]) -> None:
    arranged = alternate(fold_system(chat(*said)))
    assert "\n\n".join(one["content"] for one in arranged) == "\n\n".join(text for _, text in said)
    roles = [one["role"] for one in arranged]
    assert "system" not in roles
    assert all(one != next_ for one, next_ in pairwise(roles))


class Tokenizer:
    """A tokenizer whose template takes only what it is made for; one id a character."""

    chat_template = "x"

    def __init__(self, template: str) -> None:
        self.template = template

    def apply_chat_template(self, messages: list[Message], **_: object) -> str:
        roles = [one["role"] for one in messages]
        if self.template == "gemma" and "system" in roles:
            raise TemplateError("System role not supported")
        if self.template == "strict" and roles != ["user", "assistant", "user"][: len(roles)]:
            raise TemplateError(
                "Conversation roles must alternate user/assistant/user/assistant/..."
            )
        if self.template == "none":
            raise TemplateError("no")
        return "|".join(one["content"] for one in messages if one["role"] != "system")

    def __call__(self, text: str, **_: object) -> object:
        return type("Encoded", (), {"input_ids": [ord(letter) for letter in text]})()


def read(template: str, prompt: Prompt) -> str:
    return "".join(map(chr, encode_prompt(ChatForm(Tokenizer(template)), prompt)))


def test_a_local_model_reads_the_system_message_whatever_its_template_does_with_it() -> None:
    asked = chat(("system", "S"), ("user", "U"))
    assert read("gemma", asked) == "S\n\nU"
    assert read("drops", asked) == "S\n\nU"
    assert read("strict", chat(("system", "S"), ("user", "U"), ("user", "V"))) == "S\n\nU\n\nV"
