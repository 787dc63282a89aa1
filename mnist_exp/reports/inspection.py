"""The page of an inspection: one HTML file with all pictures in it, which loads nothing and runs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mnist_exp.config import wording
from mnist_exp.data import pixels
from mnist_exp.inspection import pictures
from mnist_exp.inspection.findings import Finding
from mnist_exp.inspection.look import Inspection, class_counts
from mnist_exp.inspection.parts import Example
from mnist_exp.reports import html

_MOST = 24  # groups of a finding whose pictures are shown
_HEADINGS = {
    "in_two_sets_with_other_label": "In two sets, with different labels",
    "in_two_sets": "In two sets",
    "equal_with_other_label": "Equal, with different labels",
    "equal": "Equal, with the same label",
    "nearly_in_two_sets_with_other_label": "Nearly equal, in two sets, with different labels",
    "nearly_in_two_sets": "Nearly equal, in two sets",
    "nearly_equal_with_other_label": "Nearly equal, with different labels",
    "nearly_equal": "Nearly equal, with the same label",
    "one_colour": "Of one colour",
    "likely_wrong_label": "Labels that are likely wrong",
}


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Args:
        name: heading.
        head: names of the columns.
        rows: the cells, row by row.
        note: how to read it; may be empty.
    """

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def write(folder: Path, inspection: Inspection, command: str) -> None:
    """Write the page of an inspection. Class names and paths may come from others: all text is escaped.

    Args:
        folder: to write to.
        inspection: what was found.
        command: that made it.
    """
    dataset, parts = inspection.dataset, inspection.parts
    sheet = pictures.some_of_each_class(parts, dataset) if dataset.are_pictures else []
    notes = list(inspection.notes)
    if inspection.suspects:
        notes.append(f"labels: {inspection.suspects.words}")
    if (left := len(dataset.class_names) - pictures.MOST_CLASSES) > 0 and len(sheet) == pictures.MOST_CLASSES:
        notes.append(f"there are pictures of the first {pictures.MOST_CLASSES} classes, and not of the {left:,} others")
    examples = [example for _, row in sheet for example in row]
    examples += [each for finding in inspection.findings for group in finding.groups[:_MOST] for each in group]
    html.write(
        folder,
        "inspection.html.j2",
        ("page.css", "inspection.css"),
        title=f"Inspection of {dataset.name}",
        summary=summary(inspection),
        kind=wording.kind(dataset.shape),
        findings=[_shown(finding, inspection) for finding in inspection.findings],
        most=_MOST,
        sets=sets(inspection),
        classes=classes(inspection),
        sheet=sheet,
        images=pictures.shown(parts, examples),
        notes=notes,
        command=command,
    )


def summary(inspection: Inspection) -> str:
    """Return a line on what was looked at."""
    dataset = inspection.dataset
    range_ = f", pixels from {pixels.words(dataset.pixel_range)}" if dataset.pixel_range else ""
    total = sum(map(len, inspection.parts))
    return (
        f"{total:,} {wording.examples(dataset.shape)}{range_}; {dataset.task.name}: "
        f"{dataset.task.counted(dataset.class_names)}; from {dataset.place}"
    )


def sets(inspection: Inspection) -> Table:
    """Return the table of the sets: how many examples, their shape, type and values."""
    rows = []
    for part, survey in zip(inspection.parts, inspection.surveys, strict=True):
        shape = "×".join(map(str, part.x.shape[1:]))
        values = f"{survey.low:g} to {survey.high:g}"
        rows.append([part.split, f"{len(part):,}", shape, str(part.x.dtype), values, f"{int(survey.flat.sum()):,}"])
    return Table("Sets", ["set", "examples", "shape", "type", "values", "of one colour"], rows)


def classes(inspection: Inspection) -> Table:
    """Return the table of the classes or labels: how many examples of each set; of numbers, their spread."""
    dataset, parts = inspection.dataset, inspection.parts
    if dataset.task.activation == "linear":
        rows = [
            [name, part.split, *(f"{value:.4g}" for value in (y.min(), y.mean(), y.max(), y.std()))]
            for i, name in enumerate(dataset.class_names)
            for part in parts
            for y in [part.y[:, i]]
        ]
        return Table("Numbers", ["number", "set", "lowest", "mean", "highest", "deviation"], rows)
    counts = [class_counts(dataset, part) for part in parts]
    rows = [
        [name, *(f"{count[i]:,}" for count in counts if count is not None)]
        for i, name in enumerate(dataset.class_names)
    ]
    what = "class" if dataset.task.has_classes else "label"
    note = f"How many examples of each set have each {what}."
    return Table("Classes" if what == "class" else "Labels", [what, *(part.split for part in parts)], rows, note)


def _shown(finding: Finding, inspection: Inspection) -> Mapping[str, object]:
    suspects = inspection.suspects.listed if inspection.suspects and finding.kind == "likely_wrong_label" else ()
    beside = {
        _place(each.example): f" → {each.suggested}, {each.probability:.2f}{', sure' if each.confident else ''}"
        for each in suspects[:_MOST]
    }
    return {
        "gravity": finding.gravity,
        "text": finding.text,
        "heading": _HEADINGS.get(finding.kind, ""),
        "groups": finding.groups,
        "details": finding.details,
        "beside": beside,
    }


def _place(example: Example) -> tuple[int, int]:
    return example.part, example.row
