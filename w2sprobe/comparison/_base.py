"""Base class of all results of a comparison, and the number that is not known."""

from pydantic import BaseModel, ConfigDict

UNKNOWN = float("nan")
UNKNOWN_INTERVAL = (UNKNOWN, UNKNOWN)


class FrozenModel(BaseModel):
    """Base of all results: unknown fields are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
