"""Metrics of the machine while a run is trained, in MLflow's own names (`system/cpu_utilization_percentage`, …).

MLflow's collectors are used, its monitor is not: that asks the store for the whole run before each value, writes from a
thread of its own, and ends with the first error of the store. Here the values go the way of all other metrics.
"""

import itertools
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mnist_exp.config.wording import show
from mnist_exp.errors import TrackingError, first_line
from mnist_exp.tracking import names

if TYPE_CHECKING:
    from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor

_WANTED = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"
_INTERVAL = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
_SAMPLES = "MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING"
_NODE = "MLFLOW_SYSTEM_METRICS_NODE_ID"
_WORDS = {"true": True, "1": True, "false": False, "0": False, "": False}  # as MLflow reads it
# A run of a minute has a value each second, one of a day has 1,700: later values are means over a 60th of its age.
_SHORTEST_S, _LONGEST_S, _SHARE = 1.0, 60.0, 1 / 60
_SAMPLE_AT_LEAST_S = 5.0  # What is known of a moment only, as the use of a GPU, is looked at so often.
_LAST_S = 0.1  # The use of CPUs in less time is noise.
_END_S = 2.0  # A run that a signal ends has seconds only, and a disk may hang.
_NVIDIA = Path("/proc/driver/nvidia/gpus")


class Values(NamedTuple):
    """What was measured: the time in ms since 1970, the step, from 0, and the values by metric."""

    time_ms: int
    step: int
    values: Mapping[str, float]


class SystemMetrics:
    """Measures in a thread, from now until `finish`.

    Args:
        first_step: of the first values; a resumed run goes on after those that it has.
        warn: called with a sentence where a GPU, or anything any more, cannot be measured.
    """

    def __init__(self, first_step: int, warn: Callable[[str], None]) -> None:
        self._collectors, self._warn = _collectors(warn), warn
        self._steps = itertools.count(first_step)
        self._taken: list[Values] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="mnist_exp-system-metrics", daemon=True)
        self._thread.start()

    def take(self) -> list[Values]:
        """Return what was measured since the last call."""
        with self._lock:
            taken, self._taken = self._taken, []
        return taken

    def finish(self) -> None:
        """Measure a last time, and end."""
        self._over.set()
        self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            self._measure()
        except Exception as error:  # Of the system: the training does not depend on it.
            self._warn(f"the machine is not measured any more: {first_line(error)}")

    def _measure(self) -> None:
        self._collect()  # The use of CPUs is that since the last look, in the same thread.
        for each in self._collectors:
            each.clear_metrics()
        began = time.monotonic()
        while True:
            between_s, looks = pace(time.monotonic() - began)
            for _ in range(looks):
                self._over.wait(between_s)
                if self._over.is_set():
                    break
                self._collect()
            if self._over.is_set():
                time.sleep(_LAST_S)
                self._collect()
                self._note()
                return
            self._note()

    def _collect(self) -> None:
        for each in self._collectors:
            each.collect_metrics()

    def _note(self) -> None:
        prefix = names.SYSTEM + (f"{node}/" if (node := os.environ.get(_NODE)) else "")
        values = {
            f"{prefix}{name}": float(v) for each in self._collectors for name, v in each.aggregate_metrics().items()
        }
        for each in self._collectors:
            each.clear_metrics()
        with self._lock:
            self._taken.append(Values(round(time.time() * 1000), next(self._steps), values))


def check() -> None:
    """Check MLflow's variables. Raises: TrackingError: the word of one is none that MLflow takes."""
    word = os.environ.get(_WANTED, "")
    if word.lower() not in _WORDS:
        raise TrackingError(f"${_WANTED}={show(word)} is not understood: it must be true or false")
    for name, kind, meaning in ((_INTERVAL, float, "seconds, above 0"), (_SAMPLES, int, "a whole number, at least 1")):
        if not _number(name, kind) > 0:
            raise TrackingError(f"${name}={show(os.environ[name])} is not understood: it must be {meaning}")


def are_wanted(*, option: bool) -> bool:
    """Tell whether the option `tracking.system_metrics` or MLflow's variable asks for them."""
    return option or _WORDS[os.environ.get(_WANTED, "").lower()]


def next_step(recorded: set[tuple[str, int]]) -> int:
    """Return the step that follows those of a run, whose metrics and steps are given."""
    return 1 + max((step for name, step in recorded if name.startswith(names.SYSTEM)), default=-1)


def pace(age_s: float) -> tuple[float, int]:
    """Return the seconds between two looks, and how many looks make a value, for a run of this age."""
    own_s, own_samples = _number(_INTERVAL, float), _number(_SAMPLES, int)
    value_s = min(max(_SHORTEST_S, age_s * _SHARE), _LONGEST_S)
    samples = int(own_samples) if own_samples < math.inf else math.ceil(value_s / _SAMPLE_AT_LEAST_S)
    if own_s < math.inf:
        return own_s, int(own_samples) if own_samples < math.inf else 1
    return value_s / samples, samples


def _number(name: str, kind: Callable[[str], float]) -> float:
    """Return the number of a variable: infinite where it is not set, NaN where it is none."""
    text = os.environ.get(name)
    try:
        found = kind(text) if text else math.inf
    except ValueError:
        return math.nan
    return found if math.isfinite(found) or not text else math.nan


def _collectors(warn: Callable[[str], None]) -> "list[BaseMetricsMonitor]":
    from mlflow.system_metrics.metrics import cpu_monitor, disk_monitor, gpu_monitor, network_monitor, rocm_monitor

    # A GPU that does not tell one of its values would be told at each look.
    for module in (gpu_monitor, rocm_monitor):
        logging.getLogger(module.__name__).setLevel(logging.ERROR)
    found: list[BaseMetricsMonitor] = [
        cpu_monitor.CPUMonitor(), disk_monitor.DiskMonitor(), network_monitor.NetworkMonitor()
    ]  # fmt: skip
    for gpu in (gpu_monitor.GPUMonitor, rocm_monitor.ROCMMonitor):
        try:
            return [*found, gpu()]
        except Exception as error:  # MLflow raises these where it finds no GPU of this kind, or no package for it.
            if gpu is gpu_monitor.GPUMonitor and isinstance(error, ImportError) and _NVIDIA.is_dir():
                warn("the metrics of the machine have none of its NVIDIA GPU: pip install nvidia-ml-py")
    return found
