"""`w2sprobe predict`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe import help_texts
from w2sprobe.cli import _completion, _options, _scores

if TYPE_CHECKING:
    import numpy as np

    from w2sprobe.data import Rows, Splits
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.labels import LabelTable

HOW = ("mean", "logit_mean")
SPLITS = "weak_train,strong_train,val,test"
ANSWERS = "No,Yes"


@dataclass(frozen=True)
class _PredictOptions:
    """Options of the command."""

    models: tuple[str, ...]
    task: "TaskConfig"
    splits: str
    ensemble: str
    zero_shot: bool
    shots: int
    question: str
    answers: str
    truncate: bool
    out: Path
    device: str

    def check(self) -> None:
        """Refuse what needs neither rows nor weights to be loaded.

        Raises
        ------
        InputError
            Unknown or doubled splits, not two answers, an option that needs --zero-shot, or a
            folder without a finished run.
        """
        from w2sprobe.errors import InputError
        from w2sprobe.training.saved import base_of, read_run

        _split_names(self.splits)
        asked = {
            "--shots": self.shots,
            "--question": self.question,
            "--answers": self.answers != ANSWERS,
        }
        given = [option for option, value in asked.items() if value]
        if given and not self.zero_shot:
            raise InputError(f"{given[0]} without --zero-shot", advice="Pass both, or neither.")
        _two_answers(self.answers)
        if not self.zero_shot:
            for folder in self.models:
                base_of(read_run(folder), folder)

    def rows(self) -> "tuple[dict[str, Rows], Rows | None]":
        """Rows to predict by split, and the examples of the prompt."""
        splits = self.task.load()
        parts = {name: splits[name] for name in _split_names(self.splits)}
        return _without_shots(splits, parts, self.shots) if self.shots else (parts, None)


@click.command("predict")
@click.option(
    "--model",
    "models",
    required=True,
    multiple=True,
    metavar="FOLDER|NAME",
    shell_complete=_completion.models,
    help="Output folder of `w2sprobe train`; with --zero-shot: "
    f"{help_texts.MODEL_NAMES}. Several models are an ensemble: repeat the option.",
)
@_options.task_name()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Output file (Parquet).",
)
@click.option(
    "--split",
    "splits",
    default=SPLITS,
    show_default=True,
    metavar="SPLITS",
    help="Splits to predict, separated by commas.",
)
@click.option(
    "--ensemble",
    type=click.Choice(HOW),
    default="mean",
    show_default=True,
    help="Average of several models: mean of P(label = 1), or of its log-odds.",
)
@click.option(
    "--zero-shot",
    is_flag=True,
    help="Prompt a language model that was not finetuned.",
)
@click.option(
    "--shots",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="With --zero-shot: number of labelled examples in the prompt, half of each class. They "
    "are rows of weak_train and are not predicted.",
)
@click.option(
    "--question",
    default="",
    metavar="TEXT",
    help=f"With --zero-shot. {help_texts.QUESTION}",
)
@click.option(
    "--answers",
    default=ANSWERS,
    show_default=True,
    metavar="NO,YES",
    help=f"With --zero-shot. {help_texts.ANSWERS}",
)
@click.option(
    "--truncate",
    is_flag=True,
    help="Truncate texts longer than the model's context; default: as in training; with "
    "--zero-shot: stop with an error.",
)
@_options.task_settings
@_options.device
@_options.common
def command(*, as_json: bool, **given: Any) -> None:
    """Predict labels with finetuned or prompted models.

    OUT is a label table (Parquet with columns id, soft_label, keep) that `w2sprobe train` and
    `w2sprobe probe` accept as --labels; for an ensemble it also has a column variance. Predictions
    for rows that the model was trained on are in-sample; exclude that split with --split if this
    matters.

    \b
    Examples:
      w2sprobe predict --model runs/weak --task reviews.csv --out weak.parquet
      w2sprobe predict --model runs/seed0 --model runs/seed1 --ensemble logit_mean \\
        --task reviews.csv --out both.parquet
      w2sprobe predict --zero-shot --shots 4 --model smollm2-135m --task reviews.csv \\
        --question "Is this review positive?" --split test --out asked.parquet
    """
    from w2sprobe.atomic import check_writable_file
    from w2sprobe.training.ensembles import ensemble

    options = _PredictOptions(**given)
    check_writable_file(options.out)
    options.check()
    parts, examples = options.rows()
    members = _predict(options, parts, examples)
    table = members[0] if len(members) == 1 else ensemble(members, how=options.ensemble)
    table.write(options.out)
    result: dict[str, Any] = {
        "out": str(options.out),
        "models": list(options.models),
        "rows": len(table),
    }
    if table.variance is not None:
        result |= {"ensemble": options.ensemble, **_spread(table.variance, parts, members)}
    if examples is not None:
        result["shots"] = examples.ids.tolist()
    result |= {"auc": _auc(parts, table), "performance": _performance(parts, table)}
    click.echo(json.dumps(result, indent=2) if as_json else _shown(result))


def _predict(
    options: _PredictOptions, parts: "dict[str, Rows]", examples: "Rows | None"
) -> "list[LabelTable]":
    """Predictions of each model for all rows."""
    from w2sprobe.data import join_rows
    from w2sprobe.training.saved import SavedModel
    from w2sprobe.training.zero_shot import zero_shot

    rows = join_rows(*parts.values())
    if not options.zero_shot:
        runs = (SavedModel.open(folder, options.device) for folder in options.models)
        return [run.predict(rows, truncate=options.truncate or None) for run in runs]
    return [
        zero_shot(
            model,
            rows,
            shots=examples,
            answers=_two_answers(options.answers),
            question=options.question,
            device=options.device,
            truncate=options.truncate,
        )
        for model in options.models
    ]


def _split_names(text: str) -> list[str]:
    from w2sprobe.data import SPLIT_NAMES
    from w2sprobe.errors import InputError, UnknownName

    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in SPLIT_NAMES:
            raise UnknownName("split", name, SPLIT_NAMES)
    if len(set(names)) < len(names):
        raise InputError(f"--split names a split twice: {text!r}")
    return names


def _two_answers(text: str) -> tuple[str, str]:
    from w2sprobe.errors import InputError

    words = tuple(word.strip() for word in text.split(","))
    if len(words) != 2 or not all(words):
        raise InputError(
            f"--answers is {text!r}",
            allowed="two words, that of label 0 first, as in negative,positive",
        )
    return words[0], words[1]


def _without_shots(
    splits: "Splits", parts: "dict[str, Rows]", n_shots: int
) -> "tuple[dict[str, Rows], Rows]":
    """Take examples from weak_train; return the splits without them, and the examples."""
    from w2sprobe.training.zero_shot import choose_shots

    examples = choose_shots(splits.weak_train, n_shots)
    shown = set(examples.ids.tolist())
    return {
        name: rows.select([i for i, row in enumerate(rows.ids.tolist()) if row not in shown])
        for name, rows in parts.items()
    }, examples


def _auc(parts: "dict[str, Rows]", table: "LabelTable") -> dict[str, float | None]:
    """AUC against truth by split; None where the examples have left fewer than two classes."""
    from w2sprobe.metrics import roc_auc

    return {
        name: roc_auc(rows.labels, table.align(rows.ids).soft_label)
        if set(rows.labels.tolist()) == {0, 1}
        else None
        for name, rows in parts.items()
    }


def _performance(parts: "dict[str, Rows]", table: "LabelTable") -> dict[str, Any]:
    return {name: _scores.scores(rows, table) for name, rows in parts.items()}


def _spread(
    variance: "np.ndarray", parts: "dict[str, Rows]", members: "list[LabelTable]"
) -> dict[str, Any]:
    """How far the members of an ensemble differ."""
    return {
        "mean_std": float((variance**0.5).mean()),
        "auc_of_members": [_auc(parts, member) for member in members],
    }


def _shown(result: dict[str, Any]) -> str:
    lines = [f"{result['out']}: {result['rows']} rows predicted by {', '.join(result['models'])}"]
    if "ensemble" in result:
        lines.append(
            f"ensemble: {result['ensemble']}; standard deviation of its members, mean over rows: "
            f"{result['mean_std']:.2g}"
        )
    if "shots" in result:
        lines.append(
            f"{len(result['shots'])} rows of weak_train are examples and are not predicted"
        )
    for name, value in result["auc"].items():
        line = f"AUC against truth, {name}: {_number(value)}"
        if "ensemble" in result:
            alone = ", ".join(_number(member[name]) for member in result["auc_of_members"])
            line += f" (members {alone})"
        line += _scores.shown(result["performance"][name])
        lines.append(line)
    return "\n".join(lines)


def _number(auc: float | None) -> str:
    return "undefined, as one class only is left" if auc is None else f"{auc:.3f}"
