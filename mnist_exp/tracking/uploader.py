"""Upload the records of a run in the background; records that the store does not take wait on disk."""

import functools
import math
import time
from collections.abc import Callable

from mnist_exp.errors import RunError
from mnist_exp.runtime import retries, signals
from mnist_exp.tracking import mlflow_log, mlflow_writes, store
from mnist_exp.tracking.background_call import BackgroundCall
from mnist_exp.tracking.spool import Record, Spool, count_records

# A training waits this long for the store, then goes on; it waits again only after ten times as long.
_HOLD_S = 5.0
_REST = 10.0
_LONGEST_REST_S = 60.0
# A shorter silence is no reason for a warning: the store may be slow.
_SILENCE_S = 15.0
_TRAINING = "the training goes on"
# How long a run waits for its store after a signal has asked it to end: see `runtime.signals`.
LAST_WORDS_S = 4.0


class UploadError(RunError):
    """The store did not take all records of a run; the others wait on disk."""


class Uploader:
    """Uploads the records of one run, in their order.

    One upload runs at a time, in the background. If it takes too long, the training goes on meanwhile.

    Args:
        uri: address of the store.
        run_id: of the run.
        spool: where records wait.
        warn: called with a sentence when the store stops answering, and when it is back.
    """

    def __init__(self, uri: str, run_id: str, spool: Spool, warn: Callable[[str], None]) -> None:
        self.spool = spool
        self.uploaded = 0  # records
        self.reason = ""  # Why the store does not take records; empty while it does.
        self.is_transient = True  # Whether another try may help.
        self._uri, self._run_id, self._warn = uri, run_id, warn
        self._call: BackgroundCall | None = None
        self._rest_s, self._next_try = retries.RETRY_S, 0.0
        self._late = 0  # records uploaded since the store is back
        self._meanwhile = _TRAINING

    def send(self, record: Record, model: mlflow_writes.TrainedModel | None = None) -> None:
        """Upload a record after those that wait; if the store does not take it now, it waits too.

        Args:
            record: to upload.
            model: the model of a record of kind `model`; the training is over then, so the call waits for the upload.
        Raises: UploadError: the model can neither be recorded nor be kept on disk.
        """
        if model is not None:
            if self._advance(_HOLD_S, signals.is_asked) and self._upload_model(record, model):
                return
            try:
                record = mlflow_writes.packed_model(record, model.keras)
            except OSError as error:
                reason = error.strerror or error
                raise UploadError(f"the model can be neither recorded nor kept: {reason}") from error
        self.spool.put(record)
        # An upload that has begun earlier is only checked, without waiting.
        is_busy = self._call is not None and not self._call.wait(0)
        self._advance(0.0 if is_busy else _HOLD_S, signals.is_asked)
        self.spool.store()

    def flush(self, patience_s: float = 0.0, at_most_s: float = math.inf) -> bool:
        """Upload the records that wait. Those that are left are on disk, unless the disk is full.

        A signal that comes meanwhile, and is held, leaves `LAST_WORDS_S`.

        No retry library is used here: many uploads share one deadline, and one of them may still hang at its end.

        Args:
            patience_s: how long to try again, if another try may help.
            at_most_s: how long to wait for an upload that hangs.
        Returns: whether no record is left.
        """
        self._meanwhile = "it is tried again"
        now = time.monotonic()
        until, limit = now + min(patience_s, at_most_s), now + at_most_s
        is_hurried = signals.is_asked()
        if at_most_s < math.inf:
            self.spool.store()
        try:
            while True:
                if not is_hurried and signals.is_asked():
                    is_hurried, until = True, 0.0
                    limit = min(limit, time.monotonic() + LAST_WORDS_S)
                self._next_try = 0.0
                age_s = self._call.age_s if self._call is not None else 0.0
                hold_s = min(limit - time.monotonic(), _SILENCE_S - age_s % _SILENCE_S)
                if self._advance(hold_s, bool if is_hurried else signals.is_asked):
                    return True
                if self._call is not None:
                    if time.monotonic() < limit:
                        continue
                    self.reason = self.reason or _silence(self._call)
                    return False
                if time.monotonic() + retries.RETRY_S > until or not self.is_transient or store.is_unusable(self._uri):
                    return False
                self.spool.store()
                time.sleep(retries.RETRY_S)
        finally:
            self._meanwhile = _TRAINING
            self.spool.store()

    def _advance(self, hold_s: float, is_asked: Callable[[], bool] = bool) -> bool:
        """Upload waiting records one by one.

        Args:
            hold_s: how long to wait.
            is_asked: called while waiting; if it returns true, the waiting ends.
        Returns: whether no record is left.
        """
        began = time.monotonic()
        while len(self.spool):
            if self._call is None:
                if time.monotonic() < self._next_try:
                    return False
                try:
                    record = self.spool.first()
                except RunError as error:
                    self._note_failure(error, 0.0, is_transient=False)
                    return False
                self._call = BackgroundCall(functools.partial(mlflow_writes.write, self._uri, self._run_id, record))
            held_s = time.monotonic() - began
            if not self._call.wait(hold_s - held_s, is_asked):
                self._next_try = time.monotonic() + _REST * held_s
                if self._call.age_s >= _SILENCE_S:
                    self._set_reason(_silence(self._call))
                return False
            call, self._call = self._call, None
            if not self._has_succeeded(call, began):
                return False
        if self._late:
            self._warn(f"the tracking store is back: {count_records(self._late)} that had waited delivered")
        self.reason, self._late = "", 0
        return True

    def _has_succeeded(self, call: BackgroundCall, began: float) -> bool:
        """Note the result of the upload of the oldest record, and return whether it succeeded."""
        try:
            call.result()
        except mlflow_writes.write_errors() as error:
            self._note_failure(error, time.monotonic() - began)
            return False
        except Exception:
            # This is a bug: another try would fail too, and the run's status must not wait behind this record.
            self.spool.drop_first(only_from_memory=True)
            raise
        self.spool.drop_first()
        self.uploaded += 1
        self._late += bool(self.reason)
        self._rest_s, self._next_try = retries.RETRY_S, 0.0
        return True

    def _upload_model(self, record: Record, model: mlflow_writes.TrainedModel) -> bool:
        call = BackgroundCall(functools.partial(mlflow_writes.write, self._uri, self._run_id, record, model))
        call.wait()
        try:
            call.result()
        except mlflow_writes.write_errors() as error:
            self._note_failure(error, call.age_s)
            return False
        return True

    def _note_failure(self, error: BaseException, held_s: float, *, is_transient: bool = True) -> None:
        self._set_reason(mlflow_log.reason(error))
        status = getattr(error, "get_http_status_code", lambda: 500)()
        self.is_transient = is_transient and (status >= 500 or status in mlflow_writes.TRANSIENT)
        self._next_try = time.monotonic() + max(self._rest_s, _REST * held_s)
        self._rest_s = min(self._rest_s * 2, _LONGEST_REST_S)

    def _set_reason(self, reason: str) -> None:
        if not self.reason:
            self._warn(
                f"the tracking store does not take records ({reason}); {self._meanwhile}, and they wait in "
                f"{self.spool.folder}"
            )
        self.reason = reason


def _silence(call: BackgroundCall) -> str:
    return f"no answer for {call.age_s:.0f} s"
