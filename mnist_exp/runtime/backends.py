"""The backend of Keras: TensorFlow, JAX or PyTorch. It is chosen before Keras is imported, and cannot change later."""

import functools
import importlib.metadata
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from mnist_exp.errors import SettingsError

Backend = Literal["tensorflow", "jax", "torch"]
DEFAULT = "tensorflow"
VARIABLE = "KERAS_BACKEND"
# Packages whose version decides the numbers of a run, beside Keras and NumPy.
PACKAGES = {"tensorflow": ("tensorflow",), "jax": ("jax", "jaxlib"), "torch": ("torch",)}


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed: on JAX and torch, TensorFlow need not be."""
    found = {name: _version(name) for name in packages}
    return {name: version for name, version in found.items() if version is not None}


@functools.cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def default() -> str:
    """Return the backend that Keras uses here, or would use: `$KERAS_BACKEND`, else that of `keras.json`."""
    return running() or os.environ.get(VARIABLE) or _configured() or DEFAULT


def running() -> str | None:
    """Return the backend that Keras uses in this process; None while Keras is not imported."""
    config = sys.modules.get("keras.src.backend.config")
    return str(config.backend()) if config is not None else None


def problems(backend: str | None) -> list[str]:
    """Return why this process cannot train with a backend; empty if it can. Imports nothing.

    Args:
        backend: as `trainer.backend` has it; None is the default.
    """
    backend = backend or default()
    if backend not in PACKAGES:
        return [f"${VARIABLE}={backend} is not allowed: it must be one of {', '.join(PACKAGES)}"]
    now = running()
    if now not in (None, backend):
        return [f"trainer.backend={backend} comes too late: Keras runs on {now} in this process; start a new one"]
    if importlib.util.find_spec(backend) is None:
        return [f"trainer.backend={backend} is not installed: pip install 'mnist_exp[{backend}]'"]
    return []


def choose(backend: str | None) -> None:
    """Make Keras use a backend, in this process and in the processes that it starts.

    Args:
        backend: as `trainer.backend` has it; None is the default.
    Raises: SettingsError: it cannot.
    """
    if found := problems(backend):
        raise SettingsError(found)
    if backend is not None and backend != default():
        os.environ[VARIABLE] = backend


def leave_tensorflow_out() -> None:
    """Keep Keras from importing TensorFlow beside another backend, only to see that nothing is of it.

    Wherever it writes down a model, and where it sets seeds: 3 s and 400 MB a process.
    """
    from keras.src.utils.module_utils import tensorflow

    if running() != DEFAULT and "tensorflow" not in sys.modules:
        tensorflow._available = False  # Keras has no other switch.


def expect_many_models() -> None:
    """Keep TensorFlow from warning that models in a loop are traced anew: each has its own graph, as it must."""
    logging.getLogger("tensorflow").addFilter(_is_no_retracing)


def _is_no_retracing(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in str(record.msg)


def _configured() -> str | None:
    """Return what the user's `keras.json` says, where Keras will look for it."""
    home = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser())
    try:
        named = json.loads((home / "keras.json").read_text(encoding="utf-8")).get("backend")
    except (OSError, ValueError, AttributeError):
        return None
    return named if isinstance(named, str) else None
