"""`w2sprobe store`: stores of a few rows, and one that was extracted."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.cache.cases import IDS, LAYERS, complete, contents, values, write, writer
from tests.cache.foreign import assert_same, by_datasets
from tests.cli.cases import STORE, invoke, run
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError, OutputError, StoreMismatch


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A complete store in the default cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("W2SPROBE_CACHE", raising=False)
    complete(tmp_path / "cache/stores/small")
    return "cache/stores/small"


def test_stores_of_the_cache_are_listed(store: str) -> None:
    assert "1 store," in run("store", "ls")
    (record,) = json.loads(run("store", "ls", "--json"))
    assert (record["path"], record["layers"], record["n_rows"]) == (
        *(str(Path(store)), list(LAYERS)),
        len(IDS),
    )
    Path(store, "manifest.json").write_text("no JSON")
    done = invoke("store", "ls")
    assert done.exit_code == 0
    assert "manifest" in done.stderr, "a damaged store is listed with what is wrong"


def test_info_shows_the_manifest(store: str) -> None:
    shown = run("store", "info", store)
    assert "layers: 0, 3" in shown
    assert '"weights": "abc"' in shown
    record = json.loads(run("store", "info", store, "--json"))
    assert record["manifest"]["identity"]["position"] == "last"


def test_verify_counts_rows_that_are_not_extracted_yet(store: str) -> None:
    assert run("store", "verify", store).strip() == f"{store}: sound"
    write(writer(Path("unfinished")), values("float32"), shards=1)
    assert "sound, but 6 rows are not extracted yet" in run("store", "verify", "unfinished")


def test_a_damaged_value_fails_verify(store: str) -> None:
    shard = Path(store, "shards/00000.h5")
    shard.write_bytes(shard.read_bytes()[:-1])
    done = invoke("store", "verify", store, "--json")
    assert done.exit_code == 1
    assert "shard 0" in json.loads(done.stdout)["problems"][0]


def test_a_store_is_copied_out_and_back(store: str) -> None:
    assert "files sent to" in run("store", "push", store, "elsewhere/copy")
    assert run("store", "pull", "elsewhere/copy", "back").strip() == "back: 10 rows, layers 0, 3"
    original, copy = ActivationStore.open(store), ActivationStore.open("back")
    for layer in LAYERS:
        np.testing.assert_array_equal(copy.read(layer), original.read(layer))
    record = json.loads(run("store", "pull", store, "one-layer", "--layers", "3", "--json"))
    assert record == {"store": "one-layer", "rows": 10, "layers": [3]}


def test_a_store_with_other_shards_is_not_overwritten(store: str) -> None:
    other = writer(Path("other"), rows_per_shard=3)
    write(other, values("float32"))
    other.finish({})
    done = invoke("store", "push", store, "other")
    assert isinstance(done.exception, OutputError)
    assert str(done.exception).startswith("rows per shard: the target has 3, the source 4 in other")
    assert "sound" in run("store", "verify", "other")


def test_a_pushed_store_has_a_card_if_asked_for(store: str, tmp_path: Path) -> None:
    run("store", "push", store, "plain")
    assert not Path("plain/README.md").exists()
    run("store", "push", store, "copy", "--card", "--license", "mit")
    assert_same(by_datasets("copy", 3, tmp_path), ActivationStore.open(store), 3)
    assert "license: mit" in Path("copy/README.md").read_text()
    assert "sound" in run("store", "verify", "copy")


def test_layers_are_exported(store: str, tmp_path: Path) -> None:
    shown = run("store", "export", store, "shared/acts", "--layers", "3", "--license", "mit")
    assert shown.strip() == "shared/acts: 10 rows, layers 3, float32"
    assert_same(by_datasets("shared/acts", 3, tmp_path), ActivationStore.open(store), 3)
    assert "license: mit" in Path("shared/acts/README.md").read_text()
    again = invoke("store", "export", store, "shared/acts")
    assert isinstance(again.exception, OutputError)
    shown = run("store", "export", store, "half", "--dtype", "float16", "--format", "npy")
    assert np.load("half/layer_0.npy").dtype == np.float16
    assert "rounding changes a vector by at most " in shown
    url = f"file://{tmp_path / store}"
    record = json.loads(run("store", "export", url, "whole", "--json"))
    assert (record["path"], record["layers"], record["largest_change"]) == ("whole", [0, 3], 0.0)


def test_labels_and_texts_of_the_task_are_exported(inputs: Path) -> None:
    run("extract", *STORE, "--layers", "1")
    run("store", "export", "shared/store", "out", "--task", "task.csv")
    table = pd.read_parquet("out/layer_1")
    rows = pd.read_csv("task.csv", dtype={"id": str}).set_index("id").loc[table["id"]]
    assert table["label"].tolist() == rows["label"].tolist()
    assert table["text"].tolist() == rows["text"].tolist()
    assert set(table["split"]) == {"strong_train", "val", "test"}
    texts = Path("task.csv").read_text()
    Path("task.csv").write_text(texts.replace(rows["text"].iloc[0], "another text"))
    done = invoke("store", "export", "shared/store", "no", "--task", "task.csv")
    assert isinstance(done.exception, StoreMismatch)
    assert not Path("no").exists()


def test_tensors_of_other_code_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("saved").mkdir()
    tensor = torch.arange(24, dtype=torch.float32).reshape(4, 2, 3)
    torch.save(tensor, "saved/train.pt")  # noqa: TID251
    Path("ids.txt").write_text("a\nb\nc\nd\n")
    options = ("--ids", "ids.txt", "--first-layer", "1")
    shown = run("store", "import", "saved", "store", *options)
    assert shown.strip() == "store: 4 rows, layers 1, 2, float32"
    imported = ActivationStore.open("store")
    assert imported.ids.tolist() == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(imported.read(2), tensor[:, 1].numpy())
    Path("ids.txt").write_text("a\n")
    done = invoke("store", "import", "saved", "other", *options)
    assert isinstance(done.exception, InputError)
    assert "1 ids for 4 rows" in str(done.exception)


def test_gc_deletes_only_when_told_to(store: str) -> None:
    kept = contents(Path(store))
    complete(Path("cache/stores/old"))
    os.utime("cache/stores/old/manifest.json", (0, 0))
    assert "0 stores and 0 files" in run("store", "gc"), "only --unused-days selects stores"
    shown = run("store", "gc", "--unused-days", "30")
    assert "cache/stores/old" in shown
    assert "would be deleted (by --yes)" in shown
    assert Path("cache/stores/old").is_dir()
    record = json.loads(run("store", "gc", "--unused-days", "30", "--yes", "--json"))
    assert (record["stores"], record["deleted"]) == (["cache/stores/old"], True)
    assert not Path("cache/stores/old").exists()
    assert contents(Path(store)) == kept


def test_repair_writes_the_joint_file_again(inputs: Path) -> None:
    run("extract", *STORE, "--layers", "1")
    whole = Path("shared/store/activations.h5")
    sound = whole.read_bytes()
    whole.write_bytes(sound[:-1])
    assert "repaired" in run("store", "repair", "shared/store", "--task", "task.csv")
    assert whole.read_bytes() == sound


def test_verify_names_a_lost_shard(inputs: Path) -> None:
    run("extract", *STORE, "--layers", "1")
    shutil.rmtree("shared/store/shards")
    done = invoke("store", "verify", "shared/store")
    assert done.exit_code == 1
    assert "no shard 0" in done.stdout
