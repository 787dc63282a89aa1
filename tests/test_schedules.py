"""Each schedule against its formula in float64 NumPy."""

import numpy as np
import pytest

from mnist_exp import schedules

PEAK = 0.05


def rates(schedule, steps):
    return np.array([float(schedule(int(step))) for step in steps])


def half_cosine(done, final):
    """Return a fall from 1 to `final` while `done` goes from 0 to 1; then `final`."""
    return final + (1 - final) * (1 + np.cos(np.pi * np.minimum(done, 1))) / 2


def sampled(total, *special):
    """Return the first and last steps, some in between and past them, and the special ones with their neighbours."""
    near = [step + offset for step in (0, *special, total) for offset in (-1, 0, 1)]
    return np.unique([step for step in (*near, *np.linspace(0, total, 23).astype(int), total + 50) if step >= 0])


def test_constant_is_the_rate_itself():
    assert schedules.constant(PEAK, 100) == PEAK


@pytest.mark.parametrize("total", [1, 7, 400])
@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_without_warm_up(total, final):
    steps = sampled(total)
    actual = rates(schedules.cosine(PEAK, total, final=final), steps)
    np.testing.assert_allclose(actual, PEAK * half_cosine(steps / total, final), rtol=1e-5, atol=1e-8)
    assert actual[0] == pytest.approx(PEAK)


@pytest.mark.parametrize(("total", "warmup", "rise"), [(400, 0.25, 100), (10, 0.31, 3), (3, 0.1, 0)])
def test_cosine_with_warm_up(total, warmup, rise):
    steps = sampled(total, rise)
    falling = half_cosine((steps - rise) / (total - rise), 0.2)
    expected = PEAK * np.where(steps < rise, steps / max(rise, 1), falling)
    actual = rates(schedules.cosine(PEAK, total, warmup=warmup, final=0.2), steps)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("total", "warmup", "rise"), [(400, 0.3, 120), (10, 0.3, 3), (50, 0.5, 25)])
def test_one_cycle(total, warmup, rise):
    initial, final = 0.1, 0.01
    steps = sampled(total, rise)
    rising = initial + (1 - initial) * steps / rise
    expected = PEAK * np.where(steps < rise, rising, half_cosine((steps - rise) / (total - rise), final))
    actual = rates(schedules.one_cycle(PEAK, total, warmup=warmup, initial=initial, final=final), steps)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-8)


def test_one_cycle_has_the_promised_first_highest_and_last_rate():
    start, peak, end = rates(schedules.one_cycle(PEAK, 1000), [0, 300, 1000])
    assert start == pytest.approx(0.04 * PEAK)
    assert peak == pytest.approx(PEAK)
    assert end == pytest.approx(0.0001 * PEAK, rel=1e-3)
    assert rates(schedules.one_cycle(PEAK, 1000), range(1001)).argmax() == 300


@pytest.mark.parametrize("total", [1, 7, 400])
def test_exponential_falls_by_the_same_factor(total):
    steps = sampled(total)
    actual = rates(schedules.exponential(PEAK, total, final=0.01), steps)
    np.testing.assert_allclose(actual, PEAK * 0.01 ** (steps / total), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("schedule", [schedules.cosine, schedules.one_cycle, schedules.exponential])
@pytest.mark.parametrize("total", [0, 1, 2])
def test_very_short_trainings_have_finite_rates(schedule, total):
    actual = rates(schedule(PEAK, total), range(4))
    assert np.all(np.isfinite(actual))
    assert actual.max() <= PEAK * (1 + 1e-6)
