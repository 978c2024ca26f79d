"""A report in a browser: no errors, no requests, hostile texts as texts, dark and narrow."""

from pathlib import Path

import pytest

from tests.browser.conftest import OpenPage, accessibility_problems
from tests.reporting.cases import HOSTILE, save_run
from w2sprobe.reporting.report import write_report


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("report")
    save_run(place, task=HOSTILE)
    return write_report([place], place / "report")


def test_a_task_of_any_name_is_a_text(page: Path, open_page: OpenPage) -> None:
    opened = open_page(page)
    assert opened.title() == "made-up: weak-to-strong report"
    assert opened.locator("#audit ~ .scroll").inner_text().count(HOSTILE) == 2
    drawing = opened.locator("#figure-methods .drawing")
    assert HOSTILE in str(opened.locator("#figure-methods figcaption").inner_text())
    assert str(drawing.get_attribute("aria-label")).startswith("Test AUC: weak model")


def test_key_numbers_and_tables(page: Path, open_page: OpenPage) -> None:
    opened = open_page(page)
    assert "gain of the plain student" in opened.locator(".key-numbers").inner_text()
    opened.locator("#table-scores-2").get_by_role("button", name="AUC", exact=True).click()
    aucs = opened.locator("#table-scores-2 tbody tr td:nth-child(2)").all_inner_texts()
    assert [float(text.split()[0]) for text in aucs] == sorted(
        float(text.split()[0]) for text in aucs
    )
    with opened.expect_download() as download:
        opened.locator("#figure-methods").get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "methods.csv"


def test_headings_can_be_reached_by_keyboard(page: Path, open_page: OpenPage) -> None:
    opened = open_page(page)
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.textContent") == "Skip to content"
    opened.get_by_role("link", name="How it was run").press("Enter")
    assert opened.url.endswith("#run")


@pytest.mark.parametrize("dark", [False, True])
def test_accessible(page: Path, open_page: OpenPage, dark: bool) -> None:
    opened = open_page(page, dark=dark)
    assert accessibility_problems(opened) == []
    text = opened.locator("#figure-methods svg text").first
    colour = text.evaluate("node => getComputedStyle(node).fill")
    assert colour == ("rgb(230, 232, 235)" if dark else "rgb(26, 29, 33)")


def test_narrow_screens_do_not_scroll_sideways(page: Path, open_page: OpenPage) -> None:
    opened = open_page(page, width=360)
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360
