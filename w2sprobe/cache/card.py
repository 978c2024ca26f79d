"""The README.md of exported and pushed stores: a dataset card of the Hugging Face Hub.

Its YAML front matter has a configuration per layer, so that `datasets.load_dataset(folder_or_name,
"layer_10")` reads the Parquet files of that layer.
"""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from w2sprobe.cache.layout import GENERATED
from w2sprobe.cache.matching import flat
from w2sprobe.cache.reader import ActivationStore
from w2sprobe.cache.streaming import ExportType
from w2sprobe.cache.tables import ID, ROLES, VECTOR, VECTORS, config_name
from w2sprobe.errors import OutputError

CARD = "README.md"
TAGS = ["activations", "hidden-states", "w2sprobe"]
ROLES_TEXT = "0 the template's, 1 the system's, 2 the user's, 3 the assistant's"


def make_card(
    store: ActivationStore,
    layers: Sequence[int],
    kind: ExportType,
    *,
    code: str,
    parquet: str | None,
    license: str | None,
    note: str = "",
) -> str:
    """Return the text of a card.

    Parameters
    ----------
    code : str
        Python that loads a layer.
    parquet : str, optional
        Pattern of a layer's Parquet files, relative to the card, with `{}` for the layer's name.
        None: the files are not Parquet.
    license : str, optional
        As the Hub spells it, such as apache-2.0. None: the card states none.
    note : str
        Sentence below the code.
    """
    front: dict[str, Any] = {"license": license} if license else {}
    front["tags"] = TAGS
    if parquet is not None:
        front["configs"] = [
            {
                "config_name": config_name(layer),
                "data_files": [{"split": "train", "path": parquet.format(config_name(layer))}],
            }
            for layer in layers
        ]
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    return (
        f"---\n{head}---\n{_body(store, kind, code, license, note)}\n{_facts(store, layers, kind)}"
    )


def update_card(old: str, new: str) -> str:
    """Return the card `old` with the configurations of `new`, and its licence if that states one.

    Everything else that was edited on the Hub stays; an empty text becomes that of `new`.

    Raises
    ------
    OutputError
        The old card's front matter is not YAML, or not a mapping.
    """
    from huggingface_hub import RepoCard  # half a second, and only needed here

    try:
        card = RepoCard(old)
    except (ValueError, yaml.YAMLError) as error:
        raise OutputError(
            f"front matter of {CARD} cannot be read: {error}",
            where="the target",
            advice="Correct or delete that file.",
        ) from error
    made = RepoCard(new)
    for key in ("configs", "license"):
        if made.data.get(key):
            card.data[key] = made.data[key]
    card.text = card.text if card.text.strip() else made.text
    return str(card.content)


def parquet_code(name: str, store: ActivationStore, layer: int) -> str:
    """Python that loads a layer with `datasets`; `name` is a folder or a repository."""
    read = (
        f'vectors = layer[0]["{VECTORS}"]  # of the first row, (tokens, {store.hidden_size})'
        if store.ragged
        else f'vectors = layer["{VECTOR}"][:]  # ({len(store)}, {store.hidden_size})'
    )
    return (
        "from datasets import load_dataset\n\n"
        f'layer = load_dataset({json.dumps(name)}, "{config_name(layer)}", split="train")\n'
        f'layer = layer.with_format("numpy")\n{read}\nids = layer["{ID}"][:]\n'
    )


def numpy_code(store: ActivationStore, layer: int, kind: ExportType) -> str:
    """Python that loads a layer with numpy."""
    shape = f"{kind.name}, ({store.offsets[-1]}, {store.hidden_size})"
    rows = (
        'offsets = np.load("offsets.npy")\n'
        "first = vectors[offsets[0] : offsets[1]]  # one vector per token of the first row\n"
    )
    return (
        "import numpy as np\n\n"
        f'vectors = np.load("{config_name(layer)}.npy", mmap_mode="r")  # {shape}\n'
        f'ids = np.load("ids.npy")\n{rows * store.ragged}'
    )


def _body(
    store: ActivationStore, kind: ExportType, code: str, license: str | None, note: str
) -> str:
    model = store.manifest["model"] or "a model"
    per = "One vector per token" if store.ragged else "One vector per row"
    lines = [f"# Hidden states of {model}", f"{per}, joined to other tables by `id`."]
    if store.roles is not None:
        lines.append(f"`{ROLES}` says whose words a vector's token holds: {ROLES_TEXT}.")
    if kind.largest_change:
        lines.append(
            f"Values were rounded from {store.dtype} to {kind.name}: a vector changes by at most "
            f"{kind.largest_change:.1e} of its norm."
        )
    if (store.path / GENERATED).is_file():
        lines.append(f"The tokens were written by the model; `{GENERATED}` has the texts.")
    lines += [
        f"```python\n{code}```",
        note,
        f"Licence: {license or 'not stated'}. The terms of the model and of the texts apply, too.",
    ]
    return "\n\n".join(filter(None, lines)) + "\n"


def _facts(store: ActivationStore, layers: Sequence[int], kind: ExportType) -> str:
    manifest = store.manifest
    identity = flat(manifest["identity"], "")
    known = {"format", "dtype", "rows"}
    facts = {
        "model": manifest["model"],
        "layers": f"{', '.join(map(str, layers))} (index in `hidden_states`: 0 is the embedding)",
        "rows": len(store),
        "width": store.hidden_size,
        "type": kind.name if kind.name == store.dtype else f"{kind.name}, from {store.dtype}",
        **{name: value for name, value in identity.items() if name not in known},
        "hash of ids and texts": identity.get("rows", "unknown"),
        "made with": "w2sprobe",
    }
    cells = (
        (name.replace("_", " ").replace(".", ", "), str(value).replace("|", "\\|"))
        for name, value in facts.items()
    )
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in cells)
