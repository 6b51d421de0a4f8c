"""Scenarios at the papers' number: many norms, cultures and originals, resumed and counted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from author_answers import SOUP, answer_like, plan
from click.testing import Result
from misbehaving_server import Answer, chat, serving
from typer.testing import CliRunner

from agents.authoring.generation import Generation, place_in
from agents.authoring.ledger import FILE
from folkways.cli.application import application
from folkways.errors import UserError
from scenarios.culture import load_culture
from scenarios.layout import lay_out
from scenarios.library import library
from scenarios.parsing.yaml_file import load_yaml

NORMS = ["Nobody asks a guest how long the visit will last.", "A gift is returned within the year."]


def command(*arguments: Any) -> Result:
    return CliRunner().invoke(application(), ["scenario", *map(str, arguments)])  # type: ignore[arg-type]


def fake(folder: Path, *replies: Any) -> str:
    """Return the name of a fake model with a script of replies, the last one for ever."""
    path = folder / "script.yml"
    texts = [one if isinstance(one, str) else json.dumps(one) for one in replies]
    path.write_text(yaml.safe_dump({"rules": [{"when": "", "replies": texts}]}), encoding="utf-8")
    return f"fake:{path}"


def generate(folder: Path, *replies: Any, n: int = 2, **options: Any) -> Result:
    norms = folder / "norms.jsonl"
    norms.write_text("".join(json.dumps({"norm": norm}) + "\n" for norm in NORMS), encoding="utf-8")
    more = [part for key, value in options.items() for part in (f"--{key}", value)]
    return command(
        "generate", "--norms", norms, "--culture", "CHN,DEU", "--n", n, "--out", folder / "out",
        "--model", fake(folder, *replies), "--concurrency", 1, *more,
    )  # fmt: skip


def tries(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "out" / FILE).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_norms_take_turns_in_every_culture(tmp_path: Path) -> None:
    places = [place_in(load_culture(name), None, "en") for name in ("CHN", "DEU")]
    made = Generation(
        NORMS, places, (2, 2), 3, tmp_path, force=False, seed=0, tries=1, at_once=1
    )  # fmt: skip
    found = [(one.place.culture.id, one.norm[0], one.number, one.of) for one in made.wanted()]
    assert found == [
        ("CHN", "N", 1, 2), ("DEU", "N", 1, 2), ("CHN", "A", 1, 1), ("DEU", "A", 1, 1),
        ("CHN", "N", 2, 2), ("DEU", "N", 2, 2),
    ]  # fmt: skip


def test_a_batch_resumes_where_it_stopped(tmp_path: Path) -> None:
    first = generate(tmp_path, plan(1), plan(2), n=1)
    assert first.exit_code == 0 and first.output.endswith("2 of 2 written, 0 tries dropped\n")
    done = generate(tmp_path, "no")
    assert done.exit_code == 0, "some are written, and no endpoint failed"
    assert done.output.endswith("2 of 4 written, 6 tries dropped (6 unreadable)\n")
    assert len(tries(tmp_path)) == 8 and len(list((tmp_path / "out").glob("*.yaml"))) == 2
    again = generate(tmp_path, plan(3), plan(4))
    assert again.output.endswith("2 of 4 written, 6 tries dropped (6 unreadable)\n")
    assert len(tries(tmp_path)) == 8, "what has used up its tries costs nothing more"
    more = generate(tmp_path, plan(3), plan(4), tries=4)
    assert more.output.endswith("4 of 4 written, 6 tries dropped (6 unreadable)\n")
    larger = generate(tmp_path, plan(5), plan(6), n=3)
    assert larger.output.endswith("6 of 6 written, 6 tries dropped (6 unreadable)\n")
    assert larger.output.count("wrote ") == 2


def test_a_kill_costs_the_try_that_was_under_way(tmp_path: Path) -> None:
    generate(tmp_path, plan(1), plan(2), plan(3), plan(4))
    ledger = tmp_path / "out" / FILE
    whole = ledger.read_bytes()
    (tmp_path / "out" / tries(tmp_path)[3]["file"]).unlink()
    ledger.write_bytes(whole[:-40])
    done = generate(tmp_path, plan(9))
    assert done.output.endswith("4 of 4 written, 0 tries dropped\n")
    assert ledger.read_bytes().startswith(whole[: whole[:-40].rindex(b"\n") + 1])
    assert len(tries(tmp_path)) == 4


def test_a_ledger_of_something_else_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / FILE).write_text('{"job": 1}\n', encoding="utf-8")
    error = generate(tmp_path, plan(1)).exception
    assert isinstance(error, UserError)
    assert str(error).endswith(
        "authoring.jsonl:1 is not what folkways writes: job: Input should be a valid string"
    )


def test_what_all_launches_took_is_told(tmp_path: Path) -> None:
    generate(tmp_path, plan(1), plan(2), n=1)
    last = generate(tmp_path, "no", n=2, tries=1)
    written = tries(tmp_path)
    calls, tokens = (sum(one[name] for one in written) for name in ("calls", "tokens"))
    assert calls == 2 + 2 * 2, "a refused try is a call and its repair"
    assert f"in all launches: 6 calls, {tokens:,} tokens\n" in last.output


def test_a_price_gives_the_cost_and_an_endpoint_that_fails_uses_up_no_try(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 2000, "completion_tokens": 500}
    with serving(chat(json.dumps(plan(1)), usage=usage), Answer(b"", 500)) as server:
        asked = ("generate", "--norm", NORMS[0], "--culture", "CHN", "--n", 2, "--concurrency", 1,
                 "--out", tmp_path / "out", "--model", f"openai:teacher@{server.url}",
                 "-o", "prices=[2.0, 0.5, 8.0]", "-o", "max_retries=0")  # fmt: skip
        done = command(*asked)
    assert done.exit_code == 1
    first, *others = tries(tmp_path)
    assert (first["calls"], first["tokens"]) == (1, 2500)
    assert first["cost"] == pytest.approx((2000 * 2.0 + 500 * 8.0) / 1e6)
    assert [(one["outcome"], one["calls"]) for one in others] == [("server-error", 0)] * 3
    assert "in all launches: 1 calls, 2,500 tokens, $0.0080\n" in done.output
    with serving(chat(json.dumps(plan(2)), usage=usage)) as server:
        done = command(*asked[:-5], f"openai:teacher@{server.url}", *asked[-4:])
    assert done.output.endswith("2 of 2 written, 3 tries dropped (3 server-error)\n")


def test_a_batch_ends_once_the_money_is_spent(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 2000, "completion_tokens": 500}
    plans = [chat(json.dumps(plan(number)), usage=usage) for number in range(1, 9)]
    with serving(*plans) as server:
        asked = ("generate", "--norm", NORMS[0], "--culture", "CHN", "--n", 4, "--concurrency", 1,
                 "--out", tmp_path / "out", "--model", f"openai:teacher@{server.url}",
                 "--cost-usd", 0.01)  # fmt: skip
        priced = (*asked, "-o", "prices=[2.0, 0.5, 8.0]")
        spent = command(*priced)
        assert str(spent.exception).startswith("$0.0160 are spent, of $0.01; what is finished is")
        assert len(list((tmp_path / "out").glob("*.yaml"))) == 2
        assert command(*priced).output.endswith("4 of 4 written, 0 tries dropped\n")
        untold = command(*asked[:6], 6, *asked[7:])
        assert "tells no cost, by which to stop at $0.01" in str(untold.exception)


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """Return a folder of two scenarios that have no adaptations."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for name in ("soup-in-town", "soup-on-sea"):
        data = load_yaml(library()[SOUP]).data | {"id": name}
        (folder / f"{name}.yaml").write_text(lay_out(data), encoding="utf-8")
    return folder


def test_a_folder_is_adapted_and_resumed(originals: Path, tmp_path: Path) -> None:
    good, out = answer_like(f"{SOUP}-mex"), tmp_path / "out"
    asked = ("adapt", originals, "--culture", "MEX,DEU", "--out", out, "--concurrency", 1)
    first = command(*asked[:1], originals / "soup-in-town.yaml", *asked[2:], "--model",
                    fake(tmp_path, good))  # fmt: skip
    assert first.exit_code == 1
    assert first.output.endswith("1 of 2 written, 1 tries dropped (1 faulty)\n")
    done = command(*asked, "--model", fake(tmp_path, "no"))
    assert "1 refused before; --tries 2 tries once more" in done.output
    assert done.output.endswith("1 of 4 written, 3 tries dropped (1 faulty, 2 unreadable)\n")
    again = command(*asked, "--model", fake(tmp_path, good))
    assert again.exit_code == 1 and "3 refused before; --tries 2 tries once more" in again.output
    assert len(tries(tmp_path)) == 4
    more = command(*asked, "--model", fake(tmp_path, good), "--tries", 2)
    assert "2 of 4 written" in more.output, more.output
    assert sorted(path.name for path in out.glob("*.yaml")) == [
        "soup-in-town-mex.yaml", "soup-on-sea-mex.yaml",
    ]  # fmt: skip


def test_two_scenarios_of_one_id_are_told_apart_by_nobody(originals: Path, tmp_path: Path) -> None:
    other = tmp_path / "more"
    other.mkdir()
    shutil.copy(originals / "soup-on-sea.yaml", other)
    error = command("adapt", originals, other, "--culture", "MEX", "--model", "fake").exception
    assert str(error) == "the scenario id 'soup-on-sea' is named twice; ids must differ"
