from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.comparison.cases import scores
from w2sprobe.comparison import check_differences_file, compare, write_differences
from w2sprobe.errors import InputError


@pytest.mark.parametrize("name", ["differences.csv", "differences.parquet"])
def test_a_row_holds_scores_and_differences_of_a_task(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_differences([compare(scores({"student": [0.7, 0.8], "x": [0.8, 0.75]}))], path)
    table = pyarrow.csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
    first, second = table.to_pylist()
    assert (first["task"], first["method"], first["against"]) == ("t0", "x", "student")
    assert (first["auc"], first["weak_auc"], first["n_seeds"]) == (0.8, 0.6, 1)
    assert first["auc_difference"] == pytest.approx(0.1)
    assert second["pgr_difference"] == pytest.approx(-0.05 / 0.3)
    assert second["own_pgr"] is None  # unknown: an empty cell
    assert second["delta_auc_se"] is None


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no differences to write"):
        write_differences([compare(scores({"student": [0.7, 0.8]}))], tmp_path / "out.csv")
    with pytest.raises(InputError, match="no differences to write"):
        write_differences([], tmp_path / "out.csv")
    with pytest.raises(InputError, match=r"a file that ends in \.csv or \.parquet"):
        check_differences_file(tmp_path / "out.json")
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        write_differences([compare(scores({"student": [0.7], "x": [0.8]}))], tmp_path / "d.json")
    assert not list(tmp_path.iterdir())
