"""A search with promotions whose processes are killed at random, and its trials trained alone, without a stop.

    python tests/support/killed_searches.py FOLDER --kills 20

kills -9, at random moments, either a worker or the whole search with its launching process; issues the command again
when the search itself was killed; and compares each trial with the same job trained alone: each metric of each epoch,
and of those that are done the metrics of the end and the digest of the weights, must be equal to the last bit.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from mlflow import MlflowClient

SEARCH = [
    "model.dropout=interval(0.0,0.6)",
    "optimizer.learning_rate=tag(log,interval(3e-4,3e-2))",
    "model=mlp",
    "model.hidden_units=[16]",
    "data=mnist_5k",
    "data.limit=800",
    "data.validation=0.2",
    "trainer.batch_size=50",
    "trainer.epochs=9",
    "trainer.threads=1",
    "sweep.pruner=asha",
    "hydra.launcher.n_workers=2",
]
TIMES = ("epoch_time_s", "images_per_s", "fit_time_s", "memory_peak_mb")
ALONE = """
import json, sys
import mnist_exp
for words in json.load(sys.stdin):
    mnist_exp.run(words)
"""


def start(folder: Path, *more: str) -> subprocess.Popen:
    with (folder / "output.txt").open("ab") as output:
        command = [sys.executable, "-m", "mnist_exp.run", "-m", *SEARCH, *more]
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)


def said(folder: Path) -> str:
    file = folder / "output.txt"
    return file.read_text(errors="replace") if file.exists() else ""


def workers(process: subprocess.Popen) -> list[psutil.Process]:
    """Return the processes that are at a trial."""
    with contextlib.suppress(psutil.NoSuchProcess):
        owners = {int(text.split("/")[1]) for text in _owners(Path(process.args_folder)) if text.count("/") == 2}
        return [each for each in psutil.Process(process.pid).children(recursive=True) if each.pid in owners]
    return []


def _owners(folder: Path) -> list[str]:
    found = []
    for file in folder.glob("unfinished/*/owner"):
        with contextlib.suppress(OSError):
            found.append(file.read_text())
    return found


def killed(folder: Path, kills: int, rng: random.Random, *more: str, of_workers: float = 0.5) -> list[str]:
    """Run a search to its end, and kill it meanwhile; return what was killed."""
    told: list[str] = []
    process = start(folder, *more)
    process.args_folder = str(folder)
    while len(told) < kills and process.poll() is None:
        until = time.monotonic() + 300
        while process.poll() is None and not workers(process) and time.monotonic() < until:
            time.sleep(0.05)
        # On a slow machine as on a fast one, the kills are spread over the search: some come where it has just gone on.
        ended, more_to_end = _ended(folder), rng.choice([0, 1, 1])
        while process.poll() is None and _ended(folder) < ended + more_to_end:
            time.sleep(0.05)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, 5))
        if process.poll() is not None:
            break
        if rng.random() < of_workers and (found := workers(process)):
            victim = rng.choice(found)
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
            told.append("worker")
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            told.append("search")
            process = start(folder, *more)
            process.args_folder = str(folder)
    if process.wait() != 0:
        raise AssertionError(f"exit code {process.returncode}\n{said(folder)[-4000:]}")
    return told


def _ended(folder: Path) -> int:
    return len(re.findall(r"^(?:paused|done|promoted) ", said(folder), re.MULTILINE))


def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


def every_run(folder: Path) -> list:
    found = client(folder)
    experiment = found.get_experiment_by_name("mnist_exp")
    return list(found.search_runs([experiment.experiment_id], max_results=1000))


def jobs(folder: Path) -> list:
    return [run for run in every_run(folder) if "mnist_exp.job_key" in run.data.tags]


def curves(folder: Path, run) -> dict:
    """Return each metric by epoch; check that none has two values at a step."""
    found = {}
    for name in sorted(run.data.metrics):
        points = client(folder).get_metric_history(run.info.run_id, name)
        steps = [point.step for point in points]
        assert len(steps) == len(set(steps)), (name, steps)
        found[name] = {point.step: point.value for point in points}
    return {name: values for name, values in found.items() if name not in TIMES}


def command_of(run) -> list[str]:
    words = shlex.split(run.data.tags["mnist_exp.command"])
    return words[words.index("mnist_exp.run") + 1 :]


def alone(folder: Path, runs: list) -> dict[str, object]:
    """Train the jobs of some runs alone, without a stop, and return their runs by job key."""
    folder.mkdir()
    words = json.dumps([command_of(run) for run in runs])
    done = subprocess.run(
        [sys.executable, "-c", ALONE], input=words, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return {run.data.tags["mnist_exp.job_key"]: run for run in jobs(folder)}


def differences(folder: Path, whole: Path, n_trials: int) -> list[str]:
    """Return how the trials of a search differ from the same jobs trained alone; and which were lost, or doubled."""
    runs = jobs(folder)
    found = [f"{run.info.run_id} is {run.info.status}" for run in runs if run.info.status != "FINISHED"]
    keys = [run.data.tags["mnist_exp.job_key"] for run in runs]
    if len(keys) != n_trials or len(set(keys)) != n_trials:
        found.append(f"{len(keys)} runs of {len(set(keys))} jobs for {n_trials} trials")
    others = alone(whole, runs)
    for run in runs:
        other = others[run.data.tags["mnist_exp.job_key"]]
        mine, theirs = curves(folder, run), curves(whole, other)
        epochs = range(1, int(run.data.metrics["epochs"]) + 1)
        is_stopped = run.data.tags.get("pruned") == "true"
        for name in theirs:
            if len(theirs[name]) > 1:  # Of each epoch; else of the end.
                if {step: mine[name][step] for step in epochs} != {step: theirs[name][step] for step in epochs}:
                    found.append(f"{run.info.run_id} {name}: {mine[name]} instead of {theirs[name]}")
            elif not is_stopped and run.data.metrics[name] != other.data.metrics[name]:
                found.append(f"{run.info.run_id} {name} in the end")
        weights = "mnist_exp.weights_sha256"
        if not is_stopped and run.data.tags[weights] != other.data.tags[weights]:
            found.append(f"{run.info.run_id}: other weights")
        if set(mine["loss"]) != set(epochs):
            found.append(f"{run.info.run_id} has the epochs {sorted(mine['loss'])}")
    return found


def summary(folder: Path) -> str:
    runs = jobs(folder)
    epochs = sorted((int(run.data.metrics["epochs"]) for run in runs), reverse=True)
    promoted = [run.data.tags["mnist_exp.promoted"] for run in runs if "mnist_exp.promoted" in run.data.tags]
    resumed = sum(int(run.data.tags.get("mnist_exp.resumed", 0)) for run in runs)
    return f"{len(runs)} runs of {epochs} epochs; promoted at {promoted}; resumed {resumed} times"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    options = parser.parse_args()
    cut = options.folder / "cut"
    cut.mkdir(parents=True)
    told = killed(cut, options.kills, random.Random(options.seed), f"sweep.n_trials={options.trials}")
    print(f"killed: {len(told)} times, {told.count('worker')} workers, {told.count('search')} searches", flush=True)
    print(summary(cut), flush=True)
    print(re.findall(r"^sweep .*", said(cut), re.MULTILINE)[-1], flush=True)
    found = differences(cut, options.folder / "whole", options.trials)
    print("\n".join(found) or "each trial equals the one trained alone, to the last bit; none is lost or doubled")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
