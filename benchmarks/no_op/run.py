"""`python -m mnist_exp.run`, but no job trains: each is planned, started, recorded and told as any other.

What is recorded is that of a job of one epoch, without model and pictures; its accuracy is drawn around 97 %.
"""

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
from omegaconf import DictConfig

from mnist_exp.composition.preflight import load_data
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset
from mnist_exp.evaluation import predictions
from mnist_exp.evaluation.predictions import Predictions
from mnist_exp.experiment import record, runner
from mnist_exp.experiment.record import Job
from mnist_exp.experiment.runner import Result
from mnist_exp.jobs.job import Task
from mnist_exp.runtime.terminal import Screen
from mnist_exp.sweeps import launch
from mnist_exp.tracking.tracker import Tracker, folder, open_tracker


class NoOpRun:
    """A run that draws its results instead of training."""

    def __init__(self, settings: Settings, dataset: Dataset, tracker: Tracker, job: Job) -> None:
        self._settings, self._dataset, self._tracker, self._job = settings, dataset, tracker, job

    def fit(self) -> None:
        """Train nothing."""

    def finish(self, fitted: None) -> Result:
        """Record what a job records, but the model and the pictures."""
        dataset, tracker, job = self._dataset, self._tracker, self._job
        drawn = np.random.default_rng(self._settings.seed)
        probabilities = drawn.dirichlet(np.full(dataset.outputs, 0.02), len(dataset.y_test))
        right = drawn.random(len(probabilities)) < 0.97
        probabilities[right] = np.eye(dataset.outputs)[dataset.y_test[right]]
        accuracy = float((probabilities.argmax(axis=1) == dataset.y_test).mean())
        epoch = {"loss": 0.1, "accuracy": accuracy, "val_loss": 0.1, "val_accuracy": accuracy, "epoch_time_s": 0.0}
        history: Mapping[str, list[float]] = {name: [value] for name, value in epoch.items()}
        tracker.log_metrics(epoch, step=1)
        if job.on_epoch is not None:
            job.on_epoch(1, epoch)
        metrics = {"objective": accuracy, "epochs": 1.0, "best_epoch": 1.0, "best_val_accuracy": accuracy}
        metrics |= {"fit_time_s": 0.0, "parameters": 0.0, "test_loss": 0.1, "test_accuracy": accuracy}
        tracker.log_metrics(metrics, step=1)
        with folder() as files:
            Predictions.of_classes(probabilities, dataset.y_test).write(files / predictions.FILE)
            tracker.log_files(files)
        return Result(tracker.run_id, accuracy, metrics, dict(history), None, False, "")


@contextlib.contextmanager
def open_run(settings: Settings, screen: Screen, job: Job) -> Iterator[NoOpRun]:
    """Open a run as the runner does, without a model."""
    dataset, _ = load_data(settings, job.dataset)
    tracker = open_tracker(settings.tracking, screen.warn)
    tracker.load()
    with runner.closed(tracker, settings, job, screen):
        record.begin(tracker, settings, dataset, job)
        yield NoOpRun(settings, dataset, tracker, job)


def _put_in() -> None:
    runner.open_run = open_run
    runner.Run.fit = NoOpRun.fit


class NoOpTask(Task):
    """A job in a worker, which does not import this file: what is of `__main__` travels there by value."""

    def __call__(self, config: DictConfig) -> float:
        """Run one job without training."""
        _put_in()
        return super().__call__(config)


if __name__ == "__main__":
    import resource
    import sys

    from mnist_exp.run_command import main

    _put_in()
    launch.Task = NoOpTask
    try:
        main()
    finally:
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(f"launching process: {used.ru_utime + used.ru_stime:.2f} s of CPU", file=sys.stderr)
