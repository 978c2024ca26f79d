"""Layouts in which other tools save activations: which tensor holds which layer of which row.

Sources of the layouts: `docs/howto/activations-from-vllm.md`. Layers are numbered here as
everywhere in this package: indices into `hidden_states` of transformers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from w2sprobe.errors import InputError, first_few
from w2sprobe.extraction.positions import Position
from w2sprobe.extraction.tensor_files import StoredTensor, open_tensors
from w2sprobe.layers import Layers
from w2sprobe.models import DTYPES, ModelInfo

REQUEST, LMPROBE, NAMED, MATRIX = "vLLM request", "lmprobe cache", "named tensors", "matrix"
STATES, MASK = "hidden_states", "attention_mask"
TOKENS = ("token_ids", "input_ids", "tokens")
POOLED = {"last": "last_token", "first": "first_token", "mean": "mean"}  # lmprobe's names
END = r"(?:\.hook_out|\.output)?(?:\.0)?$"
# name of a tensor -> layer = number of the block + offset; earlier patterns win where several
# tensors hold one layer, as a final norm and the block below it do
INPUTS = re.compile(
    r"(?:^|\.)(?:blocks\.(\d+)\.hook_(?:resid_pre|in)|(?:layers|h|blocks|layer)\.(\d+)\.input)$"
)
OUTPUTS = re.compile(
    r"(?:^|\.)(?:blocks\.(\d+)\.hook_resid_post$|(?:layers|h|blocks|layer)\.(\d+)" + END + ")"
)
NORM = re.compile(r"^(?!.*\.\d+\..*norm)(?:.*\.)?(?:ln_final|norm|ln_f|final_layer_?norm)" + END)
NORMALIZED = re.compile(r"(?:^|\.)ln_final\.hook_normalized$")
EMBEDDING = re.compile(r"(?:^|\.)(?:hook_embed$|(?:embed|embed_tokens|wte|embed_in)" + END + ")")


@dataclass(frozen=True)
class Wanted:
    """What is to be read from files: layers of a model at a token position."""

    info: ModelInfo
    layers: Layers
    position: Position


class ForeignFile:
    """Rows in a file of another tool.

    Attributes
    ----------
    kind : str
        Layout: one of `REQUEST`, `LMPROBE`, `NAMED`, `MATRIX`.
    layers : tuple of int
        Layers that are read, ascending.
    per_token : bool
        Whether a row has a vector for each of its tokens, instead of one.
    dtype : str
        float32, float16 or bfloat16.
    n_rows : int

    Raises
    ------
    InputError
        Unknown layout, type, width or layer; shapes that contradict each other.
    """

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.path = path
        self._tensors = open_tensors(path)
        self.kind = _kind(path, self._tensors)
        # layer -> name of the tensor, and number on its axis of layers if it has one
        self._where = _locate(path, self.kind, self._tensors, wanted)
        self.layers = tuple(sorted(self._where))
        self._tokens = next((self._tensors[n] for n in TOKENS if n in self._tensors), None)
        self._mask = self._tensors.get(MASK)
        first = self._tensors[self._where[self.layers[0]][0]]
        self._one_row = self.kind == REQUEST or (
            len(first.shape) == 2 and self._tokens is not None and len(self._tokens.shape) == 1
        )
        self.per_token = self._one_row or (len(first.shape) == 3 and self.kind != MATRIX)
        self.n_rows = 1 if self._one_row else first.shape[0]
        self.dtype = first.dtype
        self._check(first, wanted.info)

    def token_ids(self, row: int) -> np.ndarray | None:
        """Tokens of a row without padding, int32; None where the file does not hold them."""
        if self._tokens is None:
            return None
        tokens = self._of_row(self._tokens, row)
        return tokens[self._real(row, len(tokens))].numpy().astype(np.int32)

    def vectors(self, row: int, layers: tuple[int, ...]) -> dict[int, torch.Tensor]:
        """States of a row, (tokens, width) or (1, width), without padding."""
        parts: dict[str, torch.Tensor] = {}
        states = {}
        for layer in layers:
            name, index = self._where[layer]
            if name not in parts:  # one read for all layers of a tensor
                parts[name] = self._of_row(self._tensors[name], row)
            part = parts[name] if index is None else parts[name][..., index, :]
            if self.per_token:
                part = part[self._real(row, len(part))]
            states[layer] = part.reshape(-1, part.shape[-1]).contiguous()
        return states

    def _of_row(self, tensor: StoredTensor, row: int) -> torch.Tensor:
        if self._one_row:
            return tensor.read(0, tensor.shape[0])
        return tensor.read(row, row + 1)[0]

    def _real(self, row: int, n_tokens: int) -> torch.Tensor:
        if self._mask is None:
            return torch.ones(n_tokens, dtype=torch.bool)
        return self._of_row(self._mask, row).bool()

    def _check(self, first: StoredTensor, info: ModelInfo) -> None:
        where = str(self.path)
        for layer, (name, _) in self._where.items():
            tensor = self._tensors[name]
            if (tensor.shape, tensor.dtype) != (first.shape, first.dtype):
                raise InputError(
                    f"layer {layer} is {tensor.dtype} {tensor.shape}, layer {self.layers[0]} "
                    f"{first.dtype} {first.shape}",
                    where=where,
                )
        if first.dtype not in DTYPES:
            raise InputError(
                f"states in {first.dtype}",
                where=where,
                allowed=", ".join(DTYPES),
                advice="Nothing is cast: save them in one of these types.",
            )
        if 0 in first.shape:
            raise InputError(f"an empty tensor of shape {first.shape}", where=where)
        if first.shape[-1] != info.hidden_size:
            raise InputError(
                f"states of width {first.shape[-1]}, shape {first.shape}",
                where=where,
                allowed=f"{info.hidden_size}, the width of {info.name!r}",
            )
        beside = [t for t in (self._tokens, self._mask) if t is not None]
        expected = first.shape[: 1 if self._one_row else 2]
        if self.per_token and any(tensor.shape != expected for tensor in beside):
            raise InputError(
                f"token ids or mask of shape {[t.shape for t in beside]} for states of shape "
                f"{first.shape}",
                where=where,
                allowed=f"{expected}: a token for each vector",
            )


def _kind(path: Path, tensors: Mapping[str, StoredTensor]) -> str:
    if STATES in tensors and any(name in tensors for name in TOKENS):
        return REQUEST
    if any(re.fullmatch(r"(pooled_.+_)?layer_\d+", name) for name in tensors):
        return LMPROBE
    if any(_named(name, 0) is not None for name in tensors):
        return NAMED
    if len(_matrices(tensors)) == 1 or any(name.isdecimal() for name in tensors):
        return MATRIX
    raise InputError(
        f"tensors {first_few(sorted(tensors))} have no known layout",
        where=str(path),
        allowed="token_ids and hidden_states (vLLM); blocks.10.hook_resid_post, model.layers.10 "
        "and the like (TransformerLens, nnsight); layer_10 (lmprobe); one matrix, or matrices "
        "named by their layer (10)",
    )


def _matrices(tensors: Mapping[str, StoredTensor]) -> list[str]:
    others = (*TOKENS, MASK)
    return [n for n, tensor in tensors.items() if n not in others and len(tensor.shape) > 1]


def _named(name: str, n_layers: int) -> tuple[int, int] | None:
    """Layer of a tensor by its name, and the rank of the pattern; None for other tensors."""
    for rank, pattern in enumerate((NORM, NORMALIZED)):
        if pattern.search(name):
            return n_layers, rank
    for rank, (pattern, offset) in enumerate(((INPUTS, 0), (OUTPUTS, 1)), start=2):
        match = pattern.search(name)
        if match:
            return int(next(filter(None, match.groups()))) + offset, rank
    return (0, 4) if EMBEDDING.search(name) else None


def _locate(
    path: Path, kind: str, tensors: Mapping[str, StoredTensor], wanted: Wanted
) -> dict[int, tuple[str, int | None]]:
    """Name of the tensor of each wanted layer, and its number there."""
    matrix = STATES if kind == REQUEST else (_matrices(tensors) or [""])[0]
    if kind == REQUEST or (kind == MATRIX and not matrix.isdecimal()):
        return _on_axis(path, kind, matrix, tensors[matrix], wanted)
    available: dict[int, str] = {}
    if kind == MATRIX:
        available = {int(name): name for name in tensors if name.isdecimal()}
    elif kind == LMPROBE:
        # its layer i is what block i returns
        names = {f"layer_{block}": block + 1 for block in range(wanted.info.n_layers)}
        if not {*names} & {*tensors}:
            pooled = POOLED.get(wanted.position.kind, "")
            names = {f"pooled_{pooled}_{name}": layer for name, layer in names.items()}
        available = {layer: name for name, layer in names.items() if name in tensors}
    else:
        ranked = sorted(
            (layer, rank, name)
            for name in tensors
            for layer, rank in [_named(name, wanted.info.n_layers) or (-1, 0)]
            if layer >= 0
        )
        for layer, _, name in reversed(ranked):  # the lowest rank is written last
            available[layer] = name
    return {layer: (available[layer], None) for layer in _chosen(path, available, wanted)}


def _chosen(path: Path, available: Mapping[int, str], wanted: Wanted) -> list[int]:
    if isinstance(wanted.layers, str) and wanted.layers == "all":
        layers = sorted(available)
    else:
        layers = list(wanted.info.parse_layers(wanted.layers))
    lacking = [layer for layer in layers if layer not in available]
    if lacking or not layers:
        at = f" at position {wanted.position}" if not available else ""
        raise InputError(
            f"no layer {lacking[0] if lacking else wanted.layers!r}{at}",
            where=str(path),
            allowed=f"layers {', '.join(map(str, sorted(available)))}" if available else "",
        )
    return layers


def _on_axis(
    path: Path, kind: str, name: str, tensor: StoredTensor, wanted: Wanted
) -> dict[int, tuple[str, int | None]]:
    """Layers of a tensor (tokens or rows, layers, width), or of a matrix of one layer."""
    rows = "tokens" if kind == REQUEST else "rows"
    if len(tensor.shape) == 2 and kind == MATRIX:
        n_layers = 1
    elif len(tensor.shape) == 3:
        n_layers = tensor.shape[1]
    else:
        raise InputError(
            f"a tensor of shape {tensor.shape}",
            where=str(path),
            allowed=f"({rows}, layers, width)" + " or (rows, width)" * (kind == MATRIX),
        )
    layers = wanted.info.parse_layers(wanted.layers)
    if len(layers) != n_layers:
        raise InputError(
            f"{n_layers} layers in the file, and --layers {wanted.layers!r} names {len(layers)}",
            where=str(path),
            allowed="the number of every layer in the file, in ascending order",
            advice="vLLM's eagle_aux_hidden_state_layer_ids are these numbers.",
        )
    two = len(tensor.shape) == 2
    return {layer: (name, None if two else index) for index, layer in enumerate(layers)}
