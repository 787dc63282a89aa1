"""What a smaller model costs: size, time and quality before and after, and every answer that is another one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mnist_exp.data.dataset import Array
from mnist_exp.data.lazy import Examples
from mnist_exp.errors import RunError
from mnist_exp.evaluation import metrics, paired_drop
from mnist_exp.evaluation.metrics import Interval
from mnist_exp.evaluation.paired_drop import Drop
from mnist_exp.evaluation.predictions import Predictions
from mnist_exp.inference.exporting import parity
from mnist_exp.inference.exporting.formats import Reader
from mnist_exp.tasks.answers import Answers
from mnist_exp.tasks.task import Task

THREADS = 1  # so that a time tells of a phone as well, and the same is measured on every machine
_ROUNDING = 1e-4  # as two runtimes differ that compute the same


@dataclass(frozen=True)
class Side:
    """The model before or after.

    Args:
        size: of its file, bytes.
        score: the metric of its answers.
        interval: of the score, 95 %.
        ms: median time of one image, and of `parity.BATCH` at once, on `THREADS` threads.
    """

    size: int
    score: float
    interval: Interval
    ms: tuple[float, float]


@dataclass(frozen=True)
class Changed:
    """An answer that is another one.

    Args:
        row: number of the image among the test images, from 0.
        part: which label it is about, where an image has several; None where it has one.
        label: the true one.
        before: the answer without the change.
        after: the answer with it.
        probability_before: of that answer; of several labels, that the label is there.
        probability_after: the same after it.
    """

    row: int
    part: str | None
    label: str
    before: str
    after: str
    probability_before: float
    probability_after: float


@dataclass(frozen=True)
class Cost:
    """All of it.

    Args:
        images: how many test images.
        metric: what the score is: accuracy, exact_match or mae.
        before: the exported model without quantization.
        after: the quantized one, which gets each image alone.
        drop: from one to the other.
        changed: the answers that are other ones after it; none for numbers.
        difference: largest one of any probability, or number.
        by_batch: the answers of the quantized model that are other ones in batches than alone.
        batch_difference: largest difference between both.
        batch_size: of these batches.
        depends_on_batch: whether the answer for an image depends on those that are asked about together with it.
        calibrated_on: number of training images that the scales were measured on; 0 for none.
    """

    images: int
    metric: str
    before: Side
    after: Side
    drop: Drop
    changed: Sequence[Changed]
    difference: float
    by_batch: Sequence[Changed]
    batch_difference: float
    batch_size: int
    depends_on_batch: bool
    calibrated_on: int

    @property
    def change(self) -> str:
        """What the metric does: an error that rises is a drop."""
        return "rises" if (self.drop.value < 0) != (self.metric == "mae") else "drops"


def measure(
    task: Task,
    names: Sequence[str],
    x: Examples,
    y: Array,
    opened: tuple[Callable[[], Reader], Callable[[], Reader]],
    sizes: tuple[int, int],
    calibrated_on: int,
) -> Cost:
    """Return what the second of two files costs against the first, on labelled images.

    Args:
        task: of the run.
        names: of its classes, labels or numbers.
        x: raw values, (n, …).
        y: labels, prepared.
        opened: opens each file on `THREADS` threads.
        sizes: of the files, bytes.
        calibrated_on: number of training images that the second was calibrated on.
    Raises: RunError: the second gives no predictions.
    """
    first, second = (open_one() for open_one in opened)
    outputs = parity.read_all(first, x)
    alone = parity.read_all(second, x, 1)
    if problem := task.check_outputs(alone, "the quantized model"):
        raise RunError(problem)
    together = parity.read_all(second, x, min(parity.BATCH, len(x)))
    before, after, batched = (
        task.predictions(Answers(None, y, each, names, "")) for each in (outputs, alone, together)
    )
    metric, intervals, values, drop = _scored(task, before, after)
    # Other readers: LiteRT plans its memory anew for each size of a batch.
    times = [
        parity.latencies_ms([open_one() for open_one in opened], np.asarray(x[:n]))
        for n in (1, min(parity.BATCH, len(x)))
    ]
    sides = [Side(sizes[i], float(values[i].mean()), intervals[i], (times[0][i], times[1][i])) for i in range(2)]
    return Cost(
        images=len(x),
        metric=metric,
        before=sides[0],
        after=sides[1],
        drop=drop,
        changed=changes(before, after, names),
        difference=_largest(outputs, alone),
        by_batch=changes(after, batched, names),
        batch_difference=_largest(alone, together),
        batch_size=min(parity.BATCH, len(x)),
        depends_on_batch=_largest(alone, together) > _ROUNDING * max(float(np.abs(alone).max()), 1.0),
        calibrated_on=calibrated_on,
    )


def changes(before: Predictions, after: Predictions, names: Sequence[str]) -> list[Changed]:
    """Return the answers that are other ones, in the order of the images; none for numbers."""
    if before.probability is None or after.probability is None:
        return []
    found = []
    for place in np.argwhere(before.predicted != after.predicted):
        i = tuple(map(int, place))
        column = i[1] if len(i) == 2 else None
        label, said, says = (int(each[i]) for each in (before.labels, before.predicted, after.predicted))
        words = [names[each] if column is None else str(each) for each in (label, said, says)]
        found.append(
            Changed(
                row=i[0],
                part=None if column is None else names[column],
                label=words[0],
                before=words[1],
                after=words[2],
                probability_before=float(before.probability[i]),
                probability_after=float(after.probability[i]),
            )
        )
    return found


def _scored(
    task: Task, before: Predictions, after: Predictions
) -> tuple[str, tuple[Interval, Interval], tuple[Array, Array], Drop]:
    """Return the metric of the task, its interval and its value for each image before and after, and the drop.

    Of several labels an image counts as right if all of them are: those of one image are no independent examples.
    """
    one, other = before.is_right, after.is_right
    if one is None or other is None:
        one, other = (np.abs(each.predicted - each.labels).mean(axis=1) for each in (before, after))
        intervals = metrics.mean_interval(one), metrics.mean_interval(other)
        return "mae", intervals, (one, other), paired_drop.of_errors(one, other)
    intervals = metrics.accuracy_interval(one), metrics.accuracy_interval(other)
    name = "accuracy" if task.has_classes else "exact_match"
    return name, intervals, (one, other), paired_drop.of_right(one, other)


def _largest(one: Array, other: Array) -> float:
    return float(np.abs(one.astype(np.float64) - other).max())
