"""The schema of a scenario file: setting, roles, relationships, turn policy, limits, stop rules,
phases and events.

Invariant: a parsed `Scenario` is well-formed by itself; whether it can be played is
`scenarios.checks.check`'s question.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scenarios.part import Part, RoleId, Slug, Span, as_tuple, span
from scenarios.persona import Education, Gender, MaritalStatus, Persona, Settlement
from scenarios.stopping import MAX_TURNS, Limits, Options, StopRule, Until
from scenarios.world.schema import (
    Act,
    Benchmark,
    Decision,
    Effects,
    Expression,
    Hears,
    Name,
    NextPhase,
    Repeat,
    ScriptedTest,
    Variable,
    Vote,
)

if TYPE_CHECKING:
    import networkx as nx

Action = Literal["speak", "non-verbal", "leave", "none"]
ACTIONS: tuple[Action, ...] = ("speak", "non-verbal", "leave", "none")
POLICIES = ("round-robin", "random", "addressed", "bidding", "moderator", "network", "simultaneous")
POLICY_OPTIONS: dict[str, tuple[str, ...]] = dict.fromkeys(POLICIES, ())
POLICY_OPTIONS["moderator"] = ("moderator",)
"""Options that each shipped policy takes."""
POLICY_PARAMETERS = ("stage", "ask", "rng", "options")
"""What a turn policy is called with."""
THEMES = (
    "family-duty",
    "hierarchy-at-work",
    "hospitality-and-gifts",
    "conflict-and-face",
    "money-and-favours",
    "religion-and-ritual",
    "migration-and-mixed-cultures",
    "gender-roles",
    "neighbours-and-strangers",
    "public-rules",
)
"""Themes of the shipped scenarios; others are as good."""
ActName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
CultureId = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Selector(Part):
    """Constraints on who may play a role; every given constraint must hold."""

    culture: (
        Literal["scene", "any"] | Annotated[tuple[CultureId, ...], BeforeValidator(as_tuple)]
    ) = "scene"
    """`scene` (the culture the episode is played in), `any`, or one or more ISO alpha-3 ids."""
    age: tuple[int, int] | None = None
    """Youngest and oldest, in years, both included."""
    gender: Annotated[tuple[Gender, ...], BeforeValidator(as_tuple)] | None = None
    occupation: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] | None = None
    """Words, any of which must occur in the persona's occupation (letter case ignored)."""
    education: Annotated[tuple[Education, ...], BeforeValidator(as_tuple)] | None = None
    settlement: Annotated[tuple[Settlement, ...], BeforeValidator(as_tuple)] | None = None
    marital_status: Annotated[tuple[MaritalStatus, ...], BeforeValidator(as_tuple)] | None = None


class Role(Part):
    """One part to be played."""

    later = frozenset({"public_goal"})

    persona: Slug | None = None
    """Id of a persona, shipped or of this file; mutually exclusive with `select`. With neither,
    anyone of the scene's culture may play.
    """
    select: Selector | None = None
    brief: str = Field(min_length=1, max_length=400)
    """Who this is in the scene; everyone is told."""
    goal: str = Field(min_length=1, max_length=600)
    """What the role wants; only the role is told, unless `public_goal` says otherwise."""
    public_goal: bool = False
    """Whether everyone is told the goal."""
    secret: str | None = Field(default=None, min_length=1, max_length=600)
    """What the role must not give away; only the role is told."""
    knows: tuple[str, ...] = ()
    """Further facts only this role is told."""
    language: str | None = None
    """BCP 47 tag of the language the role speaks, where it is not the scene's."""
    enters: Slug | None = None
    """Id of the event that brings the role in; without it the role is there from the start."""


class Team(Part):
    """Roles that know of each other what the others do not."""

    roles: Annotated[tuple[RoleId, ...], BeforeValidator(as_tuple)] = Field(min_length=2)
    """Its members; each is told who the others are."""
    secret: str | None = Field(default=None, min_length=1, max_length=600)
    """What the members know and do not give away; only they are told."""


class Relationship(Part):
    """How two roles stand to each other; everyone who is one of the two is told."""

    between: tuple[RoleId, RoleId]
    type: str = Field(min_length=1, max_length=60)
    """`mother and son`, `colleagues`, `strangers`."""
    closeness: int = Field(ge=0, le=5)
    """0 strangers to 5 as close as people get."""
    status: int = Field(default=0, ge=-3, le=3)
    """How far the first stands above the second; negative when below."""


class Policy(Part):
    """A turn policy by name with its options."""

    name: str = Field(min_length=1)
    """One of the shipped names or an import path `module:function`."""
    options: Options = Field(default_factory=dict)
    """Options of the policy: `moderator: ROLE` for moderator, none for the other shipped ones."""


def as_policy(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


PolicyField = Annotated[Policy, BeforeValidator(as_policy)]


def as_next(value: Any) -> Any:
    """Let the id of a phase, or one mapping, stand for a list of one."""
    if isinstance(value, str):
        return ({"phase": value},)
    return (value,) if isinstance(value, dict) else value


class Phase(Part):
    """A stretch of the scene with rules of its own."""

    later = frozenset(
        {"before", "after", "report", "briefs", "vote", "decide", "resolve", "removes", "returns"}
        | {"next"}
    )

    id: Slug
    brief: str | None = Field(default=None, max_length=400)
    """Told to everyone present when the phase begins."""
    who: Annotated[tuple[RoleId, ...], BeforeValidator(as_tuple)] | None = None
    """Who may act; default everyone present."""
    policy: PolicyField | None = None
    acts: Annotated[tuple[ActName, ...], BeforeValidator(as_tuple)] = ACTIONS
    """Which acts are allowed: of speak, non-verbal, leave and none, and of the scene's own."""
    hears: Hears | Annotated[tuple[RoleId, ...], BeforeValidator(as_tuple)] = "all"
    """Who perceives an act beside its author: everyone present, only those who may act, only those
    addressed (nobody where nobody is), nobody, or a list of roles. The log keeps every act.
    """
    until: Until | None = None
    """Default: until the scene ends. The scene ends with its last phase."""
    before: Effects = Field(default_factory=dict)
    """What changes in the world when the phase begins; `each` in brackets stands for every role."""
    after: Effects = Field(default_factory=dict)
    """What changes in the world when the phase is over."""
    removes: Expression | None = None
    """Role, or list of roles, that are out of the scene when the phase begins."""
    returns: Expression | None = None
    """Role, or list of roles, that are back when the phase begins."""
    report: str | None = Field(default=None, min_length=1, max_length=400)
    """Told to everyone present when the phase begins; variables in braces are filled in."""
    briefs: dict[RoleId, Annotated[str, Field(min_length=1, max_length=400)]] = Field(
        default_factory=dict
    )
    """Told to one role or one team alone when the phase begins."""
    vote: Vote | None = None
    """A vote, which is all that happens in the phase."""
    decide: Decision | None = None
    """A private answer by everyone at once, which is all that happens in the phase."""
    resolve: Literal["file", "random"] | Expression | None = None
    """In which order acts that are made at once take effect: that of the file, which is the
    default, at random, or an expression, the highest first."""
    next: Annotated[tuple[NextPhase, ...], BeforeValidator(as_next)] = ()
    """Where the scene continues; the first that holds. Default: the phase that follows."""

    @model_validator(mode="before")
    @classmethod
    def _all_at_once(cls, data: Any) -> Any:
        """Votes and decisions are made by all at once, and nothing else is."""
        if not isinstance(data, dict) or not (data.get("vote") or data.get("decide")):
            return data
        vote = data.get("vote")
        opened = isinstance(vote, dict) and vote.get("secret") is False
        fixed = {"policy": "simultaneous", "acts": (), "until": {"rounds": 1}}
        return fixed | {"hears": "all" if opened else "nobody"} | data


class When(Part):
    """A condition on what has happened; exactly one key is given."""

    later = frozenset({"still"})
    leaves: RoleId | Literal["anyone"] | None = None
    """The role, or anyone, has left."""
    says: str | None = Field(default=None, min_length=1)
    """Someone has said these words (whole words, letter case ignored)."""
    event: Slug | None = None
    """Another event has happened."""
    phase: Slug | None = None
    """A phase has begun."""
    quiet: Annotated[Span, *span(1, MAX_TURNS)] | None = None
    """So many acts, or rounds, in a row without a spoken word."""
    still: Annotated[Span, *span(1, MAX_TURNS)] | None = None
    """So many acts, or rounds, in a row that brought nothing new: silent, or near-copies of earlier
    ones."""


class Event(Part):
    """Something that happens to the scene rather than through a role."""

    later = frozenset({"every"})
    id: Slug
    at: Annotated[Span, *span(1, MAX_TURNS, begins=True)] | None = None
    """Before the act with this number (the first act is 1), or before a round: `round 3`; mutually
    exclusive with `when`."""
    when: When | None = None
    text: str = Field(min_length=1, max_length=400)
    """What those present perceive."""
    audience: Annotated[tuple[RoleId, ...], BeforeValidator(as_tuple)] | None = None
    """Who perceives it; default everyone present."""
    every: bool = False
    """Whether it happens again each time its condition `quiet` or `still` is met anew."""
    ends: bool = False
    """Whether the scene ends with it."""


class NormAtStake(Part):
    """A norm the scene puts under strain; a note for researchers that no agent is shown."""

    id: Slug
    text: str = Field(min_length=1, max_length=400)


class Provenance(Part):
    """Where the file comes from."""

    author: str = Field(min_length=1)
    """A team, a model with its version, or a publication."""
    made: str = Field(min_length=1)
    """`written by hand`, `adapted`, `generated`."""
    parent: Slug | None = None
    """The scenario this one was adapted from."""
    model: str | None = None
    """The model that wrote it, by the name it was asked for, such as `vllm:ORG/NAME`."""
    prompt_hash: str | None = None
    """First 16 hex digits of SHA-256 of the prompt it was written to, repairs aside."""
    note: str | None = None


class Scenario(Part):
    """A scene with two or more roles that can be cast and played."""

    later = frozenset({"teams", "world", "acts", "repeat", "payoff", "benchmarks", "needs"})

    id: Slug
    """Same as the file's name without its ending."""
    title: str = Field(min_length=1, max_length=100)
    theme: str = Field(min_length=1, max_length=60)
    """What the scene is about: one of the shipped themes (family-duty, hierarchy-at-work,
    hospitality-and-gifts, conflict-and-face, money-and-favours, religion-and-ritual,
    migration-and-mixed-cultures, gender-roles, neighbours-and-strangers, public-rules), or a theme
    of your own.
    """
    tags: tuple[Slug, ...] = ()
    needs: Literal["tiny", "small", "medium"] | None = None
    """How capable a model it takes: below 0.5B parameters, below 4B, or more. Null: by what a role
    is told.
    """
    setting: str = Field(min_length=20, max_length=1500)
    """Place, time and occasion; everyone is told."""
    culture: CultureId | None = None
    """The culture the scene is played in; null where any will do and the run chooses."""
    language: str = "en"
    """BCP 47 tag of the language the scene is written and spoken in."""
    roles: dict[RoleId, Role] = Field(min_length=2, max_length=50)
    personas: tuple[Persona, ...] = ()
    """People written for this scene alone; they play the roles that name them."""
    teams: dict[RoleId, Team] = Field(default_factory=dict, max_length=20)
    """Groups of roles that share a secret, by name; only the members know of a team."""
    relationships: tuple[Relationship, ...] = ()
    policy: PolicyField = Policy(name="addressed")
    """Who acts next: round-robin, random, addressed, bidding, moderator, network, simultaneous, or
    an import path.
    """
    opens: RoleId | None = None
    """Who acts first, in the scene and in each phase, where the policy leaves it open; default the
    first role.
    """
    limits: Limits = Limits()
    stop: tuple[StopRule, ...] = ()
    phases: tuple[Phase, ...] = ()
    events: tuple[Event, ...] = ()
    world: dict[Name, Variable] = Field(default_factory=dict, max_length=50)
    """What is kept count of, by name."""
    acts: dict[Name, Act] = Field(default_factory=dict, max_length=30)
    """Acts beside speaking, by name."""
    repeat: Repeat | None = None
    payoff: Expression | None = None
    """What the scene is worth to each role at its end; `self` is the role."""
    benchmarks: tuple[Benchmark, ...] = ()
    tests: tuple[ScriptedTest, ...] = Field((), exclude=True)
    """Plays with given lines, for `folkways scenario test`; no part of the scene."""
    norms: tuple[NormAtStake, ...] = ()
    provenance: Provenance

    @model_validator(mode="before")
    @classmethod
    def _turns_of_rounds(cls, data: Any) -> Any:
        """Give limits that are in rounds alone the turns that these take."""
        limits, roles = (
            (data.get("limits"), data.get("roles")) if isinstance(data, dict) else (0, 0)
        )
        if not isinstance(limits, dict) or not isinstance(roles, dict):
            return data
        rounds = limits.get("rounds")
        if "turns" in limits or not isinstance(rounds, int) or not 1 <= rounds <= MAX_TURNS:
            return data
        return data | {"limits": limits | {"turns": min(rounds * len(roles), MAX_TURNS)}}

    def policies(self) -> Iterator[tuple[tuple[str | int, ...], Policy]]:
        """Yield every turn policy that is given, with the way to it."""
        yield ("policy",), self.policy
        for number, phase in enumerate(self.phases):
            if phase.policy:
                yield ("phases", number, "policy"), phase.policy

    def rules(self) -> Iterator[tuple[tuple[str | int, ...], StopRule]]:
        """Yield every stop rule, of the scene and of its phases, with the way to it."""
        for number, rule in enumerate(self.stop):
            yield ("stop", number), rule
        for number, phase in enumerate(self.phases):
            if phase.until and phase.until.rule:
                yield ("phases", number, "until", "rule"), phase.until.rule

    @property
    def has_world(self) -> bool:
        """Whether anything is kept count of, done, voted on or decided beside speaking."""
        voting = any(phase.vote or phase.decide for phase in self.phases)
        return bool(self.world or self.acts or self.repeat or voting)

    @property
    def is_judged(self) -> bool:
        """Whether a game master judges any act."""
        return any(act.judge for act in self.acts.values())

    def teams_of(self, role: str) -> dict[str, Team]:
        """Return the teams of a role by name."""
        return {name: team for name, team in self.teams.items() if role in team.roles}

    def graph(self) -> nx.DiGraph[str]:
        """Return the relationships as a directed graph.

        Nodes are role ids. Each relationship gives two edges with `type`, `closeness` and `status`,
        the status seen from the edge's origin (positive: the origin stands above).
        """
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.roles)
        for tie in self.relationships:
            first, second = tie.between
            graph.add_edge(first, second, type=tie.type, closeness=tie.closeness, status=tie.status)
            graph.add_edge(
                second, first, type=tie.type, closeness=tie.closeness, status=-tie.status
            )
        return graph
