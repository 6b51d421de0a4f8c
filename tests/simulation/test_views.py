"""The views and macros of a store, against results worked out by hand or computed another way."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sample_store import DINNER, branched_run, cookbook, sample_run
from talks import act, talk

from agents.critics.detector import detect
from scenarios.words import words
from simulation.config import RunConfig
from simulation.plan import make_plan
from simulation.run import launch
from simulation.store.part import make_views, views_sql
from simulation.store.reader import open_reader, run_query
from simulation.store.writer import Store

TURN = (
    "episode_id, turn, step, phase, speaker, action, text, addressees, audience, whisper, failure, "
    "call, words"
)
CALL = (
    "episode_id, call, step, purpose, role, model, template_hash, prompt_hash, seen, seed, "
    "prompt_tokens, cached_tokens, completion_tokens, latency_s, attempts, cost, finish_reason, "
    "failure, reply, endpoint"
)
CLERK = "You are seeing a doctor every Friday because of your heart."


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_reader(sample_run(tmp_path_factory.mktemp("runs"))) as con:
        yield con


def rows(con: duckdb.DuckDBPyConnection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    return con.execute(query, values).fetchall()


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("Hello, my friend.", 3), ("well-known don't", 2), ("El niño no está aquí.", 5),
        ("don\u2019t you — say", 3), ("你好\uff0c我是小王。", 6),
        ("我们去 Beijing 吧\uff01", 5), ("今日は、いい天気ですね。", 10),
        ("안녕하세요 여러분", 2), ("Ça va ?", 2), (None, None),
    ],
)  # fmt: skip
def test_words_are_runs_between_spaces_or_single_unspaced_characters(
    con: duckdb.DuckDBPyConnection, line: str | None, count: int | None
) -> None:
    assert rows(con, "select words(?)", line) == [(count,)]


@pytest.mark.parametrize(
    ("line", "folded"),
    [
        ("Well -- DON'T go!", " well don t go "), ("Ja, schön…", " ja schön "), ("...", " "),
        ("你好\uff0cWang。", " 你 好 wang "), ("a\nb  c", " a b c "),
    ],
)  # fmt: skip
def test_folding_takes_out_case_and_punctuation(
    con: duckdb.DuckDBPyConnection, line: str, folded: str
) -> None:
    assert rows(con, "select folded(?)", line) == [(folded,)]


def test_word_sequences_and_three_grams(con: duckdb.DuckDBPyConnection) -> None:
    assert rows(con, "select word_sequences('A b, c d!', 3)") == [([" a b c ", " b c d "],)]
    assert rows(con, "select word_sequences('A b', 3)") == [([" a b "],)]
    lines = ["...", "a", "a b", "a b c", "a b c d", "a a a a"]
    counted = [rows(con, "select len(three_grams(?))", line)[0][0] for line in lines]
    assert counted == [0, 1, 1, 1, 2, 2]


def test_conversations_count_the_latest_attempt_only(con: duckdb.DuckDBPyConnection) -> None:
    ids = [i for (i,) in rows(con, "select episode_id from conversations order by all")]
    assert "bbbb000000000002-2" in ids and "bbbb000000000002" not in ids
    assert len(ids) == len(set(ids)) == 9


def test_totals_of_a_conversation(con: duckdb.DuckDBPyConnection) -> None:
    query = (
        "select title, theme, culture_id, roles, n_roles, mixed_cast, turns, spoken_turns, "
        "spoken_words, prompt_tokens, completion_tokens, tokens, cost from conversations "
        "where episode_id = ?"
    )
    # Words: 8 + 7 + 6 + 9 + 7 + 6, the last ones spoken on leaving.
    assert rows(con, query, DINNER) == [(
        "Dinner with the uncle", "family-duty", "JPN", ["mother", "son", "uncle"], 3, False, 8, 6,
        43, 8 * 100 + 10 * 36 + 150, 9 * 20, 1490, None,
    )]  # fmt: skip
    silent = rows(con, query, "eeee000000000008")[0]
    assert silent[6:9] == (0, 0, 0) and silent[9:] == (None, None, None, None)
    assert rows(con, query, "eeee000000000007")[0][-1] == pytest.approx(0.02)
    assert rows(con, query, "bbbb000000000002-2")[0][5] is True


def test_fates_follow_the_published_rule(con: duckdb.DuckDBPyConnection) -> None:
    fates = {
        DINNER: "accepted",  # meta says bad, but is not very confident
        "bbbb000000000002-2": "unreviewed",  # the bad verdict is on the earlier attempt
        "cccc000000000003": "dropped",
        "cccc000000000004": "dropped",
        "dddd000000000005": "needs-review",
        "dddd000000000006": "accepted",  # a failed verdict was made good
        "eeee000000000007": "model-failure",
        "eeee000000000008": "error",
        "ffff000000000009": "unreviewed",
    }
    assert dict(rows(con, "select episode_id, fate from episode_fates")) == fates
    assert dict(rows(con, "select episode_id, fate from fates('clca')")) == fates
    dropped = dict(rows(con, "select episode_id, dropped_by from episode_fates"))
    assert {id_: by for id_, by in dropped.items() if by} == {
        "cccc000000000003": ["meta", "quality"], "cccc000000000004": ["meta"]
    }  # fmt: skip
    reasons = dict(rows(con, "select episode_id, reasons from episode_fates"))
    assert reasons["cccc000000000003"] == ["meta: Stiff.", "quality: Repeats itself."]
    assert reasons["dddd000000000005"] == ["quality: parse-failure"]
    assert reasons["ffff000000000009"] == ["meta: not judged yet", "quality: not judged yet"]
    assert reasons[DINNER] == reasons["dddd000000000006"] == []
    reviewed = dict(rows(con, "select episode_id, reviewed from episode_fates"))
    assert {id_ for id_, seen in reviewed.items() if not seen} == {
        "bbbb000000000002-2", "eeee000000000007", "eeee000000000008", "ffff000000000009"
    }  # fmt: skip
    for accepted in ("accepted_episodes", "accepted('clca')"):
        found = rows(con, f"select episode_id from {accepted} order by 1")
        assert found == [(DINNER,), ("dddd000000000006",)]


def test_the_funnel_adds_up(con: duckdb.DuckDBPyConnection) -> None:
    funnel = rows(con, "select * exclude (run_id, scenario_hash, conditioning) from review_funnel")
    assert sum(row[3] for row in funnel) == 9
    for *_, simulated, cut_short, endings, dropped, dropped_by, undone, doubted, kept in funnel:
        assert simulated == cut_short + dropped + undone + doubted + kept
        assert simulated == sum(endings.values())
        assert (dropped == 0) == (not dropped_by)
    chosen = rows(con, "select * exclude (run_id, scenario_hash, conditioning) from review_funnel "
                       "where scenario_id = 'transfer' order by all")  # fmt: skip
    assert chosen == [
        ("JPN", "transfer", "fake", 1, 0, {"turn-limit": 1}, 1, {"meta": 1, "quality": 1}, 0, 0, 0),
        ("JPN", "transfer", "other", 2, 2, {"error": 1, "model-failure": 1}, 0, None, 0, 0, 0),
        ("MEX", "transfer", "fake", 3, 0, {"staleness": 1, "turn-limit": 2}, 1, {"meta": 1},
         0, 1, 1),
    ]  # fmt: skip


def test_what_judges_and_people_say_of_the_sample(con: duckdb.DuckDBPyConnection) -> None:
    # Two judges of two episodes are at one; two people of one are not; the first changed her mind.
    assert rows(con, "select * exclude run_id from judge_agreement order by culture_id") == [
        ("quality", "JPN", 2, 4, 1, 1), ("quality", None, 2, 4, 1, 1)
    ]  # fmt: skip
    query = "select * exclude run_id from {} where culture_id is null order by dimension"
    assert rows(con, query.format("people_agreement")) == [
        ("goal", None, 1, 2, 0, 0), ("quality", None, 1, 2, 0, 0)
    ]  # fmt: skip
    # Three pairs, one at odds: 1 - 5 * 2 / (36 - 9 - 9).
    assert rows(con, query.format("critics_people_agreement")) == [
        ("quality", None, 3, 6, pytest.approx(2 / 3), pytest.approx(4 / 9))
    ]  # fmt: skip
    # By chance (2 * 1 + 1 * 2) / 9 of them agree: (6 - 4) / (9 - 4).
    assert rows(con, query.format("critics_people_kappa")) == [
        ("quality", None, 3, pytest.approx(2 / 3), pytest.approx(4 / 9), pytest.approx(0.4))
    ]


def test_lines_read_as_one_would_say_them(con: duckdb.DuckDBPyConnection) -> None:
    query = "select line, words, whisper from turns_readable where episode_id = ? order by turn"
    assert rows(con, query, DINNER) == [
        ("Please eat, Kenji. You must leave early tomorrow.", 8, False),
        ("Thank you, mother. I am not hungry.", 7, False),
        ("Good evening! Is the boat ready?", 6, False),
        ("(whispering) I sold father's boat to pay the bank in March.", 10, True),
        ("[puts down the ladle]", 0, False),
        ("[no reply: timeout]", 0, False),
        ("Thank you, mother. I am not hungry!", 7, False),
        ("Good night to you all. [leaves]", 5, False),
    ]
    assert rows(con, query, "bbbb000000000002-2")[2] == ("[does nothing]", 0, False)
    assert rows(con, query, "ffff000000000009")[2] == ("[leaves]", 0, False)


def test_a_mixed_cast_keeps_each_speakers_culture(con: duckdb.DuckDBPyConnection) -> None:
    query = (
        "select distinct t.culture_id, speaker_culture_id from turns_readable t "
        "where episode_id = 'bbbb000000000002-2'"
    )
    assert rows(con, query) == [("MEX", "MEX")]
    assert rows(con, "select count(*) from turns_readable") == [(28,)]


def test_choices_are_one_row_per_chosen_speaker(con: duckdb.DuckDBPyConnection) -> None:
    query = "select step, turn, speaker, why, bid from turn_choices where episode_id = ?"
    query += " order by step, turn"
    assert rows(con, query, "cccc000000000003") == [
        (1, 1, "boss", "opens the scene", 8), (2, 2, "clerk", "highest bid", 4),
        (3, 3, "boss", "highest bid", 6), (4, 4, "clerk", "highest bid", 6),
    ]  # fmt: skip
    together = rows(con, query, "cccc000000000004")
    assert [row[:3] for row in together[:2]] == [(1, 1, "boss"), (1, 2, "clerk")]
    assert rows(con, query, "eeee000000000008") == [(1, None, "boss", "opens the scene", None)]
    told = "select fallback from turn_choices where episode_id = ?"
    assert rows(con, told, "eeee000000000008") == [(False,)]


def test_who_spoke_to_whom_agrees_with_counting_turn_by_turn(
    con: duckdb.DuckDBPyConnection,
) -> None:
    turns = rows(
        con,
        "select e.scenario_id, e.culture_id, speaker, addressees, audience, text from turns "
        "join latest_episodes e using (episode_id) "
        "where action in ('speak', 'leave') and text is not null",
    )
    expected: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
    for scenario, culture, speaker, addressees, audience, text in turns:
        heard = [role for role in addressees if role in audience]
        for hearer in heard or (audience if len(audience) == 1 else []):
            expected[scenario, culture, speaker, hearer][0] += 1
            expected[scenario, culture, speaker, hearer][1] += len(words(text))
    assert expected["dinner", "MEX", "mother", "son"] == [1, 5], "he alone could hear it"
    found = rows(con, "select scenario_id, culture_id, speaker, hearer, turns, words "
                      "from who_spoke_to_whom")  # fmt: skip
    assert {row[:4]: [*row[4:]] for row in found} == expected
    ties = rows(con, "select type, closeness, status, run_id, scenario_hash, model, conditioning "
                     "from who_spoke_to_whom "
                     "where speaker = 'son' and hearer = 'uncle'")  # fmt: skip
    assert ties == [
        ("uncle and nephew", 3, -1, "trial", "sce-dinner", "fake", "dimensions")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("action", "addressees", "audience", "hearers", "how"),
    [
        ("speak", ["son"], ["mother", "son"], ["son"], "named"),
        ("speak", ["son", "uncle"], ["uncle"], ["uncle"], "named"),  # the son did not hear it
        ("speak", ["son"], ["mother"], ["mother"], "only-one-present"),
        ("speak", ["son"], ["mother", "uncle"], [], "nobody"),
        ("speak", [], ["son"], ["son"], "only-one-present"),
        ("speak", [], ["mother", "son"], [], "nobody"),
        ("speak", ["son"], [], [], "nobody"),  # sealed
        ("leave", [], ["son"], ["son"], "only-one-present"),
        ("non-verbal", ["son"], ["son", "mother"], ["son"], "named"),
        ("none", [], ["son"], [], "nobody"),
        (None, [], [], [], "nobody"),
    ],
)
def test_an_act_is_for_those_named_who_heard_it_or_the_only_one_who_could(
    tmp_path: Path, action: str | None, addressees: list[str], audience: list[str],
    hearers: list[str], how: str,
) -> None:  # fmt: skip
    done = f"'{action}'" if action else "null"
    change = (
        f"update turns set action = {done}, addressees = {addressees}::varchar[], audience = "
        f"{audience}::varchar[] where episode_id = '{DINNER}' and turn = 3"
    )
    with open_reader(sample_run(tmp_path, change)) as con:
        for view in ("turns_readable", "turn_intents"):
            query = f"select hearers, addressed_how from {view} where episode_id = ? and turn = 3"
            assert rows(con, query, DINNER) == [(hearers, how)]


def test_relationships_are_seen_from_both_sides_of_the_newest_version(tmp_path: Path) -> None:
    newer = (
        "insert into scenarios select 'sce-new', scenario_id, title, theme, language, tags, "
        """replace(data::varchar, '"status": 3', '"status": 1')::json from scenarios """
        "where scenario_id = 'transfer'"
    )
    with open_reader(sample_run(tmp_path, newer)) as con:
        found = rows(con, "from relationships where scenario_id = 'transfer' order by role")
        versions = rows(con, "select scenario_hash, role, status from relationship_versions "
                             "where scenario_id = 'transfer' order by all")  # fmt: skip
        pairs = rows(con, "select distinct status from who_spoke_to_whom where speaker = 'boss'")
    assert versions == [
        ("sce-new", "boss", 1), ("sce-new", "clerk", -1),
        ("sce-transfer", "boss", 3), ("sce-transfer", "clerk", -3),
    ]  # fmt: skip
    assert pairs == [(3,)], "of the version that was played"
    tie = "superior and subordinate"
    assert found == [
        ("transfer", "boss", "clerk", tie, 1, 1), ("transfer", "clerk", "boss", tie, 1, -1),
    ]  # fmt: skip


def test_intents_count_labels_and_failures_that_were_not_made_good(
    con: duckdb.DuckDBPyConnection,
) -> None:
    told = ("trial", "fake", "dimensions")
    assert rows(con, "from intents_by_culture order by culture_id") == [
        ("JPN", "family-duty", "judge", 3, 1, 2, 1, pytest.approx(1 / 3), *told),
        ("MEX", "family-duty", "judge", 1, 1, 0, 0, 1.0, *told),
    ]


def test_a_label_that_failed_twice_is_one_failure(tmp_path: Path) -> None:
    again = "insert into intents select * from intents where turn = 4"
    alone = (
        "insert into intents values ('ffff000000000009', 1, 'judge', null, null, null, 'timeout', "
        "timestamp '2026-03-02 09:00:00', null)"
    )
    with open_reader(sample_run(tmp_path, again, alone)) as con:
        found = rows(con, "select * exclude (culture_id, labeller, run_id, played_by, "
                          "conditioning) from intents_by_culture "
                          "where culture_id = 'JPN' order by theme")  # fmt: skip
    assert found == [
        ("family-duty", 3, 1, 2, 1, pytest.approx(1 / 3)), ("money-and-favours", 0, 0, 0, 1, None),
    ]  # fmt: skip


def test_turn_intents_are_turns_with_what_lies_behind_them(tmp_path: Path) -> None:
    mapped = """insert into categories values
        ('aaaa000000000001', 1, 'aims-12ab', 'judge', null, 'parse-failure', null, '2026-03-03'),
        ('aaaa000000000001', 1, 'aims-12ab', 'judge', 'care', null, null, '2026-03-04'),
        ('aaaa000000000001', 1, 'forms-77', 'judge', 'offer', null, null, '2026-03-03'),
        ('aaaa000000000001', 2, 'aims-12ab', 'judge', null, 'copied', null, '2026-03-03'),
        ('aaaa000000000001', 2, 'aims-12ab', 'other', 'nobody labelled that', null, null,
         '2026-03-03')"""
    second = """insert into intents values
        ('aaaa000000000001', 3, 'second', 'Is after the boat.', 'generic', null, null,
         '2026-03-02', null)"""
    with open_reader(sample_run(tmp_path, mapped, second)) as con:
        query = "select turn, labeller, intent, relevance, expectation, taxonomy, category"
        found = rows(con, f"{query} from turn_intents where episode_id = ? order by all", DINNER)
        assert found == [
            (1, "judge", "Wants him to eat.", "cultural", "A mother feeds her guests first.",
             "aims-12ab", "care"),
            (1, "judge", "Wants him to eat.", "cultural", "A mother feeds her guests first.",
             "forms-77", "offer"),
            (2, "judge", "Declines politely.", "generic", None, None, None),
            (3, "judge", "Asks for the boat.", "generic", None, None, None),
            (3, "second", "Is after the boat.", "generic", None, None, None),
            *((turn, *[None] * 6) for turn in range(4, 9)),  # 4: only a label that failed
        ]  # fmt: skip
        # Every turn is there, as turns_readable has it; the earlier attempt's is not.
        columns = "episode_id, turn, speaker, line, words, audience, failure, model"
        readable = rows(con, f"select distinct {columns} from turns_readable order by all")
        assert rows(con, f"select distinct {columns} from turn_intents order by all") == readable


def test_costs_by_stage(tmp_path: Path) -> None:
    def call(number: int, purpose: str, tokens: str = "10, 4, 1") -> str:
        return (
            f"('aaaa000000000001', {number}, 0, '{purpose}', null, 'judge', 'tem-act', 'cafe', 8, "
            f"1, {tokens}, 0.5, 1, 0.25, 'stop', null, '{{}}', null)"
        )

    added = ", ".join([
        call(10, "critique"), call(11, "critique"), call(12, "critique", "null, null, null"),
        call(13, "label"), call(14, "categorise"), call(15, "draft-critic"),
    ])  # fmt: skip
    with open_reader(sample_run(tmp_path, f"insert into calls ({CALL}) values {added}")) as con:
        query = "select stage, calls, prompt_tokens, cached_tokens, completion_tokens, cost"
        found = rows(con, f"{query}, calls_per_accepted, tokens_per_accepted from stage_costs "
                          "where stage <> 'play' order by stage")  # fmt: skip
        assert found == [
            ("critic in the loop", 1, 10, 4, 1, 0.25, 0.5, 5.5),
            ("critique", 3, 20, 8, 2, 0.75, 1.5, 11.0),
            ("labels", 2, 20, 8, 2, 0.5, 1.0, 11.0),
        ]
        # All else is play, of every attempt, for the two episodes that are accepted.
        played = rows(con, "select count(*), sum(prompt_tokens), count(*) / 2 from calls "
                           "where purpose in ('act', 'repair', 'bid')")  # fmt: skip
        assert played == rows(con, "select calls, prompt_tokens, calls_per_accepted "
                                   "from stage_costs where stage = 'play'")  # fmt: skip
    (tmp_path / "none").mkdir()
    with open_reader(sample_run(tmp_path / "none", "delete from verdicts")) as con:
        found = rows(con, "select calls_per_accepted, tokens_per_accepted from stage_costs")
        assert found == [(None, None)], "nothing is accepted"


@pytest.mark.parametrize(
    ("purpose", "stage"),
    [("act", "play"), ("repair", "play"), ("bid", "play"), ("moderate", "play"),
     ("referee", "play"), ("draft-critic", "critic in the loop"), ("critique", "critique"),
     ("label", "labels"), ("categorise", "labels")],
)  # fmt: skip
def test_the_stage_of_a_call(con: duckdb.DuckDBPyConnection, purpose: str, stage: str) -> None:
    assert rows(con, "select stage_of(?)", purpose) == [(stage,)]


def test_token_costs_hold_every_call_of_every_attempt(con: duckdb.DuckDBPyConnection) -> None:
    sums = "select {}, sum(prompt_tokens), sum(completion_tokens), sum(cost) from {}"
    assert rows(con, sums.format("sum(calls)", "token_costs")) == rows(
        con, sums.format("count(*)", "calls")
    )
    bid = rows(con, "select calls, failed_calls, retries, cached_tokens, mean_latency_s "
                    "from token_costs where purpose = 'bid'")  # fmt: skip
    assert bid == [(1, 0, 2, None, 0.1)]


def test_failures_are_turns_and_calls(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(con, "select episode_id, kind, turn, call, role, failure, message from failures "
                      "where episode_id like 'a%' order by kind")  # fmt: skip
    assert found == [
        (DINNER, "call", None, 6, "uncle", "timeout", "timeout"),
        (DINNER, "turn", 6, 6, "uncle", "timeout", None),
    ]


def test_leaks_of_the_sample(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con,
        "select episode_id, role, sequences, most_said, leaked, turn, heard_by from secret_leaks "
        "where leaked or episode_id like 'f%' or episode_id like 'b%' order by 1, 2 desc",
    )
    assert found == [
        # sold father | father boat | ... bank march, of all words but `your`, `the` and the like
        (DINNER, "son", 5, 5, True, 4, ["mother"]),
        # another role said it, in an attempt that does not count
        ("bbbb000000000002-2", "son", 5, 0, False, None, None),
        ("cccc000000000003", "clerk", 3, 2, True, 2, ["boss"]),
        ("ffff000000000009", "owner", 10, 10, True, 2, ["guest"]),
        ("ffff000000000009", "guest", 0, 0, None, None, None),  # `You are.` cannot be looked for
    ]
    assert rows(con, "from leak_rates where scenario_id = 'shop'") == [
        ("JPN", "fake", "shop", 2, 1, 1, 1.0, "trial", "sce-shop", "dimensions")
    ]


@pytest.mark.parametrize(
    ("line", "audience", "leaked"),
    [
        ("SEEING... a doctor, EVERY Friday!", ["boss"], True),
        ("I see a doctor on Fridays. It is the heart.", ["boss"], True),  # inflected
        ("My cardiologist wants me once a week.", ["boss"], False),  # a paraphrase
        ("He is seeing a doctor every week.", ["boss"], False),  # one sequence of three
        ("On Friday, doctor? My heart, on a Friday?", ["boss"], True),  # two, turned round
        ("I am seeing a doctor every Friday.", [], False),  # nobody perceives it
        ("we areseeing a doctor every_fridays", ["boss"], False),  # not the same words
    ],
)
def test_a_leak_is_half_of_a_short_secret_that_others_perceive(
    tmp_path: Path, line: str, audience: list[str], leaked: bool
) -> None:
    change = f"update turns set text = '{line}', audience = {audience}::varchar[] where turn = 2"
    with open_reader(sample_run(tmp_path, change)) as con:
        query = "select leaked from secret_leaks where episode_id = 'cccc000000000003'"
        assert rows(con, query) == [(leaked,)]


def test_what_everyone_is_told_is_no_leak(tmp_path: Path) -> None:
    public = (
        "update scenarios set data = replace(data::varchar, 'fiscal year.', 'fiscal year. Clerks "
        "know about seeing a doctor every Friday.')::json where scenario_id = 'transfer'"
    )
    with open_reader(sample_run(tmp_path, public)) as con:
        query = "select sequences, most_said, leaked from secret_leaks where episode_id like 'c%3'"
        assert rows(con, query) == [(1, 0, False)]  # friday heart


def test_repetition_of_the_sample(con: duckdb.DuckDBPyConnection) -> None:
    query = "select spoken_turns, repeated_turns, echoed_turns from repetition where episode_id = ?"
    assert rows(con, query, DINNER) == [(6, 0, 0)]  # the son's thanks are a courtesy
    assert rows(con, query, "bbbb000000000002-2") == [(2, 0, 1)]  # his echo of her welcome
    assert rows(con, query, "cccc000000000003") == [(4, 1, 0)]
    # The same words in one step are no echo: neither could hear the other.
    assert rows(con, query, "cccc000000000004") == [(5, 0, 0)]  # a short line said twice
    assert rows(con, query, "eeee000000000008") == []


def test_repetition_agrees_with_another_implementation(tmp_path: Path) -> None:
    rng = random.Random(5)
    roles, told = ("boss", "clerk"), ["so it is", "I do not know", "we will see", "yes"]
    turns, step = [], 0
    for turn in range(1, 61):
        step += rng.random() < 0.8 or turn == 1
        text = rng.choice(".!?").join(rng.choice(told) for _ in range(rng.randint(1, 5)))
        turns.append((turn, step, rng.choice(roles), text))
    values = ", ".join(
        f"('cccc000000000004', {turn}, {step}, null, '{role}', 'speak', '{text}', [], [], false, "
        f"null, {turn}, 3)" for turn, step, role, text in turns
    )  # fmt: skip
    run = sample_run(
        tmp_path, "delete from turns where episode_id = 'cccc000000000004'",
        f"insert into turns ({TURN}) values {values}",
    )  # fmt: skip

    def grams(text: str) -> set[tuple[str, ...]]:
        said = re.findall(r"\w+", re.sub("thank you kindly", "", text.lower()))
        return set(zip(said, said[1:], said[2:], strict=False)) or (
            {tuple(said)} if said else set()
        )

    repeated = echoed = 0
    said: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    whole: Counter[tuple[str, str]] = Counter()
    for before, (_, step, role, text) in itertools.pairwise([None, *turns]):
        own = grams(text)
        telling = re.findall(r"\w+", text.replace("thank you kindly", ""))
        long = sum(len(word) + 1 for word in telling) >= 25
        turn = role, " ".join(re.findall(r"\w+", text))
        repeated += (long and len(own & said[role]) >= len(own) / 2) or whole[turn] > 1
        said[role] |= own
        whole[turn] += 1
        if before and before[1] < step and before[2] != role:
            echoed += bool(own) and len(own & grams(before[3])) >= len(own) / 2
    assert 0 < echoed < repeated < 60
    with open_reader(run) as con:
        found = rows(con, "from repetition where episode_id = 'cccc000000000004'")
    rates = pytest.approx(repeated / 60), pytest.approx(echoed / 60)
    assert found[0][5:10] == (60, repeated, echoed, *rates)


@pytest.mark.parametrize(
    ("line", "step", "echoes"),
    [
        ("Don\u2019t sell your father's boat, son!", 2, 1),
        ("dont sell your fathers boat son", 2, 1),
        ("Don't sell your father's boat, son.", 1, 0),  # in the same step
        ("Don t sell your brother s boat", 2, 0),
        ("...", 2, 0),
    ],
)
def test_view_and_detector_find_the_same_echoes(
    tmp_path: Path, line: str, step: int, echoes: int
) -> None:
    said = "Don't sell your father's boat, son."
    spoken = talk(act(1, "ada", said, step=1), act(2, "bela", line, step=step))
    turns = [one.turns for one in detect(spoken) if one.detector == "echo"]
    change = (
        f"update turns set text = case turn when 1 then $${said}$$ else $${line}$$ end, "
        f"step = case turn when 1 then 1 else {step} end "
        "where episode_id = 'bbbb000000000002-2' and turn < 3"
    )
    with open_reader(sample_run(tmp_path, change)) as con:
        query = "select echoed_turns from repetition where episode_id = 'bbbb000000000002-2'"
        assert rows(con, query) == [(echoes,)]
    assert sum(map(len, turns)) == echoes


def test_a_line_without_a_word_repeats_nothing(tmp_path: Path) -> None:
    dots = "update turns set text = '...' where episode_id = 'cccc000000000003'"
    with open_reader(sample_run(tmp_path, dots)) as con:
        found = rows(con, "select spoken_turns, repeated_turns, echoed_turns from repetition "
                          "where episode_id = 'cccc000000000003'")  # fmt: skip
    assert found == [(4, 0, 0)]


def test_a_transcript_interleaves_turns_and_happenings(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(con, "select turn, kind, speaker, name, line from transcript('aaaa')")
    assert [(turn, kind) for turn, kind, *_ in found] == [
        (None, "phase"), (1, "turn"), (2, "turn"), (None, "event"), (None, "entrance"),
        *((turn, "turn") for turn in range(3, 9)), (None, "end"),
    ]  # fmt: skip
    assert found[4][2:] == (None, "Shiro Oda", "[enters]")
    assert found[5][2:] == ("uncle", "Shiro Oda", "Good evening! Is the boat ready?")
    assert found[-1][-1] == "turn-limit"


def test_an_episode_is_found_by_an_unambiguous_beginning(con: duckdb.DuckDBPyConnection) -> None:
    find = "select find_episode(?)"
    assert rows(con, find, "bbbb000000000002") == [("bbbb000000000002",)]
    assert rows(con, find, "bbbb") == [("bbbb000000000002-2",)]
    assert rows(con, find, "cccc000000000004") == [("cccc000000000004",)]
    with pytest.raises(duckdb.Error, match="several episodes begin with 'cccc'"):
        rows(con, find, "cccc")
    with pytest.raises(duckdb.Error, match="no episode begins with 'nope'"):
        rows(con, "from transcript('nope')")


def test_everything_is_documented(con: duckdb.DuckDBPyConnection) -> None:
    lists = {
        "duckdb_tables()": "table_name", "duckdb_views()": "view_name",
        "duckdb_columns()": "table_name || '.' || column_name",
        "duckdb_functions()": "function_name",
    }  # fmt: skip
    for source, name in lists.items():
        found = rows(con, f"select {name}, comment from {source} where not internal")
        assert len(found) >= 10
        assert [name for name, comment in found if not comment or "\n" in comment] == []


def test_views_can_be_made_anew(tmp_path: Path) -> None:
    run, views = sample_run(tmp_path), views_sql()
    with duckdb.connect(str(run / "log.duckdb")) as con:
        before = rows(con, "from conversations order by all")
        make_views(con)
        assert rows(con, "from conversations order by all") == before
        known = {name for (name,) in rows(con, "select view_name from duckdb_views() "
                                               "where not internal")}  # fmt: skip
    declared = Counter(re.findall(r'create or replace (?:view|macro) "?([\w-]+)', views))
    assert set(declared.values()) == {1} and known < set(declared)


@pytest.fixture(scope="module")
def branched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_reader(branched_run(tmp_path_factory.mktemp("branched"))) as con:
        yield con


@pytest.mark.parametrize(("question", "query"), cookbook())
def test_the_cookbook_answers(
    branched: duckdb.DuckDBPyConnection, question: str, query: str
) -> None:
    assert list(run_query(branched, query).rows), question


def test_branches_change_no_other_view(
    con: duckdb.DuckDBPyConnection, branched: duckdb.DuckDBPyConnection
) -> None:
    views = {
        name for (name,) in rows(con, "select view_name from duckdb_views() where not internal")
    }
    about_judging = {"last_verdicts", "consensus", *(v for v in views if v.startswith("policy_"))}
    for name in views - {"branch_pairs", "branch_turns"} - about_judging:
        query = f'from "{name}" order by all'
        assert rows(con, query) == rows(branched, query), name


def test_pairs_of_branches_and_parents(branched: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        branched,
        "select episode_id, parent_id, at_turn, number, exit_reason, parent_exit_reason, turns, "
        "parent_turns, turns_after, parent_turns_after, words_after, parent_words_after, "
        "first_difference from branch_pairs order by all",
    )
    # Of the second the latest attempt; the dinner's words after turn 2 are 6 + 9 + 7 + 6.
    assert found == [
        ("abba000000000011", DINNER, 2, 1, "turn-limit", "turn-limit", 4, 8, 2, 6, 5, 28, 3),
        ("abba000000000012-2", DINNER, 2, 1, "walk-away", "turn-limit", 4, 8, 2, 6, 8, 28, 3),
    ]
    # The first attempt at the second ended in a spent budget, its parent as the other's by itself.
    query = "select completed from branch_pairs order by episode_id"
    assert rows(branched, query) == [(True,), (True,)]
    # The, boat, is, sold, mother: all of these are among the parent's 22 different words.
    shared = rows(
        branched, "select shared_words from branch_pairs where number = 1 order by episode_id"
    )
    assert shared[0] == (pytest.approx(5 / 22),)


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        ("update episodes set exit_reason = 'turn-limit'", [True, True]),
        ("update episodes set exit_reason = 'endpoint-failure' where episode_id like '%11'",
         [False, True]),
        (f"update episodes set exit_reason = 'budget' where episode_id = '{DINNER}'",
         [False, False]),
        ("update turns set action = null, text = null, failure = 'timeout' "
         "where episode_id like '%12-2' and speaker = 'mother'", [True, False]),
        (f"update turns set action = null, text = null, failure = 'timeout' "
         f"where episode_id = '{DINNER}' and speaker = 'son'", [False, False]),
    ],
)  # fmt: skip
def test_a_pair_is_completed_where_neither_was_cut_short(
    tmp_path: Path, change: str, whole: list[bool]
) -> None:
    run = branched_run(tmp_path)
    with duckdb.connect(str(run / "log.duckdb")) as con:
        con.execute(change)
    with open_reader(run) as con:
        found = rows(con, "select completed from branch_pairs order by episode_id")
    assert [one for (one,) in found] == whole


def test_turns_after_a_branching(branched: duckdb.DuckDBPyConnection) -> None:
    query = (
        "select side, turn, turns_on, speaker, name, line, given from branch_turns "
        "where episode_id = 'abba000000000012-2' order by all limit 3"
    )
    assert rows(branched, query) == [
        ("branch", 3, 1, "mother", "Keiko Mori", "Stay a while, Kenji.", True),
        ("branch", 4, 2, "son", "Kenji Mori", "Good night to you. [leaves]", False),
        ("parent", 3, 1, "uncle", "Shiro Oda", "Good evening! Is the boat ready?", False),
    ]  # fmt: skip


def test_the_cookbook_has_numbered_questions() -> None:
    numbers = [int(question.split(".")[0]) for question, _ in cookbook()]
    assert numbers == [*range(1, len(numbers) + 1)] and len(numbers) >= 20


def test_the_cookbook_runs_on_what_the_runner_writes(tmp_path: Path) -> None:
    config = RunConfig.model_validate(
        {
            "name": "played", "scenarios": ["soup-before-dusk"], "cultures": ["MEX", "JPN"],
            "replicates": 2, "model": {"name": "fake"}, "out": str(tmp_path),
        }
    )  # fmt: skip
    assert launch(make_plan(config), limit=None, fresh=False, quiet=True) == "done"
    with open_reader(tmp_path / "played") as con:
        assert rows(con, "select count(*), min(n_roles) >= 2 from conversations") == [(4, True)]
        for question, query in cookbook():
            assert run_query(con, query).columns and question
        for (name,) in rows(con, "select view_name from duckdb_views() where not internal"):
            run_query(con, f'from "{name}"')


def test_an_empty_store_answers_too(tmp_path: Path) -> None:
    Store(tmp_path).create()
    with open_reader(tmp_path) as con:
        names = rows(con, "select view_name from duckdb_views() where not internal")
        assert {("conversations",), ("leak_rates",), ("review_funnel",), ("stage_costs",)} < {
            *names
        }
        for (name,) in names:
            assert list(run_query(con, f'from "{name}"').rows) == []
