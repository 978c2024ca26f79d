"""Settings of a finetuning run: names, defaults, ranges and help, for configs and command line."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainSettings(BaseModel):
    """How a classifier is finetuned; defaults are the published ones where none is said.

    Source: EleutherAI, "Experiments in Weak-to-Strong Generalization", and its code.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss: Literal["xent", "logconf", "entropy", "window"] = Field(
        "xent", description="Cross-entropy, log-confidence, entropy or confidence window."
    )
    epochs: int = Field(3, ge=1, description="Passes over the training rows.")
    learning_rate: float = Field(8e-5, gt=0, description="Peak; published: 5e-4 weak, 8e-5 strong.")
    batch_size: int = Field(32, ge=1, description="Rows an optimiser step.")
    micro_batch_tokens: int = Field(
        512,
        ge=1,
        description="Tokens in memory at once; only logconf's threshold depends on it.",
    )
    lora_rank: int = Field(8, ge=1, description="Rank of the low-rank updates.")
    lora_alpha: int = Field(8, ge=1, description="Updates are scaled by lora_alpha / lora_rank.")
    weight_decay: float = Field(0.1, ge=0, description="Of AdamW, decoupled.")
    warmup_steps: int = Field(
        40, ge=0, description="Linear warm-up; at most a tenth of all steps in short runs."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Of the frozen base; what is trained is float32. auto: bfloat16 where fast.",
    )
    truncate: bool = Field(default=False, description="Cut texts that exceed the model's context.")
    seed: int = Field(0, ge=0, description="Of head, LoRA matrices and row order.")
