"""Tables of what came of replayed searches."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from curve_tables import Table

POINTS = 100.0  # Accuracies are shares; regrets are told in points of a percent.
CLOSE = 0.05
AT = (50, 100, 200, 400, 800)


def head(budget: int) -> list[str]:
    """Return the names of the columns; `budget` is the number of epochs of a search."""
    at = [f"{epochs}" for epochs in AT if epochs <= budget]
    return ["method", "searches", "epochs to 0.05 points", "by value seen", *at, "final choice", "mean"]


def lines(table: Table, outcomes: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[list[str]]:
    """Return a row for each method, the best mean of the final choice first.

    Args:
        table: that was searched.
        outcomes: of each method.
    """
    rows = {name: _row(table, name, each) for name, each in outcomes.items() if each}
    return [[name, *rows[name][1]] for name in sorted(rows, key=lambda name: rows[name][0])]


def true_regrets(table: Table, outcome: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return after which epochs the incumbent changed, and its regret since, in points.

    The incumbent is the cell of the best value seen. Its regret is what its mean over the seeds lacks to the best mean.
    """
    spent = np.array([each[0] for each in outcome["better"]], np.int64)
    cells = np.array([each[2] for each in outcome["better"]], np.int64)
    return spent, _regret_of(table, cells)


def epochs_until_close(table: Table, outcome: Mapping[str, Any]) -> float:
    """Return the epochs until the incumbent's regret is at most 0.05 points for good; infinite if that never is."""
    spent, regrets = true_regrets(table, outcome)
    far = np.flatnonzero(regrets > CLOSE + 1e-9)
    first = 0 if not len(far) else int(far[-1]) + 1
    return float(spent[first]) if first < len(spent) else math.inf


def epochs_until_seen(table: Table, outcome: Mapping[str, Any]) -> float:
    """Return the epochs until a value, which may be lucky, lacks at most 0.05 points to the best true mean."""
    goal = table.true_means.max() - CLOSE / POINTS - 1e-9
    return next((float(spent) for spent, value, _ in outcome["better"] if value >= goal), math.inf)


def regret_at(table: Table, outcome: Mapping[str, Any], epochs: int) -> float:
    """Return the incumbent's regret after so many epochs, in points; infinite before the first value."""
    spent, regrets = true_regrets(table, outcome)
    known = np.flatnonzero(spent <= epochs)
    return float(regrets[known[-1]]) if len(known) else math.inf


def final_regret(table: Table, outcome: Mapping[str, Any]) -> float:
    """Return the regret of what the method chose in the end, in points; that of the worst cell if it chose none."""
    if outcome["chosen"] is None:
        return float(_regret_of(table, np.arange(len(table.cells))).max())
    return float(_regret_of(table, np.array([outcome["chosen"]]))[0])


def _row(table: Table, name: str, outcomes: Sequence[Mapping[str, Any]]) -> tuple[float, list[str]]:
    final = [final_regret(table, each) for each in outcomes]
    # A method with twice the epochs is shown as if it had trained two for one.
    factor = max(1, outcomes[0].get("times", 1))
    reached = [[of(table, each) / factor for each in outcomes] for of in (epochs_until_close, epochs_until_seen)]
    at = [
        [regret_at(table, each, epochs * factor) for each in outcomes]
        for epochs in AT
        if epochs <= outcomes[0]["budget"]
    ]
    cells = [f"{len(outcomes)}", *(_quartiles(each, 0) for each in reached), *(_quartiles(each, 2) for each in at)]
    mean, error = float(np.mean(final)), float(np.std(final)) / math.sqrt(max(1, len(final) - 1))
    return mean, [*cells, _quartiles(final, 3), f"{mean:.3f} ± {error:.3f}"]


def _regret_of(table: Table, cells: np.ndarray) -> np.ndarray:
    regrets: np.ndarray = (table.true_means.max() - table.true_means[cells]) * POINTS
    return regrets


def _quartiles(values: Sequence[float], digits: int) -> str:
    """Return the median and the quartiles: `120 (80–never)`."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75), method="inverted_cdf")
    return f"{_number(median, digits)} ({_number(low, digits)}–{_number(high, digits)})"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "never"
