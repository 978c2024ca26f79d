"""Settings of token-level probes; without torch, as configs import this file."""

from pydantic import BaseModel, ConfigDict, Field


class TokenSettings(BaseModel):
    """How attention, softmax-mean and multimax probes are trained on standardised tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    n_heads: int = Field(4, ge=1, description="Heads; each has its own scores of the tokens.")
    steps: int = Field(500, ge=1, description="Optimiser steps.")
    batch_size: int = Field(64, ge=1, description="Rows per optimiser step.")
    learning_rate: float = Field(
        0.5,
        gt=0,
        description="Learning rate of Adam at the first step, times the width of the hidden "
        "states; follows a cosine to 0.",
    )
    seed: int = Field(0, ge=0, description="Seed of the initial weights and of the row order.")
