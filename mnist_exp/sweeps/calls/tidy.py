"""Remove what earlier attempts at a job left on disk, once the job is done by another run."""

from collections.abc import Sequence

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import SettingsError
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.tracking import names, run_folder
from mnist_exp.tracking.runs import StoredRun
from mnist_exp.tracking.spool import Spool


def remove_superseded(tracking: TrackingSettings, rows: Sequence[Row], earlier: Sequence[StoredRun]) -> int:
    """Remove the folders of older runs of jobs that are done: a job begins anew where its own code was changed.

    Such a run stays in the store as it is. Its folder stays too if records wait in it, or if a process works on it.

    Args:
        tracking: names the folder of unfinished runs.
        rows: one for each job.
        earlier: runs of the experiment, newest first, from before this call.
    Returns: how many were removed.
    """
    done = {row.key: row.run_id for row in rows if row.outcome == "done" and row.key}
    place = {run.run_id: number for number, run in enumerate(earlier)}
    count = 0
    for number, run in enumerate(earlier):
        newer = done.get(run.key) if names.POINT in run.tags else None  # A run of its own is left to whoever began it.
        # A run that is newer than the one that is done was begun for another reason.
        if newer is None or run.status not in ("KILLED", "FAILED") or number <= place.get(newer, -1):
            continue
        folder = run_folder.folder_of(tracking, run.run_id)
        if not folder.path.is_dir() or len(Spool(folder.spool)):
            continue
        try:
            folder.claim()
        except SettingsError:  # Another process works on it.
            continue
        folder.remove()
        count += 1
    return count
