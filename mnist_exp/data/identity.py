"""The SHA-256 by which a data set is known, and the memory of it for files that have not changed."""

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mnist_exp.data.download import keras_cache
from mnist_exp.data.lazy import Examples, LazyArray, parts
from mnist_exp.errors import DataError

_SHA256 = re.compile(r"[0-9a-f]{64}")


def digest(arrays: Mapping[str, Examples], note: str = "") -> str:
    """Return the SHA-256, in hex, of named arrays: names, dtypes, shapes and bytes.

    Lazy arrays are read once for it, a part at a time. Those of files that have not changed since are not read again.

    Args:
        arrays: by name.
        note: what else tells them from others of the same bytes.
    Raises: DataError: with every row that cannot be read.
    """
    key = _key(arrays, note)
    if key is not None and (known := _recall(key)) is not None:
        return known
    total, problems = hashlib.sha256(note.encode()), []
    for name, array in arrays.items():
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        if not isinstance(array, LazyArray):
            total.update(np.ascontiguousarray(array).data)
            continue
        for part in parts(array):
            try:
                total.update(np.ascontiguousarray(array[part]).data)
            except DataError as error:
                problems += error.problems
    if problems:
        raise DataError(problems)
    if key is not None:
        _remember(key, total.hexdigest())
    return total.hexdigest()


def _key(arrays: Mapping[str, Examples], note: str) -> str | None:
    """Return what stands for arrays without reading the lazy ones; None if all are in memory, or one has to be read."""
    if not any(isinstance(each, LazyArray) for each in arrays.values()):
        return None
    total = hashlib.sha256(note.encode())
    for name, array in arrays.items():
        total.update(f"\0{name} {array.dtype.str} {array.shape}\0".encode())
        if not isinstance(array, LazyArray):
            total.update(np.ascontiguousarray(array).data)
        elif (own := array.identity()) is not None:
            total.update(own.encode())
        else:
            return None
    return total.hexdigest()


def _file(key: str) -> Path:
    return keras_cache() / "mnist_exp-identities" / f"{key}.json"


def _recall(key: str) -> str | None:
    """Return the digest that was remembered for a key; None if there is none, or what is there is damaged."""
    try:
        found = json.loads(_file(key).read_bytes())
        sha256, check = found["sha256"], found["check"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_whole = isinstance(sha256, str) and _SHA256.fullmatch(sha256) and check == _check(key, sha256)
    return sha256 if is_whole else None


def _remember(key: str, sha256: str) -> None:
    """Keep the digest of a key; where the folder cannot be written, the data are read again next time."""
    file = _file(key)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Under another name first: processes that do the same at once never see half of it.
        handle, partial = tempfile.mkstemp(prefix=".", suffix=".partial", dir=file.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as opened:
                json.dump({"sha256": sha256, "check": _check(key, sha256)}, opened)
            Path(partial).replace(file)
        except OSError:
            Path(partial).unlink(missing_ok=True)


def _check(key: str, sha256: str) -> str:
    return hashlib.sha256(f"{key} {sha256}".encode()).hexdigest()
