"""Tables of recorded curves: what they vary, and the files that hold them.

A table is a full factorial: every combination of the levels of its options, trained with several seeds. So whatever a
sampler suggests from these levels is in the table, and the mean over the seeds is the true mean of what may be chosen.
"""

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent / "curves"
SEEDS = (1, 2, 3)
METRICS = ("val_accuracy", "val_loss", "epoch_time_s")
_RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


@dataclass(frozen=True)
class Part:
    """A full factorial: the levels of each option, and what is the same for all of its cells.

    Args:
        levels: the values of each option, in the order of `-m`. Numbers are in ascending order.
        fixed: overrides of the command line.
    """

    levels: Mapping[str, tuple[Any, ...]]
    fixed: tuple[str, ...] = ()

    @property
    def points(self) -> list[dict[str, Any]]:
        """All combinations; the last option varies fastest."""
        return [dict(zip(self.levels, values, strict=True)) for values in itertools.product(*self.levels.values())]


@dataclass(frozen=True)
class Recipe:
    """How a table is recorded: its parts, one sweep each, and the overrides that all of them share."""

    title: str
    epochs: int
    shared: tuple[str, ...]
    parts: tuple[Part, ...]


def _levels(**values: tuple[Any, ...]) -> dict[str, tuple[Any, ...]]:
    names = {"learning_rate": "optimizer.learning_rate", "batch_size": "trainer.batch_size", "optimizer": "optimizer"}
    return {names.get(name, f"model.{name}"): tuple(levels) for name, levels in values.items()}


_CNN = _levels(
    optimizer=("adam", "sgd"),
    learning_rate=_RATES,
    filters=(4, 8, 12, 16),
    dropout=(0.0, 0.25, 0.5),
    dense_units=(32, 64),
    batch_size=(64, 200),
)
_OF_MNIST = ("data=mnist", "data.fallback=false", "data.limit=10000", "data.validation=4000")
RECIPES = {
    "digits": Recipe(
        "scikit-learn's 1,797 digits of 8×8 pixels: 617 to train, 1,000 to validate; the cnn with 3×3 kernels",
        27,
        # The file is written from sklearn.datasets.load_digits by record_curves.py.
        (
            "data=npz",
            "data.path={digits}",
            "data.pixels=[0,16]",
            "data.test_share=0.1",
            "data.validation=1000",
            "model.kernel_size=3",
        ),
        (Part(_CNN | _levels(filters=(2, 4, 8, 16), dense_units=(16, 64), batch_size=(32, 128))),),
    ),
    "mnist": Recipe("MNIST: 6,000 images to train, 4,000 to validate; the cnn", 9, _OF_MNIST, (Part(_CNN),)),
    "conditional": Recipe(
        "MNIST: 6,000 images to train, 4,000 to validate; cnn, mlp and lenet5, each with options of its own",
        9,
        _OF_MNIST,
        (
            Part(
                _levels(
                    optimizer=("adam", "sgd"),
                    learning_rate=_RATES,
                    filters=(4, 8, 16),
                    kernel_size=(3, 5),
                    dropout=(0.0, 0.25),
                ),
                ("model=cnn", "model.dense_units=32"),
            ),
            Part(
                _levels(
                    optimizer=("adam", "sgd"),
                    learning_rate=_RATES,
                    hidden_units=([32], [128], [64, 64], [128, 128]),
                    dropout=(0.0, 0.2, 0.4),
                ),
                ("model=mlp",),
            ),
            Part(
                _levels(
                    optimizer=("adam", "sgd"), learning_rate=_RATES, activation=("relu", "tanh"), dropout=(0.0, 0.2)
                ),
                ("model=lenet5",),
            ),
        ),
    ),
}


@dataclass(frozen=True)
class Table:
    """Recorded curves.

    Args:
        about: what was recorded: title, versions, machine, command, parts with their levels, metrics.
        cells: int8, (cells, 1 + options): the part, then the index of each option's level; −1 for an option that the
            cell does not have.
        options: the names of the options, the columns of `cells` after the first.
        curves: float32, (metrics, seeds, cells, epochs); NaN after the epoch in which a training failed.
        test_accuracy: float32, (seeds, cells).
    """

    about: Mapping[str, Any]
    cells: np.ndarray
    options: tuple[str, ...]
    curves: np.ndarray
    test_accuracy: np.ndarray

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return int(self.curves.shape[1])

    @property
    def epochs(self) -> int:
        """The number of epochs of each curve."""
        return int(self.curves.shape[3])

    @property
    def parts(self) -> list[dict[str, list[Any]]]:
        """The levels of each option, for each part."""
        return [dict(part["levels"]) for part in self.about["parts"]]

    @cached_property
    def values(self) -> np.ndarray:
        """val_accuracy, float64, (seeds, cells, epochs); a training that failed has 0 from there on."""
        return np.nan_to_num(self.curves[METRICS.index("val_accuracy")].astype(np.float64), nan=0.0)

    @cached_property
    def seconds(self) -> np.ndarray:
        """Seconds of each epoch, as `values`."""
        return np.nan_to_num(self.curves[METRICS.index("epoch_time_s")].astype(np.float64), nan=0.0)

    @cached_property
    def true_means(self) -> np.ndarray:
        """The mean of the last val_accuracy over the seeds, for each cell: what a choice is worth."""
        return self.values[:, :, -1].mean(axis=0)

    @cached_property
    def _numbers(self) -> dict[tuple[int, ...], int]:
        return {tuple(map(int, row)): number for number, row in enumerate(self.cells)}

    def cell(self, part: int, levels: Mapping[str, int]) -> int:
        """Return the number of the cell with these levels.

        Args:
            part: number of the part.
            levels: the index of the level of each option of that part.
        Raises: KeyError: the table has no such cell.
        """
        return self._numbers[(part, *(levels.get(name, -1) for name in self.options))]


def of_parts(parts: list[Part]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the cells of the parts, one after the other, and the names of all options."""
    options = tuple(dict.fromkeys(name for part in parts for name in part.levels))
    rows = []
    for number, part in enumerate(parts):
        sizes = {name: len(levels) for name, levels in part.levels.items()}
        for chosen in np.ndindex(*sizes.values()):
            at = dict(zip(sizes, chosen, strict=True))
            rows.append([number, *(at.get(name, -1) for name in options)])
    assert len(rows) == sum(math.prod(map(len, part.levels.values())) for part in parts)
    return np.array(rows, np.int8), options


def save(table: Table, path: Path) -> None:
    """Write a table, compressed and without pickled objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        about=np.frombuffer(json.dumps(dict(table.about), indent=1).encode(), np.uint8),
        options=np.array(table.options),
        cells=table.cells,
        curves=table.curves.astype(np.float32),
        test_accuracy=table.test_accuracy.astype(np.float32),
    )


def load(name: str, folder: Path = FOLDER) -> Table:
    """Return a recorded table by its name. Raises: FileNotFoundError: it was not recorded."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        about = json.loads(file["about"].tobytes())
        options = tuple(map(str, file["options"]))
        return Table(about, file["cells"], options, file["curves"], file["test_accuracy"])
