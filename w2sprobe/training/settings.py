"""Settings of a finetuning run: names, defaults, ranges and help, for configs and command line."""

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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
    """Settings of a finetuning run; defaults are the published ones, except `early_stopping`.

    Source: EleutherAI, "Experiments in Weak-to-Strong Generalization", and its code.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    loss: LossName = Field(
        "xent",
        description="Cross-entropy, log-confidence, entropy, confidence window, reverse or "
        "generalised cross-entropy; NAME_published: as in the published code, defects included.",
    )
    loss_alpha: float = Field(
        DEFAULT_ALPHA,
        ge=0,
        le=1,
        description="Weight of the auxiliary term of logconf and entropy.",
    )
    window_radius: str = Field(
        "auto",
        description="Window loss: counts rows with max(p) < 0.5 + radius; auto: median of |label - "
        "0.5| over the training labels, as in the published runs.",
    )
    reverse_log_zero: float = Field(
        DEFAULT_LOG_ZERO, lt=0, description="Value that the reverse loss uses for log 0."
    )
    generalised_q: float = Field(
        DEFAULT_Q,
        gt=0,
        le=1,
        description="Exponent of the generalised loss: near 0 cross-entropy, 1 absolute error.",
    )
    epochs: int = Field(3, ge=1, description="Passes over the training rows.")
    learning_rate: float = Field(
        STRONG_RATE,
        gt=0,
        description=f"Peak; published: {WEAK_RATE} for weak models, {STRONG_RATE} for strong ones.",
    )
    batch_size: int = Field(32, ge=1, description="Rows per optimiser step.")
    micro_batch_tokens: int = Field(
        512,
        ge=1,
        description="Maximum tokens per forward pass, padding included. Batches are first split by "
        "text length, so with short texts raising it changes nothing. Only logconf losses depend "
        "on it, rounding aside.",
    )
    full: bool = Field(default=False, description="Train all weights, in float32; no LoRA.")
    lora_rank: int = Field(8, ge=1, description="Rank of the low-rank updates.")
    lora_from_layer: int = Field(
        0,
        ge=0,
        description="First block with LoRA; states below it are computed once and reused every "
        "epoch. 0: LoRA on all blocks.",
    )
    lora_alpha: int = Field(8, ge=1, description="Updates are scaled by lora_alpha / lora_rank.")
    weight_decay: float = Field(0.1, ge=0, description="Decoupled weight decay of AdamW.")
    warmup_steps: int = Field(
        40, ge=0, description="Steps of linear warm-up; at most a tenth of all steps."
    )
    precision: Literal["auto", "float32", "bfloat16", "4bit"] = Field(
        "auto",
        description="Precision of the frozen base model; trained weights are float32. auto: "
        "bfloat16 where it is fast; 4bit: NF4 as in QLoRA, needs bitsandbytes. With --full: "
        "precision of the forward pass.",
    )
    eval_every: int = Field(
        0,
        ge=0,
        description="Optimiser steps between validations; 0: after each epoch. Published: 25 in "
        "the code, 100 in the runs.",
    )
    early_stopping: StoppingRule = Field(
        "soft_auc",
        description="Rule that chooses the checkpoint to keep, on the given labels of validation "
        "rows; training always runs to its last step. "
        "soft_auc: largest expected AUC over labels drawn from the soft ones; log_loss: least "
        "cross-entropy; auc, as published: largest AUC with labels cut at 0.5, undefined if they "
        "are all of one class.",
    )
    truncate: bool = Field(default=False, description="Cut texts that exceed the model's context.")
    seed: int = Field(0, ge=0, description="Seed of head, LoRA matrices and row order.")
    gradient_checkpointing: bool = Field(
        default=False, description="Saves memory, takes a third more time; the same weights."
    )
    report_to: str = Field(
        "none",
        description="Where curves are logged: tensorboard (logs/ in the run's folder), wandb, or "
        "another integration of transformers; separate several by commas.",
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
            raise ValueError(f"full, which trains all weights, beside {other}")
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
