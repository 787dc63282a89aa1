"""Tests between trained models, on their predictions for the same test images: McNemar's, or of errors of numbers."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mnist_exp.comparison.groups import Grouping
from mnist_exp.errors import SettingsError
from mnist_exp.evaluation import statistical_tests
from mnist_exp.evaluation.predictions import Predictions
from mnist_exp.evaluation.statistical_tests import Comparison, Discordance
from mnist_exp.tracking import names

_MOST = 12


@dataclass(frozen=True)
class Pair:
    """Two models and the result of McNemar's test.

    Args:
        first: name of the first model.
        second: name of the second model.
        discordance: how their predictions differ.
    """

    first: str
    second: str
    discordance: Discordance


@dataclass(frozen=True)
class NumberPair:
    """Two models that predict numbers, and the paired t-test of their absolute errors.

    Args:
        first: name of the first model.
        second: name of the second model.
        images: number of images.
        comparison: of the mean absolute errors, image by image.
    """

    first: str
    second: str
    images: int
    comparison: Comparison


@dataclass(frozen=True)
class Models:
    """The comparisons of all pairs of models.

    Args:
        pairs: the results, with Holm's correction for all of them.
        of_numbers: the same for models that predict numbers.
        reason: why there is no comparison; empty if there is one.
    """

    pairs: Sequence[Pair] = ()
    of_numbers: Sequence[NumberPair] = ()
    reason: str = ""


def compare(grouping: Grouping) -> Models | None:
    """Compare trained models on the same test images: two runs, or up to 12 runs with one seed each.

    With several seeds the answer is None. Then the seeds tell whether configurations differ; the images of one trained
    model do not.
    """
    runs = [run for group in grouping.groups for run in group.runs]
    if not 2 <= len(runs) <= _MOST or (len(runs) > 2 and any(group.n > 1 for group in grouping.groups)):
        return None
    if len({run.tags.get(names.DATA_SHA256, run.run_id) for run in runs}) > 1:
        return Models(reason="their data are different")
    try:
        predictions = [run.predictions() for run in runs]
    except SettingsError as error:
        return Models(reason=str(error))
    if any(not np.array_equal(each.labels, predictions[0].labels) for each in predictions):
        return Models(reason="the labels of their test images are different")
    labels = _names(grouping)
    if any(each.probability is None for each in predictions):
        return _of_numbers(predictions, labels)
    right = [np.asarray(each.is_right) for each in predictions]
    pairs = [
        Pair(labels[i], labels[j], statistical_tests.mcnemar(right[i], right[j]))
        for i, j in itertools.combinations(range(len(runs)), 2)
    ]
    adjusted = statistical_tests.holm([pair.discordance.p for pair in pairs])
    return Models(
        [
            replace(pair, discordance=replace(pair.discordance, p_corrected=p))
            for pair, p in zip(pairs, adjusted, strict=True)
        ]
    )


def _of_numbers(predictions: Sequence[Predictions], labels: Sequence[str]) -> Models:
    """Compare models by their absolute errors, image by image."""
    errors = [np.abs(each.predicted - each.labels).mean(axis=1) for each in predictions]
    pairs = list(itertools.combinations(range(len(errors)), 2))
    compared = statistical_tests.corrected([statistical_tests.paired(errors[i], errors[j]) for i, j in pairs])
    found = zip(pairs, compared, strict=True)
    return Models(of_numbers=[NumberPair(labels[i], labels[j], len(errors[0]), each) for (i, j), each in found])


def _names(grouping: Grouping) -> list[str]:
    """Return different names for the models: the label of the group or the seed; with the run id if these repeat."""
    groups = grouping.groups
    names = [group.label if group.n == 1 else f"seed {seed}" for group in groups for seed in group.by_seed]
    ids = [run.run_id[:8] for group in groups for run in group.runs]
    return names if len(set(names)) == len(names) else [f"{a} (run {b})" for a, b in zip(names, ids, strict=True)]
