"""The statistical tests of a report: published examples, values without a difference, values without a test."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_exp.evaluation import statistical_tests
from mnist_exp.evaluation.statistical_tests import LEVEL, NONE, PAIRED, WELCH, compare, compare_all, interval, mcnemar

# Cushny & Peebles 1905, "Student" 1908: extra hours of sleep of ten patients with two drugs; R's data set `sleep`.
FIRST_DRUG = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND_DRUG = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def named(values, prefix=""):
    return {f"{prefix}{seed}": value for seed, value in enumerate(values)}


def test_students_sleep_data_paired_as_r_prints_it():
    """R's `t.test(extra ~ group, paired = TRUE)`: t = -4.0621, df = 9, p-value = 0.002833."""
    result = compare(named(FIRST_DRUG), named(SECOND_DRUG))
    assert (result.test, result.n) == (PAIRED, (10, 10))
    assert result.p == pytest.approx(0.002833, abs=5e-7)
    assert (result.difference, result.low, result.high) == pytest.approx((-1.58, -2.4598858, -0.7001142), abs=5e-8)
    assert result.effect * math.sqrt(10) == pytest.approx(-4.0621, abs=5e-5)


def test_students_sleep_data_as_two_groups_as_r_prints_it():
    """R's `t.test(extra ~ group)`: Welch, t = -1.8608, df = 17.776, p-value = 0.07939."""
    result = compare(named(FIRST_DRUG), named(SECOND_DRUG, "other"))
    assert (result.test, result.n) == (WELCH, (10, 10))
    assert result.p == pytest.approx(0.07939, abs=5e-6)
    assert (result.difference, result.low, result.high) == pytest.approx((-1.58, -3.3654832, 0.2054832), abs=5e-8)


def test_interval_of_a_mean_as_r_prints_it():
    """R's `t.test(sleep$extra[1:10])`: 95 percent confidence interval -0.5297804 2.0297804."""
    assert interval(FIRST_DRUG) == pytest.approx((-0.5297804, 2.0297804), abs=5e-8)


def right(both, first, second, neither):
    """Return correct and wrong predictions of two models that give this table."""
    return (
        np.repeat([True, True, False, False], [both, first, second, neither]),
        np.repeat([True, False, True, False], [both, first, second, neither]),
    )


def test_mcnemar_on_agrestis_presidential_approval():
    """Agresti 1990, p. 350: 794, 150, 86, 570; with continuity correction (|150 - 86| - 1)² / 236 = 16.818."""
    result = mcnemar(*right(794, 150, 86, 570))
    assert (result.only_first, result.only_second, result.images, result.is_exact) == (150, 86, 1600, False)
    assert result.p == pytest.approx(4.115e-05, abs=5e-9)
    assert result.difference == pytest.approx(0.04)
    # Agresti's Wald interval of the difference is 0.020 to 0.060; this one is conditional, and exact.
    assert (result.low, result.high) == pytest.approx((0.020, 0.060), abs=0.002)


def test_mcnemar_exact_where_few_images_differ():
    """Two-sided sign test of 1 against 9: 22/1024."""
    result = mcnemar(*right(50, 9, 1, 40))
    assert result.is_exact
    assert result.p == pytest.approx(22 / 1024)
    assert result.low < 0.08 < result.high


def test_mcnemar_of_models_with_equal_predictions():
    result = mcnemar(*right(90, 0, 0, 10))
    assert (result.p, result.difference) == (1.0, 0.0)
    assert math.isnan(result.low)


def test_holms_correction_on_the_textbook_example():
    """Wikipedia, Holm–Bonferroni method: 0.01, 0.04, 0.03, 0.005; the first and the last are rejected."""
    assert statistical_tests.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistical_tests.holm([]) == []


@given(st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.05, 1.0]), min_size=1, max_size=12))
def test_holms_correction_is_that_of_statsmodels_to_the_last_bit(p_values):
    from statsmodels.stats.multitest import multipletests

    assert statistical_tests.holm(p_values) == multipletests(p_values, method="holm")[1].tolist()


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 394), (0.5, 64), (0.8, 26)])
def test_sample_sizes_of_cohens_table(effect, seeds):
    """Cohen 1992, Psychological Bulletin 112, table 2: 393, 64 and 26 a group (393.4 before it is rounded)."""
    assert statistical_tests.seeds_needed(effect, WELCH) == seeds
    assert statistical_tests.seeds_needed(-effect, WELCH) == seeds


def test_sample_size_of_pairs():
    """Faul et al. 2007, G*Power: 34 pairs for an effect of 0.5."""
    assert statistical_tests.seeds_needed(0.5, PAIRED) == 34


def test_sample_sizes_at_the_ends():
    assert statistical_tests.seeds_needed(0.0, PAIRED) is None
    assert statistical_tests.seeds_needed(0.01, WELCH) is None
    assert statistical_tests.seeds_needed(1e12, PAIRED) == 2
    assert statistical_tests.seeds_needed(0.5, WELCH, LEVEL / 10) > 64


def test_seeds_that_show_no_difference_are_not_called_enough():
    """One spread is zero. If the spreads were equal, 2 seeds would be enough."""
    (result,) = compare_all([named([0.9, 0.9]), named([0.95, 0.96], "other")]).values()
    assert not result.is_significant
    assert result.seeds_needed() == 3


@pytest.mark.parametrize(
    ("first", "second", "test"),
    [
        ("12345", "12345", PAIRED),
        ("1234", "2345", PAIRED),
        ("12345", "34567", PAIRED),
        ("12345", "45678", WELCH),
        ("123456", "12", WELCH),
        ("12", "12", PAIRED),
        ("12", "34", WELCH),
        ("1", "1", NONE),
        ("12345", "1", NONE),
    ],
)
def test_comparison_is_paired_if_enough_seeds_are_common(first, second, test):
    rng = np.random.default_rng(0)
    result = compare({s: rng.normal() for s in first}, {s: rng.normal() for s in second})
    assert result.test == test
    assert (result.p is None) == (test == NONE)
    assert result.p is not None or result.reason == "one seed only"


def test_pairing_uses_the_common_seeds():
    """Seeds that only one configuration has do not count, however different their values."""
    first, second = {"1": 0.9, "2": 0.92, "3": 0.93, "8": 0.0}, {"1": 0.91, "2": 0.94, "3": 0.94, "9": 1.0}
    result = compare(first, second)
    assert result.n == (3, 3)
    assert result.difference == pytest.approx(-0.04 / 3)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], "no difference on any of the 3 seeds"),
        ([0.91, 0.92, 0.93], [0.90, 0.91, 0.92], "the same difference on the 3 seeds"),
        # Float32 accuracies: the differences are equal except for rounding.
        (
            [np.float32(x / 120) for x in (90, 95, 99)],
            [np.float32(x / 120) for x in (89, 94, 98)],
            "the same difference",
        ),
        ([0.0, 0.0], [0.0, 0.0], "no difference"),
    ],
)
def test_no_spread_gives_no_paired_test(first, second, reason):
    result = compare_all([named(map(float, first)), named(map(float, second))])[0, 1]
    assert result.p is None
    assert result.p_corrected is None
    assert result.seeds_needed() is None
    assert not result.is_significant
    assert reason in result.reason


def test_no_spread_gives_no_test_of_two_groups():
    result = compare_all([named([0.5, 0.5]), named([0.9, 0.9], "other")])[0, 1]
    assert (result.test, result.p, result.is_significant) == (NONE, None, False)
    assert interval([0.5, 0.5, 0.5]) is None
    assert interval([0.5]) is None
    assert interval([np.float32(1 / 3), 1 / 3]) is None
    half = compare(named([0.5, 0.5, 0.5]), named([0.7, 0.9, 0.8], "other"))  # One of the two has spread.
    assert half.test == WELCH
    assert 0 < half.p < 1


def test_comparison_without_spread_counts_in_the_correction():
    """Otherwise ties would make the p values of the other comparisons too small."""
    clear, same = named([0.1, 0.11, 0.12, 0.11]), named([0.5, 0.52, 0.51, 0.53])
    tied = {seed: value + 0.25 for seed, value in same.items()}
    result = compare_all([clear, same, tied])
    assert result[1, 2].p is None
    assert {c.family for c in result.values()} == {3}
    smallest = min((c for c in result.values() if c.p), key=lambda c: c.p)
    assert smallest.p_corrected == pytest.approx(3 * smallest.p)
    alone = compare_all([clear, same, {"0": 0.7}])  # One seed cannot be tested, whatever its value.
    assert alone[0, 1].family == 1
    assert alone[0, 1].p_corrected == pytest.approx(alone[0, 1].p)


def test_against_one_corrects_for_fewer_comparisons():
    rng = np.random.default_rng(1)
    groups = [named(rng.normal(size=4)) for _ in range(5)]
    assert set(compare_all(groups, against=2)) == {(0, 2), (1, 2), (2, 3), (2, 4)}
    assert {c.family for c in compare_all(groups, against=2).values()} == {4}
    assert {c.family for c in compare_all(groups).values()} == {10}


def test_reversed_is_the_same_the_other_way_round():
    result = compare_all([named(FIRST_DRUG), named(SECOND_DRUG[:8], "other")])[0, 1]
    back = compare(named(SECOND_DRUG[:8], "other"), named(FIRST_DRUG))
    turned = result.reversed()
    assert (turned.n, turned.p) == (back.n, pytest.approx(back.p))
    assert (turned.difference, turned.low, turned.high) == pytest.approx((back.difference, back.low, back.high))


# Few different values, like accuracies on few images: many ties.
scores = st.dictionaries(st.sampled_from("1234567"), st.integers(0, 4).map(lambda n: n / 4), min_size=1)


@settings(max_examples=150, deadline=None)
@given(st.lists(scores, min_size=2, max_size=5))
def test_any_values_give_no_significance_without_a_test_and_no_warning(groups):
    for (i, j), result in compare_all(groups).items():
        assert (result.p is None) == (result.test == NONE) == bool(result.reason)
        if result.p is None:
            assert not result.is_significant
            continue
        assert 0 < result.p <= result.p_corrected <= 1
        assert result.low <= result.difference <= result.high
        assert (result.low <= 0 <= result.high) == (result.p >= LEVEL) or result.p == pytest.approx(LEVEL)
        assert min(len(groups[i]), len(groups[j])) > 1


def family_wise(rng, make, pages):
    return np.mean([any(c.is_significant for c in compare_all(make(rng)).values()) for _ in range(pages)])


@pytest.mark.parametrize("kind", ["welch", "paired", "skewed", "few images"])
def test_false_positives_are_at_most_at_the_nominal_rate(kind):
    """Four equal configurations of five seeds: 5 of 100 pages may show a difference; 250 pages, 3 standard errors."""

    def make(rng):
        effect = rng.normal(size=5)  # The effect of a seed on all configurations.
        drawn = {
            "welch": lambda: named(rng.normal(size=5), f"{rng.random()}-"),
            "paired": lambda: named(effect + 0.5 * rng.normal(size=5)),
            "skewed": lambda: named(0.99 - rng.gamma(2.0, 0.003, size=5)),
            "few images": lambda: named(rng.binomial(120, 0.8, size=5) / 120),
        }
        return [drawn[kind]() for _ in range(4)]

    assert family_wise(np.random.default_rng(7), make, 250) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 250)


def test_one_comparison_has_the_nominal_false_positive_rate():
    def make(rng):
        return [named(rng.normal(size=5)), named(rng.normal(size=5))]

    assert family_wise(np.random.default_rng(3), make, 800) == pytest.approx(0.05, abs=0.023)


def test_the_best_of_equals_is_not_better_than_the_rest():
    """A correction for the best one's own comparisons alone gives more false positives than the nominal rate."""
    rng = np.random.default_rng(5)
    naive = []
    for _ in range(200):
        groups = [named(rng.normal(size=8)) for _ in range(6)]
        best = max(range(6), key=lambda i: np.mean([*groups[i].values()]))
        raw = [compare(groups[best], groups[i]).p for i in range(6) if i != best]
        naive.append(min(statistical_tests.holm(raw)) < LEVEL)
    assert np.mean(naive) > 0.08


def test_power_is_as_promised():
    """With as many seeds as `seeds_needed` says, eight of ten pages show the difference."""
    rng, seeds = np.random.default_rng(11), statistical_tests.seeds_needed(1.0, PAIRED)
    result = [compare(named(rng.normal(1.0, 1.0, seeds)), named(np.zeros(seeds))).p < LEVEL for _ in range(400)]
    assert np.mean(result) == pytest.approx(0.8, abs=0.06) or np.mean(result) > 0.8


def test_all_pairs_are_compared():
    groups = [named([float(i), i + 0.5]) for i in range(4)]
    assert list(compare_all(groups)) == list(itertools.combinations(range(4), 2))
    assert compare_all(groups[:1]) == {}


@pytest.mark.parametrize(
    ("effect", "seeds", "level", "expected"),
    [(5.49, 2, 0.05, 0.45758), (3.1, 5, 0.005, 0.78480), (8, 2, 0.05, 0.62528)],
)
def test_power_is_known_where_scipys_noncentral_t_is_not(effect, seeds, level, expected):
    assert statistical_tests.power(effect, seeds, PAIRED, level) == pytest.approx(expected, abs=1e-4)
    assert statistical_tests.seeds_needed(effect, PAIRED, level) == {2: 3, 5: 6}[seeds]


def test_power_never_falls_as_a_difference_grows():
    for test in (PAIRED, WELCH):
        for seeds in (2, 3, 50):
            powers = [
                statistical_tests.power(effect, seeds, test, LEVEL / 45) for effect in np.geomspace(0.01, 100, 99)
            ]
            assert powers == sorted(powers)
            assert 0 < powers[0] < 0.01
            assert powers[-1] > 0.99 or seeds == 2
