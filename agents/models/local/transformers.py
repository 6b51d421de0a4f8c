"""The engine over Hugging Face transformers: runs anywhere torch does and batches what is asked at
the same time.

Invariant: one thread owns the model; whatever happens to a batch, every request in it gets an
answer or an error, and the next batch is served.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.models.base import CallFailed, Completion, ModelUnavailable, Prompt, Sampling
from agents.models.chat import template_variables
from agents.models.local.batch import Batch, BatchRow, score_choices
from agents.models.local.chat_form import ChatForm
from agents.models.local.loading import Loading
from agents.models.local.tokens import (
    Choice,
    encode_choice,
    encode_prompt,
    first_line,
    load_tokenizer,
    require_room,
)
from agents.models.weights import model_folder, require_packages
from folkways.errors import UserError

_MAX_BATCH_TOKENS = 65_536
"""Prompt and completion tokens of a batch, padding included: what bounds its memory."""
_QUIET_S = 0.01
"""A batch starts once no request has come for so long: those answered together ask together."""

PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Set before torch is imported, unless the user has set it: threads that sleep while they wait.
Where another process wants the same cores, threads that spin made one token take seconds."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Request:
    """What was asked of the model, and where the answer goes."""

    prompt: Prompt
    future: Future[Any]
    sampling: Sampling = field(default_factory=Sampling)
    schema: Mapping[str, Any] | None = None
    options: Sequence[str] | None = None
    """Set for a request to score, not to complete."""
    floor: float = -math.inf
    """Log-probability below which an option's beginning is not followed."""
    job: BatchRow | Choice | None = None
    """The request in tokens, once prepared."""

    def fail(self, error: BaseException) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    def succeed(self, result: object) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(result)

    def size(self) -> tuple[int, int]:
        """Return rows and tokens per row that the request takes up in a batch."""
        if isinstance(self.job, BatchRow):
            return 1, len(self.job.prompt) + self.job.limit
        assert self.job is not None
        longest = max(map(len, self.job.rests), default=0)
        return 1 + sum(len(rest) > 1 for rest in self.job.rests), len(self.job.shared) + longest

    @property
    def prompt_ids(self) -> list[int]:
        """The prompt in tokens, once prepared."""
        assert self.job is not None
        return self.job.prompt if isinstance(self.job, BatchRow) else self.job.shared


def from_spec(spec: str, **options: Any) -> TransformersModel:
    """Return the model for `embedded`, a folder or a hub id; `options` are TransformersModel's."""
    return TransformersModel(options.pop("name", f"hf:{spec}"), spec, **options)


class TransformersModel:
    """A model in this process, run by transformers.

    Requests are served first come, first served, in batches of at most `max_batch` rows; a batch
    is over when its longest row is, but a row is answered as soon as it is complete itself.
    """

    def __init__(
        self,
        name: str,
        path: str | Path,
        *,
        max_batch: int = 32,
        dtype: str | None = None,
        device: str | None = None,
        adapter: str | None = None,
        load_in_4bit: bool = False,
        attn_implementation: str | None = None,
        template: Mapping[str, Any] | None = None,
    ) -> None:
        """`path` is whatever `agents.models.weights.model_folder` takes; `device` defaults to a GPU
        where there is one; `adapter` is the folder of a PEFT adapter. `dtype` defaults to bfloat16
        and, with an adapter or for a model that one is merged into, to float32: rounded to bfloat16
        its change of the weights would be lost in part or whole. `load_in_4bit` holds the weights
        in 4 bits, as training does, and an adapter beside them. `attn_implementation` is eager,
        sdpa or flash_attention_2; transformers chooses by default. `template` are variables of the
        chat template, such as enable_thinking.
        """
        if max_batch < 1:
            raise UserError(f"max_batch is {max_batch}; it must be at least 1")
        self._loading = Loading(dtype, device, adapter, load_in_4bit, attn_implementation)
        for key, value in PATIENT_THREADS.items():
            os.environ.setdefault(key, value)
        self.name = name
        self.path = str(path)
        self.max_batch = max_batch
        self._variables = template_variables(template)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transformers")
        self._waiting: deque[_Request] = deque()
        self._model: Any = None

    async def start(self) -> None:
        """Load the model; raise UserError when it cannot be."""
        await asyncio.wrap_future(self._thread.submit(self._load))

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Continue or answer `prompt`, constrained to `schema` where one is given."""
        result: Completion = await self._ask(_Request(prompt, Future(), sampling, schema))
        return result

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Return the log-probability (nats) of each option; see `Model.score`."""
        if not options:
            return []
        scores: list[float] = await self._ask(
            _Request(prompt, Future(), options=options, floor=floor)
        )
        return scores

    async def close(self) -> None:
        """Drop what is still asked for and free the model."""
        for request in list(self._waiting):
            request.future.cancel()
        await asyncio.to_thread(self._thread.shutdown)
        self._model = None

    async def _ask(self, request: _Request) -> Any:
        self._waiting.append(request)
        self._thread.submit(self._serve)
        return await asyncio.wrap_future(request.future)

    def _load(self) -> None:
        require_packages("torch", "transformers")
        folder = model_folder(self.path)
        from transformers import GenerationConfig
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        self._tokenizer = load_tokenizer(folder)
        self._form = ChatForm(self._tokenizer, self._variables)
        try:
            self._model = model = self._loading.load(folder)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise ModelUnavailable(f"{folder} cannot be loaded: {first_line(error)}") from error
        ends = model.generation_config.eos_token_id
        ends = self._tokenizer.eos_token_id if ends is None else ends
        self._ends = frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])
        # The folder's own sampling defaults must not come on top of what is asked for.
        pad = min(self._ends, default=0)
        model.generation_config = GenerationConfig(pad_token_id=pad, do_sample=False)
        config = model.config.get_text_config()
        self._context = int(getattr(config, "max_position_embeddings", 0) or 2**31)
        self._grammars: Any = None

    def _serve(self) -> None:
        """Serve one batch out of those waiting; runs in the thread that owns the model."""
        requests = self._gather()
        if not requests:
            return
        try:
            if isinstance(requests[0].job, BatchRow):
                self._complete(requests)
            else:
                self._score(requests)
        except Exception as error:
            log.exception("a batch of %d requests failed", len(requests))
            for request in requests:
                if not request.future.done():
                    request.fail(CallFailed("server-error", first_line(error)))

    def _complete(self, requests: list[_Request]) -> None:
        rows = [request.job for request in requests if isinstance(request.job, BatchRow)]

        def answer(index: int) -> None:
            requests[index].succeed(rows[index].completion(self._tokenizer))

        Batch(self._model, self._tokenizer, self._ends, rows).run(answer)

    def _score(self, requests: list[_Request]) -> None:
        choices = [request.job for request in requests if isinstance(request.job, Choice)]
        floors = [request.floor for request in requests]
        scores = score_choices(self._model, choices, min(self._ends, default=0), floors)
        for request, score in zip(requests, scores, strict=True):
            request.succeed(score)

    def _gather(self) -> list[_Request]:
        """Take the oldest requests of the oldest one's kind that fit into one batch."""
        self._let_more_come()
        batch: list[_Request] = []
        rows = width = 0
        for request in self._next_ones():
            more, tokens = request.size()
            rows, width = rows + more, max(width, tokens)
            if batch and (rows > self.max_batch or rows * width > _MAX_BATCH_TOKENS):
                break
            batch.append(request)
            self._waiting.remove(request)
        return batch

    def _next_ones(self) -> list[_Request]:
        """Return the waiting requests of the oldest one's kind, in the order in which to take them.

        Those whose prompts begin like the oldest one's come alone, if there are several: what they
        share is computed once.
        """
        for request in list(self._waiting):
            if not self._prepare(request):
                self._waiting.remove(request)
        if not self._waiting:
            return []
        oldest = self._waiting[0]
        same = [request for request in self._waiting if type(request.job) is type(oldest.job)]
        start = oldest.prompt_ids[: len(oldest.prompt_ids) // 2]
        alike = [request for request in same if request.prompt_ids[: len(start)] == start]
        return alike if len(alike) > 1 else same

    def _let_more_come(self) -> None:
        """Wait until the batch is full or no request has come for a moment."""
        before = 0
        while before < len(self._waiting) < self.max_batch:
            before = len(self._waiting)
            time.sleep(_QUIET_S)

    def _prepare(self, request: _Request) -> bool:
        """Turn a request into tokens; if that fails it has its error and is out."""
        if request.future.cancelled():
            return False
        if request.job is not None:
            return True
        try:
            request.job = self._row(request) if request.options is None else self._choice(request)
        except Exception as error:
            request.fail(error)
        return request.job is not None

    def _row(self, request: _Request) -> BatchRow:
        ids = encode_prompt(self._form, request.prompt)
        require_room(len(ids), self._context)
        return BatchRow(
            prompt=ids,
            sampling=request.sampling,
            limit=min(request.sampling.max_tokens, self._context - len(ids)),
            matcher=None if request.schema is None else self._matcher(request.schema),
            wanted=lambda: not request.future.cancelled(),
        )

    def _choice(self, request: _Request) -> Choice:
        choice = encode_choice(self._form, request.prompt, request.options or [])
        require_room(len(choice.shared) + max(map(len, choice.rests)) - 1, self._context)
        return choice

    def _matcher(self, schema: Mapping[str, Any]) -> Any:
        """Return a fresh matcher for a JSON schema; white space is fixed, lest it never ends."""
        require_packages("xgrammar")
        import xgrammar

        if self._grammars is None:
            vocabulary = xgrammar.TokenizerInfo.from_huggingface(
                self._tokenizer,
                vocab_size=self._model.get_output_embeddings().weight.shape[0],
                stop_token_ids=sorted(self._ends),
            )
            self._grammars = xgrammar.GrammarCompiler(vocabulary)
        grammar = self._grammars.compile_json_schema(json.dumps(schema), any_whitespace=False)
        return xgrammar.GrammarMatcher(grammar)
