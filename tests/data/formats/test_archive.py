"""Archives are unpacked once, and never outside their folder, nor without end."""

import io
import shutil
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from format_files import hugging_face, kaggle_digits, kmnist, mnist_idx, some_digits, usps

from mnist_exp.data import loaders
from mnist_exp.data.download import keras_cache
from mnist_exp.data.formats import archive
from mnist_exp.errors import DataError


@pytest.fixture(scope="module")
def parts(digits):
    return some_digits(digits, 20, 20)


@pytest.fixture
def cache():
    return keras_cache() / "mnist_exp-unpacked"


def write_zip(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def write_tar(path, members, mode="w:gz"):
    """Members are contents, or changes of a member without one."""
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                file.addfile(info)
    return path


def refused(path, *words):
    with pytest.raises(DataError) as error:
        archive.unpacked(path)
    for word in (str(path), *words):
        assert word in str(error.value)


def files_of(folder):
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_archive_is_read_as_the_folder_in_it_and_unpacked_once(kind, parts, tmp_path, cache):
    mnist_idx(tmp_path / "in" / "MNIST", *parts)
    path = Path(shutil.make_archive(str(tmp_path / "digits"), kind, tmp_path / "in"))
    source = loaders.idx(path=str(path))
    np.testing.assert_array_equal(source.train[0], parts[0][0])
    assert source.place == str(path)
    (folder,) = cache.iterdir()
    assert f"{path} is an archive; it was unpacked into {folder}" in source.unread[0]
    written = {each: each.stat().st_mtime_ns for each in folder.rglob("*")}
    loaders.idx(path=str(path))
    assert {each: each.stat().st_mtime_ns for each in folder.rglob("*")} == written
    assert list(cache.iterdir()) == [folder]


@pytest.mark.parametrize("kind", ["hdf5", "npz", "csv", "parquet", "mat"])
def test_archive_of_one_file_is_as_good_as_the_file(kind, parts, tmp_path):
    import scipy.io

    (tmp_path / "in").mkdir()
    writers = {
        "hdf5": lambda folder: usps(folder / "usps.h5", *parts),
        "npz": lambda folder: np.savez(folder / "a.npz", x=parts[0][0], y=parts[0][1]),
        "csv": lambda folder: kaggle_digits(folder, parts[0]),
        "parquet": lambda folder: hugging_face(folder, *parts, shards=1),
        "mat": lambda folder: scipy.io.savemat(folder / "a.mat", {"x": parts[0][0], "y": parts[0][1]}),
    }
    writers[kind](tmp_path / "in" / "deep" if kind == "csv" else tmp_path / "in")
    for file in (tmp_path / "in").rglob("test*"):
        file.unlink()
    path = shutil.make_archive(str(tmp_path / "data"), "zip", tmp_path / "in")
    source = getattr(loaders, kind)(path=path)
    assert source.place == path
    assert loaders.auto(path=path).place == f"{path}, which is data={kind}"


def test_npz_file_is_no_archive_and_neither_is_a_packed_file(parts, tmp_path, cache):
    kmnist(tmp_path / "npz", *parts)
    mnist_idx(tmp_path, *parts)
    np.savez(tmp_path / "npz" / "no_suffix", x=parts[0][0])
    (tmp_path / "npz" / "no_suffix.npz").rename(tmp_path / "npz" / "no_suffix")
    for file in [*(tmp_path / "npz").iterdir(), *(tmp_path / "raw").iterdir()]:
        assert not archive.is_archive(file)
    assert not cache.exists()


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../out.txt", "a/../../out.txt", "C:\\out.txt", "a\\..\\..\\out.txt", "x/" * 30 + "y", "n" * 300],
)
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_paths_that_lead_elsewhere_are_refused(write, name, tmp_path, cache):
    path = write(tmp_path / "a.zip" if write is write_zip else tmp_path / "a.tgz", {"good.txt": b"x", name: b"out"})
    refused(path, "does not stay within a folder")
    assert files_of(tmp_path) == [path.name]
    assert list(cache.iterdir()) == [], "nothing is left"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_of_tar_are_refused(kind, tmp_path):
    refused(write_tar(tmp_path / "a.tar", {"a": (kind, "/etc/passwd"), "a/b": b"x"}, "w"), "a, which is no plain file")


def test_links_of_zip_are_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    refused(tmp_path / "a.zip", "link, which is no plain file")


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_second_member_of_a_name_is_refused(write, tmp_path):
    suffix = "zip" if write is write_zip else "tgz"
    path = write(tmp_path / f"a.{suffix}", {"a": b"1", "./a": b"2"})
    refused(path, "cannot be unpacked", "exists")


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_archive_of_zeros_is_unpacked_only_up_to_what_data_grow_to(kind, tmp_path, cache):
    zeros = bytes(100_000_000)
    if kind == "zip":
        path = write_zip(tmp_path / "a.zip", {"a": zeros}, compression=zipfile.ZIP_DEFLATED)
    else:
        path = write_tar(tmp_path / "a.tgz", {"a": zeros})
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    refused(path, "no data shrink to a 200th")
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    tracemalloc.stop()
    assert list(cache.iterdir()) == []


def test_size_that_lies_is_not_believed(tmp_path, cache):
    path = write_zip(tmp_path / "a.zip", {"a": bytes(100_000_000)}, compression=zipfile.ZIP_DEFLATED)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 100_000_000), struct.pack("<I", 10)))
    refused(path)
    assert list(cache.iterdir()) == []


def test_header_of_tar_that_is_longer_than_any_name_is_refused(tmp_path):
    info = tarfile.TarInfo("a")
    info.type, info.size = tarfile.XHDTYPE, 60_000_000
    path = tmp_path / "a.tgz"
    with tarfile.open(path, "w:gz") as file:
        file.addfile(info, io.BytesIO(bytes(60_000_000)))
    refused(path, "no name is that long")


def test_more_files_than_anybody_needs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_FILES", 10)
    refused(write_zip(tmp_path / "a.zip", {str(number): b"" for number in range(11)}), "more than 10 files")


def test_damaged_and_encrypted_archives_are_named(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a": b"content" * 100})
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    refused(path, "cannot be unpacked")
    encrypted = bytearray(whole)
    for start in (whole.index(b"PK\x03\x04") + 6, whole.index(b"PK\x01\x02") + 8):
        encrypted[start] |= 1
    path.write_bytes(bytes(encrypted))
    refused(path, "encrypted")
    tar = write_tar(tmp_path / "a.tar.gz", {"a": bytes(range(256)) * 400})
    tar.write_bytes(tar.read_bytes()[:-200])
    refused(tar, "cannot be unpacked")


def test_cache_that_cannot_be_written_is_named(tmp_path, cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file")
    refused(write_zip(tmp_path / "a.zip", {"a": b""}), f"cannot be unpacked into {cache}")
