"""Parts that drawings share."""

import numpy as np
import pytest

from w2sprobe.reporting.report.drawing import (
    BLUE,
    PAPER,
    legend_above,
    mark,
    named_lines,
    new_figure,
    panels,
    spread,
    themed,
)


def test_values_beyond_the_limits_become_arrows() -> None:
    _, axes = new_figure(3, 2)
    axis = axes[0, 0]
    mark(axis, 0.5, (0.0, 4.0), 1, limits=(-1, 1))
    mark(axis, 9.0, None, 2, limits=(-1, 1), filled=False)
    mark(axis, -9.0, None, 3, limits=(-1, 1))
    bar, inside, above, below = axis.lines
    assert bar.get_xydata().tolist() == [[0, 1], [1, 1]]  # cut at the limit
    assert (inside.get_marker(), inside.get_xydata().tolist()) == ("o", [[0.5, 1]])
    assert (above.get_marker(), above.get_xydata().tolist()) == (">", [[1, 2]])
    assert above.get_markerfacecolor() == PAPER
    assert (below.get_marker(), below.get_xydata().tolist()) == ("<", [[-1, 3]])
    assert below.get_markerfacecolor() == BLUE


def test_panels_beyond_the_last_are_hidden() -> None:
    figure, axes = panels(5, 4, 8, 2, more=0.5)
    assert len(axes) == 5
    assert [axis.get_visible() for axis in figure.axes] == [True] * 5 + [False] * 3
    assert figure.get_size_inches().tolist() == [8, 4.5]
    alone, one = panels(1, 4, 8, 2)
    assert len(alone.axes) == len(one) == 1


def test_lines_have_names_and_marks_a_legend() -> None:
    _, axes = new_figure(3, 2)
    axis = axes[0, 0]
    named_lines(axis, ["low", "high"], "AUC")
    legend_above(axis, [("weak", "s", BLUE)], columns=1)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["low", "high"]
    assert axis.get_ylim() == pytest.approx((-0.6, 1.6))
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["weak"]


@pytest.mark.parametrize(("n", "heights"), [(0, []), (1, [2]), (3, [1.8, 2, 2.2])])
def test_marks_of_a_line_are_spread_around_it(n: int, heights: list[float]) -> None:
    np.testing.assert_allclose(spread(2, n, 0.2), heights)


def test_svg_has_ids_and_colours_of_its_page() -> None:
    svg = (
        f'<?xml?><svg><metadata>x</metadata><g id="a" fill="{BLUE}"/><use xlink:href="#a"/>'
        '<use xlink:href="#elsewhere"/></svg>'
    )
    assert themed(svg, "auc") == (
        '<svg><g id="auc-a" fill="var(--blue)"/><use xlink:href="#auc-a"/>'
        '<use xlink:href="#elsewhere"/></svg>'
    )
