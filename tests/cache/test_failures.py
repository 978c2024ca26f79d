import errno
from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import (
    complete,
    open_elsewhere,
    values,
    writer,
)
from w2sprobe.cache import drop_damage
from w2sprobe.errors import StoreUnavailable


def test_a_file_open_for_writing_elsewhere_is_not_called_damaged(tmp_path: Path) -> None:
    store = complete(tmp_path / "s")
    with open_elsewhere(tmp_path / "s/shards/00001.h5"):
        with pytest.raises(StoreUnavailable, match="open for writing by another process") as caught:
            store.read(0)
        assert "00001.h5" in str(caught.value)
        (problem,) = store.verify()
        for said in (str(caught.value), problem):
            assert "damage" not in said
            assert "repair" not in said
        np.testing.assert_array_equal(store.read(0, [0, 9]), values("float32")[0][[0, 9]])
    with open_elsewhere(tmp_path / "s/activations.h5"):
        (problem,) = store.verify()
        assert "open for writing by another process" in problem
        assert "activations.h5" in problem


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.EMFILE, "Too many open files"),
        BlockingIOError(errno.EAGAIN, "unable to lock file"),
    ],
)
def test_errors_of_the_operating_system_are_not_called_damage(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = complete(tmp_path / "s")

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("h5py.File", refuse)
    with pytest.raises(StoreUnavailable) as caught:
        store.read(0)
    assert "repair" not in str(caught.value)
    assert all("damage" not in problem for problem in store.verify())
    with pytest.raises(StoreUnavailable):
        drop_damage(tmp_path / "s")
    with pytest.raises(StoreUnavailable):  # or its layers would be written anew
        writer(tmp_path / "s", layers=(0, 3, 5)).missing()
    assert len(list((tmp_path / "s/shards").iterdir())) == 3
