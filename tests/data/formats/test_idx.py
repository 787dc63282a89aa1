"""IDX files as MNIST, EMNIST and QMNIST are distributed."""

import numpy as np
import pytest
from format_files import LETTERS, emnist, mnist_idx, qmnist, some_digits, write_idx

from mnist_exp.data import loaders
from mnist_exp.data.formats.idx import read_idx
from mnist_exp.errors import DataError


@pytest.fixture(scope="module")
def parts(digits):
    return some_digits(digits)


def test_raw_folder_of_torchvision_is_read(parts, tmp_path):
    source = loaders.idx(path=str(mnist_idx(tmp_path / "MNIST", *parts)))
    for found, expected in zip((*source.train, *source.test), (*parts[0], *parts[1]), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert source.unread == ()


def test_folder_that_torchvision_was_given_is_enough_where_it_holds_one_data_set(parts, tmp_path):
    mnist_idx(tmp_path / "MNIST", *parts)
    assert len(loaders.idx(path=str(tmp_path)).train[1]) == 200
    mnist_idx(tmp_path / "KMNIST", *parts)
    with pytest.raises(DataError, match="holds no IDX files of a training set"):
        loaders.idx(path=str(tmp_path))


def test_images_of_emnist_are_put_upright_and_classes_have_the_names_of_the_mapping(parts, tmp_path):
    source = loaders.idx(path=str(emnist(tmp_path / "gzip", *parts)))
    np.testing.assert_array_equal(source.train[0], parts[0][0])
    np.testing.assert_array_equal(source.test[0], parts[1][0])
    assert set(source.train[1]) == set(range(1, 11)), "renumbering is not for a loader"
    assert (source.class_names[1], source.class_names[26]) == ("Aa", "Zz")
    assert any("are put upright" in each for each in source.unread)


def test_rows_and_columns_are_exchanged_where_it_is_asked_for(parts, tmp_path):
    path = str(mnist_idx(tmp_path / "a", *parts))
    source = loaders.idx(path=path, transposed=True)
    np.testing.assert_array_equal(source.train[0], np.swapaxes(parts[0][0], 1, 2))
    path = str(emnist(tmp_path / "b", *parts))
    source = loaders.idx(path=path, transposed=False)
    np.testing.assert_array_equal(source.train[0], np.swapaxes(parts[0][0], 1, 2))
    assert source.unread == ()


def test_of_several_splits_of_emnist_one_is_said(parts, tmp_path):
    for split, first in {"letters": 1, "digits": 0, "byclass": 0, "bymerge": 0, "balanced": 0, "mnist": 0}.items():
        emnist(tmp_path, *parts, split=split, first=first, mapping=f"{first} 48\n")
    with pytest.raises(DataError, match=r"6 data sets: say data\.split=, one of balanced, byclass, bymerge, digits"):
        loaders.idx(path=str(tmp_path))
    with pytest.raises(DataError, match=r"data\.split=greek is not in .*: there is balanced"):
        loaders.idx(path=str(tmp_path), split="greek")
    assert loaders.idx(path=str(tmp_path), split="letters").train[1].min() == 1
    one = tmp_path / "emnist-digits-test-images-idx3-ubyte.gz"
    assert loaders.idx(path=str(one)).train[1].min() == 0, "a file names its data set"


def test_labels_of_qmnist_are_their_first_column_and_writers_stay_together(parts, tmp_path):
    source = loaders.idx(path=str(qmnist(tmp_path, *parts)))
    np.testing.assert_array_equal(source.train[1], parts[0][1])
    np.testing.assert_array_equal(source.test[1], parts[1][1])
    np.testing.assert_array_equal(source.groups, 2000 + np.arange(len(parts[0][1])) // 5)
    assert any("column 2 the writer" in each for each in source.unread)


def test_training_files_alone_give_a_test_set_of_each_class(parts, tmp_path):
    folder = mnist_idx(tmp_path / "MNIST", *parts) / "raw"
    for file in folder.glob("t10k-*"):
        file.unlink()
    source = loaders.idx(path=str(folder), test_share=0.25)
    assert np.bincount(source.test[1]).tolist() == [5] * 10
    assert len(source.train[1]) == 150
    assert any("has no test set: 50 of its 200 examples" in each for each in source.unread)


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_every_type_of_value_is_read(kind, tmp_path):
    values = (np.arange(24).reshape(2, 3, 4) - (0 if kind == "u1" else 12)).astype(kind)
    write_idx(tmp_path / "a", values)
    found = read_idx(tmp_path / "a")
    assert found.dtype == np.dtype(kind) and found.dtype.isnative
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("mapping", ["1\n2 x\n", "ä", "\0" * 50, "1 99999999\n", "1 55296\n", "1 7\n", "1\n2\n"])
def test_mapping_that_names_nothing_is_told(mapping, parts, tmp_path):
    source = loaders.idx(path=str(emnist(tmp_path, *parts, mapping=mapping)))
    assert source.class_names is None
    assert any("emnist-letters-mapping.txt names no classes" in each for each in source.unread)


def test_images_without_labels_are_named(parts, tmp_path):
    emnist(tmp_path, *parts)
    (tmp_path / "emnist-letters-test-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"emnist-letters-test-images-idx3-ubyte\.gz has no labels beside it"):
        loaders.idx(path=str(tmp_path))
    (tmp_path / "emnist-letters-train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="holds no IDX files of a training set"):
        loaders.idx(path=str(tmp_path))


def test_zeros_packed_to_a_thousandth_are_refused(tmp_path):
    write_idx(tmp_path / "zeros.gz", np.zeros((100_000, 28, 28), np.uint8))
    with pytest.raises(DataError, match="no data shrink to a 200th"):
        read_idx(tmp_path / "zeros.gz")


def test_letters_have_26_classes():
    assert len(LETTERS.splitlines()) == 26
