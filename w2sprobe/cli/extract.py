"""`w2sprobe extract`."""

import json
from pathlib import Path

import click

from w2sprobe.cli import _options


@click.command("extract")
@click.option(
    "--model", required=True, metavar="NAME|FOLDER", help="Asset, local folder or hub name."
)
@_options.task
@click.option("--layers", default="all", show_default=True, help="all, mid, 16 or 8,12,16.")
@click.option("--store", type=click.Path(path_type=Path), help="Folder; default: by address.")
@click.option(
    "--dtype", default="auto", show_default=True, help="auto, float32, float16 or bfloat16."
)
@click.option("--truncate", is_flag=True, help="Cut texts that exceed the model's context.")
@click.option("--dry-run", is_flag=True, help="Say where the store goes and what it needs.")
@_options.device
@_options.common
def command(
    model: str,
    task_name: str,
    positive: str | None,
    negative: str | None,
    sizes: str | None,
    split_seed: int,
    layers: str,
    store: Path | None,
    dtype: str,
    truncate: bool,
    dry_run: bool,
    device: str,
    as_json: bool,
) -> None:
    """Compute a model's hidden states once, for the rows a student trains and is tested on.

    Rows: strong-train, validation and test. A finished store is opened; an unfinished one goes on.

    \b
    Example:
      w2sprobe extract --model smollm2-135m --task bigbench:multiemo/all_sentence_en \\
        --sizes 500,500,100,1000 --layers 10,15,20
    """
    from w2sprobe.atomic import check_writable
    from w2sprobe.cache import store_size_bytes
    from w2sprobe.cli._splits import load_splits
    from w2sprobe.data import join_rows
    from w2sprobe.extraction import extract, store_identity
    from w2sprobe.fingerprint import fingerprint
    from w2sprobe.layers import parse_layers
    from w2sprobe.models import describe_model

    splits = load_splits(task_name, positive, negative, sizes, split_seed)
    rows = join_rows(splits.strong_train, splits.val, splits.test)
    info = describe_model(model)
    wanted = parse_layers(layers, range(info.n_layers + 1))
    identity = store_identity(
        info,
        rows.ids.tolist(),
        rows.texts,
        dtype=dtype,
        truncate=truncate,
    )
    folder = store or _options.cache_folder() / "stores" / fingerprint(identity)
    check_writable(folder)
    size = store_size_bytes(len(rows), len(wanted), info.hidden_size, identity["dtype"])
    if not dry_run:
        extract(
            model,
            rows.records(),
            folder,
            layers=wanted,
            dtype=dtype,
            truncate=truncate,
            device=device,
        )
    result = {
        "store": str(folder),
        "rows": len(rows),
        "layers": list(wanted),
        "hidden_size": info.hidden_size,
        "dtype": identity["dtype"],
        "bytes": size,
    }
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        click.echo(
            f"{'would write' if dry_run else 'store'} {folder}\n"
            f"{len(rows)} rows, {len(wanted)} layers of width {info.hidden_size}, "
            f"{identity['dtype']}, {size / 1e6:.1f} MB"
        )
