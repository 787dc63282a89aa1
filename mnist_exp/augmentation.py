"""Augmentation: builders of Keras layers that change the training images at random.

The layers come before the model during training. The saved model does not have them.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mnist_exp.config import wording
from mnist_exp.config.fields import Fraction

if TYPE_CHECKING:
    from keras.layers import Layer


def none() -> "list[Layer]":
    """Return no layers: no augmentation."""
    return []


def shift(*, height: Fraction = 0.08, width: Fraction = 0.08) -> "list[Layer]":
    """Return a random translation; what moves in from outside is black.

    Args:
        height: largest shift up or down, as a share of the height.
        width: largest shift left or right, as a share of the width.
    Returns: layers on pixels scaled to 0-1, shape (n, height, width, channels).
    """
    from keras.layers import RandomTranslation

    return [RandomTranslation(height, width, fill_mode="constant", fill_value=0.0)]


def affine(
    *, rotation: Fraction = 0.03, shift: Fraction = 0.08, zoom: Fraction = 0.1, shear: Fraction = 0.0
) -> "list[Layer]":
    """Return a random rotation, translation, zoom and shear; what moves in from outside is black.

    Args:
        rotation: largest angle either way, as a share of a full turn: 0.03 is 10.8 degrees.
        shift: largest shift in each direction, as a share of the side.
        zoom: largest change of the size, as a share of the size.
        shear: largest shear, as a share of the side.
    Returns: layers on pixels scaled to 0-1, shape (n, height, width, channels).
    """
    from keras import layers

    chosen: list[Layer] = []
    if rotation:
        chosen.append(layers.RandomRotation(rotation, fill_mode="constant", fill_value=0.0))
    if shift:
        chosen.append(layers.RandomTranslation(shift, shift, fill_mode="constant", fill_value=0.0))
    if zoom:
        chosen.append(layers.RandomZoom(zoom, fill_mode="constant", fill_value=0.0))
    if shear:
        chosen.append(layers.RandomShear(shear, shear, fill_mode="constant", fill_value=0.0))
    return chosen


def check_shift(input_shape: Sequence[int], **_: Any) -> Iterator[str]:
    """Yield a message if the examples are no images."""
    if len(input_shape) != 3:
        yield f"augment=shift moves images, and not {wording.examples(input_shape)}: take augment=none"


def check_affine(input_shape: Sequence[int], **_: Any) -> Iterator[str]:
    """Yield a message if the examples are no images."""
    if len(input_shape) != 3:
        yield f"augment=affine moves images, and not {wording.examples(input_shape)}: take augment=none"
