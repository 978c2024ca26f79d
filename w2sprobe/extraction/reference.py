"""States of one row as transformers returns them, and as wrong readings would have them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sprobe.extraction.selftest import states_of_one_row
from w2sprobe.models import blocks_of

SHIFTS = (-1, 1, -2, 2)


@dataclass(frozen=True, order=True)
class Cause:
    """A usual way in which states of a layer come to be others.

    Parameters
    ----------
    kind : str
        layer, norm, shift, split, bits, centred or order.
    what : str
        What the states are instead: completes "layer 10 ...".
    advice : str
        What to do about it, as a sentence.
    """

    kind: str
    what: str
    advice: str


NOT_NORMED = Cause(
    "norm",
    "is what the last block returns: the final norm is missing",
    "Leave the last layer out, or save it after the final norm (vLLM's is not normed).",
)
NORMED_TWICE = Cause(
    "norm", "went through the final norm twice", "Save the model's last hidden state as it is."
)
PERMUTED = Cause(
    "order", "has the states of other rows: the batch is permuted", "Match rows by their token ids."
)
# type in which states are stored -> the type that their bytes are of
MISREAD = {
    "float16": (
        "bfloat16",
        Cause("bits", "has bytes of bfloat16, read as float16", "View the bytes as bfloat16."),
    ),
    "bfloat16": (
        "float16",
        Cause("bits", "has bytes of float16, read as bfloat16", "View the bytes as float16."),
    ),
}
CENTRED = Cause(
    "centred",
    "lacks the mean over its width",
    "TransformerLens centres weights: load the model without processing.",
)


SPLIT = "Save the sum of hidden states and residual (vLLM's blocks return them apart)."


class Reference:
    """What transformers computes for one row at its kept tokens.

    Parameters
    ----------
    network : PreTrainedModel
        Base model in evaluation mode.
    tokens : ndarray of int, shape (n,)
    kept : ndarray of int64
        Numbers of the tokens that are kept.
    average : bool
        The kept tokens become their mean.
    """

    def __init__(
        self, network: PreTrainedModel, tokens: np.ndarray, kept: np.ndarray, *, average: bool
    ) -> None:
        self._n_tokens, self._kept, self._average = len(tokens), kept, average
        # layer -> part of the block below it -> what the part returns at the kept tokens
        self._branches: dict[int, dict[str, np.ndarray]] = {}
        blocks, ends = blocks_of(network), _Ends()
        with ExitStack() as hooks, torch.inference_mode():
            if blocks is not None:
                handles = [
                    *(h for n, block in enumerate(blocks) for h in self._watched(n, block)),
                    blocks[-1].register_forward_hook(ends.last_block),
                    *(m.register_forward_hook(ends.other) for m in _outside(network, blocks)),
                ]
                for handle in handles:
                    hooks.callback(handle.remove)
            self._all = [state[0] for state in states_of_one_row(network, tokens)]
        # states at the kept tokens, layer by layer
        self._states = [self._at(state, kept) for state in self._all]
        self._before_norm = self._twice_normed = None
        if ends.norm is not None and torch.equal(ends.normed[0], self._all[-1]):
            with torch.inference_mode():
                twice = ends.norm(self._all[-1][None])[0]
            self._before_norm = self._at(ends.output[0], kept)
            self._twice_normed = self._at(twice, kept)

    @property
    def n_layers(self) -> int:
        """The highest layer."""
        return len(self._states) - 1

    def states(self, layer: int) -> np.ndarray:
        """The layer's states at the kept tokens, float32, (vectors, width)."""
        return self._states[layer]

    def readings(self, layer: int) -> Iterator[tuple[Cause, np.ndarray, slice]]:
        """States that a wrong reading would give, and which of the vectors they are of."""
        right, every = self._states[layer], slice(None)
        if not np.isfinite(right).all():  # float16 overflowed
            return
        for other in range(self.n_layers + 1):
            # the last layer of some families has another width
            if other != layer and self._states[other].shape == right.shape:
                yield _layer_cause(layer, other), self._states[other], every
        if layer == self.n_layers:
            for cause, states in (
                (NOT_NORMED, self._before_norm),
                (NORMED_TWICE, self._twice_normed),
            ):
                if states is not None:
                    yield cause, states, every
        yield from self._shifted(layer)
        yield from self._split(layer)
        yield CENTRED, right - right.mean(axis=1, keepdims=True), every

    def _shifted(self, layer: int) -> Iterator[tuple[Cause, np.ndarray, slice]]:
        state = self._all[layer]
        advice = "Is there a token too many or too few at the start, or padding?"
        if self._average:
            for part, tokens in (
                ("first", self._kept[1:]),
                ("last", self._kept[:-1]),
            ):
                if len(tokens):
                    what = f"leaves the {part} token out of the mean: positions are shifted"
                    yield Cause("shift", what, advice), self._at(state, tokens), slice(None)
            return
        for shift in SHIFTS:
            moved = self._kept + shift
            inside = np.flatnonzero((moved >= 0) & (moved < self._n_tokens))
            if inside.size:
                side = "after" if shift > 0 else "before"
                what = f"is {abs(shift)} token{'s' * (abs(shift) > 1)} {side} the right position"
                valid = slice(int(inside[0]), int(inside[-1]) + 1)
                cause = Cause("shift", f"{what}: positions are shifted", advice)
                yield cause, self._at(state, moved[valid]), valid

    def _split(self, layer: int) -> Iterator[tuple[Cause, np.ndarray, slice]]:
        stream = self._states[layer]
        if layer == self.n_layers and self._before_norm is not None:
            stream = self._before_norm
        for name, added in self._branches.get(layer, {}).items():
            if added.shape != stream.shape:  # attention heads, say
                continue
            what = f"is only what {name} returns, not the residual stream"
            yield Cause("split", what, SPLIT), added, slice(None)
            what = f"is the residual stream without what {name} adds"
            yield Cause("split", what, SPLIT), stream - added, slice(None)

    def _watched(self, number: int, block: torch.nn.Module) -> Iterator[Any]:
        """Record what the parts of a block return; the block's output is layer number + 1."""
        into = self._branches.setdefault(number + 1, {})

        def hook(name: str) -> Callable[..., None]:
            def record(_: torch.nn.Module, __: Any, output: Any) -> None:
                tensor = output[0] if isinstance(output, tuple | list) else output
                per_token = isinstance(tensor, torch.Tensor) and tensor.ndim == 3
                if per_token and tensor.shape[:2] == (1, self._n_tokens):
                    into[f"block {number}'s {name}"] = self._at(tensor[0], self._kept)

            return record

        for name, part in block.named_children():
            yield part.register_forward_hook(hook(name))

    def _at(self, state: torch.Tensor, tokens: np.ndarray) -> np.ndarray:
        chosen = state[torch.as_tensor(tokens, device=state.device)].float()
        return (chosen.mean(dim=0, keepdim=True) if self._average else chosen).cpu().numpy()


class _Ends:
    """The last block's output, and the module that normalises it."""

    def __init__(self) -> None:
        self.output = self.normed = torch.empty(1)
        self.norm: torch.nn.Module | None = None

    def last_block(self, _: torch.nn.Module, __: Any, output: Any) -> None:
        self.output = output[0] if isinstance(output, tuple | list) else output

    def other(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        # the first module that reads it; in models without a final norm, perhaps a pooler
        reads_it = bool(args) and args[0] is self.output
        if self.norm is None and reads_it and isinstance(output, torch.Tensor):
            self.norm, self.normed = module, output


def _outside(network: PreTrainedModel, blocks: torch.nn.ModuleList) -> list[torch.nn.Module]:
    """Modules that neither hold blocks nor are in one."""
    inside = {*blocks.modules()}
    return [
        module
        for module in network.modules()
        if module not in inside and not inside & {*module.modules()}
    ]


def _layer_cause(layer: int, other: int) -> Cause:
    number = "one too high" if layer > other else "one too low"
    off = f": layers are numbered {number}" if abs(layer - other) == 1 else ""
    return Cause(
        "layer",
        f"has the states of layer {other}{off}",
        "Name the layers as indices into hidden_states: 0 is the embedding output.",
    )
