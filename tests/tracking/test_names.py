"""The table of names holds exactly the tags, metrics and params that are recorded."""

import re
from pathlib import Path

import pytest
import real_runs
from real_runs import SMALL, Running

import mnist_exp
from mnist_exp.tracking import names

PACKAGE = Path(mnist_exp.__file__).parent
# MLflow's own, which it sets whoever writes the run.
OF_MLFLOW = ("mlflow.user", "mlflow.source.", "mlflow.log-model.")
# In Optuna's storage, not in MLflow.
OF_TRIALS = {
    f"mnist_exp.{name}"
    for name in (
        "run_id",
        "interrupted",
        "goes_on_with",
        "number",
        "seed",
        "promoted",
        "lost",
        "starts_from",
        "finishes",
        "from_sweep",
        "try_first",
        "spent",
    )
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Records of a run, an evaluation, a rerun, a grid and a search: parent runs, runs, and the steps of one run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("names"))
        small = [*SMALL, "data.validation=0.2", "data.reporting=0.2", "trainer.epochs=2", "model.pool_size=4"]
        real_runs.run(*small, "tracking.register_as=digits")
        run_id = real_runs.only_run().info.run_id
        Running("mnist_exp.evaluate", run_id, "--log").end_with(0)
        Running("mnist_exp.rerun", run_id).end_with(0)
        real_runs.run("-m", *small, "seed=1,2", "tracking.keep_models=best:2")
        real_runs.run("-m", *small, "model.dropout=interval(0.1,0.4)", "sweep.n_trials=1", "sweep.seeds=2")
        client, parents, runs = real_runs.recorded()
        steps = {metric: client.get_metric_history(run_id, metric) for metric in client.get_run(run_id).data.metrics}
        return parents, runs, {metric: {point.step for point in points} for metric, points in steps.items()}


def pattern(name):
    """Return the pattern of an entry of the table; its words in capitals stand for any text."""
    return re.compile(re.sub(r"\b[A-Z]+\b", lambda _: "[^.]+", re.escape(name)))


def missing(found, table):
    return [name for name in found if not any(pattern(entry).fullmatch(name) for entry in table)]


def unused(found, table):
    return [entry for entry in table if not any(pattern(entry).fullmatch(name) for name in found)]


@pytest.mark.slow
def test_tags_of_the_table_are_exactly_those_set(recorded):
    parents, runs, _ = recorded
    found = {tag for run in [*parents, *runs] for tag in run.data.tags if not tag.startswith(OF_MLFLOW)}
    assert missing(found, names.TAGS) == []
    happens_here = {"mnist_exp.registered", "mnist_exp.rerun_of", "mnist_exp.sweep", "mnist_exp.study"}
    happens_here |= {
        "mnist_exp.selected",
        "mnist_exp.raced_from_seed",
        "mnist_exp.point",
        "mlflow.parentRunId",
        "mlflow.note.content",
    }
    assert unused(found, [name for name, tag in names.TAGS.items() if not tag.only_if or name in happens_here]) == []
    always = [name for name, tag in names.TAGS.items() if not tag.only_if and "sweep" not in tag.when]
    assert {tag for run in runs for tag in always if tag not in run.data.tags} == set()


@pytest.mark.slow
def test_metrics_of_the_table_are_exactly_those_logged(recorded):
    parents, runs, steps = recorded
    of_runs = {metric for run in runs for metric in run.data.metrics}
    of_sweeps = {metric for run in parents for metric in run.data.metrics}
    table = names.METRICS.items()
    assert missing(of_runs, [name for name, metric in table if metric.when != "sweep"]) == []
    assert missing(of_sweeps, [name for name, metric in table if metric.when == "sweep"]) == []
    # Those with a condition too: it is met here, but for other tasks, other metrics, and models with a penalty.
    elsewhere = ("task=", "the task or the group metrics", "the model has any")
    here = [name for name, metric in table if not metric.only_if.startswith(elsewhere)]
    assert unused(of_runs | of_sweeps, here) == []
    for metric, found in steps.items():
        if not metric.startswith(names.EVALUATION):
            assert found == ({1, 2} if names.METRICS[metric].when == "epoch" else {2}), metric


@pytest.mark.slow
def test_every_param_of_the_table_is_logged(recorded):
    parents, runs, _ = recorded
    assert unused({param for run in [*parents, *runs] for param in run.data.params}, names.PARAMS) == []


def test_no_tag_is_written_outside_the_table():
    """Only names that cannot be other words are searched for: `loss` and `pruned` could be."""
    modules = {f.stem for f in PACKAGE.rglob("*") if f.suffix == ".py" or f.is_dir()}
    tag = re.compile(r"[\"'`](mnist_exp\.[a-z_0-9]+|mlflow\.(?:parentRunId|note\.content|runName))[\"'`.]")
    assert [
        (str(file.relative_to(PACKAGE)), name)
        for file in PACKAGE.rglob("*.py")
        if file.name != "names.py"
        for name in tag.findall(file.read_text(encoding="utf-8"))
        if name.removeprefix("mnist_exp.") not in modules and name not in OF_TRIALS
    ] == []


def test_rows_hold_every_entry_as_texts():
    rows = names.rows()
    assert [row["name"] for row in rows] == [*names.TAGS, *names.METRICS, *names.PARAMS]
    assert {row["kind"] for row in rows} == {"tag", "metric", "param"}
    assert all(isinstance(value, str) for row in rows for value in row.values())
    assert all(row["meaning"].endswith(".") for row in rows)
