import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cache.cases import complete
from tests.probes.test_card import CARD, CARD_ROWS
from w2sprobe.errors import InputError, OutputError
from w2sprobe.probes import (
    KNNProbe,
    LogisticProbe,
    MassMeanProbe,
    TopoFilter,
    load_card,
    load_origin,
    load_probe,
    nearest_neighbors,
    save_probe,
)

RANDOM = np.random.default_rng(0)
X, Q = RANDOM.normal(size=(50, 4)).astype(np.float32), RANDOM.normal(size=(7, 4))
Y = np.clip(X[:, 0] * 0.3 + 0.5, 0, 1)
PROBES = [
    KNNProbe(np.int64(5), preprocess="standardize"),
    KNNProbe(5, search=partial(nearest_neighbors, backend="torch")),
    LogisticProbe(0.1, preprocess="standardize"),
    LogisticProbe("auto"),
    MassMeanProbe(whiten=True),
]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: type(probe).__name__)
def test_a_loaded_probe_predicts_the_same(probe, tmp_path: Path) -> None:
    save_probe(probe.fit(X, Y), tmp_path / "probe")
    again = load_probe(tmp_path / "probe")
    np.testing.assert_array_equal(again.predict_proba(Q), probe.predict_proba(Q))
    assert {f.name for f in (tmp_path / "probe").iterdir()} == {"probe.json", "probe.safetensors"}
    options = probe.get_params()
    assert {k: again.get_params()[k] for k in options if k != "search"} == {
        k: v for k, v in options.items() if k != "search"
    }


def test_the_search_and_training_rows_are_not_saved(tmp_path: Path) -> None:
    groups = np.arange(50) // 2
    save_probe(KNNProbe(5).fit(X, Y, groups), tmp_path / "knn")
    save_probe(LogisticProbe().fit(X, Y), tmp_path / "logistic")
    np.testing.assert_array_equal(
        load_probe(tmp_path / "knn").predict_train_proba(),
        KNNProbe(5).fit(X, Y, groups).predict_train_proba(),
    )
    loaded = load_probe(tmp_path / "logistic")
    assert (loaded.l2_, loaded.converged_) == (0.01, True)
    with pytest.raises(InputError, match="has not kept its rows"):
        loaded.predict_train_proba()


@pytest.mark.filterwarnings("ignore:TopoFilter's component step")
def test_a_filter_keeps_its_masks(tmp_path: Path) -> None:
    fitted = TopoFilter(5, 5).fit(X, Y)
    save_probe(fitted, tmp_path / "topo")
    again = load_probe(tmp_path / "topo")
    np.testing.assert_array_equal(again.keep_mask_, fitted.keep_mask_)
    assert (again.zeta_, again.zeta) == (fitted.zeta_, None)


def test_names_of_columns_are_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    save_probe(MassMeanProbe().fit(frame, Y), tmp_path / "probe")
    again = load_probe(tmp_path / "probe")
    with pytest.raises(InputError, match="feature names"):
        again.predict(frame[list("badc")])


@pytest.mark.parametrize(
    "damage", ["no json", "no arrays", "not json", "other format", "other probe"]
)
def test_bad_folders_are_refused(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "probe"
    save_probe(MassMeanProbe().fit(X, Y), folder)
    record = json.loads((folder / "probe.json").read_text())
    if damage == "no json":
        (folder / "probe.json").unlink()
    elif damage == "no arrays":
        (folder / "probe.safetensors").write_bytes(b"nothing")
    elif damage == "not json":
        (folder / "probe.json").write_text("{")
    elif damage == "other format":
        (folder / "probe.json").write_text(json.dumps({**record, "format": 9}))
    else:
        (folder / "probe.json").write_text(json.dumps({**record, "probe": "SVC"}))
    with pytest.raises(InputError, match="probe"):
        load_probe(folder)


def test_unfitted_and_foreign_probes_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not fitted"):
        save_probe(KNNProbe(), tmp_path / "probe")
    with pytest.raises(InputError, match="cannot save a int"):
        save_probe(3, tmp_path / "probe")
    assert not list(tmp_path.iterdir())
    save_probe(MassMeanProbe().fit(X, Y), tmp_path / "probe")
    with pytest.raises(OutputError, match="exists"):
        save_probe(MassMeanProbe().fit(X, Y), tmp_path / "probe")


def test_a_probe_remembers_where_its_activations_come_from(tmp_path: Path) -> None:
    store = complete(tmp_path / "store")
    probe = MassMeanProbe().fit(X, Y)
    save_probe(probe, tmp_path / "probe", origin=store.origin(3))
    assert isinstance(load_probe(tmp_path / "probe", origin=store.origin(3)), MassMeanProbe)
    assert isinstance(load_probe(tmp_path / "probe"), MassMeanProbe)
    with pytest.raises(InputError, match=r"activations with layer 0 .*Allowed: layer 3, as fitted"):
        load_probe(tmp_path / "probe", origin=store.origin(0))
    other = {**store.origin(3), "position": "mean", "chat_template": "abc"}
    with pytest.raises(InputError, match=r"position 'mean'; chat_template 'abc'"):
        load_probe(tmp_path / "probe", origin=other)
    save_probe(probe, tmp_path / "unknown")
    with pytest.raises(InputError, match="saved without its origin"):
        load_probe(tmp_path / "unknown", origin=store.origin(3))


def test_card_and_rows_go_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="go together"):
        save_probe(MassMeanProbe().fit(X, Y), tmp_path / "probe", rows=CARD_ROWS)
    assert not list(tmp_path.iterdir())


def test_a_card_is_kept_as_json_and_for_people(tmp_path: Path) -> None:
    origin = complete(tmp_path / "store").origin(3)
    folder = tmp_path / "probe"
    save_probe(MassMeanProbe().fit(X, Y), folder, origin=origin, card=CARD, rows=CARD_ROWS)
    card, rows = load_card(folder)
    assert card == CARD
    assert rows.ids.tolist() == CARD_ROWS.ids.tolist()
    assert load_origin(folder) == json.loads(json.dumps(origin))
    stored = json.loads((folder / "probe.json").read_text())["card"]
    assert stored["evaluation"]["auc"] == 0.9
    assert "| AUC | 0.900 | 0.850 to 0.940 |" in (folder / "README.md").read_text()
    load_probe(folder, origin=origin)


@pytest.mark.parametrize("damage", ["no card", "no rows", "bad card", "no probe"])
def test_cards_that_cannot_be_read(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "probe"
    save_probe(MassMeanProbe().fit(X, Y), folder, card=CARD, rows=CARD_ROWS)
    record = json.loads((folder / "probe.json").read_text())
    if damage == "no card":
        del record["card"]
    elif damage == "no rows":
        (folder / "rows.parquet").unlink()
    elif damage == "bad card":
        record["card"]["evaluation"]["auc"] = "high"
    else:
        record["format"] = 9
    (folder / "probe.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"without a card|cannot read its card|of format 9"):
        load_card(folder)
    assert load_origin(folder) is None if damage != "no probe" else True


def test_fields_of_later_cards_are_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "probe"
    save_probe(MassMeanProbe().fit(X, Y), folder, card=CARD, rows=CARD_ROWS)
    record = json.loads((folder / "probe.json").read_text())
    record["card"]["later"] = 1
    (folder / "probe.json").write_text(json.dumps(record))
    assert load_card(folder)[0] == CARD
