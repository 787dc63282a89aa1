"""Pictures of one run: learning curves, confident mistakes, reliability diagram, those of labels and of numbers."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import numpy.typing as npt
from PIL import Image

from mnist_exp.config import wording
from mnist_exp.evaluation.axes import UPPER_LEFT, Axes, around
from mnist_exp.evaluation.canvas import BLUE, GREY, ORANGE, Canvas, Entry, fitted, pixels, text_width
from mnist_exp.evaluation.metrics import Bin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]
Picture = Union[Canvas, "Figure"]  # Tasks of the user's own may draw with matplotlib.
_MISTAKES = 25  # images in the figure of mistakes
_SMALL = 7  # points, of its texts
_MOST_LABELS = 60  # in the figure of labels
_NUMBERS = 6  # whose residuals are drawn
_FOUND, _MISSED, _WRONG = "#2b6cb0", "#c53030", "#dd9b4a"


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


def label_counts(y: Array, predicted: Array, names: Sequence[str], images: str = "test images") -> Canvas:
    """Draw, for each of several labels, how often it was found, missed, and predicted where it is not.

    Of more than 60 labels, those with most mistakes.

    Args:
        y: labels of 0 and 1, shape (n, labels).
        predicted: predicted labels, bool or 0 and 1, shape (n, labels).
        names: one name per label.
        images: what the title calls the images.
    """
    is_there, said = y > 0, predicted > 0
    which = ""
    if len(names) > _MOST_LABELS:
        wrong = (is_there != said).sum(axis=0)
        shown = np.sort(np.argsort(-wrong, kind="stable")[:_MOST_LABELS])
        which = f", the {_MOST_LABELS} of {len(names)} with most mistakes"
        is_there, said, names = is_there[:, shown], said[:, shown], [names[each] for each in shown]
    names = [wording.short_name(name) for name in names]
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
    axes.title(f"labels of {len(y):,} {images}{which}")
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
        drawn = np.clip(x[index], 0, 255).astype(np.uint8)
        image = Image.fromarray(drawn[..., 0] if channels == 1 else drawn[..., :3])
        how = Image.Resampling.NEAREST if width <= wide else Image.Resampling.BOX
        canvas.image.paste(image.resize((wide, high), how), (left, top))
        confidence = probabilities[index, predicted[index]]
        lines = (("", names[predicted[index]], f" ({confidence:.0%})"), ("is ", names[y[index]], f", no. {index}"))
        for line, (before, name, after) in enumerate(lines):
            shown = fitted(name, wide + 4 - text_width(before + after, _SMALL), _SMALL)
            words = f"{before}{shown}{after}"
            canvas.text(left + wide / 2, top - 17 + 12 * line, words, points=_SMALL, anchor="ms")
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
