"""What may be concluded from runs, as objects with types and as plain values: what is on the page, but the charts."""

import dataclasses
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp.analysis.mattered import Mattered
from mnist_exp.comparison import groups
from mnist_exp.comparison.groups import Group, Grouping
from mnist_exp.config import wording
from mnist_exp.evaluation import statistical_tests
from mnist_exp.runtime import notebooks
from mnist_exp.runtime.redaction import redact_record
from mnist_exp.tracking.plain import typed

SCHEMA = "mnist_exp.report/1"
Interval = tuple[float, float]


@dataclass(frozen=True)
class Metric:
    """The metric by which runs are compared: its name, and whether it is to `maximize` or `minimize`."""

    name: str
    direction: str


@dataclass(frozen=True)
class Member:
    """One run of a configuration: its id, seed and value of the metric."""

    run_id: str
    seed: Any
    value: float


@dataclass(frozen=True)
class Configuration:
    """Runs that differ in nothing but their seed.

    Args:
        label: what is different from the other configurations.
        options: the same by option.
        mean: of the metric.
        std: its standard deviation over the seeds; None for one seed.
        interval: the 95 % interval of the mean; None for one seed.
        runs: its runs.
    """

    label: str
    options: dict[str, Any]
    mean: float
    std: float | None
    interval: Interval | None
    runs: tuple[Member, ...]


@dataclass(frozen=True)
class Comparison:
    """Two configurations compared.

    Args:
        first: label of one.
        second: label of the other.
        test: name of the test: paired t-test, Welch's t-test or none.
        seeds: number of seeds of each.
        difference: mean of the first minus that of the second; None if it is not known.
        interval: the 95 % interval of the difference, for this comparison alone; None without a test.
        p: p value; None without a test.
        p_corrected: p value after Holm's correction for all comparisons of the family.
        is_significant: whether that is below 0.05.
        reason: why there was no test; empty if there was one.
    """

    first: str
    second: str
    test: str
    seeds: tuple[int, int]
    difference: float | None
    interval: Interval | None
    p: float | None
    p_corrected: float | None
    is_significant: bool
    reason: str


@dataclass(frozen=True)
class Family:
    """Configurations that may be compared: of the same data and validation; the best comes first."""

    name: str
    data_sha256: str
    validation: str
    configurations: tuple[Configuration, ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class LeftOut:
    """A run that is not compared, and why."""

    run_id: str
    reason: str


@dataclass(frozen=True)
class Report:
    """What may be concluded from runs.

    Args:
        title: of the report.
        metric: by which they are compared.
        verdict: the conclusions, in sentences.
        cautions: how to read the numbers, in sentences.
        families: the largest first.
        left_out: the runs that are not compared.
        page: where the page was written; None if none was.
        mattered: what mattered in the sweep; None where that is not known, or several sweeps were chosen.
    """

    title: str
    metric: Metric
    verdict: tuple[str, ...]
    cautions: tuple[str, ...]
    families: tuple[Family, ...]
    left_out: tuple[LeftOut, ...]
    page: str | None = None
    mattered: Mattered | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON has, without secrets: `report --json` prints the same."""
        content: dict[str, Any] = redact_record({"schema": SCHEMA} | dataclasses.asdict(self))
        return content

    def _repr_html_(self) -> str:
        """Return what a notebook shows: verdict first, then the configurations. IPython asks for it by this name."""
        content = self.to_dict()
        told = "".join(f"<p>{html.escape(text)}</p>" for text in content["verdict"])
        told += "".join(f"<p><i>{html.escape(text)}</i></p>" for text in content["cautions"])
        return (
            f"<div><b>{html.escape(content['title'])}</b>{told}{''.join(map(self._table, content['families']))}</div>"
        )

    def _table(self, family: dict[str, Any]) -> str:
        rows = [
            [
                each["label"],
                str(len(each["runs"])),
                wording.metric(each["mean"]),
                "" if each["std"] is None else wording.metric(each["std"]),
                "" if each["interval"] is None else " to ".join(map(wording.metric, each["interval"])),
            ]
            for each in family["configurations"]
        ]
        head = ["configuration", "seeds", f"mean {self.metric.name}", "std", "95 % interval"]
        return f"<p>{html.escape(family['name'])}</p>{notebooks.table(head, rows)}"


def of(
    title: str,
    grouping: Grouping,
    verdict: Sequence[str],
    cautions: Sequence[str],
    page: str | None = None,
    mattered: Mattered | None = None,
) -> Report:
    """Return what may be concluded from runs.

    Args:
        title: of the report.
        grouping: its runs.
        verdict: the conclusions, in sentences.
        cautions: how to read the numbers, in sentences.
        page: where the page was written.
        mattered: what mattered in the sweep.
    """
    return Report(
        title=title,
        metric=Metric(grouping.metric.name, grouping.metric.direction),
        verdict=tuple(verdict),
        cautions=tuple(cautions),
        families=tuple(map(_family, grouping.families)),
        left_out=tuple(LeftOut(left.run.run_id, left.reason) for left in grouping.left_out),
        page=page,
        mattered=mattered,
    )


def _family(family: groups.Family) -> Family:
    compared = [
        _comparison(family.groups[first].label, family.groups[second].label, comparison)
        for (first, second), comparison in family.comparisons.items()
    ]
    configurations = tuple(map(_configuration, family.groups))
    return Family(family.name, family.data_sha256, family.validation, configurations, tuple(compared))


def _configuration(group: Group) -> Configuration:
    return Configuration(
        label=group.label,
        options={key: typed(value) for key, value in group.values.items()},
        mean=group.mean,
        std=group.std,
        interval=group.interval,
        runs=tuple(Member(run.run_id, typed(seed), group.scores[seed]) for seed, run in group.by_seed.items()),
    )


def _comparison(first: str, second: str, found: statistical_tests.Comparison) -> Comparison:
    return Comparison(
        first=first,
        second=second,
        test=found.test,
        seeds=found.n,
        difference=found.difference if math.isfinite(found.difference) else None,
        interval=None if math.isnan(found.low) else (found.low, found.high),
        p=found.p,
        p_corrected=found.p_corrected,
        is_significant=bool(found.is_significant),
        reason=found.reason,
    )
