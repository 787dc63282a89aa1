"""A report as plain values, for other programs: what is on the page, but the figures."""

import math
from collections.abc import Sequence
from typing import Any

from mnist_exp.comparison.groups import Family, Group, Grouping
from mnist_exp.evaluation.statistical_tests import Comparison
from mnist_exp.runtime.redaction import redact_record
from mnist_exp.tracking.plain import typed

SCHEMA = "mnist_exp.report/1"


def plain(title: str, grouping: Grouping, verdict: Sequence[str], cautions: Sequence[str]) -> dict[str, Any]:
    """Return a report as values that JSON has. `schemas/report-1.json` says what they are.

    Args:
        title: of the report.
        grouping: its runs.
        verdict: the conclusions, in sentences.
        cautions: how to read the numbers, in sentences.
    """
    content: dict[str, Any] = redact_record(
        {
            "schema": SCHEMA,
            "title": title,
            "metric": {"name": grouping.metric.name, "direction": grouping.metric.direction},
            "verdict": list(verdict),
            "cautions": list(cautions),
            "families": [_family(family) for family in grouping.families],
            "left_out": [{"run_id": left.run.run_id, "reason": left.reason} for left in grouping.left_out],
        }
    )
    return content


def _family(family: Family) -> dict[str, Any]:
    return {
        "name": family.name,
        "data_sha256": family.data_sha256,
        "validation": family.validation,
        "configurations": [_configuration(group) for group in family.groups],
        "comparisons": [
            _comparison(family.groups[first].label, family.groups[second].label, comparison)
            for (first, second), comparison in family.comparisons.items()
        ],
    }


def _configuration(group: Group) -> dict[str, Any]:
    return {
        "label": group.label,
        "options": {key: typed(value) for key, value in group.values.items()},
        "mean": group.mean,
        "std": group.std,
        "interval": list(group.interval) if group.interval is not None else None,
        "runs": [
            {"run_id": run.run_id, "seed": typed(seed), "value": group.scores[seed]}
            for seed, run in group.by_seed.items()
        ],
    }


def _comparison(first: str, second: str, found: Comparison) -> dict[str, Any]:
    is_tested = not math.isnan(found.low)
    return {
        "first": first,
        "second": second,
        "test": found.test,
        "seeds": list(found.n),
        "difference": found.difference if math.isfinite(found.difference) else None,
        "interval": [found.low, found.high] if is_tested else None,
        "p": found.p,
        "p_corrected": found.p_corrected,
        "is_significant": bool(found.is_significant),
        "reason": found.reason,
    }
