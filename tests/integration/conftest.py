import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.forks import FORKS
from w2sprobe.assets import is_fetched
from w2sprobe.cli import main

OUTPUTS = ("stdout", "stderr")


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

    def run_forked(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same without a start of Python, for commands that end where others begin."""
        with tempfile.TemporaryDirectory() as output:
            process = FORKS.Process(
                target=_command, args=(self.folder, Path(output), arguments, dict(os.environ))
            )
            process.start()
            process.join()
            assert process.exitcode is not None
            out, err = ((Path(output) / name).read_text() for name in OUTPUTS)
        return subprocess.CompletedProcess(arguments, process.exitcode, out, err)

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


def _command(
    folder: Path, output: Path, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    for number, name in enumerate(OUTPUTS, start=1):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ |= {**environment, "W2SPROBE_CACHE": str(folder / "cache")}
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    sys.argv = ["w2sprobe", *arguments]
    main()


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
