"""Import of activations that other tools saved, compared with transformers."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from w2sprobe.atomic import check_writable
from w2sprobe.cache import ActivationStore, ActivationWriter, is_store, store_size_bytes
from w2sprobe.cache.arguments import check_values
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError
from w2sprobe.extraction.disk import check_disk
from w2sprobe.extraction.drift import AUDIT_ROWS, Drift, Stored, measure_drift
from w2sprobe.extraction.foreign import ForeignStates
from w2sprobe.extraction.forward import to_numpy
from w2sprobe.extraction.import_rows import ImportedRows, rows_of_files, rows_of_task
from w2sprobe.extraction.layouts import Wanted
from w2sprobe.extraction.positions import Position, keep_tokens, parse_position, token_index
from w2sprobe.extraction.request import ROWS_PER_SHARD, ExtractionRequest
from w2sprobe.layers import Layers
from w2sprobe.models import DTYPES, ModelInfo, computing_type, describe_model, load_base
from w2sprobe.progress import progress_bar

CHECKED_ROWS = 64  # rows in memory while values are checked
NOT_ENFORCED = "not enforced"


def import_activations(
    source: str | Path,
    path: str | Path,
    *,
    model: str | Path,
    dataset: object = None,
    layers: Layers = "all",
    position: str = "last",
    match: str = "auto",
    ids: Sequence[Any] | None = None,
    audit_rows: int = AUDIT_ROWS,
    keep_drift: bool = False,
    dtype: str = "auto",
    device: str = "auto",
    rows_per_shard: int = ROWS_PER_SHARD,
) -> ActivationStore:
    """Turn activations that another tool saved into a store, after comparing them with the model.

    Layouts: requests of vLLM and speculators (`token_ids`, `hidden_states`); named tensors of
    TransformerLens and nnsight; lmprobe's caches; matrices (rows, width) or (rows, layers, width).
    Files are safetensors, `.npy`, `.npz` or `.pt` (tensors only: no code in them runs) and are read
    one after the other. Values are stored as they are. Everything is checked before anything is
    written; a killed import continues where it stopped.

    A sample of the rows is computed again with transformers. The largest relative error and what
    else was found are in `store.manifest["runs"]`, under `drift`.

    Parameters
    ----------
    source
        Folder, or a single file.
    path
        Folder of the store.
    model
        The model that computed the activations: asset name, local folder or hub name.
    dataset
        Rows with `id` and `text`, as in `extract`. None: the rows are those of the files, named by
        their files or by `ids`.
    layers
        Indices into `hidden_states` (0 is the embedding output, the last follows the final norm).
        Where files do not number their layers, the number of each layer in the file, ascending.
    position
        Token whose states are kept, as in `extract`; where files have one vector per row, the token
        that it is of.
    match
        How rows are found: by `tokens`, by `name` (a file is named by the id of its row) or by
        `order`. By default by tokens, or in lmprobe's caches by the hash of the text.
    ids
        Id of each row of the files, in the order of the files (sorted by name, hs_2 before hs_10).
    audit_rows
        Rows that are computed again; 0: none, and the weights of the model are not loaded.
    keep_drift
        Also import states that differ from those of transformers. Then the address of the store,
        and the origin of probes fitted on it, say so.
    dtype
        Type in which the sample is computed; by default that of the checkpoint.
    device
        `auto`, `cpu`, `cuda`, `cuda:1`.
    rows_per_shard
        Rows per file of the store.

    Raises
    ------
    InputError
        Files of no known layout; states of another width or type, or not finite; no such layer;
        rows without states; states that are not those of the model.
    StoreMismatch
        The folder holds another store.
    OutputError
        The disk is too small, or cannot be written to.
    """
    if audit_rows < 0:
        raise InputError(f"audit_rows {audit_rows}", allowed="0 or more")
    if dtype not in ("auto", *DTYPES):
        raise InputError(f"unknown dtype {dtype!r}", allowed=f"auto, {', '.join(DTYPES)}")
    chosen_device = resolve_device(device)
    info = describe_model(model)
    wanted = Wanted(info, layers, parse_position(position))
    states = ForeignStates(Path(source), wanted)
    rows = _rows(states, wanted, dataset, match, ids)
    job = _Import(info, wanted.position, states, rows, enforced=bool(audit_rows) and not keep_drift)
    if is_store(path) and job.writer(path, rows_per_shard).is_complete():
        return ActivationStore.open(path)
    check_writable(Path(path))
    check_disk(Path(path), job.size_bytes())
    job.check_values()
    drift = None
    if audit_rows:
        computed_in = computing_type(info) if dtype == "auto" else dtype
        drift = job.audit(audit_rows, computed_in, chosen_device)
        if not keep_drift:
            drift.refuse(str(source), "--keep-drift imports them as they are.")
    return job.run(Path(path), rows_per_shard, drift, str(Path(source).resolve().name))


def _rows(
    states: ForeignStates,
    wanted: Wanted,
    dataset: object,
    match: str,
    ids: Sequence[Any] | None,
) -> ImportedRows:
    """Rows of the task, found in the files; or those of the files, without a task."""
    if dataset is None:
        return rows_of_files(states, wanted.info, wanted.position, ids)
    request = ExtractionRequest(
        wanted.info.name,
        dataset,
        states.layers,
        position=wanted.position.spec,
        dtype=states.dtype,
        store_dtype=states.dtype,
    )
    return rows_of_task(states, request, match, ids)


class _Import:
    """Rows of foreign files on their way into a store."""

    def __init__(
        self,
        info: ModelInfo,
        position: Position,
        states: ForeignStates,
        rows: ImportedRows,
        *,
        enforced: bool,
    ) -> None:
        self._info, self._states, self._rows = info, states, rows
        self._position = position
        self.ragged = position.ragged
        if self.ragged and not states.per_token:
            raise InputError(
                f"position {position} of files with one vector per row",
                allowed="last, first, mean, marker:TEXT, after:TEXT, last-assistant",
            )
        if states.per_token and rows.kept is None:
            raise InputError(
                "files with a vector per token, but neither token ids nor a task",
                advice="--task names the texts.",
            )
        self._identity = {
            **rows.identity,
            "imported": states.identity,
            **({} if enforced else {"audit": NOT_ENFORCED}),
        }

    def writer(self, path: str | Path, rows_per_shard: int) -> ActivationWriter:
        """Start the store, or open it to add what it lacks."""
        return ActivationWriter.create(
            path,
            identity=self._identity,
            ids=self._rows.ids,
            layers=self._states.layers,
            hidden_size=self._info.hidden_size,
            dtype=self._states.dtype,
            model=self._info.name,
            ragged=self.ragged,
            rows_per_shard=rows_per_shard,
        )

    def size_bytes(self) -> int:
        """Disk space of the store."""
        n_vectors = sum(map(len, self._rows.kept)) if self.ragged and self._rows.kept else 0
        return store_size_bytes(
            n_vectors or len(self._rows.ids),
            len(self._states.layers),
            self._info.hidden_size,
            self._states.dtype,
        )

    def check_values(self) -> None:
        """Read every state once; refuse values that are not finite and rows of another length."""
        ids, layers = self._rows.ids, self._states.layers
        with progress_bar("checking values", len(ids)) as advance:
            for start in range(0, len(ids), CHECKED_ROWS):
                rows = range(start, min(start + CHECKED_ROWS, len(ids)))
                offsets = self._offsets(rows)
                names = ids[rows.start : rows.stop]
                for layer, values in self._arrays(rows, layers).items():
                    check_values(
                        values,
                        self._states.dtype,
                        self._info.hidden_size,
                        names,
                        offsets,
                        f"layer {layer}",
                    )
                advance(len(rows))

    def audit(self, n_rows: int, dtype: str, device: torch.device) -> Drift:
        """Compare a sample of rows with transformers."""
        tokens, kept = self._rows.input_ids, self._rows.kept
        if tokens is None or kept is None:
            raise InputError(
                "rows without texts or token ids cannot be compared with the model",
                advice="--task names the texts; --audit-rows 0 imports without comparing.",
            )
        stored = Stored(
            ids=self._rows.ids,
            input_ids=tokens,
            kept=kept,
            read=lambda rows, layer: self._read(rows, [layer])[layer].float().numpy(),
            dtype=self._states.dtype,
            average=self._position.averaged,
        )
        network = load_base(self._info, dtype, device)
        name = self._info.name
        return measure_drift(network, stored, self._states.layers, model=name, n_rows=n_rows)

    def run(
        self, path: Path, rows_per_shard: int, drift: Drift | None, source: str
    ) -> ActivationStore:
        """Write the missing shards."""
        with (
            self.writer(path, rows_per_shard) as writer,
            progress_bar(f"importing {source}", len(self._rows.ids)) as advance,
        ):
            for index, part in writer.claims():
                rows = range(part.start, part.stop)
                roles = np.concatenate(self._rows.roles[part]) if self._rows.roles else None
                writer.write_shard(
                    index, self._arrays(rows, writer.needed(index)), self._offsets(rows), roles
                )
                advance(len(rows))
            return writer.finish(
                {
                    "imported_from": source,
                    "rows_left_out": self._rows.n_left_out,
                    "drift": drift.to_dict() if drift else None,
                    "transformers": importlib.metadata.version("transformers"),
                }
            )

    def _arrays(self, rows: Sequence[int], layers: Sequence[int]) -> dict[int, np.ndarray]:
        """States of rows of the store as a store holds them: bfloat16 as uint16."""
        return {layer: to_numpy(states) for layer, states in self._read(rows, layers).items()}

    def _read(self, rows: Sequence[int], layers: Sequence[int]) -> dict[int, torch.Tensor]:
        """States of rows of the store, (vectors, width)."""
        parts: dict[int, list[torch.Tensor]] = {layer: [] for layer in layers}
        for row in rows:
            for layer, vectors in self._states.vectors(self._rows.numbers[row], layers).items():
                parts[layer].append(self._at_position(row, vectors))
        return {layer: torch.cat(vectors) for layer, vectors in parts.items()}

    def _at_position(self, row: int, vectors: torch.Tensor) -> torch.Tensor:
        if not self._states.per_token:
            return vectors
        tokens, kept = self._rows.input_ids or [], self._rows.kept or []
        if len(vectors) != len(tokens[row]):
            raise InputError(
                f"{len(vectors)} vectors for {len(tokens[row])} tokens, id {self._rows.ids[row]!r}",
                where=str(self._states.rows[self._rows.numbers[row]].path),
                advice="Are some of them padding? Save the attention_mask beside them.",
            )
        index = token_index([kept[row]])
        return keep_tokens(vectors[None], index, average=self._position.averaged)

    def _offsets(self, rows: range) -> np.ndarray | None:
        if not self.ragged or self._rows.kept is None:
            return None
        lengths = [len(self._rows.kept[row]) for row in rows]
        return np.concatenate([[0], np.cumsum(lengths)])
