"""`w2sprobe extract`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _completion, _options

if TYPE_CHECKING:
    from w2sprobe.data import Rows
    from w2sprobe.experiments.config import TaskConfig


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
    help="Token: last, first, mean, all, marker:TEXT (its end) or after:TEXT (mean after it).",
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
def command(
    model: str,
    task: "TaskConfig",
    layers: str,
    position: str,
    store: Path | None,
    dtype: str,
    store_dtype: str,
    compress: bool,
    truncate: bool,
    dry_run: bool,
    batch_tokens: int,
    device_map: str | None,
    device: str,
    as_json: bool,
) -> None:
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
    from w2sprobe.extraction import store_identity
    from w2sprobe.fingerprint import fingerprint
    from w2sprobe.models import describe_model

    rows = task.load().stored
    info = describe_model(model)
    wanted = info.parse_layers(layers)
    settings: dict[str, Any] = {
        "position": position,
        "dtype": dtype,
        "store_dtype": store_dtype,
        "truncate": truncate,
    }
    identity = store_identity(info, rows.ids.tolist(), rows.texts, **settings)
    folder = store or _options.cache_folder() / "stores" / fingerprint(identity)
    settings |= {
        "layers": wanted,
        "batch_tokens": batch_tokens,
        "device": device,
        "device_map": device_map,
    }
    if dry_run:
        numbers, title, details = _plan(model, rows, folder, settings)
    else:
        settings["compression"] = "bitshuffle-zstd" if compress else None
        numbers, title, details = _extract(model, rows, folder, settings)
    if rank_and_world()[0] != 0:  # one process of torchrun reports for all
        return
    result = {
        "store": str(folder),
        "rows": len(rows),
        "layers": list(wanted),
        "hidden_size": info.hidden_size,
        "dtype": identity["dtype"],
        **numbers,
    }
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        click.echo(
            f"{title} {folder}\n"
            f"{len(rows)} rows, {len(wanted)} layers of width {info.hidden_size}, "
            f"{identity['dtype']}; {details}"
        )


def _plan(
    model: str, rows: "Rows", folder: Path, settings: dict[str, Any]
) -> tuple[dict[str, Any], str, str]:
    """Numbers for JSON, title and details of a dry run."""
    from w2sprobe.extraction import plan_extraction

    cost = plan_extraction(model, rows, folder, **settings)
    numbers = {
        "bytes": cost.disk_bytes,
        "free_bytes": cost.free_bytes,
        "seconds": cost.seconds,
        "rows_per_second": cost.rows_per_second,
        "memory_bytes": cost.memory_bytes,
    }
    if not cost.disk_bytes:
        return numbers, "nothing to do, finished store", "all there"
    details = (
        f"disk {cost.disk_bytes / 1e6:.1f} MB of {cost.free_bytes / 1e9:.1f} GB free, "
        f"memory {cost.memory_bytes / 1e9:.1f} GB, about {cost.seconds:.0f} s "
        f"({cost.rows_per_second:.0f} rows a second)"
    )
    return numbers, "would write", details


def _extract(
    model: str, rows: "Rows", folder: Path, settings: dict[str, Any]
) -> tuple[dict[str, Any], str, str]:
    """Numbers for JSON, title and details of a finished extraction."""
    from w2sprobe.extraction import extract

    extract(model, rows, folder, **settings)
    size = sum(file.stat().st_size for file in folder.rglob("*.h5"))
    return {"bytes": size}, "store", f"disk {size / 1e6:.1f} MB"
