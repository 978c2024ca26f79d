"""Settings of a finetuning run: names, defaults, ranges and help, for configs and command line."""

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from w2sprobe.help_texts import TRUNCATE

LossName = Literal[
    "xent",
    "logconf",
    "logconf_balanced",
    "logconf_published",
    "entropy",
    "entropy_published",
    "window",
    "reverse",
    "generalised",
]
StoppingRule = Literal["auc", "soft_auc", "log_loss"]
WEAK_RATE, STRONG_RATE = 5e-4, 8e-5  # peak learning rates, as published
# Parameters of the losses, as published unless a comment says otherwise.
DEFAULT_ALPHA = 0.5  # weight of the auxiliary term of logconf and entropy
DEFAULT_LOG_ZERO = -4.0  # of the reverse loss: A in Wang et al.
DEFAULT_Q = 0.7  # of the generalised loss, as in Zhang & Sabuncu's experiments
LOSSES: tuple[str, ...] = get_args(LossName)
STOPPING_RULES: tuple[StoppingRule, ...] = get_args(StoppingRule)
VAL_SCORES = tuple(f"val_{rule}" for rule in STOPPING_RULES)  # keys of training.json


class TrainSettings(BaseModel):
    """Settings of finetuning.

    Defaults are the published ones, except `early_stopping`, `eval_every` and `truncate`; the
    preset `published` sets these three. Source: EleutherAI, "Experiments in Weak-to-Strong
    Generalization", and its code.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    loss: LossName = Field(
        "xent",
        description="xent: cross-entropy; logconf (log-confidence): cross-entropy to a mixture of "
        "the labels and the student's own predictions, hardened to 0 or 1 at their median; "
        "logconf_balanced: the same, hardened so that the classes are as frequent as in the "
        "labels; entropy: cross-entropy plus the entropy of the student's predictions; window: "
        "cross-entropy on rows that the student is unsure of; reverse, generalised: reverse and "
        "generalised cross-entropy; logconf_published, entropy_published: as in EleutherAI/w2s, "
        "defects included.",
    )
    loss_alpha: float = Field(
        DEFAULT_ALPHA,
        ge=0,
        le=1,
        description="Weight of the auxiliary term of the logconf and entropy losses.",
    )
    window_radius: str = Field(
        "auto",
        description="Window loss: only rows whose student prediction has max(p) < 0.5 + radius "
        "contribute. auto: median of |label - 0.5| over the training labels.",
    )
    reverse_log_zero: float = Field(
        DEFAULT_LOG_ZERO, lt=0, description="Value that the reverse loss uses for log 0."
    )
    generalised_q: float = Field(
        DEFAULT_Q,
        gt=0,
        le=1,
        description="Exponent of the generalised loss: near 0, cross-entropy; 1: absolute error.",
    )
    epochs: int = Field(3, ge=1, description="Passes over the training rows.")
    learning_rate: float = Field(
        STRONG_RATE,
        gt=0,
        description="Peak learning rate; default as in EleutherAI/w2s.",
    )
    batch_size: int = Field(32, ge=1, description="Rows per optimiser step.")
    micro_batch_tokens: int = Field(
        512,
        ge=0,
        description="Maximum tokens per forward pass, padding included; limits memory. 0: 512 on a "
        "CPU, on a GPU what fits half of its memory, up to 16,384. A pass "
        "holds rows of one optimiser step that are of similar length, so with short texts a higher "
        "value has no effect. Only with logconf losses does the value change the result by more "
        "than rounding.",
    )
    full: bool = Field(default=False, description="Train all weights, in float32, instead of LoRA.")
    lora_rank: int = Field(8, ge=1, description="Rank of the low-rank updates.")
    lora_from_layer: int = Field(
        0,
        ge=0,
        description="First block with LoRA; hidden states below it are computed once and reused in "
        "every epoch. 0: LoRA on all blocks.",
    )
    lora_alpha: int = Field(
        8, ge=1, description="The low-rank updates are multiplied by lora_alpha / lora_rank."
    )
    weight_decay: float = Field(0.1, ge=0, description="Decoupled weight decay of AdamW.")
    warmup_steps: int = Field(
        40, ge=0, description="Steps of linear learning-rate warm-up; at most a tenth of all steps."
    )
    precision: Literal["auto", "float32", "bfloat16", "4bit"] = Field(
        "auto",
        description="Precision of the frozen base model; trained weights are float32. auto: "
        "bfloat16 where it is fast; 4bit: NF4 as in QLoRA, needs bitsandbytes. With full "
        "finetuning: precision of the forward pass.",
    )
    eval_every: int = Field(
        0,
        ge=0,
        description="Evaluate on the validation rows every N optimiser steps; 0: after each epoch.",
    )
    early_stopping: StoppingRule = Field(
        "soft_auc",
        description="Metric that selects the best checkpoint, computed on the validation rows with "
        "the given labels; training is never cut short. soft_auc: highest expected AUC when hard "
        "labels are drawn from the soft ones; log_loss: lowest cross-entropy; auc (as in "
        "EleutherAI/w2s): highest AUC with labels thresholded at 0.5, undefined if all fall in one "
        "class.",
    )
    truncate: bool = Field(default=False, description=TRUNCATE)
    seed: int = Field(
        0, ge=0, description="Seed of the initial weights of head and LoRA, and of the row order."
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Use less memory and about a third more time; the trained weights are the "
        "same.",
    )
    report_to: str = Field(
        "none",
        description="Where training curves are logged: none, tensorboard (logs/ in the run's "
        "folder), trackio (on this machine), wandb or another integration of transformers; "
        "separate several by commas.",
    )

    @property
    def identity(self) -> dict[str, Any]:
        """Settings that the weights depend on, as JSON values: part of a stage's address."""
        return self.model_dump(exclude={"gradient_checkpointing", "report_to"})

    @property
    def reporters(self) -> list[str]:
        """Names in `report_to`, without `none`."""
        names = [name.strip() for name in self.report_to.split(",")]
        return [name for name in names if name != "none"]

    @model_validator(mode="after")
    def _check_full(self) -> "TrainSettings":
        if self.full and (self.lora_from_layer or self.precision == "4bit"):
            other = "lora_from_layer" if self.lora_from_layer else "precision 4bit"
            raise ValueError(f"full trains all weights and cannot be combined with {other}")
        return self

    @field_validator("window_radius", mode="before")
    @classmethod
    def _auto_or_number(cls, value: Any) -> str:
        """Give each radius one spelling: settings are part of a stage's address."""
        if value == "auto":
            return "auto"
        try:
            radius = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            radius = float("nan")
        if not 0 <= radius <= 0.5:
            raise ValueError("neither 'auto' nor a number from 0 to 0.5")
        return str(radius)
