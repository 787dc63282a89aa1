"""What a run recorded of the pixels that it was trained on."""

import json
import math
from typing import TYPE_CHECKING

from mnist_exp.config import wording
from mnist_exp.data import pixels
from mnist_exp.data.features import FEATURES
from mnist_exp.data.pixels import Range
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import keras

    from mnist_exp.numpy_model.model import NumpyModel


def takes_pixels(model: "keras.Model | NumpyModel") -> bool:
    """Tell whether a recorded model takes pixels, and not other features: its input is named by that."""
    return not str(model.inputs[0].name).startswith(FEATURES)


def range_of(run: StoredRun, model: "keras.Model | NumpyModel") -> Range | None:
    """Return the raw values that a run's model takes for black and white; None if it takes no pixels."""
    return recorded_range(run) if takes_pixels(model) else None


def recorded_range(run: StoredRun) -> Range:
    """Return the raw values of black and white of a run's pixels; of an older run, which has no record, 0 and 255.

    Raises: SettingsError: the record is damaged.
    """
    return _range_of(run, names.PIXEL_RANGE) or pixels.BYTES


def recorded_depth(run: StoredRun) -> Range | None:
    """Return the values that became 0 and 255 of a run's image files with more than 8 bits a pixel; None without such.

    Raises: SettingsError: the record is damaged.
    """
    return _range_of(run, names.IMAGE_DEPTH)


def _range_of(run: StoredRun, tag: str) -> Range | None:
    text = run.tags.get(tag)
    if text is None:
        return None
    try:
        low, high = map(float, json.loads(text))
        if not -math.inf < low < high < math.inf:
            raise ValueError
    except (ValueError, TypeError, RecursionError) as error:
        raise SettingsError(f"run {run.run_id}: its tag {tag}, {wording.show(text[:80])}, is no range") from error
    return low, high
