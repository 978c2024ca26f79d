"""`manifest.json`: what a store holds, which layers are complete and which are being added."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from w2sprobe.atomic import atomic_path
from w2sprobe.cache.failures import raise_unavailable
from w2sprobe.cache.layout import FORMAT, MANIFEST, SHARDS, VERSION, VIRTUAL
from w2sprobe.errors import InputError, StoreDamaged
from w2sprobe.fingerprint import fingerprint


@dataclass(frozen=True)
class Manifest:
    """Content of `manifest.json`, in the order of its keys.

    `layers` are in every shard; `pending` are being added. `runs` has an entry for each extraction
    that finished.
    """

    identity: dict[str, Any]
    model: str
    ids_fingerprint: str
    n_rows: int
    rows_per_shard: int
    hidden_size: int
    dtype: str
    ragged: bool
    compression: str | None
    layers: tuple[int, ...]
    pending: tuple[int, ...]
    runs: tuple[dict[str, Any], ...] = ()

    @property
    def address(self) -> str:
        """Fingerprint of everything that determines the values."""
        return fingerprint(self.identity)

    @property
    def target(self) -> tuple[int, ...]:
        """Layers of the finished store."""
        return tuple(sorted({*self.layers, *self.pending}))

    @property
    def has_roles(self) -> bool:
        """Whether shards hold the role of each token: conversations with one vector per token."""
        return self.ragged and "chat_template" in self.identity

    @property
    def n_shards(self) -> int:
        """Shards of a complete store."""
        return -(-self.n_rows // self.rows_per_shard)

    def rows(self, index: int) -> slice:
        """Rows of the store that a shard holds."""
        start = index * self.rows_per_shard
        return slice(start, min(start + self.rows_per_shard, self.n_rows))

    def extended(self, layers: Sequence[int]) -> "Manifest":
        """Return the manifest of a store to which layers are being added."""
        return replace(self, pending=tuple(sorted({*self.pending, *layers} - {*self.layers})))

    def finished(self, layers: Sequence[int], run: dict[str, Any]) -> "Manifest":
        """Return the manifest of the store once these layers are in every shard."""
        return replace(
            self,
            layers=tuple(sorted({*self.layers, *layers})),
            pending=tuple(sorted({*self.pending} - {*layers})),
            runs=(*self.runs, run),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the file, without its checksum."""
        content = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }
        return {"format": FORMAT, "version": VERSION, "address": self.address, **content}


def origin_of(identity: Mapping[str, Any], model: str, layer: int) -> dict[str, Any]:
    """What a probe on states of this identity depends on, see `ActivationStore.origin`."""
    of_rows = (
        *("format", "rows", "max_tokens", "truncate", "cut", "computed_in", "dtype"),
        "imported",  # compared with the model's own states; `audit` says where they were not
    )
    kept = {name: value for name, value in identity.items() if name not in of_rows}
    return {**kept, "name": model, "layer": layer}


def is_store(path: str | Path) -> bool:
    """Whether the folder is a store, finished or not."""
    file = Path(path) / MANIFEST
    try:
        return file.is_file()
    except PermissionError as error:
        raise_unavailable(file, error)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`, atomically."""
    with atomic_path(folder / MANIFEST) as temporary:
        temporary.write_bytes(_manifest_bytes(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json` of a local folder, or of one behind a URL.

    Raises
    ------
    InputError
        No store here, or a store of another format version.
    StoreDamaged
        The file differs from what was written.
    StoreUnavailable
        The file cannot be read now, for example without permission.
    """
    file = folder / MANIFEST
    try:
        if not file.is_file():
            _refuse(folder)
        data = file.read_bytes()
        manifest = _parse(json.loads(data), str(file))
    except OSError as error:
        raise_unavailable(file, error)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise StoreDamaged(f"manifest cannot be read: {error!r}", where=str(file)) from error
    # compared byte by byte, not by parsed content, so that any flipped bit is found, even in
    # white space
    if data != _manifest_bytes(manifest):
        raise StoreDamaged("manifest differs from its checksum", where=str(file))
    return manifest


def _manifest_bytes(manifest: Manifest) -> bytes:
    content = manifest.to_dict()
    content["checksum"] = fingerprint(content)
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def _parse(content: dict[str, Any], file: str) -> Manifest:
    if content.get("format") != FORMAT:
        raise InputError(f"unknown format {content.get('format')!r}", where=file, allowed=FORMAT)
    if content["version"] != VERSION:
        raise InputError(
            f"store of format version {content['version']!r}",
            where=file,
            allowed=f"version {VERSION}",
            advice="Use the w2sprobe that wrote it, or extract again into another folder.",
        )
    values = {field.name: content[field.name] for field in fields(Manifest)}
    tuples = {name: tuple(values[name]) for name in ("layers", "pending", "runs")}
    return Manifest(**{**values, **tuples})


def _refuse(folder: Path) -> NoReturn:
    has_virtual_file = folder.name == VIRTUAL or (folder / VIRTUAL).is_file()
    raise InputError(
        f"no activation store in {str(folder)!r}: no {MANIFEST}",
        advice=f"{VIRTUAL} alone holds no values: copy {MANIFEST} and {SHARDS}/ as well, and name "
        "the folder."
        if has_virtual_file
        else "`w2sprobe extract` makes one.",
    )
