"""Turn any image of a digit into one like those of MNIST.

MNIST's digits were scaled into a box of 20×20, their proportions kept and their edges smooth, and put into 28×28 such
that their centre of mass is in its middle. A network trained on these alone reads other images badly.

Real test digits on pages of 300×300 pixels are then read with an accuracy of 0.986, and with 0.25 if they are merely
scaled down (benchmarks/preprocessing.py).

Source: LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition, section III.A.
"""

from dataclasses import dataclass

import numpy as np
import scipy  # Its modules are imported at their first use: an image that is as in MNIST needs none.

from mnist_exp.data.appearance import LUMINANCE, Ink, is_light_on_dark, main_direction, sides_of
from mnist_exp.data.dataset import Array
from mnist_exp.data.images.files import scale
from mnist_exp.errors import DataError

BOX = 20 / 28  # of the image's side
INVERTED = "inverted: dark on light"
_INVERTED: dict[Ink, str] = {"light": INVERTED, "dark": "inverted: light on dark"}  # by the ink that a model knows
AS_IT_IS, REDRAWN = "as it is", "drawn anew as in MNIST"
_LONGEST = 512  # pixels; larger images are scaled down first
_FAINTEST = 12  # levels of 255 between ink and paper
_FAINT = 0.04  # of the strongest ink: less is paper
_RULED = 0.6  # of the strongest ink: rules, squares and the edges of shadows are less
_SHADED = 0.15  # of the border: where more is far off the paper's surface, a shadow lies on it
_FEW = 64  # pixels of the longer side, enough to see shadows in
_SPECK = 0.03  # of the largest part's ink: less is dirt
_THINNEST, _THICK = 1.4, 2.2  # widths of strokes in the model's pixels


@dataclass(frozen=True)
class Prepared:
    """An image as a model takes it.

    Args:
        pixels: uint8, shape (height, width, channels).
        notes: what was done to it, for the user.
    """

    pixels: Array
    notes: tuple[str, ...] = ()


def as_mnist(image: Array, shape: tuple[int, int, int], known: Ink = "light", box: float = BOX) -> Prepared:
    """Return the drawing of an image in MNIST's style: light on black, scaled and centred; or the same dark on white.

    Paper may have any colour and uneven light, ink any colour. An image that has the model's size is at most inverted.

    Args:
        image: uint8, shape (height, width, 1 or 3).
        shape: height, width and channels that the model takes.
        known: the ink of what it was trained on.
        box: side of the box that it is drawn in, in shares of the image's.
    Raises: DataError: nothing is drawn.
    """
    if image.shape[:2] == shape[:2]:
        return plain(image, shape, known)
    found, is_light = ink(_reduced(image))
    side = box * min(shape[:2])
    drawing, is_thickened = _with_strokes(_cropped(found), side)
    pixels = _placed(_boxed(drawing, side), shape)
    notes = _of_ink(is_light, known)
    if is_thickened:
        notes.append("thin strokes thickened")
    notes.append(REDRAWN)
    return Prepared(_channels(pixels if known == "light" else 255 - pixels, shape[2]), tuple(notes))


def plain(image: Array, shape: tuple[int, int, int], known: Ink = "light") -> Prepared:
    """Return an image scaled to a model's size, inverted if its ink is not what the model knows.

    Args:
        image: uint8, shape (height, width, 1 or 3).
        shape: height, width and channels that the model takes.
        known: the ink of what it was trained on.
    Raises: DataError: nothing is drawn.
    """
    some = _reduced(image)
    if np.ptp(some.reshape(-1, some.shape[2]), axis=0).max() < _FAINTEST:
        raise DataError("nothing is drawn")
    notes = _of_ink(is_light_on_dark(some), known)
    scaled = scale(255 - image if notes else image, (shape[0], shape[1]))
    if scaled.shape[2] != shape[2]:
        scaled = _recoloured(scaled, shape[2])
    return Prepared(scaled, (*notes, *size_note(image, shape)) or (AS_IT_IS,))


def unchanged(image: Array, shape: tuple[int, int, int]) -> Prepared:
    """Return an image scaled to a model's size, as the data set `image_folder` reads what it trains on.

    Args:
        image: uint8, (height, width, channels); of a file with the channels that the model takes.
        shape: height, width and channels that it takes.
    """
    scaled = scale(image, (shape[0], shape[1]))
    if scaled.shape[2] != shape[2]:
        scaled = _recoloured(scaled, shape[2])
    return Prepared(scaled, size_note(image, shape) or (AS_IT_IS,))


def size_note(image: Array, shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Return what is said of an image that is scaled to a model's size; nothing if it has that size."""
    if image.shape[:2] == shape[:2]:
        return ()
    return (f"scaled from {image.shape[1]}×{image.shape[0]} to {shape[1]}×{shape[0]}",)


def _of_ink(is_light: bool, known: Ink) -> list[str]:
    """Return what is said of an image whose ink is not what a model knows; nothing if it is."""
    return [] if is_light == (known == "light") else [_INVERTED[known]]


def ink(image: Array) -> tuple[Array, bool]:
    """Return how much of an image's pixels is ink, float32 in 0 to 1, shape (height, width), and whether it is light.

    Paper is what the border shows; ink is what differs most from it, along one direction of colour.

    Args:
        image: uint8, shape (height, width, 1 or 3).
    Raises: DataError: nothing is drawn.
    """
    difference = image.astype(np.float32) - _paper(image)
    direction = main_direction(difference)
    along = difference @ direction
    noise = 1.4826 * float(np.median(np.abs(sides_of(along) - np.median(sides_of(along)))))
    strength = np.maximum(along, 0)
    # One pixel of noise is no ink: where there is noise, several must agree.
    calm = scipy.ndimage.gaussian_filter(strength, 1.0) if noise > 1 else strength
    if calm.max() < max(_FAINTEST, 4 * noise if noise > 1 else 0):
        raise DataError("nothing is drawn")
    strong = strength[calm > 0.4 * calm.max()]
    peak = float(np.percentile(strong, 75))
    ruled = float(np.percentile(sides_of(strength), 99.5))
    # What the border shows too is printed on the paper, or lies on it; if it is as strong as ink, it may be ink.
    faint = 1.2 * ruled if ruled < _RULED * peak else 0
    strength = _without_specks(strength, max(_FAINT * peak, 3 * noise, faint))
    is_light = bool(direction.sum() > 0 if len(direction) == 1 else direction @ LUMINANCE > 0)
    return np.minimum(strength / peak, 1, dtype=np.float32), is_light


def _paper(image: Array) -> Array:
    """Return the paper's colour, or, where its light is uneven, a smooth surface through it."""
    border = sides_of(image).astype(np.float32)
    colour = np.median(border, axis=0)
    if min(image.shape[:2]) < 8 or float(np.median(np.abs(border - colour), axis=0).max()) < 2:
        return colour
    height, width = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].reshape(2, -1).astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=1)
    pixels = image.reshape(height * width, -1).astype(np.float32)
    step = max(1, len(pixels) // 5_000)
    some, seen = terms[::step], pixels[::step]
    off = np.abs(seen - colour).max(axis=1)
    for _ in range(6):  # Each time without what lies farthest off the surface, which is ink.
        paper = off <= max(2.5 * 1.4826 * float(np.median(off)), 3.0)
        # By the normal equations, six of them: to solve for thousands of pixels costs ten times as much.
        known = some[paper]
        surface = np.linalg.lstsq(known.T @ known, known.T @ seen[paper])[0]
        off = np.abs(seen - some @ surface).max(axis=1)
    found = np.asarray((terms @ surface).reshape(image.shape))
    grain = float(np.median(np.abs(np.diff(image.astype(np.int16), axis=1))))
    is_off = np.abs(border - sides_of(found)).max(axis=1) > max(_FAINTEST, 4 * grain)
    return _shaded_paper(image) if is_off.mean() > _SHADED else found


def _shaded_paper(image: Array) -> Array:
    """Return the paper's colour where a shadow lies on it: the median around each pixel, which keeps straight edges."""
    small = scale(image, tuple(max(1, round(side * _FEW / max(image.shape[:2]))) for side in image.shape[:2]))
    window = round(0.4 * _FEW)
    smooth = np.stack(
        [scipy.ndimage.median_filter(each, window, mode="nearest") for each in np.moveaxis(small, 2, 0)], axis=2
    )
    return scale(smooth, image.shape[:2]).astype(np.float32)


def _without_specks(strength: Array, faint: float) -> Array:
    labels, count = scipy.ndimage.label(strength > faint, np.ones((3, 3)))
    if count == 0:
        raise DataError("nothing is drawn")
    mass = scipy.ndimage.sum_labels(strength, labels, np.arange(count + 1))
    mass[0] = 0
    return np.where((mass >= _SPECK * mass.max())[labels], strength, 0)


def _reduced(image: Array) -> Array:
    longest = max(image.shape[:2])
    if longest <= _LONGEST:
        return image
    height, width = (max(1, round(side * _LONGEST / longest)) for side in image.shape[:2])
    return scale(image, (height, width))


def _cropped(found: Array) -> Array:
    """Return the smallest rectangle with all of the ink."""
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    return found[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _with_strokes(drawing: Array, box: float) -> tuple[Array, bool]:
    """Return a drawing whose strokes are seen once it is scaled into the box, and whether that was needed."""
    pixel = max(drawing.shape) / box
    if pixel < 2:
        return drawing, False
    depth = scipy.ndimage.distance_transform_edt(np.pad(drawing > 0.5, 1))
    # Inside of a stroke the mean distance to its edge is a quarter of its width.
    width = (4 * float(depth[depth > 0].mean()) - 1) / pixel
    if width >= _THINNEST:
        return drawing, False
    radius = max(1, round((_THICK - width) * pixel / 2))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = x * x + y * y <= radius * radius
    return _cropped(scipy.ndimage.grey_dilation(np.pad(drawing, radius), footprint=disc)), True


def _boxed(drawing: Array, box: float) -> Array:
    """Return a drawing, float32, its longer side scaled to the box."""
    from PIL import Image

    ratio = round(box) / max(drawing.shape)
    height, width = (max(1, round(side * ratio)) for side in drawing.shape)
    if (height, width) == drawing.shape:
        return drawing
    image = Image.fromarray(np.ascontiguousarray(drawing, np.float32))
    scaled = np.asarray(image.resize((width, height), Image.Resampling.BOX if ratio < 1 else Image.Resampling.BILINEAR))
    return np.asarray(scaled / scaled.max())


def _placed(drawing: Array, shape: tuple[int, int, int]) -> Array:
    """Return an empty image with a drawing in it, its centre of mass in the middle."""
    pixels = np.zeros(shape[:2], np.float32)
    corner = []
    for side, part, centre in zip(shape, drawing.shape, scipy.ndimage.center_of_mass(drawing), strict=False):
        corner.append(int(np.clip(np.floor(side / 2 + 0.5 - centre), 0, side - part)))
    pixels[corner[0] : corner[0] + drawing.shape[0], corner[1] : corner[1] + drawing.shape[1]] = drawing
    return np.asarray(np.rint(255 * pixels))


def _recoloured(image: Array, channels: int) -> Array:
    """Return an image, uint8 (height, width, 1 or 3), with other channels."""
    # As Pillow makes grey of colour: pixels of equal channels stay what they are.
    return _channels(np.rint(image @ LUMINANCE) if image.shape[2] == 3 else image[..., 0], channels)


def _channels(pixels: Array, channels: int) -> Array:
    repeated = np.repeat(pixels[..., np.newaxis], channels, axis=2).astype(np.uint8)
    if channels == 4:
        repeated[..., 3] = 255
    return repeated
