"""Who competes: the rule by name agrees with what the methods do."""

import pytest

from w2sprobe.comparison import Analysis, is_competitor, role_of
from w2sprobe.experiments.methods import METHODS


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("weak", "ceiling")])
def test_names_of_this_package_say_their_role(name: str) -> None:
    settings = METHODS[name].model_dump()
    competes = not METHODS[name].apart
    assert is_competitor(name) == competes == (role_of(name, {name: settings}) == "competitor")


def test_settings_decide_for_methods_of_a_config() -> None:
    plain = {"predicts": "student", "labels": "weak", "curation": None}
    defined = {
        "random_search": plain,
        "mine": {**plain, "curation": "random_filter"},
        "best": {**plain, "labels": "truth"},
    }
    roles = {name: role_of(name, defined) for name in (*defined, "random_filter", "other")}
    assert roles == {
        "random_search": "competitor",
        "mine": "control",
        "best": "control",
        "random_filter": "control",
        "other": "competitor",
    }


def test_a_study_declares_its_analysis() -> None:
    declared = {"against": "student", "family": ["x"], "alpha": 0.01, "hypotheses": ["x helps"]}
    found = Analysis.of_config({"name": "mine", "min_gap": 0.05, "analysis": declared})
    assert found == Analysis(min_gap=0.05, family=("x",), alpha=0.01)
    before = {"name": "old", "min_gap": 0.03, "min_gap_se": 4.0}  # an earlier version
    assert Analysis.of_config(before) == Analysis()
