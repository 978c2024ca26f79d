"""Who competes: the rule by name agrees with what the methods do."""

import pytest

from w2sprobe.comparison import is_competitor, role_of
from w2sprobe.experiments.methods import METHODS


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("weak", "ceiling")])
def test_roles_by_name_agree_with_the_settings_of_every_method(name: str) -> None:
    settings = METHODS[name].model_dump()
    competes = not METHODS[name].apart
    assert is_competitor(name) == competes == (role_of(name, {name: settings}) == "competitor")


def test_settings_decide_for_methods_of_a_config() -> None:
    plain = {"predicts": "student", "labels": "weak", "curation": None}
    defined = {
        "random_search": plain,
        "mine": {**plain, "curation": "random_filter"},
        "best": {**plain, "labels": "truth"},
        "flipped": {**plain, "labels": "noise"},
        "shuffled": {**plain, "labels": "soft_noise"},
        "small": {**plain, "states": "weak"},
        "big": {**plain, "states": "strong"},
        "mine_on_noise": plain,
    }
    roles = {name: role_of(name, defined) for name in (*defined, "random_filter", "other")}
    assert roles == {
        "random_search": "competitor",
        "mine": "control",
        "best": "control",
        "flipped": "control",
        "shuffled": "control",
        "small": "control",
        "big": "competitor",
        "mine_on_noise": "competitor",
        "random_filter": "control",
        "other": "competitor",
    }


@pytest.mark.parametrize(
    "name",
    [
        "linear_head_on_truth",
        "linear_head_on_noise",
        "student_on_soft_noise",
        "weak_to_weak",
        "weak_to_weak_logconf",
        "random_like_knn_filter",
        "logistic_on_random_filter",
    ],
)
def test_names_of_controls(name: str) -> None:
    assert not is_competitor(name)
    assert is_competitor(name.replace("_on_", "_").replace("weak_to", "to").replace("random_", ""))
