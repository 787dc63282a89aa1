"""What a search starts with: points to try first, and the results of earlier sweeps, of which a kept store has some."""

import os
import sqlite3
import subprocess
import sys

import pytest
from hydra import compose as hydra_compose
from past_store import kept, make

from mnist_exp.composition.compose import composer
from mnist_exp.config.parse import sweep_settings
from mnist_exp.errors import SettingsError
from mnist_exp.search.parsing import parse
from mnist_exp.sweeps.planning import plan, start

GRID, SEARCH = "sweep filters 2,3 × dropout 0.2,0.4", "sweep filters 2…5"
AXES = ("model.filters=int(interval(2,5))", "model.dropout=interval(0,0.5)")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("past")
    kept.unpack(folder)
    return folder / "mlflow.db"


def run_named(store, name):
    with sqlite3.connect(store) as database:
        ((run_id,),) = database.execute("SELECT run_uuid FROM runs WHERE name = ?", (name,)).fetchall()
    return run_id


def read(store, *words, axes=AXES):
    fixed = [*make.TINY, f"tracking.uri=sqlite:///{store}"]
    swept = [axis.partition("=")[0] for axis in axes]
    fixed = [word for word in fixed if word.partition("=")[0] not in swept]
    with composer(None) as loader:
        config = hydra_compose("config", [*fixed, *words], return_hydra_config=True)
        how = sweep_settings(config)
        space = parse({}, [*fixed, *words, *axes], how, loader)
    return start.read(how, plan.make(space, None, is_search=True), config)


def problems(store, *words, **options):
    with pytest.raises(SettingsError) as error:
        read(store, *words, **options)
    return error.value.problems


def test_results_of_a_grid_and_of_a_search_are_known(store):
    grid, search = run_named(store, GRID), run_named(store, SEARCH)
    found = read(store, f"sweep.start_from=[{grid},{search[:8]}]")
    # The grid varied both options. The search varied one, the other was 0.3.
    of_grid = {(one.params["model.filters"], one.params["model.dropout"]) for one in found.known[:4]}
    assert of_grid == {(2, 0.2), (2, 0.4), (3, 0.2), (3, 0.4)}
    assert {one.params["model.dropout"] for one in found.known[4:]} == {0.3}
    assert found.words["start"] == f"4 results of sweep {grid[:8]} ({GRID})"
    assert found.words["start 2"].startswith(f"3 results of sweep {search[:8]}")
    assert all(0 < value < 1 for one in found.known for value in one.values)


def test_what_lies_outside_or_differs_is_told(store):
    found = read(
        store,
        f"sweep.start_from={run_named(store, GRID)}",
        "trainer.epochs=3",
        "data.limit=200",
        axes=("model.filters=int(interval(2,5))", "model.dropout=interval(0,0.3)"),
    )
    assert len(found.known) == 2
    assert "2 left out (model.dropout outside 0.0…0.3)" in found.words["start"]
    assert found.words["start"].endswith("not the same there: data.limit 300 (here 200), trainer.epochs 2 (here 3)")


def test_what_cannot_be_started_from_is_refused(store):
    grid = run_named(store, GRID)
    (told,) = problems(store, f"sweep.start_from={grid}", axes=AXES[:1])
    assert told.endswith("none of its 4 results can be used here: 4 left out (another model.dropout)")
    (told,) = problems(store, "sweep.start_from=deadbeef")
    assert told.startswith("sweep.start_from=deadbeef: ")
    (told,) = problems(store, f"sweep.start_from={grid}", "objective=val_loss", "direction=minimize")
    assert "its objective is val_accuracy, not val_loss" in told
    (told,) = problems(store, f"sweep.start_from={grid}", "tracking.store=none")
    assert "tracking.store=none has no earlier sweeps" in told


def test_points_outside_the_space_are_refused_by_name(store):
    told = problems(store, "sweep.try_first=[{model.filter: 3},{model.filters: 9},{model.dropout: 0.9}]")
    assert told == [
        "sweep.try_first, point 1: model.filter is not searched: did you mean model.filters?",
        "sweep.try_first, point 2: model.filters=9 is outside the space: it must be a whole number from 2 to 5",
        "sweep.try_first, point 3: model.dropout=0.9 is outside the space: it must be a number from 0.0 to 0.5",
    ]
    (told,) = problems(store, "sweep.try_first=defaults", axes=("model.dropout=interval(0.4,0.5)",))
    assert told.startswith("sweep.try_first=defaults: model.dropout=0.3 is outside the space")
    (told,) = problems(store, "sweep.try_first=[{model.filters: 2},{model.filters: 3}]", "sweep.n_trials=1")
    assert "sweep.n_trials=1 ends the search before them" in told


def test_defaults_are_those_of_the_configuration(store):
    axes = ("model.dropout=interval(0,0.5)", "optimizer=sgd,adam", "+optimizer.clipnorm=1.0,2.0")
    found = read(store, "sweep.try_first=[defaults,{model.dropout: 0.3, optimizer: adam}]", axes=axes)
    assert found.first == [{"model.dropout": 0.3, "optimizer": "adam"}], "once"
    assert found.words == {"first": "dropout=0.3 optimizer=adam"}


@pytest.mark.slow
def test_search_goes_on_from_a_grid_and_tries_the_defaults_first(alone):
    kept.unpack(alone)
    grid = run_named("mlflow.db", GRID)
    words = [*make.TINY, *AXES, f"sweep.start_from={grid}", "sweep.try_first=[{model.filters: 3, model.dropout: 0.1}]"]
    words = [word for word in words if word != "model.filters=2"]
    for trials in (2, 3):  # The second goes on with the first, and gives it nothing twice.
        command = [sys.executable, "-m", "mnist_exp.run", "-m", *words, f"sweep.n_trials={trials}"]
        done = subprocess.run(command, text=True, capture_output=True, env=os.environ)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"start   4 results of sweep {grid[:8]}" in done.stdout
        assert f"\nsweep   {trials} done" in done.stdout
        assert "\ndone   1/" not in done.stdout or "filters=3 dropout=0.1" in done.stdout
    with sqlite3.connect("mlflow.db") as database:
        points = database.execute("SELECT value FROM tags WHERE key = 'mnist_exp.point' AND value LIKE '%0.1\"%'")
        assert len(points.fetchall()) == 1
