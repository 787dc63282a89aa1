"""How sure an answer is: its calibrated probability, whether that is enough, and whether the image is a strange one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_exp.data.dataset import Array
from mnist_exp.errors import SettingsError, printable
from mnist_exp.evaluation import calibration
from mnist_exp.evaluation.confidence import Confidence, Step
from mnist_exp.evaluation.likeness import ALARMS, Likeness
from mnist_exp.tasks.task import Task
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

UNLIKE = "unlike all training images"
_FIX = "train it with data.validation=0.1"


@dataclass(frozen=True)
class Doubt:
    """What is known of the answers of a run's model.

    Args:
        task: of the run.
        confidence: what it measured on the images that it held out; None if nothing.
        why_none: why nothing; empty where a task has no probabilities.
        sure: the confidence from which an answer is given; None gives all.
    """

    task: Task
    confidence: Confidence | None = None
    why_none: str = ""
    sure: Step | None = None

    @property
    def likeness(self) -> Likeness | None:
        """What the training images are like; None if that is not known."""
        return self.confidence.likeness if self.confidence else None

    @property
    def has_probabilities(self) -> bool:
        """Whether the model answers with probabilities."""
        return self.task.activation != "linear"

    def calibrated(self, output: Array) -> Array | None:
        """Return the calibrated probabilities of a prediction, float32 (outputs,); None if they are not known."""
        if self.confidence is None or self.confidence.temperature is None or self.task.activation == "linear":
            return None
        return np.asarray(self.confidence.calibrated(output[np.newaxis], self.task.activation)[0])

    def is_answered(self, output: Array) -> bool:
        """Return whether a prediction, (outputs,), is sure enough."""
        if self.sure is None or self.confidence is None or self.task.activation == "linear":
            return True
        rows = self.confidence.calibrated(output[np.newaxis], self.task.activation)
        return bool(calibration.confidence(rows, self.task.activation)[0] >= self.sure.threshold)

    def as_json(self, output: Array, is_unlike: bool | None, labels: Sequence[str] | None) -> dict[str, Any]:
        """Return what is added to a prediction for other programs: null where it is not known."""
        if not self.has_probabilities:
            return {}
        row = self.calibrated(output)
        plain = self.task.as_json(output if row is None else row, labels)
        found = {
            f"calibrated_{key}": None if row is None else plain[key]
            for key in ("probability", "probabilities")
            if key in plain
        }
        return found | {"unlike": is_unlike} | ({} if self.sure is None else {"answered": self.is_answered(output)})

    def notes(self, output: Array, is_unlike: bool | None, labels: Sequence[str] | None) -> list[str]:
        """Return what is added to a prediction for people."""
        row, found = self.calibrated(output), []
        if row is not None:
            plain = self.task.as_json(row, labels)
            shown = [plain["probability"]] if "probability" in plain else sorted(row[row > 0.5], reverse=True)
            found.append(f"calibrated {', '.join(f'{p:.4f}' for p in shown)}" if shown else "")
        return [*filter(None, found), *([UNLIKE] if is_unlike else [])]

    def told(self) -> list[str]:
        """Return what is said before the first answer."""
        sentences = []
        if self.why_none:
            sentences.append(f"the probabilities are not calibrated: {self.why_none}")
        elif self.confidence is not None and self.confidence.temperature is None:
            sentences.append(
                f"the probabilities are not calibrated: all {self.confidence.images:,} held-out images were answered "
                "correctly, which tells no temperature"
            )
        if self.sure is not None and self.confidence is not None:
            sure, total = self.sure, self.confidence.images
            sentences.append(
                f"answers are given from a confidence of {sure.threshold:.4f} on: of the {total:,} held-out images "
                f"these are {sure.answered:,}, {sure.answered / total:.1%}, and {sure.right / sure.answered:.4f} of "
                f"them are right, at least {sure.lower_bound:.4f} (95% interval, one-sided, exact binomial)"
            )
        return sentences

    def summed_up(self, unanswered: int, unlike: int, total: int) -> list[str]:
        """Return what is said after the last of all answers."""
        sentences = []
        if self.sure is not None:
            sentences.append(f"no answer for {unanswered:,} of {total:,}")
        if unlike:
            share = f"{unlike:,} of {total:,} {'is' if unlike == 1 else 'are'} {UNLIKE}"
            sentences.append(f"{share}; of held-out images {ALARMS:.0%} are called so")
        return sentences


def check(abstain: float | None) -> None:
    """Make sure that `--abstain` names an accuracy. Raises: SettingsError: it is none."""
    if abstain is not None and not 0 < abstain < 1:
        raise SettingsError(f"--abstain={abstain} is not allowed: it must be an accuracy between 0 and 1, as 0.99")


def of_run(run: StoredRun, task: Task, abstain: float | None = None) -> Doubt:
    """Return what is known of the answers of a run's model.

    Args:
        run: recorded.
        task: of it.
        abstain: the accuracy that answers must have; None gives all answers.
    Raises: SettingsError: that accuracy cannot be promised, or the record is damaged.
    """
    if task.activation == "linear":
        if abstain is not None:
            raise SettingsError(f"--abstain is for probabilities: run {run.run_id} is of the task {task.name}")
        return Doubt(task)
    if names.CALIBRATION not in run.tags:
        why = _why_none(run)
        if abstain is not None:
            raise SettingsError(
                f"--abstain={abstain} needs images that were held out to know how sure is enough: {why}"
            )
        return Doubt(task, None, why)
    confidence = run.confidence()
    if abstain is None:
        return Doubt(task, confidence)
    sure = confidence.sure_enough(abstain)
    if sure is None:
        most = max((step.lower_bound for step in confidence.steps), default=0.0)
        raise SettingsError(
            f"--abstain={abstain}: run {run.run_id} cannot promise that: of its {confidence.images:,} held-out images "
            f"even the surest are right with {math.floor(most * 1e4) / 1e4:.4f} at least (95% interval); ask for less, "
            "hold more images out, or train it better"
        )
    return Doubt(task, confidence, sure=sure)


def _why_none(run: StoredRun) -> str:
    held = run.params.get(names.VALIDATION, "test")
    if held == "test":
        return f"run {run.run_id} held no images out (data.validation=test); {_FIX}"
    return f"run {run.run_id} recorded nothing of the images that it held out (data.validation={printable(held)}), as \
older versions did; train it again"
