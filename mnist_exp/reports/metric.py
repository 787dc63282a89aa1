"""What runs are compared by."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mnist_exp.config import fields
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

LARGEST = 1e15
_IS_MINIMIZED = re.compile(r"loss|error|time|ece|brier|parameters|epoch")


@dataclass(frozen=True)
class Metric:
    """What is compared.

    Args:
        key: its name in the store.
        name: what it is: the metric that the runs selected by, where the key is `objective`.
        direction: maximize or minimize.
    """

    key: str
    name: str
    direction: str

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.direction == "maximize" else -1

    @property
    def is_of_validation(self) -> bool:
        """Whether it was measured on what each epoch is validated on."""
        return "val_" in self.name or self.name == names.OBJECTIVE

    @property
    def is_of_test(self) -> bool:
        """Whether it was measured on the test set."""
        return self.name.startswith("test_")


def choose_metric(runs: Sequence[StoredRun], name: str | None) -> Metric:
    """Return the metric to compare: the one that is asked for, or the one that the runs selected by.

    Raises: SettingsError: no run has it, or the runs did not select by the same.
    """
    done = [run for run in runs if run.status == "FINISHED"] or runs
    selected = Counter(
        (run.params.get(names.SELECTED_BY, names.OBJECTIVE), run.params.get(names.DIRECTION, "maximize"))
        for run in done
    )
    known = sorted({metric for run in done for metric in run.metrics})
    if name is None or name == names.OBJECTIVE:
        if len(selected) > 1:
            told = ", ".join(f"{metric} ({direction}) in {count}" for (metric, direction), count in selected.items())
            raise SettingsError(f"the runs were not selected by the same: {told}; name what to compare with --metric")
        ((objective, direction),) = selected
        return Metric(names.OBJECTIVE, objective, direction)
    if name not in known:
        guess = fields.nearest(name, known)
        hint = f"did you mean {guess}? " if guess else ""
        raise SettingsError(f"--metric={name} is in none of the runs: {hint}they have {', '.join(known) or 'none'}")
    directions = {direction for objective, direction in selected if objective == name}
    if len(directions) != 1:
        directions = {"minimize" if _IS_MINIMIZED.search(name) else "maximize"}
    return Metric(name, name, directions.pop())


def is_number(value: float) -> bool:
    """Tell whether it can be reckoned with; MLflow keeps an infinite value as 1.8e308."""
    return math.isfinite(value) and abs(value) < LARGEST
