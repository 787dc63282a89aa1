"""The race over seeds: who goes on, that new points are not starved, and how often its final claims too much."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_exp.evaluation import statistical_tests
from mnist_exp.search.race import Race, seeds_of_final, sizes_of


def run(budget, seeds, value, *, workers=1, lost=(), rng=None, maximizes=True):
    """Go through a whole search, and return its steps and its values by point and seed."""
    rng, done, busy, gone, steps = rng or np.random.default_rng(0), {}, [], set(), []
    new = itertools.count()
    while len(steps) < budget or busy:
        while len(steps) < budget and len(busy) < workers:
            race = Race(range(seeds), done, frozenset(busy), frozenset(gone), maximizes)
            step = race.next(budget, budget - len(steps)) or (next(new), 0)
            assert step not in steps, "no point gets a seed twice"
            steps.append(step)
            busy.append(step)
        point, seed = busy.pop(rng.integers(len(busy)))
        if (point, seed) in lost:
            gone.add((point, seed))
        else:
            done.setdefault(point, {})[seed] = value(point, seed)
    return steps, done


def test_best_third_goes_on_and_the_two_best_get_all_seeds():
    steps, done = run(20, 5, lambda point, seed: point)
    assert steps[:10] == [(point, 0) for point in range(10)]
    assert {p for p, s in steps if s == 1} == {6, 7, 8, 9}
    assert {p: len(values) for p, values in done.items() if len(values) > 2} == {8: 5, 9: 5}


def test_less_is_better_where_it_is_minimized():
    _, done = run(20, 5, lambda point, seed: point, maximizes=False)
    assert {p for p, values in done.items() if len(values) == 5} == {0, 1}


def test_new_points_come_as_long_as_the_race_has_its_trials():
    steps, done = run(100, 5, lambda point, seed: point)
    assert sum(seed == 0 for _, seed in steps) > 60
    assert sorted(map(len, done.values()))[-2:] == [5, 5]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(2, 8), st.integers(1, 9), st.integers(0, 99))
def test_half_of_the_trials_at_least_are_new_points(budget, seeds, workers, chance):
    rng = np.random.default_rng(chance)
    steps, _ = run(budget, seeds, lambda point, seed: rng.random(), workers=workers, rng=rng)
    assert len(steps) == budget
    assert sum(seed == 0 for _, seed in steps) >= budget / 2


def test_point_whose_seed_failed_leaves_the_race():
    steps, done = run(20, 5, lambda point, seed: point, lost={(9, 1), (3, 0)})
    assert [seed for point, seed in steps if point == 9] == [0, 1]
    assert {p for p, values in done.items() if len(values) == 5} == {7, 8}


def test_free_worker_does_not_wait_where_both_finalists_are_busy():
    done = {point: {0: point, 1: point} for point in (3, 4)} | {point: {0: point} for point in (0, 1, 2)}
    race = Race(range(5), done, frozenset({(3, 2), (4, 2)}))
    assert race.next(10, 1) in {(3, 3), (4, 3)}


@pytest.mark.parametrize(
    ("points", "seeds", "sizes"),
    [(10, 5, [10, 4, 2, 2, 2]), (2, 4, [2, 2, 2, 2]), (1, 3, [1, 1, 1]), (30, 3, [30, 10, 4])],
)
def test_sizes_of_a_race(points, seeds, sizes):
    assert sizes_of(points, seeds) == sizes


def test_final_has_as_many_seeds_as_two_points_have():
    assert [seeds_of_final(counts) for counts in ([5, 5, 2, 1], [5, 4, 1], [3, 1, 1], [1])] == [5, 4, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_final_on_noise_alone_claims_a_winner_five_times_in_a_hundred(workers):
    rng, searches, claims = np.random.default_rng(workers), 400, 0
    for _ in range(searches):
        luck = rng.normal(size=5)  # What a seed does to all points.
        _, done = run(20, 5, lambda _, seed, luck=luck: luck[seed] + rng.normal(), workers=workers, rng=rng)
        most = seeds_of_final([*map(len, done.values())])
        final = [v for v in done.values() if len(v) >= most]
        fresh = [{str(seed): value for seed, value in values.items() if seed} for values in final]
        compared = statistical_tests.compare_all(fresh)
        claims += any(c.is_significant for c in compared.values())
    assert claims / searches < 0.05 + 2 * (0.05 * 0.95 / searches) ** 0.5
