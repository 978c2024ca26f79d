"""Weak-to-strong generalisation: activation caches, probes, students, and honest PGR.

`extract` is imported on first use, so that `import w2sprobe.metrics` does not load torch.
"""

from typing import TYPE_CHECKING, Any

from w2sprobe import threads

if TYPE_CHECKING:
    from w2sprobe.extraction import extract as extract

__version__ = "0.1.0"
__all__ = ["__version__", "extract"]

threads.settle()


def __getattr__(name: str) -> Any:
    if name == "extract":
        from w2sprobe.extraction import extract

        return extract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
