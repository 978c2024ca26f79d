"""Forward passes that keep a few tokens of a few layers and stop when they have them."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sprobe.errors import InputError, W2SProbeError
from w2sprobe.extraction.positions import keep_tokens
from w2sprobe.models import DTYPES, hidden_states, text_config
from w2sprobe.progress import Advance
from w2sprobe.tokens import length_sorted_batches, pad


class Extractor:
    """Hidden states of many rows, batched by length.

    Parameters
    ----------
    network : PreTrainedModel
        Base model in evaluation mode.
    average : bool
        One vector a row instead of one a token of its span.
    dtype : {"float32", "float16", "bfloat16"}
        Of what is returned.
    batch_tokens : int
        Tokens in a batch, padding included. Halved when the device runs out of memory.
    whole_pass : bool, default False
        As in `hidden_states`; the self-test says whether a model needs it.
    one_batch : bool, default False
        All rows in one batch, however much of it is padding.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        *,
        average: bool,
        dtype: str,
        batch_tokens: int,
        whole_pass: bool = False,
        one_batch: bool = False,
    ) -> None:
        self._network, self._average, self._dtype = network, average, DTYPES[dtype]
        self.batch_tokens, self._whole_pass = batch_tokens, whole_pass
        self._one_batch = one_batch

    @torch.inference_mode()
    def states(
        self,
        input_ids: Sequence[np.ndarray],
        spans: np.ndarray,
        layers: Sequence[int],
        advance: Advance = lambda _: None,
    ) -> dict[int, np.ndarray]:
        """Hidden states of rows.

        Parameters
        ----------
        input_ids : sequence of ndarray of int, length n
            Tokens of each row, without padding.
        spans : ndarray of int64, shape (n, 2)
            Tokens of each row that are kept.
        layers : sequence of int
            Ascending indices into `hidden_states`.
        advance : callable, optional
            Told the rows of each finished batch.

        Returns
        -------
        dict of int to ndarray, shape (vectors, width)
            Rows in the order given; bfloat16 as uint16 bit patterns.

        Raises
        ------
        InputError
            A value does not fit the dtype; names layer and value.
        W2SProbeError
            The device cannot hold a single row.
        """
        lengths = np.ones(len(spans), np.int64) if self._average else np.diff(spans, axis=1)[:, 0]
        ends = np.cumsum(lengths)
        width = text_config(self._network.config).hidden_size
        out = torch.empty(len(layers), int(ends[-1]), width, dtype=self._dtype)
        sizes = np.array([len(row) for row in input_ids])
        todo = (
            [np.arange(len(sizes))]
            if self._one_batch
            else length_sorted_batches(sizes, self.batch_tokens)
        )
        todo.reverse()

        def collect(ready: Callable[[], torch.Tensor], rows: np.ndarray) -> None:
            places = torch.cat([torch.arange(ends[row] - lengths[row], ends[row]) for row in rows])
            out[:, places] = self._cast(ready(), layers)
            advance(len(rows))

        running: tuple[Callable[[], torch.Tensor], np.ndarray] | None = None
        while todo:
            rows = todo.pop()
            try:
                ready = self._start(input_ids, spans, layers, rows)
            except torch.OutOfMemoryError as error:
                if len(rows) == 1:
                    raise W2SProbeError(
                        f"out of memory on one row of {len(input_ids[rows[0]])} tokens",
                        advice="Use --truncate, fewer layers, or --device-map auto.",
                    ) from error
                torch.cuda.empty_cache()
                self.batch_tokens = max(1, self.batch_tokens // 2)
                todo += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
                continue
            if running:
                collect(*running)
            running = ready, rows
        if running:
            collect(*running)
        return {layer: to_numpy(part) for layer, part in zip(layers, out, strict=True)}

    def _start(
        self,
        input_ids: Sequence[np.ndarray],
        spans: np.ndarray,
        layers: Sequence[int],
        rows: np.ndarray,
    ) -> Callable[[], torch.Tensor]:
        """Run a batch; return what waits for its copy: (layers, vectors, width) on the host."""
        device = self._network.device
        batch = {
            name: tensor.to(device)
            for name, tensor in pad([input_ids[row] for row in rows], pad_id=0).items()
        }
        kept = torch.as_tensor(spans[rows], device=device)
        found = hidden_states(
            self._network,
            batch,
            layers,
            lambda hidden: keep_tokens(hidden, kept, average=self._average),
            whole_pass=self._whole_pass,
        )
        stacked = torch.stack([found[layer].to(device) for layer in layers])
        if device.type != "cuda":
            return lambda: stacked
        # the copy runs while the next batch computes
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
        lost = (states.isfinite() & ~cast.isfinite()).flatten(1).any(dim=1)
        if lost.any():
            place = int(lost.nonzero()[0, 0])
            largest = float(states[place].abs().max())
            raise InputError(
                f"layer {layers[place]} holds {largest:.6g}, which {self._dtype} cannot",
                allowed=f"up to {torch.finfo(self._dtype).max:.6g}",
                advice="Store bfloat16 or float32.",
            )
        return cast


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Array of a store: bfloat16 as uint16 bit patterns."""
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy()
    return tensor.numpy()
