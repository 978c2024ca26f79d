"""Runs a plan's stages one after the other and scores the methods."""

import importlib.metadata
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from w2sprobe import __version__
from w2sprobe.atomic import atomic_path
from w2sprobe.audit import Audit
from w2sprobe.experiments.plan import Plan
from w2sprobe.experiments.stages import RECORD, Stage
from w2sprobe.experiments.steps import AUDIT, CURATION, label_file, stopped
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import bootstrap_pgr
from w2sprobe.results import ResultRow, Results

RESULTS = "results.json"
CONFIG = "config.yaml"
SPLITS = "splits.parquet"
PACKAGES = ("torch", "transformers", "peft", "numpy", "scikit-learn", "h5py")

Report = Callable[[int, Stage, float | None], None]


def run_plan(plan: Plan, out: Path, report: Report = lambda *_: None) -> Results:
    """Execute what is missing, score every method, write results, config, splits and audit.

    Parameters
    ----------
    plan : Plan
    out : Path
        Folder of `results.json`, `config.yaml`, `splits.parquet` and `audit.json`.
    report : callable, optional
        Called as `report(number, stage, None)` before a stage and with its seconds after it; only
        for stages that are not done.

    Returns
    -------
    Results
    """
    for number, stage in enumerate(plan.stages, start=1):
        if not stage.done:
            report(number, stage, None)
            report(number, stage, stage.execute())
    results = collect(plan)
    plan.splits.write(out / SPLITS)
    _audit(plan).write(out / AUDIT)
    with atomic_path(out / CONFIG) as temporary:
        text = yaml.safe_dump(results.config, sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")
    results.write(out / RESULTS)
    return results


def collect(plan: Plan) -> Results:
    """Score the methods of a plan whose stages are all done."""
    scores = {
        name: LabelTable.read(label_file(stages[-1].folder)).align(plan.splits.test.ids).soft_label
        for name, stages in plan.methods.items()
    }
    rows = tuple(_row(plan, name, scores) for name in plan.methods)
    config = plan.config
    return Results(
        name=config.name,
        task=config.task.name,
        weak_model=config.weak.model,
        strong_model=config.strong.model,
        layer=plan.layer,
        splits={name: len(rows) for name, rows in plan.splits.items()},
        dropped=plan.splits.dropped,
        truncated=plan.truncated,
        fingerprint=plan.splits.about.get("fingerprint", ""),
        audit=_audit(plan).findings,
        rows=rows,
        stages={
            stage.title: {"address": stage.address, "seconds": _record(stage)["seconds"]}
            for stage in plan.stages
        },
        config=config.model_dump(mode="json"),
        versions={
            "w2sprobe": __version__,
            "python": sys.version.split()[0],
            **{package: importlib.metadata.version(package) for package in PACKAGES},
        },
    )


def _row(plan: Plan, name: str, scores: dict[str, Any]) -> ResultRow:
    test = plan.splits.test
    result = bootstrap_pgr(
        test.labels, scores["weak"], scores[name], scores["ceiling"], groups=test.groups
    )
    stages = plan.methods[name]
    learns_from = {"weak": len(plan.splits.weak_train), "zero_shot": 0}
    offered = learns_from.get(plan.config.entries[name].predicts, len(plan.splits.strong_train))
    kept = offered
    if stages[0].kind == "curate":
        kept = json.loads((stages[0].folder / CURATION).read_text())["kept"]
    bounded = all(map(math.isfinite, result.pgr_interval))
    return ResultRow(
        method=name,
        auc=result.student_auc,
        auc_interval=result.student_auc_interval,
        delta_auc=result.delta_auc,
        delta_auc_interval=result.delta_auc_interval,
        pgr=None if math.isnan(result.pgr) else result.pgr,
        pgr_interval=result.pgr_interval if bounded else None,
        resolved=result.resolved,
        rows_offered=offered,
        rows_kept=kept,
        iterations=sum(s.kind == "relabel" and not stopped(s.folder) for s in stages),
        seconds=round(sum(_record(stage)["seconds"] for stage in stages), 1),
    )


def _audit(plan: Plan) -> Audit:
    (stage,) = (stage for stage in plan.stages if stage.kind == "audit")
    # the stage is shared by tasks of equal rows, whatever their names
    return Audit.read(stage.folder / AUDIT).model_copy(update={"task": plan.config.task.name})


def _record(stage: Stage) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((stage.folder / RECORD).read_text())
    return record
