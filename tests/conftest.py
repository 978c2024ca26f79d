import gc
import os

# before any library reads them: no hub here, and no threads under a fork
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def pytest_collection_finish() -> None:
    """Leave what is imported out of garbage collections: each finetuning run asks for two."""
    gc.freeze()
