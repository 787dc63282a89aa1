"""In which order the jobs of a grid begin: with several workers the largest first.

Else the largest, which a grid mostly names last, are left over: one worker trains the last, and the others wait for it.
"""

import math
import re
from collections.abc import Mapping, Sequence

from mnist_exp.sweeps.outcome.leaderboard import Row

_WHOLE = re.compile(r"\d{1,12}")
_SIZES = ("trainer.epochs", "data.limit")  # and the whole numbers of the model: its layers, and what they have


def largest_first(rows: Sequence[Row]) -> list[Row]:
    """Return jobs by what their own options say of their cost, the largest first; equal ones in the order they have."""
    return sorted(rows, key=lambda row: -cost(row.values))


def cost(values: Mapping[str, str]) -> float:
    """Return a number that grows with the cost of a job, as far as the options that it has of its own decide it.

    Args:
        values: options and their values, as on a command line.
    """
    sizes = [_size(value) for key, value in values.items() if key in _SIZES or key.startswith("model.")]
    return math.prod(sizes)


def _size(value: str) -> int:
    """Return a whole number, or the sum of a list of such; 1 for any other value."""
    whole = _WHOLE.findall(value) if re.fullmatch(r"[\d\s,\[\]]+", value) else []
    return max(sum(map(int, whole)), 1)
