"""`w2sprobe extract`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _completion, _options

if TYPE_CHECKING:
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.extraction import ExtractionRequest


@dataclass(frozen=True)
class _ExtractOptions:
    """Options of the command."""

    model: str
    task: "TaskConfig"
    layers: str
    position: str
    store: Path | None
    dtype: str
    store_dtype: str
    compress: bool
    truncate: bool
    generate: int
    dry_run: bool
    batch_tokens: int
    device_map: str | None
    device: str

    def request(self) -> "ExtractionRequest":
        """What the store shall hold."""
        from w2sprobe.extraction import ExtractionRequest

        return ExtractionRequest(
            self.model,
            self.task.load().stored,
            self.layers,
            position=self.position,
            dtype=self.dtype,
            store_dtype=self.store_dtype,
            truncate=self.truncate,
            generate=self.generate,
        )

    def folder(self, request: "ExtractionRequest") -> Path:
        """Folder of the store: --store, or named by the hash of what it holds."""
        from w2sprobe.fingerprint import fingerprint

        return self.store or _options.cache_folder() / "stores" / fingerprint(request.identity)

    def execution(self) -> dict[str, Any]:
        """How it is computed, which does not change the store."""
        return {
            "batch_tokens": self.batch_tokens,
            "device": self.device,
            "device_map": self.device_map,
        }


@click.command("extract")
@click.option(
    "--model",
    required=True,
    metavar="NAME|FOLDER",
    shell_complete=_completion.models,
    help="Asset, local folder or hub name.",
)
@_options.task()
@click.option(
    "--layers", default="all", show_default=True, help="all; mid; 16; 8,12,16; 8:24:2; 0.5; -1."
)
@click.option(
    "--position",
    default="last",
    show_default=True,
    help="Token: last, first, mean, all, marker:TEXT (its end) or after:TEXT (mean after it); of "
    "conversations also last-assistant, and all tokens of the assistant or the user.",
)
@click.option(
    "--store", type=click.Path(path_type=Path), help="Folder; default: hash-named, in the cache."
)
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    help="Type in which the model computes: auto (the checkpoint's), float32, float16 or bfloat16.",
)
@click.option(
    "--store-dtype", default="auto", show_default=True, help="Type in the store; auto: as computed."
)
@click.option(
    "--compress",
    is_flag=True,
    help="Lossless bitshuffle and zstd; readers need hdf5plugin too.",
)
@click.option("--truncate", is_flag=True, help="Cut texts that exceed the model's context.")
@click.option(
    "--generate",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Continue each row by at most N tokens, greedily, and store the states of these tokens "
    "(--position last, first, mean or all of them); generated.parquet in the store has the texts.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Measure a few batches; report folder, disk, memory and time of the extraction.",
)
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Tokens per batch, padding included; more is faster on a GPU.",
)
@click.option("--device-map", metavar="auto", help="Spread the model over several GPUs.")
@_options.device
@_options.common
def command(*, as_json: bool, **given: Any) -> None:
    """Compute and store a model's hidden states for the strong-train, validation and test rows.

    A finished store is reused, an unfinished one continued, missing layers added. Parallel
    processes, such as those of torchrun or accelerate launch, share the work.

    \b
    Examples:
      w2sprobe extract --model smollm2-135m --task bigbench:multiemo/all_sentence_en \\
        --sizes 500,500,100,1000 --layers 10,15,20
      torchrun --nproc-per-node 8 -m w2sprobe extract --model Qwen/Qwen3-8B --task reviews.csv
    """
    from w2sprobe.devices import rank_and_world

    options = _ExtractOptions(**given)
    request = options.request()
    folder = options.folder(request)
    measured, text = (_plan if options.dry_run else _extract)(options, request, folder)
    if rank_and_world()[0] != 0:  # one process of torchrun reports for all
        return
    if as_json:
        click.echo(json.dumps({**_summary(request, folder), **measured}, indent=2))
    else:
        click.echo(text)


def _summary(request: "ExtractionRequest", folder: Path) -> dict[str, Any]:
    return {
        "store": str(folder),
        "rows": len(request.ids),
        "layers": list(request.layers),
        "hidden_size": request.info.hidden_size,
        "dtype": request.identity["dtype"],
    }


def _text(request: "ExtractionRequest", headline: str, cost: str) -> str:
    return (
        f"{headline}\n{len(request.ids)} rows, {len(request.layers)} layers of width "
        f"{request.info.hidden_size}, {request.identity['dtype']}; {cost}"
    )


def _plan(
    options: _ExtractOptions, request: "ExtractionRequest", folder: Path
) -> tuple[dict[str, Any], str]:
    """Measure the cost; return it for JSON and as text."""
    from w2sprobe.extraction import plan_extraction

    cost = plan_extraction(request, folder, **options.execution())
    measured = {
        "bytes": cost.disk_bytes,
        "free_bytes": cost.free_bytes,
        "seconds": cost.seconds,
        "rows_per_second": cost.rows_per_second,
        "memory_bytes": cost.memory_bytes,
    }
    if not cost.disk_bytes:
        return measured, _text(request, f"nothing to do, finished store {folder}", "all there")
    details = (
        f"disk {cost.disk_bytes / 1e6:.1f} MB of {cost.free_bytes / 1e9:.1f} GB free, "
        f"memory {cost.memory_bytes / 1e9:.1f} GB, about {cost.seconds:.0f} s "
        f"({cost.rows_per_second:.0f} rows a second)"
    )
    return measured, _text(request, f"would write {folder}", details)


def _extract(
    options: _ExtractOptions, request: "ExtractionRequest", folder: Path
) -> tuple[dict[str, Any], str]:
    """Write the store; return its size for JSON and as text."""
    from w2sprobe.extraction import run_extraction

    compression = "bitshuffle-zstd" if options.compress else None
    run_extraction(request, folder, compression=compression, **options.execution())
    size = sum(file.stat().st_size for file in folder.rglob("*.h5"))
    return {"bytes": size}, _text(request, f"store {folder}", f"disk {size / 1e6:.1f} MB")
