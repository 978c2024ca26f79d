from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest

from tests.extraction.cases import ROWS
from w2sprobe import extract
from w2sprobe.data import Rows
from w2sprobe.errors import InputError


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"model": "no/such-model-here"}, ["no/such-model-here", "minilm-l6", "local folder"]),
        ({"layers": "4"}, ["no layer 4", "0 to 3"]),
        ({"layers": "upper"}, ["'upper'", "all, mid"]),
        ({"position": "middle"}, ["'middle'", "last"]),
        ({"position": "marker:"}, ["'marker:'", "marker:TEXT"]),
        ({"position": "marker:zebra"}, ["zebra", "'r0'"]),
        ({"dtype": "float8"}, ["'float8'", "bfloat16"]),
        ({"device": "quantum"}, ["'quantum'", "cuda"]),
        ({"dataset": []}, ["no rows in the dataset"]),
        ({"dataset": Rows([], [], [])}, ["no rows in the dataset"]),
        ({"dataset": [{"id": "a"}]}, ["no column 'text'", "found 'id'"]),
        ({"dataset": [ROWS[0], {"id": "a"}]}, ["text is absent", "row 2"]),
        ({"dataset": [ROWS[0], {"id": "a", "text": "half \ud800"}]}, ["surrogate", "row 2"]),
        ({"dataset": [ROWS[0], {"id": "half \ud800", "text": "a"}]}, ["surrogate", "row 2"]),
        ({"dataset": [ROWS[0], {"id": None, "text": "a"}]}, ["id is None", "row 2"]),
        ({"dataset": [ROWS[0], {"id": 1.0, "text": "a"}]}, ["id is 1.0", "row 2", "an integer"]),
        ({"dataset": [ROWS[0], ROWS[0]]}, ["doubled ids 'r0'"]),
        ({"dataset": ["good", "bad"]}, ["a str where a row should be", "row 1"]),
        ({"dataset": None}, ["None where rows should be"]),
        ({"dataset": "task.csv"}, ["a str where rows should be"]),
        ({"dataset": pd.DataFrame({"id": []})}, ["no column 'text'"]),
        ({"dataset": pd.DataFrame({"id": [], "text": []})}, ["no rows in the dataset"]),
        ({"dataset": pd.DataFrame({"id": ["a"], "text": [None]})}, ["text is ", "row 1"]),
        ({"dataset": {"id": ["a"], "text": ["b", "c"]}}, ["different length"]),
        (
            {"dataset": datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)})},
            ["tables 'train' where one should be", "tables['train']"],
        ),
        ({"model": 3}, ["model is a int", "str or Path"]),
        ({"layers": True}, ["True", "all, mid"]),
        ({"layers": []}, ["no layer []", "all, mid"]),
        ({"layers": np.array([1.0, 2.0])}, ["1.", "all, mid"]),
        ({"dataset": [{"id": "a", "text": "  "}]}, ["empty text '  '", "row 1"]),
        ({"dataset": [{"id": "a", "text": "good " * 70}]}, ["70 tokens", "'a'", "up to 64"]),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    changes: dict, parts: list[str], llama: str, tmp_path: Path
) -> None:
    arguments = {"model": llama, "dataset": ROWS} | changes
    with pytest.raises(InputError) as caught:
        extract(path=tmp_path / "store", **arguments)
    for part in parts:
        assert part in str(caught.value)
    assert not (tmp_path / "store").exists()
