"""The seam to language models: one protocol with two verbs, and the values that pass through it.

Invariant: what a model did not say is never made up; every way a call can fail has an exception of
its own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

from agents.models.reasoning import join, separate
from folkways.errors import FolkwaysError, UserError
from folkways.registry import offered, resolve
from folkways.secrets import refuse_secrets

CACHED = "response-cache"
"""Endpoint of an answer that the response cache gave."""


class Message(TypedDict):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = str | Sequence[Message]
"""Plain text to be continued, or a chat to be answered."""


def prompt_length(prompt: Prompt) -> int:
    """Return how many characters a prompt has."""
    return len(prompt) if isinstance(prompt, str) else sum([len(m["content"]) for m in prompt])


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; the same fields for every engine."""

    temperature: float = 0.75
    """0 is greedy."""
    top_p: float = 1.0
    min_p: float = 0.05
    repetition_penalty: float = 1.1
    """1 is none."""
    max_tokens: int = 120
    """Completion tokens."""
    stop: tuple[str, ...] = ()
    """Generation ends before any of these."""
    seed: int | None = None
    presence_penalty: float = 0.0
    """Taken off the logit of every token that was written; 0 is none."""
    frequency_penalty: float = 0.0
    """The same for each time that it was written; 0 is none."""
    dry: float = 0.0
    """Multiplier of DRY, which makes it unlikely that a sequence of tokens is said again, from the
    prompt too; 0 is none."""

    def key(self) -> tuple[Any, ...]:
        """Return the values as a tuple, without the last ones where they are neutral: what was
        kept under it before they came stays known."""
        values = astuple(self)
        return values if any(values[_KEYED:]) else values[:_KEYED]


_KEYED = 7
"""Fields of a sampling that always tell it apart from others."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What one model call returned, and what it took.

    Reasoning in the text is told apart here, where every answer of every engine passes.
    """

    text: str
    """The answer as generated, reasoning and the stop string excluded."""
    finish_reason: Literal["stop", "length", "refusal"]
    prompt_tokens: int | None
    """Null where the endpoint does not tell."""
    completion_tokens: int | None
    """Null where the endpoint does not tell."""
    cached_tokens: int | None = None
    """Prompt tokens the engine did not have to compute again; null where it does not tell."""
    attempts: int = 1
    """Requests made, retries included."""
    cost: float | None = None
    """US dollars; null where no price is known."""
    endpoint: str | None = None
    """Where the reply came from, for a model that has several places to get it from."""
    reasoning: str | None = None
    """What the model thought before and beside its answer, no part of `text`; null where it shows
    none. A reply cut while it still thought has an empty text, this and `length`."""
    reasoning_tokens: int | None = None
    """Of the completion tokens, those of reasoning; null where the endpoint does not tell."""

    def __post_init__(self) -> None:
        answer, thought, ended_inside = separate(self.text)
        if thought is not None:
            answer = "" if ended_inside and self.finish_reason == "length" else answer
            object.__setattr__(self, "text", answer)
            object.__setattr__(self, "reasoning", join(self.reasoning, thought))

    @property
    def cut_in_reasoning(self) -> bool:
        """Whether the tokens were used up before an answer began."""
        return self.finish_reason == "length" and not self.text.strip()


CUT_IN_REASONING = "cut-in-reasoning"
"""Failure of a call whose tokens were used up before an answer began: `max_tokens` is too small."""
MORE_TOKENS, MOST_TOKENS = 4, 8192
"""How many times the tokens a call gets after that, and where this ends."""


def with_room(sampling: Sampling) -> Sampling:
    """Return the sampling for another try after a reply that was cut before its answer ended: more
    tokens, and no stop strings, which reasoning may hold.
    """
    tokens = max(sampling.max_tokens, min(MORE_TOKENS * sampling.max_tokens, MOST_TOKENS))
    return replace(sampling, max_tokens=tokens, stop=())


class Model(Protocol):
    """An engine with a model in it, shared by all concurrent episodes of a run."""

    name: str
    """How the user asked for it, such as `embedded`."""

    async def start(self) -> None:
        """Load or connect; raise UserError or ModelUnavailable when that cannot be."""

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Continue or answer `prompt`; with a JSON schema the text is constrained to it where the
        engine can.
        """

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Return the log-probability (nats) that the continuation of `prompt` begins with each
        option, and with no longer one of the list: "1" and "10" exclude each other.

        -inf is an option whose first tokens are less likely than `floor`, which an engine may leave
        off there, and one that an endpoint does not name. Raises ScoresUnavailable where the engine
        gives no log-probabilities.
        """

    async def close(self) -> None:
        """Give back memory, processes and connections."""


@runtime_checkable
class Adaptable(Protocol):
    """An engine that holds several adapters."""

    def adapted(self, adapter: str) -> Model:
        """Return the model with one of its adapters; it shares the engine, once that is started."""


class ModelUnavailable(UserError):
    """No call can succeed until the user acts: no such endpoint, wrong key, unknown model, missing
    weights.
    """

    attempts = 1
    """Requests made, retries included, where a call came to this."""


class ScoresUnavailable(UserError):
    """The engine gives no log-probabilities of given text; answers can be read out of its text."""


LONGEST_WAIT_S = 120.0
"""Seconds that an endpoint may ask to be waited for; a call that it puts off for longer fails."""


class CallFailed(FolkwaysError):
    """One call failed for good; `reason` goes into the log beside the message."""

    reason: Literal["timeout", "refusal", "server-error", "bad-response", "prompt-too-long"]

    def __init__(
        self, reason: Any, message: str, attempts: int = 1, retry_after_s: float | None = None
    ) -> None:
        """`retry_after_s` are the seconds after which the endpoint says that it will answer again,
        where it says so and that is longer than the client has waited."""
        super().__init__(message)
        self.reason = reason
        self.attempts = attempts
        self.retry_after_s = retry_after_s


ENGINES = {
    "control": "eval.control:from_spec",
    "embedded": "agents.models.local.llama:from_spec",
    "fake": "agents.models.fake:from_spec",
    "hf": "agents.models.local.transformers:from_spec",
    "llama": "agents.models.local.llama:from_spec",
    "openai": "agents.models.openai.engine:from_spec",
    "pool": "agents.models.pool.engine:from_spec",
    "rule": "agents.player:from_rule",
    "script": "agents.player:from_script",
    "vllm": "agents.models.local.vllm:from_spec",
}
"""Engine names to factories; a factory takes what follows the colon of a model's name, and the
user's options.
"""
_SHORT = {"embedded": "llama:embedded"}
"""Short names of models; only whole names are recorded, so that what was once stored under a short
one stays apart from what it stands for now."""


def whole_name(name: str) -> str:
    """Return a model's name with its engine."""
    return _SHORT.get(name, name)


def open_model(name: str, options: Mapping[str, Any] | None = None) -> Model:
    """Return the model that a user's `name` stands for, not yet started.

    `embedded`, `llama:FILE.gguf`, `vllm:PATH_OR_ID`, `hf:PATH_OR_ID`, `openai:NAME@BASE_URL`,
    `pool:FILE.yaml`, `fake`, `fake:FILE.yaml`, or an import path `module:factory`.
    Raises UserError for an unknown name or unknown options, and for a key or a password among them.
    """
    settings = {key: value for key, value in (options or {}).items() if key != "environ"}
    refuse_secrets({"model": name, "options": settings}, "")
    name = whole_name(name)
    engine, _, rest = name.partition(":")
    spec = rest or engine
    told = CONTEXT if engine not in _SIZES_CONTEXT else None
    own = {key: value for key, value in (options or {}).items() if key != told}
    if engine in ENGINES or engine in offered("model"):
        factory = resolve("model", engine, ENGINES)
    else:
        factory, spec = resolve("model", name, ENGINES), name
    try:
        model: Model = factory(spec, **own)
    except TypeError as error:
        raise UserError(_misfit(name, error)) from error
    model.name = name
    return model


def _misfit(name: str, error: TypeError) -> str:
    words = str(error).rpartition("__init__() ")[2]
    elsewhere = "; hf:embedded and vllm:embedded have options of their own, see docs/models.md"
    return f"model '{name}': {words}{elsewhere if name in _SHORT.values() else ''}"


CONTEXT = "context"
"""Option of every engine: how many tokens the model's context holds, where that is not known."""
_SIZES_CONTEXT = frozenset({"llama"})
"""Engines that make the context as large as that option says."""
_OPERATIONAL = frozenset({
    "compiled", "concurrency", "context", "debug", "device", "gpu_layers", "gpu_memory_utilization",
    "kv_cache_gib", "latency_s", "loading_s", "max_batch", "max_lora_rank", "max_num_seqs",
    "max_retries", "prices", "slots", "startup_s", "tensor_parallel_size", "threads", "timeout_s",
})  # fmt: skip
"""Options of engines that may change: they shape no answer."""


def shaping_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a model's engine that shape its answers."""
    shaping = {name: value for name, value in options.items() if name not in _OPERATIONAL}
    if name.partition(":")[0] == "hf" and shaping.get("adapter"):
        numbers = "bfloat16" if shaping.get("load_in_4bit") else "float32"
        shaping.setdefault("dtype", numbers)  # once it was merged in bfloat16
    return shaping


def default_reply_form(name: str) -> Literal["json", "script"]:
    """Return the reply form that suits a model: `script` for the small embedded one and for a GGUF
    file without a chat template, `json` for others.
    """
    engine, _, spec = name.partition(":")
    if "embedded" in (engine, spec) or engine == "script":
        return "script"
    if engine == "llama":
        from agents.models.local.gguf_file import has_chat_template

        return "json" if has_chat_template(spec) else "script"
    return "json"


def prompt_hash(prompt: Prompt) -> str:
    """Return the content hash of a prompt, the first 16 hex digits of SHA-256."""
    if isinstance(prompt, str):
        return hashlib.sha256(prompt.encode()).hexdigest()[:16]
    return digest(hashlib.sha256(), prompt)


def digest(running: Any, messages: Sequence[Message]) -> str:
    """Add messages to a running SHA-256 and return its first 16 hex digits."""
    for message in messages:
        running.update(f"{message['role']}\0{message['content']}\0".encode())
    digest: str = running.hexdigest()
    return digest[:16]
