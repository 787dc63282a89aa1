"""What earlier runs of the store tell of the time and the size of jobs like them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mnist_exp.errors import SettingsError
from mnist_exp.pricing.likeness import Job
from mnist_exp.pricing.rates import Seen, Size
from mnist_exp.runtime import processes
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

MOST_RUNS = 1000  # that are looked at, the newest
_MOST_READ = 40  # runs whose record of the machine is read; each is a file


@dataclass(frozen=True)
class Found:
    """What earlier runs tell.

    Args:
        sizes: of the models that were trained before, by `Job.model_key`.
        seen: what trainings of the same kind took, on the same machine and as many threads.
    """

    sizes: Mapping[str, Size]
    seen: Sequence[Seen]


def look(jobs: Sequence[Job], runs: Sequence[StoredRun], threads: int) -> Found:
    """Return what earlier runs tell of jobs.

    Args:
        jobs: to be run, of any number of kinds.
        runs: of the experiment, FINISHED, the newest first.
        threads: that each job will have.
    """
    sizes: dict[str, Size] = {}
    for job in {job.model_key: job for job in jobs}.values():
        for run in runs:
            if job.is_model_of(run) and (size := _size(run)) is not None:
                sizes[job.model_key] = size
                break
    seen, read = [], 0
    kinds = list({str(job.step): job for job in jobs}.values())
    for run in runs:
        kind = next((job for job in kinds if job.has_steps_of(run)), None)
        if kind is None or (found := _seen(kind, run)) is None or read == _MOST_READ:
            continue
        read += 1
        if _is_alike(run, threads):
            seen.append(found)
    return Found(sizes, seen)


def _size(run: StoredRun) -> Size | None:
    if names.PARAMETERS not in run.metrics:
        return None
    flops = run.metrics.get(names.FLOPS_PER_IMAGE)
    return Size(int(run.metrics[names.PARAMETERS]), None if flops is None else int(flops))


def _seen(job: Job, run: StoredRun) -> Seen | None:
    """Return what a run took; None where that is not known, or its seconds are not its own."""
    metrics, size = run.metrics, _size(run)
    wanted = (names.IMAGES_PER_S, names.EPOCH_TIME_S, names.FIT_TIME_S, names.EPOCHS)
    is_own = names.TOGETHER not in run.tags and names.RESUMED not in run.tags
    if size is None or not is_own or not all(metrics.get(name, 0) > 0 for name in wanted):
        return None
    image_s, epoch_s = 1 / metrics[names.IMAGES_PER_S], metrics[names.EPOCH_TIME_S]
    val_image_s = None
    if job.has_epochs_of(run) and job.val_images:
        val_image_s = max(epoch_s - job.train_images * image_s, 0.0) / job.val_images
    begin_s = max(metrics[names.FIT_TIME_S] - metrics[names.EPOCHS] * epoch_s, 0.0)
    around_s = max(run.seconds - metrics[names.FIT_TIME_S], 0.0) if run.is_done and run.seconds else None
    found = Seen(size.operations, image_s, val_image_s, begin_s, around_s)
    return found if math.isfinite(image_s) else None


def _is_alike(run: StoredRun, threads: int) -> bool:
    """Tell whether a run was on this machine, with as many threads."""
    if not processes.is_here(run.tags.get(names.PROCESS, "")):
        return False
    try:
        recorded = run.environment().get("threads")
    except SettingsError:
        return False
    if not isinstance(recorded, dict):
        return False
    return (recorded.get("intra_op") or recorded.get("usable")) == threads
