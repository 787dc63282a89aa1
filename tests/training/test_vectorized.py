"""Jobs trained as one program equal single trainings; jobs that cannot be vectorized are trained alone."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_runs import NOT_TIMES, Running, assert_whole, client_of, history

import mnist_exp
from mnist_exp import compose
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.jobs import events, group
from mnist_exp.jobs.assignment import Assignment
from mnist_exp.jobs.attempt import Attempt
from mnist_exp.sweeps.planning import grouping, rules
from mnist_exp.training import digests
from mnist_exp.training.checkpoints import Position

needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
DATA = ["data=mnist_5k", "data.limit=500", "data.validation=0.2", "trainer.batch_size=64"]  # the last batch is smaller
MLP = [*DATA, "model=mlp", "model.hidden_units=[16]", "trainer.epochs=3"]
# On a CPU all is done as alone, but what XLA merges: 2e-7 in a weight where images are changed or batches normalised.
EXACT, LAST_DIGITS = 0.0, 1.0
LOSS, WEIGHT = 1e-5, 1e-4
OWN = """
import keras

class Own(keras.layers.Layer):
    def call(self, x):
        return x * 2

    def compute_output_shape(self, shape):
        return shape

def net(input_shape, classes, *, dropout: float = 0.2, kind: str = "plain"):
    inputs = x = keras.Input(input_shape)
    x = keras.layers.Flatten()(x)
    if kind == "own":
        x = Own()(x)
    if kind == "function":
        def less(each):
            return each * dropout
        x = keras.layers.Dense(4, activation=less)(x)
    if kind == "inner":
        x = keras.layers.TimeDistributed(Own())(keras.layers.Reshape((28, 28))(x))
        x = keras.layers.Flatten()(x)
    if kind == "lambda":
        x = keras.layers.Lambda(lambda each: each * dropout)(x)
    if kind == "within":
        x = keras.layers.Reshape((28, 28))(x)
        x = keras.layers.Flatten()(keras.layers.TimeDistributed(keras.layers.Dropout(dropout))(x))
    if kind == "noise":
        x = keras.layers.GaussianDropout(dropout)(x)
    if kind == "plain":
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))
"""


def process(*words, **environment):
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def joint(jobs, what="both"):
    folder = str(Path(mnist_exp.__file__).parents[1])
    path = os.pathsep.join([str(Path.cwd()), folder, *filter(None, [os.environ.get("PYTHONPATH")])])
    script = Path(__file__).parents[1] / "support" / "joint_training.py"
    return json.loads(process(str(script), what, json.dumps(jobs), PYTHONPATH=path).rpartition("RESULT")[2])


def assert_equal(one, other, loose=EXACT):
    """Check that nothing differs, or only the last digits."""
    assert one.keys() == other.keys()
    if "error" in one:
        assert one == other
        return
    assert one["history"].keys() == other["history"].keys()
    for name in NOT_TIMES:
        values, others = one["history"][name], other["history"][name]
        images = 400 if name == "accuracy" else 100
        allowed = 1.001 * loose / images if "accuracy" in name else LOSS * loose
        assert len(values) == len(others), name
        np.testing.assert_allclose(values, others, rtol=0, atol=allowed, err_msg=name)
    for array, another in zip(one["weights"], other["weights"], strict=True):
        np.testing.assert_allclose(array, another, rtol=0, atol=WEIGHT * loose)


@pytest.mark.slow
@needs_jax
def test_other_losses_and_metrics_of_all_predictions_are_the_same_together():
    """They select, too: the weights that are kept are those of the best macro F1."""
    same = [*MLP, "loss=focal", "metrics=imbalanced", "objective=val_macro_f1", "trainer.restore_best=true"]
    done = joint([[*same, "seed=1"], [*same, "seed=2", "optimizer.learning_rate=0.01"]])
    assert done["reasons"] == [None] * 2
    for apart, together in zip(done["apart"], done["together"], strict=True):
        assert_equal(apart, together)
        for name in ("val_macro_f1", "val_balanced_accuracy", "val_mcc"):
            values = apart["history"][name], together["history"][name]
            np.testing.assert_allclose(*values, atol=0.03, err_msg=name)
            assert len(set(values[0])) > 1
    weighted = [*MLP, "trainer.class_weight=balanced"]
    reasons = joint([[*MLP, "loss=focal"], [*MLP, "loss=mse"], weighted, weighted], "reasons")
    assert reasons == ["its loss is another one", "its images count differently in the loss"]


@pytest.mark.slow
@needs_jax
def test_vectorized_jobs_equal_single_ones_and_diverge_alone():
    differ = (
        ["seed=1"],
        ["optimizer.learning_rate=1e38"],
        ["seed=2", "model.dropout=0.5", "optimizer.learning_rate=0.01"],
    )
    done = joint([[*MLP, *own] for own in differ])
    assert done["reasons"] == [None] * 3
    for apart, together in zip(done["apart"], done["together"], strict=True):
        assert_equal(apart, together)
    assert "the loss became nan in epoch 1, step" in done["together"][1]["error"]
    fits = [each["history"]["loss"] for each in done["together"] if "history" in each]
    assert len({tuple(loss) for loss in fits}) == 2
    assert all(loss[-1] < loss[0] for loss in fits)


RATES = (["seed=1", "model.dropout=0.2"], ["seed=2", "model.dropout=0.5"], ["optimizer.learning_rate=0.02"])
CNN = [*DATA, "model.filters=4", "model.dense_units=16", "trainer.epochs=2"]
CONVNET = [*DATA, "model=convnet", "model.filters=[4,4]", "model.dense_units=[16]", "model.batch_norm=true"]
SELECTING = ["trainer.early_stopping_patience=1", "trainer.restore_best=true", "trainer.plateau_patience=1"]
CASES = {
    "the baseline": (CNN, RATES, EXACT),
    "shifted, normalised, one cycle": (
        [*CONVNET, "augment=shift", "schedule=one_cycle", "optimizer=adamw", "trainer.epochs=2"],
        (["seed=1", "model.dropout=0.2"], ["optimizer.weight_decay=0.1", "model.dropout=0.4"]),
        LAST_DIGITS,
    ),
    "turned, cosine, on the test set": (
        [*MLP, "augment=affine", "schedule=cosine", "schedule.warmup=0.2", "data.validation=test", "optimizer=lion"],
        (["seed=1"], ["optimizer.learning_rate=0.001"]),
        LAST_DIGITS,
    ),
    "distorted": ([*MLP, "augment=affine_elastic"], (["seed=1"], ["optimizer.learning_rate=0.001"]), LAST_DIGITS),
    "averaged weights, exponential": (
        [*MLP, "optimizer=sgd", "schedule=exponential", "+optimizer.use_ema=true"],
        RATES,
        EXACT,
    ),
    "each stops at its own epoch": (
        [*MLP, *SELECTING, "trainer.epochs=8"],
        (*RATES, ["optimizer.learning_rate=0.5"]),
        EXACT,
    ),
    "bfloat16": ([*MLP, "trainer.precision=mixed_bfloat16"], RATES, EXACT),
}


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_vectorized_training_equals_single_training(case):
    common, jobs, loose = CASES[case]
    done = joint([[*common, *own] for own in jobs])
    assert done["reasons"] == [None] * len(jobs)
    for apart, together in zip(done["apart"], done["together"], strict=True):
        assert_equal(apart, together, loose)
    if "stops" in case:
        assert len({len(each["history"]["loss"]) for each in done["together"]}) > 1


@needs_jax
@pytest.mark.slow
def test_models_of_another_program_are_distinguished():
    Path("own_nets.py").write_text(OWN)
    Path("own/model").mkdir(parents=True)
    Path("own/model/own.yaml").write_text(
        "_target_: own_nets.net\ntrusted_modules: [own_nets]\ndropout: 0.2\nkind: plain\n"
    )

    def net(kind, dropout, *more):
        return [*DATA, "model=own", f"model.kind={kind}", f"model.dropout={dropout}", *more]

    another = "its model, or its optimizer, is another program"
    not_keras = "its model is not made of Keras's own layers alone"
    pairs = {
        (("plain", 0.1, "seed=1"), ("plain", 0.4, "seed=2", "optimizer.learning_rate=0.1")): None,
        (("plain", 0.1), ("plain", 0)): another,
        (("plain", 0.1), ("noise", 0.1)): another,
        (("noise", 0.1), ("noise", 0.4)): another,
        (("noise", 0.1, "seed=1"), ("noise", 0.1, "seed=2")): None,
        (("plain", 0.1), ("plain", 0.1, "optimizer.beta_1=0.8")): another,
        (("plain", 0.1), ("plain", 0.1, "optimizer=adamw")): another,
        (("plain", 0.1), ("plain", 0.1, "schedule=cosine")): another,
        (("within", 0.1), ("within", 0.4)): "its model has dropout within another layer",
        (("own", 0.1), ("own", 0.1)): not_keras,
        (("lambda", 0.1), ("lambda", 0.4)): not_keras,
        (("function", 0.1), ("function", 0.4)): not_keras,
        (("inner", 0.1), ("inner", 0.1)): not_keras,
    }
    assert joint([net(*each) for pair in pairs for each in pair], "reasons") == list(pairs.values())


@needs_jax
@pytest.mark.slow
def test_averages_that_need_statistics_of_their_own_are_trained_alone():
    alone = [*CONVNET, "trainer.epochs=1", "+optimizer.use_ema=true"]
    reasons = joint([[*alone, "seed=1"], [*alone, "seed=2"]], "reasons")
    assert reasons == ["its averaged weights have statistics of batch normalisation of their own"]


def programs(*jobs):
    return [grouping.program(compose([*DATA, "trainer.backend=jax", *job]), "0") for job in jobs]


def test_jobs_are_one_program_if_only_numbers_differ():
    alike = programs(
        [], ["seed=1"], ["optimizer.learning_rate=0.1"], ["model.dropout=0.1", "trainer.checkpoint_every=2"]
    )
    assert len({*alike}) == 1
    others = programs(
        ["model.filters=4"], ["model.dropout=0"], ["optimizer=sgd"], ["trainer.epochs=3"], ["augment=shift"]
    )
    others += programs(["trainer.batch_size=10"], ["schedule=cosine"], ["data.limit=100"], ["optimizer.beta_1=0.8"])
    assert len({*alike, *others}) == 10
    decayed = programs(*([f"optimizer.weight_decay={decay}", "optimizer=adamw"] for decay in (0.1, 0.2, 0.0)))
    assert decayed[0] == decayed[1] != decayed[2]


@pytest.mark.parametrize(
    "option", ["trainer.devices=2", "trainer.precision=mixed_float16", "+optimizer.gradient_accumulation_steps=2"]
)
def test_job_that_cannot_be_vectorized_is_alone(option):
    assert programs([option]) == [None]
    assert grouping.why_alone(compose([*DATA, option])) == option.removeprefix("+")


@given(st.lists(st.none() | st.integers(0, 4), max_size=60), st.integers(1, 9))
def test_groups_hold_each_job_once_and_one_program(programs, at_most):
    groups = grouping.groups(range(len(programs)), programs, at_most)
    assert sorted(job for each in groups for job in each) == list(range(len(programs)))
    assert all(each == sorted(each) and 1 <= len(each) <= at_most for each in groups)
    for each in groups:
        assert len({programs[job] for job in each}) == 1
        assert len(each) == 1 or programs[each[0]] is not None
    for program in {*programs} - {None}:
        sizes = [len(each) for each in groups if programs[each[0]] == program]
        assert len(sizes) == -(-programs.count(program) // at_most)  # No more than there must be,
        assert max(sizes) - min(sizes) <= 1  # and none much smaller.
    first = [each[0] for each in groups]
    assert [job for job in first if programs[job] is None] == [job for job, each in enumerate(programs) if each is None]


def test_together_is_refused_without_jax_or_in_a_search():
    how = SweepSettings(together=3)
    with pytest.raises(SettingsError, match=r"sweep.together=3 needs trainer.backend=jax, not tensorflow: add it"):
        rules.check_together(how, compose([*DATA, "trainer.backend=tensorflow"]))
    rules.check_together(SweepSettings(), compose([*DATA, "trainer.backend=tensorflow"]))


def test_restarted_group_skips_finished_jobs(tmp_path):
    attempts = [
        Attempt(Assignment("", tmp_path, None, ()), events.Writer(tmp_path, job), ["nothing=1"]) for job in (3, 4)
    ]
    events.note_begun(tmp_path, "over-3", "done")
    group.run(attempts)
    assert [(event["job"], event["event"]) for event in events.Reader(tmp_path).read()] == [(4, "failed")]
    group.run(attempts)
    assert len(list(events.Reader(tmp_path).read())) == 1


SWEEP = [*DATA, "model.filters=2", "model.dense_units=8", "trainer.epochs=2", "trainer.backend=jax", "sweep.together=3"]


def sweep(*arguments, code=0):
    running = Running("mnist_exp.run", "-m", *arguments)
    running.end_with(code, seconds=400)
    return running.text()


def recorded():
    client = client_of()
    found = client.search_runs([client.get_experiment_by_name("mnist_exp").experiment_id])
    (parent,) = [run for run in found if "mnist_exp.sweep" in run.data.tags]
    return parent, {run.info.run_name: run for run in found if run is not parent}


@needs_jax
@pytest.mark.slow
def test_sweep_trains_in_groups_with_a_whole_run_each():
    arguments = [*SWEEP, "seed=1,2,3", "model.dropout=0.1,0.5", "hydra.launcher.n_workers=2"]
    output = sweep(*arguments)
    assert "6 done" in output
    parent, runs = recorded()
    assert parent.info.status == "FINISHED"
    assert sorted(runs) == [f"seed={seed} dropout={rate}" for seed in (1, 2, 3) for rate in (0.1, 0.5)]
    for run in runs.values():
        found = assert_whole(run.info.run_id, epochs=2)
        assert found.data.tags["mnist_exp.together"] == "3"
        assert found.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert len({run.data.tags["mnist_exp.weights_sha256"] for run in runs.values()}) == 6
    assert "to do   0, 6 done already" in sweep(*arguments)
    assert "to do   0, 6 done already" in sweep(*arguments, "sweep.together=1")

    first = runs["seed=2 dropout=0.5"]
    again = Running("mnist_exp.rerun", first.info.run_id)
    again.end_with(0)
    assert "to the last bit, in every epoch" in again.text()
    client = client_of()
    (repeated,) = client.search_runs([first.info.experiment_id], f"tags.`mnist_exp.rerun_of` = '{first.info.run_id}'")
    files = [Path(run.info.artifact_uri.removeprefix("file://")) / digests.FILE for run in (first, repeated)]
    old, new = (digests.parse(file.read_text(), str(file)) for file in files)
    # Within an epoch the weights of those that are trained together are not in their models.
    assert [moment.position for moment in old.moments] == [Position(), Position(1), Position(2)]
    assert digests.parting(old, new).equal_at == Position(2)


@needs_jax
@pytest.mark.slow
def test_diverging_job_fails_alone_and_single_jobs_are_reported():
    output = sweep(*SWEEP, "optimizer.learning_rate=0.001,1e38,0.01", code=1)
    assert "2 done" in output
    _, runs = recorded()
    (name,) = [name for name, run in runs.items() if run.info.status == "FAILED"]
    failed = runs.pop(name)
    assert failed.data.params["optimizer.learning_rate"] == "1e+38"
    assert "the loss became nan in epoch 1, step" in failed.data.tags["mnist_exp.failure"]
    for run in runs.values():
        assert_whole(run.info.run_id, epochs=2)
    assert "2 of 3 jobs are trained alone: only jobs that differ in nothing but seed" in sweep(
        *SWEEP, "model.filters=3,4", "sweep.reuse=false"
    ).replace("2 of 2", "2 of 3")


@needs_jax
@pytest.mark.slow
def test_interrupted_group_is_killed_and_resumes_together():
    arguments = [*SWEEP, "trainer.epochs=150", "seed=1,2,3"]
    running = Running("mnist_exp.run", "-m", *arguments)
    running.wait_until(lambda: len({*Path("unfinished").glob("*/checkpoint-*")}) >= 6)
    running.stop_with(signal.SIGTERM, 143)
    parent, before = recorded()
    assert [run.info.status for run in (parent, *before.values())] == ["KILLED"] * 4
    assert "3 of them begun" in sweep(*arguments)
    parent, after = recorded()
    assert {run.info.run_id for run in after.values()} == {run.info.run_id for run in before.values()}
    whole = {name: run for name, run in after.items() if assert_whole(run.info.run_id, epochs=150)}
    assert all(run.data.tags["mnist_exp.resumed"] == "1" for run in whole.values())
    resumed = {name: history(run.info.run_id, names=["loss"])["loss"] for name, run in after.items()}
    Path("mlflow.db").rename("first.db")
    sweep(*arguments)
    _, through = recorded()
    for name, run in through.items():
        np.testing.assert_allclose(history(run.info.run_id, names=["loss"])["loss"], resumed[name], atol=1e-3)
