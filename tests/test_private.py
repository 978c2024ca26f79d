"""Private modules and names stay inside their room: a subpackage, or a module of the top level."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def private_imports(path: Path, source: str) -> Iterator[str]:
    """Imports of private names from another room, as they would stand in an error."""
    room = path.relative_to(ROOT).with_suffix("").parts[:2]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("w2sprobe"):
            continue
        for alias in node.names:
            parts = (*str(node.module).split("."), alias.name)
            private = [p for p in parts if p.startswith("_") and not p.startswith("__")]
            if private and parts[:2] != room:
                yield f"{path.relative_to(ROOT)}:{node.lineno} imports {'.'.join(parts)}"


def test_no_private_name_is_imported_from_another_room() -> None:
    files = [*(ROOT / "w2sprobe").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert len(files) > 100
    found = [line for path in files for line in private_imports(path, path.read_text("utf-8"))]
    assert found == []


def test_the_test_above_can_fail() -> None:
    source = "def f():\n    from w2sprobe.probes._newton import minimise\n"
    assert [*private_imports(ROOT / "w2sprobe/cli/probe.py", source)]
    assert not [*private_imports(ROOT / "w2sprobe/probes/logistic.py", source)]
    assert [*private_imports(ROOT / "w2sprobe/cli/probe.py", "from w2sprobe.data.files import _x")]
