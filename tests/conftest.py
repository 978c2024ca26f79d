import gc
import os

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
