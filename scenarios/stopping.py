"""When a scene or a phase of it is over: limits, stop rules, and conditions of phases.

Invariant: acts and rounds are counted in one way everywhere; a round is over once all who may act
and are there have acted.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from scenarios.part import Part, RoleId, Slug, Span, as_tuple, span
from scenarios.world.schema import Expression

IMPORT_PATH = r"^[\w.]+:\w+$"
"""What editors take for the name of a function."""
RULES = ("agreement", "deal", "walk-away", "staleness", "goal-reached", "when")
RULE_PARAMETERS = ("stage", "since", "options")
"""What a stop rule of one's own is called with."""
MAX_TURNS = 2000
"""Acts of one scene."""
Options = dict[str, str | int | float | bool]


class Limits(Part):
    """Bounds on one episode; the first one reached ends it."""

    later = frozenset({"rounds"})
    turns: int = Field(default=12, ge=1, le=MAX_TURNS)
    """Acts in all, whoever makes them; default 12, or with `rounds` as many as one act of each role
    in every round."""
    rounds: int | None = Field(default=None, ge=1, le=MAX_TURNS)
    """Rounds in all, over all phases; a round is over once all who may act and are there have
    acted."""
    tokens: int | None = Field(default=None, ge=1)
    """Prompt and completion tokens together."""
    wall_s: float | None = Field(default=None, gt=0)
    """Seconds."""

    def for_roles(self, roles: int) -> Limits:
        """Return limits with as many turns as their rounds take, where only these are given."""
        if self.rounds is None or "turns" in self.model_fields_set:
            return self
        return self.model_copy(update={"turns": min(self.rounds * roles, MAX_TURNS)})

    @model_serializer(mode="wrap")
    def _as_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out turns that nobody has given, where they follow from the rounds."""
        data = self._without_empty(dump)
        if self.rounds is not None and "turns" not in self.model_fields_set:
            del data["turns"]
        return data


class StopRule(Part):
    """A way for the scene to end before its limits.

    With phrases the rule is decided by the words said; without them a referee call to the model
    decides, asked after every `every` turns. A phrase that is negated or stands in a question does
    not count; what a speaker says last on the matter does.
    """

    later = frozenset({"not", "whole_line", "options", "expr", "outcome"})
    rule: str = Field(
        json_schema_extra={"anyOf": [{"enum": list(RULES)}, {"pattern": IMPORT_PATH}]}
    )
    """One of the shipped names or an import path `module:function`."""
    roles: Annotated[tuple[RoleId, ...], BeforeValidator(as_tuple)] = ()
    """agreement: who must agree (default: all). deal: the parties. walk-away: whose leaving ends
    the scene (default: anyone's). goal-reached: whose goal (default: anyone's).
    """
    phrases: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = ()
    """agreement: what counts as agreeing. deal: what counts as accepting another's offer.
    goal-reached: what, said by anyone, shows that the goal is reached. Whole words, letter case
    ignored.
    """
    contrary: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = Field((), alias="not")
    """What says the opposite of `phrases`, such as `no deal` or `innocent`; a phrase inside such
    words does not count.
    """
    whole_line: bool = False
    """Whether only a line that holds a phrase and nothing else counts."""
    offers: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = ()
    """deal: what counts as an offer; a question may be one."""
    window: Annotated[Span, *span(2, 50)] = 4
    """staleness: how many last turns, or rounds, are looked at; all acts of them must be empty or
    near-copies of earlier ones.
    """
    every: Annotated[Span, *span(1, 50)] = 2
    """Turns, or rounds, between two questions to the referee."""
    options: Options = Field(default_factory=dict)
    """Options of a rule of one's own; the shipped ones have none."""
    expr: Expression | None = None
    """when: what must hold in the world."""
    outcome: Slug | None = None
    """when: what the scene has come to then; the detail of its exit."""


class Until(Part):
    """When a phase is over; the first condition met ends it."""

    later = frozenset({"rounds"})
    turns: int | None = Field(default=None, ge=1)
    """Acts within the phase."""
    rounds: int | None = Field(default=None, ge=1)
    """Rounds within the phase; a round is over once all who may act and are there have acted."""
    event: Slug | None = None
    """An event that has happened."""
    rule: StopRule | None = None
    """A stop rule that is met; only what was said and done since the phase began counts."""
