"""The schema of a world: variables, acts with effects, votes, decisions, rounds and payoffs.

Invariant: nothing in it is code; what changes the world is an expression that is checked before
anything is played.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from scenarios.part import Part, RoleId, Slug, as_tuple

MAX_EXPRESSION = 1000
"""Characters of one expression."""
INTEGER_LIMIT = 2**53
"""Whole numbers beyond it have no exact place in every store and engine."""
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Target = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\[[a-z][a-z0-9_]*\])?$", max_length=90)]


def as_expression(value: Any) -> Any:
    """Let a bare number or truth value stand for itself."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else value


def as_argument(value: Any) -> Any:
    """Let a type stand for an argument without bounds."""
    return {"type": value} if isinstance(value, str) else value


Expression = Annotated[
    str, Field(min_length=1, max_length=MAX_EXPRESSION), BeforeValidator(as_expression)
]
Effects = dict[Target, Expression]
Value = bool | int | float | str
Roles = Annotated[tuple[RoleId, ...], BeforeValidator(as_tuple)]
Hears = Literal["all", "actors", "addressees", "nobody"]


class Variable(Part):
    """Something that the world keeps count of."""

    type: Literal["integer", "number", "boolean", "choice"]
    each: Literal["role"] | None = None
    """`role`: every role has one of its own."""
    start: Value | dict[RoleId, Value] | None = None
    """Value at the start, of `each: role` also by role; default 0, false or the first option."""
    min: Value | None = None
    """Least value, of integers and numbers."""
    max: Value | None = None
    """Greatest value, of integers and numbers."""
    options: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = ()
    """What a choice may be."""
    visible: Literal["all", "owner", "team", "nobody"] | Roles = "all"
    """Who is told of it: everyone, of `each: role` its owner or the owner's team, nobody, or a list
    of roles."""
    label: str | None = Field(default=None, min_length=1, max_length=80)
    """What agents are told it is; default its name."""

    def first(self, role: str | None) -> Value:
        """Return the value at the start."""
        given = self.start.get(role or "") if isinstance(self.start, dict) else self.start
        if given is None:
            given = {"integer": 0, "number": 0.0, "boolean": False}.get(self.type)
        if given is None:
            return self.options[0]
        return float(given) if self.type == "number" else given

    def fits(self, value: Any) -> bool:
        """Return whether a value has the type, and lies within the bounds."""
        if self.type == "choice":
            return isinstance(value, str) and value in self.options
        if isinstance(value, bool) or self.type == "boolean":
            return isinstance(value, bool) and self.type == "boolean"
        kinds = int if self.type == "integer" else (int, float)
        if not isinstance(value, kinds) or not abs(value) <= INTEGER_LIMIT:
            return False
        low, high = self.min, self.max
        return (low is None or value >= low) and (high is None or value <= high)  # type: ignore[operator]


ArgumentType = Literal["integer", "number", "boolean", "choice", "role", "text"]
ARGUMENT_TYPES: tuple[ArgumentType, ...] = get_args(ArgumentType)


class Argument(Part):
    """What an act needs to be told."""

    type: ArgumentType
    """`text`: words of one's own, which expressions cannot read."""
    min: Expression | None = None
    """Least value, as it is when the act is made."""
    max: Expression | None = None
    """Greatest value, as it is when the act is made."""
    options: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = ()
    """What a choice may be."""
    among: Expression | None = None
    """Which roles may be named: a list of roles, or a truth value of each role; default everyone
    else who is there."""
    shares: Expression | None = None
    """How much there is for all who act at once; where all arguments that share it ask for more, it
    is shared in proportion to what each asks for."""


class Outcome(Part):
    """What comes of a vote, or of an act that is judged."""

    effects: Effects = Field(default_factory=dict)
    """As of acts; of a vote, `winner` is the option that has won."""
    removes: Expression | None = None
    """Role, or list of roles, that are out of the scene by it."""
    returns: Expression | None = None
    """Role, or list of roles, that are back."""
    report: str | None = Field(default=None, min_length=1, max_length=400)
    """What everyone there is told; names in braces are filled in: `{winner}` of a vote, `{self}`
    and arguments of an act."""


class Consequence(Outcome):
    """What a game master may find comes of an act; its effects hold beside those of the act, and
    before them where both name a variable."""

    about: str = Field(min_length=1, max_length=300)
    """When it does; the game master alone is told."""


class Act(Part):
    """An act beside speaking, with what it does to the world."""

    later = frozenset({"judge", "outcomes", "knows"})
    who: Roles | None = None
    """Who may; default everyone."""
    args: dict[Name, Annotated[Argument, BeforeValidator(as_argument)]] = Field(
        default_factory=dict, max_length=6
    )
    """Name to what the act needs to be told; a type alone may stand for it: `whom: role`."""
    requires: Expression | None = None
    """When it is allowed; `self` is whoever acts."""
    effects: Effects = Field(default_factory=dict)
    """Variable, or variable[role], to its new value; all are worked out from the state before."""
    removes: Expression | None = None
    """Role, or list of roles, that are out of the scene by it."""
    hears: Hears | Roles | None = None
    """Who perceives the act with its arguments; default as the phase says."""
    says: str | None = Field(default=None, min_length=1, max_length=400)
    """What the others who are there are told of it; `{self}` and arguments in braces are filled
    in."""
    about: str | None = Field(default=None, min_length=1, max_length=300)
    """What the act means; whoever may do it is told."""
    cooperates: Expression | None = None
    """How far it is cooperation: true or false, or a number from 0.0 to 1.0."""
    judge: Literal["model"] | None = None
    """`model`: a game master, which is a call of its own, chooses one of `outcomes`, or none."""
    outcomes: dict[Name, Consequence] = Field(default_factory=dict, max_length=12)
    """What may come of the act, by name, where it is judged."""
    knows: Annotated[tuple[Name, ...], BeforeValidator(as_tuple)] = ()
    """Variables that the game master is told beside those that everyone may see."""


class Vote(Part):
    """A vote of all who may act in the phase, at once."""

    ask: str = Field(min_length=1, max_length=300)
    options: Expression | tuple[Annotated[str, Field(min_length=1, max_length=60)], ...]
    """Words to choose from, or an expression: a list of roles, or a truth value of each role."""
    rule: Literal["plurality", "majority", "unanimity", "approval", "ranked"] = "plurality"
    """plurality: most votes; majority: more than half of all who are asked; unanimity: all of them;
    approval: each names all that will do, most named wins; ranked: each orders options, the last is
    struck out until one has more than half. A vote that is not allowed or failed is for nobody."""
    ties: Literal["nobody", "random", "first"] = "nobody"
    """Who wins where several have most."""
    secret: bool = True
    """Whether nobody is told who voted for what."""
    own: bool = True
    """Whether one may vote for oneself."""
    then: Outcome = Outcome()
    """What comes of it, where somebody wins."""
    otherwise: Outcome = Outcome()
    """What comes of it, where nobody wins."""


class Decision(Part):
    """A private answer by all who may act in the phase, at once."""

    ask: str = Field(min_length=1, max_length=300)
    type: Literal["integer", "number", "boolean", "choice", "role"]
    min: Expression | None = None
    max: Expression | None = None
    options: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = ()
    among: Expression | None = None
    effects: Effects = Field(default_factory=dict)
    """As of acts; `answer` is what was answered."""
    cooperates: Expression | None = None
    """As of acts."""


class NextPhase(Part):
    """Where the scene continues after a phase."""

    phase: Slug
    """Id of a phase, or `end`."""
    when: Expression | None = None
    """Default: always."""


class Repeat(Part):
    """Phases that are played again and again."""

    phases: Annotated[tuple[Slug, ...], BeforeValidator(as_tuple)] = Field(min_length=1)
    """Ids of phases that follow one another in the file."""
    times: int = Field(ge=1, le=10_000)
    """How often at most."""
    until: Expression | None = None
    """Looked at after the last of them."""


class Benchmark(Part):
    """What the textbook says would come of a game."""

    name: Literal["equilibrium", "optimum"] | Slug
    total: float | None = None
    """Sum of all payoffs."""
    each: float | None = None
    """Payoff of one role."""
    text: str = Field(min_length=1, max_length=400)
    """Why, in words."""


class Expected(Part):
    """What must have come of a play."""

    exit: str | None = None
    """Why the scene ends: an exit reason, or the outcome of a rule."""
    turns: int | None = None
    """How many acts are made."""
    not_allowed: int | None = None
    """How many acts are not allowed."""
    payoffs: dict[RoleId, float] = Field(default_factory=dict)
    gone: Roles | None = None
    """Who is out of the scene, in the order of the file."""
    world: dict[Name, Value | dict[RoleId, Value]] = Field(default_factory=dict)
    """Values at the end."""
    hears: dict[int, Roles] = Field(default_factory=dict)
    """Number of an act to who perceives it, beside who makes it."""


class ScriptedTest(Part):
    """A play of the scene with given lines, and what must come of it."""

    name: str = Field(min_length=1, max_length=80)
    judged: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = ()
    """What the game master chooses, in order: the name of an outcome, or `none`; the last one is
    repeated where more are wanted."""
    plays: dict[RoleId, Annotated[tuple[str, ...], BeforeValidator(as_tuple)]]
    """Role to its lines and acts in order, as in the reply form `script`; the last one is repeated
    where more are wanted."""
    expect: Expected
