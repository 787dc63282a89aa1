"""Many processes at a time that record as trainings do, without training: what a server gets from a crowd of jobs.

`python recording_jobs.py COUNT EPOCHS EPOCH_S EXPERIMENT` ends with the number of those that failed.
"""

import multiprocessing
import random
import sys
import time

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.runtime import processes, retries
from mnist_exp.tracking import mlflow_writes
from mnist_exp.tracking.tracker import folder, open_tracker

METRICS = ("loss", "val_accuracy", "epoch_time_s")


def value(number, metric, epoch):
    """What a job records of an epoch; no two are the same."""
    return number + epoch / 1000 + METRICS.index(metric) / 10


def record(number, epochs, epoch_s, experiment):
    """Record one run, as `runner` does."""
    time.sleep(random.uniform(0, epoch_s))
    tracker = open_tracker(TrackingSettings(experiment=experiment), lambda text: print(number, text))
    mlflow_writes.limit_waits()
    tags = {"mnist_exp.process": processes.identify(), "mnist_exp.job_key": str(number)}
    params = {"seed": number, "model.filters": 4, "objective": "val_accuracy", "direction": "maximize"}
    tracker.start(f"job {number}", params, tags)
    began = time.monotonic()
    for epoch in range(1, epochs + 1):
        time.sleep(max(began + epoch * epoch_s - time.monotonic(), 0))
        tracker.log_metrics({name: value(number, name, epoch) for name in METRICS}, step=epoch)
        print(number, "epoch", epoch, flush=True)
    with folder() as files:
        (files / "config.yaml").write_text(f"seed: {number}\n")
        tracker.log_files(files)
    tracker.log_tags({"mnist_exp.weights_sha256": f"{number:064d}"})
    tracker.end("FINISHED", retries.PATIENCE_S)


def main(count, epochs, epoch_s, experiment):
    """Start so many, and return how many failed."""
    # One process imports what all need.
    import mlflow.store.artifact.mlflow_artifacts_repo
    import mlflow.tracking.fluent  # noqa: F401

    mlflow_writes.write_errors()
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=record, args=(number, epochs, epoch_s, experiment)) for number in range(count)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    return sum(job.exitcode != 0 for job in jobs)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
