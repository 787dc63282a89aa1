"""Figures of what mattered in a sweep: importance, the objective against each option, and the best so far."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from mnist_exp.analysis import words
from mnist_exp.analysis.effects import Dependence
from mnist_exp.analysis.mattered import Mattered
from mnist_exp.analysis.tuning_curve import Curve
from mnist_exp.sweeps.outcome.against import against
from mnist_exp.sweeps.outcome.leaderboard import Row

_MOST_EFFECTS = 12


def importance(found: Mattered, names: Mapping[str, str]) -> Figure:
    """Draw the share of the objective's variance that each option, and each pair, explains; what may be chance is grey.

    Args:
        found: with effects.
        names: short name of each option.
    """
    shown = found.effects[:_MOST_EFFECTS][::-1]
    figure = Figure(figsize=(6.4, max(2.0, 1.1 + 0.4 * len(shown))), layout="constrained")
    axes = figure.add_subplot()
    colours = ["0.75" if each.is_noise else "C0" for each in shown]
    shares = [each.share for each in shown]
    ends = [
        [max(each.share - each.low, 0.0) for each in shown],
        [max(each.high - each.share, 0.0) for each in shown],
    ]
    places = range(len(shown))
    axes.barh(places, shares, color=colours, xerr=ends, ecolor="0.4", capsize=2)
    axes.set_yticks(places, [words.name(each, dict(names)) for each in shown], parse_math=False)
    grey = "; grey: may be chance" if any(each.is_noise for each in shown) else ""
    axes.set(xlabel=f"share of the variance, with its 90 % interval{grey}", xlim=(0, 1.02))
    return figure


def by_option(
    rows: Sequence[Row], keys: Sequence[str], objective: str, names: Mapping[str, str], found: Sequence[Dependence] = ()
) -> Figure:
    """Draw the objective against each swept option: a point for each job, and its mean over all values of the others.

    Args:
        rows: jobs that are done.
        keys: the options.
        objective: its name.
        names: short name of each option.
        found: the means with their bands; of an option without, the means of the jobs are drawn.
    """
    of = {each.option: each for each in found}
    columns = min(len(keys), 3)
    lines = -(-len(keys) // columns)
    figure = Figure(figsize=(4 * columns, 3.2 * lines), layout="constrained")
    for place, key in enumerate(keys, start=1):
        axes = figure.add_subplot(lines, columns, place)
        against(axes, rows, key, of.get(key))
        axes.set(xlabel=names[key], ylabel=objective if place % columns == 1 or columns == 1 else "")
        axes.grid(alpha=0.3)
    return figure


def best_so_far(curve: Curve, objective: str) -> Figure:
    """Draw the best objective after each number of trials; of random ones with the band of their best."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.step(curve.trials, curve.best, where="post", color="C0", label="best so far")
    if curve.median:
        known = [*curve.best, *curve.median, *(end for end in (*curve.low, *curve.high) if end is not None)]
        margin = 0.05 * (max(known) - min(known)) or 0.01
        # Where the band has no end it goes on beyond the picture.
        bottom, top = min(known) - margin, max(known) + margin
        axes.set_ylim(bottom, top)
        low = [bottom if end is None else end for end in curve.low]
        high = [top if end is None else end for end in curve.high]
        axes.plot(curve.trials, curve.median, color="C1", linewidth=1.2, label="median of so many trials, drawn anew")
        axes.fill_between(
            curve.trials, low, high, color="C1", alpha=0.2, label="its 95 % band; at the edge: without an end"
        )
    axes.set(xlabel="trials", ylabel=objective)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=8)
    return figure
