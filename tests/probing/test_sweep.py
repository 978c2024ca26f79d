from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.probing.cases import (
    CV,
    GROUPS,
    IDS,
    KS,
    L2S,
    LAYERS,
    SOFT,
    TRAIN,
    TRUTH,
    X,
    labels,
    rows,
    spec,
    store_in,
)
from w2sprobe.cache import ActivationStore
from w2sprobe.curation import relabel
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import roc_auc
from w2sprobe.probes import L2S as L2S_TRIED
from w2sprobe.probes import KNNProbe, LogisticProbe
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.sweep import Sweep, sweep
from w2sprobe.votes.scores import COLUMNS
from w2sprobe.votes.selection import choose

Run = Callable[..., Sweep]
Place = tuple[int, str, float, str, str]
OPTIONS = ("ceiling", "n_true_labels")
BOTH = {"held_out": ("train", "in_sample")}


@pytest.fixture
def run(store: ActivationStore, tmp_path: Path) -> Run:
    """Sweep into an empty folder."""

    def go(
        given: LabelTable | None = None,
        asked: ProbedRows | None = None,
        out: str | None = None,
        **changes: Any,
    ) -> Sweep:
        folder = tmp_path / (out or f"sweep-{len(list(tmp_path.iterdir()))}")
        options = {name: changes.pop(name) for name in OPTIONS if name in changes}
        return sweep(store, spec(**changes), asked or rows(), given or labels(), folder, **options)

    return go


def by_place(done: Sweep) -> dict[Place, dict]:
    names = ("layer", "probe", "value", "fitted_on", "evaluation")
    return {tuple(row[name] for name in names): row for row in done.table.to_pylist()}


def loss(soft: np.ndarray, p: np.ndarray) -> float:
    return float(-(soft * np.log(p) + (1 - soft) * np.log(1 - p)).mean())


def by_fold(folds: np.ndarray) -> Callable[[np.ndarray, np.ndarray], float]:
    def auc(truth: np.ndarray, p: np.ndarray) -> float:
        return float(np.mean([roc_auc(truth[folds == f], p[folds == f]) for f in set(folds)]))

    return auc


@pytest.mark.parametrize("held_out", ["train", "leave_one_out"])
@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
def test_a_sweep_equals_a_loop_of_single_fits(
    run: Run, preprocess: Any, groups: np.ndarray | None, held_out: str
) -> None:
    done = run(asked=rows(groups=groups), preprocess=preprocess, held_out=(held_out,))
    assert done.table.schema == COLUMNS
    found = by_place(done)
    n_points = len(LAYERS) * (len(KS) + len(L2S))
    assert len(found) == done.table.num_rows == 2 * n_points
    own, test = slice(None, TRAIN), slice(TRAIN, None)
    for (layer, name, value, fitted_on, evaluation), row in found.items():
        assert fitted_on == "weak"
        part = test if evaluation == "test" else own
        probe: Any = LogisticProbe(value, preprocess)
        if name == "knn":
            probe = KNNProbe(int(value), preprocess=preprocess)
        one_out = held_out == "leave_one_out" and name == "knn"
        if evaluation == "test":
            p = probe.fit(X[layer][own], SOFT[own]).predict_proba(X[layer][test])[:, 1]
        else:
            cv = None if one_out else CV
            p = relabel(probe, X[layer][own], SOFT[own], cv=cv, groups=groups)
        hard = (SOFT[part] > 0.5).astype(int)
        by_folds = evaluation == "cross_fit" and not one_out
        auc = by_fold(folds_of(TRAIN, CV, groups)) if by_folds else roc_auc
        # one pair of rows of a fold apart, at most: solvers agree to 1e-6
        assert row["auc_truth"] == pytest.approx(auc(TRUTH[part], p), abs=7e-3)
        assert row["auc_weak"] == pytest.approx(auc(hard, p), abs=7e-3)
        n_folds = CV if by_folds else None
        assert (row["n_folds_truth"], row["n_folds_weak"]) == (n_folds, n_folds)
        assert row["log_loss_weak"] == pytest.approx(loss(SOFT[part], p), abs=1e-6)
        of_labels = auc(TRUTH[part], SOFT[part])
        assert row["labels_auc"] == of_labels
        assert row["delta_auc_truth"] == row["auc_truth"] - of_labels
        assert row["delta_auc_weak"] == row["auc_weak"] - 1
        assert row["n_rows"] == len(p)


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
def test_the_least_held_out_loss_is_chosen(run: Run, groups: np.ndarray | None) -> None:
    soft = SOFT[:TRAIN]
    losses: dict[str, dict[tuple[int, float], float]] = {"knn": {}, "logistic": {}}
    for layer in LAYERS:
        A = X[layer][:TRAIN]
        for k in KS:
            p = relabel(KNNProbe(k), A, soft, cv=CV, groups=groups)
            with np.errstate(divide="ignore"):
                losses["knn"][layer, k] = loss(soft, p)
        for l2 in L2S:
            p = LogisticProbe(l2).cross_fit(A, soft, CV, groups)
            losses["logistic"][layer, l2] = loss(soft, p)
    told, untold = run(asked=rows(groups=groups)), run(asked=rows(truth=None, groups=groups))
    for probe, of_points in losses.items():
        one = choose(told.table, probe)
        assert (one.layer, one.value) == min(of_points, key=of_points.__getitem__)
        assert one.criterion == pytest.approx(min(of_points.values()), abs=1e-6)
        assert choose(untold.table, probe) == one, "no truth has a say"
        (same,) = (s for s in told.selections if (s.rule, s.among) == ("weak_log_loss", probe))
        assert (same.layer, same.value, same.criterion) == (one.layer, one.value, one.criterion)


def test_predictions_differ_between_points(run: Run) -> None:
    losses = [row["log_loss_weak"] for row in run().table.to_pylist()]
    assert len({round(value, 5) for value in losses}) == len(losses)


def test_in_sample_is_as_published_and_marked(run: Run) -> None:
    found = by_place(run(**BOTH, asked=rows(groups=None)))
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


def test_truth_changes_neither_predictions_nor_choices(run: Run) -> None:
    plain = run()
    shuffled = run(asked=rows(truth=np.random.default_rng(1).permutation(TRUTH)))
    for a, b in zip(plain.table.to_pylist(), shuffled.table.to_pylist(), strict=True):
        assert {n: a[n] for n in ("n_distinct", "auc_weak", "log_loss_weak")} == {
            n: b[n] for n in ("n_distinct", "auc_weak", "log_loss_weak")
        }
        assert a["auc_truth"] != b["auc_truth"]
    for a, b in zip(plain.selections, shuffled.selections, strict=True):
        assert (a.rule, a.layer, a.value, a.criterion) == (b.rule, b.layer, b.value, b.criterion)


def test_a_budget_reads_the_truth_of_its_rows_only(run: Run) -> None:
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


def test_a_budget_needs_both_classes_in_a_fold(run: Run) -> None:
    apart = {"asked": rows(groups=None), "ks": (1,), "n_true_labels": 4, "cv": TRAIN}
    with pytest.raises(InputError, match=r"4 true labels of 50 rows.*in one of the 50 folds"):
        run(**apart)  # a fold a row
    done = run(**apart, l2s=(), held_out=("leave_one_out",))
    assert done.n_rows["true_labels"] == 4


def test_flipped_labels_are_the_same_problem(run: Run) -> None:
    for a, b in zip(
        run().table.to_pylist(),
        run(labels(1 - SOFT), rows(truth=1 - TRUTH)).table.to_pylist(),
        strict=True,
    ):
        for name in ("auc_truth", "auc_weak", "labels_auc", "log_loss_weak"):
            # one pair of rows of a fold apart, at most
            assert a[name] == pytest.approx(b[name], abs=7e-3)


def test_filtered_rows_change_nothing(run: Run) -> None:
    keep = np.ones(len(IDS), dtype=bool)
    keep[[3, 4, 20]] = False
    done = run(labels(keep=keep))
    assert (done.n_rows["fitted"], done.n_rows["filtered_out"]) == (TRAIN - 3, 3)
    ours = keep[:TRAIN]
    fewer = replace(rows(), train=IDS[:TRAIN][ours], groups=GROUPS[ours])
    assert done.table == run(asked=fewer).table


def test_folds_of_one_class_do_not_count(run: Run) -> None:
    folds = folds_of(TRAIN, CV, GROUPS)
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


def test_rows_without_labels_are_not_scored(run: Run) -> None:
    done = run(LabelTable(IDS[:TRAIN], SOFT[:TRAIN]), rows(truth=None))
    assert {place[-1] for place in by_place(done)} == {"cross_fit"}


def test_equal_predictions_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(X, 0, np.ones_like(X[0]))
    store = store_in(tmp_path / "store")
    done = sweep(store, spec(layers="0", ks=(3,), l2s=(0.1,)), rows(), labels(), tmp_path / "o")
    test = [row for row in done.table.to_pylist() if row["evaluation"] == "test"]
    assert [(row["n_distinct"], row["auc_truth"]) for row in test] == [(1, 0.5), (1, 0.5)]


def test_a_finished_sweep_is_reused_and_extended_by_layers(run: Run, tmp_path: Path) -> None:
    first = run(out="s", layers="0,5")
    files = {p.name: p.read_bytes() for p in (tmp_path / "s/layers").iterdir()}
    assert set(files) == {"000.parquet", "005.parquet"}
    table = (tmp_path / "s/sweep.parquet").read_bytes()
    again = run(out="s", layers="0,5")
    assert (first.layers_computed, again.layers_computed) == (2, 0)
    assert again.selections == first.selections
    assert (tmp_path / "s/sweep.parquet").read_bytes() == table
    more = run(out="s")
    assert more.layers_computed == 1
    assert {p.name: p.read_bytes() for p in (tmp_path / "s/layers").iterdir()}.items() > (
        files.items()
    )
    assert more.table == run().table


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"ks": (7, 1)}, "'probes'"),
        (BOTH, "'held_out'"),
        ({"cv": 3}, "'cv'"),
        ({"given": labels(1 - SOFT)}, "'labels'"),
        ({"ceiling": True}, "'labels'"),
        ({"asked": rows(groups=None)}, "'rows'"),
    ],
)
def test_a_folder_holds_one_sweep(
    run: Run, changes: dict[str, Any], differs: str, tmp_path: Path
) -> None:
    run(out="s", layers="0")
    before = {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()}
    with pytest.raises(InputError, match=rf"predictions computed with other {differs} in .*/s\."):
        run(out="s", **changes)
    assert {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()} == before


def test_other_files_in_the_folder(run: Run, tmp_path: Path) -> None:
    run(out="s", layers="0")
    (tmp_path / "s/layers/002.parquet").write_bytes(b"x")
    with pytest.raises(InputError, match=r"cannot read '.*002\.parquet'.*Delete it"):
        run(out="s")
    (tmp_path / "s/votes.json").write_text("[]")
    with pytest.raises(InputError, match=r"cannot read .*votes\.json'"):
        run(out="s")
    (tmp_path / "s/votes.json").unlink()
    with pytest.raises(InputError, match=r"layers without votes\.json, from a sweep"):
        run(out="s")


def test_other_truth_and_budgets_fit_nothing_again(run: Run, tmp_path: Path) -> None:
    run(out="s")
    before = {p: p.read_bytes() for p in (tmp_path / "s/layers").iterdir()}
    again = run(out="s", asked=rows(truth=1 - TRUTH), n_true_labels=20)
    assert again.layers_computed == 0
    assert {p: p.read_bytes() for p in (tmp_path / "s/layers").iterdir()} == before
    assert again.table == run(asked=rows(truth=1 - TRUTH), n_true_labels=20).table


def test_default_grids_are_limited_by_the_number_of_rows(run: Run) -> None:
    done = run(probes={"knn": (), "logistic": ()}, ks=(), l2s=(), layers="0")
    values = {(row["probe"], row["value"]) for row in done.table.to_pylist()}
    assert {k for probe, k in values if probe == "knn"} == {5, 10, 20}  # 36 are outside a fold
    assert {l2 for probe, l2 in values if probe == "logistic"} == set(L2S_TRIED)
    few = run(probes={"knn": ()}, ks=(), l2s=(), layers="0", asked=rows_of(5))
    assert {row["value"] for row in few.table.to_pylist()} == {3}, "fewer rows than the least k"


def rows_of(n: int) -> ProbedRows:
    return replace(rows(groups=None), train=IDS[:n])


BAD: list[tuple[dict[str, Any], str]] = [
    ({"ks": (), "l2s": ()}, "nothing to fit"),
    ({"ks": (37,)}, "k is 37. Allowed: 1 to 36, the rows outside the largest of 4 folds"),
    (
        {"ks": (TRAIN - 1,), "held_out": ("leave_one_out",)},
        f"k is {TRAIN - 1}. Allowed: 1 to {TRAIN - 2}, the rows outside the largest group",
    ),
    (
        {"ks": (TRAIN,), "held_out": ("leave_one_out",), "asked": rows(groups=None)},
        f"k is {TRAIN}. Allowed: 1 to {TRAIN - 1}, the other rows",
    ),
    ({"l2s": (), "cv": TRAIN}, f"cv is {TRAIN}. Allowed: 2 to {TRAIN // 2}, the groups"),
    ({"l2s": (0.0,)}, "l2 is"),
    ({"cv": TRAIN}, f"cv is {TRAIN}. Allowed: 2 to {TRAIN // 2}, the groups"),
    ({"given": labels(np.zeros(len(IDS)))}, "all labels are 0"),
    ({"given": labels(keep=np.zeros(len(IDS), dtype=bool))}, "no rows to fit"),
    ({"ceiling": True, "asked": rows(truth=None)}, "ceiling needs true labels"),
    ({"n_true_labels": 9, "asked": rows(truth=None)}, "n_true_labels needs true labels"),
    ({"n_true_labels": 2, "asked": rows(truth=np.zeros(len(IDS)))}, "2 true labels of 50 rows"),
    ({"n_true_labels": TRAIN}, "50 true labels of 50 rows"),
]


@pytest.mark.parametrize(("changes", "part"), BAD, ids=[part for _, part in BAD])
def test_bad_input_writes_nothing(
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
