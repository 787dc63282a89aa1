"""A sweep in a notebook or a script: `sweep`, which does what `python -m mnist_exp.run -m` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from mnist_exp.composition import compose, explain, flags, hydra_section
from mnist_exp.config import arguments
from mnist_exp.errors import RunError, SettingsError
from mnist_exp.experiment.as_data import Listening
from mnist_exp.jobs import fork_server
from mnist_exp.runtime import signals, start_folder
from mnist_exp.sweeps.shown.result import Sweep

if TYPE_CHECKING:
    from hydra.plugins.sweeper import Sweeper


def sweep(overrides: str | Sequence[str], *, config_dir: str | Path | None = None) -> Sweep:
    """Run the jobs of a sweep that are not done yet, each in a process of its own, and return what came of it.

    Issued again, it goes on where it was interrupted, and counts what is done. A script need not ask for its
    `__name__`: the processes of the jobs do not run it.

    Args:
        overrides: as on the command line behind `-m`: `["model.dropout=0.3,0.5", "seed=1,2"]`, or `["sweep=dropout"]`.
        config_dir: a folder of your own with groups or experiments.
    Returns: also where jobs failed: `Sweep.errors` says so then.
    Raises: SettingsError: a job has a mistake, or cannot be run. Then no job was started.
        Interrupted: Ctrl-C, or the kernel was interrupted.
    """
    words = arguments.texts("overrides", overrides, '["model.dropout=0.3,0.5", "seed=1,2"]')
    arguments.check_folder("config_dir", config_dir)
    if problems := flags.problems_in_call(words, "sweep"):
        raise SettingsError(problems)
    heard = _Heard()
    fork_server.expect(["-m", *words])
    try:
        with arguments.named(config_dir="config_dir"), signals.taken(), start_folder.started_in(Path.cwd()):
            words = compose.check_hydra(words, config_dir, multirun=True)
            with compose.composer(config_dir):
                sweeper, given = _sweeper(words, heard)
                try:
                    sweeper.sweep(given)
                except RunError:
                    if not heard.documents:
                        raise
    finally:
        fork_server.end()
    return Sweep(heard.documents[-1])


class _Heard(Listening):
    """Keeps what came of a sweep. Hydra's own sweeper would call it for each job."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []

    def __call__(self, config: DictConfig) -> float:
        """Run nothing. Raises: SettingsError: always."""
        raise SettingsError("sweep() is for hydra/sweeper=mnist_exp")

    def ended(self, document: dict[str, Any]) -> None:
        """Keep it."""
        self.documents.append(document)


def _sweeper(words: Sequence[str], heard: _Heard) -> "tuple[Sweeper, list[str]]":
    """Return Hydra's sweeper for a command line, and the overrides that it takes."""
    running = GlobalHydra.instance().hydra
    assert running is not None
    try:
        config = running.compose_config("config", list(words), RunMode.MULTIRUN, with_log_configuration=False)
    except Exception as error:
        raise explain.understood(words, error) from error
    context = HydraContext(config_loader=running.config_loader, callbacks=Callbacks(config))
    made = Plugins.instance().instantiate_sweeper(config=config, hydra_context=context, task_function=heard)
    return made, hydra_section.written(config.hydra, "task")
