"""Tables of a report, as rows of cells; each cell has a text and a number to sort by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mnist_exp.comparison import options
from mnist_exp.comparison.groups import Family, Group, Grouping, LeftOut
from mnist_exp.comparison.paired_models import Models
from mnist_exp.comparison.verdict import ends, figure, p_words, seeds_words
from mnist_exp.evaluation.statistical_tests import Comparison
from mnist_exp.search import space
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

MOST_FOR_PAIRS = 12


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        text: what is shown.
        key: number to sort by; None sorts by the text.
        link: address that a click opens; empty for none.
    """

    text: str
    key: float | None = None
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        name: heading of the table.
        note: how to read it; may be empty.
        head: names of the columns.
        rows: the cells, row by row.
    """

    name: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def configurations(grouping: Grouping) -> Table:
    """Return the table of all configurations, best first."""
    metric, several = grouping.metric, len(grouping.families) > 1
    measured = (_tested(grouping), names.PARAMETERS, names.FIT_TIME_S, names.EPOCHS)
    others = [name for name in measured if name != metric.name]
    options = [grouping.names[key] for key in grouping.keys] or ["configuration"]
    head = [*(["family"] if several else []), "rank", *options, "seeds", metric.name, "± std", "95 % interval", *others]
    rows = []
    for family in grouping.families:
        for rank, group in enumerate(family.groups, start=1):
            values = [_option(key, group.values[key]) for key in grouping.keys] or [Cell(group.label)]
            rows.append(
                [
                    *([Cell(family.name)] if several else []),
                    _count(rank),
                    *values,
                    _count(group.n),
                    _cell(group.mean, metric.name),
                    _cell(group.std),
                    Cell(ends(group.interval), group.interval[0] if group.interval else math.inf),
                    *(_cell(group.mean_of(name), name) for name in others),
                ]
            )
    note = "Means over the seeds. The 95 % interval is a t-interval: 95 of 100 such intervals contain the true mean."
    return Table("Configurations", note, head, rows)


def comparisons(family: Family) -> Table | None:
    """Return the table of comparisons: all pairs of a few configurations, or of many each with the best one."""
    tested = sum(group.n > 1 for group in family.groups)
    if family.against is None and tested <= MOST_FOR_PAIRS:
        pairs = [(family.groups[i], family.groups[j], c) for (i, j), c in family.comparisons.items()]
        which = "All pairs"
    elif family.reference is not None:
        pairs = [(family.groups[family.reference], group, c) for group, c in family.with_reference()]
        which = "Each configuration with the baseline" if family.against is not None else "Each with the best one"
    if not family.comparisons:
        return None
    head = [
        "first",
        "second",
        "difference",
        "95 % interval",
        "test",
        "seeds",
        "p",
        "p corrected",
        "verdict",
        "seeds needed",
    ]
    note = (
        f"{which}; the difference is first minus second. p is corrected by Holm's method for all {pairs[0][2].family} "
        "comparisons, including those not shown; the intervals are not corrected. Seeds needed: how many seeds per "
        "configuration would show a difference of this size with a power of 80 %. With few seeds this is a rough guess."
    )
    return Table("Differences", note, head, [_compared(*each) for each in pairs])


def models(compared: Models) -> Table:
    """Return the table of the tests between pairs of models."""
    if compared.of_numbers:
        return _models_of_numbers(compared)
    head = ["first", "second", "only first right", "only second right", "difference of accuracy", "95 % interval"]
    rows = [
        [
            Cell(pair.first),
            Cell(pair.second),
            _count(pair.discordance.only_first),
            _count(pair.discordance.only_second),
            _cell(pair.discordance.difference),
            Cell(ends(None if math.isnan(pair.discordance.low) else (pair.discordance.low, pair.discordance.high))),
            Cell("exact" if pair.discordance.is_exact else "χ², continuity correction"),
            _p(pair.discordance.p_corrected),
        ]
        for pair in compared.pairs
    ]
    note = (
        "McNemar's test on the same test images; p is corrected by Holm's method. It compares trained models, not "
        "configurations: two models of one configuration with different seeds may differ as much."
    )
    return Table("Models on the same test images", note, [*head, "test", "p corrected"], rows)


def _models_of_numbers(compared: Models) -> Table:
    head = ["first", "second", "difference of the mean absolute error", "95 % interval", "test", "p corrected"]
    rows = [
        [
            Cell(pair.first),
            Cell(pair.second),
            _cell(pair.comparison.difference),
            Cell(ends(None if pair.comparison.p is None else (pair.comparison.low, pair.comparison.high))),
            Cell(pair.comparison.test),
            _p(pair.comparison.p_corrected),
        ]
        for pair in compared.of_numbers
    ]
    note = (
        "Paired t-test of the absolute errors, image by image, on the same test images; p is corrected by Holm's "
        "method. It compares trained models, not configurations: two models of one configuration with different seeds "
        "may differ as much."
    )
    return Table("Models on the same test images", note, head, rows)


def runs(grouping: Grouping, links: str) -> Table:
    """Return the table of all runs, compared or not.

    Args:
        grouping: the runs.
        links: address of a run's page, with {} in place of its id; empty if there is none.
    """
    metric, tested = grouping.metric, _tested(grouping)
    head = ["configuration", "seed", "status", metric.name, tested, names.EPOCHS, names.FIT_TIME_S, "run"]
    compared = [(group.label, run, "") for group in grouping.groups for run in group.runs]
    left_out = [(left.run.name, left.run, f"not compared: {left.reason}") for left in grouping.left_out]
    rows = []
    for label, run, reason in [*compared, *left_out]:
        metrics = [run.metrics.get(name) for name in (metric.key, tested, names.EPOCHS, names.FIT_TIME_S)]
        score, of_test, epochs, seconds = metrics
        rows.append(
            [
                Cell(label),
                _option("seed", run.params.get(names.SEED, options.ABSENT)),
                Cell(reason or run.status),
                _cell(score, metric.name),
                _cell(of_test),
                _cell(epochs, names.EPOCHS),
                _cell(seconds, names.FIT_TIME_S),
                Cell(run.run_id, link=links.format(run.run_id)),
            ]
        )
    return Table("Runs", "", head, rows)


def differing(grouping: Grouping) -> Table | None:
    """Return the table of all options that differ between configurations; None if none does."""
    if not grouping.differing:
        return None
    rows = []
    for group in grouping.groups:
        params = group.runs[0].params
        rows.append([Cell(group.label), *(_option(key, params.get(key, options.ABSENT)) for key in grouping.differing)])
    note = "All other options are the same, apart from the seed and options that say where runs are recorded."
    return Table("What differs", note, ["configuration", *grouping.differing], rows)


def provenance(grouping: Grouping) -> Table:
    """Return the table of the data, code and command of each run."""
    rows = [
        [
            Cell(run.run_id),
            Cell(run.tags.get(names.DATA_SHA256, options.ABSENT)[:16]),
            Cell(run.tags.get(names.GIT_COMMIT, options.ABSENT)[:12] + _dirty(run)),
            Cell(run.tags.get(names.CODE_SHA256, options.ABSENT)[:12]),
            Cell(run.tags.get(names.COMMAND, options.ABSENT)),
        ]
        for run in [*(run for group in grouping.groups for run in group.runs), *_runs(grouping.left_out)]
    ]
    return Table("Where the runs came from", "", ["run", "data SHA-256", "commit", "code", "command"], rows)


def for_screen(grouping: Grouping, most: int) -> tuple[list[str], list[list[str]]]:
    """Return head and at most `most` rows of the table of configurations, for the terminal."""
    table = configurations(grouping)
    return [*map(options.cut, table.head)], [[options.cut(cell.text) for cell in row] for row in table.rows[:most]]


def _compared(first: Group, second: Group, comparison: Comparison) -> list[Cell]:
    c = comparison
    is_tested = c.p is not None
    seeds = str(c.n[0]) if c.n[0] == c.n[1] else f"{c.n[0]}, {c.n[1]}"
    tested_verdict = "different" if c.is_significant else "no significant difference"
    verdict = tested_verdict if is_tested else c.reason
    return [
        Cell(first.label),
        Cell(second.label),
        _cell(c.difference),
        Cell(ends((c.low, c.high)) if is_tested else options.ABSENT, c.low if is_tested else math.inf),
        Cell(c.test),
        Cell(seeds, float(min(c.n))),
        _p(c.p),
        _p(c.p_corrected),
        Cell(verdict),
        Cell(seeds_words(c), float(c.seeds_needed() or math.inf)) if is_tested and not c.is_significant else Cell(""),
    ]


def _tested(grouping: Grouping) -> str:
    runs = [run for group in grouping.groups for run in group.runs]
    return names.tested_by(grouping.metric.name, (name for run in runs for name in run.metrics))


def _option(key: str, value: str) -> Cell:
    text = options.shown(key, value)
    number = space.number(value)
    return Cell(text) if number is None or math.isnan(number) else Cell(text, number)


def _cell(value: float | None, name: str = "") -> Cell:
    is_known = value is not None and not math.isnan(value)
    return Cell(figure(value, name), value if is_known else math.inf)


def _p(p: float | None) -> Cell:
    return Cell(p_words(p).removeprefix("p ").removeprefix("= "), math.inf if p is None else p)


def _count(value: int) -> Cell:
    return Cell(str(value), float(value))


def _dirty(run: StoredRun) -> str:
    return " + changes" if run.tags.get(names.GIT_DIRTY) == "true" else ""


def _runs(left_out: Sequence[LeftOut]) -> list[StoredRun]:
    return [left.run for left in left_out]
