"""`w2sprobe bench`."""

import json
import platform
from pathlib import Path

import click

from w2sprobe.cli import _options

NAMES = ("search", "knn", "logistic", "topofilter", "memory", "sweep", "growth")


@click.command("bench")
@click.argument("parts", nargs=-1, type=click.Choice(NAMES), metavar="[PART]...")
@click.option(
    "--rows", default=10_000, show_default=True, type=click.IntRange(min=64), help="Number of rows."
)
@click.option(
    "--width",
    default=2048,
    show_default=True,
    type=click.IntRange(min=16),
    help="Width of the rows.",
)
@click.option(
    "--figure", type=click.Path(path_type=Path), help="PNG file for the figure of the part growth."
)
@_options.common
def command(
    parts: tuple[str, ...], rows: int, width: int, figure: Path | None, as_json: bool
) -> None:
    """Measure the speed of the probes beside FAISS, torch and scikit-learn.

    PARTS: search, knn, logistic, topofilter, memory, sweep, growth; all of them by default. A
    ratio is ours / peer: below 1, ours is faster or smaller. Targets and the agreement of the
    results are printed beside it.

    \b
    Examples:
      w2sprobe bench search --rows 5000
      w2sprobe bench growth --figure growth.png
    """
    import torch

    from w2sprobe.bench import PARTS, growth_figure
    from w2sprobe.bench.lines import Size
    from w2sprobe.errors import InputError, W2SProbeError

    chosen = parts or NAMES
    if figure and "growth" not in chosen:
        raise InputError(f"--figure with {', '.join(chosen)}", allowed="the part growth")
    size = Size(rows, width)
    lines = []
    if not as_json:
        threads = torch.get_num_threads()
        click.echo(f"n={rows}, d={width}; {threads} threads, {platform.processor() or 'CPU'}")
        click.echo(f"{'ours | peer':<62} {'ours':>9} {'peer':>9} {'ratio':>6} {'target':>6}")
    for name in chosen:
        for line in PARTS[name](size):
            lines.append((name, line))
            if not as_json:
                target = "" if line.target is None else f"{line.target:g}"
                click.echo(
                    f"{line.name:<62} {line.ours:7.2f} {line.unit:<2}{line.peer:7.2f} "
                    f"{line.unit:<2}{line.ratio:6.2f} {target:>6}   {line.agreement}"
                    + ("" if line.agrees else "   DISAGREES")
                )
    if figure:
        growth_figure([line for name, line in lines if name == "growth"], figure)
    if as_json:
        records = [{"part": name, **line.to_dict()} for name, line in lines]
        click.echo(json.dumps(records, indent=2, allow_nan=False))
    if not all(line.agrees for _, line in lines):
        raise W2SProbeError("ours and a peer disagree", where="the lines marked so")
