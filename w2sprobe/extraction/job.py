"""Extraction: hidden states of a base model (no LoRA, no classification head) into a store."""

import importlib.metadata
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from w2sprobe.atomic import check_writable
from w2sprobe.cache import (
    FORMAT_VERSION,
    ActivationStore,
    ActivationWriter,
    drop_damage,
    is_store,
)
from w2sprobe.devices import rank_and_world, resolve_device
from w2sprobe.errors import InputError
from w2sprobe.extraction.forward import Extractor
from w2sprobe.extraction.plan import Plan, check_disk, free_bytes, measure, size_bytes
from w2sprobe.extraction.positions import Position, parse_position, token_spans
from w2sprobe.extraction.rows import read_rows
from w2sprobe.extraction.selftest import choose_rows, self_test
from w2sprobe.fingerprint import fingerprint_strings
from w2sprobe.layers import Layers
from w2sprobe.models import (
    DTYPES,
    ModelInfo,
    computing_type,
    describe_model,
    load_base,
    load_tokenizer,
)
from w2sprobe.progress import progress_bar
from w2sprobe.tokens import tokenize, warn_of_changes

BATCH_TOKENS = 512  # 2 cores: 53 rows a second at 512 tokens a batch, 46 at 1,024
ROWS_PER_SHARD = 1024
CUT = "token ids, at the end"  # version 0 cut where the tokenizer was saved to cut


@dataclass(frozen=True)
class _Inputs:
    """Rows as the model reads them."""

    tokens: list[np.ndarray]
    spans: np.ndarray
    n_truncated: int
    n_doubled_bos: int


def extract(
    model: str | Path,
    dataset: object,
    path: str | Path,
    *,
    layers: Layers = "all",
    position: str = "last",
    dtype: str = "auto",
    store_dtype: str = "auto",
    truncate: bool = False,
    compression: str | None = None,
    batch_tokens: int = BATCH_TOKENS,
    rows_per_shard: int = ROWS_PER_SHARD,
    device: str = "auto",
    device_map: str | None = None,
) -> ActivationStore:
    """Compute hidden states of a base model once and keep them in an HDF5 store.

    A store that has the layers is opened and returned; one that lacks some gets just those; an
    unfinished one continues at its first missing shard, and ends byte for byte as if it had never
    stopped. Several processes may extract the same store: each shard is computed by one of them.

    Parameters
    ----------
    model : str or Path
        Asset name, local folder or Hugging Face hub name.
    dataset : iterable of mappings, or a table
        Rows with `id` (unique) and `text`: a list of dicts, a `datasets.Dataset`, a data frame, a
        dict of lists.
    path : str or Path
        Folder of the store.
    layers : str, int, float or sequence of int, default "all"
        Indices into the model's `hidden_states`; see `w2sprobe.layers.parse_layers`.
    position : str, default "last"
        Which token: the last or first one of a row, the `mean` over all, `all` of them (one vector
        a token), `marker:TEXT` (last token of the last TEXT in the row) or `after:TEXT` (mean over
        the tokens that follow it). Special tokens count.
    dtype : {"auto", "float32", "float16", "bfloat16"}
        What the model computes in; "auto" is the checkpoint's own.
    store_dtype : {"auto", "float32", "float16", "bfloat16"}
        What the store holds; "auto" is what the model computes in, without loss.
    truncate : bool, default False
        Cut texts to the model's context instead of refusing them; the count is in the manifest.
    compression : {"bitshuffle-zstd"}, optional
        Lossless; needs hdf5plugin, here and wherever the store is read.
    batch_tokens : int, default 512
        Tokens in a batch, padding included. Does not change the address.
    rows_per_shard : int, default 1024
        Rows that are lost at most when a run is killed.
    device : str, default "auto"
        `auto`, `cpu`, `cuda`, `cuda:1`. Under torchrun or accelerate launch, `auto` is the GPU of
        the process.
    device_map : str, optional
        "auto" spreads a model over several GPUs, instead of `device`.

    Returns
    -------
    ActivationStore

    Raises
    ------
    InputError
        Unknown model, layer, position, dtype or device; a text that is empty, too long without
        `truncate`, or lacks the marker; rows without id or text. Raised before weights are loaded.
    StoreMismatch
        The folder holds another model, other rows or settings; shows the differences.
    OutputError
        The disk is too small, or cannot be written to.
    W2SProbeError
        The self-test failed, or a single row does not fit into memory.
    """
    job = _Job(model, dataset, position, dtype, store_dtype, truncate, layers)
    place = resolve_device(device)
    there = job.writer(path) if is_store(path) else None
    if there and there.is_complete():
        return there.reopen()
    check_writable(Path(path))  # what is complete may lie where nothing can be written
    inputs = job.inputs()
    lacking = there.lacking() if there else len(job.layers)
    check_disk(Path(path), round(job.disk_bytes(inputs, 1) * lacking))
    # weights are loaded and tried before anything is written
    network = load_base(job.info, job.identity["computed_in"], place, device_map)
    sample = choose_rows(np.array([len(row) for row in inputs.tokens]))
    note = self_test(
        network,
        [inputs.tokens[row] for row in sample],
        inputs.spans[sample],
        job.layers,
        average=job.position.averaged,
    )
    # the pool goes first: whatever happens, the shard being written is finished, then given back
    with (
        job.writer(path, compression, rows_per_shard) as writer,
        ThreadPoolExecutor(max_workers=1) as background,
    ):
        extractor = job.extractor(network, batch_tokens, whole_pass=note["whole_pass"])
        n_rows = sum(rows.stop - rows.start for _, rows in writer.missing())
        rank, world = rank_and_world()
        writing: Future[None] | None = None
        with progress_bar(f"extracting {job.info.name}", n_rows) as advance:
            for index, rows in writer.claims(start=rank / world):
                states = extractor.states(
                    inputs.tokens[rows], inputs.spans[rows], writer.needed(index), advance
                )
                if writing:
                    writing.result()
                offsets = _offsets(inputs.spans[rows]) if job.position.ragged else None
                writing = background.submit(writer.write_shard, index, states, offsets)
            if writing:
                writing.result()
        return writer.finish(
            {
                "n_truncated": inputs.n_truncated,
                "n_doubled_bos": inputs.n_doubled_bos,
                "self_test": note,
                "non_finite": 0,  # a value that is not finite stops the extraction
                "torch": torch.__version__,
                "transformers": importlib.metadata.version("transformers"),
            }
        )


def plan_extraction(
    model: str | Path,
    dataset: object,
    path: str | Path,
    *,
    layers: Layers = "all",
    position: str = "last",
    dtype: str = "auto",
    store_dtype: str = "auto",
    truncate: bool = False,
    batch_tokens: int = BATCH_TOKENS,
    rows_per_shard: int = ROWS_PER_SHARD,
    device: str = "auto",
    device_map: str | None = None,
) -> Plan:
    """Measure a few batches of an extraction; nothing is written.

    Where the store has the layers already there is nothing to measure, and all costs are 0.

    Parameters
    ----------
    model, dataset, path, layers, position, dtype, store_dtype, truncate
        As in `extract`.
    batch_tokens, rows_per_shard, device, device_map
        As in `extract`.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        As in `extract`.
    StoreMismatch
        The folder holds another model, other rows or settings.
    OutputError
        The disk cannot hold the store, or cannot be written to.
    """
    job = _Job(model, dataset, position, dtype, store_dtype, truncate, layers)
    place = resolve_device(device)
    if is_store(path) and job.writer(path).is_complete():
        return Plan(0, free_bytes(Path(path)), 0.0, 0.0, 0)
    check_writable(Path(path))
    inputs = job.inputs()
    disk = job.disk_bytes(inputs, len(job.layers))
    check_disk(Path(path), disk)
    network = load_base(job.info, job.identity["computed_in"], place, device_map)
    return measure(
        job.extractor(network, batch_tokens),
        inputs.tokens,
        inputs.spans,
        job.layers,
        disk_bytes=disk,
        folder=Path(path),
        rows_per_shard=rows_per_shard,
    )


def repair(
    path: str | Path,
    dataset: object,
    *,
    model: str | Path | None = None,
    device: str = "auto",
) -> list[str]:
    """Delete a store's damaged shards and extract their rows again, and no others.

    Parameters
    ----------
    path : str or Path
        Folder of the store.
    dataset : iterable of mappings, or a table
        The rows of the extraction, as in `extract`; a store does not hold texts.
    model : str or Path, optional
        Where the model is now; by default where the manifest says.
    device : str, default "auto"

    Returns
    -------
    list of str
        What was wrong, one line each; empty where the store was sound.

    Raises
    ------
    StoreMismatch
        Other rows, or another model; nothing has been deleted.
    StoreDamaged
        The manifest is damaged: nothing says any more what the shards hold.
    InputError
        As in `extract`.
    """
    manifest = ActivationStore.open(path, partial=True).manifest
    ids, texts = read_rows(dataset)  # once: it may be an iterator
    identity, rows = manifest["identity"], {"id": ids, "text": texts}
    name, layers = model or manifest["model"], [*manifest["layers"], *manifest["pending"]]
    settings = {
        "position": identity["position"],
        "dtype": identity["computed_in"],
        "store_dtype": identity["dtype"],
        "truncate": identity["truncate"],
    }
    _Job(name, rows, **settings, layers=layers).writer(path)  # refuses what does not fit
    problems = drop_damage(path)
    if problems:
        extract(name, rows, path, layers=layers, device=device, **settings)
    return problems


def store_identity(
    info: ModelInfo,
    ids: Sequence[str],
    texts: Sequence[str],
    *,
    position: str = "last",
    dtype: str = "auto",
    store_dtype: str = "auto",
    truncate: bool = False,
) -> dict[str, Any]:
    """Everything that determines a store's values; its fingerprint is the store's address.

    Raises
    ------
    InputError
        Unknown position or dtype, or a checkpoint in a type that nothing is computed in.
    """
    parse_position(position)
    for name in (dtype, store_dtype):
        if name != "auto" and name not in DTYPES:
            raise InputError(f"unknown dtype {name!r}", allowed=f"auto, {', '.join(DTYPES)}")
    computed_in = computing_type(info) if dtype == "auto" else dtype
    return {
        "format": FORMAT_VERSION,
        "model": info.identity,
        "rows": fingerprint_strings(ids, texts),
        "position": position,
        "computed_in": computed_in,
        "dtype": computed_in if store_dtype == "auto" else store_dtype,
        "max_tokens": info.max_tokens,
        "truncate": truncate,
        **({"cut": CUT} if truncate else {}),
    }


class _Job:
    """What an extraction was asked for, checked as far as it can be without weights."""

    def __init__(
        self,
        model: str | Path,
        dataset: object,
        position: str,
        dtype: str,
        store_dtype: str,
        truncate: bool,  # noqa: FBT001 - passed on from two functions that name it
        layers: Layers,
    ) -> None:
        self.ids, self.texts = read_rows(dataset)
        self.info = describe_model(model)
        self.layers = self.info.parse_layers(layers)
        self.identity = store_identity(
            self.info,
            self.ids,
            self.texts,
            position=position,
            dtype=dtype,
            store_dtype=store_dtype,
            truncate=truncate,
        )
        self.position: Position = parse_position(position)

    def writer(
        self,
        path: str | Path,
        compression: str | None = None,
        rows_per_shard: int = ROWS_PER_SHARD,
    ) -> ActivationWriter:
        """Start the store, or open it for what it lacks."""
        return ActivationWriter.create(
            path,
            identity=self.identity,
            ids=self.ids,
            layers=self.layers,
            hidden_size=self.info.hidden_size,
            dtype=self.identity["dtype"],
            model=self.info.name,
            ragged=self.position.ragged,
            compression=compression,
            rows_per_shard=rows_per_shard,
        )

    def inputs(self) -> _Inputs:
        """Tokens and the spans that are kept; refuses texts that do not fit."""
        tokenizer = load_tokenizer(self.info.source)
        found = tokenize(
            tokenizer,
            self.ids,
            self.texts,
            max_tokens=self.info.max_tokens,
            vocab_size=self.info.vocab_size,
            truncate=self.identity["truncate"],
        )
        warn_of_changes(found, self.info.name, self.info.max_tokens)
        spans = token_spans(self.position, tokenizer, self.ids, self.texts, found)
        return _Inputs(found.input_ids, spans, found.n_truncated, found.n_doubled_bos)

    def extractor(self, network: Any, batch_tokens: int, *, whole_pass: bool = False) -> Extractor:
        return Extractor(
            network,
            whole_pass=whole_pass,
            average=self.position.averaged,
            dtype=self.identity["dtype"],
            batch_tokens=batch_tokens,
        )

    def disk_bytes(self, inputs: _Inputs, n_layers: int) -> int:
        return size_bytes(
            inputs.spans,
            n_layers,
            self.info.hidden_size,
            self.identity["dtype"],
            average=self.position.averaged,
        )


def _offsets(spans: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(spans[:, 1] - spans[:, 0])])
