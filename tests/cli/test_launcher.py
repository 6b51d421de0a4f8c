"""The launcher: light to import, wary of shadowed names, plain about errors."""

import subprocess
import sys
from pathlib import Path

import pytest

from folkways.cli import main, shadowed
from folkways.cli.application import Folkways, Scenario

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "vllm", "scipy", "matplotlib", "ray", "trl", "peft", "xgrammar")


def python(code: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=paths[0] if paths else ROOT,
        env={"PYTHONPATH": ":".join(map(str, [*paths, ROOT])), "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_core_imports_no_heavy_package() -> None:
    code = f"""
import sys
from importlib import import_module
from pathlib import Path
for file in Path("folkways/cli").glob("*.py"):
    import_module(f"folkways.cli.{{file.stem}}")
import agents.models.fake, agents.models.openai.engine, simulation.replay.player, training, eval
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = python(code)
    assert done.stdout == "[]\n", done.stderr


def test_a_shadowed_package_name_is_one_clear_sentence(tmp_path: Path) -> None:
    assert shadowed() is None
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/__init__.py").write_text("")
    done = python("from folkways.cli import main; main(['culture', 'list'])", tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "'agents' resolves to" in done.stderr and "environment of its own" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["run", "no-such-file.yaml"], 1, "no-such-file.yaml"),
        (["run"], 2, "Missing argument"),
        (["scenario", "play", "no-such-scene"], 1, "no-such-scene"),
        (["scenario", "play", "soup-before-dusk", "--model", "gpt9"], 1, "known: control"),
        (["culture", "show", "ATL"], 1, "ATL"),
    ],
)
def test_exit_codes_and_one_clear_line(
    arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    errors = capsys.readouterr().err
    assert caught.value.code == code and text in errors and "Traceback" not in errors


def test_show_prints_what_each_agent_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("json", "script"):
        with pytest.raises(SystemExit):
            main(["scenario", "show", "soup-before-dusk", "--form", form, "--culture", "JPN"])
        shown = capsys.readouterr().out
        assert shown.count("what ") >= 2 and "Japan" in shown


def test_play_prints_a_scene_turn_by_turn(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["scenario", "play", "soup-before-dusk", "--model", "fake", "--turns", "4"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "the scene ends: " in shown and "  1 " in shown


@pytest.mark.parametrize("group", [Folkways, Scenario])
def test_help_lists_commands_that_exist_and_imports_none(group: type[Scenario]) -> None:
    for name, listed in group.listed.items():
        command = group(name="folkways").commands[name]
        assert (command.name or name) == name
        assert listed.help.split()[0] == str(command.help).split()[0], name
    code = """
import sys
from folkways.cli import main
try:
    main(["--help"])
finally:
    print(*sys.modules)
"""
    shown = python(code).stdout
    assert "Query a run with SQL" in shown
    assert not {"duckdb", "pydantic", "folkways.cli.run"} & set(shown.split())


def test_documented_modules_are_found_by_their_old_names() -> None:
    code = """
from simulation.launch import launch
from simulation.policy import Choice
from training.tuning.tokenise import find_form
import simulation.run, simulation.episode.turn_policies as policies, training.finetune.tokenise
same = launch is simulation.run.launch and Choice is policies.Choice
print(same, find_form is training.finetune.tokenise.find_form)
"""
    done = python(f"import warnings\nwarnings.simplefilter('error')\n{code}")
    assert "DeprecationWarning: simulation.launch is simulation.run now" in done.stderr
    assert python(code).stdout == "True True\n"
