"""What mattered, from the jobs of a sweep: its defaults, its scales, and the files of its parent run."""

import csv
import math

import pytest
from hydra import compose as hydra_compose

from mnist_exp.analysis import stored, tuning_curve
from mnist_exp.composition.compose import composer
from mnist_exp.config.schema import SweepSettings
from mnist_exp.search.parsing import parse
from mnist_exp.sweeps.outcome import mattered, option_figures
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.planning import defaults, plan

SMALL = ["data=mnist_5k", "data.limit=200", "data.validation=0.1"]


def planned(*axes, is_search):
    with composer(None) as loader:
        config = hydra_compose("config", SMALL, return_hydra_config=True)
        space = parse({}, [*SMALL, *axes], SweepSettings(), loader)
    return plan.make(space, None, is_search=is_search), defaults.words(config, space.keys)


def row(objective, outcome="done", **values):
    return Row(
        "x", {key.replace("__", "."): value for key, value in values.items()}, outcome=outcome, objective=objective
    )


@pytest.fixture(scope="module")
def grid():
    made, usual = planned("model.dropout=1e-1,0.30", "optimizer=adam,sgd", "seed=1,2,3", is_search=False)
    rows = [
        row(
            0.9 + 0.02 * (dropout == "0.1") + 0.01 * (optimizer == "sgd") + 0.001 * int(seed),
            model__dropout=dropout,
            optimizer=optimizer,
            seed=seed,
        )
        for dropout in ("0.1", "0.3")
        for optimizer in ("adam", "sgd")
        for seed in "123"
    ]
    rows += [row(math.nan, "failed", model__dropout="0.1", optimizer="adam", seed="4")]
    return mattered.of(made, rows, sampler=None, defaults=usual), usual


def test_seeds_are_the_yardstick_and_no_option(grid):
    found, _ = grid
    assert found.runs == 12
    assert {each.options for each in found.effects} == {
        ("model.dropout",), ("optimizer",), ("model.dropout", "optimizer")
    }  # fmt: skip
    assert found.noise.std == pytest.approx(0.001)


def test_path_begins_at_the_defaults_however_they_are_written(grid):
    found, usual = grid
    assert usual == {"model.dropout": "0.3", "optimizer": "adam", "seed": "7"}
    steps = [(step.option, step.value, round(step.objective, 4)) for step in found.path]
    assert steps == [("", "", 0.902), ("model.dropout", "0.1", 0.922), ("optimizer", "sgd", 0.932)]


def test_scale_of_a_number_is_that_of_the_search():
    made, usual = planned(
        "optimizer.learning_rate=tag(log,interval(1e-4,1e-2))", "model.dropout=interval(0,0.5)", is_search=True
    )
    rows = [
        row(0.5 + 0.01 * at, optimizer__learning_rate=repr(10 ** (-4 + at / 10)), model__dropout=repr(at * 7 % 20 / 40))
        for at in range(20)
    ]
    rows[0].run_id, again = "f" * 32, [rows[5], row(math.nan, "pruned", **{"model__dropout": "0.01"})]
    found = mattered.of(made, [*rows, *again], sampler="random", defaults=usual, queued={"f" * 32})
    values = {each.option: [float(value) for value in each.values] for each in found.dependences}
    rates, dropouts = values["optimizer.learning_rate"], values["model.dropout"]
    assert rates[1] / rates[0] == pytest.approx(rates[-1] / rates[-2], rel=0.01)
    assert dropouts[1] - dropouts[0] == pytest.approx(dropouts[-1] - dropouts[-2], rel=0.05)
    # 20, without the one that was queued, the other seed of a point once, and with the one that was pruned.
    assert len(found.curve.median) == 20
    assert found.more.chance == pytest.approx(10 / 30)


def test_files_of_the_parent_run_have_it(grid, tmp_path):
    found, _ = grid
    mattered.write(tmp_path, found)
    again = stored.parse((tmp_path / stored.FILE).read_text(), "it")
    assert [each.options for each in again.effects] == [each.options for each in found.effects]
    with (tmp_path / "importance.csv").open() as opened:
        lines = list(csv.DictReader(opened))
    assert lines[0]["options"] == "model.dropout" and lines[0]["within_chance"] == "False"
    with (tmp_path / "path_from_defaults.csv").open() as opened:
        assert [line["option"] for line in csv.DictReader(opened)] == ["", "model.dropout", "optimizer"]
    (tmp_path / "none").mkdir()
    mattered.write(tmp_path / "none", None)
    assert [file.name for file in (tmp_path / "none").iterdir()] == [stored.FILE]


def test_band_without_an_end_reaches_the_edge_of_the_picture():
    curve = tuning_curve.curve([0.1, 0.3, 0.2, 0.25], maximize=True, is_random=True)
    assert curve.high[-1] is None
    (axes,) = option_figures.best_so_far(curve, "val_accuracy").axes
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].max() == pytest.approx(axes.get_ylim()[1])
    assert corners[:, 0].max() == 4
