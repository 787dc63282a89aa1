"""Folders of images that are read as they are needed: the same pixels, identity and errors as in memory."""

import os
import pickle
import time

import numpy as np
import pytest
from PIL import Image

from mnist_exp.composition.compose import compose
from mnist_exp.data import load
from mnist_exp.data.images import lazy_folder
from mnist_exp.data.lazy import LazyArray
from mnist_exp.errors import DataError

KINDS = ["a.png", "b.jpg", "c.bmp", "d.webp", "e.tiff", "f.gif"]


def write(folder, count=24, *, size=(9, 7)):
    """Write images of several formats, modes, sizes and orientations, in two classes; all an hour old."""
    rng = np.random.default_rng(0)
    for number in range(count):
        file = folder / f"class {number % 2}" / f"{number:03d}{KINDS[number % 6]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        shape = (size[1] + number % 3, size[0], 3) if number % 4 else (size[1], size[0])
        image = Image.fromarray(rng.integers(0, 256, shape, np.uint8))
        exif = image.getexif()
        exif[0x0112] = 6 if number % 5 == 0 else 1
        image.save(file, exif=exif) if file.suffix == ".jpg" else image.save(file)
    settle(folder)
    return folder


def settle(folder):
    """Make the files look as if nobody had written to them for an hour."""
    hour_ago = time.time() - 3600
    for file in folder.rglob("*.*"):
        os.utime(file, (hour_ago, hour_ago))


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """The time of a file's change cannot be set back: what counts as a moment ago is made short."""
    monkeypatch.setattr(lazy_folder, "_SETTLED_NS", 1)


def get(folder, *words):
    return load(compose(["data=image_folder", f"data.path='{folder}'", "data.size=[9,7]", *words]))


LAZY = "data.in_memory_mb=1"


@pytest.fixture
def small(monkeypatch):
    """Make a megabyte so small that the folders of these tests are larger."""
    from mnist_exp.data.images import source as folders

    monkeypatch.setattr(folders, "MB", 100)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("parts", [("",), ("train", "test")])
def test_the_pixels_and_the_identity_are_those_in_memory(tmp_path, channels, parts):
    for part in parts:
        write(tmp_path / "a" / part)
    in_memory = get(tmp_path / "a", "data.in_memory_mb=null", f"data.channels={channels}")
    found = get(tmp_path / "a", LAZY, f"data.channels={channels}")
    assert isinstance(found.x_train, LazyArray)
    assert isinstance(found.x_test, LazyArray)
    assert found.sha256 == in_memory.sha256
    for name in ("x_train", "x_test", "y_train", "y_test"):
        np.testing.assert_array_equal(getattr(found, name)[:], getattr(in_memory, name))
    order = np.random.default_rng(1).permutation(len(found.x_train))
    np.testing.assert_array_equal(found.x_train[order], in_memory.x_train[order])
    assert found.class_names == in_memory.class_names


def test_in_memory_mb_decides_what_is_read_as_needed(tmp_path):
    folder = write(tmp_path / "a", size=(300, 200))
    huge = "data.size=[300,200]"  # 24 images of 60,000 bytes: 1.44 MB
    assert isinstance(get(folder, huge, "data.in_memory_mb=1").x_train, LazyArray)
    for more in ("data.in_memory_mb=2", "data.in_memory_mb=null", "data.channels=1"):
        assert isinstance(get(folder, huge, more).x_train, np.ndarray)


@pytest.mark.usefixtures("small")
def test_unchanged_files_are_read_once_for_their_identity(tmp_path, monkeypatch):
    folder = write(tmp_path / "a")
    first = get(folder, LAZY).sha256
    reads = []
    read = lazy_folder.FolderImages.read
    monkeypatch.setattr(lazy_folder.FolderImages, "read", lambda self, p: (reads.append(len(p)), read(self, p))[1])
    assert get(folder, LAZY).sha256 == first
    assert reads == []
    get(folder, LAZY, "data.channels=3")
    assert sum(reads) == 24


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kept", ["time of modification", "size"])
def test_a_changed_file_is_another_identity_though_it_looks_alike(tmp_path, kept):
    folder = write(tmp_path / "a")
    first = get(folder, LAZY).sha256
    file = folder / "class 0" / "000a.png"
    before = file.stat()
    pixels = np.asarray(Image.open(file)).copy()
    pixels[0, 0] ^= 255
    if kept == "size":
        content = bytearray((folder / "class 0" / "002c.bmp").read_bytes())
        content[60] ^= 255
        (folder / "class 0" / "002c.bmp").write_bytes(content)
    else:
        Image.fromarray(pixels).save(file)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert get(folder, LAZY).sha256 != first
    assert get(folder, LAZY).sha256 == get(folder, "data.in_memory_mb=null").sha256


@pytest.mark.usefixtures("small")
def test_files_written_a_moment_ago_are_read_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy_folder, "_SETTLED_NS", 10**12)
    found = get(write(tmp_path / "a"), LAZY)
    assert found.x_train.identity() is None
    assert not (tmp_path / "keras" / "datasets").exists()


@pytest.mark.usefixtures("small")
def test_a_file_that_changes_while_it_is_in_use_is_an_error(tmp_path):
    folder = write(tmp_path / "a")
    found = get(folder, LAZY)
    file = folder / "class 1" / "001b.jpg"
    file.write_bytes((folder / "class 1" / "007b.jpg").read_bytes())
    with pytest.raises(DataError, match=r"001b\.jpg was changed while the data set was in use: start again"):
        found.x_train[:]
        found.x_test[:]
    file.unlink()
    with pytest.raises(DataError, match=r"001b\.jpg cannot be read: No such file"):
        found.x_train[:]
        found.x_test[:]


@pytest.mark.usefixtures("small")
def test_every_bad_file_and_empty_class_is_named_as_in_memory(tmp_path):
    folder = write(tmp_path / "a")
    (folder / "class 0" / "bad.png").write_bytes(b"no image")
    cut = folder / "class 1" / "003d.webp"
    cut.write_bytes(cut.read_bytes()[:40])
    settle(folder)
    errors = []
    for words in ("data.in_memory_mb=null", LAZY):
        with pytest.raises(DataError) as error:
            get(folder, words)
        errors.append(sorted(error.value.problems))
    assert errors[0] == errors[1]
    assert len(errors[0]) == 2
    (folder / "class 2").mkdir()
    with pytest.raises(DataError, match="class 2 has no image"):
        get(folder, LAZY)


@pytest.mark.usefixtures("small")
def test_it_reaches_other_processes(tmp_path):
    found = get(write(tmp_path / "a"), LAZY)
    sent = pickle.loads(pickle.dumps(found.x_train))
    np.testing.assert_array_equal(sent[:], found.x_train[:])
