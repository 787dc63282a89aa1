"""Metrics of all predictions at once: own functions, Keras's classes where they are what they say, nothing else."""

import numpy as np
import pytest
from sklearn import metrics as sk

from mnist_exp.composition.compose import compose
from mnist_exp.config import components
from mnist_exp.errors import SettingsError
from mnist_exp.tasks import builders
from mnist_exp.training.scores import Scores

RNG = np.random.default_rng(0)
LABELS = RNG.integers(3, size=50)
OUTPUTS = RNG.dirichlet(np.ones(3), size=50).astype(np.float32)


def scores(task="classification", classes=3, trusted=(), **named):
    section = {name: {"_target_": target} | arguments for name, (target, arguments) in named.items()}
    checked, problems = components.check_mapping("metrics", section, trusted)
    assert problems == []
    return Scores(getattr(builders, task)(), checked, classes)


def test_metrics_of_the_task_come_first():
    assert list(scores("multilabel", f=("mnist_exp.metrics.mcc", {}))._metrics) == ["exact_match", "macro_f1", "f"]
    assert not scores()


RIGHT = {
    "CategoricalAccuracy": lambda: sk.accuracy_score(LABELS, OUTPUTS.argmax(axis=1)),
    "SparseCategoricalAccuracy": lambda: sk.accuracy_score(LABELS, OUTPUTS.argmax(axis=1)),
    "TopKCategoricalAccuracy": lambda: sk.top_k_accuracy_score(LABELS, OUTPUTS, k=2),
    "SparseTopKCategoricalAccuracy": lambda: sk.top_k_accuracy_score(LABELS, OUTPUTS, k=2),
    "CategoricalCrossentropy": lambda: -np.log(OUTPUTS[np.arange(50), LABELS].astype(np.float64)).mean(),
    "SparseCategoricalCrossentropy": lambda: -np.log(OUTPUTS[np.arange(50), LABELS].astype(np.float64)).mean(),
    "MeanSquaredError": lambda: ((np.eye(3)[LABELS] - OUTPUTS) ** 2).mean(),
}


@pytest.mark.parametrize("name", RIGHT)
def test_metric_of_keras_gets_labels_in_the_form_that_it_needs(name):
    arguments = {"k": 2} if "TopK" in name else {}
    found = scores(m=(f"keras.metrics.{name}", arguments)).of(LABELS, OUTPUTS)
    assert found["m"] == pytest.approx(RIGHT[name](), rel=1e-4)


@pytest.mark.parametrize(
    "name", ["AUC", "F1Score", "FBetaScore", "R2Score", "Accuracy", "Precision", "Recall", "BinaryAccuracy"]
)
def test_metric_of_keras_that_is_another_quantity_is_refused_with_what_to_take(name):
    """Keras 3.15.1: AUC has 200 thresholds, F1Score counts absent classes as 0, Precision is micro at 0.5."""
    with pytest.raises(SettingsError, match=rf"metrics.m._target_=keras.metrics.{name} .*: take mnist_exp.metrics.\w+"):
        scores(m=(f"keras.metrics.{name}", {}))


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("binary", "CategoricalAccuracy"),
        ("regression", "CategoricalAccuracy"),
        ("regression", "SparseCategoricalAccuracy"),
        ("multilabel", "TopKCategoricalAccuracy"),
        ("multilabel", "SparseCategoricalAccuracy"),
        ("classification", "Mean"),
        ("classification", "TruePositives"),
        ("classification", "BinaryIoU"),
    ],
)
def test_metric_of_keras_of_another_task_is_refused(task, name):
    """CategoricalAccuracy of one probability is 1, whatever it is; Mean takes predictions for weights."""
    checked, _ = components.check_mapping("metrics", {"m": {"_target_": f"keras.metrics.{name}"}}, ())
    with pytest.raises(SettingsError, match=rf"keras.metrics.{name} does not fit task={task}: of Keras's there are"):
        Scores(getattr(builders, task)(), checked, 3)


def test_metrics_of_two_classes_are_right_in_keras():
    labels, outputs = RNG.integers(2, size=40), RNG.random((40, 1), np.float32)
    found = scores("binary", 2, p=("keras.metrics.Precision", {}), r=("keras.metrics.Recall", {})).of(labels, outputs)
    said = outputs[:, 0] > 0.5
    assert found["p"] == pytest.approx(sk.precision_score(labels, said))
    assert found["r"] == pytest.approx(sk.recall_score(labels, said))


def test_metric_is_begun_anew_each_time():
    each = scores(m=("keras.metrics.SparseCategoricalAccuracy", {}))
    assert each.of(LABELS, OUTPUTS) == each.of(LABELS, OUTPUTS) != each.of(LABELS[:5], OUTPUTS[:5])


@pytest.mark.parametrize(
    ("task", "target", "words"),
    [
        ("classification", "mnist_exp.metrics.mae", "metrics.m: mae is for numbers"),
        ("classification", "mnist_exp.metrics.top_k_accuracy", "metrics.m cannot be computed: .*k=5 is more than"),
        ("regression", "mnist_exp.metrics.mcc", "metrics.m: mcc is for classes and labels"),
    ],
)
def test_metric_that_does_not_fit_is_told_before_the_training(task, target, words):
    with pytest.raises(SettingsError, match=words):
        labels = LABELS if task == "classification" else RNG.normal(size=(50, 3)).astype(np.float32)
        scores(task, m=(target, {})).check(labels, 3)


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_scores.py").write_text(
        "import keras\nimport numpy as np\n\n\n"
        "def share(labels, outputs, *, label: int = 0):\n    return (labels == label).mean()\n\n\n"
        "def vector(labels, outputs):\n    return np.ones(3)\n\n\n"
        "class Many(keras.metrics.Metric):\n"
        "    def update_state(self, y_true, y_pred, sample_weight=None):\n        pass\n\n"
        "    def result(self):\n        return keras.ops.ones(4)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return ("own_scores",)


def test_metric_of_ones_own_is_a_function_of_labels_and_outputs(own):
    found = scores(trusted=own, m=("own_scores.share", {"label": 1})).of(LABELS, OUTPUTS)
    assert found == {"m": pytest.approx((LABELS == 1).mean())}


@pytest.mark.parametrize(("name", "count"), [("vector", 3), ("Many", 4)])
def test_metric_of_several_numbers_is_refused(own, name, count):
    with pytest.raises(SettingsError, match=rf"metrics.m gives {count} numbers: a metric is one number"):
        scores(trusted=own, m=(f"own_scores.{name}", {})).check(LABELS, 3)


@pytest.mark.parametrize("name", ["9lives", "a b", "é", "a-b"])
def test_name_of_a_metric_is_a_plain_one(name):
    _, problems = components.check_mapping("metrics", {name: {"_target_": "mnist_exp.metrics.mcc"}}, ())
    assert len(problems) == 1 and "a name has letters, digits and _" in problems[0]


def test_metric_that_changes_its_arguments_changes_nothing_else(own, tmp_path):
    text = "def zero(labels, outputs):\n    labels[:] = 0\n    outputs[:] = 0\n    return 1\n"
    (tmp_path / "own_changes.py").write_text(text)
    labels, outputs = LABELS.copy(), OUTPUTS.copy()
    scores(trusted=("own_changes",), m=("own_changes.zero", {})).of(labels, outputs)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(outputs, OUTPUTS)


def test_error_in_a_metric_has_its_name(own, tmp_path):
    (tmp_path / "own_fails.py").write_text("def share(labels, outputs):\n    return 1 / 0\n")
    with pytest.raises(SettingsError, match=r"metrics.m cannot be computed: ZeroDivisionError: division by zero"):
        scores(trusted=("own_fails",), m=("own_fails.share", {})).check(LABELS, 3)


def test_objective_without_a_value_on_the_validation_images_is_told_before_the_training():
    each = Scores(builders.binary(), {}, 2, "val_auc")
    each.check(np.array([0, 1]), 1)
    with pytest.raises(SettingsError, match="objective=val_auc has no value on the 2 validation images, as with one"):
        each.check(np.array([1, 1]), 1)


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("loss", "mnist_exp.metrics.mcc", "runs record something else by that name"),
        ("accuracy", "mnist_exp.metrics.mcc", "runs record something else by that name"),
        ("ece", "mnist_exp.metrics.mcc", "runs record something else by that name"),
        ("val_mcc", "mnist_exp.metrics.mcc", "a name must not begin with val_, test_"),
        ("macro_f1", "mnist_exp.metrics.mcc", "macro_f1 is the name of mnist_exp.metrics.macro_f1"),
        ("top_5_accuracy", "mnist_exp.metrics.mcc", "is the name of mnist_exp.metrics.top_k_accuracy"),
    ],
)
def test_name_that_says_something_else_already_is_refused(name, target, words):
    with pytest.raises(SettingsError) as error:
        compose(["data=mnist_5k", f"+metrics.{name}={{_target_: {target}}}"])
    assert any(problem.startswith(f"metrics.{name}") and words in problem for problem in error.value.problems)


def test_direction_of_a_known_function_is_known():
    with pytest.raises(SettingsError, match="direction=maximize does not fit objective=val_brier: it must be minimize"):
        compose(["data=mnist_5k", "objective=val_brier", "+metrics.brier={_target_: keras.metrics.MeanSquaredError}"])
