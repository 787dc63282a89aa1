"""Fetch a file once, from the first mirror that gives a good one; a bad one never reaches its place."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from mnist_exp.errors import DataError

ATTEMPTS = 3


def fetch(
    urls: Sequence[str],
    place: Path,
    verify: Callable[[Path], None],
    *,
    timeout_s: float = 20.0,
    progress: bool = True,
) -> Path:
    """Return `place`, filled from the first of `urls` whose content passes `verify`.

    Every mirror is tried in turn, and the turn is repeated while a server answered at all: without a
    network there is nothing to wait for.

    Args:
        urls: where to fetch it.
        place: where it shall be; replaced in one step, and only by a verified file.
        verify: raises DataError for a file that is not what was wanted.
        timeout_s: how long a server may stay silent.
        progress: whether to draw a progress bar.
    Raises: DataError: no mirror gave it, with the reason of each.
    """
    import pooch
    import requests

    reasons: dict[str, str] = {}
    download = pooch.HTTPDownloader(progressbar=progress, timeout=timeout_s)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{place.parent} cannot be made for the download: {error.strerror}") from error
    for _ in range(ATTEMPTS):
        answered = False
        for url in urls:
            partial = _partial(place)
            try:
                download(url, str(partial), None)
                verify(partial)
                partial.replace(place)
                return place
            except requests.ConnectionError as error:
                # Timed out or broken off in the middle counts as an answer, no route or no name does not.
                answered |= isinstance(error, requests.Timeout) or "Read timed out" in str(error)
                reasons[url] = _short(error) if answered else "the host cannot be reached"
            except (requests.RequestException, DataError, OSError, ValueError) as error:
                answered = True
                reasons[url] = _short(error)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    partial.unlink()
        if not answered:
            break
    raise DataError("no mirror gave it: " + "; ".join(f"{url}: {reason}" for url, reason in reasons.items()))


def _partial(place: Path) -> Path:
    try:
        handle, name = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".partial", dir=place.parent)
    except OSError as error:
        raise DataError(f"{place.parent} cannot be written for the download: {error.strerror}") from error
    os.close(handle)
    return Path(name)


def _short(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
