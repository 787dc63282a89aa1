"""Pages of other tools on what a run or a search leaves, in a real browser: TensorBoard and optuna-dashboard."""

import shlex

import pytest
from real_browser import free_port, page, serving
from real_runs import SMALL, Running

pytestmark = pytest.mark.services
SWEEP = ["-m", *SMALL, "data.limit=300", "trainer.epochs=2", "data.validation=0.2"]


def told(row, *words):
    """Run a command to its end, and return what it says in a row."""
    running = Running("mnist_exp.run", *words)
    running.end_with(0)
    (line,) = [line for line in running.out if line.split()[:1] == [row]]
    return shlex.split(line)[1:]


def test_tensorboard_shows_a_sweep_by_the_names_of_its_jobs(alone):
    pytest.importorskip("tensorboard")
    more = ["callbacks.tensorboard.write_graph=true", "+callbacks.tensorboard.histogram_freq=1"]
    command, *words = told("board", *SWEEP, "callbacks=tensorboard", "model.filters=2,4", *more)
    assert [command, *words] == ["tensorboard", "--logdir", "logs"]
    base = f"http://127.0.0.1:{(port := free_port())}"
    with serving(["tensorboard.main", *words, "--port", str(port)], base), page() as opened:
        opened.set_default_timeout(60_000)
        opened.goto(base)
        for name in ("filters=2", "filters=4"):
            opened.get_by_text(f"{name}_").first.wait_for()
        for metric in ("epoch_accuracy", "epoch_loss", "epoch_learning_rate"):
            opened.get_by_text(metric).first.wait_for()
        opened.goto("about:blank")
        opened.goto(f"{base}/#histograms")
        opened.get_by_text("tag: cnn/conv2d/kernel/histogram").first.wait_for()
        opened.goto("about:blank")
        opened.goto(f"{base}/#graphs")
        opened.get_by_text("Conceptual graph").click()
        opened.get_by_text("Main Graph").first.wait_for()


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        (["sweep.pruner=median"], ["Hyperparameter Importance", "Timeline", "val_accuracy"]),
        (["sweep.minimize_too=parameters"], ["Pareto Front", "Hyperparameter Importance", "parameters"]),
    ],
)
def test_optuna_dashboard_shows_a_search(alone, more, shown):
    pytest.importorskip("optuna_dashboard")
    space = ["model.filters=range(1,9)", "model.dropout=interval(0.1,0.9)", "sweep.n_trials=6"]
    command, file = told("study", *SWEEP, *space, *more)
    assert command == "optuna-dashboard"
    assert (alone / file).is_file()
    base = f"http://127.0.0.1:{(port := free_port())}"
    serve = ["optuna_dashboard._cli", file, "--port", str(port)]
    with serving(serve, f"{base}/dashboard"), page(viewport={"width": 1400, "height": 1200}) as opened:
        opened.set_default_timeout(60_000)
        opened.goto(f"{base}/dashboard/studies/0")
        for words in shown:
            opened.get_by_text(words).first.wait_for()
        assert opened.errors == []
