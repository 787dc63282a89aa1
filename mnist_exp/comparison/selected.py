"""What has been chosen as the best of many: how much of its value is expected to be luck, and its honest value."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from mnist_exp.comparison.verdict import ends, figure
from mnist_exp.config import objectives
from mnist_exp.evaluation import selection
from mnist_exp.tracking import names

SEEDS, IMAGES = "seeds", "images"
_LEAST = 5e-5
# Their standard error follows from the number of images.
_SHARES = ("accuracy", "exact_match")


@dataclass(frozen=True)
class Selected:
    """The best of several configurations.

    Args:
        metric: by which it was chosen.
        value: of it, a mean over seeds where it has several.
        of: how many configurations it is the best of.
        expected_optimism: how far its value is expected to lie on the better side of the true one; by images at most.
        by: whose chance that is: `seeds`, by the spread over seeds; `images`, by the number of validation images, as if
            each job had images of its own.
        validation_images: how many there are.
        reported: its value on the images that nothing was selected on; None if none were set aside.
        interval: of that, 95 %; None where no interval is known.
        report_images: how many these are.
    """

    metric: str
    value: float
    of: int
    expected_optimism: float
    by: str
    validation_images: int
    reported: float | None = None
    interval: tuple[float, float] | None = None
    report_images: int = 0

    @property
    def luck(self) -> str:
        """How much of the value is expected to be luck, for people."""
        among = "means" if self.by == SEEDS else "values"
        of = f"the best of {self.of} {among}"
        why = "by their spread over seeds" if self.by == SEEDS else f"by {self.validation_images:,} images each"
        part = figure(self.expected_optimism)
        part = f"about {part}" if self.expected_optimism >= _LEAST else "next to nothing"
        if (
            self.by == IMAGES and self.expected_optimism >= _LEAST
        ):  # The jobs share these images, and are alike on them.
            part = f"at most {part}"
        return f"{part} of {self.metric} {figure(self.value)} is expected to be luck: it is {of}, {why}"

    @property
    def honest(self) -> str:
        """The value on the images that nothing was selected on, for people; empty if none were set aside."""
        if self.reported is None:
            return ""
        interval = f" (95 % interval {ends(self.interval)})" if self.interval is not None else ""
        name = names.reported_by(self.metric)
        return (
            f"chosen by {self.metric} {figure(self.value)}; on {self.report_images:,} images that nothing was selected "
            f"on {name} is {figure(self.reported)}{interval}"
        )

    @property
    def sentences(self) -> list[str]:
        """Both as sentences of a conclusion."""
        return [f"{text[0].upper()}{text[1:]}." for text in (self.luck, self.honest) if text]

    def to_json(self) -> str:
        """Return all of it as JSON."""
        return json.dumps(dataclasses.asdict(self))


def of(
    scores: Sequence[Mapping[str, float]],
    metric: str,
    direction: str,
    validation_images: int,
    reported: Sequence[float] = (),
    report_images: int = 0,
) -> Selected | None:
    """Return what is to be known of the best configuration; None if there is one only, or no error is known.

    Args:
        scores: of each configuration, by seed; the best comes first.
        metric: by which it was chosen.
        direction: maximize or minimize.
        validation_images: how many there are.
        reported: values of the best on the images that nothing was selected on, one for each seed.
        report_images: how many these are.
    """
    sign = 1 if direction == "maximize" else -1
    by, (means, errors) = SEEDS, selection.means_and_errors(scores)
    name = metric.removeprefix(objectives.VAL)
    if not errors and name in _SHARES and metric.startswith(objectives.VAL):
        by, errors = IMAGES, selection.errors_of_shares(means, validation_images)
    if len(scores) < 2 or not errors:
        return None
    optimism = selection.expected_optimism([sign * mean for mean in means], errors, 0)
    interval = selection.interval_of_shares(reported, report_images) if reported and name in _SHARES else None
    honest = fmean(reported) if reported else None
    facts = len(scores), optimism, by, validation_images, honest, interval, report_images if reported else 0
    return Selected(metric, means[0], *facts)


def from_json(text: str) -> Selected | None:
    """Return what `to_json` wrote; None if it is something else, for it may come from another person's store."""
    try:
        found = json.loads(text)
        interval = found.pop("interval")
        selected = Selected(**found, interval=tuple(interval) if interval else None)
        return selected if selected.metric.isidentifier() and all(selected.sentences) else None
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
