"""Columns of a table are found by the names that the run recorded, else by what their names say."""

import json

import numpy as np
import pytest

from mnist_exp import commands, compose, run
from mnist_exp import predict_command as predict
from mnist_exp.errors import DataError
from mnist_exp.inference.inputs import table_columns


def test_names_of_the_training_decide():
    assert table_columns.chosen(["a", "b", "c"], 3, ["a", "b", "c"]) == ([0, 1, 2], [])
    assert table_columns.chosen(["c", "x", "a", "b"], 3, ["a", "b", "c"]) == (
        [2, 3, 0],
        [
            "the column x is left out: the others are the values",
            "its columns are put in the order of those that the model was trained on",
        ],
    )
    with pytest.raises(DataError, match="it lacks columns that the model was trained on: b, c"):
        table_columns.chosen(["a", "d", "e"], 3, ["a", "b", "c"])
    # None of them is there: the table has names of its own.
    kept, (told,) = table_columns.chosen(["d", "e", "f"], 3, ["a", "b", "c"])
    assert kept == [0, 1, 2]
    assert told == (
        "none of its columns is called as those of the training, a, b, c: they are taken in this order: d, e, f"
    )


def test_without_a_record_names_of_labels_and_numbers_decide():
    assert table_columns.chosen(["y", "x2", "x1"], 2, None)[0] == [2, 1]
    assert table_columns.chosen(["x2", "x1", "x3"], 3, None)[0] == [1, 0, 2]
    assert table_columns.chosen(["1x2", "1x1", "2x1", "2x2"], 4, None)[0] == [1, 0, 2, 3]
    # As many as the model takes: a column called y is one of its values.
    assert table_columns.chosen(["x", "y"], 2, None) == ([0, 1], [])
    assert table_columns.chosen(["x", "y", "z"], 2, None) == (
        [0, 2],
        ["the column y is left out: the others are the values"],
    )


@pytest.fixture
def flowers(alone):
    """A run on a table of three measures: run id, the table's rows, and a call of the command."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 300)
    x = random.normal(size=(300, 3)) + np.stack([3 * y, -2 * y, 0 * y], axis=1)
    lines = [
        "kind,length,width,age",
        *(f"{'ab'[k]},{a:.4f},{b:.4f},{c:.4f}" for k, (a, b, c) in zip(y, x, strict=True)),
    ]
    (alone / "flowers.csv").write_text("\n".join(lines))
    words = ["data=csv", "data.path=flowers.csv", "data.label=kind", "model=mlp", "model.hidden_units=[8]"]
    return run(compose([*words, "trainer.epochs=3", "trainer.batch_size=20"])).run_id


def predicted(capfd, *words):
    code = commands.code_of(lambda: predict.predict(predict._parser().parse_args([*words, "--json"])))
    out, err = capfd.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


@pytest.mark.slow
def test_columns_in_another_order_are_predicted_alike(flowers, capfd, alone):
    """They were read by their position, without a word."""
    rows = [line.split(",") for line in (alone / "flowers.csv").read_text().splitlines()]
    (alone / "same.csv").write_text("\n".join(",".join(row[1:]) for row in rows))
    turned = [[row[3], row[1], "id" if i == 0 else str(i), row[2]] for i, row in enumerate(rows)]
    (alone / "turned.csv").write_text("\n".join(map(",".join, turned)))
    capfd.readouterr()
    code, expected, _ = predicted(capfd, flowers, "same.csv")
    assert code == 0
    code, found, err = predicted(capfd, flowers, "turned.csv")
    assert code == 0
    assert [each["probabilities"] for each in found] == [each["probabilities"] for each in expected]
    assert "turned.csv: the column id is left out" in err
    assert "turned.csv: its columns are put in the order of those that the model was trained on\n" in err
    (alone / "less.csv").write_text("length,width\n1,2\n")
    code, found, err = predicted(capfd, flowers, "less.csv")
    assert (code, found[0]["error"]) == (1, "less.csv: it lacks columns that the model was trained on: age")


@pytest.mark.slow
def test_table_whose_images_lie_on_their_side_is_read_as_in_training(digits, capfd, alone):
    (x, y), (x_test, y_test) = digits
    for name, images, labels in (("train", x[::4], y[::4]), ("test", x_test[::10], y_test[::10])):
        turned = np.swapaxes(images, 1, 2).reshape(len(images), -1)
        rows = np.column_stack([labels, turned])
        np.savetxt(alone / f"emnist-mini-{name}.csv", rows, fmt="%d", delimiter=",")
    np.save("upright.npy", x_test[::10])
    words = ["data=csv", "data.path=emnist-mini-train.csv", "data.test_path=emnist-mini-test.csv", "data.label=0"]
    result = run(compose([*words, "model.filters=8", "model.dense_units=32", "trainer.epochs=3"]))
    capfd.readouterr()
    np.savetxt("emnist-mini-new.csv", np.swapaxes(x_test[::10], 1, 2).reshape(100, -1), fmt="%d", delimiter=",")
    _, expected, _ = predicted(capfd, result.run_id, "upright.npy")
    code, found, err = predicted(capfd, result.run_id, "emnist-mini-new.csv")
    assert code == 0
    assert [each["probability"] for each in found] == pytest.approx(
        [each["probability"] for each in expected], abs=1e-6
    )
    assert "emnist-mini-new.csv: rows and columns of its images are exchanged, as in training\n" in err
