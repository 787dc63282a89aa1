"""The replay of searches on recorded curves gives back what was recorded, and spends what it was given."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
EPOCHS, SEEDS = 9, 3
BUDGET = 7 * EPOCHS


@pytest.fixture
def replay(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import curve_tables
    import replay_methods
    import replay_peers
    import replay_simulation
    import replay_space
    import replay_summary

    replay_methods.be_quiet()
    modules = (curve_tables, replay_methods, replay_peers, replay_simulation, replay_space, replay_summary)
    return type("Replay", (), {module.__name__: module for module in modules})


@pytest.fixture
def table(replay):
    """A table whose curves are made up: 3 × 5 × 2 cells, of which one is clearly the best."""
    part = replay.curve_tables.Part({"filters": (4, 8, 16), "rate": (0.1, 0.2, 0.3, 0.4, 0.5), "rule": ("a", "b")})
    return made_up(replay, [part], [2, 3, 1])


@pytest.fixture
def conditional(replay):
    """A table of two parts: the rate has the same levels in both, the dropout has not, and the rest is of one only."""
    of_cnn = {"rate": (0.1, 0.2), "filters": (4, 8, 16), "dropout": (0.0, 0.5)}
    of_mlp = {"rate": (0.1, 0.2), "units": ([32], [64, 64]), "dropout": (0.0, 0.2, 0.4)}
    parts = [replay.curve_tables.Part(of_cnn, ("model=cnn", "x=1")), replay.curve_tables.Part(of_mlp, ("model=mlp",))]
    return made_up(replay, parts, [1, 2, 1, 1])


def made_up(replay, parts, best):
    """Return a table whose cells are the worse the further their levels are from these."""
    cells, options = replay.curve_tables.of_parts(parts)
    drawn = np.random.default_rng(3)
    worth = 0.9 - 0.02 * np.abs(cells[:, 1:] - best).sum(axis=1)
    curves = worth[:, None] - 0.3 * 0.5 ** np.arange(EPOCHS)
    values = curves + drawn.normal(0, 0.001, (SEEDS, *curves.shape))
    kept = [
        {"fixed": list(part.fixed), "levels": {name: list(of) for name, of in part.levels.items()}} for part in parts
    ]
    about = {"parts": kept, "seeds": [1, 2, 3]}
    return replay.curve_tables.Table(about, cells, options, np.stack([values, 1 - values, values]), values[:, :, -1])


class Watched:
    """Notes what a method is told."""

    def __init__(self, method):
        self.method, self.told = method, []

    def start(self):
        return self.method.start()

    def report(self, training, value):
        self.told.append((training.seed, training.cell, training.done, value))
        return self.method.report(training, value)

    def choose(self):
        return self.method.choose()


METHODS = ["mnist_exp", "mnist_exp, seeds=3", "mnist_exp, no pruner", "Optuna TPE + Hyperband", "Optuna random"]


def made(replay, name):
    return (replay.replay_methods.our_methods(BUDGET) | replay.replay_methods.optuna_methods())[name]


@pytest.mark.parametrize("name", METHODS)
def test_methods_see_exactly_the_recorded_values(replay, table, name):
    method = Watched(made(replay, name)(table, 0))
    outcome = replay.replay_simulation.replay(method, table, 4, BUDGET)
    assert outcome.spent == len(method.told) == BUDGET
    for seed, cell, epoch, value in method.told:
        assert value == table.values[seed, cell, epoch - 1]
    best = max(value for *_, value in method.told)
    assert outcome.better[-1][1] == best
    if outcome.chosen is not None:  # Hyperband may have stopped all of them by then.
        ended = [cell for _, cell, epoch, _ in method.told if epoch == EPOCHS]
        assert outcome.chosen in ended


@pytest.mark.parametrize("name", METHODS)
def test_methods_search_all_parts_of_a_table_with_the_options_of_each(replay, conditional, name):
    method = Watched(made(replay, name)(conditional, 0))
    outcome = replay.replay_simulation.replay(method, conditional, 4, 20 * EPOCHS)
    parts = {int(conditional.cells[cell, 0]) for _, cell, _, _ in method.told}
    assert parts == {0, 1}
    assert outcome.spent == 20 * EPOCHS or name.startswith("mnist_exp")  # It trains no point twice.


def test_space_of_a_table_gives_each_option_where_it_applies(replay, table, conditional):
    assert [one.name for one in replay.replay_space.Space(table).parameters] == ["filters", "rate", "rule"]
    space = replay.replay_space.Space(conditional)
    assert {one.name: one.parts for one in space.parameters} == {
        "part": (),
        "rate": (),
        "filters": ("cnn",),
        "dropout of cnn": ("cnn",),
        "dropout of mlp": ("mlp",),
        "units": ("mlp",),
    }
    cnn = space.cell({"part": "cnn", "rate": 1, "filters": 2, "dropout of cnn": 0})
    mlp = space.cell({"part": "mlp", "rate": 0, "units": "[64, 64]", "dropout of mlp": 2, "filters": 1})
    at = {name: number + 1 for number, name in enumerate(conditional.options)}
    assert [int(conditional.cells[cnn, at[name]]) for name in ("rate", "filters", "dropout", "units")] == [1, 2, 0, -1]
    assert [int(conditional.cells[mlp, at[name]]) for name in ("rate", "filters", "dropout", "units")] == [0, -1, 2, 1]


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_more_workers_spend_the_same_epochs_in_less_time(replay, table, workers):
    outcome = replay.replay_simulation.replay(made(replay, "Optuna random")(table, 1), table, workers, 16 * EPOCHS)
    assert outcome.spent == 16 * EPOCHS
    assert outcome.seconds == 16 * EPOCHS / workers


def test_one_who_knows_the_truth_has_no_regret(replay, table):
    outcome = vars(replay.replay_simulation.replay(replay.replay_methods.Perfect(table, 0), table, 1, 50))
    summary = replay.replay_summary
    assert summary.final_regret(table, outcome) == 0
    assert summary.epochs_until_close(table, outcome) == 1
    assert summary.regret_at(table, outcome, 50) == 0


def test_regret_is_that_of_the_true_mean_not_of_the_lucky_value(replay, table):
    lucky = int(table.true_means.argmin())
    outcome = {"better": [[3, 0.99, lucky]], "chosen": lucky}
    lacking = 100 * (table.true_means.max() - table.true_means.min())
    summary = replay.replay_summary
    assert summary.final_regret(table, outcome) == pytest.approx(lacking)
    assert summary.regret_at(table, outcome, 10) == pytest.approx(lacking)
    assert summary.regret_at(table, outcome, 2) == float("inf")
    assert summary.epochs_until_close(table, outcome) == float("inf")
    assert summary.epochs_until_seen(table, outcome) == 3


def test_incumbent_that_becomes_worse_again_was_not_close_for_good(replay, table):
    best, worst = int(table.true_means.argmax()), int(table.true_means.argmin())
    outcome = {"better": [[1, 0.1, best], [5, 0.2, worst], [9, 0.3, best]], "chosen": best}
    assert replay.replay_summary.epochs_until_close(table, outcome) == 9


def test_our_search_never_trains_a_point_twice_to_the_end(replay, table):
    method = Watched(made(replay, "mnist_exp, no pruner")(table, 2))
    replay.replay_simulation.replay(method, table, 1, 20 * EPOCHS)
    ended = [cell for _, cell, epoch, _ in method.told if epoch == EPOCHS]
    assert len(ended) == len(set(ended))


def test_tables_are_read_as_they_were_written_and_hold_no_objects(replay, table, tmp_path):
    replay.curve_tables.save(table, tmp_path / "made.npz")
    read = replay.curve_tables.load("made", tmp_path)
    assert read.options == table.options
    assert np.array_equal(read.cells, table.cells)
    assert np.array_equal(read.curves, table.curves.astype(np.float32))
    assert read.about == table.about
    assert read.cell(0, {"filters": 1, "rate": 4, "rule": 0}) == 18


def test_recorded_tables_are_whole(replay):
    paths = sorted(replay.curve_tables.FOLDER.glob("*.npz"))
    assert paths
    for path in paths:
        table, recipe = replay.curve_tables.load(path.stem), replay.curve_tables.RECIPES[path.stem]
        cells, options = replay.curve_tables.of_parts(list(recipe.parts))
        assert np.array_equal(table.cells, cells)
        assert table.options == options
        assert table.curves.shape == (3, len(table.about["seeds"]), len(cells), recipe.epochs)
        assert np.isfinite(table.curves[0, :, :, 0]).all()
        assert 0 <= table.values.min() <= table.values.max() <= 1


def test_command_prints_a_row_for_each_method_and_goes_on(replay, table, tmp_path):
    replay.curve_tables.save(table, tmp_path / "made.npz")
    command = [sys.executable, str(FOLDER / "search_replay.py"), "--folder", str(tmp_path), "--workers", "2"]
    command += ["--methods", "Optuna random", "random, twice", "--repeats", "2", "--budget", "30", "--processes", "1"]
    command += ["--results", str(tmp_path / "outcomes.jsonl")]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "made, 30 cells × 3 seeds × 9 epochs, 2 workers" in first.stdout
    rows = [line.split(" | ")[0].strip("| ") for line in first.stdout.splitlines() if line.startswith("| ")]
    assert {"Optuna random", "Optuna random + ASHA", "random, twice the epochs"} <= set(rows)
    records = [json.loads(line) for line in (tmp_path / "outcomes.jsonl").read_text().splitlines()]
    assert {record["spent"] for record in records if record["method"] == "random, twice the epochs"} == {60}
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout.partition("\n\n")[2] == first.stdout.partition("\n\n")[2]
    assert len((tmp_path / "outcomes.jsonl").read_text().splitlines()) == len(records)
