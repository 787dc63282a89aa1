"""Sweeps against each other: what the best configuration of each says of the others, as sentences."""

from collections.abc import Mapping, Sequence

from mnist_exp.comparison.groups import Family, Group, Grouping
from mnist_exp.comparison.metric import Metric
from mnist_exp.comparison.verdict import figure, numbers


def sentences(grouping: Grouping, sweeps: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what may be said of sweeps that are compared, each by its best configuration.

    Args:
        grouping: the runs; the comparisons of its configurations are corrected for all of them together.
        sweeps: run id → the names of the sweeps that it belongs to; empty for a single sweep.
    """
    return [sentence for family in grouping.families for sentence in _of_family(family, grouping.metric, sweeps)]


def _of_family(family: Family, metric: Metric, sweeps: Mapping[str, Sequence[str]]) -> list[str]:
    best: dict[str, int] = {}  # The configurations stand in the order of their means.
    for several in (True, False):  # Without a second seed there is no comparison.
        for place, group in enumerate(family.groups):
            for sweep in dict.fromkeys(name for run in group.runs for name in sweeps.get(run.run_id, ())):
                if (group.n > 1) is several:
                    best.setdefault(sweep, place)
    if len(best) < 2:
        return []
    (first, leader), *others = sorted(best.items(), key=lambda item: item[1])
    told = [f"Best of {name}: {_words(family.groups[place], metric)}." for name, place in [(first, leader), *others]]
    return [" ".join([*told, *(_against(family, metric, (first, leader), other) for other in others)])]


def _words(group: Group, metric: Metric) -> str:
    mean = f"{group.label}, {metric.name} {figure(group.mean, metric.name)}"
    return mean if group.std is None else f"{mean} ± {figure(group.std)} over {group.n} seeds"


def _against(family: Family, metric: Metric, first: tuple[str, int], other: tuple[str, int]) -> str:
    (leader, i), (sweep, j) = first, other
    if i == j:
        return f"{leader} and {sweep} have the same best configuration."
    comparison = family.comparisons.get((i, j)) or (
        family.comparisons[j, i].reversed() if (j, i) in family.comparisons else None
    )
    if comparison is None or comparison.p is None:
        return f"Which of {leader} and {sweep} has the better configuration is unknown: these two were not tested."
    if not comparison.is_significant:
        return f"The best of {leader} and of {sweep} do not differ significantly ({numbers(comparison)})."
    word = "better" if metric.sign * comparison.difference > 0 else "worse"
    return f"The best of {leader} is {word} than the best of {sweep} ({numbers(comparison)})."
