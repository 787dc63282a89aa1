"""Which trials go on at a rung, against a plain reading of the algorithm in the paper."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.search.rungs import FACTOR, Rungs, Standing

VALUES = st.one_of(st.integers(0, 6).map(float), st.just(math.nan))


@st.composite
def searches(draw):
    """Trials that have each reached some rung of 1, 3, 9 of 27 epochs, and wait, run or have ended there."""
    trials = []
    for number in range(draw(st.integers(0, 14))):
        epochs = draw(st.sampled_from([0, 1, 2, 3, 5, 9, 12, 27]))
        values = {epoch: draw(VALUES) for epoch in range(1, epochs + 1)}
        is_paused = epochs in (1, 3, 9) and draw(st.booleans())
        trials.append(Standing(number, values, is_paused))
    return trials


def reference(trials, maximizes):
    """Algorithm 2 of Li et al. 2020: rung by rung from the top, the best third that was not promoted yet."""
    found = []
    for rung in (9, 3, 1):
        at_rung = {t.number: t.values[rung] for t in trials if rung in t.values}
        by_value = sorted(at_rung, key=lambda n: (math.isnan(at_rung[n]), -at_rung[n] if maximizes else at_rung[n], n))
        candidates = by_value[: math.floor(len(by_value) / FACTOR)]
        waiting = {t.number for t in trials if t.is_paused and max(t.values) == rung}
        found += [n for n in candidates if n in waiting and not math.isnan(at_rung[n])]
    return found


@given(searches(), st.booleans())
def test_exactly_those_of_the_paper_are_promoted(trials, maximizes):
    rungs = Rungs(1, 27, maximizes)
    promoted = [trial.number for trial in rungs.promotable(trials)]
    assert promoted == reference(trials, maximizes)
    for rung in rungs.at:
        there = sum(rung in trial.values for trial in trials)
        waited = [trial for trial in trials if trial.number in promoted and trial.epoch == rung]
        assert len(waited) <= there // FACTOR


@given(searches(), st.booleans())
def test_a_trial_runs_on_exactly_where_it_would_be_promoted_at_once(trials, maximizes):
    rungs = Rungs(1, 27, maximizes)
    for trial in trials:
        if trial.epoch in rungs.at:
            paused = [Standing(t.number, t.values, t.number == trial.number) for t in trials]
            would_be = trial.number in [t.number for t in rungs.promotable(paused)]
            value = trial.values[trial.epoch]
            assert rungs.runs_on(trials, trial.number, trial.epoch) == would_be or math.isnan(value)
        else:
            assert rungs.runs_on(trials, trial.number, trial.epoch)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.booleans())
def test_a_search_of_any_size_ends_with_one_trial_that_has_seen_all_epochs(finals, maximizes):
    rungs = Rungs(1, 27, maximizes)
    trials = {number: Standing(number, {}) for number in range(len(finals))}

    def train(number):
        """Run on to the next rung where the trial is not among the best third; or to the end."""
        values = dict(trials[number].values)
        while len(values) < 27:
            values[len(values) + 1] = finals[number]
            trials[number] = Standing(number, values, is_done=len(values) == 27)
            if len(values) < 27 and not rungs.runs_on(list(trials.values()), number, len(values)):
                trials[number] = Standing(number, values, is_paused=True)
                return

    for number in trials:
        train(number)
        while promoted := rungs.promotable(list(trials.values())):
            train(promoted[0].number)
    while promoted := rungs.promotable(list(trials.values()), is_last=True):
        train(promoted[0].number)
    best = max(finals) if maximizes else min(finals)
    assert any(trial.is_done and finals[trial.number] == best for trial in trials.values())
    for rung in rungs.at:
        there = [trial for trial in trials.values() if rung in trial.values]
        best_third = sorted(there, key=lambda t: (-t.values[rung] if maximizes else t.values[rung], t.number))
        assert all(trial.epoch > rung for trial in best_third[: len(there) // FACTOR])


def test_nobody_takes_the_place_of_a_trial_that_cannot_go_on_until_the_end():
    rungs = Rungs(1, 3, maximizes=True)
    trials = [Standing(number, {1: float(number)}, is_paused=True) for number in range(4)]
    assert [trial.number for trial in rungs.promotable(trials)] == [3]
    assert rungs.promotable(trials, can_go_on=lambda trial: trial.number < 3) == []
    last = rungs.promotable(trials, is_last=True, can_go_on=lambda trial: trial.number < 3)
    assert [trial.number for trial in last] == [2]


def test_those_nearest_to_a_promotion_come_first():
    rungs = Rungs(1, 9, maximizes=True)
    trials = [Standing(number, {1: float(number)}, is_paused=True) for number in range(6)]
    trials += [Standing(6, {1: 9.0, 2: 9.0, 3: 5.0}, is_paused=True), Standing(7, {1: 8.0, 2: 8.0, 3: 8.0})]
    assert [trial.number for trial in rungs.nearest_first(trials)] == [5, 4, 6, 3, 2, 1, 0]
    assert rungs.at == (1, 3)


@pytest.mark.parametrize(
    ("first", "epochs", "at"),
    [
        (1, 9, (1, 3)),
        (1, 10, (1, 3)),  # not 9: one epoch is left then
        (1, 13, (1, 3)),
        (1, 14, (1, 3, 9)),
        (1, 27, (1, 3, 9)),
        (1, 4, (1,)),
        (1, 2, (1,)),
        (3, 4, (3,)),  # asked for by sweep.prune_after=3
        (4, 4, ()),
    ],
)
def test_no_trial_waits_shortly_before_its_end(first, epochs, at):
    assert Rungs(first, epochs, maximizes=True).at == at
