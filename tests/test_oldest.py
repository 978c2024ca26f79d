"""`make test-oldest` runs with the versions that pyproject.toml declares, not with others."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
# built with CUDA or not, needs a GPU, needs a cluster, and need later versions of other packages
ELSEWHERE = {"torch", "faiss-gpu", "faiss-gpu-cuvs", "ray", "inspect_ai", "trackio"}


def test_oldest_versions_are_those_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    tools_left_out = [extras[name] for name in extras if name != "dev"]
    text = "\n".join(sum(tools_left_out, project["dependencies"]))
    declared = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?>=([\d.]+)$", text, re.MULTILINE))
    assert len(declared) > 25
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "tests/oldest.txt").read_text(), re.M))
    tested = {name: pins.get(name) for name in declared if name not in ELSEWHERE}
    assert tested == {name: declared[name] for name in tested}
