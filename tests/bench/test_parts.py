import json

import numpy as np
import pytest
from click.testing import CliRunner, Result

from w2sprobe import bench
from w2sprobe.bench.measuring import Measurement, synthetic_layer
from w2sprobe.bench.parts import objective, recall_of
from w2sprobe.cli import root
from w2sprobe.errors import W2SProbeError

FAST = ("search", "knn", "logistic", "topofilter")  # memory starts a process for each probe


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["bench", *arguments, "--rows", "200", "--width", "16"])


@pytest.mark.parametrize("part", FAST)
def test_each_probe_agrees_with_its_peers(part: str) -> None:
    done = run(part, "--json")
    assert done.exit_code == 0, done.output
    records = json.loads(done.stdout)
    assert records
    for record in records:
        assert record["part"] == part
        assert record["agrees"], record
        assert record["ours"] > 0
        assert record["ratio"] == record["ours"] / record["peer"]


def test_a_line_has_both_numbers_their_ratio_and_the_agreement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = [
        Measurement("ours | theirs", 1.0, 4.0, "recall 1.0"),
        Measurement("much | little", 300.0, 100.0, "other rows", agrees=False, unit="MB"),
    ]
    monkeypatch.setitem(bench.PARTS, "search", lambda rows, width: iter(measured))
    done = run("search")
    _, _, first, second = done.stdout.splitlines()
    assert first.split() == [
        "ours",
        "|",
        "theirs",
        *["1.00", "s", "4.00", "s", "0.25", "recall", "1.0"],
    ]
    assert second.split()[3:] == [
        "300.00",
        "MB",
        "100.00",
        "MB",
        "3.00",
        "other",
        "rows",
        "DISAGREES",
    ]
    assert isinstance(done.exception, W2SProbeError)
    assert "ours and a peer disagree" in str(done.exception)
    assert "much | little" in str(done.exception)
    assert "ours | theirs" not in str(done.exception)


def test_recall_is_the_share_of_true_neighbours() -> None:
    X, _ = synthetic_layer(60, 4)
    squared = ((X[:, None].astype(np.float64) - X[None]) ** 2).sum(axis=2)
    true = np.argsort(squared, axis=1)[:, :5]
    assert recall_of(true, X) == 1
    wrong = true.copy()
    wrong[:30, -1] = squared.argmax(axis=1)[:30]
    assert recall_of(wrong, X) == pytest.approx(1 - 30 / 300)


def test_the_objective_of_no_weights_is_that_of_a_coin() -> None:
    X, soft = synthetic_layer(40, 3)
    assert objective(X, soft, 1.0, np.zeros(3), 0.0) == pytest.approx(np.log(2))
    assert objective(X, soft, 2.0, np.ones(3) * 1e-9, 0.0) == pytest.approx(np.log(2))
