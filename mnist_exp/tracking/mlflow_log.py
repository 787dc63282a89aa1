"""What MLflow and its database say about errors: kept off the screen, and as the one line that matters."""

import contextlib
import logging
import re
import threading
from collections.abc import Iterator

from mnist_exp.errors import MnistExpError

# These log a traceback, or a line for each retry; we show one sentence instead. The last warns at each model where pip
# is not installed, as in the environments that uv makes; the requirements of our models are complete without it.
_LOUD = (
    "mlflow.store.db.utils", "urllib3.connectionpool", "mlflow.utils.requests_utils", "mlflow.utils.environment",
)  # fmt: skip
_BEFORE = re.compile(r"\(raised as a result of .*\)$")  # SQLAlchemy's line before the error of the database
_DRIVER = re.compile(r"^\([\w.]+Error\) ")
_AFTER = ("Max retries exceeded", "(Background on this error")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide what MLflow logs about errors, and about a missing pip, in this thread."""
    for name in _LOUD:
        logging.getLogger(name).addFilter(_is_audible)
    thread = threading.get_ident()
    is_outermost = thread not in _silenced
    _silenced.add(thread)
    try:
        yield
    finally:
        if is_outermost:
            _silenced.discard(thread)


def reason(error: BaseException) -> str:
    """Return an error as one line, without what `requests` and SQLAlchemy add to it; at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines()]
    text = next((line for line in lines if line and not _BEFORE.match(line)), "")
    for sign in _AFTER:
        text = text.partition(sign)[0]
    text = _DRIVER.sub("", text).strip(" (:")[:200]
    kind = type(error).__name__
    if isinstance(error, MnistExpError) or kind == "MlflowException":
        return text or kind
    return f"{kind}: {text}" if text else kind


_silenced: set[int] = set()


def _is_audible(record: logging.LogRecord) -> bool:
    return record.thread not in _silenced
