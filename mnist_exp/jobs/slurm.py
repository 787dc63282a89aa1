"""Run the jobs of a sweep on a Slurm cluster, as job arrays of submitit.

A job whose time is nearly over writes a checkpoint and goes back into the queue; started again, it resumes its run.
So does a job that is preempted. A job whose machine fails is put back by Slurm.
"""

import contextlib
import io
import os
import pickle
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn

from mnist_exp.errors import BusyError, SettingsError, first_line
from mnist_exp.jobs import worker
from mnist_exp.jobs.worker import HydraTask, LaunchContext
from mnist_exp.runtime import signals
from mnist_exp.runtime.signals import Terminated
from mnist_exp.runtime.terminal import Screen

if TYPE_CHECKING:
    import submitit

_LOOK_S = 0.5
# The controller serves a whole cluster: it is asked rarely, and only for what a job could not tell by itself.
_ASK_S = 10.0
# Slurm's default MaxArraySize is 1001.
_MOST_OF_ARRAY = 1000
_NEARLY_OVER = signal.SIGUSR2
_FORGOTTEN = "forgotten"
_OVER = (
    "COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "CANCELLED", "PREEMPTED",
    _FORGOTTEN,
)  # fmt: skip
# These end a job from outside, and what it has recorded stays as it is: killed.
_ENDED_BY_OTHERS = ("CANCELLED", "PREEMPTED")
_FIXES = {
    "TIMEOUT": "it ran out of time before it could go back into the queue: raise hydra.launcher.signal_delay_s",
    "OUT_OF_MEMORY": "it ran out of memory: raise hydra.launcher.mem_gb",
}


class SlurmWorkers(worker.Workers):
    """The Slurm cluster, for the jobs of one sweep.

    Args:
        options: of `conf/hydra/launcher/slurm.yaml`.
        folder: of the sweep, which all machines see.
        task: of the sweep.
    """

    def __init__(self, options: Mapping[str, Any], folder: Path, task: HydraTask) -> None:
        super().__init__(task)
        self._options = dict(options)
        self._folder = folder.absolute() / "slurm"
        self._waiting: dict[int, submitit.Job[JobReturn]] = {}
        self._held: set[str] = set()
        self._has_submitted = False
        self._screen = Screen()

    def start(self) -> None:
        """Make sure that Slurm and submitit are installed. Raises: SettingsError: one of them is not."""
        try:
            import submitit  # noqa: F401
        except ImportError as error:
            raise SettingsError("hydra/launcher=slurm needs submitit: pip install 'mnist_exp[slurm]'") from error
        missing = [name for name in ("sbatch", "srun", "squeue", "scancel", "scontrol") if shutil.which(name) is None]
        if missing:
            raise SettingsError(
                f"hydra/launcher=slurm: there is no command {missing[0]} here: start the sweep on a machine of the "
                "cluster, or take hydra/launcher=local"
            )

    def run(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Put jobs into the queue, wait for all of them, and return their results in the order of the jobs.

        Raises: SettingsError: Slurm does not take them.
            BusyError: an earlier call's jobs of this sweep are still in the queue.
        """
        self.start()
        self._refuse_if_queued()
        returned: dict[int, JobReturn] = {}
        try:
            self._has_submitted = True
            self._submit(job_overrides, first)
            asked = time.monotonic()
            while self._waiting:
                time.sleep(_LOOK_S)
                for job in self._with_results():
                    returned[job] = self._collect(first + job, self._waiting.pop(job))
                if time.monotonic() - asked > _ASK_S:
                    asked = time.monotonic()
                    for job, state in list(self._ended_without_result()):
                        returned[job] = self._end_without_result(first + job, self._waiting.pop(job), state)
        except BaseException:
            self.stop()
            raise
        self._has_submitted = False
        self._task_file.unlink(missing_ok=True)
        return [returned[job] for job in range(len(job_overrides))]

    @signals.held()  # A second Ctrl-C would leave jobs that end after the summary of the sweep.
    def stop(self) -> None:
        """Cancel the jobs that run or wait; give each a moment to record that it was killed."""
        self.on_lost = None  # The jobs are ended, not lost.
        if not self._has_submitted:
            return
        self._has_submitted = False
        # By name: a job that is being submitted has no number yet.
        _ask("scancel", "--me", f"--name={self.name}")
        until = time.monotonic() + worker.GRACE_S
        while (queued := self._queued()) != [] and time.monotonic() < until:
            time.sleep(_LOOK_S)
        if queued == []:
            self._task_file.unlink(missing_ok=True)
        else:
            self._screen.warn(f"not all jobs have left Slurm's queue: `scancel --me --name={self.name}` ends them")
        self._waiting.clear()

    @property
    def _task_file(self) -> Path:
        return self._folder / f"{self.name}.pkl"

    def _submit(self, job_overrides: Sequence[Sequence[str]], first: int) -> None:
        import submitit

        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)  # The files may hold passwords.
        self._task_file.write_bytes(pickle.dumps((LaunchContext.of_this_process(), self.packed_task())))
        executor = submitit.SlurmExecutor(self._folder, max_num_timeout=self._options["max_num_timeout"])
        given = {name: value for name, value in self._options.items() if value is not None}
        del given["max_num_timeout"]
        given["time"] = given.pop("timeout_min")
        given["mem"] = f"{round(given.pop('mem_gb') * 1024)}MB" if "mem_gb" in given else None
        if not given["gpus_per_node"]:
            del given["gpus_per_node"]
        # What srun of some versions does not take from sbatch.
        given["srun_args"] = [f"--cpus-per-task={given['cpus_per_task']}"]
        executor.update_parameters(job_name=self.name, additional_parameters={"requeue": True}, **given)
        jobs = [
            _Job(first + number, tuple(overrides), self._task_file, self._options["cpus_per_task"], self.job_timeout_s)
            for number, overrides in enumerate(job_overrides)
        ]
        for start in range(0, len(jobs), _MOST_OF_ARRAY):
            try:
                with contextlib.redirect_stderr(io.StringIO()):  # Submitit prints what it raises, too.
                    submitted = executor.submit_array(jobs[start : start + _MOST_OF_ARRAY])
            except submitit.core.utils.FailedJobError as error:
                raise SettingsError(f"Slurm does not take these jobs: {' '.join(str(error).split())}") from error
            self._waiting |= dict(enumerate(submitted, start))
        arrays = ",".join(self._arrays())
        self._screen.table({"slurm": f"job {arrays} is in the queue: `squeue --jobs={arrays}` tells what it waits for"})

    def _refuse_if_queued(self) -> None:
        queued = self._queued()
        if queued is None:
            raise SettingsError("hydra/launcher=slurm: `squeue --me` does not work here: is Slurm's controller up?")
        if queued:
            raise BusyError(
                f"jobs of this sweep, of an earlier call, are still in Slurm's queue ({', '.join(queued)}): wait for "
                f"them, or end them with `scancel --me --name={self.name}`"
            )

    def _queued(self) -> list[str] | None:
        """Return the jobs of the sweep's name that run or wait; None if Slurm does not answer."""
        done = _ask("squeue", "--me", f"--name={self.name}", "--noheader", "--format=%i")
        return done.stdout.split() if done.returncode == 0 else None

    def _arrays(self) -> list[str]:
        return sorted({_array_of(job) for job in self._waiting.values()})

    def _with_results(self) -> list[int]:
        there: set[str] = set()
        with contextlib.suppress(OSError):  # The disk may be away for a moment; it is read again.
            there = {file.name for file in self._folder.iterdir()}  # One listing for all jobs.
        return [number for number, job in self._waiting.items() if job.paths.result_pickle.name in there]

    def _collect(self, number: int, job: "submitit.Job[JobReturn]") -> JobReturn:
        error = job.exception()
        if error is not None:
            return self.report_lost(number, f"{_last_line(error)}; see {job.paths.stderr}")
        returned = job.result()
        for file in (job.paths.result_pickle, job.paths.submitted_pickle, job.paths.stdout, job.paths.stderr):
            file.unlink(missing_ok=True)
        return returned

    def _ended_without_result(self) -> Iterator[tuple[int, str]]:
        """Yield the jobs that ended without a result, with Slurm's state of each; warn of jobs that are held."""
        states = {array: _states(array) for array in self._arrays()}
        with_results = self._with_results()  # After the states: a result may have been written meanwhile.
        for number, job in self._waiting.items():
            known = states[_array_of(job)]
            if known is None:
                continue
            state, reason = known.get(job.job_id, (_FORGOTTEN, ""))
            if "held" in reason.lower() and job.job_id not in self._held:
                self._held.add(job.job_id)
                let_go = f"`scontrol release {job.job_id}` lets it go"
                self._screen.warn(f"Slurm holds job {job.job_id} ({reason}): {let_go}")
            if state in _OVER and number not in with_results:
                yield number, state

    def _end_without_result(self, number: int, job: "submitit.Job[JobReturn]", state: str) -> JobReturn:
        if state in _ENDED_BY_OTHERS:
            return JobReturn()
        fix = _FIXES.get(state, f"Slurm ended it as {state}")
        return self.report_lost(number, f"{fix}; see {job.paths.stderr}")


@dataclass(frozen=True)
class _Job:
    """One job, in a process that Slurm starts.

    Args:
        number: in the sweep.
        overrides: that lead to it.
        task_file: with what all jobs need.
        cpus: that it has.
        timeout_s: of the sweep for each job.
    """

    number: int
    overrides: tuple[str, ...]
    task_file: Path
    cpus: int
    timeout_s: float | None

    def __call__(self) -> JobReturn:
        """Run it; if its time is nearly over, or others go first, put it back into the queue."""
        requeue: Any = signal.getsignal(_NEARLY_OVER)  # Submitit's.
        try:
            signals.end_on_signals()
            signals.end_on(_NEARLY_OVER)
            context, packed = pickle.loads(self.task_file.read_bytes())  # noqa: S301  Our own launching process wrote it.
            context.apply(self.cpus)
            return worker.run_within(self.timeout_s, self.number, list(self.overrides), worker.unpacked(packed))
        except Terminated as ended:
            if ended.code == 128 + _NEARLY_OVER or _is_preempted():
                requeue(_NEARLY_OVER, None)  # This ends the process, or raises the reason why it cannot.
            worker.exit_with(ended)

    def checkpoint(self) -> "submitit.helpers.DelayedSubmission":
        """Return what submitit puts into the queue: this job again, which then finds the run that it has begun."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _is_preempted() -> bool:
    """Tell whether this job was sent SIGTERM to make room for others: Slurm puts back only one that it has to kill."""
    done = _ask("scontrol", "show", "job", "--oneliner", os.environ["SLURM_JOB_ID"])
    found = re.search(r"PreemptTime=(\S+)", done.stdout)
    return found is not None and found[1] != "None"


def _array_of(job: "submitit.Job[JobReturn]") -> str:
    return str(job.job_id).partition("_")[0]


def _states(array: str) -> dict[str, tuple[str, str]] | None:
    """Return state and reason of each job of an array, by its id; without those that Slurm forgot. None: no answer."""
    done = _ask("squeue", f"--jobs={array}", "--states=all", "--array", "--noheader", "--format=%i %T %r")
    if done.returncode:
        return {} if "Invalid job id" in done.stderr else None
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    return {line[0]: (line[1], line[2]) for line in lines if len(line) == 3}


def _ask(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of Slurm; it may fail."""
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _last_line(error: Exception) -> str:
    """Return the error itself of a trace that submitit keeps between rules."""
    _, _, trace = str(error).partition("-" * 22)
    trace, _, _ = trace.partition("-" * 22)
    return trace.strip().splitlines()[-1].rpartition("Error: ")[2] if trace.strip() else first_line(error)
