"""Figures of a sweep: heat map, learning curves and Pareto front; those of what mattered are in `option_figures`."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from mnist_exp.analysis.mattered import Mattered
from mnist_exp.search.space import short_names
from mnist_exp.sweeps.outcome import option_figures
from mnist_exp.sweeps.outcome.against import LONGEST_TICK, logarithmic, name_ticks, shorten
from mnist_exp.sweeps.outcome.leaderboard import Row, grid_options, in_order, pareto, varied

_MOST_LABELS = 12
_MOST_CELLS = 15
_LONGEST_LABEL = 40


def draw_all(
    folder: Path,
    rows: Sequence[Row],
    keys: Sequence[str],
    objective: str,
    direction: str,
    curves: Sequence[tuple[str, Sequence[float]]],
    found: Mattered | None,
    minimized: str | None,
) -> None:
    """Write the figures that can be drawn from the results of a sweep.

    Args:
        folder: where the PNG files are written.
        rows: all jobs of the sweep.
        keys: the swept options.
        objective: name of the objective.
        direction: maximize or minimize.
        curves: for each job its name and its objective in every epoch.
        found: what mattered; None if that is not known.
        minimized: name of the metric that is minimized as a second objective; None if there is none.
    """
    warnings.filterwarnings("ignore", "Glyph .* missing from font")  # A box is drawn; the tables have the text.
    names = short_names(keys)
    done = [row for row in rows if row.outcome == "done" and not math.isnan(row.objective)]
    differing = varied(done, keys)
    if (options := grid_options(done, keys)) is not None:
        heat_map(done, *options, objective, direction, names).savefig(folder / "heat_map.png")
    if differing:
        dependences = found.dependences if found is not None else ()
        drawn = option_figures.by_option(done, differing, objective, names, dependences)
        drawn.savefig(folder / "objective_by_option.png")
    if curves:
        learning_curves(curves, objective, direction).savefig(folder / "learning_curves.png")
    if found is not None:
        option_figures.importance(found, names).savefig(folder / "importance.png")
        if found.curve is not None:
            option_figures.best_so_far(found.curve, objective).savefig(folder / "best_so_far.png")
    if minimized and done:
        front(done, objective, direction, minimized).savefig(folder / "pareto_front.png")


def heat_map(
    rows: Sequence[Row], down: str, across: str, objective: str, direction: str, names: Mapping[str, str]
) -> Figure:
    """Draw the mean objective for each pair of values of two options, with a frame around the best cell.

    Args:
        rows: jobs that are done.
        down: the option on the vertical axis.
        across: the option on the horizontal axis.
        objective: name of the objective.
        direction: maximize or minimize.
        names: short name of each option.
    """
    y, x = (in_order([row.values[key] for row in rows]) for key in (down, across))
    cells: list[list[list[float]]] = [[[] for _ in x] for _ in y]
    for row in rows:
        cells[y.index(row.values[down])][x.index(row.values[across])].append(row.objective)
    means = np.array([[np.mean(cell) if cell else np.nan for cell in line] for line in cells])
    several = max(len(cell) for line in cells for cell in line)
    width, height = max(4.6, 1.6 + 0.85 * len(x)), max(3.4, 1.5 + 0.6 * len(y))
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(means, cmap="viridis" if direction == "maximize" else "viridis_r", aspect="auto")
    figure.colorbar(image, label=objective)
    name_ticks(axes, range(len(x)), x)
    axes.set_yticks(range(len(y)), [shorten(value, LONGEST_TICK) for value in y], parse_math=False)
    note = f", mean of up to {several} runs" if several > 1 else ""
    axes.set(xlabel=names[across], ylabel=names[down], title=f"{objective}{note}")
    low, high = np.nanmin(means), np.nanmax(means)
    for (i, j), value in np.ndenumerate(means):
        if not np.isnan(value) and len(x) <= _MOST_CELLS and len(y) <= _MOST_CELLS:
            bright = (value - low) / (high - low or 1)
            bright = bright if direction == "maximize" else 1 - bright
            axes.text(
                j, i, f"{value:.4f}", ha="center", va="center", fontsize=9, color="black" if bright > 0.6 else "white"
            )
    best = np.nanargmax(means) if direction == "maximize" else np.nanargmin(means)
    i, j = np.unravel_index(best, means.shape)
    axes.add_patch(Rectangle((float(j) - 0.5, float(i) - 0.5), 1, 1, fill=False, edgecolor="red", linewidth=2))
    return figure


def learning_curves(curves: Sequence[tuple[str, Sequence[float]]], objective: str, direction: str) -> Figure:
    """Draw the objective of each job in every epoch; if there are many jobs, only the best are named."""
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.add_subplot()
    sign = -1 if direction == "maximize" else 1
    order = sorted(curves, key=lambda curve: sign * curve[1][-1] if math.isfinite(curve[1][-1]) else math.inf)
    colours = colormaps["tab20"].colors[::2] + colormaps["tab20"].colors[1::2]  # type: ignore[attr-defined]
    for rank, (name, values) in enumerate(order):
        named = rank < _MOST_LABELS
        axes.plot(
            range(1, len(values) + 1),
            values,
            marker="o",
            markersize=3,
            # Matplotlib leaves a label that begins with an underscore, such as _target_=…, out of the legend.
            label=" " + shorten(name, _LONGEST_LABEL).replace("$", r"\$") if named else None,
            color=colours[rank] if named else "0.75",
            linewidth=1.4 if named else 0.7,
            zorder=3 if named else 1,
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    every = np.concatenate([values for _, values in order])
    title = f"{len(order)} jobs, the best first" if len(order) > 1 else "1 job"
    axes.set(xlabel="epoch", ylabel=objective, title=title)
    every = every[np.isfinite(every)]
    if every.size:
        low, high = _shown_range(every, direction)
        margin = 0.05 * (high - low) or 0.01
        axes.set_ylim(low - margin, high + margin)
    axes.grid(alpha=0.3)
    if len(order) > 1:
        figure.legend(loc="outside right center", fontsize=8, frameon=False)
    return figure


def front(rows: Sequence[Row], objective: str, direction: str, minimized: str) -> Figure:
    """Draw the objective against the second, minimized objective, with the Pareto front as a line."""
    known = [row for row in rows if minimized in row.metrics]
    best = pareto(known, direction, minimized)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    costs = [row.metrics[minimized] for row in known]
    axes.scatter(costs, [row.objective for row in known], color="0.7", label="dominated")
    axes.plot([r.metrics[minimized] for r in best], [r.objective for r in best], marker="o", label="Pareto front")
    axes.set(xlabel=minimized, ylabel=objective)
    if costs and min(costs) > 0:
        logarithmic(axes, min(costs), max(costs))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _shown_range(values: npt.NDArray[np.float64], direction: str) -> tuple[float, float]:
    """Return the ends of the axis. The poorest tenth is cut off if it would squeeze the other curves together."""
    low, high = float(np.min(values)), float(np.max(values))
    if direction == "maximize":
        tenth = float(np.quantile(values, 0.1))
        return (tenth if tenth - low > high - tenth else low), high
    tenth = float(np.quantile(values, 0.9))
    return low, (tenth if high - tenth > tenth - low else high)
