"""An evaluation end to end: everything is asked once and stored, whatever interrupts it."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event
from typing import Any

import duckdb
import pytest
from misbehaving_server import Answer, chat, error, serving
from survey_models import ASKED, HOSTILE, TRIES, run_command

from agents.models.base import ModelUnavailable
from eval.config import PROTOCOL, EvalConfig, load_eval_config, parse_eval_config
from eval.evaluate import evaluate, forecast
from eval.item import load_items
from eval.report.write import load_results
from eval.respondents.marginals import load_marginals
from eval.respondents.synthetic import shares_of_sample, synthesise
from eval.survey.voice import load_voice
from folkways.cli import main
from folkways.errors import UserError
from simulation.execution.executor import Incomplete
from simulation.store.reader import open_reader
from simulation.store.record import Record
from simulation.store.writer import Store

ROOT = Path(__file__).parents[2]
ITEMS = ("Q1", "Q7", "Q152", "Q241")
ORDERS = 2 + 2 + 4 + 2
CONTENT = {
    "survey_items": "*", "survey_options": "*", "survey_people": "*", "survey_respondents": "*",
    "survey_truths": "*", "survey_conditions": "*",
    "survey_replies": "* exclude (latency_s, asked_at)",
}  # fmt: skip
WHOLE: dict[str, Any] = {
    "cultures": ["DEU", "JPN", "MEX"], "methods": ["unaware", "culture", "respondent"],
    "people": "synthetic", "readouts": ["logprobs", "text"],
    "models": [{"name": "survey_models:careful"}],
}  # fmt: skip
SHEETS = (1 + 3 + 3 * 2) * 2
"""Of nobody, of cultures and of two respondents each; two read-outs of each."""
CALLS = SHEETS * ORDERS


def config(out: Path, **fields: Any) -> EvalConfig:
    data = {
        "name": "trial", "items": list(ITEMS), "cultures": ["DEU"], "methods": ["unaware"],
        "models": [{"name": "survey_models:first"}], "respondents": 2, "out": str(out),
    }  # fmt: skip
    return parse_eval_config(data | fields, "trial.yaml")


def ask(out: Path, quiet: bool = True, **fields: Any) -> str:
    """Run an evaluation in `out`/trial."""
    return evaluate(config(out, **fields), quiet=quiet)


def command(*arguments: str) -> Any:
    """Run a command and return its exit code."""
    with pytest.raises(SystemExit) as caught:
        main(["eval", "wvs", *arguments])
    return caught.value.code


def config_file(out: Path, **fields: Any) -> Path:
    """Write a configuration and return its file."""
    path = out / "trial.yaml"
    text = json.dumps(config(out, **fields).model_dump(mode="json"))
    path.write_text(text, encoding="utf-8")
    return path


def asked_anew(out: Path, **fields: Any) -> int:
    """Run an evaluation and return how many questions it put to the model."""
    before = len(ASKED)
    assert ask(out, **fields) == "done"
    return len(ASKED) - before


def rows(out: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(out / "trial/log.duckdb"), read_only=True) as con:
        return con.execute(query, values).fetchall()


def content(out: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: sorted(rows(out, f"select {columns} from {table}"), key=repr)
        for table, columns in CONTENT.items()
    }


def refusal(out: Path, **fields: Any) -> str:
    """Return the one line with which an evaluation is refused."""
    with pytest.raises(UserError) as caught:
        ask(out, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupts."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert ask(out, **WHOLE) == "done"
    return out


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Models remember nothing of other tests, nor of what a fixture asked."""
    ASKED.clear()
    TRIES.clear()
    yield


def test_every_question_is_asked_once_and_stored(undisturbed: Path) -> None:
    one_each = rows(
        undisturbed,
        "select count(*), count(distinct (condition_id, country, respondent_id, item_id, "
        "arrangement, sample)), max(attempt), count(distinct condition_id) from survey_replies",
    )
    assert one_each == [(CALLS, CALLS, 1, 6)]
    assert forecast(config(undisturbed, **WHOLE))[-1] == f"{CALLS} questions in all"
    (launch,) = rows(undisturbed, "select stage, episodes, end_reason from launches")
    assert launch == ("survey", SHEETS, "done")


def test_the_same_command_asks_nothing_again(undisturbed: Path) -> None:
    before = content(undisturbed)
    assert asked_anew(undisturbed, **WHOLE) == 0
    assert content(undisturbed) == before
    assert len(rows(undisturbed, "from launches")) == 1


def test_a_sheet_has_one_beginning_and_its_first_question_goes_ahead(tmp_path: Path) -> None:
    assert asked_anew(tmp_path, **WHOLE, concurrency=1) == CALLS
    systems = [system for system, _, _ in ASKED]
    sheets = [systems[at : at + ORDERS] for at in range(0, CALLS, ORDERS)]
    assert all(len(set(sheet)) == 1 for sheet in sheets), "sheet after sheet"
    assert all(one == two for one, two in zip(sheets[::2], sheets[1::2], strict=True)), "read-outs"
    assert len(set(systems)) == 1 + 3 + 3 * 2
    assert len({question for _, question, _ in ASKED}) == ORDERS
    seeds = [seed for _, _, seed in ASKED if seed is not None]
    assert len(set(seeds)) == len(seeds) == CALLS / 2


def test_budgets_end_launches_that_go_on_where_they_stopped(
    tmp_path: Path, undisturbed: Path
) -> None:
    ends = []
    while "done" not in ends:
        assert len(ends) < 9
        ends.append(ask(tmp_path, **WHOLE, budget={"tokens": 20_000}, concurrency=2))
    assert len(ends) > 2 and set(ends) == {"budget-tokens", "done"}
    assert content(tmp_path) == content(undisturbed)
    used = rows(tmp_path, "select max(prompt_tokens + completion_tokens) from launches")
    assert 15_000 < used[0][0] <= 20_000


def start(path: Path, errors: Path) -> ForkServerProcess:
    """Start an evaluation in a process of its own, with a model that takes its time."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["survey_models", "eval.evaluate"])
    process = context.Process(target=run_command, args=(errors, "eval", "wvs", "run", str(path)))
    process.start()
    return process


def stored(out: Path) -> int:
    """Return the number of answers stored; 0 while the writer holds the file."""
    with suppress(duckdb.Error):
        return int(rows(out, "select count(*) from survey_replies")[0][0])
    return 0


@pytest.mark.slow
def test_ctrl_c_and_kill_9_lose_nothing_and_ask_nothing_twice(
    tmp_path: Path, undisturbed: Path
) -> None:
    rng, before = random.Random(3), 0
    path, errors = config_file(tmp_path, **WHOLE, concurrency=2), tmp_path / "errors"
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGKILL):
        process = start(path, errors)
        while stored(tmp_path) <= before:
            assert process.is_alive(), errors.read_text(encoding="utf-8")
            process.join(0.02)
        process.join(rng.uniform(0, 0.3))
        assert process.pid is not None
        os.kill(process.pid, number)
        process.join(60)
        said = errors.read_text(encoding="utf-8")
        assert "Traceback" not in said
        if number == signal.SIGINT:
            assert process.exitcode == 130 and "press Ctrl-C again" in said
            assert "the same command goes on where this one stopped" in said
            assert rows(tmp_path, "select end_reason from launches") == [("drained",)]
        assert stored(tmp_path) >= before, "what was stored is still there"
        before = stored(tmp_path)
    assert 0 < before < CALLS, "each was interrupted at work"
    assert asked_anew(tmp_path, **WHOLE) == CALLS - before
    assert content(tmp_path) == content(undisturbed)


def test_what_is_added_later_is_asked_beside_what_was_answered(
    tmp_path: Path, undisturbed: Path
) -> None:
    steps: list[dict[str, Any]] = [
        {"cultures": ["DEU"], "methods": ["unaware"], "readouts": ["text"]},
        {"methods": ["unaware", "culture"], "readouts": ["text", "logprobs"]},
        {"cultures": ["MEX", "DEU", "JPN"]}, {"methods": ["unaware", "culture", "respondent"]},
    ]  # fmt: skip
    settings: dict[str, Any] = {**WHOLE}
    counts = []
    for step in steps:
        settings |= step
        counts.append(asked_anew(tmp_path, **settings) // ORDERS)
    assert counts == [1, 3, 2 * 2, 2 * 3 * 2]
    assert content(tmp_path) == content(undisturbed)
    other = {"name": "survey_models:first", "label": "another"}
    more = settings | {"models": [*WHOLE["models"], other]}
    assert asked_anew(tmp_path, **more) == CALLS
    kept = {table: set(map(repr, found)) for table, found in content(undisturbed).items()}
    now = {table: set(map(repr, found)) for table, found in content(tmp_path).items()}
    assert all(kept[table] <= now[table] for table in CONTENT)
    assert asked_anew(tmp_path, **settings) == 0, "models may be left out again"


CHANGES: dict[str, Any] = {
    "items": ["Q1", "Q7"], "people": "marginals", "respondents": 4, "weights": "none",
    "orders": "forward", "temperature": 0.5, "top_p": 0.9, "samples": 2, "max_tokens": 5,
    "seed": 1,
}  # fmt: skip


def test_a_changed_protocol_is_refused_by_its_key(undisturbed: Path) -> None:
    before = content(undisturbed)
    assert set(CHANGES) == set(PROTOCOL)
    for field in PROTOCOL:
        changed = {field: CHANGES[field]} | ({"temperature": 0.5} if field == "samples" else {})
        with pytest.raises(UserError) as caught:
            ask(undisturbed, **(WHOLE | changed))
        lines = str(caught.value).splitlines()[1:-1]
        assert [line.split(":")[0].strip() for line in lines] == sorted(changed)
    assert content(undisturbed) == before and ASKED == []


def test_what_is_refused_before_anything_is_asked_settles_nothing(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path, people=str(tmp_path / "typo.duckdb"))
    native = {"languages": ["native"], "methods": ["culture"]}
    assert "Q152 has no wording in 'de'" in refusal(tmp_path, **native)
    assert "no native wording for 'THA'" in refusal(tmp_path, **native, cultures=["GBR", "THA"])
    assert ASKED == [] and not (tmp_path / "trial/log.duckdb").exists()
    with pytest.raises(UserError, match="Q152"):
        forecast(config(tmp_path, languages=["de"]))
    assert asked_anew(tmp_path, items=["Q1"], languages=["native"], cultures=["DEU", "GBR"]) == 8
    said = {question.split("\n")[-1] for _, question, _ in ASKED}
    assert said == {"Antwort:", "Answer:"}
    assert rows(tmp_path, "select distinct country from survey_replies order by all") == [
        ("DEU",), ("GBR",)
    ]  # fmt: skip


def test_failed_calls_are_recorded_and_asked_again_and_the_last_try_counts(tmp_path: Path) -> None:
    fields = {"models": [{"name": "survey_models:flaky"}], "timeout_s": 0.3,
              "cultures": ["JPN", "DEU"], "methods": ["unaware", "culture"]}  # fmt: skip
    total = 3 * 2 * ORDERS
    with pytest.raises(Incomplete, match="questions have no answer because calls failed"):
        ask(tmp_path, **fields)
    failed = Counter(problem for (problem,) in rows(tmp_path, "select problem from survey_replies"))
    missing = failed["timeout"] + failed["server-error"]
    assert failed["timeout"] > 2 < failed["server-error"] and missing < total / 2
    told = dict(rows(tmp_path, "select problem, any_value(reply) from survey_replies group by 1"))
    assert told["timeout"] == "no reply within 0.3 s"
    assert told["server-error"].startswith("HTTP 500")
    before = invalid(tmp_path)
    assert asked_anew(tmp_path, **fields) == missing
    again = rows(tmp_path, "select attempt, count(*) from survey_replies group by 1 order by 1")
    assert again == [(1, total), (2, missing)]
    assert asked_anew(tmp_path, **fields) == 0
    calm = tmp_path / "calm"
    assert ask(calm, **(fields | {"models": [{"name": "survey_models:careful"}]})) == "done"
    assert answers(tmp_path) == answers(calm) != [] and invalid(tmp_path) < before
    rates = results(tmp_path).rates
    assert {rate.failed for rate in rates} == {0.0}
    assert [rate.valid for rate in rates] == [rate.valid for rate in results(calm).rates]


@pytest.mark.parametrize(
    "failing",
    [
        error(400, "no", code="context_length_exceeded"),
        chat("", finish_reason="length"),
        error(400, "no", code="content_filter"),
    ],
)
def test_what_failed_before_a_model_answered_anything_is_asked_again(
    failing: Answer, tmp_path: Path
) -> None:
    said = failing
    with serving(reply=lambda body, number: said) as server:
        fields = {"models": [{"name": f"openai:m@{server.url}", "options": {"max_retries": 0}}],
                  "cultures": ["DEU"], "methods": ["unaware"], "readouts": ["text"]}  # fmt: skip
        with pytest.raises(UserError, match=r"no answer|brought an answer"):
            ask(tmp_path, **fields)
        said = chat("1")
        assert ask(tmp_path, **fields) == "done"
    last = "select arg_max(problem is null, attempt) as good from survey_replies group by item_id"
    assert set(rows(tmp_path, f"{last}, arrangement, sample")) == {(True,)}


def answers(out: Path) -> list[tuple[Any, ...]]:
    names = "method, reading, country, item_id, point, round(weight, 9)"
    return rows(out, f"select {names} from survey_answers order by all")


def invalid(out: Path) -> float:
    return float(rows(out, "select avg(invalid_rate) from survey_shares")[0][0])


def results(out: Path) -> Any:
    with closing(open_reader(out / "trial")) as con:
        return load_results(con, out / "trial", datetime.fromisoformat("2026-01-01"), 100)


def test_a_model_that_always_refuses_has_no_valid_answer_and_no_score(tmp_path: Path) -> None:
    fields = WHOLE | {"models": [{"name": "survey_models:refusing"}], "cultures": ["DEU", "JPN"]}
    assert ask(tmp_path, **fields) == "done"
    said = rows(tmp_path, "select distinct problem, probabilities is null from survey_replies")
    assert sorted(said) == [("no mass", False), ("refusal", True)]
    assert rows(tmp_path, "select distinct point, weight from survey_answers") == [(None, 1.0)]
    shares = "select distinct share, invalid_rate from survey_shares"
    assert rows(tmp_path, shares) == [(None, 1.0)]
    distances = "select distinct tv, w1, invalid_rate from survey_distances"
    assert rows(tmp_path, distances) == [(None, None, 1.0)]
    assert rows(tmp_path, "from survey_order_gaps") == []
    found = results(tmp_path)
    assert {rate.valid for rate in found.rates} == {0.0}
    assert {rate.refused for rate in found.rates} == {0.0, 1.0}
    scored = {score.metric for score in found.scores if score.value == score.value is not None}
    assert scored and not scored & {"kl", "js_distance", "js_natural", "tv", "w1", "culturespa"}
    found.write(tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["name"] == "trial"


@pytest.mark.parametrize("readouts", [["logprobs"], ["logprobs", "text"]])
def test_an_engine_without_log_probabilities_is_read_out_of_text(
    tmp_path: Path, readouts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {"models": [{"name": "survey_models:scoreless"}], "readouts": readouts}
    assert ask(tmp_path, **fields, quiet=False) == "done"
    line = "survey_models:scoreless gives no log-probabilities; its answers are read out of text"
    assert capsys.readouterr().err.splitlines()[0] == line
    stored = rows(tmp_path, "select readout, count(*) from survey_conditions join survey_replies "
                  "using (condition_id) group by 1")  # fmt: skip
    assert stored == [("text", ORDERS)]
    assert asked_anew(tmp_path, **fields) == 0


def test_no_mass_is_no_answer_and_nonsense_is_a_bad_response(tmp_path: Path) -> None:
    fields = {"models": [{"name": "survey_models:nonsense"}], "readouts": ["logprobs"]}
    with pytest.raises(Incomplete, match="bad-response 10"):
        ask(tmp_path, **fields)
    found = rows(tmp_path, "select distinct problem, mass, probabilities from survey_replies")
    assert found == [("bad-response", None, None)]
    assert rows(tmp_path, "select distinct point, weight from survey_answers") == [(None, 1.0)]


def test_hostile_replies_stay_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label = "a'); drop table survey_replies; -- [bold]{{ 7 * 7 }}[/bold] $$ ? <b>"
    path = config_file(tmp_path, models=[{"name": "survey_models:hostile", "label": label}])
    assert command("run", str(path), "--dry-run") == 0
    assert command("run", str(path)) == 0
    shown = capsys.readouterr()
    assert not set("\x1b\x00\x07") & set(shown.out + shown.err)
    kept = HOSTILE.replace("\x00", "").replace("\ud800", "\ufffd")
    text = rows(tmp_path, "select distinct reply, strict, lenient from survey_replies "
                "where reply is not null")  # fmt: skip
    assert text == [(kept, None, None)]
    assert len(rows(tmp_path, "from survey_replies")) == 2 * ORDERS
    results(tmp_path).write(tmp_path / "results.json")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"methods": ["osmosis"]}, "unknown method 'osmosis'; known: anthropological"),
        ({"languages": ["tlh"]}, "unknown survey language 'tlh'; known: de, en"),
        ({"items": "clca-45"}, "unknown item preset 'clca-45'; known: "),
        ({"items": ["Q1", "Q999"]}, "unknown item 'Q999'"),
        ({"cultures": ["DEU", "ATL"], "methods": ["culture"]}, "no name for the country 'ATL'"),
        ({"cultures": ["ATL"]}, "no national answers for ATL; there are for AUS"),
        ({"people": "nobody.duckdb"}, "nobody.duckdb: no such file"),
        ({"people": __file__}, "test_evaluation.py"),
        ({"methods": ["respondent"]}, "set people to synthetic, or to a file"),
        ({"models": [{"name": "parrot"}]}, "unknown model 'parrot'"),
        ({"models": [{"name": "survey_models:absent"}]}, "cannot be imported"),
        ({"models": [{"name": "fake", "options": {"size": 9}}]}, "size"),
        ({"styles": ["sonnet"]}, "styles[1]"),
        ({"samples": 3}, "3 samples at temperature 0 are all alike"),
        ({"cultures": ["DEU", "DEU"]}, "'DEU' is named twice"),
        ({"readouts": ["text", "text"]}, "'text' is named twice"),
        ({"items": ["Q1", "Q1"]}, "'Q1' is named twice"),
        ({"models": [{"name": "fake"}, {"name": "fake", "options": {"latency_s": 1}}]}, "label"),
        ({"items": []}, "items: name at least one"),
        ({"models": []}, "models: name at least one"),
        ({"methods": []}, "methods: name at least one"),
        ({"cultures": []}, "cultures: name at least one"),
        ({"methods": ["self-alignment-gold"], "items": ["Q1", "Q2"]}, "needs 5 answered items"),
        ({"methods": ["self-alignment"], "items": "culturespa-259"}, "all 259 items are evaluated"),
        ({"modles": []}, "modles"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    assert words in refusal(tmp_path, **fields)
    assert ASKED == []


def test_a_refusal_is_one_line_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.yaml"
    for text in ("methods: [osmosis]", "- 1", "items: [", "cultures: DEU", "name: ../up"):
        path.write_text(text, encoding="utf-8")
        assert command("run", str(path)) == 1
        shown = capsys.readouterr()
        assert shown.err.startswith("folkways: ") and "Traceback" not in shown.err
        assert shown.out == ""
    assert load_eval_config(ROOT / "examples/wvs/clca.yaml", ["seed=4"]).seed == 4


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("run", str(config_file(tmp_path, **WHOLE)), "--dry-run") == 0
    said = capsys.readouterr().out.splitlines()
    assert "SYNTHETIC" in said[0] and "JPN: asked, not scored" in said[1]
    assert len(said) == 3 + 6 and said[-1] == f"{CALLS} questions in all"
    assert [each.name for each in tmp_path.iterdir()] == ["trial.yaml"] and ASKED == []


def test_a_culture_without_peoples_answers_is_asked_and_not_compared(undisturbed: Path) -> None:
    for table, column in (("survey_shares", "people"), ("survey_distances", "tv")):
        found = rows(
            undisturbed, f"select country, method, bool_and({column} is null), "
            f"bool_and({column} is not null) from {table} where reading = 'logprobs' "
            f"and invalid_rate < 1 group by all"
        )  # fmt: skip
        known = {(country, method): (none, some) for country, method, none, some in found}
        methods = ("unaware", "culture", "respondent")
        for method in methods:
            assert known["JPN", method] == (True, False)
            assert known["DEU", method] == known["MEX", method] == (False, True)
    truths = "select distinct respondent_id[:3] from survey_truths order by all"
    assert rows(undisturbed, truths) == [("DEU",), ("MEX",)]
    assert len(rows(undisturbed, "from survey_respondents where synthetic")) == 6
    assert results(undisturbed).without == ("JPN",)


def test_orders_map_back_to_codes(tmp_path: Path) -> None:
    fields = {"items": ["Q1", "Q7", "Q27", "Q149", "Q152", "Q154"], "cultures": ["DEU", "CHN"],
              "methods": ["culture"]}  # fmt: skip
    ask(tmp_path, **fields, models=[{"name": "survey_models:partial"}])
    favourite = {
        item: min((label, code) for code, label in load_items()[item].options.items())[1]
        for item in fields["items"]
    }
    chosen = rows(tmp_path, "select distinct item_id, reading, point, round(weight, 9) "
                  "from survey_answers where weight > 1e-9")  # fmt: skip
    assert sorted(chosen) == sorted(
        (item, reading, code, 1.0)
        for item, code in favourite.items()
        for reading in ("logprobs", "text-lenient", "text-strict")
    )
    gaps = rows(tmp_path, "select distinct item_id, orders, round(gap, 9) from survey_order_gaps")
    assert {gap for _, _, gap in gaps} == {0.0}
    assert {item: orders for item, orders, _ in gaps} == {
        item: 4 if item in ("Q152", "Q154") else 2 for item in favourite
    }


def test_a_model_that_takes_what_comes_first_has_the_widest_order_gap(tmp_path: Path) -> None:
    items = ["Q1", "Q7", "Q149", "Q152"]
    ask(tmp_path, items=items)
    gaps = rows(tmp_path, "select item_id, reading, gap from survey_order_gaps order by all")
    assert len(gaps) == 3 * len(items)
    assert [gap for _, _, gap in gaps] == pytest.approx([1.0] * len(gaps))
    shares = rows(tmp_path, "select item_id, share from survey_shares where item_id <> 'Q1'")
    assert {item: share for item, share in shares} == pytest.approx(
        {"Q7": 0.5, "Q149": 0.5, "Q152": 0.25}
    )
    once = tmp_path / "once"
    ask(once, items=items, orders="forward")
    assert set(rows(once, "select orders, gap from survey_order_gaps")) == {(1, None)}
    codes = rows(once, "select item_id, point from survey_answers where weight > 0.5 group by all")
    assert dict(codes) == {item: load_items()[item].points[0] for item in items}


def test_models_are_asked_and_listed_in_the_order_given(tmp_path: Path) -> None:
    models = [{"name": "survey_models:first", "label": label} for label in "cab"]
    methods = ["culture", "average", "unaware"]
    ask(tmp_path, items=["Q7"], methods=methods, models=models)
    found = rows(tmp_path, "select model, method, readout from survey_conditions order by rowid")
    readouts = ("logprobs", "text")
    assert found == [(m, how, out) for m in "cab" for how in methods for out in readouts]
    masses = rows(
        tmp_path, "select mass, list_max(probabilities) from survey_replies where mass > 0"
    )
    assert masses == [pytest.approx((0.9, 0.9))] * 18, "both forms of a number are added"


def test_an_engine_that_dies_keeps_every_answer_it_gave(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="has died"):
        ask(tmp_path, models=[{"name": "survey_models:dying"}], readouts=["logprobs"])
    assert rows(tmp_path, "select count(*) from survey_replies") == [(TRIES["answered"],)]
    assert rows(tmp_path, "select end_reason from launches") == [("model-unavailable",)]
    assert 0 < TRIES["answered"] < ORDERS


def test_a_store_is_read_while_another_thread_writes(tmp_path: Path) -> None:
    store, done = Store(tmp_path), Event()
    store.create()
    row = {"respondent_id": "a", "item_id": "Q1", "point": 1}

    def write() -> int:
        count = 0
        while not done.is_set():
            store.append([Record({"survey_truths": [row]}, "fact")])
            count += 1
        return count

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        try:
            for _ in range(400):
                with store.reading() as con:
                    found = con.execute("select count(*) from survey_truths").fetchall()
        finally:
            done.set()
        assert 0 < found[0][0] <= written.result()


def test_respondents_of_a_file_are_described_and_too_few_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.duckdb"
    items = [load_items()[item] for item in ITEMS]
    synthesise(path, shares_of_sample(load_marginals()), items, ["DEU", "MEX"], 5)
    fields = {"people": str(path), "methods": ["respondent"], "styles": ["bullets", "country"]}
    assert "cannot draw 6 of the 5" in refusal(tmp_path, **fields, respondents=6)
    assert "no respondents from 'CHN'" in refusal(tmp_path, **fields, cultures=["CHN"])
    assert "population" in refusal(tmp_path, **fields, weights="population")
    assert "not in your file" in refusal(tmp_path, **fields, items=["Q1", "Q2"])
    with duckdb.connect(str(path)) as con:
        con.execute("update respondents set Q260 = null, H_SETTLEMENT = null, weight = 2")
    assert asked_anew(tmp_path, **fields) == 2 * 2 * 2 * ORDERS
    bullets = {system for system, _, _ in ASKED if "\n- " in system}
    labels = {name: field.label for name, field in load_voice("en").words.fields.items()}
    assert len(bullets) == 1 or len(bullets) == 2
    assert all(f"- {labels['X003R']}: " in system for system in bullets)
    assert not any(f"{labels[name]}" in s for name in ("Q260", "H_SETTLEMENT") for s in bullets)
    told = rows(tmp_path, "select weight, demographics ->> 'Q260', demographics ->> 'Q273' "
                "from survey_respondents")  # fmt: skip
    assert all(weight == 2 and sex is None and marital for weight, sex, marital in told)


# Another model in each culture -------------------------------------------------------------------


def test_what_stands_for_a_model_in_each_culture_answers_there(tmp_path: Path) -> None:
    split = {
        "name": "survey_models:first", "label": "split",
        "by_culture": {"JPN": {"name": "survey_models:refusing"}, "DEU": {}},
    }  # fmt: skip
    fields: dict[str, Any] = {
        "models": [{"name": "survey_models:first", "label": "whole"}, split],
        "cultures": ["DEU", "JPN", "MEX"], "methods": ["unaware", "culture"], "readouts": ["text"],
    }  # fmt: skip
    assert ask(tmp_path, **fields) == "done"
    found = rows(
        tmp_path,
        "select model, method, country, count(*), count(*) filter (problem is null) "
        "from survey_replies join survey_conditions using (condition_id) group by all order by all",
    )
    each = [("culture", country) for country in ("DEU", "JPN", "MEX")]
    assert found == [
        ("split", "culture", "DEU", ORDERS, ORDERS),
        ("split", "culture", "JPN", ORDERS, 0),
        *(("whole", *key, ORDERS, ORDERS) for key in each),
        ("whole", "unaware", "*", ORDERS, ORDERS),
    ]
    (options,) = rows(tmp_path, "select options from survey_conditions where model = 'split'")
    assert json.loads(options[0])["by_culture"]["JPN"]["name"] == "survey_models:refusing"
    assert asked_anew(tmp_path, **fields) == 0
    assert forecast(config(tmp_path, **fields))[-1] == f"{len(found) * ORDERS} questions in all"


def test_what_a_model_thinks_is_no_answer(tmp_path: Path) -> None:
    models = [{"name": "survey_models:thinking"}]
    fields = {"models": models, "methods": ["culture"], "people": "marginals"}
    fields |= {"cultures": ["DEU", "JPN"], "readouts": ["text"]}
    with suppress(Incomplete):  # those that were cut off before the first answer
        ask(tmp_path, **fields)
    assert ask(tmp_path, **fields) == "done"
    found = rows(
        tmp_path,
        "select distinct problem, strict = shown[2], lenient = shown[2], reply, reasoning, "
        "reasoning_tokens from survey_replies order by all",
    )
    thought = "It may be 1. Or 1?"
    assert found == [
        ("cut-in-reasoning", None, None, "", thought, None),
        (None, True, True, "2", thought, 12),
    ]
