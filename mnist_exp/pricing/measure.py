"""Build the models of jobs, and time a few steps of the smallest and the largest.

`python -m mnist_exp.pricing.measure` is a process of its own: TensorFlow sets its threads once, and the sweep's has
none of it. What is to be done comes from the process that started it, as a pickle on the standard input; what was found
goes to a file.
"""

import dataclasses
import json
import pickle
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.composition.preflight import load_data, resolved
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset, Split
from mnist_exp.data.lazy import rows
from mnist_exp.pricing.rates import Size
from mnist_exp.runtime import backends

_MOST_S = 45.0  # of building models; those that are left are taken to be like those that were built
# Operations of the steps that are timed: some seconds on a slow thread.
_OPERATIONS, _LEAST_STEPS, _MOST_STEPS = 40e9, 2, 320


@dataclass(frozen=True)
class Order:
    """What the process is to do.

    Args:
        settings: of a job of each model, checked.
        begun_s: when it was started, in s since 1970.
        answer: the file for what it finds.
        builds_only: whether nothing is to be timed.
    """

    settings: tuple[Settings, ...]
    begun_s: float
    answer: Path
    builds_only: bool = False


def main() -> None:
    """Do what the standard input says."""
    order: Order = pickle.load(sys.stdin.buffer)  # noqa: S301  by the process that started this one
    order.answer.write_text(json.dumps(measured(order)), encoding="utf-8")


def measured(order: Order) -> dict[str, Any]:
    """Return what is found of the models.

    Args:
        order: what is to be done.
    Returns: `sizes`: parameters and operations of each, null where time was over; `seen`: what a training of the
        smallest and of the largest took; `start_s`: seconds until the first model could be built.
    """
    backends.choose(order.settings[0].trainer.backend)
    datasets: dict[str, Dataset] = {}
    sizes: list[Size | None] = []
    began, start_s = 0.0, None
    for settings in order.settings:
        dataset, split = _data(settings, datasets)
        if start_s is None:
            from mnist_exp.training import flops, prepare, setup

            start_s, began = time.time() - order.begun_s, time.monotonic()
        if time.monotonic() - began > _MOST_S:
            sizes.append(None)
            continue
        setup.set_up(settings.seed, settings.trainer)
        model = prepare.prepare(resolved(settings, dataset), dataset, split).models.inference_model
        sizes.append(Size(int(model.count_params()), flops.forward(model)))
    seen = []
    if not order.builds_only:
        costs = [size.operations * order.settings[i].trainer.batch_size if size else 0 for i, size in enumerate(sizes)]
        known = [i for i, cost in enumerate(costs) if cost]
        for place in sorted({min(known, key=costs.__getitem__), max(known, key=costs.__getitem__)}):
            dataset, split = _data(order.settings[place], datasets)
            size = sizes[place]
            assert size is not None
            seen.append(_timed(order.settings[place], dataset, split, size))
    return {"sizes": [size and dataclasses.asdict(size) for size in sizes], "seen": seen, "start_s": start_s}


def _data(settings: Settings, datasets: dict[str, Dataset]) -> tuple[Dataset, Split]:
    key = repr([settings.data.name, settings.data.loader, settings.task])
    datasets[key], split = load_data(settings, datasets.get(key))
    return datasets[key], split


def _timed(settings: Settings, dataset: Dataset, split: Split, size: Size) -> dict[str, float]:
    """Return what two short epochs of a training took: the graph is traced in the first, the second tells."""
    from mnist_exp.training import fit, prepare, setup

    batch = settings.trainer.batch_size
    steps = int(_OPERATIONS / (3 * size.operations * batch))
    images = min(max(_LEAST_STEPS, min(steps, _MOST_STEPS)) * batch, len(split.x_train))
    part = _part(split, images)
    trainer = dataclasses.replace(settings.trainer, epochs=2, early_stopping_patience=None, restore_best=False)
    settings = dataclasses.replace(resolved(settings, dataset), trainer=trainer)
    setup.set_up(settings.seed, settings.trainer)
    training = prepare.prepare(settings, dataset, part)
    epochs: list[dict[str, float]] = []

    def on_epoch(_: int, metrics: dict[str, float]) -> bool:
        epochs.append(dict(metrics))
        return True

    fit.fit(training.request(on_epoch, None))
    first, second = epochs
    image_s = 1 / second["images_per_s"]
    val_s = max(second["epoch_time_s"] - len(part.x_train) * image_s, 0.0)
    return {
        "operations": size.operations,
        "image_s": image_s,
        "val_image_s": val_s / max(len(part.x_val), 1),
        "begin_s": max(first["epoch_time_s"] - second["epoch_time_s"], 0.0),
    }


def _part(split: Split, images: int) -> Split:
    """Return a split of the first of its images."""
    train, val = np.arange(images), np.arange(min(images, len(split.x_val)))
    return dataclasses.replace(
        split,
        x_train=rows(split.x_train, train),
        y_train=split.y_train[train],
        x_val=rows(split.x_val, val),
        y_val=split.y_val[val],
        trained=split.trained[train],
    )


def sizes_of(content: dict[str, Any]) -> Sequence[Size | None]:
    """Return the sizes of what `measured` returned."""
    return [None if size is None else Size(**size) for size in content["sizes"]]


if __name__ == "__main__":
    main()
