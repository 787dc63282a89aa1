"""One call of a sweep after all checks: what its record, its launch and its summary need."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mnist_exp.config.nested import digest
from mnist_exp.config.schema import SweepSettings, TrackingSettings
from mnist_exp.errors import SettingsError
from mnist_exp.experiment import own_code
from mnist_exp.experiment.own_code import Changes
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search import storage
from mnist_exp.search.study import Study
from mnist_exp.sweeps.calls import reuse
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.planning import rules
from mnist_exp.sweeps.planning.identity import study_name, sweep_key
from mnist_exp.sweeps.planning.plan import Plan
from mnist_exp.sweeps.planning.start import Start
from mnist_exp.tracking import names, run_folder, store
from mnist_exp.tracking.runs import StoredRun


@dataclass(frozen=True)
class SweepCall:
    """One call of a sweep.

    Args:
        how: the options `sweep.*`.
        plan: its jobs, or the space that it searches.
        study: of a search; None for a grid.
        config_dir: the user's folder of configuration files.
        folder: where its jobs write their events.
        screen: to print on.
        words: of its command line.
        code: of a search, digest of the user's own code, if it is other code than that of an earlier search.
        start: what a search starts with.
        defaults: the value of each swept option without the sweep.
        finishes: of a search that goes on with the best trials of one of fewer epochs: the parent run of that.
    """

    how: SweepSettings
    plan: Plan
    study: Study | None
    config_dir: str | None
    folder: Path
    screen: Screen
    words: tuple[str, ...] = ()
    code: str = ""
    start: Start = field(default_factory=Start)
    defaults: Mapping[str, str] = field(default_factory=dict)
    finishes: str = ""

    @functools.cached_property
    def key(self) -> str:
        """The key of the sweep: the same command has the same key, so an earlier call of it is found."""
        return sweep_key(self.plan, self.how, is_search=self.study is not None, code=self.code)

    @functools.cached_property
    def changes(self) -> Changes:
        """Which of the user's own files were changed since earlier runs."""
        return Changes()

    @functools.cached_property
    def job_keys(self) -> frozenset[str] | None:
        """The keys of the jobs of a grid; None for a search, whose jobs are not known beforehand."""
        return frozenset(job.key for job in self.plan.jobs) if self.study is None else None

    @property
    def tracking(self) -> TrackingSettings:
        """The settings of the store in which its runs are recorded."""
        return self.plan.settings.tracking

    @property
    def has_store(self) -> bool:
        """Whether the store is there; looking does not create it, as asking it for runs would."""
        return self.tracking.store == "mlflow" and store.missing_file(store.locate(self.tracking.uri)) is None

    def rows_of_grid(self, earlier: Sequence[StoredRun]) -> list[Row]:
        """Return a row for each job of a grid, with the result of an earlier run if there is one."""
        if not self.how.reuse:
            earlier = []
        return reuse.rows_of_grid(self.plan, earlier, self.how, self.changes, self.interrupted(earlier))

    def interrupted(self, earlier: Sequence[StoredRun]) -> dict[str, str]:
        """Return the ids of the interrupted runs to resume, by job key."""
        return reuse.interrupted(earlier, self.tracking, self.how, self.changes)


def as_it_began(call: SweepCall, history: SweepHistory) -> SweepCall:
    """Return the call of a search that an earlier version began: where none was named, it had no pruner.

    Args:
        call: of a sweep.
        history: of its experiment.
    """
    if call.study is None or call.how.pruner is not None or history.find_parent(call.key) is not None:
        return call
    before = dataclasses.replace(call, how=dataclasses.replace(call.how, pruner="none"))
    parent = history.find_parent(before.key)
    if parent is None or "sweep.pruner" in parent.tags.get(names.COMMAND, ""):
        return call
    return dataclasses.replace(before, study=make_study(call.plan, before.how, call.code))


def of_this_code(call: SweepCall, history: SweepHistory) -> SweepCall:
    """Return the call with a search of its own for the user's own code as it is now.

    Trials by other code would mislead its sampler, and stand on its leaderboard. The same files lead to the same
    search again, also when a change is taken back.

    Args:
        call: of a sweep; a grid is left as it is, for its jobs are judged one by one.
        history: of its experiment.
    Raises: SettingsError: the user named the study, and it has trials by other code.
    """
    if call.study is None or call.how.reuse is not True:
        return call
    changed: set[str] = set()
    while (parent := history.find_parent(call.key)) is not None:
        trials = history.children(parent.run_id)
        files = dict.fromkeys(file for run in trials for file in call.changes.since(run))
        if not files:
            break
        changed |= files.keys()
        code = digest([call.code, call.changes.state(trials)])
        call = dataclasses.replace(call, code=code, study=make_study(call.plan, call.how, code))
    if changed and call.how.study:
        raise SettingsError(
            f"sweep.study={call.how.study} has trials by other code: {own_code.words(sorted(changed))}; name another "
            "study, or add to it all the same with sweep.reuse=any"
        )
    if changed:
        words = own_code.words(sorted(changed))
        call.screen.warn(f"this is another search than before: {words}; sweep.reuse=any goes on with the earlier one")
    return call


def make_study(plan: Plan, how: SweepSettings, code: str = "") -> Study:
    """Return the study of a search; `code` as in `SweepCall`."""
    settings = plan.settings
    name = study_name(plan, how, code)
    address = how.storage or storage.default(store.sqlite_file(store.locate(settings.tracking.uri)), name)
    directions = (settings.direction, *(["minimize"] if how.minimize_too else []))
    folders = run_folder.root(settings.tracking)
    address = str(storage.journal_file(address) or address)  # Jobs may have another working folder.
    metrics = (settings.objective, *([how.minimize_too] if how.minimize_too else []))
    space, epochs = plan.space, settings.trainer.epochs
    decided = rules.with_pruner(how, space, epochs)
    return Study(name, address, space.axes, decided, directions, epochs, folders, metrics, space.seeds, space.partly)
