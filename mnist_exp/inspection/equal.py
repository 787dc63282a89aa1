"""Groups of equal, or nearly equal, examples, and what they mean for a score and for a training."""

from collections.abc import Iterator, Sequence

import numpy as np

from mnist_exp.config import wording
from mnist_exp.data import Dataset
from mnist_exp.errors import plural
from mnist_exp.inspection.findings import Finding
from mnist_exp.inspection.parts import TEST, TRAIN, VALIDATION, Part, example
from mnist_exp.inspection.survey import Survey

MOST_GROUPS = 1000  # of a finding, whose examples are named
_MOST_EXAMPLES = 100  # of a group
# Two sets, and what it means that examples are in both, from the gravest on.
_ACROSS = {
    (TEST, TRAIN): "a score on them says nothing about new ones",
    (TEST, VALIDATION): "what is chosen by validation has seen them",
    (VALIDATION, TRAIN): "a validation on them says nothing about new ones",
}
_WORDS = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}

Place = tuple[int, int]  # the number of a part, and a row of it
Group = Sequence[Place]


def groups(surveys: Sequence[Survey]) -> list[list[Place]]:
    """Return the groups of equal examples; those of one colour are in none, as they are told for themselves.

    Args:
        surveys: of the parts.
    """
    alike: dict[bytes, list[Place]] = {}
    digests = np.concatenate([each.digests for each in surveys])
    # Sorting finds the few that are there twice without an object for each of all.
    ordered = np.sort(digests)
    twice = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    for part, survey in enumerate(surveys if twice else ()):
        for row, digest in enumerate(survey.digests.tolist()):
            if digest in twice and not survey.flat[row]:
                alike.setdefault(digest, []).append((part, row))
    return list(alike.values())


def meaning(parts: Sequence[Part], dataset: Dataset, alike: Sequence[Group], *, nearly: bool = False) -> list[Finding]:
    """Return what groups of examples that are alike mean.

    Args:
        parts: the sets.
        dataset: that they are of.
        alike: the groups.
        nearly: whether they are nearly equal, not equal.
    """
    return list(_meaning(parts, dataset, alike, nearly))


def _meaning(parts: Sequence[Part], dataset: Dataset, alike: Sequence[Group], nearly: bool) -> Iterator[Finding]:
    kind, equal = wording.kind(dataset.shape), "nearly equal to" if nearly else "equal to"
    by_sets: dict[tuple[str, str] | None, list[Group]] = {}
    for group in alike:
        splits = {parts[part].split for part, _ in group}
        sets = next((pair for pair in _ACROSS if splits.issuperset(pair)), None)
        by_sets.setdefault(sets, []).append(group)
    for sets in (*_ACROSS, None):
        own = by_sets.get(sets, [])
        wrong = [group for group in own if _labels_differ(parts, group)]
        right = [group for group in own if not _labels_differ(parts, group)]
        if sets is not None and own:
            count = sum(parts[part].split == sets[0] for group in own for part, _ in group)
            total = next(len(part) for part in parts if part.split == sets[0])
            are = "is" if count == 1 else "are"
            text = f"{count:,} of the {total:,} {_WORDS[sets[0]]} {kind} {are} {equal} {_WORDS[sets[1]]} {kind}"
            text += f", {len(wrong):,} with another label" if wrong else ""
            text += f": {_ACROSS[sets].replace('nothing', 'little') if nearly else _ACROSS[sets]}"
            yield _finding(
                _kind("in_two_sets", nearly, bool(wrong)), text, count, parts, dataset, [*wrong, *right], sets
            )
            continue
        for differs, some in ((True, wrong), (False, right)):
            if some:
                count = sum(map(len, some))
                labelled = "another label" if differs else "the same label"
                text = f"{count:,} {kind} are {equal} another one of their set, with {labelled}"
                text += f", in {plural(len(some), 'group')}"
                text += ": a label of each group is wrong" if differs and not nearly else ""
                yield _finding(_kind("equal", nearly, differs), text, count, parts, dataset, some)


def _kind(what: str, nearly: bool, differs: bool) -> str:
    return f"{'nearly_' if nearly else ''}{what}{'_with_other_label' if differs else ''}"


def _labels_differ(parts: Sequence[Part], group: Group) -> bool:
    first, *others = (parts[part].y[row] for part, row in group)
    return any(not np.array_equal(first, other) for other in others)


def _finding(
    kind: str,
    text: str,
    count: int,
    parts: Sequence[Part],
    dataset: Dataset,
    alike: Sequence[Group],
    sets: tuple[str, str] | None = None,
) -> Finding:
    shown = [[example(parts, dataset, *place) for place in group[:_MOST_EXAMPLES]] for group in alike[:MOST_GROUPS]]
    return Finding(kind, text, count, shown, sets=sets)
