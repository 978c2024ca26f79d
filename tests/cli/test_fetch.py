"""`w2sprobe fetch`; what fetching does is tested in tests/test_assets.py."""

import json
from pathlib import Path

import pytest

from tests.cli.cases import invoke, run
from w2sprobe.assets import GROUPS
from w2sprobe.cli import fetch
from w2sprobe.errors import UnknownName


@pytest.fixture(autouse=True)
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Assets that would be downloaded, and whether their terms were accepted."""
    calls: list[tuple[str, bool]] = []

    def record(name: str, *, accept_license: bool) -> Path:
        calls.append((name, accept_license))
        return Path("home") / name

    monkeypatch.setattr(fetch, "fetch", record)
    monkeypatch.setattr(fetch, "is_fetched", lambda name: name == "bigbench")
    return calls


def test_a_group_is_fetched_once_with_what_was_named_beside_it(
    fetched: list[tuple[str, bool]],
) -> None:
    shown = run("fetch", "minilm-l6", "demo")
    assert [name for name, _ in fetched] == list(GROUPS["demo"])
    assert "minilm-l6: fetched to home/minilm-l6" in shown
    assert "bigbench: already in home/bigbench" in shown


def test_json_has_the_folders(fetched: list[tuple[str, bool]]) -> None:
    folders = json.loads(run("fetch", "gemma3-270m", "--accept-license", "--json"))
    assert folders == {"gemma3-270m": "home/gemma3-270m"}
    assert fetched == [("gemma3-270m", True)]


def test_nothing_is_fetched_if_a_name_is_unknown(fetched: list[tuple[str, bool]]) -> None:
    done = invoke("fetch", "bigbench", "smollm2-135")
    assert isinstance(done.exception, UnknownName)
    assert "Did you mean 'smollm2-135m'" in str(done.exception)
    assert fetched == []
