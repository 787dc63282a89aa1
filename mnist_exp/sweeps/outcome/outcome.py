"""A sweep and its results so far."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mnist_exp.analysis.mattered import Mattered
from mnist_exp.comparison import selected
from mnist_exp.comparison.selected import Selected
from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import given
from mnist_exp.search.study import Study
from mnist_exp.sweeps.outcome import configurations, leaderboard, mattered
from mnist_exp.sweeps.outcome.configurations import Configuration
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.planning.plan import Plan
from mnist_exp.tracking import names

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Outcome:
    """A sweep and its results so far.

    Args:
        plan: of the sweep.
        how: the options `sweep.*`.
        rows: one for each job.
        parent: id of the parent run; None if the sweep is not recorded.
        study: of a search; None for a grid.
        opened: Optuna's study of a search, opened; None for a grid.
        defaults: the value of each swept option without the sweep.
        look_up_mattered: returns what mattered, where that is recorded already; else None.
    """

    plan: Plan
    how: SweepSettings
    rows: list[Row]
    parent: str | None
    study: Study | None = None
    opened: "optuna.Study | None" = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    look_up_mattered: Callable[[], Mattered | None] | None = None

    @functools.cached_property
    def mattered(self) -> Mattered | None:
        """What mattered. Ask at the end: None if the sweep did not end, with two objectives, or for too few jobs."""
        # A search may end before all its trials, by its time or its budget.
        is_over = not self.count("killed") and (self.study is not None or not self.count("left"))
        if not is_over or self.how.minimize_too is not None:
            return None
        if self.look_up_mattered is not None:
            return self.look_up_mattered()
        sampler = (self.how.sampler or "tpe") if self.study is not None else None
        queued = given.queued_runs(self.opened) if self.opened is not None else ()
        return mattered.of(self.plan, self.rows, sampler=sampler, defaults=self.defaults, queued=queued)

    @property
    def objective(self) -> str:
        """The name of the metric by which the jobs are ranked."""
        return self.plan.settings.objective

    @property
    def ranked(self) -> list[Row]:
        """The jobs that are done, the best first; with two objectives, the Pareto front first."""
        rows, front = leaderboard.ranked(self.rows, self.plan.settings.direction), self.front
        return [*front, *(row for row in rows if row not in front)]

    @property
    def front(self) -> list[Row]:
        """With two objectives the jobs that no other one beats in both, the best by the first objective first."""
        if self.how.minimize_too is None:
            return []
        return leaderboard.pareto(self.rows, self.plan.settings.direction, self.how.minimize_too)[::-1]

    @property
    def configurations(self) -> list[Configuration]:
        """The configurations of a sweep over seeds, the best mean first; none if seeds are not swept."""
        if self.how.minimize_too is not None:
            return []
        settings = self.plan.settings
        return configurations.by_mean(leaderboard.ranked(self.rows, settings.direction), self.plan.space.keys,
                                      settings.direction, is_raced=bool(self.plan.space.seeds))  # fmt: skip

    @property
    def selected(self) -> Selected | None:
        """How much of the best value is expected to be luck, and the honest one; None where that is not known."""
        settings, ranked = self.plan.settings, self.ranked
        if self.how.minimize_too is not None or not ranked or self.plan.on_test:
            return None
        found = self.configurations
        jobs = [one.jobs for one in found] if found else [[row] for row in ranked]
        name = names.reported_by(settings.objective)
        reported = [row.metrics[name] for row in jobs[0] if name in row.metrics]
        images = int(jobs[0][0].metrics.get(names.REPORT_IMAGES, 0))
        scores = [{row.values.get(names.SEED, ""): row.objective for row in each} for each in jobs]
        images_of = self.plan.validated_on, reported, images
        return selected.of(scores, settings.objective, settings.direction, *images_of)

    @property
    def failed(self) -> list[Row]:
        """The jobs that failed, in this call or before."""
        return [row for row in self.rows if row.outcome == "failed"]

    def count(self, outcome: str) -> int:
        """Return how many jobs have this outcome."""
        return sum(row.outcome == outcome for row in self.rows)

    @property
    def in_order(self) -> list[Row]:
        """All jobs in the order of the leaderboard: those that are done, the best first, then the others."""
        return [*self.ranked, *(row for row in self.rows if row.outcome != "done")]

    @property
    def within_chance(self) -> str | None:
        """How many jobs are so close to the best one that chance may explain the difference; None if no job is.

        None for a sweep over seeds, too: their spread says it better.
        """
        images = self.plan.validated_on
        if self.objective != names.VAL_ACCURACY or len(self.ranked) < 2 or self.how.minimize_too:
            return None
        if self.configurations:
            return None
        best = self.ranked[0].objective
        # The standard error of a difference of two accuracies, as if the images were two independent samples. The
        # images are the same, so the true error is at most as large.
        error = math.sqrt(2 * best * (1 - best) / images)
        close = sum(best - row.objective <= error for row in self.ranked[1:])
        if not close:
            return None
        jobs = "1 other job is" if close == 1 else f"{close} other jobs are"
        fix = "compare more seeds, 'seed=range(1,6)'"
        return f"{jobs} within one standard error of a difference from the best ({error:.4f}, {images:,} images): {fix}"
