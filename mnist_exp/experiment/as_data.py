"""What came of a run as plain values, for other programs: `results/schemas/run-1.json` says what they are."""

import abc
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from omegaconf import DictConfig

from mnist_exp.config.schema import Settings
from mnist_exp.errors import SettingsError
from mnist_exp.runtime.reasons import reason
from mnist_exp.runtime.redaction import redact_record
from mnist_exp.tracking import names, plain, store
from mnist_exp.tracking.runs import StoredRun

# Called with what came of a run or a sweep, once its record is closed.
Listener = Callable[[dict[str, Any]], None]


class Listening(abc.ABC):
    """What Hydra calls for each configuration, where it is to be told what came of a whole sweep."""

    @abc.abstractmethod
    def __call__(self, config: DictConfig) -> float:
        """Run one configuration, and return its objective."""

    @abc.abstractmethod
    def ended(self, document: dict[str, Any]) -> None:
        """Take what came of it."""


SCHEMAS = {"run": "mnist_exp.run/1", "sweep": "mnist_exp.sweep/1"}
KILLED, FAILED, REFUSED = "KILLED", "FAILED", "REFUSED"
_REFUSING = 2  # The exit code of argparse and of Hydra.
_FIRST_SIGNAL = 128  # What an exit code is above it, is the number of a signal.


def of_run(
    run: StoredRun, settings: Settings, epochs: Sequence[Mapping[str, float]], error: BaseException | None = None
) -> dict[str, Any]:
    """Return a run that has ended, with its curves.

    Args:
        run: as it is recorded, or would be.
        settings: of it.
        epochs: the metrics of each epoch that is done.
        error: that ended it; None if all went well.
    """
    series = list(dict.fromkeys(name for metrics in epochs for name in metrics))
    facts = {
        "errors": reasons(error) if error is not None else [],
        "tracking_uri": store.locate(settings.tracking.uri) if run.run_id else None,
        "objective": objective(settings, run.metrics.get(names.OBJECTIVE)),
        "pruned": run.is_pruned,
        "history": {name: [plain.number(metrics.get(name)) for metrics in epochs] for name in series},
    }
    return document("run", run, facts)


def objective(settings: Settings, value: float | None) -> dict[str, Any]:
    """Return what selects, and the value that it has; None if there is none."""
    return {"name": settings.objective, "direction": settings.direction, "value": plain.number(value)}


def document(kind: Literal["run", "sweep"], run: StoredRun, added: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run, or the parent run of a sweep, as `runs --json` has it, with what is added, without secrets."""
    content: dict[str, Any] = redact_record(
        {"schema": SCHEMAS[kind]} | plain.of_run(run) | {"kind": kind} | dict(added)
    )
    return content


def not_begun(kind: Literal["run", "sweep"], error: BaseException) -> dict[str, Any]:
    """Return what stands for a run, or a sweep, that ended before it began.

    Its status is REFUSED where it could not be run as it was asked for, KILLED where a signal came, else FAILED.
    """
    is_refused = isinstance(error, SettingsError) or _is_of_the_command_line(error)
    status = REFUSED if is_refused else FAILED if isinstance(error, Exception) else KILLED
    nothing = StoredRun("", "", "", status, {}, {}, {}, "")
    facts: dict[str, Any] = dict.fromkeys(("name", "experiment", "duration_s", "tracking_uri", "objective"))
    facts["errors"] = reasons(error)
    of_run: dict[str, Any] = {"pruned": False, "history": {}}
    nothing_of_sweep = ("minimize_too", "best", "front", "chance", "selected", "budget", "price")
    of_sweep: dict[str, Any] = dict.fromkeys(nothing_of_sweep)
    of_sweep |= {"counts": {}, "configurations": [], "jobs": []}
    return document(kind, nothing, facts | (of_run if kind == "run" else of_sweep))


def reasons(error: BaseException) -> list[str]:
    """Return why something ended, in sentences."""
    if isinstance(error, SettingsError):
        return list(error.problems)
    if isinstance(error, KeyboardInterrupt):
        return ["interrupted"]
    if _is_of_the_command_line(error):
        return ["the command line cannot be read: standard error says why"]
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 0
        return [f"ended by {signal.Signals(code - _FIRST_SIGNAL).name}" if code > _FIRST_SIGNAL else "interrupted"]
    return [reason(error)]


def _is_of_the_command_line(error: BaseException) -> bool:
    """Tell whether Hydra, or argparse, refused a command line: it prints why, and leaves."""
    return isinstance(error, SystemExit) and error.code == _REFUSING
