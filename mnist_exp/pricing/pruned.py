"""How many of their epochs a pruner lets the trials of a search have."""

import statistics
from collections.abc import Sequence

import numpy as np

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search.pruners import pruner
from mnist_exp.search.rungs import Rungs, Standing
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

_MOST_TRIALS, _MOST_EPOCHS, _PLAYS = 50, 50, 20  # trials and epochs that are played through, and how often
_NOISE = 0.5  # of a value after an epoch, by the spread of the true values; it falls with the root of the epochs


def share_of_earlier(searches: Sequence[StoredRun], how: SweepSettings) -> float | None:
    """Return the share of the planned epochs that earlier searches with the same pruner spent; None without any.

    Args:
        searches: parent runs.
        how: the options `sweep.*`.
    """
    shares = []
    for run in searches:
        spent, saved = run.metrics.get(names.EPOCHS_SPENT, 0), run.metrics.get(names.EPOCHS_SAVED, 0)
        if run.params.get(names.PRUNER) == how.pruner and run.status == "FINISHED" and spent > 0:
            shares.append(spent / (spent + saved))
    return statistics.fmean(shares) if shares else None


def share_played(how: SweepSettings, epochs: int, rungs: Rungs | None = None) -> float:
    """Return the share of the epochs that the pruner itself grants to made-up trials, whose order is known early.

    Each has a true value; what is seen of it after an epoch is less and less by chance.

    Args:
        how: the options `sweep.*`.
        epochs: of a trial.
        rungs: at which trials are paused, to be promoted later; None where those that are stopped do not go on.
    """
    import optuna

    if not how.prunes:
        return 1.0
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials, most = min(how.n_trials, _MOST_TRIALS), min(epochs, _MOST_EPOCHS)
    if rungs is not None:
        return statistics.fmean(_spent_at(rungs, how, trials, play) for play in range(_PLAYS)) / (trials * epochs)
    return statistics.fmean(_spent(how, trials, most, play) for play in range(_PLAYS)) / (trials * most)


def _spent(how: SweepSettings, trials: int, most: int, play: int) -> int:
    import optuna

    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner(how, most))
    draw, spent = np.random.default_rng(play), 0
    for value in draw.normal(size=trials):
        trial = study.ask()
        for epoch in range(1, most + 1):
            trial.report(float(value + draw.normal() * _NOISE / epoch**0.5), epoch)
            spent += 1
            if epoch < most and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, float(value))
    return spent


def _spent_at(rungs: Rungs, how: SweepSettings, trials: int, play: int) -> int:
    """Return the epochs of trials that are paused and promoted, one at a time, as a free worker decides it."""
    draw = np.random.default_rng(play)
    sign = 1 if rungs.maximizes else -1
    worth = sign * draw.normal(size=trials)
    known: dict[int, Standing] = {}

    def train(number: int) -> None:
        """Train a trial up to where it is paused, or to its end."""
        values = dict(known[number].values) if number in known else {}
        known[number] = Standing(number, values)
        for epoch in [*(each for each in rungs.at if each > known[number].epoch), rungs.epochs]:
            values[epoch] = float(worth[number] + draw.normal() * _NOISE / epoch**0.5)
            if not rungs.runs_on([*known.values()], number, epoch):
                known[number] = Standing(number, values, is_paused=True)
                return
        known[number] = Standing(number, values, is_done=True)

    new = iter(range(trials))
    while True:
        waiting = rungs.promotable([*known.values()])
        number = waiting[0].number if waiting else next(new, None)
        if number is None and (last := rungs.promotable([*known.values()], is_last=True)):
            number = last[0].number
        if number is None:
            break
        train(number)
    paused = rungs.nearest_first([*known.values()])[: how.finish_best]
    return sum(trial.epoch for trial in known.values()) + sum(rungs.epochs - trial.epoch for trial in paused)
