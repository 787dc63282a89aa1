"""Figures of one run: learning curves, confusion matrix, confident mistakes, reliability diagram."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from mnist_exp.evaluation.metrics import Bin

Array = npt.NDArray[Any]
_LABELLED = 20  # classes up to which the confusion matrix shows names and counts
_MISTAKES = 25  # images in the figure of mistakes
_NUMBERS = 6  # whose residuals are drawn


def write(folder: Path, figures: Mapping[str, Figure]) -> None:
    """Write figures as PNG files.

    Args:
        folder: folder to write to; must exist.
        figures: the figures by file name.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # A box is drawn instead; tables have the text.
        for name, figure in figures.items():
            figure.savefig(
                folder / name, pil_kwargs={"compress_level": 1}
            )  # Takes half the time, for a fifth more bytes.


def learning_curves(history: Mapping[str, Sequence[float]], running: str = "accuracy") -> Figure:
    """Plot the loss and one more metric by epoch, for training and validation.

    Args:
        history: the values of each metric, one per epoch.
        running: the name of the other metric.
    """
    figure = Figure(figsize=(9, 3.6))
    figure.subplots_adjust(0.06, 0.14, 0.98, 0.9, wspace=0.2)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", running), strict=True):
        for name, words in ((metric, "training"), (f"val_{metric}", "validation")):
            values = history.get(name, [])
            axes.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=words)
        axes.set(title=metric, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def confusion_matrix(y: Array, predicted: Array, names: Sequence[str], images: str = "test images") -> Figure:
    """Draw the confusion matrix. The colours show the mistakes only, since the correct predictions would hide them.

    Args:
        y: true labels, integers from 0, shape (n,).
        predicted: predicted labels, shape (n,).
        names: one name per class.
        images: what the title calls the images.
    """
    classes = len(names)
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (y, predicted), 1)
    mistakes = counts.astype(float)
    np.fill_diagonal(mistakes, np.nan)
    side = min(max(4.5, 0.55 * classes), 14)
    figure = Figure(figsize=(side + 0.8, side))
    axes = figure.add_axes((0.16, 0.14, 0.66, 0.76))
    scale = figure.add_axes((0.85, 0.2, 0.03, 0.64))
    image = axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(float(np.nanmax(mistakes)), 1))
    figure.colorbar(image, cax=scale, label="mistakes")
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(f"{int((y == predicted).sum()):,} of {len(y):,} {images} right", parse_math=False)
    if classes <= _LABELLED:
        rotation = 45 if max(map(len, names)) > 3 else 0
        axes.set_xticks(
            range(classes), names, rotation=rotation, ha="right" if rotation else "center", parse_math=False
        )
        axes.set_yticks(range(classes), names, parse_math=False)
        dark = np.nanmax(mistakes) / 2
        for (row, column), count in np.ndenumerate(counts):
            if count:
                on_red = "white" if count > dark else "black"
                colour = "grey" if row == column else on_red
                axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    return figure


def label_counts(y: Array, predicted: Array, names: Sequence[str], images: str = "test images") -> Figure:
    """Draw, for each of several labels, how often it was found, missed, and predicted where it is not.

    Args:
        y: labels of 0 and 1, shape (n, labels).
        predicted: predicted labels, bool or 0 and 1, shape (n, labels).
        names: one name per label.
        images: what the title calls the images.
    """
    is_there, said = y > 0, predicted > 0
    counts = [("found", is_there & said, "#2b6cb0"), ("missed", is_there & ~said, "#c53030")]
    counts += [("not there, but predicted", ~is_there & said, "#dd9b4a")]
    figure = Figure(figsize=(7, min(max(2.5, 1 + 0.3 * len(names)), 40)), layout="constrained")
    axes = figure.add_subplot()
    rows, left = np.arange(len(names)), np.zeros(len(names))
    for words, which, colour in counts:
        axes.barh(rows, which.sum(axis=0), left=left, label=words, color=colour)
        left += which.sum(axis=0)
    axes.set_yticks(rows, names, parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel="images")
    axes.set_title(f"labels of {len(y):,} {images}", parse_math=False)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def residuals(y: Array, predicted: Array, names: Sequence[str], images: str = "test images") -> Figure:
    """Draw, for each number, the predictions against the true values, and the errors against the predictions.

    Args:
        y: true values, shape (n, numbers).
        predicted: shape (n, numbers).
        names: one name per number.
        images: what the title calls the images.
    """
    shown = names[:_NUMBERS]
    figure = Figure(figsize=(9, 3.6 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), 2, squeeze=False)
    for column, (name, (left, right)) in enumerate(zip(shown, grid, strict=True)):
        true, said = y[:, column], predicted[:, column]
        low, high = float(min(true.min(), said.min())), float(max(true.max(), said.max()))
        left.plot([low, high], [low, high], color="grey", linestyle="--", linewidth=1)
        left.plot(true, said, ".", markersize=3, alpha=0.5)
        left.set(xlabel="true", ylabel="predicted")
        right.axhline(0, color="grey", linestyle="--", linewidth=1)
        right.plot(said, said - true, ".", markersize=3, alpha=0.5)
        right.set(xlabel="predicted", ylabel="predicted − true")
        for axes in (left, right):
            axes.set_title(f"{name}, {len(y):,} {images}", parse_math=False)
            axes.grid(alpha=0.3)
    return figure


def confident_mistakes(
    x: Array, y: Array, probabilities: Array, names: Sequence[str], place: str = "the test set"
) -> Figure:
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
    # All images on one pair of axes: 25 pairs take four times as long to draw.
    caption = round(0.45 * height)
    sheet = np.full((rows * (height + caption), columns * (width + 2), channels), 255, np.float32)
    figure = Figure(figsize=(1.45 * columns, 1.45 * rows * (height + caption) / (width + 2) + 0.5))
    axes = figure.add_axes((0.02, 0.01, 0.96, 0.9))
    axes.axis("off")
    for position, index in enumerate(surest):
        top, left = (position // columns) * (height + caption) + caption, (position % columns) * (width + 2)
        sheet[top : top + height, left : left + width] = x[index]
        confidence = probabilities[index, predicted[index]]
        text = f"{names[predicted[index]]} ({confidence:.0%})\nis {names[y[index]]}, no. {index}"
        axes.text(left + width / 2, top - 1.5, text, fontsize=7, ha="center", va="bottom", parse_math=False)
    picture = sheet[..., 0] if channels == 1 else sheet[..., :3]
    axes.imshow(picture / 255, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    title = f"the most confident of {len(wrong):,} mistakes on {place}" if len(wrong) else f"no mistake on {place}"
    figure.suptitle(title, parse_math=False)
    return figure


def reliability(bins: Sequence[Bin], ece: float, images: str) -> Figure:
    """Draw a reliability diagram: accuracy by confidence, with the number of images in each bin below.

    Args:
        bins: bins of equal width.
        ece: expected calibration error.
        images: what the title calls the images.
    Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599, figure 1.
    """
    figure = Figure(figsize=(5.2, 6))
    above = figure.add_axes((0.13, 0.37, 0.83, 0.56))
    below = figure.add_axes((0.13, 0.09, 0.83, 0.22), sharex=above)
    lows, widths = [each.low for each in bins], [each.high - each.low for each in bins]
    filled = [each for each in bins if each.images]
    confidence, accuracy = np.array([[each.confidence, each.accuracy] for each in filled], np.float64).T
    above.bar([each.low for each in filled], accuracy, widths[0], align="edge", edgecolor="white", label="accuracy")
    above.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1, label="perfectly calibrated")
    above.plot(confidence, accuracy, "o", color="black", markersize=4, label="mean confidence of the bin")
    above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    above.set_title(f"expected calibration error {ece:.4f}, {images}", parse_math=False, fontsize=11)
    above.legend(loc="upper left", fontsize=8)
    below.bar(lows, [each.images for each in bins], widths, align="edge", edgecolor="white", color="grey")
    below.set(xlabel="confidence", ylabel="images", yscale="log")
    below.set_ylim(bottom=0.7)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    return figure
