"""Between the axes of a space and Optuna: distributions, parameters, and values as the command line has them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mnist_exp.search.space import Axis

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution


def suggest(trial: "optuna.Trial", axes: Sequence[Axis]) -> None:
    """Give a trial its values.

    Args:
        trial: just asked for.
        axes: of the space; choices that decide whether others apply come first.
    """
    # Optuna's `ask` does so with distributions that it is given, all of them.
    drawn(axes, lambda axis: trial._suggest(axis.parameter, of(axis)))


def drawn(axes: Sequence[Axis], draw: Callable[[Axis], Any]) -> dict[str, Any]:
    """Draw a point: the choices of groups first, then the values of the options that apply with them.

    Args:
        axes: of the space; choices that decide whether others apply come first.
        draw: returns a value of an axis, as Optuna has it.
    Returns: its params.
    """
    choices: dict[str, str] = {}
    params: dict[str, Any] = {}
    for axis in axes:
        if axis.applies(choices):
            params[axis.parameter] = value = draw(axis)
            choices[axis.key] = str(value)
    return params


def of_trial(axes: Sequence[Axis], params: Mapping[str, Any]) -> "list[tuple[Axis, Any]]":
    """Return the axes that apply to a trial, each with its value as the command line has it.

    Args:
        axes: of the space.
        params: of the trial.
    """
    return [(axis, written(axis, params[axis.parameter])) for axis in axes if axis.parameter in params]


def params_of(axes: Sequence[Axis], values: Mapping[str, str]) -> dict[str, Any]:
    """Return the params that a trial with these values has.

    Args:
        axes: of the space.
        values: of the options, as the command line has them; those that do not apply are absent.
    Raises: ValueError, KeyError: a value is missing, or is none of its axis.
    """
    return {axis.parameter: read(axis, values[axis.key]) for axis in axes if axis.applies(values)}


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
