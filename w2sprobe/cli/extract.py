"""`w2sprobe extract`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _completion, _options

if TYPE_CHECKING:
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
    "--layers", default="all", show_default=True, help="all, mid, 16, 8,12,16, 8:24:2, 0.5 or -1."
)
@click.option(
    "--position",
    default="last",
    show_default=True,
    help="last, first, mean, all, marker:TEXT (its last token) or after:TEXT (mean behind it).",
)
@click.option("--store", type=click.Path(path_type=Path), help="Folder; default: by address.")
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    help="What the model computes in: auto (the checkpoint's own), float32, float16 or bfloat16.",
)
@click.option(
    "--store-dtype", default="auto", show_default=True, help="What is stored; auto: as computed."
)
@click.option(
    "--compress", is_flag=True, help="Lossless bitshuffle and zstd; needs hdf5plugin to read, too."
)
@click.option("--truncate", is_flag=True, help="Cut texts that exceed the model's context.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Measure a few batches; say where the store goes, its disk, memory and time.",
)
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Tokens in a batch; more is faster on a GPU.",
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
    """Compute a model's hidden states once, for the rows a student trains and is tested on.

    Rows: strong-train, validation and test. A finished store is opened, an unfinished one goes on,
    layers that it lacks are added. Started several times, or by torchrun or accelerate launch, the
    processes share the work.

    \b
    Examples:
      w2sprobe extract --model smollm2-135m --task bigbench:multiemo/all_sentence_en \\
        --sizes 500,500,100,1000 --layers 10,15,20
      torchrun --nproc-per-node 8 -m w2sprobe extract --model Qwen/Qwen3-8B --task reviews.csv
    """
    from w2sprobe.devices import rank_and_world
    from w2sprobe.extraction import extract, plan_extraction, store_identity
    from w2sprobe.fingerprint import fingerprint
    from w2sprobe.models import describe_model

    splits = task.load()
    rows = splits.stored
    info = describe_model(model)
    wanted = info.parse_layers(layers)
    meaning: dict[str, Any] = {
        "position": position,
        "dtype": dtype,
        "store_dtype": store_dtype,
        "truncate": truncate,
    }
    identity = store_identity(info, rows.ids.tolist(), rows.texts, **meaning)
    folder = store or _options.cache_folder() / "stores" / fingerprint(identity)
    result: dict[str, Any] = {
        "store": str(folder),
        "rows": len(rows),
        "layers": list(wanted),
        "hidden_size": info.hidden_size,
        "dtype": identity["dtype"],
    }
    manner: dict[str, Any] = {
        "batch_tokens": batch_tokens,
        "device": device,
        "device_map": device_map,
    }
    if dry_run:
        plan = plan_extraction(model, rows.records(), folder, layers=wanted, **meaning, **manner)
        title = "would write"
        result |= {
            "bytes": plan.disk_bytes,
            "free_bytes": plan.free_bytes,
            "seconds": plan.seconds,
            "rows_per_second": plan.rows_per_second,
            "memory_bytes": plan.memory_bytes,
        }
        more = (
            f"disk {plan.disk_bytes / 1e6:.1f} MB of {plan.free_bytes / 1e9:.1f} GB free, "
            f"memory {plan.memory_bytes / 1e9:.1f} GB, about {plan.seconds:.0f} s "
            f"({plan.rows_per_second:.0f} rows a second)"
        )
        if not plan.disk_bytes:
            title, more = "nothing to do, finished store", "all there"
    else:
        compression = "bitshuffle-zstd" if compress else None
        extract(
            model,
            rows.records(),
            folder,
            layers=wanted,
            compression=compression,
            **meaning,
            **manner,
        )
        title = "store"
        size = sum(file.stat().st_size for file in folder.rglob("*.h5"))
        result["bytes"] = size
        more = f"disk {size / 1e6:.1f} MB"
    if rank_and_world()[0] != 0:  # of torchrun: one voice is enough
        return
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        click.echo(
            f"{title} {folder}\n"
            f"{len(rows)} rows, {len(wanted)} layers of width {info.hidden_size}, "
            f"{identity['dtype']}; {more}"
        )
