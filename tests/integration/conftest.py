import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.forks import call_forked, command_line
from w2sprobe.assets import is_fetched


@dataclass(frozen=True)
class Workplace:
    """A folder with a cache of its own, and the command line run in it."""

    folder: Path

    def start(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a user does: half of the time or more goes into starting Python."""
        return subprocess.run(
            [sys.executable, "-m", "w2sprobe", *arguments],
            cwd=self.folder,
            env={**self._environment(), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same in a process that has everything loaded."""
        return call_forked(command_line, self.folder, arguments, self._environment())

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

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "W2SPROBE_CACHE": str(self.folder / "cache")}


@pytest.fixture(scope="session")
def fetched() -> None:
    missing = [n for n in ("minilm-l6", "smollm2-135m", "bigbench") if not is_fetched(n)]
    if missing:
        pytest.fail(f"{missing} are needed: run `make fetch`")


@pytest.fixture(scope="session")
def smoke(fetched: None, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    place = Workplace(tmp_path_factory.mktemp("smoke"))
    done = place.start("run", "--preset", "smoke")
    assert done.returncode == 0, done.stderr
    (place.folder / "stdout.txt").write_text(done.stdout)
    return place


@pytest.fixture
def empty(fetched: None, tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)
