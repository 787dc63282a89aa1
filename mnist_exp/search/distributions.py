"""Between an axis of the space and Optuna: the distribution, and values as the command line has them."""

from typing import TYPE_CHECKING, Any

from mnist_exp.search.space import Axis

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def of(axis: Axis) -> "BaseDistribution":
    """Return the distribution of an axis."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    row = axis.interval
    if row is None:
        return CategoricalDistribution(axis.values)
    if isinstance(row.low, int) and isinstance(row.high, int):
        return IntDistribution(row.low, row.high, log=row.log, step=1 if row.step is None else int(row.step))
    return FloatDistribution(float(row.low), float(row.high), log=row.log, step=row.step)


def written(axis: Axis, value: Any) -> Any:
    """Return a value as the command line has it; Optuna turns the 0.3 of a range into 0.30000000000000004."""
    if axis.interval is None or axis.is_continuous:
        return value
    return min(axis.values, key=lambda each: abs(float(each) - value))


def read(axis: Axis, text: str) -> Any:
    """Return the value that Optuna has for one that is written so. Raises: ValueError: it is no number of the axis."""
    row = axis.interval
    if row is None:
        return text
    if isinstance(row.low, int) and isinstance(row.high, int):
        return int(text)
    if row.step is None:
        return float(text)
    return round((float(text) - row.low) / row.step) * row.step + row.low
