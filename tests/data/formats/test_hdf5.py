"""HDF5 files: USPS as it is distributed, one's own, and what is never followed."""

import h5py
import numpy as np
import pytest
from format_files import some_digits, usps

from mnist_exp.data import loaders
from mnist_exp.data.checking import from_source
from mnist_exp.errors import DataError
from mnist_exp.tasks.builders import auto


@pytest.fixture(scope="module")
def parts(digits):
    return some_digits(digits)


def test_it_is_read_as_it_is_distributed(parts, tmp_path):
    source = loaders.hdf5(path=str(usps(tmp_path / "usps.h5", *parts)))
    data = from_source("hdf5", source, auto())
    assert (data.shape, data.pixel_range, data.class_names) == ((16, 16, 1), (0, 1), tuple("0123456789"))
    np.testing.assert_allclose(data.x_train[..., 0], parts[0][0][:, 6:22, 6:22] / 255, atol=1e-6)
    np.testing.assert_array_equal(data.y_test, parts[1][1])
    assert "taken for an image 16×16 (data.shape)" in data.warnings[0]


def own(file, **arrays):
    with h5py.File(file, "w") as opened:
        for name, array in arrays.items():
            opened.create_dataset(name, data=array)
    return str(file)


def test_arrays_of_ones_own_are_read(parts, tmp_path):
    (x, y), (x_test, y_test) = parts
    words = np.array([f"digit {n}" for n in range(10)], object)[y]
    file = own(tmp_path / "a.h5", X=x, Y=words, extra=x_test)
    source = loaders.hdf5(path=file)
    assert from_source("hdf5", source, auto()).class_names[:2] == ("digit 0", "digit 1")
    assert "holds more than is used: extra" in source.unread[0]
    file = own(tmp_path / "b.h5", x_train=x, y_train=y, x_test=x_test, y_test=y_test, x_val=x_test, y_val=y_test)
    assert len(loaders.hdf5(path=file).validation[1]) == len(y_test)


def test_the_share_of_the_test_set_can_be_said(parts, tmp_path):
    file = own(tmp_path / "a.h5", x=parts[0][0], y=parts[0][1])
    assert len(loaders.hdf5(path=file, test_share=0.1).test[1]) == 20


def test_the_shape_of_one_example_can_be_said(parts, tmp_path):
    file = str(usps(tmp_path / "usps.h5", *parts))
    assert loaders.hdf5(path=file, shape=[8, 32]).train[0].shape == (200, 8, 32)
    assert loaders.hdf5(path=file, shape=[256]).train[0].shape == (200, 256)


def test_the_values_of_black_and_white_can_be_said(parts, tmp_path):
    file = str(usps(tmp_path / "usps.h5", *parts))
    assert from_source("hdf5", loaders.hdf5(path=file, pixels=[0, 2]), auto()).pixel_range == (0, 2)
    assert from_source("hdf5", loaders.hdf5(path=file, pixels=False), auto()).pixel_range is None


def test_what_lies_in_other_files_is_not_followed(parts, tmp_path):
    (x, y), _ = parts
    secret = own(tmp_path / "secret.h5", x=x)
    (tmp_path / "raw.bin").write_bytes(x.tobytes())
    with h5py.File(tmp_path / "linked.h5", "w") as opened:
        opened["y"] = y
        opened["x"] = h5py.ExternalLink(secret, "x")
    with pytest.raises(DataError, match="lacks the array"):
        loaders.hdf5(path=str(tmp_path / "linked.h5"))
    with h5py.File(tmp_path / "external.h5", "w") as opened:
        opened["y"] = y
        opened.create_dataset("x", x.shape, x.dtype, external=[(str(tmp_path / "raw.bin"), 0, x.nbytes)])
    with h5py.File(tmp_path / "virtual.h5", "w") as opened:
        opened["y"] = y
        layout = h5py.VirtualLayout(x.shape, x.dtype)
        layout[:] = h5py.VirtualSource(secret, "x", shape=x.shape)
        opened.create_virtual_dataset("x", layout)
    for name in ("external", "virtual"):
        with pytest.raises(DataError, match="the values of x lie in other files, which are not followed"):
            loaders.hdf5(path=str(tmp_path / f"{name}.h5"))


def test_a_group_that_holds_itself_has_an_end(parts, tmp_path):
    file = own(tmp_path / "a.h5", x=parts[0][0], y=parts[0][1])
    with h5py.File(file, "a") as opened:
        opened["loop"] = opened["/"]
    assert len(loaders.hdf5(path=file).train[1]) == 160


def test_promises_that_no_file_keeps_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened.create_dataset("x", (10**9, 1000), np.uint8, chunks=(1000, 1000), compression="gzip")
        opened["y"] = np.arange(10)
    with pytest.raises(DataError, match=r"x would be 1,000,000,000,000 bytes, which no file of"):
        loaders.hdf5(path=str(tmp_path / "a.h5"))


def test_damaged_and_other_files_are_refused(parts, tmp_path):
    file = usps(tmp_path / "usps.h5", *parts)
    content = file.read_bytes()
    for number, bad in enumerate((content[: len(content) // 2], b"no hdf5", b"", content[:8] + bytes(2000))):
        (tmp_path / f"{number}.h5").write_bytes(bad)
        with pytest.raises(DataError, match="is not a readable HDF5 file"):
            loaders.hdf5(path=str(tmp_path / f"{number}.h5"))
    with pytest.raises(DataError, match="name the file"):
        loaders.hdf5(path=str(tmp_path))
