"""Augmentation: builders of Keras layers that change the training images at random.

The layers come before the model during training. The saved model does not have them. The runner gives a builder that
has an argument `value_range` the range of the pixels that its layers get, or None where that is not known. Keras's
default is 0 to 255: on pixels of 0 to 1 its layers would make other numbers of them without a word.

What mixes two images, and their labels, is no layer but a `Mixing`; in a list it comes before the layers:
`[*mixup(alpha=0.2), *affine(value_range=value_range)]`.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from mnist_exp.config import wording
from mnist_exp.config.fields import Count, Fraction, Positive
from mnist_exp.errors import SettingsError
from mnist_exp.mixing import Cutmix, Mixing, Mixup

if TYPE_CHECKING:
    from keras.layers import Layer

# None where it is not known, as of values with a mean of 0: 0 stands for black then.
Range = tuple[float, float] | None
Probability = Annotated[float, Field(gt=0, le=1)]
Area = Annotated[float, Field(gt=0, le=1)]


def none() -> "list[Layer]":
    """Return no layers: no augmentation."""
    return []


def shift(*, value_range: Range = (0.0, 1.0), height: Fraction = 0.08, width: Fraction = 0.08) -> "list[Layer]":
    """Return a random translation; what moves in from outside is black.

    Args:
        value_range: of the pixels.
        height: largest shift up or down, as a share of the height.
        width: largest shift left or right, as a share of the width.
    Returns: layers on pixels, shape (n, height, width, channels).
    """
    from keras.layers import RandomTranslation

    return [RandomTranslation(height, width, fill_mode="constant", fill_value=_black(value_range))]


def affine(
    *,
    value_range: Range = (0.0, 1.0),
    rotation: Fraction = 0.03,
    shift: Fraction = 0.08,
    zoom: Fraction = 0.1,
    shear: Fraction = 0.0,
) -> "list[Layer]":
    """Return a random rotation, translation, zoom and shear; what moves in from outside is black.

    Args:
        value_range: of the pixels.
        rotation: largest angle either way, as a share of a full turn: 0.03 is 10.8 degrees.
        shift: largest shift in each direction, as a share of the side.
        zoom: largest change of the size, as a share of the size.
        shear: largest shear, as a share of the side.
    Returns: layers on pixels, shape (n, height, width, channels).
    """
    from keras import layers

    black = _black(value_range)
    chosen: list[Layer] = []
    if rotation:
        chosen.append(layers.RandomRotation(rotation, fill_mode="constant", fill_value=black))
    if shift:
        chosen.append(layers.RandomTranslation(shift, shift, fill_mode="constant", fill_value=black))
    if zoom:
        chosen.append(layers.RandomZoom(zoom, fill_mode="constant", fill_value=black))
    if shear:
        chosen.append(layers.RandomShear(shear, shear, fill_mode="constant", fill_value=black))
    return chosen


def check_shift(input_shape: Sequence[int], **_: Any) -> Iterator[str]:
    """Yield a message if the examples are no images."""
    yield from _unless_images("shift", "moves", input_shape)


def check_affine(input_shape: Sequence[int], **_: Any) -> Iterator[str]:
    """Yield a message if the examples are no images."""
    yield from _unless_images("affine", "moves", input_shape)


def elastic(
    *,
    value_range: Range = (0.0, 1.0),
    strength: Probability = 0.7,
    smoothness: Area = 0.14,
    probability: Probability = 1.0,
) -> "list[Layer]":
    """Return a random elastic distortion, as of rubber; what moves in from outside is black.

    Args:
        value_range: of the pixels.
        strength: strongest distortion, of each image between its half and this: 1 moves pixels by a tenth of the side.
        smoothness: standard deviation of the filter that smooths the distances, as a share of the side: near 0 each
            pixel goes its own way, 1 moves the image as a whole.
        probability: that an image is distorted.
    Returns: layers on pixels, shape (n, height, width, channels).
    Source: Simard, Steinkraus & Platt 2003, Best practices for convolutional neural networks, section 2; the defaults
        are nearly its σ of 4 and α of 34 for images of 29×29.
    """
    from mnist_exp.distortion import Distortion

    return [
        Distortion(strength=strength, smoothness=smoothness, probability=probability, fill_value=_black(value_range))
    ]


def affine_elastic(
    *,
    value_range: Range = (0.0, 1.0),
    rotation: Fraction = 0.03,
    shift: Fraction = 0.08,
    zoom: Fraction = 0.1,
    shear: Fraction = 0.1,
    strength: Probability = 0.5,
    smoothness: Area = 0.14,
    probability: Probability = 1.0,
) -> "list[Layer]":
    """Return a random rotation, shift, zoom, slant and elastic distortion, by which an image is resampled once.

    Args:
        value_range: of the pixels; what moves in from outside is black.
        rotation: largest angle either way, as a share of a full turn: 0.03 is 10.8 degrees.
        shift: largest shift in each direction, as a share of the side.
        zoom: largest change of the size, as a share of the size.
        shear: largest slant either way: 0.1 moves the upper edge by a tenth of the height against the lower one.
        strength: strongest elastic distortion, as in `elastic`.
        smoothness: as in `elastic`.
        probability: that an image is distorted elastically.
    Returns: layers on pixels, shape (n, height, width, channels).
    """
    from mnist_exp.distortion import Distortion

    return [
        Distortion(
            strength=strength,
            smoothness=smoothness,
            probability=probability,
            rotation=rotation,
            shift=shift,
            zoom=zoom,
            shear=shear,
            fill_value=_black(value_range),
        )
    ]


def rand_augment(
    *, value_range: Range = (0.0, 1.0), operations: Count = 2, strength: Probability = 0.3
) -> "list[Layer]":
    """Return RandAugment: operations drawn from eleven, of shape, colour and contrast.

    Keras draws the operations for a batch, and for each image how far they go.

    Args:
        value_range: of the pixels.
        operations: how many, one after the other.
        strength: how far each goes at most, as a share of what it can.
    Returns: layers on pixels, shape (n, height, width, 1 or 3).
    Source: Cubuk, Zoph, Shlens & Le 2019, arXiv:1909.13719.
    """
    from keras.layers import RandAugment

    return [RandAugment(_known("rand_augment", value_range), num_ops=operations, factor=strength)]


def check_elastic(input_shape: Sequence[int], **_: Any) -> Iterator[str]:
    """Yield a message if the examples are no images."""
    yield from _unless_images("elastic", "distorts", input_shape)


def check_affine_elastic(input_shape: Sequence[int], **_: Any) -> Iterator[str]:
    """Yield a message if the examples are no images."""
    yield from _unless_images("affine_elastic", "distorts", input_shape)


def check_rand_augment(input_shape: Sequence[int], **_: Any) -> Iterator[str]:
    """Yield a message if the operations on colours do not fit the examples."""
    yield from _unless_images("rand_augment", "changes", input_shape)
    if len(input_shape) == 3 and input_shape[-1] not in (1, 3):
        yield f"augment=rand_augment needs images of 1 or 3 channels; these have {input_shape[-1]}"


def check_random_erasing(input_shape: Sequence[int], **_: Any) -> Iterator[str]:
    """Yield a message if the examples are no images."""
    yield from _unless_images("random_erasing", "erases parts of", input_shape)


def random_erasing(
    *,
    value_range: Range = (0.0, 1.0),
    probability: Probability = 0.5,
    smallest: Area = 0.02,
    largest: Area = 0.33,
    fill: Literal["black", "noise"] = "black",
) -> "list[Layer]":
    """Return a rectangle at random that is erased.

    Args:
        value_range: of the pixels.
        probability: that a rectangle of an image is erased.
        smallest: square of the least share of each side that it takes.
        largest: square of the greatest share of each side.
        fill: what stands in it then.
    Returns: layers on pixels, shape (n, height, width, channels).
    Raises: SettingsError: smallest is above largest.
    Source: Zhong, Zheng, Kang, Li & Yang 2017, arXiv:1708.04896.
    """
    from keras.layers import RandomErasing

    if smallest > largest:
        raise SettingsError(f"augment.smallest={smallest} must be at most augment.largest={largest}")
    known = _known("random_erasing", value_range)
    filled = known[0] if fill == "black" else None
    # Keras draws the probability as well, below the one that it is given.
    erasing = RandomErasing((probability, probability), scale=(smallest, largest), fill_value=filled, value_range=known)
    return [erasing]


def mixup(*, alpha: Positive = 0.2) -> list[Mixing]:
    """Return mixup: each example of a batch is a weighted mean of itself and another one, and so are their labels.

    Args:
        alpha: both parameters of the beta distribution of the weights: 0.1 to 0.4 as a rule, and 1 makes all alike.
    Returns: a mixing of examples of any shape (n, …), for any task.
    Source: Zhang, Cisse, Dauphin & Lopez-Paz 2018, arXiv:1710.09412.
    """
    return [Mixup(alpha)]


def cutmix(*, alpha: Positive = 1.0) -> list[Mixing]:
    """Return CutMix: each image of a batch gets a rectangle of another one, and as much of its labels.

    Args:
        alpha: both parameters of the beta distribution of the areas; 1 makes all alike.
    Returns: a mixing of images (n, height, width, channels), for classes and labels.
    Source: Yun, Han, Oh, Chun, Choe & Yoo 2019, arXiv:1905.04899.
    """
    return [Cutmix(alpha)]


def check_cutmix(input_shape: Sequence[int], *, for_numbers: bool = False, **_: Any) -> Iterator[str]:
    """Yield a message if the examples are no images, or are to give numbers."""
    yield from _unless_images("cutmix", "puts together", input_shape, "mixup")
    if for_numbers:
        yield "augment=cutmix is for classes and labels, which parts of an image have, not for numbers: take mixup"


def _black(value_range: Range) -> float:
    return value_range[0] if value_range else 0.0


def _known(name: str, value_range: Range) -> tuple[float, float]:
    if value_range is None:
        raise SettingsError(f"augment={name} needs pixels of a known range, which these data do not have")
    return value_range


def _unless_images(name: str, does: str, input_shape: Sequence[int], instead: str = "none") -> Iterator[str]:
    if len(input_shape) != 3:
        yield f"augment={name} {does} images, and not {wording.examples(input_shape)}: take augment={instead}"
