"""Curation of labels by a user's function, named module:function."""

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from w2sprobe.data.callables import calling, find_function
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import sha256_file
from w2sprobe.labels import LabelTable

TAKES = "function(X, labels, texts)"


@dataclass(frozen=True)
class CurationFunction:
    """A user's function that relabels or filters rows, identified by name and hash of its file.

    Parameters
    ----------
    spec : str
        `module:function`.
    call : callable
        `call(X, labels, texts)`: activations, float32 of shape (n, d), a LabelTable and a list of
        str, of the same rows in the same order; returns a LabelTable of these rows.
    source : str
        SHA-256 of the module's file.
    """

    spec: str
    call: Callable[..., object]
    source: str

    @classmethod
    def load(cls, spec: str) -> "CurationFunction":
        """Import the function from the current content of its file.

        Parameters
        ----------
        spec : str
            `module:function`; the module is searched for in the current folder first.

        Raises
        ------
        InputError
            There is no such module or function, it takes other arguments, or it is not defined in
            the module's file.
        """
        name = spec.partition(":")[0]
        known = sys.modules.get(name)
        if known is not None and known.__spec__ is not None:  # the file may have been edited since
            with calling(spec):
                importlib.reload(known)
        function = find_function(spec)
        file = getattr(sys.modules[name], "__file__", None)
        if file is None or getattr(function, "__module__", name) != name:
            raise InputError(
                f"{spec!r} is not from a file of module {name!r}",
                allowed="a function defined there: the hash of its file identifies the stage",
            )
        try:
            inspect.signature(function).bind("X", "labels", "texts")
        except TypeError as error:
            raise InputError(
                f"{spec!r} takes {inspect.signature(function)}", allowed=TAKES
            ) from error
        return cls(spec, function, sha256_file(Path(file)))

    @property
    def identity(self) -> dict[str, str]:
        """Name, and hash of the file, for the address of a stage; JSON."""
        return {"function": self.spec, "source": self.source}

    def __reduce__(self) -> tuple[Callable[[str, str], "CurationFunction"], tuple[str, str]]:
        """Pickle the name and hash: other processes import the function and check its file."""
        return _load_unchanged, (self.spec, self.source)

    def __call__(self, X: np.ndarray, labels: LabelTable, texts: list[str]) -> LabelTable:
        """Call the function and check what it returns.

        Returns
        -------
        LabelTable
            In the order of `labels`.

        Raises
        ------
        InputError
            The function raises an error, or does not return a table of all rows.
        """
        with calling(self.spec):
            curated = self.call(X, labels, texts)
        if not isinstance(curated, LabelTable):
            raise InputError(f"{self.spec!r} returned {curated!r}", allowed="a LabelTable")
        if set(curated.ids.tolist()) != set(labels.ids.tolist()):
            raise InputError(
                f"{self.spec!r} returned {len(curated)} rows for {len(labels)}, or other ids",
                allowed="all rows; keep=False leaves one out",
            )
        return curated.align(labels.ids)


def _load_unchanged(spec: str, source: str) -> CurationFunction:
    function = CurationFunction.load(spec)
    if function.source != source:
        raise InputError(
            f"the file of {spec!r} has changed since the study was planned",
            advice="Run the same command again.",
        )
    return function
