from typing import Any

import pytest
from pydantic import ValidationError

from w2sprobe.probing.spec import VoteSpec


def test_shorthand_is_expanded() -> None:
    short = VoteSpec(ks=[5, 10], l2s=[0.1])
    assert short == VoteSpec(probes={"knn": [5, 10], "logistic": [0.1]})
    assert VoteSpec.model_validate(short.model_dump()) == short
    both = VoteSpec(probes={"mass-mean": []}, ks=[5])
    assert list(both.probes) == ["mass-mean", "knn"]
    assert both.values("mass-mean") == (None,)
    assert both.values("knn") == (5,)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"probes": {"svm": [1]}}, "unknown probe 'svm'; allowed: knn, logistic"),
        ({"ks": [2.5]}, "k of knn is 2.5; allowed: whole numbers from 1 on"),
        ({"ks": [0]}, "k of knn is 0"),
        ({"probes": {"mass-mean": [1]}}, "mass-mean has no hyperparameter"),
        ({"preprocess": "whiten"}, "'none', 'center' or 'standardize'"),
        ({"cv": 1}, "greater than or equal to 2"),
        ({"held_out": ["loo"]}, "'train', 'leave_one_out' or 'in_sample'"),
        ({"k": [1]}, "Extra inputs are not permitted"),
    ],
)
def test_bad_specs(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError) as error:
        VoteSpec(**settings)
    assert part in str(error.value)
