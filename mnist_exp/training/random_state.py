"""The states of random generators that no layer owns: Keras's shared one, and PyTorch's own, which its dropout uses."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random import seed_generator

from mnist_exp.training.checkpoints import Arrays

_PREFIX = "torch_generator/"


def shared() -> Any:
    """Return the variable of the generator of layers that have none of their own; None until one is needed."""
    found = global_state.get_global_attribute(seed_generator.GLOBAL_SEED_GENERATOR)
    return None if found is None else found.state


def states() -> Arrays:
    """Return the states of the generators of the CPU and of each GPU, by name; empty on other backends."""
    if keras.backend.backend() != "torch":
        return {}
    import torch

    found = [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else ())]
    return {f"{_PREFIX}{number:05d}": state.numpy() for number, state in enumerate(found)}


def restore(arrays: Mapping[str, np.ndarray]) -> None:
    """Restore the states that `states` returned; other arrays are ignored."""
    found = [array for name, array in sorted(arrays.items()) if name.startswith(_PREFIX)]
    if not found:
        return
    import torch

    torch.set_rng_state(torch.from_numpy(found[0]))
    # A run may be resumed on a machine with fewer GPUs.
    for device, state in zip(range(torch.cuda.device_count()), found[1:], strict=False):
        torch.cuda.set_rng_state(torch.from_numpy(state), device)
