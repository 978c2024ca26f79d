"""What reads results and stores runs where torch cannot be imported."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.experiments.cases import save_study, study
from w2sprobe.cli import root

BLOCKED = ("torch", "transformers", "peft")
PREAMBLE = f"""
import sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocker())
"""
COMMAND = "from w2sprobe.cli import main; sys.argv[0] = 'w2sprobe'; main()"
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one study, of a seed each, with every record that a report reads."""
    folder = tmp_path_factory.mktemp("results")
    save_study(folder)
    methods = ["student", "knn_filter", "logistic_relabel", "knn_probe"]
    sweep = {"layers": "mid", "ks": [1, 3], "l2s": [1e-2]}
    values = study(folder, methods=methods, sweep=sweep)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("W2SPROBE_CACHE", "cache")
        for seed in (0, 1):
            Path("study.yaml").write_text(yaml.safe_dump({**values, "seeds": [seed]}))
            shown = CliRunner().invoke(root, ["run", "study.yaml", "--out", f"seed{seed}"])
            assert shown.exit_code == 0, shown.output
    return folder


@pytest.fixture
def without_torch(place: Path) -> Callable[..., Done]:
    def start(code: str, *arguments: str) -> Done:
        return subprocess.run(
            [sys.executable, "-c", PREAMBLE + code, *arguments],
            cwd=place,
            # stores are elsewhere: only explorers are made of them, which fit probes
            env={
                **os.environ,
                "W2SPROBE_CACHE": "no-stores",
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return start


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (("report", "seed0", "--out", "report"), "report/report.html"),
        (("report", "seed0", "seed1", "--out", "both"), "both/report.html"),
        (("stats", "seed0", "seed1", "--out", "s.csv"), "s.csv"),
        (("join", "seed0", "seed1", "--out", "joined"), "joined/study.json"),
        (("store", "ls", "cache/stores"), ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_reads_results(
    without_torch: Callable[..., Done], place: Path, arguments: tuple[str, ...], file: str
) -> None:
    done = without_torch(COMMAND, *arguments)
    assert done.returncode == 0, done.stderr
    assert (place / file).exists()


def test_a_sweep_is_drawn_and_a_store_is_read(
    without_torch: Callable[..., Done], place: Path
) -> None:
    code = """
import glob, pyarrow.parquet as pq
from pathlib import Path
from w2sprobe.cache import ActivationStore
from w2sprobe.reporting.heatmaps import sweep_figure
sweep_figure(pq.read_table("seed0/sweep.parquet"), [], Path("sweep.png"))
(folder,) = glob.glob("cache/stores/*")
store = ActivationStore.open(folder)
print(store.read(store.layers[-1]).shape, store.verify())
"""
    done = without_torch(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("[]")
    assert (place / "sweep.png").is_file()


@pytest.mark.parametrize("name", BLOCKED)
def test_what_is_blocked_is_found_inside_functions(
    without_torch: Callable[..., Done], name: str
) -> None:
    """The tests above can fail."""
    done = without_torch(f"def late():\n    import {name}.nn\nlate()")
    assert done.returncode == 1
    assert f"{name} is blocked" in done.stderr


def test_a_command_that_fits_probes_does_not_start(
    without_torch: Callable[..., Done], place: Path
) -> None:
    (store,) = (place / "cache/stores").iterdir()
    labels = next((place / "cache/stages").glob("train-*/labels.parquet"))
    done = without_torch(COMMAND, "explore", str(store), "--labels", str(labels))
    assert done.returncode == 1
    assert "torch is blocked" in done.stderr
