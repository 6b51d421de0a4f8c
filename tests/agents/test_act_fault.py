"""Faults of single acts: each is found where it is, and ordinary speech has none."""

import pytest
from talks import SENTENCES, act, person, talk

from agents.critics.act_fault import content_words, faults

TOLD = "You keep a small bakery in the village, and you want the ladder back."


def found(*lines: object, told: str = TOLD) -> tuple[str, ...]:
    scene = talk(*lines)  # type: ignore[arg-type]
    last = scene.turns[-1]
    return faults(scene, next(p for p in scene.people if p.role == last.role), last, told)


@pytest.mark.parametrize(
    "text",
    [
        "Is there anything else I can help you with?",
        "I'm sorry, but I can\u2019t assist with that.",
        "Could you please provide me with additional details?",
        "Thank you for your understanding.",
        "How can I assist you?",
        "I understand your concern, and I will do my best to help.",
        "Feel free to ask.",
    ],
)
def test_the_phrases_of_an_assistant_count_against_a_draft(text: str) -> None:
    assert found(SENTENCES[0], text) == ("assistant-voice",)


@pytest.mark.parametrize(
    "text",
    [
        "I can't help you carry it, my back is bad.",
        "Thanks for the bread.",
        "Do you need anything else from the market?",
        "I understand. Then keep it until Sunday.",
        "Can you give me more soup?",
        "I will do my best.",
    ],
)
def test_ordinary_speech_does_not(text: str) -> None:
    assert found(SENTENCES[0], text) == ()


def test_an_act_is_compared_with_what_came_before_it_alone() -> None:
    assert found(SENTENCES[0], SENTENCES[1]) == ()
    assert found(*SENTENCES[:3], SENTENCES[0]) == ("said-before",)
    assert found(SENTENCES[0], SENTENCES[0]) == ("echo", "said-before")
    assert found(SENTENCES[0], SENTENCES[1], SENTENCES[0]) == ("repetition", "said-before")
    scene = talk(SENTENCES[0], SENTENCES[1], SENTENCES[0])
    assert faults(scene, person("ada"), scene.turns[0], TOLD) == ()


def test_silence_copies_and_directions() -> None:
    assert found(SENTENCES[0], act(2, "bela", None, "none")) == ("silent",)
    assert found("I want the ladder back, Bela.") == ("copied-from-prompt",)
    assert found("The ladder, Bela.") == (), "a few words may stand there by chance"
    nod = act(1, "ada", "nods slowly", "non-verbal")
    assert found(nod, act(2, "bela", "nods slowly", "non-verbal")) == ("repeated-direction",)
    assert found(nod, act(2, "bela", "shuts the door", "non-verbal")) == ()


def test_words_that_say_what_a_text_is_about() -> None:
    assert content_words("Give me that ladder, please!") == {"ladder", "please"}
    assert content_words(None) == frozenset()
