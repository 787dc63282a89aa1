"""Bring the records of a run to its store without holding it up; what the store does not take waits on disk."""

import functools
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mnist_exp.errors import RunError, first_line
from mnist_exp.runtime import retries, signals
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import mlflow_writes
from mnist_exp.tracking.background import Attempt
from mnist_exp.tracking.spool import Message, Outbox

if TYPE_CHECKING:
    import keras

# A training waits for the store so long, then goes on, and does not wait again before ten times as long.
_HOLD_S = 5.0
_REST = 10.0
_LONGEST_REST_S = 60.0
# A store that is only slow is not worth a warning.
_SILENCE_S = 15.0
_TRAINING = "the training goes on"


class UndeliveredError(RunError):
    """The store did not take all that there is of a run; the rest is on disk."""


class Courier:
    """Brings the records of one run, in their order.

    A try that takes too long goes on beside the training; there is one at a time.

    Args:
        uri: address of the store.
        run_id: of the run.
        outbox: where records wait.
        warn: told when the store stops answering, and when it is back.
    """

    def __init__(self, uri: str, run_id: str, outbox: Outbox, warn: Callable[[str], None]) -> None:
        self.outbox = outbox
        self.delivered = 0
        self.reason = ""
        self._uri, self._run_id, self._warn = uri, run_id, warn
        self._attempt: Attempt | None = None
        self._rest_s, self._next_try = retries.RETRY_S, 0.0
        self._late = 0
        self._goes_on = _TRAINING
        self.may_pass = True

    def send(self, message: Message, model: "keras.Model | None" = None) -> None:
        """Bring a record, behind those that wait; it waits too if the store does not take it now.

        Args:
            message: the record.
            model: that it is about, for the kind `model`: the training is over then, and waits for it.
        Raises: UndeliveredError: the model can be neither recorded nor kept.
        """
        if model is not None:
            if self._advance(_HOLD_S, signals.is_asked) and self._bring_model(message, model):
                return
            message = self._packed(message, model)
        self.outbox.put(message)
        # What is being tried already is looked after, not waited for.
        is_busy = self._attempt is not None and not self._attempt.wait(0)
        self._advance(0.0 if is_busy else _HOLD_S, signals.is_asked)
        self.outbox.store()

    def deliver(self, patience_s: float = 0.0, at_most_s: float = math.inf) -> bool:
        """Bring what waits, and tell whether nothing does any more; else it is on disk, as far as that takes it.

        Args:
            patience_s: how long to try again; not where trying again is of no use.
            at_most_s: how long to wait for a try that hangs.
        """
        self._goes_on = "it is tried again"
        now = time.monotonic()
        until, limit = now + min(patience_s, at_most_s), now + at_most_s
        if at_most_s < math.inf:
            self.outbox.store()
        try:
            while True:
                self._next_try = 0.0
                age_s = self._attempt.age_s if self._attempt is not None else 0.0
                if self._advance(min(limit - time.monotonic(), _SILENCE_S - age_s % _SILENCE_S)):
                    return True
                if self._attempt is not None:
                    if time.monotonic() < limit:
                        continue
                    self.reason = self.reason or _silence(self._attempt)
                    return False
                if time.monotonic() + retries.RETRY_S > until or not self.may_pass:
                    return False
                self.outbox.store()
                time.sleep(retries.RETRY_S)
        finally:
            self._goes_on = _TRAINING
            self.outbox.store()

    def _advance(self, hold_s: float, is_asked: Callable[[], bool] = bool) -> bool:
        """Bring what waits, one after the other, and tell whether nothing does any more.

        Args:
            hold_s: how long to wait for it.
            is_asked: true ends the waiting.
        """
        began = time.monotonic()
        while len(self.outbox):
            if self._attempt is None:
                if time.monotonic() < self._next_try:
                    return False
                try:
                    message = self.outbox.first()
                except RunError as error:
                    self._lose(error, 0.0, may_pass=False)
                    return False
                self._attempt = Attempt(functools.partial(mlflow_writes.bring, self._uri, self._run_id, message))
            held_s = time.monotonic() - began
            if not self._attempt.wait(hold_s - held_s, is_asked):
                self._next_try = time.monotonic() + _REST * held_s
                if self._attempt.age_s >= _SILENCE_S:
                    self._tell(_silence(self._attempt))
                return False
            attempt, self._attempt = self._attempt, None
            if not self._has_arrived(attempt, began):
                return False
        if self._late:
            self._warn(f"the tracking store is back: {_records(self._late)} that had waited delivered")
        self.reason, self._late = "", 0
        return True

    def _has_arrived(self, attempt: Attempt, began: float) -> bool:
        """Take note of what came of a try with the oldest record."""
        try:
            attempt.result()
        except mlflow_writes.lost() as error:
            self._lose(error, time.monotonic() - began)
            return False
        except Exception:
            # A bug, which the next try would meet again; the run's status must not wait behind it.
            self.outbox.drop_first(only_from_memory=True)
            raise
        self.outbox.drop_first()
        self.delivered += 1
        self._late += bool(self.reason)
        self._rest_s, self._next_try = retries.RETRY_S, 0.0
        return True

    def _bring_model(self, message: Message, model: "keras.Model") -> bool:
        attempt = Attempt(functools.partial(mlflow_writes.bring, self._uri, self._run_id, message, model))
        attempt.wait()
        try:
            attempt.result()
        except mlflow_writes.lost() as error:
            self._lose(error, attempt.age_s)
            return False
        return True

    def _packed(self, message: Message, model: "keras.Model") -> Message:
        try:
            return mlflow_writes.packed_model(message, model)
        except OSError as error:
            raise UndeliveredError(f"the model can be neither recorded nor kept: {error.strerror or error}") from error

    def _lose(self, error: BaseException, held_s: float, *, may_pass: bool = True) -> None:
        self._tell(redact(_short(error)))
        status = getattr(error, "get_http_status_code", lambda: 500)()
        self.may_pass = may_pass and (status >= 500 or status in mlflow_writes.MAY_PASS)
        self._next_try = time.monotonic() + max(self._rest_s, _REST * held_s)
        self._rest_s = min(self._rest_s * 2, _LONGEST_REST_S)

    def _tell(self, reason: str) -> None:
        if not self.reason:
            self._warn(
                f"the tracking store does not take records ({reason}); {self._goes_on}, and they wait in "
                f"{self.outbox.folder}"
            )
        self.reason = reason


def _silence(attempt: Attempt) -> str:
    return f"no answer for {attempt.age_s:.0f} s"


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


def _short(error: BaseException) -> str:
    """Return what went wrong without the chain of wrappers that `requests` and SQLAlchemy put around it."""
    text = first_line(error).removeprefix("MlflowException: ")
    for sign in ("Max retries exceeded", "(Background on this error"):
        text = text.partition(sign)[0]
    return text.strip(" (:")[:200]
