import pytest

from w2sprobe.models import forget_models


@pytest.fixture(autouse=True)
def _describe_anew() -> None:
    """Tests change the files of models whose folders have been used before."""
    forget_models()
