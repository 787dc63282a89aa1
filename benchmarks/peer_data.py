"""The images that this package and its peers are given: the same ones, chosen and held out by this package."""

import os
import sys
from pathlib import Path

import numpy as np


def find_data() -> Path:
    """Return the full MNIST, in $MNIST_EXP_DATA or the Keras cache; without it there is nothing to compare."""
    folders = [os.environ.get("MNIST_EXP_DATA"), Path.home() / ".keras" / "datasets"]
    for folder in folders:
        if folder and (Path(folder) / "mnist.npz").is_file():
            return (Path(folder) / "mnist.npz").resolve()
    sys.exit("no mnist.npz: set MNIST_EXP_DATA to the folder that holds it")


def write(path: Path, overrides: list[str]) -> None:
    """Write the images that a configuration trains, validates and tests on, compressed as MNIST itself is.

    Args:
        path: an npz file with x and y of train, test and, where training images are held out, val.
        overrides: of the configuration.
    """
    from mnist_exp import compose, data

    settings = compose([f"data.path={find_data()}", *overrides])
    dataset = data.load(settings)
    split = data.split(dataset, limit=settings.data.limit, validation=settings.data.validation, seed=settings.seed)
    parts = {"train": (split.x_train, split.y_train), "test": (dataset.x_test, dataset.y_test)}
    if not split.validated_on_test:
        parts["val"] = (split.x_val, split.y_val)
    np.savez_compressed(
        path,
        **{f"{axis}_{name}": array for name, part in parts.items() for axis, array in zip("xy", part, strict=True)},
    )
