"""How much disk the runs of a sweep take, and how much there is."""

import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.pricing.likeness import Job
from mnist_exp.pricing.rates import Size
from mnist_exp.tracking import names, run_folder, sqlite_reads, store
from mnist_exp.tracking.runs import StoredRun

_MOST_LOOKED_AT = 5  # earlier runs of each model
_A_WEIGHT, _AROUND_WEIGHTS = 4, 15_000  # bytes of a model's file
# Of a run's other files: pictures, configuration, environment; and a line of predictions for each test image.
_FILES, _A_PREDICTION = 120_000, 17
_DATABASE, _AN_EPOCH = 12_000, 1_200  # by which the store's file grows: for a run, and for the metrics of an epoch
_STATES, _KEPT = 3, 2  # weights and two states of Adam's in a checkpoint, of which two stay


@dataclass(frozen=True)
class Disk:
    """What the runs of a sweep take.

    Args:
        bytes_kept: that stay: models, pictures, tables.
        bytes_meanwhile: of checkpoints, while they are trained.
        bytes_of_models: that are models, of those that stay.
        free: bytes that are free now where they are written; None where that is not this machine's.
        is_measured: whether earlier runs of each of these models were looked at.
    """

    bytes_kept: int
    bytes_meanwhile: int
    bytes_of_models: int
    free: int | None
    is_measured: bool

    @property
    def fits(self) -> bool:
        """Whether there is room; true where that is not known."""
        return self.free is None or self.bytes_kept + self.bytes_meanwhile <= self.free


def look(
    jobs: Sequence[Job], sizes: Mapping[str, Size], runs: Sequence[StoredRun], workers: int, tracking: TrackingSettings
) -> Disk:
    """Return what jobs will take.

    Args:
        jobs: to be run.
        sizes: of their models, by `Job.model_key`.
        runs: earlier ones, FINISHED.
        workers: of the sweep.
        tracking: the settings of the store.
    """
    if tracking.store != "mlflow":
        return Disk(0, 0, 0, None, is_measured=True)
    file = store.sqlite_file(store.locate(tracking.uri))
    models, others, is_measured = [], [], True
    known: dict[str, tuple[int, int] | None] = {}
    for job in jobs:
        if job.model_key not in known:
            alike = [run for run in runs if job.is_model_of(run) and run.is_done]
            known[job.model_key] = _of_runs(file, alike[:_MOST_LOOKED_AT]) if file is not None else None
        if (found := known[job.model_key]) is None:
            is_measured = False
            size = sizes.get(job.model_key)
            model = _A_WEIGHT * size.parameters + _AROUND_WEIGHTS if size else 0
            found = model, _FILES + _A_PREDICTION * job.test_images
        models.append(found[0])
        others.append(found[1] + _DATABASE + _AN_EPOCH * job.epochs)
    if tracking.best_models is not None:
        models = sorted(models, reverse=True)[: tracking.best_models]
    parameters = sorted((size.parameters for size in sizes.values()), reverse=True)[: max(workers, 1)]
    meanwhile = _KEPT * _STATES * _A_WEIGHT * sum(parameters)
    return Disk(sum(models) + sum(others), meanwhile, sum(models), _free(tracking, file), is_measured)


def _of_runs(file: Path, runs: Sequence[StoredRun]) -> tuple[int, int] | None:
    """Return the bytes of the model and of the other files, as earlier runs of the same model have them."""
    models, others = [], []
    for run in runs:
        folder = sqlite_reads.run_files(file, run.run_id)
        if folder is None or not run.has_model:
            continue
        found = sqlite_reads.model_file(file, run.tags[names.MODEL_URI].removeprefix("models:/"), "MLmodel")
        if found is not None:
            models.append(_bytes(found.parent))
            others.append(_bytes(folder))
    return (round(statistics.median(models)), round(statistics.median(others))) if models else None


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _free(tracking: TrackingSettings, file: Path | None) -> int | None:
    """Return the bytes that are free where runs are written; None where the store is elsewhere."""
    if file is None:
        return None
    free = []
    for place in (file.parent, run_folder.root(tracking)):
        there = next((each for each in (place, *place.parents) if each.exists()), None)
        if there is not None:
            free.append(shutil.disk_usage(there).free)
    return min(free, default=None)
