import math

import numpy as np
import pytest
from PIL import Image

from mnist_exp.evaluation import figures
from mnist_exp.evaluation.canvas import fitted, text_width
from mnist_exp.evaluation.confusion import confusion_matrix
from mnist_exp.evaluation.metrics import calibration_error, reliability

LABELS = np.array([0, 0, 1, 1, 0])
PROBABILITIES = np.float32([[0.9, 0.1, 0], [0.4, 0.6, 0], [0.2, 0.8, 0], [0.7, 0.3, 0], [0.55, 0.45, 0]])
NAMES = ("cat", "dog", "cow")
HOSTILE = ["held-out images of mnist", "$x_{$ of a name", "a\nb\x00\u202e", "数字 \ud800 é", ""]


def written(tmp_path, picture):
    figures.write(tmp_path, {"picture.png": picture})
    with Image.open(tmp_path / "picture.png") as image:
        image.load()
        return image


@pytest.mark.parametrize("images", HOSTILE)
def test_reliability_diagram_is_drawn_also_with_empty_bins(tmp_path, images):
    bins = reliability(np.array([0.3, 0.95, 1.0]), np.array([True, False, True]))
    written(tmp_path, figures.reliability(bins, calibration_error(bins), images))
    assert (tmp_path / "picture.png").stat().st_size > 5000


def test_pictures_name_the_images():
    x = np.zeros((5, 8, 8, 1), np.uint8)
    predicted = PROBABILITIES.argmax(axis=1)
    assert "3 of 5 test images right" in confusion_matrix(LABELS, predicted, NAMES).texts
    other = confusion_matrix(LABELS, predicted, NAMES, "images of $x")
    assert "3 of 5 images of $x right" in other.texts
    drawn = figures.confident_mistakes(x, LABELS, PROBABILITIES, NAMES)
    assert "the most confident of 2 mistakes on the test set" in drawn.texts
    drawn = figures.confident_mistakes(x, LABELS, PROBABILITIES, NAMES, "the images of mine")
    assert "the most confident of 2 mistakes on the images of mine" in drawn.texts
    assert drawn.texts[:4] == ["cat (70%)", "is dog, no. 3", "dog (60%)", "is cat, no. 1"]


def test_confusion_matrix_shows_each_count_in_its_colour(tmp_path):
    image = written(tmp_path, confusion_matrix(LABELS, PROBABILITIES.argmax(axis=1), NAMES))
    drawn = confusion_matrix(LABELS, PROBABILITIES.argmax(axis=1), NAMES)
    assert sorted(drawn.texts[:4]) == ["1", "1", "1", "2"]
    colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert (103, 0, 13) in colours and (255, 245, 240) in colours  # The most mistakes, and none.


def test_mistakes_show_the_pixels_of_their_images(tmp_path):
    x = np.zeros((5, 8, 8, 3), np.uint8)
    x[3, :, :4], x[1, :, 4:] = (200, 10, 20), (10, 200, 20)
    image = written(tmp_path, figures.confident_mistakes(x, LABELS, PROBABILITIES, NAMES))
    counts = {colour: count for count, colour in image.convert("RGB").getcolors(1 << 20)}
    assert counts[200, 10, 20] == counts[10, 200, 20] == 136 * 68
    assert image.convert("RGB").getpixel((16 + 30, 84 + 60)) == (200, 10, 20)  # The surest comes first.


@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 8, 1), (3, 900, 3), (900, 3, 4), (300, 400, 3)])
def test_mistakes_of_any_shape_are_drawn(tmp_path, shape):
    x = np.full((5, *shape), 128, np.uint8)
    image = written(tmp_path, figures.confident_mistakes(x, LABELS, PROBABILITIES, NAMES))
    assert image.width < 1000 and image.height < 1000
    right = np.eye(3, dtype=np.float32)[LABELS]
    assert "no mistake on the test set" in figures.confident_mistakes(x, LABELS, right, NAMES).texts


def many(classes, images=4000):
    """Return labels and predictions of many classes: all right, but for three pairs."""
    y = np.arange(images) % classes
    predicted = y.copy()
    for true, other, count in ((3, 4, 30), (9, 1, 20), (0, 2, 1)):
        predicted[np.flatnonzero(y == true)[:count]] = other
    return y, predicted


@pytest.mark.parametrize("classes", [2, 10, 20, 21, 47, 100, 300, 1500])
def test_confusion_matrix_of_any_number_of_classes_fits_a_page(tmp_path, classes):
    names = [f"class number {number}" for number in range(classes)]
    drawn = confusion_matrix(np.arange(classes), np.zeros(classes, int), names)
    image = written(tmp_path, drawn)
    assert image.width < 2000 and image.height < 1600
    assert ("class number 1" in drawn.texts) == (classes <= 100), "beyond that every second, third, … has its name"
    assert "class number 0" in drawn.texts


@pytest.mark.parametrize("classes", [47, 100])
def test_confusion_matrix_of_many_classes_lists_the_most_confused(tmp_path, classes):
    names = [f"name-{number}" for number in range(classes)]
    drawn = confusion_matrix(*many(classes), names)
    told = drawn.texts
    assert set(names) <= set(told), "every class has its name"
    first = told.index("name-3 → name-4")
    size = 4000 // classes + (classes == 47)
    assert told[first : first + 6 : 3] == ["name-3 → name-4", "name-9 → name-1"]
    assert told[first + 1 : first + 3] == ["30", f"{30 / size:.0%}"]
    assert sum("→" in text for text in told) == 4, "three pairs and the head: none without a mistake"
    image = written(tmp_path, drawn).convert("RGB")
    edge = np.asarray(image)[:, -8:]
    assert (edge == 255).all(), "the list is not cut off"
    right = confusion_matrix(*[many(classes)[0]] * 2, names)
    assert "no mistake" in right.texts


def test_many_labels_show_those_with_most_mistakes():
    y = np.zeros((50, 100), int)
    predicted = y.copy()
    predicted[:, 40:] = 1
    drawn = figures.label_counts(y, predicted, [f"label-{number}" for number in range(100)])
    assert "label-40" in drawn.texts and "label-39" not in drawn.texts
    assert "labels of 50 test images, the 60 of 100 with most mistakes" in drawn.texts


def test_long_names_of_mistakes_do_not_overlap():
    names = ("a cat of the northern hemisphere", "dog", "cow")
    drawn = figures.confident_mistakes(np.zeros((5, 8, 8, 1), np.uint8), LABELS, PROBABILITIES, names)
    assert drawn.texts[0].startswith("a cat of the no") and drawn.texts[0].endswith("… (70%)")
    assert all(text_width(text, 7) <= 142 for text in drawn.texts[:4])
    assert fitted("short", 100) == "short"
    assert text_width(fitted("w" * 10_000, 100)) <= 100


@pytest.mark.parametrize("name", [*HOSTILE[1:], "x" * 5000])
def test_names_of_any_text_are_drawn(tmp_path, name):
    names = (name, "dog", name * 2)
    predicted = PROBABILITIES.argmax(axis=1)
    for drawn in (
        confusion_matrix(LABELS, predicted, names, name),
        figures.label_counts(np.eye(3, dtype=int)[LABELS], np.eye(3, dtype=int)[predicted], names),
        figures.residuals(PROBABILITIES, PROBABILITIES + 1, names),
        figures.confident_mistakes(np.zeros((5, 8, 8, 1), np.uint8), LABELS, PROBABILITIES, names),
        figures.learning_curves({"loss": [1.0], name: [0.5, 0.6]}, name or "accuracy"),
    ):
        assert max(written(tmp_path, drawn).size) < 3000


@pytest.mark.parametrize(
    "values", [[], [0.5], [0.5, math.nan, 0.7], [math.nan], [3e38, 1e-38], [0.0, 0.0], [-1.0, 5.0]]
)
def test_learning_curves_of_any_values_are_drawn(tmp_path, values):
    drawn = figures.learning_curves({"loss": values, "val_loss": values[:1], "accuracy": values})
    image = written(tmp_path, drawn)
    assert image.size == (900, 360)
    assert {"loss", "accuracy", "epoch", "training", "validation"} <= set(drawn.texts)


def test_learning_curves_are_where_the_values_are(tmp_path):
    image = written(tmp_path, figures.learning_curves({"loss": [1.0, 0.0], "val_loss": [0.0, 1.0]}))
    blue, orange = (31, 119, 180), (255, 127, 14)
    height, margin = 274, 274 * 0.05 / 1.1
    first, last, low, high = 64 + 368 * 0.05 / 1.1, 64 + 368 * 1.05 / 1.1, 36 + height - margin, 36 + margin
    for (x, y), colour in {(first, high): blue, (last, low): blue, (first, low): orange, (last, high): orange}.items():
        assert image.convert("RGB").getpixel((round(x), round(y))) == colour


def test_residuals_leave_out_what_is_not_finite(tmp_path):
    y = np.array([[1.0], [2.0], [3.0], [np.nan]])
    drawn = figures.residuals(y, np.array([[1.1], [np.nan], [3.0], [2.0]]), ["size"])
    assert written(tmp_path, drawn).size == (900, 360)


def test_pictures_of_matplotlib_are_written_too(tmp_path):
    """A task of one's own may draw with it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([1, 2])
    assert written(tmp_path, figure).size == (200, 100)
