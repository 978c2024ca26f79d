from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sweeps.cases import (
    GROUPS,
    IDS,
    LAYERS,
    SETTINGS,
    SOFT,
    TRAIN,
    TRUTH,
    X,
    labels,
    rows,
    store_in,
)
from w2sprobe.cache import ActivationStore
from w2sprobe.curation import relabel
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import roc_auc
from w2sprobe.probes import KNNProbe, LogisticProbe
from w2sprobe.probing import ProbedRows
from w2sprobe.sweeps import Sweep, SweepSettings, sweep
from w2sprobe.sweeps.layer import COLUMNS

Run = Callable[..., Sweep]
Place = tuple[int, str, float, str, str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    return store_in(tmp_path_factory.mktemp("sweeps") / "store")


@pytest.fixture
def run(store: ActivationStore, tmp_path: Path) -> Run:
    """A sweep in a folder of its own."""

    def go(
        given: LabelTable | None = None,
        asked: ProbedRows | None = None,
        out: str | None = None,
        layers: tuple[int, ...] = LAYERS,
        **changes: Any,
    ) -> Sweep:
        folder = tmp_path / (out or f"sweep-{len(list(tmp_path.iterdir()))}")
        settings = replace(SETTINGS, **changes)
        return sweep(
            store, given or labels(), asked or rows(), folder, layers=layers, settings=settings
        )

    return go


def by_place(done: Sweep) -> dict[Place, dict]:
    names = ("layer", "probe", "value", "fitted_on", "evaluation")
    return {tuple(row[name] for name in names): row for row in done.table.to_pylist()}


def without_time(done: Sweep) -> list[dict]:
    return done.table.drop_columns("seconds").to_pylist()


def loss(soft: np.ndarray, p: np.ndarray) -> float:
    return float(-(soft * np.log(p) + (1 - soft) * np.log(1 - p)).mean())


def by_fold(folds: np.ndarray) -> Callable[[np.ndarray, np.ndarray], float]:
    def auc(truth: np.ndarray, p: np.ndarray) -> float:
        return float(np.mean([roc_auc(truth[folds == f], p[folds == f]) for f in set(folds)]))

    return auc


@pytest.mark.parametrize("leave_one_out", [False, True], ids=["folds", "one-out"])
@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
def test_a_sweep_is_the_loop_of_single_fits(
    run: Run, preprocess: Any, groups: np.ndarray | None, leave_one_out: bool
) -> None:
    done = run(asked=rows(groups=groups), preprocess=preprocess, leave_one_out=leave_one_out)
    assert done.table.schema == COLUMNS
    found = by_place(done)
    n_points = len(LAYERS) * (len(SETTINGS.ks) + len(SETTINGS.l2s))
    assert len(found) == done.table.num_rows == 2 * n_points
    own, test = slice(None, TRAIN), slice(TRAIN, None)
    for (layer, name, value, fitted_on, evaluation), row in found.items():
        assert fitted_on == "weak"
        part = test if evaluation == "test" else own
        probe: Any = LogisticProbe(value, preprocess)
        if name == "knn":
            probe = KNNProbe(int(value), preprocess=preprocess)
        one_out = leave_one_out and name == "knn"
        if evaluation == "test":
            p = probe.fit(X[layer][own], SOFT[own]).predict_proba(X[layer][test])[:, 1]
        else:
            cv = None if one_out else SETTINGS.cv
            p = relabel(probe, X[layer][own], SOFT[own], cv=cv, groups=groups)
        hard = (SOFT[part] > 0.5).astype(int)
        by_folds = evaluation == "cross_fit" and not one_out
        auc = by_fold(folds_of(TRAIN, SETTINGS.cv, groups)) if by_folds else roc_auc
        # one pair of rows of a fold apart, at most: solvers agree to 1e-6
        assert row["auc_truth"] == pytest.approx(auc(TRUTH[part], p), abs=7e-3)
        assert row["auc_weak"] == pytest.approx(auc(hard, p), abs=7e-3)
        n_folds = SETTINGS.cv if by_folds else None
        assert (row["n_folds_truth"], row["n_folds_weak"]) == (n_folds, n_folds)
        assert row["log_loss_weak"] == pytest.approx(loss(SOFT[part], p), abs=1e-6)
        of_labels = auc(TRUTH[part], SOFT[part])
        assert row["labels_auc"] == of_labels
        assert row["delta_auc_truth"] == row["auc_truth"] - of_labels
        assert row["delta_auc_weak"] == row["auc_weak"] - 1
        assert row["n_rows"] == len(p)


def test_predictions_differ_between_points(run: Run) -> None:
    losses = [row["log_loss_weak"] for row in run().table.to_pylist()]
    assert len({round(value, 5) for value in losses}) == len(losses)


def test_in_sample_is_as_published_and_marked(run: Run) -> None:
    found = by_place(run(in_sample=True, asked=rows(groups=None)))
    for layer in LAYERS:
        # its own only neighbour: the vote is the label, and nothing is gained by construction
        row = found[layer, "knn", 1.0, "weak", "in_sample"]
        assert (row["auc_weak"], row["delta_auc_truth"], row["n_rows"]) == (1.0, 0.0, TRAIN)
        assert row["saturated"]
        assert found[layer, "knn", 1.0, "weak", "cross_fit"]["auc_weak"] < 0.9
        fit = LogisticProbe(1e-2).fit(X[layer][:TRAIN], SOFT[:TRAIN])
        p = fit.predict_train_proba(cv=None)[:, 1]
        row = found[layer, "logistic", 0.01, "weak", "in_sample"]
        assert row["log_loss_weak"] == pytest.approx(loss(SOFT[:TRAIN], p), abs=1e-6)
    assert not any(place[-1] == "in_sample" for place in by_place(run()))


def test_the_ceiling_is_the_same_on_truth(run: Run) -> None:
    found = by_place(run(ceiling=True))
    on_truth = by_place(run(labels(TRUTH.astype(float)), l2s=(1e-2, 1.0)))
    for (layer, probe, value, fitted_on, evaluation), row in found.items():
        if fitted_on == "truth":
            same = on_truth[layer, probe, value, "weak", evaluation]
            assert row["auc_truth"] == pytest.approx(same["auc_truth"], abs=7e-3)
    assert {place[3] for place in found} == {"weak", "truth"}
    weak = [row for place, row in found.items() if place[3] == "weak"]
    for row, plain in zip(weak, run().table.to_pylist(), strict=True):
        assert row["log_loss_weak"] == pytest.approx(plain["log_loss_weak"], abs=1e-6)


def test_truth_of_what_is_scored_moves_neither_predictions_nor_choices(run: Run) -> None:
    plain = run()
    shuffled = run(asked=rows(truth=np.random.default_rng(1).permutation(TRUTH)))
    for a, b in zip(plain.table.to_pylist(), shuffled.table.to_pylist(), strict=True):
        assert {n: a[n] for n in ("n_distinct", "auc_weak", "log_loss_weak")} == {
            n: b[n] for n in ("n_distinct", "auc_weak", "log_loss_weak")
        }
        assert a["auc_truth"] != b["auc_truth"]
    for a, b in zip(plain.selections, shuffled.selections, strict=True):
        assert (a.rule, a.layer, a.value, a.criterion) == (b.rule, b.layer, b.value, b.criterion)


def test_a_budget_decides_by_its_own_rows_alone(run: Run) -> None:
    plain = run(n_true_labels=20)
    assert plain.n_rows["true_labels"] == 20
    counts = {place[-1]: row["n_rows"] for place, row in by_place(plain).items()}
    assert counts == {"cross_fit": TRAIN - 20, "budget": 20, "test": len(IDS) - TRAIN}
    chosen = [s for s in plain.selections if s.rule == "true_labels"]
    assert {s.n_true_labels for s in chosen} == {20}
    assert {s.n_true_labels for s in plain.selections if s.rule != "true_labels"} == {0}
    again = run(n_true_labels=20, asked=rows(truth=np.where(np.arange(90) < TRAIN, TRUTH, 0)))
    other = [s for s in again.selections if s.rule == "true_labels"]
    assert [(s.layer, s.value) for s in chosen] == [(s.layer, s.value) for s in other]
    assert {s.scored_on for s in other} == {"cross_fit"}, "test rows are now of one class"


def test_flipped_labels_are_the_same_problem(run: Run) -> None:
    for a, b in zip(
        run().table.to_pylist(),
        run(labels(1 - SOFT), rows(truth=1 - TRUTH)).table.to_pylist(),
        strict=True,
    ):
        for name in ("auc_truth", "auc_weak", "labels_auc", "log_loss_weak"):
            # one pair of rows of a fold apart, at most
            assert a[name] == pytest.approx(b[name], abs=7e-3)


def test_filtered_rows_are_as_if_they_were_not_there(run: Run) -> None:
    keep = np.ones(len(IDS), dtype=bool)
    keep[[3, 4, 20]] = False
    done = run(labels(keep=keep))
    assert (done.n_rows["fitted"], done.n_rows["filtered_out"]) == (TRAIN - 3, 3)
    ours = keep[:TRAIN]
    fewer = replace(rows(), train=IDS[:TRAIN][ours], groups=GROUPS[ours])
    assert without_time(done) == without_time(run(asked=fewer))


def test_folds_of_one_class_are_counted_out(run: Run) -> None:
    folds = folds_of(TRAIN, SETTINGS.cv, GROUPS)
    truth = np.where(np.append(folds == 1, np.zeros(len(IDS) - TRAIN, dtype=bool)), 1, TRUTH)
    table = run(asked=rows(truth=truth)).table.to_pylist()
    own = [row for row in table if row["evaluation"] == "cross_fit"]
    assert {(row["n_folds_truth"], row["n_folds_weak"]) for row in own} == {(3, 4)}
    assert {row["n_rows"] for row in own} == {TRAIN}
    apart = run(asked=rows(groups=None), cv=TRAIN).table.to_pylist()  # a fold a row
    own = [row for row in apart if row["evaluation"] == "cross_fit"]
    assert {(row["auc_truth"], row["n_folds_truth"], row["saturated"]) for row in own} == {
        (None, 0, False)
    }
    assert all(row["log_loss_weak"] is not None for row in own)


def test_weak_labels_of_one_hard_class(run: Run) -> None:
    done = run(labels(0.4 * SOFT))
    assert {row["auc_weak"] for row in done.table.to_pylist()} == {None}
    assert {selection.rule for selection in done.selections} == {"weak_log_loss"}


def test_without_truth_there_are_still_choices(run: Run) -> None:
    done = run(asked=rows(truth=None))
    assert {row["auc_truth"] for row in done.table.to_pylist()} == {None}
    assert {(s.auc, s.best_layer, s.regret) for s in done.selections} == {(None, None, None)}


def test_rows_of_which_nothing_is_known_are_not_scored(run: Run) -> None:
    done = run(LabelTable(IDS[:TRAIN], SOFT[:TRAIN]), rows(truth=None))
    assert {place[-1] for place in by_place(done)} == {"cross_fit"}


def test_equal_predictions_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(X, 0, np.ones_like(X[0]))
    store = store_in(tmp_path / "store")
    settings = SweepSettings(ks=(3,), l2s=(0.1,))
    done = sweep(store, labels(), rows(), tmp_path / "o", layers=[0], settings=settings)
    test = [row for row in done.table.to_pylist() if row["evaluation"] == "test"]
    assert [(row["n_distinct"], row["auc_truth"]) for row in test] == [(1, 0.5), (1, 0.5)]


def test_a_finished_sweep_is_read_and_other_layers_are_added(run: Run, tmp_path: Path) -> None:
    first = run(out="s", layers=(0, 5))
    files = {p.name: p.read_bytes() for p in (tmp_path / "s/layers").iterdir()}
    assert set(files) == {"000.parquet", "005.parquet"}
    table = (tmp_path / "s/sweep.parquet").read_bytes()
    again = run(out="s", layers=(0, 5))
    assert (first.layers_computed, again.layers_computed) == (2, 0)
    assert again.selections == first.selections
    assert (tmp_path / "s/sweep.parquet").read_bytes() == table
    more = run(out="s")
    assert more.layers_computed == 1
    assert {p.name: p.read_bytes() for p in (tmp_path / "s/layers").iterdir()}.items() > (
        files.items()
    )
    assert without_time(more) == without_time(run())


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"ks": (7, 1)}, "'ks'"),
        ({"in_sample": True}, "'in_sample'"),
        ({"leave_one_out": True}, "'leave_one_out'"),
        ({"given": labels(1 - SOFT)}, "'labels'"),
        ({"asked": rows(truth=1 - TRUTH)}, "'truth'"),
        ({"asked": rows(groups=None)}, "'rows'"),
    ],
)
def test_a_folder_holds_one_sweep(
    run: Run, changes: dict[str, Any], differs: str, tmp_path: Path
) -> None:
    run(out="s", layers=(0,))
    before = {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()}
    with pytest.raises(InputError, match=rf"another sweep, which differs in {differs} in .*/s\."):
        run(out="s", **changes)
    assert {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()} == before


def test_other_files_in_the_folder(run: Run, tmp_path: Path) -> None:
    run(out="s", layers=(0,))
    (tmp_path / "s/layers/002.parquet").write_bytes(b"x")
    with pytest.raises(InputError, match=r"cannot read '.*002\.parquet'.*Delete it"):
        run(out="s")
    (tmp_path / "s/sweep.json").write_text("[]")
    with pytest.raises(InputError, match=r"sweep\.json' is not of a sweep"):
        run(out="s")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"ks": (), "l2s": ()}, "nothing to sweep"),
    ({"ks": (37,)}, "k is 37. Allowed: 1 to 36, the rows outside the largest of 4 folds"),
    (
        {"ks": (TRAIN - 1,), "leave_one_out": True},
        f"k is {TRAIN - 1}. Allowed: 1 to {TRAIN - 2}, the rows outside a row's group",
    ),
    ({"l2s": (), "cv": TRAIN}, f"cv is {TRAIN}. Allowed: 2 to {TRAIN // 2}, the groups"),
    ({"l2s": (0.0,)}, "l2 is"),
    ({"cv": TRAIN}, f"cv is {TRAIN}. Allowed: 2 to {TRAIN // 2}, the groups"),
    ({"preprocess": "whiten"}, "unknown preprocessing 'whiten'"),
    ({"given": labels(np.zeros(len(IDS)))}, "all labels are 0"),
    ({"given": labels(keep=np.zeros(len(IDS), dtype=bool))}, "no rows to fit"),
    ({"ceiling": True, "asked": rows(truth=None)}, "the ceiling without truth"),
    ({"n_true_labels": 9, "asked": rows(truth=None)}, "true labels without truth"),
    ({"n_true_labels": 2, "asked": rows(truth=np.zeros(len(IDS)))}, "2 true labels of 50 rows"),
    ({"n_true_labels": TRAIN}, "50 true labels of 50 rows"),
]


@pytest.mark.parametrize(("changes", "part"), BAD, ids=[part for _, part in BAD])
def test_mistakes_are_told_before_anything_is_written(
    run: Run, changes: dict[str, Any], part: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        run(out="none", **changes)
    assert part in str(error.value)
    assert not (tmp_path / "none").exists()


def test_a_row_that_the_store_lacks(run: Run, tmp_path: Path) -> None:
    strange = LabelTable([*IDS.tolist(), "stranger"], np.append(SOFT, 0.4))
    with pytest.raises(IdMismatch, match="stranger"):
        run(strange, replace(rows(), train=strange.ids, groups=None), out="none")
    assert not (tmp_path / "none").exists()
