"""How a file of respondents of a survey of one's own is told: which of its columns are what."""

from __future__ import annotations

from pydantic import Field

from folkways.settings import Settings

ROLES = {"country": "letters", "weight": "W_WEIGHT", "respondent": "interview", "year": "year"}
"""What a column may be besides a demographic or an item, with its place in `incoming`."""


class MappedColumn(Settings):
    """A column whose cells have codes of their own."""

    column: str
    codes: dict[str, int]
    """From what the file holds, a text or a number, to the code; -1 don't know, -2 no answer."""


class RespondentsFile(Settings):
    """A file with a row for each respondent."""

    file: str
    """CSV, .sav or .dta."""
    country: str | None = None
    """Where everybody is from, if no column says it; ISO 3166 alpha-3."""
    columns: dict[str, str | MappedColumn] = Field(default_factory=dict)
    """Column by what it is: country, weight, respondent (an id), year, a demographic of the
    registry such as Q260, or an item; items without a column here have the one of their name."""

    def source(self, name: str) -> str | None:
        """Return the column of the file that is said to hold something."""
        told = self.columns.get(name)
        return told.column if isinstance(told, MappedColumn) else told
