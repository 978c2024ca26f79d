from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import write, writer
from tests.integrations.cases import saved as saved_on_chats
from tests.probing.cases import single
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import auc_change, auc_estimate, rates_at
from w2sprobe.probes import MassMeanProbe, load_probe, save_probe
from w2sprobe.probing.cards import keep_probe
from w2sprobe.probing.check import LabelledRows, ProbeCheck, check_probe
from w2sprobe.probing.probe import predict_store
from w2sprobe.probing.rows import ProbedRows

RANDOM = np.random.default_rng(0)
N, N_TRAIN, WIDTH, LAYER = 700, 100, 6, 3
IDS = np.array([f"row-{n}" for n in range(N)])
TRUTH = RANDOM.permutation(np.arange(N) % 2)
X = (RANDOM.normal(size=(N, WIDTH)) + 0.9 * TRUTH[:, None]).astype(np.float32)
NOISE = RANDOM.normal(size=X.shape).astype(np.float32)
IDENTITY = {
    "model": {"weights": "abc", "config": "def"},
    "position": "last",
    "chat_template": "t0",
    "computed_in": "float32",
}


def made(
    folder: Path, values: np.ndarray = X, part: slice = slice(None), **identity
) -> ActivationStore:
    new = writer(
        folder,
        ids=IDS[part].tolist(),
        layers=(LAYER,),
        hidden_size=values.shape[1],
        rows_per_shard=200,
        identity={k: v for k, v in {**IDENTITY, **identity}.items() if v is not None},
        model="tiny",
    )
    write(new, {LAYER: values[part]})
    return new.finish({})


def saved(folder: Path, *, test: bool = True, fpr: float | None = 0.1) -> Path:
    """A probe that was fitted on the first rows."""
    store = made(folder / "store")
    truth = LabelTable(IDS, TRUTH)
    other = {"test": IDS[N_TRAIN:]} if test else {}
    about = ProbedRows("strong_train", IDS[:N_TRAIN], other, truth)
    spec = single("logistic", 0.1, layers=str(LAYER))
    output = predict_store(store, spec, about, truth, device="cpu")
    kept = keep_probe(store, spec, about, truth, output, name="made up", fpr=fpr, device="cpu")
    kept.save(folder / "probe")
    return folder / "probe"


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("check"))


def checked(probe: Path, folder: Path, values: np.ndarray = X, **options) -> ProbeCheck:
    return check_probe(probe, made(folder, values), **options)


def test_the_same_states_hold_with_no_difference(probe: Path, tmp_path: Path) -> None:
    found = checked(probe, tmp_path)
    assert (found.verdict, found.n_rows, found.n_ones) == ("holds", 600, TRUTH[N_TRAIN:].sum())
    assert (found.rows.mean, found.rows.largest, found.rows.crossed) == (0, 0, 0)
    assert found.auc_change_interval == (0, 0)
    assert (found.differences, found.left_out) == ({}, {})


def test_noise_of_a_cast_holds_and_is_measured_row_by_row(probe: Path, tmp_path: Path) -> None:
    values = X + 0.004 * NOISE
    store = made(tmp_path / "s", values, computed_in="bfloat16", model={"weights": "x"})
    found = check_probe(probe, store)
    assert found.verdict == "holds"
    fitted = load_probe(probe)
    p, q = (fitted.predict_proba(states[N_TRAIN:])[:, 1] for states in (values, X))
    truth = TRUTH[N_TRAIN:]
    change = auc_change(truth, p, q)
    assert (found.auc_change, found.auc_change_interval) == (change.value, change.interval)
    assert found.auc_new == auc_estimate(truth, p).value
    assert found.rows.largest == np.abs(p - q).max()
    assert found.rows.largest_id == IDS[N_TRAIN + np.abs(p - q).argmax()]
    recall, fpr = rates_at(truth, p, found.threshold)
    assert (found.recall.new.value, found.fpr.new.value) == (recall.value, fpr.value)
    assert found.rows.crossed == ((p > found.threshold) != (q > found.threshold)).sum()
    assert found.differences == {
        "model weights": ("abc", "x"),
        "model config": ("def", None),
        "computed_in": ("float32", "bfloat16"),
    }


def test_a_shift_makes_the_threshold_stale(probe: Path, tmp_path: Path) -> None:
    along = load_probe(probe).coef_.astype(np.float32)
    found = checked(probe, tmp_path / "up", X + 0.8 * along / np.linalg.norm(along))
    assert found.verdict == "threshold stale"
    assert found.auc_change == 0
    assert found.fpr.new.value > found.fpr.saved.interval[1]
    down = checked(probe, tmp_path / "down", X - 0.8 * along / np.linalg.norm(along))
    assert (down.verdict, down.recall.change < 0) == ("threshold stale", True)
    without = saved(tmp_path / "without", fpr=None)
    shifted = check_probe(without, ActivationStore.open(tmp_path / "up"))
    assert (shifted.verdict, shifted.fpr, shifted.threshold) == ("holds", None, None)
    assert shifted.rows.crossed is None


def test_heavy_noise_degrades_and_the_tolerance_decides(probe: Path, tmp_path: Path) -> None:
    found = checked(probe, tmp_path / "much", X + 3 * NOISE)
    assert found.verdict == "degraded"
    assert found.auc_change_interval[1] < -0.02
    some = made(tmp_path / "some", X + 0.45 * NOISE)
    loss = check_probe(probe, some)
    low, high = loss.auc_change_interval
    assert low < loss.auc_change < high < 0.01
    assert check_probe(probe, some, tolerance=-low + 0.001).verdict != "degraded"
    assert check_probe(probe, some, tolerance=max(0, -high - 0.001)).verdict != "holds"
    middle = -(low + high) / 2
    assert check_probe(probe, some, tolerance=middle).verdict == "unsure"


def test_a_store_of_some_test_rows_is_enough(probe: Path, tmp_path: Path) -> None:
    found = check_probe(probe, made(tmp_path, part=slice(500, None)))
    assert (found.n_rows, found.left_out) == (200, {"not in the store": 400})
    assert found.rows.largest == 0
    few = check_probe(probe, made(tmp_path / "few", part=slice(670, None)))
    assert few.verdict == "unsure"
    with pytest.raises(InputError, match="0 rows to score"):
        check_probe(probe, made(tmp_path / "train", part=slice(0, N_TRAIN)))


def test_named_rows_of_the_card_are_paired_and_training_rows_left_out(
    probe: Path, tmp_path: Path
) -> None:
    store = made(tmp_path)
    every = LabelledRows(IDS[::-1], TRUTH[::-1].astype(float))
    found = check_probe(probe, store, every)
    assert (found.n_rows, found.left_out) == (600, {"the probe was fitted on": 100})
    assert (found.verdict, found.rows.largest) == ("holds", 0)
    wrong = LabelledRows(IDS, np.where(np.arange(N) == 650, 1 - TRUTH, TRUTH).astype(float))
    with pytest.raises(IdMismatch, match="'row-650' differ"):
        check_probe(probe, store, wrong)
    with pytest.raises(IdMismatch, match="no activations for ids 'row-699'"):
        check_probe(probe, made(tmp_path / "less", part=slice(0, 650)), every)


def test_other_rows_are_compared_with_the_card(tmp_path: Path) -> None:
    """A probe that was evaluated by cross-fitting knows only its training rows."""
    probe = saved(tmp_path, test=False)
    store = made(tmp_path / "new", X + 0.01 * NOISE)
    with pytest.raises(InputError, match=r"no rows but those .* --task or --labels"):
        check_probe(probe, store)
    found = check_probe(probe, store, LabelledRows(IDS, TRUTH.astype(float)))
    assert (found.rows, found.left_out) == (None, {"the probe was fitted on": N_TRAIN})
    p = load_probe(probe).predict_proba((X + 0.01 * NOISE)[N_TRAIN:])[:, 1]
    new = auc_estimate(TRUTH[N_TRAIN:], p)
    assert found.auc_new == new.value
    assert found.auc_change == pytest.approx(new.value - found.auc_saved)
    low, high = found.auc_change_interval
    assert high - low > 2 * 1.96 * new.se  # the noise of the card's rows as well
    broken = made(tmp_path / "broken", NOISE)
    again = check_probe(probe, broken, LabelledRows(IDS, TRUTH.astype(float)))
    assert again.verdict == "degraded"


def test_groups_are_units(probe: Path, tmp_path: Path) -> None:
    store = made(tmp_path, X + 0.3 * NOISE)
    groups = np.array([f"g{n // 5}" for n in range(N)])
    alone = check_probe(probe, store, LabelledRows(IDS, TRUTH.astype(float)))
    grouped = check_probe(probe, store, LabelledRows(IDS, TRUTH.astype(float), groups))
    assert grouped.auc_change == alone.auc_change
    assert grouped.auc_change_interval != alone.auc_change_interval


@pytest.mark.parametrize(
    ("identity", "part"),
    [
        ({"position": "mean"}, "position 'mean'.*Allowed: 'last', as fitted"),
        ({"chat_template": "t1"}, "chat_template 't1'"),
        ({"chat_template": None, "rows": "r"}, "chat_template None.*Allowed: 't0', as fitted"),
    ],
)
def test_another_input_is_refused(probe: Path, tmp_path: Path, identity: dict, part: str) -> None:
    with pytest.raises(InputError, match=part):
        check_probe(probe, made(tmp_path, **identity))


def test_another_layer_or_width_is_refused(probe: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"states of width 3 .*Allowed: 6, as fitted"):
        check_probe(probe, made(tmp_path / "narrow", X[:, :3]))
    new = writer(tmp_path / "other", ids=IDS.tolist(), layers=(0,), identity=IDENTITY)
    write(new, {0: X})
    with pytest.raises(InputError, match="no layer 3, which the probe reads"):
        check_probe(probe, new.finish({}))


def test_a_store_that_does_not_know_its_texts_may_lack_the_template(
    probe: Path, tmp_path: Path
) -> None:
    found = check_probe(probe, made(tmp_path, chat_template=None))
    assert found.differences == {"chat_template": ("t0", None)}


def test_tokens_are_checked_by_a_probe_of_tokens(tmp_path: Path) -> None:
    store = saved_on_chats(tmp_path, chats=True, position="assistant")
    found = check_probe(tmp_path / "probe", store)
    assert (found.rows.largest, found.n_rows) == (0, 30)
    new = writer(tmp_path / "rows", ids=IDS.tolist(), layers=(2,), identity={"imported": "x"})
    write(new, {2: X})
    with pytest.raises(InputError, match="states with one vector per row"):
        check_probe(tmp_path / "probe", new.finish({}))


def test_states_of_another_tool_that_do_not_say_their_position(probe: Path, tmp_path: Path) -> None:
    new = writer(tmp_path, ids=IDS.tolist(), layers=(LAYER,), identity={"imported": "x"})
    write(new, {LAYER: X})
    found = check_probe(probe, new.finish({}))
    assert found.verdict == "holds"
    assert found.differences["position"] == ("last", None)


def test_probes_without_card_or_origin_are_refused(tmp_path: Path, probe: Path) -> None:
    store = made(tmp_path / "store")
    save_probe(MassMeanProbe().fit(X, TRUTH), tmp_path / "bare")
    with pytest.raises(InputError, match="without a card"):
        check_probe(tmp_path / "bare", store)
    with pytest.raises(InputError, match="no probe in"):
        check_probe(tmp_path / "nothing", store)
