"""Figures of a report. A figure is drawn only if the runs have the data for it."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from mnist_exp.comparison.groups import Family, Group, Grouping
from mnist_exp.comparison.metric import Metric
from mnist_exp.comparison.options import ABSENT, shown
from mnist_exp.search.space import number
from mnist_exp.sweeps.outcome import against, figures
from mnist_exp.sweeps.outcome.leaderboard import Row, in_order
from mnist_exp.tracking import names

NAMES = {
    "configurations.png": "Each configuration: one point per seed; the mean and its 95 % interval in black.",
    "learning_curves.png": "Mean over the seeds at each epoch; the band is one standard deviation up and down.",
    "heat_map.png": "The mean for each pair of values; the best cell has a frame.",
    "parallel_coordinates.png": "One line per configuration, from the values of its options to its mean.",
    "costs.png": "The cost: number of parameters, and seconds of training (which depend on the load of the machine).",
}
MOST_CURVES = 10
_MOST_LINES = 40
_MOST_AXES = 8
_MOST_TICKS = 12
_LONGEST = 64  # characters of a label
_WIDE = 8  # An axis is logarithmic if its largest value is this many times the smallest.
_FOOT = 0.15  # of an axis, below its least value
_DPI = 110
_BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1}
_MARKERS = "osD^v<>Pph"

Curve = Mapping[int, float]


def draw_all(folder: Path, grouping: Grouping, curves: Mapping[str, Mapping[str, Curve]]) -> list[str]:
    """Draw the figures that the runs have data for, and return their file names.

    Args:
        folder: folder to write to; must exist.
        grouping: the runs. Only the first family, which is the largest, is drawn.
        curves: run id → metric name → epoch → value, for some of the runs.
    """
    family, metric = grouping.families[0], grouping.metric
    drawn: dict[str, Figure | None] = {
        "configurations.png": configurations(family, metric),
        "learning_curves.png": learning_curves(family, metric, curves),
        "heat_map.png": heat_map(family, grouping),
        "parallel_coordinates.png": parallel_coordinates(family, grouping),
        "costs.png": costs(family, metric),
    }
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing from font"
        )  # A box is drawn instead; the tables have the text.
        for name, figure in drawn.items():
            if figure is not None:
                _save(figure, folder / name)
    return [name for name, figure in drawn.items() if figure is not None]


def _save(figure: Figure, file: Path) -> None:
    """Write a figure with 128 colours: a third of the bytes, and it stands in a page beside much else."""
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
    picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, "PNG")


_NO_SCORES = (names.LEARNING_RATE, names.EPOCH_TIME_S, names.IMAGES_PER_S)


def epoch_metric(metric: Metric) -> str:
    """Return the metric per epoch that is closest to the compared metric."""
    name = metric.name.removeprefix("best_").replace("test_", "val_")
    is_of_epochs = names.is_of_epochs(name) or name.startswith("val_")
    return name if is_of_epochs and name not in _NO_SCORES else names.VAL_ACCURACY


def configurations(family: Family, metric: Metric) -> Figure | None:
    """Plot the seeds, mean and interval of each configuration, best on top; None for a single run."""
    groups = family.groups[:_MOST_LINES]
    if len(groups) == 1 and groups[0].n == 1:
        return None
    figure, axes = _figure(8, 1.1 + 0.32 * max(len(groups), 2))
    for row, group in enumerate(groups):
        scores = [*group.scores.values()]
        axes.plot(scores, [row] * len(scores), "o", color="C0", alpha=0.55, markersize=5)
        if group.interval:
            axes.plot(group.interval, [row, row], color="black", linewidth=1.6)
        if group.n > 1:
            axes.plot(group.mean, row, "D", color="black", markersize=5)
    axes.set_yticks(range(len(groups)), [_short(group.label) for group in groups], parse_math=False)
    axes.set_ylim(len(groups) - 0.4, -0.6)
    more = f", the best {len(groups)} of {len(family.groups)}" if len(family.groups) > len(groups) else ""
    axes.set(xlabel=_safe(metric.name), title=f"configurations{more}")
    axes.grid(alpha=0.3)
    return figure


def learning_curves(family: Family, metric: Metric, curves: Mapping[str, Mapping[str, Curve]]) -> Figure | None:
    """Plot the metric and the loss by epoch, for the best configurations; None if no run has curves."""
    groups = [group for group in family.groups[:MOST_CURVES] if any(run.run_id in curves for run in group.runs)]
    if not groups:
        return None
    figure = Figure(figsize=(10, 4.2 + 0.1 * len(groups)), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = epoch_metric(metric)
    _draw_curves(left, groups, curves, shown, "-")
    _draw_curves(right, groups, curves, names.VAL_LOSS, "-")
    _draw_curves(right, groups, curves, names.LOSS, ":")
    left.set(title=_safe(shown))
    right.set(title="val_loss; dotted: training loss")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
    more = (
        f"the best {len(groups)} of {len(family.groups)} configurations" if len(family.groups) > len(groups) else None
    )
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, title=more)
    return figure


def heat_map(family: Family, grouping: Grouping) -> Figure | None:
    """Draw the mean for each pair of values as a grid; None unless exactly two options differ."""
    keys = family.varied(grouping.keys)
    if len(keys) != 2:
        return None
    down, across = keys
    sizes = [len({group.values[key] for group in family.groups}) for key in (down, across)]
    if min(sizes) < 2 or len(family.groups) * 2 <= math.prod(sizes):
        return None
    metric = grouping.metric
    rows = [
        Row(group.label, group.values, outcome="done", objective=score)
        for group in family.groups
        for score in group.scores.values()
    ]
    names = {key: _safe(name) for key, name in grouping.names.items()}
    return figures.heat_map(rows, down, across, _safe(metric.name), metric.direction, names)


def parallel_coordinates(family: Family, grouping: Grouping) -> Figure | None:
    """Draw one line per configuration through its options' values, coloured by the mean; None below two options."""
    metric, keys = grouping.metric, family.varied(grouping.keys)[:_MOST_AXES]
    if len(keys) < 2 or len(family.groups) < 3:
        return None
    figure, axes = _figure(2.5 + 1.8 * len(keys), 4.2)
    means = np.array([group.mean for group in family.groups])
    norm = Normalize(float(means.min()), float(means.max()))
    heights = [_scale(axes, place, key, [g.values[key] for g in family.groups]) for place, key in enumerate(keys)]
    last = np.array([0.5] * len(means)) if np.ptp(means) == 0 else norm(means).data
    lines = np.array([[*((p, h[i]) for p, h in enumerate(heights)), (len(keys), last[i])] for i in range(len(means))])
    worst_first = np.argsort(metric.sign * means, kind="stable")
    cmap = "viridis" if metric.sign > 0 else "viridis_r"
    drawn = LineCollection([*lines[worst_first]], cmap=cmap, norm=norm, linewidths=1.6, alpha=0.85)
    drawn.set_array(means[worst_first])
    axes.add_collection(drawn)
    for place in range(len(keys) + 1):
        axes.axvline(place, color="0.4", linewidth=0.8, zorder=0)
    names = [_short(grouping.names[key], 24) for key in keys]
    axes.set_xticks(range(len(keys) + 1), [*names, _safe(metric.name)], parse_math=False)
    axes.set(xlim=(-0.4, len(keys) + 0.15), ylim=(-0.06, 1.06), yticks=[])
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(False)
    figure.colorbar(drawn, ax=axes, label=_safe(metric.name))
    return figure


def costs(family: Family, metric: Metric) -> Figure | None:
    """Plot the metric against the number of parameters and the training time; None for a single configuration."""
    groups = family.groups
    points_by_cost = {
        name: [(group.mean_of(name), group) for group in groups if (group.mean_of(name) or 0) > 0]
        for name in (names.PARAMETERS, names.FIT_TIME_S)
    }
    if len(groups) < 2 or not all(points_by_cost.values()):
        return None
    figure = Figure(figsize=(10, 4.2 + 0.1 * min(len(groups), MOST_CURVES)), layout="constrained")
    for axes, (name, points) in zip(figure.subplots(1, 2, sharey=True), points_by_cost.items(), strict=True):
        x = np.array([value for value, _ in points if value])
        means = np.array([group.mean for _, group in points])
        stds = np.array([group.std or 0.0 for _, group in points])
        how: dict[str, Any] = {"elinewidth": 0.8, "alpha": 0.85}
        for place, (_, group) in enumerate(points[:MOST_CURVES]):
            label, colour = " " + _safe(_short(group.label)), colormaps["tab10"](place)
            one = (x[place], means[place], stds[place])
            axes.errorbar(*one, fmt=_MARKERS[place % len(_MARKERS)], color=colour, zorder=3, label=label, **how)
        others = slice(MOST_CURVES, None)  # All in one call: hundreds of calls take seconds.
        axes.errorbar(x[others], means[others], stds[others], fmt=".", color="0.7", zorder=1, **how)
        if max(x) >= 4 * _WIDE * min(x):
            against.logarithmic(axes, min(x), max(x))
        axes.set_xlabel(name)
        axes.margins(x=0.2)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel(f"{_safe(metric.name)}, mean ± std")
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _draw_curves(
    axes: Axes, groups: Sequence[Group], curves: Mapping[str, Mapping[str, Curve]], name: str, style: str
) -> None:
    for place, group in enumerate(groups):
        histories = [curves[run.run_id].get(name, {}) for run in group.runs if run.run_id in curves]
        # Only epochs that all seeds reached: with fewer seeds the mean would jump.
        epochs = sorted(set.intersection(*(set(history) for history in histories)))
        table = np.array([[history[epoch] for epoch in epochs] for history in histories], float)
        table[~np.isfinite(table) | (np.abs(table) > 1e15)] = np.nan
        if not epochs or np.isnan(table).all():
            continue
        mean = table.mean(axis=0)
        colour = colormaps["tab10"](place % 10)
        axes.plot(epochs, mean, style, color=colour, marker="o", markersize=2.5, label=" " + _safe(_short(group.label)))
        if len(table) > 1 and style == "-":
            std = table.std(axis=0, ddof=1)
            axes.fill_between(epochs, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)


def _scale(axes: Axes, place: int, key: str, values: Sequence[str]) -> list[float]:
    """Return the position of each value on an axis from 0 to 1, and write the values beside the axis.

    Where an option does not apply, its place is at the foot.
    """
    distinct = in_order([value for value in values if value != ABSENT])
    numbers = [number(value) for value in distinct]
    points = np.arange(len(distinct), dtype=float)
    if None not in numbers and len(distinct) > _MOST_TICKS:  # Few values are easier to read with equal spacing.
        points = np.array(numbers, float)
        if points.min() > 0 and points.max() >= _WIDE * points.min():
            points = np.log(points)
    low, high = points.min(), points.max()
    heights = (points - low) / (high - low) if high > low else points * 0 + 0.5
    named = distinct if len(distinct) <= _MOST_TICKS else [distinct[0], distinct[len(distinct) // 2], distinct[-1]]
    if ABSENT in values:
        heights = _FOOT + (1 - _FOOT) * heights
        named = [ABSENT, *named]
    at = dict(zip(distinct, heights, strict=True)) | {ABSENT: 0.0}
    for value in named:
        text = _short(shown(key, value), 16)
        axes.text(place - 0.04, at[value], text, ha="right", va="center", fontsize=8, parse_math=False, bbox=_BOX)
    return [at[value] for value in values]


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _short(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest // 2 - 1]}…{text[-(longest // 2) :]}"


def _safe(text: str) -> str:
    """Return a text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")
