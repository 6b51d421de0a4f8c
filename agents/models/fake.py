"""The fake model: seeded, offline and instant; part of the product, for tests, benches and trying
things out.

Invariant: a reply depends on the sampling seed, the schema and, where rules are given or options
numbered, the prompt's end; on nothing else.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from agents.models.base import Completion, Prompt, Sampling, prompt_length
from agents.models.reasoning import cut_at_stop
from scenarios.parsing.validation import load_model

Reply = Callable[[Prompt, Sampling, Mapping[str, Any] | None], str]
_CHARACTERS_PER_TOKEN = 4
_NUMBERED = re.compile(r"^(\d{1,2})(?:\W.*)?\n[^\n]{1,20}[:\uff1a]\Z", re.MULTILINE)
"""The last option and the last line of a question with numbered options, such as a survey's."""
_QUESTION = {"question", "options"}
"""Fields by which a schema asks for a question of a survey."""


class FakeRule(BaseModel):
    """A scripted answer: if the prompt's last 400 characters hold `when`, the next of `replies` in
    turn.
    """

    model_config = ConfigDict(extra="forbid")
    when: str = ""
    replies: list[str]


class FakeScript(BaseModel):
    """The file behind `fake:FILE.yaml`."""

    model_config = ConfigDict(extra="forbid")
    lines: list[str] = []
    """Stock lines instead of the shipped ones."""
    rules: list[FakeRule] = []
    """The first rule that fits answers."""


def _tail(prompt: Prompt) -> str:
    return (prompt if isinstance(prompt, str) else prompt[-1]["content"])[-400:]


class FakeModel:
    """Draws stock lines by seed and fills any JSON schema; `reply` replaces all that with a
    function.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        latency_s: float = 0.0,
        script: FakeScript | None = None,
        reply: Reply | None = None,
    ) -> None:
        self.name, self.latency_s = name, latency_s
        self._script = script or FakeScript()
        self._lines = self._script.lines or _stock("lines")
        self._used = [0] * len(self._script.rules)
        self._reply = reply or self._scripted

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Return the reply; a token is four characters here. Text after a stop string is cut as
        engines do.
        """
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        text, thought = cut_at_stop(self._reply(prompt, sampling, schema), sampling.stop)
        return Completion(
            text=text,
            reasoning=thought,
            finish_reason="stop",
            prompt_tokens=prompt_length(prompt) // _CHARACTERS_PER_TOKEN,
            completion_tokens=len(text + (thought or "")) // _CHARACTERS_PER_TOKEN + 1,
        )

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Return log-probabilities that depend on prompt and options alone; they sum to .95."""
        text = prompt if isinstance(prompt, str) else json.dumps(list(prompt))
        weights = [random.Random(f"{text}|{option}").random() + 0.01 for option in options]
        return [math.log(0.95 * weight / sum(weights)) for weight in weights]

    def _scripted(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None
    ) -> str:
        tail = _tail(prompt) if self._script.rules else ""
        for index, rule in enumerate(self._script.rules):
            if rule.when in tail:
                self._used[index] += 1
                return rule.replies[(self._used[index] - 1) % len(rule.replies)]
        rng = random.Random(sampling.seed or 0)
        if numbered := _NUMBERED.search(_tail(prompt)):
            chance = rng.random()
            number = 1 + int(rng.random() * int(numbered[1]))
            return str(number) if chance > 0.05 else "I'd rather not say."
        if schema is not None and schema.get("properties", {}).keys() >= _QUESTION:
            return _survey_question(rng)
        if schema is not None:
            return json.dumps(self._fill(schema, rng), ensure_ascii=False)
        chance = rng.random()
        act = " [nods]" if chance < 0.06 else " [leaves]" if chance < 0.08 else ""
        said = act or " " + self._line(rng)
        thinks = isinstance(prompt, str) and prompt.endswith("[thinks:")
        return f" {rng.choice(_stock('remarks'))}]{said}" if thinks else said

    def _line(self, rng: random.Random) -> str:
        return self._lines[int(rng.random() * len(self._lines))]

    def _fill(self, schema: Mapping[str, Any], rng: random.Random, remark: bool = False) -> Any:
        """Return a value that fits a JSON schema; early values of an enum are far likelier than
        late ones. A string is a line of the scene, or a remark about it.
        """
        if options := schema.get("enum"):
            return options[int(rng.random() ** 12 * len(options))]
        kind = schema.get("type")
        if kind == "object":
            fields = schema["properties"].items()
            return {name: self._fill(part, rng, name != "text") for name, part in fields}
        if "anyOf" in schema:
            return self._fill(schema["anyOf"][0], rng, remark)
        if kind == "array":
            wanted = rng.random() < 0.5 and schema.get("maxItems") != 0
            return [self._fill(schema["items"], rng)] if wanted else []
        if kind == "integer":
            return rng.randint(schema.get("minimum", 0), schema.get("maximum", 10))
        if kind == "number":
            return rng.uniform(schema.get("minimum", 0), schema.get("maximum", 1))
        if kind == "boolean":
            return rng.random() < 0.05
        return str(rng.choice(_stock("remarks"))) if remark else self._line(rng)


def _survey_question(rng: random.Random) -> str:
    """Return a survey question with its options as JSON; one in eight is no good."""
    opening, stem = rng.choice(_stock("openings")), rng.choice(_stock("stems"))
    ask = opening + (stem[0].lower() + stem[1:] if opening else stem)
    ask = ask.replace("{}", rng.choice(_stock("subjects")))
    options = list(rng.choice(_stock("scales")))
    chance = rng.random()
    if chance < 0.1:
        options.append("don't know")
    elif chance < 0.2:
        options = [f"{number}. {option}" for number, option in enumerate(options, 1)]
    elif chance > 0.97:
        options = options[:1]
    elif chance > 0.94:
        options[-1] = options[0]
    elif chance > 0.91:
        options = [str(number) for number, _ in enumerate(options, 1)]
    text = json.dumps({"question": ask, "options": options}, ensure_ascii=False)
    return text[: len(text) // 2] if 0.88 < chance <= 0.91 else text


@cache
def _stock(what: str) -> list[Any]:
    """Return what the model says: `lines` of scenes, `remarks` about them, or the parts of survey
    questions.
    """
    text = Path(__file__).with_name("fake_lines.yaml").read_text(encoding="utf-8")
    data: dict[str, list[Any]] = yaml.safe_load(text)
    return data[what]


def from_spec(spec: str, *, latency_s: float = 0.0) -> FakeModel:
    """Return a fake model; `spec` is `fake` or a script file. Raises UserError for a bad file."""
    if spec == "fake":
        return FakeModel(latency_s=latency_s)
    return FakeModel(latency_s=latency_s, script=load_model(Path(spec), FakeScript)[0])
