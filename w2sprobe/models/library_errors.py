"""Turns errors that transformers and torch raise about a model into messages that name it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pickle import PickleError  # noqa: TID251 - what torch raises

import torch
from safetensors import SafetensorError

from w2sprobe.errors import InputError, MissingDependency, W2SProbeError, summary_of

# raised by architectures that miss an input, or return something else than others
FORWARD_ERRORS = (
    RuntimeError,
    TypeError,
    ValueError,
    AttributeError,
    KeyError,
    IndexError,
    AssertionError,
)


@contextmanager
def running(network: torch.nn.Module) -> Iterator[None]:
    """Context in which a first forward pass fails with a message that names the architecture.

    Raises
    ------
    InputError
        The model needs other inputs than token ids, or does not return what others do.
    OutOfMemoryError
        The device cannot hold the pass.
    W2SProbeError
        Passed on.
    """
    try:
        yield
    except (torch.OutOfMemoryError, W2SProbeError):
        raise
    except FORWARD_ERRORS as error:
        raise InputError(
            f"{type(network).__name__} does not run on token ids alone: {summary_of(error)}",
            allowed="models that docs/models.md lists, and others like them",
        ) from error


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Context in which loading weights fails with a message that names the model.

    Raises
    ------
    InputError
        A damaged or missing file, or weights that transformers refuses.
    MissingDependency
        Reading the weights needs a package that is not installed.
    OutOfMemoryError
        The device cannot hold the weights.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except ImportError as error:
        raise MissingDependency(f"model {name!r}: {summary_of(error)}") from error
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError, PickleError) as error:
        raise InputError(
            f"the weights of model {name!r} cannot be loaded: {summary_of(error)}",
            advice="Is a file damaged or half downloaded? Fetch the model again.",
        ) from error
