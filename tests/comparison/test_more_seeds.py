"""The command that gives configurations more seeds: it runs these configurations, and no other."""

import itertools
import shlex

import pytest

from mnist_exp.comparison import more_seeds
from mnist_exp.comparison.groups import group
from mnist_exp.comparison.metric import choose_metric
from mnist_exp.tracking.runs import StoredRun


def run(number, command, **params):
    base = {"model._target_": "mnist_exp.models.cnn", "objective": "val_accuracy", "direction": "maximize", "seed": "1"}
    tags = {"mnist_exp.data_sha256": "d" * 64, "mnist_exp.job_key": str(number), "mnist_exp.command": command}
    shown = {name.replace("__", "."): str(value) for name, value in params.items()}
    return StoredRun(f"{number:032x}", "", "", "FINISHED", base | shown, {"objective": number / 10}, tags, "")


def words(runs):
    found = group(runs, choose_metric(runs, None))
    (family,) = found.families
    return more_seeds.words(family.groups)


def test_single_run_is_repeated_with_seeds():
    line = "python -m mnist_exp.run data.validation=5000 seed=3 model.dropout=0.5"
    expected = "run more: python -m mnist_exp.run -m data.validation=5000 model.dropout=0.5 'seed=range(1,6)'"
    assert words([run(1, line)]) == expected


def test_grid_is_one_command():
    values = list(itertools.product((8, 16), (0.1, 0.5)))
    runs = [
        run(
            number,
            f"python -m mnist_exp.run trainer.epochs=3 model.filters={f} model.dropout={d}",
            model__filters=f,
            model__dropout=d,
        )
        for number, (f, d) in enumerate(values, 1)
    ]
    said = words(runs)
    asked = shlex.split(said.removeprefix("run more: "))
    assert asked[:5] == ["python", "-m", "mnist_exp.run", "-m", "trainer.epochs=3"]
    assert asked[-1] == "seed=range(1,6)"
    assert {word.partition("=")[0]: set(word.partition("=")[2].split(",")) for word in asked[5:-1]} == {
        "model.filters": {"8", "16"},
        "model.dropout": {"0.1", "0.5"},
    }


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param([run(1, "")], id="without a command"),
        pytest.param([run(1, "python train.py seed=1")], id="of another program"),
        pytest.param([run(1, "rm -rf / ; python -m mnist_exp.run")], id="of a stranger"),
        pytest.param(
            [run(n, f"python -m mnist_exp.run x={n} y={n}", x=n, y=n) for n in (1, 2)], id="two that are no grid"
        ),
        pytest.param(
            [run(n, f"python -m mnist_exp.run trainer.epochs={n} x={n}", x=n) for n in (1, 2)], id="differing otherwise"
        ),
    ],
)
def test_where_no_command_is_sure_the_option_is_named(runs):
    assert words(runs) == "run more, with -m 'seed=range(1,6)'"
