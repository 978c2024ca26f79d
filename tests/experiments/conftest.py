import gc


def pytest_runtest_setup() -> None:
    """Leave what earlier tests have imported out of garbage collections.

    Each finetuning run asks for two collections, and libraries are imported on first use: with
    these on the heap, collections took more than half of the time of these tests.
    """
    gc.collect()
    gc.freeze()
