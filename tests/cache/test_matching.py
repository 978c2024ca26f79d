from pathlib import Path

import pytest

from tests.cache.cases import IDS, complete, contents, writer
from w2sprobe.errors import InputError, StoreMismatch


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (
            {"identity": {"model": {"weights": "xyz"}, "position": "last"}},
            ["identity.model.weights", "'abc'", "'xyz'"],
        ),
        ({"ids": [*IDS[:-1], "other"]}, ["ids"]),
        ({"hidden_size": 7}, ["hidden_size", "6", "7"]),
        ({"dtype": "float16"}, ["dtype", "float32", "float16"]),
        ({"ragged": True}, ["ragged"]),
    ],
)
def test_another_store_in_the_folder_is_listed_by_its_differences(
    changes: dict, parts: list[str], tmp_path: Path
) -> None:
    complete(tmp_path / "s")
    before = contents(tmp_path / "s")
    with pytest.raises(StoreMismatch) as caught:
        writer(tmp_path / "s", **changes)
    for part in parts:
        assert part in str(caught.value)
    assert contents(tmp_path / "s") == before


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        writer(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
