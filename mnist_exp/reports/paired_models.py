"""Single models, image by image: McNemar's test on what each read on the same test set."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mnist_exp.errors import SettingsError
from mnist_exp.evaluation import statistics
from mnist_exp.evaluation.predictions import Predictions
from mnist_exp.evaluation.statistics import Discordance
from mnist_exp.reports.groups import Grouping
from mnist_exp.tracking import names

_MOST = 12


@dataclass(frozen=True)
class Pair:
    """Two models: their names, and how they differ."""

    first: str
    second: str
    found: Discordance


@dataclass(frozen=True)
class Models:
    """All pairs of some models.

    Args:
        pairs: with Holm's correction for all of them.
        reason: why there are none.
    """

    pairs: Sequence[Pair] = ()
    reason: str = ""


def compare(grouping: Grouping) -> Models | None:
    """Compare models image by image where that is all that can be compared: two runs, or up to 12 of one seed each.

    None where there are several seeds: whether configurations differ is a question to the seeds, not to the images.
    """
    runs = [run for group in grouping.groups for run in group.runs]
    if not 2 <= len(runs) <= _MOST or (len(runs) > 2 and any(group.n > 1 for group in grouping.groups)):
        return None
    if len({run.tags.get(names.DATA_SHA256, run.run_id) for run in runs}) > 1:
        return Models(reason="their data are different")
    try:
        read = [run.predictions() for run in runs]
    except SettingsError as error:
        return Models(reason=str(error))
    if any(not np.array_equal(each.labels, read[0].labels) for each in read):
        return Models(reason="the labels of their test images are different")
    labels = _names(grouping)
    pairs = [
        Pair(labels[i], labels[j], statistics.mcnemar(_right(read[i]), _right(read[j])))
        for i, j in itertools.combinations(range(len(runs)), 2)
    ]
    adjusted = statistics.holm([pair.found.p for pair in pairs])
    return Models(
        [replace(pair, found=replace(pair.found, p_corrected=p)) for pair, p in zip(pairs, adjusted, strict=True)]
    )


def _right(read: Predictions) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    right: np.ndarray[tuple[int], np.dtype[np.bool_]] = read.predicted == read.labels
    return right


def _names(grouping: Grouping) -> list[str]:
    """Return what tells the models apart: their group, or, within one, their seed; else the run."""
    groups = grouping.groups
    names = [group.label if group.n == 1 else f"seed {seed}" for group in groups for seed in group.by_seed]
    ids = [run.run_id[:8] for group in groups for run in group.runs]
    return names if len(set(names)) == len(names) else [f"{a} (run {b})" for a, b in zip(names, ids, strict=True)]
