"""What stages compute, beside what the library computes from the same tables."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiments.calls import call_stage
from tests.probing.cases import IDS, SOFT, TRUTH, X, store_in
from w2sprobe.curation import filter_at_random, filter_by_disagreement, relabel
from w2sprobe.data import Rows, Splits
from w2sprobe.errors import InputError
from w2sprobe.experiments.stage_kinds import (
    CURATION,
    HARD,
    CastVotes,
    Curate,
    FilterAtRandom,
    Noise,
    deal_out,
    labels_of,
)
from w2sprobe.experiments.stage_kinds import TRUTH as OF_TRUTH
from w2sprobe.experiments.stages import LABELS, Stage
from w2sprobe.labels import LabelTable
from w2sprobe.probes import KNNProbe, LogisticProbe, TopoFilter
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.votes.picking import Pick
from w2sprobe.votes.table import IN_SAMPLE, LEAVE_ONE_OUT, TRAIN, Votes

ROWS = Rows(IDS, [f"text {name}" for name in IDS], TRUTH)
N, LAYER = 50, 5
SPLITS = Splits(
    ROWS.select(np.arange(80, 90)),
    ROWS.select(np.arange(N)),
    ROWS.select(np.arange(N, 60)),
    ROWS.select(np.arange(60, 80)),
)
VOTED = SPLITS.strong_train, {"val": SPLITS.val, "test": SPLITS.test}
TABLE = LabelTable(IDS, SOFT)


def labels_stage(home: Path, name: str = "weak", table: LabelTable = TABLE) -> Stage:
    """A stage that has left these labels."""
    stage = call_stage(home, name, lambda folder: table.write(folder / LABELS))
    stage.execute()
    return stage


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    home = tmp_path_factory.mktemp("steps")
    stage = call_stage(home, "store", lambda folder: store_in(folder) and None)
    stage.execute()
    return stage


@pytest.fixture(scope="module")
def votes(store: Stage) -> Stage:
    """Of three probes on weak labels, these hardened and truth, held out in every way."""
    spec = VoteSpec(
        layers="2,5",
        probes={"knn": (5,), "logistic": (1e-2,), "topofilter": (5,)},
        held_out=(TRAIN, LEAVE_ONE_OUT, IN_SAMPLE),
        topofilter={"graph": "strong", "contamination": 0.4},
    )
    weak = labels_stage(store.home)
    work = CastVotes(store, spec, *VOTED, {"weak": weak}, ("weak",), True, device="cpu")
    stage = Stage(work, "votes", store.home)
    stage.execute()
    return stage


def pick(probe: str, labels: str = "weak") -> Pick:
    setting, value = {"logistic": ("l2", 1e-2)}.get(probe, ("k", 5.0))
    return Pick(probe, setting, (value,), (LAYER,), labels, "weak", "weak_log_loss")


def curated(votes: Stage, probe: str, split: str, action: str, **changes: object) -> Stage:
    weak = votes.inputs["labels.weak"]
    fields = {"rule": "disagreement", "contamination": 0.2, "per_class": False, **changes}
    if action == "relabel":
        fields["contamination"] = None
    one = pick(probe, str(fields.pop("labels", "weak")))
    val, train = SPLITS.val, SPLITS.strong_train
    work = Curate(votes, one, weak, split, action, rows=train, val=val, **fields)  # type: ignore[arg-type]
    stage = Stage(work, "curate", votes.home)
    stage.execute()
    return stage


def of_train(stage: Stage) -> LabelTable:
    return labels_of(stage).align(SPLITS.strong_train.ids)


@pytest.mark.parametrize("probe", ["knn", "logistic"])
@pytest.mark.parametrize("split", [TRAIN, LEAVE_ONE_OUT, IN_SAMPLE])
def test_curations_from_votes_are_those_of_the_estimators(
    votes: Stage, probe: str, split: str
) -> None:
    made = {"knn": KNNProbe(5), "logistic": LogisticProbe(1e-2)}[probe]
    if probe == "logistic" and split == LEAVE_ONE_OUT:
        return  # only kNN leaves out single rows
    cv = {TRAIN: 5, LEAVE_ONE_OUT: None, IN_SAMPLE: "in-sample"}[split]
    soft = SOFT[:N]
    new = of_train(curated(votes, probe, split, "relabel"))
    expected = relabel(made, X[LAYER][:N], soft, cv=cv)
    np.testing.assert_allclose(new.soft_label, expected, rtol=1e-6, atol=1e-9)
    kept = of_train(curated(votes, probe, split, "filter"))
    expected = filter_by_disagreement(made, X[LAYER][:N], soft, contamination=0.2, cv=cv)
    np.testing.assert_array_equal(kept.keep, expected)
    np.testing.assert_array_equal(kept.soft_label, soft)


def test_validation_labels_are_never_curated(votes: Stage) -> None:
    stage = curated(votes, "knn", LEAVE_ONE_OUT, "relabel")
    val = labels_of(stage).align(SPLITS.val.ids)
    np.testing.assert_array_equal(val.soft_label, TABLE.align(SPLITS.val.ids).soft_label)
    counts = json.loads((stage.folder / CURATION).read_text())
    flipped = (of_train(stage).hard_label != TABLE.align(SPLITS.strong_train.ids).hard_label).sum()
    assert counts == {"offered": N, "kept": N, "flipped": flipped, "steps": {}}


def test_topofilter_s_masks_are_its_own_and_its_component_is_a_step(votes: Stage) -> None:
    stage = curated(votes, "topofilter", LEAVE_ONE_OUT, "filter", contamination=None)
    probe = TopoFilter(5, 5, 0.4, graph="strong").fit(X[LAYER][:N], SOFT[:N])
    assert 0 < (~probe.component_mask_).sum() < (~probe.keep_mask_).sum()
    np.testing.assert_array_equal(of_train(stage).keep, probe.keep_mask_)
    steps = json.loads((stage.folder / CURATION).read_text())["steps"]
    assert set(steps) == set(IDS[:N][~probe.keep_mask_])
    apart = {name for name, step in steps.items() if step == "outside_component"}
    assert apart == set(IDS[:N][~probe.component_mask_])
    assert set(steps.values()) - {"outside_component"} == {"topofilter"}


def test_a_random_filter_removes_as_many_and_by_its_seed(votes: Stage) -> None:
    like = curated(votes, "knn", TRAIN, "filter", contamination=0.3)
    weak = votes.inputs["labels.weak"]
    kept = []
    for seed in (0, 0, 1):
        work = FilterAtRandom(weak, like, SPLITS.strong_train, SPLITS.val, seed)
        stage = Stage(work, "random", votes.home)
        stage.execute()
        kept.append(of_train(stage).keep)
        np.testing.assert_array_equal(kept[-1], filter_at_random(N, 15, seed=seed))
        steps = json.loads((stage.folder / CURATION).read_text())["steps"]
        assert [*steps.values()] == ["random"] * 15
    assert (kept[0] == kept[1]).all()
    assert (kept[0] != kept[2]).any()


def test_votes_are_cast_on_weak_labels_hardened_ones_and_truth(votes: Stage) -> None:
    layer = Votes.open(votes.folder).layer(LAYER)
    assert {probe.labels for probe in layer.probes} == {"weak", "weak" + HARD, OF_TRUTH}
    Q = X[LAYER][60:80]
    for labels, y in (("weak", SOFT), ("weak" + HARD, (SOFT > 0.5) * 1.0), (OF_TRUTH, TRUTH)):
        p = pick("logistic", labels).predict(Votes.open(votes.folder), pick("logistic").points(),
                                             "test")  # fmt: skip
        expected = LogisticProbe(1e-2).fit(X[LAYER][:N], y[:N]).predict_proba(Q)[:, 1]
        np.testing.assert_allclose(p.align(SPLITS.test.ids).soft_label, expected, rtol=1e-6)


def cast(store: Stage, home: Path, tables: dict[str, LabelTable], probes: Sequence[str]) -> Stage:
    labels = {name: labels_stage(home, name, table) for name, table in tables.items()}
    spec = VoteSpec(layers="5", probes=dict.fromkeys(probes, ()), held_out=(TRAIN,))
    return Stage(CastVotes(store, spec, *VOTED, labels, (), False, device="cpu"), "votes", home)


def one_sided(rows: slice = slice(None)) -> LabelTable:
    """Labels of which so many are of one class, beyond doubt."""
    soft = SOFT.copy()
    soft[rows] = 1.0
    return LabelTable(IDS, soft)


def test_labels_of_one_class_stop_no_others(store: Stage, tmp_path: Path) -> None:
    stage = cast(store, tmp_path, {"good": TABLE, "poor": one_sided()}, ["logistic", "mass-mean"])
    stage.execute()
    layer = Votes.open(stage.folder).layer(LAYER)
    assert {probe.labels for probe in layer.probes} == {"good"}
    alone = cast(store, tmp_path / "alone", {"good": TABLE}, ["logistic", "mass-mean"])
    alone.execute()
    for vote, split in layer.p:
        np.testing.assert_array_equal(
            layer.of(vote, split), Votes.open(alone.folder).layer(LAYER).of(vote, split)
        )


def test_labels_of_one_class_are_enough_for_neighbours(store: Stage, tmp_path: Path) -> None:
    stage = cast(store, tmp_path, {"good": TABLE, "poor": one_sided()}, ["knn"])
    stage.execute()
    votes = Votes.open(stage.folder).layer(LAYER)
    assert {probe.labels for probe in votes.probes} == {"good", "poor"}


def test_where_no_labels_can_be_learned_the_stage_fails(store: Stage, tmp_path: Path) -> None:
    stage = cast(store, tmp_path, {"poor": one_sided()}, ["logistic"])
    with pytest.raises(InputError, match="labels of both classes"):
        stage.execute()


def noise(home: Path, soft: bool, seed: int = 0, table: LabelTable = TABLE) -> LabelTable:
    weak = labels_stage(home, f"weak {hash(table.soft_label.tobytes())}", table)
    stage = Stage(Noise(weak, SPLITS.strong_train, SPLITS.val, soft, seed), "noise", home)
    stage.execute()
    return labels_of(stage)


def test_noise_flips_truth_at_the_supervisor_s_error_rate(tmp_path: Path) -> None:
    rate = (TABLE.hard_label[:N] != TRUTH[:N]).mean()
    assert 0.05 < rate < 0.5
    ids = [*SPLITS.strong_train.ids, *SPLITS.val.ids]
    rates = []
    for seed in range(40):
        table = noise(tmp_path, soft=False, seed=seed)
        assert table.ids.tolist() == ids
        assert set(table.soft_label) == {0.0, 1.0}
        rates.append((table.soft_label != TRUTH[:60]).mean())
    # 2,400 independent flips
    assert np.mean(rates) == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / 2400))
    assert np.std(rates) > 0.02, "their number is drawn, too"


@pytest.mark.parametrize(("soft", "wrong"), [(TRUTH, 0.0), (1 - TRUTH, 1.0)])
def test_noise_of_a_supervisor_without_error_or_without_truth(
    tmp_path: Path, soft: np.ndarray, wrong: float
) -> None:
    table = noise(tmp_path, soft=False, table=LabelTable(IDS, soft.astype(float)))
    assert (table.soft_label != TRUTH[:60]).mean() == wrong


@given(seed=st.integers(0, 2**31))
def test_soft_noise_permutes_the_supervisor_s_labels_inside_each_class(seed: int) -> None:
    soft, truth = SOFT[:N], TRUTH[:N]
    dealt = deal_out(soft, truth, np.random.default_rng(seed))
    for label in (0, 1):
        here = truth == label
        np.testing.assert_array_equal(np.sort(dealt[here]), np.sort(soft[here]))


def test_soft_noise_permutes_training_and_validation_labels_apart(tmp_path: Path) -> None:
    table = noise(tmp_path, soft=True)
    for part in (SPLITS.strong_train, SPLITS.val):
        dealt, own = (one.align(part.ids).soft_label for one in (table, TABLE))
        for label in (0, 1):
            here = part.labels == label
            np.testing.assert_array_equal(np.sort(dealt[here]), np.sort(own[here]))


@pytest.mark.parametrize("soft", [False, True])
def test_noise_is_drawn_by_its_seed(tmp_path: Path, soft: bool) -> None:
    one, same, other = (
        noise(home, soft, seed).soft_label
        for home, seed in ((tmp_path / "a", 3), (tmp_path / "b", 3), (tmp_path / "a", 4))
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    train = SPLITS.strong_train.ids
    assert (noise(tmp_path, soft).align(train).soft_label != SOFT[:N]).any()
