"""What a process prints, without secrets: whoever prints it, this package, a library or a user's own code."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO

from mnist_exp.runtime.redaction import redact


class UnwritableError(OSError):
    """Standard output, or standard error, cannot be written, as on a full disk."""


class RedactedStream:
    """A text stream that redacts what is written to it, line by line.

    Half a line is held back until it is whole or is flushed: a secret may come in two pieces.

    Args:
        stream: where it goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._held = ""
        self._lock = threading.RLock()  # A signal's handler may print while its own thread does.

    def write(self, text: str) -> int:
        """Write a text."""
        with self._lock:
            self._held += text
            if "\n" in text:
                whole, end, self._held = self._held.rpartition("\n")
                with self._as_its_own_error():
                    self._stream.write(redact(whole + end))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Pass on what is held back."""
        with self._lock:
            held, self._held = self._held, ""
            with self._as_its_own_error():
                if held:
                    self._stream.write(redact(held))
                self._stream.flush()

    @contextlib.contextmanager
    def _as_its_own_error(self) -> Iterator[None]:
        """Let what cannot be written not be taken for another file of the command."""
        try:
            yield
        except BrokenPipeError:  # Nobody reads any more, which is no fault.
            raise
        except OSError as error:
            name = "error" if self._stream is sys.__stderr__ else "output"
            raise UnwritableError(f"standard {name} cannot be written: {error.strerror or error}") from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    # absl closes the stream of its log handler when Hydra sets logging up, unless the stream equals `sys.stderr` or
    # Python's own `sys.__stderr__`. A worker of Ray has another stderr (absl-py 2.5, PythonHandler.close).
    def __eq__(self, other: object) -> bool:
        return other is self or other is self._stream

    def __hash__(self) -> int:
        return hash(self._stream)


@contextlib.contextmanager
def redacted_output() -> Iterator[None]:
    """Redact what goes to stdout and stderr meanwhile. What native code writes goes past it."""
    before = sys.stdout, sys.stderr
    # A process without a terminal may have none.
    streams: Any = [stream and RedactedStream(stream) for stream in before]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):  # As where nobody reads them any more.
            for stream in filter(None, streams):
                stream.flush()
        sys.stdout, sys.stderr = before
