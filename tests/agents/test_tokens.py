"""Scoring options by their tokens: each is an event of its own, however they are cut."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models.base import CallFailed, Message
from agents.models.local.chat_form import ChatForm
from agents.models.local.tokens import encode_choice, encode_prompt, exclude_longer
from agents.models.openai.reply import LIKELIEST, NoEcho, read_first_token
from folkways.errors import UserError

CHAT: list[Message] = [
    {"role": "system", "content": "You are Ana."},
    {"role": "user", "content": "1 or 10? Answer:"},
]
ALPHABET = ("a", "b", "</s>")
LONGEST = 3


class Toy:
    """A tokenizer of letters and a few longer pieces, the longest first; ids are the pieces."""

    PIECES = (" 10", "10", " 1", "Answer", "<answer>")

    def __init__(self, template: str = "{text}<answer>", strips: bool = False) -> None:
        self.chat_template, self.strips = template, strips

    def __call__(self, text: str | list[str], **_: Any) -> Any:
        class Encoded:
            input_ids = (
                self.cut(text) if isinstance(text, str) else [self.cut(each) for each in text]
            )

        return Encoded

    def cut(self, text: str) -> list[str]:
        """Return the pieces of a text."""
        text, found = text.strip() if self.strips else text, []
        while text:
            piece = next((one for one in self.PIECES if text.startswith(one)), text[0])
            found.append(piece)
            text = text[len(piece) :]
        return found

    def apply_chat_template(self, messages: list[Message], **how: Any) -> str:
        assert how["tokenize"] is False and {"date_string", "strftime_now"} <= how.keys()
        text = "".join(f"{message['role']}: {message['content']}\n" for message in messages)
        return self.chat_template.replace("{text}", text)


def test_the_options_of_a_chat_are_what_might_be_written_where_the_answer_begins() -> None:
    options = ["1", " 1", "10", " 10", "12"]
    shared, rests = encode_choice(ChatForm(Toy()), CHAT, options)
    assert shared == encode_prompt(ChatForm(Toy()), CHAT)
    assert "".join(map(str, shared)).endswith("Answer:\n<answer>")
    assert rests == [["1"], [" 1"], ["10"], [" 10"], ["1", "2"]]
    seamless = Toy("{text}Answer: ")  # an option would merge with the blank in a text
    shared, rests = encode_choice(ChatForm(seamless), CHAT, ["1", " 1"])
    assert shared[-1] == " " and rests == [["1"], [" 1"]]
    assert encode_choice(ChatForm(Toy()), "Answer: ", ["1", "2"]).rests == [[" 1"], [" ", "2"]]
    assert encode_choice(ChatForm(Toy()), CHAT, []).rests == []
    with pytest.raises(UserError, match="no chat template"):
        encode_choice(ChatForm(Toy("")), CHAT, ["1"])


def test_options_with_the_same_tokens_are_counted_once() -> None:
    rests = encode_choice(ChatForm(Toy(strips=True)), CHAT, ["1", " 1", "2", " 2"]).rests
    assert exclude_longer(rests, [-1.0, -1.0, -2.0, -2.0]) == [-1.0, -math.inf, -2.0, -math.inf]


def test_a_longer_option_is_taken_off_once() -> None:
    rests = [["1"], ["1", "0"], ["1", "0", "0"], ["1", "2"], ["2"]]
    chances = [0.5, 0.25, 0.125, 0.0625, 0.25]
    found = exclude_longer(rests, [math.log(chance) for chance in chances])
    assert [math.exp(one) for one in found] == pytest.approx([0.1875, 0.125, 0.125, 0.0625, 0.25])
    certain = exclude_longer([["1"], ["1", "0"]], [math.log(0.5), math.log(0.5) + 1e-12])
    assert certain[0] == -math.inf, "rounding leaves no probability below zero"


def next_token(seed: int, beginning: tuple[str, ...]) -> dict[str, float]:
    """Return a made-up model's distribution over the next token, some of them impossible."""
    rng = random.Random(f"{seed} {beginning}")
    weights = [rng.choice((0.0, rng.random())) for _ in ALPHABET]
    weights[-1] += 1e-3
    return {token: one / sum(weights) for token, one in zip(ALPHABET, weights, strict=True)}


def texts(seed: int) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield every text of the model, cut at a length, with its probability."""
    for tokens in product(ALPHABET, repeat=LONGEST):
        chance = 1.0
        for at, token in enumerate(tokens):
            chance *= next_token(seed, tokens[:at])[token]
        yield tokens, chance


def log_chance(seed: int, tokens: Sequence[str]) -> float:
    chances = [next_token(seed, tuple(tokens[:at]))[token] for at, token in enumerate(tokens)]
    return sum(math.log(chance) if chance else -math.inf for chance in chances)


@given(
    st.lists(st.lists(st.sampled_from("ab"), max_size=LONGEST).map(tuple), max_size=8),
    st.integers(0, 10**6),
)
def test_options_are_disjoint_events(rests: list[tuple[str, ...]], seed: int) -> None:
    found = exclude_longer(rests, [log_chance(seed, rest) for rest in rests])
    wanted = dict.fromkeys(rests, 0.0)
    for tokens, chance in texts(seed):
        begun = [rest for rest in wanted if tokens[: len(rest)] == rest]
        if begun:
            wanted[max(begun, key=len)] += chance
    for place, (rest, logprob) in enumerate(zip(rests, found, strict=True)):
        first = rests.index(rest) == place
        assert math.exp(logprob) == pytest.approx(wanted[rest] if first else 0.0, abs=1e-9)
    assert math.fsum(map(math.exp, found)) <= 1 + 1e-9


def first_token(*tokens: tuple[str, float], drawn: int = 0) -> bytes:
    """Return an endpoint's answer: as many first tokens as were asked for, and which was drawn."""
    others = [(f"~{number}", 1e-12) for number in range(len(tokens), LIKELIEST)]
    likeliest = [
        {"token": token, "logprob": math.log(p), "bytes": None} for token, p in (*tokens, *others)
    ]
    position = likeliest[drawn] | {"top_logprobs": likeliest}
    return json.dumps({"choices": [{"index": 0, "logprobs": {"content": [position]}}]}).encode()


def test_first_tokens_are_the_options_or_not() -> None:
    options = ["1", " 1", "2", " 2", "3"]
    content = first_token(("2", 0.5), (" 1", 0.25), ("Well", 0.125), (" ", 0.0625))
    assert read_first_token(content, options) == pytest.approx(
        [-math.inf, math.log(0.25), math.log(0.5), -math.inf, -math.inf]
    )
    assert read_first_token(content, []) == []


def test_an_endpoint_that_tells_fewer_tokens_than_asked_is_no_score_where_it_matters() -> None:
    body = json.loads(first_token(("2", 0.5), ("1", 0.25), ("Well", 0.125)))
    told = body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    del told[3:]
    assert read_first_token(json.dumps(body).encode(), ["1", "2"]) == pytest.approx(
        [math.log(0.25), math.log(0.5)]
    )
    with pytest.raises(CallFailed, match="tells the 3 likeliest first tokens at most"):
        read_first_token(json.dumps(body).encode(), ["1", "2", "3"])


def test_a_token_that_was_drawn_counts_though_it_is_not_among_the_likeliest() -> None:
    body = json.loads(first_token(("1", 0.5), ("2", 0.25)))
    body["choices"][0]["logprobs"]["content"][0] |= {"token": "3", "logprob": -9.0}
    found = read_first_token(json.dumps(body).encode(), ["1", "2", "3"])
    assert found == pytest.approx([math.log(0.5), math.log(0.25), -9.0])


def test_an_option_that_may_begin_a_longer_one_is_not_guessed() -> None:
    options = [str(number) for number in range(1, 11)]
    whole = read_first_token(first_token(("1", 0.5), ("10", 0.25)), options)
    assert (whole[0], whole[9]) == pytest.approx((math.log(0.5), math.log(0.25)))
    assert read_first_token(first_token(("2", 0.5)), options)[1] == pytest.approx(math.log(0.5))
    with pytest.raises(CallFailed, match="'1' may begin '10' as well") as caught:
        read_first_token(first_token(("1", 0.5), ("2", 0.25)), options)
    assert caught.value.reason == "bad-response"


@pytest.mark.parametrize(
    "logprobs", [None, {}, {"content": None}, {"content": []}, {"tokens": ["1"]}]
)
def test_an_answer_without_likeliest_tokens_is_no_score(logprobs: object) -> None:
    body = {"choices": [{"message": {"content": "1"}, "logprobs": logprobs}]}
    with pytest.raises(NoEcho):
        read_first_token(json.dumps(body).encode(), ["1", "2"])
    with pytest.raises(NoEcho):
        read_first_token(b'{"choices": []}', ["1"])


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "logprobs", "content", "token", "logprob", "top_logprobs"]),
            inner,
        )
    ),
)


@given(VALUES.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_body_is_scores_or_none_or_a_bad_response(content: bytes) -> None:
    try:
        found = read_first_token(content, ["1", "2"])
    except CallFailed as failed:
        assert failed.reason == "bad-response"
    except NoEcho:
        pass
    else:
        assert len(found) == 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "2", "10", " 1", " 2", " 10", "0", "I", ""]),
            st.floats(1e-9, 1),
        ),
        min_size=1, unique_by=lambda pair: pair[0],
    ),
    st.integers(1, 11),
)  # fmt: skip
def test_first_tokens_are_disjoint(tokens: list[tuple[str, float]], count: int) -> None:
    whole = math.fsum(weight for _, weight in tokens) * 1.0001
    options = [form + str(number) for number in range(1, count + 1) for form in ("", " ")]
    content = first_token(*((token, weight / whole) for token, weight in tokens))
    try:
        found = read_first_token(content, options)
    except CallFailed:
        assert count >= 10
    else:
        assert math.fsum(map(math.exp, found)) <= 1
        known = {token for token, _ in tokens}
        assert [one > -math.inf for one in found] == [option in known for option in options]
