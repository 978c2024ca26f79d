"""preregistration.json: any change of its content is noticed."""

import json
from pathlib import Path

import pytest

from tests.reporting.cases import declaration
from w2sprobe.declaration import PREREGISTRATION, Declaration
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import sha256_json


def test_a_declaration_is_read_back(tmp_path: Path) -> None:
    assert Declaration.read(tmp_path) is None
    declared = declaration()
    declared.write(tmp_path)
    assert Declaration.read(tmp_path) == declared
    held = json.loads((tmp_path / PREREGISTRATION).read_text())
    assert held == declared.held
    (tmp_path / PREREGISTRATION).write_text(json.dumps(held))  # spaces are not content
    assert Declaration.read(tmp_path) == declared


def test_the_hash_follows_the_content() -> None:
    assert declaration().sha256 == declaration().sha256
    assert declaration(alpha=0.1).sha256 != declaration().sha256


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Students gain.", "Students lose."),
        ('"alpha": 0.05', '"alpha": 0.1'),
        (declaration().sha256, "0" * 64),
    ],
    ids=["hypothesis", "number", "hash"],
)
def test_any_change_is_noticed(before: str, after: str, tmp_path: Path) -> None:
    declaration().write(tmp_path)
    file = tmp_path / PREREGISTRATION
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    with pytest.raises(InputError, match="was changed after it was written"):
        Declaration.read(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 1}'])
def test_a_damaged_file_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / PREREGISTRATION).write_text(content)
    with pytest.raises(InputError, match=f"cannot read the pre-registration.*{PREREGISTRATION}"):
        Declaration.read(tmp_path)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    content = declaration().model_dump(mode="json") | {"later": 1}
    held = {"sha256": sha256_json(content), "content": content}
    (tmp_path / PREREGISTRATION).write_text(json.dumps(held))
    with pytest.raises(InputError, match="is not of this version of w2sprobe"):
        Declaration.read(tmp_path)
