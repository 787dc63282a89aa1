"""Hand what came of a run, or a sweep, to a command of the user's (`tracking.notify`), as JSON on its standard input.

The command is code. It is taken from the command line, and from no file (`config/rules.py`) and no record:
`recall.check_config` leaves out the section `tracking` of a recorded configuration. It is recorded as `***`.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mnist_exp.errors import printable
from mnist_exp.experiment.as_data import Listener
from mnist_exp.runtime import signals
from mnist_exp.runtime.start_folder import start_folder
from mnist_exp.tracking.background_call import BackgroundCall

_PATIENCE_S = 30.0
_LAST_WORDS_S = 3.0  # A signal ends the run: whoever sent it may kill within 10 s.
_MOST_SAID = 10_000  # bytes of what it says on standard error


@contextlib.contextmanager
def sent(command: str | None, also: Listener | None, warn: Callable[[str], None]) -> Iterator[Listener | None]:
    """Yield a listener for what came of a run or a sweep; the command is called with it as the block ends.

    Args:
        command: None calls nothing.
        also: told first, at once; None for nobody.
        warn: called with a sentence if the command cannot be called, fails, or takes longer than 30 s.
    """
    if command is None:
        yield also
        return
    documents: list[dict[str, Any]] = []
    words = shlex.split(command)
    if not _is_there(words[0]):
        warn(f"tracking.notify: {printable(words[0])} is not found, or cannot be run: put that right before the end")

    def listen(document: dict[str, Any]) -> None:
        if also is not None:
            also(document)
        documents.append(document)

    try:
        yield listen
    finally:
        for document in documents:
            _send(words, document, warn)


def _is_there(program: str) -> bool:
    """Tell whether a program can be called now. It may become so until the end, so nothing is refused."""
    return shutil.which(str(start_folder() / program) if os.sep in program else program) is not None


def _send(words: Sequence[str], document: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Call the command with a document, and wait for it; whatever it does, the run is what it was.

    It is divided into words as a shell does it, but no shell is asked. What it prints is left out.
    """
    try:
        with tempfile.TemporaryFile() as said:
            line = json.dumps(document, ensure_ascii=False) + "\n"  # So that `tee -a` makes a file of lines.
            problem = _called(words, line.encode(), said)
            said.seek(0)
            lines = said.read(_MOST_SAID).decode(errors="replace").splitlines()
            reason = next((line.strip() for line in lines if line.strip()), "")
    except (OSError, ValueError) as error:
        problem, reason = "cannot be called", getattr(error, "strerror", None) or str(error)
    if problem:
        warn(f"tracking.notify: {printable(words[0])} {problem}" + (f": {_without(words, reason)}" if reason else ""))


def _called(words: Sequence[str], document: bytes, said: Any) -> str:
    """Call it; return what went wrong, empty if nothing did."""
    process = subprocess.Popen(
        words,
        cwd=start_folder(),  # A run may have changed the folder: `./tell.sh` is meant as it was typed.
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=said,
        start_new_session=True,
    )
    try:
        call = BackgroundCall(lambda: process.communicate(document))
        if not call.wait(_PATIENCE_S, signals.is_asked) and not call.wait(_LAST_WORDS_S):
            return f"was stopped, as it took longer than {_LAST_WORDS_S if signals.is_asked() else _PATIENCE_S:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    call.result()
    return f"ended with exit code {process.returncode}" if process.returncode else ""


def _without(words: Sequence[str], text: str) -> str:
    """Return what a command said without its own words, which may be an address that nobody else may know."""
    for word in sorted(words[1:], key=len, reverse=True):
        text = text.replace(word, "…") if len(word) > 3 else text
    return printable(text)
