"""Code that files name: found beside them, and run only where the user has said so."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import command

from folkways.errors import UserError
from folkways.registry import Code, CodeNotAllowed, allow_code, look_beside, resolve, set_code
from scenarios.checks.check import check_file
from scenarios.skeleton import write_skeleton
from simulation.config import load_config
from simulation.plan import make_plan

POLICY = """
from pathlib import Path
from simulation.episode.turn_policies import Choice

Path(__file__).with_suffix(".ran").touch()

async def first(stage, ask, rng, options):
    return Choice([stage.candidates()[0]], "mine")

async def short(stage):
    return None

def late(stage, ask, rng, options):
    return None
"""


@pytest.fixture(autouse=True)
def nothing_is_allowed() -> None:
    set_code(Code())


def scene(folder: Path, policy: str, code: str | None = POLICY) -> Path:
    """Write a scenario that names code, and the code beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mine.yaml"
    write_skeleton(file, 2)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("policy: addressed", f"policy: {policy}"), encoding="utf-8")
    if code is not None:
        (folder / "own_policy.py").write_text(code, encoding="utf-8")
    return file


def run_file(folder: Path, scenario: Path) -> Path:
    """Write the configuration of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "run.yaml"
    file.write_text(f"scenarios: ['{scenario}']\ncultures: [GBR]\nmodel: {{name: fake}}\n")
    return file


def test_reading_and_checking_a_scenario_runs_nothing_of_it(tmp_path: Path) -> None:
    file = scene(tmp_path, "own_policy:first")
    (problem,) = check_file(file)
    assert (problem.severity, problem.path) == ("warning", ("policy",))
    assert "run only with --allow-code" in problem.message
    assert command("scenario", "show", file) == 0
    assert not (tmp_path / "own_policy.ran").exists()


def test_a_scenario_of_somebody_elses_is_not_played_without_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = scene(tmp_path / "theirs", "own_policy:first")
    assert command("scenario", "play", file, "--model", "fake") == 1
    assert "run only with --allow-code" in capsys.readouterr().err
    assert command("run", run_file(tmp_path, file), "--quiet") == 1
    assert command("run", tmp_path / "run.yaml", "--dry-run") == 1
    assert not (tmp_path / "theirs/own_policy.ran").exists()
    assert not (tmp_path / "runs/run").exists()
    assert command("scenario", "check", file, "--allow-code") == 0
    assert (tmp_path / "theirs/own_policy.ran").exists()


def test_a_store_of_somebody_elses_runs_no_code_without_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = scene(tmp_path, "own_policy:first")
    assert command("run", run_file(tmp_path, file), "--quiet") == 0
    (tmp_path / "own_policy.ran").unlink()
    capsys.readouterr()
    command("sql", "runs/run", "select episode_id from episodes", "--csv")
    episode = capsys.readouterr().out.split()[-1]
    for arguments in (["replay", "runs/run"], ["branch", "runs/run", episode, "--at", "1"]):
        assert command(*arguments, "--quiet") == 1
        told = capsys.readouterr().err
        assert "is code, and is run only with --allow-code" in told, told
    assert not (tmp_path / "own_policy.ran").exists()


def test_the_module_beside_the_run_configuration_is_the_users_own(tmp_path: Path) -> None:
    file = scene(tmp_path / "theirs", "own_policy:first", code=None)
    (tmp_path / "own_policy.py").write_text(POLICY, encoding="utf-8")
    assert len(make_plan(load_config(run_file(tmp_path, file)))) == 1
    (tmp_path / "theirs/own_policy.py").write_text("raise RuntimeError", encoding="utf-8")
    assert len(make_plan(load_config(tmp_path / "run.yaml"))) == 1, "theirs is not the one sought"


@pytest.mark.parametrize(
    ("policy", "code", "told"),
    [
        ("own_policy:absent", POLICY, "cannot be imported: AttributeError"),
        ("no_such_module:first", POLICY, "cannot be imported: ModuleNotFoundError"),
        ("own_policy:short", POLICY, "is not an async function of stage, ask, rng, options"),
        ("own_policy:late", POLICY, "is not an async function of stage, ask, rng, options"),
        ("own_policy:first", "1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("own_policy:first", "a b", "cannot be imported: SyntaxError"),
        ("own_policy:first", "raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
        ("json:first", POLICY, "cannot be imported: AttributeError"),
    ],
)
def test_check_tries_the_code_it_may_run(policy: str, code: str, told: str, tmp_path: Path) -> None:
    allow_code()
    (problem,) = check_file(scene(tmp_path, policy, code))
    assert problem.severity == "error" and told in problem.message
    assert "\n" not in problem.render("F")


def test_a_name_that_is_taken_is_told(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("x = 1", encoding="utf-8")
    look_beside(tmp_path / "run.yaml", trusted=True)
    with pytest.raises(UserError, match=r"json\.py' is taken by another module; rename the file"):
        resolve("model", "json:x", {})


def test_a_model_is_found_beside_the_configuration_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    (home / "own_helper.py").write_text("NAME = 'fake'\n", encoding="utf-8")
    (home / "own_model.py").write_text(
        "from own_helper import NAME\nfrom agents.models.fake import from_spec\n"
        "def make(spec):\n    return from_spec(NAME)\n", encoding="utf-8",
    )  # fmt: skip
    text = "scenarios: [soup-before-dusk]\nmodel: {name: 'own_model:make', reply_form: json}\n"
    (home / "run.yaml").write_text(text, encoding="utf-8")
    assert command("run", home / "run.yaml", "--quiet", "--limit", "1") == 0
    assert (tmp_path / "runs/run/log.duckdb").exists()


def test_an_endpoint_of_a_pool_file_is_no_code_without_leave(tmp_path: Path) -> None:
    from agents.models.pool.pool_file import read_pool

    file = tmp_path / "theirs.yaml"
    file.write_text("endpoints: [{name: a, model: 'os:getcwd'}]\n", encoding="utf-8")
    with pytest.raises(UserError, match="is code, and is run only with --allow-code"):
        read_pool(file, {})


def test_shipped_names_need_no_leave() -> None:
    from folkways.registry import resolve_foreign
    from simulation.episode.turn_policies import POLICIES

    for name in POLICIES:
        assert callable(resolve_foreign("turn policy", name, POLICIES))
    with pytest.raises(CodeNotAllowed):
        resolve_foreign("turn policy", "os:system", POLICIES)
