"""Blind pairs: no sheet names a system, and preferences come out as they were given."""

import csv
import json
from pathlib import Path

import pytest
from commands import command
from review_runs import played, scene_file

from eval.play.pairs import Choice, Side, key_of, one_sided, preferences, read_choices, strengths
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
