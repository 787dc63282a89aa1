"""Recorded runs in a notebook or a script: `runs` and `history`, as pandas DataFrames."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mnist_exp.config import arguments
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.results import choice, frame
from mnist_exp.results.choice import Choice
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import references, store
from mnist_exp.tracking import runs as stored_runs

if TYPE_CHECKING:
    import pandas as pd


def runs(
    *,
    experiment: str = "mnist_exp",
    sweep: str | None = None,
    where: str = "",
    columns: Sequence[str] | None = None,
    most: int | None = None,
    tracking_uri: str | None = None,
) -> "pd.DataFrame":
    """Return recorded runs, newest first, a row each.

    The columns are run_id, kind (run or sweep), name, experiment, status, started (UTC), duration_s and sweep (id of
    the parent run), then the params and the last values of the metrics by their names, each of its own type. What a run
    does not have is NaN or NA. A param with the name of a metric is called `params.NAME`.

    Args:
        experiment: whose runs.
        sweep: id of a sweep's parent run, or its first six characters or more: only its runs. None for all.
        where: a filter in MLflow's language, such as `metrics.test_accuracy > 0.99`; empty for all.
        columns: only these, in this order, also if no run is found; a tag is called `tags.NAME`. None for all, without
            tags.
        most: at most so many, the newest; None for all.
        tracking_uri: address of the store; None for `$MLFLOW_TRACKING_URI`, or `mlflow.db` in the working folder.
    Raises:
        SettingsError: there is no such store, experiment, sweep or column, or the filter is not understood.
        TrackingError: the store does not answer.
    """
    for name, value, allowed in (
        ("experiment", experiment, "the name of an experiment"),
        ("sweep", sweep, "the id of a sweep's parent run, sweep.run_id"),
        ("where", where, "a filter in MLflow's language, 'metrics.test_accuracy > 0.99'"),
    ):
        arguments.check_text(name, value, allowed)
    asked = Choice(experiment=experiment, sweep=sweep, condition=where or "", most=most)
    return frame.of_runs(choice.find(TrackingSettings(uri=tracking_uri), asked), columns)


def history(
    of: "str | Iterable[str] | pd.DataFrame", *, metrics: Sequence[str] | None = None, tracking_uri: str | None = None
) -> "pd.DataFrame":
    """Return every recorded value of some runs, a row each: run_id, metric, step, value and time (UTC).

    Args:
        of: a run id or several, or their first six characters or more; or what `runs` returned.
        metrics: names of the metrics; None for all.
        tracking_uri: as of `runs`.
    Raises:
        SettingsError: there is no such store or run.
        TrackingError: the store does not answer.
    """
    settings = TrackingSettings(uri=tracking_uri)
    uri = stored_runs.checked_store(settings, f"there is no store {redact(store.locate(tracking_uri))}")
    import pandas as pd

    if isinstance(of, pd.DataFrame):  # They come from the store: thousands need not be looked for one by one.
        ids = list(map(str, of["run_id"]))
    else:
        ids = [references.find(settings, each).run_id for each in ([of] if isinstance(of, str) else of)]
    return frame.of_points(stored_runs.points(uri, list(dict.fromkeys(ids)), metrics))
