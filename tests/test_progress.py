import pytest
from rich.console import Console

from w2sprobe import progress
from w2sprobe.progress import progress_bar


def test_nothing_is_shown_where_stderr_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar("rows", 3) as advance:
        advance(2)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_sees_description_and_count_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        progress, "Console", lambda **options: Console(force_terminal=True, width=100, **options)
    )
    with progress_bar("rows of layer 7", 3) as advance:
        advance(2)
    shown = capsys.readouterr()
    assert "rows of layer 7" in shown.err
    assert "2/3" in shown.err
    assert shown.out == ""
