import numpy as np
import pytest

from tests.probing.cases import IDS, LAYER, SOFT, X, single
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError
from w2sprobe.probes import AttentionProbe, KNNProbe, LogisticProbe, MassMeanProbe
from w2sprobe.probes.token_rows import TokenRows
from w2sprobe.probing.fitting import read_rows
from w2sprobe.probing.probe_types import PROBES
from w2sprobe.probing.saved import (
    SAVED,
    check_saved,
    estimator,
    fit_rows,
    predict_rows,
    states_of,
)


def test_what_can_be_saved() -> None:
    for probe in PROBES:
        if probe in SAVED:
            check_saved(probe)
        else:
            with pytest.raises(InputError, match=f"a {probe} probe cannot be saved"):
                check_saved(probe)
    assert {*PROBES} - {*SAVED} == {"topofilter", "token-mean", "token-last"}
    with pytest.raises(InputError, match="--position mean"):
        check_saved("token-mean")


@pytest.mark.parametrize(
    ("probe", "value", "expected"),
    [
        ("knn", 7.0, KNNProbe(7, preprocess="standardize")),
        ("logistic", 0.1, LogisticProbe(0.1, preprocess="standardize", device="cpu")),
        ("mass-mean", None, MassMeanProbe(whiten=True, preprocess="standardize", device="cpu")),
        ("attention", 0.1, AttentionProbe(n_heads=2, l2=0.1, seed=3, steps=9, device="cpu")),
    ],
)
def test_settings_become_a_probe(probe: str, value: float | None, expected: object) -> None:
    values = () if value is None else (value,)
    tokens = {"n_heads": 2, "seed": 3, "steps": 9}
    spec = single(probe, *values, preprocess="standardize", whiten=True, tokens=tokens)
    made = estimator(probe, value, spec, "cpu")
    assert type(made) is type(expected)
    assert made.get_params() == expected.get_params()


def test_rows_are_fitted_and_predicted(store: ActivationStore) -> None:
    points = read_rows(store, LAYER, IDS[:50])
    np.testing.assert_array_equal(points, X[LAYER][:50])
    probe = LogisticProbe(device="cpu")
    fit_rows(probe, points, SOFT[:50], None)
    alone = LogisticProbe(device="cpu").fit(X[LAYER][:50], SOFT[:50])
    expected = alone.predict_proba(X[LAYER][50:])[:, 1]
    np.testing.assert_array_equal(predict_rows(probe, X[LAYER][50:]), expected)


def test_tokens_are_fitted_and_predicted() -> None:
    rows = TokenRows(X[LAYER], np.arange(0, 91, 3))
    soft = np.arange(30) % 2
    probe = AttentionProbe(n_heads=1, steps=5, device="cpu")
    fit_rows(probe, rows, soft, None)
    again = AttentionProbe(n_heads=1, steps=5, device="cpu")
    again.fit(rows.values, soft, offsets=rows.offsets)
    expected = again.predict_proba(rows.values, offsets=rows.offsets)[:, 1]
    np.testing.assert_array_equal(predict_rows(probe, rows), expected)


def test_states_are_described_as_far_as_the_store_says(store: ActivationStore) -> None:
    assert states_of(store) == {"store": store.manifest["address"], "dtype": "float32"}
