import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from w2sprobe.atomic import atomic_folder, atomic_path, check_writable, make_folder, write_json
from w2sprobe.errors import OutputError


def test_a_failed_write_leaves_the_old_file_and_no_stray(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert path.read_text() == '{\n  "old": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_nan_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert not list(tmp_path.iterdir())


def test_files_get_ordinary_permissions(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    (tmp_path / "b.json").write_text("1")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b.json").stat().st_mode


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "f") as temporary:
        (temporary / "x").write_text(f"{1 / 0}")
    assert not list(tmp_path.iterdir())
    with atomic_folder(tmp_path / "f") as temporary:
        (temporary / "x").write_text("1")
    assert (tmp_path / "f" / "x").read_text() == "1"
    with pytest.raises(OutputError, match="exists"), atomic_folder(tmp_path / "f"):
        pass


def test_a_kill_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, "old")
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from w2sprobe.atomic import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == '"old"\n'


def test_paths_that_cannot_become_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for check in (check_writable, make_folder):
        with pytest.raises(OutputError, match="file"):
            check(tmp_path / "file" / "sub")
    check_writable(tmp_path / "new" / "deep")
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission"):
        check_writable(tmp_path / "new")
