"""`w2sprobe extract`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe import help_texts
from w2sprobe.cli import _options

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
    batch_tokens: int | None
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
@_options.model
@_options.task_name()
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Output folder; default: $W2SPROBE_CACHE/stores/HASH (without the variable: "
    "cache/stores/HASH), where HASH is computed from model, rows and settings.",
)
@_options.layers("all")
@click.option(
    "--position",
    default="last",
    show_default=True,
    metavar="POSITION",
    help="Token whose hidden state is stored: last, first, mean (of all tokens), all, marker:TEXT "
    "(last token of TEXT) or after:TEXT (mean of the tokens after TEXT). In conversations also "
    "last-assistant (last token of what the assistant says), assistant or user (all tokens of what "
    "they say).",
)
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    metavar="DTYPE",
    help="Data type of the computation: auto (that of the checkpoint), float32, float16 or "
    "bfloat16.",
)
@click.option(
    "--store-dtype",
    default="auto",
    show_default=True,
    metavar="DTYPE",
    help="Data type of the stored activations; auto: that of the computation.",
)
@click.option(
    "--compress",
    is_flag=True,
    help="Compress losslessly (bitshuffle, zstd); readers need the package hdf5plugin.",
)
@click.option("--truncate", is_flag=True, help=help_texts.TRUNCATE)
@click.option(
    "--generate",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Let the model continue each row by at most N tokens (greedily), and store the hidden "
    "states of these tokens instead. POSITION is then last, first, mean or all. The texts are in "
    "generated.parquet in the store's folder.",
)
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Maximum tokens per forward pass, padding included. Default: 512 on a CPU and for "
    "generated tokens; on a GPU what fits half of its memory, up to 16,384.",
)
@click.option("--device-map", metavar="auto", help="auto: spread one model over several GPUs.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Time a few batches and report folder, disk space, memory and time; extract nothing.",
)
@_options.task_settings
@_options.device
@_options.common
def command(*, as_json: bool, **given: Any) -> None:
    """Store a model's hidden states for the rows of a task.

    These are the rows of strong_train, val and test. A finished store is reused, an unfinished one
    continued, and missing layers are added. The command prints the folder of the store. Parallel
    processes, such as those of torchrun or accelerate launch, share the work.

    \b
    Examples:
      w2sprobe extract --model smollm2-135m --task reviews.csv --store runs/acts
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
