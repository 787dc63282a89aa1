"""The checkpoints that stay of trials that have ended: of the paused ones nearest to a promotion, and of the best."""

from pathlib import Path

import pytest
from optuna.trial import TrialState

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import attributes, kept, ledger, pausing
from mnist_exp.search.parsing import parse
from mnist_exp.search.storage import close
from mnist_exp.search.study import Study
from mnist_exp.sweeps.calls import paused_trials
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.tracking.run_folder import RunFolder


def search(*, epochs=9, pruner="asha", storage="study.journal", **how):
    settings = SweepSettings(pruner=pruner, sampler="random", **how)
    axes = parse({}, ("model.dropout=interval(0,0.7)",), settings).axes
    folder = Path.cwd() / "unfinished"
    return Study(
        "s", storage if "://" in storage else str(Path.cwd() / storage), axes, settings, ("maximize",), epochs, folder
    )


def train(searched, opened, claimed, quality):
    """Train a made-up trial up to where it is paused, or to its end, as a job does; return what became of it."""
    trial, _ = claimed
    run_id = attributes.begun_run(trial) or f"{trial.number:032x}"
    attributes.note_run(trial, run_id)
    folder = RunFolder(searched.unfinished / run_id)
    folder.claim()
    (folder.path / "checkpoint").touch()
    begun = attributes.promoted_at(trial) or 0
    for epoch in range(1, searched.epochs + 1):
        trial.report(quality, epoch)
        may_stop = epoch > begun and epoch < searched.epochs and attributes.FINISHES not in trial.user_attrs
        if may_stop and trial.should_prune():
            folder.keep(wanted=searched.keeps_checkpoints)
            folder.finish()
            opened.tell(trial, state=TrialState.PRUNED)
            return epoch
    folder.keep(wanted=searched.keeps_checkpoints)
    folder.finish()
    opened.tell(trial, quality)
    return searched.epochs


def here(searched):
    return sorted(int(path.name, 16) for path in searched.unfinished.iterdir()) if searched.unfinished.is_dir() else []


def all_trained(searched, qualities, trim=True):
    """Run a search to its end with one worker; return how many epochs each trial was trained."""
    opened, epochs, order = searched.open(), {}, []
    while (claimed := searched.claim(opened)) is not None:
        number = attributes.number(claimed[0])
        order += [] if number in order else [number]
        epochs[order.index(number)] = train(searched, opened, claimed, qualities[order.index(number)])
        if trim:
            kept.trim(searched, opened)
            paused = [group for group in ledger.read(opened).groups if group.standing.is_paused]
            mine = [group for group in paused if pausing.is_kept(searched.unfinished, group.run_id)]
            assert len(mine) <= searched.settings.keep_paused + kept.BEST
    return opened, epochs


QUALITIES = [0.3, 0.1, 0.5, 0.2, 0.4, 0.9, 0.6, 0.8, 0.7, 0.05, 0.15, 0.25]


@pytest.mark.parametrize("storage", ["study.journal", "sqlite:///study.db"])
def test_a_paused_trial_is_promoted_once_it_deserves_it_and_counts_once(storage):
    searched = search(n_trials=12, storage=storage)
    opened, epochs = all_trained(searched, QUALITIES)
    assert searched.left(opened) == 0
    assert epochs[5] == 9, "the best has seen all epochs"
    assert sorted(epochs) == list(range(12))
    best_third = sorted(epochs, key=lambda number: -QUALITIES[number])[:4]
    assert all(epochs[number] >= 3 for number in best_third)
    promoted = [trial for trial in opened.trials if attributes.promoted_at(trial) is not None]
    assert promoted and all(trial.params == opened.trials[attributes.number(trial)].params for trial in promoted)
    assert searched.claim(opened) is None, "nothing is left to promote"
    close(opened)


@pytest.mark.parametrize("count", [1, 3])
def test_as_many_paused_trials_keep_their_checkpoint_as_asked_for(count):
    searched = search(n_trials=12, keep_paused=count)
    opened, _ = all_trained(searched, QUALITIES)
    assert len(here(searched)) <= count + kept.BEST
    assert kept.trim(searched, opened, is_over=True)
    assert len(here(searched)) == kept.BEST, "those that sweep.finish_best may go on with"
    best = pausing.best(ledger.read(opened).groups, maximizes=True)[: kept.BEST]
    assert [group.value for group in best] == [0.9, 0.8, 0.7]
    assert here(searched) == sorted(group.standing.number for group in best)


def test_without_keep_paused_what_is_stopped_stays_stopped_and_nothing_is_kept():
    searched = search(n_trials=12, keep_paused=0)
    opened, epochs = all_trained(searched, QUALITIES)
    assert here(searched) == []
    assert not any(attributes.promoted_at(trial) for trial in opened.trials)
    assert len(opened.trials) == 12
    assert 9 in epochs.values()


def test_trial_whose_checkpoint_this_machine_lacks_is_not_taken():
    searched = search(n_trials=3)
    opened, _ = all_trained(search(n_trials=3, epochs=2), [0.1, 0.2, 0.3], trim=False)
    assert here(searched) != []
    for path in searched.unfinished.iterdir():
        RunFolder(path).remove()
    assert searched.to_go_on(opened) == 0
    assert searched.claim(opened) is None


def test_only_one_of_two_processes_goes_on_with_a_trial():
    searched = search(n_trials=4)
    opened = searched.open()
    for quality in (0.3, 0.1, 0.2):
        train(searched, opened, searched.claim(opened), quality)
    first, second = searched.claim(opened), searched.claim(searched.open())
    assert attributes.promoted_at(first[0]) == 1
    assert attributes.promoted_at(second[0]) is None, "a new trial: the other process goes on with the paused one"


def test_duplicate_of_a_promotion_is_given_back(monkeypatch):
    searched = search(n_trials=3)
    opened = searched.open()
    for quality in (0.3, 0.1, 0.2):
        train(searched, opened, searched.claim(opened), quality)
    late = pausing.promotable(opened, searched.rungs, searched.unfinished, may_be_last=True)
    assert [group.standing.number for group in late] == [0]
    first, _ = searched.claim(opened)
    with monkeypatch.context() as patch:
        answers = iter([late])  # As it looked before the other process was quicker.
        patch.setattr(pausing, "promotable", lambda *given, **named: next(answers, []))
        assert searched.claim(opened) is None
    again = opened.trials[-1]
    assert (again.state, attributes.is_interrupted(again)) == (TrialState.FAIL, True)
    assert train(searched, opened, (first, []), 0.3) == 3


def test_interrupted_promotion_goes_on_as_one():
    searched = search(n_trials=3)
    opened = searched.open()
    for quality in (0.3, 0.1, 0.2):
        train(searched, opened, searched.claim(opened), quality)
    trial, values = searched.claim(opened)
    searched.interrupt(opened, trial)
    assert searched.left(opened) == 0
    again, same = searched.claim(opened)
    assert same == values
    assert attributes.promoted_at(again) == attributes.promoted_at(trial) == 1
    assert attributes.begun_run(again) == f"{0:032x}"


def test_a_trial_that_costs_process_after_process_fails_at_last(monkeypatch):
    searched = search(n_trials=1)
    opened = searched.open()
    for _ in range(4):
        assert searched.claim(opened) is not None
        monkeypatch.setattr("mnist_exp.runtime.processes.is_gone", lambda name: True)
    assert searched.claim(opened) is None
    assert opened.trials[-1].state == TrialState.FAIL
    assert not attributes.is_interrupted(opened.trials[-1])
    assert searched.left(opened) == 0


@pytest.mark.parametrize("pruner", ["asha", "median"])
def test_the_best_see_all_epochs_after_the_search(pruner):
    searched = search(n_trials=12, pruner=pruner, finish_best=4, epochs=9)
    opened, epochs = all_trained(searched, QUALITIES)
    best = sorted(range(12), key=lambda number: -QUALITIES[number])[:4]
    assert all(epochs[number] == 9 for number in best)
    others = [number for number in range(12) if number not in best]
    assert any(epochs[number] < 9 for number in others)
    assert sum(attributes.FINISHES in trial.user_attrs for trial in opened.trials) <= 4


def settle(searched, opened, outcomes=(), *, may_be_longer=True):
    rows = [Row("", outcome=outcome) for outcome in outcomes]
    return paused_trials.settle(searched, opened, rows, may_be_longer=may_be_longer)


def test_same_search_without_kept_checkpoints_removes_those_of_before():
    searched = search(n_trials=12)
    opened, _ = all_trained(searched, QUALITIES)
    assert settle(searched, opened).startswith("3 checkpoints (0.0 MB in ")
    assert len(here(searched)) == kept.BEST
    assert settle(search(n_trials=12, keep_paused=0), opened) == ""
    assert here(searched) == []


def test_what_is_said_of_kept_checkpoints_is_allowed():
    """With another schedule than a constant one, no search of more epochs goes on with them."""
    searched = search(n_trials=12)
    opened, _ = all_trained(searched, QUALITIES)
    removes = "sweep.keep_paused=0 removes them"
    assert settle(searched, opened).endswith(
        f": sweep.finish_best=3 trainer.epochs={2 * searched.epochs} goes on with the best; {removes}"
    )
    assert settle(searched, opened, ["done", "pruned"], may_be_longer=False).endswith(
        f": sweep.finish_best=3 goes on with those of the best that were stopped; {removes}"
    )
    assert settle(searched, opened, ["done"], may_be_longer=False).endswith(f"): {removes}")
    finishing = search(n_trials=12, finish_best=3)
    all_trained(finishing, QUALITIES)
    assert settle(finishing, opened, ["pruned"], may_be_longer=False).endswith(
        "): sweep.keep_paused=0 without sweep.finish_best removes them"
    )
