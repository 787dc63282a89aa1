"""A folder of JPEG files larger than memory may hold: `data=image_folder` against loops written by hand.

    python benchmarks/lazy_folder.py FOLDER [--files 20000] [--rounds 3] [--epochs 3]

The files (128×128, colour, ten classes) are written to FOLDER once. Each program is a process of its own, in rounds,
with the same network and batches of 200: this package, with `data.in_memory_mb=1` so that nothing is kept; a
`keras.utils.PyDataset` that reads by Pillow, with two workers; `tf.data` with TensorFlow's decoder, which gives other
pixels than Pillow; the same with INTEGER_ACCURATE, which gives Pillow's; Grain with Pillow, if it is installed. The
first epoch is left out. At the end, the most memory of this package for 1,000 files and for all.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

import numpy as np

SIDE, CLASSES, BATCH = 128, 10, 200
NETS = {
    "tiny": {"filters": [4, 4], "kernel_sizes": [3, 3], "depths": [1, 1], "dense_units": [16]},
    "small": {"filters": [16, 32], "kernel_sizes": [5, 3], "depths": [1, 1], "dense_units": [64]},
}
PROGRAMS = ("mnist_exp", "PyDataset", "tf.data", "tf.data, exact", "grain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--net", choices=NETS, default="tiny")
    parser.add_argument("--only", choices=PROGRAMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print("RESULT" + json.dumps(ACTIONS[options.only](options.folder, options.epochs, NETS[options.net])))
        return
    from measuring import in_rounds, measure

    write(options.folder / str(options.files), options.files)
    write(options.folder / "1000", 1000)
    try:
        import grain  # noqa: F401

        programs = PROGRAMS
    except ImportError:
        programs = PROGRAMS[:-1]

    def program(name: str, files: int):
        words = [sys.executable, __file__, str(options.folder / str(files)), "--only", name, "--net", options.net]
        done = measure([*words, "--epochs", str(options.epochs)], Path.cwd(), os.environ)
        return statistics.median(json.loads(done.output.rpartition("RESULT")[2])), done.largest_mb

    def show(number: int, name: str, found: tuple[float, float]) -> None:
        print(f"round {number}  {name:<15} {found[0]:7,.0f} images/s  {found[1]:6,.0f} MB", flush=True)

    actions = {name: (lambda name=name: program(name, options.files)) for name in programs}
    results = in_rounds(actions, options.rounds, show)
    ours = [speed for speed, _ in results["mnist_exp"]]
    for name, found in results.items():
        speeds = [speed for speed, _ in found]
        ratios = [own / other for own, other in zip(ours, speeds, strict=True)]
        words = f"{min(speeds):,.0f}-{max(speeds):,.0f}"
        print(
            f"{name:<15} median {statistics.median(speeds):7,.0f} images/s ({words}); × {statistics.median(ratios):.2f}"
        )
    few, many = program("mnist_exp", 1000)[1], max(size for _, size in results["mnist_exp"])
    print(f"most memory: {few:,.0f} MB for 1,000 files, {many:,.0f} MB for {options.files:,}: × {many / few:.2f}")


def write(folder: Path, count: int) -> None:
    """Write JPEG files, unless they are there."""
    from PIL import Image

    if folder.is_dir() and len(list(folder.rglob("*.jpg"))) == count:
        return
    for number in range(count):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 255, (16, 16, 3)).astype(np.uint8))
        image = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) + rng.normal(0, 6, (SIDE, SIDE, 3))
        place = folder / f"class {number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(place / f"{number:06d}.jpg", quality=90)


def ours(folder: Path, epochs: int, net: dict) -> list[float]:
    from mnist_exp import compose, run

    words = [f"data.path='{folder}'", "data.channels=3", "data.in_memory_mb=1", "data.test_share=0.01"]
    words += [f"model.{name}={str(value).replace(' ', '')}" for name, value in net.items()]
    words += [f"trainer.epochs={epochs}", f"trainer.batch_size={BATCH}", "tracking=none"]
    return run(compose(["data=image_folder", "model=convnet", *words])).history["images_per_s"][1:]


def listed(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the paths and labels of 99 % of the files, as many as this package trains on."""
    files = sorted(folder.rglob("*.jpg"))
    kept = [file for number, file in enumerate(files) if number % 100]
    return np.array([str(file) for file in kept]), np.array([int(file.parent.name[-1]) for file in kept])


def fit(data, epochs: int, images: int, net: dict, **options) -> list[float]:
    """Train the network by hand, and return the images/s of each epoch but the first."""
    import time

    import keras

    from mnist_exp import models

    inputs = keras.Input((SIDE, SIDE, 3))
    answers = models.convnet((SIDE, SIDE, 3), CLASSES, **net)(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, answers)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    times = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            times.append(time.perf_counter() - self.began)

    model.fit(data, epochs=epochs, verbose=0, callbacks=[Clock()])
    return [images / seconds for seconds in times[1:]]


def py_dataset(folder: Path, epochs: int, net: dict) -> list[float]:
    import keras

    files, labels = listed(folder)

    class Files(keras.utils.PyDataset):
        def __init__(self):
            super().__init__(workers=2)
            self.epoch = 0
            self.order = np.random.default_rng(0).permutation(len(files))

        def __len__(self):
            return -(-len(files) // BATCH)

        def __getitem__(self, index):
            part = self.order[index * BATCH : (index + 1) * BATCH]
            return np.stack([pixels(files[i]) for i in part]), labels[part]

        def on_epoch_end(self):
            self.epoch += 1
            self.order = np.random.default_rng(self.epoch).permutation(len(files))

    return fit(Files(), epochs, len(files), net)


def pixels(file: str) -> np.ndarray:
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def tf_data(folder: Path, epochs: int, net: dict, method: str = "") -> list[float]:
    import tensorflow as tf

    files, labels = listed(folder)

    def read(file, label):
        return tf.io.decode_jpeg(tf.io.read_file(file), channels=3, dct_method=method), label

    data = tf.data.Dataset.from_tensor_slices((files, labels)).shuffle(len(files), seed=0)
    data = data.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    return fit(data.map(lambda x, y: (tf.ensure_shape(x, (None, SIDE, SIDE, 3)), y)), epochs, len(files), net)


def of_grain(folder: Path, epochs: int, net: dict) -> list[float]:
    import grain
    import keras

    files, labels = listed(folder)
    data = grain.MapDataset.source(np.arange(len(files))).seed(0).shuffle()
    data = data.map(lambda i: (pixels(files[i]), labels[i])).batch(BATCH)
    del keras
    return fit(data.to_iter_dataset(grain.ReadOptions(num_threads=2)), epochs, len(files), net)


ACTIONS = {
    "mnist_exp": ours,
    "PyDataset": py_dataset,
    "tf.data": tf_data,
    "tf.data, exact": lambda *arguments: tf_data(*arguments, "INTEGER_ACCURATE"),
    "grain": of_grain,
}


if __name__ == "__main__":
    main()
