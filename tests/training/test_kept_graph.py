"""Trainings that share a traced graph give the bits of trainings that trace their own."""

import pytest

from mnist_exp.composition.compose import compose
from mnist_exp.errors import TrainingError
from mnist_exp.experiment import runner
from mnist_exp.experiment.record import Job
from mnist_exp.runtime.terminal import Screen
from mnist_exp.training import kept_graph, setup

SMALL = ["data=mnist_5k", "data.limit=240", "data.validation=0.25", "trainer.batch_size=50", "trainer.epochs=2"]
SMALL += ["tracking=none"]
CNN = ["model.filters=3", "model.dense_units=8"]
TIMES = {"fit_time_s", "epoch_time_s", "images_per_s", "memory_peak_mb"}
# Each: what all of its trainings have, and what each of them has beside.
SHARED = {
    "seeds": (CNN, [["seed=1"], ["seed=2"], ["seed=3"]]),
    "rates": (CNN, [["optimizer.learning_rate=0.01"], ["optimizer.learning_rate=0.0001"], ["seed=2"]]),
    "normalization": (["model=convnet", "model.filters=[4,4]", "model.dense_units=[8]"], [["seed=1"], ["seed=2"]]),
    "best epoch": ([*CNN, "trainer.restore_best=true", "trainer.epochs=3"], [["optimizer.learning_rate=0.3"], []]),
    "averages": ([*CNN, "+optimizer.use_ema=true", "+optimizer.ema_momentum=0.5"], [["seed=1"], ["seed=2"]]),
    "momentum": ([*CNN, "optimizer=sgd", "trainer.plateau_patience=1"], [["optimizer.learning_rate=2"], ["seed=2"]]),
    "one cycle": ([*CNN, "schedule=one_cycle"], [["seed=1"], ["seed=2"]]),
    "16 bits": ([*CNN, "trainer.precision=mixed_float16"], [["seed=1"], ["seed=2"]]),
    "many steps": (["model=mlp", "model.hidden_units=[2]", "trainer.batch_size=5"], [["seed=1"], ["seed=2"]]),
    "weights": ([*CNN, "trainer.class_weight=balanced"], [["seed=1"], ["seed=2"]]),
}
APART = {
    "dropout": [["model.dropout=0.2"], ["model.dropout=0.3"]],
    "batches": [["trainer.batch_size=50"], ["trainer.batch_size=40"]],
    "momentum": [["optimizer.beta_1=0.8"], ["optimizer.beta_1=0.9"]],
    "schedule": [["schedule=one_cycle"], ["schedule=one_cycle", "trainer.epochs=3"]],
    "images": [["data.limit=240"], ["data.limit=200"]],
    "loss": [["loss=focal"], ["loss=focal", "loss.gamma=3"]],
    # They are computed by another model of the same weights, epoch by epoch.
    "metrics": [["objective=val_macro_f1", "seed=1"], ["objective=val_macro_f1", "seed=2"]],
    "augmented": [["augment=shift", "seed=1"], ["augment=shift", "seed=2"]],
    "callbacks": [
        ["trusted_modules=[own_calls]", "+callbacks.says={_target_: own_calls.Says}", f"seed={seed}"] for seed in (1, 2)
    ],
}
QUICK = ("seeds", "dropout")


def each_of(names):
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


class Quiet(Screen):
    """A screen that shows nothing."""

    def __init__(self):
        super().__init__()
        self.out.quiet = self.err.quiet = True


def train(overrides, *, shares_graph):
    found = runner.run(compose([*SMALL, *overrides]), Quiet(), Job(shares_graph=shares_graph))
    bits = {name: value for name, value in found.metrics.items() if name not in TIMES}
    history = {name: values for name, values in found.history.items() if name not in TIMES}
    setup.forget()
    return found.weights_sha256, bits, history


def lender():
    return kept_graph._kept[0].model if kept_graph._kept else None


@pytest.mark.parametrize("name", each_of(SHARED))
def test_trainings_of_one_graph_are_as_each_alone(name):
    common, each = SHARED[name]
    alone = [train([*common, *own], shares_graph=False) for own in each]
    assert lender() is None
    assert len({sha256 for sha256, _, _ in alone}) == len(each)
    found, lenders = [], []
    for own in [*each, each[0]]:
        found.append(train([*common, *own], shares_graph=True))
        lenders.append(lender())
    assert found == [*alone, alone[0]]
    assert len(set(map(id, lenders))) == 1 and lenders[0] is not None


@pytest.mark.parametrize("name", each_of(APART))
def test_trainings_of_other_graphs_do_not_share_one(name):
    each = APART[name]
    alone = [train([*CNN, *own], shares_graph=False) for own in each]
    lenders, found = [], []
    for own in each:
        found.append(train([*CNN, *own], shares_graph=True))
        lenders.append(lender())
    assert found == alone
    assert lenders[0] is not lenders[1] or lenders == [None, None]


@pytest.mark.slow
def test_training_that_failed_lends_no_model():
    train([*CNN, "seed=1"], shares_graph=True)
    assert lender() is not None
    with pytest.raises(TrainingError, match="became nan"):
        train([*CNN, "optimizer=sgd", "optimizer.learning_rate=1e30"], shares_graph=True)
    broken = lender()
    expected = train([*CNN, "optimizer=sgd"], shares_graph=False)
    assert train([*CNN, "optimizer=sgd"], shares_graph=True) == expected
    assert lender() is not broken or broken is None
