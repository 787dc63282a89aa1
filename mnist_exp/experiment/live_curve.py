"""What a person sees of a training in a notebook: its curves, drawn anew in one place while it runs."""

import html
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from mnist_exp.experiment import curves
from mnist_exp.experiment.progress import TrainingProgress
from mnist_exp.runtime import notebooks

_EVERY_S = 0.5  # Then a person sees it move, and a short epoch need not wait for the drawing.


class LiveCurve(TrainingProgress):
    """The progress of one training, as curves in a notebook; its text is what a terminal shows of each epoch."""

    def __init__(self, *facts: Any) -> None:
        super().__init__(*facts)
        self._history: dict[str, list[float]] = {}
        self._lines: list[str] = []
        self._step, self._drawn_s = "", 0.0
        self._shown = notebooks.Shown()

    def __enter__(self) -> "LiveCurve":
        """Show what there is, as yet nothing."""
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Draw the last epochs; what was waited for is over."""
        self._step = ""
        self._draw()

    @property
    def has_steps(self) -> bool:
        """Steps are shown too."""
        return True

    def show_step(self, done: int, metrics: Mapping[str, float]) -> None:
        """Tell which step of an epoch is done, now and then."""
        if self._is_due():
            self._step = self.of_step(len(self._lines) + 1, done, metrics)
            self._draw()

    def show_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Add an epoch to the curves."""
        for name, value in metrics.items():
            self._history.setdefault(name, []).append(value)
        self._lines.append(self.of_epoch(number, metrics))
        if self._is_due():
            self._step = ""
            self._draw()

    def _is_due(self) -> bool:
        return time.monotonic() - self._drawn_s >= _EVERY_S

    def _draw(self) -> None:
        last = self._step or (
            self._lines[-1] if self._lines else "the first step takes longest: Keras traces the model"
        )
        drawing = curves.svg(self._history, self.epochs) if self._history else ""
        self._shown.show(f"<div>{drawing}</div><pre>{html.escape(last)}</pre>", "\n".join(self._lines))
        self._drawn_s = time.monotonic()
