"""Forward passes that keep a few tokens of a few layers and stop when they have them."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sprobe.errors import InputError, W2SProbeError
from w2sprobe.extraction.positions import keep_tokens, token_index
from w2sprobe.models import DTYPES, hidden_states, text_config, tokens_per_pass
from w2sprobe.progress import Advance
from w2sprobe.tokens import length_sorted_batches, pad

# waits for a batch's results on the host, shape (layers, vectors, width)
WaitForStates = Callable[[], torch.Tensor]


class Extractor:
    """Hidden states of many rows, batched by length.

    Parameters
    ----------
    network : PreTrainedModel
        Base model in evaluation mode.
    average : bool
        Return one vector per row instead of one per kept token.
    dtype : {"float32", "float16", "bfloat16"}
        Type of the returned states.
    batch_tokens : int, optional
        Tokens per batch, padding included; by default `tokens_per_pass` of the device. Halved when
        the device runs out of memory.
    whole_pass : bool, default False
        As in `hidden_states`; the self-test says whether a model needs it.
    one_batch : bool, default False
        Put all rows into one batch, however much padding that takes.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        *,
        average: bool,
        dtype: str,
        batch_tokens: int | None = None,
        whole_pass: bool = False,
        one_batch: bool = False,
    ) -> None:
        self._network, self._average, self._dtype = network, average, DTYPES[dtype]
        self.batch_tokens = batch_tokens or tokens_per_pass(network, network.device)
        self._whole_pass = whole_pass
        self._one_batch = one_batch

    @torch.inference_mode()
    def states(
        self,
        input_ids: Sequence[np.ndarray],
        kept: Sequence[np.ndarray],
        layers: Sequence[int],
        advance: Advance = lambda _: None,
    ) -> dict[int, np.ndarray]:
        """Compute hidden states of rows.

        Parameters
        ----------
        input_ids : sequence of ndarray of int, length n
            Tokens of each row, without padding.
        kept : sequence of ndarray of int64, length n
            Numbers of the tokens of each row that are kept, at least one.
        layers : sequence of int
            Ascending indices into `hidden_states`.
        advance : callable, optional
            Called with the number of rows of each finished batch.

        Returns
        -------
        dict of int to ndarray, shape (vectors, width)
            In the order of the rows; bfloat16 as uint16 bit patterns.

        Raises
        ------
        InputError
            A value does not fit the dtype; names layer and value.
        W2SProbeError
            The device cannot hold a single row.
        """
        lengths = np.array([1 if self._average else len(row) for row in kept], dtype=np.int64)
        ends = np.cumsum(lengths)
        width = text_config(self._network.config).hidden_size
        out = torch.empty(len(layers), int(ends[-1]), width, dtype=self._dtype)

        def collect(wait: WaitForStates, rows: np.ndarray) -> None:
            vectors = torch.cat([torch.arange(ends[row] - lengths[row], ends[row]) for row in rows])
            out[:, vectors] = self._cast(wait(), layers)
            advance(len(rows))

        # a batch is collected after the next one has started, so that copy and pass overlap
        previous: tuple[WaitForStates, np.ndarray] | None = None
        for started in self._started_batches(input_ids, kept, layers):
            if previous:
                collect(*previous)
            previous = started
        if previous:
            collect(*previous)
        return {layer: to_numpy(part) for layer, part in zip(layers, out, strict=True)}

    def _started_batches(
        self, input_ids: Sequence[np.ndarray], kept: Sequence[np.ndarray], layers: Sequence[int]
    ) -> Iterator[tuple[WaitForStates, np.ndarray]]:
        """Run batch after batch; one that does not fit into memory is cut in halves."""
        sizes = np.array([len(row) for row in input_ids])
        todo = (
            [np.arange(len(sizes))]
            if self._one_batch
            else length_sorted_batches(sizes, self.batch_tokens)
        )
        todo.reverse()
        while todo:
            rows = todo.pop()
            try:
                wait = self._start(input_ids, kept, layers, rows)
            except torch.OutOfMemoryError as error:
                if len(rows) == 1:
                    raise W2SProbeError(
                        f"out of memory on one row of {len(input_ids[rows[0]])} tokens",
                        advice="Use --truncate, fewer layers, or --device-map auto.",
                    ) from error
                torch.cuda.empty_cache()
                self.batch_tokens = max(1, self.batch_tokens // 2)
                todo += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
            else:
                yield wait, rows

    def _start(
        self,
        input_ids: Sequence[np.ndarray],
        kept: Sequence[np.ndarray],
        layers: Sequence[int],
        rows: np.ndarray,
    ) -> WaitForStates:
        """Run a batch and begin the copy of its states to the host."""
        device = self._network.device
        batch = {
            name: tensor.to(device)
            for name, tensor in pad([input_ids[row] for row in rows], pad_id=0).items()
        }
        rows_index, tokens_index = token_index([kept[row] for row in rows])
        index = (rows_index.to(device), tokens_index.to(device))
        states = hidden_states(
            self._network,
            batch,
            layers,
            # reduced on the device, layer by layer: only the kept vectors stay in memory
            lambda hidden: keep_tokens(hidden, index, average=self._average),
            whole_pass=self._whole_pass,
        )
        stacked = torch.stack([states[layer].to(device) for layer in layers])
        if device.type != "cuda":
            return lambda: stacked
        # pinned memory lets the copy run while the next batch computes
        host = torch.empty(stacked.shape, dtype=stacked.dtype, pin_memory=True)
        host.copy_(stacked, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()

        def wait() -> torch.Tensor:
            done.synchronize()
            return host

        return wait

    def _cast(self, states: torch.Tensor, layers: Sequence[int]) -> torch.Tensor:
        if states.dtype == self._dtype:
            return states
        cast = states.to(self._dtype)
        # values that were infinite before the cast are refused by the writer
        overflowed = (states.isfinite() & ~cast.isfinite()).flatten(1).any(dim=1)
        if overflowed.any():
            first = int(overflowed.nonzero()[0, 0])
            largest = float(states[first].abs().max())
            raise InputError(
                f"layer {layers[first]} holds {largest:.6g}, which {self._dtype} cannot",
                allowed=f"up to {torch.finfo(self._dtype).max:.6g}",
                advice="Store bfloat16 or float32.",
            )
        return cast


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Convert a tensor to an array as stores hold it: bfloat16 as uint16 bit patterns."""
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy()
    return tensor.numpy()
