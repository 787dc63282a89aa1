"""The drop from one model to another on the same examples: its test and its interval, against references."""

import numpy as np
import pytest
from scipy import stats

from mnist_exp.evaluation import paired_drop


def right(both, only_before, only_after, neither):
    before = [True] * (both + only_before) + [False] * (only_after + neither)
    after = [True] * both + [False] * only_before + [True] * only_after + [False] * neither
    return np.array(before), np.array(after)


def test_drop_counts_what_only_one_gets_right():
    drop = paired_drop.of_right(*right(9000, 12, 2, 986))
    assert (drop.value, drop.only_before, drop.only_after) == (0.001, 12, 2)
    assert drop.p == pytest.approx(2 * stats.binom.cdf(2, 14, 0.5))
    assert drop.is_significant
    assert drop.low < 0.001 < drop.high
    gain = paired_drop.of_right(*right(9000, 2, 12, 986))
    assert (gain.value, gain.p) == (-0.001, drop.p)
    assert not gain.is_significant
    assert (gain.low, gain.high) == pytest.approx((-drop.high, -drop.low))


def test_equal_models_still_have_an_interval():
    drop = paired_drop.of_right(*right(990, 0, 0, 10))
    assert (drop.value, drop.p, drop.is_significant) == (0, 1, False)
    z2 = stats.norm.ppf(0.975) ** 2
    assert (drop.low, drop.high) == pytest.approx((-z2 / (1000 + z2), z2 / (1000 + z2)))


@pytest.mark.parametrize("counts", [(3, 1, 100), (1, 0, 44), (12, 2, 30), (0, 7, 60)])
def test_ends_are_where_the_score_test_with_the_most_likely_shares_rejects(counts):
    """Tango's interval by its definition: the likelihood is searched for its highest place in place of solved."""
    lost, won, n = counts
    for end, expected in zip(paired_drop.score_interval(*counts), (1, -1), strict=True):
        share = np.linspace(max(0, -end), (1 - end) / 2, 400_001)[1:-1]
        likelihood = sum(
            k * np.log(p) for k, p in ((lost, share + end), (won, share), (n - lost - won, 1 - 2 * share - end)) if k
        )
        best = share[np.argmax(likelihood)]
        score = (lost - won - n * end) / np.sqrt(n * (2 * best + end - end**2))
        assert score == pytest.approx(expected * stats.norm.ppf(0.975), abs=1e-3)


@pytest.mark.parametrize("counts", [(10, 0, 10), (0, 10, 10), (5, 5, 10), (1, 0, 1), (0, 0, 1)])
def test_interval_holds_the_drop_and_stays_within_its_range(counts):
    low, high = paired_drop.score_interval(*counts)
    assert -1 <= low <= (counts[0] - counts[1]) / counts[2] <= high <= 1


def test_errors_are_compared_by_the_paired_t_test():
    rng = np.random.default_rng(0)
    before = rng.random(50)
    after = before + rng.normal(0.1, 0.1, 50)
    drop = paired_drop.of_errors(before, after)
    expected = stats.ttest_rel(after, before)
    assert drop.value == pytest.approx((after - before).mean())
    assert drop.p == pytest.approx(expected.pvalue)
    assert (drop.low, drop.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    same = paired_drop.of_errors(before, before)
    assert (same.value, same.p, same.test) == (0, 1, "none")
