"""What the commands share: exit codes, and how errors become them."""

import argparse
import io
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import BusyError, RunError, SettingsError, TrainingError
from mnist_exp.runtime import imports, signals
from mnist_exp.runtime.redacted_output import redacted_output
from mnist_exp.runtime.signals import end_on_signals
from mnist_exp.runtime.terminal import print_problems

if TYPE_CHECKING:
    from mnist_exp.tracking.runs import StoredRun

DONE, FAILED, MISTAKE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
# What they mean, for the reference; a command's own --help says it of that command.
MEANINGS = {
    DONE: "done",
    FAILED: "a run failed, or the result is not as it must be: `rerun` found a difference, `export` does not agree "
    "with Keras, an image could not be read",
    MISTAKE: "the configuration or the command line is wrong; nothing was run",
    INTERRUPTED: "Ctrl-C (SIGINT); the run is KILLED in MLflow and can be resumed",
    TERMINATED: "SIGTERM; the run is KILLED in MLflow and can be resumed",
}


def leave_with(action: Callable[[], int]) -> NoReturn:
    """Do something and leave with its exit code, or with that of what went wrong, which is told."""
    end_on_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):  # As stderr does: a terminal without a character is no bug.
        sys.stdout.reconfigure(errors="backslashreplace")
    code = code_of(action)
    imports.quick_exit()
    sys.exit(code)


def code_of(action: Callable[[], int]) -> int:
    """Do something and return its exit code, or that of what went wrong, which is told."""
    with redacted_output():
        try:
            return action()
        except BaseException as error:
            return tell(error)


def tell(error: BaseException, place: str = "command line") -> int:
    """Tell a person what ended a command, and return its exit code.

    A mistake of the user's is told in words; a bug shows its traceback.

    Args:
        error: any.
        place: where the user makes mistakes.
    """
    if isinstance(error, SystemExit) and isinstance(error.code, Exception):
        error = error.code
    if isinstance(error, Exception) and not isinstance(error, RunError):
        error = signals.or_interruption(error)
    if isinstance(error, SettingsError):
        print_problems(error.problems, place, is_busy=isinstance(error, BusyError))
        return MISTAKE
    if isinstance(error, RunError | TrainingError):
        print(error, file=sys.stderr)
        return FAILED
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else DONE
    print("".join(traceback.format_exception(error)), file=sys.stderr)
    return FAILED


def parser(name: str, description: str, codes: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser for `python -m mnist_exp.NAME`.

    Args:
        name: of the command.
        description: what it does.
        codes: what its exit codes mean.
        examples: what may stand behind its name.
    """
    words = f"python -m mnist_exp.{name}"
    shown = "\n".join(f"  {words} {example}" for example in examples)
    return argparse.ArgumentParser(
        prog=words,
        description=textwrap.fill(description, 100),
        epilog=f"examples:\n{shown}\n\nexit codes: {codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where runs are recorded."""
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="tracking store; default: $MLFLOW_TRACKING_URI, or sqlite:///mlflow.db in the working folder",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options that name one run, its store, and whose code its record may name."""
    parser.add_argument("run_id", metavar="RUN_ID", help="of a run, as `mlflow ui` shows it, or models:/NAME@champion")
    add_tracking(parser)
    parser.add_argument(
        "--trusted-modules",
        action="append",
        default=[],
        metavar="A,B",
        help="modules of yours whose code the recorded configuration, or model, may name",
    )


def find(options: argparse.Namespace) -> "StoredRun":
    """Return the run that `add_run` took. Imports MLflow. Raises: SettingsError: there is none."""
    from mnist_exp.tracking import references

    return references.find(tracking(options), options.run_id)


def trusted(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the modules that `add_run` took."""
    return tuple(dict.fromkeys(name for names in options.trusted_modules for name in names.split(",") if name))


def tracking(options: argparse.Namespace, experiment: str = "mnist_exp") -> TrackingSettings:
    """Return what `add_tracking` took."""
    return TrackingSettings(uri=options.tracking_uri, experiment=experiment)
