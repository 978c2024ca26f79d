"""Which methods compete with the baseline, and which are controls."""

from collections.abc import Mapping
from typing import Any, Literal

Role = Literal["competitor", "control"]
CONTROL_PREFIXES = ("random_", "noise_", "zero_shot", "weak_to_weak")
CONTROL_SUFFIXES = ("_on_truth", "_on_noise", "_on_soft_noise")
RANDOM = "_on_random_"  # a learner on what a random filter keeps
NOT_WEAK = ("truth", "noise", "soft_noise")  # labels that come from no supervisor


def is_competitor(method: str) -> bool:
    """Tell by its name whether a method competes with the baseline.

    False for controls (random filters, noise, weak-to-weak), learners that saw true labels, and
    zero-shot.

    Examples
    --------
    >>> is_competitor("topofilter"), is_competitor("random_filter")
    (True, False)
    >>> is_competitor("logistic_probe"), is_competitor("logistic_probe_on_noise")
    (True, False)
    """
    return not (
        method.startswith(CONTROL_PREFIXES) or method.endswith(CONTROL_SUFFIXES) or RANDOM in method
    )


def role_of(method: str, defined: Mapping[str, Mapping[str, Any]]) -> Role:
    """Role of a method in a study.

    Parameters
    ----------
    defined : mapping of str to mapping
        The section `define` of the study's config: a method that is defined there has the role that
        its settings give it, others that of their name.
    """
    settings = defined.get(method)
    if settings is None:
        return "competitor" if is_competitor(method) else "control"
    control = (
        settings.get("labels") in NOT_WEAK
        or settings.get("states") == "weak"  # the weak model's own: the learner is no stronger
        or settings.get("predicts") == "zero_shot"
        or settings.get("curation") == "random_filter"
    )
    return "control" if control else "competitor"
