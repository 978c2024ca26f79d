"""The diffs of the guide to extensions apply to the package, and what they add works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.conftest import write_reviews
from tests.docs.pages import ROOT, blocks
from w2sprobe.results import Results

PAGE = "docs/howto/extend.md"
SMALL = {"sizes": {"weak_train": 24, "strong_train": 60, "val": 10, "test": 40}}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with all diffs applied; of the tests only those that they add."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "w2sprobe", folder / "w2sprobe")
    shutil.copy(ROOT / "pyproject.toml", folder)
    diffs = blocks(PAGE, "diff")
    assert len(diffs) == 3
    for diff in diffs:
        patch(folder, diff)
    return folder


def patch(folder: Path, diff: str) -> None:
    """Apply a unified diff; what a hunk replaces must be there, once."""
    for part in re.split(r"^--- .*\n", diff, flags=re.MULTILINE)[1:]:
        name, *hunks = re.split(r"^@@ .*\n", part, flags=re.MULTILINE)
        path = folder / name.strip().removeprefix("+++ b/")
        text = path.read_text() if path.exists() else ""
        for hunk in hunks:
            old, new = (
                "".join(line[1:] or "\n" for line in hunk.splitlines(True) if line[0] != other)
                for other in "+-"
            )
            assert text.count(old) == 1 if old else not text, f"{path.name}: {old}"
            text = text.replace(old, new) if old else new
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run(folder: Path, package: Path, *arguments: str, home: Path | None = None) -> str:
    """Run a module of Python with the extended package."""
    environment = {**os.environ, "PYTHONPATH": str(package)}
    if home is not None:
        environment["W2SPROBE_HOME"] = str(home)
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_diff_touches_one_file_and_adds_its_test() -> None:
    for diff in blocks(PAGE, "diff"):
        changed = [line for line in diff.splitlines() if line.startswith("+++ b/")]
        assert [line.split("/")[1] for line in changed].count("w2sprobe") == 1
        assert len(changed) == 2


def test_their_tests_pass(extended: Path) -> None:
    summary = run(extended, extended, "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert "4 passed" in summary


def test_a_study_names_them_all(extended: Path, tiny_home: Path, tmp_path: Path) -> None:
    (config,) = blocks(PAGE, "yaml")
    study = yaml.safe_load(config)
    study["task"] |= SMALL
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(study))
    write_reviews(tmp_path / "reviews.csv")
    run(tmp_path, extended, "w2sprobe", "run", "own.yaml", home=tiny_home)
    results = Results.read(tmp_path / "results/own/results.json")
    assert {*study["methods"], "ridge_probe_on_truth"} <= {row.method for row in results.rows}
    assert results.weak_model == "8 words"
