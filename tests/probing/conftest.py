import pytest

from tests.probing.cases import store_in
from w2sprobe.cache import ActivationStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    return store_in(tmp_path_factory.mktemp("probing") / "store")
