"""Variances that are measured in earlier results."""

import math
from pathlib import Path

import numpy as np
import pytest

from w2sprobe.errors import InputError
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.design import family_of
from w2sprobe.experiments.methods import METHODS
from w2sprobe.experiments.pilots import DEFAULTS, measure
from w2sprobe.results import Results

REPRODUCTION = Path(__file__).parents[2] / "docs/reproduction/version0/results"


def test_defaults_are_what_the_reproduction_measures() -> None:
    methods = StudyConfig.model_validate(
        {"name": "x", "task": {"name": "x"}, "weak": {"model": "x"}, "strong": {"model": "x"}}
        | {"methods": list(METHODS)}
    )
    family, _ = family_of(methods)
    found = measure([REPRODUCTION], family, "student")
    assert found.source == f"pilot {REPRODUCTION}: 8 tasks, 24 runs"
    assert found.assumed == ()
    for name, value in DEFAULTS.model_dump(exclude={"source", "assumed"}).items():
        assert getattr(found, name) == pytest.approx(value, rel=0.05), name


def written(folder: Path, task: str, seed: str, gain: float, method: float) -> Path:
    """Results of one run, those of the reproduction but for two methods' scores."""
    path = REPRODUCTION / "bigbench-winowhy/minilm-l6--smollm2-135m--seed0"
    one = Results.read(path / "results.json")
    weak, ceiling, student, *_ = one.rows
    near = (gain - 0.0196, gain + 0.0196)  # SE .01
    rows = (
        weak,
        ceiling,
        student.model_copy(
            update={"auc": 0.7 + gain, "delta_auc": gain, "delta_auc_interval": near}
        ),
        student.model_copy(update={"method": "knn_probe", "auc": 0.7 + method}),
    )
    own = one.model_copy(update={"task": task, "seed": seed, "rows": rows})
    own.write(folder / f"{task}{seed}" / "results.json")
    return folder / f"{task}{seed}"


def test_variances_of_drawn_results_are_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folders = []
    for task in range(40):
        level, difference = rng.normal(0, 0.05), rng.normal(0, 0.03)
        for seed in range(4):
            gain = level + rng.normal(0, 0.02)
            folders.append(written(tmp_path, f"t{task}", str(seed), gain, gain + difference))
    found = measure(folders, ["knn_probe", "not_there"], "student")
    assert found.gain_seed_sd == pytest.approx(0.02, rel=0.15)
    assert found.gain_row_sd == pytest.approx(0.01 * math.sqrt(1000), rel=1e-3)
    assert found.gain_task_sd == pytest.approx(0.05, rel=0.25)
    assert found.method_sds == pytest.approx([0.03] * 3, rel=0.25)


def test_what_a_small_pilot_cannot_tell_is_assumed(tmp_path: Path) -> None:
    found = measure([written(tmp_path, "t", "0", 0.1, 0.1)], ["knn_probe"], "student")
    names = ("gain_task_sd", "gain_seed_sd", "gap_seed_sd", "method_sds")
    assert found.assumed == names
    assert all(getattr(found, name) == getattr(DEFAULTS, name) for name in names)
    with pytest.raises(InputError, match="no results of 'topofilter'"):
        measure([tmp_path / "t0"], [], "topofilter")
