"""`w2sprobe bench`."""

import json
import platform
from pathlib import Path

import click

from w2sprobe.cli import _options

NAMES = ("search", "knn", "logistic", "topofilter", "memory")
OUT, MINUTES = Path("gpu.json"), 8.0


@click.command("bench")
@click.argument("parts", nargs=-1, type=click.Choice(NAMES), metavar="[PART]...")
@click.option(
    "--rows",
    default=10_000,
    show_default=True,
    type=click.IntRange(min=64),
    metavar="N",
    help="Number of activation vectors (n).",
)
@click.option(
    "--width",
    default=2048,
    show_default=True,
    type=click.IntRange(min=16),
    metavar="D",
    help="Their dimension (d).",
)
@click.option(
    "--device",
    type=click.Choice(["cuda", "cpu"]),
    help="Measure a GPU instead: the tests that need one, neighbours, probes, extraction and "
    "finetuning, beside the limits of the device. cpu: the same on the CPU.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --device: JSON file of the results, written as they are measured. What it has is "
    f"not measured again. Default: {OUT}.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="With --device: parts that are not expected to end within so many minutes are skipped, "
    f"for the next run. Default: {MINUTES:g}.",
)
@click.option("--tiny", is_flag=True, help="With --device: tiny sizes, to try the command.")
@_options.common
def command(
    parts: tuple[str, ...],
    rows: int,
    width: int,
    device: str | None,
    out: Path | None,
    minutes: float | None,
    tiny: bool,
    as_json: bool,
) -> None:
    """Benchmark the probes against other libraries, or measure a GPU.

    PART is search, knn, logistic, topofilter or memory; default: all. ratio = our time or memory /
    that of FAISS, torch or scikit-learn: below 1 is better. The last column tells how well the two
    results agree.

    \b
    Examples:
      w2sprobe bench search --rows 5000
      w2sprobe bench logistic topofilter --width 512
      w2sprobe bench --device cuda --out gpu.json
    """
    if device is None:
        if out or minutes or tiny:
            raise click.UsageError("--out, --minutes and --tiny need --device")
        _beside_peers(parts or NAMES, rows, width, as_json)
    else:
        if parts:
            raise click.UsageError("PART has no effect with --device, which measures everything")
        _on_device(device, out or OUT, minutes or MINUTES, tiny, as_json)


def _beside_peers(parts: tuple[str, ...], rows: int, width: int, as_json: bool) -> None:
    import torch

    from w2sprobe.bench import PARTS
    from w2sprobe.errors import W2SProbeError

    records, disagree = [], []
    if not as_json:
        threads = torch.get_num_threads()
        click.echo(f"n={rows}, d={width}; {threads} threads, {platform.processor() or 'CPU'}")
        click.echo(f"{'ours | peer':<62} {'ours':>9} {'peer':>9} {'ratio':>6}")
    for part in parts:
        for measured in PARTS[part](rows, width):
            records.append({"part": part, **measured.to_dict()})
            if not measured.agrees:
                disagree.append(measured.name)
            if not as_json:
                click.echo(
                    f"{measured.name:<62} {measured.ours:7.2f} {measured.unit:<2}"
                    f"{measured.peer:7.2f} {measured.unit:<2}{measured.ratio:6.2f}   "
                    f"{measured.agreement}{'' if measured.agrees else '   DISAGREES'}"
                )
    if as_json:
        click.echo(json.dumps(records, indent=2, allow_nan=False))
    if disagree:
        raise W2SProbeError("ours and a peer disagree", where="; ".join(disagree))


def _on_device(device: str, out: Path, minutes: float, tiny: bool, as_json: bool) -> None:
    from w2sprobe.bench.device import FULL, TINY, Session, markdown, parts_of
    from w2sprobe.devices import resolve_device
    from w2sprobe.errors import W2SProbeError

    sizes = TINY if tiny else FULL
    session = Session(out, resolve_device(device), sizes.name)
    session.run(
        parts_of(sizes), budget=60 * minutes, say=lambda message: click.echo(message, err=True)
    )
    record = session.record
    click.echo(json.dumps(record, indent=2) if as_json else markdown(record))
    if session.problems():
        raise W2SProbeError(
            "measurements failed or disagree with their check",
            where="; ".join(session.problems()),
            advice="Run the command again to measure these, and what was skipped.",
        )
