"""Random changes of the training images: Keras layers that do nothing outside training.

They stand in front of the model while it trains and are left out of the model that is saved.
"""

from typing import TYPE_CHECKING

from mnist_exp.config.fields import Fraction

if TYPE_CHECKING:
    from keras.layers import Layer


def none() -> "list[Layer]":
    """Return no layers: the images as they are."""
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
        zoom: largest change of size, as a share of it.
        shear: largest shear, as a share of the side.
    Returns: layers on pixels scaled to 0-1, shape (n, height, width, channels).
    """
    from keras import layers

    made: list[Layer] = []
    if rotation:
        made.append(layers.RandomRotation(rotation, fill_mode="constant", fill_value=0.0))
    if shift:
        made.append(layers.RandomTranslation(shift, shift, fill_mode="constant", fill_value=0.0))
    if zoom:
        made.append(layers.RandomZoom(zoom, fill_mode="constant", fill_value=0.0))
    if shear:
        made.append(layers.RandomShear(shear, shear, fill_mode="constant", fill_value=0.0))
    return made
