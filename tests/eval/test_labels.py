"""Labels of answers: read alike from files of text, SPSS and Stata files and codebooks."""

import json
import re
from pathlib import Path

import pytest
from survey_files import people, write_csv, write_dta, write_sav

from eval.item import load_items
from eval.respondents.database import open_respondents
from eval.respondents.label import patterns, read_codebook, read_label
from eval.respondents.load_report import LoadReport
from eval.respondents.survey import load_survey
from folkways.errors import UserError

PUBLISHED = {
    "Q42": ["Radically changed", "Gradually improved by reforms", "Valiantly defended"],
    "Q47": ["Very good", "Good", "Fair", "Poor", "Very poor"],
    "Q56": ["Better off", "Worse off", "Or about the same"],
    "Q91": ["France", "China", "India"],
    "Q97": ["Not a member", "Inactive member", "Active member"],
    "Q111": ["A: Protect environment", "B: Economic growth", "Other answer"],
    "Q117": ["None of them", "Few of them", "Most of them", "All of them"],
    "Q121": ["Rather bad", "Quite bad", "Neither good, nor bad", "Quite good", "Very good"],
    "Q124": ["Disagree", "Hard to say", "Agree"],
    "Q146": ["Very much", "A great deal", "Not much", "Not at all"],
    "Q151": ["Yes", "No"],
    "Q153": ["Economic growth", "Strong defence forces", "More say", "More beautiful"],
    "Q155": ["Maintaining order", "More say", "Fighting rising prices", "Freedom of speech"],
    "Q171": ["More than once a week", "Once a week", "Once a month", "Only on special holy days",
             "Once a year", "Less often", "Never, practically never"],
    "Q173": ["A religious person", "Not a religious person", "An atheist"],
    "Q197": ["Definitely should have the right", "Probably should have the right",
             "Probably should not have the right", "Definitely should not have the right"],
    "Q201": ["Daily", "Weekly", "Monthly", "Less than monthly", "Never"],
    "Q222": ["Always", "Usually", "Never", "Not allowed to vote"],
    "Q233": ["Very often", "Fairly often", "Not often", "Not at all often"],
    "Q234A": ["A great deal", "A lot", "Some", "Very little", "Not at all"],
    "Q239": ["Very good", "Fairly good", "Bad", "Very bad"],
    "Q259": ["Very close", "Close", "Not very close", "Not close at all"],
}  # fmt: skip
"""Labels as the survey's files have them, in the order of their codes."""
ENDS = {
    "Q49": ("Completely dissatisfied", "Completely satisfied"),
    "Q90": ("Being effective", "Being democratic"),
    "Q106": ("Incomes more equal", "Larger income differences"),
    "Q112": ("There is no corruption", "There is abundant corruption"),
    "Q162": ("Completely disagree", "Completely agree"),
    "Q176": ("Completely agree", "Completely disagree"),
    "Q188": ("Never justifiable", "Always justifiable"),
    "Q240": ("Left", "Right"),
    "Q252": ("Not satisfied at all", "Completely satisfied"),
}


def load(path: Path, *names: str, **options) -> LoadReport:
    items = [load_items()[name] for name in names]
    return load_survey(path, path.with_name("people.duckdb"), items, replace=True, **options)


def column(report: LoadReport, name: str) -> list:
    with open_respondents(report.database) as con:
        rows = con.execute(f'select "{name}" from respondents order by respondent_id').fetchall()
    return [row[0] for row in rows]


def noted(report: LoadReport, problem: str) -> dict[str, str | None]:
    return {note.subject: note.detail for note in report.notes if note.problem == problem}


def germans(**cells: list) -> dict[str, list]:
    count = len(next(iter(cells.values())))
    return {
        "B_COUNTRY_ALPHA": ["DEU"] * count,
        "D_INTERVIEW": [276070000 + n for n in range(count)],
    } | cells


@pytest.mark.parametrize("item", load_items().values(), ids=lambda item: item.id)
def test_every_option_in_words_has_a_pattern(item):
    worded = {code for code, label in item.options.items() if not label.isdigit()}
    assert set(patterns().by_column[item.id]) == worded


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_labels_lead_to_their_codes(name):
    found = [read_label(name, label, {}) for label in PUBLISHED[name]]
    assert found == list(load_items()[name].options)


@pytest.mark.parametrize("name", ENDS)
def test_the_ends_of_long_scales_lead_to_their_codes(name):
    assert [read_label(name, label, {}) for label in ENDS[name]] == [1, 10]
    assert read_label(name, "7", {}) == 7


def test_a_number_before_a_label_counts_unless_the_label_says_another():
    assert read_label("Q1", "2.- Rather important", {}) == 2
    assert read_label("Q1", "-1: Don't know", {}) == -1
    assert read_label("Q1", "3 - something in words", {}) == 3
    assert read_label("Q1", "1. Rather important", {}) is None
    assert read_label("X003R", "16-24 years", {}) == 1


def test_missing_answers_of_an_index_are_never_taken_for_its_values():
    assert read_label("Y003", "Obedience/Religious Faith", {}) == -2
    assert read_label("Y003", "-1", {}) == -1
    assert read_label("Y003", "Don't know", {}) == -5
    words = ("Materialist", "Mixed", "Postmaterialist")
    assert [read_label("Y002", word, {}) for word in words] == [1, 2, 3]


@pytest.mark.parametrize("write", [write_csv, write_sav, write_dta])
def test_text_is_read_alike_from_every_kind_of_file(tmp_path, write):
    name = {write_csv: "t.csv", write_sav: "t.sav", write_dta: "t.dta"}[write]
    cells = germans(
        Q171=["Once a week", "Less often", "Never, practically never", "No answer"],
        Q182=["Never justifiable", "5", "Always justifiable", "Don't know"],
    )
    report = load(write(tmp_path / name, cells), "Q171", "Q182")
    assert column(report, "Q171") == [2, 6, 7, -2]
    assert column(report, "Q182") == [1, 5, 10, -1]


def test_a_stray_label_loses_one_value_and_not_the_item(tmp_path):
    words = ["Very good"] * 40 + ["Fairly good"] * 30 + ["Fairly bad"] * 20 + ["see the margin"]
    report = load(write_csv(tmp_path / "t.csv", germans(Q235=words)), "Q235")
    assert report.items == ("Q235",)
    assert noted(report, "stray labels") == {"Q235": "no answer; 'see the margin'"}
    assert column(report, "Q235") == [1] * 40 + [2] * 30 + [3] * 20 + [-99]
    assert not noted(report, "not a number")


def test_several_stray_labels_lose_theirs_where_every_option_is_seen(tmp_path):
    words = [*PUBLISHED["Q239"], "Very good", "?!", "?!", "??"]
    report = load(write_csv(tmp_path / "t.csv", germans(Q239=words)), "Q239")
    assert column(report, "Q239") == [1, 2, 3, 4, 1, -99, -99, -99]


def test_an_option_without_a_pattern_leaves_its_item_out(tmp_path):
    words = ["Very good"] * 40 + ["Tolerable"] * 30 + ["Very bad"] * 20
    cells = germans(Q235=words, Q1=["Very important"] * 90)
    report = load(write_csv(tmp_path / "t.csv", cells), "Q1", "Q235")
    assert report.items == ("Q1",)
    assert noted(report, "labels without a number") == {"Q235": "left out; 'Tolerable'"}


@pytest.mark.parametrize("words", ["No weighting", "no weights", "Unweighted", "Not weighted"])
@pytest.mark.parametrize("write", [write_csv, write_sav, write_dta])
def test_a_weight_that_says_there_is_none_is_one(tmp_path, write, words):
    name = {write_csv: "w.csv", write_sav: "w.sav", write_dta: "w.dta"}[write]
    report = load(write(tmp_path / name, people() | {"W_WEIGHT": [words] * 6}), "Q1")
    assert column(report, "weight") == [1.0] * 6
    assert noted(report, "without weighting") == {"weights": "read as weight 1"}
    assert "weights: 6 without weighting (read as weight 1)" in report.lines()
    assert not noted(report, "text")


def test_value_labels_turn_a_scale_that_is_numbered_otherwise(tmp_path):
    labels = {"Q1": {0: "Very important", 1: "Rather important", 2: "Not very important",
                     3: "Not at all important"}}  # fmt: skip
    cells = people() | {"Q1": [0, 1, 2, 3, 0, -1]}
    report = load(write_sav(tmp_path / "wvs.sav", cells, labels=labels), "Q1", "Q57")
    assert sorted(column(report, "Q1")) == [-1, 1, 1, 2, 3, 4]
    assert noted(report, "numbered otherwise") == {"Q1": "read by its labels"}


def test_value_labels_that_contradict_a_long_scale_leave_the_item_out(tmp_path):
    turned = {1: "Always justifiable", 10: "Never justifiable"} | {n: str(n) for n in range(2, 10)}
    cells = people() | {"Q182": [1, 2, 3, 10, 5, 6]}
    path = write_sav(tmp_path / "wvs.sav", cells, labels={"Q182": turned})
    report = load(path, "Q1", "Q182")
    assert report.items == ("Q1",)
    assert noted(report, "numbered otherwise") == {"Q182": "left out; its labels say otherwise"}


def test_indices_are_read_from_labels(tmp_path):
    cells = germans(
        Q1=["Very important"] * 4,
        Y002=["Materialist", "Mixed", "Postmaterialist", "Missing"],
        Y003=["Obedience/Religious Faith", "0", "Determination, perseverance/Independence", "-1"],
    )
    report = load(write_csv(tmp_path / "t.csv", cells), "Q1")
    assert column(report, "Y002") == [1, 2, 3, -5]
    assert column(report, "Y003") == [-2, 0, 2, -1]


def test_indices_that_a_file_lacks_are_computed_from_its_items(tmp_path):
    cells = germans(
        Q154=[1, 3, 2, 1, 4, 1], Q155=[3, 1, 4, 2, 3, -2],
        Q8=[1, 2, 1, 2, 2, 1], Q14=[1, 2, 1, 1, 2, 2], Q15=[2, 1, 1, 2, 1, -1],
        Q17=[2, 1, 1, 2, 2, 2],
    )  # fmt: skip
    names = ("Q8", "Q14", "Q15", "Q17", "Q154", "Q155")
    report = load(write_csv(tmp_path / "t.csv", cells), *names)
    assert column(report, "Y002") == [1, 1, 3, 2, 2, -5]
    assert column(report, "Y003") == [2, -2, 0, 1, -1, -5]
    assert noted(report, "computed") == {"Y002": "of Q154 Q155", "Y003": "of Q8 Q14 Q15 Q17"}


def test_codebooks_of_every_form_give_the_same_labels(tmp_path):
    codes = {"1": "Sure", "2": "Nay", "-1": "No idea"}
    (tmp_path / "book.json").write_text(json.dumps({"Q151": {"choices": codes}, "doi": {}}))
    rows = "".join(f"Q151,{code},{label}\n" for code, label in codes.items())
    (tmp_path / "book.csv").write_text(f"variable,code,label\n{rows}")
    (tmp_path / "book.txt").write_text("Q151 - a title\n1.- Sure\n2 Nay\n-1.- No idea\n")
    for suffix in ("json", "csv", "txt"):
        found = read_codebook(tmp_path / f"book.{suffix}")
        assert found == {"Q151": {"sure": 1, "nay": 2, "no idea": -1}}, suffix
    cells = germans(Q151=["Sure", "Nay", "No idea", "Nay"])
    report = load(write_csv(tmp_path / "t.csv", cells), "Q151", labels=tmp_path / "book.json")
    assert column(report, "Q151") == [1, 2, -1, 2]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("book.json", "[1]", "not a mapping"),
        ("book.json", "{", "cannot be read as a codebook"),
        ("book.csv", "a,b\n1,2\n", "variable, code, label"),
        ("book.txt", "nothing here\n", "has no value labels"),
        ("book.pdf", "%PDF", r"\.sav or \.dta"),
    ],
)
def test_a_codebook_that_is_none_is_refused_in_one_line(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_codebook(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_patterns_name_every_item_once():
    spans = [span for family in patterns().items for span in family.of]
    ids = [
        name
        for span in spans
        for name in (
            [f"Q{n}" for n in range(*(int(end[1:]) + at for at, end in enumerate(span.split("-"))))]
            if "-" in span
            else [span]
        )
    ]
    assert len(ids) == len(set(ids)) == 259
    assert all(re.fullmatch(r"Q\d+A?", name) for name in ids)
