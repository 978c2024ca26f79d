import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from w2sprobe.assets import is_fetched


@dataclass(frozen=True)
class Workplace:
    """A folder with a cache of its own, and the command line run in it."""

    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "w2sprobe", *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "W2SPROBE_CACHE": str(self.folder / "cache"),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def files(self) -> dict[str, int]:
        return {
            str(path.relative_to(self.folder)): path.stat().st_mtime_ns
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="session")
def fetched() -> None:
    missing = [n for n in ("minilm-l6", "smollm2-135m", "bigbench") if not is_fetched(n)]
    if missing:
        pytest.fail(f"{missing} are needed: run `make fetch`")


@pytest.fixture(scope="session")
def smoke(fetched: None, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    place = Workplace(tmp_path_factory.mktemp("smoke"))
    done = place.run("run", "--preset", "smoke")
    assert done.returncode == 0, done.stderr
    (place.folder / "stdout.txt").write_text(done.stdout)
    return place


@pytest.fixture
def empty(fetched: None, tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)
