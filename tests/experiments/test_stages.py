from pathlib import Path

import pytest

from w2sprobe.experiments.stages import Stage


def stage(home: Path, params: dict, inputs: dict | None = None, fails: bool = False) -> Stage:
    def run(folder: Path) -> None:
        (folder / "out.txt").write_text("half")
        if fails:
            raise RuntimeError("power cut")
        (folder / "out.txt").write_text("whole")

    return Stage("train", "a title", params, run, home, inputs or {})


def test_the_address_follows_params_and_inputs_not_titles(tmp_path: Path) -> None:
    one = stage(tmp_path, {"a": 1})
    assert one.address == stage(tmp_path / "elsewhere", {"a": 1}).address
    assert one.address != stage(tmp_path, {"a": 2}).address
    above = stage(tmp_path, {}, {"labels": one})
    assert above.address != stage(tmp_path, {}, {"labels": stage(tmp_path, {"a": 2})}).address
    assert above.address != stage(tmp_path, {}).address


def test_a_stage_is_run_once(tmp_path: Path) -> None:
    one = stage(tmp_path, {"a": 1})
    one.execute()
    (one.folder / "out.txt").write_text("mine")
    assert stage(tmp_path, {"a": 1}).execute() == 0
    assert (one.folder / "out.txt").read_text() == "mine"


def test_a_failed_stage_is_visibly_unfinished_and_starts_afresh(tmp_path: Path) -> None:
    broken = stage(tmp_path, {"a": 1}, fails=True)
    with pytest.raises(RuntimeError):
        broken.execute()
    assert not broken.done
    (broken.folder / "stray").write_text("")
    again = stage(tmp_path, {"a": 1})
    again.execute()
    assert again.done
    assert {file.name for file in again.folder.iterdir()} == {"out.txt", "stage.json"}
