"""One run with everything recorded against the same Keras script that records nothing.

    python benchmarks/single_run.py [--pairs 5] [--epochs 1]

Whole processes, in turn, on the full MNIST ($MNIST_EXP_DATA or the Keras cache); wall time and peak memory of each,
the ratio pair by pair, and the median. The script is what most people write: float32 arrays, fit, evaluate.
`--autolog` adds the script with `mlflow.tensorflow.autolog()` as a third.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLAIN = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import sys
from pathlib import Path
import numpy as np
import keras
if {autolog}:
    import mlflow
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("plain")
    mlflow.tensorflow.autolog()
from keras import layers
keras.utils.set_random_seed(7)
with np.load(sys.argv[1]) as file:
    x_train, y_train, x_test, y_test = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
x_train = x_train.reshape(-1, 28, 28, 1).astype("float32") / 255
x_test = x_test.reshape(-1, 28, 28, 1).astype("float32") / 255
y_train, y_test = keras.utils.to_categorical(y_train), keras.utils.to_categorical(y_test)
model = keras.Sequential([
    keras.Input((28, 28, 1)), layers.Conv2D(32, 5, activation="relu"), layers.MaxPooling2D(2), layers.Dropout(0.3),
    layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax"),
])
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
callbacks = [keras.callbacks.LambdaCallback()] if {autolog} else None
model.fit(x_train, y_train, validation_data=(x_test, y_test), epochs={epochs}, batch_size=200, verbose=2,
          callbacks=callbacks)
print("test", model.evaluate(x_test, y_test, verbose=0))
"""


def measure(words: list[str], folder: Path) -> tuple[float, float]:
    """Run a command; return its wall time in s and its peak memory (largest single process) in MB."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(words, cwd=folder, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        if status != 0:
            output.seek(0)
            sys.exit(f"{' '.join(words)} failed:\n{output.read().decode(errors='replace')[-2000:]}")
    return wall, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def find_data() -> Path:
    folders = [os.environ.get("MNIST_EXP_DATA"), Path.home() / ".keras" / "datasets"]
    for folder in folders:
        if folder and (Path(folder) / "mnist.npz").is_file():
            return (Path(folder) / "mnist.npz").resolve()
    sys.exit("no mnist.npz: set MNIST_EXP_DATA to the folder that holds it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--autolog", action="store_true")
    options = parser.parse_args()
    data = find_data()
    os.environ["MNIST_EXP_DATA"] = str(data.parent)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = {"mnist_exp": [sys.executable, "-m", "mnist_exp.run", f"trainer.epochs={options.epochs}"]}
        for label, autolog in (("plain", False), ("autolog", True))[: 2 if options.autolog else 1]:
            (folder / f"{label}.py").write_text(PLAIN.format(epochs=options.epochs, autolog=autolog))
            commands[label] = [sys.executable, str(folder / f"{label}.py"), str(data)]
        rows: dict[str, list[tuple[float, float]]] = {label: [] for label in commands}
        new_store, _ = measure(commands["mnist_exp"], folder)
        print(f"mnist_exp, first run in a new folder (creates the store): {new_store:.1f} s", flush=True)
        for pair in range(options.pairs):
            for label, words in commands.items():
                rows[label].append(measure(words, folder))
            shown = "   ".join(
                f"{label} {values[-1][0]:.1f} s {values[-1][1]:.0f} MB" for label, values in rows.items()
            )
            print(f"pair {pair + 1}: {shown}", flush=True)
    for label in commands:
        times, memory = zip(*rows[label], strict=True)
        print(
            f"{label:<10} {statistics.median(times):6.1f} s ({min(times):.1f}-{max(times):.1f})   "
            f"{statistics.median(memory):5.0f} MB"
        )
    ratios = [ours[0] / plain[0] for ours, plain in zip(rows["mnist_exp"], rows["plain"], strict=True)]
    print(f"ratio mnist_exp / plain: median {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
