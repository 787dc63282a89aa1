"""All checks of a data set: `look` reads as the inspection."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_exp.config import wording
from mnist_exp.data import Dataset, Split
from mnist_exp.data.lazy import Array
from mnist_exp.errors import plural
from mnist_exp.inspection import equal, labels, near, parts
from mnist_exp.inspection.findings import Finding, sorted_by_gravity
from mnist_exp.inspection.labels import Suspects
from mnist_exp.inspection.parts import TRAIN, Part
from mnist_exp.inspection.survey import Survey, survey

_RARE = 10  # times fewer images than the largest class has
_WORDS = {"train": "training"}


@dataclass(frozen=True)
class Inspection:
    """What was found in a data set.

    Args:
        dataset: that was looked at.
        parts: its sets.
        surveys: of each.
        findings: the gravest first.
        notes: what was not looked at, or not as far as it might be, in sentences.
        seconds: that each check took, by its name.
        suspects: labels that are likely wrong; None where no model was asked.
    """

    dataset: Dataset
    parts: Sequence[Part]
    surveys: Sequence[Survey]
    findings: Sequence[Finding]
    notes: Sequence[str]
    seconds: dict[str, float]
    suspects: Suspects | None = None

    def noting(self, note: str) -> "Inspection":
        """Return it with one more note."""
        return dataclasses.replace(self, notes=[*self.notes, note])

    def with_suspects(self, suspects: Suspects) -> "Inspection":
        """Return it with the labels that models doubt."""
        added = labels.finding(suspects)
        found = sorted_by_gravity([*self.findings, added]) if added else self.findings
        return dataclasses.replace(self, suspects=suspects, findings=found)


def look(dataset: Dataset, split: Split, unreadable: Sequence[str] = (), *, fast: bool = False) -> Inspection:
    """Return what is found in a data set, without a model.

    Args:
        dataset: to be looked at.
        split: what of it a run would train and validate on.
        unreadable: a sentence for each file that was left out, as it cannot be read.
        fast: leave out what takes long: nearly equal images.
    """
    sets = parts.of(dataset, split)
    seconds, notes = {}, []
    began = time.perf_counter()
    surveys = [survey(part.x) for part in sets]
    alike = equal.groups(surveys)
    found = [*equal.meaning(sets, dataset, alike), *_of_labels(dataset, sets), *_of_one_colour(dataset, sets, surveys)]
    seconds["equal"] = time.perf_counter() - began
    can_be_near = dataset.are_pictures and min(dataset.shape[:2]) >= near.SMALLEST_SIDE
    if fast:
        notes.append("nearly equal images were not looked for: --fast")
    elif can_be_near:
        nearly = near.find(sets, _left_out(surveys, alike))
        found += equal.meaning(sets, dataset, nearly.pairs, nearly=True)
        seconds["nearly_equal"] = nearly.seconds
        if nearly.left_out:
            total = sum(map(len, sets))
            notes.append(
                f"{total - nearly.left_out:,} of {total:,} images, those of the test set first, were compared with all "
                "others; to compare each with each would take long"
            )
    else:
        notes.append("nearly equal examples are looked for in images only")
    if unreadable:
        text = f"{plural(len(unreadable), 'file')} cannot be read: left out here, and refused by a run"
        found.append(Finding("unreadable", text, len(unreadable), details=unreadable))
    if dataset.fallback:
        text = f"these are not the data asked for, but {dataset.place}: {dataset.fallback}"
        found.append(Finding("other_data", text))
    found += [Finding("remark", text) for text in (*dataset.warnings, *split.told)]
    return Inspection(dataset, sets, surveys, sorted_by_gravity(found), notes, seconds)


def _of_labels(dataset: Dataset, sets: Sequence[Part]) -> list[Finding]:
    """Return what the labels say: classes that are missing in a set, and rare ones."""
    task = dataset.task
    by_set = {_WORDS.get(part.split, part.split): part.y for part in sets}
    kind = "missing_class" if task.has_classes else "remark"
    found = [Finding(kind, text) for text in task.remarks(by_set, dataset.class_names)]
    counts = class_counts(dataset, sets[0]) if sets[0].split == TRAIN else None
    if counts is not None and counts.max() > _RARE * max(counts.min(), 1) and len(counts) > 1:
        rare, common = int(counts.argmin()), int(counts.argmax())
        names = [wording.short_name(dataset.class_names[label]) for label in (rare, common)]
        text = (
            f"the classes are not balanced: {names[0]} has {counts[rare]:,} training {wording.kind(dataset.shape)}, "
            f"{names[1]} has {counts[common]:,}; metrics=imbalanced and trainer.class_weight=balanced take care of it"
        )
        found.append(Finding("imbalance", text))
    return found


def class_counts(dataset: Dataset, part: Part) -> Array | None:
    """Return how many examples of a set have each class or label; None where there are no such."""
    if dataset.task.has_classes:
        return np.bincount(part.y, minlength=len(dataset.class_names))
    if dataset.task.activation == "linear":
        return None
    return np.asarray(part.y.sum(axis=0), np.int64)


def _of_one_colour(dataset: Dataset, sets: Sequence[Part], surveys: Sequence[Survey]) -> list[Finding]:
    if int(np.prod(dataset.shape)) < 2:
        return []
    found = [(part, int(row)) for part, each in enumerate(surveys) for row in np.flatnonzero(each.flat)]
    if not found:
        return []
    kind = wording.kind(dataset.shape)
    what = "of one colour" if dataset.are_pictures else "of one value throughout"
    text = f"{len(found):,} {kind} {'is' if len(found) == 1 else 'are'} {what}: nothing can be told from them"
    groups = [[parts.example(sets, dataset, *place)] for place in found[: equal.MOST_GROUPS]]
    return [Finding("one_colour", text, len(found), groups)]


def _left_out(surveys: Sequence[Survey], alike: Sequence[equal.Group]) -> list[Array]:
    """Return for each set which images need not be compared: of one colour, and all but the first of equal ones."""
    found = [each.flat.copy() for each in surveys]
    for _, *others in alike:
        for part, row in others:
            found[part][row] = True
    return found
