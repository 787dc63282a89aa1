"""Recorded runs as pandas DataFrames, in which each column has a type."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mnist_exp.config import wording
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import names
from mnist_exp.tracking.plain import FACTS, facts, typed
from mnist_exp.tracking.runs import StoredRun
from mnist_exp.tracking.sqlite_runs import Point

if TYPE_CHECKING:
    import pandas as pd

TAG = "tags."
_PARAM = "params."  # before the name of a param that is a metric's name too
_TIME = "datetime64[ms, UTC]"


def of_runs(found: Sequence[StoredRun], columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """Return a row a run: `plain.FACTS`, then the params, then the last values of the metrics.

    Whole numbers, numbers, truth values and texts have columns of these types; what a run does not have is NaN or NA. A
    param with the name of a metric, as `objective` is one, is called `params.objective`.

    Args:
        found: the runs.
        columns: the columns, in this order; a tag is called `tags.NAME`. None for all, without tags. Without runs they
            are there all the same, and empty.
    Raises: SettingsError: there are runs, and none has such a column.
    """
    import pandas as pd

    return pd.DataFrame({name: _series(name, values) for name, values in content(found, columns).items()})


def content(found: Sequence[StoredRun], columns: Sequence[str] | None) -> dict[str, list[Any]]:
    """Return the values of each column, None where a run has none. Args and raises: as `of_runs`."""
    values = _columns(found)
    if columns is None:
        return values
    tags = {f"{TAG}{name}" for run in found for name in run.tags}
    values |= {name: [run.tags.get(name.removeprefix(TAG)) for run in found] for name in columns if name in tags}
    if found and (problems := [_unknown(name, [*values, *tags]) for name in columns if name not in values]):
        raise SettingsError(problems)
    return {name: values.get(name, []) for name in columns}


def of_points(points: Iterable[Point]) -> "pd.DataFrame":
    """Return a row a recorded value: run_id, metric, step, value, time."""
    import pandas as pd

    frame = pd.DataFrame(points, columns=["run_id", "metric", "step", "value", "time"])
    types = {"run_id": "str", "metric": "str", "step": "int64", "value": "float64"}
    return frame.astype(types).assign(time=pd.to_datetime(frame["time"], unit="ms", utc=True).astype(_TIME))


def _columns(found: Sequence[StoredRun]) -> dict[str, list[Any]]:
    metrics = sorted({name for run in found for name in run.metrics})
    # Those of a sweep are all values that its jobs had, as texts.
    recorded = [{} if run.is_sweep else run.params for run in found]
    params = sorted({name for each in recorded for name in each})
    rows = [facts(run) for run in found]
    content = {name: [row[name] for row in rows] for name in FACTS}
    values: dict[str | None, Any] = {None: None}  # Thousands of runs have the same few texts.
    for name in params:
        shown = f"{_PARAM}{name}" if name in metrics or name in FACTS else name
        texts = [each.get(name) for each in recorded]
        values |= {text: typed(text) for text in set(texts) - values.keys() if text is not None}
        content[shown] = [values[text] for text in texts]
    for name in metrics:
        content[name] = [run.metrics.get(name) for run in found]
    return content


def _series(name: str, values: list[Any]) -> "pd.Series[Any]":
    """Return a column of the type that all its values have."""
    import pandas as pd

    if name == "started":
        return pd.to_datetime(pd.Series(values, dtype="Int64"), unit="ms", utc=True).astype(_TIME)
    known = [value for value in values if value is not None]
    is_whole = len(known) == len(values)
    kinds = set(map(type, known))
    if kinds == {bool}:
        return pd.Series(values, dtype="bool" if is_whole else "boolean")
    if kinds == {int}:
        return pd.Series(values, dtype="int64" if is_whole else "Int64")
    if kinds and kinds <= {int, float}:
        return pd.Series(values, dtype="float64")
    if name == "duration_s" or (not values and name in names.METRICS):
        return pd.Series(values, dtype="float64")
    return pd.Series([None if value is None else wording.text(value) for value in values], dtype="str")


def _unknown(name: str, columns: Sequence[str]) -> str:
    guess = wording.nearest(name, columns)
    return f"no run has a column {name!r}: " + (
        f"did you mean {guess}?" if guess else f"there are {', '.join(FACTS)}, params, metrics and {TAG}NAME"
    )
