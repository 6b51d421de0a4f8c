"""The files of a corpus: what TRL, LLaMA-Factory and axolotl publish as their rules, and that no
letter is lost on the way.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from corpus_runs import exported, gossiped, lines, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from review_runs import DIRECTOR, critiqued, labelled, played

import folkways as fw
from folkways import registry
from training.corpus.card import CARD, read_front_matter
from training.corpus.config import make_config
from training.corpus.export import made_already
from training.corpus.formats import COLUMNS, DATASET_INFO, FORMATS, load_format, write_files
from training.corpus.row import CorpusRow, Origin
from training.corpus.task import chat

CAREFUL = "review_runs:careful"
MIXED = {"tasks": {"dialogue": None, "intent": None, "relevance": None}, "validation": 0.25}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = gossiped(tmp_path_factory.mktemp("gossip"))
    assert critiqued(run, CAREFUL) == labelled(run, CAREFUL) == "done"
    return run


@pytest.fixture(scope="module")
def corpora(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same corpus in every format but preference."""
    folder = tmp_path_factory.mktemp("corpora")
    names = [name for name, format_ in FORMATS.items() if not format_.pairs]
    return {name: exported(run, folder / name, format=name, **MIXED) for name in names}


def assert_alternating(messages: list[dict[str, str]]) -> None:
    """Assert a system message, then user and assistant in turn, all with exactly two keys."""
    assert all(set(message) == {"role", "content"} for message in messages)
    assert all(message["content"].strip() for message in messages)
    roles = [message["role"] for message in messages]
    assert roles == ["system"] + ["user", "assistant"] * (len(roles) // 2) and len(roles) >= 3


@pytest.mark.parametrize("split", ["train", "validation"])
def test_messages_are_what_trl_and_axolotl_take(corpora: dict[str, Path], split: str) -> None:
    found = lines(corpora["messages"], split)
    for row in found:
        assert list(row) == ["messages", "id", *COLUMNS], "none of TRL's other columns"
        assert_alternating(row["messages"])
    assert {row["task"] for row in found} == {"dialogue", "intent", "relevance"}


def test_every_answer_is_a_completion_once(corpora: dict[str, Path]) -> None:
    whole = {row["id"]: row for row in lines(corpora["messages"])}
    pieces: Counter[str] = Counter()
    for row in lines(corpora["prompt-completion"]):
        assert list(row) == ["prompt", "completion", "id", *COLUMNS]
        assert_alternating(row["prompt"] + row["completion"])
        assert [message["role"] for message in row["completion"]] == ["assistant"]
        of, _, number = row["id"].partition("-")
        messages = row["prompt"] + row["completion"]
        assert messages == whole[of]["messages"][: len(messages)]
        assert row["turns"] == whole[of]["turns"][int(number) - 1 : int(number)]
        pieces[of] += 1
    assert pieces == {id_: len(row["messages"]) // 2 for id_, row in whole.items()}


@pytest.mark.parametrize("split", ["train", "validation"])
def test_sharegpt_is_what_llama_factory_takes(corpora: dict[str, Path], split: str) -> None:
    """Its data/README.md: `human` on odd places, `gpt` on even ones, an even number in all."""
    folder = corpora["sharegpt"]
    info = json.loads((folder / DATASET_INFO).read_text(encoding="utf-8"))
    assert list(info) == ["folkways_train", "folkways_validation"]
    about = info[f"folkways_{split}"]
    assert set(about) == {"file_name", "formatting", "columns", "tags"}
    assert about["formatting"] == "sharegpt"
    found = json.loads((folder / about["file_name"]).read_text(encoding="utf-8"))
    columns, tags = about["columns"], about["tags"]
    assert set(columns) == {"messages", "system"}
    for row in found:
        assert set(row) == set(columns.values()) == {"conversations", "system"}
        assert row["system"].strip()
        turns = row[columns["messages"]]
        assert all(set(turn) == {tags["role_tag"], tags["content_tag"]} for turn in turns)
        expected = [tags["user_tag"], tags["assistant_tag"]] * (len(turns) // 2)
        assert [turn[tags["role_tag"]] for turn in turns] == expected and turns
    assert [back(row) for row in found] == [
        row["messages"] for row in lines(corpora["messages"], split)
    ]


def back(row: dict[str, Any]) -> list[dict[str, str]]:
    """Return a row of sharegpt as messages."""
    roles = {"human": "user", "gpt": "assistant"}
    turns = [{"role": roles[t["from"]], "content": t["value"]} for t in row["conversations"]]
    return [{"role": "system", "content": row["system"]}, *turns]


def test_parquet_has_the_metadata_as_columns(corpora: dict[str, Path]) -> None:
    with duckdb.connect() as con:
        cursor = con.execute("from read_parquet(?)", [str(corpora["parquet"] / "train.parquet")])
        names = [column[0] for column in cursor.description]
        found = cursor.fetchall()
    assert names == ["messages", "id", *COLUMNS]
    assert [dict(zip(names, row, strict=True)) for row in found] == [
        row for row in lines(corpora["messages"])
    ]


def test_all_formats_hold_the_same_corpus(corpora: dict[str, Path]) -> None:
    cards = {name: (folder / CARD).read_text(encoding="utf-8") for name, folder in corpora.items()}
    hashes = {card.split("hash: ")[1].split("\n")[0] for card in cards.values()}
    assert len(hashes) == 1
    files = {name: sorted(one.name for one in made.iterdir()) for name, made in corpora.items()}
    assert files == {
        "messages": [CARD, "train.jsonl", "validation.jsonl"],
        "prompt-completion": [CARD, "train.jsonl", "validation.jsonl"],
        "sharegpt": [CARD, DATASET_INFO, "train.json", "validation.json"],
        "parquet": [CARD, "train.parquet", "validation.parquet"],
    }  # fmt: skip


def test_preference_is_what_trl_takes(tmp_path: Path) -> None:
    run = played(
        tmp_path, scene(tmp_path, "pair"), in_loop={"model": DIRECTOR, "rewrites": 2}, replicates=4
    )
    found = lines(exported(run, tmp_path / "c", "no-filter", format="preference"))
    assert found
    for row in found:
        assert list(row) == ["prompt", "chosen", "rejected", "id", *COLUMNS]
        for side in ("chosen", "rejected"):
            assert [message["role"] for message in row[side]] == ["assistant"]
            assert_alternating(row["prompt"] + row[side])
        assert row["chosen"] != row["rejected"]


@pytest.mark.parametrize("name", ["messages", "prompt-completion", "parquet"])
def test_hugging_face_loads_the_folder(corpora: dict[str, Path], name: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(corpora[name]), cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "validation"}
    first = loaded["train"][0]
    expected = lines(corpora["messages"])[0]["messages"]
    key = "prompt" if name == "prompt-completion" else "messages"
    assert first[key] == expected[: len(first[key])]


# Formats of one's own ---------------------------------------------------------------------------

OWN = """
from pathlib import Path

Path(__file__).with_suffix(".ran").touch()

def ids(row):
    return {"id": row["id"], "first": row["messages"][1]["content"]}
"""


@pytest.fixture
def own() -> Iterator[None]:
    yield
    registry._own.clear()


@pytest.mark.usefixtures("own")
def test_a_registered_format_is_written_and_told_of(run: Path, tmp_path: Path) -> None:
    @fw.export_format("pairs-of-turns", about="two by two,\nas they came", ending="json")
    def pairs_of_turns(row: Any) -> Iterator[dict[str, Any]]:
        for user, answer in zip(row["messages"][1::2], row["messages"][2::2], strict=True):
            yield {"said": user["content"], "answered": answer["content"]}

    folder = exported(run, tmp_path / "own", format="pairs-of-turns", **MIXED)
    plain = exported(run, tmp_path / "plain", **MIXED)
    expected = [
        {"said": user["content"], "answered": answer["content"]}
        for row in lines(plain)
        for user, answer in zip(row["messages"][1::2], row["messages"][2::2], strict=True)
    ]
    assert list(read(folder / "train.json")) == expected != []
    card = (folder / CARD).read_text(encoding="utf-8")
    assert "Format: pairs-of-turns, two by two, as they came." in card
    told, other = read_front_matter(folder), read_front_matter(plain)
    assert told["hash"] == other["hash"] and told["source"] != other["source"]
    with pytest.raises(fw.UserError, match=r"unknown export format 'x'; known: .*pairs-of-turns"):
        load_format("x")


def test_a_format_by_import_path_is_made_again_only_when_its_file_changes(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "own_format.py"
    file.write_text(OWN, encoding="utf-8")
    made = exported(run, tmp_path / "own", format="own_format:ids", **MIXED)
    assert all({*row} == {"id", "first"} for row in lines(made))
    config = make_config(format="own_format:ids", **MIXED)
    assert made_already(run, made, config) == read_front_matter(made)["hash"]
    file.write_text(OWN.replace("[1]", "[2]"), encoding="utf-8")
    assert made_already(run, made, config) is None
    file.with_suffix(".ran").unlink()
    assert made_already(run, made, make_config(**MIXED)) is None, "a card names no code to run"
    assert not file.with_suffix(".ran").exists()


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("value", [None, "text", {1, 2}, [{"a": float("nan")}], [{"a": "\ud800"}]])
def test_what_json_cannot_hold_is_told_of_and_leaves_nothing(
    value: object, run: Path, tmp_path: Path
) -> None:
    fw.export_format("odd")(lambda row: value)
    with pytest.raises(fw.UserError, match=r"export format 'odd' gave .* for row \w+; give map"):
        exported(run, tmp_path / "odd", format="odd", **MIXED)
    assert not (tmp_path / "odd").exists()
    fw.export_format("odd", ending="parquet")(lambda row: {})  # type: ignore[arg-type]
    with pytest.raises(fw.UserError, match="unknown ending 'parquet'; known: jsonl, json"):
        load_format("odd")


# No letter is lost ------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1)
CHATS = st.builds(chat, TEXT, st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3))


@st.composite
def stored(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw rows as they are kept, with anything in them that a text can hold."""
    made = []
    for messages in draw(st.lists(CHATS, min_size=1, max_size=3)):
        role = draw(st.none() | TEXT)
        origin = Origin(*(draw(TEXT) for _ in range(6)), 2, (draw(TEXT),), role, role)
        turns = tuple(range(1, len(messages) // 2 + 1))
        row = CorpusRow("dialogue", messages, turns, origin, draw(TEXT))
        made.append({"id": row.id, "messages": list(messages), "rejected": row.rejected,
                     "meta": row.meta()})  # fmt: skip
    return made


@settings(max_examples=25)
@given(stored())
@pytest.mark.parametrize("name", list(FORMATS))
def test_what_is_written_is_read_back(name: str, made: list[dict[str, Any]]) -> None:
    format_ = FORMATS[name]
    expected = [one for row in made for one in format_.objects(row)]
    with tempfile.TemporaryDirectory() as folder:
        write_files(format_, {"train": made, "validation": []}.__getitem__, Path(folder))
        path = Path(folder) / format_.file("train")
        assert not (Path(folder) / format_.file("validation")).exists()
        assert list(read(path)) == expected


def read(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        with duckdb.connect() as con:
            cursor = con.execute("from read_parquet(?)", [str(path)])
            names = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                yield dict(zip(names, row, strict=True))
    elif path.suffix == ".json":
        yield from json.loads(path.read_text(encoding="utf-8"))
    else:
        with path.open(encoding="utf-8") as stream:
            yield from map(json.loads, stream)
