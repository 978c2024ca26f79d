"""`w2sprobe explore` on a small store: with a task, with labels alone, with labels it exported."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.probing.cases import IDS, SOFT, TRAIN, TRUTH, labels, store_in
from w2sprobe.cli import root
from w2sprobe.data import Rows, Splits
from w2sprobe.errors import InputError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    store_in(tmp_path / "store")
    labels().write("labels.parquet")
    names = [f"w{n}" for n in range(4)]
    texts = [f"text of {name}" for name in IDS.tolist()]
    every = Rows(IDS, texts, TRUTH, name="reviews")
    weak = Rows(np.array(names), names, np.arange(4) % 2, name="reviews")
    parts = {"strong_train": range(TRAIN), "val": range(TRAIN, 60), "test": range(60, len(IDS))}
    chosen = {name: every.select(np.array(rows)) for name, rows in parts.items()}
    Splits(weak_train=weak, **chosen).write("splits.parquet")
    return tmp_path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(root, ["explore", "store", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def told(path: Path) -> dict:
    (content,) = re.findall(
        r'id="explorer-data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL
    )
    found: dict = json.loads(content)
    return found


def test_a_task_and_its_test_rows(place: Path) -> None:
    said = json.loads(
        run(
            "--labels",
            "labels.parquet",
            "--task",
            "splits.parquet",
            "--split",
            "test",
            "--layers",
            "mid,5",
            "--ks",
            "1,4",
            "--json",
        )
    )
    assert said["out"] == "store-explorer.html"
    assert said["rows"] == {"strong_train": TRAIN, "test": 30}
    assert (said["layers"], said["ks"], said["projection"]) == ([2, 5], [1, 4], "pca")
    assert set(said["auc"]) == {"strong_train", "test"}
    path = place / "store-explorer.html"
    assert said["bytes"] == path.stat().st_size
    page = told(path)
    assert page["texts"][0] == "text of row-0"
    assert page["other"]["ids"] == IDS[TRAIN:60].tolist()  # validation rows, for an export
    assert "on reviews</title>" in path.read_text(encoding="utf-8")


def test_labels_alone(place: Path) -> None:
    truth = pa.table({"id": IDS[:TRAIN], "soft_label": SOFT[:TRAIN], "truth": TRUTH[:TRAIN]})
    pq.write_table(truth, "known.parquet")
    shown = run("--labels", "known.parquet", "--out", "pages/one.html")
    assert re.search(r"AUC against truth, labelled; weak labels 0\.\d{3}", shown)
    assert "rows: 50 labelled\nwritten: pages/one.html" in shown
    page = told(place / "pages/one.html")
    assert page["texts"] == page["ids"] == IDS[:TRAIN].tolist()
    assert not page["texts_known"]


def test_labels_as_csv(place: Path) -> None:
    lines = [f"{name},{float(p)!r},true" for name, p in zip(IDS, SOFT, strict=True)]
    Path("edited.csv").write_text("\n".join(["id,soft_label,keep", *lines]))
    options = ("--task", "splits.parquet", "--json")
    of_csv, of_parquet = (
        json.loads(run("--labels", name, *options)) for name in ("edited.csv", "labels.parquet")
    )
    assert of_csv == of_parquet


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--split", "test"), "--split without --task"),
        (("--ks", "1,x"), "--ks is '1,x'"),
        (("--layers", "1"), "no layer 1"),
        (("--out", "."), "cannot write '.'"),
    ],
)
def test_mistakes_are_named(place: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        run("--labels", "labels.parquet", *arguments)
    assert message in str(caught.value)
    assert not (place / "store-explorer.html").exists()
