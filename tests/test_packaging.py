"""What is built from the checkout, and what is said about it."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
import yaml

import w2sprobe

ROOT = Path(__file__).parents[1]
# built or cached beside the sources, in no git
NOT_OURS = re.compile(
    r"(^|/)(__pycache__|\.git|\.venv[^/]*|build|dist|[^/]+\.egg-info|\.[a-z_]+_cache"
    r"|\.hypothesis)(/|$)|^cache/(?!README)|^uv\.lock$"
)


def sources() -> set[str]:
    """All files of the checkout."""
    found: set[str] = set()
    for folder in (".", ".ci", ".github", "benchmarks", "cache", "docs", "tests", "w2sprobe"):
        walk = (ROOT / folder).glob("*" if folder == "." else "**/*")
        found |= {str(path.relative_to(ROOT)) for path in walk if path.is_file()}
    return {name for name in found if not NOT_OURS.search(name)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both distributions, the wheel built from the other one."""
    place = tmp_path_factory.mktemp("built")
    for name in sources():
        (place / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "checkout" / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", place, "checkout"]
    done = subprocess.run(
        command,
        cwd=place,
        env={"PATH": ""},  # PYTHONDONTWRITEBYTECODE would be warned of
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not re.search("warning|deprecat", done.stdout + done.stderr, re.IGNORECASE)
    return place


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {name for name in sources() if name.startswith("w2sprobe/")}
    assert {"w2sprobe/py.typed", "w2sprobe/comparison/published.json"} <= held
    assert "w2sprobe/experiments/presets/demo.yaml" in held


def test_the_source_distribution_holds_the_checkout(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        held = {name.name.partition("/")[2] for name in opened.getmembers() if name.isfile()}
    assert not sources() - held, "MANIFEST.in leaves them out"
    made = {name for name in held - sources() if ".egg-info/" not in name}
    assert made == {"PKG-INFO", "setup.cfg"}


def test_the_version_is_written_once(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    inside = zipfile.ZipFile(wheel)
    (name,) = (name for name in inside.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = message_from_string(inside.read(name).decode())
    assert metadata["Version"] == w2sprobe.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    pattern = re.compile(rf"version.{{0,6}}{re.escape(w2sprobe.__version__)}\b")
    places = {
        place
        for place in sources()
        if place.endswith((".py", ".toml", ".cff", ".yml", "Makefile"))
        and not place.startswith("tests/")
        and pattern.search((ROOT / place).read_text())
    }
    assert places == {"w2sprobe/__init__.py"}


def test_the_changelog_begins_with_what_is_unreleased_then_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1:2] in ([], [w2sprobe.__version__])  # no release yet, or the newest


def test_the_citation_can_be_read() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == "Apache-2.0"
    assert all({"type", "title", "authors"} <= set(one) for one in citation["references"])


def test_the_workflow_runs_what_ci_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = workflow["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["bash .ci/run"]
