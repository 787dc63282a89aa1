"""Searches whose journal was damaged or lost: the real command, its store, and the study that comes of it."""

import os
import re
import signal
import time
from pathlib import Path

import optuna
import pytest
from real_runs import Running, recorded, run, wait_for

# One trial after the other, so that their order is that of their numbers.
TINY = ["-m", "model=mlp", "data=mnist_5k", "data.limit=200", "data.validation=0.2", "hydra.launcher.n_workers=1"]
SEARCH = [
    *TINY,
    "trainer.epochs=3",
    "model.dropout=interval(0,0.6)",
    "model.hidden_units=[2],[64]",
    "sweep.pruner=asha",
]


def journal():
    (file,) = Path("studies").glob("*.journal")
    return file


def trials(file):
    """What samplers and pruners know of each run; of one that was promoted, by all its trials."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(file)))
    found = {}
    for t in storage.get_all_trials(0):
        if not {"mnist_exp.interrupted", "mnist_exp.repeats"} & t.user_attrs.keys():
            run_id = t.user_attrs["mnist_exp.run_id"]
            epochs = found[run_id][-1] if run_id in found else {}
            found[run_id] = (t.state.name, t.params, t.values, epochs | t.intermediate_values)
    return found


def run_ids():
    _, _, children = recorded()
    return {child.info.run_id for child in children}


def damage(file):
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:4], lines[4][:30], *lines[5:]]))


@pytest.mark.slow
def test_search_with_a_damaged_or_lost_journal_goes_on_with_the_runs_of_the_store():
    run(*SEARCH, "sweep.n_trials=5")
    before, runs = trials(journal()), run_ids()
    assert {state for state, *_ in before.values()} == {"COMPLETE", "PRUNED"}

    damage(journal())
    whole = journal().read_bytes()
    told = run(*SEARCH, "sweep.n_trials=5")
    assert trials(journal()) == before
    assert run_ids() == runs
    found = re.search(
        r"^warning: the study in (\S+) is damaged \(JSONDecodeError: .*\): "
        r"it is kept as (\S+), and a new one is begun\n"
        r"warning: the study in \1 was empty; it now has those of 5 runs in the store\n$",
        told,
        re.MULTILINE,
    )
    assert found, told
    assert Path(found[1]) == journal().absolute()
    assert Path(found[2]).read_bytes() == whole

    journal().unlink()
    told = run(*SEARCH, "sweep.n_trials=6")
    assert "was empty; it now has those of 5 runs in the store" in told
    after = trials(journal())
    assert {run_id: after[run_id][1] for run_id in before} == {run_id: each[1] for run_id, each in before.items()}
    assert len(after) == 6
    assert len(run_ids()) == 6
    assert len({params["model.dropout"] for _, params, *_ in after.values()}) == 6


@pytest.mark.slow
def test_lost_end_of_a_journal_costs_no_training():
    """The last result is in the store already, whatever of its record is missing in the study."""
    search = [argument for argument in SEARCH if "pruner" not in argument]
    run(*search, "sweep.n_trials=3")
    before, runs, whole = trials(journal()), run_ids(), journal().read_bytes()
    for lines in (1, 2, 5):
        ends = sum(map(len, whole.splitlines(keepends=True)[:-lines]))
        journal().write_bytes(whole[: ends + 10])
        running = Running("mnist_exp.run", *search, "sweep.n_trials=3")
        told = running.end_with(0)
        assert "ended within a line" in told
        assert re.search(r"^sweep   3 done; 3 of them done before$", "".join(running.out), re.MULTILINE), running.text()
        ended = {run_id: each[:3] for run_id, each in trials(journal()).items()}
        assert ended == {run_id: each[:3] for run_id, each in before.items()}, lines
        assert run_ids() == runs


@pytest.mark.slow
def test_interrupted_trial_of_a_damaged_journal_is_resumed():
    search = [*TINY, "trainer.epochs=60", "model.dropout=interval(0,0.6)", "sweep.n_trials=2", "data.limit=2000"]
    search += ["sweep.pruner=none"]
    killed = Running("mnist_exp.run", *search)
    wait_for(lambda: list(Path("unfinished").glob("*/checkpoint-*")))
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.end_with(-signal.SIGKILL)
    until = time.monotonic() + 30
    while "RUNNING" in {status_of(run_id) for run_id in run_ids()} and time.monotonic() < until:
        time.sleep(0.2)
    (begun,) = run_ids()
    damage(journal())
    assert "it now has those of 1 run in the store" in run(*search)
    client, _, _ = recorded()
    assert client.get_run(begun).data.tags["mnist_exp.resumed"] == "1"
    assert [client.get_run(run_id).info.status for run_id in run_ids()] == ["FINISHED"] * 2
    assert begun in trials(journal())


def status_of(run_id):
    client, _, _ = recorded()
    return client.get_run(run_id).info.status


@pytest.mark.slow
def test_damaged_journal_without_recorded_runs_is_refused():
    search = [*TINY, "trainer.epochs=1", "model.dropout=interval(0,0.6)", "sweep.n_trials=2", "tracking=none"]
    run(*search)
    damage(journal())
    whole = journal().read_bytes()
    told = run(*search, code=2)
    assert "tracking.store=none keeps no runs to rebuild it from: rename the file to begin anew" in told
    assert journal().read_bytes() == whole
