import re
import sys
import textwrap
from itertools import count
from pathlib import Path

import pytest

from w2sprobe.data.callables import looks_like_callable, read_callable
from w2sprobe.data.rows import SourceRows
from w2sprobe.errors import IdMismatch, InputError

NUMBERS = count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a module of the current folder that no other test has imported."""
    monkeypatch.chdir(tmp_path)
    return f"rows_of_test_{next(NUMBERS)}"


def write(module: str, code: str) -> Path:
    path = Path(module.replace(".", "/") + ".py").absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(code))
    return path


def message(spec: str) -> str:
    with pytest.raises(InputError) as error:
        read_callable(spec)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rows:load", True),
        ("my.rows:Source.load", True),
        ("_x1:f", True),
        ("rows", False),
        ("rows.csv", False),
        ("rows:", False),
        (":load", False),
        ("a:b:c", False),
        ("a..b:c", False),
        ("./rows:load", False),
        ("bigbench:multiemo/all", False),
        ("rows:load()", False),
        ("rows:1", False),
        ("", False),
    ],
)
def test_what_looks_like_a_callable(name: str, expected: bool) -> None:
    assert looks_like_callable(name) is expected
    if not expected:
        assert "module:function, as in my.rows:load" in message(name)


FULL = """
    RECORDS = [
        {"text": "a", "label": 0, "id": "x", "group": "g", "split": "train", "other": 1},
        {"text": "b", "label": True, "id": 7, "group": "h", "split": "test", "other": 2},
    ]
    COLUMNS = {name: [record[name] for record in RECORDS] for name in RECORDS[0]}
    TEXTS = {**COLUMNS, "label": [0, 1], "id": ["x", "7"]}  # as tables want it: a type a column
    class Box:
        @staticmethod
        def records():
            return RECORDS
"""
SHAPES = {
    "list": "return RECORDS",
    "generator": "yield from RECORDS",
    "tuple": "return tuple(RECORDS)",
    "mapping proxies": "import types; return map(types.MappingProxyType, RECORDS)",
    "dict of lists": "return COLUMNS",
    "dict of arrays": "import numpy; return {k: numpy.array(v) for k, v in TEXTS.items()}",
    "pandas": "import pandas; return pandas.DataFrame(TEXTS, index=[5, 5])",
    "categorical": "import pandas; return pandas.DataFrame(TEXTS).astype('category')",
    "arrow": "import pyarrow; return pyarrow.table(TEXTS)",
    "datasets": "import datasets; return datasets.Dataset.from_dict(TEXTS)",
    "chosen rows": (
        "import datasets\n"
        "        backwards = {name: column[::-1] for name, column in TEXTS.items()}\n"
        "        return datasets.Dataset.from_dict(backwards).select([1, 0])"
    ),
    "numpy format": (
        "import datasets; return datasets.Dataset.from_dict(TEXTS).with_format('numpy')"
    ),
    "streaming": (
        "import datasets; return datasets.Dataset.from_dict(TEXTS).to_iterable_dataset()"
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_reads_the_same(module: str, shape: str) -> None:
    write(module, FULL + f"\n    def load():\n        {SHAPES[shape]}\n")
    assert read_callable(f"{module}:load") == SourceRows(
        ["a", "b"],
        [0, 1],
        ["x", "7"],
        ["g", "h"],
        [False, True],
        made_of={"callable": f"{module}:load"},
    )


def test_columns_are_optional(module: str) -> None:
    write(module, "def load(n=2):\n    return [{'text': 'a', 'label': 0}] * n")
    assert read_callable(f"{module}:load") == SourceRows(
        ["a", "a"], [0, 0], made_of={"callable": f"{module}:load"}
    )


def test_dots_in_both_names(module: str) -> None:
    write(f"{module}.deep.rows", FULL)
    spec = f"{module}.deep.rows:Box.records"
    assert read_callable(spec).texts == ["a", "b"]


def test_the_path_is_as_before_and_open_while_called(module: str) -> None:
    write(f"{module}_late", "TEXT = 'late'")
    write(
        module,
        f"""
        def load():
            import {module}_late
            yield {{"text": {module}_late.TEXT, "label": 1}}
        """,
    )
    before = list(sys.path)
    assert read_callable(f"{module}:load").texts == ["late"]
    assert sys.path == before


BAD_FUNCTIONS = [
    ("X = 3", "X", ["'M:X' is a int", "Allowed: a function"]),
    ("", "load", ["no function 'load' in module 'M' (", "M.py)", "Check the name"]),
    ("def load(path, n=1): ...", "load", ["'M:load' takes arguments (path, n=1)", "a default"]),
    ("def load(): ...", "load", ["None where rows should be in M:load.", "rows as dicts"]),
    ("def load(): return 'rows.csv'", "load", ["a str where rows should be"]),
    ("def load(): return 3", "load", ["a int where rows should be"]),
    ("def load(): return []", "load", ["no rows in M:load"]),
    ("def load(): return {}", "load", ["no rows in M:load"]),
    ("def load(): return ['a', 'b']", "load", ["a str where a row", "'a' in M:load, row 1 (count"]),
    ("def load(): return [('a', 1)]", "load", ["a tuple where a row", "mappings, as in"]),
    ("def load(): return {'text': 'a', 'label': 1}", "load", ["a str where a column", "in a list"]),
    ("def load(): return {'text': ['a'], 'label': 1}", "load", ["a int where", ", column label"]),
    (
        "def load(): return {'text': ['a'], 'label': [0, 1]}",
        "load",
        ["columns of different length: {'text': 1, 'label': 2} in M:load."],
    ),
    (
        "import pandas\ndef load(): return {'a': pandas.DataFrame(), 'b': pandas.DataFrame()}",
        "load",
        ["tables 'a', 'b' where one should be in M:load", "train and test", "tables['a']"],
    ),
    ("def load(): return {'train': [], 'test': []}", "load", ["found 'train', 'test'"]),
    ("def load(): return [{'text': 'a'}]", "load", ["no column 'label' in M:load", "Rename"]),
    (
        "def load(): return [{'text': 'a', 'label': 0}, {'text': 'a', 'label': 2}]",
        "load",
        ["label is 2 in M:load, row 2 (counted from 1).", "such as 0 to 0 and 2 to 1"],
    ),
    (
        "import pandas\n"
        "def load():\n"
        "    return pandas.DataFrame({'text': ['a', float('nan')], 'label': [0, 1]})",
        "load",
        ["text is nan in M:load, row 2", "Fill the cell"],
    ),
    (
        "import pandas\n"
        "def load():\n"
        "    return pandas.DataFrame([['a', 'b', 0]], columns=['text', 'text', 'label'])",
        "load",
        ["doubled column 'text'"],
    ),
]


@pytest.mark.parametrize(("code", "name", "parts"), BAD_FUNCTIONS)
def test_bad_function(module: str, code: str, name: str, parts: list[str]) -> None:
    write(module, code)
    found = message(f"{module}:{name}")
    for part in parts:
        assert part in found.replace(module, "M")


def test_doubled_id(module: str) -> None:
    write(module, "def load(): return {'text': ['a', 'b'], 'label': [0, 1], 'id': [1, 1]}")
    with pytest.raises(IdMismatch, match=r"id '1' of .*load, row 1 .* again in .*load, row 2"):
        read_callable(f"{module}:load")


def test_no_module(module: str, tmp_path: Path) -> None:
    found = message(f"{module}:load")
    assert f"no module '{module}' in the current folder '{tmp_path}'" in found
    assert f"or the environment '{sys.prefix}'" in found
    write(f"{module}.inner", "")
    assert f"no module '{module}.absent' in" in message(f"{module}.absent:load")


RAISING = [
    ("def load():\n    raise ValueError('bad luck')", "ValueError: bad luck", 2),
    ("def load():\n    yield {'text': 'a', 'label': 0}\n    1 / 0", "ZeroDivisionError: div", 3),
    ("def load():\n    raise KeyError", "KeyError: no message", 2),
    ("import json\ndef load():\n    json.loads('{')\n", "JSONDecodeError: Expecting", 3),
    (
        "def inner():\n    raise OSError(5, 'x')\ndef load():\n    inner()\n",
        "OSError: [Errno 5]",
        2,
    ),
    ("\nimport absent_module_x\n", "ModuleNotFoundError: No module named 'absent_module_x'", 2),
    ("import sys\nsys.exit(3)\n", "SystemExit: 3", 2),
    ("x = [][1]", "IndexError: list index", 1),
]


@pytest.mark.parametrize(("code", "what", "line"), RAISING)
def test_what_raises_is_named_with_its_line(module: str, code: str, what: str, line: int) -> None:
    path = write(module, code)
    with pytest.raises(InputError) as error:
        read_callable(f"{module}:load")
    assert f"'{module}:load' raised {what}" in str(error.value)
    assert f" in {path}:{line}. Fix it there" in str(error.value)
    assert type(error.value.__cause__).__name__ == what.split(":")[0]


def test_syntax_error_tells_its_own_line(module: str) -> None:
    write(module, "\ndef load(:\n")
    assert re.search(rf"raised SyntaxError: .*\({module}\.py, line 2\)", message(f"{module}:load"))


def test_error_of_a_library_that_is_called_itself(module: str) -> None:
    assert re.search(r"'os.path:getsize' takes arguments \(filename\)", message("os.path:getsize"))
    assert re.search(r"a Random where rows should be in random:Random\.", message("random:Random"))


def test_interrupts_pass(module: str) -> None:
    write(module, "def load():\n    raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        read_callable(f"{module}:load")
