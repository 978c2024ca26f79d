"""`w2sprobe doctor`."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
from pathlib import Path

import click

from w2sprobe.assets import ASSETS, home, is_fetched
from w2sprobe.cli import _options

PACKAGES = ("torch", "transformers", "peft", "h5py", "scikit-learn", "numpy", "datasets", "gguf")


@click.command("doctor")
@_options.common
def command(as_json: bool) -> None:
    """Show what w2sprobe finds on this machine, and what is missing for GPU use.

    \b
    Example:
      w2sprobe doctor
    """
    facts, advice = examine()
    if as_json:
        click.echo(json.dumps({"facts": facts, "advice": advice}, indent=2))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {value}")
    for line in advice:
        click.echo(f"! {line}")


def examine() -> tuple[dict[str, str], list[str]]:
    """Facts by name, and advice on what is missing."""
    import torch

    facts = {
        "python": f"{sys.version.split()[0]} ({sys.executable})",
        "platform": platform.platform(),
    }
    advice = []
    for package in PACKAGES:
        facts[package] = _version(package)
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    facts["torch build"] = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    facts["devices"] = ", ".join(gpus) or f"CPU, {os.cpu_count()} cores"
    facts["faiss"], faiss_on_gpu = _faiss()
    if not facts["faiss"].startswith(("CPU", "GPU")):
        advice.append("no faiss: install w2sprobe[cpu], or w2sprobe[gpu] on a machine with a GPU")
    if not torch.version.cuda:
        advice.append("for GPU use: a CUDA build of torch is missing")
    elif not gpus:
        advice.append("for GPU use: torch sees no GPU; is a driver installed?")
    if not faiss_on_gpu:
        advice.append("for GPU use: faiss with GPU support is missing; install w2sprobe[gpu]")
    for name, place in (("cache", _options.cache_folder()), ("assets", home())):
        facts[name] = f"{place.absolute()}, {_free(place) / 1e9:.1f} GB free"
    fetched = [name for name in ASSETS if is_fetched(name)]
    facts["fetched"] = ", ".join(fetched) or "nothing; w2sprobe fetch demo"
    return facts, advice


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _faiss() -> tuple[str, bool]:
    """What faiss is here, and whether it can use a GPU."""
    if importlib.util.find_spec("faiss") is None:
        return "not installed", False
    import faiss

    gpu = hasattr(faiss, "StandardGpuResources")
    return f"{'GPU' if gpu else 'CPU'} build {faiss.__version__}", gpu and faiss.get_num_gpus() > 0


def _free(place: Path) -> int:
    while not place.exists():
        place = place.absolute().parent
    return shutil.disk_usage(place).free
