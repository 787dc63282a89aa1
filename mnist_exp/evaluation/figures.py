"""Pictures of one run: learning curves, confusion matrix, confident mistakes, reliability diagram."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import numpy.typing as npt
from PIL import Image

from mnist_exp.config import wording
from mnist_exp.evaluation.axes import UPPER_LEFT, Axes, around
from mnist_exp.evaluation.canvas import BLUE, GREY, ORANGE, Canvas, Entry, pixels, text_width
from mnist_exp.evaluation.metrics import Bin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]
Picture = Union[Canvas, "Figure"]  # Tasks of the user's own may draw with matplotlib.
_LABELLED = 20  # classes up to which the confusion matrix shows names and counts
_MISTAKES = 25  # images in the figure of mistakes
_NUMBERS = 6  # whose residuals are drawn
_FOUND, _MISSED, _WRONG = "#2b6cb0", "#c53030", "#dd9b4a"
# Source: Reds of ColorBrewer, Brewer & Harrower 2003.
_REDS = "fff5f0 fee0d2 fcbba1 fc9272 fb6a4a ef3b2c cb181d a50f15 67000d"


def write(folder: Path, figures: Mapping[str, Picture]) -> None:
    """Write pictures as PNG files.

    Args:
        folder: folder to write to; must exist.
        figures: the pictures by file name.
    """
    for name, figure in figures.items():
        if isinstance(figure, Canvas):
            figure.save(folder / name)
        else:
            figure.savefig(folder / name, pil_kwargs={"compress_level": 1})


def learning_curves(history: Mapping[str, Sequence[float]], running: str = "accuracy") -> Canvas:
    """Plot the loss and one more metric by epoch, for training and validation.

    Args:
        history: the values of each metric, one per epoch.
        running: the name of the other metric.
    """
    canvas = Canvas(900, 360)
    for left, metric in ((64, "loss"), (514, running)):
        curves = {"training": history.get(metric, []), "validation": history.get(f"val_{metric}", [])}
        longest = max(map(len, curves.values()))
        every = [value for values in curves.values() for value in values]
        axes = Axes(canvas, (left, 36, left + 368, 310), around(range(1, longest + 1)), around(every))
        axes.grid(whole_x=True)
        places = []
        for values, colour in zip(curves.values(), (BLUE, ORANGE), strict=True):
            axes.curve(range(1, len(values) + 1), values, colour)
            places.append([axes.place(epoch, value) for epoch, value in enumerate(values, 1) if math.isfinite(value)])
        axes.frame(whole_x=True)
        axes.title(metric)
        axes.label_x("epoch")
        place = axes.free_place(list(curves), places)
        axes.legend([("training", BLUE, "curve"), ("validation", ORANGE, "curve")], place)
    return canvas


def confusion_matrix(y: Array, predicted: Array, names: Sequence[str], images: str = "test images") -> Canvas:
    """Draw the confusion matrix. The colours show the mistakes only, since the correct predictions would hide them.

    Args:
        y: true labels, integers from 0, shape (n,).
        predicted: predicted labels, shape (n,).
        names: one name per class.
        images: what the title calls the images.
    """
    classes, names = len(names), [wording.short_name(name) for name in names]
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (y, predicted), 1)
    mistakes = counts * (1 - np.eye(classes, dtype=np.int64))
    most = max(int(mistakes.max()), 1)
    side = pixels(min(max(4.5, 0.55 * classes), 14))
    width = side + 80
    is_labelled = classes <= _LABELLED
    beside = 42 + max(map(text_width, names)) if is_labelled else 80
    turned = 45 if is_labelled and max(map(len, names)) > 3 else 0
    below = max(0.14 * side, 52 + 0.75 * max(map(text_width, names))) if turned else 0.14 * side
    box = (beside, 0.1 * side, beside + 0.66 * width, 0.1 * side + 0.76 * side)
    canvas = Canvas(beside + 0.84 * width, 0.86 * side + below)
    axes = Axes(canvas, box, (-0.5, classes - 0.5), (classes - 0.5, -0.5))
    colours = _reds(mistakes / most)
    colours[np.arange(classes), np.arange(classes)] = 255
    size = (axes.right - axes.left, axes.bottom - axes.top)
    canvas.image.paste(Image.fromarray(colours).resize(size, Image.Resampling.NEAREST), (axes.left, axes.top))
    if is_labelled:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                on_red = "white" if count > most / 2 else "black"
                axes.canvas.text(*axes.place(column, row), str(count), points=8,
                                 colour=GREY if row == column else on_red)  # fmt: skip
        axes.mark_x(range(classes), names, turned=turned)
        axes.mark_y(range(classes), names)
    else:
        axes.frame(whole_x=True)
    axes.title(f"{int((y == predicted).sum()):,} of {len(y):,} {images} right")
    axes.label_x("predicted", below - 16 if turned else 36)
    axes.label_y("true", (max(map(text_width, names)) if is_labelled else 24) + 26)
    scale = Axes(canvas, (axes.right + 0.03 * width, 0.16 * side, axes.right + 0.06 * width, 0.8 * side),
                 (0, 1), (0, most))  # fmt: skip
    shades = _reds(np.linspace(1, 0, scale.bottom - scale.top)[:, np.newaxis].repeat(scale.right - scale.left, 1))
    canvas.image.paste(Image.fromarray(shades), (scale.left, scale.top))
    scale.scale("mistakes")
    return canvas


def label_counts(y: Array, predicted: Array, names: Sequence[str], images: str = "test images") -> Canvas:
    """Draw, for each of several labels, how often it was found, missed, and predicted where it is not.

    Args:
        y: labels of 0 and 1, shape (n, labels).
        predicted: predicted labels, bool or 0 and 1, shape (n, labels).
        names: one name per label.
        images: what the title calls the images.
    """
    names = [wording.short_name(name) for name in names]
    is_there, said = y > 0, predicted > 0
    counts = {
        "found": ((is_there & said).sum(axis=0), _FOUND),
        "missed": ((is_there & ~said).sum(axis=0), _MISSED),
        "not there, but predicted": ((~is_there & said).sum(axis=0), _WRONG),
    }
    height = pixels(min(max(2.5, 1 + 0.3 * len(names)), 40))
    beside = 24 + max(map(text_width, names))
    canvas = Canvas(beside + 620, height + 40)
    longest = int(max(sum(values for values, _ in counts.values())))
    box = (beside, 36, beside + 600, height - 40)
    axes = Axes(canvas, box, (0, 1.05 * max(longest, 1)), (len(names) - 0.5, -0.5))
    ends = np.zeros(len(names))
    for values, colour in counts.values():
        for row, (start, count) in enumerate(zip(ends, values, strict=True)):
            if count:
                canvas.rectangle(axes.x(start), axes.y(row - 0.4), axes.x(start + count), axes.y(row + 0.4), colour)
        ends += values
    axes.frame(whole_x=True, y_ticks=False)
    axes.mark_y(range(len(names)), names)
    axes.label_x("images")
    axes.title(f"labels of {len(y):,} {images}")
    at = beside
    for words, (_, colour) in counts.items():
        canvas.rectangle(at, height + 12, at + 20, height + 22, colour)
        canvas.text(at + 28, height + 17, words, anchor="lm")
        at += 60 + text_width(words)
    return canvas


def residuals(y: Array, predicted: Array, names: Sequence[str], images: str = "test images") -> Canvas:
    """Draw, for each number, the predictions against the true values, and the errors against the predictions.

    Args:
        y: true values, shape (n, numbers).
        predicted: shape (n, numbers).
        names: one name per number.
        images: what the title calls the images.
    """
    shown = names[:_NUMBERS]
    canvas = Canvas(900, 360 * len(shown))
    for column, name in enumerate(shown):
        true, said = y[:, column].astype(np.float64), predicted[:, column].astype(np.float64)
        off = said - true
        low, high = _range(off)
        panels = (
            (64, true, said, "true", "predicted", _range(true), _range(said)),
            (514, said, off, "predicted", "predicted − true", _range(said), (min(low, 0.0), max(high, 0.0))),
        )
        for left, xs, ys, x_words, y_words, x_range, y_range in panels:
            top = 360 * column + 36
            axes = Axes(canvas, (left + 16, top, left + 368, top + 274), x_range, y_range)
            axes.grid()
            if x_words == "true":
                low, high = max(x_range[0], y_range[0]), min(x_range[1], y_range[1])
                if low < high:
                    canvas.dashed(axes.place(low, low), axes.place(high, high), GREY)
            else:
                canvas.dashed(axes.place(x_range[0], 0), axes.place(x_range[1], 0), GREY)
            canvas.cloud(axes.x(xs), axes.y(ys), (31, 119, 180))
            axes.frame()
            axes.title(f"{name}, {len(y):,} {images}", 10)
            axes.label_x(x_words)
            axes.label_y(y_words, 66)
    return canvas


def confident_mistakes(
    x: Array, y: Array, probabilities: Array, names: Sequence[str], place: str = "the test set"
) -> Canvas:
    """Draw the images that the model got wrong with the highest confidence, highest first.

    Args:
        x: images, pixels 0-255, shape (n, height, width, channels).
        y: true labels, integers from 0, shape (n,).
        probabilities: the model's output, shape (n, classes).
        names: one name per class.
        place: what the title calls the set of images.
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != y)
    surest = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:_MISTAKES]
    columns = 5
    rows = max(-(-len(surest) // columns), 1)
    height, width, channels = x.shape[1:]
    wide = 136
    high = min(max(8, round(wide * height / width)), 4 * wide)
    canvas = Canvas(24 + columns * (wide + 9), 44 + rows * (high + 48), is_grey=channels == 1)
    for position, index in enumerate(surest):
        left, top = 16 + position % columns * (wide + 9), 84 + position // columns * (high + 48)
        shown = np.clip(x[index], 0, 255).astype(np.uint8)
        image = Image.fromarray(shown[..., 0] if channels == 1 else shown[..., :3])
        how = Image.Resampling.NEAREST if width <= wide else Image.Resampling.BOX
        canvas.image.paste(image.resize((wide, high), how), (left, top))
        confidence = probabilities[index, predicted[index]]
        lines = (f"{names[predicted[index]]} ({confidence:.0%})", f"is {names[y[index]]}, no. {index}")
        for line, text in enumerate(lines):
            canvas.text(left + wide / 2, top - 17 + 12 * line, text, points=7, anchor="ms")
    title = f"the most confident of {len(wrong):,} mistakes on {place}" if len(wrong) else f"no mistake on {place}"
    canvas.text(canvas.image.width / 2, 24, title, points=12)
    return canvas


def reliability(bins: Sequence[Bin], ece: float, images: str) -> Canvas:
    """Draw a reliability diagram: accuracy by confidence, with the number of images in each bin below.

    Args:
        bins: bins of equal width.
        ece: expected calibration error.
        images: what the title calls the images.
    Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599, figure 1.
    """
    canvas = Canvas(520, 600)
    above = Axes(canvas, (68, 42, 499, 378), (0, 1), (0, 1.02))
    most = max(each.images for each in bins)
    below = Axes(canvas, (68, 414, 499, 546), (0, 1), (0.7, max(1.5 * most, 10)), is_log=True)
    filled = [each for each in bins if each.images]
    for axes, colour, values in (
        (above, BLUE, [each.accuracy or 0.0 for each in filled]),
        (below, GREY, [float(each.images) for each in filled]),
    ):
        axes.grid()
        for each, value in zip(filled, values, strict=True):
            if axes is below or value > 0:
                top = axes.y(value)
                canvas.rectangle(axes.x(each.low), top, axes.x(each.high), axes.bottom, colour, "white")
    canvas.dashed(above.place(0, 0), above.place(1, 1), GREY)
    canvas.dots([above.place(each.confidence or 0.0, each.accuracy or 0.0) for each in filled], "black", 2.8)
    above.frame()
    below.frame()
    above.title(f"expected calibration error {ece:.4f}, {images}", 11)
    above.label_y("accuracy", 50)
    below.label_y("images", 50)
    below.label_x("confidence")
    entries: list[Entry] = [("perfectly calibrated", GREY, "dashes"), ("mean confidence of the bin", "black", "dot")]
    above.legend([*entries, ("accuracy", BLUE, "bar")], UPPER_LEFT, 8)
    return canvas


def _range(values: Array) -> tuple[float, float]:
    """Return a range in which all finite values lie."""
    finite = values[np.isfinite(values)]
    return around([float(finite.min()), float(finite.max())] if len(finite) else [])


def _reds(shares: Array) -> npt.NDArray[np.uint8]:
    """Return the colours of shares of the most, uint8 (…, 3)."""
    colours = np.array([list(bytes.fromhex(each)) for each in _REDS.split()], np.float64)
    places = np.linspace(0, 1, len(colours))
    each = [np.interp(shares, places, colours[:, channel]) for channel in range(3)]
    return np.rint(np.stack(each, axis=-1)).astype(np.uint8)
