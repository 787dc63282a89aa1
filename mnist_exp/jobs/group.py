"""Jobs of a sweep that one process trains together: each its own run, all at the same stage."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_exp.experiment.runner import Stages, Wanted
from mnist_exp.jobs import events
from mnist_exp.jobs.job import Attempt
from mnist_exp.tracking import names

if TYPE_CHECKING:
    from mnist_exp.training.fit import Fitted


class _Waiting:
    """A job whose run is open, and which waits for its model to be trained.

    Args:
        attempt: at the job.
        stages: of it.
        wanted: what it waits for.
    """

    def __init__(self, attempt: Attempt, stages: Stages[float], wanted: Wanted) -> None:
        self.attempt, self.wanted = attempt, wanted
        self._stages = stages

    def go_on(self, fitted: "Fitted | BaseException") -> None:
        """Let it go on to its end with what came of the training. Raises: what ends the process, nothing else."""
        with contextlib.suppress(StopIteration), contextlib.closing(self._stages):
            if isinstance(fitted, BaseException):
                self._stages.throw(fitted)
            else:
                self._stages.send(fitted)
        _note_over(self.attempt)


def run(attempts: Sequence[Attempt]) -> None:
    """Build each job and open its run, train what is one program together and the rest one by one, and end each run.

    What goes wrong with one of them is told to the sweep by that one; what ends the process, by each that is not over.
    """
    waiting: list[_Waiting] = []
    try:
        for attempt in attempts:
            if not events.begun(attempt.assignment.folder, _over(attempt)):
                stages = attempt.stages(attempt.compose)
                try:
                    waiting.append(_Waiting(attempt, stages, next(stages)))
                except StopIteration:
                    _note_over(attempt)
        if waiting:
            _train(waiting)
    except BaseException as error:
        while waiting:
            with contextlib.suppress(BaseException):  # Each raises it again.
                waiting.pop().go_on(error)
        if not isinstance(error, Exception):
            raise


def _train(waiting: list[_Waiting]) -> None:
    """Train all that wait, and let each go on; those that have are taken off the list."""
    from mnist_exp.training import vectorizable, vectorized

    first = waiting[0].wanted.training
    reasons = {id(each): vectorizable.why_not(first, each.wanted.training) for each in waiting}
    members = [each for each in waiting if reasons[id(each)] is None]
    for each in [each for each in waiting if each not in members or len(members) == 1]:
        if (reason := reasons[id(each)]) is not None:
            each.wanted.screen.warn(f"a job of a group is trained by itself: {reason}")
        waiting.remove(each)
        each.go_on(_alone(each))
    if len(members) > 1:
        for each in members:
            each.attempt.together = len(members)
            each.wanted.log_tags({names.TOGETHER: str(len(members))})
        fitted = vectorized.fit([each.wanted.training for each in members], members[0].wanted.dataset)
        for each, own in zip(members, fitted, strict=True):
            waiting.remove(each)
            each.go_on(own)


def _alone(each: _Waiting) -> "Fitted | BaseException":
    try:
        return each.wanted.fit()
    except BaseException as error:
        return error


def _note_over(attempt: Attempt) -> None:
    """Note that a job is over, for a group that is started again as its machine was lost."""
    if attempt.outcome in ("done", "failed"):
        events.note_begun(attempt.assignment.folder, _over(attempt), attempt.outcome)


def _over(attempt: Attempt) -> str:
    return f"over-{attempt.out.job}"
