"""One trial of a search, and what is gone on with after it. Each is asked of the study as it begins, so that it knows
all results so far.
"""

import functools
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_exp.jobs import events
from mnist_exp.jobs.assignment import Assignment
from mnist_exp.jobs.attempt import NO_RESULT, Attempt
from mnist_exp.jobs.collection import collected
from mnist_exp.runtime import retries, signals
from mnist_exp.search import attributes, storage, study
from mnist_exp.search.space import label
from mnist_exp.search.study import Study

if TYPE_CHECKING:
    import optuna


def run(assignment: Assignment, search: Study, out: events.Writer) -> float:
    """Ask the study for a trial, run it, and return its objective; NaN where there is none.

    Beside one trial of `sweep.n_trials` the job goes on with what waits for that: trials that were interrupted, and
    paused ones that are promoted. So a worker is free for a new trial only when nothing better is to be done.
    """
    opened = search.open(retries.PATIENCE_S, lambda text: out.write("warning", text=text), in_job=True)
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
    job = begun_key(out.job)
    if (lost := events.begun(assignment.folder, job)) is not None:
        # This job was started before, and its machine is gone: whoever asks next goes on with that trial.
        search.give_back(opened, int(lost))
    is_over = functools.partial(_is_over, assignment)
    claimed = search.claim(opened, is_over)
    if claimed is None:
        out.write("skipped")
        return NO_RESULT
    reached, is_one_more = NO_RESULT, False
    while claimed is not None:
        trial, suggested = claimed
        events.note_begun(assignment.folder, job, trial.number)
        with collected():
            outcome, reached = _train(assignment, search, opened, out, trial, suggested)
        signals.check()  # It came while the end was recorded.
        is_one_more = is_one_more or attributes.counts(trial)
        # A job that may take so long only does one trial.
        is_last = outcome == "no store" or search.settings.job_timeout_s is not None or is_over()
        claimed = None if is_last else search.claim(opened, is_over, new=not is_one_more)
    return reached


def _train(
    assignment: Assignment,
    search: Study,
    opened: "optuna.Study",
    out: events.Writer,
    trial: "optuna.Trial",
    suggested: Sequence[str],
) -> tuple[str, float]:
    """Run a trial; return what became of it, and its objective."""
    from optuna.trial import TrialState

    from mnist_exp.search import kept

    began, overrides = time.monotonic(), [*assignment.fixed, *suggested]
    attempt = Attempt(assignment, out, overrides, trial)
    try:
        value = study.known(opened, trial)
        if value is not None:
            out.write("repeated", name=label(overrides, assignment.keys), trial=attributes.number(trial))
            opened.tell(trial, value)
            return "repeated", value[0]
        reached = attempt.run(attempt.compose)
    except (KeyboardInterrupt, SystemExit):
        if (most_s := search.settings.job_timeout_s) is not None and time.monotonic() - began > most_s:
            opened.tell(trial, state=TrialState.FAIL)  # It would take too long again.
        else:
            search.interrupt(opened, trial)
        raise
    if attempt.outcome == "no store":
        search.interrupt(opened, trial)  # It is queued again.
    elif attempt.outcome == "failed":
        opened.tell(trial, state=TrialState.FAIL)
    elif attempt.outcome in ("pruned", "paused"):
        opened.tell(trial, state=TrialState.PRUNED)
    else:
        opened.tell(trial, [reached, attempt.second_objective] if search.settings.minimize_too else reached)
    if search.keeps_checkpoints:
        kept.trim(search, opened)
    return attempt.outcome, reached
