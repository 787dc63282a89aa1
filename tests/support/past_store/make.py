"""Write the store that later versions must be able to use: `python make.py FOLDER`, with the version to keep installed.

`store.tar.xz` beside this file was written by commit 5e05cfd (`PYTHONPATH=CHECKOUT python make.py /tmp/past_store`).
Never write it again with a newer version: it stands for what users have. A new version gets an archive of its own.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

TINY = ["data=mnist_5k", "data.limit=300", "data.validation=0.2", "model.filters=2", "model.pool_size=4"]
TINY += ["model.dense_units=8", "trainer.batch_size=10", "trainer.epochs=2"]
LONG = ["trainer.epochs=12"]
COMMANDS = {
    "finished": TINY,
    "registered": [*TINY, "seed=8", "tracking.register_as=digits"],
    "grid": ["-m", *TINY, "model.filters=2,3", "model.dropout=0.2,0.4"],
    "search": ["-m", *TINY, "model.filters=int(interval(2,5))", "sweep.n_trials=4", "sweep.pruner=asha"],
    "interrupted_run": [*TINY, *LONG, "seed=9"],
    "interrupted_grid": ["-m", *TINY, *LONG, "seed=1,2,3"],
}


def run(words, store="mlflow.db"):
    return [sys.executable, "-m", "mnist_exp.run", *words, f"tracking.uri=sqlite:///{store}"]


def complete(words, **options):
    done = subprocess.run(run(words, **options), text=True, capture_output=True, check=True)
    print(done.stdout, done.stderr)
    return done.stdout


def interrupt(words, until):
    """Run a command, and end it with SIGTERM at the first line that a pattern matches."""
    with subprocess.Popen(run(words), stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if re.match(until, line):
                process.send_signal(signal.SIGTERM)
                break
        lines += process.stdout.readlines()
    print("".join(lines))
    assert process.returncode == 143, process.returncode


def main():
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    import os

    os.chdir(folder)
    for name in ("finished", "registered", "grid", "search"):
        complete(COMMANDS[name])
    interrupt(COMMANDS["interrupted_run"], r"epoch +5/")
    interrupt(COMMANDS["interrupted_grid"], r"done +1/3")
    # What the interrupted ones must come to: the same, uninterrupted, in a store of their own.
    whole = {}
    import mlflow

    for name in ("interrupted_run", "interrupted_grid"):
        store = f"/tmp/{name}/mlflow.db"
        shutil.rmtree(f"/tmp/{name}", ignore_errors=True)
        Path(store).parent.mkdir()
        complete(COMMANDS[name], store=store)
        client = mlflow.MlflowClient(f"sqlite:///{store}")
        experiment = client.get_experiment_by_name("mnist_exp").experiment_id
        for found in client.search_runs([experiment]):
            if "mnist_exp.weights_sha256" in found.data.tags:
                losses = [point.value for point in client.get_metric_history(found.info.run_id, "loss")]
                weights = found.data.tags["mnist_exp.weights_sha256"]
                whole[f"{name}/{found.data.params['seed']}"] = {"weights_sha256": weights, "loss": losses}
    Path("whole.json").write_text(json.dumps({"folder": str(folder.resolve()), "whole": whole}, indent=1))
    shutil.rmtree(".git")
    for left in ("multirun", "outputs"):
        shutil.rmtree(left, ignore_errors=True)
    with tarfile.open(Path(__file__).parent / "store.tar.xz", "w:xz") as archive:
        for inner in sorted(folder.iterdir()):
            archive.add(inner, inner.name)


if __name__ == "__main__":
    main()
