"""Distances, accuracy and indices against figures worked out by hand and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, wasserstein_distance

from eval.metrics import inglehart_welzel as iw
from eval.metrics.accuracy import (
    accuracy_clca,
    chance,
    chance_corrected,
    expected,
    hard,
    measure_accuracy,
    penalised,
    soft,
)
from eval.metrics.culture_score import (
    agreement,
    culturespa,
    equal_weight,
    expected_culturespa,
    penalised_culturespa,
    score_matrix,
    structure_correlation,
)
from eval.metrics.grid import Floats, Scales, as_floats
from eval.metrics.metric import (
    METRICS,
    Answers,
    clca_compat_js,
    clca_compat_kl,
    js_distance,
    kl,
    measure,
    smoothed,
    tv,
    w1,
)
from eval.metrics.metric import penalised as penalised_distance
from folkways.errors import UserError

NAN = math.nan


def scales(*lengths: int, nominal: tuple[int, ...] = ()) -> Scales:
    """Return scales from code 1; `nominal` are places of items without an order."""
    codes = np.minimum(np.arange(1.0, max(lengths) + 1), as_floats(lengths)[:, None])
    on = np.arange(max(lengths)) < np.array(lengths)[:, None]
    ordinal = np.array([place not in nominal for place in range(len(lengths))])
    return Scales(tuple(f"Q{n}" for n in range(len(lengths))), codes, on, ordinal)


def one_item(human: list[float], counts: list[float], invalid: float = 0) -> dict[str, float]:
    people = as_floats(human) / sum(human)
    given_answers = Answers(as_floats([counts]), as_floats([invalid]))
    cells = measure(people[None], given_answers, scales(len(human)))
    return {name: float(values[0]) for name, values in cells.items()}


PLAIN = ("kl", "js_distance", "js_natural", "tv", "w1", "clca_compat_kl")


@pytest.mark.parametrize(
    ("human", "counts", "invalid", "wanted"),
    [
        ([400, 300, 200, 100], [5, 3, 2, 0], 0, (0.033381, 0.232413, 0.193496, 0.1, 0.1, 0.217913)),
        ([50, 50], [10, 0], 0, (0.875634, 0.557923, 0.464501, 0.5, 0.5, 0.358298)),
        ([10, 0, 0, 0], [0, 0, 0, 10], 0, (3.178054, 1, 0.832555, 1, 1, 1.904832)),
        (
            *([400, 300, 200, 100], [4, 2, 2, 0], 2),
            (0.032269, 0.240136, 0.199926, 0.15, 0.083333, 0.277578),
        ),
        ([400, 300, 200, 100], [40, 30, 20, 10], 0, (0.000057, 0, 0, 0, 0, 0.239562)),
    ],
)
def test_worked_cases(human, counts, invalid, wanted):
    found = one_item(human, counts, invalid)
    assert [found[name] for name in PLAIN] == pytest.approx(wanted, abs=6e-7)


def test_kl_is_in_nats():
    for human, counts, bits in (
        ([4, 3, 2, 1], [5, 3, 2, 0], 0.048158),
        ([1, 1], [10, 0], 1.263273),
    ):
        assert one_item(human, counts)["kl"] / math.log(2) == pytest.approx(bits, abs=6e-7)


def test_smoothing_is_of_the_model_alone_unless_both_are_smoothed():
    counts = as_floats([5, 3, 2, 0])
    assert smoothed(counts) == pytest.approx([0.458333, 0.291667, 0.208333, 0.041667], abs=6e-7)
    both = kl(smoothed(as_floats([400, 300, 200, 100])), counts)
    assert float(both) == pytest.approx(0.033677, abs=6e-7)


def test_without_smoothing_a_code_that_was_never_given_costs_everything():
    assert kl(as_floats([0.5, 0.5]), as_floats([1, 0]), alpha=0) == math.inf


def test_invalid_answers_cost_in_penalised_distances_and_in_the_bucket():
    found = one_item([400, 300, 200, 100], [4, 2, 2, 0], 2)
    assert found["tv_penalised"] == pytest.approx(0.32)
    assert found["w1_penalised"] == pytest.approx(0.266667, abs=6e-7)
    assert found["js_penalised"] == pytest.approx(0.8 * 0.240136 + 0.2, abs=1e-6)
    assert found["clca_compat_js"] == pytest.approx(0.330160, abs=6e-7)
    bucket = as_floats([0.4, 0.3, 0.2, 0.1, 0]), as_floats([0.4, 0.2, 0.2, 0, 0.2])
    assert float(tv(*bucket)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("model", "invalid", "wanted"),
    [
        ([0.9, 0.07, 0.02, 0.01], 0.0, 0.660686),
        ([0.9, 0.07, 0.02, 0.01], None, 0.495358),
        ([1, 0, 0, 0], 0.0, 0.599568),
        ([1, 0, 0, 0], None, 0.438404),
        ([0.25] * 4, 0.0, 1.158925),
        ([0.25] * 4, None, 0.981030),
        ([0, 0, 0, 0], 1.0, 1.499568),
    ],
)
def test_clca_compat_kl_prefers_the_mode_to_the_truth(model, invalid, wanted):
    rate = None if invalid is None else as_floats(invalid)
    found = clca_compat_kl(as_floats([0.9, 0.07, 0.02, 0.01]), as_floats(model), rate)
    assert float(found) == pytest.approx(wanted, abs=6e-7)


def test_clca_compat_kl_without_the_bucket():
    found = clca_compat_kl(as_floats([0.4, 0.3, 0.2, 0.1]), as_floats([0.5, 0.3, 0.2, 0]), None)
    assert float(found) == pytest.approx(0.042640, abs=6e-7)


def test_three_points_mirrored():
    human, model = as_floats([0.5, 0.3, 0.2]), as_floats([0.2, 0.3, 0.5])
    assert float(tv(human, model)) == pytest.approx(0.3)
    assert float(w1(human, model, as_floats([0, 1, 2]))) == pytest.approx(0.3)


def test_a_model_that_always_refuses():
    found = one_item([4, 3, 2, 1], [0, 0, 0, 0], 10)
    assert [name for name, value in found.items() if math.isnan(value)] == [
        *("kl", "js_distance", "js_natural", "tv", "w1")
    ]
    assert {found[f"{name}_penalised"] for name in ("js", "tv", "w1")} == {1}
    assert found["clca_compat_js"] == pytest.approx(math.sqrt(math.log(2)))


def test_what_was_not_asked_or_has_no_order_is_nan():
    human = as_floats([[0.5, 0.5, 0], [NAN, NAN, NAN]])
    given_answers = Answers(as_floats([[1, 1, 0], [1, 1, 1]]), as_floats([1, 3]))
    cells = measure(human, given_answers, scales(2, 3, nominal=(0,)))
    for name, values in cells.items():
        assert math.isnan(values[1]), name
        assert math.isnan(values[0]) == name.startswith("w1"), name


def test_an_unknown_metric_is_named_with_the_known_ones():
    with pytest.raises(UserError, match="unknown metric 'emd'; known: clca_compat_js"):
        measure(
            as_floats([[1, 0]]), Answers(as_floats([[1, 0]]), as_floats([0])), scales(2), ["emd"]
        )


lengths = st.integers(2, 11)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Counts of people and of a model on a scale of one length, each with at least one answer."""
    size = draw(lengths)
    whole = hnp.arrays(np.int64, size, elements=st.integers(0, 5000)).filter(lambda row: row.sum())
    return as_floats(draw(whole)), as_floats(draw(whole))


@given(pairs())
def test_distances_are_those_of_scipy(pair):
    human, counts = pair[0] / pair[0].sum(), pair[1]
    model, codes = counts / counts.sum(), np.arange(len(counts), dtype=float)
    found = one_item(list(pair[0]), list(counts))
    span = codes[-1]
    assert found["kl"] == pytest.approx(entropy(human, counts + 0.5), abs=1e-9)
    assert found["js_distance"] == pytest.approx(jensenshannon(human, model, 2), abs=1e-6)
    assert found["js_natural"] == pytest.approx(jensenshannon(human, model), abs=1e-6)
    assert found["w1"] == pytest.approx(
        wasserstein_distance(codes / span, codes / span, human, model), abs=1e-9
    )
    wide = np.append(model, 0)
    assert found["clca_compat_kl"] == pytest.approx(
        entropy(np.append(human, 0), np.exp(wide)), abs=1e-9
    )


@given(pairs(), st.integers(0, 100))
def test_bounds_and_orders_of_distances(pair, invalid):
    human, counts = pair
    found = one_item(list(human), list(counts), invalid)
    for name in ("js_distance", "tv", "w1", "js_penalised", "tv_penalised", "w1_penalised"):
        assert 0 <= found[name] <= 1 + 1e-12, name
    assert found["w1"] <= found["tv"] + 1e-12
    assert found["kl"] >= -1e-12
    for name in ("js", "tv", "w1"):
        plain = found["js_distance" if name == "js" else name]
        assert found[f"{name}_penalised"] >= plain - 1e-12
    # Pinsker's inequality, and Lin's bound of the JS divergence by the total variation.
    smooth = smoothed(counts)
    assert found["kl"] >= 2 * float(tv(human / human.sum(), smooth)) ** 2 - 1e-9
    assert found["js_distance"] ** 2 <= found["tv"] + 1e-9


@given(pairs())
def test_distances_are_symmetric_and_vanish_only_between_equals(pair):
    human, model = pair[0] / pair[0].sum(), pair[1] / pair[1].sum()
    codes = np.arange(len(human), dtype=float)
    for forth, back in (
        (js_distance(human, model), js_distance(model, human)),
        (tv(human, model), tv(model, human)),
        (w1(human, model, codes), w1(model, human, codes)),
    ):
        assert float(forth) == pytest.approx(float(back), abs=1e-9)
        assert (float(forth) < 1e-9) == bool(np.allclose(human, model, atol=1e-12))


@given(pairs(), st.integers(1, 5))
def test_padding_changes_nothing(pair, extra):
    human, counts = pair
    size = len(human)
    alone = one_item(list(human), list(counts), 3)
    both = scales(size, size + extra)
    wide = [np.pad(row, (0, extra)) for row in pair]
    cells = measure(
        np.stack([wide[0], wide[0]]) / human.sum(),
        Answers(np.stack([wide[1], wide[1]]), as_floats([3, 3])),
        both,
    )
    for name in METRICS:
        assert float(cells[name][0]) == pytest.approx(alone[name], abs=1e-9), name


@given(pairs())
def test_turning_a_scale_round_changes_nothing(pair):
    there = one_item(list(pair[0]), list(pair[1]), 1)
    back = one_item(list(pair[0][::-1]), list(pair[1][::-1]), 1)
    assert there == pytest.approx(back, abs=1e-9)


def test_penalty_and_bucket_of_valid_answers_alone_are_nothing():
    assert float(penalised_distance(as_floats(0.25), as_floats(0))) == 0.25
    human, model = as_floats([0.5, 0.5]), as_floats([0.9, 0.1])
    assert float(clca_compat_js(human, model, as_floats(0))) == pytest.approx(
        float(js_distance(human, model, np.e))
    )


FOUR = scales(4, 4, 4)
FIVE = scales(4, 4, 4, 4, 4)


def test_accuracy_of_three_answers():
    truth, answer = as_floats([1, 2, 4]), as_floats([1, 3, 1])
    found = measure_accuracy(truth, answer, FOUR)
    assert found.hard == pytest.approx(0.333333, abs=6e-7)
    assert found.soft == pytest.approx(0.555556, abs=6e-7)
    assert chance(truth, FOUR)[1] == pytest.approx([0.5, 0.666667, 0.5], abs=6e-7)
    assert chance(truth, FOUR)[0] == pytest.approx([0.25] * 3)
    assert found.soft_corrected == pytest.approx(0, abs=1e-12)
    assert found.hard_corrected == pytest.approx((1 / 3 - 0.25) / 0.75)


def test_accuracy_with_a_missing_and_an_invalid_answer():
    truth, answer = as_floats([1, 2, 4, NAN, 3]), as_floats([1, 3, 1, 2, NAN])
    found = measure_accuracy(truth, answer, FIVE)
    assert (found.hard, found.soft) == pytest.approx((0.333333, 0.555556), abs=6e-7)
    assert (found.hard_penalised, found.soft_penalised) == pytest.approx((0.25, 0.416667), abs=6e-7)
    assert found.clca == accuracy_clca(truth, answer) == pytest.approx(0.2)
    assert (found.valid_rate, found.scored) == (0.75, 3)


def test_soft_accuracy_on_three_points_and_on_names():
    codes = Scales(("Q122",), as_floats([[0, 1, 2]]), np.ones((1, 3), bool), np.array([True]))
    assert soft(as_floats([0]), as_floats([1]), codes) == [0.5]
    assert soft(as_floats([1, 1]), as_floats([2, 1]), scales(3, 3, nominal=(0, 1))).tolist() == [
        0,
        1,
    ]


def test_nothing_to_score_is_nan_and_no_error():
    nothing = as_floats([NAN, NAN, NAN])
    found = measure_accuracy(nothing, as_floats([1, 2, 3]), FOUR)
    assert math.isnan(found.hard) and math.isnan(found.soft_corrected) and found.scored == 0
    refused = measure_accuracy(as_floats([1, 2, 3]), nothing, FOUR)
    assert math.isnan(refused.soft) and refused.hard_penalised == 0 and refused.valid_rate == 0


@given(st.data())
def test_accuracy_properties(data):
    size = data.draw(st.integers(1, 6))
    scale = scales(*data.draw(st.lists(lengths, min_size=size, max_size=size)))
    rows = data.draw(st.integers(1, 5))
    cells = st.lists(st.sampled_from([0, 1, 2, 3, NAN]), min_size=size, max_size=size)

    def sheet() -> Floats:
        drawn = as_floats([data.draw(cells) for _ in range(rows)])
        return np.minimum(drawn + 1, scale.lengths)

    truth, answer = sheet(), sheet()
    exact, near = hard(truth, answer), soft(truth, answer, scale)
    assert np.isnan(exact).tolist() == np.isnan(near).tolist()
    assert (np.nan_to_num(near) >= np.nan_to_num(exact) - 1e-12).all()
    assert (np.nan_to_num(penalised(near, truth)) <= 1).all()
    # A sharp distribution is an answer, and a uniform one is chance.
    sharp = expected(truth, scale.one_hot(answer), scale)
    valid = ~np.isnan(answer)
    for from_model, from_answer in zip(sharp, (exact, near), strict=True):
        assert np.allclose(from_model[valid], from_answer[valid], equal_nan=True)
    same = measure_accuracy(truth, truth, scale)
    if same.scored:
        assert (same.hard, same.soft, same.hard_corrected) == (1, 1, pytest.approx(1))
        by_chance = chance(truth, scale)
        assert chance_corrected(by_chance[1], by_chance[1]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("answers", "target", "lengths_", "wanted", "equal"),
    [
        ((2, 4, 1), (1, 1, 1), (2, 4, 10), 66.850323, None),
        ((1, 4, 10), (1, 1, 1), (2, 4, 10), 0.550968, None),
        ((2, 3, 5), (1, 3, 8), (2, 4, 10), 66.850323, 55.555556),
        ((2, 3, NAN), (1, 3, 8), (2, 4, 10), 68.377223, None),
    ],
)
def test_culturespa_by_hand(answers, target, lengths_, wanted, equal):
    sheet, goal, scale = as_floats(answers), as_floats(target), scales(*lengths_)
    assert float(culturespa(sheet, goal, scale)) == pytest.approx(wanted, abs=6e-7)
    if equal:
        assert float(equal_weight(sheet, goal, scale)) == pytest.approx(equal, abs=6e-7)
    if not np.isnan(sheet).any():
        sharp = expected_culturespa(scale.one_hot(sheet), goal, scale)
        assert float(sharp) == pytest.approx(wanted, abs=6e-7)


def test_an_unparsed_answer_is_dropped_or_counted_as_the_farthest():
    sheet, goal, scale = as_floats([2, 3, NAN]), as_floats([1, 3, 8]), scales(2, 4, 10)
    assert float(penalised_culturespa(sheet, goal, scale)) == pytest.approx(
        100 * (1 - math.sqrt((1 + 7**2) / 91))
    )
    assert float(agreement(sheet, goal)) == 0.5


def test_a_sheet_with_nothing_in_common_has_no_score():
    nothing, goal = as_floats([NAN, 1.0]), as_floats([1.0, NAN])
    assert math.isnan(float(culturespa(nothing, goal, scales(2, 4))))
    assert math.isnan(float(equal_weight(nothing, goal, scales(2, 4))))


def test_cross_culture_structure():
    scale = scales(*[10] * 6)
    rng = np.random.default_rng(4)
    sheets = rng.integers(1, 11, (4, 6)).astype(float)
    human = score_matrix(sheets, scale)
    assert np.allclose(human, human.T) and np.allclose(np.diag(human), 100)
    above = [human[i, j] for i in range(4) for j in range(i + 1, 4)]
    other = score_matrix(rng.integers(1, 11, (4, 6)).astype(float), scale)
    beside = [other[i, j] for i in range(4) for j in range(i + 1, 4)]
    wanted = float(np.corrcoef(above, beside)[0, 1])
    assert structure_correlation(other, human) == pytest.approx(wanted)
    assert structure_correlation(human, human) == pytest.approx(1)
    assert math.isnan(structure_correlation(np.full((4, 4), 100.0), human))
    assert math.isnan(structure_correlation(human[:2, :2], human[:2, :2]))


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (1, 3, 1),
        (3, 1, 1),
        (2, 4, 3),
        (1, 2, 2),
        (4, 3, 2),
        (1, -2, NAN),
        (2, 2, NAN),
        (NAN, 1, NAN),
    ],
)
def test_postmaterialism(first, second, wanted):
    assert iw.y002(as_floats(first), as_floats(second)) == pytest.approx(wanted, nan_ok=True)


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        ((1, 1, 2, 2), 2),
        ((2, 2, 1, 1), -2),
        ((1, 1, 1, 1), 0),
        ((2, 1, 2, 2), 1),
        ((2, 2, 1, 2), -1),
        ((1, 2, NAN, 2), NAN),
    ],
)
def test_autonomy(answers, wanted):
    found = iw.y003(*map(as_floats, answers))
    assert float(found) == pytest.approx(wanted, nan_ok=True)


def with_f118_at_ten() -> Floats:
    values = iw.load_map().mean.copy()
    values[iw.load_map().indices.index("F118")] = 10
    return values


@pytest.mark.parametrize(
    ("indices", "wanted"),
    [
        (iw.load_map().mean, (0.038, -0.100)),
        (with_f118_at_ten(), (1.057, 0.074)),
        ((1, 2, 10, 3, 3, 3, 1, 10, 1, 1), (5.205, 2.527)),
        ((3, 1, 8, 2, 2, 2, 2, 9, 1, 1), (3.354, 1.333)),
        ((10, -1, 2, 1, 1, 1, 1, 2, 3, 2), (-1.283, -2.436)),
    ],
)
def test_places_on_the_map(indices, wanted):
    assert iw.place(as_floats(indices)) == pytest.approx(wanted, abs=1e-3)


def test_answers_become_indices_in_the_order_of_the_map():
    answered = {
        "Q164": 3, "Q8": 1, "Q14": 2, "Q15": 2, "Q17": 2, "Q184": 8, "Q254": 2, "Q45": 2, "Q154": 1,
        "Q155": 2, "Q46": 2, "Q182": 9, "Q209": 1, "Q57": 1,
    }  # fmt: skip
    sheet = as_floats([list(answered.values())] * 2)
    sheet[1, list(answered).index("Q254")] = 5
    found = iw.answered_indices(sheet, tuple(answered))
    assert found[0].tolist() == [3, 1, 8, 2, 2, 2, 2, 9, 1, 1]
    assert np.isnan(found[1]).tolist() == [code == "G006" for code in iw.load_map().indices]
    assert iw.place(found)[0] == pytest.approx((3.354, 1.333), abs=1e-3)
    assert np.isnan(iw.place(found)[1]).all()


def test_expected_indices_of_sharp_distributions_are_the_answered_ones():
    items = iw.fourteen_items()
    scale = Scales(
        items, np.tile(np.arange(1.0, 11), (14, 1)), np.ones((14, 10), bool), np.ones(14, bool)
    )
    sheet = as_floats([1, 2, 1, 1, 2, 3, 4, 1, 2, 4, 3, 9, 2, 1])
    sharp = iw.expected_indices(scale.one_hot(sheet), scale)
    assert sharp == pytest.approx(iw.answered_indices(sheet, items), nan_ok=True)
    assert not np.isnan(sharp).any()
