"""The item registry against the figures of the WVS-7 codebook and of two published item sets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eval.item import Item, load_items, preset, preset_names, read_items
from folkways.errors import UserError


def numbered(*spans: int | tuple[int, int]) -> set[str]:
    """Return ids from numbers and from spans that include both ends."""
    pairs = (span if isinstance(span, tuple) else (span, span) for span in spans)
    return {f"Q{number}" for first, last in pairs for number in range(first, last + 1)}


# The thirteen topics: numbers of their items, Q234A and Q223 apart.
TOPICS = {
    "social-values": (1, 45),
    "happiness-and-wellbeing": (46, 56),
    "social-capital": (57, 105),
    "economic-values": (106, 111),
    "corruption": (112, 120),
    "migration": (121, 130),
    "security": (131, 151),
    "postmaterialism": (152, 157),
    "science-and-technology": (158, 163),
    "religious-values": (164, 175),
    "ethical-values": (176, 198),
    "political-participation": (199, 234),
    "political-culture": (235, 259),
}

# Options of each item, as (first item, last item): number of codes in the file.
OPTIONS = {
    (1, 6): 4, (7, 26): 2, (27, 32): 4, (33, 41): 5, (42, 45): 3, (46, 46): 4, (47, 47): 5,
    (48, 50): 10, (51, 55): 4, (56, 56): 3, (57, 57): 2, (58, 89): 4, (90, 90): 10, (91, 105): 3,
    (106, 110): 10, (111, 111): 3, (112, 112): 10, (113, 118): 4, (119, 119): 5, (120, 120): 10,
    (121, 121): 5, (122, 129): 3, (130, 138): 4, (139, 141): 2, (142, 143): 4, (144, 145): 2,
    (146, 148): 4, (149, 151): 2, (152, 157): 4, (158, 164): 10, (165, 168): 2, (169, 170): 4,
    (171, 171): 7, (172, 172): 8, (173, 173): 3, (174, 175): 2, (176, 195): 10, (196, 199): 4,
    (200, 200): 3, (201, 208): 5, (209, 220): 3, (221, 222): 4, (224, 234): 4, (235, 239): 4,
    (240, 240): 10, (241, 249): 11, (250, 252): 10, (253, 253): 4, (254, 254): 5, (255, 259): 4,
}  # fmt: skip

FROM_ZERO = numbered((94, 105), 119, (122, 129), (241, 249))
NOMINAL = numbered(42, (91, 93), 149, 150, (152, 157))
RECODED = {
    "Q56": {2: 3, 3: 2},
    "Q119": {0: 3, 3: 4, 4: 5},
    **{item_id: {0: 1} for item_id in numbered((241, 249))},
}
OTHER = {"Q111": (3,), "Q254": (5,), "Q221": (4,), "Q222": (4,)}

# On these a higher point is more of what is asked; on all other ordered scales it is less.
MORE = numbered(
    *((48, 50), (94, 105), (112, 118), (120, 129), (158, 164), (176, 195), (241, 252)),
)


def counts(items: tuple[Item, ...]) -> dict[int, int]:
    """Return how many items have how many points."""
    return dict(Counter(len(item.points) for item in items))


def test_every_item_is_there_once_in_the_order_of_the_questionnaire() -> None:
    ids = [f"Q{number}" for number in range(1, 260) if number != 223]
    ids.insert(ids.index("Q234") + 1, "Q234A")
    assert list(load_items()) == ids
    assert len(ids) == 259


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_has_its_items(topic: str) -> None:
    expected = numbered(TOPICS[topic]) - {"Q223"}
    expected |= {"Q234A"} if topic == "political-participation" else set()
    assert {item.id for item in preset(topic)} == expected
    assert {item.topic for item in preset(topic)} == {topic}


@pytest.mark.parametrize("span", OPTIONS)
def test_codes_are_those_of_the_file(span: tuple[int, int]) -> None:
    for item_id in numbered(span):
        first = 0 if item_id in FROM_ZERO else 1
        codes = list(range(first, first + OPTIONS[span]))
        assert list(load_items()[item_id].options) == codes, item_id


def test_the_spans_cover_every_item() -> None:
    assert numbered(*OPTIONS) | {"Q234A"} == set(load_items())
    assert list(load_items()["Q234A"].options) == [1, 2, 3, 4, 5]


def test_scales_recodes_and_other_codes_are_those_of_the_codebook() -> None:
    items = load_items().values()
    assert {item.id for item in items if item.scale == "nominal"} == NOMINAL
    assert {item.id: item.recode for item in items if item.recode} == RECODED
    assert {item.id: item.other for item in items if item.other} == OTHER
    two = {item.id for item in items if len(item.points) == 2}
    assert {item.id for item in items if item.scale == "binary"} == two - {"Q149", "Q150"}


def test_polarity() -> None:
    ordered = {item.id: item.higher for item in load_items().values() if item.scale != "nominal"}
    expected = {item_id: "more" if item_id in MORE else "less" for item_id in ordered}
    assert ordered == expected


def test_culturespa_scale_lengths() -> None:
    lengths = Counter(len(item.options) for item in preset("culturespa-259"))
    assert lengths == {2: 35, 3: 43, 4: 106, 5: 22, 7: 1, 8: 1, 10: 42, 11: 9}
    squares = {length: count * (length - 1) ** 2 for length, count in lengths.items()}
    long = squares[10] + squares[11]
    assert long / sum(squares.values()) == pytest.approx(0.729, abs=5e-4)


def test_world_values_bench_scale_lengths() -> None:
    """The 239 items that WorldValuesBench treats as ordinal, with its recodes."""
    left_out = numbered(42, (82, 93), 105, (152, 157))
    items = [item for item in load_items().values() if item.id not in left_out]
    from_zero = [item for item in items if item.points == (0, 1, 2)]
    rest = tuple(item for item in items if item.points != (0, 1, 2))
    assert len(items) == 239
    assert len(from_zero) == 19
    assert counts(rest) == {4: 91, 10: 50, 2: 36, 5: 21, 3: 20, 7: 1, 8: 1}
    assert all(item.points == tuple(range(1, len(item.points) + 1)) for item in rest)


def test_clca_items() -> None:
    items = preset("clca-44")
    assert {item.id for item in items} == numbered((1, 41), (43, 45))
    assert len(items) == 44
    assert counts(items) == {2: 20, 4: 12, 5: 9, 3: 3}
    chance = sum(1 / len(item.points) for item in items) / 44
    assert chance == pytest.approx(0.3591, abs=5e-5)


def test_map_items_carry_their_names_in_the_integrated_file() -> None:
    """The ten indices of the map; Y002 and Y003 are built of six further items."""
    names = {item.id: item.integrated for item in preset("inglehart-welzel-10")}
    single = {
        **{"Q46": "A008", "Q57": "A165", "Q45": "E018", "Q209": "E025"},
        **{"Q164": "F063", "Q182": "F118", "Q184": "F120", "Q254": "G006"},
    }
    assert {item_id: names[item_id] for item_id in single} == single
    assert set(names) - set(single) == {"Q8", "Q14", "Q15", "Q17", "Q154", "Q155"}
    used = [item.integrated for item in load_items().values() if item.integrated]
    assert len(used) == len(set(used))


def test_positions_follow_the_scale_and_not_the_file() -> None:
    items = load_items()
    assert items["Q1"].positions == pytest.approx({1: 0, 2: 1 / 3, 3: 2 / 3, 4: 1})
    assert items["Q122"].positions == {0: 0, 1: 0.5, 2: 1}
    assert items["Q56"].scale_codes == (1, 3, 2)
    assert [items["Q56"].point(code) for code in (1, 2, 3)] == [1, 3, 2]
    assert items["Q119"].scale_codes == (1, 2, 0, 3, 4)
    assert [items["Q119"].point(code) for code in range(5)] == [3, 1, 2, 4, 5]
    assert items["Q241"].points == tuple(range(1, 11))
    assert items["Q241"].scale_codes == tuple(range(11))
    assert items["Q241"].point(0) == items["Q241"].point(1) == 1
    assert items["Q254"].positions[4] == 1
    assert items["Q111"].positions == {1: 0, 2: 1}


def test_a_nominal_item_has_points_but_no_positions() -> None:
    item = load_items()["Q154"]
    assert item.points == (1, 2, 3, 4)
    with pytest.raises(ValueError, match="Q154 is nominal"):
        _ = item.positions


def test_status_keeps_the_ways_of_not_answering_apart() -> None:
    item = load_items()["Q254"]
    codes = {code: item.status(code) for code in range(-6, 7)}
    assert codes == {
        **{-6: "out of range", -5: "missing", -4: "not asked", -3: "not applicable"},
        **{-2: "no answer", -1: "don't know", 0: "out of range"},
        **{1: "valid", 2: "valid", 3: "valid", 4: "valid", 5: "other", 6: "out of range"},
    }
    assert [code for code in codes if item.valid(code)] == [1, 2, 3, 4]
    assert item.point(5) is None


def test_zero_is_an_answer_where_the_codebook_says_so() -> None:
    assert {item.id for item in load_items().values() if item.valid(0)} == FROM_ZERO


@given(st.sampled_from(list(load_items().values())), st.integers(-10, 20))
def test_a_code_is_a_point_or_missing(item: Item, code: int) -> None:
    point = item.point(code)
    assert (point in item.points) == (item.status(code) == "valid") == item.valid(code)
    assert (point is None) == (code not in item.scale_codes)


def test_wording_is_short_complete_and_distinct() -> None:
    items = list(load_items().values())
    assert len({item.ask for item in items}) == 259
    for item in items:
        assert len(item.ask.split()) <= 30, item.id
        assert item.ask[0].isupper() and item.ask[-1] in "?.", item.id
        assert item.statement == (item.ask[-1] == "."), item.id
        labels = list(item.options.values())
        graded = len(labels) >= 10
        assert all(label.isdigit() for label in labels[2:-1]) or not graded, item.id
        assert not any(label.isdigit() for label in labels) or graded, item.id
        assert all(label == str(code) for code, label in item.options.items() if label.isdigit())


def test_statements_are_judged_by_agreement() -> None:
    for item in load_items().values():
        agreement = any("agree" in label for label in item.options.values())
        assert item.statement == agreement, item.id


def test_an_unknown_preset_names_the_known_ones() -> None:
    sets = ("clca-44", "inglehart-welzel-10", "worldvaluesbench-36", "culturespa-259")
    assert preset_names() == (*sets, *TOPICS)
    assert len(preset("worldvaluesbench-36")) == 36
    with pytest.raises(UserError) as error:
        preset("clca-45")
    assert "unknown item preset 'clca-45'" in str(error.value)
    assert all(name in str(error.value) for name in preset_names())


SOUND: dict[str, Any] = {
    **{"id": "Q1", "topic": "tea", "ask": "Is tea good?", "scale": "ordinal"},
    **{"options": {1: "very", 2: "fairly", 3: "not", 4: "cannot say"}, "higher": "less"},
    **{"other": [4], "recode": {2: 3, 3: 2}},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "green"}, "Extra inputs"),
        ({"id": "1V"}, "match pattern"),
        ({"ask": "tea " * 31}, "more than 30 words"),
        ({"options": {2: "b", 1: "a", 3: "c", 4: "d"}}, "code order"),
        ({"options": {-1: "z", 2: "b", 3: "c", 4: "d"}}, "negative code"),
        ({"options": {1: "a", 2: "a", 3: "c", 4: "d"}}, "one label"),
        ({"options": {1: True, 2: "b", 3: "c", 4: "d"}}, "valid string"),
        ({"other": [5]}, "names no option"),
        ({"recode": {9: 1}}, "names no option"),
        ({"recode": {4: 1}}, "other option is recoded"),
        ({"higher": None}, "polarity"),
        ({"scale": "nominal"}, "polarity"),
        ({"scale": "binary"}, "two points"),
        ({"integrated": "a008"}, "match pattern"),
    ],
)
def test_an_unsound_item_is_refused(change: dict[str, Any], message: str) -> None:
    assert Item.model_validate(SOUND).points == (1, 2, 3)
    with pytest.raises(ValidationError, match=message):
        Item.model_validate({**SOUND, **change})


def test_a_file_is_named_by_its_topic(tmp_path: Path) -> None:
    path = tmp_path / "coffee.yaml"
    path.write_text(
        "topic: tea\nitems:\n  - id: Q1\n    ask: Is tea good?\n    scale: binary\n"
        '    options: {1: "yes", 2: "no"}\n    higher: less\n'
    )
    with pytest.raises(ValueError, match=r"coffee.yaml says its topic is 'tea'"):
        read_items(path)
    assert [item.id for item in read_items(path.rename(tmp_path / "tea.yaml"))] == ["Q1"]
