"""A 2×2 grid of one-epoch trainings: this package, KerasTuner's GridSearch, a shell loop over an autolog script.

    pip install keras-tuner
    python benchmarks/sweep.py [--rounds 3] [--epochs 1] [--workers 1]

Whole processes, in turn, on the full MNIST ($MNIST_EXP_DATA or the Keras cache), each in a new folder. All train the
same four models (filters 16, 32 × dropout 0.3, 0.5) and validate them on the same images after each epoch; this package
also tests and records each one with its model and pictures, KerasTuner keeps its checkpoints, the loop has what
autolog records. Wall time, and peak memory: of the launching process, and of it with all its children.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from single_run import PLAIN, find_data

TUNER = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import sys
import numpy as np
import keras, keras_tuner
from keras import layers
keras.utils.set_random_seed(7)
with np.load(sys.argv[1]) as file:
    x_train, y_train, x_test, y_test = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
x_train = x_train.reshape(-1, 28, 28, 1).astype("float32") / 255
x_test = x_test.reshape(-1, 28, 28, 1).astype("float32") / 255
y_train, y_test = keras.utils.to_categorical(y_train), keras.utils.to_categorical(y_test)
def build(hp):
    model = keras.Sequential([
        keras.Input((28, 28, 1)), layers.Conv2D(hp.Choice("filters", [16, 32]), 5, activation="relu"),
        layers.MaxPooling2D(2), layers.Dropout(hp.Choice("dropout", [0.3, 0.5])),
        layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax"),
    ])
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model
tuner = keras_tuner.GridSearch(build, objective="val_accuracy", directory="tuned", project_name="grid", seed=7)
tuner.search(x_train, y_train, validation_data=(x_test, y_test), epochs={epochs}, batch_size=200, verbose=2)
tuner.results_summary()
"""


def measure(words: list[str], folder: Path) -> tuple[float, float, float]:
    """Run a command; return its wall time in s, and peak memory in MB of itself and of all its processes."""
    peaks = [0.0, 0.0]
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(words, cwd=folder, stdout=output, stderr=output)
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.1):
                try:
                    top = psutil.Process(process.pid)
                    sizes = [p.memory_info().rss / 1e6 for p in (top, *top.children(recursive=True))]
                except psutil.Error:
                    continue
                peaks[:] = max(peaks[0], sizes[0]), max(peaks[1], sum(sizes))

        watcher = threading.Thread(target=watch)
        watcher.start()
        status = process.wait()
        wall = time.perf_counter() - began
        over.set()
        watcher.join()
        if status != 0:
            output.seek(0)
            sys.exit(f"{' '.join(words)} failed:\n{output.read().decode(errors='replace')[-2000:]}")
    return wall, *peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    data = find_data()
    os.environ["MNIST_EXP_DATA"] = str(data.parent)
    script = PLAIN.replace("layers.Conv2D(32, 5", "layers.Conv2D(int(sys.argv[2]), 5")
    script = script.replace("layers.Dropout(0.3)", "layers.Dropout(float(sys.argv[3]))")
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for number in range(1, options.rounds + 1):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "autolog.py").write_text(script.format(epochs=options.epochs, autolog=True))
            (folder / "tuner.py").write_text(TUNER.replace("{epochs}", str(options.epochs)))
            run = f"{sys.executable} autolog.py {data}"
            loop = f"for f in 16 32; do for d in 0.3 0.5; do {run} $f $d || exit 1; done; done"
            sweep = ["model.filters=16,32", "model.dropout=0.3,0.5", f"trainer.epochs={options.epochs}"]
            workers = f"hydra.launcher.n_workers={options.workers}"
            commands = {
                "mnist_exp": [sys.executable, "-m", "mnist_exp.run", "-m", *sweep, workers],
                "KerasTuner": [sys.executable, "tuner.py", str(data)],
                "autolog loop": ["sh", "-c", loop],
            }
            for label, words in commands.items():
                rows.setdefault(label, []).append(measure(words, folder))
            shown = "   ".join(f"{label} {values[-1][0]:.1f} s" for label, values in rows.items())
            print(f"round {number}: {shown}", flush=True)
    for label, values in rows.items():
        times, alone, together = zip(*values, strict=True)
        ratios = [ours[0] / theirs for ours, theirs in zip(rows["mnist_exp"], times, strict=True)]
        print(
            f"{label:<12} {statistics.median(times):6.1f} s ({min(times):.1f}-{max(times):.1f})   "
            f"{statistics.median(alone):5.0f} MB, with children {statistics.median(together):5.0f} MB   "
            f"mnist_exp takes {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) of it"
        )


if __name__ == "__main__":
    main()
