"""Jobs that other processes may do at the same time, as of another sweep that has some of the same jobs.

The run in the store is the claim: while its process lives, nobody else trains a job of that key.
"""

import contextlib
from collections.abc import Container, Iterator
from typing import Literal

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import MnistExpError
from mnist_exp.experiment.own_code import Changes
from mnist_exp.runtime import imports
from mnist_exp.tracking import runs, store
from mnist_exp.tracking.runs import StoredRun

Reuse = bool | Literal["any"]
LOOK_S = 2.0  # between two looks at what another process is at


class HeldError(MnistExpError):
    """Another process trains the job."""

    def __init__(self, run: StoredRun) -> None:
        super().__init__(f"run {run.run_id} is at this job")
        self.run = run


class DoneError(MnistExpError):
    """Another process has done the job since this sweep was planned."""

    def __init__(self, run: StoredRun) -> None:
        super().__init__(f"run {run.run_id} has done this job")
        self.run = run


def check(settings: TrackingSettings, key: str, own: str | None, before: Container[str], *, reuse: Reuse) -> None:
    """Check that nobody else does a job, or has done it since the sweep was planned.

    Args:
        settings: name the store and the experiment.
        key: of the job.
        own: id of the run that this job of the sweep has begun, before its machine was lost; None if there is none.
        before: ids of the runs that had done it before, and did not count when the sweep was planned.
        reuse: the option `sweep.reuse`; with False the job is nobody else's concern.
    Raises: HeldError: another process is at it. DoneError: it is done.
    """
    if not reuse or settings.store != "mlflow":
        return
    with imports.quick_imports():
        import mlflow  # noqa: F401
    for run in runs.of_job(settings, key):
        is_new = run.is_done and run.counts and run.run_id not in before
        if is_new and Changes().counts(run, reuse):
            raise DoneError(run)
        if run.lives and run.run_id != own:
            raise HeldError(run)


@contextlib.contextmanager
def claimed(
    settings: TrackingSettings, key: str, own: str | None, before: Container[str], *, reuse: Reuse
) -> Iterator[None]:
    """Keep other processes of this machine from beginning a job while a `with` block records its begin.

    The arguments and errors are those of `check`, which is made once more: another process may have been quicker.
    """
    if not reuse or settings.store != "mlflow":
        yield
        return
    with store.lock(store.locate(settings.uri), "jobs"):
        check(settings, key, own, before, reuse=reuse)
        yield
