import gc
import os

import pytest

# before any library reads them: no hub here, and no threads under a fork
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))


def pytest_runtest_setup() -> None:
    """Leave what earlier tests have imported out of garbage collections.

    Each finetuning run asks for two collections, and libraries are imported on first use: with
    these on the heap, collections took more than half of the time of such tests.
    """
    gc.collect()
    gc.freeze()
