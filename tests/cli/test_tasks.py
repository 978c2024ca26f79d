"""`w2sprobe tasks` on the small BIG-bench asset and local files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from w2sprobe.cli import root
from w2sprobe.data import Splits
from w2sprobe.errors import InputError, OutputError, UnknownName

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("W2SPROBE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("W2SPROBE_HUB_MIRROR", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))

    def invoke(*arguments: str) -> str:
        done = CliRunner().invoke(root, ["tasks", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return invoke


@pytest.fixture
def reviews(tmp_path: Path) -> str:
    lines = [f'{{"text": "review {n}", "label": {int(n % 3 == 0)}}}' for n in range(300)]
    (tmp_path / "reviews.jsonl").write_text("\n".join(lines))
    return "reviews.jsonl"


def records(output: str) -> Any:
    return json.loads(output)


def test_ls_lists_both_kinds(run: Run) -> None:
    found = {row["name"]: row for row in records(run("ls", "--json"))}
    assert found["openbookqa"]["source"] == "allenai/openbookqa"
    assert found["openbookqa"]["rows"] == 5457
    assert found["openbookqa"]["positive class"]
    assert sum(not name.startswith("bigbench:") for name in found) == 25
    assert sum(name.startswith("bigbench:") for name in found) >= 40
    assert not any(row["offline"] for row in found.values())
    shown = run("ls")
    assert all(name in shown for name in found)
    assert "0 of them available without a network" in shown


def test_ls_knows_what_is_offline(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    mirror = tmp_path / "mirror"
    for split in ("train", "validation"):
        file = mirror / f"google/boolq/data/{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (mirror / "allenai/sciq/data").mkdir(parents=True)
    (mirror / "allenai/sciq/data/train.jsonl").touch()
    monkeypatch.setenv("W2SPROBE_HUB_MIRROR", str(mirror))
    found = {row["name"]: row["offline"] for row in records(run("ls", "--json"))}
    assert found["boolq"] == "mirror"
    assert found["sciq"] == "", "its other splits are missing"


def test_show(run: Run, reviews: str) -> None:
    found = records(run("show", reviews, "--json"))
    assert found["splits"]["weak_train"] == {"label_0": 25, "label_1": 25}
    assert found["dropped"]["unused_label_0"] == 100
    assert {label: len(rows) for label, rows in found["examples"].items()} == {"0": 3, "1": 3}
    shown = run("show", reviews)
    assert found["fingerprint"] in shown
    assert "unused_label_0 100" in shown
    for row in [*found["examples"]["0"], *found["examples"]["1"]]:
        assert row["text"] in shown


def test_split_writes_what_every_command_takes(run: Run, reviews: str, tmp_path: Path) -> None:
    made = records(
        run("split", reviews, "--sizes", ".3,.3,.1,.3", "--out", "splits.parquet", "--json")
    )
    splits = Splits.read(tmp_path / "splits.parquet")
    assert made["splits"] == splits.counts()
    assert made["fingerprint"] == splits.about["fingerprint"]
    again = records(run("show", "splits.parquet", "--json"))
    assert again["splits"] == made["splits"]
    assert again["fingerprint"] == made["fingerprint"]
    prior = records(run("split", reviews, "--keep-prior", "--out", "prior.parquet", "--json"))
    assert prior["splits"]["test"] == {"label_0": 80, "label_1": 40}


def test_split_refuses_before_it_writes(run: Run, reviews: str, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match="too few rows"):
        run("split", reviews, "--sizes", "300,300,100,300", "--out", "splits.parquet")
    with pytest.raises(InputError, match=r"ends in \.parquet"):
        run("split", reviews, "--out", "splits.csv")
    assert set(tmp_path.iterdir()) == before


def test_audit_prints_and_writes(run: Run, tmp_path: Path) -> None:
    lines = ["text,label"] + [
        f"sentence {n} is {'good' if n % 2 else 'bad'},{n % 2}" for n in range(400)
    ]
    (tmp_path / "leak.csv").write_text("\n".join(lines))
    shown = run("audit", "leak.csv", "--out", "audit.json")
    assert "flagged" in shown
    written = records((tmp_path / "audit.json").read_text())
    assert written == records(run("audit", "leak.csv", "--json"))
    assert any(finding["level"] == "flag" for finding in written["findings"])


def test_mirror_needs_known_names_and_a_folder(run: Run) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'boolq'"):
        run("mirror", "bolq", "--to", "hub")
    with pytest.raises(InputError, match="W2SPROBE_HUB_MIRROR"):
        run("mirror", "boolq")


@pytest.mark.parametrize(("command", "suffix"), [("audit", ".json"), ("split", ".parquet")])
def test_places_that_are_no_file_to_write_to(
    run: Run, reviews: str, command: str, suffix: str
) -> None:
    Path(f"here{suffix}").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        run(command, reviews, "--out", f"here{suffix}")
    with pytest.raises(OutputError, match="too long"):
        run(command, reviews, "--out", f"{'x' * 300}/o{suffix}")
    with pytest.raises(InputError, match="a name that ends in"):
        run(command, reviews, "--out", "out.txt")


def test_the_rows_own_file_is_not_written_over(run: Run, reviews: str, tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text((tmp_path / reviews).read_text())
    before = own.read_text()
    with pytest.raises(InputError, match="the file of the rows themselves"):
        run("audit", "own.json", "--out", "./own.json")
    assert own.read_text() == before


def test_a_function_that_prints_and_moves_away(run: Run, tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(
        "import os\nprint('imported')\n\ndef rows():\n    print('called')\n    os.chdir('/')\n"
        "    yield from ({'text': f'row {n}', 'label': n % 2} for n in range(100))\n"
    )
    made = records(run("split", "noisy:rows", "--out", "splits.parquet", "--json"))
    assert made["splits"]["test"] == {"label_0": 20, "label_1": 20}
    assert (tmp_path / "splits.parquet").is_file()
