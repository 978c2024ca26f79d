"""Packages that only some settings need: looked for before anything is read or trained."""

from importlib.util import find_spec

from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.training.settings import TrainSettings


def check_requirements(settings: TrainSettings) -> None:
    """Refuse settings whose packages are not installed.

    Parameters
    ----------
    settings : TrainSettings

    Raises
    ------
    InputError
        transformers knows no such integration as `report_to` names.
    MissingDependency
        What `precision` or `report_to` needs is not installed.
    """
    if settings.precision == "4bit" and find_spec("bitsandbytes") is None:
        raise MissingDependency(
            "--precision 4bit needs bitsandbytes", advice="Run: pip install 'w2sprobe[4bit]'"
        )
    for name in settings.reporters:
        try:
            (callback,) = get_reporting_integration_callbacks([name])  # type: ignore[no-untyped-call]
            callback()
        except RuntimeError as error:
            raise MissingDependency(f"--report-to {name}: {error}".rstrip(".")) from error
        except ValueError as error:
            said = str(error).rstrip(".")
            raise InputError(f"--report-to is {settings.report_to!r}: {said}") from error
