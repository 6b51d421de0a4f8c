"""An episode as one persona lived it: everything it perceived, nothing else, every act once."""

import asyncio
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from corpus_runs import gossiped
from hypothesis import given
from hypothesis import strategies as st
from review_runs import rows

from simulation.replay.player import replay
from simulation.store.reader import open_reader
from simulation.store.writer import FILE
from training.corpus.perspective import BEGINS, NOBODY, perspective
from training.corpus.row import CorpusRow
from training.corpus.scene import Entry, Label, Person, Scene, copied_scenes, load_scenes
from training.corpus.task import dialogue_row, intent_row, relevance_row

ROLES = ("ada", "bela", "cleo", "dora")
MARK = re.compile(r"mark\d+x")


def person(role: str, **fields: object) -> Person:
    known = {
        "role": role, "name": role.title(), "persona": f"id-{role}", "age": 40,
        "occupation": "baker", "place": "Nether Wallop", "background": "Born there.",
        "brief": f"The {role} of the village.", "culture": "GBR", "demonym": "British",
        "speaks": None,
    }  # fmt: skip
    return Person(**(known | fields))


def scene(*entries: Entry, roles: tuple[str, ...] = ROLES, **fields: object) -> Scene:
    known = {
        "episode": "e1", "scenario": "talk", "family": "talk", "culture": "GBR", "language": "en",
        "model": "fake", "setting": "A bakery before dawn.",
        "people": tuple(person(role) for role in roles), "entries": entries, "failed": 0,
        "idle": 0,
    }  # fmt: skip
    return Scene(**(known | fields))


def act(turn: int, role: str, audience: str = "", step: int | None = None, line: str = "") -> Entry:
    heard = frozenset(audience.split())
    return Entry(step or turn, line or f"line mark{turn}x", heard, turn, role)


def happening(step: int, audience: str, line: str) -> Entry:
    return Entry(step, line, frozenset(audience.split()))


@st.composite
def episodes(draw: st.DrawFn) -> Scene:
    """Draw an episode: steps in which several act at once, each heard by whoever it may be, people
    who come late or never, and happenings in between.
    """
    roles = ROLES[: draw(st.integers(2, 4))]
    arrive = {role: draw(st.sampled_from((0, 0, 0, 2, 4, 99))) for role in roles}
    entries: list[Entry] = []
    turn = 0
    for step in range(1, draw(st.integers(1, 7)) + 1):
        here = [role for role in roles if arrive[role] <= step]
        for _ in range(draw(st.integers(0, 2))):
            heard = draw(st.sets(st.sampled_from(here))) if here else set()
            text = f"mark{900 + len(entries)}x happens"
            entries.append(Entry(step, text, frozenset(heard)))
        for role in draw(st.lists(st.sampled_from(here), unique=True)) if here else ():
            turn += 1
            others = [other for other in here if other != role]
            heard = draw(st.sets(st.sampled_from(others))) if others else set()
            whisper = "(whispering) " if len(heard) == 1 else ""
            entries.append(Entry(step, f"{whisper}mark{turn}x", frozenset(heard), turn, role))
    return scene(*entries, roles=roles)


@given(episodes())
def test_every_act_is_there_once_and_nothing_unheard(told: Scene) -> None:
    for focal in told.people:
        own = [entry for entry in told.acts if entry.role == focal.role]
        row = dialogue_row(told, focal)
        if not own:
            assert row is None
            continue
        assert row is not None
        users, assistants = alternating(row)
        assert assistants == [entry.line for entry in own], "each act once, in order"
        assert row.turns == tuple(entry.turn for entry in own)
        for number, text in enumerate(users):
            assert MARK.findall(text) == [
                MARK.findall(entry.line)[0]
                for entry in told.entries
                if focal.role in entry.audience and before(told, own, entry) == number
            ]
        assert f"You are {focal.name}, 40" in row.messages[0]["content"]
        assert f"Act as {focal.name}, a member of British" in row.messages[0]["content"]
        assert row.origin.role == focal.role and row.origin.persona == focal.persona


def before(told: Scene, own: list[Entry], entry: Entry) -> int | None:
    """Return before which of the acts an entry is perceived: a plain statement of the rule."""
    place = told.entries.index(entry)
    for number, mine in enumerate(own):
        earlier = place < told.entries.index(mine)
        if earlier and (entry.turn is None or entry.step < mine.step):
            return number
    return None


def alternating(row: CorpusRow) -> tuple[list[str], list[str]]:
    """Return user and assistant messages of a row that alternates strictly."""
    roles = [message["role"] for message in row.messages]
    assert roles == ["system"] + ["user", "assistant"] * (len(roles) // 2) and len(roles) > 2
    texts = [message["content"] for message in row.messages]
    assert all(texts)
    return texts[1::2], texts[2::2]


def test_lines_as_they_are_told() -> None:
    told = scene(
        happening(1, "ada bela", "A bell rings."),
        act(1, "ada", "bela cleo", line="Good morning."),
        act(2, "bela", "ada", line="(whispering) She knows."),
        act(3, "cleo", "ada bela", line="[puts the ladle down]"),
        happening(4, "ada", "Glass breaks."),
        act(4, "ada", "bela cleo", line="Good night. [leaves]"),
        act(5, "bela", "cleo", line="At last."),
    )
    ada = dialogue_row(told, told.people[0])
    assert ada is not None
    assert alternating(ada) == (
        ["* A bell rings.", "Bela: (whispering) She knows.\nCleo: [puts the ladle down]\n"
         "* Glass breaks."],
        ["Good morning.", "Good night. [leaves]"],
    )  # fmt: skip
    cleo = dialogue_row(told, told.people[2])
    assert cleo is not None
    assert alternating(cleo) == (["Ada: Good morning."], ["[puts the ladle down]"])


def test_nothing_perceived_is_said_in_so_many_words() -> None:
    told = scene(act(1, "ada"), act(2, "bela"), act(3, "ada"), act(4, "bela", "ada"))
    ada = dialogue_row(told, told.people[0])
    assert ada is not None and alternating(ada)[0] == [BEGINS, NOBODY]


def test_acts_of_one_step_are_perceived_after_it() -> None:
    told = scene(
        act(1, "ada", "bela", step=1), act(2, "bela", "ada", step=1),
        happening(2, "ada bela", "Rain."), act(3, "ada", "bela", step=2),
        act(4, "bela", "ada", step=2),
    )  # fmt: skip
    told_to = {}
    for role in ("ada", "bela"):
        exchanges = perspective(told.entries, role)
        told_to[role] = [[entry.line for entry in one.perceived] for one in exchanges]
    assert told_to == {
        "ada": [[], ["line mark2x", "Rain."]], "bela": [[], ["line mark1x", "Rain."]],
    }  # fmt: skip


def test_the_system_message_has_the_others_and_the_language() -> None:
    people = (
        person("ada", speaks="Mandarin Chinese"),
        person("bela", name="Bela {{ 7 * 7 }}", brief="The judge, {% raw %} <b>."),
    )
    row = dialogue_row(scene(act(1, "ada"), people=people), people[0])
    assert row is not None
    assert row.messages[0]["content"] == (
        "A bakery before dawn.\n\nYou are Ada, 40 years old, baker, from Nether Wallop. Born "
        "there. In this scene: The ada of the village.\n\nThe others:\n- Bela {{ 7 * 7 }}: The "
        "judge, {% raw %} <b>.\n\nAct as Ada, a member of British society. Ada speaks Mandarin "
        "Chinese."
    )


def test_an_act_without_a_label_runs_on() -> None:
    labels = {
        2: Label("Greets back.", "cultural", "The young greet first."),
        4: Label("Goes.", "generic", None),
    }
    told = scene(
        act(1, "ada", line="Morning."), act(2, "bela", line="(whispering) Morning."),
        happening(3, "ada", "Rain."), act(3, "ada", line="So."), act(4, "bela", line="[leaves]"),
        act(5, "ada", line="Gone."), labels=labels,
    )  # fmt: skip
    users = ["Ada: Morning.\nBela: (whispering) Morning.", "* Rain.\nAda: So.\nBela: [leaves]"]
    intent, relevance = intent_row(told), relevance_row(told)
    assert intent is not None and relevance is not None
    assert alternating(intent) == (users, ["Intent: Greets back.", "Intent: Goes."])
    assert alternating(relevance) == (users, ["cultural: The young greet first.", "generic"])
    assert intent.turns == relevance.turns == (2, 4)
    assert intent.origin.role is None and intent.origin.people == tuple(f"id-{r}" for r in ROLES)
    assert intent_row(scene(act(1, "ada"))) is None


# Played episodes ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gossiped(tmp_path_factory.mktemp("gossip"))


WORD = re.compile(r"word\d+")


def test_a_row_shows_what_the_agent_was_shown(run: Path) -> None:
    """Of every act the prompt is rebuilt from the log: the same words are in it and in the row."""
    episodes_ = [id_ for (id_,) in rows(run, "select episode_id from episodes")]
    acts = 0
    with duckdb.connect(str(run / FILE), read_only=True) as con:
        for told in load_scenes(con, episodes_):
            prompts = {one.call: one.prompt for one in asyncio.run(replay(con, told.episode)).calls}
            made = dict(
                con.execute(
                    "select turn, call from turns where episode_id = ?", [told.episode]
                ).fetchall()
            )
            for focal in told.people:
                row = dialogue_row(told, focal)
                for number, turn in enumerate(row.turns if row else ()):
                    assert row is not None
                    shown = prompts[made[turn]]
                    assert not isinstance(shown, str)
                    seen = " ".join(message["content"] for message in shown)
                    ours = " ".join(m["content"] for m in row.messages[1 : 2 + 2 * number])
                    assert WORD.findall(ours) == WORD.findall(seen)
                    acts += 1
    counted = "select count(*) from turns where action not in ('none')"
    assert rows(run, counted) == [(acts,)] and acts > 100


def test_failed_and_idle_acts_are_counted(run: Path) -> None:
    episodes_ = [id_ for (id_,) in rows(run, "select episode_id from episodes order by all")]
    with duckdb.connect(str(run / FILE), read_only=True) as con:
        scenes = load_scenes(con, episodes_)
    assert [told.episode for told in scenes] == episodes_
    (counts,) = rows(
        run,
        "select count(failure), count(*) filter (action = 'none'), count(*) from turns",
    )
    assert counts == (
        sum(told.failed for told in scenes), sum(told.idle for told in scenes),
        sum(len(told.acts) + told.failed + told.idle for told in scenes),
    )  # fmt: skip
    assert counts[0] and counts[1]


class Crowded:
    """A reader whose memory holds three episodes."""

    def __init__(self, *args: Any, **given: Any) -> None:
        self._con = open_reader(*args, **given)
        self.close = self._con.close

    def sql(self, query: str, params: dict[str, Any]) -> duckdb.DuckDBPyRelation:
        if len(params["episodes"]) > 3:
            raise duckdb.OutOfMemoryException("could not allocate block")
        return self._con.sql(query, params=params)


def test_episodes_too_many_for_the_memory_are_copied_in_parts(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    episodes_ = [id_ for (id_,) in rows(run, "select episode_id from episodes order by all")]
    monkeypatch.setattr("training.corpus.scene.open_reader", Crowded)
    parts = [*copied_scenes(run, episodes_, tmp_path / "copy", labels=True, drafts=True)]
    with open_reader(run) as con:
        assert parts == load_scenes(con, episodes_, labels=True, drafts=True)
    assert len(parts) > 6 and not [*tmp_path.iterdir()]


def test_no_goal_secret_or_private_fact_is_told(run: Path) -> None:
    episodes_ = [id_ for (id_,) in rows(run, "select episode_id from episodes")]
    with duckdb.connect(str(run / FILE), read_only=True) as con:
        scenes = load_scenes(con, episodes_)
    for told in scenes:
        for focal in told.people:
            row = dialogue_row(told, focal)
            if row is not None:
                text = str(row.messages)
                assert not re.search("goalword|secretword|factword|power distance|hierarch", text)
