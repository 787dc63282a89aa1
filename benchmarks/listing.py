"""How long it takes to list the runs of a store that has many, beside MLflow, in turn.

    python benchmarks/listing.py 1000 10000 --rounds 3

`a page` is the whole command `python -m mnist_exp.runs`, start and end included; `all, DataFrame` is `mnist_exp.runs()`
and `mlflow.search_runs()` in processes of their own, imports left out; `all, history` every value of one metric of all
runs, which MLflow gives run by run (for 100 runs, multiplied).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from many_runs import fill
from measuring import machine, versions

from mnist_exp.tracking import creation, query_statistics, store

_OURS = """
import time, mnist_exp, pandas
found = mnist_exp.runs(most=1)
began = time.perf_counter()
found = mnist_exp.runs()
print(len(found), time.perf_counter() - began)
"""
_THEIRS = """
import time, mlflow, pandas
mlflow.search_runs(experiment_names=["mnist_exp"], max_results=1)
began = time.perf_counter()
found = mlflow.search_runs(experiment_names=["mnist_exp"])
print(len(found), time.perf_counter() - began)
"""
_OUR_HISTORY = """
import time, mnist_exp, pandas
found = mnist_exp.runs()
began = time.perf_counter()
points = mnist_exp.history(found, metrics=["val_accuracy"])
print(len(found), time.perf_counter() - began)
"""
_THEIR_HISTORY = """
import time, mlflow
client = mlflow.MlflowClient()
ids = [run.info.run_id for run in client.search_runs(["1"], max_results=100)]
began = time.perf_counter()
points = [client.get_metric_history(each, "val_accuracy") for each in ids]
print(len(ids), time.perf_counter() - began)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{machine()}; {versions('mlflow', 'pandas')}\n", flush=True)
    print("runs | a page, s | all, DataFrame: ours, s | MLflow's, s | ours ÷ theirs | history: ours, s | MLflow's, s")
    for runs in options.runs:
        with tempfile.TemporaryDirectory() as folder:
            print(" | ".join(_row(Path(folder), runs, options.rounds)), flush=True)
    return 0


def _row(folder: Path, runs: int, rounds: int) -> list[str]:
    uri = f"sqlite:///{folder}/mlflow.db"
    creation.finish(creation.begin(uri))
    fill(folder / "mlflow.db", runs, experiment=store.experiment(uri, "mnist_exp").experiment_id)
    query_statistics.refresh(uri)
    pages, ours, theirs, our_history, their_history = [], [], [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "mnist_exp.runs"], cwd=folder, check=True, capture_output=True)
        pages.append(time.perf_counter() - began)
        ours.append(_seconds(_OURS, folder)[1])
        theirs.append(_seconds(_THEIRS, folder)[1])
        our_history.append(_seconds(_OUR_HISTORY, folder)[1])
        count, taken = _seconds(_THEIR_HISTORY, folder)
        their_history.append(taken / count * runs)
    middle = statistics.median
    numbers = [middle(pages), middle(ours), middle(theirs), middle(ours) / middle(theirs)]
    return [f"{runs:,}", *(f"{number:.2f}" for number in [*numbers, middle(our_history), middle(their_history)])]


def _seconds(script: str, folder: Path) -> tuple[int, float]:
    root = str(Path(__file__).resolve().parents[1])
    environment = os.environ | {"PYTHONPATH": root, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    words = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    count, taken = done.stdout.split()[-2:]
    return int(count), float(taken)


if __name__ == "__main__":
    sys.exit(main())
