"""The commands one by one on a local file, each reading the files of the one before.

They are forked from a process that has everything loaded, as starting Python takes longer than most
of them; `run`, in test_smoke.py, is started as a user does.
"""

import csv
import os
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.conftest import Workplace
from w2sprobe.cache import ActivationStore
from w2sprobe.data import SplitSizes, load_task, make_splits
from w2sprobe.labels import LabelTable

SIZES = ("--task", "reviews.csv", "--sizes", "40,40,20,40")


@pytest.fixture(scope="module")
def place(fetched: None, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    work = Workplace(tmp_path_factory.mktemp("commands"))
    some = make_splits(
        load_task("bigbench:multiemo/all_sentence_en").rows, SplitSizes(150, 2, 2, 2), seed=5
    ).weak_train
    with (work.folder / "reviews.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows(zip(some.texts, some.labels.tolist(), strict=True))
    return work


@pytest.fixture(scope="module")
def weak(place: Workplace) -> dict:
    return place.json(
        "train", "--model", "minilm-l6", *SIZES, "--split", "weak_train", "--epochs", "8",
        "--batch-size", "8", "--learning-rate", "2e-3", "--out", "weak",
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(place: Workplace, weak: dict) -> dict:
    return place.json(
        "extract", "--model", "smollm2-135m", *SIZES, "--layers", "15,30", "--store", "store"
    )


def test_train_predicts_every_other_row(place: Workplace, weak: dict) -> None:
    assert weak["rows_kept"] == 40
    assert set(weak["auc"]) == {"strong_train", "val", "test"}
    assert len(LabelTable.read(place.folder / "weak/labels.parquet")) == 100


def test_extract_makes_a_store_and_opens_it_again(place: Workplace, store: dict) -> None:
    assert (store["rows"], store["layers"], store["hidden_size"]) == (100, [15, 30], 576)
    opened = ActivationStore.open(place.folder / "store")
    assert (len(opened), opened.layers, opened.dtype) == (100, (15, 30), "float32")
    before = place.files()
    assert place.json(
        "extract", "--model", "smollm2-135m", *SIZES, "--layers", "15", "--store", "store"
    )["layers"] == [15]
    after = place.files()
    # the manifest's time says when the store was last used
    assert after.pop("store/manifest.json") > before.pop("store/manifest.json")
    assert after == before


def test_a_dry_run_measures_and_writes_nothing(place: Workplace, store: dict) -> None:
    before = place.files()
    plan = place.json(
        "extract", "--model", "smollm2-135m", *SIZES, "--layers", "0:16", "--position", "mean",
        "--store", "planned", "--dry-run",
    )  # fmt: skip
    assert plan["bytes"] == 100 * 16 * 576 * 4
    assert min(plan[name] for name in ("seconds", "rows_per_second", "memory_bytes")) > 0
    assert place.files() == before


def test_stores_are_listed_checked_and_mended(place: Workplace, store: dict) -> None:
    task = ("--task", "reviews.csv", "--sizes", "40,40,20,40")
    (listed,) = place.json("store", "ls", ".")
    assert (listed["model"], listed["n_rows"], listed["layers"]) == ("smollm2-135m", 100, [15, 30])
    assert place.json("store", "info", "store")["manifest"]["address"] == listed["address"]
    shown = place.run("store", "ls", ".").stdout
    assert "smollm2-135m" in shown
    assert place.run("store", "info", "store").returncode == 0
    assert place.json("store", "verify", "store")["problems"] == []
    shard = place.folder / "store/shards/00000.h5"
    sound = shard.read_bytes()
    shard.write_bytes(sound[:-9] + b"x" + sound[-8:])
    done = place.run("store", "verify", "store")
    assert (done.returncode, "shard 0" in done.stdout) == (1, True)
    other = place.run("store", "repair", "store", "--task", "reviews.csv", "--sizes", "40,30,20,40")
    assert (other.returncode, "stored" in other.stderr) == (2, True)
    assert len(place.json("store", "repair", "store", *task)["repaired"]) == 1
    assert shard.read_bytes() == sound
    assert place.json("store", "repair", "store", *task)["repaired"] == []


def test_unused_stores_go_when_asked(place: Workplace, store: dict) -> None:
    place.json(
        "extract", "--model", "smollm2-135m", *SIZES, "--layers", "0", "--store", "old/store"
    )
    os.utime(place.folder / "old/store/manifest.json", (0, 0))
    kept = place.json("store", "gc", "old", "--unused-days", "30")
    assert (kept["stores"], kept["deleted"]) == (["old/store"], False)
    assert (place.folder / "old/store").exists()
    assert place.json("store", "gc", "old", "--yes")["stores"] == []
    assert place.json("store", "gc", "old", "--unused-days", "30", "--yes")["deleted"]
    assert not (place.folder / "old/store").exists()


def test_a_terminated_extraction_says_how_to_go_on(place: Workplace, store: dict) -> None:
    command = ("extract", "--model", "smollm2-135m", *SIZES, "--store", "stopped")
    process = subprocess.Popen(
        [sys.executable, "-m", "w2sprobe", *command],
        cwd=place.folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (place.folder / "stopped/manifest.json").exists():
        time.sleep(0.05)
    process.terminate()
    _, said = process.communicate()
    assert (process.returncode, "run the same command again" in said) == (143, True)
    assert len(place.json(*command)["layers"]) == 31


GIVEN = ("--store", "store", "--labels", "weak/labels.parquet", "--layers", "15")


def test_probe_predicts_relabels_and_filters(place: Workplace, store: dict) -> None:
    given = (*GIVEN, *SIZES)
    predicted = place.json("probe", "logistic", *given, "--out", "p.parquet")
    (result,) = predicted["results"]
    assert (result["layer"], result["l2"]) == (15, 0.01)
    assert set(result["auc"]) == {"strong_train", "val", "test"}
    assert all(0 <= score <= 1 for part in result["auc"].values() for score in part.values())
    assert len(LabelTable.read(place.folder / "p.parquet")) == 100
    relabelled = place.json("probe", "knn", "relabel", *given, "--k", "5", "--out", "r.parquet")
    assert [search["recall"] for search in relabelled["search"]] == [1]
    again = place.json("probe", "knn", "relabel", *given, "--k", "3", "--out", "again.parquet")
    assert again["search"] == [{"backend": "stored", "recall": 1.0}]
    table = pq.read_table(place.folder / "r.parquet").to_pylist()
    assert [len(row["neighbor_ids"] or ()) for row in table] == [5] * 40 + [0] * 60
    assert {row["reason"] for row in table[40:]} == {"not curated"}
    filtered = place.json("probe", "topofilter", *given, "--k", "5", "--out", "f.parquet")
    kept = LabelTable.read(place.folder / "f.parquet")
    assert (~kept.keep).sum() == filtered["results"][0]["removed"] >= 4
    assert len(kept) == 100


def test_a_grid_is_the_loop_of_its_settings(place: Workplace, store: dict) -> None:
    layers = ("--layers", "15,30")
    grid = place.json(
        "probe", "knn", *GIVEN[:4], *layers, *SIZES, "--ks", "9,3", "--out", "g.parquet"
    )
    assert [(r["layer"], r["k"]) for r in grid["results"]] == [(15, 9), (15, 3), (30, 9), (30, 3)]
    one = place.json(
        "probe", "knn", *GIVEN[:4], "--layers", "30", *SIZES, "--ks", "3", "--out", "o.parquet"
    )
    assert one["results"] == grid["results"][3:]
    rows = pq.read_table(place.folder / "g.parquet").to_pylist()
    some = [row for row in rows if (row["layer"], row["value"]) == (30, 3)]
    assert some == pq.read_table(place.folder / "o.parquet").to_pylist()
    # many settings of one row are no labels to train on
    done = place.run(
        "train", "--model", "minilm-l6", *SIZES, "--labels", "g.parquet", "--out", "no"
    )
    assert (done.returncode, "doubled ids" in done.stderr) == (2, True)
    filters = place.json(
        "probe", "topofilter", *GIVEN, *SIZES, "--ks", "3,5", "--per-class", "--out", "t.parquet"
    )
    first, second = (result["overlap"] for result in filters["results"])
    assert 0 <= first["1"] == second["0"] <= 1


SWEEP = (
    "sweep",
    "store",
    "--labels",
    "weak/labels.parquet",
    "--ks",
    "3:9:6",
    "--l2s",
    "0.01:1:log2",
)


def test_a_sweep_has_the_numbers_of_probe_and_goes_on(place: Workplace, store: dict) -> None:
    swept = place.json(*SWEEP, *SIZES, "--layers", "15", "--out", "sweep")
    assert (swept["layers"], swept["layers_computed"]) == ([15], 1)
    assert swept["n_rows"] == {
        "fitted": 40, "filtered_out": 0, "true_labels": 0, "val": 20, "test": 40,
    }  # fmt: skip
    rows = pq.read_table(place.folder / "sweep/sweep.parquet").to_pylist()
    for name, settings in (("knn", ("--ks", "3,9")), ("logistic", ("--l2s", "0.01,1"))):
        probed = place.json(
            "probe", name, *GIVEN, *SIZES, *settings, "--cv", "5", "--out", "same.parquet"
        )
        assert probed["held_out"] == "folds"
        for result in probed["results"]:
            for split, evaluation in (("strong_train", "cross_fit"), ("test", "test")):
                (row,) = (
                    row
                    for row in rows
                    if (row["probe"], row["value"], row["evaluation"])
                    == (name, result.get("k", result.get("l2")), evaluation)
                )
                assert row["auc_truth"] == pytest.approx(result["auc"][split]["truth"], abs=0.01)
    shown = place.run(*SWEEP, *SIZES, "--out", "sweep", "--figure", "sweep.png")
    assert shown.returncode == 0, shown.stderr
    assert "(1 layers computed)" in shown.stdout
    assert "weak log loss" in shown.stdout
    assert (place.folder / "sweep.png").read_bytes().startswith(b"\x89PNG")
    other = place.run(*SWEEP, *SIZES, "--cv", "4", "--out", "sweep")
    assert (other.returncode, "other 'cv'" in other.stderr) == (2, True)


def test_a_sweep_may_use_truth_where_it_is_told_to(place: Workplace, store: dict) -> None:
    swept = place.json(
        *SWEEP, *SIZES, "--layers", "15", "--in-sample", "--ceiling", "--true-labels", "10",
        "--out", "published",
    )  # fmt: skip
    rules = {(one["rule"], one["n_true_labels"]) for one in swept["selections"]}
    assert rules == {("weak_auc", 0), ("weak_log_loss", 0), ("true_labels", 10)}
    assert {(one["probe"], one["evaluation"]) for one in swept["ceiling"]} == {
        (probe, rows) for probe in ("knn", "logistic") for rows in ("cross_fit", "test")
    }
    rows = pq.read_table(place.folder / "published/sweep.parquet").to_pylist()
    assert {row["evaluation"] for row in rows} == {
        "cross_fit", "budget", "in_sample", "val", "test",
    }  # fmt: skip


def test_without_a_task_the_label_file_says_which_rows_and_their_truth(
    place: Workplace, store: dict
) -> None:
    table = pq.read_table(place.folder / "weak/labels.parquet").slice(0, 60)
    truth = pa.array([row % 2 for row in range(60)])
    pq.write_table(table.append_column("truth", truth), place.folder / "own.parquet")
    own = ("--store", "store", "--labels", "own.parquet", "--layers", "15")
    found = place.json("probe", "mass-mean", *own, "--whiten", "--out", "m.parquet")
    assert set(found["results"][0]["auc"]["labelled"]) == {"labels", "truth"}
    rows = pq.read_table(place.folder / "m.parquet").to_pylist()
    assert [row["old_label"] is None for row in rows] == [False] * 60 + [True] * 40
    assert [row["fold"] is None for row in rows] == [False] * 60 + [True] * 40
    shown = place.run("probe", "logistic", "filter", *own, "--rule", "confident-learning",
        "--contamination", "auto", "--out", "c.parquet")  # fmt: skip
    assert (shown.returncode, "noise before" in shown.stdout) == (0, True)


def test_a_student_learns_from_the_filtered_labels(place: Workplace, store: dict) -> None:
    place.json(
        "probe", "knn", "filter", "--store", "store", "--labels", "weak/labels.parquet", *SIZES,
        "--layers", "15", "--k", "5", "--contamination", "0.25", "--out", "s.parquet",
    )  # fmt: skip
    student = place.json(
        "train", "--model", "smollm2-135m", *SIZES, "--labels", "s.parquet", "--epochs", "1",
        "--loss", "logconf", "--out", "student",
    )  # fmt: skip
    assert student["rows_kept"] == 30
    again = place.run(
        "train", "--model", "smollm2-135m", *SIZES, "--labels", "s.parquet", "--out", "student"
    )
    assert again.returncode == 2
    assert "not empty" in again.stderr
