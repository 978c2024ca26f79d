"""Settings of a comparison: which tasks count, and which tests are made."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from w2sprobe.comparison._base import FrozenModel
from w2sprobe.metrics import MIN_GAP, MIN_GAP_SE, Alternative

ALPHA = 0.05
MARGIN = 0.01


class Analysis(FrozenModel):
    """Settings of a comparison; a study's config may declare them before it is run."""

    min_gap: float = Field(
        MIN_GAP,
        ge=0,
        description="Smallest gap between weak model and ceiling that is resolved: in PGR, only "
        "tasks with a resolved gap count.",
    )
    min_gap_se: float = Field(
        MIN_GAP_SE, ge=0, description="The same, in standard errors of the gap."
    )
    saturated_only: bool = Field(
        default=False,
        description="As published: leave out, in both units, only tasks on which the weak model, "
        "the ceiling and every method have an AUC of at least .999, whatever the gaps of the "
        "others.",
    )
    family: tuple[str, ...] | None = Field(
        None,
        description="Methods whose p values are adjusted together. Default: all competitors.",
    )
    alternative: Alternative = Field(
        "two-sided",
        description="Of the tests: greater sees only methods that are better, less only worse "
        "ones.",
    )
    alpha: float = Field(ALPHA, gt=0, lt=1, description="Level of the tests.")
    margin: float = Field(
        MARGIN, gt=0, description="Largest difference in AUC that counts as none."
    )

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
