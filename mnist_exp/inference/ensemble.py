"""The models of a sweep as one: the mean of their probabilities. All are used, so that none is chosen by its score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mnist_exp.data import lazy
from mnist_exp.data.dataset import Array
from mnist_exp.errors import SettingsError
from mnist_exp.inference import load
from mnist_exp.inference.labelled_images import Images
from mnist_exp.tracking import names, runs
from mnist_exp.tracking.runs import StoredRun


@dataclass(frozen=True)
class Prediction:
    """What a model says of n images.

    Args:
        outputs: predictions, float32 (n, outputs).
        raw: what comes before them; the same array where that is not known.
    """

    outputs: Array
    raw: Array

    @property
    def is_raw(self) -> bool:
        """Whether it is known what comes before the predictions."""
        return self.raw is not self.outputs

    def of(self, which: Array) -> "Prediction":
        """Return the predictions for some of the images, bool (n,)."""
        outputs = self.outputs[which]
        return Prediction(outputs, self.raw[which] if self.is_raw else outputs)


def mean(predictions: Sequence[Prediction]) -> Prediction:
    """Return the mean of the predictions of several models for the same images."""
    outputs = np.mean([each.outputs for each in predictions], axis=0)
    return Prediction(outputs, outputs)


def members(run: StoredRun) -> list[StoredRun]:
    """Return the runs of a sweep, oldest first. Raises: SettingsError: it is no sweep, or a model is missing."""
    if not run.is_sweep:
        raise SettingsError(f"--ensemble: run {run.run_id} is no sweep: name the parent run of one, or leave it out")
    jobs: dict[str, list[StoredRun]] = {}
    for each in runs.of_sweep(run):
        jobs.setdefault(each.tags.get(names.JOB_KEY, each.run_id), []).append(each)
    found, problems = [], []
    for attempts in jobs.values():  # One that failed, and was done in another attempt, is no gap.
        try:
            found.append(next((each for each in attempts if each.has_model), attempts[-1]))
            load.check_has_model(found[-1])
        except SettingsError as error:
            problems += error.problems
    if removed := sum(not each.has_model and names.NO_MODEL in each.tags for each in found):
        raise SettingsError(
            f"--ensemble: tracking.keep_models left no model of {removed} of the {len(jobs)} jobs, and a mean of those "
            "that were chosen by their score would be no honest one: sweep with tracking.keep_models=all and "
            "sweep.reuse=false"
        )
    if problems:
        raise SettingsError(problems)
    if run.status != "FINISHED":
        raise SettingsError(
            f"--ensemble: sweep {run.run_id} is {run.status}: issue it again, which finishes what is left"
        )
    if len(found) < 2:
        raise SettingsError(f"--ensemble: sweep {run.run_id} has {len(found)} models: it takes two at least")
    return found


def common(images: Sequence[Images]) -> Images:
    """Return the images that all members classify, and which of them any member was trained on.

    Args:
        images: of each member.
    Raises: SettingsError: they are not the same, as hold-outs of several seeds are not.
    """
    first = images[0]
    if any(each.dataset.sha256 != first.dataset.sha256 for each in images):
        raise SettingsError(
            "--ensemble: the runs were trained on different data sets: name the images with --data=NAME"
        )
    if any(not (lazy.are_equal(each.x, first.x) and np.array_equal(each.y, first.y)) for each in images):
        raise SettingsError(
            f"--split={first.split}: the runs do not have the same images there, as their seeds or data.* differ; "
            "there are test and all"
        )
    seen = first.seen
    for each in images[1:]:
        seen = None if seen is None or each.seen is None else seen | each.seen
    why_unknown = next((each.why_unknown for each in images if each.seen is None), "")
    return replace(first, seen=seen, why_unknown=why_unknown)
