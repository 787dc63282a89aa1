"""A bar of how many examples are predicted, on stderr, where nothing else tells."""

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mnist_exp.runtime.terminal import Screen


@contextlib.contextmanager
def bar(screen: Screen, total: int | None, *, is_quiet: bool) -> Iterator[Callable[[], None]]:
    """Show a bar and yield what moves it on by one.

    Args:
        screen: stdout and stderr. Without a terminal on stderr there is no bar, nor where lines are seen on stdout.
        total: how many there will be; None if that is not known.
        is_quiet: whether nothing is printed to stdout.
    """
    if not screen.err.is_terminal or (screen.is_live and not is_quiet):
        yield lambda: None
        return
    columns = (
        TextColumn("predicted"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # What is printed goes where it belongs: stdout may be a pipe.
    shown = Progress(*columns, console=screen.err, transient=True, redirect_stdout=False, redirect_stderr=False)
    with shown:
        task = shown.add_task("", total=total)
        yield lambda: shown.advance(task)
