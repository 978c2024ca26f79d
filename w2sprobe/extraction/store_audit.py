"""Comparison of a store with a model: of one of ours, or of a model that is served elsewhere."""

from pathlib import Path

from w2sprobe.cache import ActivationStore
from w2sprobe.devices import resolve_device
from w2sprobe.errors import StoreMismatch
from w2sprobe.extraction.drift import AUDIT_ROWS, Drift, Stored, measure_drift
from w2sprobe.extraction.generation import read_continuations
from w2sprobe.extraction.identity import extraction_settings
from w2sprobe.extraction.request import ExtractionRequest
from w2sprobe.extraction.rows import as_table


def audit_store(
    path: str | Path,
    dataset: object,
    *,
    model: str | Path | None = None,
    audit_rows: int = AUDIT_ROWS,
    device: str = "auto",
) -> Drift:
    """Compute a sample of a store's rows with transformers, and compare them.

    Parameters
    ----------
    path : str or Path
        Folder of a finished store.
    dataset : object
        The rows of the store, as in `extract`; a store does not hold texts.
    model : str or Path, optional
        Model to compare with; by default the name in the manifest.
    audit_rows : int
        Rows of the sample.
    device : str
        As in `extract`.

    Raises
    ------
    InputError
        As in `extract`, or a model without the store's layers or width.
    StoreMismatch
        The store holds other rows.
    """
    store, chosen_device = ActivationStore.open(path), resolve_device(device)
    identity = store.manifest["identity"]
    name = model or store.manifest["model"]
    settings = extraction_settings(identity)
    request = ExtractionRequest(name, as_table(dataset), store.layers, **settings)
    if request.identity["rows"] != identity.get("rows"):
        raise StoreMismatch(
            "the store holds other rows than the task",
            where=str(store.path),
            advice="Pass the task and the settings that it was extracted or imported with.",
        )
    if request.info.hidden_size != store.hidden_size:
        raise StoreMismatch(
            f"the store has states of width {store.hidden_size}, {str(name)!r} of width "
            f"{request.info.hidden_size}",
            where=str(store.path),
        )
    rows = request.tokenize()
    written = read_continuations(store.path, request.ids)
    if written is not None:
        rows = request.continued(rows, written)
    stored = Stored(
        ids=request.ids,
        input_ids=rows.input_ids,
        kept=rows.kept,
        read=lambda numbers, layer: store.read(layer, numbers),
        dtype=store.dtype,
        average=request.position.averaged,
    )
    network = request.load_model(chosen_device, None)
    return measure_drift(network, stored, store.layers, model=str(name), n_rows=audit_rows)
