"""`w2sprobe store`: list, check, repair, copy, import, export and delete activation stores."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _completion, _options

if TYPE_CHECKING:
    from w2sprobe.cache import StoreInfo
    from w2sprobe.experiments.config import TaskConfig

PATH = click.Path(path_type=Path)
ONE_STORE = click.argument("store", type=PATH)
LICENSE = click.option(
    "--license",
    "license_name",
    metavar="NAME",
    help="Licence that the dataset card states, such as apache-2.0, mit or other; default: none.",
)


@click.group("store")
def command() -> None:
    """List, check, repair, copy, convert and delete activation stores.

    A store is a folder of activations; `w2sprobe extract` and `w2sprobe store ls` print its name.

    \b
    Examples:
      w2sprobe store ls
      w2sprobe store verify runs/acts
      w2sprobe store pull s3://bucket/llama cache/stores/llama --layers 16
      w2sprobe store gc --unused-days 30
    """


@command.command("ls")
@click.argument("folder", type=PATH, required=False)
@_options.common
def list_stores(folder: Path | None, as_json: bool) -> None:
    """List the stores in a folder (default: the cache).

    \b
    Example:
      w2sprobe store ls
    """
    from w2sprobe.cache import find_stores, store_info

    root = folder or _options.cache_folder() / "stores"
    infos = [store_info(path) for path in find_stores(root)]
    if as_json:
        click.echo(json.dumps([_record(info) for info in infos], indent=2))
        return
    from w2sprobe.cli._tables import print_table
    from w2sprobe.reporting.listings import stores_table
    from w2sprobe.reporting.wording import counted

    if infos:
        print_table(stores_table(infos))
    for info in infos:
        if info.problem:
            click.echo(info.problem, err=True)
    size = sum(info.bytes for info in infos)
    click.echo(f"{counted(len(infos), 'store')}, {size / 1e6:.1f} MB in {root}")


@command.command("info")
@ONE_STORE
@_options.common
def info_command(store: Path, as_json: bool) -> None:
    """Show what a store holds and what it was made from.

    \b
    Example:
      w2sprobe store info runs/acts
    """
    from w2sprobe.cache import ActivationStore, store_info

    record = _record(store_info(store))
    record["manifest"] = ActivationStore.open(store, partial=True).manifest
    if as_json:
        click.echo(json.dumps(record, indent=2))
        return
    from w2sprobe.layers import layers_text

    for name, value in (record | {"layers": layers_text(record["layers"])}).items():
        if name == "manifest":
            click.echo(json.dumps(value, indent=2))
        elif value != "":
            click.echo(f"{name}: {value}")


@command.command("verify")
@ONE_STORE
@_options.common
def verify(store: Path, as_json: bool) -> None:
    """Read a whole store and compare it with its checksums.

    Lists all problems, and exits with status 1 if there are any.

    \b
    Example:
      w2sprobe store verify runs/acts
    """
    from w2sprobe.cache import ActivationStore

    activations = ActivationStore.open(store, partial=True)
    problems = activations.verify()
    lacking = int((~activations.available).sum())
    sound = f"{store}: sound" + f", but {lacking} rows are not extracted yet" * bool(lacking)
    if as_json:
        click.echo(json.dumps({"store": str(store), "problems": problems}, indent=2))
    else:
        click.echo("\n".join(problems) or sound)
    if problems:
        raise SystemExit(1)


@command.command("repair")
@ONE_STORE
@_options.task_name()
@click.option(
    "--model",
    metavar="NAME|FOLDER",
    shell_complete=_completion.models,
    help="Model, if it has moved since extraction; default: as recorded in the store.",
)
@_options.task_settings
@_options.device
@_options.common
def repair(
    store: Path,
    task: "TaskConfig",
    model: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Recompute the damaged shards of a store.

    Pass the same task options as for extract, because a store contains no texts.

    \b
    Example:
      w2sprobe store repair runs/acts --task reviews.csv
    """
    from w2sprobe.extraction import repair as repair_store

    splits = task.load()
    problems = repair_store(store, splits.stored, model=model, device=device)
    if as_json:
        click.echo(json.dumps({"store": str(store), "repaired": problems}, indent=2))
    else:
        click.echo("\n".join([*problems, f"{store}: {'repaired' if problems else 'sound'}"]))


@command.command("push")
@ONE_STORE
@click.argument("target")
@_options.layers("all")
@click.option(
    "--card/--no-card",
    default=None,
    help="Also send a dataset card and the layers as Parquet, so that datasets.load_dataset reads "
    "them; default: only to hf://datasets/USER/REPOSITORY.",
)
@LICENSE
@_options.common
def push(
    store: Path,
    target: str,
    layers: str,
    card: bool | None,
    license_name: str | None,
    as_json: bool,
) -> None:
    """Copy a store, or some of its layers, to a folder or URL.

    TARGET is a folder or a URL such as s3://, gs://, hf://datasets/ or hf://buckets/.

    \b
    Examples:
      w2sprobe store push runs/acts hf://datasets/me/llama-acts --layers mid
      w2sprobe store push runs/acts s3://bucket/llama
    """
    from w2sprobe.cache import ActivationStore, push_store
    from w2sprobe.layers import parse_layers

    wanted = parse_layers(layers, ActivationStore.open(store).layers)
    files = push_store(store, target, wanted, card=card, license=license_name)
    if as_json:
        click.echo(json.dumps({"target": target, "files": files}, indent=2))
    else:
        click.echo(f"{len(files)} files sent to {target}")


@command.command("pull")
@click.argument("source")
@click.argument("store", type=PATH)
@_options.layers("all")
@_options.common
def pull(source: str, store: Path, layers: str, as_json: bool) -> None:
    """Copy a store, or some of its layers, from a folder or URL.

    SOURCE is a folder or a URL such as s3://, gs:// or hf://datasets/; checksums are verified.

    \b
    Example:
      w2sprobe store pull s3://bucket/llama cache/stores/llama --layers 16
    """
    from w2sprobe.cache import ActivationStore, copy_store
    from w2sprobe.layers import layers_text, parse_layers

    copy = copy_store(source, store, parse_layers(layers, ActivationStore.open(source).layers))
    record = {"store": str(store), "rows": len(copy), "layers": list(copy.layers)}
    if as_json:
        click.echo(json.dumps(record, indent=2))
    else:
        click.echo(f"{store}: {len(copy)} rows, layers {layers_text(copy.layers)}")


@command.command("export")
@click.argument("store")
@click.argument("folder", type=PATH)
@click.option(
    "--format",
    "file_format",
    default="parquet",
    show_default=True,
    type=click.Choice(["parquet", "npy"]),
    help="parquet: for pandas and datasets.load_dataset. npy: for numpy.load.",
)
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "float32", "float16"]),
    help="Data type of the values; auto: float16 if the store is float16, otherwise float32, both "
    "exact.",
)
@_options.layers("all")
@LICENSE
@_options.task_name(required=False)
@_options.task_settings
@_options.common
def export_command(
    *,
    store: str,
    folder: Path,
    file_format: str,
    dtype: str,
    layers: str,
    license_name: str | None,
    task: "TaskConfig | None",
    as_json: bool,
) -> None:
    """Write layers as Parquet or numpy files into a new folder.

    STORE is a folder or a URL. With --task, the files also hold label, split and text of each row;
    pass the same task options as for extract.

    \b
    Examples:
      w2sprobe store export runs/acts shared/acts --layers 10,20
      w2sprobe store export runs/acts shared/acts --dtype float16 --task reviews.csv
    """
    from w2sprobe.cache import ActivationStore, export_store
    from w2sprobe.layers import layers_text, parse_layers

    activations = ActivationStore.open(store)
    wanted = parse_layers(layers, activations.layers)
    columns = None
    if task:
        from w2sprobe.extraction import task_columns

        columns = task_columns(activations, task.load())
    done = export_store(
        store,
        folder,
        wanted,
        format=file_format,
        dtype=dtype,
        columns=columns,
        license=license_name,
    )
    if as_json:
        record = {**asdict(done), "path": str(folder), "layers": list(done.layers)}
        click.echo(json.dumps(record, indent=2))
        return
    click.echo(f"{folder}: {done.n_rows} rows, layers {layers_text(done.layers)}, {done.dtype}")
    if done.largest_change:
        click.echo(f"rounding changes a vector by at most {done.largest_change:.1e} of its norm")


@command.command("import")
@click.argument("source", type=PATH)
@click.argument("store", type=PATH)
@click.option(
    "--ids",
    type=PATH,
    metavar="FILE",
    help="Text file with one row id per line; default: file name and row number, as in train-0.",
)
@click.option("--model", default="", metavar="NAME", help="Model name to record in the store.")
@click.option(
    "--first-layer",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Layer number of the first stored layer; 1 if the embedding output is missing.",
)
@_options.common
def import_command(
    source: Path, store: Path, ids: Path | None, model: str, first_layer: int, as_json: bool
) -> None:
    """Convert a folder of .pt tensors into a store.

    Tensors have the shape (rows, layers, width); no pickled code is run.

    \b
    Example:
      w2sprobe store import results/sciq/w2s/activations cache/stores/sciq --ids ids.txt
    """
    from w2sprobe.extraction import import_tensors
    from w2sprobe.layers import layers_text

    names = ids.read_text(encoding="utf-8").splitlines() if ids else None
    imported = import_tensors(source, store, ids=names, model=model, first_layer=first_layer)
    record = {"store": str(store), "rows": len(imported), "layers": list(imported.layers)}
    if as_json:
        click.echo(json.dumps(record, indent=2))
    else:
        click.echo(
            f"{store}: {len(imported)} rows, layers {layers_text(imported.layers)}, "
            f"{imported.dtype}"
        )


@command.command("gc")
@click.argument("folder", type=PATH, required=False)
@click.option(
    "--unused-days",
    type=_options.FiniteRange(min=0),
    metavar="DAYS",
    help="Also stores that were not opened for this many days.",
)
@click.option("--yes", is_flag=True, help="Delete what is listed.")
@_options.common
def collect(folder: Path | None, unused_days: float | None, yes: bool, as_json: bool) -> None:
    """List leftover files and unused stores, or delete them.

    Lists leftover files of killed runs and, with --unused-days, stores that were not opened
    recently; deletes them with --yes. FOLDER is searched; default: the cache.

    \b
    Example:
      w2sprobe store gc --unused-days 30 --yes
    """
    import shutil

    from w2sprobe.cache import find_stores, leftovers, store_info
    from w2sprobe.reporting.wording import counted

    root = folder or _options.cache_folder() / "stores"
    infos = [store_info(path) for path in find_stores(root)]
    old = [info for info in infos if unused_days is not None and info.unused_days > unused_days]
    old_folders = {info.path for info in old}
    files = [file for file in leftovers(root) if not old_folders & set(file.parents)]
    freed = sum(info.bytes for info in old) + sum(file.stat().st_size for file in files)
    if yes:
        for info in old:
            shutil.rmtree(info.path)
        for file in files:
            file.unlink(missing_ok=True)
    if as_json:
        record = {"deleted": yes, "bytes": freed}
        names = {"stores": [str(info.path) for info in old], "files": list(map(str, files))}
        click.echo(json.dumps({**record, **names}, indent=2))
        return
    for info in old:
        click.echo(f"{info.path}  {info.model}, unused for {info.unused_days:.0f} days")
    for file in files:
        click.echo(str(file))
    done = "deleted" if yes else "would be deleted (by --yes)"
    what = f"{counted(len(old), 'store')} and {counted(len(files), 'file')}"
    click.echo(f"{what}, {freed / 1e6:.1f} MB, {done}")


def _record(info: "StoreInfo") -> dict[str, Any]:
    return {**asdict(info), "path": str(info.path), "layers": list(info.layers)}
