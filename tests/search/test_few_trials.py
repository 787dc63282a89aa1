"""A sampler sees the best trials of a long search, those that run, and an even choice of the others."""

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from mnist_exp.search.few_trials import MOST, FewTrials
from mnist_exp.search.samplers import SeededSampler


def study_of(trials, direction="maximize", sampler=None):
    study = optuna.create_study(direction=direction, sampler=sampler)
    drawn = np.random.default_rng(0)
    study.add_trials(
        optuna.trial.create_trial(
            params={"rate": number / trials},
            distributions={"rate": FloatDistribution(0, 1)},
            **({"value": drawn.uniform()} if number % 3 else {"state": TrialState.PRUNED}),
        )
        for number in range(trials)
    )
    return study


def test_of_a_short_search_all_is_seen():
    study = study_of(MOST)
    assert [trial.number for trial in FewTrials(study).get_trials(deepcopy=False)] == list(range(MOST))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_best_and_running_trials_are_always_seen(direction):
    study = study_of(5 * MOST, direction)
    running = study.ask()
    seen = FewTrials(study).get_trials(deepcopy=False)
    assert len(seen) <= MOST + 1
    assert seen[-1].number == running.number
    complete = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    best = sorted(complete, key=lambda trial: trial.value, reverse=direction == "maximize")[:25]
    assert {trial.number for trial in best} <= {trial.number for trial in seen}


def test_others_are_from_the_whole_search_in_their_order():
    seen = FewTrials(study_of(5 * MOST)).get_trials(deepcopy=False)
    numbers = [trial.number for trial in seen]
    assert numbers == sorted(numbers)
    in_each_tenth, _ = np.histogram(numbers, bins=10, range=(0, 5 * MOST))
    assert in_each_tenth.min() > 0.8 * MOST / 10
    assert {trial.state for trial in seen} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_states_are_chosen_as_optuna_chooses_them():
    few = FewTrials(study_of(3 * MOST))
    pruned = few.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    assert {trial.state for trial in pruned} == {TrialState.PRUNED}


def test_tpe_of_a_long_search_draws_near_its_best_points():
    study = optuna.create_study(direction="maximize", sampler=SeededSampler("tpe", 0))
    study.add_trials(
        optuna.trial.create_trial(
            params={"rate": rate}, distributions={"rate": FloatDistribution(0, 1)}, value=-abs(rate - 0.7)
        )
        for rate in np.random.default_rng(1).uniform(size=4 * MOST)
    )
    drawn = []
    for _ in range(10):
        trial = study.ask()
        drawn.append(trial.suggest_float("rate", 0, 1))
        study.tell(trial, -abs(drawn[-1] - 0.7))
    assert np.median(np.abs(np.array(drawn) - 0.7)) < 0.05
