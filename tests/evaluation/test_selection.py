"""The luck of the best of many, against the truth of simulations, and the interval of its honest value."""

import numpy as np
import pytest

from mnist_exp.evaluation import selection

TRUTHS = {
    "all alike": lambda rng, n: np.zeros(n),
    "as different as the noise": lambda rng, n: rng.normal(size=n),
    "three times the noise": lambda rng, n: 3 * rng.normal(size=n),
    "some are very poor": lambda rng, n: np.where(rng.random(n) < 0.3, -30.0, 0.5 * rng.normal(size=n)),
}


@pytest.mark.parametrize("count", [8, 20])
@pytest.mark.parametrize("kind", TRUTHS)
def test_expected_luck_is_that_of_simulations(kind, count):
    rng, true, told = np.random.default_rng(count), [], []
    for _ in range(150):
        truth = TRUTHS[kind](rng, count)
        measured = truth + rng.normal(size=count)
        best = int(measured.argmax())
        true.append(measured[best] - truth[best])
        told.append(selection.expected_optimism(measured, np.ones(count), best))
    assert np.mean(told) == pytest.approx(np.mean(true), abs=0.3), f"the luck is {np.mean(true):.2f}"


def test_luck_of_the_chosen_one_is_less_where_it_has_more_seeds():
    values = [0.90, 0.89, 0.88, 0.87, 0.90]
    one, five = (selection.expected_optimism(values, [e, 0.02, 0.02, 0.02, 0.02], 0) for e in (0.02, 0.02 / 5**0.5))
    assert 0 < five < one


def test_chosen_one_that_is_not_the_largest_has_no_negative_luck():
    assert selection.expected_optimism([0.8, 0.9, 0.9, 0.9], [0.05] * 4, 0) == 0


def test_errors_pool_the_spread_within_groups_without_common_seeds():
    groups = [{"1": 0.9, "2": 0.92}, {"3": 0.8, "4": 0.84, "5": 0.82}, {"6": 0.5}]
    means, errors = selection.means_and_errors(groups)
    within = (0.0002 + 0.0008) / 3
    assert means == pytest.approx([0.91, 0.82, 0.5])
    assert errors == pytest.approx([(within / n) ** 0.5 for n in (2, 3, 1)])


def test_what_a_seed_does_to_all_groups_is_no_luck_of_one():
    luck = {"1": 0.3, "2": 0.0, "3": -0.1}
    noise = iter([0.01, -0.02, 0.0, -0.01, 0.01, 0.01])
    groups = [{seed: base + luck[seed] + next(noise) for seed in luck} for base in (0.5, 0.4)]
    groups.append({"1": 0.45 + luck["1"]})  # With the luckiest seed alone.
    means, errors = selection.means_and_errors(groups)
    assert means[0] > means[2] > means[1], "0.75 of the luckiest seed is less than it looks"
    assert max(errors) < 0.04


@pytest.mark.parametrize("groups", [[{"1": 0.9}, {"1": 0.8}], [{"1": 0.9, "2": 0.9}, {"1": 0.8, "2": 0.8}]])
def test_no_error_is_made_up_without_spread(groups):
    assert selection.means_and_errors(groups) == ([0.9, 0.8], [])


def test_errors_of_shares_are_never_zero():
    assert selection.errors_of_shares([0.5, 1.0, 0.0], 100) == pytest.approx([0.05, *[0.0070534] * 2], rel=1e-4)


def test_interval_of_one_share_is_wilsons():
    low, high = selection.interval_of_shares([0.979], 3000)
    assert (low, high) == pytest.approx((0.97323, 0.98355), abs=1e-5)  # statsmodels' proportion_confint(2937, 3000)


def test_interval_over_seeds_covers_the_true_mean():
    rng, images, seeds, covered = np.random.default_rng(3), 500, 4, 0
    for _ in range(400):
        easy = rng.normal(size=images)  # The same images for all seeds.
        true, shift = 0.0, rng.normal(scale=0.2, size=seeds)
        shares = [float(np.mean(easy + rng.normal(scale=0.5, size=images) + each > -1.5)) for each in shift]
        everyone = rng.normal(size=20000) + rng.normal(scale=0.5, size=20000)
        true = float(np.mean(everyone + rng.normal(scale=0.2, size=20000) > -1.5))
        low, high = selection.interval_of_shares(shares, images)
        covered += low <= true <= high
    assert covered / 400 > 0.93
