"""One job of a Hydra launcher, in whatever process it carries it to."""

import abc
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hydra import version
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from mnist_exp.errors import MnistExpError
from mnist_exp.runtime import imports, threads
from mnist_exp.runtime.signals import Terminated, end_on_signals

# How long a job has to record that it was killed.
LAST_WORDS_S = 10.0
# What a job needs of the launching process's environment: where data and records are, and how to get at them.
_PREFIXES = ("MNIST_EXP_", "MLFLOW_", "AWS_", "AZURE_", "GOOGLE_", "PG", "TF_", "KERAS_")


class JobLostError(MnistExpError):
    """The process of a job ended, or was ended, before the job did."""


@dataclass(frozen=True)
class HydraTask:
    """What Hydra gives a launcher; it travels to every process that runs a job.

    Args:
        context: composes the configuration of a job.
        function: is called with that.
        config: of the sweep.
    """

    context: HydraContext
    function: TaskFunction
    config: DictConfig


def run(job: int, overrides: list[str], task: HydraTask) -> JobReturn:
    """Compose and run one job, as Hydra's own launchers do.

    Args:
        job: its number.
        overrides: that lead to it.
        task: of the sweep.
    """
    end_on_signals()
    setup_globals()
    version.setbase("1.3")
    JobRuntime.instance().set("name", task.config.hydra.job.name)
    composed = task.context.config_loader.load_sweep_config(task.config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = job
    HydraConfig.instance().set_config(composed)
    done = run_job(
        hydra_context=task.context,
        task_function=task.function,
        config=composed,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    done.cfg = done.hydra_cfg = None  # Nobody asks for them, and they are large.
    return done


class Workers(abc.ABC):
    """What carries the jobs of one sweep, which tells it how before it starts them.

    Attributes:
        name: of the sweep; no other that runs has it.
        job_timeout_s: how long a job may take; None for as long as it takes.
        on_lost: called with the number of a job that ended without telling it, and how.
    """

    name = "mnist_exp"
    job_timeout_s: float | None = None
    on_lost: Callable[[int, JobLostError], None] | None = None

    @abc.abstractmethod
    def start(self) -> None:
        """Make ready what takes time, while the sweep does other things. Raises: SettingsError: it cannot be."""

    @abc.abstractmethod
    def run(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run jobs, each as soon as there is room for it, and return what became of them, in their order.

        Args:
            job_overrides: what leads to each.
            first: number of the first one.
        """

    @abc.abstractmethod
    def stop(self) -> None:
        """End what runs, with a moment for each job to record that it was killed."""

    def lose(self, job: int, reason: str) -> JobReturn:
        """Return what becomes of a job that ended without telling it, which is told here."""
        if self.on_lost is not None:
            self.on_lost(job, JobLostError(reason))
        return lost(reason)


class WorkersLauncher(Launcher):
    """A launcher of ours: its workers can be started early, and tell which job they lost.

    Attributes:
        workers: made by `setup`.
    """

    workers: Workers

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs, each as soon as there is room for it, and return what became of them."""
        return self.workers.run(job_overrides, initial_job_idx)


@dataclass(frozen=True)
class Place:
    """Where jobs are launched from, for the processes on other machines that are to be like it.

    Args:
        folder: that it works in.
        path: where it finds modules.
        environment: what of it the jobs need.
    """

    folder: str
    path: tuple[str, ...]
    environment: Mapping[str, str]

    @classmethod
    def here(cls) -> "Place":
        """Return that of this process."""
        chosen = {name: value for name, value in os.environ.items() if name.startswith(_PREFIXES)}
        return cls(str(Path.cwd()), tuple(sys.path), chosen)

    def enter(self, cpus: int) -> None:
        """Make this process like it, with as many threads as it has CPUs, and ready to train."""
        sys.path[:] = list(dict.fromkeys([*self.path, *sys.path]))
        os.chdir(self.folder)
        os.environ.update(self.environment)
        threads.share(cpus)
        with imports.quick_imports():
            from mnist_exp.evaluation import figures  # noqa: F401
            from mnist_exp.training import fit  # noqa: F401


def run_within(seconds: float | None, job: int, overrides: list[str], task: HydraTask) -> JobReturn:
    """Run one job as `run` does, for at most so many seconds; None for as long as it takes.

    Raises: Terminated: another signal ended it.
    """
    late = threading.Event()
    try:
        with _clock(seconds, late):
            return run(job, overrides, task)
    except Terminated:
        if not late.is_set():
            raise
        return lost("it took longer than sweep.job_timeout_s")


def lost(reason: str) -> JobReturn:
    """Return what becomes of a job that could not tell it itself."""
    failed = JobReturn(status=JobStatus.FAILED)
    failed.return_value = JobLostError(reason)
    return failed


@contextlib.contextmanager
def _clock(seconds: float | None, late: threading.Event) -> Iterator[None]:
    if seconds is None:
        yield
        return

    over, deciding = threading.Event(), threading.Lock()

    def end() -> None:
        with deciding:
            if over.is_set():
                return
            late.set()
            os.kill(os.getpid(), signal.SIGTERM)
        if not over.wait(LAST_WORDS_S):  # Another job may have begun in this process since.
            os._exit(1)

    clock = threading.Timer(seconds, end)
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        with deciding:
            over.set()
        clock.cancel()


def leave(ended: Terminated) -> NoReturn:
    """End this process with the code of a signal: what was to be recorded is, and no other job may begin in it."""
    sys.stderr.flush()
    os._exit(int(ended.code or 1) if isinstance(ended.code, int) else 1)
