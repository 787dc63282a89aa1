"""Do the backends reach the same accuracy, and in what time? The baseline with each installed backend, over seeds.

    python benchmarks/backends.py [OVERRIDE ...]          # three seeds of data=mnist_5k, about 3 minutes
    SEEDS=1,2,3,4,5 python benchmarks/backends.py data=mnist_5k trainer.epochs=5

A process for each backend, its seeds one after the other. Seconds are those of the epochs after the first, in which it
compiles; with one epoch only, of that one.
"""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np

BACKENDS = ("tensorflow", "jax", "torch")
SEEDS = [int(seed) for seed in os.environ.get("SEEDS", "1,2,3").split(",")]


def train(backend: str, overrides: list[str]) -> None:
    """Print the accuracies and seconds of each seed as JSON."""
    import mnist_exp

    for seed in SEEDS:
        settings = mnist_exp.compose([*overrides, f"trainer.backend={backend}", f"seed={seed}", "tracking=none"])
        result = mnist_exp.run(settings)
        seconds = result.history["epoch_time_s"]
        print("RESULT" + json.dumps([result.metrics["test_accuracy"], float(np.median(seconds[1:] or seconds))]))


def main() -> None:
    """Train on each backend and print the table."""
    if sys.argv[1:2] == ["--train"]:
        train(sys.argv[2], sys.argv[3:])
        return
    overrides = sys.argv[1:] or ["data=mnist_5k"]
    print(f"{' '.join(overrides)}, seeds {SEEDS}\n\nbackend     accuracy          range             s an epoch")
    for backend in BACKENDS:
        if importlib.util.find_spec(backend) is None:
            print(f"{backend:<11} not installed")
            continue
        done = subprocess.run(
            [sys.executable, __file__, "--train", backend, *overrides], stdout=subprocess.PIPE, text=True, check=True
        )
        lines = [line.removeprefix("RESULT") for line in done.stdout.splitlines() if line.startswith("RESULT")]
        accuracies, seconds = np.array([json.loads(line) for line in lines]).T
        mean, spread = accuracies.mean(), accuracies.std(ddof=1) if len(accuracies) > 1 else float("nan")
        seen = f"{accuracies.min():.4f}–{accuracies.max():.4f}"
        print(f"{backend:<11} {mean:.4f} ± {spread:.4f}   {seen:<17} {np.median(seconds):.1f}", flush=True)


if __name__ == "__main__":
    main()
