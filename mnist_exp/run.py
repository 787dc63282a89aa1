"""Train one experiment, or with -m a sweep of them: `python -m mnist_exp.run model.dropout=0.5`."""

import argparse
import os
import sys
import traceback
import types
from collections.abc import Sequence

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mnist_exp import command_line, composition, fields, mistakes, resuming, runner, startup
from mnist_exp.errors import BusyError, RunError, SettingsError, TrainingError
from mnist_exp.screen import Screen, print_problems
from mnist_exp.settings import check
from mnist_exp.stopping import Terminated, end_on_signals

DONE, FAILED, MISTAKE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


def main() -> None:
    """Run the command line and leave with its exit code: 0 done, 1 failed, 2 mistaken, 130 and 143 interrupted."""
    end_on_signals()
    code = launch()
    startup.quick_exit()
    sys.exit(code)


def launch() -> int:
    """Run the command line in `sys.argv`, which Hydra reads too, and return its exit code."""
    # Hydra turns errors into its own words and leaves with 1, unless it is told to pass them on.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    options = argparse.Namespace(overrides=[], config_dir=None, multirun=False)
    try:
        options = command_line.read(sys.argv[1:])
        if not options.shell_completion:  # Its words are no overrides.
            composition.check_hydra(options.overrides, options.config_dir, multirun=options.multirun)
        if options.help:
            from mnist_exp import help_page

            print(help_page.text(options.overrides, options.config_dir))
            return DONE
        composition.register_search_path()
        hydra.main(version_base="1.3", config_path=str(composition.CONF), config_name="config")(train)()
    except SettingsError as error:
        _tell(error)
        return MISTAKE
    except RunError as error:
        print(error, file=sys.stderr)
        return FAILED
    except Exception as error:
        # `train` wraps what goes wrong inside a run, so this came from the command line or the output folder.
        _tell(SettingsError(_mistakes(error, options)))
        return MISTAKE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as leaving:
        if isinstance(leaving.code, SettingsError):
            _tell(leaving.code)
            return MISTAKE
        # Hydra leaves with 1 where --package names no section; a signal has a code of its own.
        return MISTAKE if leaving.code == 1 else leaving.code if isinstance(leaving.code, int) else DONE
    return DONE


def train(config: DictConfig) -> float:
    """Run one composed configuration and return its objective to the sweeper."""
    try:
        overrides = HydraConfig.get().overrides.task
        if config.get("resume") is not None:
            return _resume(config, overrides)
        settings = check(config, overrides)
        _warn_of_unswept()
        return runner.run(settings).objective
    except SettingsError as error:
        # Hydra prints lines of its own about any other kind of exception.
        raise SystemExit(error) from error
    except (Terminated, RunError):
        raise
    except TrainingError as error:
        raise RunError(f"the run failed: {error}") from error
    except (Exception, SystemExit) as error:
        raise RunError(traceback.format_exc()) from error


def _resume(config: DictConfig, overrides: Sequence[str]) -> float:
    screen = Screen()
    with resuming.opened(config, overrides, screen) as (settings, dataset, resumption):
        return runner.run(settings, screen, runner.Job(dataset=dataset, resumption=resumption)).objective


def _warn_of_unswept() -> None:
    """Say that a preset of a sweep sweeps with -m only, unless the run was told where in it it stands."""
    hydra = HydraConfig.get()
    given = {text.partition("=")[0].lstrip("+") for text in hydra.overrides.task}
    unswept = [key for key in hydra.sweeper.get("params") or {} if key not in given]
    if unswept:
        Screen().warn(f"this is one run, not a sweep over {', '.join(unswept)}: for that add -m")


def _tell(error: SettingsError) -> None:
    print_problems(error.problems, is_busy=isinstance(error, BusyError))


def _mistakes(error: Exception, options: argparse.Namespace) -> list[str]:
    # Hydra's error for a choice that does not exist is an OSError as well.
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        option = "hydra.sweep.dir" if options.multirun else "hydra.run.dir"
        why = f"{error.strerror or error}: {fields.show(error.filename)}"
        return [f"the output folder cannot be written: {why}; change it with {option}"]
    problems = composition.explain(options.overrides, options.config_dir, multirun=options.multirun)
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    is_of_hydra = isinstance(error, HydraException | OmegaConfBaseException) or frame.f_globals["__name__"].startswith(
        "hydra."
    )
    if not problems and not is_of_hydra:
        raise error  # A bug shows its traceback.
    return problems or [mistakes.reason(error)]


if __name__ == "__main__":
    main()
else:

    class _CallableModule(types.ModuleType):
        """Importing this module rebinds the name `mnist_exp.run`; it must stay the function as well."""

        __call__ = staticmethod(runner.run)

    sys.modules[__name__].__class__ = _CallableModule
