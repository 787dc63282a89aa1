"""Every data set as it is distributed, through every command: run, evaluate, predict, export."""

import json
import shutil
from pathlib import Path

import format_files as files
import keras
import numpy as np
import pytest

from mnist_exp import commands, compose, data, export, load_model, run
from mnist_exp import evaluate_command as evaluate
from mnist_exp import predict_command as predict

pytestmark = pytest.mark.slow

TINY = ["model=mlp", "model.hidden_units=[8]", "trainer.epochs=1", "trainer.batch_size=50"]
DIGITS = tuple("0123456789")
# As many as there are digits.
LETTERS = "".join(f"{label} {64 + label} {96 + label}\n" for label in range(1, 11))
NAMES_OF_LETTERS = tuple(f"{upper}{upper.lower()}" for upper in "ABCDEFGHIJ")


def folder_of_images(folder, train, test):
    """NIST SD19 by_class: folders whose names are the codes of the characters in hex, 30 is "0"."""
    for part, (x, y) in {"train": train, "test": test}.items():
        for number, (image, label) in enumerate(zip(x, y, strict=True)):
            place = Path(folder) / part / f"3{label}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number}.png").write_bytes(files.png(image))
    return folder


def labelled(folder, train, test):
    """A folder of images with a table of labels, which are words; no test set."""
    Path(folder).mkdir()
    rows = ["file,label"]
    for number, (image, label) in enumerate(zip(*train, strict=True)):
        (Path(folder) / f"{number}.png").write_bytes(files.png(image))
        rows.append(f"{number}.png,digit {label}")
    (Path(folder) / "labels.csv").write_text("\n".join(rows))
    return folder


def zipped(folder, train, test):
    return shutil.make_archive(str(folder), "zip", folder_of_images(f"{folder}-in", train, test))


def own_arrays(file, train, test):
    (x, y), (x_test, y_test) = train, test
    np.savez(file, x_train=x, y_train=y, x_test=x_test, y_test=y_test, x_val=x[::3], y_val=y[::3])
    return Path(file)


def chest(file, *parts):
    return files.medmnist(file, *parts, labels=lambda y: np.eye(14)[y] + np.eye(14)[13 - y])


def sklearn_digits(*_):
    import sklearn

    return Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"


# What writes it, the format, the names of the classes (None: not looked at), and the validation set that it brings.
ROWS = {
    "MNIST": (lambda *p: files.mnist_idx("MNIST", *p), "idx", DIGITS, False),
    "EMNIST": (lambda *p: files.emnist("gzip", *p, mapping=LETTERS), "idx", NAMES_OF_LETTERS, False),
    "QMNIST": (lambda *p: files.qmnist("q", *p), "idx", DIGITS, False),
    "KMNIST": (lambda *p: files.kmnist("k", *p), "npz", tuple(files.KANA), False),
    "MedMNIST": (lambda *p: files.medmnist("bloodmnist.npz", *p), "npz", DIGITS, True),
    "ChestMNIST": (lambda *p: chest("chestmnist.npz", *p), "npz", None, True),
    "Kaggle digits": (lambda *p: files.kaggle_digits("kaggle", *p), "csv", DIGITS, False),
    "Kaggle signs": (lambda *p: files.kaggle_signs("signs", *p), "csv", (*"012345678", "10"), False),
    "scikit-learn": (sklearn_digits, "csv", DIGITS, False),
    "Hugging Face": (lambda *p: files.hugging_face("hf", *p), "parquet", DIGITS, False),
    "SVHN": (lambda *p: files.svhn("svhn", *p), "mat", DIGITS, False),
    "USPS": (lambda *p: files.usps("usps.h5", *p), "hdf5", DIGITS, False),
    "NIST SD19": (lambda *p: folder_of_images("by_class", *p), "image_folder", DIGITS, False),
    "CIFAR-10": (lambda *p: files.cifar_10("cifar-10-batches-bin", *p), "cifar", files.CIFAR_10, False),
    "own arrays": (lambda *p: own_arrays("own.npz", *p), "npz", DIGITS, True),
    "own npy": (lambda *p: files.npy("npy", *p), "npy", None, False),
    "labels.csv": (lambda *p: labelled("table", *p), "image_folder", tuple(f"digit {n}" for n in DIGITS), False),
    "zip": (lambda *p: zipped("pictures", *p), "image_folder", DIGITS, False),
}  # fmt: skip
COMMANDS = {
    "evaluate": lambda words: evaluate.evaluate(evaluate.read(words)),
    "predict": lambda words: predict.predict(predict._parser().parse_args(words)),
    "export": lambda words: export.export(export._parser().parse_args(words)),
}


def call(command, *words):
    return commands.code_of(lambda: COMMANDS[command](list(words)))


@pytest.mark.parametrize("name", ROWS)
def test_data_set_goes_through_every_command(name, digits, capfd):
    write, kind, class_names, has_validation = ROWS[name]
    path = write(*files.some_digits(digits))
    words = [f"data={kind}", f"data.path={path}"]
    dataset = data.load(compose(words))
    auto = data.load(compose(["data=auto", f"data.path={path}"]))
    assert auto.sha256 == dataset.sha256
    assert f"which is data={kind}" in auto.place
    assert class_names is None or dataset.class_names == class_names
    assert (dataset.x_val is not None) == has_validation

    result = run(compose([*words, *TINY]))
    model = load_model(result.run_id)
    expected = model.predict(dataset.x_test, verbose=0)
    capfd.readouterr()

    for data_words in ([], ["--data", kind, f"data.path={path}"]):
        assert call("evaluate", result.run_id, *data_words) == 0, capfd.readouterr().err
        shown = capfd.readouterr().out
    assert "accuracy" in shown

    np.save("examples.npy", dataset.x_test)
    assert call("predict", result.run_id, "examples.npy", "--json", "--preprocess", "plain") == 0
    answers = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    np.testing.assert_allclose([_numbers(each) for each in answers], expected, atol=1e-5)

    assert call("export", result.run_id, "--format", "keras", "--output", "model.keras") == 0
    exported = keras.models.load_model("model.keras")
    np.testing.assert_array_equal(exported.predict(dataset.x_test, verbose=0), expected)


def _numbers(answer):
    found = answer["probabilities"]
    return list(found.values()) if isinstance(found, dict) else found


def test_upright_digits_are_read_by_a_model_of_emnist(digits, capfd):
    """Trained as they lie in the file, it reads 36 of 200."""
    train, test = files.some_digits(digits, 2000, 200)
    path = files.emnist("gzip", train, test, mapping=LETTERS)
    words = ["data=idx", f"data.path={path}", "model=mlp", "trainer.epochs=6", "trainer.batch_size=50"]
    model = load_model(run(compose(words)).run_id)
    read = model.predict(test[0][..., np.newaxis], verbose=0).argmax(axis=1)
    assert (read == test[1]).mean() > 0.8


def test_table_of_kaggle_without_labels_becomes_a_submission(digits, capfd):
    parts = files.some_digits(digits)
    folder = files.kaggle_digits("kaggle", *parts)
    run_id = run(compose(["data=csv", f"data.path={folder}", *TINY])).run_id
    capfd.readouterr()
    columns = "ImageId=number,Label=label"
    assert call("predict", run_id, "kaggle/test.csv", "--csv", "submission.csv", "--csv-columns", columns) == 0
    lines = Path("submission.csv").read_text().splitlines()
    assert lines[0] == "ImageId,Label"
    assert [line.split(",")[0] for line in lines[1:]] == [str(number) for number in range(1, len(parts[1][1]) + 1)]
