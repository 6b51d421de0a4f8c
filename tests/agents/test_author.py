"""An author's answer is put into the original's frame, checked, mended once, and else refused."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from author_answers import PLAN, SOUP, answer_like, plan
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from agents.answer import complaints
from agents.authoring.author import Refused, adapt_scenario, generate_scenario
from agents.authoring.character import free_name, slug
from agents.authoring.manuscript import adaptation_schema, adapted_data, generation_schema, outline
from agents.models.base import CallFailed, Completion, Prompt
from agents.models.fake import FakeModel
from folkways.cli.application import application
from folkways.errors import UserError
from scenarios.checks.check import check_file
from scenarios.culture import load_culture
from scenarios.layout import lay_out
from scenarios.library import adapted, library, load_scenario
from scenarios.parsing.yaml_file import load_yaml
from scenarios.scenario import Scenario
from scenarios.words import words

NORM = "Nobody asks a guest how long the visit will last."


def original() -> Scenario:
    """Return a scenario that has no shipped adaptations."""
    return load_scenario(SOUP).model_copy(update={"id": "soup-in-town"})


class Author:
    """A fake model that answers with each of the replies in turn, the last one for ever."""

    def __init__(self, *replies: Any) -> None:
        self.replies = [reply if isinstance(reply, str) else json.dumps(reply) for reply in replies]
        self.prompts: list[Prompt] = []
        self.model = FakeModel("fake:author", reply=self._reply)

    def _reply(self, prompt: Prompt, *_: Any) -> str:
        self.prompts.append(prompt)
        return self.replies[min(len(self.prompts), len(self.replies)) - 1]

    def adapt(
        self, culture: str = "MEX", language: str = "en", scene: Scenario | None = None,
        siblings: tuple[Scenario, ...] = (),
    ) -> dict[str, Any]:  # fmt: skip
        """Return what comes of adapting a scene."""
        return asyncio.run(adapt_scenario(
            self.model, scene or original(), load_culture(culture), language,
            f"soup-{culture.lower()}", siblings,
        ))  # fmt: skip

    def last_note(self) -> str:
        """Return what the model was told of its first answer."""
        prompt = self.prompts[-1]
        assert not isinstance(prompt, str)
        assert [message["role"] for message in prompt] == ["user", "assistant", "user"]
        return prompt[-1]["content"]


@pytest.fixture
def good() -> dict[str, Any]:
    return answer_like(f"{SOUP}-mex")


def test_a_good_answer_becomes_a_sound_file(good: dict[str, Any], tmp_path: Path) -> None:
    author = Author(good)
    data = author.adapt()
    assert len(author.prompts) == 1
    path = tmp_path / "soup-mex.yaml"
    path.write_text(lay_out(data), encoding="utf-8")
    assert check_file(path) == []
    scene, by_hand = load_scenario(path), load_scenario(f"{SOUP}-mex")
    for name, role in by_hand.roles.items():
        assert scene.roles[name] == role.model_copy(update={"persona": scene.roles[name].persona})
    assert scene.personas[0].id == "mex-loredo-infante-amparo"
    assert [person.name for person in scene.personas] == [p.name for p in by_hand.personas]
    assert scene.events == by_hand.events
    assert scene.culture == "MEX"
    assert scene.language == "en"


def test_provenance_tells_model_prompt_and_parent(good: dict[str, Any]) -> None:
    first, again = Author(good).adapt(), Author({}, good).adapt()
    assert first["provenance"] == again["provenance"]
    assert first["provenance"] | {"prompt_hash": ""} == {
        "author": "folkways", "made": "adapted", "parent": "soup-in-town",
        "model": "fake:author", "prompt_hash": "",
    }  # fmt: skip
    assert len(first["provenance"]["prompt_hash"]) == 16
    assert Author(answer_like(f"{SOUP}-jpn")).adapt("JPN")["provenance"] != first["provenance"]


def changed(path: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    """Return a change of an answer at a path of keys; None takes the key away."""

    def change(answer: dict[str, Any]) -> Any:
        here, keys = answer, path.split(".")
        for key in keys[:-1]:
            here = here[key]
        if value is None:
            del here[keys[-1]]
        else:
            here[keys[-1]] = value(here) if callable(value) else value
        return answer

    return change


def copies(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | outline(load_scenario(SOUP))


def another_story(answer: dict[str, Any]) -> dict[str, Any]:
    theirs = iter(load_scenario("at-the-dry-cleaners-counter").roles.values())
    theirs_too = load_scenario("drive-home-from-the-clinic")
    answer["setting"], answer["title"] = theirs_too.setting, theirs_too.title
    for role in answer["roles"].values():
        part = next(theirs)
        role |= {"brief": part.brief, "goal": part.goal, "secret": part.secret or part.goal[::-1]}
    for number, event in enumerate(answer["events"].values()):
        event["text"] = f"Something falls off the shelf, number {number}."
    answer["norms"] = {key: "Keep your word to strangers." for key in answer["norms"]}
    return answer


GERMAN = (
    "Die Küche einer kleinen Wohnung an einem Wochentag, eine Stunde vor Sonnenuntergang. "
    "Auf dem Herd steht ein Topf mit Gemüsesuppe, und zwei Teller sind schon gedeckt."
)
FAULTY: dict[str, tuple[Any, str, str]] = {
    "garbage": (lambda a: "Certainly! Which scene do you mean?", "unreadable", "no JSON object"),
    "nothing": (lambda a: "", "unreadable", "no JSON object"),
    "a list": (lambda a: "[]", "unreadable", "no JSON object"),
    "truncated": (lambda a: json.dumps(a)[:900], "unreadable", "is not complete"),
    "role dropped": (changed("roles.elder", None), "unreadable", '"roles.elder" is missing'),
    "person dropped": (changed("people.elder", None), "unreadable", '"people.elder" is missing'),
    "secret dropped": (changed("roles.elder.secret", None), "unreadable", "secret\" is missing"),
    "event dropped": (changed("events.dark", None), "unreadable", '"events.dark" is missing'),
    "number for text": (changed("setting", 3), "unreadable", "must be of the type string"),
    "too old": (changed("people.elder.age", 140), "unreadable", "allowed: 58 to 90"),
    "unknown value": (changed("people.elder.education", "PhD"), "unreadable", "'PhD'; allowed"),
    "empty goal": (changed("roles.elder.goal", " "), "faulty", "roles.elder.goal: too short"),
    "too long": (changed("setting", "Long. " * 400), "faulty", "setting: too long"),
    "secret leaked": (
        changed("roles.elder.brief", lambda role: role["secret"][:390]), "faulty",
        "roles.elder.brief: gives away roles.elder.secret",
    ),
    "wrong language": (changed("setting", GERMAN), "wrong-language", "setting: is not in English"),
    "same name twice": (
        lambda a: a | {"people": dict.fromkeys(a["people"], a["people"]["elder"] | {"age": 58})},
        "unreadable", "allowed: 18 to 38",
    ),
    "name in another script": (
        changed("people.elder.given_name", lambda p: p.update(family_name="浦川") or "貞夫"),
        "faulty", "people.elder: the name must be in Latin letters",
    ),
    "copied": (copies, "faulty", "repeats 'soup-in-town' instead of retelling it (100%"),
    "another story": (another_story, "faulty", "tells another story than 'soup-in-town'"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTY)
def test_a_faulty_answer_is_mended_once(case: str, good: dict[str, Any]) -> None:
    change, _, told = FAULTY[case]
    bad = change(deepcopy(good))
    author = Author(bad, good)
    assert author.adapt()["title"] == good["title"]
    assert len(author.prompts) == 2
    assert told in author.last_note()


@pytest.mark.parametrize("case", FAULTY)
def test_a_faulty_answer_is_refused_the_second_time(case: str, good: dict[str, Any]) -> None:
    change, kind, told = FAULTY[case]
    author = Author(change(deepcopy(good)))
    with pytest.raises(Refused) as refused:
        author.adapt()
    assert len(author.prompts) == 2
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.kind == kind


def test_a_warning_is_reason_to_ask_again_but_not_to_refuse(good: dict[str, Any]) -> None:
    bad = changed("people.elder.household", "with her husband")(deepcopy(good))
    author = Author(bad)
    assert author.adapt()["personas"][0]["household"] == "with her husband"
    assert "people.elder: widowed, but the household is" in author.last_note()
    assert Author(bad, good).adapt()["personas"][0] != author.adapt()["personas"][0]
    assert Author(bad, "garbage").adapt()["personas"][0]["household"] == "with her husband"


def test_names_in_use_are_told_and_refused(good: dict[str, Any]) -> None:
    used = load_scenario(f"{SOUP}-mex").model_copy(
        update={"setting": "-" * 20, "roles": original().roles | {}}
    )
    used = used.model_copy(update={"roles": load_scenario(f"{SOUP}-mex").roles, "language": "xx"})
    author = Author(good)
    with pytest.raises(Refused, match="somebody in 'soup-before-dusk-mex' has this name"):
        author.adapt(siblings=(used,))
    prompt = author.prompts[0]
    assert used.personas[0].name in prompt[0]["content"]  # type: ignore[index]


def test_a_call_that_fails_is_a_reason(good: dict[str, Any]) -> None:
    class Failing(FakeModel):
        async def complete(self, *_: Any) -> Completion:
            raise CallFailed("timeout", "no reply within 60 s")

    author = Author()
    author.model = Failing()
    with pytest.raises(Refused, match=r"no answer.*timeout") as refused:
        author.adapt()
    assert refused.value.kind == "timeout"


def test_a_native_language_is_asked_for_and_checked(good: dict[str, Any]) -> None:
    answer = answer_like(f"{SOUP}-jpn")
    author = Author(answer)
    with pytest.raises(Refused, match="is not in Japanese"):
        author.adapt("JPN", "ja")
    japanese = "夕暮れの一時間前、小さな台所の鍋で野菜の汁が静かに煮えている。"
    for number, role in enumerate(answer["roles"].values()):
        role |= {"brief": f"{number}番目の家族である。", "goal": "今夜は静かに食事を済ませたい。",
                 "secret": f"誰にも言わずに断食を{number}日続けている。"}  # fmt: skip
    for event in answer["events"].values():
        event["text"] = "外から教会の鐘の音がゆっくりと聞こえてくる。"
    answer |= {"title": "夕暮れの汁", "setting": japanese}
    answer["relationships"] = dict.fromkeys(answer["relationships"], "祖父と孫娘")
    answer["norms"] = dict.fromkeys(answer["norms"], "家族には本当のことを言うものだ。")
    data = Author(answer).adapt("JPN", "ja")
    assert data["language"] == "ja"
    assert data["personas"][0]["native_name"] == "浦川貞夫"
    in_japanese = changed("people.elder.background", japanese)(answer)
    with pytest.raises(Refused, match="a person is described in English"):
        Author(in_japanese).adapt("JPN", "ja")


def test_a_role_from_elsewhere_keeps_its_selector_and_must_stay_foreign() -> None:
    scene = load_scenario("the-interpreter-at-the-inquiry")
    with pytest.raises(Refused, match="the role 'porter' is there because it comes from MEX"):
        Author("").adapt("MEX", scene=scene)
    schema = adaptation_schema(scene, load_culture("DEU"))
    assert list(schema["properties"]["people"]["properties"]) == ["representative"]
    person = answer_like(f"{SOUP}-deu")["people"]["elder"]
    answer = outline(scene) | {"people": {"representative": person}}
    data = adapted_data(scene, answer, load_culture("DEU"), "en", "inquiry-deu")
    assert data["roles"]["porter"]["select"]["culture"] == ["MEX"]
    assert data["roles"]["representative"]["persona"] == "deu-bulut-gevriye"
    wawa = load_scenario("highway-closed-at-wawa")
    data = adapted_data(wawa, outline(wawa), load_culture("DEU"), "en", "wawa-deu")
    assert data["roles"]["owner"]["select"]["culture"] == ["CHN", "IND", "UKR"]


def test_model_text_is_never_a_template(good: dict[str, Any]) -> None:
    good["roles"]["elder"]["brief"] = "The elder {{ 7 * 7 }} {% if %} of the house."
    bad = changed("roles.grandchild.goal", None)(deepcopy(good))
    author = Author(bad, good)
    assert author.adapt()["roles"]["elder"]["brief"] == good["roles"]["elder"]["brief"]


@pytest.mark.parametrize("name", (library() | adapted()).keys())
def test_every_scenario_can_be_answered_and_put_together_again(name: str) -> None:
    scene = load_scenario(name)
    culture = load_culture(scene.culture or "KEN")
    schema = adaptation_schema(scene, culture)
    Draft202012Validator.check_schema(schema)
    assert "maxLength" not in json.dumps(schema)
    form = outline(scene)
    answer = form | {"people": {}}
    parts = {k: part for k, part in schema["properties"].items() if k not in ("people", "move")}
    rest = {**schema, "properties": parts, "required": list(parts)}
    assert list(complaints(answer, rest)) == []
    assert Draft202012Validator(rest).is_valid(form)
    data = adapted_data(scene, answer, culture, "en", scene.id) | {
        "provenance": scene.provenance.model_dump()
    }
    again = Scenario.model_validate(data)
    assert outline(again) == {
        key: json.loads(" ".join(json.dumps(part).split())) for key, part in form.items()
    }
    assert again.phases == scene.phases
    assert again.stop == scene.stop


@given(st.data())
def test_complaints_agree_with_the_json_schema(data: st.DataObject) -> None:
    schema = generation_schema(2, 5)
    value: Any = deepcopy(PLAN)
    for _ in range(data.draw(st.integers(0, 3))):
        here = value
        while isinstance(here, dict | list) and here:
            keys = sorted(here) if isinstance(here, dict) else range(len(here))
            key = data.draw(st.sampled_from(keys))
            if data.draw(st.booleans()) or not isinstance(here[key], dict | list):
                here[key] = data.draw(st.sampled_from([None, "", 3, -9, [], {}, True, "man", 1.5]))
                break
            here = here[key]
    assert (list(complaints(value, schema)) == []) == Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    ("text", "made"),
    [("Wiebke Janßen", "wiebke-janssen"), ("O'Hara, Zoë", "ohara-zoe"), ("Łukasz", "lukasz"),
     ("浦川貞夫", ""), ("  ", ""), ("A" * 99, "a" * 60)],
)  # fmt: skip
def test_ids_are_made_from_names(text: str, made: str) -> None:
    assert slug(text) == made
    assert free_name("a", {"a", "a-2"}) == "a-3"


def generated(*replies: Any, **given: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"roles": (2, 5), "number": 1, "count": 1} | given
    return asyncio.run(generate_scenario(
        Author(*replies).model, NORM, load_culture("CHN"), "en", **fields
    ))  # fmt: skip


def test_a_plan_becomes_a_sound_file(tmp_path: Path) -> None:
    data = generated(PLAN)
    path = tmp_path / "the-third-week.yaml"
    path.write_text(lay_out(data), encoding="utf-8")
    assert check_file(path) == []
    scene = load_scenario(path)
    assert list(scene.roles) == ["host", "guest"]
    assert scene.roles["host"].secret is None
    assert scene.culture == "CHN"
    assert [norm.text for norm in scene.norms] == [NORM, PLAN["against"]]
    assert scene.provenance.made == "generated"
    assert scene.provenance.model == "fake:author"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"roles": PLAN["roles"][:1]}, '"roles" has 1 entries; allowed: 2 to 5'),
        ({"theme": "love"}, "'love'; allowed"),
        ({"relationships": [PLAN["relationships"][0] | {"second": 4}]}, "no such role"),
        ({"setting": GERMAN}, "setting: is not in English"),
        ({"setting": f"{PLAN['setting']} {PLAN['roles'][1]['secret']}"}, "gives away roles.guest"),
    ],
)
def test_a_faulty_plan_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused) as refused:
        generated(PLAN | changes)
    assert told in str(refused.value)
    assert generated(PLAN | changes, PLAN)["title"] == PLAN["title"]


def test_a_title_in_another_script_gives_a_plain_id() -> None:
    assert generated(plan(1, title="第三周"), number=7)["id"] == "chn-7"


class Terminal(CliRunner):
    """A runner whose input comes from somebody at a terminal."""

    @contextmanager
    def isolation(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        with super().isolation(*arguments, **options) as streams:
            sys.stdin.isatty = lambda: True  # type: ignore[method-assign]
            yield streams


def command(*arguments: Any, keys: str | None = None) -> Result:
    runner = CliRunner() if keys is None else Terminal()
    return runner.invoke(
        application(),  # type: ignore[arg-type]
        ["scenario", *map(str, arguments)], input=keys,
    )  # fmt: skip


def mistake(*arguments: Any) -> str:
    result = command(*arguments)
    assert isinstance(result.exception, UserError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def fake(folder: Path, *replies: Any) -> str:
    """Return the name of a fake model with a script of replies."""
    path = folder / "script.yml"
    rule = {"when": "", "replies": [one if isinstance(one, str) else json.dumps(one)
                                    for one in replies]}  # fmt: skip
    path.write_text(yaml.safe_dump({"rules": [rule]}), encoding="utf-8")
    return f"fake:{path}"


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """Return a scenario file that has no adaptations."""
    path = tmp_path / "soup-in-town.yaml"
    data = load_yaml(library()[SOUP]).data | {"id": "soup-in-town"}
    path.write_text(lay_out(data), encoding="utf-8")
    return path


def test_adapting_writes_a_file(town: Path, good: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    model = fake(tmp_path, good)
    done = command("adapt", town, "--culture", "mex", "--model", model, "--out", out)
    path = out / "soup-in-town-mex.yaml"
    assert done.exit_code == 0
    assert done.output.startswith(f"wrote {path}\n1 of 1 calls answered | ")
    assert check_file(path) == []
    assert load_scenario(path).provenance.parent == "soup-in-town"
    again = ("adapt", town, "--culture", "MEX", "--model", model, "--out", out)
    done = command(*again)
    assert done.exit_code == 0
    assert done.output == f"{path} exists already and is kept; --force writes over it\n"
    path.write_text("id: [", encoding="utf-8")
    assert command(*again, "--force").exit_code == 0
    assert check_file(path) == []


def test_cultures_are_adapted_each_for_itself(
    town: Path, good: dict[str, Any], tmp_path: Path
) -> None:
    done = command(
        "adapt", town, "--culture", "MEX,DEU", "--model", fake(tmp_path, good), "--out", tmp_path
    )
    assert done.exit_code == 1
    assert f"wrote {tmp_path / 'soup-in-town-mex.yaml'}\n" in done.output
    assert "DEU: refused: " in done.output
    assert not (tmp_path / "soup-in-town-deu.yaml").exists()


def test_a_repeated_adaptation_is_refused_beside_its_sibling(
    town: Path, good: dict[str, Any], tmp_path: Path
) -> None:
    first = ("adapt", town, "--culture", "MEX", "--model", fake(tmp_path, good), "--out", tmp_path)
    assert command(*first).exit_code == 0
    other = answer_like(f"{SOUP}-mex")
    other["people"] = answer_like(f"{SOUP}-deu")["people"]
    model = fake(tmp_path, other)
    done = command("adapt", town, "--culture", "DEU", "--model", model, "--out", tmp_path)
    assert done.exit_code == 1
    assert "DEU: refused: setting: repeats 'soup-in-town-mex'" in done.output


@pytest.mark.parametrize(("key", "kept"), [("y\n", True), ("n\n", False)])
def test_a_review_shows_a_diff_and_asks(
    key: str, kept: bool, town: Path, good: dict[str, Any], tmp_path: Path
) -> None:
    good["title"] = "Soup\x1b[31m and \u202e bells"
    arguments = ("adapt", town, "--culture", "MEX", "--model", fake(tmp_path, good), "--out",
                 tmp_path, "--review")  # fmt: skip
    done = command(*arguments, keys=key)
    assert done.exit_code == 1, "the control character is refused"
    good["title"] = "Soup and \u202e bells"
    fake(tmp_path, good)
    done = command(*arguments, keys=key)
    assert done.exit_code == 0
    path = tmp_path / "soup-in-town-mex.yaml"
    assert "-title: Soup before dusk\n" in done.output
    assert "\u202e" not in done.output
    assert f"Keep {path}?" in done.output
    assert path.exists() is kept
    if kept:
        assert load_scenario(path).title == good["title"]


def test_mistakes_are_told_in_one_line(town: Path, tmp_path: Path) -> None:
    out = ("--model", "fake", "--out", tmp_path / "out")
    assert "unknown culture 'JPX'; known: AUS" in mistake("adapt", SOUP, "--culture", "JPX", *out)
    assert "no culture is given" in mistake("adapt", SOUP, "--culture", ",", *out)
    assert "no shipped scenario has the id 'soup'" in mistake("adapt", "soup", "--culture", "JPN")
    told = mistake("adapt", SOUP, "--culture", "JPN", "--language", "Klingon!", *out)
    assert "'Klingon!' is no language tag" in told
    assert "needs a terminal" in mistake("adapt", SOUP, "--culture", "JPN", "--review", *out)
    assert not (tmp_path / "out").exists()
    told = mistake("adapt", "handing-over-the-farm", "--culture", "DEU", *out)
    assert told == "'handing-over-the-farm' is set in DEU already; choose another"
    town.write_text(town.read_text(encoding="utf-8").replace("elder]", "eldest]"), encoding="utf-8")
    assert "no such role" in mistake("adapt", town, "--culture", "JPN", *out)
    assert "mend the file first" in mistake("adapt", town, "--culture", "JPN", *out)
    assert "unknown model 'gpt'" in mistake("adapt", SOUP, "--culture", "JPN", "--model", "gpt")
    assert "allowed: 1 to 400" in mistake("generate", "--norm", " ", "--culture", "CHN", *out)
    blocked = ("--out", town / "x", "--model", "fake")
    assert "cannot be a folder" in mistake("adapt", SOUP, "--culture", "JPN", *blocked)
    assert "cannot be a folder" in mistake("generate", "--norm", "x", "--culture", "CHN", *blocked)


def generate(folder: Path, n: int, *replies: Any, seed: int = 0) -> tuple[Result, list[str]]:
    out = folder / "out"
    done = command("generate", "--norm", NORM, "--culture", "CHN", "--n", n, "--out", out,
                   "--model", fake(folder, *replies), "--seed", seed)  # fmt: skip
    return done, sorted(path.name for path in out.glob("*.yaml"))


def test_generating_writes_what_is_new(tmp_path: Path) -> None:
    done, files = generate(tmp_path, 3, plan(1), plan(2), plan(3))
    assert done.exit_code == 0
    assert files == ["week-1.yaml", "week-2.yaml", "week-3.yaml"], done.output
    assert done.output.splitlines()[-1] == "3 of 3 written, 0 tries dropped"
    assert all(check_file(tmp_path / "out" / name) == [] for name in files)


def test_near_duplicates_are_dropped_and_counted(tmp_path: Path) -> None:
    done, files = generate(tmp_path, 2, plan(1), plan(1, title="The same again"))
    assert files == ["week-1.yaml"]
    assert done.output.splitlines()[-1] == "1 of 2 written, 3 tries dropped (3 near-duplicate)"
    shipped = load_scenario("at-the-dry-cleaners-counter")
    goals = [role.goal for role in shipped.roles.values()]
    copy = plan(4, setting=shipped.setting)
    for role, goal in zip(copy["roles"], goals, strict=False):
        role["goal"] = goal
    done, files = generate(tmp_path, 1, copy, seed=1)
    assert done.exit_code == 1
    assert files == ["week-1.yaml"]
    assert done.output.splitlines()[-1] == "0 of 1 written, 3 tries dropped (3 near-duplicate)"


def test_what_is_in_the_folder_counts_as_known(tmp_path: Path) -> None:
    generate(tmp_path, 1, plan(1))
    done, files = generate(tmp_path, 1, plan(1), plan(2, title="Week 1"), seed=1)
    assert files == ["week-1-2.yaml", "week-1.yaml"]
    assert "1 of 1 written, 1 tries dropped (1 near-duplicate)" in done.output


def test_every_reason_is_counted(tmp_path: Path) -> None:
    done, files = generate(tmp_path, 1, "no", "no", plan(1, setting=GERMAN), "no", plan(2))
    assert files == ["week-2.yaml"]
    assert "1: refused: the answer cannot be read: there is no JSON object in it" in done.output
    assert "2 tries dropped (2 unreadable)" in done.output


def test_titles_in_use_and_the_number_are_told() -> None:
    author = Author(PLAN)
    asyncio.run(generate_scenario(
        author.model, NORM, load_culture("CHN"), "en", (2, 2), 4, 9, ["Tea at five"]
    ))  # fmt: skip
    text = author.prompts[0][0]["content"]  # type: ignore[index]
    assert "plan 4 of 9" in text
    assert "Tea at five" in text
    assert NORM in text


def test_the_prompt_holds_the_original_and_the_culture(good: dict[str, Any]) -> None:
    author = Author(good)
    author.adapt()
    text: str = author.prompts[0][0]["content"]  # type: ignore[index]
    assert original().roles["elder"].goal in text
    assert '{"move": {"place": "..."' in text
    assert "aged 58 to 90" in text
    assert load_culture("MEX").norms[0].text in text
    assert "native_name" not in text


@pytest.mark.parametrize("name", (library() | adapted()).keys())
def test_every_scenario_can_be_asked_for(name: str) -> None:
    scene, author = load_scenario(name), Author("no")
    with pytest.raises(Refused):
        author.adapt("KEN" if scene.culture != "KEN" else "THA", scene=scene)
    text: str = author.prompts[0][0]["content"]  # type: ignore[index]
    told = [part for part in everything(outline(scene)) if len(words(part)) > 4]
    assert not [part for part in told if part not in text]
    assert "\n\n\n" not in text


def everything(data: Any) -> Iterator[str]:
    """Yield all texts in plain data."""
    if isinstance(data, str):
        yield data
    for part in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from everything(part)


def test_nothing_of_the_original_is_left_in_an_adaptation(good: dict[str, Any]) -> None:
    theirs = {text for text in everything(outline(original())) if len(words(text)) > 4}
    assert not theirs & set(everything(Author(good).adapt()))
