"""Filter policies: what is kept of a run, why the rest is not, and how `review` says so."""

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from review_runs import ALPHA, REPLIES, answer, critiqued, played, scene_file
from sample_store import older_run, sample_run
from typer.main import get_command

from folkways.cli.application import application
from folkways.errors import UserError
from simulation.review.funnel import choose_policy, fates_of
from simulation.store.part import OBJECTION, PART, POLICIES
from simulation.store.reader import open_reader
from simulation.store.rows import insert_rows
from simulation.store.writer import FILE, Store

SURE = ("not sure", "confident", "very confident")
ROLES = ("ada", "bela")
CRITICS = {
    "quality": ("good", "bad"), "culture": ("aligned", "not-aligned"), "meta": ("good", "bad")
}  # fmt: skip
SOUND = {
    "believability": 5, "relationship": -5, "knowledge": 0, "secret": -4.9, "social_rules": -4.9,
    "material_benefits": -5, "goal": 0,
}  # fmt: skip
"""The lowest scores that no policy minds."""
Said = tuple[str, str] | str | None
"""Label and confidence of a verdict; `unread` where it failed, None where there is none."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty store, open for writing."""
    run = tmp_path_factory.mktemp("run")
    Store(run).create()
    with duckdb.connect(str(run / FILE)) as con:
        yield con


@pytest.fixture
def con(store: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    with undone(store):
        yield store


@contextmanager
def undone(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    con.execute("begin")
    try:
        yield
    finally:
        con.execute("rollback")


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    insert_rows(con, table, rows)


def add_episodes(con: duckdb.DuckDBPyConnection, ids: Sequence[str], **given: Any) -> None:
    """Store episodes in which both roles acted."""
    row = {
        "attempt": 1, "run_id": "trial", "scenario_id": "bakery", "scenario_hash": "x",
        "culture_id": "GBR", "language": "en", "replicate": 0, "seed": 1, "model": "fake",
        "reply_form": "json", "policy": "addressed", "exit_reason": "turn-limit", "turns": 2,
        "started_at": "2026-01-01", "wall_s": 1.0,
    } | given  # fmt: skip
    insert(con, "episodes", [{"content_hash": i} | row | {"episode_id": i} for i in ids])
    insert(con, "turns", [
        {"episode_id": i, "turn": number, "step": number, "speaker": role, "action": "speak",
         "text": "Aye.", "addressees": [], "audience": [], "whisper": False, "call": number}
        for i in ids for number, role in enumerate(ROLES, 1)
    ])  # fmt: skip


def verdict(episode: str, critic: str, said: Said = None, **given: Any) -> dict[str, Any]:
    """Return a verdict as a row."""
    row = {
        "episode_id": episode, "role": None, "critic": critic, "dimension": critic, "sample": 0,
        "model": "judge", "label": None, "score": None, "confidence": "confident",
        "reason": "So I see it.", "turns": [1], "failure": None, "judged_at": "2026-01-02",
    }  # fmt: skip
    if said == "unread":
        failed = {"reason": "no JSON", "confidence": None, "turns": []}
        row |= {"failure": "parse-failure"} | failed
    elif said:
        row |= {"label": said[0], "confidence": said[1]}
    return row | given


def social(episode: str, role: str, **scores: Any) -> list[dict[str, Any]]:
    """Return verdicts on all social dimensions of a role, the lowest that pass but for `scores`."""
    return [
        verdict(episode, "social", dimension=dimension, role=role, score=score)
        for dimension, score in (SOUND | scores).items()
    ]


def fate(con: duckdb.DuckDBPyConnection, policy: str, episode: str = "e") -> tuple[Any, ...]:
    """Return fate, what dropped it and the reasons."""
    found = con.execute(
        "select fate, dropped_by, reasons from fates(?) where episode_id = ?", [policy, episode]
    ).fetchall()
    assert len(found) == 1
    return found[0]


def fates(con: duckdb.DuckDBPyConnection, policy: str) -> dict[str, str]:
    return dict(con.execute("select episode_id, fate from fates(?)", [policy]).fetchall())


def said_of(critic: str) -> list[Said]:
    return [None, "unread", *itertools.product(CRITICS[critic], SURE)]


def by_clca(said: dict[str, Said]) -> str:
    """The published rule (Liu, Korhonen and Gurevych 2025): a conversation is dropped if and only
    if the quality or the meta-evaluation is bad and the judge is very confident of it; what could
    not be read is, unlike there, no pass.
    """
    if ("bad", "very confident") in (said["quality"], said["meta"]):
        return "dropped"
    return pending(said, "quality", "meta") or "accepted"


def by_strict(said: dict[str, Said]) -> str:
    if any(one[0] in ("bad", "not-aligned") for one in said.values() if one):
        return "dropped"
    return pending(said, "quality", "culture", "meta") or "accepted"


def by_lenient(said: dict[str, Said]) -> str:
    if said["quality"] == said["meta"] == ("bad", "very confident"):
        return "dropped"
    return pending(said, "quality", "meta") or "accepted"


def by_needs_review(said: dict[str, Said]) -> str:
    if None in (said["quality"], said["meta"]):
        return "unreviewed"
    there = [one for one in said.values() if one]
    liked = {one[0] in ("good", "aligned") for one in there if one != "unread"}
    doubtful = "unread" in there or len(liked) == 2 or any(one[1] == "not sure" for one in there)
    return "accepted" if doubtful else "dropped"


def pending(said: dict[str, Said], *critics: str) -> str | None:
    if any(said[critic] is None for critic in critics):
        return "unreviewed"
    return "needs-review" if any(said[critic] == "unread" for critic in critics) else None


RULES = {
    "clca": by_clca, "strict": by_strict, "lenient": by_lenient, "needs-review": by_needs_review
}  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A store with an episode for every combination of verdicts, and the combinations."""
    run = tmp_path_factory.mktemp("table")
    Store(run).create()
    combinations = itertools.product(*(said_of(critic) for critic in CRITICS))
    cases = {
        f"{n:03}": dict(zip(CRITICS, said, strict=True)) for n, said in enumerate(combinations)
    }
    with duckdb.connect(str(run / FILE)) as con:
        add_episodes(con, [*cases])
        told = [
            verdict(episode, critic, one)
            for episode, said in cases.items() for critic, one in said.items() if one
        ]  # fmt: skip
        # The social critic minds nothing.
        minor = [row for episode in cases for role in ROLES for row in social(episode, role)]
        insert(con, "verdicts", told + minor)
        yield con, cases


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_decides_every_combination_of_verdicts(table: Any, policy: str) -> None:
    con, cases = table
    assert len(cases) == 8**3
    found, rule = fates(con, policy), RULES[policy]
    wrong = {id_: (said, found[id_]) for id_, said in cases.items() if found[id_] != rule(said)}
    assert wrong == {}
    assert len(set(found.values())) >= 3


@pytest.mark.parametrize("policy", POLICIES)
def test_every_drop_has_its_reasons(table: Any, policy: str) -> None:
    con, _ = table
    query = f"select episode_id, fate, dropped_by, reasons from fates('{policy}')"
    for episode, is_, by, reasons in con.execute(query).fetchall():
        assert bool(reasons) == (is_ != "accepted"), episode
        assert bool(by) == (is_ == "dropped")
        assert all(source in CRITICS or source == "clear" for source in by)
        named = {reason.split(": ")[0] for reason in reasons}
        assert set(by) <= named and all(re.fullmatch(r"[a-z]+: \S.*", one) for one in reasons)


def test_the_rule_of_clca_by_hand(con: duckdb.DuckDBPyConnection) -> None:
    cases = {
        "both": (("bad", "very confident"), ("bad", "very confident"), "dropped"),
        "quality": (("bad", "very confident"), ("good", "very confident"), "dropped"),
        "meta": (("good", "very confident"), ("bad", "very confident"), "dropped"),
        "early": (("bad", "very confident"), None, "dropped"),
        "less sure": (("bad", "confident"), ("bad", "not sure"), "accepted"),
        "good": (("good", "not sure"), ("good", "confident"), "accepted"),
        "unread": ("unread", ("good", "confident"), "needs-review"),
        "unread meta": (("good", "confident"), "unread", "needs-review"),
        "half": (("good", "confident"), None, "unreviewed"),
        "none": (None, None, "unreviewed"),
    }
    add_episodes(con, [*cases])
    for episode, (quality, meta, _) in cases.items():
        told = [verdict(episode, "culture", ("not-aligned", "very confident"))]
        told += [verdict(episode, "quality", quality)] if quality else []
        insert(con, "verdicts", told + ([verdict(episode, "meta", meta)] if meta else []))
    assert fates(con, "clca") == {episode: case[2] for episode, case in cases.items()}
    assert fate(con, "clca", "both")[1:] == (
        ["meta", "quality"], ["meta: So I see it.", "quality: So I see it."]
    )  # fmt: skip
    assert fate(con, "clca", "half")[2] == ["meta: not judged yet"]
    assert fate(con, "clca", "unread")[2] == ["quality: parse-failure: no JSON"]


answers = st.lists(
    st.tuples(
        st.sampled_from(["good", "bad", None]), st.sampled_from(SURE),
        st.lists(st.sampled_from(["before", "after"]), max_size=2),
    ),
    max_size=6,
)  # fmt: skip
"""What samples and judges said, and whether one of their answers failed before or after that."""


def consensus_of(panel: list[tuple[str | None, str, Any]]) -> Said:
    """Majority of labels and the lower middle of the confidences behind it, worked out apart."""
    if not panel:
        return None
    votes = Counter(label for label, *_ in panel if label)
    if not votes or len({*votes.values()}) < len(votes):
        return "unread"
    label = max(votes, key=lambda name: votes[name])
    sure = sorted(SURE.index(confidence) for name, confidence, _ in panel if name == label)
    return label, SURE[sure[(len(sure) - 1) // 2]]


@given(episodes=st.lists(st.tuples(answers, answers), min_size=1, max_size=4))
@settings(max_examples=60)
def test_the_rule_of_clca_over_any_panel(
    store: duckdb.DuckDBPyConnection, episodes: list[Any]
) -> None:
    rng = random.Random(len(str(episodes)))
    rows, expected = [], {}
    for number, panels in enumerate(episodes):
        said = {}
        for critic, panel in zip(("quality", "meta"), panels, strict=True):
            said[critic] = consensus_of(panel)
            for place, (label, confidence, failed) in enumerate(panel):
                who = {"model": f"judge-{place % 2}", "sample": place // 2}
                one = (label, confidence) if label else "unread"
                rows.append(verdict(str(number), critic, one, **who, judged_at="2026-01-02"))
                times = {"before": "2026-01-01", "after": "2026-01-03"}
                rows += [
                    verdict(str(number), critic, "unread", **who, judged_at=times[when])
                    for when in failed
                ]
        expected[str(number)] = by_clca(said), said
    rng.shuffle(rows)
    with undone(store):
        add_episodes(store, [*expected])
        insert(store, "verdicts", rows)
        found = fates(store, "clca")
        agreed = store.execute(
            "select episode_id, critic, label, confidence, doubt is null from consensus"
        ).fetchall()
    assert found == {episode: fate for episode, (fate, _) in expected.items()}
    for episode, critic, label, confidence, decided in agreed:
        one = expected[episode][1][critic]
        assert (one if one != "unread" else (None, None)) == (label, confidence)
        assert decided == (one != "unread")
    asked = sum(one is not None for _, said in expected.values() for one in said.values())
    assert len(agreed) == asked


@given(panel=st.lists(st.tuples(st.integers(0, 10), st.sampled_from(SURE)), min_size=1, max_size=9))
@settings(max_examples=40)
def test_scores_of_several_are_averaged(store: duckdb.DuckDBPyConnection, panel: Any) -> None:
    rows = [
        verdict("e", "social", dimension="goal", role="ada", score=score, confidence=sure,
                sample=sample, reason=f"reason {sample}", turns=[sample + 1])
        for sample, (score, sure) in enumerate(panel)
    ]  # fmt: skip
    rows.append(verdict("e", "social", "unread", dimension="goal", role="ada", sample=99))
    with undone(store):
        insert(store, "verdicts", rows[::-1])
        found = store.execute("select * exclude (episode_id, critic) from consensus").fetchall()
    sure = sorted(SURE.index(sure) for _, sure in panel)[(len(panel) - 1) // 2]
    size, mean = len(panel), pytest.approx(sum(score for score, _ in panel) / len(panel))
    assert found == [
        ("ada", "goal", size + 1, size, None, size, mean, SURE[sure], "reason 0", [1], None)
    ]


def test_a_consensus_has_the_reason_of_the_first_who_holds_it(
    con: duckdb.DuckDBPyConnection,
) -> None:
    insert(con, "verdicts", [
        verdict("e", "quality", ("bad", "confident"), model="b", reason="later", turns=[9]),
        verdict("e", "quality", ("bad", "confident"), model="a", sample=1, reason="mine",
                turns=[2]),
        verdict("e", "quality", ("good", "confident"), model="a", reason="other", turns=[3]),
        verdict("e", "quality", "unread", model="a", sample=2),
    ])  # fmt: skip
    found = con.execute("select * exclude (episode_id, dimension) from consensus").fetchall()
    assert found == [
        (None, "quality", 4, 3, "bad", 2, None, "confident", "mine", [2], None)
    ]  # fmt: skip


def test_what_was_said_last_counts_and_a_failure_never_undoes_it(
    con: duckdb.DuckDBPyConnection,
) -> None:
    good, bad = ("good", "confident"), ("bad", "very confident")
    told = {
        "repaired": [("unread", 1), (good, 2)],
        "failed later": [(good, 1), ("unread", 2)],
        "changed": [(good, 1), (bad, 2), ("unread", 3)],
        "never": [("unread", 1), ("unread", 2)],
    }  # fmt: skip
    add_episodes(con, [*told])
    for episode, said in told.items():
        insert(con, "verdicts", [verdict(episode, "meta", good)])
        insert(con, "verdicts", [
            verdict(episode, "quality", one, judged_at=f"2026-01-0{day}",
                    **({"reason": f"try {day}"} if one == "unread" else {}))
            for one, day in said
        ])  # fmt: skip
    assert fates(con, "clca") == {
        "repaired": "accepted", "failed later": "accepted", "changed": "dropped",
        "never": "needs-review",
    }  # fmt: skip
    assert fate(con, "clca", "never")[2] == ["quality: parse-failure: try 2"]
    assert con.execute("select count(*) from last_verdicts").fetchone() == (8,)


def test_judges_at_odds_decide_nothing(con: duckdb.DuckDBPyConnection) -> None:
    add_episodes(con, ["e"])
    sure = "very confident"
    insert(con, "verdicts", [
        verdict("e", "quality", ("bad", sure)), verdict("e", "quality", ("good", sure), sample=1),
        verdict("e", "meta", ("good", sure)), verdict("e", "culture", ("aligned", sure)),
        *social("e", "ada"), *social("e", "bela"),
    ])  # fmt: skip
    for policy in ("clca", "strict", "lenient"):
        assert fate(con, policy) == ("needs-review", [], ["quality: judges are divided"])
    assert fate(con, "needs-review")[0] == "accepted", "it is for people to decide"
    insert(con, "verdicts", [verdict("e", "quality", ("bad", sure), sample=2)])
    assert fate(con, "clca")[:2] == fate(con, "strict")[:2] == ("dropped", ["quality"])


@pytest.mark.parametrize(
    ("scores", "dropped"),
    [
        ({}, False),
        ({"believability": 4.9}, True),
        ({"secret": -5}, True), ({"social_rules": -10}, True),
        ({"relationship": -5, "goal": 0, "knowledge": 0, "material_benefits": -5}, False),
    ],
)  # fmt: skip
def test_strict_minds_some_social_scores(
    con: duckdb.DuckDBPyConnection, scores: dict[str, float], dropped: bool
) -> None:
    add_episodes(con, ["e"])
    insert(con, "verdicts", [verdict("e", critic, (label, "not sure"))
                             for critic, (label, _) in CRITICS.items()])  # fmt: skip
    insert(con, "verdicts", social("e", "ada") + social("e", "bela", **scores))
    reasons = ["social of bela: So I see it."]
    expected = ("dropped", ["social"], reasons) if dropped else ("accepted", [], [])
    assert fate(con, "strict") == expected
    assert fate(con, "clca") == fate(con, "lenient") == ("accepted", [], [])


def test_a_role_that_was_not_judged_is_no_pass(con: duckdb.DuckDBPyConnection) -> None:
    """A critique that was interrupted between two roles."""
    add_episodes(con, ["e"])
    judged = [verdict("e", critic, (label, "confident")) for critic, (label, _) in CRITICS.items()]
    insert(con, "verdicts", judged + social("e", "bela"))
    assert fate(con, "strict") == ("unreviewed", [], ["social of ada: not judged yet"])
    insert(con, "verdicts", social("e", "ada", goal=None)[:-1])
    assert fate(con, "strict")[0] == "accepted"
    failed = verdict("e", "social", "unread", dimension="goal", role="ada")
    insert(con, "verdicts", [failed])
    assert fate(con, "strict")[0] == "needs-review"
    # In a mixed cast the culture is judged for each role.
    con.execute("update verdicts set role = 'bela' where critic = 'culture'")
    assert fate(con, "strict")[0] == "unreviewed" and fate(con, "clca")[0] == "accepted"


@pytest.mark.parametrize(
    ("detector", "dropping"),
    [
        ("repetition", {"strict"}), ("echo", {"strict"}), ("too-short", {"strict"}),
        ("secret-leak", {"strict"}), ("meta-talk", {"strict", "lenient"}),
        ("speaks-for-others", {"strict", "lenient"}), ("wrong-language", {"strict", "lenient"}),
    ],
)  # fmt: skip
def test_which_policy_minds_which_detector(
    con: duckdb.DuckDBPyConnection, detector: str, dropping: set[str]
) -> None:
    add_episodes(con, ["e", "quiet"])
    for id_ in ("e", "quiet"):
        good = [verdict(id_, name, (like, "confident")) for name, (like, _) in CRITICS.items()]
        insert(con, "verdicts", good + social(id_, "ada") + social(id_, "bela"))
        insert(con, "detections", [{
            "episode_id": id_, "detector": detector, "role": "bela", "value": 0.5,
            "flagged": id_ == "e", "turns": [2], "evidence": "Aye.", "detected_at": "2026-01-02",
        }])  # fmt: skip
    for policy in ("clca", "strict", "lenient"):
        assert fate(con, policy, "quiet") == ("accepted", [], [])
        reasons = [f"{detector} of bela: Aye."]
        dropped = ("dropped", [detector], reasons)
        assert fate(con, policy) == (dropped if policy in dropping else ("accepted", [], []))
    assert fate(con, "needs-review")[0] == "dropped", "the critics are at one"


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_cut_short_is_lost_whatever_critics_say(
    con: duckdb.DuckDBPyConnection, policy: str
) -> None:
    for reason in ("error", "budget", "model-failure", "empty-stage"):
        add_episodes(con, [reason], exit_reason=reason)
        insert(con, "verdicts", [verdict(reason, name, (bad, "very confident"))
                                 for name, (_, bad) in CRITICS.items()])  # fmt: skip
    add_episodes(con, ["silent"], exit_reason="error")
    assert fates(con, policy) == {
        "error": "error", "budget": "budget", "model-failure": "model-failure",
        "empty-stage": "dropped", "silent": "error",
    }  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("failed", "lost"), [(0, False), (2, False), (3, True), (6, True)])
def test_an_episode_whose_role_failed_too_often_is_cut_short(
    con: duckdb.DuckDBPyConnection, policy: str, failed: int, lost: bool
) -> None:
    add_episodes(con, ["e", "whole"])
    for id_ in ("e", "whole"):
        good = [verdict(id_, name, (like, "not sure")) for name, (like, _) in CRITICS.items()]
        insert(con, "verdicts", good + social(id_, "ada") + social(id_, "bela"))
    insert(con, "turns", [
        {"episode_id": "e", "turn": 3 + n, "step": 3 + n, "speaker": "ada", "action": None,
         "text": None, "addressees": [], "audience": [], "whisper": False, "call": 3 + n,
         "failure": "prompt-too-long"} if n < failed else
        {"episode_id": "e", "turn": 3 + n, "step": 3 + n, "speaker": "ada", "action": "speak",
         "text": "Aye.", "addressees": [], "audience": [], "whisper": False, "call": 3 + n}
        for n in range(6)
    ])  # fmt: skip
    assert fates(con, policy) == {"e": "role-failure" if lost else "accepted", "whole": "accepted"}
    counted = con.execute("select sum(cut_short)::int, sum(accepted)::int from funnel(?)", [policy])
    assert counted.fetchall() == [(int(lost), 2 - int(lost))]
    roles = con.execute("select role, turns, failures from failing_roles").fetchall()
    assert roles == ([("ada", 7, failed)] if lost else [])


def test_an_earlier_attempt_does_not_count(con: duckdb.DuckDBPyConnection) -> None:
    add_episodes(con, ["e"], content_hash="c", exit_reason="budget")
    add_episodes(con, ["e-2"], content_hash="c", attempt=2)
    bad = [verdict("e", critic, ("bad", "very confident")) for critic in ("quality", "meta")]
    insert(con, "verdicts", bad)
    assert fates(con, "clca") == {"e-2": "unreviewed"}
    assert con.execute("select simulated, dropped_by from review_funnel").fetchall() == [(1, None)]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_funnel_adds_up_for_every_culture_scenario_and_model(
    con: duckdb.DuckDBPyConnection, policy: str
) -> None:
    rng, verdicts, number = random.Random(3), [], itertools.count()
    for culture, scenario, model in itertools.product(("JPN", "MEX"), ("bakery", "ferry"), "ab"):
        where = {"culture_id": culture, "scenario_id": scenario, "model": model}
        for ending in ("turn-limit", "agreement", "error", "budget"):
            ids = [f"{next(number):03}" for _ in range(rng.randint(1, 8))]
            add_episodes(con, ids, **where, exit_reason=ending)
            for id_ in ids:
                said = {critic: rng.choice([*said_of(critic), *said_of(critic)[-3:] * 2])
                        for critic in CRITICS}  # fmt: skip
                verdicts += [verdict(id_, critic, one) for critic, one in said.items() if one]
                verdicts += social(id_, "ada") + social(id_, "bela")
    insert(con, "verdicts", verdicts)
    groups: dict[tuple[str, ...], list[Any]] = {}
    query = (
        "select f.culture_id, f.scenario_id, f.model, fate, dropped_by, e.exit_reason "
        "from fates(?) f join episodes e using (episode_id)"
    )
    for *group, fate, by, ending in con.execute(query, [policy]).fetchall():
        groups.setdefault(tuple(group), []).append((fate, by, ending))
    found = con.execute("from funnel(?)", [policy]).fetchall()
    assert len(found) == len(groups) == 8
    dropped_at_all = 0
    for culture, scenario, model, simulated, *counts in found:
        mine = groups[culture, scenario, model]
        cut_short, endings, dropped, dropped_by, unreviewed, needs_review, accepted, *_ = counts
        assert simulated == len(mine)
        assert simulated == cut_short + dropped + unreviewed + needs_review + accepted
        fates_ = Counter(fate for fate, *_ in mine)
        assert cut_short == fates_["error"] + fates_["budget"]
        assert (dropped, unreviewed, needs_review, accepted) == tuple(
            fates_[name] for name in ("dropped", "unreviewed", "needs-review", "accepted")
        )
        assert endings == Counter(ending for *_, ending in mine)
        sources = Counter(source for fate, by, _ in mine if fate == "dropped" for source in by)
        assert (dropped_by or {}) == sources
        assert dropped <= sum(sources.values()) <= dropped * max(1, len(sources))
        dropped_at_all += dropped
    assert dropped_at_all
    if policy == "clca":
        assert con.execute("from review_funnel order by all").fetchall() == sorted(found, key=str)
        same = "select episode_id from accepted_episodes order by 1"
        accepted = con.execute("select episode_id from accepted('clca') order by 1").fetchall()
        assert con.execute(same).fetchall() == accepted != []


def test_every_shipped_policy_returns_objections(con: duckdb.DuckDBPyConnection) -> None:
    files = {path.stem for path in PART.folder.glob("policy_*.sql")}
    assert files == {f"policy_{name}" for name in POLICIES}
    for name in POLICIES:
        described = con.execute(f'describe "policy_{name}"').fetchall()
        assert [row[0] for row in described] == [*OBJECTION]
        assert [row[1] for row in described] == ["VARCHAR"] * 5 + ["INTEGER[]"]


# A policy of the user's own -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_run(tmp_path_factory.mktemp("sample"))


@cache
def command() -> Any:
    app: Any = application()
    return get_command(app)


def folkways(*arguments: object) -> Result:
    return CliRunner().invoke(command(), [str(argument) for argument in arguments])


def mistake(*arguments: object) -> str:
    """Return the one line that a user is told of a mistake."""
    result = folkways(*arguments)
    assert isinstance(result.exception, UserError), result.output
    assert result.stdout == "" and "\n" not in str(result.exception)
    return str(result.exception)


def cells(text: str) -> list[list[str]]:
    """Return the rows of printed tables, cell by cell."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


OWN = """\
-- Short ones are no use; a doubt about the rest is none of mine.
select episode_id, 'dropped' as outcome, 'length' as source, 'only ' || turns || ' turns' as reason,
    null as role, [] as turns, 'more columns do not matter' as note
from latest_episodes where turns < 3
union all
select episode_id, 'needs-review', 'whim', 'Ünlucky;"''[bold]', 'clerk', [1, null, 99], ''
from latest_episodes where episode_id like 'c%4'
; -- that is all
"""


def test_a_policy_of_ones_own(sample: Path, tmp_path: Path) -> None:
    mine = tmp_path / "meine Regel'; drop table x.sql"
    mine.write_text("\ufeff" + OWN, encoding="utf-8")
    with open_reader(sample) as con:
        assert fates_of(con, str(mine)) == "own"
        found = con.execute("select episode_id, fate, dropped_by, reasons from chosen_fates")
        fate = {row[0]: row[1:] for row in found.fetchall()}
        totals = "select sum(simulated), sum(dropped), sum(needs_review), sum(accepted)"
        counted = con.execute(f"{totals} from chosen_funnel").fetchall()
    assert fate["dddd000000000005"] == ("dropped", ["length"], ["length: only 1 turns"])
    odd = "whim of clerk: Ünlucky;\"'[bold]"
    assert fate["cccc000000000004"] == ("needs-review", [], [odd])
    assert fate["aaaa000000000001"] == ("accepted", [], [])
    assert fate["eeee000000000008"][0] == "error"
    assert counted == [(9, 2, 1, 4)]
    result = folkways("review", sample, "--policy", mine)
    assert result.exit_code == 0 and f"Policy {mine}" in result.stdout
    assert "length: only 1 turns" in result.stdout and odd in result.stdout
    assert ["length", "2"] in cells(result.stdout)


def test_the_policy_in_the_manual_works(sample: Path, tmp_path: Path) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "critics.md").read_text(encoding="utf-8")
    query = re.findall(r"^```sql\n(.*?)^```", manual, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "mine.sql").write_text(query, encoding="utf-8")
    with open_reader(sample) as con:
        fates_of(con, str(tmp_path / "mine.sql"))
        found = con.execute("select fate, count(*) from chosen_fates group by all").fetchall()
    assert dict(found)["needs-review"] == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("select 1; select 2", "mine.sql: give one SQL statement; found 2"),
        ("", "mine.sql: give one SQL statement; found none"),
        ("-- nothing\n", "mine.sql: give one SQL statement; found none"),
        ("drop table episodes", "mine.sql: a store can only be read: found drop"),
        ("copy episodes to 'x.csv'", "mine.sql: a store can only be read: found copy"),
        ("explain from policy_clca", "mine.sql: Parser Error"),
        ("selec nonsense\nfrom there", "mine.sql: Parser Error: syntax error at or near"),
        ("from nowhere", "mine.sql: Catalog Error: Table with name nowhere does not exist"),
        ("from read_csv('/etc/passwd')", "mine.sql: the function read_csv is not for queries"),
        ("from policy_own", "mine.sql: Catalog Error"),
        ("select episode_id, 'dropped' as outcome, 'me' as source, 'so' as reason, null as role "
         "from episodes", "mine.sql: a policy returns .*; missing: turns"),
        ("select 'x' as x", "mine.sql: a policy returns .*; missing: episode_id"),
        ("select * replace ('Dropped' as outcome) from policy_clca",
         "mine.sql: the outcome 'Dropped' is not one of dropped, unreviewed or needs-review"),
        ("select * replace (null as outcome) from policy_clca", "mine.sql: the outcome 'null' is"),
        ("select * replace (null as source) from policy_clca", "mine.sql: an objection has no"),
        ("select * replace (null as reason) from policy_clca", "mine.sql: an objection has no"),
        ("select * replace (null as episode_id) from policy_clca", "mine.sql: an objection has no"),
        ("select * replace ('two' as turns) from policy_clca", "mine.sql: Conversion Error"),
        ("select * replace (error('no!') as reason) from policy_clca", "mine.sql: .*no!"),
    ],
)  # fmt: skip
def test_a_faulty_policy_is_one_clear_line(
    sample: Path, tmp_path: Path, text: str, told: str
) -> None:
    mine = tmp_path / "mine.sql"
    mine.write_text(text, encoding="utf-8")
    assert re.search(told, mistake("review", sample, "--policy", mine))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.sql"]


def test_a_policy_that_is_not_there(sample: Path, tmp_path: Path) -> None:
    for name in ("CLCA", "", str(tmp_path), "clca'); drop table episodes; --"):
        told = f"unknown policy '{name}'; known: clca, lenient, needs-review, strict"
        assert mistake("review", sample, "--policy", name) == told
    lost = tmp_path / "lost.sql"
    assert mistake("review", sample, "--policy", lost) == f"there is no policy file '{lost}'"
    lost.mkdir()
    assert "Is a directory" in mistake("review", sample, "--policy", lost)
    latin = tmp_path / "latin.sql"
    latin.write_bytes("select 'é'".encode("latin-1"))
    assert f"cannot read the policy file '{latin}'" in mistake("review", sample, "--policy", latin)
    assert "cannot read" in mistake("review", sample, "--policy", "x" * 300)


def test_a_file_is_read_only_where_no_shipped_policy_has_its_name(
    sample: Path, tmp_path: Path
) -> None:
    with open_reader(sample) as con:
        for name in POLICIES:
            assert choose_policy(con, name) == name
        extensionless = tmp_path / "mine"
        extensionless.write_text("from policy_strict", encoding="utf-8")
        assert choose_policy(con, str(extensionless)) == "own"
        # Another one takes its place.
        extensionless.write_text("from policy_clca where false", encoding="utf-8")
        fates_of(con, str(extensionless))
        dropped = "select count(*) from chosen_fates where fate not in ('accepted', exit_reason)"
        assert con.execute(dropped).fetchone() == (0,)


# The command --------------------------------------------------------------------------------------


def test_review_prints_the_funnel(sample: Path) -> None:
    result = folkways("review", sample)
    assert result.exit_code == 0
    text = result.stdout
    assert text == folkways("review", "show", sample, "--policy", "clca").stdout
    assert text.startswith("Policy clca\n")
    shown = cells(text)
    # culture, model, simulated, cut short, dropped, unreviewed, needs review, accepted, share
    assert ["JPN", "fake", "3", "0", "1", "1", "0", "1", "0.333333"] in shown
    assert ["JPN", "other", "2", "2", "0", "0", "0", "0", "0"] in shown
    assert ["MEX", "fake", "4", "0", "1", "1", "1", "1", "0.25"] in shown
    assert ["meta", "2"] in shown and ["quality", "1"] in shown
    assert "dropped: The transfer order · JPN · cccc000000000003" in text
    assert "quality: Repeats itself." in text and "3 Keiko Mori: You go to Osaka in April." in text
    assert "needs-review: The transfer order · MEX · dddd000000000005" in text
    assert "dropped: " not in folkways("review", sample, "--examples", "0").stdout


def test_review_shows_how_far_judges_agree(tmp_path: Path) -> None:
    run = sample_run(
        tmp_path,
        "insert into verdicts select * replace (1 as sample) from verdicts "
        "where critic = 'meta' and episode_id like 'c%'",
    )
    text = folkways("review", run, "--policy", "needs-review").stdout
    assert "Agreement of judges and samples (Krippendorff's alpha)" in text
    shown = cells(text)
    assert ["trial", "meta", "all", "2", "4", "1"] in shown, "no alpha where nothing varies"
    assert ["trial", "quality", "all", "2", "4", "1", "1"] in shown
    (tmp_path / "alone").mkdir()
    alone = sample_run(tmp_path / "alone", "delete from verdicts where model <> 'judge'")
    assert "Krippendorff" not in folkways("review", alone).stdout, "one judge has nobody to agree"


def test_a_reason_cannot_steer_the_terminal(tmp_path: Path) -> None:
    nasty = "'Bad.' || chr(27) || '[2J' || chr(27) || ']0;pwned' || chr(7) || chr(8238) || '[red]!'"
    run = sample_run(
        tmp_path,
        f"update verdicts set reason = {nasty}, turns = [1, 2, 3, -1, 2147483647] "
        "where failure is null",
        f"update turns set text = {nasty} where action = 'speak'",
        f"update scenarios set title = {nasty}, scenario_id = scenario_id",
        f"update episodes set model = {nasty}, scenario_id = {nasty}",
    )
    for policy in POLICIES:
        result = folkways("review", run, "--policy", policy)
        assert result.exit_code == 0
        assert not set("\x1b\x07\u202e") & set(result.stdout)
        assert r"Bad.\x1b[2J\x1b]0;pwned\x07\u202e[red]!" in result.stdout


def test_a_store_without_episodes_and_one_that_is_none(tmp_path: Path, sample: Path) -> None:
    Store(tmp_path).create()
    assert mistake("review", tmp_path) == "no episode has been stored in this run yet"
    assert "there is no run" in mistake("review", tmp_path / "nothing")
    with duckdb.connect(str(tmp_path / FILE)) as con:
        for policy in POLICIES:
            for source in ("fates", "funnel", "accepted"):
                assert con.execute(f"from {source}('{policy}')").fetchall() == []
    (tmp_path / "notes.txt").write_text("milk")
    assert "cannot open" in mistake("review", tmp_path / "notes.txt")
    older = older_run(tmp_path / "past", "update meta set value = '6' where key = 'store_version'")
    assert "store version 6, made by an older folkways" in mistake("review", older)


def test_from_live_judges_to_the_funnel(tmp_path: Path) -> None:
    run = played(tmp_path, scene_file(tmp_path, 2), scene_file(tmp_path, 3))

    def reply(prompt: Any, sampling: Any, schema: Any) -> str:
        if "quality" in schema["properties"] and "Scene 3" in str(prompt):
            return answer(schema, quality="bad", confidence="very confident", turns=[2])
        return answer(schema)

    REPLIES["alpha"] = reply
    try:
        critiqued(run, ALPHA, samples=3)
    finally:
        REPLIES.clear()
    text = folkways("review", run, "--policy", "clca").stdout
    shown = cells(text)
    assert ["GBR", "review_runs:player", "2", "0", "1", "0", "0", "1", "0.5"] in shown
    assert ["quality", "1"] in shown
    assert "dropped: Scene 3 · GBR" in text and "quality: Each of them answers" in text
    assert ["trial", "quality", "all", "2", "6", "1", "1"] in shown
