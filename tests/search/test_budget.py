"""The budget of a search holds for all its trials, of all calls and processes."""

import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import attributes, budget
from mnist_exp.search.budget import Spent
from mnist_exp.search.parsing import parse
from mnist_exp.search.study import Study

EPOCHS = 5


@pytest.fixture
def search(tmp_path, monkeypatch):
    monkeypatch.setattr("mnist_exp.search.study._LOOK_S", 0.01)

    def make(**options):
        how = SweepSettings(n_trials=50, **options)
        axes = parse({}, ("model.dropout=interval(0,0.7)",), how).axes
        return Study("s", str(tmp_path / "study.journal"), axes, how, ("maximize",), EPOCHS, Path("unfinished"))

    return make


def train(trial, epochs, seconds=1.0):
    first = max(trial.study.trials[trial.number].intermediate_values, default=0) + 1
    for epoch in range(first, first + epochs):
        trial.report(0.5, epoch)
        budget.note_epoch(trial, seconds)


def spent(opened):
    return budget.spent(opened.get_trials(deepcopy=False))


def test_one_trial_at_a_time_spends_at_most_one_trials_epochs_less_one_beyond(search):
    searched = search(budget_epochs=11)
    opened = searched.open()
    count = 0
    while (claimed := searched.claim(opened)) is not None:
        train(claimed[0], EPOCHS)
        opened.tell(claimed[0], 0.5)
        count += 1
    assert count == 3
    assert spent(opened) == Spent(15, 15.0)
    more = search(budget_epochs=16)
    assert more.claim(more.open()) is not None  # Earlier calls count, and more goes on.


def test_epochs_of_running_trials_are_reserved_and_a_pruned_one_frees_them(search):
    searched = search(budget_epochs=10)
    opened = searched.open()
    first, second = (searched.claim(opened)[0] for _ in range(2))
    assert searched.claim(opened, is_over=lambda: True) is None
    train(first, 5)
    opened.tell(first, 0.5)
    assert searched.claim(opened, is_over=lambda: True) is None
    train(second, 1)
    claimed = []
    waiting = threading.Thread(target=lambda: claimed.append(searched.claim(searched.open())))
    waiting.start()
    time.sleep(0.2)
    assert not claimed  # It waits for the one that runs.
    opened.tell(second, state=TrialState.PRUNED)
    waiting.join(10)
    assert claimed[0] is not None
    assert spent(opened).epochs == 6


def test_seconds_of_all_trials_count(search):
    searched = search(budget_s=10.0)
    opened = searched.open()
    first, second = (searched.claim(opened)[0] for _ in range(2))
    train(first, 5, seconds=1.9)
    assert searched.claim(opened) is not None  # 9.5 s are spent.
    train(second, 1, seconds=0.5)
    assert searched.claim(opened) is None
    assert spent(opened) == Spent(6, 10.0)


def test_interrupted_trial_counts_each_epoch_once_and_what_is_known_costs_nothing(search):
    searched = search(budget_epochs=100)
    opened = searched.open()
    trial, _ = searched.claim(opened)
    train(trial, 2)
    searched.interrupt(opened, trial)
    again, _ = searched.claim(opened)
    for epoch in (1, 2):
        again.report(0.5, epoch)  # As the run that it goes on with had them.
    train(again, 3)
    opened.tell(again, 0.5)
    assert spent(opened).epochs == 5
    taken_over, _ = searched.claim(opened)
    opened.tell(taken_over, 0.5)
    opened.add_trial(
        optuna.trial.create_trial(
            params=taken_over.params,
            distributions=taken_over.distributions,
            value=0.5,
            intermediate_values={1: 0.5, 2: 0.5},
            user_attrs={attributes.FROM: "r"},
        )
    )
    assert spent(opened).epochs == 5


def test_trials_of_before_are_counted_by_their_values(search):
    searched = search(budget_epochs=100)
    opened = searched.open()
    trial, _ = searched.claim(opened)
    for epoch in (1, 2, 3):
        trial.report(0.5, epoch)
    assert spent(opened).epochs == 0
    opened.tell(trial, 0.5)
    assert spent(opened).epochs == 3


def test_dead_trials_reserve_nothing(search, monkeypatch):
    searched = search(budget_epochs=5)
    opened = searched.open()
    trial, values = searched.claim(opened)
    train(trial, 1)
    monkeypatch.setattr("mnist_exp.runtime.processes.is_gone", lambda identity: True)
    again, same = searched.claim(opened)
    assert same == values
    assert attributes.number(again) == trial.number


def test_of_two_that_start_at_once_the_first_keeps_its_trial(search, monkeypatch):
    searched = search(budget_epochs=5)
    opened, other = searched.open(), searched.open()
    states = iter(["open"])
    real = budget.state
    # The second looked before the first had started.
    monkeypatch.setattr(budget, "state", lambda *given: next(states, None) or real(*given))
    first = other.ask({axis.key: optuna.distributions.FloatDistribution(0, 0.7) for axis in searched.axes})
    first.set_user_attr(attributes.PROCESS, "here/1/1")
    monkeypatch.setattr("mnist_exp.runtime.processes.is_gone", lambda identity: False)
    assert searched.claim(opened, is_over=lambda: True) is None
    ended = [trial for trial in opened.trials if attributes.is_interrupted(trial)]
    assert [trial.number for trial in ended] == [first.number + 1]
