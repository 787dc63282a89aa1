"""How far the confidence of a model is to be trusted, as measured on the images that its run held out."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mnist_exp.errors import SettingsError
from mnist_exp.evaluation import calibration, metrics
from mnist_exp.evaluation.calibration import Activation, Array
from mnist_exp.evaluation.likeness import Likeness

FILE, LARGEST = "confidence.json", 200_000  # name, and bytes, of the file of a run
LEVEL = 0.95
_STEPS = 50  # shares of the held-out images for which it is recorded how many are right
_DIGITS = 6


@dataclass(frozen=True)
class Step:
    """The held-out images that are answered with a confidence.

    Args:
        threshold: least confidence of an answer.
        answered: how many images are as sure as that.
        right: how many of these are answered correctly.
    """

    threshold: float
    answered: int
    right: int

    @property
    def lower_bound(self) -> float:
        """Lower end of the one-sided 95 % interval of the accuracy of these answers.

        Source: Clopper & Pearson 1934, Biometrika 26, 404-413.
        """
        from scipy import special

        if not self.right:
            return 0.0
        return float(special.betaincinv(self.right, self.answered - self.right + 1, 1 - LEVEL))


@dataclass(frozen=True)
class Confidence:
    """What a run measured on the images that it held out.

    Args:
        images: how many they were.
        temperature: by which logits are divided; None where all images were answered correctly.
        loss: mean negative log-likelihood before and after that.
        ece: expected calibration error before and after.
        steps: for `--abstain`, from the surest images on.
        likeness: tells an image that is unlike those that it was trained on; None where that is not known.
    """

    images: int
    temperature: float | None
    loss: tuple[float, float]
    ece: tuple[float, float]
    steps: tuple[Step, ...]
    likeness: Likeness | None = None

    def calibrated(self, outputs: Array, activation: Activation) -> Array:
        """Return the calibrated probabilities of predictions, float32 (n, outputs)."""
        if self.temperature is None:
            return outputs
        return calibration.softened(outputs, activation, self.temperature).astype(np.float32)

    def sure_enough(self, accuracy: float) -> Step | None:
        """Return the step that answers most images of those whose accuracy is at least this one; None if none is.

        That the bound holds for each step alone is enough: of 300 simulated runs at most 16 promised too much by it.
        """
        good = [step for step in self.steps if step.lower_bound >= accuracy]
        return max(good, key=lambda step: step.answered, default=None)

    def to_json(self) -> str:
        """Return it as a run records it."""
        facts = asdict(self) | {"steps": [[step.threshold, step.answered, step.right] for step in self.steps]}
        return json.dumps(facts | {"likeness": self.likeness.to_facts() if self.likeness else None}, indent=1)

    def summary(self) -> dict[str, Any]:
        """Return what the tag of a run says of it."""
        return {"temperature": self.temperature, "images": self.images, "loss": self.loss, "ece": self.ece}


def measure(outputs: Array, targets: Array, activation: Activation, likeness: Likeness | None = None) -> Confidence:
    """Return what predictions for held-out images tell.

    Args:
        outputs: probabilities, (n, outputs).
        targets: labels as the loss takes them: whole numbers (n,) for softmax, else 0 or 1 (n, outputs).
        activation: softmax or sigmoid.
        likeness: measured on the same images.
    """
    fitted = calibration.fitted(outputs, targets, activation)
    temperature = fitted if fitted is None else round(fitted, _DIGITS)
    right = calibration.are_right(outputs, targets, activation)
    after = outputs if temperature is None else calibration.softened(outputs, activation, temperature)
    both: list[Array] = [outputs.astype(np.float64), after.astype(np.float32)]  # As `predict` has them.
    losses = [calibration.loss(each, targets, activation) for each in both]
    errors = []
    for each in both:
        sure = calibration.confidence(each, activation).astype(np.float64)
        errors.append(metrics.calibration_error(metrics.reliability(sure, right)))
    return Confidence(
        len(outputs),
        temperature,
        (round(losses[0], _DIGITS), round(losses[1], _DIGITS)),
        (round(errors[0], _DIGITS), round(errors[1], _DIGITS)),
        _steps(sure, right),
        likeness,
    )


def _steps(sure: Array, right: Array) -> tuple[Step, ...]:
    """Return how many images of each confidence are right, for even shares of the images, the surest first."""
    ordered = np.argsort(-sure, kind="stable")
    sure, correct = sure[ordered], np.cumsum(right[ordered])
    steps: dict[float, Step] = {}
    # In whole numbers: 50 × (112 / 50) is more than 112.
    for count in sorted({-(-len(sure) * step // _STEPS) for step in range(1, _STEPS + 1)}):
        threshold = float(sure[count - 1])
        answered = int(np.searchsorted(-sure, -threshold, side="right"))  # Equal ones are answered, too.
        steps[threshold] = Step(threshold, answered, int(correct[answered - 1]))
    return tuple(steps.values())


def parse(text: str, what: str) -> Confidence:
    """Return what a run recorded. The file may come from someone else, so everything is checked.

    Args:
        text: of the file.
        what: its name, for messages.
    Raises: SettingsError: it is not what `to_json` writes.
    """
    try:
        facts = json.loads(text)
        temperature = facts["temperature"]
        return Confidence(
            _count(facts["images"]),
            None if temperature is None else _number(temperature, 1e-3, 1e3),
            _pair(facts["loss"]),
            _pair(facts["ece"]),
            tuple(Step(_number(t, 0, 1), _count(n), _count(k)) for t, n, k in facts["steps"]),
            None if facts["likeness"] is None else Likeness.from_facts(facts["likeness"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise SettingsError(f"{what} is not what mnist_exp writes, and is not read") from error


def _pair(values: Sequence[Any]) -> tuple[float, float]:
    first, second = values
    return _number(first, 0, 1e9), _number(second, 0, 1e9)


def _number(value: Any, low: float, high: float) -> float:
    number = float(value)
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError(value)
    return number


def _count(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise ValueError(value)
    return value
