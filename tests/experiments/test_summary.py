"""PGR by a method's own ceiling, and means over nested runs, from made-up predictions."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from w2sprobe.comparison import read_scores
from w2sprobe.experiments.result_files import write_study
from w2sprobe.experiments.summary import Scored, recovered, scores_of, summarise
from w2sprobe.metrics import BootstrapPGR, ScoredRun, bootstrap_pgr
from w2sprobe.results import ResultRow, Results, StudyResults, SummaryRow

N = 300
TRUTH = np.arange(N) % 2
OWN = "logistic_probe_on_truth"
SKILL = {"weak": 0.6, "ceiling": 2.4, "student": 1.2, "logistic_probe": 1.1, OWN: 1.7}
CEILINGS = {"logistic_probe": OWN, "knn_probe": "knn_probe_on_truth"}  # kNN is not run
LIMITS = {"min_gap": 0.03, "min_gap_se": 4.0}
OWN_FIELDS = ("own_gap", "own_gap_se", "own_gap_interval", "own_pgr", "own_pgr_interval")


def predictions(seed: int, methods: Iterable[str] = SKILL) -> dict[str, np.ndarray]:
    """Scores of the same test rows in every run, whichever methods are asked for."""
    made = {}
    for number, (name, skill) in enumerate(SKILL.items()):
        noise = np.random.default_rng([seed, number]).normal(size=N)
        made[name] = 1 / (1 + np.exp(-skill * (TRUTH - 0.5) - noise))
    return {name: made[name] for name in methods}


def run(
    cut: int | None = 0,
    weak: int | None = 0,
    strong: int | None = 0,
    methods: Sequence[str] = tuple(SKILL),
    ceilings: dict[str, str] = CEILINGS,
    seed: str = "",
) -> Scored:
    """One run; None: the section of the config has no seed."""
    scores = predictions(100 * (cut or 0) + 10 * (weak or 0) + (strong or 0), methods)
    sections = {
        name: {} if value is None else {"seed": value}
        for name, value in (("task", cut), ("weak", weak), ("strong", strong))
    }
    ids = np.array([f"r{row}" for row in range(N)])
    found = recovered([ScoredRun(TRUTH, scores, rows=ids)], LIMITS, ceilings)
    results = Results(
        name="made-up",
        task="t",
        weak_model="w",
        strong_model="s",
        seed=seed or f"cut{cut}-weak{weak}-strong{strong}",
        gap=found["ceiling"].auc.gap,
        gap_se=found["ceiling"].auc.gap_se,
        rows_needed=None,
        layer=1,
        splits={"test": N},
        dropped={},
        truncated={},
        rows=tuple(
            ResultRow(method=name, rows_offered=1, rows_kept=1, seconds=0.0, **scores_of(one))
            for name, one in found.items()
        ),
        ceilings=ceilings,
        stages={},
        config={**sections, **LIMITS},
        versions={},
    )
    return Scored(results, ids, TRUTH, None, scores)


def by_own(row: ResultRow | SummaryRow, expected: BootstrapPGR) -> None:
    """Compare a row with what `bootstrap_pgr` says of weak model, method and own ceiling."""
    values = (row.own_gap, row.own_gap_se, row.own_pgr)
    assert values == pytest.approx((expected.gap, expected.gap_se, expected.pgr))
    assert row.own_gap_interval == pytest.approx(expected.gap_interval)
    assert row.own_pgr_interval == pytest.approx(expected.pgr_interval)
    assert row.own_resolved == expected.resolved


def test_a_run_has_both_ceilings() -> None:
    one = run()
    scores = one.predictions
    rows = {row.method: row for row in one.results.rows}
    probe = rows["logistic_probe"]
    assert probe.own_ceiling == OWN
    by_own(probe, bootstrap_pgr(TRUTH, scores["weak"], scores["logistic_probe"], scores[OWN]))
    published = bootstrap_pgr(TRUTH, scores["weak"], scores["logistic_probe"], scores["ceiling"])
    assert probe.pgr == pytest.approx(published.pgr)
    assert probe.pgr_interval == pytest.approx(published.pgr_interval)
    assert probe.own_pgr is not None
    assert probe.pgr is not None
    assert probe.own_pgr > probe.pgr + 0.05
    for name in ("student", "weak", "ceiling", OWN):
        assert rows[name].own_ceiling == ""
        assert {getattr(rows[name], field) for field in (*OWN_FIELDS, "own_resolved")} == {None}


def test_a_ceiling_that_failed_is_passed_over() -> None:
    one = run(methods=["weak", "ceiling", "logistic_probe"])
    assert [(row.own_ceiling, row.own_pgr) for row in one.results.rows] == [("", None)] * 3


def test_nested_runs_have_the_factors_of_their_config() -> None:
    runs = [run(0, weak, strong) for weak in range(3) for strong in range(2)]
    (row,) = (row for row in summarise(runs) if row.method == "logistic_probe")
    assert (row.n_seeds, row.n_cuts, row.n_supervisor_seeds, row.n_learner_seeds) == (6, 1, 3, 2)
    arrays = {
        name: np.stack([one.predictions[name] for one in runs]).reshape(3, 2, N) for name in SKILL
    }
    expected = bootstrap_pgr(TRUTH, arrays["weak"], arrays["logistic_probe"], arrays[OWN])
    by_own(row, expected)
    assert expected.gap_estimate.parts[1][1] == 2  # supervisors are the independent runs


def test_cuts_of_supervisors_without_a_seed_are_runs() -> None:
    runs = [run(cut, None, 0) for cut in range(4)]
    assert {one.results.seeds[1:] for one in runs} == {(0, 0)}
    (row,) = (row for row in summarise(runs) if row.method == "logistic_probe")
    assert (row.n_cuts, row.n_supervisor_seeds, row.n_learner_seeds) == (4, 1, 1)
    truth = np.tile(TRUTH, (4, 1))
    arrays = {name: np.stack([one.predictions[name] for one in runs]) for name in SKILL}
    rows = np.tile(runs[0].ids, (4, 1))
    by_own(
        row,
        bootstrap_pgr(truth, arrays["weak"], arrays["logistic_probe"], arrays[OWN], rows=rows),
    )


def test_own_ceilings_count_in_the_runs_that_have_them() -> None:
    without = tuple(name for name in SKILL if name != OWN)
    runs = [run(weak=0), run(weak=1, methods=without), run(weak=2), run(weak=3, ceilings={})]
    rows = {row.method: row for row in summarise(runs)}
    probe = rows["logistic_probe"]
    assert (probe.n_seeds, rows[OWN].n_seeds, probe.own_ceiling) == (4, 3, OWN)

    def stacked(name: str, places: Sequence[int]) -> np.ndarray:
        return np.stack([runs[place].predictions[name] for place in places])

    some, all_runs = (0, 2, 3), range(4)
    own = (stacked(name, some) for name in ("weak", "logistic_probe", OWN))
    by_own(probe, bootstrap_pgr(TRUTH, *own))
    published = (stacked(name, all_runs) for name in ("weak", "logistic_probe", "ceiling"))
    assert probe.pgr == pytest.approx(bootstrap_pgr(TRUTH, *published).pgr)


def test_results_of_versions_without_own_ceilings_are_read_and_summarised() -> None:
    one = run()
    old: dict[str, Any] = json.loads(one.results.model_dump_json())
    for row in old["rows"]:
        for name in (*OWN_FIELDS, "own_ceiling", "own_resolved"):
            del row[name]
    del old["ceilings"]
    bare = Scored(Results.model_validate(old), one.ids, one.labels, None, one.predictions)
    assert {row.own_pgr for row in bare.results.rows} == {None}
    now, then = ({row.method: row.pgr for row in summarise([each])} for each in (one, bare))
    assert now == then


def test_the_table_of_scores_has_own_ceilings(tmp_path: Path) -> None:
    runs = [run(cut, None, 0, seed=f"cut{cut}") for cut in range(2)]
    study = StudyResults(
        name="made-up",
        experiments=("0", "1"),
        summary=tuple(summarise(runs)),
        failures=(),
        config={},
        versions={},
    )
    write_study(study, [one.results for one in runs], tmp_path)
    assert StudyResults.read(tmp_path / "study.json") == study
    header, *lines = (tmp_path / "scores.csv").read_text().replace('"', "").splitlines()
    table = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    for one, cut in zip(runs, "01", strict=True):
        rows = {row["method"]: row for row in table if row["seed"] == f"cut{cut}"}
        probe = next(row for row in one.results.rows if row.method == "logistic_probe")
        said = rows["logistic_probe"]
        assert (said["own_ceiling"], float(said["own_pgr"])) == (OWN, probe.own_pgr)
        assert said["own_resolved"] == str(probe.own_resolved).lower()
        assert (said["split_seed"], said["weak_seed"], said["strong_seed"]) == (cut, "0", "0")
        assert rows["student"]["own_ceiling"] == rows["student"]["own_pgr"] == ""
    assert {score.own_ceiling for score in read_scores(tmp_path)} == {"", OWN}
