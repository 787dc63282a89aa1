"""A call in a thread of its own: if it hangs, the training goes on, and signals are still handled.

SQLite alone waits 20 s for a lock, and no signal is handled meanwhile (docs/decisions/0007-stores-that-go-away.md).

A `ThreadPoolExecutor` will not do: Python waits for its threads when the process ends, so a store that hangs would keep
a killed run alive. The threads here are daemons.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

_POLL_S = 0.1


class BackgroundCall:
    """One call in the background. It cannot be cancelled, but it ends with the process.

    Args:
        action: called at once.
    """

    def __init__(self, action: Callable[[], Any]) -> None:
        self._action = action
        self._began = time.monotonic()
        self._is_over = threading.Event()
        self._returned: Any = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="mnist_exp-call", daemon=True).start()

    @property
    def age_s(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self._began

    def wait(self, seconds: float | None = None, unless: Callable[[], bool] = bool) -> bool:
        """Wait for the call, and return whether it is over.

        Args:
            seconds: longest time to wait; None waits until the call is over.
            unless: called ten times a second; if it returns true, the waiting ends.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while not self._is_over.is_set():
            left = _POLL_S if until is None else min(until - time.monotonic(), _POLL_S)
            if left <= 0 or unless():
                break
            self._is_over.wait(left)
        return self._is_over.is_set()

    def result(self) -> Any:
        """Return what the call returned, or raise what it raised. The call must be over."""
        if self._error is not None:
            raise self._error
        return self._returned

    def _run(self) -> None:
        try:
            self._returned = self._action()
        except BaseException as error:  # `result` raises it.
            self._error = error
        self._is_over.set()
