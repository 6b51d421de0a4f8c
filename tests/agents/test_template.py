"""Text of scenarios, people and models is a value in a prompt, never a template or code."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from scenes import Recorder, json_act, persona, play, scenario, text_of

from agents.template import Template

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agents", "eval", "scenarios", "simulation", "training")
WILD = "{{ 7*7 }} {% for x in 'abc' %}{{ x }}{% endfor %} {# gone #} ${HOME} %s {0.__class__}"


@pytest.mark.parametrize("form", ["json", "script"])
def test_template_marks_reach_the_prompt_as_they_are(form: str) -> None:
    fields = ("setting", "brief", "goal", "secret", "knows", "event", "norm")
    texts = {name: f"{name} {WILD}" for name in fields}
    wild = {name: texts[name] for name in ("brief", "goal", "secret")} | {"knows": [texts["knows"]]}
    scene = scenario(
        {"ada": wild, "bela": {}}, setting=texts["setting"],
        norms=[{"id": "be-kind", "text": texts["norm"]}],
        events=[{"id": "wild", "text": texts["event"], "at": 2}],
    )  # fmt: skip
    said = f"said {WILD}"
    recorder = Recorder(lambda *_: json_act(said) if form == "json" else f" {said}")
    play(scene, recorder, form=form)
    seen = "\n".join(text_of(p) for prompts in recorder.prompts.values() for p in prompts)
    for name in ("setting", "goal", "secret", "knows", "event"):
        assert texts[name] in seen, name
    assert said in seen or json.dumps(said)[1:-1] in seen
    assert "49" not in seen and "abc" not in seen.replace("'abc'", "")


def test_a_person_is_a_value_too() -> None:
    template = Template("test", "{% macro show(p) %}{{ p.background }}|{{ p.place }}{% endmacro %}")
    wild = persona("ada").model_copy(update={"background": WILD, "place": WILD})
    assert template.show(wild) == f"{WILD}|{WILD}"


UNSAFE = {
    ("yaml", "load"), ("yaml", "full_load"), ("yaml", "unsafe_load"), ("pickle", "load"),
    ("pickle", "loads"), ("torch", "load"), ("marshal", "loads"), ("dill", "loads"),
    ("joblib", "load"), ("shelve", "open"), ("os", "system"), ("os", "popen"),
}  # fmt: skip


def loads(tree: ast.AST) -> list[str]:
    """Calls in a module that could run what a file holds."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called: Any = node.func
        if isinstance(called, ast.Name) and called.id in ("eval", "exec", "compile", "__import__"):
            found.append(called.id)
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            name = (called.value.id, called.attr)
            loader = name == ("yaml", "load") and ast.unparse(node.args[1]).endswith("_LOADER")
            if name in UNSAFE and not loader:
                found.append(".".join(name))
        told = {key.arg: key.value for key in node.keywords}
        for unsafe, bad in (("weights_only", False), ("trust_remote_code", True), ("shell", True),
                            ("allow_pickle", True)):  # fmt: skip
            value = told.get(unsafe)
            if isinstance(value, ast.Constant) and value.value is bad:
                found.append(unsafe)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_that_a_file_holds_is_run(package: str) -> None:
    for file in sorted((ROOT / package).rglob("*.py")):
        assert loads(ast.parse(file.read_text(encoding="utf-8"))) == [], file
    assert loads(ast.parse("yaml.load(x, yaml.Loader)")) == ["yaml.load"]
    assert loads(ast.parse("torch.load(x, weights_only=False)")) == ["torch.load", "weights_only"]


def test_the_yaml_loaders_of_our_own_data_are_safe() -> None:
    import yaml

    from eval import item
    from eval.respondents import column
    from eval.survey import reading, voice

    for module in (item, reading, voice, column):
        assert issubclass(module._LOADER, yaml.SafeLoader | yaml.CSafeLoader)
