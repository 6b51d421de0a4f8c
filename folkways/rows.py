"""What a query returned, for Python: rows, data frames, and a table where it is shown.

Invariant: the store is closed once the rows are read, and what is shown cannot steer a terminal or
a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from html import escape
from io import StringIO
from itertools import islice
from typing import Any

import duckdb

from folkways.errors import UserError

_SHOWN = 20
"""Rows that are shown."""


class Rows(Sequence[tuple[Any, ...]]):
    """The rows of one query, in memory.

    ```python
    rows = run.sql("select title, turns from conversations")
    rows.columns, rows[0], len(rows)
    rows.df(), rows.pl(), rows.arrow()
    ```
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, query: str) -> None:
        """Read what a reading query returns, and close the connection.

        Raises UserError for anything else and for faulty SQL.
        """
        from simulation.store.reader import run_query

        with closing(con):
            found = run_query(con, query)
            self.columns, self.types, self._rows = found.columns, found.types, [*found.rows]

    def __getitem__(self, place: Any) -> Any:
        return self._rows[place]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows as a list."""
        return [*self._rows]

    def dicts(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries of columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self._rows]

    def df(self) -> Any:
        """Return a pandas data frame. Raises UserError where pandas is not installed."""
        return _imported("pandas").DataFrame.from_records(self._rows, columns=self.columns)

    def pl(self) -> Any:
        """Return a Polars data frame. Raises UserError where polars is not installed."""
        polars = _imported("polars")
        return polars.DataFrame(self._rows, schema=self.columns, orient="row", strict=False)

    def arrow(self) -> Any:
        """Return an Arrow table. Raises UserError where pyarrow is not installed."""
        columns = [*zip(*self._rows, strict=True)] or [()] * len(self.columns)
        return _imported("pyarrow").table(dict(zip(self.columns, map(list, columns), strict=True)))

    def __repr__(self) -> str:
        from rich.console import Console

        from simulation.store.reader import Result
        from simulation.store.result import print_table

        text = StringIO()
        result = Result(self.columns, self.types, iter(self._rows))
        print_table(
            result, Console(file=text, width=160, highlight=False, force_jupyter=False), _SHOWN
        )
        return text.getvalue().rstrip("\n")

    def _repr_html_(self) -> str:
        from folkways.text import printable

        def line(kind: str, values: Sequence[Any]) -> str:
            cells = (f"<{kind}>{escape(printable(str(value)))}</{kind}>" for value in values)
            return f"<tr>{''.join(cells)}</tr>"

        lines = [line("td", row) for row in islice(self._rows, _SHOWN)]
        rest = len(self) - _SHOWN
        more = f"<caption>{rest:,} more rows</caption>" if rest > 0 else ""
        return f"<table>{more}{line('th', self.columns)}{''.join(lines)}</table>"


def _imported(package: str) -> Any:
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError as error:
        raise UserError(f"this needs the package {package}; pip install {package}") from error
