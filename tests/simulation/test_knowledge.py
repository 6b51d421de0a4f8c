"""Agents see only what their role may know: proven on all shipped scenarios and both forms."""

import itertools
import random

import pytest
from scenes import Recorder, json_act, play, scenario, text_of, who_asks

from scenarios.casting import cast_scenario, named_cultures
from scenarios.culture import load_cultures
from scenarios.library import library, load_scenario
from scenarios.pool import load_personas
from scenarios.sampling.population import populated
from simulation.episode.scene_state import SceneState

FORMS = ["json", "script"]


def line(form: str, text: str) -> str:
    return json_act(text) if form == "json" else text


@pytest.mark.parametrize("name", sorted(library()))
def test_no_prompt_of_the_library_holds_what_another_role_alone_knows(name: str) -> None:
    scene = load_scenario(name)
    culture = scene.culture or "MEX"
    people = populated(load_personas(), named_cultures(scene))
    cast = cast_scenario(scene, culture, people, random.Random(3))
    for form in FORMS:
        stage = SceneState(scene, cast, load_cultures(), scene.language, form, "norms")
        for role, actor in stage.actors.items():
            prompt = text_of(actor.ask(stage.cue(role)).prompt)
            for other, part in scene.roles.items():
                private = [part.goal, part.secret, *part.knows]
                for text in filter(None, private):
                    assert (text in prompt) == (other == role), (form, role, other)


@pytest.mark.parametrize("form", FORMS)
def test_a_whisper_reaches_only_those_addressed(form: str) -> None:
    def reply(prompt, sampling, schema):
        if who_asks(prompt) != "ada":
            return line(form, "Good morning.")
        if form == "json":
            return json_act("the vault is open", to=["Bela"], whisper=True)
        return "(whispering to Bela) the vault is open"

    hearing = Recorder(reply)
    record = play(scenario(3), hearing, form=form)
    assert record.rows["turns"][0]["audience"] == ["bela"] and record.rows["turns"][0]["whisper"]
    assert not any("vault" in text_of(p) for p in hearing.prompts["cleo"])
    assert all("vault" in text_of(p) for p in hearing.prompts["bela"])
    assert "whispering to Bela" in text_of(hearing.prompts["bela"][0])


@pytest.mark.parametrize("form", FORMS)
def test_template_syntax_in_a_scenario_is_text(form: str) -> None:
    hostile = "You want {{ 7 * 7 }} {% for x in y %} {{ self.__init__.__globals__ }} {# #}"
    hearing = Recorder(lambda *_: line(form, "Good morning."))
    play(scenario({"ada": {"goal": hostile}, "bela": {}}), hearing, form=form)
    assert hostile in text_of(hearing.prompts["ada"][0])
    assert "49" not in text_of(hearing.prompts["ada"][0])


@pytest.mark.parametrize("form", FORMS)
def test_prompts_are_append_only(form: str) -> None:
    hearing = Recorder(lambda _, sampling, __: line(form, f"Line {sampling.seed}."))
    play(scenario(3, limits={"turns": 30}), hearing, form=form)
    for prompts in hearing.prompts.values():
        assert len(prompts) >= 3
        for earlier, later in itertools.pairwise(prompts):
            if form == "json":
                assert list(later[: len(earlier)]) == list(earlier)
            else:
                lines = earlier.splitlines()
                body = [
                    line for line in lines[:-1] if "left.]" not in line and "last line" not in line
                ]
                assert later.startswith("\n".join(body) + "\n")


@pytest.mark.parametrize("form", FORMS)
def test_chats_alternate_strictly_even_around_failures(form: str) -> None:
    def reply(prompt, sampling, schema):
        if (sampling.seed or 0) % 2:
            return "nonsense {"
        return json_act()

    hearing = Recorder(reply)
    play(scenario(3, limits={"turns": 20}), hearing, form="json", repairs=0)
    for prompts in hearing.prompts.values():
        for prompt in prompts:
            roles = [message["role"] for message in prompt]
            assert roles[0] == "system" and roles[-1] == "user"
            assert all(a != b for a, b in itertools.pairwise(roles))


def test_agents_are_told_how_many_turns_are_left() -> None:
    hearing = Recorder(lambda *_: json_act())
    play(scenario(limits={"turns": 4}), hearing)
    assert "Turns left in the scene: 4." in text_of(hearing.prompts["ada"][0])
    assert "Turns left in the scene: 1." in text_of(hearing.prompts["bela"][-1])


@pytest.mark.parametrize(
    ("level", "named", "described", "norms"),
    [("none", False, False, False), ("name", True, False, False),
     ("dimensions", True, True, False), ("norms", True, True, True)],
)  # fmt: skip
def test_conditioning_levels(level: str, named: bool, described: bool, norms: bool) -> None:
    from scenarios.descriptors import describe

    hearing = Recorder(lambda *_: json_act())
    play(scenario(), hearing, conditioning=level)
    prompt = text_of(hearing.prompts["ada"][0])
    culture = load_cultures()["GBR"]
    assert ("British" in prompt) == named
    assert (describe(culture)[0] in prompt) == described
    assert (culture.norms[0].text in prompt) == norms


def test_people_of_one_name_are_told_apart() -> None:
    from scenes import persona

    from agents.role_view import display_names

    twin = persona("bela").model_copy(update={"name": "Ada"})
    names = display_names({"ada": persona("ada"), "old_bela": twin})
    assert names == {"ada": "Ada (ada)", "old_bela": "Ada (old bela)"}
