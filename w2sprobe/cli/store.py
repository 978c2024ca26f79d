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
AUDIT_ROWS = click.option(
    "--audit-rows",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    metavar="N",
    help="Rows that are computed again with transformers.",
)
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
@click.option(
    "--against",
    metavar="NAME|FOLDER",
    shell_complete=_completion.models,
    help="Also compute a sample of the rows with this model in transformers, and compare them. "
    "Needs --task, because a store contains no texts.",
)
@_options.task_name(required=False)
@AUDIT_ROWS
@_options.task_settings
@_options.device
@_options.common
def verify(
    store: Path,
    against: str | None,
    task: "TaskConfig | None",
    audit_rows: int,
    device: str,
    as_json: bool,
) -> None:
    """Read a whole store and compare it with its checksums.

    With --against also with a model: the drift of each layer, and its usual cause where one fits
    (layers numbered off by one, final norm missing, rows permuted, positions shifted).
    Lists all problems, and exits with status 1 if there are any.

    \b
    Examples:
      w2sprobe store verify runs/acts
      w2sprobe store verify runs/acts --against smollm2-135m --task reviews.csv
    """
    from w2sprobe.cache import ActivationStore

    if (against is None) != (task is None):
        raise click.UsageError("--against and --task go together")
    activations = ActivationStore.open(store, partial=True)
    problems = activations.verify()
    lacking = int((~activations.available).sum())
    sound = f"{store}: sound" + f", but {lacking} rows are not extracted yet" * bool(lacking)
    lines = problems or [sound]
    record: dict[str, Any] = {"store": str(store), "problems": problems}
    if task and not problems:
        from w2sprobe.extraction import audit_store

        rows = task.load().stored
        drift = audit_store(store, rows, model=against, audit_rows=audit_rows, device=device)
        problems = drift.problem_lines()
        lines = [sound, drift.line(), *problems]
        record |= {"problems": problems, "drift": drift.to_dict()}
    click.echo(json.dumps(record, indent=2) if as_json else "\n".join(lines))
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
@_options.model
@_options.task_name(required=False)
@_options.layers("all", "Where files do not number their layers: the number of each, ascending.")
@click.option(
    "--position",
    default="last",
    show_default=True,
    metavar="POSITION",
    help="Token whose state is kept, as in `w2sprobe extract`. Where files have one vector per "
    "row: the token that it is of.",
)
@click.option(
    "--match",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "tokens", "name", "order"]),
    help="How rows of the task are found: by token ids, by name (a file is named by the id of its "
    "row), or by order. auto: by token ids, in lmprobe caches by the hash of the text.",
)
@click.option(
    "--ids",
    type=PATH,
    metavar="FILE",
    help="Text file with the id of each row of the files, one per line, in the order of the files "
    "(sorted by name, hs_2 before hs_10).",
)
@click.option(
    "--audit-rows",
    type=click.IntRange(min=0),
    default=16,
    show_default=True,
    metavar="N",
    help="Rows that are computed again with transformers; 0: none.",
)
@click.option(
    "--keep-drift",
    is_flag=True,
    help="Also import states that differ from those of transformers; the store records it.",
)
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    metavar="DTYPE",
    help="Data type in which rows are computed again: auto (that of the checkpoint), float32, "
    "float16 or bfloat16.",
)
@_options.task_settings
@_options.device
@_options.common
def import_command(
    source: Path,
    store: Path,
    task: "TaskConfig | None",
    ids: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Convert activations that another tool saved into a store.

    SOURCE is a file or a folder of safetensors, .npy, .npz or .pt: requests of vLLM and
    speculators, named tensors of TransformerLens and nnsight, a cache of lmprobe, or matrices.
    A sample of the rows is computed again with transformers; states that differ are refused,
    with the usual cause where one fits. The command prints how far the states are from
    transformers. Without --task, the rows are those of the files.

    \b
    Examples:
      w2sprobe store import vllm-states runs/acts --model smollm2-135m --task reviews.csv \\
        --layers 10,20
      w2sprobe store import states.npy runs/acts --model smollm2-135m --task reviews.csv \\
        --layers 15 --match order
    """
    from w2sprobe.extraction import import_activations
    from w2sprobe.layers import layers_text

    imported = import_activations(
        source,
        store,
        dataset=task.load().stored if task else None,
        ids=ids.read_text(encoding="utf-8").splitlines() if ids else None,
        **settings,
    )
    run = imported.manifest["runs"][-1]
    record = {"store": str(store), "rows": len(imported), "layers": list(imported.layers)}
    if as_json:
        left_out = {"rows_left_out": run["rows_left_out"]}
        click.echo(json.dumps({**record, **left_out, "drift": run["drift"]}, indent=2))
        return
    left_out = run["rows_left_out"]
    click.echo(
        f"{store}: {len(imported)} rows, layers {layers_text(imported.layers)}, {imported.dtype}"
        + f"; {left_out} rows of the files are not in the task" * bool(left_out)
    )
    click.echo(run["drift"]["line"] if run["drift"] else "not compared with transformers")


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
