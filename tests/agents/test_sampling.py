"""Each engine gets the settings of sampling under its own names, and what was applied is known."""

import pytest

from agents.models.base import Sampling
from agents.models.sampling import applied, named

SOME = Sampling(0.5, 0.9, 0.1, 1.2, 50, presence_penalty=0.3, dry=0.8)
PLAIN = {"temperature": 0.5, "top_p": 0.9, "min_p": 0.1}


@pytest.mark.parametrize(
    ("engine", "penalties"),
    [
        ("llama", {"repeat_penalty": 1.2, "presence_penalty": 0.3, "dry_multiplier": 0.8}),
        ("vllm", {"repetition_penalty": 1.2, "presence_penalty": 0.3}),
        ("hf", {"repetition_penalty": 1.2}),
        ("openai", {"repetition_penalty": 1.2, "repeat_penalty": 1.2, "presence_penalty": 0.3,
                    "dry_multiplier": 0.8}),
    ],
)  # fmt: skip
def test_a_penalty_goes_by_the_name_that_the_engine_knows(
    engine: str, penalties: dict[str, float]
) -> None:
    assert named(SOME, engine) == PLAIN | penalties


def test_what_an_engine_does_not_take_is_told() -> None:
    assert applied("hf:embedded", SOME) == {
        "sent": PLAIN | {"repetition_penalty": 1.2}, "not_taken": ["presence_penalty", "dry"]
    }  # fmt: skip
    told = applied("embedded", SOME)
    assert told is not None and told["not_taken"] == []
    assert applied("pool:many.yaml", SOME) == applied("openai:any", SOME)
    assert applied("fake", SOME) is None and applied("my.module:factory", SOME) is None


def test_neutral_counted_penalties_are_not_sent() -> None:
    assert "presence_penalty" not in named(Sampling(), "openai")
    assert "dry_multiplier" not in named(Sampling(), "llama")


def test_answers_kept_before_the_new_settings_are_found_again() -> None:
    assert Sampling(seed=3).key() == (0.75, 1.0, 0.05, 1.1, 120, (), 3)
    assert Sampling(seed=3, dry=0.8).key() == (0.75, 1.0, 0.05, 1.1, 120, (), 3, 0.0, 0.0, 0.8)
