"""What an OpenAI-compatible endpoint says when it refuses: words, codes, and the kind of refusal.

Invariant: a refusal is judged by its status, its fields and its words together, whatever the shape
of its body; what none of them tells stays `other`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from agents.models.openai.limiter import retry_after

Kind = Literal[
    "key", "quota", "access", "too-long", "filtered", "no-model", "busy", "loading", "other"
]
"""key: it is wrong; quota: it is spent; access: the account may not; too-long: the prompt does not
fit; filtered: the prompt was refused for what it says; no-model: no such model or path; loading:
not yet ready."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A refusal in the endpoint's own words."""

    status: int
    """As HTTP gives it, or as an error within a good answer says."""
    words: str
    """One line, without any echo of the request."""
    codes: frozenset[str]
    """Codes and types, in lower case."""
    param: str | None
    """The parameter that the endpoint objects to, where it names one in a field."""
    retry_after_s: float | None
    """After how many seconds it says that it will answer again."""

    @property
    def kind(self) -> Kind:
        """What the refusal is about."""
        return _kind(self)

    @property
    def is_final(self) -> bool:
        """Whether the same request can only be refused again, whatever its status says."""
        named = self.status >= 500 and _PHRASING.search(self.words) is not None
        final = ("key", "quota", "access", "too-long", "filtered", "no-model")
        return self.kind in final or named or self.status == 501

    @property
    def is_of_request(self) -> bool:
        """Whether something in the request may be what is refused, in words that do not tell."""
        by_status = 400 <= self.status < 500 and self.status != 407
        return self.kind == "other" and (by_status or self.status in (500, 501) or self.is_final)


UNSUPPORTED = re.compile(
    r"not (supported|permitted|allowed|available|implemented|enabled|recogni[sz]ed|valid|accepted)"
    r"|(not|n't|cannot|no longer) (support|accept|allow|take)|unsupported|unrecogni[sz]ed|unknown"
    r"|unexpected|extra|unavailable|deprecated|only the default|cannot both be",
    re.IGNORECASE,
)
"""That a parameter, or the value it has, is not taken at all."""
_PHRASING = re.compile(
    r"system (role|message|prompt)|roles? .{0,40}alternat|jinja|template|raise_exception"
    r"|grammar|json.?schema|response_format|guided|top_logprobs",
    re.IGNORECASE,
)
"""What servers that answer HTTP 500 to a request they do not take talk of."""
_SIZE = r"(token|prompt|input|context|message|request|sequence|history|conversation)"
_BOUND = (
    r"(too (long|large|many|big)|exceed|longer than|larger than|greater than|more than"
    r"|less than|at most|fewer than|beyond|must be <=?|must have less|maximum of|limit of|overflow)"
)
_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size|limit|overflow)|maximum (model|input|prompt|sequence) length"
    rf"|\b{_SIZE}s?\b.{{0,80}}{_BOUND}|{_BOUND}.{{0,60}}\b{_SIZE}s?\b"
    r"|reduce (the|your) (length|size|number of tokens|prompt|input)|max_seq_len|max_model_len"
    r"|range of input length|model token limit|\d+ tokens? > \d+|input_too_long|超长|过长"
    r"|超(过|出).{0,30}(长度|上限|限制|tokens?)",
    re.IGNORECASE,
)
"""Read only where the status says that the request itself was wrong."""
_OWN_LIMIT = re.compile(
    r"\b(max_tokens|max_completion_tokens|max_new_tokens|max_output_tokens|(top_)?logprobs|stop"
    r"|response_format|json.?schema|schema|temperature|top_p|min_p|seed|repetition_penalty|repeat_penalty)\b",
    re.IGNORECASE,
)
_OF_PROMPT = re.compile(
    r"context (length|window|size|limit)|prompt|input|messages|request has|requested", re.IGNORECASE
)
_EXCEEDS = re.compile(r"(\d{3,9})\D{1,60}?(\d{3,9})")
_TOO_LONG_CODES = {
    "context_length_exceeded",
    "exceed_context_size_error",
    "context_window_exceeded",
    "string_above_max_length",
    "request_too_large",
    "contextwindowexceedederror",
    "prompt_too_long",
    "input_too_long",
    "model_max_prompt_tokens_exceeded",
}
_QUOTA_CODES = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "quota_exceeded",
    "insufficient_balance",
    "insufficient_credits",
    "billing_error",
    "arrearage",
    "access_terminated",
    "account_deactivated",
}
_QUOTA = re.compile(
    r"insufficient (quota|balance|credit|funds)|(credit|account) balance|out of credits"
    r"|exceeded your (current|monthly|daily) (quota|spend|budget|usage)|not enough (credit|balance)"
    r"|budget (has been )?exceeded|billing (hard|details)|purchase (more )?credits"
    r"|payment required|account is not active|spend(ing)? limit",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"(invalid|incorrect|expired|missing|no|wrong|bad)\W+(\w+\W+)?api.?key"
    r"|api.?key\b.{0,40}\b(invalid|expired|not valid|incorrect|missing|not found|required)",
    re.IGNORECASE,
)
_FILTER_CODES = {
    "content_filter",
    "content_policy_violation",
    "data_inspection_failed",
    "datainspectionfailed",
    "responsibleaipolicyviolation",
    "sensitive",
    "content_filtered",
    "moderation_blocked",
}
_FILTERED = re.compile(
    r"content (management|filter(ing)?|moderation|usage) policy|was flagged|flagged for"
    r"|content.?(filter|policy)|prohibited content|blocked by (our |the )?(safety|content|moderat)"
    r"|inappropriate content|safety (system|filter|settings)",
    re.IGNORECASE,
)
_NO_MODEL_CODES = {
    "model_not_found",
    "deploymentnotfound",
    "model_not_available",
    "no_such_model",
    "not_found_error",
}
_NO_MODEL = re.compile(
    r"(invalid|unknown|no such|not a valid) model|\b(model|deployment|engine)\b.{0,120}\bnot "
    r"(exist|found|available|a valid|loaded|supported)|model does not exist|no models? loaded"
    r"|is not a valid model|unexpected endpoint|invalid url|no route|not_found_error",
    re.IGNORECASE,
)
_LOADING = re.compile(
    r"\bloading\b|\b(is|still|being) (load|start|initiali[sz]|download)(ed|ing)\b|start(ing)? up"
    r"|warming|\bnot (yet )?(ready|loaded)\b|initiali[sz]ing|booting|cold start|spinning up"
    r"|scaling (up|from)|estimated_time",
    re.IGNORECASE,
)
_FAILED_LOAD = re.compile(
    r"(fail|error|unable|cannot|could not|out of memory)\w*\b.{0,40}load|load.{0,40}(fail|memory)",
    re.IGNORECASE,
)
_BUSY = re.compile(r"rate.?limit|too many requests|overloaded|slow down|throttl|at capacity", re.I)
_WAIT = re.compile(
    r"(?:try|retry)(?: again)?\W+(?:in|after)\W+((?:\d+(?:\.\d+)?\s*(?:h|ms|m|s)\w*\W*)+)", re.I
)
_STATUSES = {
    "rate_limit_exceeded": 429, "rate_limit_error": 429, "resource_exhausted": 429,
    "insufficient_quota": 429, "too_many_requests": 429, "throttlingexception": 429,
    "invalid_request_error": 400, "invalid_argument": 400, "badrequest": 400, "bad_request": 400,
    "validation_error": 422, "authentication_error": 401, "unauthenticated": 401,
    "invalid_api_key": 401, "unauthorized": 401, "permission_error": 403, "permission_denied": 403,
    "insufficient_balance": 402, "insufficient_credits": 402, "not_found_error": 404,
    "model_not_found": 404, "not_found": 404, "context_length_exceeded": 400,
    "content_filter": 400, "overloaded_error": 529, "unavailable": 503, "unavailable_error": 503,
    "server_error": 500, "internal": 500, "internal_server_error": 500, "api_error": 500,
    "deadline_exceeded": 504, "timeout_error": 504,
}  # fmt: skip
"""Codes of errors within a good answer, and the statuses that they stand for."""


def read_fault(status: int, content: bytes, headers: Mapping[str, str]) -> Fault:
    """Return what an answer with a bad status says, whatever shape its body has."""
    error = _inner(_decoded(content))
    fields = error if isinstance(error, dict) else {}
    return Fault(
        status, _words(error), _codes(fields), _param(fields), _retry_after(fields, error, headers)
    )


def status_within(content: bytes) -> int | None:
    """Return the status of the error that an answer with a good status holds instead of a reply."""
    body = _decoded(content)
    if isinstance(body, list) and body and isinstance(body[0], dict):
        body = body[0]
    if not isinstance(body, dict):
        return None
    body = _of_choice(body)
    if body.get("choices") or body.get("data") is not None:
        if not _is_told(body.get("error")):
            return None
    elif not _is_error(body):
        return None
    fields = _inner(body)
    fields = fields if isinstance(fields, dict) else {}
    for name in ("code", "status", "status_code", "statusCode"):
        if found := re.fullmatch(r"([45]\d\d)(\.0)?", str(fields.get(name, ""))):
            return int(found[1])
    if known := [_STATUSES[code] for code in _codes(fields) if code in _STATUSES]:
        return max(known)
    words = _words(_inner(body))
    if _QUOTA.search(words) or _BUSY.search(words):
        return 429
    if named := [one for one in HTTPStatus if one >= 400 and one.phrase.lower() == words.lower()]:
        return named[0].value
    return 404 if _NO_MODEL.search(words) else 400 if _TOO_LONG.search(words) else 500


def _of_choice(body: dict[str, Any]) -> dict[str, Any]:
    """Return the first choice where it holds an error, otherwise the body."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) and _is_told(first.get("error")) else body


def _is_told(error: Any) -> bool:
    """Return whether the field for an error, beside an answer, holds one."""
    if isinstance(error, dict):
        good = {str(error.get("code")).lower()} & {"0", "200", "ok", "success"}
        return not good and any(error.values())
    return isinstance(error, str) and bool(error.strip())


def _is_error(body: Mapping[str, Any]) -> bool:
    refused = body.get("base_resp")
    return bool(
        body.get("error")
        or body.get("error_code")
        or body.get("object") == "error"
        or body.get("type") == "error"
        or body.get("detail")
        or body.get("errors")
        or (isinstance(refused, dict) and refused.get("status_code"))
        or (body.get("code") and any(isinstance(body.get(key), str) for key in ("message", "msg")))
        or (body.get("success") is False or body.get("status") in ("error", "failed"))
        or re.match("[45]", str(body.get("status_code") or body.get("statusCode") or ""))
    )


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        return content.decode(errors="replace")


def _inner(body: Any) -> Any:
    """Return the error in a body: OpenAI has `{"error": {...}}`, Gemini the same in a list, FastAPI
    servers `{"detail": [...]}`, others the fields of the error alone."""
    if isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict):
        body = body[0]
    body = _of_choice(body) if isinstance(body, dict) else body
    for name in ("error", "base_resp", "detail", "errors"):
        if isinstance(body, dict) and body.get(name):
            inner = body[name]
            if isinstance(inner, list) and isinstance(inner[0], dict) and "message" in inner[0]:
                inner = inner[0]
            if not isinstance(inner, str):
                nested = isinstance(inner, dict) and isinstance(inner.get("error"), dict)
                return inner["error"] if nested else inner
            more = body.get("message")
            said = f"{inner}: {more}" if more and isinstance(more, str) else inner
            return {**body, "message": said, name: None}
    return body


def _words(error: Any) -> str:
    """Return an error's message as one line."""
    said = error
    if isinstance(error, dict):
        names = ("message", "error_msg", "status_msg", "msg", "detail", "title", "error")
        said = next((error[name] for name in names if error.get(name)), error)
        metadata = error.get("metadata")
        raw = metadata.get("raw") if isinstance(metadata, dict) else None
        if raw and str(raw) not in str(said):
            said = f"{said}: {raw}"
    if (
        isinstance(said, list)
        and said
        and all(isinstance(one, dict) and "msg" in one for one in said)
    ):
        said = "; ".join(f"{'.'.join(map(str, one.get('loc', ())))}: {one['msg']}" for one in said)
    return " ".join(str(said).split())


def _codes(fields: Mapping[str, Any]) -> frozenset[str]:
    metadata = fields.get("metadata")
    inner = fields.get("innererror")
    given = [fields.get(name) for name in ("code", "type", "status", "error_type", "reason")]
    for more in (metadata, inner):
        given += [more.get("error_type"), more.get("code")] if isinstance(more, dict) else []
    return frozenset(str(one).lower() for one in given if isinstance(one, str | int))


def _param(fields: Mapping[str, Any]) -> str | None:
    named = fields.get("param")
    is_told = isinstance(named, str) and named.lower() not in ("", "none", "null")
    return named if is_told else None


def _retry_after(fields: Mapping[str, Any], error: Any, headers: Mapping[str, str]) -> float | None:
    """Return the seconds until the next try that headers, fields or words name."""
    metadata = fields.get("metadata")
    passed_on = metadata.get("headers") if isinstance(metadata, dict) else None
    for given in (headers, passed_on if isinstance(passed_on, dict) else {}):
        named = {str(name).lower(): str(value) for name, value in given.items()}
        if (told := retry_after(named)) is not None and 0 <= told < math.inf:
            return told
    for detail in fields.get("details") or () if isinstance(fields.get("details"), list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and re.fullmatch(r"\d{1,9}(\.\d+)?s", delay):
            return float(delay[:-1])
    estimated = fields.get("estimated_time")
    if isinstance(estimated, int | float) and 0 <= estimated < 1e6:
        return float(estimated)
    if found := _WAIT.search(_words(error)):
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*(h|ms|m|s)", found[1].lower())
        return sum(float(n) * {"h": 3600, "m": 60, "s": 1, "ms": 0.001}[unit] for n, unit in parts)
    return None


def _kind(fault: Fault) -> Kind:
    status, words, codes = fault.status, fault.words, fault.codes
    own = status in (400, 404, 413, 415, 422, 424)
    short_wait = fault.retry_after_s is not None and fault.retry_after_s < 3600
    if status == 401 or (status in (400, 403) and _KEY.search(words)):
        return "key"
    if codes & _FILTER_CODES or (status in (400, 403, 422, 451) and _FILTERED.search(words)):
        return "filtered"
    if _is_too_long(fault):
        return "too-long"
    if status == 402 or codes & _QUOTA_CODES:
        return "quota"
    if status in (400, 403, 429) and _QUOTA.search(words) and not short_wait:
        return "quota"
    if status == 403 and not _OWN_LIMIT.search(f"{fault.param} {words}"):
        return "access"
    if codes & _NO_MODEL_CODES or (own and _NO_MODEL.search(words)):
        return "no-model"
    may_load = status >= 500 or status in (404, 409, 425, 429)
    if may_load and _LOADING.search(words) and not _FAILED_LOAD.search(words):
        return "loading"
    return "busy" if status in (408, 409, 425, 429, 503, 529) else "other"


def _is_too_long(fault: Fault) -> bool:
    """Return whether the prompt does not fit: by code, by words, or by two numbers of tokens."""
    status, words = fault.status, fault.words
    if fault.codes & _TOO_LONG_CODES or status == 413:
        return True
    if status == 429:
        return re.search(r"request too large|must be reduced in order", words, re.I) is not None
    told = status == 500 and re.search("token|context|prompt|input", words)
    if status not in (400, 404, 422, 424) and not told:
        return False
    words = re.sub(r"\bInput should\b|'input':", "", words)  # pydantic's words, of any value
    if _OWN_LIMIT.search(f"{fault.param} {words}") and not _OF_PROMPT.search(words):
        return False
    if _TOO_LONG.search(words):
        return True
    found = _EXCEEDS.search(words)
    return bool(found and "token" in words.lower() and int(found[1]) > int(found[2]) >= 128)
