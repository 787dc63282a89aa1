"""The study of a search, where its storage lost something: a damaged journal is set aside, and the runs in the store
give the study back what it lacks.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_exp.errors import BusyError, SettingsError, plural
from mnist_exp.search import rebuild, storage
from mnist_exp.search.study import Study
from mnist_exp.sweeps.calls import reuse
from mnist_exp.sweeps.calls.call import SweepCall
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.record.parent_run import ParentRun
from mnist_exp.tracking import names, runs, store
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import optuna


def open_study(call: SweepCall, search: Study) -> "optuna.Study":
    """Open the study of a search; if its journal is damaged, rename that and begin a new one.

    Args:
        call: of the sweep.
        search: that it makes.
    Raises: SettingsError: the storage cannot be used, or the study in it belongs to another search.
        BusyError: the journal is damaged, and another process still works with it.
    """
    from mnist_exp.search import journal  # It imports Optuna, which a grid does not need.

    try:
        return search.open(tell=call.screen.warn)
    except journal.DamagedError as error:
        if call.tracking.store != "mlflow":
            raise SettingsError(
                f"{error}, and tracking.store={call.tracking.store} keeps no runs to rebuild it from: rename the file "
                "to begin anew"
            ) from error
    history = SweepHistory(call.tracking)
    with store.lock(history.uri):
        try:
            return search.open()  # Another process may have renamed it meanwhile.
        except journal.DamagedError as error:
            parent = history.find_parent(call.key)
            if parent is not None and parent.lives:
                raise BusyError(f"{error}: {reuse.running_already(parent)}") from error
            file = storage.journal_file(search.storage)
            assert file is not None
            call.screen.warn(f"{error}: it is kept as {journal.set_aside(file)}, and a new one is begun")
            return search.open()


def complete(
    call: SweepCall, search: Study, opened: "optuna.Study", parent: ParentRun | None, earlier: Sequence[StoredRun]
) -> None:
    """Give a study the results that its search has in the store, and that the study lacks.

    Args:
        call: of the sweep.
        search: that it makes.
        opened: its study.
        parent: run of the sweep; None if it is not recorded.
        earlier: runs of the experiment, newest first.
    """
    if parent is None or parent.is_new:
        return
    oldest_first = list(reversed(earlier))
    own = [run for run in oldest_first if run.tags.get(names.PARENT) == parent.run_id]
    rebuild.end_trials(search, opened, own)
    if storage.journal_file(search.storage) is None:
        return  # No lock would keep two machines from adding the same runs to a database.
    with store.lock(parent.history.uri):
        if is_empty := rebuild.is_empty(opened):
            counted = {run.run_id for run in runs.of_sweep(parent.history.get(parent.run_id))}
            own = [run for run in oldest_first if run.run_id in counted]  # Also runs of other sweeps, which it reuses.
        count = rebuild.add_trials(search, opened, own, call.plan.settings.objective)
    if count:
        lacked = "was empty" if is_empty else "lacked results"
        call.screen.warn(
            f"the study in {search.storage} {lacked}; it now has those of {plural(count, 'run')} in the store"
        )
