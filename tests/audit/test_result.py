from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.audit.cases import make_audit, make_duplicates
from w2sprobe.audit import Audit, Finding
from w2sprobe.errors import InputError


def test_an_audit_is_read_as_it_was_written(tmp_path: Path) -> None:
    audit = make_audit()
    audit.write(tmp_path / "audit.json")
    assert Audit.read(tmp_path / "audit.json") == audit


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    for name in ("other.json", "missing.json"):
        with pytest.raises(InputError, match=f"cannot read audit .*{name}"):
            Audit.read(tmp_path / name)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        make_audit(extra=1)


def test_warnings_leave_an_audit_clean() -> None:
    warning = Finding(kind="suffix", level="warning", message="An ending.")
    assert make_audit(findings=(warning,)).clean
    assert not make_audit().clean


def test_val_is_no_training_split() -> None:
    names = ("weak_train__test", "strong_train__test", "val__test", "weak_train__strong_train")
    between = make_duplicates(**dict.fromkeys(names, 1)).between
    assert [cross.reaches_test for cross in between] == [True, True, False, False]
