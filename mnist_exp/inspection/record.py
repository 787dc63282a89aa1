"""An inspection as plain values, for other programs."""

from typing import Any

from mnist_exp.inspection.findings import Finding
from mnist_exp.inspection.look import Inspection, class_counts
from mnist_exp.inspection.parts import Example

SCHEMA = "mnist_exp.inspection/1"


def as_values(inspection: Inspection) -> dict[str, Any]:
    """Return an inspection as plain values, for JSON; `schema` changes where a key changes its meaning."""
    dataset = inspection.dataset
    return {
        "schema": SCHEMA,
        "data": dataset.name,
        "place": dataset.place,
        "data_sha256": dataset.sha256,
        "task": dataset.task.name,
        "classes": list(dataset.class_names),
        "shape": list(dataset.shape),
        "dtype": str(dataset.x_train.dtype),
        "pixels": dataset.pixels,
        "splits": [_split(inspection, number) for number in range(len(inspection.parts))],
        "findings": [_finding(each) for each in inspection.findings],
        "likely_wrong_labels": _suspects(inspection),
        "notes": list(inspection.notes),
        "seconds": {name: round(value, 3) for name, value in inspection.seconds.items()},
    }


def _split(inspection: Inspection, number: int) -> dict[str, Any]:
    part, survey = inspection.parts[number], inspection.surveys[number]
    counts = class_counts(inspection.dataset, part)
    return {
        "name": part.split,
        "array": part.array,
        "count": len(part),
        "of_each_class": None if counts is None else counts.tolist(),
        "lowest": survey.low,
        "highest": survey.high,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "gravity": finding.gravity,
        "text": finding.text,
        "count": finding.count,
        "sets": None if finding.sets is None else list(finding.sets),
        "examples": [[_example(each) for each in group] for group in finding.groups],
        "details": list(finding.details),
    }


def _example(example: Example) -> dict[str, Any]:
    return {
        "split": example.split,
        "array": example.array,
        "index": example.index,
        "label": example.label,
        "file": example.file or None,
    }


def _suspects(inspection: Inspection) -> dict[str, Any] | None:
    if inspection.suspects is None:
        return None
    return {
        "judged": inspection.suspects.judged,
        "listed": [
            _example(each.example)
            | {
                "suggested": each.suggested,
                "probability": each.probability,
                "probability_of_label": each.of_label,
                "confident": each.confident,
            }
            for each in inspection.suspects.listed
        ],
    }
