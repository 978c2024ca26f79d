import pytest

from tests.tiny import save_tiny_model


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny Llama that tests only read."""
    return save_tiny_model("llama", tmp_path_factory.mktemp("llama") / "model")


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny BERT that tests only read."""
    return save_tiny_model("bert", tmp_path_factory.mktemp("bert") / "model")
