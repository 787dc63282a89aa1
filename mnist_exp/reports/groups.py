"""Runs in groups by what differs between their configurations, seeds apart; and what cannot be compared, and why."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from mnist_exp.errors import SettingsError
from mnist_exp.evaluation import statistics
from mnist_exp.evaluation.statistics import Comparison
from mnist_exp.reports import options
from mnist_exp.reports.metric import Metric, is_number
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

MOST_COMPARED = 100
_Place = tuple[str, str]


@dataclass(frozen=True)
class LeftOut:
    """A run that is listed and not compared."""

    run: StoredRun
    reason: str


@dataclass(frozen=True)
class Group:
    """The runs of one configuration.

    Args:
        label: what tells it from the others.
        values: the options that differ, as written.
        by_seed: the run of each seed.
        metric: that is compared.
    """

    label: str
    values: Mapping[str, str]
    by_seed: Mapping[str, StoredRun]
    metric: Metric

    @property
    def runs(self) -> list[StoredRun]:
        """One a seed."""
        return [*self.by_seed.values()]

    @property
    def n(self) -> int:
        """How many seeds there are."""
        return len(self.by_seed)

    @functools.cached_property
    def scores(self) -> dict[str, float]:
        """The metric of each seed."""
        return {seed: run.metrics[self.metric.key] for seed, run in self.by_seed.items()}

    @functools.cached_property
    def mean(self) -> float:
        """Of the metric."""
        return fmean(self.scores.values())

    @functools.cached_property
    def std(self) -> float | None:
        """Standard deviation of the metric over the seeds; None with one seed."""
        return stdev(self.scores.values()) if self.n > 1 else None

    @functools.cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the metric's mean; None where none can be given."""
        return statistics.interval([*self.scores.values()])

    def mean_of(self, name: str) -> float | None:
        """Return the mean of another metric; None if a run has none."""
        values = [run.metrics.get(name, math.nan) for run in self.runs]
        return fmean(values) if all(map(is_number, values)) else None


@dataclass(frozen=True)
class Family:
    """Configurations that may be compared with each other: same data, and the same validation where that was measured.

    Args:
        data_sha256: of the data.
        validation: what the epochs were validated on.
        groups: the best first.
        comparisons: by the places of the two; empty where there are too many, or seeds are missing.
        against: place of the group that all others are compared with, if it was chosen beforehand.
        too_many: how many configurations there are, if that is too many for pairs.
    """

    data_sha256: str
    validation: str
    groups: Sequence[Group]
    comparisons: Mapping[tuple[int, int], Comparison]
    against: int | None = None
    too_many: int = 0

    @property
    def name(self) -> str:
        """For people, where there are several."""
        data_sets = {run.params.get(names.DATA_NAME, "data") for group in self.groups for run in group.runs}
        held_out = self.validation if self.validation == "test" else f"{self.validation} held out"
        data = f"{' or '.join(sorted(data_sets))} ({self.data_sha256[:8]})"
        return data + f", validated on {held_out}" * bool(self.validation)

    @property
    def reference(self) -> int | None:
        """Place of the group that the others are held against: the one chosen, or the best of several seeds."""
        if self.against is not None:
            return self.against
        return next((place for place, group in enumerate(self.groups) if group.n > 1), None)

    def varied(self, keys: Sequence[str]) -> list[str]:
        """Return those options that are not the same in all of its groups."""
        return [key for key in keys if len({group.values[key] for group in self.groups}) > 1]

    def with_reference(self) -> list[tuple[Group, Comparison]]:
        """Return each group that was compared with the reference, and the reference's values against its own."""
        found = []
        for (first, second), comparison in self.comparisons.items():
            if first == self.reference:
                found.append((self.groups[second], comparison))
            elif second == self.reference:
                found.append((self.groups[first], comparison.reversed()))
        return found


@dataclass(frozen=True)
class Grouping:
    """All runs of a report.

    Args:
        metric: that is compared.
        keys: the options that name the groups.
        differing: all options that differ.
        names: short ones of options.
        families: what may be compared.
        left_out: runs that are not.
    """

    metric: Metric
    keys: Sequence[str]
    differing: Sequence[str]
    names: Mapping[str, str]
    families: Sequence[Family]
    left_out: Sequence[LeftOut]

    @property
    def groups(self) -> list[Group]:
        """Those of all families."""
        return [group for family in self.families for group in family.groups]


def group(runs: Sequence[StoredRun], metric: Metric, against: str | None = None) -> Grouping:
    """Group runs, and compare the groups.

    Args:
        runs: oldest first; of several with the same configuration and seed the last one counts.
        metric: to compare.
        against: run id of the configuration, chosen beforehand, that all others are compared with.
    Raises: SettingsError: no run can be compared, or that one is not among them.
    """
    left_out = [LeftOut(run, reason) for run in runs if (reason := why_not(run, metric))]
    without = {left.run.run_id for left in left_out}
    usable = [run for run in runs if run.run_id not in without]
    if not usable:
        first = left_out[0]
        more = f", and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        raise SettingsError(f"there is no run to report on: run {first.run.run_id} {first.reason}{more}")
    found = [options.of(run) for run in usable]
    differing = options.differences(found)
    keys = options.naming(found, differing)
    short = options.names_of(keys)
    together: dict[tuple[_Place, tuple[str, ...]], dict[str, StoredRun]] = {}
    for run, own in zip(usable, found, strict=True):
        seeds = together.setdefault((_place(run, metric), tuple(own.get(key, options.ABSENT) for key in keys)), {})
        seed = run.params.get(names.SEED, run.run_id)
        if seed in seeds:
            left_out.append(LeftOut(seeds[seed], f"is repeated by run {run.run_id}: same configuration, same seed"))
        seeds[seed] = run
    groups: dict[_Place, list[Group]] = {}
    for (place, values), by_seed in together.items():
        groups.setdefault(place, []).append(Group("", dict(zip(keys, values, strict=True)), by_seed, metric))
    families = [_family(place, _labelled(members, short), metric, against) for place, members in groups.items()]
    if against is not None and all(family.against is None for family in families):
        raise SettingsError(f"--against={against} is not among the runs that are compared")
    families.sort(key=lambda family: -len(family.groups))
    return Grouping(metric, keys, differing, short, families, left_out)


def why_not(run: StoredRun, metric: Metric) -> str:
    """Return why a run is not compared; nothing if it can be."""
    if run.is_sweep:
        return "is a sweep, and no run"
    if run.is_pruned:
        return "was pruned: its sweep stopped it early"
    if run.status != "FINISHED":
        reason = run.tags.get(names.FAILURE, "")
        return f"is {run.status}" + (f": {reason}" if reason else "")
    if metric.key not in run.metrics:
        return f"has no {metric.key}"
    return "" if is_number(run.metrics[metric.key]) else f"has {metric.key} that is no number"


def _place(run: StoredRun, metric: Metric) -> _Place:
    """Return what must be the same for a comparison: the data, and what a metric of the validation was measured on."""
    validation = options.canonical(run.params.get(names.VALIDATION, "unknown")) if metric.is_of_validation else ""
    return run.tags.get(names.DATA_SHA256, "unknown"), validation


def _labelled(groups: Sequence[Group], short: Mapping[str, str]) -> list[Group]:
    """Return groups with labels of what differs among them, or what they all are."""
    varied = [key for key in short if len({group.values[key] for group in groups}) > 1]
    only = options.shown(options.TARGET, groups[0].runs[0].params.get(names.MODEL_TARGET, "all runs"))
    labels = options.labels_of([{key: group.values[key] for key in varied} for group in groups], short)
    return [replace(group, label=label or only) for group, label in zip(groups, labels, strict=True)]


def _family(place: _Place, groups: list[Group], metric: Metric, against: str | None) -> Family:
    groups = sorted(groups, key=lambda group: (-metric.sign * group.mean, group.label))
    chosen = next((i for i, group in enumerate(groups) if against in {run.run_id for run in group.runs}), None)
    several = [i for i, group in enumerate(groups) if group.n > 1]
    too_many = len(several) if len(several) > MOST_COMPARED and chosen is None else 0
    comparisons = {}
    if not too_many and (against is None or chosen in several):
        position = several.index(chosen) if chosen is not None else None
        pairs = statistics.compare_all([groups[i].scores for i in several], position)
        comparisons = {(several[i], several[j]): comparison for (i, j), comparison in pairs.items()}
    return Family(*place, groups, comparisons, chosen, too_many)
