"""What checkpoints cost: the share of an epoch's time spent on them.

    python benchmarks/checkpoints.py [--epochs 6] [--folder .]

The baseline on the full MNIST ($MNIST_EXP_DATA or the Keras cache), a checkpoint after each epoch, in one process. The
time includes all steps: gathering weights and optimizer state, writing, fsync, digest, removing the old checkpoint.
The first epoch is left out, because TensorFlow builds its graphs in it.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from peer_data import find_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--folder", default=".", help="on the disk that is to be measured")
    options = parser.parse_args()

    from mnist_exp import compose, data
    from mnist_exp.runtime import imports
    from mnist_exp.training import checkpoints
    from mnist_exp.training.checkpoints import CheckpointPolicy

    settings = compose([f"data.path={find_data()}", f"trainer.epochs={options.epochs + 1}"])
    dataset = data.load(settings)
    split = data.split(dataset, limit=None, validation=settings.data.validation, seed=settings.seed)
    with imports.quick_imports():
        from mnist_exp.training import checkpointing, setup
        from mnist_exp.training.build import build
        from mnist_exp.training.fit import TrainingRequest, fit
    setup.set_up(settings.seed, settings.trainer)
    models = build(settings, dataset.shape, dataset.task, dataset.outputs, len(split.x_train))
    spent: dict[str, list[float]] = {"all of it": [], "writing": []}

    def timed(name, action):
        def act(*arguments):
            began = time.perf_counter()
            try:
                return action(*arguments)
            finally:
                spent[name].append(time.perf_counter() - began)

        return act

    callback = checkpointing.Checkpointing
    callback.save = timed("all of it", callback.save)
    checkpoints.save = timed("writing", checkpoints.save)
    epochs: list[float] = []

    def on_epoch(epoch: int, metrics: dict[str, float]) -> bool:
        epochs.append(metrics["epoch_time_s"])
        return True

    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        policy = CheckpointPolicy(Path(name), 1, None, print)
        fit(TrainingRequest(models.training_model, models.goal, split, settings, on_epoch, policy))
        size = max(file.stat().st_size for file in Path(name).iterdir())
    parameters = models.inference_model.count_params()
    print(f"{parameters:,} parameters, {size / 1e6:.1f} MB a checkpoint, {options.epochs} epochs")
    show("an epoch", epochs[1:], 1, "s")
    for name, times in spent.items():
        show(name, times[1:], 1000, "ms")
    show("share", [100 * cost / epoch for cost, epoch in zip(spent["all of it"][1:], epochs[1:], strict=True)], 1, "%")


def show(name: str, values: list[float], scale: float, unit: str) -> None:
    low, middle, high = (scale * value for value in (min(values), statistics.median(values), max(values)))
    print(f"{name:<10} median {middle:8.2f} {unit} ({low:.2f}-{high:.2f})")


if __name__ == "__main__":
    main()
