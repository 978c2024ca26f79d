"""What all pages have: themes, sortable tables, no way out, no way in."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page as Opened

from tests.browser.conftest import OpenPage, accessibility_problems
from w2sprobe.reporting.pages import ENVIRONMENT, Page, write_page
from w2sprobe.reporting.report.drawing import Drawing, new_figure
from w2sprobe.reporting.table import Cell, Column, Table, TableRow, numeric

HOSTILE = "<script>document.title = 'broken in'</script><img src=x onerror=\"document.title='in'\">"
TEMPLATE = """
{% extends "base.html.j2" %}
{% import "macros.html.j2" as blocks %}
{% block body %}<main id="main"><h1>{{ title }}</h1>
{{ blocks.table(table, "scores") }}{{ blocks.figure(figure) }}</main>{% endblock %}
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    rows = [("b", 2.0), (HOSTILE, None), ("a", 10.0)]
    table = Table(
        f"Scores {HOSTILE}",
        (Column("task"), numeric("AUC")),
        [TableRow((Cell.of(name), Cell.number(x, f"{x}"))) for name, x in rows],
        searchable=True,
    )
    empty, _ = new_figure(1, 1)
    data = [{"task": HOSTILE, "auc": None}]
    figure = Drawing("points", "Points", HOSTILE, HOSTILE, empty, data)
    made = Page("test.html.j2", f"Test {HOSTILE}", {"table": table, "figure": figure})
    write_page(made, tmp_path / "page.html")
    return tmp_path / "page.html"


@pytest.fixture(autouse=True)
def template(monkeypatch: pytest.MonkeyPatch) -> None:
    from jinja2 import ChoiceLoader, DictLoader

    loaders = [DictLoader({"test.html.j2": TEMPLATE}), ENVIRONMENT.loader]
    monkeypatch.setattr(ENVIRONMENT, "loader", ChoiceLoader(loaders))


def first_column(page: Opened) -> list[str]:
    return page.locator("tbody th").all_inner_texts()


def test_texts_are_texts(page: Path, open_page: OpenPage) -> None:
    opened = open_page(page)
    assert opened.title() == f"Test {HOSTILE}"
    assert opened.locator("img").count() == 0
    assert HOSTILE in first_column(opened)


def test_attributes_that_got_in_do_nothing(page: Path, tmp_path: Path, browser: object) -> None:
    """The second wall: were a text not escaped, the page's policy would not run it."""
    broken = tmp_path / "broken.html"
    text = page.read_text()
    assert "unsafe-eval" not in text  # but where a page asks for it
    assert text.count("<h1>") == 1
    broken.write_text(text.replace("<h1>", f"<h1>{HOSTILE}"))
    opened = browser.new_page()  # type: ignore[attr-defined]
    opened.goto(broken.as_uri())
    opened.wait_for_timeout(200)
    assert opened.locator("img").count() == 1
    assert opened.title() == f"Test {HOSTILE}"
    opened.close()


def test_tables_are_sorted_and_filtered(page: Path, open_page: OpenPage) -> None:
    opened = open_page(page)
    auc = opened.get_by_role("button", name="AUC")
    auc.click()
    assert first_column(opened) == ["b", "a", HOSTILE]  # as numbers, the unknown one last
    assert opened.locator("thead th").nth(1).get_attribute("aria-sort") == "ascending"
    auc.press("Enter")
    assert first_column(opened) == ["a", "b", HOSTILE]
    opened.get_by_label("Filter").fill("ONERROR")
    assert opened.locator("tbody tr:visible").count() == 1


def test_data_of_figures_can_be_taken(page: Path, open_page: OpenPage, tmp_path: Path) -> None:
    opened = open_page(page)
    with opened.expect_download() as download:
        opened.get_by_role("button", name="Data of the figure").click()
    assert download.value.suggested_filename == "points.csv"
    shutil.copy(download.value.path(), tmp_path / "points.csv")
    assert (tmp_path / "points.csv").read_text().startswith('task,auc\n"<script>')


def test_themes(page: Path, open_page: OpenPage) -> None:
    def paper(opened: Opened) -> str:
        return str(opened.evaluate("getComputedStyle(document.body).backgroundColor"))

    light, dark = open_page(page), open_page(page, dark=True)
    assert paper(light) == "rgb(255, 255, 255)"
    assert paper(dark) == "rgb(21, 24, 28)"
    button = dark.get_by_role("button", name="Theme")
    button.click()
    assert (button.inner_text(), paper(dark)) == ("Theme: light", "rgb(255, 255, 255)")
    button.click()
    assert (button.inner_text(), paper(dark)) == ("Theme: dark", "rgb(21, 24, 28)")


@pytest.mark.parametrize("dark", [False, True])
def test_accessible(page: Path, open_page: OpenPage, dark: bool) -> None:
    assert accessibility_problems(open_page(page, dark=dark)) == []


def test_narrow_screens_do_not_scroll_sideways(page: Path, open_page: OpenPage) -> None:
    opened = open_page(page, width=360)
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360
