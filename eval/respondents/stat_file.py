"""SPSS and Stata files, read with pyreadstat.

Invariant: user-defined missing values come through as the survey's codes -1 to -5, never as an
empty cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from folkways.errors import UserError

Form = Literal["sav", "dta"]
_CHUNK = 8_192
"""Rows read at a time. Every chunk makes pyreadstat skip through all rows before it."""
_TAGGED = {"a": -1.0, "b": -2.0, "c": -3.0, "d": -4.0, "e": -5.0}
"""Stata's extended missing values .a to .e, in the order of the survey's missing codes."""
UNREADABLE = -99.0
"""Stands for a cell that is neither a number nor empty."""
UNWEIGHTED = -98.0
"""Stands for a weight that says that there is none, which is weight 1."""
Reader = Callable[[str, str], float | None]
"""From a target and a cell of text to its number, None where it has none."""


def read_header(path: Path, form: Form) -> tuple[str, ...]:
    """Return the names of the columns; raise UserError for a file that cannot be read."""
    return tuple(_metadata(path, form).column_names)


def read_labels(path: Path, form: Form) -> dict[str, dict[str, int]]:
    """Return the value labels of a file: by upper-case column and label the whole number."""
    labels = _metadata(path, form).variable_value_labels
    return {
        column.upper(): {
            str(label): int(_number(value))
            for value, label in values.items()
            if _number(value) == int(_number(value))
        }
        for column, values in labels.items()
    }


def read_chunks(
    path: Path, form: Form, columns: Mapping[str, str], texts: Sequence[str], reader: Reader
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield rows as arrays by target; `columns` maps targets to columns of the file.

    Targets in `texts` come as text, all others as numbers with NaN for empty cells; what is text
    among them is read by `reader`. Raises UserError for a file that ends before the rows it
    announces.
    """
    announced, seen = _metadata(path, form).number_rows, 0
    wanted = list(dict.fromkeys(columns.values()))
    while True:
        data, _ = _read(path, form, usecols=wanted, row_limit=_CHUNK, row_offset=seen)
        rows = len(data[wanted[0]]) if data else 0
        if rows:
            yield {
                target: _texts(data[name])
                if target in texts
                else _numbers(data[name], partial(reader, target))
                for target, name in columns.items()
            }
        seen += rows
        if rows < _CHUNK:
            break
    if announced is not None and seen < announced:
        raise UserError(
            f"{path} ends after {seen:,} of {announced:,} respondents: it is cut off; download it "
            "again"
        )


def _metadata(path: Path, form: Form) -> Any:
    return _read(path, form, metadataonly=True)[1]


def _read(path: Path, form: Form, **options: Any) -> tuple[Any, Any]:
    try:
        import pyreadstat
    except ImportError as error:
        raise UserError(
            f"{path} needs pyreadstat to be read; install it with: pip install 'folkways[eval]'"
        ) from error
    read = {"sav": pyreadstat.read_sav, "dta": pyreadstat.read_dta}[form]
    try:
        data, metadata = read(
            str(path),
            user_missing=True,
            output_format="dict",
            disable_datetime_conversion=True,
            **options,
        )
    except (pyreadstat.ReadstatError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as a .{form} file ({error}); it is damaged or cut off, so "
            "download it again"
        ) from error
    return data, metadata


def _numbers(values: Sequence[Any], reader: Callable[[str], float | None]) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.array([_number(value, reader) for value in values], dtype=np.float64)


def _number(value: object, reader: Callable[[str], float | None] = lambda text: None) -> float:
    """Return a cell as a number: NaN for an empty one, a missing code for a tagged one."""
    if value is None or value == "":
        return np.nan
    if isinstance(value, str) and len(value) == 1 and value.isalpha():
        return _TAGGED.get(value.lower(), -5.0)
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = reader(value) if isinstance(value, str) else None
        return UNREADABLE if number is None else number


def _texts(values: Sequence[Any]) -> NDArray[Any]:
    """Return cells as text; whole numbers without a decimal point, empty cells as None."""
    return np.array([_text(value) for value in values], dtype=object)


def _text(value: object) -> str | None:
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return None
        return str(int(value)) if value == int(value) else str(value)
    return str(value).strip() or None if value is not None else None
