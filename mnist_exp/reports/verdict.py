"""What a report comes to, in plain words: no more than the values bear."""

import math
from collections.abc import Sequence

from mnist_exp.evaluation import statistics
from mnist_exp.evaluation.statistics import PAIRED, Comparison
from mnist_exp.reports.groups import MOST_COMPARED, Family, Group, Grouping
from mnist_exp.reports.metric import LARGEST, Metric
from mnist_exp.reports.options import ABSENT
from mnist_exp.reports.paired_models import Models
from mnist_exp.tracking import names

MORE_SEEDS = "run more, with -m 'seed=range(1,6)'"
_MOST_NAMED = 3


def verdict(grouping: Grouping, models: Models | None) -> list[str]:
    """Return the verdict, a sentence or two each.

    Args:
        grouping: the runs.
        models: of one seed each, compared on the same test images.
    """
    told = []
    several = len(grouping.families) > 1
    for family in grouping.families:
        first, *rest = _of_family(family, grouping.metric)
        told += [f"{family.name}: {first}" if several else first, *rest]
    return [*told, *(_of_models(models) if models else [])]


def cautions(grouping: Grouping) -> list[str]:
    """Return what a reader must know to read the numbers right, the gravest first."""
    metric, told = grouping.metric, []
    if len(grouping.families) > 1:
        data = len({family.data_sha256 for family in grouping.families}) > 1
        told.append(
            f"The runs {'are of different data' if data else 'were validated on different images'}: these are "
            f"{len(grouping.families)} families, each compared in itself and corrected for its own comparisons. No "
            "number of one may be held against that of another. The pictures are of the largest one."
        )
    on_test = metric.is_of_validation and any(family.validation == "test" for family in grouping.families)
    if on_test or metric.is_of_test:
        told.append(
            f"{metric.name} was measured on the test images: what is picked by it is picked on the test set, and its "
            "number is too good for new images. Pick on training images held out, data.validation=0.1."
        )
    for tag, what in (("code_sha256", "versions of the code"), ("git_commit", "commits")):
        if (count := len({run.tags.get(f"mnist_exp.{tag}", "") for g in grouping.groups for run in g.runs})) > 1:
            told.append(f"The runs were made by {count} {what}: a difference may come from that.")
            break
    if any(names.DATA_FALLBACK in run.tags for group in grouping.groups for run in group.runs):
        told.append("Some runs did not find the data they asked for, and were trained on the 5,000 bundled digits.")
    return told


def figure(value: float | None, name: str = "") -> str:
    """Return a number for people: accuracies and losses to four places, counts in whole, small differences in full."""
    if value is None or math.isnan(value):
        return ABSENT
    if abs(value) >= LARGEST:  # MLflow keeps an infinite value as 1.8e308.
        return "∞" if value > 0 else "-∞"
    value += 0.0  # Of a negative zero, a zero.
    if name in (names.PARAMETERS, names.EPOCHS) or (value == int(value) and abs(value) >= 10):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    if name.endswith("_time_s"):
        return f"{value:,.1f}"
    if 0 < abs(value) < 0.0005:
        return f"{value:.2g}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def p_words(p: float | None) -> str:
    """Return a p value for people."""
    return ABSENT if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.995 else "p = 1"


def ends(interval: tuple[float, float] | None) -> str:
    """Return an interval for people."""
    return ABSENT if interval is None else f"{figure(interval[0])} to {figure(interval[1])}"


def seeds_words(comparison: Comparison) -> str:
    """Return how many seeds would show a difference of this size, for people."""
    needed = comparison.seeds_needed()
    return f"more than {statistics.MOST_SEEDS:,}" if needed is None else f"about {needed}"


def _of_family(family: Family, metric: Metric) -> list[str]:
    groups = family.groups
    place = family.reference
    if place is None:
        return [_of_single_seeds(groups, metric)]
    chosen = groups[place]
    single = [group for group in groups if group.n == 1 and group is not chosen]
    told = [_of_mean(family, chosen, metric)]
    if family.too_many:
        told.append(
            f"{family.too_many} configurations are too many to compare in pairs (at most {MOST_COMPARED}): narrow them "
            "with --filter, or name one with --against."
        )
    against = family.with_reference()
    told += _claims(chosen, against, metric)
    told += _undecided(chosen, against)
    if single:
        which = single[0].label if len(single) == 1 else f"{len(single)} configurations"
        told.append(f"No claim about {which}: 1 seed, no interval can be given; {MORE_SEEDS}.")
    return told


def _of_single_seeds(groups: Sequence[Group], metric: Metric) -> str:
    if len(groups) == 1:
        value = figure(groups[0].mean, metric.name)
        return f"{metric.name} {value}. 1 seed: no interval can be given; {MORE_SEEDS}."
    best = groups[0]
    return (
        f"1 seed each: no interval can be given, and which of the {len(groups)} configurations is best cannot be said; "
        f"{MORE_SEEDS}. The {'highest' if metric.sign > 0 else 'lowest'} {metric.name} is "
        f"{figure(best.mean, metric.name)}, of {best.label}{_shared(best, groups)}, which another seed may change."
    )


def _of_mean(family: Family, group: Group, metric: Metric) -> str:
    value = f"{metric.name} {figure(group.mean, metric.name)}"
    if group.n == 1:
        spread = f"{value}. 1 seed: no interval can be given, and no comparison"
    elif group.interval is None:
        spread = f"{value} ± {figure(group.std)} over {group.n} seeds; all are equal, so that no interval can be given"
    else:
        spread = f"{value} ± {figure(group.std)} over {group.n} seeds; 95 % interval of the mean {ends(group.interval)}"
    several = sum(each.n > 1 for each in family.groups)
    if len(family.groups) == 1:
        return f"{spread}. One configuration: nothing to compare with."
    if family.against is not None:
        return f"{group.label} was chosen to compare with: {spread}."
    if several == 1:
        return f"{group.label} is the only configuration with several seeds: {spread}."
    which = "" if several == len(family.groups) else " that have several seeds"
    which += _shared(group, [each for each in family.groups if each.n > 1])
    return f"{group.label} has the best mean of the {several} configurations{which}: {spread}."


def _shared(best: Group, groups: Sequence[Group]) -> str:
    """Return how many others are as good: of equals the first by name is no better."""
    equals = sum(math.isclose(group.mean, best.mean, rel_tol=1e-6) for group in groups) - 1
    return f", as {equals} other{'s have' if equals > 1 else ' has'}" if equals else ""


def _claims(chosen: Group, against: Sequence[tuple[Group, Comparison]], metric: Metric) -> list[str]:
    told = []
    better = [(g, c) for g, c in against if c.is_significant and metric.sign * c.difference > 0]
    worse = [(g, c) for g, c in against if c.is_significant and metric.sign * c.difference < 0]
    for word, found in (("better", better), ("worse", worse)):
        shown = "; ".join(f"{group.label} ({_numbers(c, with_correction=False)})" for group, c in found[:_MOST_NAMED])
        more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        if found:
            told.append(f"{chosen.label} is {word} than {shown}{more}{_correction(found[0][1], '; p')}.")
    return told


def _undecided(chosen: Group, against: Sequence[tuple[Group, Comparison]]) -> list[str]:
    untested = [(group, c) for group, c in against if c.p is None]
    open_ones = [(group, c) for group, c in against if c.p is not None and not c.is_significant]
    told = []
    for group, c in open_ones[:_MOST_NAMED]:
        seeds = f"{c.n[0]} seeds" if c.n[0] == c.n[1] else f"{c.n[0]} and {c.n[1]} seeds"
        each = "common seeds" if c.test == PAIRED else "seeds each"
        told.append(
            f"{chosen.label} and {group.label} cannot be told apart with {seeds} ({_numbers(c)}); {seeds_words(c)} "
            f"{each} would be needed to see a difference of this size with 80 % power."
        )
    if len(open_ones) > _MOST_NAMED:
        told.append(f"Nor can {chosen.label} be told from {len(open_ones) - _MOST_NAMED} more, see the table.")
    told += [f"{chosen.label} and {group.label}: {c.reason}; no claim." for group, c in untested[:_MOST_NAMED]]
    if len(untested) > _MOST_NAMED:
        told.append(f"Nor is there a claim about {chosen.label} and {len(untested) - _MOST_NAMED} more, see the table.")
    return told


def _correction(comparison: Comparison, before: str = "") -> str:
    return f"{before} after Holm's correction of {comparison.family} comparisons" if comparison.family > 1 else ""


def _numbers(comparison: Comparison, *, with_correction: bool = True) -> str:
    correction = _correction(comparison) if with_correction else ""
    alone = " of this comparison alone" if comparison.family > 1 else ""
    return (
        f"difference {figure(comparison.difference)}, 95 % interval{alone} "
        f"{ends((comparison.low, comparison.high))}, "
        f"{p_words(comparison.p_corrected)}{correction}"
    )


def _of_models(models: Models) -> list[str]:
    if models.reason:
        return [f"The models were not compared image by image: {models.reason}."]
    if len(models.pairs) > 1:
        count = sum(pair.found.is_significant for pair in models.pairs)
        differ = f"{count} of {len(models.pairs)} pairs of the trained models differ on the test images"
    else:
        (pair,) = models.pairs
        found = pair.found
        verb = "differ" if found.is_significant else "cannot be told apart"
        differ = (
            f"The two trained models {verb} on the same {found.images:,} test images: {found.only_first} only "
            f"{pair.first} reads right, {found.only_second} only {pair.second} (McNemar's test, {p_words(found.p)})"
        )
    return [
        f"{differ}. That speaks of these models, not of their configurations: two seeds of one configuration may "
        "differ as much."
    ]
