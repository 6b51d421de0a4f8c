"""Detectors flag the faults they are made for, and nothing that people may well say."""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import ROLES, json_act, play, scenario
from talks import SENTENCES, SETTING, act, person, talk

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
import detectors as bench

from agents.conversation import Conversation, Person
from agents.critics.detector import DETECTORS, detect
from agents.critics.wording import stems, without_courtesies
from agents.language import identify, speaks
from simulation.review.calibration import expectations, fill_store, load_cases
from simulation.review.conversations import load_conversations
from simulation.store.writer import Store

CASES = yaml.safe_load(Path(__file__).with_name("detector_cases.yaml").read_text(encoding="utf-8"))


def alone(*texts: str, people: tuple[Person, ...] = ()) -> Conversation:
    """Return a conversation in which Ada says these texts and Bela something sound in between."""
    pairs = (pair for both in zip(texts, reversed(SENTENCES), strict=False) for pair in both)
    return talk(*pairs, people=people)


def flagged(conversation: Conversation, role: str = "ada") -> set[str]:
    return {one.detector for one in detect(conversation) if one.flagged and one.role == role}


def turns(conversation: Conversation, detector: str) -> tuple[int, ...]:
    return next(one.turns for one in detect(conversation) if one.detector == detector)


def single_turns() -> Iterator[tuple[str, tuple[Person, Person], str, bool]]:
    """Yield detector, cast, turn, and whether it is flagged."""
    for case in CASES["turns"]:
        people = person("ada", **case.get("ada", {})), person("bela", **case.get("bela", {}))
        for text in case.get("flagged", ()):
            yield case["detector"], people, text, True
        for text in case.get("sound", ()):
            yield case["detector"], people, text, False


def test_a_sound_conversation_is_not_flagged() -> None:
    found = detect(talk(*SENTENCES))
    assert [(one.detector, one.role) for one in found] == [
        (name, role) for role in ("ada", "bela") for name in DETECTORS
    ]
    assert not any(one.flagged or one.value or one.turns or one.evidence for one in found)


@pytest.mark.parametrize("aside", [False, True])
def test_precision_is_nine_tenths_and_recall_eight_in_every_detector(aside: bool) -> None:
    cases = [case for case in bench.load() if case.aside is aside]
    assert len(cases) >= 200 and len({case.language for case in cases}) >= 13
    for detector in ("meta-talk", "secret-leak", "repetition", "too-short"):
        one = bench.tally([case for case in cases if case.detector == detector])
        assert one.faulty == one.sound >= 21
        assert (one.precision or 0) >= 0.9 and one.recall >= 0.8, (detector, one)
    told = Path(__file__).parents[2].joinpath("docs", "critics.md").read_text(encoding="utf-8")
    assert "\n".join(bench.rows(cases)) in told, "python bench/detectors.py"


SPANISH = "Las gallinas no quieren salir con este frío."


@pytest.mark.parametrize(
    ("detector", "texts", "share"),
    [
        ("repetition", (*SENTENCES[:7], *SENTENCES[:3]), 3 / 10),
        ("repetition", (*SENTENCES[:5], *SENTENCES[:2]), 2 / 7),
        ("wrong-language", (*SENTENCES[:4], SPANISH), 1 / 5),
        ("wrong-language", (*SENTENCES[:5], SPANISH), 1 / 6),
        ("too-short", (*SENTENCES[:2], "Yes.", "Of course.", "Well, then, no..."), 3 / 5),
        ("too-short", (*SENTENCES[:3], "Yes.", "Of course.", "Well, then, no..."), 3 / 6),
    ],
)
def test_a_role_is_flagged_from_a_share_of_its_turns(
    detector: str, texts: tuple[str, ...], share: float
) -> None:
    conversation = alone(*texts)
    (found,) = [
        one for one in detect(conversation) if (one.detector, one.role) == (detector, "ada")
    ]
    assert found.value == pytest.approx(share)
    assert len(found.turns) == round(share * len(texts))
    threshold = {"repetition": 0.3, "wrong-language": 0.2, "too-short": 0.6}[detector]
    assert found.flagged is (share >= threshold)


def test_a_turn_repeats_what_its_speaker_said_before() -> None:
    said = "We should call the doctor tonight."
    again = "I think that we should call the doctor tonight."
    assert turns(alone(said, "No doubt.", again), "repetition") == (5,)
    assert turns(alone(said, "The doctor? Call him, tonight, we should."), "repetition") == ()
    assert turns(talk(said, said), "repetition") == (), "another person's words are no repetition"
    long = "はい、明日は船で島へ行きますね。"
    assert turns(alone(long, "ええ。", f"ええ、{long}"), "repetition") == (5,)
    polite = ("おはようございます、今日は早いですね。", "それは大変ですね。お医者さんには。",
              "困りましたね。うちの母も同じでした。", "はい、おかげさまで元気です。")  # fmt: skip
    assert turns(alone(*polite), "repetition") == ()


def test_courtesies_and_short_turns_repeat_when_they_are_said_for_the_third_time() -> None:
    for said in (
        "Thank you very much indeed, Mrs Carter.", "I will not go.", "はい、そうですね。",
        "السلام عليكم ورحمة الله وبركاته.", "どうもありがとうございます。",
    ):  # fmt: skip
        assert turns(alone(said, said), "repetition") == ()
        assert turns(alone(said, said, said, said), "repetition") == (5, 7)
    more = "Thank you very much indeed. The roof must be mended before it rains."
    assert turns(alone(more, more), "repetition") == (3,), "what is said besides counts"
    assert turns(talk("Good morning, Bela!", "Good morning, Ada!"), "echo") == ()


def test_an_echo_is_of_the_spoken_turn_just_before() -> None:
    said = "We should call the doctor tonight."
    echoing = talk(SENTENCES[0], said, "Yes, we should call the doctor.", SENTENCES[1])
    assert "echo" in flagged(echoing)
    assert turns(echoing, "echo") == (3,)
    assert "echo" not in flagged(talk(said, SENTENCES[0], said))
    beside = talk(SENTENCES[0], said, act(3, "bela", "[nods]", "non-verbal"), act(4, "ada", said))
    assert turns(beside, "echo") == (4,), "what is done without words does not part the two"
    assert turns(talk(said, act(2, "ada", said)), "echo") == (), "of another person"
    silent = talk(SENTENCES[0], act(2, "bela", "...", "leave"), act(3, "ada", "?!", "leave"))
    assert turns(silent, "echo") == turns(silent, "repetition") == (), "no words, no echo"
    few = [SENTENCES[0], said, said, *SENTENCES[1:6]]
    assert turns(talk(*few), "echo") == (3,)
    assert "echo" not in flagged(talk(*few)), "one turn of four"


@pytest.mark.parametrize(("detector", "people", "text", "expected"), list(single_turns()))
def test_what_one_turn_holds(
    detector: str, people: tuple[Person, Person], text: str, expected: bool
) -> None:
    assert (detector in flagged(talk(text, people=people))) is expected


def test_once_is_enough_where_no_share_is_set() -> None:
    people = person("ada", secret=SENTENCES[0]), person("bela")
    for fault, text in {
        "meta-talk": "As an AI I cannot bow.", "speaks-for-others": "No. Bela: Yes!",
        "secret-leak": SENTENCES[0],
    }.items():  # fmt: skip
        assert flagged(alone(text, *SENTENCES[1:11], people=people)) == {fault}


BOAT = "Father sold the old fishing boat in spring without asking."


def test_a_leak_is_told_by_its_owner_aloud_and_to_somebody() -> None:
    people = person("ada", secret=BOAT), person("bela")
    aside = {"whisper": True, "to": ("Bela",)}
    assert "secret-leak" in flagged(talk(act(1, "ada", BOAT, **aside), people=people))
    unheard = talk(SENTENCES[0], act(3, "ada", BOAT, audience=(), **aside), people=people)
    assert "secret-leak" not in flagged(unheard)
    assert "secret-leak" in flagged(talk(act(1, "ada", BOAT, "leave"), people=people))
    shown = talk(SENTENCES[0], act(3, "ada", BOAT, "non-verbal"), people=people)
    assert "secret-leak" not in flagged(shown)
    other = talk(SENTENCES[0], BOAT, people=people)
    assert not {"secret-leak"} & (flagged(other) | flagged(other, "bela"))
    told = talk(BOAT, people=people, public=(SETTING, f"Everyone knows: {BOAT.lower()}"))
    assert "secret-leak" not in flagged(told), "what everybody was told is no secret"


def test_only_those_who_spoke_are_looked_at() -> None:
    quiet = talk(
        act(None, None, "It rains."), act(1, "ada", "nods", "non-verbal"),
        act(2, "bela", None, "none"), act(3, "bela", None, None), act(4, "ada", None, "leave"),
    )  # fmt: skip
    assert detect(quiet) == detect(talk()) == []


names = st.text(min_size=1, max_size=12)
texts = st.one_of(st.text(max_size=60), st.sampled_from(SENTENCES), names.map("Hm. {}: yes".format))


@given(st.lists(texts, max_size=8), names, names, st.none() | texts, st.sampled_from(["en", "ja"]))
@settings(max_examples=60)
def test_whatever_is_said_is_measured(
    said: list[str], one: str, other: str, secret: str | None, language: str
) -> None:
    people = person("ada", one, secret=secret, language=language), person("bela", other)
    conversation = talk(*said, people=people)
    found = detect(conversation)
    assert found == detect(conversation)
    spoken = {line.turn: line for line in conversation.turns if line.words}
    for detection in found:
        own = [turn for turn, line in spoken.items() if line.role == detection.role]
        assert set(detection.turns) <= set(own)
        assert detection.value == len(detection.turns) / len(own)
        assert detection.turns or not detection.flagged
        first = spoken[detection.turns[0]].text if detection.turns else None
        assert detection.evidence == first


@pytest.mark.parametrize("text", ["", " ", "\ud800" * 30, "a\0b" * 30, "\n" * 50, "x" * 100_000])
def test_the_language_of_any_text_can_be_asked_for(text: str) -> None:
    language, probability = identify(text)
    assert isinstance(language, str)
    assert 0 <= probability <= 1
    assert speaks(text, "en")


def test_the_calibration_set_is_told_apart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    fill_store(store, datetime(2026, 1, 1), load_cases())  # noqa: DTZ001
    with store.reading() as con:
        ids = dict(con.execute("select episode_id, case_id from cases").fetchall())
        conversations = load_conversations(con, list(ids))
    found = {
        ids[id_]: {one.detector for one in detect(c) if one.flagged}
        for id_, c in conversations.items()
    }
    expected = {
        case.id: {name for name in expectations().get(case.fault or "", ()) if name in DETECTORS}
        for case in load_cases()
    }
    assert found == expected
    assert set().union(*expected.values()) == set(DETECTORS), "each has its cases"


@st.composite
def whispered_secrets(draw: st.DrawFn) -> tuple[str, list[tuple[str, str, bool]]]:
    """Draw a setting, and for each role a secret, what it says, and whether anybody hears it."""
    script = draw(st.sampled_from(CASES["scripts"]))
    gap, vocabulary = script["gap"], script["words"].split()
    several = st.lists(st.sampled_from(vocabulary), min_size=1, max_size=9)
    cases = []
    for _ in ROLES:
        secret, before, after = draw(several), draw(several), draw(several)
        cut = draw(st.integers(0, len(secret)))
        told = draw(st.sampled_from([secret, secret[:cut], secret[cut:], []]))
        heard = draw(st.integers(0, 5)) > 0
        cases.append((gap.join(secret), gap.join([*before, *told, *after]), heard))
    return gap.join(draw(several)), cases


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store with one episode in which five people with secrets speak once each."""
    roles = {role: {"secret": "Nobody knows it yet."} for role in ROLES}
    store = Store(tmp_path_factory.mktemp("run"))
    store.create()
    store.append([play(scenario(roles, limits={"turns": 5}), json_act())])
    with store.reading() as connection:
        yield connection


@given(whispered_secrets())
@settings(max_examples=40)
def test_leaks_agree_with_the_view_secret_leaks(
    con: duckdb.DuckDBPyConnection, drawn: tuple[str, list[tuple[str, str, bool]]]
) -> None:
    setting, cases = drawn
    con.execute("begin")
    change = json.dumps({"setting": setting})
    con.execute("update scenarios set data = json_merge_patch(data, ?::json)", [change])
    for role, (secret, text, heard) in zip(ROLES, cases, strict=True):
        con.execute("update roles set secret = ? where role = ?", [secret, role])
        audience = [other for other in ROLES if other != role] if heard else []
        con.execute(
            "update turns set text = ?, audience = ? where speaker = ?", [text, audience, role]
        )
    leaks = dict(con.execute("select role, coalesce(leaked, false) from secret_leaks").fetchall())
    (conversation,) = load_conversations(con, ["0" * 16]).values()
    con.execute("rollback")
    assert {role for role in ROLES if leaks.get(role)} == {
        one.role for one in detect(conversation) if one.detector == "secret-leak" and one.flagged
    }


HID = "{bela} hid the silver key of the tower under three loose bricks."
TEAMS = {
    "roles": {"dora": {"goal": "{ada} wants the silver key of the tower.", "public_goal": True}},
    "teams": {"thieves": {"roles": ["ada", "bela"], "secret": HID}},
}


@pytest.mark.parametrize(
    ("line", "audience", "leaked"),
    [
        ("Bela hid the silver key under three loose bricks.", ["cleo"], True),
        ("Bela hid the silver key under three loose bricks.", ["bela", "cleo"], True),
        ("Bela hid the silver key under three loose bricks.", ["bela"], False),  # of the team
        ("Bela hid the silver key under three loose bricks.", [], False),
        ("The silver key of the tower", ["cleo"], False),  # of a goal that all are told
        ("Bela hid the... the tower under three", ["cleo"], True),  # the name counts
    ],
)
def test_a_secret_of_a_team_is_given_away_to_outsiders_only(
    con: duckdb.DuckDBPyConnection, line: str, audience: list[str], leaked: bool
) -> None:
    con.execute("begin")
    con.execute("update scenarios set data = json_merge_patch(data, ?::json)", [json.dumps(TEAMS)])
    names = dict(con.execute("select role, name from roles").fetchall())
    con.execute("update turns set text = 'Aye.'")
    con.execute("update turns set text = ?, audience = ? where speaker = 'ada'",
                [line.replace("Bela", names["bela"]), audience])  # fmt: skip
    query = "select role, secret, leaked from secret_leaks where team = 'thieves' order by role"
    seen = con.execute(query).fetchall()
    own = con.execute("select count(*) from secret_leaks where team is null").fetchall()
    (conversation,) = load_conversations(con, ["0" * 16]).values()
    con.execute("rollback")
    secret = HID.replace("{bela}", names["bela"])
    assert seen == [("ada", secret, leaked), ("bela", secret, False)] and own == [(len(ROLES),)]
    assert [one.role for one in detect(conversation) if one.detector == "secret-leak" and
            one.flagged] == ["ada"] * leaked  # fmt: skip


def test_a_word_that_changes_with_the_speaker_parts_nothing(
    con: duckdb.DuckDBPyConnection,
) -> None:
    ((listed,),) = con.execute("select person_words()").fetchall()
    assert "your" in listed
    for word in listed:
        people = person("ada", secret=f"blue {word} boat"), person("bela")
        assert "secret-leak" in flagged(talk("A blue boat.", people=people)), word


@pytest.mark.parametrize(("text", "expected"), CASES["stems"].items())
def test_the_words_that_tell_a_secret(
    con: duckdb.DuckDBPyConnection, text: str, expected: str
) -> None:
    assert " ".join(stems(text)) == expected
    assert con.execute("select trim(stems(?))", [text]).fetchall() == [(expected,)]


@pytest.mark.parametrize(("text", "left"), CASES["without_courtesies"].items())
def test_courtesies_are_short_sentences(
    con: duckdb.DuckDBPyConnection, text: str, left: str
) -> None:
    assert without_courtesies(text).strip() == left
    ((same,),) = con.execute("select without_courtesies(?)", [text]).fetchall()
    assert same == without_courtesies(text)
