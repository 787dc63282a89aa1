"""What a person sees of a training while it runs: a live bar of its steps, and a line for each epoch."""

from collections.abc import Mapping
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mnist_exp.config import wording
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tracking import names


class TrainingProgress:
    """The progress of one training; a context while it trains. Without a terminal there is no bar.

    Args:
        screen: where it is shown.
        epochs: number of epochs, at most.
        steps: steps an epoch.
        running: the metric beside the loss.
        objective: what selects.
    """

    def __init__(self, screen: Screen, epochs: int, steps: int, running: str, objective: str) -> None:
        self._screen, self.epochs, self._steps = screen, epochs, steps
        self._in_bar = (names.LOSS, running)
        self._in_line = tuple(dict.fromkeys([*self._in_bar, names.VAL_LOSS, f"val_{running}", objective]))
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "TrainingProgress":
        """Draw the bar."""
        if self._screen.is_live:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TextColumn("steps  {task.fields[metrics]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._screen.out, transient=True, refresh_per_second=5)
            self._bar.start()
            self._task = self._bar.add_task(self._counted(1), total=self._steps, metrics="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if error is None:
            self._screen.out.print()

    @property
    def has_steps(self) -> bool:
        """Whether it shows the steps of an epoch."""
        return self._screen.is_live

    def show_step(self, done: int, metrics: Mapping[str, float]) -> None:
        """Move the bar to the number of steps that are done."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, metrics=self._running(metrics))

    def show_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Print the line of an epoch, counted from 1."""
        self._screen.out.print(self.of_epoch(number, metrics))
        if self._bar is not None and self._task is not None and number < self.epochs:
            self._bar.reset(self._task, description=self._counted(number + 1), metrics="")

    def of_step(self, number: int, done: int, metrics: Mapping[str, float]) -> str:
        """Return how far an epoch, counted from 1, is."""
        return f"{self._counted(number)}   {done}/{self._steps} steps  {self._running(metrics)}"

    def of_epoch(self, number: int, metrics: Mapping[str, float]) -> str:
        """Return the line of an epoch, counted from 1."""
        parts = [self._counted(number)]
        added = [name for name in metrics if name.startswith("val_") and name not in self._in_line]
        parts += [f"{name} {wording.metric(metrics[name])}" for name in (*self._in_line, *added) if name in metrics]
        parts.append(f"{metrics[names.EPOCH_TIME_S]:.1f} s")
        return "   ".join(parts)

    def _counted(self, number: int) -> str:
        return f"epoch {number:>{len(str(self.epochs))}}/{self.epochs}"

    def _running(self, metrics: Mapping[str, float]) -> str:
        return "  ".join(f"{name} {float(metrics[name]):.4f}" for name in self._in_bar if name in metrics)
