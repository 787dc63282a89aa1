"""The key of a sweep: a command issued again has the same key, and so continues the same sweep."""

import time

from mnist_exp.config.nested import digest
from mnist_exp.config.schema import SweepSettings
from mnist_exp.experiment.job_key import changed_options, job_key
from mnist_exp.sweeps.planning import rules
from mnist_exp.sweeps.planning.plan import Plan

# These options are part of every search's key, in this order. The list is closed, as that of `job_key`: an option added
# later becomes part of the key only if it differs from its default, so that older keys stay the same.
_ALWAYS = ("sampler", "pruner", "prune_after", "seed", "minimize_too", "study")
# These say how long and how a sweep runs, or which jobs a grid has. The jobs of a grid have keys of their own.
_WITHOUT_EFFECT = (
    "n_trials", "timeout_s", "budget_epochs", "budget_s", "storage", "together", "zip", "points", "where", "reuse",
    "retry_failed", "fail_fast", "max_failure_rate", "job_timeout_s", "dry_run", "seeds", "keep_paused",
    "finish_best",
)  # fmt: skip


def sweep_key(made: Plan, how: SweepSettings, *, is_search: bool, code: str = "") -> str:
    """Return the key of a sweep, a SHA-256 in hex.

    Args:
        made: the plan of the sweep.
        how: the options `sweep.*`.
        is_search: whether it is a search; else a grid.
        code: of a search, digest of the user's own code, if it is other code than that of an earlier search. The jobs
            of a grid are judged one by one.
    Returns: for a grid, the digest of its jobs' keys; for a search, that of its space, its sampler and its first job.
    """
    if not is_search:
        return digest([sorted(job.key for job in made.jobs), sorted(made.space.keys)])
    axes = [
        (axis.key, axis.words, axis.values, *([axis.when.words] if axis.when is not None else []))
        for axis in made.space.axes
    ]
    decided = rules.with_pruner(how, made.space, made.settings.trainer.epochs)
    sampling = [getattr(decided, name) for name in _ALWAYS]
    sampling[0] = how.sampler or "tpe"
    added = changed_options(how, known=(*_ALWAYS, *_WITHOUT_EFFECT))
    first = job_key(made.settings, made.data_sha256)
    partly = [(text, when.words) for text, when in made.space.partly]
    further = [each for each in (added, code, list(made.files), partly) if each]
    return digest([axes, sampling, first, *further])


def study_name(made: Plan, how: SweepSettings, code: str = "") -> str:
    """Return the name of a search's Optuna study; with `sweep.reuse=false` a new name at each call."""
    # The experiment is part of it, for a database may hold the searches of many experiments.
    which = digest([sweep_key(made, how, is_search=True, code=code), made.settings.tracking.experiment])
    again = "" if how.reuse else f"-{time.time_ns():x}"
    return how.study or f"mnist_exp-{which[:16]}{again}"
