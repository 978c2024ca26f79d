import gc
import os

import pytest

# before any library reads them: no hub here, and no threads under a fork
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def pytest_runtest_setup() -> None:
    """Leave what earlier tests have imported out of garbage collections.

    Each finetuning run asks for two collections, and libraries are imported on first use: with
    these on the heap, collections took more than half of the time of such tests.
    """
    gc.collect()
    gc.freeze()


SLOW_FILES = ("tests/integration", "tests/cli/test_run", "tests/models/test_zoo", "tests/training")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow files, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW_FILES))
