"""Sheets for annotators: exported, filled in, read back, and compared with the critics."""

import csv
import io
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from review_runs import ODD, REASON, critiqued, played, rows, scene_file
from sample_store import older_run
from scenes import persona, scenario
from typer.main import get_command

from folkways.cli import main
from folkways.cli.application import application
from folkways.errors import UserError
from simulation.review.intents import cohen_kappa
from simulation.review.ratings import SCALES, export_sheet, import_sheet
from simulation.store.run_lock import locked
from simulation.store.writer import FILE

GOOD, FITS = ("good", "bad"), ("aligned", "not-aligned")
LABELS = {"quality": GOOD, "culture": FITS, "meta": GOOD}
RANGES = {
    "believability": (0, 10), "relationship": (-5, 5), "knowledge": (0, 10), "secret": (-10, 0),
    "social_rules": (-10, 0), "material_benefits": (-5, 5), "goal": (0, 10),
}  # fmt: skip
FORMULA = "=HYPERLINK(\"http://evil.example\"; 'Click')"
STORED = "select * exclude (imported_at, turn) from ratings order by all"
Row = dict[str, str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes, played and judged: one of two, one of three, one with a mixed cast."""
    folder = tmp_path_factory.mktemp("played")
    run = played(
        folder,
        scene_file(folder, 2, title=FORMULA),
        scene_file(folder, 3, title="\tThree, \"quoted\"\nin two lines; and 'more'"),
        mixed_scene(folder), replicates=2,
    )  # fmt: skip
    assert critiqued(run) == "done"
    return run


def mixed_scene(folder: Path) -> str:
    people = [persona("ada"), persona("bela", "JPN")]
    private = {"ada": {"secret": "-1+1 is what you call zero."}, "bela": {"goal": "@bela's goal"}}
    scene = scenario(private, id="mixed", title="Mixed", setting=ODD, personas=people)
    path = folder / "mixed.yaml"
    data = scene.model_dump(mode="json", exclude_defaults=True)
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return str(path)


@pytest.fixture
def unrated(run: Path) -> Iterator[Path]:
    """The run, its ratings taken out again after the test."""
    yield run
    with duckdb.connect(str(run / FILE)) as con:
        con.execute("delete from ratings")


@cache
def command() -> Any:
    app: Any = application()
    return get_command(app)


@pytest.fixture(scope="module")
def of_three(run: Path) -> str:
    """The id of an episode with three roles."""
    found = rows(run, "select min(episode_id) from conversations where n_roles = 3")
    return str(found[0][0])


def folkways(*arguments: object) -> Result:
    return CliRunner().invoke(command(), [str(argument) for argument in arguments])


def mistake(*arguments: object) -> str:
    """Return the one line that a user is told of a mistake."""
    result = folkways(*arguments)
    assert isinstance(result.exception, UserError), result.output
    assert result.stdout == "" and "\n" not in str(result.exception)
    return str(result.exception)


def read(file: Path) -> list[Row]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return [*csv.DictReader(stream)]


def write(file: Path, table: Sequence[Mapping[str, str]], **form: Any) -> Path:
    columns = form.pop("columns", None) or [*table[0]]
    with file.open("w", encoding=form.pop("encoding", "utf-8"), newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", **form)
        writer.writeheader()
        writer.writerows(table)
    return file


def exported(run: Path, folder: Path, *options: object) -> list[Row]:
    result = folkways("review", "export", run, folder / "sheet.csv", "--force", *options)
    assert result.exit_code == 0, result.output
    table = read(folder / "sheet.csv")
    assert result.stdout == f"{folder / 'sheet.csv'}: {len(table)} rows to rate\n"
    return table


# Export -------------------------------------------------------------------------------------------


def test_a_sheet_has_a_row_for_each_thing_to_rate(run: Path, tmp_path: Path) -> None:
    table, expected = exported(run, tmp_path), set()
    found = {(r["episode_id"], r["role"], r["dimension"]) for r in table}
    cast = rows(run, "select episode_id, scenario_id, list(role) from conversations, "
                     "(select unnest(roles) as role) group by all")  # fmt: skip
    assert len(cast) == 6
    for episode, scene, roles in cast:
        expected |= {(episode, "", name) for name in ("quality", "meta")}
        expected |= {(episode, role, name) for role in roles for name in RANGES}
        expected |= {(episode, role, "culture") for role in (roles if scene == "mixed" else [""])}
    assert found == expected and len(table) == len(expected)
    assert {r["dimension"] for r in table} == {*LABELS, *RANGES} == {*SCALES}
    scales = {r["dimension"]: r["scale"].removeprefix("'") for r in table}
    assert scales == {
        **{name: " / ".join(labels) for name, labels in LABELS.items()},
        **{name: f"{low} to {high}" for name, (low, high) in RANGES.items()},
    }
    assert not any(r["rating"] or r["comment"] or r["annotator"] for r in table)


def test_a_sheet_shows_what_critics_see_and_no_verdict(run: Path, tmp_path: Path) -> None:
    table = exported(run, tmp_path)
    text = (tmp_path / "sheet.csv").read_text(encoding="utf-8")
    assert text.startswith("\ufeff"), "a spreadsheet takes it for UTF-8"
    told = "select distinct unnest([label, confidence, reason]) from verdicts where failure is null"
    hidden = {value for (value,) in rows(run, told) if value} - {"good", "aligned"}
    assert REASON in hidden and "very confident" in hidden
    assert not [value for value in hidden if value in text]
    said = dict(rows(run, "select episode_id, string_agg(turn || '. ' || name || ': ' || line, "
                          "chr(10) order by turn) from turns_readable group by all"))  # fmt: skip
    assert {r["episode_id"]: r["transcript"] for r in table} == said
    goals = {(id_, role): (goal, secret or "") for id_, role, goal, secret in
             rows(run, "select episode_id, role, goal, secret from roles")}  # fmt: skip
    for row in table:
        private = (row["goal"].removeprefix("'"), row["secret"].removeprefix("'"))
        assert private == goals.get((row["episode_id"], row["role"]), ("", ""))
        assert bool(row["name"]) == bool(row["role"])


def test_no_cell_is_a_formula(run: Path, tmp_path: Path) -> None:
    table = exported(run, tmp_path)
    cells = [cell for row in table for cell in row.values()]
    assert not [cell for cell in cells if cell[:1] and cell[0] in "=+-@\t\r\uff1d"]
    assert {r["title"] for r in table} == {
        f"'{FORMULA}", "Three, \"quoted\" in two lines; and 'more'", "Mixed"
    }  # fmt: skip
    assert any(r["secret"] == "'-1+1 is what you call zero." for r in table)
    assert any(r["goal"] == "'@bela's goal" for r in table)
    assert any(r["scale"] == "'-5 to 5" for r in table)


def test_an_id_that_looks_like_a_number_survives_a_spreadsheet(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / FILE).write_bytes((run / FILE).read_bytes())
    ids = ["1234567890123456", "12345678901234e5", "0000000000000001"]
    with duckdb.connect(str(copy / FILE)) as con:
        old = con.execute("select episode_id from episodes order by 1 limit 3").fetchall()
        for (before,), id_ in zip(old, ids, strict=True):
            for table in ("episodes", "roles", "turns", "verdicts"):
                change = f"update {table} set episode_id = ? where episode_id = ?"
                con.execute(change, [id_, before])
    table = exported(copy, tmp_path)
    assert {f"'{id_}" for id_ in ids} < {r["episode_id"] for r in table}
    for row in table:
        row |= {"rating": "good" if row["dimension"] == "quality" else "", "annotator": "ann"}
    assert import_sheet(copy, write(tmp_path / "back.csv", table), None)[0] == 6
    assert {*ids} < {id_ for (id_,) in rows(copy, "select episode_id from ratings")}


def test_n_episodes_are_drawn_by_seed(run: Path, tmp_path: Path) -> None:
    def drawn(*options: object) -> tuple[str, ...]:
        return tuple(dict.fromkeys(r["episode_id"] for r in exported(run, tmp_path, *options)))

    everything = drawn()
    assert len(everything) == 6 and drawn("--n", 6) == drawn("--n", 7) == everything
    assert drawn("--n", 2) == drawn("--n", 2, "--seed", 0)
    draws = {drawn("--n", 2, "--seed", seed) for seed in range(8)}
    assert len(draws) > 3 and all(len(draw) == 2 for draw in draws)
    assert folkways("review", "export", run, tmp_path / "no.csv", "--n", 0).exit_code == 2
    assert not (tmp_path / "no.csv").exists()


def test_only_what_a_policy_accepts(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / FILE).write_bytes((run / FILE).read_bytes())
    chosen = rows(run, "select episode_id from episodes order by 1")
    with duckdb.connect(str(copy / FILE)) as con:
        con.execute("update verdicts set label = 'bad', confidence = 'very confident' "
                    "where critic = 'quality' and episode_id <> ?", chosen[2])  # fmt: skip
    table = exported(copy, tmp_path, "--policy", "clca")
    assert {r["episode_id"] for r in table} == {*chosen[2]}
    own = tmp_path / "own.sql"
    own.write_text("select * replace ('dropped' as outcome) from undecided(['nobody'])")
    sheet = tmp_path / "none.csv"
    told = mistake("review", "export", copy, sheet, "--policy", own)
    assert told == f"there is no episode to rate in this run under the policy {own}"
    assert "unknown policy 'no'" in mistake("review", "export", copy, sheet, "--policy", "no")
    assert "unknown policy ''" in mistake("review", "export", copy, sheet, "--policy", "")
    assert not sheet.exists()


def test_what_was_cut_short_is_not_for_people(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / FILE).write_bytes((run / FILE).read_bytes())
    ids = [id_ for (id_,) in rows(run, "select episode_id from episodes order by 1")]
    with duckdb.connect(str(copy / FILE)) as con:
        for id_, ending in zip(ids, ("error", "budget", "model-failure"), strict=False):
            con.execute("update episodes set exit_reason = ? where episode_id = ?", [ending, id_])
        con.execute("update episodes set turns = 0 where episode_id = ?", [ids[3]])
    assert {r["episode_id"] for r in exported(copy, tmp_path)} == {*ids[4:]}
    with duckdb.connect(str(copy / FILE)) as con:
        con.execute("update episodes set turns = 0")
    told = mistake("review", "export", copy, tmp_path / "none.csv")
    assert told == "there is no episode to rate in this run"


def test_a_file_is_not_overwritten_unasked(run: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("weeks of work")
    assert "exists already" in mistake("review", "export", run, sheet)
    assert sheet.read_text() == "weeks of work"
    assert folkways("review", "export", run, sheet, "--force").exit_code == 0
    assert "cannot write" in mistake("review", "export", run, tmp_path / "no" / "sheet.csv")
    assert "there is no run" in mistake("review", "export", tmp_path / "nothing", tmp_path / "x")


# Import -------------------------------------------------------------------------------------------


def fitting(dimension: str) -> st.SearchStrategy[tuple[str, str | float]]:
    """Return what an annotator may write, and what is meant."""
    if dimension in LABELS:
        said = st.sampled_from(LABELS[dimension])
        forms = st.sampled_from([str, str.upper, str.title, lambda name: f"  {name}\u00a0"])
        return st.tuples(said, forms).map(lambda pair: (pair[1](pair[0]), pair[0]))
    low, high = RANGES[dimension]
    written = [str, "{}.0".format, "{},0".format, " {} ".format, "'{}".format,
               lambda score: str(score).replace("-", "\u2212")]  # fmt: skip
    pairs = st.tuples(st.integers(low, high), st.sampled_from(written))
    return pairs.map(lambda pair: (pair[1](pair[0]), float(pair[0])))


@given(data=st.data())
@settings(max_examples=15)
def test_what_people_fill_in_is_what_is_stored(
    run: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("sheets")
    if not (kept := run.parent / "all.csv").exists():
        folkways("review", "export", run, kept)
    table = data.draw(st.permutations(read(kept)[:40]))
    expected = []
    for row in table:
        given = data.draw(st.none() | fitting(row["dimension"]))
        written, meant = given or (" ", None)
        text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
        comment = data.draw(text | st.just('=1+1;"\nzwei\t'))
        row |= {"rating": written, "comment": comment, "annotator": " Zoë, \u5b8b; d'Arc "}
        if given:
            label = meant if isinstance(meant, str) else None
            score = None if isinstance(meant, str) else meant
            expected.append((
                row["episode_id"], row["role"] or None, row["dimension"], "Zoë, \u5b8b; d'Arc",
                label, score, comment.strip() or None,
            ))  # fmt: skip
    columns = data.draw(st.permutations([*table[0], "a column of my own"]))
    form = data.draw(st.sampled_from([
        {}, {"delimiter": ";"}, {"quoting": csv.QUOTE_ALL}, {"lineterminator": "\n"},
        {"encoding": "utf-8-sig", "delimiter": ";"},
    ]))  # fmt: skip
    sheet = write(folder / "filled.csv", table, columns=columns, **form)
    try:
        if expected:
            assert import_sheet(run, sheet, None) == (len(expected), len(table) - len(expected))
        else:
            with pytest.raises(UserError, match="no row has a rating"):
                import_sheet(run, sheet, None)
        assert sorted(rows(run, STORED), key=str) == sorted(expected, key=str)
    finally:
        with duckdb.connect(str(run / FILE)) as con:
            con.execute("delete from ratings")


def test_a_filled_sheet_through_the_command(unrated: Path, tmp_path: Path) -> None:
    table = exported(unrated, tmp_path, "--n", 1)
    judged = [row for row in table if row["dimension"] in ("quality", "goal")]
    for row in judged:
        row["rating"] = "bad" if row["dimension"] == "quality" else "7.5"
    judged[0] |= {"annotator": "ben", "comment": "Stiff."}
    sheet = write(tmp_path / "filled.csv", table)
    result = folkways("review", "import", unrated, sheet, "--annotator", " ann ")
    assert result.exit_code == 0
    left = len(table) - len(judged)
    told = f"{sheet}: {len(judged)} ratings stored, {left} rows left empty\n"
    assert result.stdout == told
    found = rows(unrated, "select dimension, annotator, label, score, comment from ratings "
                          "order by all")  # fmt: skip
    assert found == [
        *[("goal", "ann", None, 7.5, None)] * (len(judged) - 1),
        ("quality", "ben", "bad", None, "Stiff."),
    ]
    full = write(tmp_path / "full.csv", judged)
    result = folkways("review", "import", unrated / FILE, full, "--annotator", "cleo")
    assert result.stdout == f"{full}: {len(judged)} ratings stored\n"


def test_of_several_ratings_by_one_person_the_latest_counts(unrated: Path, tmp_path: Path) -> None:
    table = [row for row in exported(unrated, tmp_path, "--n", 1) if row["dimension"] == "quality"]

    def rate(*ratings: tuple[str, str]) -> None:
        filled = [table[0] | {"annotator": who, "rating": label} for who, label in ratings]
        import_sheet(unrated, write(tmp_path / "filled.csv", filled), None)

    rate(("ann", "good"), ("ben", "good"))
    rate(("ann", "good"), ("ann", "bad"))
    people = "select rater, label from people_ratings order by all"
    assert rows(unrated, people) == [("ann", "bad"), ("ben", "good")]
    rate(("ann", "good"))
    assert rows(unrated, people) == [("ann", "good"), ("ben", "good")]
    assert len(rows(unrated, "from ratings")) == 5, "nothing is lost"


def test_critics_and_people_are_compared_role_by_role(unrated: Path, tmp_path: Path) -> None:
    """Every verdict of the judge is the first of its labels, or the highest score."""
    table = exported(unrated, tmp_path)
    for row in table:
        dimension = row["dimension"]
        if dimension in LABELS:
            row["rating"] = LABELS[dimension][0]
        else:
            low, high = RANGES[dimension]
            row["rating"] = str(high or low)
    wrong = next(row for row in table if row["dimension"] == "culture" and row["role"])
    wrong["rating"] = "not-aligned"
    assert import_sheet(unrated, write(tmp_path / "filled.csv", table), "ann") == (len(table), 0)
    query = "select * exclude run_id from critics_people_agreement where culture_id is null"
    found = {row[0]: row[2:] for row in rows(unrated, query)}
    assert found.keys() == {*LABELS, *RANGES}
    units = dict(rows(unrated, "select dimension, count(*) from consensus group by all"))
    assert {name: row[0] for name, row in found.items()} == units
    assert units["culture"] == 4 + 2 * 2 and units["quality"] == 6 and units["goal"] == 14
    assert found["quality"][2:] == (1, None)
    # One of eight pairs is at odds: 1 - 15 * 2 / (256 - 225 - 1).
    assert found["culture"][1:] == (16, 7 / 8, pytest.approx(0))
    query = "select dimension, pairs, agreement, chance, kappa from critics_people_kappa "
    kappas = {row[0]: row[1:] for row in rows(unrated, f"{query} where culture_id is null")}
    assert kappas.keys() == {*LABELS}, "scores have none"
    assert kappas["culture"] == (8, 7 / 8, 7 / 8, 0) and kappas["quality"] == (6, 1, 1, None)
    assert rows(unrated, "from people_agreement") == []


def test_rows_of_a_hundred_thousand_words(unrated: Path, tmp_path: Path) -> None:
    table = exported(unrated, tmp_path, "--n", 1)
    for row in table:
        row |= {"transcript": "word " * 100_000, "annotator": "ann"}
    table[-1]["rating"] = "0"
    assert import_sheet(unrated, write(tmp_path / "long.csv", table[-2:]), None) == (1, 1)


def test_many_rows_arrive_together(unrated: Path, tmp_path: Path) -> None:
    rng, table = random.Random(1), exported(unrated, tmp_path)
    filled = []
    for number in range(3000):
        row = rng.choice([row for row in table if row["dimension"] == "meta"])
        filled.append(row | {"rating": rng.choice(["good", "bad"]), "annotator": f"p{number % 40}"})
    sheet = write(tmp_path / "many.csv", filled, columns=[*filled[0]][:-1])
    assert import_sheet(unrated, sheet, None) == (3000, 0)
    assert len(rows(unrated, "from people_ratings")) <= 6 * 40
    pairs: dict[str, dict[str, str]] = {}
    for unit, rater, label in rows(unrated, "select unit, rater, label from critics_and_people"):
        pairs.setdefault(unit, {})[rater.rpartition("/")[2]] = label
    wanted = cohen_kappa([(one["person"], one["critic"]) for one in pairs.values()])
    query = "select pairs, kappa from critics_people_kappa where culture_id is null"
    assert rows(unrated, query) == [(len(pairs), pytest.approx(wanted))]
    filled[-1] = filled[-1] | {"rating": "so so"}
    with pytest.raises(UserError, match="row 3001: 'so so' is not on the scale"):
        import_sheet(unrated, write(tmp_path / "many.csv", filled), None)
    assert rows(unrated, "select count(*) from ratings") == [(3000,)]


BAD: list[tuple[dict[str, str], str]] = [
    ({"episode_id": "nope"}, "this run has no episode 'nope'"),
    ({"episode_id": ""}, "this run has no episode ''"),
    ({"episode_id": "'; drop table ratings; --"}, "this run has no episode '; drop table"),
    ({"role": "emil"}, "'goal' is rated for ada or bela or cleo; found 'emil'"),
    ({"role": ""}, "'goal' is rated for ada or bela or cleo; found ''"),
    ({"dimension": "charm"}, "'charm' is not one of quality, culture, meta, believability"),
    ({"dimension": "Goal"}, "'Goal' is not one of"),
    ({"dimension": "quality", "rating": "good"},
     "'quality' is rated for the whole conversation; found the role 'bela'"),
    ({"dimension": "culture", "rating": "aligned"}, "'culture' is rated for the whole"),
    ({"dimension": "quality", "role": "", "rating": "fine"},
     "'fine' is not on the scale of quality: good / bad"),
    ({"dimension": "quality", "role": "", "rating": "1"}, "'1' is not on the scale of quality"),
    *[({"rating": text}, f"'{text}' is not on the scale of goal: 0 to 10") for text in (
        "11", "-1", "-0.1", "10.01", "nan", "inf", "1e999", "good", "7/10", "=7", "\u2212",
        "many\x1b[2J", "None", "0x1", "1 000")],
    ({"dimension": "secret", "rating": "1"}, "'1' is not on the scale of secret: -10 to 0"),
    ({"annotator": " "}, "who rated? Fill in the column annotator, or give --annotator"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "told"), BAD)
def test_a_bad_row_is_named_and_nothing_is_stored(
    unrated: Path, of_three: str, tmp_path: Path, change: dict[str, str], told: str
) -> None:
    fine = dict.fromkeys(("title", "transcript", "comment"), "A text.\nIn two lines.") | {
        "episode_id": of_three, "role": "bela", "dimension": "goal", "rating": "3",
        "annotator": "ann",
    }  # fmt: skip
    sheet = write(tmp_path / "bad.csv", [fine, fine, fine | {"rating": ""}, fine | change, fine])
    assert mistake("review", "import", unrated, sheet).startswith(f"{sheet}, row 5: {told}")
    assert rows(unrated, "from ratings") == []


def test_rows_are_counted_as_a_spreadsheet_does(unrated: Path, tmp_path: Path) -> None:
    """A blank line is a row, and a transcript of many lines is not more than one."""
    row = exported(unrated, tmp_path, "--n", 1)[0] | {"rating": "good", "annotator": "ann"}
    assert row["dimension"] == "quality" and row["transcript"].count("\n") > 2
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*row])
    writer.writeheader()
    writer.writerow(row)
    stream.write("\r\n\r\n")
    writer.writerow(row | {"rating": "awful"})
    sheet = tmp_path / "gaps.csv"
    sheet.write_text(stream.getvalue(), encoding="utf-8", newline="")
    assert "gaps.csv, row 5: 'awful' is not" in mistake("review", "import", unrated, sheet)
    sheet.write_text(stream.getvalue().replace("awful", "bad"), encoding="utf-8", newline="")
    assert import_sheet(unrated, sheet, None) == (2, 0)


@pytest.mark.parametrize(
    ("encoding", "delimiter", "first"),
    [
        ("cp1252", ";", ""),
        ("cp1252", "\t", ""),
        ("mac_roman", ";", ""),
        ("utf-8", ",", "SEP=,\r\n"),
        ("utf-16", "\t", ""),
        ("utf-16", ",", "sep=,\r\n"),
        ("utf-8-sig", ";", "sep=;\r\n"),
        ("utf-8", ";", '"sep=;"\n'),
        ("utf-8-sig", ",", ""),
    ],
)
def test_sheets_are_read_as_spreadsheet_programs_save_them(
    unrated: Path, tmp_path: Path, encoding: str, delimiter: str, first: str
) -> None:
    row = exported(unrated, tmp_path, "--n", 1)[0]
    row |= {"rating": "good", "annotator": "Jos\u00e9", "comment": "gut f\u00fcr mich; ja, sehr"}
    row = {key: text.encode("cp1252", "replace").decode("cp1252") for key, text in row.items()}
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*row], delimiter=delimiter)
    writer.writeheader()
    writer.writerow(row)
    sheet = tmp_path / "saved.csv"
    text = first + stream.getvalue()
    text = text.replace("\r\n", "\r") if encoding == "mac_roman" else text
    sheet.write_bytes(text.encode(encoding, "replace"))
    done = folkways("review", "import", unrated, sheet)
    assert done.exit_code == 0 and "1 ratings stored" in done.output
    assert ("Windows-1252" in done.output) == (encoding in ("cp1252", "mac_roman"))
    assert rows(unrated, "select annotator, comment, label from ratings") == [
        ("Jos\u00e9", "gut f\u00fcr mich; ja, sehr", "good")
    ]


HEAD = "episode_id,role,dimension,rating,comment,annotator\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "bad.csv: the sheet lacks the column episode_id"),
        (b"\n\n", "bad.csv: the sheet lacks the column episode_id"),
        (b"milk\nflour\n", "bad.csv: the sheet lacks the column episode_id"),
        (HEAD.replace(",rating", "").encode(), "bad.csv: the sheet lacks the column rating"),
        (HEAD.replace("annotator", "Annotator").encode(),
         "bad.csv: the sheet lacks the column annotator"),
        (HEAD.encode(), "bad.csv: no row has a rating"),
        (f"{HEAD}x,y\n,,,\n".encode(), "bad.csv: no row has a rating"),
        (HEAD.replace(",", "|").encode(), "bad.csv: the sheet lacks the column episode_id"),
        (f"{HEAD}e,,quality,\u0081,,".encode("latin-1"), "is not a CSV sheet in UTF-8: "),
        (b"\xff\xfee\x00p", "is not a CSV sheet in UTF-8: "),
        (b"PK\x03\x04\x14\x00\xff\xfe\x00", "is a workbook, not a CSV sheet"),
        (b"\x00\x00", "is not a CSV sheet: it holds zero bytes"),
        (f'{HEAD}"never closed'.encode(), "bad.csv: no row has a rating"),
    ],
)  # fmt: skip
def test_what_is_no_sheet_is_one_clear_line(
    unrated: Path, tmp_path: Path, content: bytes, told: str
) -> None:
    sheet = tmp_path / "bad.csv"
    sheet.write_bytes(content)
    assert told in mistake("review", "import", unrated, sheet, "--annotator", "ann")
    assert rows(unrated, "from ratings") == []


def test_what_is_no_file_and_no_run(unrated: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    assert mistake("review", "import", unrated, sheet) == (
        f"cannot read '{sheet}': No such file or directory"
    )
    assert "is not an ordinary file" in mistake("review", "import", unrated, tmp_path)
    sheet.write_text(HEAD)
    assert "there is no run" in mistake("review", "import", tmp_path / "nothing", sheet)
    told = mistake("review", "import", sheet, unrated)
    assert told == f"'{sheet}' is not the store of a run; give the run first, then the sheet"
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.csv"], "no store is made of it"
    with locked(unrated):
        assert "is being written by another process" in mistake("review", "import", unrated, sheet)


def test_an_error_cannot_steer_the_terminal(
    unrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "bad.csv"
    sheet.write_text(f"{HEAD}x,,\x1b[2J\u202e\x07,good,,ann\n", encoding="utf-8")
    with pytest.raises(SystemExit) as done:
        main(["review", "import", str(unrated), str(sheet)])
    errors = capsys.readouterr().err
    assert done.value.code == 1
    assert errors.startswith(f"folkways: {sheet}, row 2: '\\x1b[2J\\u202e\\x07' is not one of")


def test_a_store_of_an_older_version_takes_ratings(tmp_path: Path) -> None:
    run = older_run(tmp_path)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(f"{HEAD}fa2874d287f8dd26,ada,goal,3,,ann\n")
    assert import_sheet(run, sheet, None) == (1, 0)
    query = "select * exclude run_id from people_ratings"
    assert rows(run, query) == [("goal", "GBR", "fa2874d287f8dd26/ada", "ann", None, 3)]


def test_odd_text_stays_what_it_is(run: Path, tmp_path: Path) -> None:
    """A scene that is template, markup and SQL is exported as it was written."""
    stored = rows(run, "select distinct data ->> '$.setting' from scenarios")
    assert stored == [(ODD,)]
    with duckdb.connect(str(run / FILE), read_only=True) as con:
        said = "=cmd|' /C calc'!A0 {{ 7 * 7 }} \x1b[31m, \"x\";\r\n<b>Ünï</b> \U0001f35e"
        con.execute("create or replace temp table turns as from turns")
        con.execute("update turns set text = ? where turn = 1", [said])
        count = export_sheet(con, tmp_path / "odd.csv", None, None, 0)
    table = read(tmp_path / "odd.csv")
    assert len(table) == count
    assert all(f": {' '.join(said.split())}\n2. " in row["transcript"] for row in table)
