"""Train one experiment, or with -m a sweep of them: `python -m mnist_exp.run model.dropout=0.5`."""

import argparse
import os
import sys
import traceback
import types
from collections.abc import Sequence

import hydra
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mnist_exp import composition, resuming, runner, startup
from mnist_exp.errors import RunError, SettingsError, TrainingError
from mnist_exp.redaction import redact
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
    options = get_args_parser().parse_args()
    # Hydra turns errors into its own words and leaves with 1, unless it is told to pass them on.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        if options.help:
            from mnist_exp import help_page

            print(help_page.text(options.overrides, options.config_dir))
            return DONE
        for flag in ("config_path", "config_name", "experimental_rerun"):
            if getattr(options, flag) is not None:
                name = "--" + flag.replace("_", "-")
                raise SettingsError(f"{name} is not supported: name a folder of your own with --config-dir")
        composition.check_hydra(options.overrides, options.config_dir)
        composition.register_search_path()
        hydra.main(version_base="1.3", config_path=str(composition.CONF), config_name="config")(train)()
    except SettingsError as error:
        print_problems(error.problems)
        return MISTAKE
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, OSError, ValueError) as error:
        # `train` wraps what goes wrong inside a run, so this came from the command line or the output folder.
        print_problems(_mistakes(error, options))
        return MISTAKE
    except RunError as error:
        return _failed(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as leaving:
        if isinstance(leaving.code, SettingsError):
            print_problems(leaving.code.problems)
            return MISTAKE
        if isinstance(leaving.code, RunError):
            return _failed(leaving.code)
        return leaving.code if isinstance(leaving.code, int) else DONE
    return DONE


def train(config: DictConfig) -> float:
    """Run one composed configuration and return its objective to the sweeper."""
    try:
        return _train(config)
    except (SettingsError, RunError) as error:
        # About any other kind of exception Hydra prints lines of its own, secrets in overrides and all.
        raise SystemExit(error) from error


def _train(config: DictConfig) -> float:
    try:
        overrides = HydraConfig.get().overrides.task
        if config.get("resume") is not None:
            return _resume(config, overrides)
        settings = check(config, overrides)
        _warn_of_unswept()
        return runner.run(settings).objective
    except (Terminated, RunError, SettingsError):
        raise
    except TrainingError as error:
        raise RunError(f"the run failed: {error}") from error
    except (Exception, SystemExit) as error:
        raise RunError(traceback.format_exc()) from error


def _failed(error: RunError) -> int:
    print(redact(str(error)), file=sys.stderr)
    return FAILED


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


def _mistakes(error: Exception, options: argparse.Namespace) -> list[str]:
    # Hydra's error for a choice that does not exist is an OSError as well.
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        option = "hydra.sweep.dir" if options.multirun else "hydra.run.dir"
        return [f"the output folder cannot be written: {error.strerror}: {error.filename}; change it with {option}"]
    try:
        problems = composition.explain(options.overrides, options.config_dir, multirun=options.multirun)
    except SettingsError as mistake:
        problems = mistake.problems
    return problems or [str(error).strip().splitlines()[0]]


if __name__ == "__main__":
    main()
else:

    class _CallableModule(types.ModuleType):
        """Importing this module rebinds the name `mnist_exp.run`; it must stay the function as well."""

        __call__ = staticmethod(runner.run)

    sys.modules[__name__].__class__ = _CallableModule
