"""How far two runs differ though no option does: the yardstick of all effects."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_exp.analysis.observations import Observations
from mnist_exp.errors import plural

_LEAST_DEGREES = 3


@dataclass(frozen=True)
class Noise:
    """The standard deviation of the objective of one job.

    Args:
        std: of it.
        degrees: of freedom of its estimate; None where it is computed, not estimated.
        words: where it comes from.
    """

    std: float
    degrees: float | None
    words: str


def over_seeds(observations: Observations) -> Noise | None:
    """Return the spread over the seeds, pooled over the points; None if too few points have several."""
    repeated = [values for values in observations.points.values() if len(values) > 1]
    degrees = sum(len(values) - 1 for values in repeated)
    if degrees < _LEAST_DEGREES:
        return None
    std = math.sqrt(sum(float(np.var(values)) * len(values) for values in repeated) / degrees)
    return Noise(std, float(degrees), f"the spread over seeds of {plural(len(repeated), 'point')}")


def of_images(objectives: Sequence[float], images: int) -> Noise:
    """Return the standard error of the best accuracy, for the number of images: at least that much is chance."""
    best = min(max(objectives), 1 - 1 / (2 * images))
    std = math.sqrt(max(best * (1 - best), 0.0) / images)
    return Noise(std, None, f"the standard error of an accuracy on {images:,} images; seeds add to it")
