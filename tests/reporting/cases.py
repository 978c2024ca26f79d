"""Results as a run leaves them, from made-up scores: no models, and seconds become milliseconds."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from w2sprobe.declaration import Declaration, Design, Spread, TaskDesign
from w2sprobe.metrics import ScoredRun, recover
from w2sprobe.reporting.table import Table
from w2sprobe.results import Finding, ResultRow, Results, StudyResults, SummaryRow

METHODS = ("weak", "ceiling", "student", "knn_probe", "knn_relabel", "topofilter", "random_filter")
# how far a method's scores tell the classes apart; the ends first
SKILL = {"weak": 0.8, "ceiling": 2.2, "student": 1.4, "knn_probe": 1.5, "random_filter": 1.2}
HOSTILE = "<script>document.title='in'</script>"
N_TEST, N_TRAIN = 400, 60


def save_run(
    folder: Path,
    *,
    task: str = "reviews",
    seed: str = "",
    shift: float = 0.0,
    methods: Sequence[str] = METHODS,
    records: bool = True,
) -> Results:
    """Write one experiment: results.json, predictions.parquet and, unless told not to, records."""
    # the same rows in every seed; other scores
    truth = np.random.default_rng(7).permutation(np.arange(N_TEST) % 2)
    rng = np.random.default_rng(list(f"{task}/{seed}".encode()))
    margins = {
        name: (SKILL.get(name, 1.3) + shift * (name == "student")) * (truth - 0.5)
        + rng.normal(size=N_TEST)
        for name in methods
    }
    scores = {name: 1 / (1 + np.exp(-margin)) for name, margin in margins.items()}
    found = recover([ScoredRun(truth, scores)])
    results = Results(
        name="made-up",
        task=task,
        weak_model="small",
        strong_model="large",
        seed=seed,
        gap=found["ceiling"].gap,
        gap_se=found["ceiling"].gap_se,
        rows_needed=300,
        layer=2,
        splits={"weak_train": N_TRAIN, "strong_train": N_TRAIN, "val": 20, "test": N_TEST},
        dropped={"empty_text": 3, "repeated_text": 0},
        truncated={"weak": 0, "strong": 0},
        audit=(Finding(kind="baseline", level="flag", message=f"length alone: {HOSTILE}"),),
        rows=tuple(
            ResultRow(
                method=name,
                auc=one.student_auc,
                auc_interval=one.student_auc_interval,
                delta_auc=one.delta_auc,
                delta_auc_interval=one.delta_auc_interval,
                delta_auc_se=one.delta_estimate.se,
                delta_auc_df=one.delta_estimate.df,
                delta_auc_pvalue=one.delta_estimate.pvalue,
                pgr=one.pgr,
                pgr_interval=one.pgr_interval,
                resolved=one.resolved,
                rows_offered=N_TRAIN,
                rows_kept=N_TRAIN - 6 * name.endswith("filter"),
                seconds=1.5,
            )
            for name, one in found.items()
        ),
        indicators={"knn_agreement": float(rng.normal()), "misfit": None},
        stages={},
        config={
            "name": "made-up",
            "probes": {"n_neighbors": 10 + round(shift)},
            **{part: {"seed": int(seed or 0)} for part in ("weak", "strong")},
            "task": {"seed": 0},
        },
        versions={"w2sprobe": "0"},
        machine={"processor": "abacus"},
    )
    results.write(folder / "results.json")
    ids = [f"row {number}" for number in range(N_TEST)]
    table = pa.table({"id": ids, "label": truth, **scores})
    pq.write_table(table, folder / "predictions.parquet")
    if records:
        _save_records(folder, methods, rng)
    return results


def _save_records(folder: Path, methods: Sequence[str], rng: np.random.Generator) -> None:
    truth = np.arange(N_TRAIN) % 2
    weak = np.where(rng.random(N_TRAIN) < 0.25, 1 - truth, truth) * 0.6 + 0.2
    labels, curves = [], []
    for method in ("weak", *(name for name in methods if name.endswith(("filter", "relabel")))):
        keep = np.ones(N_TRAIN, dtype=bool)
        if method.endswith("filter"):
            keep[rng.choice(N_TRAIN, 6, replace=False)] = False
        steps = ["outside_component" if row % 2 else method for row in range(N_TRAIN)]
        soft = 1 - weak if method.endswith("relabel") else weak
        labels += [
            {
                "method": method,
                "id": f"train {row}",
                "split": "strong_train",
                "label": int(truth[row]),
                "soft_label": float(soft[row]),
                "keep": bool(keep[row]),
                "step": None if keep[row] else steps[row],
            }
            for row in range(N_TRAIN)
        ]
    for method in (name for name in methods if "probe" not in name):
        curves += [
            {
                "method": method,
                "stage": f"training of {method}",
                "epoch": float(epoch),
                "train_loss": 0.7 / epoch,
                "val_auc": 0.6 + 0.1 * epoch,
                "chosen": epoch == 2,
            }
            for epoch in (1, 2)
        ]
    sweep = [
        {
            "layer": layer,
            "probe": probe,
            "setting": setting,
            "value": value,
            "fitted_on": "weak",
            "evaluation": evaluation,
            "delta_auc_truth": float(0.1 - 0.03 * (layer - 2) ** 2 + 0.01 * rng.normal()),
        }
        for layer in range(5)
        for probe, setting, values in (("knn", "k", (1.0, 10.0)), ("logistic", "l2", (0.01, 1.0)))
        for value in values
        for evaluation in ("cross_fit", "test")
    ]
    for name, rows in (("training_labels", labels), ("training", curves), ("sweep", sweep)):
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")


def save_study(
    folder: Path,
    tasks: Sequence[str] = ("one", "two", "three"),
    seeds: Sequence[str] = ("0", "1"),
    *,
    methods: Mapping[str, Sequence[str]] | None = None,
    unresolved: Sequence[str] = (),
    records: bool = True,
) -> StudyResults:
    """Write a study: study.json, indicators.csv and a folder an experiment.

    `methods` are those of each task; the gaps of `unresolved` tasks carry no PGR.
    """
    of_task = methods or dict.fromkeys(tasks, METHODS)
    runs = {
        f"{task}/seed{seed}": save_run(
            folder / task / f"seed{seed}",
            task=task,
            seed=seed,
            methods=of_task[task],
            records=records,
        )
        for task in tasks
        for seed in seeds
    }
    study = StudyResults(
        name="made-up",
        experiments=tuple(runs),
        summary=tuple(
            _summary(
                [one for one in runs.values() if one.task == task],
                method,
                resolved=task not in unresolved,
            )
            for task in tasks
            for method in of_task[task]
        ),
        failures=(),
        config={"name": "made-up"},
        versions={"w2sprobe": "0"},
    )
    (folder / "study.json").write_text(json.dumps(study.model_dump(mode="json")))
    rows = ["task,weak_model,strong_model,seed,knn_agreement"]
    rows += [
        f"{r.task},small,large,{r.seed},{r.indicators['knn_agreement']}" for r in runs.values()
    ]
    (folder / "indicators.csv").write_text("\n".join(rows) + "\n")
    return study


def _summary(runs: Sequence[Results], method: str, *, resolved: bool) -> SummaryRow:
    """Of the seeds; intervals are those of the first."""
    rows = [row for one in runs for row in one.rows if row.method == method]

    def mean(name: str) -> Any:
        return float(np.mean([getattr(row, name) for row in rows]))

    return SummaryRow(
        task=runs[0].task,
        weak_model="small",
        strong_model="large",
        method=method,
        n_seeds=len(runs),
        gap=float(np.mean([one.gap for one in runs])),
        gap_se=runs[0].gap_se,
        rows_needed=300,
        n_test_rows=N_TEST,
        n_cuts=1,
        n_supervisor_seeds=len(runs),
        n_learner_seeds=1,
        resolved=resolved and rows[0].resolved,
        **{name: mean(name) for name in ("auc", "delta_auc", "pgr")},
        **{
            f"{name}_interval": getattr(rows[0], f"{name}_interval")
            for name in ("auc", "delta_auc", "pgr")
        },
        **{
            f"delta_auc_{name}": getattr(rows[0], f"delta_auc_{name}")
            for name in ("se", "df", "pvalue")
        },
    )


def row(method: str, auc: float, **changes: object) -> ResultRow:
    fields = {
        "method": method,
        "auc": auc,
        "auc_interval": (auc - 0.02, auc + 0.02),
        "delta_auc": auc - 0.8,
        "delta_auc_interval": (auc - 0.83, auc - 0.77),
        "pgr": (auc - 0.8) / 0.1,
        "pgr_interval": (-0.2, 0.6),
        "resolved": True,
        "rows_offered": 100,
        "rows_kept": 90,
        "seconds": 12.34,
    }
    return ResultRow(**{**fields, **changes})


def results(**changes: object) -> Results:
    rows = [
        row(name, auc, **changes)
        for name, auc in (("weak", 0.8), ("ceiling", 0.9), ("student", 0.83))
    ]
    return Results(
        name="n", task="t", weak_model="w", strong_model="s", layer=3, splits={"test": 500},
        gap=0.1, gap_se=0.0153, rows_needed=1880,
        dropped={}, truncated={}, rows=tuple(rows), stages={}, config={}, versions={},
    )  # fmt: skip


def declaration(tasks: Sequence[str] = ("a", "b", "c"), **changes: Any) -> Declaration:
    """A declaration of two methods beside the student."""
    n = len(tasks)
    design = Design(
        pairs=1,
        runs=6,
        cuts=3,
        supervisor_seeds=1,
        learner_seeds=2,
        tasks=tuple(
            TaskDesign(
                task=task,
                fingerprint=f"f-{task}",
                test_rows=1000 * number,
                detectable=0.05 / number,
                resolvable=0.06,
            )
            for number, task in enumerate(tasks, start=1)
        ),
        spread=Spread(
            source="defaults",
            gain_task_sd=0.027,
            gain_seed_sd=0.031,
            gain_row_sd=0.44,
            gap=0.1,
            gap_seed_sd=0.115,
            gap_row_sd=0.59,
            method_sds=(0.01, 0.02, 0.1),
        ),
        least_pvalue=0.25,
        least_after_holm=0.5,
        detectable_gain=0.04 if n > 1 else None,
        detectable_differences=(0.02, 0.05, 0.2) if n > 1 else None,
    )
    fields = {
        "format": 1,
        "written": "2026-01-01T00:00:00+00:00",
        "w2sprobe": "0.1.0",
        "name": "made-up",
        "hypotheses": ("Students gain.",),
        "against": "student",
        "family": ("knn_probe", "topofilter"),
        "outside": {"random_filter": "control: rows go at random"},
        "alternative": "two-sided",
        "alpha": 0.05,
        "margin": 0.01,
        "min_gap": 0.03,
        "min_gap_se": 4.0,
        "design": design,
        "warnings": (),
        "stages_done": 0,
        "stages": 20,
        "config_fingerprint": "f",
        "config": {"methods": list(METHODS)},
    }
    return Declaration.model_validate({**fields, **changes})


def printed(*tables: Table, width: int = 200) -> str:
    """What a terminal of this width shows."""
    console = Console(width=width)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
    return capture.get()
