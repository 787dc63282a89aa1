"""How the images of a data set look: what a new image is made alike to before a model sees it.

Drawings are light on dark, or dark on light; photographs are neither. MNIST's are drawn in a box of 20×20, their centre
of mass in the middle of 28×28. All of that is measured, whatever the data set is called.
"""

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mnist_exp.data.lazy import Array, Examples, LazyArray

Ink = Literal["light", "dark"]

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_MOST, _FEWEST = 128, 32  # images that are looked at
_VALUES = 1_000_000  # of all of these together, about
_MOST_ALIKE = 0.9  # share of the images that must agree
_PLAIN = 0.1  # of the range: pixels that differ by less from the paper are paper
_COLOURED = 0.1  # of the range, between a pixel's channels, on average
_OFF = 1.0  # pixels of 28 by which the box, and the centre of mass, may be off
_LARGEST_BOX = 0.9  # of the side: what fills its image is not drawn in a box
_SIDE = 64  # pixels, enough to see it


@dataclass(frozen=True)
class Appearance:
    """How the images of a data set look.

    Args:
        ink: light for light drawings on dark, dark for dark ones on light; None for neither, as of photographs.
        box: side of the box, in shares of the image's, that all are drawn in, their centre of mass in the middle: that
            is MNIST's style, where it is 20/28; None where they are not drawn so.
    """

    ink: Ink | None
    box: float | None = None

    @property
    def is_mnist_style(self) -> bool:
        """Whether they are drawn as those of MNIST, in a box of any size."""
        return self.ink is not None and self.box is not None

    def as_json(self) -> str:
        """Return it as a run records it."""
        ink = {"light": "light on dark", "dark": "dark on light", None: None}[self.ink]
        style = {"style": "mnist", "box": round(self.box, 4)} if self.box is not None else {"style": None}
        return json.dumps({"ink": ink, **style})

    @classmethod
    def from_json(cls, text: str) -> "Appearance | None":
        """Return what a run recorded; None if that is not what `as_json` writes."""
        known: dict[str | None, Ink | None] = {"light on dark": "light", "dark on light": "dark", None: None}
        try:
            found = json.loads(text)
            box = float(found["box"]) if found["style"] == "mnist" else None
            return cls(known[found["ink"]], box) if box is None or 0 < box < 1 else None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None


def measure(x: Examples, pixel_range: tuple[float, float] = (0, 255)) -> Appearance:
    """Return how images look, by a sample of them.

    Args:
        x: pixels, (n, height, width, channels), in memory or lazy.
        pixel_range: which values are black and white.
    """
    values = int(np.prod(x.shape[1:]))
    most = _FEWEST if isinstance(x, LazyArray) else min(max(_VALUES // values, _FEWEST), _MOST)
    low, high = pixel_range
    step = max(1, min(x.shape[1:3]) // _SIDE)
    images = (x[_spread(len(x), most)][:, ::step, ::step].astype(np.float32) - low) * (255 / (high - low))
    if images.shape[3] == 4 or _are_coloured(images):
        return Appearance(None)
    inks = [_ink(image) for image in images]
    for ink in ("light", "dark"):
        if np.mean([each == ink for each in inks]) >= _MOST_ALIKE:
            return Appearance(ink, _box(images if ink == "light" else 255 - images))
    return Appearance(None)


def is_light_on_dark(image: Array) -> bool:
    """Tell whether what an image shows is lighter than its border.

    Args:
        image: values of 0 to 255, shape (height, width, 1 or 3).
    """
    difference = image.astype(np.float32) - np.median(sides_of(image), axis=0)
    along = main_direction(difference)
    return bool(along.sum() > 0 if len(along) == 1 else along @ LUMINANCE > 0)


def sides_of(image: Array) -> Array:
    """Return the pixels along the four sides, shape (n,) or (n, channels)."""
    wide = max(1, round(0.03 * min(image.shape[:2])))
    rest = image[wide:-wide]
    sides = [image[:wide], image[-wide:], rest[:, :wide], rest[:, -wide:]]
    return np.concatenate([side.reshape(-1, *image.shape[2:]) for side in sides])


def main_direction(difference: Array) -> Array:
    """Return the direction of colour, a unit vector, in which pixels differ most from the paper.

    Args:
        difference: of the pixels from the paper, float32 (height, width, channels).
    """
    pixels = difference.reshape(-1, difference.shape[2])
    vector = np.linalg.eigh(pixels.T @ pixels)[1][:, -1]
    # Lengths such that white on black is 255, whatever the number of channels.
    unit = (vector / np.abs(vector).sum()).astype(np.float32)
    along = pixels @ unit
    return np.asarray(unit if float((along * along * along).sum()) >= 0 else -unit)


def _spread(total: int, most: int) -> Array:
    """Return at most so many positions, spread evenly: a data set may be sorted by class."""
    return np.unique(np.linspace(0, total - 1, min(total, most)).astype(np.int64))


def _are_coloured(images: Array) -> bool:
    return images.shape[3] == 3 and float(np.ptp(images, axis=3).mean()) > 255 * _COLOURED


def _ink(image: Array) -> Ink | None:
    """Return the ink of a drawing; None for an image without a paper of one colour."""
    if min(image.shape[:2]) < 3:
        return None
    sides = sides_of(image)
    is_paper = np.abs(sides - np.median(sides, axis=0)).max(axis=1) <= 255 * _PLAIN
    if is_paper.mean() < 0.5 or np.ptp(image) < 255 * _PLAIN:
        return None
    return "light" if is_light_on_dark(image) else "dark"


def _box(images: Array) -> float | None:
    """Return the box, in shares of the side, that light drawings on dark lie in as those of MNIST do; None if not.

    Source: LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition, III.A.
    """
    height, width = images.shape[1:3]
    if height != width or height < 14:
        return None
    grey = images.mean(axis=3)
    strength = np.maximum(grey - np.median(grey[:, [0, -1]], axis=(1, 2))[:, np.newaxis, np.newaxis], 0)
    drawn = strength > 255 * _PLAIN / 2
    longer = np.maximum(*(_extent(drawn.any(axis=axis)) for axis in (1, 2)))
    box, off = float(np.median(longer)), _OFF * height / 28
    fits = np.abs(longer - box) <= off
    mass = np.maximum(strength.sum(axis=(1, 2)), 1)
    for axis in (1, 2):
        centre = (strength.sum(axis=axis) @ np.arange(height)) / mass
        fits &= np.abs(centre - height / 2) <= off
    is_box = 0 < box <= _LARGEST_BOX * height and fits.mean() >= _MOST_ALIKE
    return box / height if is_box else None


def _extent(is_there: Array) -> Array:
    """Return how long the part of each row is, bool (n, side), outside of which nothing is."""
    length: Array = is_there.shape[1] - is_there[:, ::-1].argmax(axis=1) - is_there.argmax(axis=1)
    return length
