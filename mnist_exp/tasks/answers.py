"""What a model answered for a set of examples, beside what is true of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Answers:
    """Predictions for a set of examples.

    Args:
        x: the examples, if they are images, (n, height, width, channels); None where they cannot be shown.
        y: their labels, prepared.
        outputs: the model's predictions, float32 (n, outputs).
        names: of classes, labels or numbers.
        words: what the examples are called, in titles.
    """

    x: Array | None
    y: Array
    outputs: Array
    names: Sequence[str]
    words: str
