"""Examples before a question: likeness of texts, ranks, pools, and what is refused."""

from __future__ import annotations

import pytest

from eval.item import Item, load_items, preset
from eval.respondents.marginals import load_marginals
from eval.survey.example import Example, choose_examples, chrf, disjoint_pool, rank_alike
from folkways.errors import UserError

ITEMS = load_items()
ALL = preset("culturespa-259")
MARKS = set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def asking(item_id: str, text: str) -> Item:
    return ITEMS[item_id].model_copy(update={"ask": text})


def modes(country: str) -> dict[str, int]:
    return {
        item: cell.mode for (home, item), cell in load_marginals().cells.items() if home == country
    }


# chrF++.


def grams(sequence, order):
    return [tuple(sequence[start : start + order]) for start in range(len(sequence) - order + 1)]


def words(text):
    found = []
    for word in text.split():
        if len(word) > 1 and word[-1] in MARKS:
            found += [word[:-1], word[-1]]
        elif len(word) > 1 and word[0] in MARKS:
            found += [word[0], word[1:]]
        else:
            found.append(word)
    return found


def chrf_by_lists(hypothesis: str, reference: str) -> float:
    """Popović 2017: mean precision and recall over six orders of characters and two of words, as
    far as both texts have n-grams of an order, and their F with beta 2."""
    precisions, recalls = [], []
    for cut, orders in ((lambda text: "".join(text.split()), 6), (words, 2)):
        for order in range(1, orders + 1):
            found, wanted = grams(cut(hypothesis), order), grams(cut(reference), order)
            left, common = list(wanted), 0
            for gram in found:
                if gram in left:
                    left.remove(gram)
                    common += 1
            if found and wanted:
                precisions.append(common / len(found))
                recalls.append(common / len(wanted))
    precision = sum(precisions) / len(precisions)
    recall = sum(recalls) / len(recalls)
    return 500 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize(
    ("hypothesis", "reference"),
    [
        *((ITEMS[one].ask, ITEMS[other].ask) for one, other in (
            ("Q1", "Q2"), ("Q1", "Q164"), ("Q19", "Q48"), ("Q48", "Q19"), ("Q158", "Q182"),
        )),
        ("Is it just?", "Is it just?"),
        ("Who decides: you, or they?", "You decide (or they)."),
        ("a b a b a b", "b a b"),
        ("Do!", "Is life good, all in all, or not so good?"),
        ("xyz", "How are you?"),
    ],
)  # fmt: skip
def test_an_independent_chrf_agrees(hypothesis, reference):
    assert chrf(hypothesis, reference) == pytest.approx(chrf_by_lists(hypothesis, reference))


def test_chrf_by_hand():
    # Precisions 1, 1, 0 and recalls 2/3, 1/2, 0 of one and two letters and of the word.
    assert chrf("ab", "abc") == pytest.approx(100 * 14 / 33)
    assert chrf("abc", "ab") == pytest.approx(100 * 7 / 12)
    assert chrf("ab", "cd") == 0 and chrf("ab", "ab") == pytest.approx(100)


# Ranks.


def test_ranks_by_hand():
    target = asking("Q10", "ab")
    pool = [asking("Q1", "zz"), asking("Q2", "abc"), asking("Q3", "ab"), asking("Q4", "abcde")]
    assert [item.id for item in rank_alike(target, pool)] == ["Q3", "Q2", "Q4", "Q1"]


def test_the_target_is_the_hypothesis():
    # As hypothesis "abc" scores 58.3 against "ab" and 51.7 against "abcd"; as reference 42.4, 67.4.
    target, short, long = asking("Q1", "abc"), asking("Q2", "ab"), asking("Q3", "abcd")
    assert chrf("abc", "abcd") == pytest.approx(51.65, abs=0.01)
    assert chrf("abcd", "abc") == pytest.approx(67.38, abs=0.01)
    assert rank_alike(target, [long, short]) == [short, long]


def test_equals_stand_in_the_order_of_the_questionnaire():
    ids = ["Q235", "Q9", "Q234A", "Q10", "Q234", "Q100"]
    pool = [asking(item_id, "What then?") for item_id in ids]
    ranked = rank_alike(asking("Q1", "What now?"), pool)
    assert [item.id for item in ranked] == ["Q9", "Q10", "Q100", "Q234", "Q234A", "Q235"]


def test_the_target_is_never_in_its_own_ranks():
    ranked = rank_alike(ITEMS["Q19"], ALL)
    assert len(ranked) == 258 and ITEMS["Q19"] not in ranked
    assert {item.id for item in ranked[:5]} <= {f"Q{number}" for number in range(18, 27)}


# Examples.


def test_the_five_most_alike_with_an_answer():
    target, answers = ITEMS["Q241"], modes("CHN")
    assert "Q82" not in answers
    found = choose_examples(target, ALL, answers)
    ranked = [item for item in rank_alike(target, ALL) if item.id in answers]
    assert found == [Example(item, answers[item.id]) for item in ranked[:5]]
    assert len(choose_examples(target, ALL, answers, n=2)) == 2


@pytest.mark.parametrize("country", ["CHN", "GBR"])
def test_every_example_is_an_answer_that_can_be_shown(country):
    answers = modes(country)
    for target in preset("postmaterialism"):
        for item, code in choose_examples(target, disjoint_pool([target]), answers):
            assert item.id != target.id and code in item.scale_codes


def test_a_disjoint_pool_holds_nothing_evaluated():
    evaluated = preset("clca-44")
    pool = disjoint_pool(evaluated)
    assert len(pool) == 259 - 44 and not {item.id for item in evaluated} & {i.id for i in pool}
    for target in evaluated[:3]:
        examples = choose_examples(target, pool, modes("DEU"))
        assert not {each.item.id for each in examples} & {item.id for item in evaluated}


def test_nothing_is_left_when_everything_is_evaluated():
    with pytest.raises(UserError, match="all 259 items are evaluated, which leaves none") as caught:
        disjoint_pool(ALL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({}, "Q1 needs 5 answered items as examples and has 0 to choose from; evaluate fewer"),
        ({f"Q{number}": 1 for number in range(1, 6)}, "and has 4 to choose from"),
        ({f"Q{number}": 9 for number in range(1, 9)}, "is answered with code 9; its options have"),
        ({f"Q{number}": -1 for number in range(1, 9)}, "is answered with code -1"),
    ],
)
def test_too_few_answers_and_no_answers(answers, message):
    with pytest.raises(UserError, match=message):
        choose_examples(ITEMS["Q1"], ALL, answers)


def test_an_option_that_is_no_point_of_the_scale_is_no_example():
    assert ITEMS["Q111"].other == (3,)
    with pytest.raises(UserError, match="Q111 is answered with code 3; its options have 1, 2"):
        choose_examples(ITEMS["Q1"], [ITEMS["Q111"]], {"Q111": 3}, n=1)
