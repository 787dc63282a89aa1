"""Labels that are likely wrong: held-out models find another class more probable.

They are ranked by the margin between the label and the most probable other class. Confident learning marks those that
are more than hard: the other class is as probable as it is, on average, for examples of that class.
Source: Northcutt, Jiang, Chuang 2021, Confident Learning, JAIR 70, arXiv:1911.00068, section 3.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_exp.config import wording
from mnist_exp.data import Dataset
from mnist_exp.data.lazy import Array
from mnist_exp.errors import plural
from mnist_exp.inspection.findings import Finding
from mnist_exp.inspection.parts import Example, Part, example

MOST = 1000  # that are named


@dataclass(frozen=True)
class Suspect:
    """An example whose label is likely wrong.

    Args:
        example: that it is.
        suggested: the class that the models find more probable.
        probability: of that class.
        of_label: of the label.
        confident: whether confident learning says so, too.
    """

    example: Example
    suggested: str
    probability: float
    of_label: float
    confident: bool


@dataclass(frozen=True)
class Suspects:
    """The labels of examples, as held-out models see them.

    Args:
        listed: the likeliest wrong ones first.
        judged: how many examples of each split some model had never been trained on.
        words: what was judged, for people.
    """

    listed: Sequence[Suspect]
    judged: dict[str, int]
    words: str


def find(parts: Sequence[Part], dataset: Dataset, probabilities: Sequence[Array]) -> Suspects:
    """Return the examples whose labels are likely wrong.

    Args:
        parts: the sets.
        dataset: of classes.
        probabilities: for each set, (n, classes), of models that were not trained on the example; NaN if there is none.
    """
    every = np.concatenate(list(probabilities))
    places = [(part, row) for part, found in enumerate(probabilities) for row in range(len(found))]
    known = np.flatnonzero(~np.isnan(every[:, 0]))
    labels = np.concatenate([part.y for part in parts])[known]
    margins, suggested, confident = judged(labels, every[known])
    order = np.argsort(margins, kind="stable")
    order = order[margins[order] < 0][:MOST]
    listed = [
        Suspect(
            example(parts, dataset, *places[int(known[i])]),
            dataset.class_names[int(suggested[i])],
            float(every[known[i], suggested[i]]),
            float(every[known[i], labels[i]]),
            bool(confident[i]),
        )
        for i in order
    ]
    counts = {part.split: int((~np.isnan(found[:, 0])).sum()) for part, found in zip(parts, probabilities, strict=True)}
    kind = wording.kind(dataset.shape)
    said = [f"{counts[part.split]:,} of {len(part):,} {part.split} {kind}" for part in parts]
    return Suspects(listed, counts, f"{', '.join(said)}, by models that were not trained on them")


def finding(suspects: Suspects) -> Finding | None:
    """Return what suspects mean; None if there are none."""
    if not suspects.listed:
        return None
    confident, count = sum(each.confident for each in suspects.listed), len(suspects.listed)
    more = f"{count:,} labels or more" if count == MOST else plural(count, "label")
    text = (
        f"{more} may be wrong: models that were not trained on them find another class more probable, and are sure of "
        f"it for {confident:,}; hard examples are among them, so look at the first ones"
    )
    return Finding("likely_wrong_label", text, count, [[each.example] for each in suspects.listed])


def judged(labels: Array, probabilities: Array) -> tuple[Array, Array, Array]:
    """Return for each example the margin, the most probable other class, and whether confident learning suspects it.

    Args:
        labels: whole numbers from 0, (n,).
        probabilities: (n, classes), of models that were not trained on the example.
    Returns: the margin is the probability of the label less that of the other class, -1 to 1.
    """
    n, classes = probabilities.shape
    own = probabilities[np.arange(n), labels]
    # What is usual for an example of a class; a class without one suspects nothing.
    usual = np.array([own[labels == label].mean() if (labels == label).any() else np.inf for label in range(classes)])
    others = probabilities.copy()
    others[np.arange(n), labels] = -1
    suggested = others.argmax(axis=1)
    counted = np.where(probabilities >= usual - 1e-6, probabilities, -1)
    guess = counted.argmax(axis=1)
    return own - others.max(axis=1), suggested, (counted.max(axis=1) >= 0) & (guess != labels)
