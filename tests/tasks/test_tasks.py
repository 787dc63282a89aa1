"""Every task by the same suite: what it takes, what it says of predictions, what it writes and shows."""

import csv
import json

import numpy as np
import pytest

from mnist_exp.data.checking import from_source
from mnist_exp.data.dataset import Source
from mnist_exp.errors import DataError
from mnist_exp.evaluation import predictions
from mnist_exp.tasks import builders
from mnist_exp.tasks.answers import Answers

RNG = np.random.default_rng(0)
N, SHAPE = 60, (6, 6)
X = RNG.integers(256, size=(N, *SHAPE)).astype(np.uint8)
SOFT = RNG.dirichlet(np.ones(3), size=N).astype(np.float32)
# For each task: labels, outputs of a model, names.
CASES = {
    "classification": (RNG.permutation(np.arange(N) % 3), SOFT, ("ant", "bee", "cat")),
    "binary": (RNG.permutation(np.arange(N) % 2), RNG.random((N, 1), np.float32), ("no", "yes")),
    "multilabel": (RNG.integers(2, size=(N, 3)), RNG.random((N, 3), np.float32), ("a, b", "c", "d")),
    "regression": (RNG.normal(size=(N, 2)), RNG.normal(size=(N, 2)).astype(np.float32), ("width", "height")),
}
BUILDERS = [name for name in dir(builders) if name.islower() and name != "auto" and name in CASES]


def test_suite_has_every_task():
    made = [getattr(builders, name)().name for name in BUILDERS]
    assert made == BUILDERS == sorted(CASES)


def of(name, y, names=None, task=None):
    source = Source((X[: len(y)], y), (X[: len(y)], y), place="a test", class_names=names)
    return from_source("made", source, (task or getattr(builders, name))())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("is_named", [True, False])
def test_labels_are_taken_and_named(name, is_named):
    y, outputs, names = CASES[name]
    dataset = of(name, y, names if is_named else None)
    assert dataset.task.name == name
    assert dataset.outputs == outputs.shape[1]
    assert len(dataset.class_names) == len(names)
    assert (dataset.class_names == names) == is_named
    targets = dataset.task.targets(dataset.y_train)
    assert len(targets) == N and (targets.ndim == 1 or targets.shape == outputs.shape)


@pytest.mark.parametrize("name", ["classification", "multilabel", "regression"])
def test_auto_is_what_the_labels_say(name):
    y, _, _ = CASES[name]
    assert of(name, y, task=builders.auto).task.name == name


def test_auto_asks_where_labels_may_be_of_two_tasks():
    with pytest.raises(DataError, match=r"all whole numbers: say task=regression if they are numbers"):
        of("auto", np.array([1.0, 2.0, 3.0]), task=builders.auto)
    with pytest.raises(DataError, match=r"one-hot: np.argmax"):
        of("auto", np.eye(3, dtype=int), task=builders.auto)
    assert of("multilabel", np.eye(3, dtype=int)).task.name == "multilabel"
    assert of("regression", np.array([1.0, 2.0, 3.0])).task.name == "regression"


REFUSED = {
    "classification": (np.array([[1, 1], [0, 1], [1, 0]]), "for several there is task=multilabel"),
    "binary": (np.array([0, 1, 2]), "y_train has 3 classes; task=binary is for two, task=classification for more"),
    "multilabel": (np.array([[0, 2], [1, 0]]), "holds other values than 0 and 1"),
    "regression": (np.array([1.0, np.nan, 2.0]), "y_train has a value that is not finite, nan, the first of image 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_labels_of_another_task_are_refused_with_a_fix(name):
    y, words = REFUSED[name]
    with pytest.raises(DataError) as error:
        of(name, y)
    assert words in str(error.value)


@pytest.mark.parametrize("name", CASES)
def test_equal_labels_have_one_digest_however_they_are_stored(name):
    y, _, names = CASES[name]
    stored = [y.astype(np.float32)] if name in ("multilabel", "regression") else [y.astype(np.uint8), y[:, None]]
    assert {of(name, each, names).sha256 for each in stored} == {of(name, stored[0], names).sha256}


@pytest.mark.parametrize("name", CASES)
def test_predictions_are_written_and_read_back(name, tmp_path):
    y, outputs, names = CASES[name]
    dataset = of(name, y, names)
    made = dataset.task.predictions(Answers(None, dataset.y_test, outputs, names, "rows"))
    made.write(tmp_path / "table.csv")
    read = predictions.parse((tmp_path / "table.csv").read_text(), "it")
    np.testing.assert_allclose(read.labels, made.labels, rtol=1e-7)
    np.testing.assert_allclose(read.predicted, made.predicted, rtol=1e-7)
    assert read.names == made.names
    if made.is_right is None:
        assert read.is_right is None
    else:
        np.testing.assert_array_equal(read.is_right, made.is_right)


@pytest.mark.parametrize("text", ["a,a predicted\n1\n", "a\n1\n", "a,b,c\n1,2,3\n", "", "a,a predicted\n1,x\n"])
def test_table_that_is_none_is_refused(text):
    with pytest.raises(Exception, match=r"^it (cannot be read|has)"):
        predictions.parse(text, "it")


@pytest.mark.parametrize("name", CASES)
def test_evaluation_is_plain_numbers_tables_and_pictures(name):
    y, outputs, names = CASES[name]
    dataset = of(name, y, names)
    found = dataset.task.evaluated(Answers(dataset.x_test, dataset.y_test, outputs, names, "test images of made"), 0.5)
    json.dumps(found.facts)
    assert found.facts["loss"] == found.logged["loss"] == 0.5
    assert all(isinstance(value, int | float) for value in found.logged.values())
    assert [row["name"] for row in found.table] == list(names)
    head, cells = found.shown
    assert {len(row) for row in cells} == {len(head)}
    for figure in found.draw().values():
        assert figure.texts


@pytest.mark.parametrize("name", CASES)
def test_pictures_of_a_run_are_drawn(name, tmp_path):
    y, outputs, names = CASES[name]
    dataset = of(name, y, names)
    running = dataset.task.running
    history = {"loss": [1.0], "val_loss": [1.0], running: [0.5], f"val_{running}": [0.5]}
    dataset.task.draw(tmp_path, history, Answers(dataset.x_test, dataset.y_test, outputs, names, "test images"))
    drawn = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert "learning_curves.png" in drawn and len(drawn) >= 2
    assert min(drawn.values()) > 2000


def test_numbers_far_from_what_networks_begin_with_are_told():
    task, rng = builders.regression(), np.random.default_rng(0)
    near = rng.normal(0, 1, (50, 2)).astype(np.float32)
    assert task.remarks({"training": near, "validation": near}, ["a", "b"]) == []
    (told,) = task.remarks({"training": near * [1, 40] + [0, 120], "validation": near}, ["a", "b"])
    assert told.startswith("b is 1") and "scale it in the data" in told


SHOWN = {
    "classification": ([0.1, 0.7, 0.2], {"label": "bee", "probability": 0.7}, "bee  0.7000   cat 0.2000"),
    "binary": ([0.25], {"label": "no", "probability": 0.75}, "no   0.7500   yes 0.2500"),
    "multilabel": ([0.6, 0.4, 0.9], {"labels": ["a, b", "d"]}, "d 0.9000, a, b 0.6000"),
    "regression": ([1.5, -2.0], {"values": {"width": 1.5, "height": -2.0}}, "width 1.5, height -2"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_one_prediction_for_programs_and_for_people(name):
    output, expected, words = SHOWN[name]
    task, names = getattr(builders, name)(), CASES[name][2]
    found = task.as_json(np.array(output, np.float32), names)
    assert {key: found[key] for key in expected} == expected
    json.dumps(found)
    assert task.as_words(np.array(output, np.float32), names, 2) == words
    assert task.as_words(np.array(output, np.float32), None, 2)


@pytest.mark.parametrize("name", CASES)
def test_outputs_that_are_none_of_the_task_are_told(name):
    task, (_, outputs, _) = getattr(builders, name)(), CASES[name]
    assert task.check_outputs(outputs, "the model") is None
    assert "the model gives values" in task.check_outputs(np.full_like(outputs, np.nan), "the model")
    if task.activation != "linear":
        assert "which are not probabilities" in task.check_outputs(outputs + 2, "the model")


def test_columns_with_commas_are_one_column(tmp_path):
    y, outputs, names = CASES["multilabel"]
    dataset = of("multilabel", y, names)
    dataset.task.predictions(Answers(None, dataset.y_test, outputs, names, "rows")).write(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        head = next(csv.reader(file))
    assert head == ["a, b", "a, b probability", "c", "c probability", "d", "d probability"]


def test_remarks_name_what_is_missing_in_a_part():
    multilabel, regression = builders.multilabel(), builders.regression()
    labels = np.array([[0, 1, 1], [0, 1, 0]], np.float32)
    assert multilabel.remarks({"validation": labels}, ("a", "b", "c")) == [
        "no validation image has the label a",
        "every validation image has the label b",
    ]
    assert regression.remarks({"training": np.array([[1.0, 2], [1, 3]], np.float32)}, ("w", "h")) == [
        "w has the same value, 1, in all 2 training images"
    ]


def test_only_the_worst_of_many_classes_are_shown():
    names = [f"kind {number}" for number in range(29)] + ["\x1b[2Jlast"]
    y = np.repeat(np.arange(30), 20)
    said = y.copy()
    for label in range(30):  # The later classes are read better.
        said[y == label] = np.where(np.arange(20) < 20 - label / 2, (label + 1) % 30, label)
    x = np.zeros((len(y), *SHAPE, 1), np.uint8)
    answers = Answers(x, y, np.eye(30, dtype=np.float32)[said], names, "images")
    found = builders.classification().evaluated(answers, 0.5)
    assert found.note == "the 20 classes with the lowest F1, of 30; per_class.csv has all"
    assert len(found.shown[1]) == 20 and len(found.table) == 30
    worst = sorted(found.table, key=lambda row: row["f1"])[:20]
    assert [row[0] for row in found.shown[1]] == [row["name"] for row in worst]
    assert all("\x1b" not in cell for row in found.shown[1] for cell in row)
