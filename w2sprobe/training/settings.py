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
LOSSES: tuple[str, ...] = get_args(LossName)
STOPPING_RULES: tuple[StoppingRule, ...] = get_args(StoppingRule)
VAL_SCORES = tuple(f"val_{rule}" for rule in STOPPING_RULES)  # as records of runs call them


class TrainSettings(BaseModel):
    """How a classifier is finetuned; defaults are the published ones but for `early_stopping`.

    Source: EleutherAI, "Experiments in Weak-to-Strong Generalization", and its code.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    loss: LossName = Field(
        "xent",
        description="Cross-entropy, log-confidence, entropy, confidence window, reverse or "
        "generalised cross-entropy; NAME_published: as in the source's code, defects included.",
    )
    loss_alpha: float = Field(
        0.5, ge=0, le=1, description="Weight of logconf's and entropy's own term, after warm-up."
    )
    window_radius: str = Field(
        "auto",
        description="The window loss counts a row while max(p) < 0.5 + this; auto: the median of "
        "|label - 0.5| over the training labels, as in the published runs.",
    )
    reverse_log_zero: float = Field(
        -4.0, lt=0, description="What the reverse loss takes for the logarithm of a label of 0."
    )
    generalised_q: float = Field(
        0.7,
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
    batch_size: int = Field(32, ge=1, description="Rows an optimiser step.")
    micro_batch_tokens: int = Field(
        512,
        ge=1,
        description="Tokens in memory at once; only logconf's threshold depends on it.",
    )
    full: bool = Field(default=False, description="Train all weights, in float32; no LoRA.")
    lora_rank: int = Field(8, ge=1, description="Rank of the low-rank updates.")
    lora_from_layer: int = Field(
        0,
        ge=0,
        description="LoRA only on blocks from this one on; what lies below is computed once and "
        "read in every epoch. 0: on all.",
    )
    lora_alpha: int = Field(8, ge=1, description="Updates are scaled by lora_alpha / lora_rank.")
    weight_decay: float = Field(0.1, ge=0, description="Of AdamW, decoupled.")
    warmup_steps: int = Field(
        40, ge=0, description="Linear warm-up; at most a tenth of all steps in short runs."
    )
    precision: Literal["auto", "float32", "bfloat16", "4bit"] = Field(
        "auto",
        description="Of the frozen base; what is trained is float32. auto: bfloat16 where fast; "
        "4bit: NF4 as in QLoRA, needs bitsandbytes. With --full: what is computed in.",
    )
    eval_every: int = Field(
        0,
        ge=0,
        description="Optimiser steps between evaluations on the validation rows; 0: after each "
        "epoch. Published: 25, and 100 in the runs.",
    )
    early_stopping: StoppingRule = Field(
        "soft_auc",
        description="Which evaluation is kept, by the given labels of the validation rows. "
        "soft_auc: largest AUC in expectation over labels drawn from the soft ones; log_loss: "
        "smallest cross-entropy; auc, as published: largest AUC against labels hardened at one "
        "half, undefined where all lie on one side.",
    )
    truncate: bool = Field(default=False, description="Cut texts that exceed the model's context.")
    seed: int = Field(0, ge=0, description="Of head, LoRA matrices and row order.")
    gradient_checkpointing: bool = Field(
        default=False, description="Less memory for a third more time; the same weights."
    )
    report_to: str = Field(
        "none",
        description="Curves go to tensorboard (logs/ in the run's folder), wandb, or another of "
        "transformers' integrations; several with commas.",
    )

    @property
    def identity(self) -> dict[str, Any]:
        """What the weights depend on, JSON: all but what only saves memory or is shown."""
        return self.model_dump(exclude={"gradient_checkpointing", "report_to"})

    @property
    def reporters(self) -> list[str]:
        """Names in `report_to`; none for `none`."""
        names = [name.strip() for name in self.report_to.split(",")]
        return [name for name in names if name != "none"]

    @model_validator(mode="after")
    def _full_is_alone(self) -> "TrainSettings":
        if self.full and (self.lora_from_layer or self.precision == "4bit"):
            other = "lora_from_layer" if self.lora_from_layer else "precision 4bit"
            raise ValueError(f"full, which trains all weights, beside {other}")
        return self

    @field_validator("window_radius", mode="before")
    @classmethod
    def _auto_or_number(cls, value: Any) -> str:
        """One spelling a radius: settings are part of a stage's address."""
        if value == "auto":
            return "auto"
        try:
            radius = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            radius = float("nan")
        if not 0 <= radius <= 0.5:
            raise ValueError("neither 'auto' nor a number from 0 to 0.5")
        return str(radius)
