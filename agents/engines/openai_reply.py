"""What an OpenAI-compatible endpoint's answers say: completions, echoed log-probabilities, errors.

Invariant: an answer is read as it is or fails as a `bad-response`; nothing missing is filled in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import Any, Literal, TypeVar

from openai import APIError, APIStatusError
from pydantic import BaseModel, ValidationError

from agents.engines.tokens import exclude_longer
from agents.model import CallFailed, Completion

EXTENSIONS = ("min_p", "repetition_penalty")
"""Sampling parameters outside OpenAI's interface; an error that only names one gets it left out."""
DISPENSABLE = (*EXTENSIONS, "max_tokens", "seed", "stop", "response_format")
"""Parameters to go on without: `max_tokens` has a newer name, stop strings are cut off here as
well, and whether a reply has its form is checked by whoever reads it."""
UNSUPPORTED = re.compile(
    r"not (supported|permitted|allowed|available|implemented)|not (support|accept)\b"
    r"|unsupported|unrecognized|unknown|unexpected|extra",
    re.IGNORECASE,
)
TOO_LONG = re.compile(
    r"context[ _](length|window|size)|maximum (model|input|prompt) length"
    r"|\b(prompt|input|request)\b.{0,40}\btoo (long|large)",
    re.IGNORECASE,
)

Prices = tuple[float, float, float]
"""US dollars per million prompt, cached prompt and completion tokens."""


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Token(BaseModel):
    token: str
    logprob: float


class _Position(_Token):
    top_logprobs: list[_Token] = []


class _Positions(BaseModel):
    content: list[_Position] | None = None


class _Scored(BaseModel):
    logprobs: _Positions | None = None


class _FirstTokens(BaseModel):
    choices: list[_Scored]


class _Choice(BaseModel):
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Reply(BaseModel):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Logprobs(BaseModel):
    tokens: list[str]
    token_logprobs: list[float | None]


class _Echo(BaseModel):
    index: int
    text: str
    logprobs: _Logprobs | None = None


class _Echoes(BaseModel):
    choices: list[_Echo]


_Shape = TypeVar("_Shape", _Reply, _Echoes, _FirstTokens)


class NoEcho(Exception):
    """The endpoint answered, but not with the log-probabilities of the text it was given."""


def read_completion(
    content: bytes, stop: Sequence[str], attempts: int, prices: Prices | None
) -> Completion:
    """Return what the body of a completion or chat completion says.

    The text is cut before the first of `stop`, for endpoints that include or ignore these strings.
    Where the endpoint does not tell what was cached, the whole prompt is charged at full price.
    Raises CallFailed for a refusal, an interrupted reply and a body without an answer in it.
    """
    reply = _read(_Reply, content)
    if not reply.choices:
        raise CallFailed("bad-response", f"the reply has no choices: {_shown(content)}")
    text, reason = _answer(reply.choices[0])
    kept = min((text.partition(end)[0] for end in stop), key=len, default=text)
    usage = reply.usage or _Usage()
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Completion(
        text=kept,
        finish_reason="stop" if len(kept) < len(text) else reason,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=cached,
        attempts=attempts,
        cost=_cost(usage.prompt_tokens, cached, usage.completion_tokens, prices),
    )


def read_scores(content: bytes, asked: Sequence[str]) -> list[float]:
    """Return log P(text) - log P(first text), in nats, for every text in `asked` after the first.

    Only the tokens after those the two have in common count, so that the first text's own, noisy
    log-probability does not enter. Tokens are compared, and text offsets left alone, because
    servers count a begin-of-text token, and characters spread over several tokens, differently.
    Raises NoEcho when log-probabilities are missing, CallFailed when the body cannot be read.
    """
    echoes = sorted(_read(_Echoes, content).choices, key=lambda one: one.index)
    if len(echoes) != len(asked):
        count = f"{len(echoes)} choices for {len(asked)} texts"
        raise CallFailed("bad-response", f"the reply has {count}")
    parts = [
        echo.logprobs
        for echo, text in zip(echoes, asked, strict=True)
        if echo.logprobs and echo.logprobs.tokens and text in echo.text
    ]
    if len(parts) != len(asked):
        raise NoEcho("it does not echo the text with log-probabilities")
    gains = [_gain(parts[0], part) for part in parts[1:]]
    return exclude_longer([part.tokens for part in parts[1:]], gains)


def read_first_token(content: bytes, options: Sequence[str]) -> list[float]:
    """Return the log-probability (nats) of each option as the first token of an answer.

    -inf is an option that is not among the likeliest tokens. An option that another one begins
    like ("1" and "10") can only be told from it where the longer one is a token of its own. Raises
    NoEcho when log-probabilities are missing, CallFailed when the body cannot be read and where
    options cannot be told apart.
    """
    choices = _read(_FirstTokens, content).choices
    given = choices[0].logprobs.content if choices and choices[0].logprobs else None
    if not given or not given[0].top_logprobs:
        raise NoEcho("it does not tell the likeliest tokens of its answer")
    known: dict[str, float] = {}
    for token in (given[0], *given[0].top_logprobs):
        known[token.token] = max(token.logprob, known.get(token.token, -math.inf))
    for option in options:
        longer = [other for other in options if other != option and other.startswith(option)]
        if option in known and longer and not any(other in known for other in longer):
            raise CallFailed(
                "bad-response", f"the first token '{option}' may begin '{longer[0]}' as well"
            )
    return [known.get(option, -math.inf) for option in options]


def read_model_ids(body: Any) -> set[str]:
    """Return the model names in the body of GET /models, with the short forms some servers accept.

    Empty when the body has another shape than the two in use (`{"data": [...]}` and a bare list).
    """
    entries = body.get("data") if isinstance(body, dict) else body
    ids = {
        entry["id"]
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    }
    return ids | {id_.removeprefix("models/").removesuffix(":latest") for id_ in ids}


def read_error(error: APIStatusError) -> str:
    """Return an error's message in the server's own words, without any echo of the request.

    OpenAI has `{"error": {"message"}}`, FastAPI servers `{"detail": [{"loc", "msg"}]}`.
    """
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body
    if isinstance(body, list) and all(isinstance(one, dict) and "msg" in one for one in body):
        body = "; ".join(f"{'.'.join(map(str, one.get('loc', ())))}: {one['msg']}" for one in body)
    return " ".join(str(body).split())


def refused_parameter(error: APIError, sent: Collection[str]) -> str | None:
    """Return the dispensable parameter, among those sent, that the endpoint objects to."""
    if not isinstance(error, APIStatusError) or error.status_code not in (400, 422):
        return None
    words = read_error(error)
    if TOO_LONG.search(words):
        return None
    for name in DISPENSABLE:
        if isinstance(error.param, str):
            named = error.param.split(".")[0] == name
        else:
            named = re.search(rf"\b{name}\b", words) is not None
        if name in sent and named and (name in EXTENSIONS or UNSUPPORTED.search(words)):
            return name
    return None


def _read(kind: type[_Shape], content: bytes) -> _Shape:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        faults = ((".".join(map(str, one["loc"])), one["msg"]) for one in error.errors())
        where, what = next(faults)
        raise CallFailed(
            "bad-response",
            f"the reply cannot be read ({where or 'body'}: {what}): {_shown(content)}",
        ) from None


def _shown(content: bytes) -> str:
    return content.decode(errors="replace")


def _answer(choice: _Choice) -> tuple[str, Literal["stop", "length"]]:
    message = choice.message or _Message(content=choice.text)
    if message.refusal or choice.finish_reason == "content_filter":
        said = message.refusal or message.content
        raise CallFailed("refusal", said or "the endpoint's content filter stopped the reply")
    if choice.finish_reason in ("abort", "error"):
        raise CallFailed("server-error", "the endpoint broke its reply off")
    if message.content is None:
        raise CallFailed("bad-response", "the reply has no text")
    if choice.finish_reason is None:
        raise CallFailed("bad-response", "the reply does not say why it ended (finish_reason)")
    return message.content, "length" if choice.finish_reason == "length" else "stop"


def _gain(before: _Logprobs, after: _Logprobs) -> float:
    pairs = zip(before.tokens, after.tokens, strict=False)
    shared = next(
        (at for at, (one, other) in enumerate(pairs) if one != other),
        min(len(before.tokens), len(after.tokens)),
    )
    gained, lost = after.token_logprobs[shared:], before.token_logprobs[shared:]
    known = [value for value in gained if value is not None]
    taken = [value for value in lost if value is not None]
    if len(known) < len(gained) or len(taken) < len(lost):
        raise CallFailed("bad-response", "the first token has no log-probability")
    return sum(known) - sum(taken)


def _cost(
    prompt: int | None, cached: int | None, completion: int | None, prices: Prices | None
) -> float | None:
    if prices is None or prompt is None or completion is None:
        return None
    tokens = (prompt - (cached or 0), cached or 0, completion)
    return sum(price * count for price, count in zip(prices, tokens, strict=True)) / 1e6
