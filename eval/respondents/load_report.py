"""What a file of respondents was made of, and everything that was left out on the way.

Invariant: the report says no more and no less than the file's own table `notes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.respondents.database import Note

CITATION = (
    "Haerpfer, C., Inglehart, R., Moreno, A., Welzel, C., Kizilova, K., Diez-Medrano, J., Lagos, "
    "M., Norris, P., Ponarin, E. & Puranen, B. (eds.) 2022. World Values Survey: Round Seven - "
    "Country-Pooled Datafile Version 6.0. Madrid & Vienna: JD Systems Institute & WVSA "
    "Secretariat. doi:10.14281/18241.24"
)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a file of respondents was made of."""

    database: Path
    source: str
    """What kind of file was read."""
    release: str
    """Release that the file itself names; empty where it names none."""
    countries: dict[str, int]
    """Number of respondents by country."""
    items: tuple[str, ...]
    """The items whose answers are in it."""
    notes: tuple[Note, ...]

    @property
    def respondents(self) -> int:
        """How many there are."""
        return sum(self.countries.values())

    def lines(self) -> list[str]:
        """Return the report as text, one line a kind of finding."""
        release = f", release {self.release}" if self.release else ""
        lines = [
            f"{self.source}{release}: {self.respondents:,} respondents, "
            f"{len(self.countries)} countries, {len(self.items)} items -> {self.database}"
        ]
        kinds: dict[tuple[str, str | None], list[Note]] = {}
        for note in self.notes:
            group = note.subject if note.subject in ("respondents", "weights") else "columns"
            kinds.setdefault((group, note.problem), []).append(note)
        return lines + [_line(group, notes) for (group, _), notes in kinds.items()]


def _line(group: str, notes: Sequence[Note]) -> str:
    first = notes[0]
    if group != "columns":
        where = f" in {', '.join(note.country for note in notes if note.country)}"
        count = sum(note.respondents for note in notes)
        detail = f" ({first.detail})" if first.detail else ""
        return f"{group}: {count:,} {first.problem}{where if first.country else ''}{detail}"
    by_column: dict[str, list[Note]] = {}
    for note in notes:
        by_column.setdefault(note.subject, []).append(note)
    shown = ", ".join(
        f"{name} {sum(note.respondents for note in found):,}"
        + (f" ({len(found)} countries)" if found[0].country else "")
        for name, found in list(by_column.items())[:6]
    )
    more = f", and {len(by_column) - 6} columns more" if len(by_column) > 6 else ""
    return f"{first.problem}: {shown}{more}"
