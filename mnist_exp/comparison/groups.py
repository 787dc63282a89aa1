"""Groups of runs with the same configuration and different seeds, their comparison, and the runs left out."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from mnist_exp.comparison import options
from mnist_exp.comparison.metric import Metric, is_number
from mnist_exp.errors import SettingsError
from mnist_exp.evaluation import statistical_tests
from mnist_exp.evaluation.statistical_tests import Comparison
from mnist_exp.search.race import seeds_of_final
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

MOST_COMPARED = 100
_NONE = "null"
_Place = tuple[str, str]


@dataclass(frozen=True)
class LeftOut:
    """A run that is listed but not compared, with the reason."""

    run: StoredRun
    reason: str


@dataclass(frozen=True)
class Group:
    """The runs of one configuration.

    Args:
        label: short text that distinguishes this configuration from the others.
        values: the options that differ between configurations, and their values here, as written.
        by_seed: one run per seed.
        metric: the metric that the report compares.
    """

    label: str
    values: Mapping[str, str]
    by_seed: Mapping[str, StoredRun]
    metric: Metric

    @property
    def runs(self) -> list[StoredRun]:
        """The runs, one per seed."""
        return [*self.by_seed.values()]

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.by_seed)

    @functools.cached_property
    def scores(self) -> dict[str, float]:
        """The metric, by seed."""
        return {seed: run.metrics[self.metric.key] for seed, run in self.by_seed.items()}

    @functools.cached_property
    def mean(self) -> float:
        """Mean of the metric over the seeds."""
        return fmean(self.scores.values())

    @functools.cached_property
    def std(self) -> float | None:
        """Standard deviation of the metric over the seeds; None for one seed."""
        return stdev(self.scores.values()) if self.n > 1 else None

    @functools.cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean; None for one seed or without spread."""
        return statistical_tests.interval([*self.scores.values()])

    def mean_of(self, name: str) -> float | None:
        """Return the mean of another metric; None if a run does not have it."""
        values = [run.metrics.get(name, math.nan) for run in self.runs]
        return fmean(values) if all(map(is_number, values)) else None


@dataclass(frozen=True)
class Family:
    """Configurations that may be compared with each other: same data and, for a validation metric, same validation set.

    Args:
        data_sha256: digest of the data.
        validation: the option `data.validation`; empty if the metric is not one of the validation set.
        groups: the configurations, best first.
        comparisons: the comparison for each pair of positions in `groups`; empty if there are too many pairs.
        against: position of the baseline, if the user chose one.
        too_many: number of configurations, if it is too large to compare all pairs; otherwise 0.
        raced_from: the first seed of a race over seeds; else empty. Then only the configurations in the final are
            compared, on the seeds after the first: that one has chosen them.
    """

    data_sha256: str
    validation: str
    groups: Sequence[Group]
    comparisons: Mapping[tuple[int, int], Comparison]
    against: int | None = None
    too_many: int = 0
    raced_from: str = ""

    @property
    def name(self) -> str:
        """Name for people: data set, start of its digest, validation."""
        data_sets = {run.params.get(names.DATA_NAME, "data") for group in self.groups for run in group.runs}
        own = {"test": "test", "own": "its own validation set"}
        held_out = own.get(self.validation, f"{self.validation} held out")
        data = f"{' or '.join(sorted(data_sets))} ({self.data_sha256[:8]})"
        return f"{data}, validated on {held_out}" if self.validation else data

    @property
    def reference(self) -> int | None:
        """Position of the group to compare the others with: the baseline, or the best group with several seeds."""
        if self.against is not None:
            return self.against
        return next((position for position, group in enumerate(self.groups) if group.n > 1), None)

    @property
    def final(self) -> set[int]:
        """Positions of the configurations that are compared with each other."""
        return {position for pair in self.comparisons for position in pair}

    def varied(self, keys: Sequence[str]) -> list[str]:
        """Return those of the options that differ between the groups of this family."""
        return [key for key in keys if len({group.values[key] for group in self.groups}) > 1]

    def with_reference(self) -> list[tuple[Group, Comparison]]:
        """Return each other group, with the comparison of the reference group (first) with it (second)."""
        compared = []
        for (first, second), comparison in self.comparisons.items():
            if first == self.reference:
                compared.append((self.groups[second], comparison))
            elif second == self.reference:
                compared.append((self.groups[first], comparison.reversed()))
        return compared


@dataclass(frozen=True)
class Grouping:
    """All runs of a report.

    Args:
        metric: the metric that the report compares.
        keys: the options that name the groups.
        differing: all options that differ between the runs.
        names: a short name for each of `keys`.
        families: the groups in families, the largest family first.
        left_out: the runs that are not compared.
    """

    metric: Metric
    keys: Sequence[str]
    differing: Sequence[str]
    names: Mapping[str, str]
    families: Sequence[Family]
    left_out: Sequence[LeftOut]

    @property
    def groups(self) -> list[Group]:
        """The groups of all families."""
        return [group for family in self.families for group in family.groups]


def group(runs: Sequence[StoredRun], metric: Metric, against: str | None = None, *, raced_from: str = "") -> Grouping:
    """Group runs by configuration, and compare the groups.

    Args:
        runs: oldest first. If several have the same configuration and seed, only the last one is compared.
        metric: the metric to compare.
        against: id of a run of the baseline; the other configurations are compared with it only.
        raced_from: the first seed of the search that raced the runs over seeds; empty for any other runs.
    Raises: SettingsError: no run can be compared, or the baseline is not among the runs.
    """
    left_out = [LeftOut(run, reason) for run in runs if (reason := why_not(run, metric))]
    without = {left.run.run_id for left in left_out}
    usable = [run for run in runs if run.run_id not in without]
    if not usable:
        first = left_out[0]
        more = f", and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        raise SettingsError(f"there is no run to report on: run {first.run.run_id} {first.reason}{more}")
    options_of_runs = [options.of(run) for run in usable]
    differing = options.differences(options_of_runs)
    keys = options.naming(options_of_runs, differing)
    short = options.names_of(keys)
    seeds_of_groups: dict[tuple[_Place, tuple[str, ...]], dict[str, StoredRun]] = {}
    for run, own in zip(usable, options_of_runs, strict=True):
        values = tuple(own.get(key, options.ABSENT) for key in keys)
        seeds = seeds_of_groups.setdefault((_place(run, metric), values), {})
        seed = run.params.get(names.SEED, run.run_id)
        if seed in seeds:
            left_out.append(LeftOut(seeds[seed], f"is repeated by run {run.run_id}: same configuration, same seed"))
        seeds[seed] = run
    groups: dict[_Place, list[Group]] = {}
    for (place, values), by_seed in seeds_of_groups.items():
        groups.setdefault(place, []).append(Group("", dict(zip(keys, values, strict=True)), by_seed, metric))
    families = [
        _family(place, _labelled(members, short), metric, against, raced_from) for place, members in groups.items()
    ]
    if against is not None and all(family.against is None for family in families):
        raise SettingsError(f"--against={against} is not among the runs that are compared")
    families.sort(key=lambda family: -len(family.groups))
    return Grouping(metric, keys, differing, short, families, left_out)


def why_not(run: StoredRun, metric: Metric) -> str:
    """Return why a run cannot be compared, as the rest of a sentence after its id; empty if it can."""
    if run.is_sweep:
        return "is the parent run of a sweep"
    if run.is_pruned:
        return "was pruned: its sweep stopped it early"
    if run.status != "FINISHED":
        reason = run.tags.get(names.FAILURE, "")
        return f"is {run.status}" + (f": {reason}" if reason else "")
    if metric.key not in run.metrics:
        return f"has no {metric.key}"
    return "" if is_number(run.metrics[metric.key]) else f"has a value of {metric.key} that is not a finite number"


def _place(run: StoredRun, metric: Metric) -> _Place:
    """Return what compared runs must share: the data and, for a validation metric, the validation set."""
    validation = ""
    if metric.is_of_validation:
        validation = options.canonical(run.params.get(names.VALIDATION, "unknown"))
        aside = options.canonical(run.params.get(names.REPORTING, _NONE))  # Other validation images are left then.
        validation += f" and {aside}" if aside != _NONE else ""
    return run.tags.get(names.DATA_SHA256, "unknown"), validation


def _labelled(groups: Sequence[Group], short: Mapping[str, str]) -> list[Group]:
    """Return the groups with labels made of the options that differ; the model's name if none differs."""
    varied = [key for key in short if len({group.values[key] for group in groups}) > 1]
    only = options.shown(options.TARGET, groups[0].runs[0].params.get(names.MODEL_TARGET, "all runs"))
    labels = options.labels_of([{key: group.values[key] for key in varied} for group in groups], short)
    return [replace(group, label=label or only) for group, label in zip(groups, labels, strict=True)]


def _family(place: _Place, groups: list[Group], metric: Metric, against: str | None, raced_from: str) -> Family:
    most = seeds_of_final([group.n for group in groups]) if raced_from else 0
    groups = sorted(groups, key=lambda group: (group.n < most, -metric.sign * group.mean, group.label))
    chosen = next((i for i, group in enumerate(groups) if against in {run.run_id for run in group.runs}), None)
    several = [i for i, group in enumerate(groups) if group.n > 1 and group.n >= most]
    too_many = len(several) if len(several) > MOST_COMPARED and chosen is None else 0
    comparisons = {}
    if not too_many and (against is None or chosen in several):
        position = several.index(chosen) if chosen is not None else None
        scores = [{seed: score for seed, score in groups[i].scores.items() if seed != raced_from} for i in several]
        pairs = statistical_tests.compare_all(scores, position)
        comparisons = {(several[i], several[j]): comparison for (i, j), comparison in pairs.items()}
    return Family(*place, groups, comparisons, chosen, too_many, raced_from)
