"""A played conversation as critics and the labeller read it.

Invariant: lines are in the order in which they happened, and `until` cuts off everything that came
after a turn, so a prompt made from the result cannot show the future.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from scenarios.culture import Culture


@dataclass(frozen=True, slots=True)
class Shared:
    """A secret of a team."""

    secret: str
    members: tuple[str, ...]
    """Roles that are told it."""


@dataclass(frozen=True, slots=True)
class Person:
    """One member of the cast."""

    role: str
    name: str
    """As the others know it."""
    age: int
    occupation: str
    place: str
    culture: Culture
    language: str
    """BCP 47 tag of the language the person speaks in the scene."""
    brief: str
    background: str
    goal: str
    secret: str | None
    shared: tuple[Shared, ...] = ()
    """Secrets of the teams the role is in."""


@dataclass(frozen=True, slots=True)
class Line:
    """One act, or something that happened to the scene."""

    turn: int | None
    """Number of the act; null for what happened."""
    role: str | None
    name: str | None
    action: str | None
    """speak, non-verbal, leave or none; null for what happened."""
    text: str | None
    to: tuple[str, ...] = ()
    """Names of those spoken to."""
    whisper: bool = False
    audience: tuple[str, ...] | None = None
    """Roles beside the speaker that perceived it; null: everyone."""
    step: int | None = None
    """Number of the round of choosing; acts of one step are simultaneous."""

    @property
    def words(self) -> str | None:
        """What was said aloud, if anything was."""
        return self.text if self.action in ("speak", "leave") else None


@dataclass(frozen=True, slots=True)
class Conversation:
    """A whole scene."""

    episode_id: str
    title: str
    setting: str
    culture: Culture
    """The culture the scene was played in."""
    public: tuple[str, ...]
    """What everyone was told: setting, briefs, public goals, texts of events and phases."""
    people: tuple[Person, ...]
    """In the order of the scenario file."""
    lines: tuple[Line, ...]

    @property
    def mixed(self) -> bool:
        """Whether the cast comes from more than one culture."""
        return len({person.culture.id for person in self.people}) > 1

    @property
    def turns(self) -> tuple[Line, ...]:
        """The acts."""
        return tuple(line for line in self.lines if line.turn is not None)

    @property
    def speakers(self) -> tuple[Person, ...]:
        """Those who did or said something."""
        acted = {line.role for line in self.lines if line.action not in (None, "none")}
        return tuple(person for person in self.people if person.role in acted)

    def until(self, turn: int) -> Conversation:
        """Return the conversation as it was when the act with this number had been made."""
        last = next(n for n, line in enumerate(self.lines) if line.turn == turn)
        return replace(self, lines=self.lines[: last + 1])
