"""Early stopping: how much true test AUC each rule loses, on one set of training runs for all.

    python -m benchmarks.early_stopping RUNS.jsonl [TASK ...] [--student minilm-l6] [--seeds 2]
    python -m benchmarks.early_stopping RUNS.jsonl --table

A weak model labels the rows of a student, which is evaluated at equal distances
while it is trained: its validation predictions are scored by every rule against the weak labels,
its test predictions against truth. Regret of a rule is the best true test AUC of the run less that
of the evaluation which the rule keeps. Each set of weak labels is used in four forms of the same
ranking: as given; with log-odds divided by 3 (soft); shifted so that an eighth lie above one half
(mostly); and halved, so that none does (below). Runs are appended to RUNS.jsonl, and those that are
there are not run again.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from scipy.special import expit, logit
from transformers import TrainingArguments

from w2sprobe.data import Splits, join_rows, load_splits, truth_table
from w2sprobe.data.splits import SplitSizes
from w2sprobe.devices import resolve_precision
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import roc_auc
from w2sprobe.models import describe_model, load_tokenizer
from w2sprobe.tokens import tokenize
from w2sprobe.training.classifiers import load_classifier
from w2sprobe.training.loop import BatchTrainer
from w2sprobe.training.losses import make_loss
from w2sprobe.training.predict import predict
from w2sprobe.training.prefix import shared_prefix
from w2sprobe.training.settings import STOPPING_RULES, TrainSettings
from w2sprobe.training.stopping import selection_score, validation_scores
from w2sprobe.training.trainer import finetune

WEAK_ROWS = {  # of the first reproduction, where they give labels that are neither chance nor truth
    "bigbench:hyperbaton": 400,
    "bigbench:multiemo/all_sentence_en": 60,
    "bigbench:winowhy": 400,
    "bigbench:multiemo/medicine_sentence_en": 60,
    "bigbench:fact_checker/fever": 400,
    "bigbench:goal_step_wikihow/step_inference": 400,
}
FORMS = ("given", "soft", "mostly", "below")
KEYS = ("task", "student", "epochs", "seed", "form")
TEMPERATURE, MOSTLY = 3.0, 0.125
N_EVALUATIONS = 8
LAST = "last"  # the evaluation that no rule is needed for
CPU = torch.device("cpu")


def weak_labels(model: str, splits: Splits, seed: int, folder: Path) -> LabelTable:
    """P(label = 1) of a weak model, for the student's rows and the test rows."""
    settings = TrainSettings(
        epochs=4, batch_size=8, learning_rate=2e-3, seed=seed, precision="float32"
    )
    truth = truth_table(splits.weak_train, splits.val)
    trained = finetune(model, splits.weak_train, truth, splits.val, folder, settings, device="cpu")
    return trained.predict(join_rows(splits.strong_train, splits.val, splits.test))


def in_form(form: str, labels: LabelTable) -> LabelTable:
    """The same ranking of the rows, with other distances or on another side of one half."""
    p = np.clip(labels.soft_label, 1e-6, 1 - 1e-6)
    margins = logit(p)
    forms = {
        "given": labels.soft_label,
        "soft": expit(margins / TEMPERATURE),
        "mostly": expit(margins - np.quantile(margins, 1 - MOSTLY)),
        "below": labels.soft_label / 2,
    }
    return LabelTable(labels.ids, forms[form])


class Student:
    """A base model and the rows of one task; one training run a call of `evaluations`."""

    def __init__(self, model: str, splits: Splits, settings: TrainSettings, folder: Path) -> None:
        self._info, self._splits = describe_model(model), splits
        self._settings, self._folder = settings, folder
        tokenizer = load_tokenizer(self._info.source)
        self._pad_id = self._info.pad_id
        rows = join_rows(splits.strong_train, splits.val, splits.test)
        self._tokens = tokenize(
            tokenizer, rows.ids.tolist(), rows.texts, max_tokens=self._info.max_tokens
        ).input_ids

    def evaluations(self, labels: LabelTable, seed: int) -> list[dict[str, float | None]]:
        """Scores by every rule, and true AUC of validation and test rows, at each evaluation."""
        splits, settings = self._splits, self._settings.model_copy(update={"seed": seed})
        n = len(splits.strong_train)
        soft_labels = labels.align(splits.strong_train.ids).soft_label.tolist()
        examples = [
            {"id": name, "position": at, "input_ids": self._tokens[at], "soft_label": soft}
            for at, (name, soft) in enumerate(
                zip(splits.strong_train.ids.tolist(), soft_labels, strict=True)
            )
        ]
        precision = resolve_precision(settings.precision, CPU)
        classifier = load_classifier(
            self._info, settings, precision=precision, pad_id=self._pad_id, device=CPU
        )
        prefix = shared_prefix(
            classifier,
            self._info,
            settings.lora_from_layer,
            self._tokens,
            precision=precision,
            pad_id=self._pad_id,
            device=CPU,
            folder=self._folder,
        )
        given = labels.align(splits.val.ids)
        found: list[dict[str, float | None]] = []

        def validate(network: torch.nn.Module) -> tuple[np.ndarray, dict[str, float | None]]:
            p = predict(
                network,
                self._tokens[n:],
                pad_id=self._pad_id,
                device=CPU,
                feeding=lambda rows: prefix.feeding(n + rows),
            )
            val, test = p[: len(given.ids)], p[len(given.ids) :]
            scores = dict(validation_scores(given, val))
            true = {
                "val_truth": roc_auc(splits.val.labels, val),
                "test_truth": roc_auc(splits.test.labels, test),
            }
            found.append({**scores, **true})
            return val, scores

        steps = settings.epochs * int(np.ceil(n / settings.batch_size))
        with tempfile.TemporaryDirectory() as place:
            arguments = TrainingArguments(
                output_dir=place,
                num_train_epochs=settings.epochs,
                learning_rate=settings.learning_rate,
                lr_scheduler_type="cosine",
                warmup_steps=steps // 10,
                adam_beta2=0.95,
                weight_decay=settings.weight_decay,
                use_cpu=True,
                eval_strategy="steps",
                eval_steps=int(np.ceil(steps / N_EVALUATIONS)),
                save_strategy="no",
                logging_strategy="no",
                remove_unused_columns=False,
                report_to="none",
                disable_tqdm=True,
                seed=seed,
            )
            trainer = BatchTrainer(
                classifier,
                arguments,
                examples,
                settings,
                loss=make_loss(settings, soft_labels),
                pad_id=self._pad_id,
                validate=validate,
                feeding=prefix.feeding,
            )
            trainer.train()
        prefix.detach()
        return found


def run_task(
    task: str, given: argparse.Namespace, done: set[tuple[str | int, ...]]
) -> Iterator[dict[str, Any]]:
    """Train what is not done yet: every form of the weak labels of every seed."""
    weak_rows = given.weak_rows or WEAK_ROWS[task]
    few = SplitSizes(weak_rows, given.rows, given.val_rows, given.test_rows)
    splits = load_splits(task, sizes=few)
    settings = TrainSettings(
        epochs=given.epochs,
        batch_size=8,
        learning_rate=given.learning_rate,
        lora_from_layer=given.from_layer,
    )
    with tempfile.TemporaryDirectory() as place:
        student = Student(given.student, splits, settings, Path(place))
        for seed in range(given.seeds):
            keys = {form: (task, given.student, given.epochs, seed, form) for form in given.forms}
            if done.issuperset(keys.values()):
                continue
            weak = weak_labels(given.weak, splits, seed, Path(place) / f"weak-{seed}")
            weak_auc = roc_auc(splits.test.labels, weak.align(splits.test.ids).soft_label)
            for form, key in keys.items():
                if key in done:
                    continue
                labels = in_form(form, weak)
                above = float(labels.align(splits.val.ids).hard_label.mean())
                yield {
                    **dict(zip(KEYS, key, strict=True)),
                    "weak_auc": weak_auc,
                    "val_above_half": above,
                    "evaluations": student.evaluations(labels, seed),
                }


def regrets(run: dict[str, Any]) -> dict[str, float]:
    """Best true test AUC of a run less that of the evaluation that each rule keeps."""
    evaluations = run["evaluations"]
    true = np.array([one["test_truth"] for one in evaluations])
    kept = {
        rule: int(np.argmax([selection_score(rule, one, at) for at, one in enumerate(evaluations)]))
        for rule in STOPPING_RULES
    }
    kept["val_truth"] = int(np.argmax([one["val_truth"] for one in evaluations]))
    kept[LAST] = len(true) - 1
    return {rule: float(true.max() - true[at]) for rule, at in kept.items()}


def interval(groups: Iterable[list[float]]) -> tuple[float, float, float]:
    """Mean over all runs, and its 95 % interval by Student's t over groups of runs.

    The variance is that of a mean of groups of unequal size, linearised (Cochran 1977, Sampling
    Techniques, section 2.11). nan of one group.
    """
    sums, counts = np.array([[sum(group), len(group)] for group in groups]).T
    n, mean = len(sums), float(sums.sum() / counts.sum())
    if n < 2:
        return mean, float("nan"), float("nan")
    spread = np.sqrt(n / (n - 1) * np.sum((sums - mean * counts) ** 2)) / counts.sum()
    reach = float(stats.t.ppf(0.975, n - 1) * spread)
    return mean, mean - reach, mean + reach


def table_of(runs: list[dict[str, Any]]) -> Iterator[str]:
    """Regret by task, student and form of the labels, and differences of rules, as Markdown.

    Intervals of a task are over its runs, all others over tasks.
    """
    columns = (*STOPPING_RULES, LAST, "val_truth")
    found = [{**run, "regret": regrets(run)} for run in runs]

    def line(name: str, part: list[dict[str, Any]], group_by: tuple[str, ...]) -> str:
        cells = [name, str(len(part))]
        for rule in columns:
            groups = defaultdict(list)
            for run in part:
                groups[tuple(run[key] for key in group_by)].append(run["regret"][rule])
            mean, low, high = interval(groups.values())
            cells.append(f"{mean:.3f}" + ("" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]"))
        return "| " + " | ".join(cells) + " |"

    yield "| | runs | " + " | ".join(columns) + " |"
    yield "| --- |" + " --- |" * (1 + len(columns))
    for task in dict.fromkeys(run["task"] for run in found):
        part = [run for run in found if run["task"] == task]
        yield line(task.removeprefix("bigbench:"), part, KEYS)
    for student, epochs in dict.fromkeys((run["student"], run["epochs"]) for run in found):
        part = [run for run in found if (run["student"], run["epochs"]) == (student, epochs)]
        yield line(f"{student}, {epochs} epochs", part, ("task",))
    for form in FORMS:
        part = [run for run in found if run["form"] == form]
        if part:
            yield line(f"labels {form}", part, ("task",))
    yield line("all", found, ("task",))
    yield ""
    yield "| less regret | by how much | better, equal, worse runs |"
    yield "| --- | --- | --- |"
    pairs = (("soft_auc", "auc"), ("log_loss", "auc"), ("soft_auc", "log_loss"), ("soft_auc", LAST))
    for ours, other in pairs:
        groups = defaultdict(list)
        for run in found:
            groups[run["task"]].append(run["regret"][other] - run["regret"][ours])
        gains = np.concatenate(list(groups.values()))
        mean, low, high = interval(groups.values())
        counts = ", ".join(
            str(int(n)) for n in ((gains > 0).sum(), (gains == 0).sum(), (gains < 0).sum())
        )
        yield f"| {ours} than {other} | {mean:+.4f} [{low:+.4f}, {high:+.4f}] | {counts} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, help="JSON lines; appended to")
    parser.add_argument("tasks", nargs="*", default=tuple(WEAK_ROWS))
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--weak", default="minilm-l6")
    parser.add_argument("--student", default="minilm-l6")
    parser.add_argument("--from-layer", type=int, default=3, help="LoRA from this block on")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--weak-rows", type=int, help="default: of the first reproduction")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--val-rows", type=int, default=100)
    parser.add_argument("--test-rows", type=int, default=400)
    given = parser.parse_args()
    lines = given.runs.read_text().splitlines() if given.runs.exists() else []
    runs = [json.loads(line) for line in lines]
    done = {tuple(run[key] for key in KEYS) for run in runs}
    for task in () if given.table else given.tasks:
        for run in run_task(task, given, done):
            runs.append(run)
            with given.runs.open("a") as file:
                file.write(json.dumps(run) + "\n")
    print("\n".join(table_of(runs)))


if __name__ == "__main__":
    main()
