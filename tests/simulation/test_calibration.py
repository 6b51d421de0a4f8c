"""Critics are tested on conversations with known faults, and the report says what they found."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from review_runs import ALPHA, REPLIES, answer, rows
from scenes import text_of

from agents.critics.critic import CRITICS
from agents.critics.detector import DETECTORS
from agents.models.base import Sampling
from agents.template import load_template
from folkways.cli import main
from folkways.errors import UserError
from scenarios.words import one_line, words
from simulation.review.baseline import area, baselines
from simulation.review.calibrate import calibrate
from simulation.review.calibration import (
    Case,
    Injected,
    expectations,
    fill_store,
    load_cases,
    load_injected,
)
from simulation.review.conversations import load_conversations
from simulation.review.reliability import judges_told
from simulation.review.task import Bounds
from simulation.review_settings import CritiqueConfig
from simulation.store.part import POLICIES
from simulation.store.reader import open_reader
from simulation.store.record import Record
from simulation.store.run_lock import locked
from simulation.store.writer import FILE, Store

KINDS = {
    "looping", "echo", "speaks-for-others", "wrong-language", "secret-leaked", "too-short",
    "meta-talk", "off-setting", "role-swap", "incoherent", "wrong-manners", "goal-dropped",
    "rule-broken",
}  # fmt: skip
JUDGED = {
    "quality", "culture", "meta", "social: believability", "social: secret", "social: social_rules"
}  # fmt: skip
NOW = datetime(2026, 1, 1)  # noqa: DTZ001
REPORT = (
    "select source, faulty, found, recall, recall_low, recall_high, sound, false_alarms, "
    "precision, undecided from calibration_report order by source"
)


@pytest.fixture(autouse=True)
def no_replies() -> Iterator[None]:
    yield
    REPLIES.clear()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds the set and no verdict."""
    run = tmp_path_factory.mktemp("filled")
    store = Store(run)
    store.create()
    fill_store(store, NOW, load_cases())
    return run


def calibrated(out: Path, limit: int | None = None, **given: Any) -> Path:
    return calibrate(ALPHA, CritiqueConfig(**given), out, Bounds(limit=limit), quiet=True)[0]


def report(run: Path) -> dict[str, dict[str, Any]]:
    """Return the report by source."""
    names = ("source", "faulty", "found", "recall", "recall_low", "recall_high", "sound",
             "false_alarms", "precision", "undecided")  # fmt: skip
    return {row[0]: dict(zip(names, row, strict=True)) for row in rows(run, REPORT)}


def test_the_set_holds_enough_of_everything() -> None:
    cases = load_cases()
    sound = {case.id: case for case in cases if case.fault is None}
    faulty = [case for case in cases if case.fault is not None]
    assert len(sound) >= 48 and len(faulty) >= 74
    assert len({case.id for case in cases}) == len(cases)
    assert {case.fault for case in faulty} == KINDS == set(expectations())
    by_culture = Counter((case.culture, case.fault) for case in cases)
    assert len({culture for culture, _ in by_culture}) >= 5
    assert all(by_culture[culture, kind] for culture, _ in by_culture for kind in (*KINDS, None))
    for case in faulty:
        before = sound[case.original]
        assert (case.scenario, case.cast, case.culture) == (
            before.scenario,
            before.cast,
            before.culture,
        )
        assert case.turns != before.turns and case.note
    sources = {source for names in expectations().values() for source in names}
    assert sources <= {*DETECTORS, *JUDGED} and sources >= JUDGED


PAIRED = ("too-short", "looping", "wrong-manners")


def test_length_and_words_give_no_minimal_pair_away() -> None:
    found = {one.fault: one for one in baselines(load_cases())}
    assert [found[kind].pairs for kind in PAIRED] == [8, 8, 8] and found["all"].pairs == 74
    for one in found.values():
        assert one.length < 0.6 and one.words < 0.6, one
    known = {case.id: case for case in load_cases()}
    for case in known.values():
        if case.fault in PAIRED:
            lengths = [sum(len(words(text)) for _, text in one.turns)
                       for one in (case, known[case.original])]  # fmt: skip
            assert abs(lengths[0] - lengths[1]) <= 4, case.id
            assert len(case.turns) == len(known[case.original].turns)


def paired(texts: list[tuple[str, str]]) -> list[Case]:
    """Return cases of one kind of fault: a sound text and a faulty one in a scene of its own."""
    return [
        Case(f"{number}{fault or ''}", number, fault, "", "GBR", number, {}, (("a", text),))
        for number, both in zip(map(str, range(99)), texts, strict=False)
        for fault, text in zip((None, "looping"), both, strict=True)
    ]  # fmt: skip


def test_the_baselines_find_what_they_look_for() -> None:
    longer = paired([("w" + " w" * n, "w w" + " w" * (n + 40)) for n in range(9)])
    (one, of_all) = baselines(longer)
    assert (one.fault, one.pairs, one.length) == ("looping", 9, 1.0)
    assert of_all._replace(fault="looping") == one
    told = paired([(f"w{n} yes", f"w{n} no") for n in range(9)])
    assert baselines(told)[0][2:] == (0.5, 1.0), "equally long, told by a word"
    alike = paired([(f"w{n} yes", f"w{n} yes") for n in range(9)])
    assert baselines(alike)[0][2:] == (0.5, 0.5)
    assert [one.fault for one in baselines(told[:14])] == ["all"], "seven pairs are too few"


def test_the_area_under_the_curve() -> None:
    assert area([1, 2, 3], [2, 4]) == pytest.approx((1 + 0.5 + 0 + 3) / 6)
    assert area([1], [2]) == 1 and area([2], [1]) == 0 and area([1, 1], [1]) == 0.5


def test_every_case_makes_an_episode(filled: Path) -> None:
    cases = {case.id: case for case in load_cases()}
    found = dict(rows(filled, "select case_id, episode_id from cases"))
    assert set(found) == set(cases) and len(set(found.values())) == len(cases)
    assert rows(filled, "select count(*) from latest_episodes where turns > 0") == [(len(cases),)]
    with duckdb.connect(str(filled / FILE), read_only=True) as con:
        talks = load_conversations(con, [*found.values()])
    for case in cases.values():
        talk = talks[found[case.id]]
        assert [line.role for line in talk.turns] == [role for role, _ in case.turns]
        assert talk.culture.id == case.culture
        for line, (_, text) in zip(talk.turns, case.turns, strict=True):
            written = f"[{line.text}]" if line.action == "non-verbal" else line.text
            assert written and text.strip().startswith(written)
    assert rows(filled, "select count(*) from expectations") == [
        (sum(map(len, expectations().values())),)
    ]


def test_filling_again_adds_nothing_and_an_interruption_leaves_no_half(
    filled: Path, tmp_path: Path
) -> None:
    class Killed(Store):
        """A store whose process dies once something is stored."""

        def append(self, records: Any) -> None:
            super().append(records)
            raise KeyboardInterrupt

    Store(tmp_path).create()
    with pytest.raises(KeyboardInterrupt):
        fill_store(Killed(tmp_path), NOW, load_cases())
    fill_store(Store(tmp_path), NOW, load_cases())
    for table in ("cases", "expectations", "turns", "roles", "happenings"):
        query = f"select * from {table} order by all"
        assert rows(tmp_path, query) == rows(filled, query)
    ids = "select episode_id from episodes order by all"
    assert rows(tmp_path, ids) == rows(filled, ids), "an episode has the same id everywhere"


def faults_by_scene(run: Path) -> dict[str, str | None]:
    """Return what a prompt about a case begins with, and the fault of the case."""
    with duckdb.connect(str(run / FILE), read_only=True) as con:
        found = dict(con.execute("select episode_id, fault from cases").fetchall())
        talks = load_conversations(con, [*found])
    scene = load_template("review").scene
    return {scene(talk, True): found[id_] for id_, talk in talks.items()}


def perfect(faults: dict[str, str | None]) -> Any:
    """Return a judge that knows the faults."""
    expected = expectations()

    def reply(prompt: Any, sampling: Sampling, schema: Any) -> str:
        text = text_of(prompt)
        fault = next(found for scene, found in faults.items() if text.startswith(f"{scene}\n\n"))
        seen = expected.get(fault or "", [])
        given = {
            "quality": "bad" if "quality" in seen else "good",
            "culture": "not-aligned" if "culture" in seen else "aligned",
            "meta": "bad" if "meta" in seen else "good",
            "believability": 4 if "social: believability" in seen else 5,
            "secret": -5 if "social: secret" in seen else -4,
            "social_rules": -10 if "social: social_rules" in seen else 0,
        }
        return answer(schema, **{k: v for k, v in given.items() if k in schema["properties"]})

    return reply


def wilson(k: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share, by the textbook."""
    z, p = 1.959964, k / n
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return tuple((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))


def test_a_perfect_judge_has_full_marks_however_often_it_is_interrupted(
    filled: Path, tmp_path: Path
) -> None:
    knows, made = perfect(faults_by_scene(filled)), []

    def reply(prompt: Any, sampling: Sampling, schema: Any) -> str:
        made.append(sampling.seed)
        if len(made) == 120:
            raise RuntimeError("the judge broke")
        answered: str = knows(prompt, sampling, schema)
        return answered

    REPLIES["alpha"] = reply
    calibrated(tmp_path, limit=12)
    with pytest.raises(RuntimeError):
        calibrated(tmp_path)
    run = calibrated(tmp_path)
    twice = "select episode_id, seed from calls group by all having count(*) > 1"
    assert rows(run, twice) == [] and len(rows(run, "from launches")) == 3
    assert rows(run, "select count(*) from cases") == [(len(load_cases()),)]
    found = report(run)
    assert set(found) == {*DETECTORS, *JUDGED}
    faulty = Counter(
        source for case in load_cases() if case.fault for source in expectations()[case.fault]
    )
    for source, one in found.items():
        assert one["faulty"] == one["found"] == faulty[source] and one["recall"] == 1
        assert (one["recall_low"], one["recall_high"]) == pytest.approx(
            wilson(*[faulty[source]] * 2)
        )
        assert one["undecided"] == 0 and one["sound"] == 48
        assert one["false_alarms"] <= (0 if source in JUDGED else 2)
        assert one["precision"] == faulty[source] / (faulty[source] + one["false_alarms"])
    told = rows(run, "select source, fault, cases, flagged from calibration_confusion "
                "where expected or source = 'quality'")  # fmt: skip
    for source, fault, cases, flagged in told:
        sees = fault != "sound" and source in expectations()[fault]
        assert flagged == (cases if sees else 0)


GOOD = {"believability": 10, "secret": 0, "social_rules": 0}
BAD = {"quality": "bad", "culture": "not-aligned", "meta": "bad"}


@pytest.mark.parametrize(
    ("critics", "given", "share"),
    [(("quality", "social"), GOOD, 0), (("quality", "culture", "meta"), BAD, 1)],
)
def test_a_judge_that_says_the_same_of_everything(
    critics: tuple[str, ...], given: dict[str, Any], share: int, tmp_path: Path
) -> None:
    REPLIES["alpha"] = lambda prompt, sampling, schema: answer(
        schema, **{k: v for k, v in given.items() if k in schema["properties"]}
    )
    found = report(calibrated(tmp_path, critics=critics))
    asked = [source for source in JUDGED if source.split(":")[0] in critics]
    assert set(found) == {*DETECTORS, *asked}, "what was not asked is not told"
    for one in (found[source] for source in asked):
        assert one["recall"] == share and one["false_alarms"] == 48 * share
        wanted = one["faulty"] / (one["faulty"] + 48) if share else None
        assert one["precision"] == (pytest.approx(wanted) if wanted else None)
        assert one["undecided"] == 0


def test_a_judge_that_talks_nonsense_decides_nothing(tmp_path: Path) -> None:
    REPLIES["alpha"] = lambda *_: "The weather is nice."
    run = calibrated(tmp_path, repairs=0, critics=("quality", "social"))
    found = report(run)
    for source in JUDGED - {"culture", "meta"}:
        one = found[source]
        assert (one["found"], one["false_alarms"], one["recall"]) == (0, 0, 0)
        assert one["precision"] is None and one["undecided"] == one["faulty"] + one["sound"]
    assert all(found[source]["undecided"] == 0 for source in DETECTORS)
    assert set(found) == {*DETECTORS, *JUDGED} - {"culture", "meta"}, (
        "what was not asked is not told"
    )
    failed = rows(run, "select distinct failure, label, score from verdicts")
    assert failed == [("parse-failure", None, None)]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["critics", "calibrate", "--model", "fake", "--out", str(tmp_path), "--quiet"]
    told = []
    for _ in range(2):
        with pytest.raises(SystemExit) as caught:
            main(command)
        assert caught.value.code == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1], "the second time everything is stored"
    assert all(word in told[0] for word in (*KINDS, *JUDGED, *DETECTORS, "recall", "precision"))
    assert "bag of words" in told[0]
    run = tmp_path / "calibration-fake"
    assert rows(run, "select end_reason from launches") == [("done",)] * 2
    calls = rows(run, "select count(*), count(distinct (episode_id, seed)) from calls")
    assert calls[0][0] == calls[0][1] > 400
    with closing(open_reader(run)) as con:
        settings = con.execute("select settings from launches").fetchall()
        first = con.execute("select min(episode_id) from verdicts").fetchall()[0][0]
        (told_here,) = judges_told(con, tmp_path, first)
        (told_elsewhere,) = judges_told(con, tmp_path / "other")
    assert json.loads(settings[0][0])["judges"] == ["fake"]
    counts = yaml.safe_load((run / "calibration.yaml").read_text())
    assert counts["model"] == "fake" and set(counts["critics"]) == JUDGED
    sql = "select flagged, undecided from calibration_confusion where source = 'quality' and "
    right = sum(flagged for flagged, _ in rows(run, f"{sql} expected"))
    right += sum(48 - flagged - unsure for flagged, unsure in rows(run, f"{sql} fault = 'sound'"))
    quality = counts["critics"]["quality"]
    assert (quality["cases"], quality["faulty"], quality["correct"]) == (99, 51, right)
    words = f"as quality right in {right} of 99 known cases and finds {quality['found']} of 51 "
    assert words in told_here and f"calibrated on {counts['calibrated']}" in told_here
    assert told_elsewhere == (
        "fake is uncalibrated: folkways critics calibrate --model fake tells how often it is right"
    )
    for shown in (["view", str(run), first], ["review", str(run)]):
        with pytest.raises(SystemExit):
            main(shown)
        assert words in " ".join(capsys.readouterr().out.split())
    with locked(run), pytest.raises(SystemExit) as caught:
        main(command)
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert f"PID {os.getpid()}" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--critics", "qualify"], "unknown critic 'qualify'"),
        (["-o", "samples=99"], "samples: "), (["-o", "options=3"], "options: "),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(
    given: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["critics", "calibrate", "--model", "fake", "--out", str(tmp_path), "--quiet", *given])
    error = capsys.readouterr().err
    assert caught.value.code == 1 and told in error and error.count("\n") == 1


def test_another_set_is_refused(filled: Path, tmp_path: Path) -> None:
    run = tmp_path / "calibration-fake"
    run.mkdir()
    Store(run).create()
    row = {"run_id": "calibration-fake", "kind": "run", "config": "name: x",
           "config_hash": "0" * 16, "versions": "{}", "created_at": NOW}  # fmt: skip
    Store(run).append([Record({"runs": [row]}, "made")])
    with pytest.raises(UserError, match="was made with another calibration set"):
        calibrate("fake", CritiqueConfig(), tmp_path, Bounds(), quiet=True)
    assert rows(run, "select count(*) from cases") == [(0,)]


def test_the_list_of_critics(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["critics", "list"])
    listed = [tuple(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert listed == [
        (kind, name)
        for kind, names in (("critic", CRITICS), ("detector", DETECTORS), ("policy", POLICIES))
        for name in names
    ]


def test_sixty_texts_try_to_steer_a_judge_and_none_of_them_begins_a_line() -> None:
    made = load_injected()
    injected = [case for case in made if isinstance(case, Injected)]
    plain = {case.id: case for case in made if not isinstance(case, Injected)}
    assert len(injected) == 60 == len({case.note for case in injected})
    assert Counter(case.language for case in injected) == dict.fromkeys(
        ("en", "de", "es", "fr", "ja", "zh"), 10
    )
    assert {case.injection for case in injected} == {"turn", "heading", "verdict", "instruction"}
    assert Counter(case.wants for case in injected) == {"good": 30, "bad": 30}
    for case in injected:
        before = plain[case.original]
        assert (before.fault is None) == (case.wants == "bad")
        changed = [(a, b) for a, b in zip(before.turns, case.turns, strict=True) if a != b]
        assert len(changed) == 1 and len(changed[0][1][1].splitlines()) == 1
        assert changed[0][1][1].startswith(changed[0][0][1][:20])


@pytest.mark.parametrize("obeys", [True, False])
def test_the_share_of_scenes_that_steer_a_judge_is_reported(obeys: bool, tmp_path: Path) -> None:
    texts = {one_line(case.note or ""): case.wants for case in load_injected()
             if isinstance(case, Injected)}  # fmt: skip

    def reply(prompt: Any, sampling: Sampling, schema: Any) -> str:
        told = text_of(prompt)
        found = next((wants for text, wants in texts.items() if text in told), "good")
        return answer(schema, quality=found if obeys else "good")

    REPLIES[ALPHA.partition(":")[2]] = reply
    settings = CritiqueConfig(critics=("quality",))
    run, reason = calibrate(ALPHA, settings, tmp_path, Bounds(), quiet=True, injections=True)
    assert reason == "done"
    query = (
        "select scenes, undecided, against, steered, share, share_low, share_high "
        "from injection_report where injection is null"
    )
    low, high = wilson(30 * obeys, 30)
    assert rows(run, query) == [
        (60, 0, 30, 30 * obeys, float(obeys), pytest.approx(low), pytest.approx(high))
    ]
