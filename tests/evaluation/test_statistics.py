"""The tests of a report: against published examples, on values that tell nothing, and where nothing can be tested."""

import gc
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_exp.evaluation import statistics
from mnist_exp.evaluation.statistics import LEVEL, NONE, PAIRED, WELCH, compare, compare_all, interval, mcnemar

# Cushny & Peebles 1905, "Student" 1908: extra hours of sleep of ten patients with two drugs; R's data set `sleep`.
FIRST_DRUG = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND_DRUG = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


@pytest.fixture(scope="module", autouse=True)
def frozen():
    """multipletests collects garbage each time, 0.03 to 0.3 s in a process that has imported much."""
    statistics.holm([0.5])
    gc.freeze()
    yield
    gc.unfreeze()


def named(values, prefix=""):
    return {f"{prefix}{seed}": value for seed, value in enumerate(values)}


def test_students_sleep_data_paired_as_r_prints_it():
    """R's `t.test(extra ~ group, paired = TRUE)`: t = -4.0621, df = 9, p-value = 0.002833."""
    found = compare(named(FIRST_DRUG), named(SECOND_DRUG))
    assert (found.test, found.n) == (PAIRED, (10, 10))
    assert found.p == pytest.approx(0.002833, abs=5e-7)
    assert (found.difference, found.low, found.high) == pytest.approx((-1.58, -2.4598858, -0.7001142), abs=5e-8)
    assert found.effect * math.sqrt(10) == pytest.approx(-4.0621, abs=5e-5)


def test_students_sleep_data_as_two_groups_as_r_prints_it():
    """R's `t.test(extra ~ group)`: Welch, t = -1.8608, df = 17.776, p-value = 0.07939."""
    found = compare(named(FIRST_DRUG), named(SECOND_DRUG, "other"))
    assert (found.test, found.n) == (WELCH, (10, 10))
    assert found.p == pytest.approx(0.07939, abs=5e-6)
    assert (found.difference, found.low, found.high) == pytest.approx((-1.58, -3.3654832, 0.2054832), abs=5e-8)


def test_interval_of_a_mean_as_r_prints_it():
    """R's `t.test(sleep$extra[1:10])`: 95 percent confidence interval -0.5297804 2.0297804."""
    assert interval(FIRST_DRUG) == pytest.approx((-0.5297804, 2.0297804), abs=5e-8)


def right(both, first, second, neither):
    """Two models' answers that give this table."""
    return (
        np.repeat([True, True, False, False], [both, first, second, neither]),
        np.repeat([True, False, True, False], [both, first, second, neither]),
    )


def test_mcnemar_on_agrestis_presidential_approval():
    """Agresti 1990, p. 350: 794, 150, 86, 570; with continuity correction (|150 - 86| - 1)² / 236 = 16.818."""
    found = mcnemar(*right(794, 150, 86, 570))
    assert (found.only_first, found.only_second, found.images, found.is_exact) == (150, 86, 1600, False)
    assert found.p == pytest.approx(4.115e-05, abs=5e-9)
    assert found.difference == pytest.approx(0.04)
    # Agresti's Wald interval of the difference is 0.020 to 0.060; this one is conditional, and exact.
    assert (found.low, found.high) == pytest.approx((0.020, 0.060), abs=0.002)


def test_mcnemar_exact_where_few_images_differ():
    """Two-sided sign test of 1 against 9: 22/1024."""
    found = mcnemar(*right(50, 9, 1, 40))
    assert found.is_exact
    assert found.p == pytest.approx(22 / 1024)
    assert found.low < 0.08 < found.high


def test_mcnemar_of_models_that_read_the_same():
    found = mcnemar(*right(90, 0, 0, 10))
    assert (found.p, found.difference) == (1.0, 0.0)
    assert math.isnan(found.low)


def test_holms_correction_on_the_textbook_example():
    """Wikipedia, Holm–Bonferroni method: 0.01, 0.04, 0.03, 0.005; the first and the last are rejected."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([]) == []


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 394), (0.5, 64), (0.8, 26)])
def test_sample_sizes_of_cohens_table(effect, seeds):
    """Cohen 1992, Psychological Bulletin 112, table 2: 393, 64 and 26 a group (393.4 before it is rounded)."""
    assert statistics.seeds_needed(effect, WELCH) == seeds
    assert statistics.seeds_needed(-effect, WELCH) == seeds


def test_sample_size_of_pairs():
    """Faul et al. 2007, G*Power: 34 pairs for an effect of 0.5."""
    assert statistics.seeds_needed(0.5, PAIRED) == 34


def test_sample_sizes_at_the_ends():
    assert statistics.seeds_needed(0.0, PAIRED) is None
    assert statistics.seeds_needed(0.01, WELCH) is None
    assert statistics.seeds_needed(1e12, PAIRED) == 2
    assert statistics.seeds_needed(0.5, WELCH, LEVEL / 10) > 64


def test_seeds_that_show_nothing_are_not_called_enough():
    """The two spreads are as unequal as can be: for equal ones, 2 would do."""
    (found,) = compare_all([named([0.9, 0.9]), named([0.95, 0.96], "other")]).values()
    assert not found.is_significant
    assert found.seeds_needed() == 3


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
def test_pairs_are_made_where_enough_seeds_are_common(first, second, test):
    rng = np.random.default_rng(0)
    found = compare({s: rng.normal() for s in first}, {s: rng.normal() for s in second})
    assert found.test == test
    assert (found.p is None) == (test == NONE)
    assert found.p is not None or found.reason == "one seed only"


def test_pairing_uses_what_is_common():
    """Seeds that only one of them has do not count, however far off."""
    first, second = {"1": 0.9, "2": 0.92, "3": 0.93, "8": 0.0}, {"1": 0.91, "2": 0.94, "3": 0.94, "9": 1.0}
    found = compare(first, second)
    assert found.n == (3, 3)
    assert found.difference == pytest.approx(-0.04 / 3)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], "no difference on any of the 3 seeds"),
        ([0.91, 0.92, 0.93], [0.90, 0.91, 0.92], "the same difference on the 3 seeds"),
        # As accuracies come from 32 bits: equal differences, but for the rounding.
        (
            [np.float32(x / 120) for x in (90, 95, 99)],
            [np.float32(x / 120) for x in (89, 94, 98)],
            "the same difference",
        ),
        ([0.0, 0.0], [0.0, 0.0], "no difference"),
    ],
)
def test_no_spread_no_claim_paired(first, second, reason):
    found = compare_all([named(map(float, first)), named(map(float, second))])[0, 1]
    assert found.p is None
    assert found.p_corrected is None
    assert found.seeds_needed() is None
    assert not found.is_significant
    assert reason in found.reason


def test_no_spread_no_claim_of_two_groups():
    found = compare_all([named([0.5, 0.5]), named([0.9, 0.9], "other")])[0, 1]
    assert (found.test, found.p, found.is_significant) == (NONE, None, False)
    assert interval([0.5, 0.5, 0.5]) is None
    assert interval([0.5]) is None
    assert interval([np.float32(1 / 3), 1 / 3]) is None
    half = compare(named([0.5, 0.5, 0.5]), named([0.7, 0.9, 0.8], "other"))  # One of them has a spread.
    assert half.test == WELCH
    assert 0 < half.p < 1


def test_what_cannot_be_judged_counts_in_the_correction():
    """Else the others would look surer, because of values that happened to be tied."""
    clear, same = named([0.1, 0.11, 0.12, 0.11]), named([0.5, 0.52, 0.51, 0.53])
    tied = {seed: value + 0.25 for seed, value in same.items()}
    found = compare_all([clear, same, tied])
    assert found[1, 2].p is None
    assert {c.family for c in found.values()} == {3}
    smallest = min((c for c in found.values() if c.p), key=lambda c: c.p)
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
    found = compare_all([named(FIRST_DRUG), named(SECOND_DRUG[:8], "other")])[0, 1]
    back = compare(named(SECOND_DRUG[:8], "other"), named(FIRST_DRUG))
    turned = found.reversed()
    assert (turned.n, turned.p) == (back.n, pytest.approx(back.p))
    assert (turned.difference, turned.low, turned.high) == pytest.approx((back.difference, back.low, back.high))


# Few different values, as accuracies on few images are: ties everywhere.
scores = st.dictionaries(st.sampled_from("1234567"), st.integers(0, 4).map(lambda n: n / 4), min_size=1)


@settings(max_examples=150, deadline=None)
@given(st.lists(scores, min_size=2, max_size=5))
def test_whatever_the_values_no_claim_without_a_test_and_no_warning(groups):
    for (i, j), found in compare_all(groups).items():
        assert (found.p is None) == (found.test == NONE) == bool(found.reason)
        if found.p is None:
            assert not found.is_significant
            continue
        assert 0 < found.p <= found.p_corrected <= 1
        assert found.low <= found.difference <= found.high
        assert (found.low <= 0 <= found.high) == (found.p >= LEVEL) or found.p == pytest.approx(LEVEL)
        assert min(len(groups[i]), len(groups[j])) > 1


def family_wise(rng, make, pages):
    return np.mean([any(c.is_significant for c in compare_all(make(rng)).values()) for _ in range(pages)])


@pytest.mark.parametrize("kind", ["welch", "paired", "skewed", "few images"])
def test_false_positives_are_at_most_at_the_nominal_rate(kind):
    """Four equal configurations of five seeds: 5 of 100 pages may claim a difference; 250 pages, 3 standard errors."""

    def make(rng):
        effect = rng.normal(size=5)  # What a seed does to all configurations.
        drawn = {
            "welch": lambda: named(rng.normal(size=5), f"{rng.random()}-"),
            "paired": lambda: named(effect + 0.5 * rng.normal(size=5)),
            "skewed": lambda: named(0.99 - rng.gamma(2.0, 0.003, size=5)),
            "few images": lambda: named(rng.binomial(120, 0.8, size=5) / 120),
        }
        return [drawn[kind]() for _ in range(4)]

    assert family_wise(np.random.default_rng(7), make, 250) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 250)


def test_one_comparison_has_the_nominal_rate_and_not_less():
    def make(rng):
        return [named(rng.normal(size=5)), named(rng.normal(size=5))]

    assert family_wise(np.random.default_rng(3), make, 800) == pytest.approx(0.05, abs=0.023)


def test_the_best_of_equals_is_not_better_than_the_rest():
    """Corrected for the best one's comparisons alone, more than the nominal rate would be claimed."""
    rng = np.random.default_rng(5)
    naive = []
    for _ in range(200):
        groups = [named(rng.normal(size=8)) for _ in range(6)]
        best = max(range(6), key=lambda i: np.mean([*groups[i].values()]))
        raw = [compare(groups[best], groups[i]).p for i in range(6) if i != best]
        naive.append(min(statistics.holm(raw)) < LEVEL)
    assert np.mean(naive) > 0.08


def test_power_is_as_promised():
    """With the seeds that are said to be needed, eight of ten pages show the difference."""
    rng, seeds = np.random.default_rng(11), statistics.seeds_needed(1.0, PAIRED)
    found = [compare(named(rng.normal(1.0, 1.0, seeds)), named(np.zeros(seeds))).p < LEVEL for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.06) or np.mean(found) > 0.8


def test_all_pairs_are_compared():
    groups = [named([float(i), i + 0.5]) for i in range(4)]
    assert list(compare_all(groups)) == list(itertools.combinations(range(4), 2))
    assert compare_all(groups[:1]) == {}
