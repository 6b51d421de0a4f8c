"""From the cells of a survey's file to rows of `respondents`, and what was found on the way.

Invariant: every respondent that is left out and every cell that is no answer of the codebook is
counted in `notes`; nothing is dropped in silence and nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import duckdb
from numpy.typing import NDArray

from eval.item import Item
from eval.respondents.column import load_columns
from eval.respondents.country import country_forms
from eval.respondents.database import Note
from eval.respondents.dialect import Dialect
from eval.respondents.label import patterns
from eval.respondents.stat_file import UNREADABLE, UNWEIGHTED

Kind = str
"""Type of a column of `incoming`: varchar, double, smallint, integer or bigint."""
ADMIN: dict[str, tuple[Kind, str, tuple[str, ...]]] = {
    "version": ("varchar", "VERSION", ("VERSION",)),
    "letters": ("varchar", "B_COUNTRY_ALPHA", ("COUNTRY_ALPHA", "CNTRY_AN")),
    "number": ("integer", "B_COUNTRY", ("S003", "CNTRY")),
    "wave": ("smallint", "A_WAVE", ("S002VS",)),
    "year": ("smallint", "A_YEAR", ("S020", "YEAR")),
    "interview": ("varchar", "D_INTERVIEW", ("S007", "D_INTERVIEW", "UNIQID")),
    "W_WEIGHT": ("double", "W_WEIGHT", ("S017", "GWGHT")),
    "S018": ("double", "S018", ("S018", "WGHT_EQ1000")),
    "PWGHT": ("double", "PWGHT", ("PWGHT",)),
}
"""Columns of `incoming` before the demographics: type, column in wave 7, columns in the time series
and in the joint file of the European and World Values Surveys."""
_LARGEST = {"smallint": 32_767, "integer": 2_147_483_647, "bigint": 10**15}
_MACROS = f"""
    create temp macro whole(x, blank, largest) as case
        when x is null then if(blank, null, {UNREADABLE:.0f})
        when isnan(x) then null
        when x = floor(x) and abs(x) <= largest then x
        else {UNREADABLE:.0f} end;
    create temp macro fraction(x, blank) as case
        when x is null then if(blank, null, {UNREADABLE:.0f})
        when isnan(x) then null
        else x end;
    create temp macro weighed(text, x) as
        if(regexp_full_match(lower(text), getvariable('unweighted')), {UNWEIGHTED:.0f}, x);
"""


class Wanted(NamedTuple):
    """A column of `incoming` and where it comes from."""

    target: str
    kind: Kind
    source: str | None
    """Code of the column in the file; None where the file has none."""


def plan(dialect: Dialect, items: Sequence[Item]) -> list[Wanted]:
    """Return the columns of `incoming` with the columns of the file that fill them."""
    series = dialect.study != "wave-7"

    def place(*names: str | None) -> str | None:
        return next(
            (name.upper() for name in names if name and name.upper() in dialect.columns), None
        )

    known = load_columns()
    wanted = [
        Wanted(target, kind, place(*(in_series if series else (in_wave,))))
        for target, (kind, in_wave, in_series) in ADMIN.items()
    ]
    for name, column in known.demographics.items():
        wanted.append(Wanted(name, column.type, place(column.series if series else name)))
    wanted += [Wanted(name, column.type, place(name)) for name, column in known.indices.items()]
    wanted += [
        Wanted(item.id, "smallint", place(item.integrated if series else item.id)) for item in items
    ]
    return wanted


def create_incoming(con: duckdb.DuckDBPyConnection, wanted: Sequence[Wanted]) -> None:
    """Make the empty temporary table, and the macros that read its cells."""
    con.execute("set variable unweighted = ?", [patterns().unweighted])
    con.execute(_MACROS)
    columns = ", ".join(f'"{column.target}" {column.kind}' for column in wanted)
    con.execute(f"create temp table incoming ({columns})")


def insert_csv(con: duckdb.DuckDBPyConnection, dialect: Dialect, wanted: Sequence[Wanted]) -> None:
    """Fill `incoming` from a CSV file with numbers; raises duckdb.Error for a broken row."""
    comma = dialect.separator == ";"

    def cell(column: Wanted) -> str:
        if column.source is None:
            return "null"
        text = f"trim(c{dialect.columns[column.source]})"
        if column.kind == "varchar":
            return f"nullif({text}, '')"
        digits = f"replace({text}, ',', '.')" if comma else text
        number = f"try_cast({digits} as double)"
        if column.target == "W_WEIGHT":
            number = f"weighed({text}, {number})"
        return _read(number, f"{text} in ('', '.', 'NA')", column.kind)

    cells = ", ".join(f'{cell(column)} as "{column.target}"' for column in wanted)
    names = ", ".join(f"c{place}: 'varchar'" for place in range(len(dialect.header)))
    con.execute(
        f"insert into incoming select {cells} from read_csv(?, delim = ?, encoding = ?, "
        "quote = '\"', escape = '\"', header = true, auto_detect = false, buffer_size = 16000000, "
        f"columns = {{{names}}})",
        [str(dialect.path), dialect.separator, dialect.encoding],
    )


def insert_chunks(
    con: duckdb.DuckDBPyConnection,
    chunks: Iterable[Mapping[str, NDArray[Any]]],
    wanted: Sequence[Wanted],
) -> None:
    """Fill `incoming` from arrays by target.

    Each chunk is a transaction of its own: what is not committed stays in memory uncompressed.
    """

    def cell(column: Wanted) -> str:
        if column.source is None:
            return "null"
        name = f'"{column.target}"'
        return name if column.kind == "varchar" else _read(name, "true", column.kind)

    cells = ", ".join(f'{cell(column)} as "{column.target}"' for column in wanted)
    for chunk in chunks:
        con.register("chunk", dict(chunk))
        con.execute(f"insert into incoming select {cells} from chunk")
        con.unregister("chunk")


def _read(number: str, blank: str, kind: Kind) -> str:
    if kind == "double":
        return f"fraction({number}, coalesce({blank}, true))"
    return f"whole({number}, coalesce({blank}, true), {_LARGEST[kind]})::{kind}"


def select_respondents(
    con: duckdb.DuckDBPyConnection,
    dialect: Dialect,
    waves: Collection[int] | None,
    countries: Collection[str] | None,
) -> list[Note]:
    """Make the temporary table `chosen`: row, country and interview of those who are kept."""
    _arrive(con, dialect)
    keep = "country is not null"
    notes = [_count(con, "country is null", "country unknown", "left out")]
    if waves is not None:
        listed = ", ".join(str(wave) for wave in sorted(waves))
        notes.append(
            _count(con, f"{keep} and wave not in ({listed})", "of another wave", "left out")
        )
        keep += f" and wave in ({listed})"
    if countries is not None:
        con.execute("create temp table asked as select unnest(?) as country", [sorted(countries)])
        outside = "country not in (from asked)"
        notes.append(_count(con, f"{keep} and {outside}", "of another country", "left out"))
        keep += " and country in (from asked)"
    con.execute(f"""
        create temp table chosen as
        select place, country, wave, interview,
            row_number() over (partition by country, interview order by place) as nth
        from arrived where {keep}""")
    again = con.execute(
        "select count(*), array_to_string(list(distinct interview order by interview)[:5], ', ') "
        "from chosen "
        "where nth > 1 and interview is not null"
    ).fetchone()
    assert again is not None
    notes.append(Note("respondents", None, "id used before", again[0], f"told apart: {again[1]}"))
    nameless = con.execute("select count(*) from chosen where interview is null").fetchone()
    assert nameless is not None
    notes.append(Note("respondents", None, "no id", nameless[0], "named by their row"))
    return [note for note in notes if note.respondents]


def _arrive(con: duckdb.DuckDBPyConnection, dialect: Dialect) -> None:
    """Make the temporary table `arrived`: country, wave and interview of every row of the file."""
    forms = country_forms()
    con.execute("create temp table forms (form varchar, code varchar)")
    con.execute(
        "insert into forms select unnest(?), unnest(?)", [list(forms), list(forms.values())]
    )
    unnamed = 7 if dialect.study in ("wave-7", "joint") else 0
    con.execute(f"""
        create temp table arrived as
        select incoming.rowid as place, interview, if(wave > 0, wave, {unnamed}) as wave,
            coalesce(named.code, if(letters similar to '[A-Za-z]{{3}}', upper(letters), null),
                numbered.code) as country
        from incoming left join forms named on named.form = lower(letters)
        left join forms numbered on numbered.form = number::varchar""")


def _count(con: duckdb.DuckDBPyConnection, where: str, problem: str, detail: str) -> Note:
    row = con.execute(f"select count(*) from arrived where {where}").fetchone()
    assert row is not None
    return Note("respondents", None, problem, row[0], detail)


def fill_respondents(
    con: duckdb.DuckDBPyConnection,
    items: Sequence[Item],
    scores: Mapping[str, str],
    computed: Collection[str],
) -> None:
    """Fill `respondents` from `incoming` and `chosen`; `scores` are expressions for some items,
    `computed` indices that are made up of others."""
    known = load_columns()
    cells = {
        "respondent_id": """chosen.country || '-' || case
            when chosen.interview is null then 'row-' || (place + 1)
            when nth > 1 then chosen.interview || '-' || nth else chosen.interview end""",
        "country": "chosen.country",
        "synthetic": "false",
        "wave": "chosen.wave",
        "year": "if(year > 0, year, null)",
        "D_INTERVIEW": "chosen.interview",
    }
    for weight, column in (("weight", "W_WEIGHT"), ("S018", "S018"), ("PWGHT", "PWGHT")):
        unweighted = f"{column} = {UNWEIGHTED:.0f}"
        cells[weight] = f"case when {unweighted} then 1 when {column} >= 0 then {column} end"
    for name, demographic in known.demographics.items():
        low, high = demographic.range
        cells[name] = f'if("{name}" between {low} and {high}, "{name}", null)'
    for name in [*known.indices, *(item.id for item in items)]:
        cells[name] = scores.get(name, f'"{name}"')
    names = ", ".join(f'"{name}"' for name in cells)
    con.execute(
        f"insert into respondents ({names}) select {', '.join(cells.values())} "
        "from incoming join chosen on incoming.rowid = chosen.place"
    )
    for name in computed:
        con.execute(f'update respondents set "{name}" = {known.indices[name].rule}')
    _pool(con)


def _pool(con: duckdb.DuckDBPyConnection) -> None:
    """Set the weights for several countries (World Values Survey, notes on S017, S018, PWGHT)."""
    varies = con.execute("""
        select coalesce(bool_or(spread > 1e-6), false) from (
            select (max(S018) - min(S018)) / max(S018) as spread
            from respondents where S018 > 0 group by country, wave)""").fetchone()
    assert varies is not None
    pooled = "S018" if varies[0] else "weight * S018"
    con.execute(
        f"update respondents set weight_pooled = {pooled}, weight_population = weight * PWGHT"
    )
    con.execute("insert into meta values ('pooled_weight', ?)", [pooled])
