"""What a process that was killed while it made a corpus has left: taken up, cleared away, never in
the way and never a corpus."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from corpus_runs import GOSSIP, scene
from review_runs import played
from typer.testing import CliRunner

from folkways.cli.application import application
from folkways.errors import UserError
from training.corpus.card import CARD
from training.corpus.config import make_config
from training.corpus.export import MOVING, PART, WORK, export_corpus, made_whole

ROOT = Path(__file__).parents[2]
COLLECT = """
import os, sys
from pathlib import Path
from training.corpus.build import collect
from training.corpus.candidates import Candidates
from training.corpus.config import make_config
from training.corpus.export import WORK, made_whole
from training.corpus.progress import ExportProgress

left = int(sys.argv[3])

def length(text):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    return -(-len(text.encode()) // 4)

config = make_config("dialogue-only", policy="none")
with made_whole(Path(sys.argv[2]), keep=WORK) as part:
    (part / WORK).mkdir(exist_ok=True)
    candidates = Candidates(part / WORK, config.seed)
    collect(Path(sys.argv[1]), config, candidates, length, ExportProgress(True), at_once=1)
"""
"""Collects a corpus, an episode at a time, and is killed when so many texts were measured."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    scenes = [scene(folder, name) for name in ("one", "two")]
    return played(folder, *scenes, model={"name": GOSSIP}, replicates=6)


def killed(run: Path, out: Path, texts: int) -> None:
    """Collect in a process that kills itself when it has measured so many texts."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, str(run), str(out), str(texts)], cwd=ROOT, check=False
    )
    assert done.returncode == -signal.SIGKILL


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def chunks(out: Path) -> int:
    """Return how many chunks of episodes a process that was killed had collected."""
    with duckdb.connect(str(out / PART / WORK / "candidates.duckdb")) as con:
        return int(con.execute("select coalesce(sum(chunks), 0) from collected").fetchall()[0][0])


def test_a_killed_export_is_resumed_to_the_same_corpus(run: Path, tmp_path: Path) -> None:
    calm, out = tmp_path / "calm", tmp_path / "c"
    config = make_config("dialogue-only", policy="none")
    export_corpus(run, calm, config, at_once=1)
    seen = []
    for texts in (40, 40, 40):
        killed(run, out, texts)
        assert [path.name for path in out.iterdir()] == [PART]
        seen.append(chunks(out))
    assert seen[0] < seen[1] < seen[2], "each resumes where the last one was killed"
    export_corpus(run, out, config, at_once=1)
    ours, theirs = files(out), files(calm)
    assert ours.pop(CARD) == theirs.pop(CARD).replace(bytes(calm), bytes(out))
    assert ours == theirs and "train.jsonl" in ours


def test_what_was_made_of_something_else_is_begun_anew(run: Path, tmp_path: Path) -> None:
    calm, out = tmp_path / "calm", tmp_path / "c"
    killed(run, out, 60)
    assert chunks(out) > 0
    config = make_config("dialogue-only", policy="none", seed=3)
    for folder in (calm, out):
        export_corpus(run, folder, config)
    assert (out / "train.jsonl").read_bytes() == (calm / "train.jsonl").read_bytes()


def test_killed_while_files_were_moved_into_place(tmp_path: Path) -> None:
    """One of two files is there: it is no corpus, it is in nobody's way, and nobody else's goes."""
    part = tmp_path / "c" / PART
    part.mkdir(parents=True)
    (part / MOVING).write_text(json.dumps(["train.jsonl", "README.md"]))
    (part / "README.md").write_text("old")
    (tmp_path / "c" / "train.jsonl").write_text("old")
    with made_whole(tmp_path / "c") as folder:
        (folder / "train.jsonl").write_text("new")
    assert files(tmp_path / "c") == {"train.jsonl": b"new"}
    part.mkdir()
    (part / MOVING).write_text(json.dumps(["../mine.txt", "train.jsonl"]))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="leads to"), made_whole(tmp_path / "c"):
        pass
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_corpus_that_is_whole_is_done_already(run: Path, tmp_path: Path) -> None:
    """The same command again says so, whatever the kill left out; another one is refused."""

    def export(*options: str) -> tuple[int, str]:
        words = ["export", str(run), str(out), "--preset", "dialogue-only", "--quiet", *options]
        done = CliRunner().invoke(application(), words)  # type: ignore[arg-type]
        return done.exit_code, done.output + str(done.exception)

    out = tmp_path / "c"
    code, said = export("--policy", "none")
    hash_ = said.split("corpus ")[1].split()[0]
    before = files(out)
    for _ in range(2):
        code, said = export("--policy", "none")
        assert code == 0 and said.startswith(f"{out}: done already, messages, corpus {hash_}\n")
    (out / PART).mkdir()
    (out / PART / MOVING).write_text(json.dumps([*before]))
    assert export("--policy", "none")[0] == 0 and files(out) == before
    for other in (("--policy", "none", "--seed", "2"), ("--policy", "none", "--max-parties", "2")):
        code, said = export(*other)
        assert code == 1 and "is not an empty folder" in said
    (out / "train.jsonl").rename(out / "mine.jsonl")
    assert export("--policy", "none")[0] == 1


def test_a_folder_with_something_of_ones_own_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    (folder / PART).mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not an empty folder"), made_whole(folder):
        pass
    assert (folder / "mine.txt").read_text() == "mine"


def test_two_exports_at_a_time_keep_out_of_each_others_way(tmp_path: Path) -> None:
    with made_whole(tmp_path / "c") as part:
        (part / "train.jsonl").write_text("one")
        told = pytest.raises(UserError, match="being written by another process")
        with told, made_whole(tmp_path / "c"):
            pass
    assert files(tmp_path / "c") == {"train.jsonl": b"one"}
