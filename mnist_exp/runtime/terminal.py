"""What a person sees: what is about to run, how it goes, what came out."""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from mnist_exp.runtime.redaction import redact


class RedactedConsole(Console):
    """A console that prints no secrets, also where there is no stream to redact, as in a notebook."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts; one with a secret loses its style."""
        super().print(*map(_redacted, objects), **options)


def _redacted(shown: Any) -> Any:
    if isinstance(shown, str):
        return redact(shown)
    if isinstance(shown, Text) and (text := redact(shown.plain)) != shown.plain:
        return Text(text)
    return shown


class Screen:
    """The terminal: a live bar where there is one, plain lines where the output goes to a file or a notebook."""

    def __init__(self) -> None:
        self.out = RedactedConsole(highlight=False, soft_wrap=True)
        self.err = RedactedConsole(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._epochs = 0

    @property
    def is_live(self) -> bool:
        """Whether a bar can be drawn."""
        return self.out.is_terminal

    def warn(self, text: str) -> None:
        """Say what the user should know but need not stop for."""
        self.err.print(Text("warning: ", style="bold yellow").append(text, style="not bold default"))

    def error(self, text: str) -> None:
        """Say what went wrong."""
        self.err.print(Text(text))

    def columns(self, head: Sequence[str], rows: Sequence[Sequence[str]], left: Container[str] = ()) -> None:
        """Print rows under a head, each column as wide as it needs: a run id that is cut off is of no use.

        Args:
            head: names of the columns.
            rows: their cells.
            left: the columns that are aligned to the left.
        """
        widths = [max(map(len, cells)) for cells in zip(head, *rows, strict=True)]
        for number, cells in enumerate([head, *rows]):
            sides = zip(cells, widths, head, strict=True)
            line = "  ".join(f"{cell:<{wide}}" if name in left else f"{cell:>{wide}}" for cell, wide, name in sides)
            self.out.print(Text(line.rstrip(), style="bold" if number == 0 else ""))

    def table(self, rows: Mapping[str, str]) -> None:
        """Print names and values side by side."""
        wide = max(map(len, rows)) + 2
        for name, value in rows.items():
            self.out.print(Text(f"{name:<{wide}}", style="bold").append(value, style="not bold"))
        self.out.print()

    @contextmanager
    def training(self, epochs: int, steps: int) -> Iterator[None]:
        """Show the progress of a training while it lasts.

        Args:
            epochs: how many there will be at the most.
            steps: steps an epoch.
        """
        self._epochs = epochs
        if not self.is_live:
            yield
            self.out.print()
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("steps  {task.fields[metrics]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.out, transient=True, refresh_per_second=5) as self._progress:
            self._task = self._progress.add_task(f"epoch  1/{epochs}", total=steps, metrics="")
            yield
        self._progress = None
        self.out.print()

    def step(self, done: int, metrics: Mapping[str, float]) -> None:
        """Move the bar."""
        if self._progress is not None and self._task is not None:
            shown = "  ".join(f"{name} {float(metrics[name]):.4f}" for name in ("loss", "accuracy") if name in metrics)
            self._progress.update(self._task, completed=done, metrics=shown)

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Print an epoch's line."""
        wide = len(str(self._epochs))
        shown = [f"epoch {number:>{wide}}/{self._epochs}"]
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        shown += [f"{name} {metrics[name]:.4f}" for name in names if name in metrics]
        shown.append(f"{metrics['epoch_time_s']:.1f} s")
        self.out.print("   ".join(shown))
        if self._progress is not None and self._task is not None and number < self._epochs:
            self._progress.reset(self._task, description=f"epoch {number + 1:>{wide}}/{self._epochs}", metrics="")


def print_problems(problems: Sequence[str], place: str, *, is_busy: bool = False) -> None:
    """Print every problem, one a line, to stderr.

    Args:
        problems: a sentence each.
        place: what they are mistakes in: configuration or command line.
        is_busy: whether another process is at it already, which is no mistake.
    """
    console = RedactedConsole(stderr=True, highlight=False, soft_wrap=True)
    count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    head = "nothing was run:" if is_busy else f"{count} in the {place}; nothing was run:"
    console.print(Text(head, style="bold red"))
    for problem in problems:
        console.print(Text(f"  {problem}"))
