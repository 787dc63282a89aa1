"""Run the jobs of a sweep on a Ray cluster; a job whose machine or process was lost is started again."""

import pickle
import signal
import sys
import types
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn

from mnist_exp.errors import SettingsError, first_line
from mnist_exp.jobs import worker
from mnist_exp.jobs.worker import HydraTask, LaunchContext
from mnist_exp.runtime import imports, signals
from mnist_exp.runtime.signals import Terminated

_LOOK_S = 0.5


class RayWorkers(worker.Workers):
    """The Ray cluster, for the jobs of one sweep.

    Args:
        address: of the cluster; None takes the one that Ray finds, or starts one on this machine.
        num_cpus: CPUs of each job.
        num_gpus: GPUs of each job.
        max_restarts: how often a job that was lost is started again.
        task: of the sweep.
    """

    def __init__(self, address: str | None, num_cpus: int, num_gpus: float, max_restarts: int, task: HydraTask) -> None:
        super().__init__(task)
        self._address, self._max_restarts = address, max_restarts
        self._resources = {"num_cpus": num_cpus, "num_gpus": num_gpus}
        self._running: dict[Any, tuple[int, int]] = {}

    def start(self) -> None:
        """Join the cluster. Raises: SettingsError: Ray is not installed, or the cluster is missing or too small."""
        try:
            import ray
        except ImportError as error:
            raise SettingsError("hydra/launcher=ray needs Ray: pip install 'mnist_exp[ray]'") from error
        if ray.is_initialized():
            return
        try:
            with imports.quiet_stderr():
                self._join(ray)
        except (ray.exceptions.RayError, ConnectionError, ValueError, RuntimeError) as error:
            raise SettingsError(
                f"hydra.launcher.address={self._address} cannot be joined as a Ray cluster ({first_line(error)}): "
                "start one with `ray start --head`, or leave the address out"
            ) from error
        signals.end_on_signals()  # Ray has put its own handler in the place of ours.
        has = ray.cluster_resources()
        for name, wanted in (("CPU", self._resources["num_cpus"]), ("GPU", self._resources["num_gpus"])):
            if wanted > has.get(name, 0):
                raise SettingsError(
                    f"hydra.launcher.num_{name.lower()}s={wanted}: the whole cluster has {has.get(name, 0):g}"
                )

    def run(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run jobs wherever the cluster has room; return their results in the order of the jobs."""
        import ray

        self.start()
        work = ray.remote(**self._resources, max_retries=0)(_work)
        # By Ray's object store: the arguments of a job are shown in Ray's logs and pages.
        task = ray.put(pickle.dumps((LaunchContext.of_this_process(), self.packed_task())))

        def submit(job: int, restarts: int) -> None:
            wanted = first + job, list(job_overrides[job]), task, self._resources["num_cpus"], self.job_timeout_s
            self._running[work.remote(*wanted)] = job, restarts

        returned: dict[int, JobReturn] = {}
        try:
            for job in range(len(job_overrides)):
                submit(job, 0)
            while self._running:
                ended, _ = ray.wait(list(self._running), timeout=_LOOK_S)
                for reference in ended:
                    job, restarts = self._running.pop(reference)
                    try:
                        returned[job] = ray.get(reference)
                    except ray.exceptions.RayTaskError as error:
                        returned[job] = self.report_lost(first + job, f"{type(error).__name__}: {first_line(error)}")
                    except ray.exceptions.RayError as error:
                        if restarts < self._max_restarts:
                            submit(job, restarts + 1)
                        else:
                            again = f" (started {restarts + 1} times)" if restarts else ""
                            returned[job] = self.report_lost(first + job, _reason(error) + again)
        except BaseException:
            self.stop()
            raise
        return [returned[job] for job in range(len(job_overrides))]

    @signals.held()  # A second Ctrl-C would leave jobs that end after the summary of the sweep.
    def stop(self) -> None:
        """End the jobs that run, give each a moment to record that it was killed, and leave the cluster."""
        if "ray" not in sys.modules:
            return
        import ray

        self.on_lost = None  # The jobs are ended, not lost.
        if not ray.is_initialized():
            return
        for reference in self._running:
            ray.cancel(reference, force=False)
        if self._running:
            references = list(self._running)
            ray.wait(references, num_returns=len(references), timeout=worker.GRACE_S)
        self._running.clear()
        ray.shutdown()

    def _join(self, ray: types.ModuleType) -> None:
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        if self._address is not None:
            ray.init(address=self._address, **quiet)
            return
        try:
            ray.init(address="auto", **quiet)  # $RAY_ADDRESS, or what was started on this machine.
        except ConnectionError:
            # For this sweep alone: nobody else is to reach it.
            ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)


def _reason(error: Exception) -> str:
    return f"its process or its machine was lost: {first_line(error)}"


def _work(job: int, overrides: list[str], task: bytes, cpus: int, timeout_s: float | None) -> JobReturn:
    """Run one job in a worker process of Ray's."""
    context, packed = pickle.loads(task)  # noqa: S301  It comes from the launching process.
    context.apply(cpus)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        return worker.run_within(timeout_s, job, overrides, worker.unpacked(packed))
    except Terminated as ended:
        worker.exit_with(ended)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signals.forget()  # The process goes on with the next job.
