"""An adaptation keeps the bones of its original, and neither its words nor its names."""

from __future__ import annotations

import random
import re
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkways.errors import UserError
from scenarios.adaptation import COPIED, SAME_STORY, copied_share, deviations, likeness, relatives
from scenarios.checks.check import check_file
from scenarios.layout import lay_out, write_scenario
from scenarios.library import adapted, library, load_scenario
from scenarios.parsing.problem import Finding, show_path
from scenarios.parsing.yaml_file import load_yaml
from scenarios.scenario import Scenario

SOUP, SHIFT = "soup-before-dusk", "who-leaves-the-night-shift"


def data_of(name: str) -> dict[str, Any]:
    """Return a fresh copy of the data of a shipped file."""
    data: dict[str, Any] = deepcopy(load_yaml((library() | adapted())[name]).data)
    return data


def judged(data: dict[str, Any], *siblings: Scenario) -> list[Finding]:
    """Return what is wrong with an adaptation of the library scenario that it names."""
    scene = Scenario.model_validate(data)
    return list(deviations(load_scenario(scene.provenance.parent or ""), scene, siblings))


def paths(findings: list[Finding]) -> list[str]:
    return [show_path(finding.path) for finding in findings]


def each_text(data: dict[str, Any], change: Any) -> dict[str, Any]:
    """Return the data of a scenario with every text of its story changed."""
    data["setting"] = change(data["setting"])
    for role in data["roles"].values():
        role |= {k: change(role[k]) for k in ("brief", "goal", "secret") if k in role}
        role |= {k: [change(one) for one in role[k]] for k in ("knows",) if k in role}
    for part in (*data.get("events", ()), *data["norms"]):
        part["text"] = change(part["text"])
    for phase in data.get("phases", ()):
        phase |= {k: change(phase[k]) for k in ("brief",) if k in phase}
    return data


@pytest.mark.parametrize("name", adapted())
def test_shipped_adaptations_are_sound(name: str) -> None:
    assert check_file(adapted()[name]) == []
    assert len(relatives(load_scenario(name), adapted()[name])) == 4


CHANGES: dict[str, tuple[str, Any, list[str]]] = {
    "theme": (SOUP, lambda d: d.update(theme="public-rules"), ["theme"]),
    "policy": (SOUP, lambda d: d.update(policy="random"), ["policy"]),
    "opens": (SOUP, lambda d: d.update(opens="elder"), ["opens"]),
    "limits": (SOUP, lambda d: d.update(limits={"turns": 8}), ["limits"]),
    "role order": (
        SOUP, lambda d: d.update(roles=dict(reversed(d["roles"].items()))), ["roles"],
    ),
    "role added": (
        SOUP, lambda d: d["roles"].update(cat={"brief": "A cat.", "goal": "Fish."}), ["roles"],
    ),
    "secret lost": (SOUP, lambda d: d["roles"]["elder"].pop("secret"), ["roles.elder.secret"]),
    "knowledge gained": (
        SOUP, lambda d: d["roles"]["elder"].update(knows=["It rains."]), ["roles.elder.knows"],
    ),
    "entrance": (SHIFT, lambda d: d["roles"]["manager"].pop("enters"), ["roles.manager.enters"]),
    "relationship lost": (SHIFT, lambda d: d["relationships"].pop(), ["relationships"]),
    "closeness": (
        SOUP, lambda d: d["relationships"][0].update(closeness=1), ["relationships[1].closeness"],
    ),
    "status": (
        SOUP, lambda d: d["relationships"][0].update(status=-2), ["relationships[1].status"],
    ),
    "stop rule lost": (SOUP, lambda d: d["stop"].pop(), ["stop"]),
    "stop roles": (SOUP, lambda d: d["stop"][1].update(roles=["grandchild"]), ["stop[2].roles"]),
    "phase id": (SHIFT, lambda d: d["phases"][0].update(id="chat"), ["phases"]),
    "phase acts": (SHIFT, lambda d: d["phases"][0].update(acts=["speak"]), ["phases[1].acts"]),
    "phase who": (SHIFT, lambda d: d["phases"][0]["who"].pop(), ["phases[1].who"]),
    "phase until": (
        SHIFT, lambda d: d["phases"][0].update(until={"turns": 3}), ["phases[1].until"],
    ),
    "phase hears": (SHIFT, lambda d: d["phases"][1].update(hears="actors"), ["phases[2].hears"]),
    "phase policy": (
        SHIFT, lambda d: d["phases"][1].update(policy="random"), ["phases[2].policy"],
    ),
    "event lost": (SOUP, lambda d: d["events"].pop(), ["events"]),
    "event time": (SOUP, lambda d: d["events"][0].update(at=9), ["events[1].at"]),
    "event cause": (
        SOUP, lambda d: d["events"][1].update(when={"quiet": 2}),
        ["events[2].when", "events[2].when.says"],
    ),
    "event audience": (
        SOUP, lambda d: d["events"][0].update(audience=["elder"]), ["events[1].audience"],
    ),
    "event that ends": (SOUP, lambda d: d["events"][3].pop("ends"), ["events[4].ends"]),
    "norm id": (SOUP, lambda d: d["norms"][0].update(id="other"), ["norms"]),
    "culture": (SOUP, lambda d: d.pop("culture"), ["culture"]),
    "person of elsewhere": (
        SOUP, lambda d: d["personas"][1].update(culture="GBR"), ["personas[2].culture"],
    ),
    "nobody of the file": (
        SOUP, lambda d: d["roles"]["elder"].update(persona="jpn-sato-misaki"), ["roles.elder"],
    ),
    "anybody": (SOUP, lambda d: d["roles"]["elder"].pop("persona"), ["roles.elder"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_what_an_adaptation_must_keep(case: str) -> None:
    name, change, told = CHANGES[case]
    data = data_of(f"{name}-jpn")
    assert judged(data) == []
    change(data)
    found = judged(data)
    assert paths(found) == told
    assert {finding.severity for finding in found} == {"error"}


def test_words_to_listen_for_may_change() -> None:
    data = data_of(f"{SOUP}-jpn")
    data["events"][1]["when"]["says"] = "hospital"
    assert judged(data) == []


def test_the_file_check_includes_all_this(tmp_path: Path) -> None:
    path = tmp_path / "soup-in-town.yaml"
    data = data_of(f"{SOUP}-jpn") | {"id": "soup-in-town"}
    data["provenance"].pop("parent")
    path.write_text(lay_out(data), encoding="utf-8")
    assert check_file(path) == []
    data["provenance"]["parent"] = SOUP
    data["roles"]["elder"].pop("secret")
    path.write_text(lay_out(data), encoding="utf-8")
    told = [problem.message for problem in check_file(path)]
    assert told[0].startswith(f"repeats '{SOUP}-jpn' instead of retelling it (100% of")
    assert told[1] == f"not as in '{SOUP}', and an adaptation keeps it"
    assert told[2:] == [f"somebody in '{SOUP}-jpn' has this name"] * 2


def test_a_role_from_elsewhere_may_stay_one() -> None:
    original = load_scenario("highway-closed-at-wawa")
    changed = {"culture": "DEU", "provenance": {"author": "a", "made": "b"}}
    scene = Scenario.model_validate(
        original.model_dump(exclude={"culture", "provenance"}) | changed
    )
    assert not any("person" in finding.message for finding in deviations(original, scene))


def test_names_of_the_original_and_of_siblings_are_taken() -> None:
    data, sibling = data_of(f"{SOUP}-jpn"), load_scenario(f"{SOUP}-deu")
    assert judged(data, sibling) == []
    data["personas"][0]["name"] = "Bulut, Gevriye"
    (found,) = judged(data, sibling)
    assert found.path == ("personas", 0, "name")
    assert found.message == f"somebody in '{SOUP}-deu' has this name"
    assert judged(data) == []


def test_names_that_are_left_in_a_text_are_told() -> None:
    original = load_scenario("highway-closed-at-wawa")
    texts = {"setting": "They stopped in Wawa on a Monday, and spoke English."}
    scene = original.model_copy(update=texts)
    kept = [f for f in deviations(original, scene) if "still has a name" in f.message]
    assert [(f.path, f.value) for f in kept if f.path == ("setting",)] == [
        (("setting",), "English, Wawa")
    ]
    assert {f.severity for f in kept} == {"warning"}


@pytest.mark.parametrize("name", [SOUP, SHIFT, "who-takes-father-in"])
def test_find_and_replace_is_refused(name: str) -> None:
    data, original = data_of(f"{name}-jpn"), data_of(name)
    whole = str(original).lower()
    nouns = {word for word, _ in Counter(re.findall(r"[a-z]{5,}", whole)).most_common(20)}

    def change(text: str) -> str:
        return re.sub(r"\w+", lambda m: f"o{m[0]}" if m[0].lower() in nouns else m[0], text)

    theirs = each_text(original, change)
    for role, part in data["roles"].items():
        part |= {key: theirs["roles"][role][key] for key in ("brief", "goal")}
        part |= {k: theirs["roles"][role][k] for k in ("secret", "knows") if k in part}
    copied = data | {key: theirs[key] for key in ("setting", "events", "norms")}
    found = [finding for finding in judged(copied) if "repeats" in finding.message]
    assert paths(found) == ["setting"]
    assert "below 35% is allowed" in found[0].message


def test_a_copy_of_a_sibling_is_refused() -> None:
    data = data_of(f"{SOUP}-jpn")
    sibling = load_scenario(f"{SOUP}-jpn").model_copy(update={"id": "sibling", "personas": ()})
    (found,) = judged(data, sibling)
    assert "repeats 'sibling'" in found.message
    assert found.message.endswith("most alike: setting, roles.elder.brief, roles.elder.goal")


def stranger_of(name: str, other: str) -> dict[str, Any]:
    """Return an adaptation whose texts are those of another scenario."""
    data, theirs = data_of(name), data_of(other)
    data["setting"], data["title"] = theirs["setting"], theirs["title"]
    roles = list(theirs["roles"].values())
    for part, role in zip(data["roles"].values(), roles, strict=False):
        part |= {key: role[key] for key in ("brief", "goal", "secret") if key in role}
    for section in ("events", "norms", "relationships"):
        key = "type" if section == "relationships" else "text"
        for part, its in zip(data[section], theirs[section], strict=False):
            part[key] = its[key]
    return data


@pytest.mark.parametrize("other", ["at-the-dry-cleaners-counter", "overloaded-at-the-weighbridge"])
def test_a_different_story_is_refused(other: str) -> None:
    (found,) = judged(stranger_of(f"{SOUP}-jpn", other))
    assert found.path == ("setting",)
    assert found.message.startswith(f"tells another story than '{SOUP}' (likeness 0.0")


def test_in_another_language_only_the_structure_is_compared() -> None:
    data = stranger_of(f"{SOUP}-jpn", "at-the-dry-cleaners-counter") | {"language": "ja"}
    assert judged(data) == []
    assert judged(data | {"language": "en-GB"}) != []
    assert paths(judged(data | {"theme": "public-rules"})) == ["theme"]


def test_the_bounds_lie_where_their_docstrings_say() -> None:
    scenes = {name: load_scenario(name) for name in (*library(), *adapted())}
    pairs = [(scenes[name], scenes[scenes[name].provenance.parent or ""]) for name in adapted()]
    assert max(copied_share(*pair) for pair in pairs) < 0.05
    likest = [likeness(*pair) or 0 for pair in pairs]
    assert min(likest) > 0.16
    assert max(likest) < 0.37
    unrelated = [
        likeness(one, scenes[name]) or 0
        for one, parent in pairs for name in library() if name != parent.id
    ]  # fmt: skip
    assert sum(value >= 0.1 for value in unrelated) < len(unrelated) / 20
    assert sum(value >= SAME_STORY for value in unrelated) < len(unrelated) / 100


@given(st.sampled_from(sorted(library())), st.integers(0, 2**32))
def test_replacing_one_word_in_six_is_copying(name: str, seed: int) -> None:
    rng, scene = random.Random(seed), load_scenario(name)

    def change(text: str) -> str:
        return " ".join(f"q{word}" if rng.random() < 1 / 6 else word for word in text.split())

    varied = Scenario.model_validate(each_text(data_of(name), change))
    assert COPIED < copied_share(varied, scene) < 1
    assert copied_share(scene, scene) == likeness(scene, scene) == 1


@pytest.mark.parametrize("path", (library() | adapted()).values(), ids=lambda path: path.stem)
def test_a_laid_out_file_says_the_same(path: Path) -> None:
    data = load_yaml(path).data
    text = lay_out(data)
    assert load_yaml(text).data == data
    assert max(map(len, text.splitlines())) <= 108
    assert text.startswith(f"id: {path.stem}\n")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**62), 2**62)
        | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc "), inner),
        max_leaves=8,
    )
)  # fmt: skip
def test_any_data_is_laid_out_so_that_it_reads_the_same(value: Any) -> None:
    shown = {"id": value, "title": ["1e3", "no", "~", "0o7"], "setting": "a  b " * 30}
    if "\ufffe" not in str(value) and "\uffff" not in str(value):
        assert load_yaml(lay_out(shown)).data == shown


def test_a_file_is_written_over_only_when_forced(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write_scenario(path, "one")
    with pytest.raises(UserError, match="exists already; add --force"):
        write_scenario(path, "two")
    assert path.read_text(encoding="utf-8") == "one"
    write_scenario(path, "two", force=True)
    assert path.read_text(encoding="utf-8") == "two"
    with pytest.raises(UserError, match="cannot write"):
        write_scenario(tmp_path / "no" / "b.yaml", "x")
    assert [one.name for one in tmp_path.iterdir()] == ["a.yaml"]
