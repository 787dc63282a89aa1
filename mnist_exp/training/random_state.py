"""The state of random generators that is in no variable of Keras's: PyTorch's own, from which its dropout draws."""

from collections.abc import Mapping

import keras
import numpy as np

from mnist_exp.training.checkpoints import Arrays

_PREFIX = "torch_generator/"


def states() -> Arrays:
    """Return the state of the CPU's generator and of each GPU's, by name; none but on torch."""
    if keras.backend.backend() != "torch":
        return {}
    import torch

    found = [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else ())]
    return {f"{_PREFIX}{number:05d}": state.numpy() for number, state in enumerate(found)}


def restore(arrays: Mapping[str, np.ndarray]) -> None:
    """Put back what `states` returned, among other arrays or not."""
    found = [array for name, array in sorted(arrays.items()) if name.startswith(_PREFIX)]
    if not found:
        return
    import torch

    torch.set_rng_state(torch.from_numpy(found[0]))
    # A run may go on where there are fewer.
    for device, state in zip(range(torch.cuda.device_count()), found[1:], strict=False):
        torch.cuda.set_rng_state(torch.from_numpy(state), device)
