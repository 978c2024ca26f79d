"""The smoke preset through the command line, on real models and real text."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.integration.conftest import Workplace
from w2sprobe.audit import Audit
from w2sprobe.cache import ActivationStore
from w2sprobe.data import Splits, load_task, make_splits
from w2sprobe.experiments.config import TaskConfig, load_config
from w2sprobe.experiments.plan import make_plan
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import pgr, roc_auc

CONFIG = load_config("smoke")


@pytest.fixture(scope="module")
def results(smoke: Workplace) -> dict:
    return json.loads((smoke.folder / "results/smoke/results.json").read_text())


@pytest.fixture(scope="module")
def splits():
    return make_splits(load_task(CONFIG.task.name).rows, CONFIG.task.sizes, seed=CONFIG.task.seed)


def folder(smoke: Workplace, results: dict, title: str) -> Path:
    address = results["stages"][title]["address"]
    return next((smoke.folder / "cache/stages").glob(f"*-{address}"))


def test_every_method_is_in_the_table(smoke: Workplace, results: dict) -> None:
    own = ["knn_probe_on_truth", "logistic_probe_on_truth"]  # own ceilings, run by themselves
    assert [row["method"] for row in results["rows"]] == [*CONFIG.methods, *own]
    printed = (smoke.folder / "stdout.txt").read_text()
    for name in (*CONFIG.methods, "AUC", "ΔAUC", "PGR", "rows kept", "seconds"):
        assert name in printed
    assert (smoke.folder / "results/smoke/results.png").read_bytes().startswith(b"\x89PNG")


def test_the_task_was_audited(smoke: Workplace, results: dict, splits) -> None:
    written = Audit.read(smoke.folder / "results/smoke/audit.json")
    assert written.task == CONFIG.task.name
    assert [part.rows_0 + part.rows_1 for part in written.balance] == [64, 64, 32, 64]
    contexts = {overflow.model: overflow.context for overflow in written.overflows}
    assert contexts == {"the weak model": 512, "the strong model": 8192}
    assert results["audit"] == [finding.model_dump() for finding in written.findings]
    assert results["fingerprint"] == load_task(CONFIG.task.name).fingerprint
    kept = Splits.read(smoke.folder / "results/smoke/splits.parquet")
    assert kept.about["fingerprint"] == results["fingerprint"]
    assert all(kept[name].ids.tolist() == rows.ids.tolist() for name, rows in splits.items())


def test_splits_are_disjoint_balanced_and_as_large_as_asked(results: dict, splits) -> None:
    assert results["splits"] == {"weak_train": 64, "strong_train": 64, "val": 32, "test": 64}
    ids = np.concatenate([rows.ids for _, rows in splits.items()])
    texts = [text for _, rows in splits.items() for text in rows.texts]
    assert len(set(ids.tolist())) == len(set(texts)) == len(ids)
    for _, rows in splits.items():
        assert rows.labels.mean() == 0.5


def test_files_hold_the_rows_they_should(smoke: Workplace, results: dict, splits) -> None:
    def ids(title: str) -> set[str]:
        return set(LabelTable.read(folder(smoke, results, title) / "labels.parquet").ids.tolist())

    strong, val, test = (set(splits[name].ids.tolist()) for name in ("strong_train", "val", "test"))
    assert ids("weak model on truth") == strong | val | test
    assert ids("strong ceiling on truth") == test
    assert ids("logistic_relabel labels") == strong | val
    (place,) = (smoke.folder / "cache/stores").iterdir()
    store = ActivationStore.open(place)
    assert set(store.ids.tolist()) == strong | val | test
    assert store.layers == tuple(range(31))
    assert store.read(15).shape == (160, 576)
    assert store.verify() == []


def test_curated_labels_change_only_what_they_should(
    smoke: Workplace, results: dict, splits
) -> None:
    def table(title: str) -> LabelTable:
        return LabelTable.read(folder(smoke, results, title) / "labels.parquet")

    weak = table("weak model on truth")
    relabelled, filtered = table("logistic_relabel labels"), table("topofilter labels")
    for curated in (relabelled, filtered):
        np.testing.assert_array_equal(
            curated.align(splits.val.ids).soft_label, weak.align(splits.val.ids).soft_label
        )
        assert curated.align(splits.val.ids).keep.all()
    train = splits.strong_train.ids
    assert (relabelled.align(train).soft_label != weak.align(train).soft_label).any()
    np.testing.assert_array_equal(filtered.align(train).soft_label, weak.align(train).soft_label)
    kept = {row["method"]: row["rows_kept"] for row in results["rows"]}
    assert kept["topofilter"] == kept["random_filter"] == filtered.align(train).keep.sum() < 64


def test_numbers_follow_from_the_predictions(smoke: Workplace, results: dict, splits) -> None:
    rows = {row["method"]: row for row in results["rows"]}
    titles = {"weak": "weak model on truth", "ceiling": "strong ceiling on truth"}
    for name, title in {**titles, "student": "strong student"}.items():
        table = LabelTable.read(folder(smoke, results, title) / "labels.parquet")
        auc = roc_auc(splits.test.labels, table.align(splits.test.ids).soft_label)
        assert rows[name]["auc"] == pytest.approx(auc, abs=1e-12)
    weak, ceiling = rows["weak"]["auc"], rows["ceiling"]["auc"]
    for row in rows.values():
        assert row["delta_auc"] == pytest.approx(row["auc"] - weak, abs=1e-12)
        assert row["pgr"] == pytest.approx(pgr(weak, row["auc"], ceiling), abs=1e-9)
    assert (rows["weak"]["pgr"], rows["ceiling"]["pgr"]) == (0, 1)


def test_a_second_run_recomputes_nothing(smoke: Workplace) -> None:
    before = smoke.files()
    done = smoke.run("run", "--preset", "smoke")
    assert done.returncode == 0, done.stderr
    assert "16 of 16 stages done before" in done.stderr
    assert done.stdout == (smoke.folder / "stdout.txt").read_text()
    after = smoke.files()
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed == {
        f"results/smoke/{name}"
        for name in (
            *("audit.json", "config.yaml", "predictions.parquet"),
            *("results.json", "results.png", "splits.parquet", "sweep.json", "sweep.parquet"),
            *("training.parquet", "training_labels.parquet"),
        )
    }


def test_a_dry_run_shows_stages_and_disk(smoke: Workplace) -> None:
    plan = smoke.json("run", "--preset", "smoke", "--dry-run")
    assert all(stage["done"] for stage in plan["stages"])
    store = next((smoke.folder / "cache/stores").iterdir())
    on_disk = sum(path.stat().st_size for path in store.rglob("*.h5"))
    assert plan["store_bytes"] == pytest.approx(on_disk, rel=0.05)


def test_the_adapter_is_an_ordinary_peft_folder(smoke: Workplace, results: dict) -> None:
    adapter = folder(smoke, results, "strong student") / "adapter"
    names = {path.name for path in adapter.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names


def test_truth_of_strong_train_and_test_reaches_only_the_ceiling(
    splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turning those labels around moves the ceiling's address and no other trained stage's."""

    def addresses() -> dict[str, str]:
        plan = make_plan(CONFIG, cache=tmp_path, out=tmp_path)
        return {stage.title: stage.address for stage in plan.stages}

    before = addresses()
    turned = {
        name: dataclasses.replace(splits[name], labels=1 - splits[name].labels)
        for name in ("strong_train", "test")
    }
    changed = dataclasses.replace(splits, **turned)
    monkeypatch.setattr(TaskConfig, "load", lambda *_: changed)
    after = addresses()
    moved = {title for title in before if before[title] != after[title]}
    # the audit scores its baselines on the truth of the test rows, which no method reads; the votes
    # hold those of the probes' own ceilings, and so all that is made of votes moves with them
    votes = {title for title in before if title.startswith("votes: knn, logistic")}
    of_votes = {"logistic_relabel labels", "strong student on logistic_relabel labels"}
    assert moved == {
        *("strong ceiling on truth", "audit of the task", "indicators of the gain"),
        *(votes | of_votes),
    }


def test_predictions_parquet_is_readable_without_this_package(
    smoke: Workplace, results: dict
) -> None:
    path = folder(smoke, results, "strong student") / "labels.parquet"
    assert pq.read_table(path).column_names == ["id", "soft_label", "keep"]
