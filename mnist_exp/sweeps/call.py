"""One call of a sweep after all checks: what its record, its launch and its summary need."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mnist_exp.config.schema import SweepSettings, TrackingSettings
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search import storage
from mnist_exp.search.study import Study
from mnist_exp.sweeps import reuse
from mnist_exp.sweeps.identity import study_name, sweep_key
from mnist_exp.sweeps.leaderboard import Row
from mnist_exp.sweeps.plan import Plan
from mnist_exp.tracking import run_folder, store
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
    """

    how: SweepSettings
    plan: Plan
    study: Study | None
    config_dir: str | None
    folder: Path
    screen: Screen

    @functools.cached_property
    def key(self) -> str:
        """The key of the sweep: the same command has the same key, so an earlier call of it is found."""
        return sweep_key(self.plan, self.how, is_search=self.study is not None)

    @property
    def tracking(self) -> TrackingSettings:
        """The settings of the store in which its runs are recorded."""
        return self.plan.settings.tracking

    def rows_of_grid(self, earlier: Sequence[StoredRun]) -> list[Row]:
        """Return a row for each job of a grid, with the result of an earlier run if there is one."""
        if not self.how.reuse:
            earlier = []
        begun = self.interrupted(earlier)
        return reuse.rows_of_grid(self.plan, earlier, retry_failed=self.how.retry_failed, begun=begun)

    def interrupted(self, earlier: Sequence[StoredRun]) -> dict[str, str]:
        """Return the ids of the interrupted runs to resume, by job key."""
        return reuse.interrupted(earlier, self.tracking, retry_failed=self.how.retry_failed)


def make_study(plan: Plan, how: SweepSettings) -> Study:
    """Return the study of a search."""
    settings = plan.settings
    name = study_name(plan, how)
    address = how.storage or storage.default(store.sqlite_file(store.locate(settings.tracking.uri)), name)
    directions = (settings.direction, *(["minimize"] if how.minimize_too else []))
    folders = run_folder.root(settings.tracking)
    address = str(storage.journal_file(address) or address)  # Jobs may have another working folder.
    return Study(name, address, plan.space.axes, how, directions, settings.trainer.epochs, folders)
