"""Cues erased from made-up activations that contain them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import write, writer
from tests.cli.cases import STORE, invoke, run, save_inputs
from w2sprobe.audit import Audit, audit_splits, render
from w2sprobe.audit.erasure import ALL, erase_cues
from w2sprobe.audit.findings import find_erased
from w2sprobe.cache import ActivationStore
from w2sprobe.data import Rows, Splits
from w2sprobe.errors import IdMismatch, InputError

SIZES = {"weak_train": 60, "strong_train": 400, "val": 20, "test": 400}
WIDTH = 60


def made_up(cue_follows_label: float) -> tuple[Splits, np.ndarray]:
    """Splits whose long rows have label 1 with this probability, and activations of all rows.

    The activations hold the length, and a little of the label.
    """
    random = np.random.default_rng(0)
    parts, all_states = {}, []
    for name, size in SIZES.items():
        labels = np.arange(size) % 2
        is_long = np.where(random.random(size) < cue_follows_label, labels, 1 - labels)
        texts = [
            " ".join(["word"] * int(4 + 10 * long + random.integers(3))) + f" {row}"
            for row, long in enumerate(is_long)
        ]
        ids = np.array([f"{name}-{row}" for row in range(size)])
        parts[name] = Rows(ids, texts, labels, None, "made up")
        states = random.normal(size=(size, WIDTH))
        states[:, 0] += 4 * is_long
        states[:, 1] += 0.5 * labels
        all_states.append(states.astype(np.float32))
    return Splits(**parts), np.concatenate(all_states)


def stored(folder: Path, splits: Splits, states: np.ndarray) -> ActivationStore:
    ids = [name for _, rows in splits.items() for name in rows.ids.tolist()]
    new = writer(folder, ids=ids, layers=(3,), hidden_size=WIDTH, rows_per_shard=512)
    write(new, {3: states})
    return new.finish({})


def test_a_probe_that_reads_the_length_loses_it(tmp_path: Path) -> None:
    splits, states = made_up(0.9)
    erased = erase_cues(stored(tmp_path / "store", splits, states), splits, "3")
    (length,) = erased
    assert (length.cue, length.layer) == ("length", 3)
    assert length.auc > 0.85
    assert length.auc_after < 0.7
    assert length.change_interval[1] < -0.1
    assert length.auc_control > length.auc - 0.03
    assert length.cue_auc > 0.95
    assert abs(length.cue_auc_after - 0.5) < 0.1
    (finding,) = find_erased(erased)
    assert finding.level == "warning"
    assert "Without what layer 3 says about the text's length" in finding.message
    audit = audit_splits(splits, erased=erased)
    assert finding in audit.findings
    assert Audit.model_validate_json(audit.model_dump_json()) == audit
    assert f"{length.auc:7.3f}{length.auc_after:7.3f}" in render(audit)


def test_a_probe_that_does_not_read_the_length_keeps_its_auc(tmp_path: Path) -> None:
    splits, states = made_up(0.5)
    (length,) = erase_cues(stored(tmp_path / "store", splits, states), splits)
    assert abs(length.auc_after - length.auc) < 0.03
    assert find_erased((length,)) == []


def test_several_cues_are_also_erased_together(tmp_path: Path) -> None:
    splits, states = made_up(0.5)
    parts = dict(splits.items())
    for name, rows in parts.items():
        texts = [text + (" ." if row % 3 else " !") for row, text in enumerate(rows.texts)]
        parts[name] = replace(rows, texts=texts)
    splits = Splits(**parts)
    erased = erase_cues(stored(tmp_path / "store", splits, states), splits)
    assert [cue.cue for cue in erased] == ["length", "template", ALL]
    assert erased[2].rank > max(erased[0].rank, erased[1].rank)
    assert erased[2].cue_auc is None


def test_what_is_refused(tmp_path: Path) -> None:
    splits, states = made_up(0.5)
    store = stored(tmp_path / "store", splits, states)
    with pytest.raises(InputError, match="layer"):
        erase_cues(store, splits, "7")
    one_class = replace(splits.test, labels=np.ones(400, dtype=int))
    with pytest.raises(InputError, match="test has rows of one class"):
        erase_cues(store, replace(splits, test=one_class))
    other = replace(splits.test, ids=np.array([f"x{n}" for n in range(400)]))
    with pytest.raises(IdMismatch):
        erase_cues(store, replace(splits, test=other))


def test_the_command_reports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_inputs(tmp_path)
    sizes = ("--sizes", "20,20,4,40")
    run("extract", *STORE, "--layers", "1,2", *sizes)
    audit = ("tasks", "audit", "task.csv", *sizes, "--store", "shared/store")
    shown = run(*audit, "--layers", "all", "--out", "audit.json")
    assert "test AUC before and after a cue is erased" in shown
    erased = json.loads(run(*audit, "--layers", "2", "--json"))["erased"]
    assert {cue["layer"] for cue in erased} == {2}
    assert "length" in {cue["cue"] for cue in erased}
    assert {cue.layer for cue in Audit.read(Path("audit.json")).erased} == {1, 2}
    assert invoke(*audit, "--layers", "9").exception is not None
