"""Whether a model recites the national shares of a survey."""

import json

import pytest
import reciting_models
from commands import command
from reciting_models import COUNTRIES, ITEMS

from eval.item import load_items
from eval.recitation import lines, probe, read_shares
from folkways.errors import UserError

CHOSEN = [load_items()[name] for name in ITEMS]


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("1: 25%\n2: 75%", [0.25, 0.75]),
        ("Here you are:\n1. Very important: 40 %\n2) Not: 62%", [40 / 102, 62 / 102]),
        ("**1.** 33,5%\n- Option 2: 66,5 %\nSum: 100%", [0.335, 0.665]),
        ("1: 25\n2: 75", [0.25, 0.75]),
        ("1. Up to 24 years: 10%\n2. Older: 90%", [0.1, 0.9]),
        ("1: 25%", None),
        ("1: 25%\n2: 45%", None),
        ("1: 25%\n2: 75%\n3: 0%", None),
        ("1: 25%\n2: 75%\n2: 75%", None),
        ("1: 20-30%, say 25%\n2: 75%", None),
        ("1: a quarter\n2: the rest", None),
        ("I cannot know that.", None),
        ("", None),
    ],
)
def test_shares_are_read_where_every_option_has_one(text, shares):
    found = read_shares(text, 2)
    assert found is shares is None or found == pytest.approx(shares)


def test_whoever_knows_the_figures_recites_them(tmp_path):
    """Its shares fit the country's people without error and the others' less well."""
    found = probe("reciting_models:own", CHOSEN, COUNTRIES, tmp_path / "r.json")
    assert [one.country for one in found] == ["all", *COUNTRIES]
    for one in found:
        assert one.own == pytest.approx(1, abs=1e-4) and one.near == 1
        assert one.others < 0.98 and one.near_others < 0.7
        assert (one.items, one.unread) == (len(ITEMS), 0)
    assert 0 < found[0].low <= found[0].gap <= found[0].high


def test_knowing_the_world_is_not_knowing_a_country(tmp_path):
    found = probe("reciting_models:world", CHOSEN, COUNTRIES, tmp_path / "r.json")
    assert found[0].own > 0.8
    assert found[0].gap == pytest.approx(0, abs=1e-6) and found[0].low < 0 < found[0].high


def test_what_names_no_shares_is_counted_and_not_completed(tmp_path):
    for name in ("nothing", "failing"):
        found = probe(f"reciting_models:{name}", CHOSEN, COUNTRIES, tmp_path / f"{name}.json")
        whole = found[0]
        assert (whole.items, whole.unread) == (0, len(ITEMS) * len(COUNTRIES))
        assert whole.own is whole.gap is whole.near is None
    assert "\u2013" in lines(found)[1]


def test_replies_are_kept_and_only_the_rest_is_asked(tmp_path):
    out = tmp_path / "r.json"
    probe("reciting_models:own", CHOSEN[:2], COUNTRIES, out)
    reciting_models.CALLS.clear()
    probe("reciting_models:own", CHOSEN, COUNTRIES, out)
    assert len(reciting_models.CALLS) == 3 * len(COUNTRIES)
    with pytest.raises(UserError, match="holds replies of reciting_models:own"):
        probe("reciting_models:world", CHOSEN, COUNTRIES, out)
    kept = tmp_path / "r.replies.jsonl"
    whole = kept.read_bytes()
    kept.write_bytes(whole + b'{"model": "reciting_mod')  # what a kill leaves
    reciting_models.CALLS.clear()
    probe("reciting_models:own", CHOSEN, COUNTRIES, out)
    assert not reciting_models.CALLS and kept.read_bytes() == whole
    kept.write_bytes(b"a diary\nof mine")
    with pytest.raises(UserError, match=r"r\.replies\.jsonl:1"):
        probe("reciting_models:own", CHOSEN, COUNTRIES, out)
    assert kept.read_bytes() == b"a diary\nof mine"
    probe("reciting_models:failing", CHOSEN[:1], COUNTRIES, tmp_path / "f.json")
    reciting_models.CALLS.clear()
    probe("reciting_models:failing", CHOSEN[:1], COUNTRIES, tmp_path / "f.json")
    assert len(reciting_models.CALLS) == len(COUNTRIES)


def test_the_command_prints_a_line_a_country(tmp_path, capsys):
    out = tmp_path / "r.json"
    arguments = ("--preset", "inglehart-welzel-10", "--countries", "DEU,MEX", "--out", out)
    assert command("eval", "wvs", "recite", "reciting_models:nothing", *arguments) == 0
    told = capsys.readouterr().out
    assert "Germany" in told and "own less others" in told
    assert json.loads(out.read_text())["model"] == "reciting_models:nothing"
    one = ("--countries", "DEU", "--out", tmp_path / "one.json")
    assert command("eval", "wvs", "recite", "reciting_models:nothing", *one) == 1
    assert "two countries or more" in capsys.readouterr().err
