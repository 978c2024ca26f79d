from pathlib import Path

import pytest

from tests.cache.cases import (
    IDENTITY,
    complete,
    writer,
)
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import fingerprint


def test_address_is_the_fingerprint_of_the_identity(tmp_path: Path) -> None:
    manifest = complete(tmp_path / "s").manifest
    assert manifest["identity"] == IDENTITY
    assert manifest["address"] == fingerprint(IDENTITY)
    assert manifest["runs"] == [{"layers": [0, 3], "note": 1}]


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    path = tmp_path / "s/manifest.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 1'))
    for door in (lambda: ActivationStore.open(tmp_path / "s"), lambda: writer(tmp_path / "s")):
        with pytest.raises(InputError, match="format version 1"):
            door()
