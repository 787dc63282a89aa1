"""Import TensorFlow, Keras and MLflow quickly, and without their start-up messages.

The imports take 3.5 s instead of 5.2, the end of the process 0.14 s instead of 1.45 (medians of three,
docs/decisions/0002-start-and-exit.md).
"""

import contextlib
import gc
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from mnist_exp.runtime import backends, lazy_modules

# What TensorFlow says at every start, whatever its log level; anything else is passed on.
_NOISE = re.compile(
    r"^(WARNING: All log messages before absl::InitializeLog|I0000 |To enable the following instructions|"
    r"E0000 .*cuda_platform\.cc.*failed call to cuInit)"
)


@contextmanager
def quick_imports() -> Iterator[None]:
    """Pause the garbage collector and drop start-up noise while importing.

    Importing makes millions of objects that all stay; collecting meanwhile finds nothing and takes a third of
    the time of importing Keras and MLflow (measured: 3.5 s against 5.2 s). They are then frozen, so that no later
    collection walks through them, 0.3 s each; what is garbage already is collected before. Parts of TensorFlow and
    Keras that no training uses are put off (`lazy_modules`).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    # Otherwise they take all of a GPU's memory, or three quarters, at their start: nothing is left to a second process.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # MLflow prints the address of each run that ends, with the password in it.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    is_first = "keras" not in sys.modules
    if is_first:
        gc.collect()
    # Keras and TensorFlow look for JAX, and do without where it is not their backend; Keras also for IPython, to show
    # files of weights in a notebook, where it is there before.
    absent = ("IPython", "jax") if backends.default() != "jax" else ("IPython",)
    later = lazy_modules.imported_later(absent=absent) if is_first else contextlib.nullcontext()
    with paused_collection(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # MLflow's bars, in a notebook without ipywidgets.
        try:
            with quiet_stderr(), later:
                yield
        finally:
            if is_first:
                gc.freeze()


@contextmanager
def paused_collection() -> Iterator[None]:
    """Pause the garbage collector while many objects are made that stay alive."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def quick_exit() -> None:
    """Keep the garbage collector from visiting millions of objects as the process ends (saves 1.4 s)."""
    gc.freeze()


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what native code writes to stderr; afterwards pass on all but known start-up messages."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            lines = held.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.write("".join(line for line in lines if not _NOISE.match(line)))
            sys.stderr.flush()
