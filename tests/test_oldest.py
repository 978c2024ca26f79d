"""`make test-oldest` runs with the versions that setup.py declares, not with others."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
# built with CUDA or not, needs a GPU, and needs a cluster
ELSEWHERE = {"torch", "faiss-gpu", "faiss-gpu-cuvs", "ray"}


def test_oldest_versions_are_those_declared() -> None:
    text = (ROOT / "setup.py").read_text()
    tools_left_out = re.sub(r'"dev": \[.*?\n    \]', "", text, flags=re.DOTALL)
    declared = dict(re.findall(r'"([\w-]+)(?:\[\w+\])?>=([\d.]+)"', tools_left_out))
    assert len(declared) > 25
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "tests/oldest.txt").read_text(), re.M))
    tested = {name: pins.get(name) for name in declared if name not in ELSEWHERE}
    assert tested == {name: declared[name] for name in tested}
