"""`sweep.finish_best` with more `trainer.epochs` than an earlier search had: its best trials go on, no other is run.

Their runs of more epochs are runs of their own, of this search. They start from the checkpoints of the earlier ones, so
that they come to the same bits as if they had been trained from the first epoch on. The earlier runs stay as they are.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_exp.config.schema import Settings
from mnist_exp.errors import SettingsError, plural
from mnist_exp.search import attributes, pausing, rebuild
from mnist_exp.search.study import Study
from mnist_exp.sweeps.calls.call import SweepCall
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.planning.identity import sweep_key
from mnist_exp.sweeps.planning.plan import Plan
from mnist_exp.tracking import names, store
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import optuna


@dataclasses.dataclass(frozen=True)
class Finish:
    """What goes on.

    Args:
        parent: the parent run of the search of fewer epochs.
        earlier: how many epochs that had.
        chosen: the runs of its best trials, the best first.
        new: those of them that this search has not begun to go on with.
        epochs: that they go on to.
    """

    parent: StoredRun
    earlier: int
    chosen: Sequence[StoredRun]
    new: Sequence[StoredRun]
    epochs: int

    @property
    def words(self) -> dict[str, str]:
        """The same for people, by the name of its line."""
        some = f"the best {len(self.chosen)} trials of the search of trainer.epochs={self.earlier}"
        return {"finish": f"{some} go on to epoch {self.epochs} (its parent run: {self.parent.run_id})"}


def planned(call: SweepCall, history: SweepHistory) -> Finish | None:
    """Return what of an earlier search goes on; None if that is not asked for.

    That is without `sweep.finish_best`, without an earlier search that differs in nothing but fewer epochs, or if this
    search has trials of its own.

    Args:
        call: of a search.
        history: of its experiment.
    Raises: SettingsError: the earlier search is not over, or its curves depend on the number of epochs.
    """
    count, study = call.how.finish_best, call.study
    if not count or study is None:
        return None
    own = history.find_parent(call.key) if call.how.reuse else None
    if own is not None and names.FINISHES not in own.tags:
        return None
    shorter = _shorter(call, history)
    if shorter is None:
        return None
    earlier, parent = shorter
    _check(call.plan.settings, parent, earlier)
    chosen = _best(call, history.children(parent.run_id), earlier)[:count]
    children = history.children(own.run_id) if own is not None else []
    begun_before = {run.tags.get(names.STARTED_FROM, "") for run in children}
    return Finish(parent, earlier, chosen, [run for run in chosen if run.run_id not in begun_before], study.epochs)


def begun(call: SweepCall, opened: "optuna.Study", history: SweepHistory) -> SweepCall:
    """Return the call that finishes the best trials of an earlier search of fewer epochs, their trials queued.

    Args:
        call: of a search.
        opened: its study.
        history: of its experiment.
    Returns: the call as it is if that is not asked for: see `planned`.
    Raises: SettingsError: the earlier search is not over, or its curves depend on the number of epochs.
    """
    study, plan = call.study, planned(call, history)
    if study is None or plan is None:
        return call
    new = _queue(study, opened, plan.new, history.uri)
    if lost := [run_id for run_id in new if not pausing.is_kept(study.unfinished, run_id)]:
        call.screen.warn(
            f"{plural(len(lost), 'trial')} of the best {len(plan.chosen)} must begin anew: this machine has no "
            f"checkpoint of them any more: {', '.join(lost)}"
        )
    call.screen.table(plan.words)
    how = dataclasses.replace(call.how, n_trials=len(plan.chosen))
    trained = dataclasses.replace(study, settings=dataclasses.replace(how, pruner="none"))
    return dataclasses.replace(call, how=how, study=trained, finishes=plan.parent.run_id)


def _shorter(call: SweepCall, history: SweepHistory) -> tuple[int, StoredRun] | None:
    """Return the epochs and the parent run of the longest search that differs in nothing but fewer epochs."""
    keys = {
        sweep_key(_with_epochs(call.plan, epochs), call.how, is_search=True, code=call.code): epochs
        for epochs in range(1, call.plan.settings.trainer.epochs)
    }
    found = [(keys[run.tags[names.SWEEP]], run) for run in history.parents([*keys])]
    return max(found, key=lambda each: each[0], default=None)


def _with_epochs(plan: Plan, epochs: int) -> Plan:
    settings = plan.settings
    trainer = dataclasses.replace(settings.trainer, epochs=epochs)
    return dataclasses.replace(plan, settings=dataclasses.replace(settings, trainer=trainer))


def may_be_longer(settings: Settings) -> bool:
    """Tell whether the first epochs of a training are the same if it has more of them."""
    return settings.schedule.name == "constant"


def _check(settings: Settings, parent: StoredRun, earlier: int) -> None:
    again = parent.tags.get(names.COMMAND, "its command")
    if not may_be_longer(settings):
        raise SettingsError(
            f"sweep.finish_best cannot go on from epoch {earlier} to trainer.epochs={settings.trainer.epochs}: with "
            f"schedule={settings.schedule.name} the rates of the epochs done depend on trainer.epochs; leave out "
            "sweep.finish_best to search anew"
        )
    if parent.status != "FINISHED":
        raise SettingsError(
            f"sweep.finish_best goes on with the search of trainer.epochs={earlier} (parent {parent.run_id}), which is "
            f"{parent.status}: run it to its end first: {again}"
        )


def _best(call: SweepCall, children: Sequence[StoredRun], earlier: int) -> list[StoredRun]:
    """Return the runs of a search that have a result, the best first."""
    sign = -1 if call.plan.settings.direction == "maximize" else 1
    ended = [run for run in children if run.status == "FINISHED" and names.OBJECTIVE in run.metrics]
    of_it = [run for run in ended if run.params.get(names.PLANNED_EPOCHS) == str(earlier)]

    def worth(run: StoredRun) -> tuple[float, bool, int]:  # Of equal ones, one that can go on comes first.
        here = call.study is not None and pausing.is_kept(call.study.unfinished, run.run_id)
        return sign * run.metrics[names.OBJECTIVE], not here, run.started_ms

    return sorted(of_it, key=worth)


def _queue(study: Study, opened: "optuna.Study", chosen: Sequence[StoredRun], uri: str) -> list[str]:
    """Queue a trial for each run that is to go on, unless there is one already; return the ids of these runs."""
    queued = []
    with store.lock(uri, opened.study_name):
        there = {trial.user_attrs.get(attributes.STARTS) for trial in opened.get_trials(deepcopy=False)}
        for run in chosen:
            params = rebuild.params_of(study, run)
            if params is not None and run.run_id not in there:
                opened.enqueue_trial(params, user_attrs={attributes.STARTS: run.run_id})
                queued.append(run.run_id)
    return queued
