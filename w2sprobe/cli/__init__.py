"""The command line: parses options, calls the library, prints results."""

import importlib
import logging
import os
import signal
import sys
import traceback
import warnings
from types import FrameType

import click

import w2sprobe
from w2sprobe.errors import W2SProbeError

COMMANDS = (
    "fetch",
    "tasks",
    "plan",
    "run",
    "extract",
    "store",
    "train",
    "predict",
    "probe",
    "sweep",
    "explore",
    "join",
    "stats",
    "report",
    "bench",
    "doctor",
)


class _Commands(click.Group):
    """Imports a command's module on first use, so that `--help` does not load torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"w2sprobe.cli.{name}")
        command: click.Command = module.command
        return command


ENVIRONMENT = """\b
Environment:
  W2SPROBE_CACHE       activations and finished stages (default: ./cache)
  W2SPROBE_HOME        fetched models and data (default: ~/.cache/w2sprobe)
  W2SPROBE_HUB_MIRROR  copies of Hugging Face data sets, from `w2sprobe tasks mirror`
"""


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=ENVIRONMENT,
)
@click.version_option(w2sprobe.__version__, prog_name="w2sprobe")
def root() -> None:
    """Run weak-to-strong generalisation experiments.

    A weak model (supervisor) labels data, a strong model (student) learns from these labels, and
    the same strong model trained on true labels is the ceiling. Reports test AUC and performance
    gap recovered, PGR = (student - weak) / (ceiling - weak).

    \b
    Start here:
      w2sprobe fetch demo
      w2sprobe run --preset demo

    Step by step: tasks, train (weak model), extract, sweep or probe, train (student). All at once:
    run, then stats and report.
    """


def main() -> None:
    """Run the command line.

    Exit status: 2 for invalid input, 1 for a failure of w2sprobe, 130 for Ctrl-C, 143 for SIGTERM.
    """
    stopped_by = [signal.SIGINT]

    def stop(signum: int, _: FrameType | None) -> None:
        stopped_by[:] = [signal.Signals(signum)]
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    _quiet_libraries()
    debug = "--debug" in sys.argv[1:]
    try:
        root.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _print_error("Interrupted. Finished work is kept; run the same command again to continue.")
        # CPython remembers an interrupt raised inside exec(), which dataclasses use, and would end
        # `python -m` with SIGINT whatever status is asked for; another exec() resets that
        exec("")
        sys.exit(128 + stopped_by[0])
    except W2SProbeError as error:
        if debug:
            traceback.print_exc()
        _print_error(f"Error: {error}")
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - last resort: a bug
        if debug:
            traceback.print_exc()
        _print_error(
            f"Failed: {type(error).__name__}: {error}\nRun again with --debug for the traceback."
        )
        sys.exit(1)


def _quiet_libraries() -> None:
    """Hide messages of libraries, which mean nothing to users; print warnings on one line."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DATASETS_VERBOSITY", "critical")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.showwarning = lambda message, *_, **__: _print_error(f"Warning: {message}")


def _print_error(message: str) -> None:
    click.echo(message, err=True)
