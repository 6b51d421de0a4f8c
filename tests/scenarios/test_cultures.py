"""The shipped cultures, their loader, and the words computed from their numbers."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.role_view import cultural_notes
from folkways.errors import UserError
from scenarios.culture import (
    CULTURE_FOLDER,
    HOFSTEDE_DIMENSIONS,
    Hofstede,
    InglehartWelzel,
    load_culture,
    load_cultures,
    read_culture,
    shipped_cultures,
)
from scenarios.descriptors import (
    DIMENSIONS,
    HOFSTEDE_CUTS,
    SECULAR_CUTS,
    SECULAR_WORDS,
    SELF_EXPRESSION_CUTS,
    SELF_EXPRESSION_WORDS,
    describe,
    hofstede_words,
    map_words,
)

FIVE = ("CHN", "DEU", "GBR", "JPN", "MEX")
ALL = (
    *("AUS", "BOL", "BRA", "CAN", "CHN", "DEU", "ETH", "GBR", "IND", "JPN"),
    *("KEN", "MEX", "NGA", "NLD", "NZL", "RUS", "THA", "UKR", "USA", "ZWE"),
)

# Published figures: power distance, individualism, motivation, uncertainty avoidance, long-term
# orientation, indulgence, and the map's two axes.
NUMBERS = {
    "CHN": (80, 20, 66, 30, 87, 24, 0.074, 0.468),
    "DEU": (35, 67, 66, 65, 83, 40, 1.194, 1.067),
    "ETH": (70, 20, 65, 55, None, 46, -1.046, -0.858),
    "GBR": (35, 89, 66, 35, 51, 69, 1.714, -0.019),
    "JPN": (54, 46, 95, 92, 88, 42, 1.254, 1.558),
    "KEN": (70, 25, 60, 50, None, None, -0.499, -0.824),
    "MEX": (81, 30, 69, 82, 24, 97, 0.140, -1.354),
    "USA": (40, 91, 62, 46, 26, 68, 1.271, -0.453),
    "ZWE": (None, None, None, None, None, None, -1.529, -0.772),
}

# The words that Liu, Korhonen and Gurevych (2025) give five cultures.
PUBLISHED_HOFSTEDE = {
    "CHN": (
        *("highly hierarchical", "moderately collective", "moderate motivation"),
        *("moderately risk-taking", "highly pragmatic", "highly restrained"),
    ),
    "DEU": (
        *("moderately equal", "highly individualistic", "moderate motivation"),
        *("moderate avoidance", "moderately pragmatic", "moderately restrained"),
    ),
    "GBR": (
        *("moderately equal", "highly individualistic", "moderate motivation"),
        *("moderately risk-taking", "moderately pragmatic", "moderately indulgent"),
    ),
    "JPN": (
        *("moderately hierarchical", "moderately individualistic", "high motivation"),
        *("high avoidance", "highly pragmatic", "moderately restrained"),
    ),
    "MEX": (
        *("highly hierarchical", "moderately collective", "moderate motivation"),
        *("high avoidance", "highly normative", "highly indulgent"),
    ),
}
PUBLISHED_MAP = {
    "CHN": ("little survival", "moderately secular"),
    "DEU": ("uttermost self-expression", "moderately secular"),
    "GBR": ("uttermost self-expression", "moderately secular"),
    "JPN": ("moderate self-expression", "uttermost secular"),
    "MEX": ("little self-expression", "moderately traditional"),
}

HEDGES = re.compile(
    r"\b(many|most|some|often|commonly|usually|frequently|tends?|widely|generally|may|can)\b", re.I
)
SOURCE = re.compile(r"[A-Z][^(]+ (?:\(eds?\.\) )?\(((?:19|20)\d\d)(?:, [^)]*)?\), \S.+\.")
"""Author, year of the edition (and of the first one), title and publisher or journal."""
DOMAINS = (
    *("family", "work", "hospitality", "conflict", "money"),
    *("religion", "migration", "gender", "neighbours", "public"),
)
ABSOLUTES = re.compile(r"\b(always|never|all people|must|by nature)\b", re.I)


def test_every_country_of_the_two_published_systems_is_shipped_under_its_id() -> None:
    assert tuple(load_cultures()) == ALL
    assert {path.name for path in CULTURE_FOLDER.glob("*.yaml")} == {f"{id_}.yaml" for id_ in ALL}


@pytest.mark.parametrize("culture_id", NUMBERS)
def test_numbers_are_the_published_ones_and_gaps_stay_gaps(culture_id: str) -> None:
    culture = load_culture(culture_id)
    assert culture.inglehart_welzel is not None
    found = (
        *(getattr(culture.hofstede, key) for key in HOFSTEDE_DIMENSIONS),
        culture.inglehart_welzel.survival_self_expression,
        culture.inglehart_welzel.traditional_secular,
    )
    assert found == NUMBERS[culture_id]


def test_estimated_rows_are_marked() -> None:
    estimated = {id_ for id_, culture in load_cultures().items() if culture.hofstede.estimate}
    assert estimated == {"BOL", "ETH", "KEN", "NGA", "UKR"}


@pytest.mark.parametrize("culture_id", ALL)
def test_every_number_names_its_source_with_a_year(culture_id: str) -> None:
    culture = load_culture(culture_id)
    assert culture.inglehart_welzel is not None
    for source in (culture.hofstede.source, culture.inglehart_welzel.source):
        assert re.search(r"\b20\d\d\b", source), source


def test_english_article_fits_the_demonym() -> None:
    with_an = {id_ for id_, culture in load_cultures().items() if culture.article == "an"}
    assert with_an == {"AUS", "ETH", "IND", "USA"}


@pytest.mark.parametrize("culture_id", ALL)
def test_norms_are_enough_and_in_every_domain(culture_id: str) -> None:
    norms = load_culture(culture_id).norms
    assert len(norms) >= 8
    assert len({norm.id for norm in norms}) == len(norms)
    assert {norm.domain for norm in norms} == set(DOMAINS)


@pytest.mark.parametrize("culture_id", ALL)
def test_norms_have_several_authors_and_half_of_the_sources_are_of_this_century(
    culture_id: str,
) -> None:
    sources = [norm.source for norm in load_culture(culture_id).norms]
    years = [int(found[1]) for one in sources if (found := SOURCE.fullmatch(one))]
    assert len(years) == len(sources)
    assert 2 * sum(year >= 2000 for year in years) >= len(years)
    assert len({one.split(",")[0] for one in sources}) >= 3


@pytest.mark.parametrize("culture_id", ALL)
def test_agents_of_every_culture_are_told_one_norm_of_each_domain(culture_id: str) -> None:
    culture = load_culture(culture_id)
    told = cultural_notes(culture, "norms")[len(describe(culture)) :]
    firsts = [next(norm for norm in culture.norms if norm.domain == one) for one in DOMAINS]
    assert told == tuple(norm.text for norm in firsts)


def test_norms_that_agents_are_told_are_about_as_long_in_every_culture() -> None:
    lengths = [
        sum(len(norm.text) for norm in culture.told_norms())
        for culture in shipped_cultures().values()
    ]
    assert max(lengths) < 1.4 * min(lengths)


@pytest.mark.parametrize("culture_id", ALL)
def test_norms_are_hedged_and_cite_author_year_and_title(culture_id: str) -> None:
    for norm in load_culture(culture_id).norms:
        assert HEDGES.search(norm.text), norm.text
        assert not ABSOLUTES.search(norm.text), norm.text
        assert SOURCE.fullmatch(norm.source), norm.source


def bin_of(number: float, cuts: tuple[float, ...]) -> str:
    """The bin in interval notation, worked out apart from the code under test."""
    lower = max((cut for cut in cuts if cut <= number), default=None)
    upper = min((cut for cut in cuts if cut > number), default=None)
    return f"[{'...' if lower is None else lower}, {'...' if upper is None else upper})"


def test_hofstede_words_equal_the_published_ones_in_26_of_30_cells() -> None:
    """Where the words differ, the score lies in another of the four bins than the published word
    says: in individualism and long-term orientation only, which later revisions of the source
    changed."""
    differing, agreeing = set(), 0
    for culture_id, published in PUBLISHED_HOFSTEDE.items():
        hofstede = load_culture(culture_id).hofstede
        words = hofstede_words(hofstede)
        for key, expected in zip(HOFSTEDE_DIMENSIONS, published, strict=True):
            score = getattr(hofstede, key)
            if words[key] == expected:
                agreeing += 1
            else:
                differing.add(
                    f"{culture_id} {key} {score:g} in {bin_of(score, HOFSTEDE_CUTS)}"
                    f" is {words[key]}, published {expected}"
                )
    assert differing == {
        "CHN idv 20 in [..., 25.0) is highly collective, published moderately collective",
        "JPN idv 46 in [25.0, 50.0) is moderately collective, published moderately individualistic",
        "DEU idv 67 in [50.0, 75.0) is moderately individualistic, "
        "published highly individualistic",
        "DEU lto 83 in [75.0, ...) is highly pragmatic, published moderately pragmatic",
    }
    assert agreeing == 26


def test_map_words_equal_the_published_ones_in_9_of_10_cells() -> None:
    differing = set()
    for culture_id, published in PUBLISHED_MAP.items():
        place = load_culture(culture_id).inglehart_welzel
        assert place is not None
        numbers = (place.survival_self_expression, place.traditional_secular)
        axes = zip(
            numbers,
            (SELF_EXPRESSION_CUTS, SECULAR_CUTS),
            map_words(place),
            published,
            strict=True,
        )
        differing |= {
            f"{culture_id} {number} in {bin_of(number, cuts)} is {word}, published {expected}"
            for number, cuts, word, expected in axes
            if word != expected
        }
    assert differing == {
        "DEU 1.194 in [0.7, 1.3) is moderate self-expression, published uttermost self-expression",
    }


def test_no_monotone_binning_gives_all_published_map_words() -> None:
    """Japan stands above Germany and is given the weaker word; no other pair is out of order, so
    one miss is the least that any monotone binning can have."""
    inverted = set()
    for axis, words in enumerate((SELF_EXPRESSION_WORDS, SECULAR_WORDS)):
        for pair in combinations(FIVE, 2):
            lower, higher = sorted(pair, key=lambda id_: NUMBERS[id_][6 + axis] or 0.0)
            rank = {id_: words.index(PUBLISHED_MAP[id_][axis]) for id_ in pair}
            if rank[lower] > rank[higher]:
                inverted.add((axis, lower, higher))
    assert inverted == {(0, "DEU", "JPN")}, "Germany 1.194 uttermost, Japan 1.254 moderate"


@pytest.mark.parametrize("cuts", [HOFSTEDE_CUTS, SELF_EXPRESSION_CUTS, SECULAR_CUTS])
def test_cuts_are_evenly_spaced(cuts: tuple[float, ...]) -> None:
    widths = {round(above - below, 9) for below, above in pairwise(cuts)}
    assert len(widths) == 1


@pytest.mark.parametrize(
    ("score", "bin_"),
    [(0, 0), (24.9, 0), (25, 1), (49.9, 1), (50, 2), (74.9, 2), (75, 3), (100, 3)],
)
def test_a_score_on_a_cut_belongs_to_the_bin_above(score: float, bin_: int) -> None:
    scores = dict.fromkeys(HOFSTEDE_DIMENSIONS, score)
    words = hofstede_words(Hofstede.model_validate({"source": "a test", **scores}))
    assert words == {key: DIMENSIONS[key].words[bin_] for key in HOFSTEDE_DIMENSIONS}


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((-1.101, -1.401), ("uttermost survival", "uttermost traditional")),
        ((-1.1, -1.4), ("moderate survival", "moderately traditional")),
        ((-0.5, -0.1), ("little survival", "moderately secular")),
        ((0.1, 1.2), ("little self-expression", "uttermost secular")),
        ((0.7, 9.0), ("moderate self-expression", "uttermost secular")),
        ((1.3, -9.0), ("uttermost self-expression", "uttermost traditional")),
    ],
)
def test_a_place_on_a_cut_belongs_to_the_bin_above(
    place: tuple[float, float], words: tuple[str, str]
) -> None:
    coordinates = InglehartWelzel(
        survival_self_expression=place[0], traditional_secular=place[1], source="a test"
    )
    assert map_words(coordinates) == words


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_higher_score_never_gets_a_lower_word(one: float, other: float) -> None:
    low, high = sorted((one, other))
    for key in HOFSTEDE_DIMENSIONS:
        words = DIMENSIONS[key].words
        below, above = (
            hofstede_words(Hofstede.model_validate({"source": "a test", key: score}))[key]
            for score in (low, high)
        )
        assert words.index(below) <= words.index(above)


@pytest.mark.parametrize("culture_id", ALL)
def test_description_is_full_sentences_that_hold_each_hofstede_word_once(culture_id: str) -> None:
    culture = load_culture(culture_id)
    sentences = describe(culture)
    words = hofstede_words(culture.hofstede)
    assert len(sentences) == 2 + len(words) + 1
    assert all(re.fullmatch(r"[A-Z][^.\n]+\.", sentence) for sentence in sentences)
    for sentence, word in zip(sentences[2:-1], words.values(), strict=True):
        assert f" {culture.demonym} society " in sentence
        assert f" {word}:" in sentence


def test_description_of_mexico() -> None:
    mexico = describe(load_culture("MEX"))
    assert mexico[0].startswith("In values surveys, Mexican answers lean slightly towards self-exp")
    assert mexico[1].startswith("They are moderately traditional:")
    assert mexico[2].startswith("On rank, Mexican society is highly hierarchical:")
    assert mexico[5].startswith("On uncertainty, Mexican society shows high avoidance:")


def test_description_leaves_out_what_has_no_number() -> None:
    kenya, zimbabwe = load_culture("KEN"), load_culture("ZWE")
    assert list(hofstede_words(kenya.hofstede)) == ["pdi", "idv", "mas", "uai"]
    assert hofstede_words(zimbabwe.hofstede) == {}
    assert not any("society" in sentence for sentence in describe(zimbabwe))
    assert describe(zimbabwe.model_copy(update={"inglehart_welzel": None})) == []
    only_map = describe(kenya.model_copy(update={"hofstede": zimbabwe.hofstede}))
    assert len(only_map) == 3


def test_unknown_culture_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown culture 'FRA'; known: AUS, BOL, .*, ZWE"):
        load_culture("FRA")


def copy_of_zimbabwe(folder: Path, name: str, old: str, new: str) -> Path:
    text = (CULTURE_FOLDER / "ZWE.yaml").read_text(encoding="utf-8")
    assert old in text
    path = folder / name
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_a_culture_file_in_any_folder_is_read(tmp_path: Path) -> None:
    path = copy_of_zimbabwe(tmp_path, "ZWE.yaml", "", "")
    assert read_culture(path) == load_culture("ZWE")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("ZMB.yaml", "", "", r"ZMB.yaml:1:5: .*id: .*'ZWE'; allowed: 'ZMB'"),
        ("ZWE.yaml", "  pdi: null", "  pdi: 140", r":7:8: .*hofstede.pdi: .*found 140; .*100"),
        ("ZWE.yaml", "demonym:", "adjective:", r"demonym: missing\n.*:3:1: .*adjective: unknown"),
        ("ZWE.yaml", "domain: religion", "domain: rites", r"norms\[6\].domain: .*found 'rites'"),
        ("ZWE.yaml", "[sn, nd, en]", "[sn, nd, en", r"ZWE.yaml:\d+:\d+: .*not valid YAML"),
    ],
)
def test_a_wrong_culture_file_is_refused_with_its_place(
    tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    path = copy_of_zimbabwe(tmp_path, name, old, new)
    with pytest.raises(UserError, match=message):
        read_culture(path)
