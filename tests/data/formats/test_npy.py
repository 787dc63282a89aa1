"""Arrays in npy files, one for each, and hostile ones."""

import pickle
import struct

import numpy as np
import pytest
from format_files import npy, some_digits

from mnist_exp.data import loaders
from mnist_exp.data.checking import from_source
from mnist_exp.errors import DataError
from mnist_exp.tasks.builders import auto


@pytest.fixture(scope="module")
def parts(digits):
    return some_digits(digits)


def test_it_is_read_as_it_is_distributed(parts, tmp_path):
    folder = npy(tmp_path / "a", *parts)
    for path in (folder, folder / "x_train.npy"):
        source = loaders.npy(path=str(path))
        for found, expected in zip((*source.train, *source.test), (*parts[0], *parts[1]), strict=True):
            np.testing.assert_array_equal(found, expected)
        assert source.unread == ()


def test_labels_may_be_words(parts, tmp_path):
    x, y = parts[0]
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.array(["zero", "one", *"abcdefgh"])[y])
    np.save(tmp_path / "other.npy", x)
    source = loaders.npy(path=str(tmp_path))
    data = from_source("npy", source, auto())
    assert data.class_names == (*"abcdefgh", "one", "zero")
    assert "other.npy" in source.unread[0]


def test_the_share_of_the_test_set_can_be_said(parts, tmp_path):
    np.save(tmp_path / "x.npy", parts[0][0])
    np.save(tmp_path / "y.npy", parts[0][1])
    assert len(loaders.npy(path=str(tmp_path)).test[1]) == 40
    source = loaders.npy(path=str(tmp_path), test_share=0.5)
    assert np.bincount(source.test[1]).tolist() == [10] * 10


def test_the_shape_of_one_example_can_be_said(parts, tmp_path):
    flat = [(x.reshape(len(x), -1), y) for x, y in parts]
    source = loaders.npy(path=str(npy(tmp_path / "a", *flat)))
    assert source.train[0].shape == (200, 28, 28)
    assert "the 784 values of each example" in source.unread[0]
    source = loaders.npy(path=str(tmp_path / "a"), shape=[14, 14, 4])
    assert (source.train[0].shape, source.unread) == ((200, 14, 14, 4), ())
    with pytest.raises(DataError, match=r"data.shape=\[3, 3\] has 9 values, each example of .* 784"):
        loaders.npy(path=str(tmp_path / "a"), shape=[3, 3])


def test_the_values_of_black_and_white_can_be_said(parts, tmp_path):
    folder = str(npy(tmp_path / "a", *parts))
    ranges = {None: (0, 255), True: (0, 255), False: None}
    for stated, expected in ranges.items():
        assert from_source("npy", loaders.npy(path=folder, pixels=stated), auto()).pixel_range == expected
    assert from_source("npy", loaders.npy(path=folder, pixels=[0, 4095]), auto()).pixel_range == (0, 4095)
    with pytest.raises(DataError, match=r"data.pixels=\[9, 9\] is not allowed: the value of black must be below"):
        loaders.npy(path=folder, pixels=[9, 9])


class Touch:
    """Unpickled, it leaves a file."""

    def __reduce__(self):
        return (open, ("PROOF", "w"))


def header(shape):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: header((10**12,)) + bytes(100), "should hold 1,000,000,000,000 bytes, but has 100"),
        (lambda: header((200, 28, 28)) + bytes(100), "should hold 156,800 bytes, but has 100"),
        (lambda: pickle.dumps(Touch()), "is not a readable npy file"),
        (lambda: header((4, 4))[:40], "is not a readable npy file"),
        (lambda: b"", "is not a readable npy file"),
    ],
    ids=["lies", "cut off", "pickle", "half a header", "nothing"],
)
def test_hostile_files_are_refused(content, words, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = npy(tmp_path / "a", *parts)
    (folder / "x_train.npy").write_bytes(content())
    with pytest.raises(DataError, match=words):
        loaders.npy(path=str(folder))
    assert not (tmp_path / "PROOF").exists()


def test_objects_are_never_unpickled(parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = npy(tmp_path / "a", *parts)
    np.save(folder / "y_train.npy", np.array([Touch()] * 200, object), allow_pickle=True)
    with pytest.raises(DataError, match=r"y_train\.npy holds Python objects, which could run code"):
        loaders.npy(path=str(folder))
    assert not (tmp_path / "PROOF").exists()


def test_a_folder_without_them_is_told(tmp_path):
    with pytest.raises(DataError, match="has no npy files"):
        loaders.npy(path=str(tmp_path))
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(DataError, match="lacks the array"):
        loaders.npy(path=str(tmp_path))
