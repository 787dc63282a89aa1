"""By what a sweep that is issued again is known to be the same one, and goes on."""

import time

from mnist_exp.config.nested import digest
from mnist_exp.config.schema import SweepSettings
from mnist_exp.experiment.job_key import changed_options, job_key
from mnist_exp.sweeps.plan import Plan

# As the options of a run in `job_key`: these stand in the key of every search, in this order, and the list is closed.
# An option that was added since stands there only where it differs from its default.
_ALWAYS = ("sampler", "pruner", "prune_after", "seed", "minimize_too", "study")
# How long and with what means a search goes on, or what jobs a grid has, which have keys of their own.
_WITHOUT_EFFECT = (
    "n_trials", "timeout_s", "storage", "together", "zip", "points", "reuse", "retry_failed", "fail_fast",
    "max_failure_rate", "job_timeout_s", "dry_run",
)  # fmt: skip


def sweep_key(made: Plan, how: SweepSettings, *, is_search: bool) -> str:
    """Return the SHA-256, in hex, of a grid's jobs, or of a search's space, sampler and first job."""
    if not is_search:
        return digest([sorted(job.key for job in made.jobs), sorted(made.space.keys)])
    axes = [(axis.key, axis.words, axis.values) for axis in made.space.axes]
    sampling = [getattr(how, name) for name in _ALWAYS]
    sampling[0] = how.sampler or "tpe"
    added = changed_options(how, known=(*_ALWAYS, *_WITHOUT_EFFECT))
    first = job_key(made.settings, made.data_sha256)
    return digest([axes, sampling, first, *([added] if added else [])])


def study_name(made: Plan, how: SweepSettings) -> str:
    """Return the name of a search's study, which is another one each time where nothing is to be used again."""
    # A database may hold the searches of many experiments.
    which = digest([sweep_key(made, how, is_search=True), made.settings.tracking.experiment])
    again = "" if how.reuse else f"-{time.time_ns():x}"
    return how.study or f"mnist_exp-{which[:16]}{again}"
