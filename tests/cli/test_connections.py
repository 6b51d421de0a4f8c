"""No command calls or listens outside this machine unless it is told to: neither ours nor Ray's."""

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from chats import row, tiny_model, write_corpus
from local_models import needs

from folkways.telemetry import OFF

ROOT = Path(__file__).parents[2]
CONFIG = {
    "name": "trial", "scenarios": ["soup-before-dusk"], "cultures": ["MEX"], "replicates": 2,
    "model": {"name": "fake"},
}  # fmt: skip
SURVEY = {
    "name": "survey", "items": "clca-44", "cultures": ["DEU"], "models": [{"name": "fake"}],
    "methods": ["culture"], "readouts": ["logprobs"], "orders": "forward", "people": "synthetic",
}  # fmt: skip
LOOPBACK = {"'127.0.0.1'", "'localhost'", "'::1'", "None", "''", "b'127.0.0.1'", "b'localhost'"}
"""Hosts that are this machine, as the notes have them; nobody can be called at '' or None, and
`test_a_cluster_of_ones_own...` looks at who listens there."""


def environment(folder: Path) -> dict[str, str]:
    """Return an environment that says nothing of telemetry, tokens or Ray, and whose Python notes
    what it connects to."""
    kept = {name: value for name, value in os.environ.items()
            if name not in OFF and not name.startswith("RAY_")}  # fmt: skip
    home = folder / "home"
    home.mkdir(exist_ok=True)
    path = os.pathsep.join([str(ROOT / "tests/support/socket_guard"), str(ROOT)])
    notes = str(folder / "notes")
    return kept | {"PYTHONPATH": path, "SOCKET_NOTES": notes, "HOME": str(home)}


def folkways(folder: Path, *words: object, wrapper: tuple[str, ...] = ()) -> None:
    """Run a command and see that it ends well."""
    done = subprocess.run(
        [*wrapper, sys.executable, "-m", "folkways", *map(str, words)], cwd=folder,
        env=environment(folder), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def outside(folder: Path) -> set[str]:
    """Return what was noted of addresses that are not this machine's."""
    notes = folder / "notes"
    lines = notes.read_text().splitlines() if notes.exists() else []
    return {line for line in lines if line.partition(" ")[2] not in LOOPBACK}


def written(folder: Path) -> Path:
    for name, data in (("trial", CONFIG), ("survey", SURVEY)):
        text = yaml.safe_dump(data | {"out": str(folder / "runs")})
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / "trial.yaml"


def test_the_guard_notes_what_is_called(tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "for host in ('192.0.2.1', '127.0.0.1'):\n"
        "    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made: made.connect((host, 9))"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(tmp_path), check=True)
    assert outside(tmp_path) == {"socket.connect '192.0.2.1'"}


def test_commands_call_nobody(tmp_path: Path) -> None:
    config = written(tmp_path)
    run = tmp_path / "runs" / "trial"
    for words in (
        ("run", config, "--quiet"),
        ("critique", run, "--model", "fake", "--quiet"),
        ("label", run, "--model", "fake", "--quiet"),
        ("eval", "wvs", "run", tmp_path / "survey.yaml", "--quiet"),
        ("sql", run, "select count(*) from conversations"),
        ("export", run, tmp_path / "corpus", "--policy", "none"),
    ):
        folkways(tmp_path, *words)
    assert outside(tmp_path) == set()


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_no_library_of_a_run_calls_anybody(tmp_path: Path) -> None:
    """System calls tell what libraries in other languages do, too."""
    config, calls = written(tmp_path), tmp_path / "calls"
    tracer = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect,bind,sendto,sendmsg",
              "-o", str(calls))  # fmt: skip
    folkways(tmp_path, "run", config, "--quiet", wrapper=tracer)
    folkways(tmp_path, "sql", tmp_path / "runs" / "trial", "from turns", wrapper=tracer)
    named = [line for line in calls.read_text().splitlines() if "sin_addr" in line or
             "sin6_addr" in line]  # fmt: skip
    assert [line for line in named if '"127.0.0.1"' not in line and '"::1"' not in line] == []


def listening(mark: str) -> set[str]:
    """Return where the processes listen whose environment has a mark: addresses as /proc says."""
    sockets = {}
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(file).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                sockets[f"socket:[{words[9]}]"] = words[1].partition(":")[0]
    found = set()
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark.encode() in (process / "environ").read_bytes():
                links = [os.readlink(handle) for handle in (process / "fd").iterdir()]
                found |= {sockets[link] for link in links if link in sockets}
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="there is no /proc")
def test_a_cluster_of_ones_own_listens_on_this_machine_alone(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    config = written(tmp_path)
    given = environment(tmp_path)
    line = [sys.executable, "-m", "folkways", "run", str(config), "--quiet", "--ray",
            "--workers", "1", "-o", "model.options.latency_s=0.5"]  # fmt: skip
    process = subprocess.Popen(line, cwd=tmp_path, env=given, stderr=subprocess.PIPE, text=True)
    seen: set[str] = set()
    while process.poll() is None:
        seen |= listening(given["SOCKET_NOTES"])
        time.sleep(0.2)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert seen and seen <= {"0100007F", "0000000000000000FFFF00000100007F"}, seen
    hosts = {line.partition(" ")[2].strip("'") for line in outside(tmp_path)}
    assert hosts <= {"169.254.169.254", "metadata.google.internal"}, "Ray asks which cloud it is in"
    token = tmp_path / "home" / ".ray" / "auth_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600 and len(token.read_text()) >= 32


def test_a_token_that_others_could_read_is_kept_from_them(tmp_path: Path) -> None:
    token = tmp_path / "home" / ".ray" / "auth_token"
    given = environment(tmp_path)
    code = (
        "from simulation.execution.placement import Cluster, prepare_ray\n"
        "import os\n"
        "prepare_ray(Cluster('local'))\n"
        "print(os.environ['RAY_AUTH_MODE'], os.environ['RAY_USAGE_STATS_ENABLED'])"
    )
    token.parent.mkdir()
    token.write_text("mine")
    token.chmod(0o644)
    for more, mode in (({"RAY_AUTH_TOKEN": "theirs"}, 0o644), ({}, 0o600)):
        done = subprocess.run([sys.executable, "-c", code], env=given | more, check=True,
                              capture_output=True, text=True)  # fmt: skip
        assert done.stdout.split() == ["token", "0"]
        assert token.read_text() == "mine" and stat.S_IMODE(token.stat().st_mode) == mode


def test_what_the_user_says_of_telemetry_stays(tmp_path: Path) -> None:
    code = f"import folkways, os; print(*(os.environ[name] for name in {sorted(OFF)!r}))"
    given = environment(tmp_path) | {"LANGSMITH_TRACING": "true"}
    done = subprocess.run([sys.executable, "-c", code], env=given, check=True,
                          capture_output=True, text=True)  # fmt: skip
    wanted = OFF | {"LANGSMITH_TRACING": "true"}
    assert done.stdout.split() == [wanted[name] for name in sorted(OFF)]


@pytest.mark.model
@needs("torch", "transformers", "peft", "trl", "matplotlib")
def test_training_calls_nobody(tmp_path: Path) -> None:
    """TRL reports every trainer that it makes, unless it is told not to."""
    tiny = tiny_model(tmp_path / "tiny")
    corpus = write_corpus(tmp_path / "corpus", [row(n, "DEU", 1) for n in range(4)], [])
    settings = {
        "name": "t", "model": str(tiny), "corpus": str(corpus), "out": str(tmp_path),
        "cultures": ["DEU"], "optimisation": {"max_steps": 1, "batch": 2, "max_length": 256},
    }  # fmt: skip
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    folkways(tmp_path, "train", tmp_path / "train.yaml", "--quiet")
    assert outside(tmp_path) == set()
