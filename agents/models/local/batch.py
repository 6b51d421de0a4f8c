"""One batch through a transformers model: rows that are sampled together, each in its own way.

Invariant: a row's text depends on its own prompt, sampling and seed; the other rows can touch it
only through the rounding of the arithmetic.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from agents.models.base import Completion, Sampling
from agents.models.local.tokens import Choice, exclude_longer
from agents.models.reasoning import cut_at_stop

if TYPE_CHECKING:
    from torch import Tensor


WORTH_SHARING = 32
"""Tokens at the beginning of a batch's prompts that are computed once rather than for each row."""


@dataclass(slots=True)
class BatchRow:
    """One request on its way through a batch."""

    prompt: list[int]
    sampling: Sampling
    limit: int
    """Most tokens the completion may have."""
    matcher: Any = None
    """The xgrammar matcher that constrains the text; None leaves it free."""
    wanted: Callable[[], bool] = lambda: True
    """Asked at every token; a row nobody waits for any more is dropped."""
    ids: list[int] = field(default_factory=list)
    """The completion so far."""
    finish: Literal["stop", "length", "dropped"] | None = None
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.sampling.seed)

    def add(self, token: int, tokenizer: Any, ends: frozenset[int]) -> None:
        """Take in the next token and see whether it is the last."""
        self.ids.append(token)
        if self.matcher is not None:
            self.matcher.accept_token(token)
        whole = self.matcher is not None and self.matcher.is_terminated()
        if token in ends or whole or self._has_stop(tokenizer):
            self.finish = "stop"
        elif len(self.ids) >= self.limit:
            self.finish = "length"

    def _has_stop(self, tokenizer: Any) -> bool:
        """Look for a stop string where the newest token can have completed one."""
        stop = self.sampling.stop
        if not stop:
            return False
        window = max(len(string.encode()) for string in stop) + 4  # a token is at least one byte
        tail = tokenizer.decode(self.ids[-window:], skip_special_tokens=True)
        return any(string in tail for string in stop)

    def completion(self, tokenizer: Any) -> Completion:
        """Return what the finished row amounts to."""
        assert self.finish in ("stop", "length")
        whole = tokenizer.decode(self.ids, skip_special_tokens=True)
        text, thought = cut_at_stop(whole, self.sampling.stop)
        return Completion(
            text=text,
            reasoning=thought,
            finish_reason=self.finish,
            prompt_tokens=len(self.prompt),
            completion_tokens=len(self.ids),
        )


class Batch:
    """Rows generated together by one call of `generate`."""

    def __init__(
        self, model: Any, tokenizer: Any, ends: frozenset[int], rows: list[BatchRow]
    ) -> None:
        self.model, self.tokenizer, self.ends, self.rows = model, tokenizer, ends, rows

    def run(self, finished: Callable[[int], None]) -> None:
        """Generate all rows; `finished` is told the index of each as soon as it is complete."""
        import torch
        from transformers import LogitsProcessorList, StoppingCriteriaList

        self._finished = finished
        device, settings = self.model.device, [row.sampling for row in self.rows]
        self._penalty = _column([s.repetition_penalty for s in settings], device)
        self._temperature = _column([s.temperature for s in settings], device)
        self._min_p = _column([s.min_p for s in settings], device)
        self._top_p = _column([s.top_p for s in settings], device)
        self._seen: Tensor | None = None
        prompts, pad = [row.prompt for row in self.rows], min(self.ends, default=0)
        shared = shared_length(prompts)
        ids, mask = _pad_left([prompt[shared:] for prompt in prompts], pad, device)
        with torch.inference_mode():
            past = None
            if shared:
                beginning = torch.tensor([prompts[0][:shared]], device=device)
                past = _read_once(self.model, prompts[0][:shared], len(prompts))
                ids = torch.cat([beginning.expand(len(prompts), -1), ids], dim=-1)
                mask = torch.cat([mask.new_ones(len(prompts), shared), mask], dim=-1)
            self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=past,
                max_new_tokens=max(row.limit for row in self.rows),
                logits_processor=LogitsProcessorList([self._choose]),
                stopping_criteria=StoppingCriteriaList([self._is_done]),
            )

    def _choose(self, _ids: Tensor, scores: Tensor) -> Tensor:
        """Draw the next token of every row that goes on, and make it the likeliest by far."""
        import torch

        for row in self.rows:
            if row.finish is None and not row.wanted():
                row.finish = "dropped"
        live = [index for index, row in enumerate(self.rows) if row.finish is None]
        chosen = torch.full_like(scores, -torch.inf)
        chosen[:, min(self.ends, default=0)] = 0.0
        if not live:
            return chosen
        tokens = self._draw(scores, live)
        chosen[live] = -torch.inf
        chosen[live, tokens] = 0.0
        assert self._seen is not None
        self._seen[live, tokens] = True
        for index, token in zip(live, tokens.tolist(), strict=True):
            row = self.rows[index]
            row.add(token, self.tokenizer, self.ends)
            if row.finish:
                self._finished(index)
        return chosen

    def _is_done(self, ids: Tensor, _scores: object) -> Tensor:
        """Tell `generate` which rows are complete."""
        import torch

        return torch.tensor([row.finish is not None for row in self.rows], device=ids.device)

    def _draw(self, scores: Tensor, live: list[int]) -> Tensor:
        """Return a token for each live row: constraint, penalty, temperature, min-p, top-p, draw.

        That order, and the repetition penalty's reach over prompt and completion, are vLLM's. The
        draw is by inversion of the cumulative distribution at one uniform number a token.
        """
        import torch

        scores = self._constrain(scores[live], live)
        penalty, temperature = self._penalty[live], self._temperature[live]
        seen = self._seen_tokens(scores)[live]
        scores = torch.where(
            seen, torch.where(scores > 0, scores / penalty, scores * penalty), scores
        )
        likeliest = scores.argmax(-1)
        greedy = temperature == 0
        if bool(greedy.all()):
            return likeliest
        probs = (scores / temperature.masked_fill(greedy, 1.0)).softmax(-1)
        floor = self._min_p[live] * probs.amax(-1, keepdim=True)
        probs = probs.masked_fill(probs < floor, 0.0)
        top_p = self._top_p[live]
        if bool((top_p < 1).any()):
            probs = _nucleus(probs, top_p)
        cumulative = probs.double().cumsum(-1)
        uniform = torch.tensor([[self.rows[index].rng.random()] for index in live])
        target = uniform.to(cumulative) * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, target, right=True)[:, 0]
        drawn = drawn.clamp(max=scores.shape[-1] - 1)
        return torch.where(greedy[:, 0], likeliest, drawn)

    def _seen_tokens(self, scores: Tensor) -> Tensor:
        """Return which tokens each row has had, shape (rows, vocabulary); padding is not one."""
        import torch

        if self._seen is None:
            shape = (len(self.rows), scores.shape[-1])
            self._seen = torch.zeros(shape, dtype=torch.bool, device=scores.device)
            for index, row in enumerate(self.rows):
                self._seen[index, row.prompt] = True
        return self._seen

    def _constrain(self, scores: Tensor, live: list[int]) -> Tensor:
        """Rule out the tokens that a row's grammar does not allow next."""
        matchers = [(at, self.rows[index].matcher) for at, index in enumerate(live)]
        bound = [(at, matcher) for at, matcher in matchers if matcher is not None]
        if bound:
            import xgrammar

            allowed = xgrammar.allocate_token_bitmask(len(live), scores.shape[-1])
            for at, matcher in bound:
                matcher.fill_next_token_bitmask(allowed, at)
            xgrammar.apply_token_bitmask_inplace(
                scores, allowed.to(scores.device), indices=[at for at, _ in bound]
            )
        return scores


def score_choices(
    model: Any, choices: Sequence[Choice], pad: int, floors: Sequence[float]
) -> list[list[float]]:
    """Return the log-probability (nats) of every rest of every choice after its shared beginning.

    What all prompts begin with is computed once. The beginnings go through the model in one batch,
    which gives the rests' first tokens; what is left of the rests follows in a second, on copies of
    the first one's attention cache, unless their beginning is below the row's floor.
    """
    import torch

    prompts = [choice.shared for choice in choices]
    shared = shared_length(prompts)
    ids, mask = _pad_left([prompt[shared:] for prompt in prompts], pad, model.device)
    with torch.inference_mode():
        past = None
        if shared:
            past = _read_once(model, prompts[0][:shared], len(prompts))
            mask = torch.cat([mask.new_ones(len(prompts), shared), mask], dim=-1)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, shared:]
        start = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=past,
            use_cache=True,
            logits_to_keep=1,
        )
        first = start.logits[:, -1].float().log_softmax(-1)
        scores = [
            [float(first[row, rest[0]]) if rest else 0.0 for rest in choice.rests]
            for row, choice in enumerate(choices)
        ]
        longer = [
            (row, option, rest)
            for row, choice in enumerate(choices)
            for option, rest in enumerate(choice.rests)
            if len(rest) > 1
        ]
        for row, option, _ in longer:
            if scores[row][option] <= floors[row]:
                scores[row][option] = -math.inf
        longer = [one for one in longer if scores[one[0]][one[1]] > -math.inf]
        if longer:
            rows = torch.tensor([row for row, _, _ in longer], device=model.device)
            tails = _score_tails(model, start, mask[rows], rows, [rest for _, _, rest in longer])
            for (row, option, _), tail in zip(longer, tails, strict=True):
                scores[row][option] += tail
    rests = [choice.rests for choice in choices]
    return [exclude_longer(rest, score) for rest, score in zip(rests, scores, strict=True)]


def _read_once(model: Any, beginning: list[int], rows: int) -> Any:
    """Return the attention cache of a beginning, copied for each of its rows."""
    import torch

    ids = torch.tensor([beginning], device=model.device)
    past = model(ids, use_cache=True, logits_to_keep=1).past_key_values
    past.batch_repeat_interleave(rows)
    return past


def _score_tails(
    model: Any, start: Any, mask: Tensor, rows: Tensor, rests: list[list[int]]
) -> list[float]:
    """Return the log-probability of each rest after its first token, from the beginnings' cache."""
    import torch

    start.past_key_values.batch_select_indices(rows)
    width = max(map(len, rests)) - 1
    ids = torch.tensor([rest[:-1] + [0] * (width + 1 - len(rest)) for rest in rests])
    real = torch.tensor([[1] * (len(rest) - 1) + [0] * (width + 1 - len(rest)) for rest in rests])
    positions = mask.sum(-1, keepdim=True) + torch.arange(width, device=mask.device)
    out = model(
        input_ids=ids.to(mask.device),
        attention_mask=torch.cat([mask, real.to(mask.device)], dim=-1),
        position_ids=positions,
        past_key_values=start.past_key_values,
    )
    tails = []
    for row, rest in enumerate(rests):
        logprobs = out.logits[row, : len(rest) - 1].float().log_softmax(-1)
        target = torch.tensor(rest[1:], device=mask.device)
        tails.append(float(logprobs.gather(1, target[:, None]).sum()))
    return tails


def shared_length(prompts: Sequence[list[int]]) -> int:
    """Return how many tokens all prompts begin with, if computing them once is worth it.

    At least one token of every prompt is left over.
    """
    if len(prompts) < 2:
        return 0
    first, last = min(prompts), max(prompts)
    most = min(map(len, prompts)) - 1
    shared = next((n for n in range(most) if first[n] != last[n]), most)
    return shared if shared >= WORTH_SHARING else 0


def _pad_left(sequences: Sequence[list[int]], pad: int, device: Any) -> tuple[Tensor, Tensor]:
    """Return ids and attention mask, both of shape (sequences, longest), flush right."""
    import torch

    width = max(map(len, sequences))
    ids = torch.tensor([[pad] * (width - len(s)) + s for s in sequences], device=device)
    mask = torch.tensor([[0] * (width - len(s)) + [1] * len(s) for s in sequences], device=device)
    return ids, mask


def _column(values: Sequence[float], device: Any) -> Tensor:
    import torch

    return torch.tensor(values, device=device)[:, None]


def _nucleus(probs: Tensor, top_p: Tensor) -> Tensor:
    """Keep in each row the likeliest tokens that together reach `top_p` of what is left."""
    ordered, order = probs.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    ordered = ordered.masked_fill(before >= top_p * ordered.sum(-1, keepdim=True), 0.0)
    return probs.new_zeros(probs.shape).scatter(-1, order, ordered)
