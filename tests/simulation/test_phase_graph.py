"""The picture of a scene's phases: what leads where, and that no text becomes markup."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from scenes import scenario

from folkways.cli import main
from scenarios.scenario import Scenario
from simulation.display.phase_graph import phase_graph

MARKUP = '"] --> evil["</text><script>alert(1)</script> & #quot; |x|'


def _branching() -> Scenario:
    rule = {"rule": "goal-reached", "phrases": ["done"]}
    phases = [
        {"id": "poll", "vote": {"ask": MARKUP, "options": ["yes", "no"]},
         "next": [{"phase": "talk", "when": "n < 3"}]},
        {"id": "talk", "acts": ["speak"], "until": {"rounds": 1},
         "next": [{"phase": "poll", "when": "n == 2"}, {"phase": "end", "when": "n < 1"}]},
        {"id": "last", "acts": ["speak"], "until": {"rule": rule}},
    ]  # fmt: skip
    repeat = {"phases": ["talk", "last"], "times": 4, "until": "n > 9"}
    return scenario(2, world={"n": {"type": "integer"}}, phases=phases, repeat=repeat)


def test_a_chart_says_what_leads_where() -> None:
    lines = phase_graph(_branching()).mermaid().splitlines()
    assert lines[0] == "flowchart TD"
    assert lines[2:4] == [
        '    p1["talk<br>speak, 1 round"]',
        '    p2["last<br>speak, until goal-reached"]',
    ]
    assert [" ".join(line.split()) for line in lines[5:]] == [
        'p0 -->|"n #lt; 3, or otherwise"| p1',
        'p1 -->|"n == 2"| p0',
        'p1 -->|"n #lt; 1"| p3',
        'p1 -->|"otherwise"| p2',
        'p2 -->|"4 times, until n #gt; 9"| p1',
        'p2 -->|"then"| p3',
    ]


def test_a_picture_has_a_line_for_each_way_and_no_markup_of_a_scene() -> None:
    graph = phase_graph(_branching())
    picture = ElementTree.fromstring(graph.svg())
    texts = [one.text or "" for one in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}path"))) == 1 + len(graph.edges) == 7
    assert {"poll", "talk", "last", "end", "n < 3, or otherwise", "n == 2"} <= set(texts)
    assert not list(picture.iter("{http://www.w3.org/2000/svg}script"))
    (poll,) = re.findall(r'p0\["(.*)"\]', graph.mermaid())
    assert not set('"<>|') & set(poll.replace("<br>", "", 1))


def test_a_picture_is_not_written_over_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lake.svg"
    for arguments, code in (([], 0), ([], 1), (["--force"], 0)):
        with pytest.raises(SystemExit) as done:
            main(["scenario", "draw", "the-lake-in-spring", "--svg", str(file), *arguments])
        assert int(str(done.value.code or 0)) == code, capsys.readouterr().err
        assert file.read_text(encoding="utf-8").startswith("<svg")
