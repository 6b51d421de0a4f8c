"""What an OpenAI-compatible endpoint's answers say: completions, log-probabilities, models.

Invariant: an answer is read as it is or fails as a `bad-response`; nothing missing is filled in.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from agents.models.base import CallFailed, Completion
from agents.models.local.tokens import exclude_longer
from agents.models.openai.events import UNFINISHED
from agents.models.reasoning import cut_at_stop, join
from folkways.errors import FolkwaysError

LIKELIEST = 20
"""First tokens of an answer whose log-probability an endpoint gives, at most."""
_UNSEEN = 0.05
"""Share of the options' probability that those may have which an endpoint does not tell."""
_REFUSED = frozenset({
    "content_filter", "refusal", "safety", "recitation", "prohibited_content", "blocklist", "spii",
    "sensitive", "guardrail_intervened",
})  # fmt: skip
"""Finish reasons, in lower case, of a reply that the endpoint does not want to give."""
_BROKEN = frozenset({"abort", "error", "network_error", "insufficient_system_resource", UNFINISHED})
"""Finish reasons of a reply that the endpoint could not end."""
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
"""Finish reasons of a reply that was cut; with any other one it is whole."""
_OF_REASONING = re.compile(
    r"((reasoning|thinking|thoughts?|think|cot)(_(content|text|details|blocks|summary|steps))?"
    r"|chain_of_thought)",
    re.IGNORECASE,
)
"""Fields of a message that hold reasoning."""
MOST_TOKENS = 100_000_000
"""Tokens that an endpoint may count in one call; a larger number is not believed."""

Prices = tuple[float, float, float]
"""US dollars per million prompt, cached prompt and completion tokens."""


_PART = {"type", "text", "value", "content", "annotations", "thinking", "reasoning", "index"}
"""Fields of a part of a content."""


class _Message(BaseModel, extra="allow"):
    content: Any = None
    refusal: Any = None
    tool_calls: Any = None


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
    delta: _Message | None = None
    """In place of a message, where the answer has the shape of a stream's piece."""
    text: str | None = None
    finish_reason: Any = None


class _Reply(BaseModel):
    choices: list[_Choice]
    usage: Any = None


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


class NoEcho(FolkwaysError):
    """The endpoint answered, but not with the log-probabilities of the text it was given."""


def read_completion(
    content: bytes,
    stop: Sequence[str],
    attempts: int,
    prices: Prices | None,
    limit: int | None = None,
) -> Completion:
    """Return what the body of a completion or chat completion says.

    The text is cut before the first of `stop`, for endpoints that include or ignore these strings.
    A reply that does not say why it ended was cut where it has as many tokens as `limit`.
    Where the endpoint does not tell what was cached, the whole prompt is charged at full price.
    Raises CallFailed for a refusal, an interrupted reply and a body without an answer in it.
    """
    reply = _read(_Reply, content)
    if not reply.choices:
        raise CallFailed("bad-response", f"the reply has no choices: {_shown(content)}")
    prompt, completion, cached, thinking = _usage(reply.usage)
    text, reasoning, reason = _answer(reply.choices[0])
    if reason is None:
        reason = "length" if completion is not None and completion == limit else "stop"
    kept, thought = cut_at_stop(text, stop)
    return Completion(
        text=kept,
        finish_reason="stop" if len(kept) < len(text) else reason,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        attempts=attempts,
        cost=_cost(prompt, cached, completion, prices),
        reasoning=join(reasoning, thought),
        reasoning_tokens=thinking,
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


def read_first_token(content: bytes, options: Sequence[str], asked: int = LIKELIEST) -> list[float]:
    """Return the log-probability (nats) of each option as the first token of an answer.

    -inf is an option that is not among the likeliest tokens, of which `asked` were asked for. An
    option that another one begins like ("1" and "10") can only be told from it where the longer one
    is a token of its own. Raises NoEcho when log-probabilities are missing, CallFailed when the
    body cannot be read, where options cannot be told apart, and where fewer tokens were asked for
    than `LIKELIEST` and options that were not told may be as likely as those that were.
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
    unseen = [option for option in options if option not in known]
    asked = min(asked, len(given[0].top_logprobs))
    if asked < LIKELIEST and unseen:
        told = [math.exp(one.logprob) for one in given[0].top_logprobs]
        mass = math.fsum(math.exp(known[one]) for one in set(options) if one in known)
        if min(len(unseen) * min(told), 1 - math.fsum(told)) > _UNSEEN * mass:
            raise CallFailed(
                "bad-response",
                f"the endpoint tells the {asked} likeliest first tokens at most, and that is too "
                f"few here: options that it does not tell may be as likely, such as '{unseen[0]}'",
            )
    return [known.get(option, -math.inf) for option in options]


def is_reply(content: bytes) -> bool:
    """Return whether a body is that of a completion or chat completion, whatever it says."""
    body = _json(content)
    return isinstance(body, dict) and isinstance(body.get("choices"), list)


def read_model_ids(content: bytes) -> set[str]:
    """Return the model names in the body of GET /models, with the short forms some servers accept.

    Empty for a body in none of the shapes in use: a list of names, or of objects with `id` or
    `name`, alone or as `data` or `models`.
    """
    body = _json(content)
    if isinstance(body, dict):
        body = next((body[name] for name in ("data", "models") if body.get(name)), None)
    entries = body if isinstance(body, list) else list(body) if isinstance(body, dict) else []
    found = (
        one.get("id") or one.get("name") or one.get("model") if isinstance(one, dict) else one
        for one in entries
    )
    ids = {one for one in found if isinstance(one, str)}
    return ids | {id_.removeprefix("models/").removesuffix(":latest") for id_ in ids}


def _json(content: bytes) -> Any:
    """Return what a body holds, None where it is no JSON; a number too long to be one is null."""
    try:
        return json.loads(
            content, parse_int=lambda digits: int(digits) if len(digits) < 400 else None
        )
    except (ValueError, RecursionError):
        return None


def _read(kind: type[_Shape], content: bytes) -> _Shape:
    try:
        body = _json(content)
        return kind.model_validate_json(content) if body is None else kind.model_validate(body)
    except ValidationError as error:
        faults = ((".".join(map(str, one["loc"])), one["msg"]) for one in error.errors())
        where, what = next(faults)
        raise CallFailed(
            "bad-response",
            f"the reply cannot be read ({where or 'body'}: {what}): {_shown(content)}",
        ) from None


def _shown(content: bytes) -> str:
    return content.decode(errors="replace")


def _answer(choice: _Choice) -> tuple[str, str | None, Literal["stop", "length"] | None]:
    """Return the text, the reasoning given apart from it, and why the reply ended if it says so."""
    message = choice.message or choice.delta or _Message(content=choice.text)
    said = str(choice.finish_reason or "").lower()
    text, thoughts = _parts(message.content)
    reasoning = thoughts or _apart(message.model_extra or {})
    if message.refusal or said in _REFUSED:
        words = message.refusal if isinstance(message.refusal, str) else text
        raise CallFailed("refusal", words or f"the endpoint stopped the reply ({said})")
    if said in _BROKEN:
        raise CallFailed("server-error", f"the endpoint broke its reply off ({said})")
    reason: Literal["stop", "length"] | None = (
        "length" if said in _CUT else "stop" if said else None
    )
    if text is None and (reasoning or reason == "length"):
        text = ""  # it was cut before it came to an answer
    if text is None:
        calls = "the reply calls a tool instead of answering"
        raise CallFailed("bad-response", calls if message.tool_calls else "the reply has no text")
    return text, reasoning, reason


def _parts(content: Any) -> tuple[str | None, str | None]:
    """Return text and reasoning of a content, which is a text or a list of typed parts."""
    if content is None or isinstance(content, str):
        return content, None
    is_read = isinstance(content, dict) and not content.keys() <= _PART
    if is_read or isinstance(content, int | float):
        return json.dumps(content, ensure_ascii=False), None  # an answer in JSON, read already
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        kind = str(part.get("type", "text")) if isinstance(part, dict) else "text"
        if re.search("think|reason", kind):
            thoughts.append(_thought(part) or "")
        elif kind in ("text", "output_text", "refusal"):
            said = _said(part)
            texts += [said] if isinstance(said, str) else []
    return "".join(texts) if texts else None, "".join(thoughts) or None


def _said(part: Any) -> Any:
    """Return the words of a part, which stand in a field of their own, or one level below."""
    while isinstance(part, dict):
        named = [part[name] for name in ("text", "value", "content") if part.get(name)]
        part = named[0] if named else None
    return part


def _apart(fields: Mapping[str, Any]) -> str | None:
    """Return the reasoning that a message holds in a field of its own; some servers give the same
    in several, whole and in parts."""
    given = [value for name, value in fields.items() if _OF_REASONING.fullmatch(name)]
    given.sort(key=lambda value: not isinstance(value, str))
    return next((found for value in given if (found := _thought(value))), None)


def _thought(given: Any) -> str | None:
    """Return the words in any of the shapes that reasoning is given in."""
    if isinstance(given, list):
        return "".join(_thought(one) or "" for one in given) or None
    if isinstance(given, dict):
        names = ("thinking", "reasoning", "thought", "text", "content", "summary")
        return next((found for name in names if (found := _thought(given.get(name)))), None)
    return given or None if isinstance(given, str) else None


def _usage(usage: Any) -> tuple[int | None, ...]:
    """Return prompt, completion, cached and reasoning tokens, null where a number is missing or
    cannot be.
    """
    if not isinstance(usage, dict):
        return None, None, None, None
    prompt = _count(usage, "prompt_tokens", "input_tokens")
    completion = _count(usage, "completion_tokens", "output_tokens")
    of_prompt, of_completion = (
        details if isinstance(details := usage.get(f"{side}_tokens_details"), dict) else {}
        for side in ("prompt", "completion")
    )
    cached = _count(of_prompt, "cached_tokens")
    if cached is None:
        cached = _count(usage, "prompt_cache_hit_tokens", "cache_read_input_tokens")
    if prompt is None or cached is None or cached > prompt:
        cached = None
    return prompt, completion, cached, _count({**usage, **of_completion}, "reasoning_tokens")


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of these numbers, if it is a whole one from 0 to `MOST_TOKENS`."""
    value = next((usage[name] for name in names if usage.get(name) is not None), None)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        return None
    return value


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
