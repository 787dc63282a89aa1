"""Times of jobs are told from trainings that were seen, by images and by the operations of the models."""

import pytest

from mnist_exp import compose
from mnist_exp.pricing.likeness import Job
from mnist_exp.pricing.rates import Rates, Seen, Size, makespan


def job(epochs=2, train=1000, val=100, test=100):
    return Job(compose(["data=mnist_5k"]), train, val, test, "sha", epochs)


def test_an_epoch_is_its_images_and_those_it_is_validated_on():
    rates = Rates([Seen(1e6, 0.001, val_image_s=0.0004, begin_s=1.5, around_s=2.0)], around_s=9.0)
    assert rates.job_s(job(), Size(10, 1_000_000)) == pytest.approx(2 * (1000 * 0.001 + 100 * 0.0004) + 1.5 + 2.0)
    assert rates.job_s(job(), Size(10, 1_000_000), is_traced=False) == pytest.approx(2 * 1.04 + 2.0)


def test_what_no_run_tells_is_supposed():
    rates = Rates([Seen(1e6, 0.001)], around_s=2.0)
    assert rates.job_s(job(test=1000), Size(10, 1_000_000)) == pytest.approx(2 * (1.0 + 0.035) + 2.0 + 0.35)
    assert rates.spread is None


@pytest.mark.parametrize(
    ("operations", "image_s"),
    [(1e6, 0.001), (4e6, 0.002), (2.5e6, 0.0015), (8e6, 0.004), (0.75e6, 0.00075), (1e3, 0.0005)],
)
def test_models_between_two_that_were_seen_are_between_them(operations, image_s):
    seen = [Seen(1e6, 0.0009), Seen(4e6, 0.002), Seen(1e6, 0.0011)]
    assert Rates(seen, 0.0).image_s(operations) == pytest.approx(image_s)


def test_the_spread_is_that_of_equal_models():
    seen = [Seen(1e6, 0.0009), Seen(1e6, 0.0011), Seen(4e6, 1.0)]
    assert Rates(seen, 0.0).spread == pytest.approx(0.1414, rel=1e-3)


def test_far_larger_models_are_not_covered():
    rates = Rates([Seen(1e6, 0.001), Seen(2e6, 0.002)], 0.0)
    assert rates.covers([1e6, 4e6], 2)
    assert not rates.covers([1e6, 4.1e6], 2)
    assert not rates.covers([0.4e6], 2)


@pytest.mark.parametrize(("workers", "seconds"), [(1, 10.0), (2, 5.0), (3, 4.0), (9, 4.0)])
def test_workers_share_the_jobs_the_longest_first(workers, seconds):
    assert makespan([1.0, 4.0, 3.0, 2.0], workers) == seconds


def test_a_model_whose_operations_cannot_be_counted_has_those_of_its_weights():
    assert Size(500, None).operations == 1000
    assert Size(0, None).operations == 1
