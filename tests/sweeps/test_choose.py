from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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
from w2sprobe.errors import IdMismatch, InputError, UnknownName
from w2sprobe.labels import LabelTable, read_truth
from w2sprobe.probes import KNNProbe, LogisticProbe
from w2sprobe.sweeps import Choices, choose, sweep
from w2sprobe.sweeps.run import sweep_layer

Run = Callable[..., Choices]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    return store_in(tmp_path_factory.mktemp("choices") / "store")


@pytest.fixture
def run(store: ActivationStore, tmp_path: Path) -> Run:
    """Choices in a folder of their own."""

    def go(
        given: LabelTable | None = None,
        ids: np.ndarray = IDS[:TRAIN],
        out: str | None = None,
        **changes: Any,
    ) -> Choices:
        options = {"layers": LAYERS, "ks": SETTINGS.ks, "l2s": SETTINGS.l2s, "cv": SETTINGS.cv}
        folder = tmp_path / (out or f"choices-{len(list(tmp_path.iterdir()))}")
        return choose(store, given or labels(), ids, folder, **(options | changes))

    return go


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
def test_the_least_held_out_loss_of_all_single_fits_is_chosen(
    run: Run, groups: np.ndarray | None
) -> None:
    soft = SOFT[:TRAIN]
    losses: dict[str, dict[tuple[int, float], float]] = {"knn": {}, "logistic": {}}

    def loss(p: np.ndarray) -> float:
        with np.errstate(divide="ignore"):
            return float(-(soft * np.log(p) + (1 - soft) * np.log(1 - p)).mean())

    for layer in LAYERS:
        A = X[layer][:TRAIN]
        for k in SETTINGS.ks:
            p = relabel(KNNProbe(k), A, soft, cv=SETTINGS.cv, groups=groups)
            losses["knn"][layer, k] = loss(p)
        for l2 in SETTINGS.l2s:
            p = LogisticProbe(l2).cross_fit(A, soft, SETTINGS.cv, groups)
            losses["logistic"][layer, l2] = loss(p)
    chosen = run(groups=groups)
    assert chosen.rule == "weak_log_loss"
    for probe, of_points in losses.items():
        one = chosen.points[probe]
        assert (one.layer, one.value) == min(of_points, key=of_points.__getitem__)
        assert one.criterion == pytest.approx(min(of_points.values()), abs=1e-6)
    assert {probe: one.setting for probe, one in chosen.points.items()} == {
        "knn": "k",
        "logistic": "l2",
    }


@pytest.mark.parametrize("rule", ["weak_auc", "weak_log_loss"])
def test_a_choice_is_that_of_a_sweep_which_is_told_the_truth_for_scoring(
    run: Run, rule: Any, store: ActivationStore, tmp_path: Path
) -> None:
    chosen = run(rule=rule, groups=GROUPS)
    done = sweep(store, labels(), rows(), tmp_path / "s", layers=LAYERS, settings=SETTINGS)
    told = {one.among: one for one in done.selections if one.rule == rule}
    for probe, one in chosen.points.items():
        same = told[probe]
        assert (one.layer, one.value, one.criterion) == (same.layer, same.value, same.criterion)


def test_truth_is_not_even_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels beside a truth of which each file has another, and rows that are tested on."""
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for file, truth in zip(
        files, (TRUTH, np.random.default_rng(1).permutation(TRUTH)), strict=True
    ):
        pq.write_table(pa.table({"id": IDS, "soft_label": SOFT, "truth": truth}), file)
    a, b = (read_truth(file) for file in files)
    assert a is not None
    assert b is not None
    assert (a.soft_label != b.soft_label).any(), "there is a truth to be read"

    def refuse(*_: object) -> None:
        raise AssertionError("truth was read")

    monkeypatch.setattr("w2sprobe.labels.read_truth", refuse)
    monkeypatch.setattr("w2sprobe.probing.runs.read_truth", refuse)
    first, second = (run(LabelTable.read(file), out=file.stem) for file in files)
    assert first == second
    tables = [pq.read_table(tmp_path / name / "sweep.parquet") for name in ("a", "b")]
    assert tables[0].drop_columns("seconds").equals(tables[1].drop_columns("seconds"))
    assert tables[0]["auc_truth"].null_count == tables[0].num_rows
    assert set(tables[0]["evaluation"].to_pylist()) == {"cross_fit"}
    for name in ("sweep.json", "chosen.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_other_rows_and_filtered_ones_have_no_say(run: Run) -> None:
    keep = np.arange(len(IDS)) % 5 > 0
    soft = np.where(keep, SOFT, 1 - SOFT)
    soft[TRAIN:] = np.random.default_rng(2).random(len(IDS) - TRAIN)
    ours = IDS[:TRAIN][keep[:TRAIN]]
    assert run(labels(soft, keep)) == run(ids=ours)
    assert run(labels(soft, keep)) != run()


def test_every_probe_has_a_layer(run: Run) -> None:
    chosen = run()
    assert chosen.of("topofilter") == chosen.of("knn") == chosen.points["knn"]
    assert chosen.of("mass-mean") == chosen.of("logistic") == chosen.points["logistic"]
    alone = run(l2s=())
    assert alone.points == {"knn": chosen.points["knn"]}
    with pytest.raises(InputError, match="nothing was chosen for mass-mean"):
        alone.of("mass-mean")


def test_choices_are_read_as_they_were_written(run: Run, tmp_path: Path) -> None:
    chosen = run(out="c")
    assert Choices.read(tmp_path / "c/chosen.json") == chosen
    (tmp_path / "c/chosen.json").write_text('{"rule": "weak_auc"}')
    for name in ("c/chosen.json", "c/none.json"):
        with pytest.raises(InputError, match="cannot read choices"):
            Choices.read(tmp_path / name)


def test_an_interrupted_choice_goes_on_at_the_missing_layer(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    def counted(store: Any, layer: int, *arguments: Any, **options: Any) -> Any:
        if layer == LAYERS[1] and LAYERS[1] not in done:
            done.append(layer)
            raise KeyboardInterrupt
        done.append(layer)
        return sweep_layer(store, layer, *arguments, **options)

    monkeypatch.setattr("w2sprobe.sweeps.run.sweep_layer", counted)
    with pytest.raises(KeyboardInterrupt):
        run(out="c")
    assert not (tmp_path / "c/chosen.json").exists()
    resumed = run(out="c")
    assert done == [LAYERS[0], LAYERS[1], LAYERS[1], LAYERS[2]]
    assert resumed == run()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"rule": "true_labels"}, "unknown rule 'true_labels'. Allowed: weak_auc, weak_log_loss"),
        ({"ks": (), "l2s": ()}, "nothing to sweep"),
        ({"given": labels(0.4 * SOFT), "rule": "weak_auc"}, "weak_auc has no number for any"),
        ({"cv": TRAIN, "rule": "weak_auc"}, "Allowed: weak labels of both classes in a fold"),
        ({"ks": (40,)}, "k is 40. Allowed: 1 to 37, the rows outside the largest of 4 folds"),
        (
            {"given": labels((SOFT > 0.5).astype(float)), "ks": (1,)},
            "weak_log_loss has no number for any setting of knn. Allowed:",
        ),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    run: Run, changes: dict[str, Any], part: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        run(out="none", **changes)
    assert part in str(error.value)
    assert not (tmp_path / "none/chosen.json").exists()
    assert isinstance(error.value, UnknownName) == ("unknown" in part)


def test_a_row_without_a_label(run: Run) -> None:
    with pytest.raises(IdMismatch, match="stranger"):
        run(ids=np.array([*IDS[:TRAIN].tolist(), "stranger"]))
