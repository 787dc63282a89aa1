"""The price of a sweep before it starts, for `sweep.dry_run`: of the jobs that are left, by what is known of them."""

import dataclasses
import math
from collections.abc import Sequence

from omegaconf import DictConfig

from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import MnistExpError
from mnist_exp.jobs import crew
from mnist_exp.jobs.crew import Asked, Crew, Work
from mnist_exp.pricing import difference, disk, price, pruned
from mnist_exp.pricing.earlier import MOST_RUNS
from mnist_exp.pricing.likeness import Job
from mnist_exp.pricing.price import Price
from mnist_exp.runtime import machine, retries
from mnist_exp.search import ledger, storage
from mnist_exp.search.budget import Spent
from mnist_exp.sweeps.calls.call import SweepCall
from mnist_exp.sweeps.calls.finish import Finish
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.planning import plan
from mnist_exp.sweeps.planning.plan import Sample
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

_LOCAL = "LocalLauncher"
_MOST_POINTS = 24  # of a search's space that stand for its trials


def of_sweep(
    call: SweepCall, rows: Sequence[Row], config: DictConfig, work: Work, finishing: Finish | None = None
) -> Price | None:
    """Return the price of what a sweep has left to do; None if that is nothing.

    Args:
        call: of the sweep.
        rows: one for each job of a grid.
        config: of the sweep.
        work: that its workers are for.
        finishing: the trials of an earlier search that go on, and nothing else is run; None if it is not so.
    """
    load = machine.load()  # Before steps are measured, which are a load themselves.
    runs, searches = _earlier(call)
    spent = Spent()
    if call.study is None:
        left = {row.key: row for row in rows if row.outcome == "left"}
        samples = [(each, left[job.key]) for each, job in zip(call.plan.samples, call.plan.jobs, strict=True)
                   if job.key in left]  # fmt: skip
        jobs = [_job(each, max(row.planned_epochs - row.epochs, 0) if row.begun else None) for each, row in samples]
        weight = 1.0
    else:
        trials, spent = _trials_left(call) if finishing is None else (len(finishing.new), Spent())
        more = None if finishing is None else finishing.epochs - finishing.earlier
        jobs = [_job(each, more) for each in _points(call, config)] if trials else []
        weight = trials / len(jobs) if jobs else 0.0
    if not jobs:
        return None
    workers = _crew(config, work)
    what = price.known(jobs, runs, workers, call.screen.out.print)
    count = workers.count if workers is not None else 1
    # The points that stand for the trials of a search, as often as there are trials.
    whole = [jobs[i % len(jobs)] for i in range(round(len(jobs) * weight))]
    planned = sum(job.epochs for job in whole)
    share, why = _share(call, searches) if finishing is None else (1.0, "")
    epochs, share, why = _within_budget(call.how, spent, jobs, planned, share, why)
    time = price.time_of(whole, share, what, count, load)
    if time is not None and call.how.budget_s is not None:
        left_s = max(call.how.budget_s - spent.seconds, 0.0)
        if left_s < time.compute_s:
            share, why = share * left_s / time.compute_s, "within sweep.budget_s"
            time = price.time_of(whole, share, what, count, load)
    return Price(
        len(whole),
        epochs,
        round(planned * share),
        why,
        count,
        time,
        what.problem,
        disk.look(whole, what.sizes, runs, count, call.tracking),
        _distinguishable(call, jobs, runs),
        load,
    )


def _job(sample: Sample, epochs: int | None = None) -> Job:
    of_it = sample.settings.trainer.epochs if epochs is None else epochs
    return Job(
        sample.settings, sample.trained_on, sample.validated_on, sample.tested_on, sample.data_sha256, of_it
    )  # fmt: skip


def _earlier(call: SweepCall) -> tuple[list[StoredRun], list[StoredRun]]:
    """Return the newest finished runs of the experiment, and its sweeps; none are looked for in a new store."""
    if not call.has_store:
        return [], []
    history = SweepHistory(call.tracking)
    return history.finished(MOST_RUNS), history.sweeps(MOST_RUNS)


def _trials_left(call: SweepCall) -> tuple[int, Spent]:
    """Return how many trials a search has left, and what others have spent; nothing is created if it is new."""
    study = call.study
    assert study is not None
    if not study.is_there:
        return call.how.n_trials, Spent()
    try:
        opened = study.open(retries.PATIENCE_S, call.screen.warn)
    except MnistExpError:
        return call.how.n_trials, Spent()
    try:
        return study.left(opened), ledger.read(opened).spent()
    finally:
        storage.close(opened)


def _points(call: SweepCall, config: DictConfig) -> list[Sample]:
    """Return points of the space at random, as the jobs that they are; where none can be composed, its corners."""
    import optuna

    assert call.study is not None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    random = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=call.how.seed), directions=list(call.study.directions)
    )
    study = dataclasses.replace(call.study, settings=dataclasses.replace(call.how, n_trials=_MOST_POINTS, seeds=1))
    drawn = [study.ask(random)[1] for _ in range(min(call.how.n_trials, _MOST_POINTS))]
    points = [[*call.plan.space.fixed, *overrides] for overrides in drawn]
    return plan.sampled(points, call.plan.space, call.config_dir, config) or list(call.plan.samples)


def _crew(config: DictConfig, work: Work) -> Crew | None:
    """Return the workers on this machine; None where the jobs go elsewhere."""
    launcher = config.hydra.launcher
    if not str(launcher._target_).endswith(_LOCAL):
        return None
    asked: Asked = launcher.n_workers
    return crew.chosen(asked, work)


def _share(call: SweepCall, searches: Sequence[StoredRun]) -> tuple[float, str]:
    """Return which share of their epochs jobs are likely to have, and why not all."""
    settings = call.plan.settings
    if call.study is not None and (how := call.study.settings).prunes:
        share = pruned.share_of_earlier(searches, how)
        if share is not None:
            return share, f"with {how.pruner}, as in earlier searches"
        return pruned.share_played(
            how, settings.trainer.epochs, call.study.rungs
        ), f"with {how.pruner}, as it does with made-up curves"
    return 1.0, ""


def _within_budget(
    how: SweepSettings, spent: Spent, jobs: Sequence[Job], planned: int, share: float, why: str
) -> tuple[int, float, str]:
    """Return the epochs at most, the share of those planned that is likely, and why that is not all of them."""
    if how.budget_epochs is None:
        return planned, share, why
    left = max(how.budget_epochs - spent.epochs, 0)
    at_most = min(planned, left + max(job.epochs for job in jobs) - 1 if left else 0)
    return (at_most, left / planned, "within sweep.budget_epochs") if left < planned * share else (at_most, share, why)


def _distinguishable(call: SweepCall, jobs: Sequence[Job], runs: Sequence[StoredRun]) -> difference.Distinguishable:
    space, points = call.plan.space, len(call.plan.jobs)
    seeds = next((len(axis.values) for axis in space.axes if axis.key == names.SEED), 1)
    configurations = max(math.ceil(points / seeds), 1)
    if call.study is not None:  # Raced over seeds, only the best two points are sure to have all of them.
        seeds, configurations = call.how.seeds, 2 if call.how.seeds > 1 else call.how.n_trials
    first = jobs[0]
    alike = [run for run in runs if run.tags.get(names.DATA_SHA256) == first.data_sha256 and first.has_epochs_of(run)]
    return difference.smallest(call.plan.settings, configurations, seeds, first.val_images, alike)
