"""What `python -m mnist_exp.run` and `mnist-exp` do: read, check, run, and leave with an exit code."""

import argparse
import importlib
import json
import os
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mnist_exp import commands
from mnist_exp.commands import DONE, MISTAKE
from mnist_exp.composition import compose, explain, flags, hydra_section, hydra_version
from mnist_exp.composition.preflight import check
from mnist_exp.config import wording
from mnist_exp.errors import RunError, SettingsError, TrainingError
from mnist_exp.experiment import resume, runner
from mnist_exp.experiment.as_data import Listener, Listening, not_begun
from mnist_exp.experiment.record import Job
from mnist_exp.jobs import fork_server
from mnist_exp.runtime import start_folder
from mnist_exp.runtime.redacted_output import UnwritableError
from mnist_exp.runtime.signals import Terminated
from mnist_exp.runtime.terminal import Screen, stdout_for_data

_OF_SWEEPS = r"[+~]*(sweep\.|hydra[./](launcher|sweeper)\b|tracking\.keep_models=best)"
# Of a command line that could not be read.
_NOTHING: dict[str, Any] = {"overrides": [], "config_dir": None, "multirun": False}


def main() -> None:
    """Run the command line and leave with its exit code, as `commands.MEANINGS` says.

    `mnist-exp NAME …` is `python -m mnist_exp.NAME …`: no override is a bare word.
    """
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first.isidentifier() and first in commands.names():
        del sys.argv[1]
        if first != "run":
            importlib.import_module(f"mnist_exp.{first}").main()
    commands.leave_with(launch)


def launch() -> int:
    """Run the command line in `sys.argv`, which Hydra reads too, and return its exit code."""
    if not flags.wants_data(sys.argv[1:]):
        return _Command().launch()
    command = _Command(is_heard=True)
    with stdout_for_data():
        code = command.launch()
    if command.document is None:
        return code
    try:
        print(json.dumps(command.document, ensure_ascii=False), flush=True)
    except UnwritableError as error:
        commands.discard_stdout()
        kind, run_id = command.document["kind"], command.document["run_id"]
        failed = commands.tell(RunError(f"{error}; the {kind} is {run_id}" if run_id else str(error)))
        return code or failed
    return code


@dataclass
class _Command(Listening):
    """One command line, and what came of it. Hydra calls it for its run, or hands it to its sweeper.

    Args:
        is_heard: whether it is wanted as data.
    """

    is_heard: bool = False
    document: dict[str, Any] | None = field(default=None, init=False)
    _options: argparse.Namespace = field(default_factory=lambda: argparse.Namespace(**_NOTHING), init=False)

    def launch(self) -> int:
        """Run the command line in `sys.argv`, and return its exit code."""
        # Otherwise Hydra would reword errors and exit with 1.
        os.environ["HYDRA_FULL_ERROR"] = "1"
        fork_server.expect(sys.argv[1:])
        try:
            self._options = flags.read(sys.argv[1:])
            sys.argv[1:] = flags.without_data(sys.argv[1:])
            return self._launch(self._options)
        except (SettingsError, RunError, KeyboardInterrupt) as error:
            return self._tell(error)
        except SystemExit as leaving:
            # Hydra leaves with 1 where --package names no section.
            return self._tell(SystemExit(MISTAKE) if leaving.code == 1 else leaving)
        except (BrokenPipeError, UnwritableError):
            raise
        except Exception as error:
            # `train` wraps what goes wrong inside a run, so this came from the command line or the output folder.
            return self._tell(SettingsError(_mistakes(error, self._options)))
        finally:
            fork_server.end()

    def _launch(self, options: argparse.Namespace) -> int:
        if options.version:
            print(flags.version())
            return DONE
        if not options.shell_completion:  # Its words are no overrides.
            words = compose.check_hydra(options.overrides, options.config_dir, multirun=options.multirun)
            changed = dict(zip(options.overrides, words, strict=True))
            sys.argv[1:] = [changed.get(word, word) for word in sys.argv[1:]]
        if options.help:
            from mnist_exp.composition import help_page

            print(help_page.text(options.overrides, options.config_dir))
            return DONE
        compose.register_search_path()
        with start_folder.started_in(Path.cwd()):
            hydra.main(**hydra_version.BASE, config_path=str(compose.CONF), config_name="config")(self)()
        return DONE

    def __call__(self, config: DictConfig) -> float:
        """Run one composed configuration and return its objective to the sweeper."""
        if self.is_heard and HydraConfig.get().mode == RunMode.MULTIRUN:
            raise SystemExit(SettingsError(f"{flags.AS_DATA} knows sweeps of hydra/sweeper=mnist_exp only"))
        return train(config, self.ended if self.is_heard else None)

    def ended(self, document: dict[str, Any]) -> None:
        """Keep what came of the run, or the sweep."""
        self.document = document

    def _tell(self, error: BaseException) -> int:
        if self.document is None and not (isinstance(error, SystemExit) and not error.code):
            of = error.code if isinstance(error, SystemExit) and isinstance(error.code, Exception) else error
            self.document = not_begun("sweep" if self._options.multirun else "run", of)
        return commands.tell(error, "configuration")


def train(config: DictConfig, on_end: Listener | None = None) -> float:
    """Run one composed configuration and return its objective.

    Args:
        config: composed by Hydra.
        on_end: called with what came of the run.
    """
    try:
        overrides = hydra_section.written(HydraConfig.get(), "task")
        _warn_of_sweep_options(overrides)
        if config.get("resume") is not None:
            return _resume(config, overrides, on_end)
        settings = check(config, overrides)
        _warn_of_unswept()
        return runner.run(settings, job=Job(on_end=on_end)).objective
    # Hydra prints lines of its own about any other kind of exception.
    except (SettingsError, RunError) as error:
        raise SystemExit(error) from error
    except Terminated:
        raise
    except UnwritableError as error:
        commands.discard_stdout()
        raise SystemExit(RunError(str(error))) from error
    except TrainingError as error:
        raise SystemExit(RunError(f"the run failed: {error}")) from error
    except (Exception, SystemExit) as error:
        raise SystemExit(RunError(traceback.format_exc())) from error


def _resume(config: DictConfig, overrides: Sequence[str], on_end: Listener | None) -> float:
    screen = Screen()
    with resume.opened(config, overrides, screen) as (settings, dataset, resumption):
        return runner.run(settings, screen, Job(dataset=dataset, resumption=resumption, on_end=on_end)).objective


def _warn_of_unswept() -> None:
    """Warn that a preset sweeps only with -m, unless the overrides give each of its options a value."""
    hydra = HydraConfig.get()
    given = {text.partition("=")[0].lstrip("+") for text in hydra_section.written(hydra, "task")}
    unswept = [key for key in hydra.sweeper.get("params") or {} if key not in given]
    if unswept:
        Screen().warn(f"this is one run, not a sweep over {', '.join(unswept)}: for that add -m")


def _warn_of_sweep_options(overrides: Sequence[str]) -> None:
    """Warn that options of a sweep change nothing in one run."""
    own = [*overrides, *hydra_section.written(HydraConfig.get(), "hydra")]
    given = [text for text in own if re.match(_OF_SWEEPS, text)]
    if given and HydraConfig.get().mode != RunMode.MULTIRUN:
        Screen().warn(f"this is one run, not a sweep: {', '.join(given)} has no effect without -m")


def _mistakes(error: Exception, options: argparse.Namespace) -> list[str]:
    cause = error.__cause__ if isinstance(error, ValueError) else error  # As of a log file that cannot be made.
    # Hydra's error for a choice that does not exist is an OSError as well.
    if isinstance(cause, OSError) and not isinstance(cause, HydraException):
        option = "hydra.sweep.dir" if options.multirun else "hydra.run.dir"
        why = f"{cause.strerror or cause}: {wording.show(cause.filename)}"
        return [f"the output folder cannot be written: {why}; change it with {option}"]
    problems = compose.find_problems(options.overrides, options.config_dir, multirun=options.multirun)
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    is_of_hydra = isinstance(error, HydraException | OmegaConfBaseException) or frame.f_globals["__name__"].startswith(
        "hydra."
    )
    if not problems and not is_of_hydra:
        raise error  # A bug shows its traceback.
    return problems or [explain.reason(error)]
