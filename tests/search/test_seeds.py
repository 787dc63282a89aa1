"""Seeds in the study of a search: every process sees the same race, and takes another step of it."""

import multiprocessing
from collections import Counter
from pathlib import Path

from optuna.trial import TrialState

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import attributes, study
from mnist_exp.search import budget as spending
from mnist_exp.search.parsing import parse
from mnist_exp.search.study import Study

SEEDS = (7, 8, 9)


def search(folder, n_trials=12, seeds=SEEDS, **budget):
    how = SweepSettings(n_trials=n_trials, sampler="random", seeds=len(seeds), **budget)
    axes = parse({}, ("model.dropout=interval(0,0.7)",), how).axes
    return Study("s", str(folder / "s.journal"), axes, how, ("maximize",), 5, Path("unfinished"), (), seeds)


def work(searched):
    opened, taken = searched.open(), []
    while (claimed := searched.claim(opened)) is not None:
        trial, overrides = claimed
        taken.append(tuple(overrides))
        opened.tell(trial, trial.params["model.dropout"])
    return taken


def test_promising_points_get_the_seeds_in_turn(tmp_path):
    taken = work(search(tmp_path))
    assert len(taken) == 12
    seeds = {}
    for dropout, seed in taken:
        seeds.setdefault(dropout, []).append(seed)
    ranked = sorted(seeds, key=lambda text: -float(text.partition("=")[2]))
    assert [seeds[point] for point in ranked[:2]] == [["seed=7", "seed=8", "seed=9"]] * 2
    assert all(seeds[point] == ["seed=7"] for point in ranked[4:])


def test_processes_do_not_take_the_same_seed_of_a_point(tmp_path):
    searched = search(tmp_path, n_trials=24)
    searched.open()
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        taken = [each for part in pool.map(work, [searched] * 3, chunksize=1) for each in part]
    assert len(taken) == 24
    assert max(Counter(taken).values()) == 1
    assert sum(seed != "seed=7" for _, seed in taken) >= 4


def test_interrupted_seed_goes_on_as_the_same_seed(tmp_path):
    searched = search(tmp_path, n_trials=8)
    opened = searched.open()
    for _ in range(4):
        trial, _ = searched.claim(opened)
        opened.tell(trial, trial.params["model.dropout"])
    trial, overrides = searched.claim(opened)
    assert overrides[-1] == "seed=8"
    searched.interrupt(opened, trial)
    again, same = searched.claim(opened)
    assert same == overrides
    assert attributes.number(again) == trial.number


def test_trial_that_waits_since_its_process_died_is_taken(tmp_path):
    searched = search(tmp_path, n_trials=8)
    opened = searched.open()
    for _ in range(4):
        trial, _ = searched.claim(opened)
        opened.tell(trial, trial.params["model.dropout"])
    opened.enqueue_trial(dict(trial.params), user_attrs={attributes.SEED: 9})
    assert searched.claim(opened)[1][-1] == "seed=9"
    assert not opened.get_trials(states=(TrialState.WAITING,))


def test_only_a_trial_with_the_same_seed_is_known(tmp_path):
    searched = search(tmp_path)
    opened = searched.open()
    values = {"model.dropout": 0.25}
    for _ in range(2):
        opened.enqueue_trial(values)
    first, _ = searched.claim(opened)
    opened.tell(first, 0.5)
    second, _ = searched.ask(opened)
    assert study.known(opened, second) == [0.5]
    second.set_user_attr(attributes.SEED, 8)
    assert study.known(opened, second) is None


def test_yesterdays_search_goes_on_with_more_seeds(tmp_path):
    assert len(work(search(tmp_path, n_trials=4, seeds=()))) == 4
    taken = work(search(tmp_path, n_trials=8))
    assert [seed for _, seed in taken].count("seed=7") == 0


def test_race_begins_in_time_for_a_budget_of_epochs(tmp_path):
    searched = search(tmp_path, n_trials=100, budget_epochs=60)
    opened, taken = searched.open(), []
    while (claimed := searched.claim(opened)) is not None:
        trial, overrides = claimed
        taken.append(overrides[-1])
        for _ in range(5):
            spending.note_epoch(trial, 1.0)
        opened.tell(trial, trial.params["model.dropout"])
    assert len(taken) == 12
    assert taken.count("seed=9") == 2, "the final has all seeds"


def test_few_points_that_a_sampler_repeats_are_raced_all_the_same(tmp_path):
    how = SweepSettings(n_trials=16, sampler="random", seeds=3)
    axes = parse({}, ("model.filters=8,16",), how).axes
    searched = Study("s", str(tmp_path / "s.journal"), axes, how, ("maximize",), 5, Path("unfinished"), (), SEEDS)
    opened, seeds = searched.open(), Counter()
    while (claimed := searched.claim(opened)) is not None:
        trial, overrides = claimed
        seeds[tuple(overrides)] += 1
        opened.tell(trial, float(overrides[0][-1]))
    assert len(seeds) == 6
    assert all(count == 1 for (_, seed), count in seeds.items() if seed != "seed=7")
