"""Replies are read as acts or refused; no text of a model breaks the reader."""

import contextlib
import json
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents.reply import MAX_TEXT, Act, NotAllowed, Unreadable, read_json, read_script
from scenarios.scenario import ACTIONS

NAMES = {"host": "Lin Meifang", "guest": "Ana O'Neill-Ruiz", "child": "Lin Bo"}


def script(reply: str, acts: tuple[str, ...] = ACTIONS) -> Act:
    return read_script(reply, "host", NAMES, acts)


def as_json(acts: tuple[str, ...] = ACTIONS, **fields: object) -> Act:
    value = {"action": "speak", "to": [], "whisper": False, "text": "Sit down."} | fields
    return read_json(json.dumps(value), "host", NAMES, acts)


@pytest.mark.parametrize(
    ("reply", "act"),
    [
        (" Sit down.", Act("speak", "Sit down.")),
        ("Lin Meifang: Sit down.", Act("speak", "Sit down.")),
        ("Sit down, Ana.", Act("speak", "Sit down, Ana.", ("guest",))),
        ("Bo and Ana, sit.", Act("speak", "Bo and Ana, sit.", ("guest", "child"))),
        ("The Lin family is proud.", Act("speak", "The Lin family is proud.")),
        ("(to Ana) Sit down.", Act("speak", "Sit down.", ("guest",))),
        ("(whispering to Lin Bo) Hush.", Act("speak", "Hush.", ("child",), True)),
        ("(to nobody known) Hush.", Act("speak", "(to nobody known) Hush.")),
        ("[pours the tea]", Act("non-verbal", "pours the tea")),
        ("[Lin Meifang nods]", Act("non-verbal", "nods")),
        ("[leaves]", Act("leave", None)),
        ("[She quietly leaves the room.]", Act("leave", None)),
        ("[leaves the cup on the table]", Act("non-verbal", "leaves the cup on the table")),
        ("Good night to you all. [leaves]", Act("leave", "Good night to you all.")),
        ("[says nothing]", Act("none", None)),
        ("Sit down.\nAna O'Neill-Ruiz: Thank you.", Act("speak", "Sit down.")),
        ("{{ secret }} {% raw %}", Act("speak", "{{ secret }} {% raw %}")),
    ],
)
def test_script_lines(reply: str, act: Act) -> None:
    assert script(reply) == act


@pytest.mark.parametrize(
    "reply",
    ["", "   \n", "...", "[]", "Ana O'Neill-Ruiz: I leave.", "... Lin Bo: Yes?", "x" * 100_000],
)
def test_script_lines_that_hold_no_act(reply: str) -> None:
    with pytest.raises(Unreadable):
        script(reply)


@pytest.mark.parametrize(
    ("reply", "text", "cut"),
    [
        ("So. Lin Bo: Yes?", "So.", "Lin Bo: Yes?"),
        ("Sit. Bo: Yes?", "Sit.", "Bo: Yes?"),
        ("Sit! **Ana**: Really?", "Sit!", "**Ana**: Really?"),
        ("Sit? **Ana:** Really?", "Sit?", "**Ana:** Really?"),
        ("Sit. Ana (smiling): Thanks.", "Sit.", "Ana (smiling): Thanks."),
        ("Sit. Ana [sits down]: Thanks.", "Sit.", "Ana [sits down]: Thanks."),
        ("坐。Ana\uff1a谢谢", "坐。", "Ana\uff1a谢谢"),
        ("Sit. guest: Thanks.", "Sit.", "guest: Thanks."),
        ("Sit. - Ana: Thanks.", "Sit.", "- Ana: Thanks."),
        ("Sit. > [Ana]: Thanks.", "Sit.", "> [Ana]: Thanks."),
        ("Sit. \u201cAna\u201d: Thanks.", "Sit.", "\u201cAna\u201d: Thanks."),
        ("Sit. <b>Ana</b>: Thanks.", "Sit.", "<b>Ana</b>: Thanks."),
        ("Sit. Ana\u200b\ufe55 Thanks.", "Sit.", "Ana\u200b\ufe55 Thanks."),
        ("Sit. Ana \u2236 Thanks.", "Sit.", "Ana \u2236 Thanks."),
        ("Sit. Ana says: no.", "Sit. Ana says: no.", None),
        ("Sit. Ana, listen: no.", "Sit. Ana, listen: no.", None),
        ("Sit. The child: Thanks.", "Sit.", "The child: Thanks."),
        ("Sit. ANA O'NEILL-RUIZ: No.", "Sit.", "ANA O'NEILL-RUIZ: No."),
        ("**Lin Meifang:** Sit.", "Sit.", None),
        ("Meifang: Sit.", "Sit.", None),
        ("host: Sit. Bo: No.", "Sit.", "Bo: No."),
        ("Lin Meifang (smiling): Sit. Ana: No.", "(smiling) Sit.", "Ana: No."),
        ("I told Bo: go home.", "I told Bo: go home.", None),
        ("The hour is 5:30. Anabel: a name.", "The hour is 5:30. Anabel: a name.", None),
    ],
)
def test_a_line_is_cut_where_somebody_else_speaks(reply: str, text: str, cut: str | None) -> None:
    act = script(reply)
    assert (act.action, act.text, act.cut) == ("speak", text, cut)


LINES = yaml.safe_load(Path(__file__).with_name("script_lines.yaml").read_text(encoding="utf-8"))
CAST = LINES["cast"]


@pytest.mark.parametrize("other", LINES["others"])
def test_however_a_name_is_written_the_line_is_cut_there(other: str) -> None:
    assert read_script(f"Sit. {other}", "host", CAST, ACTIONS).cut == other
    with pytest.raises(Unreadable, match="another person"):
        read_script(other, "host", CAST, ACTIONS)


@pytest.mark.parametrize("line", LINES["beginnings"])
def test_a_line_that_begins_as_somebody_elses_is_no_act(line: str) -> None:
    with pytest.raises(Unreadable, match="another person"):
        read_script(line, "host", CAST, ACTIONS)


@pytest.mark.parametrize("line", LINES["own"])
def test_ordinary_speech_that_names_somebody_is_whole(line: str) -> None:
    act = read_script(line, "host", CAST, ACTIONS)
    assert (act.text, act.cut) == (line, None)


def test_the_own_name_is_left_off_however_it_is_written() -> None:
    for label in ("Ada Lovasz", "ADA LOVÁSZ", "[Ada]", "\uff2cOVASZ", "The host"):
        assert read_script(f"{label}: Sit.", "host", CAST, ACTIONS) == Act("speak", "Sit.")
    for label in ("Ada to Béla", "Lovasz (to Béla)", "Ada -> Béla"):
        assert read_script(f"{label}: Sit.", "host", CAST, ACTIONS).to == ("guest",)
    assert read_script("Lan: Sit.", "child", CAST, ACTIONS) == Act("speak", "Sit.")
    assert read_script("Yes. Lân: Sit.", "child", CAST, ACTIONS).cut == "Lân: Sit."
    narrator = {"host": "Ada", "voice": "Narrator"}
    assert read_script("Narrator: It is late.", "voice", narrator, ACTIONS).text == "It is late."


def test_a_flood_of_spaces_is_read_at_once() -> None:
    begun = time.process_time()
    for line in ("Ana" + " " * 50_000 + "x", "So. Ana " + "* " * 10_000, "x" + " " * 50_000 + "["):
        with contextlib.suppress(Unreadable):
            script(line)
    assert time.process_time() - begun < 5


def test_what_stands_before_the_name_makes_the_act() -> None:
    assert script("[pours the tea] Ana: Thanks.") == Act(
        "non-verbal", "pours the tea", cut="Ana: Thanks."
    )
    assert script("Meifang (whispering to Bo): Hush.") == Act("speak", "Hush.", ("child",), True)


@pytest.mark.parametrize("reply", ["Ana: I", "**Lin Bo**: I", "- Bo (sighs): I", "child: I"])
def test_a_line_of_somebody_else_alone_is_no_act(reply: str) -> None:
    with pytest.raises(Unreadable, match="another person"):
        script(reply)


def test_the_last_object_with_an_action_counts() -> None:
    act = '{"action": "speak", "text": "Sit."}'
    for reply in (f'{{"plan": "rude?"}} {act}', f"{act} {act}", f'{act} {{"done": true}}'):
        assert read_json(reply, "host", NAMES, ACTIONS) == Act("speak", "Sit.")
    twice = '{"action": "leave", "text": "", "action": "speak"}'
    assert read_json(f'{act[:-1]}, "text": "Sit."}}', "host", NAMES, ACTIONS).text == "Sit."
    for reply in (
        twice,
        f'{{"action": "leave"}} {act}',
        f'{{"note": "{act}"}}',
        f'{act} {{"action',
    ):
        with pytest.raises(Unreadable):
            read_json(reply, "host", NAMES, ACTIONS)


def test_json_replies() -> None:
    assert as_json() == Act("speak", "Sit down.")
    assert as_json(to=["ana o'neill-ruiz"], whisper=True) == Act(
        "speak", "Sit down.", ("guest",), True
    )
    assert as_json(to=["Lin Meifang"]) == Act("speak", "Sit down."), "nobody addresses herself"
    assert as_json(action="none", text="hm") == Act("none", None)
    assert as_json(action="leave", text="") == Act("leave", None)
    fenced = '```json\n{"action": "speak", "to": [], "text": "1.5 kg"}\n``` and so on'
    assert read_json(fenced, "host", NAMES, ACTIONS) == Act("speak", "1.5 kg")


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "shout"}, {"to": ["Somebody"]}, {"to": "Lin Bo"}, {"text": None}, {"text": ""},
        {"text": "Lin Bo: I agree."}, {"text": "y" * (MAX_TEXT + 1)},
    ],
)  # fmt: skip
def test_json_replies_that_hold_no_act(fields: dict[str, object]) -> None:
    with pytest.raises(Unreadable):
        as_json(**fields)


def test_acts_the_scene_forbids() -> None:
    with pytest.raises(NotAllowed, match="non-verbal"):
        script("[leaves]", ("non-verbal",))
    with pytest.raises(NotAllowed):
        as_json(("none",))


def test_half_surrogates_do_not_reach_the_store() -> None:
    text = "ok \\ud83d \\ud83d\\ude00 \\u0000"
    reply = f'{{"action": "speak", "to": [], "whisper": false, "text": "{text}"}}'
    assert read_json(reply, "host", NAMES, ACTIONS).text == "ok \ufffd \N{GRINNING FACE}"


@given(st.text(st.characters()) | st.text(alphabet='{}[]":,\\n()abA1一²½'))
def test_any_text_is_an_act_or_unreadable(reply: str) -> None:
    for read in (read_script, read_json):
        try:
            act = read(reply, "host", NAMES, ACTIONS)
        except Unreadable:
            continue
        assert act.action in ACTIONS
        assert (act.text is None) == (act.action == "none") or act.action == "leave"
        assert "host" not in act.to
        assert not act.text or act.text.encode()


@given(st.sampled_from(["[" * 50_000, '{"a":' * 20_000, '{"action": ' + "9" * 5000 + "}"]))
def test_deep_and_long_json_is_unreadable(reply: str) -> None:
    with pytest.raises(Unreadable):
        read_json(reply, "host", NAMES, ACTIONS)
