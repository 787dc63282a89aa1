"""The study of a search: trials can be repeated, none is lost, and a study of another search is refused."""

import importlib.util
import itertools
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState, create_trial

from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.runtime import processes
from mnist_exp.search import attributes, distributions, storage, study
from mnist_exp.search.parsing import parse
from mnist_exp.search.pausing_pruner import PausingPruner
from mnist_exp.search.rungs import Rungs
from mnist_exp.search.space import Interval, number
from mnist_exp.search.storage import default
from mnist_exp.search.study import Study

TORCH = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
SAMPLERS = ("tpe", "random", "qmc", "cmaes", "nsgaii", pytest.param("gp", marks=[TORCH, pytest.mark.slow]))
SPACE = (
    "model.dropout=interval(0,0.7)",
    "model.filters=tag(log,int(interval(8,64)))",
    "model.activation=relu,'leaky relu',null",
    "optimizer.learning_rate=tag(log,interval(1e-4,1e-2))",
    "trainer.batch_size=range(100,500,100)",
    "+optimizer.ema_momentum=range(0,1,0.1)",
)


def search(*arguments, folder=None, storage=None, name="s", epochs=5, directions=("maximize",), **how):
    storage = storage or str((folder or Path.cwd()) / "study.journal")
    how = SweepSettings(**how)
    axes = parse({}, arguments or SPACE, how).axes
    return Study(name, storage, axes, how, directions, epochs, Path("unfinished"))


def score(overrides):
    """A made-up objective with a best point inside the space."""
    numbers = [number(text.partition("=")[2]) for text in overrides]
    return -sum((value - 0.3) ** 2 for value in numbers if value is not None)


def go(searched, count):
    """Open the study once, run a number of trials, and return their overrides."""
    opened = searched.open()
    asked = []
    for _ in range(count):
        trial, overrides = searched.ask(opened)
        asked.append(overrides)
        opened.tell(trial, [score(overrides)] * len(searched.directions))
    return asked


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_sampler_stays_inside_the_space(sampler):
    searched = search(sampler=sampler, n_trials=15)
    asked = go(searched, 15)
    assert len({tuple(overrides) for overrides in asked}) > 10
    for overrides in asked:
        assert len(overrides) == len(searched.axes)
        for axis, text in zip(searched.axes, overrides, strict=True):
            prefix, _, value = text.partition("=")
            assert prefix == axis.prefix
            if axis.is_continuous:
                assert axis.interval.low <= float(value) <= axis.interval.high
                assert "." not in value if isinstance(axis.interval.low, int) else True
            else:
                assert value in axis.values, "as a grid would write it"
    assert searched.left(searched.open()) == 0


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_another_seed_draws_other_trials(sampler):
    first, again, other = (go(search(sampler=sampler, seed=seed, name=f"{n}"), 5) for n, seed in enumerate((1, 1, 2)))
    assert first == again
    assert other != first


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("arguments", [SPACE[:1], SPACE[2:3], SPACE[4:]], ids=["one", "choice", "ranges"])
def test_each_sampler_searches_small_spaces(sampler, arguments):
    assert len(go(search(*arguments, sampler=sampler), 6)) == 6


@pytest.mark.parametrize("sampler", [sampler for sampler in SAMPLERS if sampler != "cmaes"])
def test_each_sampler_that_can_searches_for_two_objectives(sampler):
    searched = search(sampler=sampler, minimize_too="parameters", directions=("maximize", "minimize"))
    assert len(go(searched, 12)) == 12
    assert [d.name for d in searched.open().directions] == ["MAXIMIZE", "MINIMIZE"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_interrupted_search_draws_the_same_trials(sampler, tmp_path):
    for name in ("one", "two", "other"):
        (tmp_path / name).mkdir()
    whole = go(search(folder=tmp_path / "one", sampler=sampler, seed=3), 14)
    halves = [go(search(folder=tmp_path / "two", sampler=sampler, seed=3), 7) for _ in range(2)]
    assert halves[0] + halves[1] == whole
    assert not set(map(tuple, go(search(folder=tmp_path / "other", sampler=sampler, seed=4), 14))) & set(
        map(tuple, whole)
    )


IN_ANOTHER_PROCESS = """
import pickle, sys
from mnist_exp.search.storage import default
from mnist_exp.search.study import Study
search = pickle.load(sys.stdin.buffer)
opened = search.open()
for _ in range(7):
    trial, overrides = search.ask(opened)
    print(*overrides, sep="|")
    opened.tell(trial, float(trial.number % 3))
"""


def test_search_draws_the_same_trials_in_another_process(tmp_path):
    def elsewhere(searched):
        command = [sys.executable, "-c", IN_ANOTHER_PROCESS]
        done = subprocess.run(command, input=pickle.dumps(searched), capture_output=True, check=True)
        return [line.split("|") for line in done.stdout.decode().splitlines()]

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    searched = search(folder=tmp_path / "one", sampler="tpe", seed=5)
    opened, whole = searched.open(), []
    for _ in range(14):
        trial, overrides = searched.ask(opened)
        whole.append(overrides)
        opened.tell(trial, float(trial.number % 3))
    searched = search(folder=tmp_path / "two", sampler="tpe", seed=5)
    assert elsewhere(searched) + elsewhere(searched) == whole


def _claim_at_once(searched, barrier, queue):
    opened = searched.open()
    barrier.wait()
    claimed = []
    while (trial := searched.claim(opened)) is not None:
        claimed.append(trial[0].number)
        opened.tell(trial[0], 0.5)  # Else it would be taken up again when this process has ended.
    queue.put(claimed)


def _ask_at_once(searched, barrier, queue):
    opened = searched.open()
    barrier.wait()
    queue.put([searched.ask(opened)[1] for _ in range(5)])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_two_openings_of_a_study_draw_different_trials(sampler):
    searched = search(*SPACE[:2], sampler=sampler)
    both = [searched.open() for _ in range(2)]
    assert len({tuple(searched.ask(opened)[1]) for _ in range(6) for opened in both}) == 12


@pytest.mark.parametrize("sampler", ["tpe", SAMPLERS[-1]])
def test_processes_that_start_together_draw_different_trials(sampler):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    searched = search(*SPACE[:2], sampler=sampler)
    opened, known = searched.open(), 10 * (sampler == "gp")
    for at in range(known):  # Without them it draws at random.
        opened.add_trial(
            create_trial(
                value=-((at - 4) ** 2),
                params={"model.dropout": at / 20, "model.filters": 8 + 5 * at},
                distributions={axis.key: distributions.of(axis) for axis in searched.axes},
            )
        )
    both = [context.Process(target=_ask_at_once, args=(searched, barrier, queue)) for _ in range(2)]
    for process in both:
        process.start()
    asked = [tuple(overrides) for _ in both for overrides in queue.get(timeout=60)]
    for process in both:
        process.join()
    assert len(set(asked)) == 10
    drawn = [float(text.partition("=")[2]) for text, _ in asked]
    assert all(abs(one - other) > 1e-3 for one, other in itertools.combinations(drawn, 2)), "not about the same either"
    assert sorted(trial.number for trial in searched.open().trials) == list(range(10 + known))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["journal", "database"])
def test_concurrent_claims_start_no_trial_too_many(kind, tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(3), context.Queue()
    address = None if kind == "journal" else f"sqlite:///{tmp_path}/study.db"
    searched = search("model.dropout=interval(0,0.7)", sampler="random", storage=address, n_trials=4)
    storage.close(searched.open())
    all_of_them = [context.Process(target=_claim_at_once, args=(searched, barrier, queue)) for _ in range(3)]
    for process in all_of_them:
        process.start()
    claimed = [number for _ in all_of_them for number in queue.get(timeout=60)]
    for process in all_of_them:
        process.join()
    assert len(claimed) == len(set(claimed)) == 4
    opened = searched.open()
    assert searched.left(opened) == 0
    assert searched.claim(opened) is None
    assert sum("mnist_exp.interrupted" not in trial.user_attrs for trial in opened.trials) == 4
    storage.close(opened)


def test_trial_with_too_high_a_number_is_taken_back(monkeypatch):
    searched = search(n_trials=1)
    opened, other = searched.open(), searched.open()
    assert searched.claim(opened) is not None
    with monkeypatch.context() as patch:
        seen = iter([1, 0])  # The first before the other asked.
        patch.setattr(Study, "_left", lambda self, known: next(seen))
        assert searched.claim(other) is None
    assert [trial.state.name for trial in opened.trials] == ["RUNNING", "FAIL"]
    assert searched.left(opened) == 0


def test_queued_values_survive_a_trial_that_is_taken_back(monkeypatch):
    searched = search(n_trials=1)
    opened = searched.open()
    trial, values = searched.ask(opened)
    searched.ask(opened)
    searched.interrupt(opened, trial)
    with monkeypatch.context() as patch:
        seen = iter([1, 0])
        patch.setattr(Study, "_left", lambda self, known: next(seen))
        assert searched.claim(opened) is None
    assert search(n_trials=2).claim(opened)[1] == values


def test_requeued_trial_of_a_dead_process_knows_its_run(gone, monkeypatch):
    searched = search(n_trials=1)
    opened = searched.open()
    trial, values = ask_as("dead", searched, opened, monkeypatch)
    attributes.note_run(trial, "f" * 32)
    gone.add("dead")
    again, same = searched.claim(opened)  # Nothing else was left to do.
    assert same == values
    assert attributes.begun_run(again) == "f" * 32
    # One that dies before it has a run of its own passes it on.
    searched.interrupt(opened, again)
    assert attributes.begun_run(searched.claim(opened)[0]) == "f" * 32


def test_left_counts_every_started_trial():
    searched = search(n_trials=4)
    opened = searched.open()
    assert searched.left(opened) == 4
    (done, _), (pruned, _), (failed, _) = (searched.ask(opened) for _ in range(3))
    assert searched.left(opened) == 1
    opened.tell(done, 0.5)
    opened.tell(pruned, state=TrialState.PRUNED)
    opened.tell(failed, state=TrialState.FAIL)
    assert searched.left(opened) == 1
    assert search(n_trials=2).left(opened) == 0
    assert search(n_trials=9).left(searched.open()) == 6


@pytest.fixture
def gone(monkeypatch):
    """A set of process names that count as dead; tests add to it."""
    names = set()
    monkeypatch.setattr(processes, "is_gone", lambda name: name in names)
    return names


def ask_as(name, searched, opened, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(processes, "identify", lambda: name)
        return searched.ask(opened)


def test_trial_of_a_dead_process_is_repeated_with_its_values(gone, monkeypatch):
    searched = search(n_trials=3)
    opened = searched.open()
    _, lost = ask_as("dead", searched, opened, monkeypatch)
    _, kept = ask_as("living", searched, opened, monkeypatch)
    assert searched.requeue_dead(opened) == 0
    gone.add("dead")
    assert searched.left(opened) == 1
    assert searched.requeue_dead(opened) == 1
    assert searched.left(opened) == 2
    assert searched.requeue_dead(opened) == 0, "only once"
    again, values = searched.ask(searched.open())
    assert values == lost
    assert searched.left(opened) == 1
    _, fresh = searched.ask(opened)
    assert fresh not in (lost, kept)
    opened.tell(again, 0.5)
    assert [t.params["model.dropout"] for t in opened.get_trials(states=(TrialState.COMPLETE,))] == [
        again.params["model.dropout"]
    ]


def test_trial_that_dies_repeatedly_is_repeated_each_time(gone, monkeypatch):
    searched = search(n_trials=2)
    opened = searched.open()
    seen = []
    for name in ("first", "second", "third"):
        seen.append(ask_as(name, searched, opened, monkeypatch)[1])
        gone.add(name)
        assert searched.requeue_dead(opened) == 1
        assert searched.left(opened) == 2
    assert seen[0] == seen[1] == seen[2]


def test_trial_of_a_killed_process_is_found(tmp_path):
    code = IN_ANOTHER_PROCESS.replace(
        "opened.tell(trial, float(trial.number % 3))", "import os; os.kill(os.getpid(), 9)"
    )
    searched = search(n_trials=3)
    killed = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(searched), capture_output=True, check=False
    )
    assert killed.returncode == -9
    opened = searched.open()
    assert searched.left(opened) == 2
    assert searched.requeue_dead(opened) == 1
    assert searched.left(opened) == 3
    first = opened.trials[0]
    trial, _ = searched.ask(opened)
    assert trial.params == first.params


def test_interrupted_trial_is_the_next_one():
    searched = search(n_trials=2)
    opened = searched.open()
    trial, values = searched.ask(opened)
    searched.interrupt(opened, trial)
    assert searched.left(opened) == 2
    assert opened.trials[0].state == TrialState.FAIL
    assert searched.ask(opened)[1] == values


def test_trial_of_a_lost_run_fails_and_is_not_repeated():
    searched = search(n_trials=3)
    opened = searched.open()
    for run in ("r1", "r2", None):
        trial, _ = searched.ask(opened)
        attributes.note_run(trial, run)
    searched.fail(opened, {"r2", "r9"})
    assert [t.state.name for t in opened.trials] == ["RUNNING", "FAIL", "RUNNING"]
    assert searched.left(opened) == 0
    assert searched.requeue_dead(opened) == 0


def test_known_values_give_earlier_objectives_and_run():
    searched = search("model.filters=16,32", sampler="random", n_trials=9)
    opened = searched.open()
    values = {}
    for _ in range(9):
        trial, (text,) = searched.ask(opened)
        assert study.known(opened, trial) == values.get(text)
        if text in values:
            assert trial.user_attrs["mnist_exp.run_id"] == f"run of {text}"
        else:
            values[text] = [score([text])]
            attributes.note_run(trial, f"run of {text}")
        opened.tell(trial, values[text])
    assert set(values) == {"model.filters=16", "model.filters=32"}


def test_failed_trials_are_not_reused():
    searched = search("model.filters=16,16", sampler="random")
    opened = searched.open()
    opened.tell(searched.ask(opened)[0], state=TrialState.FAIL)
    assert study.known(opened, searched.ask(opened)[0]) is None


@pytest.mark.parametrize(
    ("how", "kind", "facts"),
    [
        ({}, NopPruner, {}),
        ({"pruner": "asha", "prune_after": 2}, PausingPruner, {"_rungs": Rungs(2, 9, maximizes=True)}),
        (
            {"pruner": "asha", "prune_after": 2, "keep_paused": 0},
            SuccessiveHalvingPruner,
            {"_min_resource": 2, "_reduction_factor": 3},
        ),
        (
            {"pruner": "hyperband", "prune_after": 2},
            HyperbandPruner,
            {"_min_resource": 2, "_max_resource": 9, "_reduction_factor": 3},
        ),
        ({"pruner": "median", "prune_after": 4}, MedianPruner, {"_n_startup_trials": 5, "_n_warmup_steps": 4}),
    ],
)
def test_pruners_are_made_from_the_settings(how, kind, facts):
    pruner = search(epochs=9, **how).open().pruner
    assert type(pruner) is kind
    assert {name: getattr(pruner, name) for name in facts} == facts


@pytest.mark.parametrize("after", [1, 3, 12])
@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median"])
def test_pruners_stop_no_trial_before_its_first_epochs(pruner, after):
    searched = search(pruner=pruner, prune_after=after, epochs=9)
    opened = searched.open()
    ended = []
    for quality in range(18):
        trial, _ = searched.ask(opened)
        for epoch in range(1, 10):
            trial.report(-float(quality), epoch)
            if trial.should_prune():
                opened.tell(trial, state=TrialState.PRUNED)
                ended.append(epoch)
                break
        else:
            opened.tell(trial, -float(quality))
    assert not ended or min(ended) >= after
    assert bool(ended) == (after <= 9), "each worse than the one before: some must be stopped"


@settings(max_examples=60, deadline=None)
@given(
    low=st.decimals(-9, 9, places=2).map(float),
    step=st.decimals("0.01", 3, places=2).map(float),
    count=st.integers(2, 25),
)
def test_range_is_searched_in_its_steps(low, step, count):
    stop = round(low + count * step, 2)
    (axis,) = parse({}, [f"x=range({low!r},{stop!r},{step!r})"], SweepSettings()).axes
    # Optuna warns of an end that no number of steps reaches; warnings are errors here.
    found = distributions.of(axis)
    assert (found.low, found.high, found.step) == (axis.interval.low, axis.interval.high, axis.interval.step)
    for i, written in enumerate(axis.values):
        assert distributions.written(axis, found.low + i * found.step) == written


def test_interval_of_whole_numbers_gives_whole_numbers():
    (axis,) = parse({}, ["x=tag(log,int(interval(8,64)))"], SweepSettings()).axes
    found = distributions.of(axis)
    assert (found.low, found.high, found.log, found.step) == (8, 64, True, 1)
    assert axis.interval == Interval(8, 64, log=True)


def test_studies_in_one_file_are_separate():
    go(search(name="a"), 2)
    assert len(search(name="b").open().trials) == 0
    assert len(search(name="a").open().trials) == 2


def test_sqlite_database_can_hold_a_study(tmp_path):
    address = f"sqlite:///{tmp_path}/optuna.db"
    in_file = go(search(sampler="tpe"), 6)
    searched = search(storage=address, sampler="tpe", n_trials=6)
    assert go(searched, 4) == in_file[:4]
    opened = searched.open()
    trial, values = searched.ask(opened)
    searched.interrupt(opened, trial)
    assert searched.left(opened) == 2
    assert searched.ask(searched.open())[1] == values


def storages(folder):
    (folder / "file").write_text("not a journal\n")
    return {
        f"{folder}/file": "the file is no journal of Optuna",
        f"{folder}/file/study.journal": "FileExistsError",
        f"{folder}": "IsADirectoryError",
        f"sqlite:///{folder}/gone/x.db": "unable to open database file",
        "nosuch://somewhere": "NoSuchModuleError",
        "mysql://me:hidden@127.0.0.1/x": "Error",
        "redis://me:hidden@127.0.0.1:1/0": "Error",
    }


def test_message_on_an_unusable_storage_hides_its_password(tmp_path):
    for address, reason in storages(tmp_path).items():
        with pytest.raises(SettingsError) as error:
            search(storage=address).open()
        (problem,) = error.value.problems
        assert problem.startswith("sweep.storage=")
        assert "cannot be used: " in problem
        assert reason in problem
        assert "hidden" not in problem


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("model.dropout=interval(0,0.7)", "model.dropout=0.1,0.2"),
        ("model.dropout=interval(0.1,0.7)", "model.dropout=tag(log,interval(0.1,0.7))"),
        ("model.filters=16,32", "model.filters=16,64"),
        ("model.filters=int(interval(8,16))", "model.filters=16,32"),
    ],
)
def test_study_of_another_space_is_refused_unchanged(first, second):
    go(search(first), 2)
    key = first.partition("=")[0]
    with pytest.raises(
        SettingsError, match=rf"sweep\.study=s was made for other values of {key} .*choose another name"
    ):
        search(second).open()
    assert len(search(first).open().trials) == 2
    assert search(first, n_trials=5).left(search(first).open()) == 3


def test_study_with_another_direction_is_refused():
    go(search(directions=("maximize",)), 1)
    with pytest.raises(
        SettingsError, match=r"sweep\.study=s was made to maximize, not to minimize: choose another name"
    ):
        search(directions=("minimize",)).open()
    with pytest.raises(SettingsError, match=r"was made to maximize, not to maximize and minimize"):
        search(directions=("maximize", "minimize")).open()


def test_study_continues_with_wider_intervals_or_more_options():
    go(search("model.dropout=interval(0,0.5)"), 3)
    go(search("model.dropout=interval(0,0.7)"), 3)
    go(search("model.dropout=interval(0,0.7)", "model.filters=16,32"), 3)
    assert len(search("model.dropout=interval(0,0.7)").open().trials) == 9


def test_journal_file_is_beside_the_store_of_the_runs(tmp_path):
    assert default(tmp_path / "mlflow.db", "x") == str(tmp_path / "studies" / "x.journal")
    assert default(None, "x") == str(Path.cwd() / "studies" / "x.journal")
    go(search(storage=default(None, "x")), 1)
    assert Path("studies/x.journal").is_file()
