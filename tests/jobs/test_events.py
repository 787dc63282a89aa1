"""What the jobs of a sweep tell each other through its folder."""

import pytest

from mnist_exp.jobs import events


@pytest.mark.parametrize(
    ("most", "failed", "is_given_up"), [(None, 9, False), (0, 1, True), (2, 2, False), (2, 3, True)]
)
def test_jobs_that_fail_give_up_themselves_where_they_are_too_many(tmp_path, most, failed, is_given_up):
    for job in range(failed):
        events.note_failed(tmp_path, job, most)
        events.note_failed(tmp_path, job, most)  # Begun again elsewhere, it failed again: one job.
    assert events.is_given_up(tmp_path) == is_given_up
