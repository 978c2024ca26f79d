from pathlib import Path

from tests.bench.device.cases import part, session
from w2sprobe.bench.device import Part, markdown
from w2sprobe.bench.device.row import Row


def test_a_row_stands_beside_the_product_of_its_type_and_the_peak(tmp_path: Path) -> None:
    one = session(tmp_path)
    limit = [Row("product", 1.0, flops=5e14, dtype="bfloat16"), Row("f32", 1.0, flops=4e13)]
    train = [Row("train", 2.0, 3000, "tokens", 5e14, "bfloat16", "loss | fell", agrees=False)]
    one.run(
        [
            Part("limit", 1, lambda _: iter(limit)),
            Part("train", 1, lambda _: iter(train)),
            part("logistic"),
            part("large", 1000),
        ],
        budget=100,
    )
    one.record["device"] |= {"name": "H100", "peak_tflops": {"bfloat16": 1000.0}}
    facts, _, _, _, *rows, _, missing = markdown(one.record).splitlines()
    assert facts.startswith("H100, beside ")
    assert "tiny sizes" in facts
    assert "torch " in facts
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert cells[0][:6] == ["product", "1", "", "500", "100 %", "50 %"]
    assert cells[1][4:6] == ["100 %", ""]
    assert cells[2][:6] == ["train", "2", "1,500 tokens", "250", "50 %", "25 %"]
    assert cells[2][7] == "loss / fell **DISAGREES**"
    assert cells[3][2:6] == ["", "", "", ""]
    assert missing == "- large: skipped, expected to take 1000 s, 100 s were left"


def test_nothing_measured_is_an_empty_table(tmp_path: Path) -> None:
    assert "measured" in markdown(session(tmp_path).record)
