"""Page of the explorer: one file with scripts, styles, and numbers in base64."""

import base64
from typing import Any

import numpy as np

from w2sprobe.reporting.explorer.data import ExplorerData, LayerView
from w2sprobe.reporting.pages import Page
from w2sprobe.reporting.pages.page import resource

TEXT_CHARACTERS = 1000  # limit of a text in the page: 10 MB at most for 10,000 rows
SCRIPTS = ("explorer_data.js", "explorer_plot.js", "explorer_rows.js", "explorer.js")


def explorer_page(data: ExplorerData, title: str) -> Page:
    """Page of an explorer, to be written by `write_page`."""
    from plotly.offline import get_plotlyjs

    return Page(
        "explorer.html.j2",
        title,
        {
            "explorer": payload(data),
            "layers": [view.layer for view in data.layers],
            "ks": data.ks,
            "truth_known": data.truth is not None,
            "split_names": data.split_names,
        },
        styles=[resource("explorer.css")],
        scripts=[get_plotlyjs(), *map(resource, SCRIPTS)],
        evaluates=True,
    )


def payload(data: ExplorerData) -> dict[str, Any]:
    """JSON that the scripts of the page read.

    Without kNN votes: the page sums the labels of the neighbours, in their order.
    """
    given = data.labels.align(data.ids)
    other = ~np.isin(data.labels.ids, data.ids)
    texts = data.ids.tolist() if data.texts is None else data.texts
    return {
        "ids": data.ids.tolist(),
        "texts": [_shortened(text) for text in texts],
        "texts_known": data.texts is not None,
        "split_names": data.split_names,
        "split": packed(np.array([data.split_names.index(s) for s in data.splits]), "u1"),
        "weak": packed(given.soft_label, "f8"),
        "keep": packed(given.keep, "u1"),
        "truth": None if data.truth is None else packed(data.truth, "u1"),
        "other": {
            "ids": data.labels.ids[other].tolist(),
            "weak": packed(data.labels.soft_label[other], "f8"),
            "keep": packed(data.labels.keep[other], "u1"),
        },
        "ks": list(data.ks),
        "projection": data.projection,
        "auc": data.aucs(),
        "layers": [_layer(view) for view in data.layers],
    }


def packed(values: np.ndarray, kind: str) -> list[str]:
    """Pack numbers as [kind, base64 of their bytes in little-endian order].

    Parameters
    ----------
    kind : str
        Type as numpy names it, without byte order, such as "f4".
    """
    content = np.ascontiguousarray(values, dtype=np.dtype(kind).newbyteorder("<")).tobytes()
    return [kind, base64.b64encode(content).decode("ascii")]


def _layer(view: LayerView) -> dict[str, Any]:
    return {
        "layer": view.layer,
        "explained": view.explained,
        "points": packed(view.points.T, "f4"),
        "neighbors": packed(view.neighbors, "u2" if len(view.points) < 1 << 16 else "u4"),
        "logistic": packed(view.logistic, "f8"),
    }


def _shortened(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS else text[:TEXT_CHARACTERS] + " […]"
