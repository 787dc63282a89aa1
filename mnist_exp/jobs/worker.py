"""What all launchers share: run one job as Hydra does, with a time limit; workers, and what they need of Hydra."""

import abc
import contextlib
import functools
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import cloudpickle
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from mnist_exp.composition.job_configs import JobConfigs
from mnist_exp.errors import MnistExpError
from mnist_exp.jobs.crew import Crew, Work
from mnist_exp.runtime import threads
from mnist_exp.runtime.redacted_output import redacted_output
from mnist_exp.runtime.signals import Terminated, end_on_signals

LATE = "it took longer than sweep.job_timeout_s"
# Seconds that a job has to record that it was killed.
GRACE_S = 10.0
# Environment variables that a job needs: where data and records are, and how to reach them.
_PREFIXES = ("MNIST_EXP_", "MLFLOW_", "AWS_", "AZURE_", "GOOGLE_", "PG", "TF_", "KERAS_")


class JobLostError(MnistExpError):
    """The process of a job ended before the job did."""


@dataclass(frozen=True)
class HydraTask:
    """What Hydra gives a launcher; it travels to every process that runs a job.

    Args:
        context: composes the configuration of a job.
        function: is called with that.
        config: of the sweep.
        keeps_configurations: whether the result of a job has its configuration and overrides.
    """

    context: HydraContext
    function: TaskFunction
    config: DictConfig
    keeps_configurations: bool = True

    @functools.cached_property
    def jobs(self) -> JobConfigs:
        """What composes its jobs in this process."""
        return JobConfigs(self.context.config_loader, self.config)

    def packed(self) -> bytes:
        """Return it for other processes, with the state of Hydra in this one: its plug-ins' sources and resolvers.

        By value where it must be: a function may be a closure, or of the script that runs.
        """
        return cloudpickle.dumps((self, Singleton.get_state()))  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=1)
def unpacked(packed: bytes) -> HydraTask:
    """Return what `HydraTask.packed` returned, and put Hydra into its state; once for all jobs of this process."""
    task, state = pickle.loads(packed)  # noqa: S301  It comes from the process that launched the sweep.
    Singleton.set_state(state)
    return task  # type: ignore[no-any-return]


def run(job: int, overrides: list[str], task: HydraTask) -> JobReturn:
    """Compose and run one job, as Hydra's own launchers do.

    Args:
        job: number of the job.
        overrides: of the job.
        task: of the sweep.
    """
    end_on_signals()
    composed = task.jobs.compose(overrides)
    with open_dict(composed):
        composed.hydra.job.num = job
        composed.hydra.job.id = str(job)  # OmegaConf 2.4 warns where it has to convert.
    HydraConfig.instance().set_config(composed)
    with redacted_output():
        done = run_job(
            hydra_context=task.context,
            task_function=task.function,
            config=composed,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    if not task.keeps_configurations:
        done.cfg = done.hydra_cfg = done.overrides = None
    return done


class Workers(abc.ABC):
    """The processes that run the jobs of one sweep. The sweep sets the attributes before it starts them.

    Attributes:
        name: of the sweep; unique among those that run.
        job_timeout_s: how long a job may take; None for as long as it takes.
        on_lost: called with the number of a job whose process ended early, and the reason.
        work: what they are for.
        keeps_configurations: whether results have the configurations of their jobs, which are large.
    """

    name = "mnist_exp"
    keeps_configurations = True
    job_timeout_s: float | None = None
    on_lost: Callable[[int, JobLostError], None] | None = None
    work = Work()

    def __init__(self, task: HydraTask) -> None:
        self._task = task

    @property
    def crew(self) -> Crew | None:
        """How many they are on this machine; None where they run elsewhere."""
        return None

    def go_on_with(self, threads: int | None) -> None:  # noqa: B027  Not every launcher can.
        """Let those that start next have the threads that earlier runs had; None for those of new runs.

        Where they run elsewhere, their number of threads is an option of the launcher.
        """

    def packed_task(self) -> bytes:
        """Return what each process that runs a job needs of Hydra."""
        return replace(self._task, keeps_configurations=self.keeps_configurations).packed()

    @abc.abstractmethod
    def start(self) -> None:
        """Begin what takes time, while the sweep opens its store. Raises: SettingsError: the workers cannot be used."""

    @abc.abstractmethod
    def run(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run jobs, each as soon as there is room for it; return their results in the order of the jobs.

        Args:
            job_overrides: overrides of each job.
            first: number of the first job.
        """

    @abc.abstractmethod
    def stop(self) -> None:
        """End the jobs that run; give each a moment to record that it was killed."""

    def report_lost(self, job: int, reason: str) -> JobReturn:
        """Report a job whose process ended early, and return its result: failed."""
        if self.on_lost is not None:
            self.on_lost(job, JobLostError(reason))
        return failed_return(reason)


class WorkersLauncher(Launcher):
    """A launcher of this package: its workers start early, and report the jobs that they lose.

    Attributes:
        workers: made by `setup`.
    """

    workers: Workers

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs, each as soon as there is room for it, and return their results."""
        return self.workers.run(job_overrides, initial_job_idx)


@dataclass(frozen=True)
class LaunchContext:
    """What a process on another machine needs to be like the process that launched the sweep.

    Args:
        folder: working folder.
        path: `sys.path`.
        environment: the environment variables that jobs need.
    """

    folder: str
    path: tuple[str, ...]
    environment: Mapping[str, str]

    @classmethod
    def of_this_process(cls) -> "LaunchContext":
        """Return the context of this process."""
        chosen = {name: value for name, value in os.environ.items() if name.startswith(_PREFIXES)}
        return cls(str(Path.cwd()), tuple(sys.path), chosen)

    def apply(self, cpus: int) -> None:
        """Make this process like the launching one, and import what a training needs.

        Args:
            cpus: of this job; it gets as many threads.
        """
        sys.path[:] = list(dict.fromkeys([*self.path, *sys.path]))
        os.chdir(self.folder)
        os.environ.update(self.environment)
        threads.share(cpus)
        from mnist_exp.jobs import warm  # noqa: F401


def run_within(seconds: float | None, job: int, overrides: list[str], task: HydraTask) -> JobReturn:
    """Run one job as `run` does, with a time limit in seconds; None sets none.

    Raises: Terminated: another signal ended it.
    """
    late = threading.Event()
    try:
        with _clock(seconds, late):
            return run(job, overrides, task)
    except Terminated:
        if not late.is_set():
            raise
        return failed_return(LATE)


def failed_return(reason: str) -> JobReturn:
    """Return the result of a job whose process ended early."""
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
        if not over.wait(GRACE_S):  # Otherwise another job may have begun in this process.
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


def exit_with(ended: Terminated) -> NoReturn:
    """End this process with the exit code of a signal. The record is complete, and no other job may begin here."""
    sys.stderr.flush()
    os._exit(int(ended.code or 1) if isinstance(ended.code, int) else 1)
