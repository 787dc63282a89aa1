"""The confusion matrix as a picture: with counts for few classes, with a list of the most confused pairs for many."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mnist_exp.config import wording
from mnist_exp.evaluation.axes import Axes
from mnist_exp.evaluation.canvas import GREY, Canvas, pixels, text_width

Array = npt.NDArray[Any]
_COUNTED = 20  # classes up to which the cells show their counts
_SIDE, _LARGEST_CELL = 1100, 28  # pixels, of a matrix of many classes and of its cells
_LINE = 11  # pixels that a name needs
_LONGEST = 24  # characters of a name
_PAIRS = 30  # in the list
_APART = 130  # pixels from the matrix to the list; the scale of colours is between them
_POINTS, _ROW = 8, 20  # size of its font, and pixels of its rows
# Source: Reds of ColorBrewer, Brewer & Harrower 2003.
_REDS = "fff5f0 fee0d2 fcbba1 fc9272 fb6a4a ef3b2c cb181d a50f15 67000d"


def confusion_matrix(y: Array, predicted: Array, names: Sequence[str], images: str = "test images") -> Canvas:
    """Draw the confusion matrix. The colours show the mistakes only, since the correct predictions would hide them.

    Up to 20 classes its cells have their counts. Beyond that a list beside it has those of the most confused pairs.

    Args:
        y: true labels, integers from 0, shape (n,).
        predicted: predicted labels, shape (n,).
        names: one name per class.
        images: what the title calls the images.
    """
    names = [wording.short_name(name) for name in names]
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (y, predicted), 1)
    title = f"{int((y == predicted).sum()):,} of {len(y):,} {images} right"
    return (_of_few if len(names) <= _COUNTED else _of_many)(counts, names, title)


def _of_few(counts: Array, names: Sequence[str], title: str) -> Canvas:
    classes = len(names)
    mistakes = counts * (1 - np.eye(classes, dtype=np.int64))
    most = max(int(mistakes.max()), 1)
    side = pixels(max(4.5, 0.55 * classes))
    width, wide = side + 80, max(map(text_width, names))
    beside, turned = 42 + wide, 45 if max(map(len, names)) > 3 else 0
    below = max(0.14 * side, 52 + 0.75 * wide) if turned else 0.14 * side
    box = (beside, 0.1 * side, beside + 0.66 * width, 0.1 * side + 0.76 * side)
    canvas = Canvas(beside + 0.84 * width, 0.86 * side + below)
    axes = Axes(canvas, box, (-0.5, classes - 0.5), (classes - 0.5, -0.5))
    _paint(axes, mistakes / most)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            on_red = "white" if count > most / 2 else "black"
            axes.canvas.text(*axes.place(column, row), str(count), points=8,
                             colour=GREY if row == column else on_red)  # fmt: skip
    axes.mark_x(range(classes), names, turned=turned)
    axes.mark_y(range(classes), names)
    axes.title(title)
    axes.label_x("predicted", below - 16 if turned else 36)
    axes.label_y("true", wide + 26)
    _scale(canvas, (axes.right + 0.03 * width, 0.16 * side, axes.right + 0.06 * width, 0.8 * side), most)
    return canvas


def _of_many(counts: Array, names: Sequence[str], title: str) -> Canvas:
    classes, names = len(names), [_cut(name) for name in names]
    mistakes = counts * (1 - np.eye(classes, dtype=np.int64))
    most = max(int(mistakes.max()), 1)
    cell = min(max(_SIDE // classes, 1), _LARGEST_CELL)
    side = min(cell * classes, _SIDE)
    shown = range(0, classes, -(-_LINE * classes // side))  # Where names would overlap, every second, third, …
    labels = [names[each] for each in shown]
    wide = max(text_width(label, _POINTS) for label in labels)
    rows = _most_confused(counts, mistakes, names, (side - 2 * _ROW) // _ROW)
    widths = [max([text_width(row[column], _POINTS) for row in rows], default=0) for column in range(3)]
    left, top = 40 + wide, 44
    head = "true → predicted, mistakes, share of the class" if rows else "no mistake"
    listed = max(sum(widths) + 48, text_width(head, _POINTS))
    canvas = Canvas(left + side + _APART + listed + 16, top + side + wide + 44)
    axes = Axes(canvas, (left, top, left + side, top + side), (-0.5, classes - 0.5), (classes - 0.5, -0.5))
    _paint(axes, np.sqrt(mistakes / most))  # A few large numbers would leave all others white.
    axes.mark_x(shown, labels, turned=90, points=_POINTS)
    axes.mark_y(shown, labels, points=_POINTS)
    axes.title(title)
    axes.label_x("predicted", wide + 30)
    axes.label_y("true", wide + 24)
    _scale(canvas, (axes.right + 24, top, axes.right + 42, top + min(side, 420)), most, np.sqrt)
    ends = np.cumsum([axes.right + _APART, widths[0], widths[1] + 24, widths[2] + 24])
    canvas.text(ends[0], top + _ROW / 2, head, points=_POINTS, anchor="lm")
    for number, row in enumerate(rows, start=1):
        y = top + (number + 0.5) * _ROW
        canvas.text(ends[0], y, row[0], points=_POINTS, anchor="lm")
        for column in (1, 2):
            canvas.text(ends[column + 1], y, row[column], points=_POINTS, anchor="rm")
    return canvas


def _most_confused(counts: Array, mistakes: Array, names: Sequence[str], most: int) -> list[tuple[str, str, str]]:
    """Return the pairs of classes with most mistakes: both names, how many, and which share of the true class."""
    order = np.argsort(-mistakes, axis=None, kind="stable")[: min(most, _PAIRS)]
    places = [divmod(int(place), len(names)) for place in order]
    return [
        (f"{names[row]} → {names[column]}", f"{count:,}", f"{count / counts[row].sum():.0%}")
        for row, column in places
        if (count := int(mistakes[row, column]))
    ]


def _paint(axes: Axes, shares: Array) -> None:
    """Fill the cells with the colours of shares of the most, and those of correct predictions with white."""
    colours, classes = _reds(shares), len(shares)
    colours[np.arange(classes), np.arange(classes)] = 255
    size = (axes.right - axes.left, axes.bottom - axes.top)
    axes.canvas.image.paste(Image.fromarray(colours).resize(size, Image.Resampling.NEAREST), (axes.left, axes.top))


def _scale(
    canvas: Canvas, box: tuple[float, float, float, float], most: int, share: Callable[[Array], Array] = np.asarray
) -> None:
    scale = Axes(canvas, box, (0, 1), (0, most))
    levels = share(np.linspace(1, 0, scale.bottom - scale.top))
    shades = _reds(levels[:, np.newaxis].repeat(scale.right - scale.left, 1))
    canvas.image.paste(Image.fromarray(shades), (scale.left, scale.top))
    scale.scale("mistakes")


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _reds(shares: Array) -> npt.NDArray[np.uint8]:
    """Return the colours of shares of the most, uint8 (…, 3)."""
    colours = np.array([list(bytes.fromhex(each)) for each in _REDS.split()], np.float64)
    places = np.linspace(0, 1, len(colours))
    each = [np.interp(shares, places, colours[:, channel]) for channel in range(3)]
    return np.rint(np.stack(each, axis=-1)).astype(np.uint8)
