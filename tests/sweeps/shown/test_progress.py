"""The rows of a sweep by what its jobs tell: a job of a search may go on with trials that others have begun."""

import io

import pytest
from rich.console import Console

from mnist_exp.jobs import events
from mnist_exp.runtime.terminal import Screen
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.shown.progress import Progress


@pytest.fixture
def told(tmp_path):
    """Returns the rows at the end, and what was printed, of jobs that write some events."""

    def told(rows, jobs, *written, lost=()):
        screen, ended = Screen(), []
        screen.out = Console(file=io.StringIO(), width=200)
        heard = ended.append, ended.append, lambda: False
        progress = Progress(tmp_path, screen, rows, jobs, "maximize", "val_accuracy", *heard, goes_on=True)
        with progress:
            for job, event, facts in written:
                if event == "lost":
                    progress.mark_lost(job, "SIGKILL")
                else:
                    events.Writer(tmp_path, job).write(event, **facts)
        return rows, screen.out.file.getvalue()

    return told


def of(trial, run_id, promoted=None, **more):
    facts = {"name": f"dropout=0.{trial}", "values": {}, "command": "", "of": 9, "done": 0}
    return facts | {"trial": trial, "run_id": run_id, "promoted": promoted} | more


def ended(trial, run_id, epochs, promoted=None):
    return of(trial, run_id, promoted, objective=0.5, metrics={}, epochs=epochs)


def test_promotion_of_a_trial_of_an_earlier_call_goes_on_in_its_row(told):
    rows = [Row("dropout=0.4", run_id="a" * 32, outcome="paused", epochs=1, reused=True), Row("")]
    rows, text = told(
        rows,
        rows[1:],
        (0, "started", of(4, "a" * 32, promoted=1)),
        (0, "done", ended(4, "a" * 32, 9, promoted=1)),
        (0, "started", of(5, "b" * 32)),
        (0, "paused", ended(5, "b" * 32, 1)),
    )
    assert [(row.outcome, row.epochs, row.promotions) for row in rows] == [("done", 9, (1,)), ("paused", 1, ())]
    assert "promoted 1/2" not in text and "from 1 epoch" in text
    assert not rows[0].reused


def test_trial_that_another_process_began_gets_a_row_of_its_own(told):
    rows = [Row("")]
    jobs = list(rows)
    rows, _ = told(
        rows,
        jobs,
        (0, "started", of(7, "c" * 32, promoted=3)),
        (0, "done", ended(7, "c" * 32, 9, promoted=3)),
        (0, "started", of(8, "d" * 32)),
        (0, "done", ended(8, "d" * 32, 9)),
    )
    assert [row.trial for row in rows] == [8, 7]
    assert {row.outcome for row in rows} == {"done"}


def test_trial_whose_process_died_is_lost_until_another_goes_on_with_it(told):
    rows = [Row(""), Row("")]
    rows, text = told(
        rows,
        list(rows),
        (0, "started", of(0, "a" * 32)),
        (0, "lost", {}),
        (1, "started", of(0, "a" * 32, done=2)),
        (1, "done", ended(0, "a" * 32, 9)),
        (1, "started", of(1, "b" * 32)),
        (1, "lost", {}),
    )
    assert [(row.trial, row.outcome) for row in rows] == [(0, "done"), (1, "killed")]
    assert rows[1].reason == "SIGKILL", "its sweep lets it fail if nobody goes on with it"
    assert "another worker goes on with it" in text


def test_job_that_dies_before_it_has_a_trial_leaves_its_row_to_others(told):
    rows = [Row(""), Row("")]
    rows, _ = told(
        rows, list(rows), (0, "lost", {}), (1, "started", of(0, "a" * 32)), (1, "done", ended(0, "a" * 32, 9))
    )
    assert sorted(row.outcome for row in rows) == ["done", "left"]


def test_trial_that_two_jobs_were_at_is_told_once(told):
    rows = [Row(""), Row("")]
    _, text = told(
        rows,
        list(rows),
        (0, "started", of(0, "a" * 32)),
        (0, "paused", ended(0, "a" * 32, 1)),
        (1, "started", of(0, "a" * 32, promoted=1)),
        (1, "killed", of(0, "a" * 32, promoted=1)),
    )
    assert text.count("interrupted") == 1
