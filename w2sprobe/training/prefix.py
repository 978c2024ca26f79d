"""Prefix: output of the frozen lower blocks, computed once and read in every epoch.

If LoRA starts at block l, the blocks below never change, and neither do the hidden states that
enter block l. They are cached for every token of every row, and training starts from them.
This prefix consists of blocks; prefix tuning means another thing by the word.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from peft import PeftModel
from transformers import PreTrainedModel

from w2sprobe.atomic import atomic_path
from w2sprobe.errors import OutputError
from w2sprobe.fingerprint import fingerprint
from w2sprobe.models import ModelInfo, blocks_of, hidden_states
from w2sprobe.tokens import length_sorted_batches, pad
from w2sprobe.training.classifier_classes import classifier_backbone
from w2sprobe.training.predict import BATCH_TOKENS


def shared_prefix(
    classifier: PeftModel,
    info: ModelInfo,
    layer: int,
    input_ids: Sequence[np.ndarray],
    *,
    precision: str,
    pad_id: int,
    device: torch.device,
    folder: Path,
) -> "Prefix":
    """Attach a prefix, computed or read from a file in `folder` that other runs share.

    Parameters
    ----------
    classifier, layer, input_ids, pad_id, device
        As in `Prefix`.
    info : ModelInfo
        The base model.
    precision : str
        Precision that the classifier computes in.
    folder : Path
        The file's name is a hash of model, precision, layer and rows.

    Raises
    ------
    OutputError
        The disk is full.
    """
    inputs = [info.identity, precision, layer, [row.tolist() for row in input_ids]]
    file = folder / f"prefix-{fingerprint(inputs)}.npy"
    return Prefix(classifier, layer, input_ids, pad_id=pad_id, device=device, file=file)


class _Skip(torch.nn.Module):
    """Identity in place of a frozen block, with the attributes that models read from blocks."""

    def __init__(self, block: torch.nn.Module, *, n_returned: int) -> None:
        super().__init__()
        self._n_returned = n_returned
        for name in ("attention_type", "layer_type", "layer_idx"):
            if hasattr(block, name):
                setattr(self, name, getattr(block, name))

    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> Any:
        return (hidden, *[None] * (self._n_returned - 1)) if self._n_returned else hidden


class Prefix:
    """Cached hidden states at the input of a block, fed to it in place of the blocks below.

    Dropout below `layer` is not applied: it would need new states in every epoch.

    Parameters
    ----------
    classifier : PeftModel
        Its blocks below `layer` are frozen, and skipped while the prefix is attached.
    layer : int
        First trained block, at least 1.
    input_ids : list of ndarray of int, length n
        Tokens of every row that will be fed.
    device : torch.device
        Device of the classifier.
    file : Path
        Cache: `.npy`, (tokens of all rows, width), bfloat16 as uint16. An existing file is trusted
        to belong to this model, layer and rows.

    Raises
    ------
    OutputError
        The disk is full.
    """

    def __init__(
        self,
        classifier: PeftModel,
        layer: int,
        input_ids: Sequence[np.ndarray],
        *,
        pad_id: int,
        device: torch.device,
        file: Path,
    ) -> None:
        body = classifier_backbone(cast("PreTrainedModel", classifier.get_base_model()))
        blocks = cast("torch.nn.ModuleList", blocks_of(body))
        self._blocks, self._layer, self._device = blocks, layer, device
        self._ends = np.cumsum([0, *(len(row) for row in input_ids)])
        self._hidden: torch.Tensor | None = None
        self._body = body.train(mode=False)
        if not file.is_file():
            self._compute(input_ids, pad_id, file)
        n_returned = self._n_returned(input_ids[:1], pad_id)
        self._states = np.load(file, mmap_mode="r")
        self._skipped = list(blocks[:layer])
        self._hook = blocks[layer].register_forward_pre_hook(self._feed, with_kwargs=True)
        for number in range(layer):
            blocks[number] = _Skip(blocks[number], n_returned=n_returned)

    @contextmanager
    def feeding(self, rows: Sequence[int] | np.ndarray) -> Iterator[None]:
        """Let blocks read the cached states of these rows; pass the same rows' `input_ids`."""
        parts = [self._states_of(row) for row in rows]
        longest = max(map(len, parts))
        hidden = torch.zeros((len(parts), longest, parts[0].shape[1]), dtype=parts[0].dtype)
        for index, part in enumerate(parts):
            hidden[index, : len(part)] = part
        self._hidden = hidden.to(self._device)
        try:
            yield
        finally:
            self._hidden = None

    def detach(self) -> None:
        """Restore the classifier's blocks."""
        self._hook.remove()
        for number, block in enumerate(self._skipped):
            self._blocks[number] = block

    def _states_of(self, row: int) -> torch.Tensor:
        states = torch.from_numpy(np.array(self._states[self._ends[row] : self._ends[row + 1]]))
        return states.view(torch.bfloat16) if states.dtype == torch.uint16 else states

    def _feed(self, _: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (self._hidden, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": self._hidden}

    def _compute(self, input_ids: Sequence[np.ndarray], pad_id: int, file: Path) -> None:
        lengths = np.diff(self._ends)
        try:
            with atomic_path(file) as temporary, temporary.open("w+b") as stream:
                start = token_bytes = 0
                for rows in length_sorted_batches(lengths, BATCH_TOKENS):
                    hidden = self._input_of_block([input_ids[row] for row in rows], pad_id)
                    if hidden.dtype == torch.bfloat16:  # numpy has no bfloat16
                        hidden = hidden.view(torch.uint16)
                    batch = hidden.cpu().numpy()
                    if not start:
                        shape = (int(self._ends[-1]), batch.shape[-1])
                        header = {"descr": batch.dtype.str, "fortran_order": False, "shape": shape}
                        np.lib.format.write_array_header_1_0(stream, header)
                        start, token_bytes = stream.tell(), batch.dtype.itemsize * shape[1]
                    # batches are sorted by length, the file is in the order of rows
                    for index, row in enumerate(rows):
                        stream.seek(start + int(self._ends[row]) * token_bytes)
                        stream.write(batch[index, : lengths[row]].tobytes())
        except OSError as error:
            raise OutputError(f"cannot write {str(file)!r}: {error.strerror}") from error

    @torch.no_grad()
    def _input_of_block(self, rows: Sequence[np.ndarray], pad_id: int) -> torch.Tensor:
        batch = {name: part.to(self._device) for name, part in pad(rows, pad_id).items()}
        states = hidden_states(self._body, batch, [self._layer], lambda hidden: hidden)
        return states[self._layer]

    def _n_returned(self, rows: Sequence[np.ndarray], pad_id: int) -> int:
        """Length of the tuples that blocks return; 0 if they return hidden states alone."""
        returned: list[Any] = []
        handle = self._blocks[0].register_forward_hook(lambda *call: returned.append(call[-1]))
        self._input_of_block(rows, pad_id)
        handle.remove()
        return len(returned[0]) if isinstance(returned[0], tuple | list) else 0
