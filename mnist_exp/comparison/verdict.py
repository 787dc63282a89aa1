"""The conclusions of a report as sentences: only what the statistics support."""

import math
from collections.abc import Sequence

from mnist_exp.comparison import more_seeds
from mnist_exp.comparison.groups import MOST_COMPARED, Family, Group, Grouping
from mnist_exp.comparison.metric import LARGEST, Metric
from mnist_exp.comparison.options import ABSENT
from mnist_exp.comparison.paired_models import Models
from mnist_exp.evaluation import statistical_tests
from mnist_exp.evaluation.statistical_tests import PAIRED, Comparison
from mnist_exp.experiment import own_code
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

_MOST_NAMED = 3


def verdict(grouping: Grouping, models: Models | None) -> list[str]:
    """Return the conclusions, a sentence or two each.

    Args:
        grouping: the runs.
        models: comparison of the trained models on the test images, if there is one.
    """
    if _are_other_losses(grouping):
        return [
            f"No conclusion: the configurations differ in the loss itself, so their {grouping.metric.name} are "
            "different quantities. Compare them by another metric, with --metric.",
            *(_of_models(models) if models else []),
        ]
    sentences = []
    several = len(grouping.families) > 1
    for family in grouping.families:
        first, *rest = _of_family(family, grouping.metric)
        sentences += [f"{family.name}: {first}" if several else first, *rest]
    return [*sentences, *(_of_models(models) if models else [])]


def _are_other_losses(grouping: Grouping) -> bool:
    """Tell whether configurations are compared by losses that are not one quantity."""
    return grouping.metric.name.endswith("loss") and any(key.startswith("loss.") for key in grouping.differing)


def cautions(grouping: Grouping) -> list[str]:
    """Return warnings about how to read the numbers, the most important first."""
    metric, sentences = grouping.metric, []
    if len(grouping.families) > 1:
        data = len({family.data_sha256 for family in grouping.families}) > 1
        sentences.append(
            f"The runs {'used different data' if data else 'were validated on different images'}, so they form "
            f"{len(grouping.families)} families. Configurations are compared within their family only. Do not compare "
            "numbers of different families. The figures show the largest family."
        )
    on_test = metric.is_of_validation and any(family.validation == "test" for family in grouping.families)
    if on_test or metric.is_of_test:
        sentences.append(
            f"{metric.name} was measured on the test images. A configuration chosen by it is chosen on the test set, "
            "and its score is too optimistic for new images. Choose on held-out training images: data.validation=0.1."
        )
    by_code = {run.tags.get(names.OWN_CODE): run for group in grouping.groups for run in group.runs}
    if len(by_code) > 1:
        files = own_code.differing([run for run in by_code.values() if names.OWN_CODE in run.tags])
        which = f", which differ in {', '.join(files)}" if files else ""
        sentences.append(
            f"The runs were made by {len(by_code)} versions of your own code{which}: a difference may come from that."
        )
    elif versions := _versions([run for group in grouping.groups for run in group.runs]):
        sentences.append(f"The runs were made by {versions}: a difference may come from that.")
    if any(names.DATA_FALLBACK in run.tags for group in grouping.groups for run in group.runs):
        sentences.append("Some runs did not find the data they asked for, and used the 5,000 bundled digits.")
    return sentences


def _versions(runs: Sequence[StoredRun]) -> str:
    """Return by how many versions of the package runs were made: `2 commits`; empty for one.

    A commit tells nothing where the digests of the code are known: most commits leave the code as it was.
    """
    digests = {run.tags.get(names.CODE_SHA256, "") for run in runs}
    commits = {run.tags.get(names.GIT_COMMIT, "") for run in runs} if digests == {""} else set()
    if len(digests) > 1:
        return f"{len(digests)} versions of the code"
    return f"{len(commits)} commits" if len(commits) > 1 else ""


def figure(value: float | None, name: str = "") -> str:
    """Return a number for people: four decimals for most metrics, none for counts, two digits for tiny values."""
    if value is None or math.isnan(value):
        return ABSENT
    if abs(value) >= LARGEST:  # MLflow keeps an infinite value as 1.8e308.
        return "∞" if value > 0 else "-∞"
    value += 0.0  # Turns -0.0 into 0.0.
    if name in (names.PARAMETERS, names.EPOCHS) or (value == int(value) and abs(value) >= 10):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    if name.endswith("_time_s"):
        return f"{value:,.1f}"
    if 0 < abs(value) < 0.0005:
        return f"{value:.2g}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def p_words(p: float | None) -> str:
    """Return a p value for people."""
    if p is None:
        return ABSENT
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.2g}" if p < 0.995 else "p = 1"


def ends(interval: tuple[float, float] | None) -> str:
    """Return an interval for people: `0.98 to 0.99`."""
    return ABSENT if interval is None else f"{figure(interval[0])} to {figure(interval[1])}"


def seeds_words(comparison: Comparison) -> str:
    """Return, for people, how many seeds would show a difference of this size."""
    needed = comparison.seeds_needed()
    return f"more than {statistical_tests.MOST_SEEDS:,}" if needed is None else f"about {needed}"


def _of_family(family: Family, metric: Metric) -> list[str]:
    groups = family.groups
    position = family.reference
    if position is None:
        return [_of_single_seeds(groups, metric)]
    chosen = groups[position]
    single = [group for group in groups if group.n == 1 and group is not chosen]
    sentences = [_of_mean(family, chosen, metric)]
    if family.too_many:
        sentences.append(
            f"{family.too_many} configurations are too many to compare in pairs (at most {MOST_COMPARED}): use "
            "--filter to choose fewer, or name a baseline with --against."
        )
    against = family.with_reference()
    sentences += _significant(chosen, against, metric)
    sentences += _not_significant(chosen, against)
    if family.raced_from and family.against is None:
        sentences += _of_race(family)
    elif single:
        which = single[0].label if len(single) == 1 else f"{len(single)} configurations"
        sentences.append(f"No conclusion about {which}: with 1 seed there is no interval; {more_seeds.words(single)}.")
    return sentences


def _of_race(family: Family) -> list[str]:
    """Return what a race over seeds leaves open, and on which seeds its final was compared."""
    final = family.final
    if not final:
        return ["No conclusion: the race over seeds has no final of two configurations yet."]
    others = len(family.groups) - len(final)
    which = "the other one, which" if others == 1 else f"the {others} others, which"
    left = f" Nothing is claimed of {which} left the race with fewer seeds." if others else ""
    return [
        f"The {len(final)} configurations of the race's final are compared on the seeds after the first "
        f"({family.raced_from}), which chose them.{left}"
    ]


def _of_single_seeds(groups: Sequence[Group], metric: Metric) -> str:
    if len(groups) == 1:
        value = figure(groups[0].mean, metric.name)
        return f"{metric.name} {value}. With 1 seed there is no interval; {more_seeds.words(groups)}."
    best = groups[0]
    return (
        f"With 1 seed each there are no intervals, and it is unknown which of the {len(groups)} configurations is "
        f"best; {more_seeds.words(groups)}. The {'highest' if metric.sign > 0 else 'lowest'} {metric.name} is "
        f"{figure(best.mean, metric.name)}, by {best.label}{_shared(best, groups)}; other seeds may change that."
    )


def _of_mean(family: Family, group: Group, metric: Metric) -> str:
    value = f"{metric.name} {figure(group.mean, metric.name)}"
    if group.n == 1:
        spread = f"{value}. With 1 seed there is no interval and no comparison"
    elif group.interval is None:
        spread = f"{value} ± {figure(group.std)} over {group.n} seeds; all are equal, so there is no interval"
    else:
        spread = f"{value} ± {figure(group.std)} over {group.n} seeds; 95 % interval of the mean {ends(group.interval)}"
    several = sum(each.n > 1 for each in family.groups)
    if len(family.groups) == 1:
        return f"{spread}. One configuration: nothing to compare with."
    if family.against is not None:
        return f"{group.label} is the baseline: {spread}."
    if several == 1:
        return f"{group.label} is the only configuration with several seeds: {spread}."
    if family.raced_from:
        return f"{group.label} has the best mean of the {len(family.final)} in the final of the race: {spread}."
    which = "" if several == len(family.groups) else " that have several seeds"
    which += _shared(group, [each for each in family.groups if each.n > 1])
    return f"{group.label} has the best mean of the {several} configurations{which}: {spread}."


def _shared(best: Group, groups: Sequence[Group]) -> str:
    """Return how many other groups have the same mean, since the first of equals is no better than the rest."""
    equals = sum(math.isclose(group.mean, best.mean, rel_tol=1e-6) for group in groups) - 1
    if equals == 0:
        return ""
    return ", as 1 other has" if equals == 1 else f", as {equals} others have"


def _significant(chosen: Group, against: Sequence[tuple[Group, Comparison]], metric: Metric) -> list[str]:
    """Return sentences on the groups that are significantly better or worse than the chosen one."""
    sentences = []
    better = [(g, c) for g, c in against if c.is_significant and metric.sign * c.difference > 0]
    worse = [(g, c) for g, c in against if c.is_significant and metric.sign * c.difference < 0]
    for word, others in (("better", better), ("worse", worse)):
        if not others:
            continue
        named = "; ".join(f"{group.label} ({numbers(c, with_correction=False)})" for group, c in others[:_MOST_NAMED])
        more = f"; and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        sentences.append(f"{chosen.label} is {word} than {named}{more}{_correction(others[0][1], '; p')}.")
    return sentences


def _not_significant(chosen: Group, against: Sequence[tuple[Group, Comparison]]) -> list[str]:
    """Return sentences on the groups without a significant difference from the chosen one, and on those not tested."""
    untested = [(group, c) for group, c in against if c.p is None]
    open_ones = [(group, c) for group, c in against if c.p is not None and not c.is_significant]
    sentences = []
    for group, c in open_ones[:_MOST_NAMED]:
        seeds = f"{c.n[0]} seeds" if c.n[0] == c.n[1] else f"{c.n[0]} and {c.n[1]} seeds"
        kind = "common seeds" if c.test == PAIRED else "seeds each"
        sentences.append(
            f"{chosen.label} and {group.label} do not differ significantly with {seeds} ({numbers(c)}{_alone(c)}); "
            f"{seeds_words(c)} {kind} would be needed to see a difference of this size with a power of 80 %."
        )
    if len(open_ones) > _MOST_NAMED:
        more = len(open_ones) - _MOST_NAMED
        sentences.append(f"{chosen.label} does not differ significantly from {more} more either; see the table.")
    sentences += [
        f"{chosen.label} and {group.label}: {c.reason}; no conclusion." for group, c in untested[:_MOST_NAMED]
    ]
    if len(untested) > _MOST_NAMED:
        more = len(untested) - _MOST_NAMED
        sentences.append(f"There is no conclusion about {chosen.label} and {more} more either; see the table.")
    return sentences


def _correction(comparison: Comparison, before: str = "") -> str:
    return f"{before} after Holm's correction of {comparison.family} comparisons" if comparison.family > 1 else ""


def _alone(comparison: Comparison) -> str:
    """Return why the interval leaves out 0 though the difference is not significant; empty where it has 0 in it."""
    if comparison.low <= 0 <= comparison.high:
        return ""
    return f"; the interval leaves out 0 only because it does not account for the {comparison.family} comparisons"


def numbers(comparison: Comparison, *, with_correction: bool = True) -> str:
    """Return difference, interval and p of a comparison for people."""
    correction = _correction(comparison) if with_correction else ""
    uncorrected = " without correction" if comparison.family > 1 else ""
    return (
        f"difference {figure(comparison.difference)}, 95 % interval{uncorrected} "
        f"{ends((comparison.low, comparison.high))}, "
        f"{p_words(comparison.p_corrected)}{correction}"
    )


def _of_models(models: Models) -> list[str]:
    if models.reason:
        return [f"The models were not compared on the test images: {models.reason}."]
    significant = [pair.discordance.is_significant for pair in models.pairs]
    significant += [pair.comparison.is_significant for pair in models.of_numbers]
    if len(significant) > 1:
        count = sum(significant)
        differs = "differs" if count == 1 else "differ"
        differ = f"{count} of {len(significant)} pairs of trained models {differs} significantly on the test images"
    elif models.of_numbers:
        (numbers,) = models.of_numbers
        c = numbers.comparison
        verb = "differ significantly" if c.is_significant else "do not differ significantly"
        differ = (
            f"The two trained models {verb} on the same {numbers.images:,} test images: the mean absolute error of "
            f"{numbers.first} minus that of {numbers.second} is {figure(c.difference)} ({c.test}, {p_words(c.p)})"
        )
    else:
        (pair,) = models.pairs
        d = pair.discordance
        verb = "differ significantly" if d.is_significant else "do not differ significantly"
        differ = (
            f"The two trained models {verb} on the same {d.images:,} test images: {d.only_first} only {pair.first} "
            f"predicts correctly, {d.only_second} only {pair.second} (McNemar's test, {p_words(d.p)})"
        )
    return [
        f"{differ}. This is a statement about these models, not about their configurations: two models of one "
        "configuration with different seeds may differ as much."
    ]
