"""The models of a sweep as one: the mean of their probabilities. All are used, so that none is chosen by its score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mnist_exp.config import wording
from mnist_exp.data import lazy
from mnist_exp.data.dataset import Array
from mnist_exp.errors import SettingsError, plural
from mnist_exp.inference import load
from mnist_exp.inference.labelled_images import Images
from mnist_exp.tracking import names, runs
from mnist_exp.tracking.runs import StoredRun

_MOST_NAMED = 5


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


def members(run: StoredRun) -> tuple[list[StoredRun], list[str]]:
    """Return the runs of a sweep that have a model, oldest first, and a warning if jobs failed, which have none.

    Raises: SettingsError: it is no sweep, it is not at its end, or a model is missing for another reason.
    """
    if not run.is_sweep:
        raise SettingsError(f"--ensemble: run {run.run_id} is no sweep: name the parent run of one, or leave it out")
    jobs: dict[str, list[StoredRun]] = {}
    for each in runs.of_sweep(run):
        jobs.setdefault(each.tags.get(names.JOB_KEY, each.run_id), []).append(each)
    # One that failed, and was done in another attempt, is no gap.
    found = [next((each for each in attempts if each.has_model), attempts[-1]) for attempts in jobs.values()]
    if removed := sum(not each.has_model and names.NO_MODEL in each.tags for each in found):
        raise SettingsError(
            f"--ensemble: tracking.keep_models left no model of {removed} of the {len(jobs)} jobs, and a mean of those "
            "that were chosen by their score would be no honest one: sweep with tracking.keep_models=all and "
            "sweep.reuse=false"
        )
    # No attempt more helps a training that diverged; and it was left out by no score, unlike what was stopped early.
    failed = [each for each in found if not each.has_model and each.status == "FAILED" and not each.is_pruned]
    found = [each for each in found if each not in failed]
    problems = []
    for each in found:
        try:
            load.check_has_model(each)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    if run.status != "FINISHED" and not (run.status == "FAILED" and failed):
        raise SettingsError(
            f"--ensemble: sweep {run.run_id} is {run.status}: issue it again, which finishes what is left"
        )
    if len(found) < 2:
        raise SettingsError(_too_few(run, found, failed))
    return found, [_left_out(found, failed)] if failed else []


def _left_out(found: Sequence[StoredRun], failed: Sequence[StoredRun]) -> str:
    which = wording.listed([f"{each.run_id} ({each.name})" for each in failed], _MOST_NAMED)
    jobs = plural(len(found) + len(failed), "job")
    return f"the ensemble has {len(found)} models of {jobs}: {len(failed)} failed and left none: {which}"


def _too_few(run: StoredRun, found: Sequence[StoredRun], failed: Sequence[StoredRun]) -> str:
    """Return why a sweep is no ensemble, and what to do."""
    has = f"--ensemble: sweep {run.run_id} has {plural(len(found), 'model')}"
    why = f", as {len(failed)} of its {plural(len(found) + len(failed), 'job')} failed" if failed else ""
    if found:
        alone = f"`python -m mnist_exp.evaluate {found[0].run_id}` asks the one"
        return f"{has}{why}: it takes two at least; {alone}"
    reason = f" ({failed[0].tags[names.FAILURE]})" if failed and names.FAILURE in failed[0].tags else ""
    again = run.tags.get(names.COMMAND, "its command")
    return f"{has}{why}{reason}: mend what made them fail, and start the sweep again: {again}"


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
