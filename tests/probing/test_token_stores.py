"""Token-level probes on stores that have one vector per token."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.cache.cases import writer
from tests.probes.token_cases import planted
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.probes import AttentionProbe, LogisticProbe
from w2sprobe.probes.token_rows import TokenRows
from w2sprobe.probing.fitting import ProbeInputs, predict_layer, predict_layers
from w2sprobe.probing.probe import predict_store
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.probing.sweep import sweep
from w2sprobe.token_settings import TokenSettings
from w2sprobe.votes.table import FittedProbe

N, N_TRAIN = 60, 40
VALUES, OFFSETS, LABELS = planted(N, 30, 6, seed=0)
TOKENS = TokenRows(VALUES, OFFSETS)
IDS = np.array([f"row-{number}" for number in range(N)])
SETTINGS = TokenSettings(n_heads=2, steps=15, batch_size=8)
PROBES = ("attention", "multimax", "softmax-mean", "token-mean", "token-last")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    new = writer(
        tmp_path_factory.mktemp("tokens") / "store",
        ids=IDS.tolist(),
        layers=(1,),
        hidden_size=6,
        rows_per_shard=16,
        ragged=True,
    )
    for index, members in new.missing():
        part = TOKENS.select(np.arange(N)[members])
        new.write_shard(index, {1: part.values}, part.offsets)
    return new.finish({})


def table() -> LabelTable:
    return LabelTable(IDS, LABELS.astype(float))


def rows() -> ProbedRows:
    order = np.random.default_rng(1).permutation(N)  # rows are read by id
    return ProbedRows("train", IDS[order][:N_TRAIN], {"test": IDS[order][N_TRAIN:]}, table())


def spec(**changes: object) -> VoteSpec:
    given = {"probes": dict.fromkeys(PROBES, (0.01,)), "cv": 4, "tokens": SETTINGS}
    return VoteSpec(**{**given, **changes})


def test_other_rows_are_predicted_by_the_estimator(store: ActivationStore) -> None:
    asked = rows()
    inputs = ProbeInputs.of(store, spec(), asked, {"weak": table()})
    votes = predict_layer(inputs, 1)
    numbers = [np.flatnonzero(np.isin(IDS, [row]))[0] for row in asked.train]
    train = TOKENS.select(np.array(numbers))
    test = TOKENS.select(
        np.array([int(np.flatnonzero(row == IDS)[0]) for row in asked.other["test"]])
    )
    probe = AttentionProbe(2, 0.01, steps=15, batch_size=8)
    probe.fit(train.values, LABELS[numbers], offsets=train.offsets)
    expected = probe.predict_proba(test.values, offsets=test.offsets)[:, 1]
    found = votes.of(FittedProbe("attention", "l2", 0.01, "weak"), "test")
    assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    pooled = LogisticProbe(0.01).fit(train.means(), LABELS[numbers])
    found = votes.of(FittedProbe("token-mean", "l2", 0.01, "weak"), "test")
    assert_allclose(found, pooled.predict_proba(test.means())[:, 1], atol=1e-5)


def test_every_probe_predicts_every_row_held_out(store: ActivationStore, tmp_path: Path) -> None:
    votes = predict_layers(store, spec(), rows(), {"weak": table()}, tmp_path / "votes")
    layer = votes.layer(1)
    for name in PROBES:
        fitted = FittedProbe(name, "l2", 0.01, "weak")
        assert layer.of(fitted, "train").shape == (N_TRAIN,)
        assert layer.of(fitted, "test").shape == (N - N_TRAIN,)


def test_a_sweep_chooses_among_token_probes(store: ActivationStore, tmp_path: Path) -> None:
    done = sweep(store, spec(), rows(), table(), tmp_path / "sweep", ceiling=True)
    assert {row["probe"] for row in done.table.to_pylist()} == {*PROBES}


def test_a_probe_command_predicts_with_attention(store: ActivationStore) -> None:
    output = predict_store(store, spec(probes={"attention": (0.01,)}), rows(), table())
    assert len(output.results) == 1
    assert output.table.num_rows == N


def test_a_row_costs_products_for_every_token_head_and_kind_of_score(
    store: ActivationStore,
) -> None:
    tokens_per_row = OFFSETS[-1] / N
    products = {"attention": 4 * tokens_per_row, "multimax": 2 * tokens_per_row}  # two heads
    products |= {"token-mean": 1 + tokens_per_row / 2, "token-last": 1.0}
    for name, expected in products.items():
        output = predict_store(store, spec(probes={name: (0.01,)}), rows(), table())
        assert output.results[0]["flops"] == {"probe": pytest.approx(2 * 6 * expected)}


def test_kinds_of_stores_and_probes_go_together(store: ActivationStore, tmp_path: Path) -> None:
    def fit(store: ActivationStore, **probes: tuple[float, ...]) -> None:
        asked = spec(probes={name.replace("_", "-"): values for name, values in probes.items()})
        ProbeInputs.of(store, asked, rows(), {"weak": table()})

    with pytest.raises(InputError, match="one vector per token; logistic: one per row"):
        fit(store, logistic=(1.0,))
    with pytest.raises(InputError, match=r"probes of tokens \(attention\) beside .*\(knn\)"):
        fit(store, attention=(1.0,), knn=(3,))
    new = writer(tmp_path / "pooled", ids=IDS.tolist(), layers=(1,), hidden_size=6)
    for index, members in new.missing():
        new.write_shard(index, {1: TOKENS.means()[members]})
    with pytest.raises(InputError, match=r"one vector per row; token-mean.*--position all"):
        fit(new.finish({}), token_mean=(1.0,))


def test_settings_of_tokens_count_only_where_they_are_read() -> None:
    pooled = VoteSpec(probes={"logistic": (1.0,)})
    assert "tokens" not in pooled.model_dump()
    changed = pooled.model_copy(update={"tokens": SETTINGS})
    assert changed.model_dump(mode="json") == pooled.model_dump(mode="json")
    assert spec().model_dump()["tokens"]["steps"] == 15


def test_labels_marked_as_filtered_are_not_fitted_on(store: ActivationStore) -> None:
    keep = np.arange(N) % 3 > 0
    kept = replace(table(), keep=keep)
    found = predict_layer(ProbeInputs.of(store, spec(), rows(), {"weak": kept}), 1)
    inside = rows()
    inside = replace(inside, train=inside.train[np.isin(inside.train, IDS[keep])])
    alone = predict_layer(ProbeInputs.of(store, spec(), inside, {"weak": table()}), 1)
    fitted = FittedProbe("attention", "l2", 0.01, "weak")
    assert_allclose(found.of(fitted, "test"), alone.of(fitted, "test"), rtol=1e-3, atol=1e-4)
