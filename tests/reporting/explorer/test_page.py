import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.explorer.cases import HOSTILE, KS, explored
from tests.probing.cases import IDS, SOFT, TRAIN, TRUTH, rows
from w2sprobe.reporting.explorer import explorer_page
from w2sprobe.reporting.explorer.page import TEXT_CHARACTERS, packed, payload


def unpacked(pair: list[str]) -> np.ndarray:
    kind, text = pair
    return np.frombuffer(base64.b64decode(text), np.dtype(kind).newbyteorder("<"))


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f4", "f8"])
def test_numbers_come_out_as_they_went_in(kind: str) -> None:
    values = np.array([[0, 1, 200], [3, 4, 5]])
    assert unpacked(packed(values, kind)).tolist() == values.ravel().tolist()


def test_the_page_holds_what_was_explored(tmp_path: Path) -> None:
    data = explored(tmp_path / "s")
    told = json.loads(json.dumps(payload(data)))
    assert told["ids"] == IDS.tolist()
    np.testing.assert_array_equal(unpacked(told["weak"]), SOFT)
    np.testing.assert_array_equal(unpacked(told["truth"]), TRUTH)
    assert unpacked(told["split"]).tolist() == [0] * TRAIN + [1] * (len(IDS) - TRAIN)
    view = told["layers"][2]
    near = unpacked(view["neighbors"]).reshape(len(IDS), KS[-1])
    np.testing.assert_array_equal(near, data.layers[2].neighbors)
    np.testing.assert_array_equal(unpacked(view["points"]).reshape(2, -1).T, data.layers[2].points)
    np.testing.assert_array_equal(unpacked(view["logistic"]), data.layers[2].logistic)
    assert told["other"]["ids"] == []


def test_labels_of_rows_that_are_not_shown_are_kept_for_exports(tmp_path: Path) -> None:
    told = payload(explored(tmp_path / "s", splits=[], rows=rows(truth=None)))
    assert told["other"]["ids"] == IDS[TRAIN:].tolist()
    np.testing.assert_array_equal(unpacked(told["other"]["weak"]), SOFT[TRAIN:])
    assert told["truth"] is None


def test_long_texts_are_cut(tmp_path: Path) -> None:
    data = explored(tmp_path / "s")
    assert data.texts is not None
    data.texts[0] = "x" * (TEXT_CHARACTERS + 1)
    data.texts[1] = "y" * TEXT_CHARACTERS
    first, second, *_ = payload(data)["texts"]
    assert first == "x" * TEXT_CHARACTERS + " […]"
    assert second == data.texts[1]


def test_texts_stay_inside_their_element(tmp_path: Path) -> None:
    html = explorer_page(explored(tmp_path / "s"), HOSTILE).render()
    assert HOSTILE not in html
    (content,) = re.findall(
        r'<script type="application/json" id="explorer-data">(.*?)</script>', html, re.DOTALL
    )
    assert json.loads(content)["texts"][3] == HOSTILE
    assert "'unsafe-eval'" in html.split("script-src", 1)[1].split(";", 1)[0]
    assert "'unsafe-inline'" not in html.split("script-src", 1)[1].split(";", 1)[0]
