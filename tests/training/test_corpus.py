"""What is in a corpus and what is not: selection, mixture, split, the account of every row."""

import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer
from click.testing import CliRunner, Result
from corpus_runs import Lines, exported, gossiped, lines, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from review_runs import DIRECTOR, copied, critiqued, labelled, played, rows
from sample_store import sample_run

from folkways.cli.export import export
from folkways.errors import UserError
from simulation.store.pack import pack
from simulation.store.writer import FILE
from training.corpus.build import collect
from training.corpus.candidates import Candidates
from training.corpus.card import CARD, read_front_matter
from training.corpus.config import load_presets, make_config, read_tasks
from training.corpus.export import export_corpus
from training.corpus.formats import COLUMNS
from training.corpus.ledger import Ledger
from training.corpus.length import estimated_length, load_length
from training.corpus.mixture import cut, mix, quotas
from training.corpus.preference import objection
from training.corpus.progress import ExportProgress
from training.corpus.row import CorpusRow, Origin, cut_at_turn
from training.corpus.scene import Draft
from training.corpus.split import choose
from training.corpus.task import chat

CAREFUL = "review_runs:careful"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody has judged or labelled."""
    return gossiped(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def run(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run judged twice, some of it rejected, and labelled."""
    run = copied(bare, tmp_path_factory.mktemp("judged"))
    assert critiqued(run, CAREFUL, samples=2) == labelled(run, CAREFUL) == "done"
    return run


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a critic in the loop."""
    folder = tmp_path_factory.mktemp("drafted")
    scenes = [scene(folder, "pair"), scene(folder, "three", 3, policy="simultaneous")]
    loop = {"model": DIRECTOR, "rewrites": 2}
    model = {"name": "corpus_runs:gossip"}
    return played(folder, *scenes, in_loop=loop, model=model, replicates=4)


# The account ------------------------------------------------------------------------------------

CONFIGS: list[dict[str, Any]] = [
    {},
    {"preset": "no-filter"},
    {"preset": "dialogue-only", "cultures": ["JPN"]},
    {"preset": "intent-only", "validation": 0.3},
    {"tasks": {"dialogue": 3, "intent": 1, "relevance": 1}, "by": "tokens", "seed": 7},
    {"tasks": {"dialogue": 1, "intent": 1}, "repeat": True, "policy": "none", "tokens": 3000},
    {"preset": "no-filter", "min_parties": 3, "max_parties": 4, "validation": 0.2},
    {"tasks": {"dialogue": None, "relevance": None}, "policy": "lenient"},
]


@pytest.mark.parametrize("given_", CONFIGS, ids=str)
def test_every_row_is_accounted_for(run: Path, tmp_path: Path, given_: dict[str, Any]) -> None:
    contents = export_corpus(run, tmp_path / "c", make_config(**given_))
    ledger = contents.ledger
    found = Counter()
    for split in ("train", "validation"):
        if (tmp_path / "c" / f"{split}.jsonl").exists():
            found.update((row["task"], split) for row in lines(tmp_path / "c", split))
    assert +ledger.kept == +found and found
    (casts, episodes) = rows(
        run, "select (select count(*) from roles), (select count(*) from episodes)"
    )[0]
    for task in ledger.candidates:
        assert ledger.candidates[task] == (casts if task == "dialogue" else episodes)
        kept = sum(count for (name, _), count in ledger.kept.items() if name == task)
        assert ledger.candidates[task] + ledger.repeats[task] == kept + sum(
            ledger.reasons(task).values()
        )
    (counted,) = rows(run, "select count(*) from episodes where exit_reason = 'error'")
    assert counted == (0,)


def test_what_was_dropped_is_what_the_store_says(run: Path, tmp_path: Path) -> None:
    given_ = {"cultures": ["GBR"], "max_parties": 3}
    ledger = export_corpus(run, tmp_path / "c", make_config("dialogue-only", **given_)).ledger
    expected = rows(
        run,
        "select why, count(*) from (select case when r.culture_id <> 'GBR' then 'other-culture' "
        "when c.n_roles > 3 then 'other-parties' when fate <> 'accepted' then fate end as why from "
        "conversations c join episode_fates using (episode_id) join roles r using (episode_id)) "
        "where why is not null group by why",
    )
    idle = rows(
        run,
        "select count(*) from conversations join episode_fates using (episode_id) "
        "join roles r using (episode_id) where n_roles <= 3 and r.culture_id = 'GBR' "
        "and fate = 'accepted' and not exists (from turns t where t.episode_id = r.episode_id "
        "and t.speaker = r.role and t.action <> 'none')",
    )
    found = dict(ledger.reasons("dialogue"))
    assert found.pop("no-act", 0) == idle[0][0]
    assert found == dict(expected) and {"other-culture", "other-parties", "dropped"} <= set(found)


def test_rows_say_where_they_come_from(run: Path, tmp_path: Path) -> None:
    found = lines(exported(run, tmp_path / "c", tasks={"dialogue": None, "intent": None}))
    assert len({row["id"] for row in found}) == len(found)
    names: dict[tuple[str, str], tuple[Any, ...]] = {
        (episode, role): rest
        for episode, role, *rest in rows(
            run,
            "select e.episode_id, role, name, persona_id, r.culture_id, scenario_id, e.model, "
            "e.language from roles r join episodes e using (episode_id)",
        )
    }
    said = {
        (episode, turn): line
        for episode, turn, line in rows(run, "select episode_id, turn, line from turns_readable")
    }
    for row in found:
        assert list(row) == ["messages", "id", *COLUMNS]
        assert len(row["persona_ids"]) == row["parties"]
        if row["task"] == "dialogue":
            name, *rest = names[row["episode_id"], row["role"]]
            keys = ("persona_id", "culture_id", "scenario_id", "model", "language")
            assert rest == [row[key] for key in keys]
            assert f"You are {name}," in row["messages"][0]["content"]
            assert [said[row["episode_id"], turn] for turn in row["turns"]] == [
                m["content"] for m in row["messages"] if m["role"] == "assistant"
            ]
        else:
            assert row["role"] is row["persona_id"] is None


# Policies and selection -------------------------------------------------------------------------


def accepted(run: Path, policy: str) -> set[str]:
    query = f"select episode_id from accepted('{policy}')"
    return {episode for (episode,) in rows(run, query)}


def episodes_of(found: Lines) -> set[str]:
    return {row["episode_id"] for row in found}


@pytest.mark.parametrize("policy", ["clca", "lenient"])
def test_only_what_the_policy_accepts_is_in(run: Path, tmp_path: Path, policy: str) -> None:
    found = lines(exported(run, tmp_path / "c", "dialogue-only", policy=policy))
    assert episodes_of(found) == accepted(run, policy)


def test_without_a_filter_every_episode_that_ended_is_in(run: Path, tmp_path: Path) -> None:
    changed = copied(run, tmp_path)
    with duckdb.connect(str(changed / FILE)) as con:
        con.execute(
            "update episodes set exit_reason = 'budget' where episode_id = "
            "(select min(episode_id) from episodes)"
        )
    found = lines(exported(changed, tmp_path / "c", tasks={"dialogue": None}, policy="none"))
    ended = rows(changed, "select episode_id from conversations where completed")
    assert episodes_of(found) == {episode for (episode,) in ended}
    assert len(accepted(run, "clca")) < len(ended)


def test_a_policy_of_ones_own(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.sql"
    file.write_text(
        "select episode_id, 'dropped' as outcome, 'taste' as source, 'a pair' as reason, "
        "null as role, [] as turns from latest_episodes where scenario_id like 'pair%'"
    )
    found = lines(exported(run, tmp_path / "c", "dialogue-only", policy=str(file)))
    assert {row["scenario_id"] for row in found} == {"late", "both-at-once", "crowd"}
    assert "mine.sql" in (tmp_path / "c" / CARD).read_text()


def test_two_parties_against_many_with_equal_tokens(bare: Path, tmp_path: Path) -> None:
    common = {"tasks": {"dialogue": None}, "policy": "none", "tokens": 1000}
    two = export_corpus(bare, tmp_path / "2", make_config(max_parties=2, **common))
    many = export_corpus(bare, tmp_path / "n", make_config(min_parties=3, **common))
    assert {row["parties"] for row in lines(tmp_path / "2")} == {2}
    assert min(row["parties"] for row in lines(tmp_path / "n")) == 3
    for contents in (two, many):
        assert 1000 - 400 < contents.ledger.tokens_in("train") <= 1000
        assert contents.ledger.reasons("dialogue")["tokens"] > 0


def test_a_mixed_cast_is_learned_from_by_culture(tmp_path: Path) -> None:
    parts = {"bela": {"persona": "jpn-guest"}}
    file = Path(scene(tmp_path, "visit", parts=parts))
    text = file.read_text().replace("id: visit-bela", "id: jpn-guest")
    file.write_text(re.sub(r"(id: jpn-guest(?:.|\n)*?culture: )GBR", r"\1JPN", text))
    run = played(tmp_path, str(file), model={"name": "corpus_runs:gossip"}, replicates=3)
    found = lines(exported(run, tmp_path / "c", "dialogue-only", policy="none", cultures=["JPN"]))
    assert {(row["role"], row["culture_id"]) for row in found} == {("bela", "JPN")}
    assert all("a member of Japanese society" in row["messages"][0]["content"] for row in found)


def test_the_latest_label_of_an_act_counts(run: Path, tmp_path: Path) -> None:
    again = copied(run, tmp_path)
    with duckdb.connect(str(again / FILE)) as con:
        con.execute(
            "insert into intents select episode_id, turn, 'other', 'Says it anew.', 'generic', "
            "null, null, labelled_at + interval 1 day, null from intents where failure is null"
        )
    found = lines(exported(again, tmp_path / "c", "intent-only"))
    assert {m["content"] for row in found for m in row["messages"][2::2]} == {
        "Intent: Says it anew."
    }


# The mixture ------------------------------------------------------------------------------------


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 500), min_size=1),
    st.lists(st.sampled_from([0.5, 1.0, 2.0, 2 / 3, 7.25]), min_size=3, max_size=3),
    st.booleans(),
)
def test_quotas_keep_the_ratio(sizes: dict[str, int], three: list[float], repeat: bool) -> None:
    weights = dict(zip(sizes, three, strict=False))
    found = quotas(sizes, weights, repeat)
    scale = [Fraction(sizes[task]) / Fraction(str(weights[task])) for task in sizes]
    full = max(scale) if repeat and min(scale) else min(scale)
    for task, quota in found.items():
        assert 0 <= full * Fraction(str(weights[task])) - quota < 1, "within one row of the ratio"
        assert repeat or quota <= sizes[task]
    if min(sizes.values()):
        assert any(found[task] == sizes[task] for task in found), "nothing is wasted"


@pytest.fixture
def candidates(tmp_path: Path) -> Iterator[Candidates]:
    """Twenty dialogues of 10 to 29 tokens, and six intents of 40, of one scenario each."""
    made = Candidates(tmp_path, seed=5)
    made.add([row("dialogue", n, 10 + n) for n in range(20)], len)
    made.add([row("intent", n, 40) for n in range(6)], len)
    yield made
    made.close()


def row(task: str, number: int, length: int, **fields: Any) -> CorpusRow:
    origin = Origin(f"e{number}", f"s{number}", f"s{number}", "GBR", "en", "fake", 2, ("p", "q"))
    text = f"{number:03}".ljust(length - 2, ".")
    return CorpusRow(task, chat("s", [("u", text)]), (1,), fields.get("origin", origin))


def taken(candidates: Candidates) -> Counter[str]:
    return Counter(one["meta"]["task"] for one in candidates.read("train"))


def test_the_smaller_task_bounds_the_mixture(candidates: Candidates) -> None:
    mix(candidates.con, {"dialogue": 2, "intent": 1}, "examples", repeat=False)
    assert taken(candidates) == {"dialogue": 12, "intent": 6}
    ids = [one["id"] for one in candidates.read("train")]
    assert len(set(ids)) == len(ids)


def test_weights_by_tokens(candidates: Candidates) -> None:
    mix(candidates.con, {"dialogue": 1, "intent": 2}, "tokens", repeat=False)
    ledger = Ledger()
    candidates.account(ledger)
    assert ledger.tokens["intent", "train"] == 240, "all of the task that bounds"
    assert 120 - 30 < ledger.tokens["dialogue", "train"] <= 120


def test_rows_are_repeated_only_when_asked(candidates: Candidates) -> None:
    mix(candidates.con, {"dialogue": 1, "intent": 1}, "examples", repeat=True)
    assert taken(candidates) == {"dialogue": 20, "intent": 20}
    ids = Counter(one["id"] for one in candidates.read("train") if one["meta"]["task"] == "intent")
    assert sorted(ids.values()) == [3, 3, 3, 3, 4, 4], "as evenly as can be"
    ledger = Ledger()
    candidates.account(ledger)
    assert ledger.repeats == {"intent": 14, "dialogue": 0}


@pytest.mark.parametrize("tokens", [1, 100, 300, 630])
def test_a_corpus_of_so_many_tokens(candidates: Candidates, tokens: int) -> None:
    mix(candidates.con, {}, "examples", repeat=False)
    before = [one["id"] for one in candidates.read("train")]
    cut(candidates.con, tokens)
    after = [one["id"] for one in candidates.read("train")]
    assert after == before[: len(after)]
    ledger = Ledger()
    candidates.account(ledger)
    assert tokens - 40 < ledger.tokens_in("train") <= tokens
    with pytest.raises(UserError, match="has 630 tokens for training, fewer than the 631 asked"):
        cut(candidates.con, 631)


def test_duplicates_are_in_once(tmp_path: Path) -> None:
    made = Candidates(tmp_path, seed=0)
    focal = Origin("e", "s", "s", "GBR", "en", "fake", 2, ("p", "q"), "ada", "p")
    same = [("Bela: Hello.", "Good  morning."), ("[Nobody else acts.]", "Well?")]
    near = [("Bela: Hi!", "Good morning. "), ("* Rain.", "Well?")]
    chats = [chat("You are Ada.", pairs) for pairs in (same, near)]
    chats.append(chat("You are Bela.", same))
    made.add([CorpusRow("dialogue", messages, (1, 2), focal) for messages in chats], len)
    everyone = Origin("e", "s", "s", "GBR", "en", "fake", 2, ("p", "q"))
    made.add([CorpusRow("relevance", messages, (1, 2), everyone) for messages in chats[:2]], len)
    made.drop_duplicates()
    found = made.con.execute("select number, reason from candidates order by number").fetchall()
    assert [reason for _, reason in found] == [None, "duplicate", None, None, None]
    made.close()


# The split --------------------------------------------------------------------------------------


@given(
    st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 50), min_size=1, max_size=20),
    st.floats(0, 0.99), st.integers(0, 9),
)  # fmt: skip
def test_scenarios_are_held_out_until_the_share_is_reached(
    sizes: dict[str, int], share: float, seed: int
) -> None:
    held = choose(sizes, share, seed)
    total = sum(sizes.values())
    got = sum(sizes[name] for name in held)
    assert got >= share * total and len(set(held)) == len(held)
    assert not held or got - sizes[held[-1]] < share * total, "and not one more"
    assert choose(dict(sorted(sizes.items())), share, seed) == held


def test_splits_share_neither_scene_nor_person(run: Path, tmp_path: Path) -> None:
    seen = set()
    for seed in range(6):
        folder = exported(
            run, tmp_path / str(seed), tasks={"dialogue": None, "intent": None}, policy="none",
            validation=0.25, seed=seed,
        )  # fmt: skip
        held, rest = lines(folder, "validation"), lines(folder)
        assert len(held) >= 0.25 * (len(held) + len(rest)) - 1
        for key in ("scenario_id", "episode_id"):
            assert {r[key] for r in held}.isdisjoint(r[key] for r in rest)
        people = {person for r in held for person in r["persona_ids"]}
        assert people.isdisjoint(person for r in rest for person in r["persona_ids"])
        seen.add(frozenset(r["scenario_id"] for r in held))
    assert len(seen) > 1, "the seed decides"


def test_adaptations_of_a_scene_are_on_one_side(tmp_path: Path) -> None:
    scenes = [
        scene(tmp_path, f"{parent}-{culture.lower()}", culture=culture,
              provenance={"author": "tests", "made": "adapted", "parent": parent})
        for parent in ("dinner", "queue", "gift") for culture in ("GBR", "JPN")
    ]  # fmt: skip
    run = played(tmp_path, *scenes, replicates=2)
    for seed in range(4):
        contents = export_corpus(
            run, tmp_path / str(seed),
            make_config("dialogue-only", policy="none", validation=0.3, seed=seed),
        )  # fmt: skip
        assert len(contents.held_out) == 1 and contents.held_out[0] in ("dinner", "queue", "gift")
        found = {row["scenario_id"] for row in lines(tmp_path / str(seed), "validation")}
        assert found == {f"{contents.held_out[0]}-{culture}" for culture in ("gbr", "jpn")}


def test_who_plays_in_a_held_out_scene_is_not_learned_from(tmp_path: Path) -> None:
    guests = {"parts": {"bela": {"persona": "guest"}}}
    files = [Path(scene(tmp_path, name, **guests)) for name in ("one", "two", "three")]
    for file in files:
        file.write_text(file.read_text().replace(f"id: {file.stem}-bela", "id: guest"))
    run = played(tmp_path, *map(str, files), replicates=2)
    config = make_config("dialogue-only", policy="none", validation=0.3)
    contents = export_corpus(run, tmp_path / "c", config)
    assert contents.ledger.reasons("dialogue") == {"held-out-person": 4}
    assert {row["role"] for row in lines(tmp_path / "c")} == {"ada"}
    assert {row["role"] for row in lines(tmp_path / "c", "validation")} == {"ada", "bela"}


def test_scenarios_alone_are_held_out_where_one_cast_plays_all(tmp_path: Path) -> None:
    cast = {"parts": {"ada": {"persona": "host"}, "bela": {"persona": "guest"}}}
    files = [Path(scene(tmp_path, name, **cast)) for name in ("one", "two", "three", "four")]
    for file in files:
        text = file.read_text().replace(f"id: {file.stem}-bela", "id: guest")
        file.write_text(text.replace(f"id: {file.stem}-ada", "id: host"))
    run = played(tmp_path, *map(str, files), replicates=2)
    given = {"policy": "none", "validation": 0.25}
    with pytest.raises(UserError, match=r"Hold out scenarios alone .--hold-out scenarios"):
        export_corpus(run, tmp_path / "p", make_config("dialogue-only", **given))
    config = make_config("dialogue-only", **given, hold_out="scenarios")
    contents = export_corpus(run, tmp_path / "c", config)
    held, rest = lines(tmp_path / "c", "validation"), lines(tmp_path / "c")
    assert contents.ledger.reasons("dialogue") == {}
    assert (len(held), len(rest)) == (4, 12)
    assert {r["scenario_id"] for r in held}.isdisjoint(r["scenario_id"] for r in rest)
    card = (tmp_path / "c" / "README.md").read_text(encoding="utf-8")
    assert "--hold-out scenarios" in card and "may play in scenes that are learned" in card


def test_an_option_that_is_not_used_changes_no_corpus_s_name() -> None:
    plain = make_config("clca")
    assert "hold_out" not in plain.identity
    assert make_config("clca", hold_out="scenarios").identity != plain.identity


# Preference pairs -------------------------------------------------------------------------------


def draft(line: str | None = "No.", label: str | None = "revise", score: float | None = 3,
          kept: bool = False) -> Draft:  # fmt: skip
    return Draft("ada", line, label, score, kept)


@pytest.mark.parametrize(
    ("kept", "other", "told"),
    [
        (draft("Yes.", "accept", 8, True), draft(), None),
        (draft("Yes.", "accept", 3, True), draft(), None),
        (draft("Yes.", "revise", 5, True), draft(score=4), None),
        (draft("Yes.", "revise", 3, True), draft(), "draft-no-worse"),
        (draft("Yes.", "accept", 8, True), draft(None), "draft-unreadable"),
        (draft("Yes.", "accept", 8, True), draft("Yes."), "draft-same-words"),
        (draft("Yes.", None, None, True), draft(), "draft-unjudged"),
        (draft("Yes.", "accept", 8, True), draft("No.", None, None), "draft-unjudged"),
        (None, draft(), "draft-unjudged"),
    ],
)
def test_when_a_draft_is_worse(kept: Draft | None, other: Draft, told: str | None) -> None:
    assert objection(kept, other, "Yes.") == told


def test_pairs_are_drafts_of_the_same_act(drafted: Path, tmp_path: Path) -> None:
    config = make_config("no-filter", format="preference")
    ledger = export_corpus(drafted, tmp_path / "c", config).ledger
    found = lines(tmp_path / "c")
    assert (
        ledger.candidates["preference"]
        == rows(drafted, "select count(*) from drafts where not kept")[0][0]
    )
    assert (
        len(found) + sum(ledger.reasons("preference").values()) == (ledger.candidates["preference"])
    )
    words = {
        (episode, turn, kept, re.findall(r"word\d+", text)[0])
        for episode, turn, kept, text in rows(
            drafted, "select episode_id, turn, kept, text from drafts where text is not null"
        )
    }
    dialogues = {
        (one["episode_id"], one["role"]): one["messages"]
        for one in lines(exported(drafted, tmp_path / "d", "dialogue-only", policy="none"))
    }
    whispers = 0
    for one in found:
        episode, (turn,) = one["episode_id"], one["turns"]
        for side, kept in (("chosen", True), ("rejected", False)):
            text = one[side][0]["content"]
            assert (episode, turn, kept, re.findall(r"word\d+", text)[0]) in words
            whispers += text.startswith("(whispering) ")
        whole = dialogues[episode, one["role"]]
        size = len(one["prompt"])
        assert whole[: size + 1] == one["prompt"] + one["chosen"]
    assert len(found) > 10 and whispers


# Tokens and context -----------------------------------------------------------------------------


@given(st.lists(st.integers(1, 9), max_size=8), st.integers(0, 60), st.integers(0, 5))
def test_a_row_is_cut_between_turns(sizes: list[int], limit: int, system: int) -> None:
    messages = list(chat("s" * system, [("u" * size, "a" * size) for size in sizes]))
    kept = cut_at_turn(messages, limit, lambda some: sum(len(m["content"]) for m in some))
    fits = [n for n in range(1, len(sizes) + 1) if system + 2 * sum(sizes[:n]) <= limit]
    assert kept == (messages[: 1 + 2 * max(fits)] if fits else None)


def test_a_trailing_user_message_and_no_system_message() -> None:
    messages: Any = [{"role": r, "content": "x"} for r in ("user", "assistant", "user")]
    assert cut_at_turn(messages, 9, len) == messages[:2]
    assert cut_at_turn(messages, 1, len) is None and cut_at_turn([], 9, len) is None


def test_tokens_are_counted_by_rule_or_with_a_tokenizer(tmp_path: Path) -> None:
    texts = ("", "a", "abcd", "abcde", "é", "你好吗")
    assert [estimated_length(text) for text in texts] == [0, 1, 1, 2, 1, 3]
    with pytest.raises(UserError, match="there is no tokenizer folder 'nowhere'"):
        load_length("nowhere")
    pytest.importorskip("transformers")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="cannot load a tokenizer from"):
        load_length(str(tmp_path))


def test_a_tokenizer_folder_counts(bare: Path, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    folder = tmp_path / "words"
    transformers.PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(folder)
    made = exported(bare, tmp_path / "c", "dialogue-only", policy="none", tokenizer=str(folder))
    counted = sum(len(m["content"].split()) for row in lines(made) for m in row["messages"])
    assert read_front_matter(made)["tokens"] == {"train": counted}


# The card and the command -----------------------------------------------------------------------


def folkways(*arguments: object) -> Result:
    app = typer.Typer()
    app.command("export")(export)
    app.command("other")(lambda: None)
    command: Any = typer.main.get_command(app)
    return CliRunner().invoke(command, ["export", *map(str, arguments)])


def test_the_cards_command_makes_the_same_corpus(run: Path, tmp_path: Path) -> None:
    first = tmp_path / "a corpus"
    result = folkways(
        run, first, "--tasks", "dialogue=2,intent=1", "--by", "tokens", "--validation", 0.2,
        "--min-parties", 2, "--max-parties", 4, "--tokens", 2000, "--seed", 3, "--repeat",
        "--policy", "none", "--cultures", "GBR,JPN",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    card = (first / CARD).read_text()
    (command,) = re.findall(r"^folkways export .*$", card, re.MULTILINE)
    words = shlex.split(command)[2:]
    assert words[:2] == [str(run), str(first)]
    again = folkways(run, tmp_path / "again", *words[2:])
    assert again.exit_code == 0, again.output
    for name in ("train.jsonl", "validation.jsonl"):
        assert (first / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    known = read_front_matter(first)
    assert known["hash"] == read_front_matter(tmp_path / "again")["hash"] in result.output
    assert known["rows"]["train"] == len(lines(first))


def test_the_card_tells_what_a_reader_must_know(run: Path, tmp_path: Path) -> None:
    contents = export_corpus(run, tmp_path / "c", make_config(validation=0.2))
    card = (tmp_path / "c" / CARD).read_text()
    funnel = rows(
        run,
        "select culture_id, sum(simulated), sum(cut_short), sum(dropped), sum(accepted) "
        "from review_funnel group by all",
    )
    for culture, simulated, lost, dropped, kept in funnel:
        assert re.search(
            rf"\| {culture} \| .* \| {simulated} \| {lost} \| {dropped} \|.* {kept} \|", card
        )
    alphas = rows(run, "select alpha from judge_agreement where alpha is not null")
    assert alphas and all(f"{alpha:.3g}" in card for (alpha,) in alphas)
    for told in (
        "corpus_runs:gossip", CAREFUL, "Conditioning of the agents on their culture: dimensions",
        "[The scene begins.]", "[Nobody else acts.]", contents.hash, "## Risks", "## Licence",
        "dialogue 2 : intent 1", "held out for validation", "| dropped: the policy drops the ",
    ):  # fmt: skip
        assert told in card


def test_the_same_seed_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    one, two, other = (
        exported(run, tmp_path / name, seed=seed)
        for name, seed in (("one", 1), ("two", 1), ("other", 2))
    )
    assert (one / "train.jsonl").read_bytes() == (two / "train.jsonl").read_bytes()
    assert (one / "train.jsonl").read_bytes() != (other / "train.jsonl").read_bytes()
    assert sorted(path.name for path in one.iterdir()) == [CARD, "train.jsonl"]


def test_presets() -> None:
    known = {name: make_config(name).tasks for name in load_presets()}
    assert known == {
        "clca": {"dialogue": 2, "intent": 1}, "dialogue-only": {"dialogue": None},
        "intent-only": {"intent": None}, "no-filter": {"dialogue": 2, "intent": 1},
    }  # fmt: skip
    assert make_config("no-filter").policy == "none" and make_config().policy == "clca"
    assert make_config().tasks == known["clca"]
    assert read_tasks(" dialogue = 2 , intent=0.5") == {"dialogue": 2, "intent": 0.5}


def test_progress_ends_with_the_rows_written_and_can_be_silenced(run: Path, tmp_path: Path) -> None:
    written = folkways(run, tmp_path / "told")
    count = len(lines(tmp_path / "told"))
    assert written.stderr == f"{count}/{count} rows written\n" and count < 1000
    assert folkways(run, tmp_path / "silent", "--quiet").stderr == ""


# Bad input --------------------------------------------------------------------------------------


def mistake(*arguments: object) -> str:
    """Return the one line that a user is told of a mistake."""
    result = folkways(*arguments)
    assert isinstance(result.exception, UserError), result.output
    told = str(result.exception)
    assert "\n" not in told
    return told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--format", "tfrecord"], "unknown export format 'tfrecord'; known: messages, parquet, "),
        (["--preset", "mine"], "unknown preset 'mine'; known: clca, dialogue-only, "),
        (["--policy", "gut"], "unknown policy 'gut'; known: clca, lenient, "),
        (["--policy", "gut.sql"], "there is no policy file 'gut.sql'"),
        (["--tasks", "sing"], "unknown task 'sing'; known: dialogue, intent, relevance"),
        (["--tasks", "preference"], "--format preference"),
        (["--tasks", "dialogue=x"], "'dialogue=x': the weight is not a number"),
        (["--tasks", "dialogue=0"], "a weight is greater than 0 (given: 0)"),
        (["--tasks", "dialogue=nan"], "a weight is greater than 0"),
        (["--tasks", "dialogue=2,intent"], "give every task a weight"),
        (["--tasks", ""], "tasks: "),
        (["--tasks", "dialogue", "--preset", "clca"], "--preset or --tasks, not both"),
        (["--format", "preference", "--tasks", "intent"], "the format preference has one task"),
        (["--format", "preference", "--preset", "clca"], "the format preference has one task"),
        (["--cultures", "XXX"], "unknown culture of this run 'XXX'; known: GBR, JPN"),
        (["--parties", "9"], "no episode of this run has the number of parties"),
        (["--min-parties", "4", "--max-parties", "3"], "at least 4 parties and at most 3"),
        (["--validation", "1"], "validation: too large; found 1.0; allowed: less than 1"),
        (["--validation", "0.99"], "a validation share of 0.99 takes all scenarios (5)"),
        (["--by", "weight"], "by: unknown value; found 'weight'; allowed: examples, tokens"),
        (["--tokens", "9999999"], "fewer than the 9,999,999 asked for"),
        (["--tokens", "3"], "no row takes as few as 3 tokens"),
        (["--tokenizer", "nowhere"], "there is no tokenizer folder 'nowhere'"),
        (["--format", "preference"], "no act of this run has drafts"),
    ],
)
def test_mistakes_are_told_in_a_line(
    run: Path, tmp_path: Path, options: list[str], told: str
) -> None:
    assert told in mistake(run, tmp_path / "new" / "corpus", *options)
    assert not (tmp_path / "new" / "corpus").exists()


def test_a_run_that_nobody_judged_or_labelled(bare: Path, tmp_path: Path) -> None:
    told = mistake(bare, tmp_path / "c")
    assert told == (
        "the policy clca accepts none of 20 episodes (1 role-failure, 19 unreviewed); folkways "
        "critique RUN judges them; --policy chooses another policy, and --preset no-filter takes "
        "every episode that came to its own end"
    )
    told = mistake(bare, tmp_path / "c", "--preset", "no-filter")
    assert told.startswith("no row for the task intent: none of 19 accepted episodes has an intent")
    assert "folkways label RUN" in told


def test_a_run_of_which_all_is_rejected(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.sql"
    file.write_text(
        "select episode_id, 'dropped' as outcome, 'taste' as source, 'no' as reason, "
        "null as role, [] as turns from latest_episodes"
    )
    told = mistake(run, tmp_path / "c", "--policy", file)
    counted = "none of 20 episodes (1 role-failure, 19 dropped)"
    assert told.startswith(f"the policy {file} accepts {counted}; folkways ")


def test_a_store_without_episodes(tmp_path: Path) -> None:
    run = sample_run(tmp_path, "delete from episodes")
    assert mistake(run, tmp_path / "c").startswith("no episode has been stored in this run yet")
    assert mistake(tmp_path / "nowhere", tmp_path / "c").startswith("there is no run")


def test_episodes_that_were_all_cut_short(tmp_path: Path) -> None:
    run = sample_run(tmp_path, "update episodes set exit_reason = 'error'")
    told = mistake(run, tmp_path / "c", "--preset", "no-filter")
    assert re.match(r"none of \d+ episodes came to its own end \(\d+ error\); play more", told)


def test_a_folder_that_is_not_empty_is_left_alone(run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "is there and is not an empty folder" in mistake(run, tmp_path)
    assert "is there and is not an empty folder" in mistake(run, tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "empty").mkdir()
    assert exported(run, tmp_path / "empty") and (tmp_path / "empty" / CARD).exists()


def test_people_who_play_everywhere_cannot_be_held_out(tmp_path: Path) -> None:
    files = [Path(scene(tmp_path, name)) for name in ("one", "two")]
    for file in files:
        file.write_text(file.read_text().replace(f"{file.stem}-", "same-"))
    run = played(tmp_path, *map(str, files))
    told = mistake(run, tmp_path / "c", "--preset", "dialogue-only", "--policy", "none",
                   "--validation", 0.2)  # fmt: skip
    assert "leaves no row for training: everyone plays in one of the held-out scenarios" in told


def test_a_folder_without_a_corpus(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no corpus of folkways"):
        read_front_matter(tmp_path)
    (tmp_path / CARD).write_text("# Something else\n")
    with pytest.raises(UserError, match="holds no corpus of folkways"):
        read_front_matter(tmp_path)


def test_a_disk_that_is_full_leaves_nothing(run: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "from training.corpus.config import make_config\n"
        "from training.corpus.export import export_corpus\n"
        "from folkways.errors import UserError\n"
        "try: export_corpus(Path(sys.argv[1]), Path(sys.argv[2]), make_config())\n"
        "except UserError as error: print(error)"
    )
    out = tmp_path / "c"
    done = subprocess.run(
        [sys.executable, "-c", code, str(run), str(out)], capture_output=True, text=True,
        check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.startswith(f"cannot write '{out}': "), done.stderr
    assert not out.exists()


# The store --------------------------------------------------------------------------------------


def test_a_live_run_can_write_while_a_corpus_is_made(bare: Path, tmp_path: Path) -> None:
    """Nobody can write while a reader has the file; between chunks of episodes nobody has."""
    run, opened = copied(bare, tmp_path), 0

    def length(text: str) -> int:
        nonlocal opened
        if not opened:
            duckdb.connect(str(run / FILE)).close()  # fails beside a reader of this process
            opened += 1
        return 1

    made = Candidates(tmp_path, seed=0)
    progress = ExportProgress(quiet=True)
    collect(run, make_config("dialogue-only", policy="none"), made, length, progress)
    made.close()
    assert opened and progress.done == progress.total > 0


def test_neither_shards_nor_the_size_of_a_chunk_change_a_corpus(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, packed = pack(run, str(tmp_path / "shards"), 4)
    assert packed.rows
    made = [exported(run, tmp_path / "whole"), exported(tmp_path / "shards", tmp_path / "packed")]
    monkeypatch.setattr("training.corpus.build.EPISODES", 5)
    monkeypatch.setattr("simulation.store.episodes.FETCHED", 2)
    made.append(exported(run, tmp_path / "in-parts"))
    first, *others = ((folder / "train.jsonl").read_bytes() for folder in made)
    assert first and others == [first, first]


@settings(max_examples=20)
@given(st.lists(st.integers(0, 10_000), unique=True, max_size=30), st.integers(1, 7))
def test_episodes_are_visited_once_in_order(numbers: list[int], size: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        made = Candidates(Path(folder), seed=0)
        names = [f"e{number}" for number in numbers]
        for start in range(0, len(names), 4):
            made.visit(names[start : start + 4])
        chunks = list(made.chunks(size))
        made.close()
    assert [name for chunk in chunks for name in chunk] == names
    assert all(len(chunk) == size for chunk in chunks[:-1])


def test_the_command_stays_light() -> None:
    code = (
        "import sys, folkways.cli.export, training.corpus.export\n"
        "heavy = {'torch', 'transformers', 'trl', 'peft', 'datasets', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=Path(__file__).parents[2])  # fmt: skip
    assert json.loads(done.stdout.replace("'", '"')) == []
