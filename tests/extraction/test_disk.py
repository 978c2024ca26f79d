from pathlib import Path

import pytest

from w2sprobe.errors import OutputError
from w2sprobe.extraction import disk
from w2sprobe.extraction.disk import SPARE_BYTES, check_disk, free_bytes


def test_free_space_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not/yet/there") > 0


def test_too_little_space_is_refused_with_both_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda _: SPARE_BYTES + 10**9)
    check_disk(tmp_path, 10**9)
    with pytest.raises(OutputError, match=r"needs 1\.00 GB, 1\.07 GB are free .*--layers"):
        check_disk(tmp_path, 10**9 + 1)
