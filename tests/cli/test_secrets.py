"""Keys and passwords: refused in settings before anything is written, hidden wherever shown."""

import pytest

from agents.models.base import open_model
from folkways.errors import UserError
from folkways.secrets import redacted, refuse_secrets
from simulation.config import parse_config

KEY = "sk-proj-4f9a8b7c6d5e4f3a2b1c"


@pytest.mark.parametrize(
    ("data", "at"),
    [
        ({"options": {"api_key": "x"}}, "options.api_key"),
        ({"options": {"extra_headers": {"Authorization": "Basic eA=="}}}, "extra_headers"),
        ({"models": [{"name": "fake"}, {"options": {"token": "t"}}]}, "models.1.options.token"),
        ({"name": "openai:m@https://ann:w0rd@example.org/v1"}, "name"),
        ({"name": "openai:m@https://example.org/v1?api-key=w0rd"}, "name"),
        ({"options": {"anything": KEY}}, "options.anything"),
        ({"options": {"headers": ["Bearer abcdefghijklmnop0123"]}}, "options.headers.0"),
    ],
)
def test_a_setting_that_looks_like_a_key_is_refused_by_name_and_never_shown(data, at):
    with pytest.raises(UserError) as refused:
        refuse_secrets(data, "run.yaml")
    assert at in str(refused.value)
    for shown in ("w0rd", "eA==", KEY, "abcdefghijklmnop0123"):
        assert shown not in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        {"max_tokens": 120, "budget": {"tokens": 10_000}, "api_key_env": "TEAM_KEY"},
        {"name": "openai:toy@http://127.0.0.1:8000/v1", "out": "runs/sk-learn-and-more"},
        {"options": {"key": ""}},
    ],
)
def test_ordinary_settings_pass(data):
    refuse_secrets(data, "run.yaml")


def test_addresses_and_keys_are_hidden_within_a_sentence():
    text = f"https://ann:w0rd@example.org/v1?key=abc&n=2 and {KEY}, Bearer abcdefghijklmnop1"
    assert redacted(text) == "https://***@example.org/v1?key=***&n=2 and ***, ***"
    assert redacted("write NAME@http://HOST:PORT/v1") == "write NAME@http://HOST:PORT/v1"


def test_models_and_configurations_with_keys_are_refused():
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        open_model("fake", {"api_key": "x"})
    with pytest.raises(UserError, match=r"model\.options\.api_key"):
        parse_config({"name": "r", "model": {"options": {"api_key": "x"}}}, "run.yaml")


def test_a_value_of_the_wrong_type_is_shown_without_its_key():
    with pytest.raises(UserError) as refused:
        parse_config({"name": "r", "concurrency": "see http://h/?tokens=12"}, "run.yaml")
    assert "concurrency" in str(refused.value)
