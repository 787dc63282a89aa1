"""Try something that may hang, in a thread of its own: it holds nobody up, and signals still come through."""

import threading
import time
from collections.abc import Callable
from typing import Any

_LOOK_S = 0.1


class Attempt:
    """One try. It cannot be broken off; at the end of the process it ends too.

    Args:
        action: what is tried, at once.
    """

    def __init__(self, action: Callable[[], Any]) -> None:
        self._action = action
        self._began = time.monotonic()
        self._is_over = threading.Event()
        self._returned: Any = None
        self._error: BaseException | None = None
        threading.Thread(target=self._try, name="mnist_exp-attempt", daemon=True).start()

    @property
    def age_s(self) -> float:
        """How long ago it began."""
        return time.monotonic() - self._began

    def wait(self, seconds: float | None = None, unless: Callable[[], bool] = bool) -> bool:
        """Wait for it, and tell whether it is over.

        Args:
            seconds: at the most; None waits as long as it takes.
            unless: asked now and then; true ends the waiting.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while not self._is_over.is_set():
            left = _LOOK_S if until is None else min(until - time.monotonic(), _LOOK_S)
            if left <= 0 or unless():
                break
            self._is_over.wait(left)
        return self._is_over.is_set()

    def result(self) -> Any:
        """Return what it returned, when it is over, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._returned

    def _try(self) -> None:
        try:
            self._returned = self._action()
        except BaseException as error:  # It is raised where the result is asked for.
            self._error = error
        self._is_over.set()
