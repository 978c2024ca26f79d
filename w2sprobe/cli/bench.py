"""`w2sprobe bench`."""

import json
import platform

import click

from w2sprobe.cli import _options

NAMES = ("search", "knn", "logistic", "topofilter", "memory")


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
@_options.common
def command(parts: tuple[str, ...], rows: int, width: int, as_json: bool) -> None:
    """Benchmark the probes against FAISS, torch and scikit-learn.

    PART is search, knn, logistic, topofilter or memory; default: all. ratio = our time or memory /
    theirs: below 1 is better. The last column tells how well the two results agree.

    \b
    Examples:
      w2sprobe bench search --rows 5000
      w2sprobe bench logistic topofilter --width 512
    """
    import torch

    from w2sprobe.bench import PARTS
    from w2sprobe.errors import W2SProbeError

    records, disagree = [], []
    if not as_json:
        threads = torch.get_num_threads()
        click.echo(f"n={rows}, d={width}; {threads} threads, {platform.processor() or 'CPU'}")
        click.echo(f"{'ours | peer':<62} {'ours':>9} {'peer':>9} {'ratio':>6}")
    for part in parts or NAMES:
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
