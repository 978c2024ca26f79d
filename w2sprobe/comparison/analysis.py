"""Settings of a comparison: which tasks count, and which tests are made."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from w2sprobe import help_texts
from w2sprobe.comparison._base import FrozenModel
from w2sprobe.metrics import MIN_GAP, MIN_GAP_SE, Alternative

ALPHA = 0.05
MARGIN = 0.01


class Analysis(FrozenModel):
    """Settings of a comparison; a study's config may declare them before it is run."""

    min_gap: float = Field(
        MIN_GAP,
        ge=0,
        description=help_texts.MIN_GAP,
    )
    min_gap_se: float = Field(MIN_GAP_SE, ge=0, description=help_texts.MIN_GAP_SE)
    saturated_only: bool = Field(
        default=False,
        description="EleutherAI's rule instead of min_gap: exclude, in both units, only saturated "
        "tasks, where the AUCs of weak model, ceiling and all methods are at least 0.999.",
    )
    family: tuple[str, ...] | None = Field(
        None,
        description=help_texts.FAMILY,
    )
    alternative: Alternative = Field(
        "two-sided",
        description="Alternative hypothesis: the method differs (two-sided), is better (greater) "
        "or is worse (less).",
    )
    alpha: float = Field(ALPHA, gt=0, lt=1, description="Significance level.")
    margin: float = Field(MARGIN, gt=0, description=help_texts.MARGIN)

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> "Analysis":
        """Settings that the config of a study declares; the defaults where it does not.

        Parameters
        ----------
        config : mapping of str to Any
            As `StudyResults` and `Results` hold it, of this or an earlier version.
        """
        declared = {**config, **config.get("analysis", {})}
        return cls(**{name: declared[name] for name in cls.model_fields if name in declared})
