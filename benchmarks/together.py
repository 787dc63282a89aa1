"""Is it faster to train the jobs of a sweep as one program? The same grid, one by one and together, with real commands.

    python benchmarks/together.py                  # 8 seeds of a small perceptron, 3 rounds, about 15 minutes
    python benchmarks/together.py --jobs 16 --rounds 1 model=cnn model.filters=8

The grid is `seed=range(0,JOBS)`, once on TensorFlow and on JAX one by one, once on JAX together, in turn, each in a
store of its own. `process` is the whole command; `fit` what its runs say that their trainings took, compiling and
checkpoints included; `epoch` the median of their epochs after the first.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from measuring import measure
from mlflow import MlflowClient

COMMON = ["data=mnist_5k", "data.validation=0.2", "trainer.epochs=5"]
PERCEPTRON = ["model=mlp", "model.hidden_units=[32]"]
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


def sweep(jobs: int, overrides: list[str]) -> dict[str, float]:
    """Run the grid in a folder of its own, and return the seconds of process, fit and epoch."""
    with tempfile.TemporaryDirectory(prefix="mnist_exp-") as name:
        folder = Path(name)
        words = [sys.executable, "-m", "mnist_exp.run", "-m", f"seed=range(0,{jobs})", *overrides]
        taken = measure(words, folder, os.environ | QUIET)
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        found = client.search_runs([client.get_experiment_by_name("mnist_exp").experiment_id])
        runs = [run for run in found if "mnist_exp.sweep" not in run.data.tags]
        assert [run.info.status for run in runs] == ["FINISHED"] * jobs
        epochs = [
            point.value
            for run in runs
            for point in client.get_metric_history(run.info.run_id, "epoch_time_s")
            if point.step > 1
        ]
        fits = sum(run.data.metrics["fit_time_s"] for run in runs)
        return {"process": taken.wall_s, "CPU": taken.cpu_s, "fit": fits, "epoch": statistics.median(epochs)}


def main() -> None:
    """Measure in rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("overrides", nargs="*", help="of the grid, instead of those of a small perceptron")
    options = parser.parse_args()
    overrides = [*COMMON, *(options.overrides or PERCEPTRON)]
    ways = {
        "tensorflow": ["trainer.backend=tensorflow"],
        "jax": ["trainer.backend=jax"],
        "jax, together": ["trainer.backend=jax", f"sweep.together={options.jobs}"],
    }
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for number in range(options.rounds):
        for way, own in ways.items():
            taken[way].append(sweep(options.jobs, [*overrides, *own]))
            print(number + 1, way, {name: round(seconds, 3) for name, seconds in taken[way][-1].items()}, flush=True)
    print(f"\n{options.jobs} jobs, {' '.join(overrides)}\n")
    print(f"{'':<15}" + "".join(f"{name + ', s':>34}" for name in taken["jax"][0]))
    for way, rounds in taken.items():
        cells = []
        for name in rounds[0]:
            values = [each[name] for each in rounds]
            ratio = statistics.median(values) / statistics.median(each[name] for each in taken["jax"])
            cells.append(f"{statistics.median(values):.3g} ({min(values):.3g}–{max(values):.3g}) × {ratio:.2f}")
        print(f"{way:<15}" + "".join(f"{cell:>34}" for cell in cells))


if __name__ == "__main__":
    main()
