"""MLflow's own metrics of the machine (`system/…`), where `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING` asks for them.

MLflow starts them for the runs of its fluent interface only. It writes them to the store itself, in a thread, so they
do not wait on disk while the store is away. `MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL` and the like are MLflow's, too.
"""

import logging
import os
from typing import TYPE_CHECKING

from mnist_exp.config.wording import show
from mnist_exp.errors import TrackingError
from mnist_exp.tracking import store
from mnist_exp.tracking.background_call import BackgroundCall

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

_VARIABLE = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"
_WORDS = {"true": True, "1": True, "false": False, "0": False, "": False}  # as MLflow reads it
_END_S = 2.0  # A run that a signal ends has seconds only, and the store may hang.


def are_wanted() -> bool:
    """Tell whether the environment asks for them. Raises: TrackingError: its word is one that MLflow does not take."""
    word = os.environ.get(_VARIABLE, "")
    if word.lower() not in _WORDS:
        raise TrackingError(f"${_VARIABLE}={show(word)} is not understood: it must be true or false")
    return _WORDS[word.lower()]


def start(uri: str, run_id: str, *, is_resumed: bool) -> "SystemMetricsMonitor | None":
    """Begin to measure for a run, if that is wanted; return what `finish` takes.

    Args:
        uri: address of the store.
        run_id: of a run whose status is RUNNING.
        is_resumed: whether the run has such metrics already, so that the steps go on.
    """
    if not are_wanted():
        return None
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    # It says when it starts and stops; that it cannot go on is a warning, and stays.
    logging.getLogger(SystemMetricsMonitor.__module__).setLevel(logging.WARNING)
    monitor = SystemMetricsMonitor(run_id, resume_logging=is_resumed, tracking_uri=store.absolute(uri))
    monitor.start()
    return monitor


def finish(monitor: "SystemMetricsMonitor | None") -> None:
    """End the measuring before the status of the run changes."""
    if monitor is not None:
        BackgroundCall(monitor.finish).wait(_END_S)
