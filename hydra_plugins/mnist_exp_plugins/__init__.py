"""What Hydra discovers of mnist_exp: it takes sweepers and launchers from this namespace only."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper as HydraSweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mnist_exp.experiment.as_data import Listening
from mnist_exp.jobs.crew import Asked
from mnist_exp.jobs.worker import HydraTask, WorkersLauncher


class Sweeper(HydraSweeper):
    """Run the sweep that the command line and `hydra.sweeper.params` describe."""

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self._params = dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives; a launcher is made when there is something to launch."""
        self._context, self._config = hydra_context, config
        self._on_end = task_function.ended if isinstance(task_function, Listening) else None

    def sweep(self, arguments: list[str]) -> Any:
        """Run every job, and return the best objective; None if no job came to one."""
        from mnist_exp.sweeps.sweep import sweep

        return sweep(self._params, arguments, self._config, self._context.config_loader, self._launcher, self._on_end)

    def _launcher(self, task_function: TaskFunction) -> Launcher:
        return Plugins.instance().instantiate_launcher(
            hydra_context=self._context, task_function=task_function, config=self._config
        )


class LocalLauncher(WorkersLauncher):
    """Run jobs in worker processes of this machine that live on from job to job."""

    def __init__(self, n_workers: Asked = "auto") -> None:
        self._n_workers = n_workers

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the workers, not yet started."""
        from mnist_exp.jobs.local import LocalWorkers

        self.workers = LocalWorkers(self._n_workers, HydraTask(hydra_context, task_function, config))


class RayLauncher(WorkersLauncher):
    """Run jobs on a Ray cluster, again where their machine was lost."""

    def __init__(
        self, address: str | None = None, num_cpus: int = 1, num_gpus: float = 0, max_restarts: int = 3
    ) -> None:
        self._options = address, num_cpus, num_gpus, max_restarts

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives; the cluster is joined when the sweep starts."""
        from mnist_exp.jobs.ray import RayWorkers

        self.workers = RayWorkers(*self._options, HydraTask(hydra_context, task_function, config))


class SlurmLauncher(WorkersLauncher):
    """Run jobs on a Slurm cluster, through its queue."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives; the jobs go into the queue when the sweep starts."""
        from mnist_exp.jobs.slurm import SlurmWorkers

        task = HydraTask(hydra_context, task_function, config)
        self.workers = SlurmWorkers(self._options, Path(str(config.hydra.sweep.dir)), task)
