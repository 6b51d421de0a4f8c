"""Blind pairs: no sheet names a system, and preferences come out as they were given."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from commands import command
from review_runs import ALPHA, BETA, REPLIES, played, scene_file
from scenes import text_of

from agents.models.base import CallFailed, Prompt
from eval.play.known_pairs import accuracy
from eval.play.pairs import Choice, Side, key_of, read_choices
from eval.play.preference import both_orders, one_sided, preferences, read_by_pair, strengths
from eval.play.reader import sheet_of
from folkways.errors import UserError


def sheet_rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def filled(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_a_sheet_is_blind_and_comes_back_as_preferences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = [scene_file(tmp_path, 2), scene_file(tmp_path, 3)]
    for name, seed in (("new", 1), ("old", 2)):
        played(tmp_path, *scenes, seed=seed).rename(tmp_path / name)
    file = tmp_path / "pairs.csv"
    assert command("review", "pair", tmp_path / "new", tmp_path / "old", "--out", file) == 0
    rows, key = sheet_rows(file), json.loads(key_of(file).read_text())
    assert len(rows) == len(key) == 2
    for row in rows:
        shown = " ".join(row.values())
        assert "new" not in row["pair"] and str(tmp_path) not in shown
        assert row["left"] != row["right"] and row["title"].startswith("Scene")
        assert row["left"].startswith("1. ") and "Wants: You want" in row["people"]
        better = "left" if key[row["pair"]]["left"] == "new" else "right"
        row |= {"preference": better, "reader": "ann"}
    assert command("review", "pair", tmp_path / "new", tmp_path / "old", "--out", file) == 1
    filled(file, rows)
    capsys.readouterr()
    assert command("review", "preferences", file) == 0
    out = capsys.readouterr().out
    assert "new over old: 100% of 2 (95 %: 100% to 100%; ties count half)" in out
    rows[0]["preference"] = "middle"
    filled(file, rows)
    with pytest.raises(UserError, match="row 2: preference 'middle' is none of"):
        read_choices([file], None)
    assert command("review", "pair", tmp_path / "new") == 1


KEY = {f"p{n}": Side("new", "old", f"s{n % 3}") if n % 2 else Side("old", "new", f"s{n % 3}")
       for n in range(12)}  # fmt: skip


def test_preference_agreement_and_position_are_counted() -> None:
    choices = [Choice(p, "ann", "left" if s.left == "new" else "right") for p, s in KEY.items()]
    choices[0] = choices[0]._replace(side="tie")
    choices += [choice._replace(reader="bo") for choice in choices[:6]]
    found = preferences(choices, KEY, draws=200)
    (pair,) = found["pairs"]
    assert (pair["first"], pair["second"], pair["n"]) == ("new", "old", 18)
    assert pair["share"] == pytest.approx(17 / 18) and pair["low"] <= pair["share"] <= pair["high"]
    assert found["agreement"] == {"n": 6, "share": 1.0}
    assert found["ties"] == 2 and found["left_share"] == pytest.approx(9 / 16)


def test_a_reader_who_always_prefers_one_side_is_named_and_left_out() -> None:
    sided = [Choice(pair, "bo", "left") for pair in KEY]
    fair = [Choice(p, "ann", "left" if s.left == "new" else "right") for p, s in KEY.items()]
    assert one_sided([*sided, *fair]) == ["bo"]
    found = preferences([*sided, *fair], KEY, draws=100)
    assert found["left_out"] == ["bo"] and found["choices"] == 12
    assert found["pairs"][0]["share"] == 1.0
    assert one_sided(sided[:9]) == [], "too few choices to tell"


def test_strengths_are_those_of_bradley_and_terry() -> None:
    even = strengths({("a", "b"): [1.0, 0.0, 0.5]})
    assert even == pytest.approx({"a": 0.5, "b": 0.5})
    # Of two systems the estimate is the share of wins, here with half a win added to each side.
    three = strengths({("a", "b"): [1.0, 1.0, 1.0, 0.0]})
    assert three == pytest.approx({"a": 3.5 / 5, "b": 1.5 / 5})
    ranked = strengths({("a", "b"): [1.0] * 8 + [0.0] * 2, ("b", "c"): [1.0] * 8 + [0.0] * 2})
    assert ranked["a"] > ranked["b"] > ranked["c"]
    assert ranked["a"] / ranked["b"] == pytest.approx(8.5 / 2.5, rel=1e-6)


def test_a_sheet_that_does_not_fit_its_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    row = {"pair": "p9", "preference": "tie", "reader": "ann"}
    filled(file, [row])
    with pytest.raises(UserError, match="there is no key"):
        read_choices([file], None)
    key_of(file).write_text(json.dumps({"p1": Side("a", "b", "s")._asdict()}))
    with pytest.raises(UserError, match="the key has no pair 'p9'"):
        read_choices([file], None)
    filled(file, [row | {"pair": "p1"}, row | {"pair": "p1"}])
    with pytest.raises(UserError, match="reader 'ann' has read pair p1 twice"):
        read_choices([file], None)


def reading(better: str) -> Callable[..., str]:
    """Return a reader that says the same of everything."""
    return lambda *_: json.dumps({"reason": "It moves on.", "better": better})


def of_new(prompt: Prompt, *_: Any) -> str:
    """Prefer the version in which somebody is pleased, wherever it stands."""
    first, second = text_of(prompt).split("## The first version")[1].split("## The second version")
    better = (
        "tie" if ("NEW" in first) == ("NEW" in second) else "first" if "NEW" in first else "second"
    )
    return json.dumps({"reason": "It is new.", "better": better})


def two_runs(folder: Path) -> list[Path]:
    """Play the same scenes twice, the second time with a word of its own in every line."""
    scenes = [scene_file(folder, 2), scene_file(folder, 3)]
    for name, seed in (("old", 1), ("fresh", 2)):
        played(folder, *scenes, seed=seed, replicates=3).rename(folder / name)
    with duckdb.connect(str(folder / "fresh" / "log.duckdb")) as con:
        con.execute("update turns set text = 'NEW ' || text")
    return [folder / "fresh", folder / "old"]


def test_a_model_reads_both_orders_and_its_sheet_counts_like_a_persons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, file = two_runs(tmp_path), tmp_path / "pairs.csv"
    REPLIES["alpha"] = of_new
    assert command("review", "pair", *runs, "--out", file, "--model", ALPHA) == 0
    out = capsys.readouterr().out
    own = sheet_of(file, ALPHA)
    assert f"{own}: 12 readings, 0 of which failed" in out
    assert "fresh over old: 100% of 6" in out
    assert f"{ALPHA}: chose the first shown in 50%; same choice in both orders: 100% of 6" in out
    rows = sheet_rows(own)
    assert {row["reader"] for row in rows} == {ALPHA} and {r["order"] for r in rows} == {
        "",
        "swapped",
    }
    shown = {(row["pair"], row["order"]): row for row in rows}
    for (pair, order), row in shown.items():
        assert row["comment"] == "It is new."
        assert row["preference"] == ("left" if "NEW" in row["left"] else "right")
        assert row["left"] == shown[pair, "" if order else "swapped"]["right"]
    people = sheet_rows(file)
    filled(file, [row | {"preference": "tie", "reader": "ann"} for row in people])
    assert command("review", "preferences", file, own) == 0
    out = capsys.readouterr().out
    assert "fresh over old: 75% of 12" in out and "two readers of a pair agree: 0% of 6" in out
    assert command("review", "preferences", own) == 0, "a model's sheet finds the key"
    REPLIES["alpha"] = reading("tie")
    assert command("review", "pair", *runs, "--out", file, "--model", ALPHA) == 0
    assert sheet_rows(own) == rows, "what was read is kept"
    assert sheet_rows(file)[0]["reader"] == "ann", "and so is the sheet of the people"
    del REPLIES["alpha"]


def test_a_model_that_prefers_one_position_is_left_out_and_failures_are_no_choices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, file = two_runs(tmp_path), tmp_path / "pairs.csv"
    REPLIES["alpha"] = reading("first")
    assert command("review", "pair", *runs, "--out", file, "--model", ALPHA) == 0
    out = capsys.readouterr().out
    assert f"{ALPHA}: chose the first shown in 100%; same choice in both orders: 0% of 6" in out
    assert f"left out: {ALPHA} chose nearly always the same side" in out and "over" not in out
    REPLIES["beta"] = lambda *_: "The former, I think."
    assert command("review", "pair", *runs, "--out", file, "--model", BETA) == 0
    assert "12 readings, 12 of which failed" in capsys.readouterr().out
    rows = sheet_rows(sheet_of(file, BETA))
    assert {(row["preference"], row["failure"]) for row in rows} == {("", "parse-failure")}
    REPLIES["beta"] = reading("neither")
    sheet_of(file, BETA).unlink()
    command("review", "pair", *runs, "--out", file, "--model", BETA)
    rows = sheet_rows(sheet_of(file, BETA))
    assert {row["failure"] for row in rows} == {"out-of-scale"}
    REPLIES.clear()


def test_an_endpoint_that_fails_is_asked_again_by_the_same_command(tmp_path: Path) -> None:
    runs, file = two_runs(tmp_path), tmp_path / "pairs.csv"
    calls = []

    def falters(*asked: Any) -> str:
        calls.append(1)
        if len(calls) <= 3:
            raise CallFailed("server-error", "try later")
        return of_new(*asked)

    REPLIES["alpha"] = falters
    for left in (3, 0):
        assert command("review", "pair", *runs, "--out", file, "--model", ALPHA) == 0
        assert sum(bool(row["failure"]) for row in sheet_rows(sheet_of(file, ALPHA))) == left
    assert len(calls) == 15
    del REPLIES["alpha"]


def test_the_sheet_of_other_runs_is_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, file = two_runs(tmp_path), tmp_path / "pairs.csv"
    assert command("review", "pair", *runs, "--out", file) == 0
    other = runs[0].rename(tmp_path / "other")
    assert command("review", "pair", other, runs[1], "--out", file, "--model", ALPHA) == 1
    assert "pairs.csv" in capsys.readouterr().err
    assert command("review", "pair", runs[1], "--calibrate", "--model", ALPHA) == 1
    assert command("review", "pair", "--calibrate") == 1
    assert "--calibrate tests a reader" in capsys.readouterr().err


def test_a_reader_is_calibrated_on_pairs_whose_better_side_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "known.csv"
    REPLIES["alpha"] = reading("tie")
    assert command("review", "pair", "--calibrate", "--model", ALPHA, "--out", file) == 0
    out = capsys.readouterr().out
    key = json.loads(key_of(file).read_text())
    kinds = Counter(side["scenario"] for side in key.values())
    assert len(key) == 69 and "secret-leaked" not in kinds and kinds["looping"] == 8
    assert {frozenset((side["left"], side["right"])) for side in key.values()} == {
        frozenset(("sound", "faulty"))
    }
    assert "all: right in 50% of 69 (95 %: 39% to 61%)" in out, "ties count half"
    assert f"{ALPHA}: chose the first shown in none; same choice in both orders: 100% of 69" in out
    del REPLIES["alpha"]


def test_accuracy_by_kind_has_wilsons_interval() -> None:
    key = {f"p{n}": Side("sound", "faulty", "looping" if n < 8 else "echo") for n in range(10)}
    chosen = [Choice(f"p{n}", "m", "left" if n < 7 else "right") for n in range(10)]
    chosen += [Choice(c.pair, "m", "right" if c.side == "left" else "left", True) for c in chosen]
    rows = {row.kind: row for row in accuracy(chosen, key)}
    assert (rows["looping"].pairs, rows["looping"].share) == (8, 7 / 8)
    # 7 of 8 by Wilson: 0.5291 to 0.9776; 0 of 2: 0 to 0.6576.
    assert rows["looping"].low == pytest.approx(0.5291, abs=5e-5)
    assert rows["looping"].high == pytest.approx(0.9776, abs=5e-5)
    assert rows["echo"][2:] == pytest.approx((0.0, 0.0, 0.6576), abs=5e-5)
    assert rows["all"].share == 0.7


def test_a_choice_that_turns_with_the_order_is_half_a_win() -> None:
    key = {"p1": Side("a", "b", "s")}
    chosen = [Choice("p1", "m", "left"), Choice("p1", "m", "left", True)]
    assert read_by_pair(chosen, key) == {("p1", "m"): 0.5}
    assert both_orders(chosen, key)["m"] == {"pairs": 1, "first_share": 1.0, "alike_share": 0.0}
    assert read_by_pair(chosen[:1], key) == {("p1", "m"): 1.0}
    assert read_by_pair(chosen[:1], key, "b") == {("p1", "m"): 0.0}
