"""The memory of a run: how much it took at most, and what is said where it ran out."""

import contextlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from mnist_exp.config.schema import Settings
from mnist_exp.errors import TrainingError
from mnist_exp.runtime import reasons

_LARGE = 8  # Whole numbers from here on are sizes of layers, not of kernels.


def forget_peak() -> None:
    """Let the most memory that this process has had be what it has now: each run of a worker counts its own."""
    # Linux 4.0 and later: Documentation/filesystems/proc.rst, clear_refs. Elsewhere there is no such way.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_mb() -> float:
    """Return the most memory that this process has had at once since `forget_peak`, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS has bytes
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), peak)
    return peak / (1e6 if sys.platform == "darwin" else 1e3 / 1.024)


@contextlib.contextmanager
def shortage_told(settings: Settings) -> Iterator[None]:
    """Turn the error of memory that ran out, of TensorFlow, JAX, PyTorch or NumPy, into one sentence.

    Args:
        settings: of the run.
    Raises: TrainingError: memory ran out.
    """
    try:
        yield
    except Exception as error:
        what = reasons.out_of_memory(error)
        if not what:
            raise
        raise TrainingError(f"{what}; {_fix(settings)}") from error


def _fix(settings: Settings) -> str:
    sizes = {name: value for name, value in settings.model.arguments.items() if type(value) is int and value >= _LARGE}
    lower = [f"trainer.batch_size={settings.trainer.batch_size}"]
    lower += [f"model.{name}={value}" for name, value in sizes.items()]
    return f"this machine has {psutil.virtual_memory().total / 1e9:,.1f} GB beside its GPUs: lower {', '.join(lower)}"
