"""Recognising files of the survey, and refusing what is none or should not be read."""

import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from survey_files import people, write_csv, write_dta, write_sav

from eval.respondents.dialect import recognise
from folkways.errors import UserError
from scenarios.sheet import find_encoding


def header(*names: str, rows: int = 3) -> dict[str, list[int]]:
    return {name: [1] * rows for name in names}


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        recognise(path)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text
    return text


def test_a_pooled_file_is_recognised_with_its_separator_and_columns(tmp_path):
    found = recognise(write_csv(tmp_path / "pooled.csv", people(), quoted=True))
    assert (found.form, found.study, found.separator) == ("csv", "wave-7", ",")
    assert found.encoding == "utf-8" and not found.labelled
    assert found.header[found.columns["Q1"]] == "Q1"


def test_titles_after_the_code_do_not_hide_a_column(tmp_path):
    path = write_csv(tmp_path / "uruguay.csv", people(), separator=";", titled=True, ends="\r\n")
    found = recognise(path)
    assert found.separator == ";" and not found.labelled
    assert found.header[found.columns["Q1"]] == "Q1: How much family matters; a title of ours"


def test_commas_in_titles_do_not_make_a_comma_file(tmp_path):
    path = tmp_path / "titles.csv"
    path.write_text("B_COUNTRY: number, ISO;Q1: life, family, work, faith;Q2: a, b, c\n276;1;2\n")
    assert recognise(path).separator == ";"


def test_a_file_of_labels_is_told_from_a_file_of_numbers(tmp_path):
    words = dict.fromkeys(("Q1", "Q7", "Q57", "Q254"), ["Very important"] * 6)
    cells = people() | words
    assert recognise(write_csv(tmp_path / "text.csv", cells, separator=";")).labelled


@pytest.mark.parametrize(
    ("encoding", "found"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("cp1252", "latin-1")],
)
def test_encodings(tmp_path, encoding, found):
    cells = people() | {"N_TOWN": ["Salto", "Tacuarembó", "Young", "Melo", "Köln", "Fürth"]}
    path = write_csv(tmp_path / "towns.csv", cells, encoding=encoding)
    assert find_encoding(path) == found
    assert recognise(path).columns["VERSION"] == 0


@pytest.mark.parametrize("write", [write_sav, write_dta])
def test_binary_files_are_recognised_whatever_they_are_called(tmp_path, write):
    path = write(tmp_path / "wvs.data", people())
    if write is write_dta:
        path = path.rename(tmp_path / "wvs.dta")
    assert recognise(path).study == "wave-7"


def test_a_time_series_is_recognised(tmp_path):
    cells = header("S002VS", "S003", "COUNTRY_ALPHA", "S017", "A001", "X001")
    assert recognise(write_csv(tmp_path / "series.csv", cells)).study == "time-series"


def test_the_joint_file_is_recognised(tmp_path):
    cells = header("study", "cntry", "cntry_AN", "gwght", "A001", "X001")
    assert recognise(write_csv(tmp_path / "joint.csv", cells)).study == "joint"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["B_COUNTRY_ALPHA", "Q1P", "Q2", "Q57P"], "inverted file (Q1P, Q57P"),
        (["B_COUNTRY_ALPHA", "V1", *(f"V{n}" for n in range(2, 60))], "wave 6 or an earlier one"),
        (["S002EVS", "S003", "A001"], "the European Values Study trend file"),
        (["Q1", "Q2"], "no column B_COUNTRY_ALPHA or B_COUNTRY"),
        (["B_COUNTRY_ALPHA", "D_INTERVIEW"], "none of the survey's columns"),
        (["name", "age"], "none of the survey's columns (it begins NAME, AGE)"),
        (["B_COUNTRY_ALPHA", "Q1", "Q2", "Q1"], "has the column Q1 twice"),
    ],
)
def test_other_surveys_are_refused(tmp_path, columns, words):
    path = tmp_path / "other.csv"
    path.write_text(",".join(columns) + "\n" + ",".join("1" * len(columns)) + "\n")
    assert words in refusal(path)


def test_files_that_are_no_tables_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "wvs.zip", "w") as archive:
        archive.writestr("wvs.csv", "Q1\n1\n")
    (tmp_path / "wvs.xlsx").write_bytes((tmp_path / "wvs.zip").read_bytes())
    contents = {
        "empty.csv": b"", "blank.csv": b"  \n\n", "page.csv": b"<!DOCTYPE html><html></html>",
        "wvs.rds": b"\x1f\x8b\x08rest", "wvs.RData": b"RDX3\nrest", "codebook.csv": b"%PDF-1.7",
        "not.sav": b"Q1,Q2\n1,2\n", "noise.csv": bytes(range(256)) * 4,
        "header.csv": b"B_COUNTRY_ALPHA,Q1\n", "bom.csv": b"\xef\xbb\xbf",
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    words = {
        "wvs.zip": "unpack it", "wvs.xlsx": "an Excel file", "empty.csv": "is empty",
        "blank.csv": "is empty", "page.csv": "a web page", "wvs.rds": "an R file",
        "wvs.RData": "an R file", "codebook.csv": "a PDF", "not.sav": "damaged",
        "noise.csv": "damaged", "header.csv": "no respondents", "bom.csv": "none of the survey's",
        "folder": "is a folder", "absent.csv": "no such file",
    }  # fmt: skip
    for name, expected in words.items():
        assert expected in refusal(tmp_path / name), name


@pytest.mark.parametrize(("write", "suffix"), [(write_sav, "sav"), (write_dta, "dta")])
def test_a_binary_file_cut_in_its_header_is_refused(tmp_path, write, suffix):
    whole = write(tmp_path / f"whole.{suffix}", people()).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole[:300])
    assert "cut off" in refusal(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([b"", b"B_COUNTRY,Q1\n", b"$FL2", b"<stata_dta>", b"\xff\xfe", b"PK", b'"']),
    st.binary(max_size=200),
    st.sampled_from(["csv", "sav", "dta"]),
)
def test_no_file_does_worse_than_a_clear_line(tmp_path, start, rest, suffix):
    path = tmp_path / f"any.{suffix}"
    path.write_bytes(start + rest)
    try:
        assert recognise(path).path == path
    except UserError as error:
        assert str(path) in str(error)
