"""A run in a notebook or a script: `run`."""

from collections.abc import Sequence
from pathlib import Path

from mnist_exp.composition import flags
from mnist_exp.composition.compose import composed
from mnist_exp.composition.preflight import check
from mnist_exp.config import arguments
from mnist_exp.config.schema import Settings
from mnist_exp.errors import SettingsError
from mnist_exp.experiment import resume, runner
from mnist_exp.experiment.record import Job
from mnist_exp.experiment.runner import Result
from mnist_exp.runtime.terminal import Screen


def run(what: Settings | str | Sequence[str] = (), *, config_dir: str | Path | None = None) -> Result:
    """Train and test one experiment, and record it: what `python -m mnist_exp.run` does.

    Args:
        what: settings from `compose`; or overrides as on the command line, `["model.dropout=0.5", "data=mnist_5k"]`;
            `["resume=RUN_ID"]` goes on with an interrupted run.
        config_dir: a folder of your own with groups or experiments, for overrides.
    Raises:
        SettingsError: with every mistake; or data, model or store are not as they need to be. Nothing was recorded.
        TrainingError: the loss became NaN or infinite.
        Interrupted: Ctrl-C, or the kernel was interrupted; the run is KILLED, and can be gone on with.
        RunError: the run is finished, but the store did not take all records; they wait on disk.
    """
    if isinstance(what, Settings):
        return runner.run(what)
    given = arguments.texts("what", what, f"settings from `compose`, or {arguments.OVERRIDES}")
    if problems := flags.problems_in_call(given, "run") + flags.problems_of_one_run(given, "call sweep()"):
        raise SettingsError(problems)
    with arguments.named(config_dir="config_dir"), composed(given, config_dir) as (config, words):
        if config.get("resume") is None:
            settings = check(config, words)
        else:
            screen = Screen()
            with resume.opened(config, words, screen) as (settings, dataset, resumption):
                return runner.run(settings, screen, Job(dataset=dataset, resumption=resumption))
    return runner.run(settings)
