"""The metric by which a report compares runs."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mnist_exp.config import objectives, wording
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

LARGEST = 1e15
_IS_MINIMIZED = re.compile(r"loss|error|time|ece|brier|parameters|epoch")


@dataclass(frozen=True)
class Metric:
    """The metric to compare.

    Args:
        key: its name in the tracking store.
        name: its name for people. If the key is `objective`, the metric that was the runs' objective.
        direction: maximize or minimize.
    """

    key: str
    name: str
    direction: str

    @property
    def sign(self) -> int:
        """1 if higher is better, -1 if lower is better."""
        return 1 if self.direction == "maximize" else -1

    @property
    def is_of_validation(self) -> bool:
        """Whether it was measured on the validation set."""
        return "val_" in self.name or self.name == names.OBJECTIVE

    @property
    def is_of_test(self) -> bool:
        """Whether it was measured on the test set."""
        return self.name.startswith("test_")


def choose_metric(runs: Sequence[StoredRun], name: str | None) -> Metric:
    """Return the metric to compare.

    Args:
        runs: the runs of the report.
        name: name of a metric; None or `objective` means the objective of the runs.
    Raises: SettingsError: no run has this metric, or the runs have different objectives.
    """
    done = [run for run in runs if run.status == "FINISHED"] or runs
    selected = Counter(
        (run.params.get(names.SELECTED_BY, names.OBJECTIVE), run.params.get(names.DIRECTION, "maximize"))
        for run in done
    )
    known = sorted({metric for run in done for metric in run.metrics})
    if name is None or name == names.OBJECTIVE:
        if len(selected) > 1:
            counts = ", ".join(f"{metric} ({direction}) in {count}" for (metric, direction), count in selected.items())
            raise SettingsError(
                f"the runs have different objectives: {counts}; name the metric to compare with --metric"
            )
        ((objective, direction),) = selected
        return Metric(names.OBJECTIVE, objective, direction)
    if name not in known:
        guess = wording.nearest(name, known)
        hint = f"did you mean {guess}? " if guess else ""
        raise SettingsError(f"--metric={name} is in none of the runs: {hint}they have {', '.join(known) or 'none'}")
    directions = {direction for objective, direction in selected if objective == name}
    if len(directions) != 1:
        known_as = objectives.direction(name.removeprefix("test_"))
        directions = {known_as or ("minimize" if _IS_MINIMIZED.search(name) else "maximize")}
    return Metric(name, name, directions.pop())


def is_number(value: float) -> bool:
    """Return whether a value is a finite number. MLflow stores infinity as 1.8e308, so very large values are not."""
    return math.isfinite(value) and abs(value) < LARGEST
