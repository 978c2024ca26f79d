"""Who competes: the rule by name agrees with what the methods do."""

import pytest

from w2sprobe.comparison import is_competitor, role_of
from w2sprobe.experiments.methods import METHODS


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("weak", "ceiling")])
def test_names_of_this_package_say_their_role(name: str) -> None:
    settings = METHODS[name].model_dump()
    assert is_competitor(name) == (role_of(name, {name: settings}) == "competitor")


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
