"""The progress of a running sweep on the screen: a status line that is updated, and a line for each job that ends."""

import contextlib
import html
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.live import Live
from rich.text import Text

from mnist_exp.config.wording import duration
from mnist_exp.errors import plural
from mnist_exp.jobs import events
from mnist_exp.runtime import notebooks
from mnist_exp.runtime.terminal import Screen
from mnist_exp.sweeps.outcome.leaderboard import OUTCOMES, Row

_PERIOD_S = 0.2
_REST = 20  # The pause is this many times the last reading: many jobs or a slow disk must not take the whole CPU.
_OPEN = ("left", "running")
_STYLES = {
    "done": "green",
    "paused": "yellow",
    "promoted": "cyan",
    "pruned": "yellow",
    "failed": "bold red",
    "killed": "red",
    "lost": "red",
}


class Progress:
    """Reads the events of a sweep's jobs in a thread, keeps a row for each job, and prints the progress.

    Args:
        folder: where the jobs write their events.
        screen: to print on.
        rows: one for each job, reused jobs too; a trial that another process has begun is added to them.
        to_run: the rows of the jobs that are launched; the n-th is job number n. A job of a search may do several
            trials, one of which takes its row; one that is not in `rows` only goes on with what is there.
        direction: maximize or minimize.
        objective: name of the objective.
        on_failure: called with the row of each job that fails, before its line is printed.
        on_done: called with the row of each job that is done.
        is_store_lost: called where a job could not begin its record; tells whether the whole sweep is to stop for that.
        budget_epochs: that all jobs may train; None sets no limit.
        goes_on: whether another process goes on with a job whose process has died, as those of a search do.
    """

    def __init__(
        self,
        folder: Path,
        screen: Screen,
        rows: list[Row],
        to_run: Sequence[Row],
        direction: str,
        objective: str,
        on_failure: Callable[[Row], None],
        on_done: Callable[[Row], None],
        is_store_lost: Callable[[], bool],
        budget_epochs: int | None = None,
        goes_on: bool = False,
    ) -> None:
        self.rows = rows
        self._budget_epochs = budget_epochs
        self._jobs = dict(enumerate(to_run))
        self._slots = dict(self._jobs)
        self._lost: set[int] = set()  # Rows of trials whose process has died, and that another one may go on with.
        self._open = {id(row) for row in self.rows if row.outcome in _OPEN}  # Jobs that have not ended.
        self._reader = events.Reader(folder)
        self._screen, self._on_failure, self._on_done = screen, on_failure, on_done
        self._is_store_lost, self._goes_on = is_store_lost, goes_on
        self._maximizes, self._objective = direction == "maximize", objective
        self._epoch_s: deque[float] = deque(maxlen=50)
        self._began: dict[int, float] = {}
        self._before_s: dict[int, float] = {}  # What the trial of a job took until it was paused.
        self._said_time_left = False
        self._said = ""
        self._warned: set[str] = set()
        self._skipped: set[int] = set()
        self._over = threading.Event()
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)
        self._live: Live | None = None
        self._shown: notebooks.Shown | None = None

    def __enter__(self) -> "Progress":
        """Start the thread that reads the events."""
        if self._screen.is_live:
            self._live = Live(get_renderable=self._line, console=self._screen.out, refresh_per_second=2, transient=True)
            self._live.start()
        if self._screen.is_notebook:
            self._shown = notebooks.Shown()
            self._show()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Read the last events, and stop the thread."""
        self._over.set()
        self._thread.join()
        self._read(surely=True)
        if self._live is not None:
            self._live.stop()
        # Of two jobs that were at one trial, one after the other, the last.
        for number, row in {id(row): (number, row) for number, row in self._jobs.items()}.values():
            if kind is None and id(row) in self._lost:
                continue  # Its sweep looks after it.
            # No more events will come: the job's process was stopped, or the job was cancelled before it started.
            was_cancelled = kind is None and row.outcome == "left" and number not in self._skipped
            if row.outcome in ("running", "killed") or was_cancelled:
                self._end(number, row, {"event": "killed"})
        self._show()
        self._screen.out.print()

    def _show(self) -> None:
        """Put the state of the sweep anew in its place in a notebook."""
        if self._shown is not None and (text := self._line().plain) != self._said:
            self._said = text
            self._shown.show(f"<pre>{html.escape(text)}</pre>", text)

    def mark_lost(self, number: int, reason: str, *, is_late: bool = False) -> None:
        """Mark a job failed whose process ended before the job did; with a trial of a search another process goes on.

        Args:
            number: of the job.
            reason: why the process ended.
            is_late: whether it took too long, so that nobody goes on with it.
        """
        self._read(surely=True)
        with self._lock:
            row = self._jobs[number]
            if self._goes_on and not is_late:
                if row.outcome in ("left", "running", "killed") and id(row) not in self._lost:
                    self._lose(row, reason)
            elif row.outcome in ("left", "running", "killed"):
                self._end(number, row, {"event": "failed", "reason": reason})

    def _follow(self) -> None:
        wait = _PERIOD_S
        while not self._over.wait(wait):
            began = time.monotonic()
            self._read()
            self._show()
            wait = max(_PERIOD_S, _REST * (time.monotonic() - began))

    def _read(self, *, surely: bool = False) -> None:
        with self._lock, contextlib.suppress(OSError):  # The disk may be back at the next reading.
            for event in self._reader.read(surely=surely):
                self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        number, kind = int(event["job"]), event["event"]
        row = self._row(number, event)
        if kind == "warning":
            if event["text"] not in self._warned:
                self._warned.add(event["text"])
                self._screen.warn(event["text"])
        elif kind == "epoch":
            row.epochs = event["epoch"]
            self._epoch_s.append(event["seconds"])
            self._say_time_left()
        elif kind == "started":
            self._began[number] = event["time"]
            self._before_s[number] = row.seconds if row.outcome == "paused" else 0.0
            row.outcome, row.planned_epochs, row.epochs = "running", event["of"], event["done"]
            self._open.add(id(row))  # It may have ended before: on a machine that was lost, or paused.
            self._lost.discard(id(row))
            self._describe(row, event)
            if (epoch := event.get("promoted")) is not None and epoch not in row.promotions:
                row.promotions = (*row.promotions, epoch)
                self._say("promoted", row, f"from {plural(epoch, 'epoch')}")
        elif kind == "repeated":
            row.outcome, row.name = "repeated", event["name"]
            self._open.discard(id(row))
        elif kind == "killed":  # The sweep was interrupted, or only this process died: then `mark_lost` is called.
            row.outcome = "killed"
            self._open.discard(id(row))
        elif kind == "skipped" or (kind == "no store" and self._is_store_lost()):
            self._skipped.add(number)
            row.held_by = event.get("held_by", "")
        elif kind == "no store":  # Of the machine of this job alone.
            self._describe(row, event)
            self._end(number, row, event | {"event": "failed"})
        else:
            self._describe(row, event)
            self._end(number, row, event)

    def _row(self, number: int, event: dict[str, Any]) -> Row:
        """Return the row that an event of a job is about: of a search that of the trial, whoever began it."""
        row, trial = self._jobs[number], event.get("trial")
        if trial is None or row.trial == trial:
            return row
        run_id = event.get("run_id")
        known = [each for each in self.rows if each.trial == trial or (run_id is not None and each.run_id == run_id)]
        own = [each for each in self.rows if each is self._slots[number]]
        free = [each for each in (*own, *self.rows) if each.trial is None and each.outcome == "left"]
        if not known and (event.get("promoted") is not None or not free):  # Of another process that shares the search.
            known = [Row("")]
            self.rows.append(known[0])
            self._open.add(id(known[0]))
        found = known[0] if known else free[0]
        found.trial, self._jobs[number] = trial, found
        return found

    def _lose(self, row: Row, reason: str) -> None:
        """Note that a process has died at a trial."""
        # Of one that has not begun its run, nobody knows which trial it was at.
        row.outcome, row.reason = ("left" if row.trial is None else "killed"), reason
        self._lost.add(id(row))
        if row.trial is not None:
            self._open.discard(id(row))
        self._say("lost", row, f"{reason}; another worker goes on with it")

    def _describe(self, row: Row, event: dict[str, Any]) -> None:
        row.run_id = event.get("run_id")
        for name in ("name", "values", "command"):
            if getattr(row, name) != event[name]:  # What the plan has already is not kept twice, of 10,000 jobs.
                setattr(row, name, event[name])

    def _end(self, number: int, row: Row, event: dict[str, Any]) -> None:
        row.outcome = event["event"]
        row.objective = event.get("objective", math.nan)
        row.metrics = {sys.intern(name): value for name, value in event.get("metrics", {}).items()}
        row.epochs = event.get("epochs", row.epochs)
        now = event.get("time", time.time())
        row.seconds = now - self._began.get(number, now) + self._before_s.get(number, 0.0)
        row.reason = event.get("reason", "")
        row.reused = event.get("reused", False)
        row.traceback = event.get("traceback", "")
        row.changed = event.get("changed", ())
        row.own_code = event.get("own_code", "")
        row.has_model = event.get("has_model", False)
        if row.outcome == "failed":
            self._on_failure(row)
        elif row.outcome == "done":
            self._on_done(row)
        self._open.discard(id(row))
        if row.outcome == "failed":
            result = row.reason
        elif row.outcome == "killed":
            result = "interrupted"
        else:
            epochs = plural(row.epochs, "epoch")
            result = f"{self._objective} {row.objective:.4f}   {epochs}   {row.seconds:.1f} s"
        self._say(row.outcome, row, result)

    def _say(self, word: str, row: Row, text: str) -> None:
        """Print a line about a job."""
        ended = len(self.rows) - len(self._open)
        run = f"   run {row.run_id}" if row.run_id else ""
        line = Text(f"{word:<6}", style=_STYLES[word])
        line.append(
            f" {ended:>{len(str(len(self.rows)))}}/{len(self.rows)}   {row.name}   {text}{run}", style="default"
        )
        self._screen.out.print(line)

    def _line(self) -> Text:
        with self._lock:
            counts = dict.fromkeys(("done", "running", *OUTCOMES), 0)
            for row in self.rows:
                counts[row.outcome] += 1
            always = () if self._over.is_set() else ("done", "running", "left")
            shown = "  ".join(f"{count} {kind}" for kind, count in counts.items() if count or kind in always)
            return Text(f"{shown}{self._best()}{self._time_left()}", overflow="ellipsis", no_wrap=True)

    def _best(self) -> str:
        done = [row for row in self.rows if row.outcome == "done" and not math.isnan(row.objective)]
        if not done:
            return ""
        best = (max if self._maximizes else min)(done, key=lambda row: row.objective)
        return f"   best {self._objective} {best.objective:.4f} ({best.name})"

    def _time_left(self) -> str:
        seconds = self._seconds_left() if self._open else None
        return "" if seconds is None else f"   about {duration(seconds)} left"

    def _seconds_left(self) -> float | None:
        """Estimate the time left from the epochs left and the time of the last ones; None before the first epoch."""
        running = [row for row in self.rows if row.outcome == "running"]
        if not self._epoch_s:
            return None
        known = [row.planned_epochs for row in self.rows if row.planned_epochs]
        usual = sum(known) / len(known) if known else 1.0
        epochs = float(sum(row.planned_epochs - row.epochs for row in running))
        epochs += sum(row.planned_epochs or usual for row in self.rows if row.outcome == "left")
        if self._budget_epochs is not None:
            epochs = min(epochs, max(self._budget_epochs - sum(row.epochs for row in self.rows), 0))
        return epochs * sum(self._epoch_s) / len(self._epoch_s) / max(len(running), 1)

    def _say_time_left(self) -> None:
        if not self._said_time_left and not self._screen.is_live and self._shown is None:
            self._said_time_left = True
            self._screen.out.print(f"time left{self._time_left().removesuffix(' left')}")
