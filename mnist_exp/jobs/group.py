"""Jobs of a sweep that one process trains together: each is a run of its own."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnist_exp.experiment.runner import Run
from mnist_exp.jobs import events
from mnist_exp.jobs.attempt import Attempt
from mnist_exp.runtime import signals
from mnist_exp.tracking import names

if TYPE_CHECKING:
    from mnist_exp.training.fit import FitResult, TrainingRequest


@dataclass(eq=False)
class _Member:
    """A job of a group whose run is open, and what is to be trained of it."""

    attempt: Attempt
    run: Run
    request: "TrainingRequest"


def run(attempts: Sequence[Attempt]) -> None:
    """Open the run of each job, train together those that are one program and the rest one by one, finish each run.

    The error of a job is reported to the sweep as that of this job; the end of the process, as that of all open jobs.
    """
    opened: list[tuple[Attempt, Run]] = []
    try:
        for attempt in attempts:
            if not events.begun(attempt.assignment.folder, _over(attempt)):
                run_of_it = attempt.open(attempt.compose)
                if run_of_it is None:
                    _note_over(attempt)
                else:
                    opened.append((attempt, run_of_it))
        if opened:
            _train(opened)
    except BaseException as error:
        while opened:
            with contextlib.suppress(BaseException):  # Each raises it again.
                _close(*opened.pop(), error)
        if not isinstance(error, Exception):
            raise


def _train(opened: list[tuple[Attempt, Run]]) -> None:
    """Train all runs that are open, and close each; those that are closed are taken off the list."""
    from mnist_exp.training import vectorizable, vectorized

    first = opened[0][1].training_request()
    members = [_Member(attempt, each, each.training_request()) for attempt, each in opened]
    together = [member for member in members if vectorizable.why_not(first, member.request) is None]
    for member in members:
        if member in together and len(together) > 1:
            continue
        if (reason := vectorizable.why_not(first, member.request)) is not None:
            member.run.screen.warn(f"a job of a group is trained by itself: {reason}")
        opened.remove((member.attempt, member.run))
        _close(member.attempt, member.run, None)
    if len(together) > 1:
        for member in together:
            member.attempt.trained_together = len(together)
            member.run.tracker.log_tags({names.TOGETHER: str(len(together))})
        fitted = vectorized.fit([member.request for member in together], together[0].run.dataset)
        for member, own in zip(together, fitted, strict=True):
            opened.remove((member.attempt, member.run))
            _close(member.attempt, member.run, own)


def _close(attempt: Attempt, opened: Run, fitted: "FitResult | BaseException | None") -> None:
    """Finish a run with what came of its training; None trains it by itself."""

    def train(run: Run) -> "FitResult":
        if isinstance(fitted, BaseException):
            raise fitted
        return run.fit() if fitted is None else fitted

    attempt.close(opened, train)
    _note_over(attempt)
    signals.check()  # It came while the end of this job was recorded: the others are interrupted.


def _note_over(attempt: Attempt) -> None:
    """Note that a job is over, for a group that is started again as its machine was lost."""
    if attempt.outcome in ("done", "failed"):
        events.note_begun(attempt.assignment.folder, _over(attempt), attempt.outcome)


def _over(attempt: Attempt) -> str:
    return f"over-{attempt.out.job}"
