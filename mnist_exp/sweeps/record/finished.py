"""A grid that is issued again when all its jobs are done: what its parent run has recorded already is not written anew.

So MLflow is not imported, no picture is drawn, and no worker is started.
"""

import csv
import io
from collections.abc import Sequence

from mnist_exp.analysis import stored
from mnist_exp.errors import SettingsError
from mnist_exp.runtime.redaction import redact_record
from mnist_exp.sweeps.calls.call import SweepCall
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.outcome import leaderboard
from mnist_exp.sweeps.outcome.outcome import Outcome
from mnist_exp.sweeps.record import description
from mnist_exp.sweeps.record.parent_run import ParentRun, facts
from mnist_exp.tracking import names, run_files, sqlite_runs, store
from mnist_exp.tracking.runs import StoredRun

# They say how the jobs were run, which have not run again, or older versions have not recorded them; and the note is
# compared with the best job in it.
_OF_BEFORE = (names.COMMAND, names.GIT_COMMIT, names.GIT_DIRTY, names.PLANNED_JOBS, names.NOTE)


def find(call: SweepCall, history: SweepHistory, earlier: Sequence[StoredRun]) -> ParentRun | None:
    """Return the parent run of a grid that has nothing left to do or to record; None if there is anything.

    Args:
        call: of the sweep.
        history: of its experiment.
        earlier: runs of the experiment, newest first.
    """
    if call.study is not None or not call.how.reuse:
        return None
    rows = call.rows_of_grid(earlier)
    run = history.find_parent(call.key) if not any(row.outcome == "left" for row in rows) else None
    if run is None or any(row.by_other_code for row in rows):
        return None
    outcome = Outcome(call.plan, call.how, rows, run.run_id)
    if run.status != ("FAILED" if outcome.failed else "FINISHED"):
        return None
    tags = {name: text for name, text in facts(call)[2].items() if name not in _OF_BEFORE}
    # The same jobs allow the same conclusion, which needs not be drawn again.
    concluded = {name: run.tags[name] for name in names.CONCLUSION if name in run.tags}
    if (note := description.note(outcome, concluded, history.experiment_id)) and names.VERDICT not in concluded:
        return None  # An earlier version recorded none.
    tags |= {names.NOTE: note} if note else {}
    if not redact_record(tags).items() <= run.tags.items() or _lines(run, outcome) != _lines_of(outcome):
        return None
    if stored.FILE not in run_files.names(run.uri, run.run_id):
        return None  # Nor this.
    return ParentRun(call, history, earlier, run.run_id, is_new=False, is_ours=False, concluded=concluded)


def seems(call: SweepCall) -> bool:
    """Tell whether each job of a grid seems to be done already, so that workers need not start before that is sure."""
    if call.job_keys is None or not call.how.reuse or call.tracking.store != "mlflow":
        return False
    ended = sqlite_runs.ended(store.locate(call.tracking.uri), call.tracking.experiment, names.JOB_KEY)
    return ended is not None and call.job_keys <= ended


def _lines_of(outcome: Outcome) -> list[list[str]]:
    """Return what decides leaderboard and pictures: values, outcome, objective and run of each job, in their order."""
    keys = outcome.plan.space.keys
    return [
        [*(row.values.get(key, "") for key in keys), row.outcome, leaderboard.cell(row.objective), row.run_id or ""]
        for row in outcome.in_order
    ]


def _lines(run: StoredRun, outcome: Outcome) -> list[list[str]]:
    """Return the same of the leaderboard that a parent run has recorded."""
    columns = [*outcome.plan.space.keys, "outcome", outcome.objective, "run_id"]
    try:
        return [[row[name] or "" for name in columns] for row in csv.DictReader(io.StringIO(run.leaderboard()))]
    except (SettingsError, csv.Error, KeyError):
        return []
