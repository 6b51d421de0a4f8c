"""Play profiles: chosen by what is known of a model, and never over what a user says."""

from pathlib import Path

import pytest
from gguf_files import MODEL, write_gguf

from agents.models.facts import ModelFacts, model_facts
from folkways.errors import UserError
from simulation.config import parse_config
from simulation.plan import make_plan
from simulation.profile import PROFILES, load_profile, profile_name, with_profile


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (ModelFacts(135_000_000, True, False), "tiny"),
        (ModelFacts(499_999_999, False, True), "tiny"),
        (ModelFacts(500_000_000, True, False), "small"),
        (ModelFacts(3_999_999_999, True, None), "small"),
        (ModelFacts(1_500_000_000, False, False), "base"),
        (ModelFacts(8_000_000_000, False, False), "base"),
        (ModelFacts(4_000_000_000, True, False), "instruct"),
        (ModelFacts(1_500_000_000, True, True), "thinking"),
        (ModelFacts(None, None, True), "thinking"),
        (ModelFacts(None, None, None), "instruct"),
        (ModelFacts(None, True, False), "instruct"),
    ],
)
def test_a_profile_is_chosen_by_size_template_and_reasoning(facts: ModelFacts, name: str) -> None:
    assert profile_name(facts) == name


@pytest.mark.parametrize(
    ("model", "parameters", "reasons"),
    [
        ("embedded", 134_515_008, False),
        ("hf:embedded", 134_515_008, False),
        ("openai:Qwen/Qwen2.5-1.5B-Instruct@http://localhost:1/v1", 1_500_000_000, None),
        ("openai:llama3.2:3b@http://10.0.0.70b/v1", 3_000_000_000, None),
        ("openai:smollm2-360m-instruct", 360_000_000, None),
        ("openai:qwen3-30b-a3b-thinking", 30_000_000_000, True),
        ("openai:o3-mini", None, True),
        ("openai:gpt-4o", None, None),
        ("fake", None, None),
    ],
)
def test_what_a_name_tells_of_a_model(
    model: str, parameters: int | None, reasons: bool | None
) -> None:
    found = model_facts(model)
    assert (found.parameters, found.reasons) == (parameters, reasons)


def test_every_shipped_profile_is_sound_and_says_what_it_is_for() -> None:
    for name in PROFILES:
        assert load_profile(name).about


def test_a_profile_fills_in_what_the_configuration_does_not_say() -> None:
    config = with_profile(parse_config({"name": "a", "model": {"name": "embedded"}}, ""))
    tiny = load_profile("tiny")
    assert config.model.profile == "tiny" and config.model.reply_form == "script"
    assert config.model.max_tokens == tiny.max_tokens and config.play.drafts == tiny.play.drafts
    own = {
        "name": "a", "play": {"drafts": None},
        "model": {"name": "embedded", "max_tokens": 200, "reply_form": "json"},
    }  # fmt: skip
    config = with_profile(parse_config(own, ""))
    assert (config.model.max_tokens, config.model.reply_form) == (200, "json")
    assert config.play.drafts is None
    assert config.play.directions == tiny.play.directions
    assert config.model.temperature == tiny.temperature


def test_nothing_changes_without_a_profile_and_where_nothing_is_known() -> None:
    given = parse_config({"name": "a", "model": {"name": "embedded", "profile": "none"}}, "")
    assert with_profile(given) == given
    given = parse_config({"name": "a", "model": {"name": "fake"}}, "")
    known = with_profile(given)
    assert known.model.profile == "instruct"
    assert known.model_copy(update={"model": given.model}) == given


def test_the_stored_configuration_names_the_profile_and_what_it_gave() -> None:
    resolved = make_plan(parse_config({"name": "a", "model": {"name": "embedded"}}, "")).resolved
    assert resolved["model"]["profile"] == "tiny"
    assert resolved["model"]["max_tokens"] == load_profile("tiny").max_tokens
    assert resolved["play"]["drafts"] == {"n": 3, "keep": "first"}


def test_a_profile_of_ones_own_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("about: Mine.\ntemperature: 0.3\nplay: {cue: full}\n")
    config = with_profile(
        parse_config({"name": "a", "model": {"name": "fake", "profile": str(file)}}, "")
    )
    assert (config.model.temperature, config.play.cue) == (0.3, "full")
    file.write_text("about: Mine.\nwarmth: 1\n")
    with pytest.raises(UserError, match="warmth"):
        load_profile(str(file))
    with pytest.raises(UserError, match="unknown play profile 'smal'"):
        load_profile("smal")


def test_the_header_of_a_file_tells_size_template_and_reasoning(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "model.gguf")
    assert model_facts(f"llama:{file}") == ModelFacts(80, True, False)
    write_gguf(file, {**MODEL, "tokenizer.chat_template": "{{ messages }}<think>"})
    assert model_facts(f"llama:{file}") == ModelFacts(80, True, True)
    write_gguf(file, {key: value for key, value in MODEL.items() if "template" not in key})
    assert model_facts(f"llama:{file}") == ModelFacts(80, False, False)


def test_a_critic_in_the_loop_chooses_in_place_of_the_profile() -> None:
    given = {"name": "a", "model": {"name": "embedded"}, "in_loop": {"critics": ["detectors"]}}
    assert with_profile(parse_config(given, "")).play.drafts is None
    with pytest.raises(UserError, match="both choose among drafts"):
        parse_config(given | {"play": {"drafts": {"n": 2}}}, "")


def test_no_profile_changes_what_agents_are_told_of_their_culture() -> None:
    given = parse_config({"name": "a", "model": {"name": "embedded"}}, "")
    for name in PROFILES:
        model = given.model.model_copy(update={"profile": name})
        assert with_profile(given.model_copy(update={"model": model})).conditioning == "dimensions"
