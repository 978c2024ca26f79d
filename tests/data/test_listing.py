from pathlib import Path

import pytest

from tests.data.hub_rows import write_mirror
from w2sprobe.data.bigbench_curated import CURATED
from w2sprobe.data.hub import MIRROR
from w2sprobe.data.listing import known_tasks
from w2sprobe.data.registry import HUB_TASKS


def test_all_tasks_and_where_their_rows_are(
    bigbench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR, str(tmp_path / "mirror"))
    write_mirror(tmp_path / "mirror", "google/boolq")
    listed = {task["name"]: task for task in known_tasks()}
    assert list(listed) == [*HUB_TASKS, *(f"bigbench:{name}" for name in CURATED)]
    assert listed["boolq"] == {
        "name": "boolq",
        "source": "google/boolq",
        "rows": 12_697,
        "positive class": "yes",
        "offline": "mirror",
    }
    assert listed["sst2"]["offline"] == ""
    assert listed["bigbench:strategyqa"]["offline"] == "fetched"
