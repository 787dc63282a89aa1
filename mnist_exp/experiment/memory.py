"""What a run says where memory ran out: the sizes, and the options that lower them."""

import contextlib
from collections.abc import Iterator

import psutil

from mnist_exp.config.schema import Settings
from mnist_exp.errors import TrainingError
from mnist_exp.runtime import reasons

_LARGE = 8  # Whole numbers from here on are sizes of layers, not of kernels.


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
