"""Npz files as KMNIST, Kuzushiji-49 and MedMNIST are distributed, and of one's own."""

import numpy as np
import pytest
from format_files import kmnist, medmnist, some_digits

from mnist_exp.data import loaders
from mnist_exp.errors import DataError


@pytest.fixture(scope="module")
def parts(digits):
    return some_digits(digits)


def test_four_files_of_kmnist_are_one_data_set(parts, tmp_path):
    folder = kmnist(tmp_path, *parts)
    for path in (folder, folder / "kmnist-test-labels.npz"):
        source = loaders.npz(path=str(path))
        for found, expected in zip((*source.train, *source.test), (*parts[0], *parts[1]), strict=True):
            np.testing.assert_array_equal(found, expected)
        assert source.class_names == dict(enumerate("おきすつなはまやれを"))


def test_of_kmnist_and_kuzushiji_49_in_one_folder_one_is_said(parts, tmp_path):
    kmnist(tmp_path, *parts)
    kmnist(tmp_path, *(tuple(each[:20] for each in part) for part in parts), name="k49")
    with pytest.raises(DataError, match=r"2 data sets: say data\.split=, one of k49, kmnist"):
        loaders.npz(path=str(tmp_path))
    assert len(loaders.npz(path=str(tmp_path), split="k49").train[1]) == 20
    with pytest.raises(DataError, match=r"data\.split=k50 is not in"):
        loaders.npz(path=str(tmp_path), split="k50")


@pytest.mark.parametrize("rows", ["index,char\n0\n", "index,codepoint\n0,U+304A\n", "index,char\nx,お\n", "\n"])
def test_class_map_that_names_nothing_is_told(rows, parts, tmp_path):
    folder = kmnist(tmp_path, *parts)
    (folder / "kmnist_classmap.csv").write_text(rows, encoding="utf-8")
    source = loaders.npz(path=str(folder))
    assert source.class_names is None
    assert any("kmnist_classmap.csv names no classes" in each for each in source.unread)


def test_file_that_should_hold_one_array_and_holds_two_is_named(parts, tmp_path):
    kmnist(tmp_path, *parts)
    np.savez(tmp_path / "kmnist-train-imgs.npz", parts[0][0], parts[0][1])
    with pytest.raises(DataError, match=r"kmnist-train-imgs\.npz must hold one array.*arr_0, arr_1"):
        loaders.npz(path=str(tmp_path))


def test_validation_set_of_medmnist_is_its_own(parts, tmp_path):
    source = loaders.npz(path=str(medmnist(tmp_path / "bloodmnist.npz", *parts)))
    np.testing.assert_array_equal(source.train[0], parts[0][0])
    np.testing.assert_array_equal(source.train[1], parts[0][1].reshape(-1, 1))
    np.testing.assert_array_equal(source.validation[0], parts[0][0][1::4])
    assert source.test[1].shape == (len(parts[1][1]), 1)
    assert source.unread == ()


def test_chestmnist_has_columns_and_organmnist_volumes(parts, tmp_path):
    file = medmnist(tmp_path / "chestmnist.npz", *parts, labels=lambda y: np.eye(14)[y] + np.eye(14)[13])
    assert loaders.npz(path=str(file)).train[1].shape == (200, 14)
    volumes = [(np.repeat(x[:20, ..., np.newaxis], 28, axis=3), y[:20]) for x, y in parts]
    source = loaders.npz(path=str(medmnist(tmp_path / "organmnist3d.npz", *volumes)))
    assert source.train[0].shape == (20, 28, 28, 28)
    assert "holds volumes, 28×28×28" in source.unread[0]


def test_own_validation_set_and_groups_are_taken(parts, tmp_path):
    (x, y), (x_test, y_test) = parts
    own = {"x_val": x_test[:10], "y_val": y_test[:10], "groups": np.arange(200) // 4}
    np.savez(tmp_path / "a.npz", X_train=x, y_train=y, X_test=x_test, y_test=y_test, **own)
    source = loaders.npz(path=str(tmp_path / "a.npz"))
    assert len(source.validation[1]) == 10
    np.testing.assert_array_equal(source.groups, own["groups"])
    assert source.unread == ()
    np.savez(tmp_path / "b.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test, groups=np.arange(3))
    with pytest.raises(DataError, match=r"groups must hold a value for each of the 200 training examples"):
        loaders.npz(path=str(tmp_path / "b.npz"))


def test_examples_that_are_not_divided_are(parts, tmp_path):
    x, y = parts[0]
    np.savez(tmp_path / "a.npz", x=x, y=y, groups=np.arange(200) // 4)
    source = loaders.npz(path=str(tmp_path), test_share=0.1)
    assert (len(source.train[1]), len(source.test[1])) == (180, 20)
    of_train = {image.tobytes() for image in source.train[0]}
    assert sum(image.tobytes() in of_train for image in source.test[0]) == 0
    test_groups = set(np.arange(50)) - set(source.groups)
    assert len(test_groups) == 5, "whole groups"


def test_share_of_a_set_that_has_its_own_test_set_is_told(parts, tmp_path):
    source = loaders.npz(path=str(medmnist(tmp_path / "a.npz", *parts)), test_share=0.5)
    assert source.unread == (f"data.test_share=0.5 has no effect: {tmp_path / 'a.npz'} brings its own test set",)


def test_validation_set_without_a_test_set_is_taken(parts, tmp_path):
    (x, y), (x_val, y_val) = parts
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_val=x_val, y_val=y_val)
    source = loaders.npz(path=str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(source.validation[1], y_val)
    assert (len(source.train[1]), len(source.test[1])) == (160, 40)
