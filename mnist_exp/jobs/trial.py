"""One trial of a search: asked of the study as the job starts, so that it knows all results so far."""

import functools
import time
from typing import TYPE_CHECKING

from mnist_exp.jobs import events
from mnist_exp.jobs.assignment import Assignment
from mnist_exp.jobs.attempt import NO_RESULT, Attempt
from mnist_exp.runtime import retries
from mnist_exp.search import storage, study
from mnist_exp.search.space import label
from mnist_exp.search.study import Study

if TYPE_CHECKING:
    import optuna


def run(assignment: Assignment, search: Study, out: events.Writer) -> float:
    """Ask the study for a trial, run it, and return its objective; NaN where there is none."""
    opened = search.open(retries.PATIENCE_S, lambda text: out.write("warning", text=text))
    try:
        return _run(assignment, search, opened, out)
    finally:
        storage.close(opened)


def begun_key(job: int) -> str:
    """Return the name under which a job notes the trial that it has begun."""
    return f"trial-{job}"


def _is_over(assignment: Assignment) -> bool:
    """Tell whether no further trial may start, whatever is left of the budget."""
    late = assignment.deadline is not None and time.time() > assignment.deadline
    return late or events.is_given_up(assignment.folder)


def _run(assignment: Assignment, search: Study, opened: "optuna.Study", out: events.Writer) -> float:
    from optuna.trial import TrialState

    job = begun_key(out.job)
    if (lost := events.begun(assignment.folder, job)) is not None:
        # This job was started before, and its machine is gone: whoever asks next goes on with that trial.
        search.give_back(opened, int(lost))
    claimed = search.claim(opened, functools.partial(_is_over, assignment))
    if claimed is None:
        out.write("skipped")
        return NO_RESULT
    trial, suggested = claimed
    events.note_begun(assignment.folder, job, trial.number)
    overrides = [*assignment.fixed, *suggested]
    attempt = Attempt(assignment, out, overrides, trial)

    try:
        value = study.known(opened, trial)
        if value is not None:
            out.write("repeated", name=label(overrides, assignment.keys))
            opened.tell(trial, value)
            return value[0]
        reached = attempt.run(attempt.compose)
    except (KeyboardInterrupt, SystemExit):
        search.interrupt(opened, trial)
        raise
    if attempt.outcome == "no store":
        search.interrupt(opened, trial)  # It is queued again.
    elif attempt.outcome == "failed":
        opened.tell(trial, state=TrialState.FAIL)
    elif attempt.outcome == "pruned":
        opened.tell(trial, state=TrialState.PRUNED)
    else:
        opened.tell(trial, [reached, attempt.second_objective] if search.settings.minimize_too else reached)
    return reached
