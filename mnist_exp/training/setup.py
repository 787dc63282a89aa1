"""Prepare the process for a training, and free what a training leaves in it."""

import keras
import psutil

from mnist_exp.config.schema import TrainerSettings
from mnist_exp.errors import SettingsError
from mnist_exp.runtime import backends

_MOST_WAITING, _LARGE = 5, 30e6  # trainings, and bytes of them, that wait to be freed together
_waiting: list[int] = []  # memory of this process after each of these


def set_up(seed: int, trainer: TrainerSettings) -> None:
    """Prepare the process for one training: clear names, set seeds, precision and threads.

    Raises: SettingsError: the number of threads cannot be changed any more.
    """
    backends.leave_tensorflow_out()
    backends.expect_many_models()
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(trainer.precision)
    if trainer.threads is not None:
        _set_threads(trainer.threads)


def forget() -> None:
    """Free the memory of a training that is over; of small ones, that of several at once.

    TensorFlow never forgets a custom gradient, of which each training makes two, and each holds its graph, the batches
    and their arrays: 10 MB a training and a copy of its images (measured over 30 of them; none with this).
    """
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.framework import ops

        registry = getattr(ops.gradient_registry, "_registry", {})
        for name in [name for name in registry if name.startswith("CustomGradient-")]:
            del registry[name]
    keras.utils.clear_session(free_memory=_is_to_collect())
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()


def _is_to_collect() -> bool:
    """Tell whether it is time to collect garbage, which takes as long as the pictures of a run: a few times 10 ms."""
    now = psutil.Process().memory_info().rss
    _waiting.append(now)
    if len(_waiting) < _MOST_WAITING and now - _waiting[0] < _LARGE:
        return False
    _waiting.clear()
    return True


def _set_threads(threads: int) -> None:
    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(threads)
        return
    if keras.backend.backend() != "tensorflow":
        raise SettingsError(f"trainer.threads={threads} can be set for TensorFlow and torch only")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError as error:
        now = tf.config.threading.get_intra_op_parallelism_threads()
        if now != threads:
            raise SettingsError(
                f"trainer.threads={threads} comes too late: TensorFlow already runs with {now} (0: its own choice) in "
                "this process and cannot change; start a new one"
            ) from error
