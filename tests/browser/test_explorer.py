"""The explorer as people use it: sliders, list, hovering, marks and exports, without a server."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as Opened

from tests.browser.conftest import OpenPage, accessibility_problems, watched_pages
from tests.explorer.cases import HOSTILE, KS, TEXTS, explored
from tests.probing.cases import IDS, LAYERS, SOFT, TRAIN, TRUTH, labels
from w2sprobe.labels import LabelTable
from w2sprobe.reporting.explorer import ExplorerData, explorer_page
from w2sprobe.reporting.pages import write_page

KEEP = np.arange(len(IDS)) != 1
START = (len(LAYERS) - 1) // 2  # the layer that is shown first
CONTROLS = {
    "layer": START,
    "k": len(KS) - 1,
    "knn": True,
    "logistic": False,
    "colour": "gap",
    "split": "",
    "search": "",
    "differing": False,
}
SET = """(values) => {
  const of = (name) => document.getElementById(name)
    ?? document.querySelector(`input[name=probe][value=${name}]`);
  for (const [name, value] of Object.entries(values)) {
    const control = of(name);
    if (typeof value === "boolean") control.checked = value;
    else control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
  }
  const gap = document.querySelector("[data-sort=gap]");
  while (gap.parentElement.ariaSort !== "descending") gap.click();
}"""
# until the plot is drawn, and the list, which waits for sliders to rest
SETTLED = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 200)))"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExplorerData:
    return explored(tmp_path_factory.mktemp("explorer") / "s", labels=labels(keep=KEEP))


@pytest.fixture(scope="module")
def file(data: ExplorerData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    write_page(explorer_page(data, f"Explorer {HOSTILE}"), path)
    return path


@pytest.fixture(scope="module")
def shared(file: Path, browser: Browser) -> Iterator[Opened]:
    with watched_pages(browser) as open_page:
        yield ready(open_page(file))


@pytest.fixture
def page(shared: Opened) -> Opened:
    """One page for all tests that mark nothing, its controls as at the start: it takes a second."""
    show(shared)
    return shared


def ready(page: Opened) -> Opened:
    page.wait_for_function("document.getElementById('plot')._fullLayout?.xaxis?.range")
    page.locator("#rows tbody tr").first.wait_for()
    return page


def show(page: Opened, **changes: Any) -> None:
    page.evaluate(SET, {**CONTROLS, **changes})
    page.evaluate(SETTLED)


def drawn(page: Opened, path: str, trace: int = 0) -> Any:
    """What Plotly was given for all rows, or with trace=1 for the selected one."""
    found = page.evaluate(
        f"(() => {{ const value = document.getElementById('plot')._fullData[{trace}].{path};"
        " return ArrayBuffer.isView(value) ? Array.from(value) : value; })()"
    )
    numbers = isinstance(found, list) and isinstance(found[0], float | int)
    return np.float32(found) if numbers else found


def listed(page: Opened) -> list[str]:
    return page.locator("#rows tbody th").all_inner_texts()


def cells(page: Opened, column: int) -> list[float]:
    texts = page.locator(f"#rows tbody tr td:nth-child({column})").all_inner_texts()
    return [float(text.removeprefix("◆ ")) for text in texts]


def gaps(data: ExplorerData) -> np.ndarray:
    return np.abs(data.layers[START].votes[-1] - SOFT)


def differing(p: np.ndarray) -> np.ndarray:
    return (p > 0.5) != (SOFT > 0.5)


def place_of(page: Opened, row: int) -> Any:
    return page.evaluate(
        """(row) => {
          const plot = document.getElementById("plot");
          const { xaxis, yaxis } = plot._fullLayout;
          const { x, y } = plot._fullData[0];
          return { x: xaxis._offset + xaxis.l2p(x[row]), y: yaxis._offset + yaxis.l2p(y[row]) };
        }""",
        row,
    )


def exported(page: Opened, button: str, folder: Path) -> LabelTable:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    target = folder / download.value.suggested_filename
    download.value.save_as(target)
    with target.open(newline="") as lines:
        assert next(csv.reader(lines)) == ["id", "soft_label", "keep"]
    return LabelTable.read(target)


def test_it_draws_every_row_and_says_what_it_shows(page: Opened, data: ExplorerData) -> None:
    assert drawn(page, "type") == "scattergl"
    points = data.layers[START].points
    np.testing.assert_array_equal(drawn(page, "x"), points[:, 0])
    np.testing.assert_array_equal(drawn(page, "y"), points[:, 1])
    n = int(differing(data.layers[START].votes[-1]).sum())
    told = page.locator("#summary").inner_text()
    assert f"differ on {n} of {len(IDS)} rows" in told
    auc = data.aucs()["test"]
    assert f"on test: probe {auc['knn'][START][-1]:.3f}, weak labels {auc['weak']:.3f}" in told


def test_points_are_on_the_canvas(page: Opened) -> None:
    """Where a policy forbids what Plotly's WebGL does, it draws nothing and logs no error."""
    assert page.locator(".no-webgl").count() == 0
    before = page.locator("#plot").screenshot()
    show(page, colour="truth")
    page.wait_for_timeout(200)  # the screen is drawn after the page
    assert page.locator("#plot").screenshot() != before


def test_sliders_move_by_keyboard(page: Opened, data: ExplorerData) -> None:
    show(page, colour="probe")
    layers, ks = page.get_by_label("Layer", exact=True), page.get_by_label("Neighbours k")
    layers.press("Home")
    for layer, view in zip(LAYERS, data.layers, strict=True):
        ks.press("Home")
        for k, votes in zip(KS, view.votes, strict=True):
            expect(page.locator("#summary")).to_contain_text(f"Layer {layer}: kNN (k = {k}) and")
            page.evaluate(SETTLED)
            # summed in the page from the neighbours
            np.testing.assert_array_equal(drawn(page, "marker.color"), votes.astype(np.float32))
            ks.press("ArrowRight")
        np.testing.assert_array_equal(drawn(page, "x"), view.points[:, 0])
        assert layers.get_attribute("aria-valuetext") == str(layer)
        layers.press("ArrowRight")


def test_colours_and_probes(page: Opened, data: ExplorerData) -> None:
    p = data.layers[START].logistic
    show(page, knn=False, logistic=True)
    for name, values in {"weak": SOFT, "truth": TRUTH, "probe": p, "gap": abs(p - SOFT)}.items():
        page.get_by_label("Colour", exact=True).select_option(name)
        page.evaluate(SETTLED)
        np.testing.assert_array_equal(drawn(page, "marker.color"), values.astype(np.float32))
    symbols = np.where(differing(p), "diamond", "circle")
    assert drawn(page, "marker.symbol") == symbols.tolist()
    assert "the logistic probe" in page.locator("#summary").inner_text()


def test_rows_of_one_split(page: Opened, data: ExplorerData) -> None:
    show(page, split="1")
    assert f"of {len(IDS) - TRAIN} found rows" in page.locator("#found").inner_text()
    np.testing.assert_array_equal(drawn(page, "x"), data.layers[START].points[TRAIN:, 0])
    assert "strong_train" not in page.locator("#summary").inner_text()
    assert len(listed(page)) == len(IDS) - TRAIN


def test_the_list_is_sorted_by_every_column(page: Opened, data: ExplorerData) -> None:
    order = np.argsort(-gaps(data), kind="stable")
    assert listed(page)[:5] == [TEXTS[IDS[row]] for row in order[:5]]
    np.testing.assert_allclose(cells(page, 4), gaps(data)[order], atol=6e-4)
    headings = page.locator("#rows thead th")
    for column, values in ((2, SOFT), (3, data.layers[START].votes[-1]), (5, TRUTH)):
        heading = headings.nth(column - 1)
        for direction, expected in (("descending", sorted(-values)), ("ascending", sorted(values))):
            heading.get_by_role("button").press("Enter")
            page.evaluate(SETTLED)
            assert heading.get_attribute("aria-sort") == direction
            np.testing.assert_allclose(cells(page, column), np.abs(expected), atol=6e-4)
    assert page.locator("#rows th[aria-sort]").count() == 1
    headings.first.get_by_role("button").click()
    page.evaluate(SETTLED)
    lowered = [text.lower() for text in listed(page)]
    assert lowered == sorted(lowered)


def test_texts_are_searched_and_the_others_fade(page: Opened, data: ExplorerData) -> None:
    page.get_by_label("Search texts").fill("ROW-1")
    page.evaluate(SETTLED)
    assert "11 of 11" in page.locator("#found").inner_text()
    assert all("row-1" in text for text in listed(page))
    opacity = drawn(page, "marker.opacity")
    assert (opacity < 0.5).tolist() == ["row-1" not in TEXTS[name] for name in IDS.tolist()]
    show(page, differing=True)
    n = int(differing(data.layers[START].votes[-1]).sum())
    assert f"{n} of {n} found" in page.locator("#found").inner_text()
    show(page, search="no such text")
    assert "0 of 0" in page.locator("#found").inner_text()


def test_hovering_shows_text_labels_and_neighbours(page: Opened, data: ExplorerData) -> None:
    row, view = 3, data.layers[START]  # the hostile one
    page.locator("#plot").hover(position=place_of(page, row))
    hover = page.locator("#hover")
    expect(hover).to_be_visible()
    said = hover.inner_text()
    assert "<script>document.title = 'broken in'</script><img src=x onerror" in said
    assert f"weak label {SOFT[row]:.3f} · kNN, k = {KS[-1]} {view.votes[-1, row]:.3f} · " in said
    assert f"logistic {view.logistic[row]:.3f} · truth {TRUTH[row]}" in said
    assert hover.locator("li").all_inner_texts() == [
        f"{TEXTS[IDS[n]]} (weak {SOFT[n]:.3f}, truth {TRUTH[n]})" for n in view.neighbors[row, :5]
    ]
    assert hover.locator("img, a, b").count() == 0
    page.keyboard.press("Escape")
    expect(hover).to_be_hidden()


def test_a_click_selects_a_point(page: Opened) -> None:
    page.locator("#plot").click(position=place_of(page, 3))
    expect(page.locator("#detail .text")).to_have_text(HOSTILE)
    assert page.locator("#detail").locator("img, b, a").count() == 0
    expect(page.locator("#rows tr[aria-current]")).to_contain_text("<script>document.title")


def test_rows_are_selected_by_keyboard(page: Opened, data: ExplorerData) -> None:
    row, view = int(np.argmax(gaps(data))), data.layers[START]
    page.locator("#rows tbody button.row").first.press("Enter")
    detail = page.locator("#detail")
    expect(detail.locator(".text")).to_have_text(TEXTS[IDS[row]])
    near = view.neighbors[row]
    assert detail.locator("li button").all_inner_texts() == [TEXTS[IDS[n]] for n in near]
    np.testing.assert_array_equal(drawn(page, "x", trace=1), view.points[[row, *near], 0])
    detail.locator("li button").nth(1).press("Enter")
    expect(detail.locator(".text")).to_have_text(TEXTS[IDS[near[1]]])
    show(page, layer=0)  # the panel follows the layer
    nearest = data.layers[0].neighbors[near[1], 0]
    assert detail.locator("li button").first.inner_text() == TEXTS[IDS[nearest]]


def test_labels_come_back_as_they_were(page: Opened, tmp_path: Path) -> None:
    table = exported(page, "All labels", tmp_path)
    assert table.ids.tolist() == IDS.tolist()
    np.testing.assert_array_equal(table.soft_label, SOFT)
    np.testing.assert_array_equal(table.keep, KEEP)


def test_found_rows_are_exported(page: Opened, tmp_path: Path) -> None:
    show(page, search="script")
    table = exported(page, "Found rows as labels", tmp_path)
    assert table.ids.tolist() == ["row-3"]
    assert table.soft_label[0] == SOFT[3]


def test_zoom_by_buttons(page: Opened, data: ExplorerData) -> None:
    def wide() -> float:
        low, high = page.evaluate("document.getElementById('plot')._fullLayout.xaxis.range")
        return float(high - low)

    start = wide()
    page.get_by_role("button", name="Zoom in").click()
    assert wide() == pytest.approx(0.6 * start)
    assert "lie outside the view" in page.locator("#outside").inner_text()
    show(page, colour="weak")  # colours leave the view as it is
    assert wide() == pytest.approx(0.6 * start)
    page.get_by_role("button", name="Whole").click()
    expect(page.locator("#outside")).to_have_text("")
    assert wide() >= np.ptp(data.layers[START].points[:, 0])


def test_accessible_in_the_light(page: Opened) -> None:
    page.locator("#rows tbody button.row").first.click()
    expect(page.locator("#detail dl")).to_be_visible()
    assert accessibility_problems(page) == []


def test_dark_mode(file: Path, open_page: OpenPage) -> None:
    def drawn_on(colour: str) -> None:
        page.wait_for_function(
            "(c) => document.getElementById('plot')._fullLayout.paper_bgcolor === c", arg=colour
        )

    page = ready(open_page(file, dark=True))
    dark, light = "rgb(21, 24, 28)", "rgb(255, 255, 255)"
    drawn_on(dark)
    page.locator("#rows tbody button.row").first.click()
    expect(page.locator("#detail dl")).to_be_visible()
    assert accessibility_problems(page) == []
    scale = drawn(page, "marker.colorscale")
    page.locator("#theme").click()
    drawn_on(light)
    assert drawn(page, "marker.colorscale") != scale
    page.locator("#theme").click()
    drawn_on(dark)
    page.locator("#theme").click()  # as the system has it
    page.emulate_media(color_scheme="light")
    drawn_on(light)


def test_marks_are_exported(
    file: Path, open_page: OpenPage, data: ExplorerData, tmp_path: Path
) -> None:
    page = ready(open_page(file))
    first, second = np.argsort(-gaps(data), kind="stable")[:2]
    choices = page.locator("#rows tbody select")
    choices.nth(0).select_option("drop")
    choices.nth(1).select_option(label="probe’s label")
    choices.nth(2).select_option("drop")
    page.locator("#rows tbody button.row").nth(2).click()
    page.locator("#detail select").select_option("given")  # the panel's is the list's
    expect(choices.nth(2)).to_have_value("given")
    expect(page.locator("#marked")).to_have_text("Marked: 1 to drop, 1 to take the probe’s label.")
    show(page, layer=0)  # what was marked stays as it was then
    table = exported(page, "All labels", tmp_path)
    soft, keep = SOFT.copy(), KEEP.copy()
    soft[second] = data.layers[START].votes[-1, second]
    keep[first] = False
    np.testing.assert_array_equal(table.soft_label, soft)
    np.testing.assert_array_equal(table.keep, keep)


def test_odd_ids_rows_that_are_not_shown_and_no_truth(
    open_page: OpenPage, data: ExplorerData, tmp_path: Path
) -> None:
    names = data.ids.astype("<U40")
    names[:3] = ['a, "b"', "two\nlines", HOSTILE[:30]]
    extra = LabelTable(["=extra"], [1e-9], [False])
    table = LabelTable.concatenate([LabelTable(names, SOFT, KEEP), extra])
    odd = replace(data, ids=names, texts=None, labels=table, truth=None)
    write_page(explorer_page(odd, "Ids"), tmp_path / "explorer.html")
    page = ready(open_page(tmp_path / "explorer.html"))
    page.locator("#rows tbody button.row").first.click()
    expect(page.locator("#detail dl")).to_be_visible()
    said = page.locator("body").inner_text().lower()
    assert "texts are not known" in said
    assert "truth" not in said
    again = exported(page, "All labels", tmp_path)
    assert again.ids.tolist() == [*names.tolist(), "=extra"]
    np.testing.assert_array_equal(again.soft_label, table.soft_label)
    np.testing.assert_array_equal(again.keep, table.keep)


def test_nothing_of_the_data_runs(file: Path, browser: Browser, tmp_path: Path) -> None:
    """The second wall: were a text not escaped, the page's policy would not run it."""
    broken = tmp_path / "broken.html"
    broken.write_text(file.read_text().replace("<h1>", f"<h1>{HOSTILE}", 1))
    page = browser.new_page()
    page.goto(broken.as_uri())
    ready(page)
    assert page.locator("h1 img").count() == 1
    assert page.title() == f"Explorer {HOSTILE}"
    page.close()


def test_narrow_screens_do_not_scroll_sideways(file: Path, open_page: OpenPage) -> None:
    page = ready(open_page(file, width=360))
    page.locator("#rows tbody button.row").first.click()
    expect(page.locator("#detail dl")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    box = page.locator("#plot").bounding_box()
    assert box is not None
    assert box["width"] > 300


def test_without_webgl_it_is_drawn_in_svg(file: Path, open_page: OpenPage) -> None:
    page = ready(open_page(file, before="HTMLCanvasElement.prototype.getContext = () => null"))
    assert drawn(page, "type") == "scatter"
    assert page.locator("#plot path.point").count() == len(IDS)
    assert "no WebGL" in page.locator("#no-webgl").inner_text()
    page.locator("#plot").hover(position=place_of(page, 3))
    expect(page.locator("#hover")).to_contain_text("<script>")
