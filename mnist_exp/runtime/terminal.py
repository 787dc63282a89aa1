"""The terminal: tables, warnings and errors, without secrets."""

import contextlib
import os
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from mnist_exp.errors import SettingsError
from mnist_exp.runtime import notebooks
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
    """The output of a command: stdout and stderr, on a terminal, in a file or in a notebook.

    Attributes:
        out: stdout.
        err: stderr.
        is_notebook: whether a person looks at a notebook, where an output can be put anew in its place.
    """

    def __init__(self) -> None:
        self.is_notebook = notebooks.shell() is not None
        self.out, self.err = self._console(is_stderr=False), self._console(is_stderr=True)

    def _console(self, *, is_stderr: bool) -> Console:
        # In a notebook rich would make an output of each line, and ipykernel 7 calls its streams terminals.
        terminal = False if self.is_notebook else None
        options: Any = {"highlight": False, "soft_wrap": True, "force_jupyter": False, "force_terminal": terminal}
        return RedactedConsole(stderr=is_stderr, **options)

    @property
    def is_live(self) -> bool:
        """Whether stdout is a terminal, where lines can be drawn anew."""
        return self.out.is_terminal

    def warn(self, text: str) -> None:
        """Say what the user should know but need not stop for."""
        self.err.print(Text("warning: ", style="bold yellow").append(text, style="not bold default"))

    def error(self, text: str) -> None:
        """Say what went wrong."""
        self.err.print(Text(text))

    def marked(self, mark: str, text: str, style: str) -> None:
        """Print a sentence behind a word that stands out.

        Args:
            mark: the word.
            text: the sentence.
            style: of the word, as rich has it.
        """
        self.out.print(Text(f"{mark}: ", style=style).append(text, style="not bold default"))

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


def check_stdout(option: str) -> None:
    """Check that there is a standard output, before the work for what is printed there begins.

    Args:
        option: that asks for it, as written.
    Raises: SettingsError: it is closed.
    """
    if sys.stdout is None:
        raise SettingsError(f"standard output is closed, where {option} prints: send it to a file or a pipe")


@contextlib.contextmanager
def stdout_for_data() -> Iterator[None]:
    """Send what is written to stdout meanwhile to stderr, also by native code and child processes.

    So a command whose output another program reads prints nothing else there.

    Raises: SettingsError: stdout is closed.
    """
    check_stdout("--json")
    before = sys.stdout
    before.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stdout = before
        os.dup2(saved, 1)
        os.close(saved)


def print_problems(problems: Sequence[str], place: str, *, is_busy: bool = False) -> None:
    """Print every problem, one a line, to stderr.

    Args:
        problems: a sentence each.
        place: what they are mistakes in: configuration or command line.
        is_busy: whether another process is at it already, or what they name was deleted, which is no mistake.
    """
    console = RedactedConsole(stderr=True, highlight=False, soft_wrap=True)
    count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    head = "nothing was run:" if is_busy else f"{count} in the {place}; nothing was run:"
    console.print(Text(head, style="bold red"))
    for problem in problems:
        console.print(Text(f"  {problem}"))
