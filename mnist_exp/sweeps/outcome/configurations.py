"""The configurations of a sweep over seeds: jobs that differ by their seeds only, ranked by their mean."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from mnist_exp.evaluation import statistical_tests
from mnist_exp.search.race import seeds_of_final
from mnist_exp.search.space import brief, short_names
from mnist_exp.sweeps.outcome.leaderboard import MOST_SHOWN, Row, tested_by
from mnist_exp.tracking import names


@dataclass(frozen=True)
class Configuration:
    """The jobs of one configuration that are done.

    Args:
        values: the swept options that apply, without the seed, as written on the command line.
        jobs: one for each seed, the smallest seed first.
    """

    values: Mapping[str, str]
    jobs: Sequence[Row]

    @property
    def mean(self) -> float:
        """Mean of the objective."""
        return fmean(job.objective for job in self.jobs)

    @property
    def std(self) -> float | None:
        """Standard deviation of the objective; None for one seed."""
        return stdev(job.objective for job in self.jobs) if len(self.jobs) > 1 else None

    @functools.cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean; None for one seed or without spread."""
        return statistical_tests.interval([job.objective for job in self.jobs])

    def mean_of(self, metric: str) -> float:
        """Return the mean of another metric; NaN if a job does not have it."""
        return fmean(job.metrics.get(metric, math.nan) for job in self.jobs)

    def words(self, objective: str) -> str:
        """Return its name and its mean, such as `filters=16: mean val_accuracy 0.9812 ± 0.0011 over 5 seeds`."""
        short = short_names([*self.values])
        name = " ".join(f"{short[key]}={brief(value)}" for key, value in self.values.items())
        spread = f" ± {self.std:.4f} over {len(self.jobs)} seeds" if self.std is not None else " of one seed"
        return f"{name}: mean {objective} {self.mean:.4f}{spread}"


def by_mean(rows: Sequence[Row], keys: Sequence[str], direction: str, *, is_raced: bool = False) -> list[Configuration]:
    """Return the configurations of a sweep, the best mean first; none if there is one only, or no seed is varied.

    The best of many single runs is a lucky one: the more seeds, the luckier. The mean is not.

    Args:
        rows: jobs that are done.
        keys: the swept options.
        direction: maximize or minimize.
        is_raced: whether a search raced the seeds. Then those in the final come first, compared on the seeds that all
            of these have: the others have fewer, and the best of many single values is a lucky one.
    """
    jobs: dict[tuple[str | None, ...], list[Row]] = {}
    others = [key for key in keys if key != names.SEED]
    for row in rows:
        jobs.setdefault(tuple(map(row.values.get, others)), []).append(row)
    if names.SEED not in keys or len(jobs) < 2 or all(len(same) == 1 for same in jobs.values()):
        return []
    found = [
        Configuration({key: text for key, text in zip(others, texts, strict=True) if text is not None}, in_order)
        for texts, in_order in ((texts, sorted(same, key=_seed)) for texts, same in jobs.items())
    ]
    sign = -1 if direction == "maximize" else 1
    shared = seeds_of_final([len(one.jobs) for one in found]) if is_raced else None

    def rank(one: Configuration) -> tuple[bool, float, tuple[str, ...]]:
        compared = fmean(job.objective for job in one.jobs[:shared])
        return shared is not None and len(one.jobs) < shared, sign * compared, tuple(one.values.values())

    return sorted(found, key=rank)


def table(
    configurations: Sequence[Configuration], keys: Sequence[str], objective: str
) -> tuple[list[str], list[list[str]]]:
    """Return the head and the lines of the leaderboard for the terminal: the best `MOST_SHOWN` configurations.

    Args:
        configurations: ranked.
        keys: the swept options.
        objective: its name.
    """
    others = [key for key in keys if key != names.SEED]
    short = short_names(others)
    tested = tested_by([job for one in configurations for job in one.jobs], objective)
    lines = []
    for rank, one in enumerate(configurations[:MOST_SHOWN], start=1):
        spread = [f"{one.std:.4f}" if one.std is not None else "-", _words(one.interval)]
        figures = [f"{one.mean:.4f}", *spread, f"{one.mean_of(tested):.4f}"]
        time = f"{fmean(job.seconds for job in one.jobs):.1f} s"
        lines.append(
            [str(rank), *(brief(one.values.get(key, "")) for key in others), str(len(one.jobs)), *figures, time]
        )
    head = ["rank", *(short[key] for key in others), "seeds", objective, "± std", "95 % interval"]
    return [*head, tested, "time"], lines


def _words(interval: tuple[float, float] | None) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "-"


def _seed(row: Row) -> tuple[int, str]:
    text = row.values.get(names.SEED, "")
    return (int(text), text) if text.isdecimal() else (0, text)
