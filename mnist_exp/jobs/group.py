"""Jobs of a sweep that one process trains together: each is a run of its own."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_exp.experiment.runner import Run
from mnist_exp.jobs import events
from mnist_exp.jobs.attempt import Attempt
from mnist_exp.tracking import names

if TYPE_CHECKING:
    from mnist_exp.training.fit import FitResult


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

    requests = {id(attempt): each.training_request() for attempt, each in opened}
    first = requests[id(opened[0][0])]
    reasons = {key: vectorizable.why_not(first, request) for key, request in requests.items()}
    together = [pair for pair in opened if reasons[id(pair[0])] is None]
    for attempt, each in [pair for pair in opened if pair not in together or len(together) == 1]:
        if (reason := reasons[id(attempt)]) is not None:
            each.screen.warn(f"a job of a group is trained by itself: {reason}")
        opened.remove((attempt, each))
        _close(attempt, each, None)
    if len(together) > 1:
        for attempt, each in together:
            attempt.trained_together = len(together)
            each.tracker.log_tags({names.TOGETHER: str(len(together))})
        fitted = vectorized.fit([requests[id(attempt)] for attempt, _ in together], together[0][1].dataset)
        for (attempt, each), own in zip(together, fitted, strict=True):
            opened.remove((attempt, each))
            _close(attempt, each, own)


def _close(attempt: Attempt, opened: Run, fitted: "FitResult | BaseException | None") -> None:
    """Finish a run with what came of its training; None trains it by itself."""

    def train(run: Run) -> "FitResult":
        if isinstance(fitted, BaseException):
            raise fitted
        return run.fit() if fitted is None else fitted

    attempt.close(opened, train)
    _note_over(attempt)


def _note_over(attempt: Attempt) -> None:
    """Note that a job is over, for a group that is started again as its machine was lost."""
    if attempt.outcome in ("done", "failed"):
        events.note_begun(attempt.assignment.folder, _over(attempt), attempt.outcome)


def _over(attempt: Attempt) -> str:
    return f"over-{attempt.out.job}"
