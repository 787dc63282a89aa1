"""Download a file from the first mirror that has a good one. A bad file never replaces a good one."""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mnist_exp.errors import DataError

ATTEMPTS = 3
PAUSE_S = 1.0


def fetch(
    urls: Sequence[str],
    place: Path,
    verify: Callable[[Path], None],
    *,
    timeout_s: float = 20.0,
) -> Path:
    """Download the first of `urls` whose content passes `verify` to `place`, and return `place`.

    All mirrors are tried in turn. The turn is repeated only if a server answered: without a network there is nothing to
    wait for.

    Args:
        urls: where to fetch it.
        place: path of the file; it is replaced in one step, and only by a verified file.
        verify: raises DataError for a wrong file.
        timeout_s: how long a server may stay silent.
    Raises: DataError: no mirror has it; the message holds the reason of each.
    """
    import pooch
    import requests

    reasons: dict[str, str] = {}
    download = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=timeout_s)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{place.parent} cannot be made for the download: {error.strerror}") from error
    if not urls:
        raise DataError("no mirror is given to download it from")
    for attempt in range(ATTEMPTS):
        time.sleep(attempt * PAUSE_S)
        answered = False
        for url in urls:
            partial = _partial(place)
            try:
                download(url, str(partial), None)
                verify(partial)
                partial.chmod(0o666 & ~_umask())
                partial.replace(place)
                return place
            except requests.ConnectionError as error:
                # Silent or broken off in the middle counts as an answer; no name, route or open port does not.
                reached = "Connection aborted" in str(error) or "Read timed out" in str(error)
                answered |= reached
                reasons[url] = _short(error) if reached else "the host cannot be reached"
            except (requests.RequestException, DataError, OSError, ValueError) as error:
                # A file that is not there (404) will not be there a second later.
                status = getattr(getattr(error, "response", None), "status_code", 500)
                answered |= not 400 <= status < 500
                reasons[url] = _short(error)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    partial.unlink()
        if not answered:
            break
    raise DataError("no mirror gave it: " + "; ".join(f"{url}: {reason}" for url, reason in reasons.items()))


def keras_cache() -> Path:
    """Return the folder in which Keras keeps its data sets."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "datasets"


def _partial(place: Path) -> Path:
    try:
        handle, name = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".partial", dir=place.parent)
    except OSError as error:
        raise DataError(f"{place.parent} cannot be written for the download: {error.strerror}") from error
    os.close(handle)
    return Path(name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _short(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
