from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.fingerprint import fingerprint, fingerprint_strings, sha256_file

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.dictionaries(st.text(max_size=3), JSON))
def test_key_order_does_not_matter(value: dict) -> None:
    assert fingerprint(dict(reversed(value.items()))) == fingerprint(value)


@pytest.mark.parametrize(
    ("one", "other"), [(1, "1"), (1, 1.5), ([1, 2], [2, 1]), ({"a": 1}, {"b": 1}), (None, "null")]
)
def test_content_matters(one: object, other: object) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_cells_cannot_run_into_each_other() -> None:
    assert fingerprint_strings(["ab", "c"]) != fingerprint_strings(["a", "bc"])
    assert fingerprint_strings(["a", "b"], ["c", "d"]) != fingerprint_strings(
        ["a", "c"], ["b", "d"]
    )
    with pytest.raises(ValueError, match="shorter"):
        fingerprint_strings(["a", "b"], ["c"])


def test_file_hash(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    # FIPS 180-4, example of SHA-256
    assert sha256_file(tmp_path / "f").startswith("ba7816bf8f01cfea414140de5dae2223")
