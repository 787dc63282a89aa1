"""Which calls are repeated, for how long, and which are not."""

import itertools

import pytest

from mnist_exp.runtime import retries


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that were made; they take no real time, only that of a replaced clock."""
    made, now = [], itertools.count()

    def sleep(seconds):
        made.append(seconds)

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: sum(made) + next(now) * 1e-6)
    return made


class Failing:
    """Raises an error a number of times, then returns."""

    def __init__(self, times, error):
        self.left, self.error, self.calls = times, error, 0

    def __call__(self, *arguments):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return arguments


def is_away(error):
    return isinstance(error, ConnectionError)


def test_call_is_repeated_until_it_succeeds(pauses):
    asked = Failing(3, ConnectionError("away"))
    assert retries.while_away(60.0, is_away)(asked, 1, 2) == (1, 2)
    assert pauses == [retries.RETRY_S] * 3


@pytest.mark.parametrize(("patience_s", "calls"), [(0.0, 1), (1.9, 1), (2.1, 2), (6.1, 4)])
def test_patience_ends_with_the_last_error(pauses, patience_s, calls):
    error = ConnectionError("away")
    asked = Failing(100, error)
    with pytest.raises(ConnectionError) as raised:
        retries.while_away(patience_s, is_away)(asked)
    assert raised.value is error
    assert asked.calls == calls
    assert sum(pauses) <= patience_s


def test_permanent_error_is_raised_at_once(pauses):
    for loop in (retries.while_away(60.0, is_away), retries.after_race(10, (0.1, 1.0), is_away)):
        asked = Failing(1, ValueError("wrong"))
        with pytest.raises(ValueError, match="wrong"):
            loop(asked)
        assert asked.calls == 1
    assert pauses == []


def test_lost_race_is_repeated_after_a_random_pause(pauses):
    asked = Failing(4, ConnectionError("quicker"))
    retries.after_race(5, (0.1, 1.0), is_away)(asked)
    assert len(set(pauses)) == 4
    assert all(0.1 <= pause <= 1.0 for pause in pauses)


def test_lost_race_is_not_repeated_for_ever(pauses):
    asked = Failing(100, ConnectionError("quicker"))
    with pytest.raises(ConnectionError):
        retries.after_race(5, (0.1, 1.0), is_away)(asked)
    assert asked.calls == 5


@pytest.mark.parametrize("stops", [KeyboardInterrupt, SystemExit])
def test_end_of_the_process_is_never_retried(pauses, stops):
    asked = Failing(1, stops())
    with pytest.raises(stops):
        retries.while_away(60.0, lambda error: True)(asked)
    assert asked.calls == 1
