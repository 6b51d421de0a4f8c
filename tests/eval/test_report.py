"""The report of an evaluation: its tables, its plots and its page, on made-up results."""

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_results import made, rows, series

from eval.metrics.inglehart_welzel import load_centroids
from eval.report.caveat import caveats
from eval.report.item_row import item_rows, read_item_rows
from eval.report.markdown import escape, render_markdown
from eval.report.measure import by_group, measure
from eval.report.name import names, pair_name
from eval.report.number import chance, interval, number
from eval.report.page import render_page
from eval.report.plots import draw_gaps, draw_items, draw_map, draw_matrices, draw_scores
from eval.report.results import Results
from eval.respondents.load_report import CITATION
from simulation.store.writer import Store

NASTY = ["<script>alert(1)</script>", r"$\frac{", "a|b\n# c *d* [e](f) \u202egold"]
"""Names of models that would be markup, mathematics, or the end of a table's row."""

STORED = """
insert into survey_items values ('Q1', 'x', 'Is it?', 'ordinal', 'more');
insert into survey_options values
    ('Q1', 0, 1, 'no', 0), ('Q1', 1, 1, 'hardly', 0), ('Q1', 2, 2, 'yes', 1);
insert into survey_people (country, item_id, point, share, valid, missing)
values ('DEU', 'Q1', 1, .25, 8, 0), ('DEU', 'Q1', 2, .75, 8, 0);
insert into survey_conditions values
    ('s0', 'tiny', 'fake', 'culture', false, null, 'en', 'logprobs', '{}', 'x', null);
insert into survey_replies by name
select 's0' as condition_id, 'DEU' as country, 'Q1' as item_id, 0 as arrangement, 0 as sample,
    1 as attempt, [0, 1, 2] as shown, [.1, .1, .2] as probabilities, .4 as mass,
    '' as prompt_hash, false as copied, 0 as latency_s, timestamp '2026-01-01' as asked_at;
"""
"""One item of which two codes are one point, and one answer to it."""


@pytest.fixture(scope="module")
def nasty() -> Results:
    """Results of models with names that would break a page."""
    return made(NASTY, ("DEU", "CHN", "MEX"))


@pytest.fixture(scope="module")
def page(nasty: Results) -> str:
    """The page of those results."""
    return render_page(nasty, {("s0", "DEU"): rows(3), ("s1", "DEU"): rows(3)})


PLOTS: dict[str, Callable[[Results], str | None]] = {
    "map": draw_map,
    "matrices": draw_matrices,
    "gaps": draw_gaps,
    "scores": lambda results: draw_scores(results, "js_distance"),
    "items": lambda results: draw_items(results, "s0", "DEU", rows(4)),
}


def words(svg: str | None) -> list[str]:
    """Return the lines in an SVG."""
    assert svg is not None
    tag = "{http://www.w3.org/2000/svg}text"
    return ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter(tag)]


def test_numbers_have_three_decimals_and_none_is_a_dash() -> None:
    assert [number(value) for value in (None, float("nan"))] == ["\u2013", "\u2013"]
    assert [number(value) for value in (0.1234, -0.0001, -2)] == ["0.123", "0.000", "-2.000"]


def test_intervals_and_p_values() -> None:
    assert interval(0.3119, 0.29, 0.334) == "0.312 [0.290, 0.334]"
    assert interval(81.25, 80, 83, 1) == "81.2 [80.0, 83.0]"
    assert interval(0.3, None, None) == "0.300"
    assert interval(None, 0.1, 0.2) == "\u2013"
    assert (chance(0.0004), chance(0.04), chance(None)) == ("< 0.001", "0.040", "\u2013")


def test_unknown_metrics_follow_the_longest_known_beginning() -> None:
    assert measure("culturespa_of_today").better == "higher"
    assert measure("culturespa_of_today").decimals == 1
    assert measure("novelty").better is None
    order = [name for _, group in by_group({"novelty", "tv", "culturespa"}) for name in group]
    assert order == ["tv", "culturespa", "novelty"]


def test_pairs_are_named_by_what_differs() -> None:
    results = made([], ("DEU",))
    results.series = [series(0, method="culture"), series(1, method="unaware"), series(2, "big")]
    assert pair_name(results, "s0", "s1") == "culture vs unaware (tiny, logprobs)"
    assert pair_name(results, "s0", "s2") == "tiny vs big (culture, logprobs)"
    results.series = [series(0), series(1)]
    assert names(results)["s0"] != names(results)["s1"]
    assert pair_name(results, "s0", "s1").count("#") == 2


@pytest.mark.parametrize("kind", PLOTS)
def test_plots_are_plain_svg_and_show_names_as_they_are(kind: str, nasty: Results) -> None:
    svg = PLOTS[kind](nasty)
    shown = " ".join(words(svg))
    assert svg is not None and not re.search(
        r'<script| style="|<style|<image|https?:(?!//www.w3)', svg
    )
    assert "alert(1)" in shown
    if kind != "items":
        assert r"$\frac{" in shown
        assert "\u202e" not in svg and r"\u202e" in shown
    assert PLOTS[kind](nasty) == svg
    if kind != "matrices":
        assert "SYNTHETIC" in shown


@pytest.mark.parametrize("kind", PLOTS)
def test_nothing_to_draw_is_none(kind: str) -> None:
    empty = made([], ("DEU",), matrices=[])
    if kind == "items":
        assert draw_items(empty, "s0", "DEU", rows(4, answered=False)) is None
        assert draw_items(empty, "s0", "DEU", []) is None
    else:
        assert PLOTS[kind](empty) is None


@pytest.mark.parametrize("kind", PLOTS)
def test_plots_of_one_series_in_one_country_and_of_many(kind: str) -> None:
    one = made(["tiny"], ("DEU",))
    assert (PLOTS[kind](one) is None) == (kind in ("gaps", "matrices"))
    codes = tuple(centroid.country or "" for centroid in load_centroids())[:19]
    many = made([f"model {n}" for n in range(20)], codes)
    shown = " ".join(words(PLOTS[kind](many)))
    assert "model 0" in shown and ("model 19" in shown or kind in ("items", "gaps"))


def test_what_is_not_known_is_not_drawn() -> None:
    results = made(["known", "unknown"], ("DEU",))
    results.scores = [
        replace(score, value=None) if score.who == "s1" else score for score in results.scores
    ]
    results.points = [
        replace(point, traditional_secular=float("nan")) if point.who == "s1" else point
        for point in results.points
    ]
    for svg in (draw_scores(results, "tv"), draw_map(results)):
        assert "unknown" not in " ".join(words(svg))


def test_a_country_without_people_is_named_where_the_model_is() -> None:
    results = made(["tiny"], ("DEU",))
    results.points = [*results.points, replace(results.points[0], country="JPN")]
    assert "JPN" in words(draw_map(results))


def test_items_are_sorted_and_large_sets_cut() -> None:
    results = made(["tiny"], ("DEU",))
    shown = [line for line in words(draw_items(results, "s0", "DEU", rows(44))) if "Is it?" in line]
    assert len(shown) == 44 and shown[0].startswith("Q44 ") and shown[-1].startswith("Q1 ")
    shown = [line for line in words(draw_items(results, "s0", "DEU", rows(60))) if "Is it?" in line]
    assert len(shown) == 20 and shown[0].startswith("Q60 ")
    mute = [replace(row, share=None) if row.item_id == "Q2" else row for row in rows(3)]
    unasked = [replace(row, people=None) if row.item_id == "Q1" else row for row in mute]
    text = words(draw_items(results, "s0", "DEU", unasked))
    assert "no valid answer" in text and not any(line.startswith("Q1 ") for line in text)


def test_rows_come_from_the_view_of_shares(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    with duckdb.connect(str(store.path)) as con:
        con.execute(STORED)
        found = read_item_rows(con, series(0), "DEU")
        chosen = item_rows(con, made(["tiny"], ("DEU", "CHN")))
    assert [(row.label, row.people, row.share) for row in found] == [
        ("no / hardly", 0.25, pytest.approx(0.5)), ("yes", 0.75, pytest.approx(0.5)),
    ]  # fmt: skip
    assert chosen == {("s0", "DEU"): found}


def test_caveats_name_what_is_wrong() -> None:
    results = made(["good", "bad", "shy"], ("DEU", "CHN"))
    results.series[0] = replace(results.series[0], leaks=True)
    results.scores = [
        replace(each, value=0.45, high=0.5) if each.who == "s1" and each.metric == "tv" else each
        for each in results.scores
    ]
    results.rates = [
        replace(each, valid=0.4, mass=0.3, failed=0.01) if each.who == "s2" else each
        for each in results.rates
    ]
    found = {caveat.text: " ".join(caveat.about) for caveat in caveats(results)}
    text = "\n".join(f"{key} {value}" for key, value in found.items())
    assert "made up" in text and "Japan" in text
    assert re.search(r"no evidence.*good", text) and re.search(r"Calls failed.*shy.*1\.0 %", text)
    assert re.search(r"90%.*shy.*0\.400", text) and re.search(r"50%.*shy.*0\.300", text)
    assert re.search(r"No better than guessing.*bad.*0\.450 against 0\.400", text)
    assert not re.search(r"No better.*good", text)


def test_markdown_has_every_table_with_baselines_apart(nasty: Results) -> None:
    text = render_markdown(nasty)
    for part in ("What was asked", "Paired differences", "Inglehart-Welzel", "sampling alone"):
        assert re.search(rf"^## .*{part}", text, re.MULTILINE)
    for value in (
        "0.300 [0.280, 0.320]",
        "70.0 [70.0, 70.0]",
        "-0.100 [-0.200, -0.050]",
        "< 0.001",
    ):
        assert value in text
    scores = text[text.index("### Distance from people") :]
    order = [
        scores.index(part) for part in ("alert(1)", "frac", "for comparison", "uniform guesser")
    ]
    assert order == sorted(order)
    assert "perfect sampler, 200 answers | 0.040 |" in scores
    assert "SYNTHETIC" in text and CITATION.split(".")[0] in text


def test_markdown_tables_hold_whatever_a_model_is_called(nasty: Results) -> None:
    text = render_markdown(nasty)
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(blocks) > 8
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    assert "<script" not in text and "\u202e" not in text


@given(st.text())
def test_escaped_text_stays_in_its_cell(text: str) -> None:
    shown = escape(text)
    assert len(shown.splitlines()) <= 1 and "<" not in shown
    bare = re.sub(r"\\[^\w\s]", "", shown)
    assert not re.search(r"[|`*\[\]$]", bare)


class _Tags(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_is_one_file_without_script_or_link(page: str) -> None:
    tags = _Tags()
    tags.feed(page)
    assert not {"script", "link", "img", "iframe", "image", "object"} & set(tags.tags)
    assert "style" not in tags.attributes
    assert not any(name.startswith("on") for name in tags.attributes)
    assert all(link.startswith("#") for link in tags.links)
    assert {link[1:] for link in tags.links} <= set(tags.ids)
    assert len(set(tags.ids)) == len(tags.ids)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None and page.count("<style") == 1
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page and "default-src 'none'" in page


def test_page_shows_names_as_they_are_and_all_parts(page: str) -> None:
    tags = _Tags()
    tags.feed(page)
    assert NASTY[0] in tags.text and NASTY[1] in tags.text and r"\u202egold" in tags.text
    assert page.count("<svg") == 8
    for part in ("asked", "scores", "gaps", "individuals", "countries", "items", "map", "matrices"):
        assert f'<section id="{part}">' in page and f'href="#{part}"' in page
    assert CITATION.replace("&", "&amp;") in page and "not for profit" in page
    assert "Before you believe a figure" in page


def test_page_of_nothing_says_what_was_asked() -> None:
    page = render_page(
        made([], (), scores=[], baselines=[], floors=[], individuals=[], matrices=[])
    )
    assert "What was asked" in page and "<svg" not in page


def test_plots_are_not_loaded_before_they_are_drawn() -> None:
    code = "import eval.report.page, sys; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
