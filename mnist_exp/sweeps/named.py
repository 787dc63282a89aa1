"""The run that a notebook or a script names: by its id, or as `run` or `sweep` returned it."""

from typing import Any

from mnist_exp.config import arguments
from mnist_exp.errors import SettingsError
from mnist_exp.experiment.runner import Result
from mnist_exp.sweeps.shown.result import Sweep

RUN = "what `run` or `sweep` returned, or a run's id, or its first six characters or more, or models:/NAME@champion"


def reference(value: Any, name: str) -> str:
    """Return the reference to a run.

    Args:
        value: a reference, or what `run` or `sweep` returned.
        name: of the argument that has it.
    Raises: SettingsError: it is anything else, or the run was not recorded.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, Result | Sweep):
        raise arguments.wrong(name, value, RUN)
    if value.run_id is None:
        how = "sweep.dry_run or tracking=none" if isinstance(value, Sweep) else "tracking=none"
        fix = "" if isinstance(value, Sweep) else ": ask its model itself, result.model"
        raise SettingsError(f"{name} was not recorded ({how}), so that there is nothing to read{fix}")
    return value.run_id
