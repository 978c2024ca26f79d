import math
from pathlib import Path

import pytest

from w2sprobe.comparison import read_indicators
from w2sprobe.errors import InputError


def table(folder: Path, text: str) -> Path:
    path = folder / "indicators.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_each_column_is_an_indicator(tmp_path: Path) -> None:
    text = "task,weak_model,strong_model,seed,cka,misfit_kl\na,w,s,0,.5,inf\na,w,s,1,,2e-3\n"
    first, second = read_indicators(table(tmp_path, text))
    assert (first.task, first.pair, first.seed) == ("a", ("w", "s"), "0")
    assert first.values == {"cka": 0.5, "misfit_kl": math.inf}
    assert math.isnan(second.values["cka"])
    assert second.values["misfit_kl"] == 0.002


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("weak_model,cka\nw,1\n", ["columns are weak_model, cka", "task"]),
        ("task,seed\na,1\n", ["columns are task, seed", "one per indicator"]),
        ("", ["columns are none"]),
        ("task,cka\na,much\n", ["'much'", "data row 1 (line 2), column cka", "a number"]),
        ("task,cka\n,1\n", ["empty cell", "column task"]),
        ("task,cka\na,1\na,2\n", ["task 'a'", "occur twice", "data row 1", "data row 2"]),
        ("task,cka\na\n", ["number of cells"]),
    ],
)
def test_a_table_that_cannot_be_used(text: str, parts: list[str], tmp_path: Path) -> None:
    path = table(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_indicators(path)
    for part in (*parts, str(path)):
        assert part in str(error.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read indicators"):
        read_indicators(tmp_path / "none.csv")
