"""Extraction: hidden states of a base model (no LoRA, no classification head) into a store."""

import importlib.metadata
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sprobe.atomic import check_writable
from w2sprobe.cache import GENERATED, ActivationStore, ActivationWriter, drop_damage, is_store
from w2sprobe.devices import rank_and_world, resolve_device
from w2sprobe.errors import InputError
from w2sprobe.extraction.disk import check_disk
from w2sprobe.extraction.forward import Extractor
from w2sprobe.extraction.generation import greedy, read_continuations, write_continuations
from w2sprobe.extraction.identity import extraction_settings
from w2sprobe.extraction.request import ROWS_PER_SHARD, ExtractionRequest, TokenizedRows
from w2sprobe.extraction.rows import as_table
from w2sprobe.extraction.selftest import choose_rows, self_test
from w2sprobe.layers import Layers
from w2sprobe.models import CPU_TOKENS, load_tokenizer
from w2sprobe.progress import progress_bar


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
    generate: int = 0,
    compression: str | None = None,
    batch_tokens: int | None = None,
    rows_per_shard: int = ROWS_PER_SHARD,
    device: str = "auto",
    device_map: str | None = None,
) -> ActivationStore:
    """Compute hidden states of a base model once and keep them in an HDF5 store.

    A finished store is opened, missing layers are added, and an unfinished store continues at its
    first missing shard and ends byte for byte as if it had never stopped. Several processes may
    extract the same store: each shard is computed by one of them.

    Parameters
    ----------
    model
        Asset name, local folder or Hugging Face hub name.
    dataset
        Rows with `id` (unique) and `text`: `w2sprobe.data.Rows`, a list of dicts, a data frame, a
        `datasets.Dataset`, a dict of lists. Conversations have `messages` (lists of `role` and
        `content`, or their JSON) instead of `text`; the model's chat template renders them.
    path
        Folder of the store.
    layers
        Indices into the model's `hidden_states`; see `w2sprobe.layers.parse_layers`.
    position
        Which token: the `last` or `first` of a row, the `mean` over all, `all` of them (one vector
        per token), `marker:TEXT` (last token of the last TEXT in the row) or `after:TEXT` (mean
        over the tokens that follow it). Special tokens count. In conversations also the tokens of
        what the `assistant` or the `user` says (one vector per token), and the last token of what
        the assistant says (`last-assistant`); the template's own tokens are not among these.
    dtype
        Type in which the model computes: float32, float16, bfloat16, or the checkpoint's own.
    store_dtype
        Type in the store; by default that in which the model computes, without loss.
    truncate
        Cut texts to the model's context instead of refusing them; the count is in the manifest.
    generate
        Continue each row by at most so many tokens, greedily, and keep the states of these tokens
        instead of the row's own (a conversation is answered). `position` is then last, first, mean
        or all of them. `generated.parquet` in the store's folder has their text.
    compression
        "bitshuffle-zstd": lossless; needs hdf5plugin for writing and for reading.
    batch_tokens
        Tokens per batch, padding included; does not change the store's hash. By default 512 on a
        CPU and while tokens are generated; on a GPU what fits half of its memory, up to 16,384.
    rows_per_shard
        Rows per file; at most so many are computed again after a run was killed.
    device
        `auto`, `cpu`, `cuda`, `cuda:1`. Under torchrun or accelerate launch, `auto` is the GPU of
        the process.
    device_map
        "auto" spreads a model over several GPUs, instead of `device`.

    Raises
    ------
    InputError
        Unknown model, layer, position, dtype or device; a text that is empty, too long without
        `truncate`, or lacks the marker; rows without id or text; conversations for a model without
        a chat template, or which it refuses. Raised before weights are loaded.
    StoreMismatch
        The folder holds a store of another model, other rows or other settings.
    OutputError
        The disk is too small, or cannot be written to.
    W2SProbeError
        The self-test failed, or a single row does not fit into memory.
    """
    request = ExtractionRequest(
        model,
        dataset,
        layers,
        position=position,
        dtype=dtype,
        store_dtype=store_dtype,
        truncate=truncate,
        generate=generate,
    )
    return run_extraction(
        request,
        path,
        compression=compression,
        batch_tokens=batch_tokens,
        rows_per_shard=rows_per_shard,
        device=device,
        device_map=device_map,
    )


def run_extraction(
    request: ExtractionRequest,
    path: str | Path,
    *,
    compression: str | None = None,
    batch_tokens: int | None = None,
    rows_per_shard: int = ROWS_PER_SHARD,
    device: str = "auto",
    device_map: str | None = None,
) -> ActivationStore:
    """Extract what was requested; parameters and errors as in `extract`.

    Raises
    ------
    InputError
        A text that does not fit, or an unknown device.
    StoreMismatch
        The folder holds another store.
    OutputError
        The disk is too small, or cannot be written to.
    W2SProbeError
        The self-test failed, or a single row does not fit into memory.
    """
    chosen_device = resolve_device(device)
    existing = request.writer(path) if is_store(path) else None
    if existing and existing.is_complete():
        return existing.reopen()
    check_writable(Path(path))  # not before: a complete store may be in a read-only folder
    rows = request.tokenize()
    written = None
    if request.generate:
        written = _continuations(request, Path(path), rows, batch_tokens, chosen_device, device_map)
        rows = request.continued(rows, written)
    n_layers = existing.n_layers_missing() if existing else len(request.layers)
    check_disk(Path(path), round(request.layer_bytes(rows) * n_layers))
    # weights are loaded and tested before anything is written
    network = request.load_model(chosen_device, device_map)
    report = _test(request, rows, network)
    with request.writer(path, compression, rows_per_shard) as writer:
        if written and not (Path(path) / GENERATED).is_file():
            tokenizer = load_tokenizer(request.info.source)
            write_continuations(Path(path), request.ids, written, tokenizer)
        extractor = request.extractor(network, batch_tokens, whole_pass=report["whole_pass"])
        _write_shards(writer, request, rows, extractor)
        return writer.finish(
            {
                "n_tokens": sum(map(len, rows.input_ids)),
                "n_truncated": rows.n_truncated,
                "n_doubled_bos": rows.n_doubled_bos,
                "self_test": report,
                "non_finite": 0,  # a value that is not finite stops the extraction
                "torch": torch.__version__,
                "transformers": importlib.metadata.version("transformers"),
            }
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
        Where the model is now; by default the name in the manifest.

    Returns
    -------
    list of str
        Everything that was wrong, one line each; empty where the store was sound.

    Raises
    ------
    StoreMismatch
        Other rows, or another model; nothing has been deleted.
    StoreDamaged
        The manifest is damaged, so that nothing says what the shards should hold.
    InputError
        As in `extract`.
    """
    manifest = ActivationStore.open(path, partial=True).manifest
    identity, rows = manifest["identity"], as_table(dataset)
    name, layers = model or manifest["model"], [*manifest["layers"], *manifest["pending"]]
    settings = extraction_settings(identity)
    if "imported" in identity:
        raise InputError(
            "an imported store cannot be extracted again",
            where=str(path),
            advice="Delete the files that `w2sprobe store verify` names, and import again.",
        )
    # refuses other rows or another model before anything is deleted
    ExtractionRequest(name, rows, layers, **settings).writer(path)
    problems = drop_damage(path)
    if problems:
        extract(name, rows, path, layers=layers, device=device, **settings)
    return problems


def _continuations(
    request: ExtractionRequest,
    path: Path,
    rows: TokenizedRows,
    batch_tokens: int | None,
    device: torch.device,
    device_map: str | None,
) -> list[np.ndarray]:
    """What the model wrote when the store was started, or writes now."""
    stored = read_continuations(path, request.ids) if is_store(path) else None
    if stored is not None:
        return stored
    # the causal model is freed before the base model is loaded
    return greedy(
        request.load_causal(device, device_map),
        request.info,
        rows.input_ids,
        n_tokens=request.generate,
        batch_tokens=batch_tokens or CPU_TOKENS,
    )


def _test(
    request: ExtractionRequest, rows: TokenizedRows, network: PreTrainedModel
) -> dict[str, Any]:
    sample = choose_rows(np.array([len(row) for row in rows.input_ids]))
    return self_test(
        network,
        [rows.input_ids[row] for row in sample],
        [rows.kept[row] for row in sample],
        request.layers,
        average=request.position.averaged,
    )


def _write_shards(
    writer: ActivationWriter, request: ExtractionRequest, rows: TokenizedRows, extractor: Extractor
) -> None:
    """Compute and write the missing shards; a shard is written while the next one is computed."""
    n_rows = sum(part.stop - part.start for _, part in writer.missing())
    rank, world = rank_and_world()
    # Leaving the block waits for the write in progress, also after an error, so that the shard is
    # finished before its lock is released.
    with (
        ThreadPoolExecutor(max_workers=1) as background,
        progress_bar(f"extracting {request.info.name}", n_rows) as advance,
    ):
        writing: Future[None] | None = None
        for index, part in writer.claims(start=rank / world):
            kept = rows.kept[part]
            states = extractor.states(rows.input_ids[part], kept, writer.needed(index), advance)
            if writing:
                writing.result()  # raises what went wrong while writing
            offsets = _offsets(kept) if request.position.ragged else None
            roles = np.concatenate(rows.roles[part]) if rows.roles else None
            writing = background.submit(writer.write_shard, index, states, offsets, roles)
        if writing:
            writing.result()


def _offsets(kept: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(row) for row in kept])])
