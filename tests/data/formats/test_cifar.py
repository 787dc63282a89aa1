"""CIFAR-10 and CIFAR-100, binary version: planes, names, and the pickled version that is refused."""

import pickle

import numpy as np
import pytest
from format_files import CIFAR_10, cifar_10, cifar_100, coloured, some_digits

from mnist_exp.data import loaders
from mnist_exp.errors import DataError


@pytest.fixture(scope="module")
def parts(digits):
    return some_digits(digits)


def test_it_is_read_as_it_is_distributed(parts, tmp_path):
    source = loaders.cifar(path=str(cifar_10(tmp_path, *parts)))
    (x, y), (x_test, y_test) = parts
    order = np.concatenate([np.arange(200)[number::5] for number in range(5)])
    np.testing.assert_array_equal(source.train[0], coloured(x)[order])
    np.testing.assert_array_equal(source.train[1], y[order])
    np.testing.assert_array_equal(source.test[0], coloured(x_test))
    np.testing.assert_array_equal(source.test[1], y_test)
    assert (source.class_names, source.unread) == (CIFAR_10, ())


def test_labels_of_cifar_100_are_fine_or_coarse(parts, tmp_path):
    folder = str(cifar_100(tmp_path, *parts))
    fine, coarse = loaders.cifar(path=folder), loaders.cifar(path=folder, labels="coarse")
    np.testing.assert_array_equal(coarse.train[1], parts[0][1])
    np.testing.assert_array_equal(fine.train[1] // 2, parts[0][1])
    assert (len(fine.class_names), fine.class_names[3]) == (20, "fine 3")
    assert (len(coarse.class_names), coarse.class_names[3]) == (10, "coarse 3")
    np.testing.assert_array_equal(fine.train[0], coloured(parts[0][0]))


def test_the_share_of_the_test_set_can_be_said(parts, tmp_path):
    folder = cifar_10(tmp_path, *parts)
    (folder / "test_batch.bin").unlink()
    (folder / "data_batch_4.bin").unlink()
    source = loaders.cifar(path=str(folder), test_share=0.25)
    assert (len(source.train[1]), len(source.test[1])) == (120, 40)
    assert "has no data_batch_4.bin" in source.unread[0]


@pytest.mark.parametrize("name", ["data_batch_1", "train"])
def test_the_pickled_version_is_refused_with_the_reason(name, tmp_path):
    """The "python version" of the same page: dicts with b"data" and b"labels", pickled."""
    (tmp_path / name).write_bytes(pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]}))
    with pytest.raises(DataError, match=rf"{name} is a pickle, which may run any code .* cifar-10-binary\.tar\.gz"):
        loaders.cifar(path=str(tmp_path))


def test_files_that_are_no_whole_records_are_refused(parts, tmp_path):
    folder = cifar_10(tmp_path, *parts)
    file = folder / "data_batch_2.bin"
    for content in (file.read_bytes()[:-1], b""):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"data_batch_2\.bin has [\d,]+ bytes, which are no whole records of 3,073"):
            loaders.cifar(path=str(folder))


def test_other_folders_are_told(tmp_path):
    with pytest.raises(DataError, match=r"holds no CIFAR: it has neither data_batch_1\.bin nor train\.bin"):
        loaders.cifar(path=str(tmp_path))
    (tmp_path / "a").touch()
    with pytest.raises(DataError, match="is not a folder"):
        loaders.cifar(path=str(tmp_path / "a"))
