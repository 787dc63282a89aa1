"""How long a job takes: what is known of the time of an image, and how it grows with the operations of a model."""

import bisect
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mnist_exp.pricing.likeness import Job

# Of one image forward only, by that of one image trained on: a pass forward of three passes.
FORWARD = 0.35


@dataclass(frozen=True)
class Size:
    """How large a model is.

    Args:
        parameters: how many numbers it has.
        flops: operations of one image forward; None where they cannot be counted, as with layers of one's own.
    """

    parameters: int
    flops: int | None

    @property
    def operations(self) -> float:
        """The operations of one image; where they cannot be counted, those of a model of dense layers."""
        return float(self.flops or 2 * self.parameters or 1)


@dataclass(frozen=True)
class Seen:
    """What one training was seen to take.

    Args:
        operations: of one image forward.
        image_s: seconds of one image trained on.
        val_image_s: seconds of one image validated on; None where that is not known.
        begin_s: seconds that its first epoch took more, as its graph was traced.
        around_s: seconds of a job before and after its training: model built, tested, recorded.
    """

    operations: float
    image_s: float
    val_image_s: float | None = None
    begin_s: float = 0.0
    around_s: float | None = None


@dataclass(frozen=True)
class Rates:
    """What trainings were seen to take, to tell from it what others will.

    Args:
        seen: at least one.
        around_s: seconds of a job before and after its training, where none of those that were seen tells.
    """

    seen: Sequence[Seen]
    around_s: float

    def image_s(self, operations: float) -> float:
        """Return the seconds of one image trained on: between two models that were seen, beyond them in proportion."""
        return _between({level: statistics.median(s.image_s for s in of) for level, of in self._levels()}, operations)

    def job_s(self, job: Job, size: Size, *, is_traced: bool = True) -> float:
        """Return the seconds of a job.

        Args:
            job: to be run.
            size: of its model.
            is_traced: whether no job before it in the same process has traced its graph.
        """
        image_s = self.image_s(size.operations)
        known = [s.val_image_s / s.image_s for s in self.seen if s.val_image_s is not None]
        forward_s = image_s * (statistics.median(known) if known else FORWARD)
        epoch_s = job.train_images * image_s + job.val_images * forward_s
        begin_s = statistics.median(s.begin_s for s in self.seen) if is_traced else 0.0
        around = [s.around_s for s in self.seen if s.around_s is not None]
        around_s = statistics.median(around) if around else self.around_s + job.test_images * forward_s
        return job.epochs * epoch_s + begin_s + around_s

    @property
    def spread(self) -> float | None:
        """The standard deviation of the time of an image, as a share of it, among trainings of one size; None if
        no size was seen twice.
        """
        shares = []
        for _, of in self._levels():
            if len(of) > 1:
                times = [s.image_s for s in of]
                shares.append(statistics.stdev(times) / statistics.fmean(times))
        return statistics.fmean(shares) if shares else None

    def covers(self, operations: Sequence[float], at_most: float) -> bool:
        """Tell whether no model is larger, or smaller, than those that were seen by more than this factor."""
        known = [s.operations for s in self.seen]
        return min(known) / at_most <= min(operations) and max(operations) <= max(known) * at_most

    def _levels(self) -> list[tuple[float, list[Seen]]]:
        found: dict[float, list[Seen]] = {}
        for each in self.seen:
            found.setdefault(each.operations, []).append(each)
        return sorted(found.items())


def _between(known: dict[float, float], at: float) -> float:
    places = sorted(known)
    if at <= places[0]:
        # A small model's steps take some time whatever its size: what was seen of the smallest is not undercut by more.
        return known[places[0]] * max(at / places[0], 0.5)
    if at >= places[-1]:
        return known[places[-1]] * at / places[-1]
    right = bisect.bisect_left(places, at)
    low, high = places[right - 1], places[right]
    share = (at - low) / (high - low)
    return known[low] * (1 - share) + known[high] * share


def makespan(jobs_s: Sequence[float], workers: int) -> float:
    """Return the seconds from the first start to the last end, where the longest jobs start first."""
    free = [0.0] * max(workers, 1)
    for seconds in sorted(jobs_s, reverse=True):
        free[free.index(min(free))] += seconds
    return max(free)
