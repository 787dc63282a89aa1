"""MATLAB's files: SVHN as it is distributed, one's own, and hostile ones."""

import numpy as np
import pytest
import scipy.io
from format_files import coloured, some_digits, svhn

from mnist_exp.data import loaders
from mnist_exp.data.checking import from_source
from mnist_exp.errors import DataError
from mnist_exp.tasks.builders import auto


@pytest.fixture(scope="module")
def parts(digits):
    return some_digits(digits)


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_it_is_read_as_it_is_distributed(version, parts, tmp_path):
    folder = svhn(tmp_path, *parts, version=version)
    source = loaders.mat(path=str(folder))
    data = from_source("mat", source, auto())
    np.testing.assert_array_equal(data.x_train, coloured(parts[0][0]))
    np.testing.assert_array_equal(data.y_train, parts[0][1])
    np.testing.assert_array_equal(data.y_test, parts[1][1])
    assert data.class_names == tuple("0123456789")
    assert source.unread == ("the digit 0 is labelled 10 in SVHN's files; here it is 0",)


def test_the_extra_images_of_svhn_are_told(parts, tmp_path):
    folder = svhn(tmp_path, *parts)
    (folder / "extra_32x32.mat").write_bytes((folder / "test_32x32.mat").read_bytes())
    assert "extra_32x32.mat is not read" in loaders.mat(path=str(folder)).unread[0]


def test_the_share_of_the_test_set_can_be_said(parts, tmp_path):
    folder = svhn(tmp_path, *parts)
    (folder / "test_32x32.mat").unlink()
    assert len(loaders.mat(path=str(folder), test_share=0.3).test[1]) == 60


def own(tmp_path, **arrays):
    scipy.io.savemat(tmp_path / "a.mat", arrays)
    return str(tmp_path / "a.mat")


def test_the_shape_of_one_example_can_be_said(parts, tmp_path):
    """As the mnist-original.mat of long ago: data (784, n), label (1, n)."""
    x, y = parts[0]
    file = own(tmp_path, x=x.reshape(200, 784).T, y=y.reshape(1, -1))
    source = loaders.mat(path=file)
    assert source.train[0].shape == (160, 28, 28)
    assert loaders.mat(path=file, shape=[7, 112]).train[0].shape == (160, 7, 112)


def test_the_values_of_black_and_white_can_be_said(parts, tmp_path):
    file = own(tmp_path, x=parts[0][0] / 255.0, y=parts[0][1])
    assert from_source("mat", loaders.mat(path=file), auto()).pixel_range == (0, 1)
    assert from_source("mat", loaders.mat(path=file, pixels=[0, 2]), auto()).pixel_range == (0, 2)


def test_labels_that_are_doubles_are_classes(parts, tmp_path):
    x, y = parts[0]
    source = loaders.mat(path=own(tmp_path, x=x, y=y + 1.0))
    assert from_source("mat", source, auto()).class_names == tuple(map(str, range(1, 11)))
    source = loaders.mat(path=own(tmp_path, x=x, y=y + 0.5))
    assert from_source("mat", source, auto()).task.name == "regression"


def test_arrays_that_do_not_fit_are_told(parts, tmp_path):
    x, y = parts[0]
    with pytest.raises(DataError, match=r"holds examples of the shape \(200, 28, 28\) and 150 labels"):
        loaders.mat(path=own(tmp_path, x=x, y=y[:150]))
    with pytest.raises(DataError, match="lacks the array"):
        loaders.mat(path=own(tmp_path, a=x))
    with pytest.raises(DataError, match=r"has no train_32x32\.mat of SVHN; name a mat file"):
        loaders.mat(path=str(tmp_path))


def test_objects_and_cells_are_no_arrays(parts, tmp_path):
    cells = np.empty(2, object)
    cells[:] = [parts[0][0], "text"]
    with pytest.raises(DataError, match="lacks the array"):
        loaders.mat(path=own(tmp_path, x=cells, y={"a": 1}))


def test_damaged_and_other_files_are_refused(parts, tmp_path):
    folder = svhn(tmp_path, *parts)
    file = folder / "train_32x32.mat"
    content = file.read_bytes()
    for bad in (content[: len(content) // 2], b"no mat file", b"", content[:128] + bytes(500)):
        file.write_bytes(bad)
        with pytest.raises(DataError, match=r"train_32x32\.mat (is not a readable mat file|lacks)"):
            loaders.mat(path=str(folder))


def test_what_grows_beyond_measure_is_refused(tmp_path):
    """A file of 300 kB that would be 200 MB of zeros."""
    scipy.io.savemat(
        tmp_path / "a.mat", {"x": np.zeros((200_000, 1000), np.uint8), "y": np.arange(200_000)}, do_compression=True
    )
    assert (tmp_path / "a.mat").stat().st_size < 1_000_000
    with pytest.raises(DataError, match=r"x would be 200,000,000 bytes, which no file of its size holds"):
        loaders.mat(path=str(tmp_path / "a.mat"))
