"""Transcripts: what they show, and that hostile text in them stays text."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import re
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from review_runs import scene_file
from rich.console import Console
from sample_store import DINNER, sample_run

from folkways.cli import main
from folkways.text import printable
from simulation.display.live import heard_by_some
from simulation.display.transcript import (
    Opinion,
    Player,
    Purpose,
    Transcript,
    load_transcript,
    render_page,
    render_text,
)
from simulation.episode.entry import Entry
from simulation.store.reader import find_episode, open_reader

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% for x in y %}{# no #}",
    "</style><style>body{display:none}</style>",
    "</title></h1></details><iframe src=//example.com></iframe>",
    "<svg/onload=alert(1)><a href='javascript:alert(1)'>x</a>",
    "&lt;b&gt; &#60;script&#62; &amp;",
    "\u202eevil\u202c \u2066x\u2069 \x1b[2J\x1b]8;;http://example.com\x07link\x9b31m\x00",
    "]]><!-- --!> <![CDATA[ <?php",
    "[bold]x[/bold] [link=http://example.com]y[/link] \\[z]",
)
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "h1",
    "h2", "h3", "p", "ul", "ol", "li", "div", "span", "details", "summary", "dl", "dt", "dd",
}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "dir"}


class Page(HTMLParser):
    """A parsed page: its elements with attributes, and its texts outside of the style."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.style = ""
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.style += data
        else:
            self.texts.append(data)

    def unexpected(self, data: str) -> None:
        raise AssertionError(f"neither element nor text: {data}")

    handle_comment = handle_pi = unknown_decl = unexpected

    @property
    def text(self) -> str:
        return "".join(self.texts)


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_reader(sample_run(tmp_path_factory.mktemp("runs"))) as con:
        yield con


@pytest.fixture(scope="module")
def dinner(con: duckdb.DuckDBPyConnection) -> Transcript:
    return load_transcript(con, DINNER)


def printed(transcript: Transcript, private: bool = True, colours: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=colours, highlight=False)
    for part in render_text(transcript, private):
        console.print(part)
    return stream.getvalue()


def hostile_transcript(dinner: Transcript, text: str) -> Transcript:
    """Return the dinner with `text` wherever a person or a model can write."""
    players = tuple(
        dataclasses.replace(
            player, name=f"{player.name} {text}", about=text, brief=text, goal=text, secret=text,
            knows=(text,),
        )
        for player in dinner.players
    )  # fmt: skip
    entries = tuple(Entry(**(entry | {"text": text})) for entry in dinner.entries)  # type: ignore
    return dataclasses.replace(
        dinner, title=text, theme=text, setting=text, country=text, model=text, policy=text,
        exit_detail=text, players=players, entries=entries,
    )  # fmt: skip


def test_a_transcript_holds_cast_and_scene(dinner: Transcript) -> None:
    assert dinner.names == {"mother": "Keiko Mori", "son": "Kenji Mori", "uncle": "Shiro Oda"}
    assert dinner.players[1] == Player(
        "son", "Kenji Mori", "29, ferry hand, Japan", "Her grown son.", "en",
        "Get away without a scene.", "You have sold your father's boat to pay the bank in March.",
        ("The bank opens at nine.",),
    )  # fmt: skip
    kinds = [entry["kind"] for entry in dinner.entries]
    assert kinds == ["phase", "turn", "turn", "event", "entrance", *["turn"] * 6]
    assert (dinner.country, dinner.exit_reason, dinner.seed) == ("Japan", "turn-limit", 7)


def test_every_stored_episode_can_be_shown(con: duckdb.DuckDBPyConnection) -> None:
    for (episode,) in con.execute("select episode_id from episodes").fetchall():
        transcript = load_transcript(con, episode)
        assert transcript.title in printed(transcript)
        assert transcript.title in Page(render_page(transcript)).text


def test_the_terminal_shows_private_things_apart_and_then_the_scene(dinner: Transcript) -> None:
    text = printed(dinner)
    cast, scene = text.split("Supper is on the table.")
    assert "    Secret: You have sold your father's boat" in cast
    assert "    Goal: Borrow the boat." in cast and "    Knows: The bank opens at nine." in cast
    assert "Goal:" not in scene
    assert "4 Kenji Mori whispers to Keiko Mori: I sold father's boat" in scene
    assert "5 Keiko Mori [puts down the ladle]" in scene
    assert "6 Shiro Oda: [no act: timeout]" in scene
    assert "* There is a knock at the door." in scene and "* Shiro Oda comes in" in scene
    scene, _, verdicts = scene.partition("[the scene ends: turn-limit]")
    assert verdicts.split("\n")[1:4] == [
        "culture: aligned (confident). Plausible.",
        "meta: bad (confident). Not sure about the end.",
        "quality: good (very confident). Natural.",
    ]
    assert "1 Keiko Mori" in scene and "Wants him to eat. (expected: A mother feeds" in scene


def test_acts_that_not_everyone_there_heard_say_who_did(tmp_path: Path) -> None:
    run = sample_run(
        tmp_path,
        f"update turns set audience = [] where episode_id = '{DINNER}' and turn = 1",
        f"update turns set audience = ['mother'] where episode_id = '{DINNER}' and turn = 7",
    )
    with open_reader(run) as con:
        sealed = load_transcript(con, DINNER)
        heard = con.execute(
            "select turn, audience from turns where episode_id = ? and turn in (1, 7)", [DINNER]
        ).fetchall()
    assert sealed.heard == dict(heard) == {1: [], 7: ["mother"]}, "a whisper says it by itself"
    text, page = printed(sealed), " ".join(Page(render_page(sealed)).text.split())
    assert "1 Keiko Mori" in text and text.count("heard by") == page.count("heard by") == 2
    assert "(heard by nobody): " in text and "(heard by nobody)" in page
    assert "(heard by Keiko Mori)" in text and "(heard by Keiko Mori)" in page


def test_an_act_that_is_not_allowed_says_why(tmp_path: Path) -> None:
    turn = f"where episode_id = '{DINNER}' and turn = 1"
    run = sample_run(
        tmp_path,
        f"update turns set action = 'non-verbal', text = 'fish 9' {turn}",
        "insert into decisions (episode_id, turn, step, round, role, act, args, allowed, reason) "
        "select episode_id, 1, 1, 0, speaker, 'fish', '{}', false, 'it is <empty>' "
        f"from turns {turn}",
    )
    with open_reader(run) as con:
        refused = load_transcript(con, DINNER)
    for shown in (printed(refused), Page(render_page(refused)).text):
        assert "[fish 9] not allowed: it is <empty>" in " ".join(shown.split())


def test_who_is_not_there_yet_or_has_left_is_not_missed() -> None:
    def turn(number: int, speaker: str, *audience: str, **given: Any) -> Entry:
        plain = {"action": "speak", "addressees": [], "whisper": False, "failure": None}
        return Entry(kind="turn", turn=number, speaker=speaker, audience=[*audience],
                     **(plain | given))  # type: ignore[typeddict-item]  # fmt: skip

    come = Entry(kind="entrance", name="c", audience=["a", "b"])
    log = [
        turn(1, "a", "b"), come, turn(2, "a", "b"), turn(3, "b", "a", "c"),
        turn(4, "b", "a", action="leave"), turn(5, "a", "c"), turn(6, "c", failure="timeout"),
        turn(7, "c", "a", action="leave"), turn(8, "a"),
    ]  # fmt: skip
    assert heard_by_some(log, ["a", "b"]) == {2: ["b"], 4: ["a"]}


def test_private_things_can_be_left_out(dinner: Transcript) -> None:
    for text in (printed(dinner, private=False), render_page(dinner, private=False)):
        assert "boat to pay the bank in March.\n" not in text.split("4 Kenji")[0]
        assert "Get away without a scene." not in text and "opens at nine" not in text
        assert "Her grown son." in text


def test_each_speaker_has_a_colour(dinner: Transcript) -> None:
    text = printed(dinner, colours=True)
    styles = {name: set(re.findall(rf"\x1b\[([\d;]+)m{name}\x1b", text))
              for name in dinner.names.values()}  # fmt: skip
    assert all(len(found) == 1 for found in styles.values())
    assert len(set.union(*styles.values())) == 3


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_cannot_steer_the_terminal(dinner: Transcript, text: str) -> None:
    shown = printed(hostile_transcript(dinner, text), colours=True)
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", plain)
    visible = " ".join(printable(text).split())
    assert visible in " ".join(plain.split())


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("private", [True, False])
def test_hostile_text_stays_text_on_the_page(dinner: Transcript, text: str, private: bool) -> None:
    page = Page(render_page(hostile_transcript(dinner, text), private))
    plain = Page(render_page(dinner, private))
    harmless(page)
    assert page.style == plain.style
    assert [tag for tag, _ in page.elements if tag != "span"] == [
        tag for tag, _ in hostile_free(dinner, private).elements if tag != "span"
    ]
    assert page.text.count(printable(text)) >= 15


@given(st.text())
def test_any_text_is_shown_as_it_is(text: str) -> None:
    scene = small(text)
    page, usual = Page(render_page(scene)), Page(render_page(small("hello")))
    harmless(page)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in usual.elements]
    expected = printable(text).replace("\r", "")
    assert expected in page.text or not expected.strip()


def small(text: str) -> Transcript:
    """Return the smallest transcript, in which someone says `text`."""
    entry = Entry(
        kind="turn", step=1, text=text or " ", audience=[], turn=1, phase=None, speaker="a",
        action="speak", addressees=[], whisper=False, failure=None, call=1,
    )  # fmt: skip
    player = Player("a", "Ada", "40, baker, Japan", "A baker.", "en", "Sell bread.", None, ())
    values: dict[str, Any] = {
        field.name: "x" for field in dataclasses.fields(Transcript) if field.type == "str"
    }
    return Transcript(
        **values, replicate=0, seed=1, started_at=datetime.fromisoformat("2026-01-01"),
        exit_detail=None, players=(player,), entries=(entry,),
        purposes={1: Purpose(text or " ", text or " ")},
        opinions=(Opinion("quality", text, text, "confident", text),),
    )  # fmt: skip


def hostile_free(dinner: Transcript, private: bool) -> Page:
    """Return the page of the same shape with a harmless word in place of hostile text."""
    return Page(render_page(hostile_transcript(dinner, "word"), private))


def harmless(page: Page) -> None:
    """Assert that nothing on a page can run, load or lead anywhere."""
    for tag, attributes in page.elements:
        assert tag in ELEMENTS
        assert set(attributes) <= ATTRIBUTES
        for name, value in attributes.items():
            if name != "content":
                assert re.fullmatch(r"[\w -]*", value or ""), (tag, name, value)
    assert "url(" not in page.style and "@import" not in page.style


def test_the_page_admits_its_own_style_and_nothing_else(dinner: Transcript) -> None:
    source = render_page(dinner)
    page = Page(source)
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "http://" not in source and "https://" not in source
    assert source.lstrip().lower().startswith("<!doctype html>")


def test_the_page_shows_the_scene(dinner: Transcript) -> None:
    page = Page(render_page(dinner))
    text = " ".join(page.text.split())
    for line in (
        "Dinner with the uncle", "Kenji Mori whispers to Keiko Mori I sold father's boat",
        "[puts down the ladle]", "Shiro Oda: no act (timeout)", "There is a knock at the door.",
        "Shiro Oda comes in", "Kenji Mori to Keiko Mori and Shiro Oda", "[leaves]",
        "Only Kenji Mori was told Goal Get away without a scene. Secret You have sold",
        "The scene ends: turn-limit",
    ):  # fmt: skip
        assert line in text, line
    details = [attributes for tag, attributes in page.elements if tag == "details"]
    assert len(details) == 3 and all("open" not in attributes for attributes in details)
    classes = [a["class"] or "" for t, a in page.elements if t == "li" and "class" in a]
    classes = [name for name in classes if name.startswith("turn")]
    assert len(classes) == 8 and "turn h1 whisper" in classes


def folkways(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command."""
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    code = done.value.code
    return code if isinstance(code, int) else 0, *capsys.readouterr()


def test_the_command_shows_the_latest_or_the_chosen_episode(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sample_run(tmp_path)
    assert f"· {DINNER}" in folkways(capsys, "view", run)[1]
    code, out, _ = folkways(capsys, "view", run, "ffff", "--no-private")
    assert code == 0 and "今天最后一天。" in out and "卖完" not in out
    listed = folkways(capsys, "view", run, "--list")[1]
    assert listed.count("Dinner with the uncle") == 3 and "10 rows" in listed
    code, _, errors = folkways(capsys, "view", run, "cccc")
    assert code == 1 and errors.startswith("folkways: several episodes begin with 'cccc'")


def test_the_command_writes_a_page_and_does_not_overwrite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, page = sample_run(tmp_path), tmp_path / "page.html"
    command = ("view", run, "aaaa", "--html", page)
    assert folkways(capsys, *command)[:2] == (0, f"{page}\n")
    assert "Keiko Mori" in Page(page.read_text(encoding="utf-8")).text
    code, _, errors = folkways(capsys, *command)
    assert code == 1 and "exists already" in errors
    assert folkways(capsys, *command, "--force")[0] == 0
    code, _, errors = folkways(capsys, "view", run, "--html", tmp_path / "no" / "page.html")
    assert code == 1 and "cannot write" in errors


def test_a_scene_that_is_played_tells_who_hears(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phases = [{"id": "sealed", "hears": "nobody"}]
    file = scene_file(tmp_path, 3, id="bids", phases=phases, limits={"turns": 2})
    play = ("scenario", "play", file, "--model", "fake", "--form", "json")
    code, out, errors = folkways(capsys, *play)
    assert code == 0 and out.count("(heard by nobody)") == 2, errors


def test_an_empty_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sample_run(tmp_path, "delete from episodes")
    code, _, errors = folkways(capsys, "view", run)
    assert code == 1 and "no episode has been stored in this run yet" in errors
    with open_reader(run) as con, pytest.raises(Exception, match="no episode"):
        find_episode(con)
