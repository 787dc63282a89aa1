"""What the commands share: exit codes, and how errors become them."""

import argparse
import io
import os
import re
import select
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mnist_exp.config.argument_parser import Parser
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import BusyError, GoneError, RunError, SettingsError, TrainingError
from mnist_exp.runtime import imports, signals
from mnist_exp.runtime.redacted_output import UnwritableError, redacted_output
from mnist_exp.runtime.signals import end_on_signals
from mnist_exp.runtime.terminal import check_stdout, print_problems

if TYPE_CHECKING:
    from mnist_exp.tracking.runs import StoredRun

DONE, FAILED, MISTAKE, BUSY, INTERRUPTED, TERMINATED = 0, 1, 2, 75, 130, 143  # 75 is EX_TEMPFAIL of sysexits.h
# Commands in the order of their use; others follow.
_FIRST = ("run", "runs", "inspect", "rerun", "evaluate", "predict", "demo", "export", "report", "deliver", "relocate")
_IS_SCRIPT = re.compile(r"^if __name__ == ", re.MULTILINE)
# What they mean, for the reference; a command's own --help says it of that command.
MEANINGS = {
    DONE: "done",
    FAILED: "a run failed, or the result is not as it must be: `rerun` found a difference, `export` does not agree "
    "with Keras or is worse than `--max-drop`, an image could not be read",
    MISTAKE: "the configuration or the command line is wrong; nothing was run",
    BUSY: "another process works on that run, sweep or study; nothing is wrong, and nothing was run: try again later",
    INTERRUPTED: "Ctrl-C (SIGINT); the run is KILLED in MLflow and can be resumed, unless it was done already",
    TERMINATED: "SIGTERM; the run is KILLED in MLflow and can be resumed, unless it was done already",
}


def names() -> list[str]:
    """Return the names of all commands: the modules beside this one that are scripts."""
    files = Path(__file__).parent.glob("[!_]*.py")
    scripts = [file.stem for file in files if _IS_SCRIPT.search(file.read_text("utf-8"))]
    return sorted(scripts, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))


def leave_with(action: Callable[[], int]) -> NoReturn:
    """Call `action` and exit with its exit code. An exception is printed and gives the exit code."""
    end_on_signals()
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # As stderr does, so that a terminal that lacks a character causes no error.
        sys.stdout.reconfigure(errors="backslashreplace")
    elif sys.stdout is None and not _is_open(1):
        discard_stdout()  # Else the next file that is opened would get what native code prints.
    code = code_of(action)
    if code == INTERRUPTED:
        signals.exit_at_once(code)
    imports.quick_exit()
    sys.exit(code)


def code_of(action: Callable[[], int]) -> int:
    """Call `action` and return its exit code. An exception is printed and gives the exit code."""
    with redacted_output():
        try:
            code = action()
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
        except BrokenPipeError as error:
            return DONE if _nobody_reads() else tell(error)
        except UnwritableError as error:
            discard_stdout()
            return tell(RunError(str(error)))
        except BaseException as error:
            return tell(error)


def _nobody_reads() -> bool:
    """Tell whether the reader of stdout has closed it, as `head` does; then nothing more is written to it."""
    poll = select.poll()
    poll.register(1, select.POLLOUT)
    is_closed = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if is_closed:
        discard_stdout()
    return is_closed


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def discard_stdout() -> None:
    """Let what was printed and not written go nowhere: Python would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def tell(error: BaseException, place: str = "command line") -> int:
    """Print the exception that ended a command, and return the exit code.

    For a mistake of the user only its message is printed; for a bug the traceback.

    Args:
        error: the exception.
        place: where the mistake is: `command line` or `configuration`.
    """
    if isinstance(error, SystemExit) and isinstance(error.code, Exception):
        error = error.code
    if isinstance(error, Exception) and not isinstance(error, RunError):
        error = signals.or_interruption(error)
    if isinstance(error, SettingsError):
        is_busy = isinstance(error, BusyError)
        print_problems(error.problems, place, is_busy=is_busy or isinstance(error, GoneError))
        return BUSY if is_busy else MISTAKE
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


def parser(name: str, description: str, codes: str, examples: Sequence[str]) -> Parser:
    """Return a parser for `python -m mnist_exp.NAME`; it tells mistakes as those of a configuration are told.

    Args:
        name: name of the command.
        description: what the command does.
        codes: what its exit codes mean.
        examples: arguments of example calls.
    """
    words = f"python -m mnist_exp.{name}"
    shown = "\n".join(f"  {words} {example}".rstrip() for example in examples)
    return Parser(
        prog=words,
        description=textwrap.fill(description, 100),
        epilog=f"examples:\n{shown}\n\nexit codes: {codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """Add the option for the tracking store."""
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="tracking store; default: $MLFLOW_TRACKING_URI, or sqlite:///mlflow.db in the working folder",
    )


def add_json(parser: argparse.ArgumentParser, meaning: str = "print one JSON object and nothing else") -> None:
    """Add `--json`, which is refused where standard output is closed: the document would be lost after all the work."""
    parser.add_argument("--json", action=_OnStdout, nargs=0, default=False, help=meaning)


class _OnStdout(argparse.Action):
    """A flag for what goes to standard output."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: object) -> None:
        check_stdout(self.option_strings[0])
        setattr(namespace, self.dest, True)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options for one run, its tracking store and the modules to trust."""
    parser.add_argument(
        "run_id", metavar="RUN_ID", help="id of a run, as `mlflow ui` shows it, or models:/NAME@champion"
    )
    add_tracking(parser)
    add_trusted(parser)


def add_trusted(parser: argparse.ArgumentParser) -> None:
    """Add the option for the modules to trust."""
    parser.add_argument(
        "--trusted-modules",
        action="append",
        default=[],
        metavar="A,B",
        help="your own modules whose code the recorded configuration or model may use",
    )


def find(options: argparse.Namespace) -> "StoredRun":
    """Return the run that the options name. Imports MLflow. Raises: SettingsError: there is no such run."""
    from mnist_exp.tracking import references

    return references.find(tracking(options), options.run_id)


def trusted(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the modules of `--trusted-modules`."""
    return tuple(dict.fromkeys(name for names in options.trusted_modules for name in names.split(",") if name))


def output_folder(path: str) -> Path:
    """Create the folder of `--output`. Raises: SettingsError: it cannot be written to."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SettingsError(f"--output={path} cannot be written to: {error.strerror}") from error
    return folder


def tracking(options: argparse.Namespace, experiment: str = "mnist_exp") -> TrackingSettings:
    """Return the settings of the tracking store that the options name."""
    return TrackingSettings(uri=options.tracking_uri, experiment=experiment)
