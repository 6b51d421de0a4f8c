"""`import folkways as fw`: from a run to its rows, its transcripts, its corpus, without a shell."""

from __future__ import annotations

import asyncio
import builtins
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import folkways as fw
from folkways import registry

CONFIG: dict[str, Any] = {
    "name": "pilot", "scenarios": ["soup-before-dusk"], "cultures": ["JPN", "MEX"],
    "limits": {"turns": 6}, "model": {"name": "fake"},
}  # fmt: skip
NOTEBOOK = Path(__file__).parents[2] / "examples/notebooks/first-look.ipynb"


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory) -> fw.Run:
    """A run that was judged and labelled, not to be changed."""
    out = tmp_path_factory.mktemp("runs")
    run = fw.run(CONFIG | {"out": str(out)}, quiet=True)
    run.critique(model="fake", critics=["quality"], quiet=True)
    return run.label(model="fake", quiet=True)


@pytest.fixture
def own() -> Iterator[None]:
    yield
    registry._own.clear()


def test_importing_it_loads_nothing_else() -> None:
    code = (
        "import sys, folkways as fw; dir(fw); "
        "print({'langgraph', 'torch', 'openai', 'duckdb', 'typer', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert all(callable(getattr(fw, name)) for name in fw.__all__)
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        fw.runn  # noqa: B018


def test_a_run_is_played_and_queried(pilot: fw.Run) -> None:
    assert pilot.ending == "done"
    rows = pilot.sql("select culture_id, turns from conversations order by culture_id")
    assert rows.columns == ["culture_id", "turns"]
    assert [culture for culture, _ in rows] == ["JPN", "MEX"] and rows.fetchall() == list(rows)
    assert rows.dicts()[0] == {"culture_id": "JPN", "turns": rows[0][1]}
    assert "culture_id" in repr(rows) and "<th>turns</th>" in rows._repr_html_()
    counts = [len(each()) for each in (pilot.episodes, pilot.verdicts)]
    assert counts == [2, 2]
    assert len(pilot.turns()) == len(pilot.intents()) == sum(turns for _, turns in rows)
    assert len(pilot.calls()) > len(pilot.turns())
    with pytest.raises(fw.UserError, match=r"only .*read"):
        pilot.sql("delete from turns")


def test_data_frames(pilot: fw.Run) -> None:
    query = "select culture_id, turns from conversations order by culture_id"
    pandas = pytest.importorskip("pandas")
    frame = pilot.sql(query).df()
    assert isinstance(frame, pandas.DataFrame) and [*frame["culture_id"]] == ["JPN", "MEX"]
    pytest.importorskip("pyarrow")
    table = pilot.sql(query).arrow()
    assert table.column_names == ["culture_id", "turns"] and table.num_rows == 2


def test_a_configuration_is_left_as_it_was_given(tmp_path: Path) -> None:
    given = CONFIG | {"out": str(tmp_path), "model": {"name": "nowhere:gone", "max_tokens": 9}}
    run = fw.run(given, model="fake", override=["model.max_tokens=20"], quiet=True)
    assert set(run.sql("select distinct model from calls")) == {("fake",)}
    assert given["model"] == {"name": "nowhere:gone", "max_tokens": 9}


def test_text_of_a_model_is_no_markup_in_a_notebook(tmp_path: Path) -> None:
    script = tmp_path / "fake.yaml"
    said = "<script>alert(1)</script>"
    script.write_text(json.dumps({"lines": [said]}), encoding="utf-8")
    run = fw.run(CONFIG | {"out": str(tmp_path)}, model=f"fake:{script}", quiet=True)
    assert said in run.sql("select text from turns")._rows[0]
    assert "<script>" not in run.sql("select text from turns")._repr_html_()
    assert "<script>" not in run.transcript()._repr_html_()


def test_in_a_notebook_each_object_is_shown_once(
    pilot: fw.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rich would also display what it is asked to lay out, where a kernel runs the cell."""
    kernel = type("ZMQInteractiveShell", (), {})
    monkeypatch.setattr(builtins, "get_ipython", kernel, raising=False)
    assert "culture_id" in repr(pilot.sql("select culture_id from conversations"))
    assert "Soup before dusk" in str(pilot.transcript())


def test_a_transcript_is_text_and_a_page(pilot: fw.Run) -> None:
    ids = [row[0] for row in pilot.sql("select episode_id from episodes order by all")]
    one = pilot.transcript(ids[0][:8])
    assert one.episode_id == ids[0] and str(one).startswith("Soup before dusk\n")
    assert "<html" in one._repr_html_() and "<script" not in one.page


def test_who_spoke_to_whom_is_a_graph(pilot: fw.Run) -> None:
    graph = pilot.network()
    query = "select sum(words), sum(turns) from who_spoke_to_whom"
    words, turns = pilot.sql(query)[0]
    assert graph.size("words") == graph.size("weight") == words
    assert pilot.network(weight="turns").size("weight") == turns
    with pytest.raises(fw.UserError, match="known: words, turns"):
        pilot.network(weight="age")


def test_several_runs_are_read_as_one(pilot: fw.Run, tmp_path: Path) -> None:
    other = fw.run(CONFIG | {"out": str(tmp_path), "name": "other", "seed": 1}, quiet=True)
    both = fw.open(pilot.path, other.path, pilot.path)
    counts = dict(both.sql("select run_id, count(*) from conversations group by all"))
    assert counts == {"pilot": 2, "other": 2}
    for table, what in (("turns_readable", "count(*)"), ("who_spoke_to_whom", "sum(words)")):
        query = f"select {what} from {table}"
        apart = [run.sql(query)[0][0] for run in (pilot, other)]
        assert both.sql(query)[0][0] == sum(apart)
    comments = "select comment from duckdb_views() where view_name = 'turns'"
    assert both.sql(comments)[0][0]
    assert len(fw.open(f"{tmp_path}/oth*").episodes()) == 2
    with pytest.raises(fw.UserError, match="one run at a time"):
        both.transcript()
    with pytest.raises(fw.UserError, match="no run matches"):
        fw.open(f"{tmp_path}/none-*")


def test_shards_are_read_beside_a_run(pilot: fw.Run, tmp_path: Path) -> None:
    from simulation.store.pack import pack

    other = fw.run(CONFIG | {"out": str(tmp_path), "name": "other", "seed": 1}, quiet=True)
    assert len([*pack(other.path, str(tmp_path / "packed"), 1)]) > 1
    both = fw.open(pilot.path, tmp_path / "packed")
    assert len(both.episodes()) == 4
    with pytest.raises(fw.UserError, match="two of these runs hold the episode"):
        fw.open(other.path, tmp_path / "packed").episodes()


def test_a_corpus_is_exported_once(pilot: fw.Run, tmp_path: Path) -> None:
    made = pilot.export(tmp_path / "corpus", preset="no-filter", quiet=True)
    before = {file: file.read_bytes() for file in made.iterdir()}
    assert pilot.export(made, preset="no-filter", quiet=True) == made
    assert {file: file.read_bytes() for file in made.iterdir()} == before != {}


def test_it_works_in_a_running_loop(tmp_path: Path) -> None:
    async def both() -> list[fw.Run]:
        first = fw.run(CONFIG | {"out": str(tmp_path)}, quiet=True, limit=1)
        return [first, await fw.arun(CONFIG | {"out": str(tmp_path)}, quiet=True)]

    first, second = asyncio.run(both())
    assert (first.ending, second.ending) == ("limit", "done") and len(second.episodes()) == 2


def test_overrides_and_faults_are_those_of_the_command(tmp_path: Path) -> None:
    given = CONFIG | {"out": str(tmp_path)}
    run = fw.run(given, override=["limits.turns=2"], quiet=True)
    assert run.sql("select max(turns) from conversations")[0] == (2,)
    with pytest.raises(fw.UserError, match="replicatez"):
        fw.run(given, override=["replicatez=2"])
    with pytest.raises(fw.FolkwaysError, match="no-such-run"):
        fw.open(tmp_path / "no-such-run")


def test_one_scene_is_checked_shown_and_played() -> None:
    scene = fw.Scenario.load("soup-before-dusk")
    assert [one for one in scene.check() if one.severity == "error"] == []
    assert "kidneys" in scene.show("elder", culture="JPN")
    with pytest.raises(fw.UserError, match="known: elder, grandchild"):
        scene.show("mayor")
    played = asyncio.run(scene.play(model="fake", turns=3))
    assert len(played.turns) == 3 and str(played).endswith("[the scene ends: turn-limit]")


@pytest.mark.usefixtures("own")
def test_a_registered_policy_decides_who_acts(tmp_path: Path) -> None:
    from simulation.episode.turn_policies import Choice

    @fw.turn_policy("monologue")
    async def monologue(stage: Any, ask: Any, rng: Any, options: Any) -> Choice:
        return Choice([stage.candidates()[0]], "always")

    scene = (Path("scenarios/library") / "soup-before-dusk.yaml").read_text(encoding="utf-8")
    file = tmp_path / "talk.yaml"
    text = scene.replace("id: soup-before-dusk", "id: talk")
    text = re.sub(r"^policy: .*$", "policy: monologue", text, flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")
    played = asyncio.run(fw.Scenario.load(file).play(model="fake", turns=3))
    assert {turn["speaker"] for turn in played.turns} == {"elder"}
    found = fw.Scenario.load(file).check()
    assert not any("policy" in problem.message for problem in found)


@pytest.mark.usefixtures("own")
def test_a_registered_engine_is_chosen_by_its_name(tmp_path: Path) -> None:
    from agents.models.fake import FakeModel

    asked: list[str] = []

    @fw.model("quiet")
    def quiet(spec: str, **options: Any) -> FakeModel:
        asked.append(spec)
        return FakeModel()

    run = fw.run(CONFIG | {"out": str(tmp_path)}, model="quiet:very", quiet=True, limit=1)
    assert asked == ["very"] and run.ending == "limit"
    with pytest.raises(fw.UserError, match=r"unknown model 'loud'.*known: .*quiet"):
        fw.run(CONFIG | {"out": str(tmp_path), "name": "other"}, model="loud")
    with pytest.raises(fw.UserError, match="cannot be the name"):
        fw.critic("a:b")(quiet)


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    known: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), known)
    assert known["figure"].axes and len(known["episodes"]) > 0
