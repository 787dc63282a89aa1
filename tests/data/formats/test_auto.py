"""data=auto: every format is found out of the files, and told."""

import pickle
import shutil

import numpy as np
import pytest
import scipy.io
from format_files import (
    cifar_10,
    cifar_100,
    emnist,
    hugging_face,
    kaggle_signs,
    kmnist,
    medmnist,
    mnist_idx,
    npy,
    png,
    qmnist,
    some_digits,
    svhn,
    usps,
)

from mnist_exp.data import loaders
from mnist_exp.errors import DataError


@pytest.fixture(scope="module")
def parts(digits):
    return some_digits(digits)


def folder_of_images(folder, train, test):
    for part, (x, y) in {"train": train, "test": test}.items():
        for number, (image, label) in enumerate(zip(x, y, strict=True)):
            (folder / part / f"digit {label}").mkdir(parents=True, exist_ok=True)
            (folder / part / f"digit {label}" / f"{number}.png").write_bytes(png(image))
    return folder


WRITERS = {
    "MNIST": (mnist_idx, "idx"),
    "EMNIST": (emnist, "idx"),
    "QMNIST": (qmnist, "idx"),
    "KMNIST": (kmnist, "npz"),
    "MedMNIST": (lambda folder, *parts: medmnist(folder / "a.npz", *parts), "npz"),
    "SVHN": (svhn, "mat"),
    "SVHN of 7.3": (lambda *given: svhn(*given, version="7.3"), "mat"),
    "USPS": (lambda folder, *parts: usps(folder / "usps.h5", *parts), "hdf5"),
    "USPS in a folder": (lambda folder, *parts: usps(folder / "usps.h5", *parts).parent, "hdf5"),
    "CIFAR-10": (cifar_10, "cifar"),
    "CIFAR-100": (cifar_100, "cifar"),
    "Hugging Face": (hugging_face, "parquet"),
    "npy": (npy, "npy"),
    "Kaggle's signs": (kaggle_signs, "csv"),
    "images": (folder_of_images, "image_folder"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_found_out(name, parts, tmp_path):
    write, kind = WRITERS[name]
    (tmp_path / "a").mkdir()
    path = write(tmp_path / "a", *parts)
    source = loaders.auto(path=str(path))
    assert source.place == f"{path}, which is data={kind}"
    assert (len(source.train[1]), len(source.test[1])) == (200, len(parts[1][1]))


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_of_any_is_as_good(kind, parts, tmp_path):
    folder = folder_of_images(tmp_path / "a", *parts)
    archive = shutil.make_archive(str(tmp_path / "digits"), kind, folder)
    source = loaders.auto(path=archive)
    assert len(source.train[1]) == 200
    assert source.class_names[3] == "digit 3"
    assert "it was unpacked into" in source.unread[0]


def test_the_share_of_the_test_set_can_be_said(parts, tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"x": parts[0][0], "y": parts[0][1]})
    for path in (tmp_path, tmp_path / "a.mat"):
        assert len(loaders.auto(path=str(path), test_share=0.5).test[1]) == 100


def test_several_formats_in_one_folder_are_told(parts, tmp_path):
    npy(tmp_path, *parts)
    usps(tmp_path / "usps.h5", *parts)
    with pytest.raises(DataError, match="holds data of several formats: say which, data=npy or data=hdf5"):
        loaders.auto(path=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pkl", pickle.dumps([1, 2]), "a pickle, which may run any code"),
        ("a.png", png(np.zeros((4, 4), np.uint8)), "a single image: name the folder of all"),
        ("a.bin", b"nothing known", "begins with 6e 6f 74"),
        ("a.bin", b"", "begins with nothing"),
        ("a.tar.gz", b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 20, "begins with 1f 8b 08"),
    ],
)
def test_files_of_no_known_format_are_told(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{words}.*data=auto knows parquet, cifar"):
        loaders.auto(path=str(tmp_path / name))


def test_folders_of_nothing_known_are_told(tmp_path):
    (tmp_path / "notes.md").touch()
    with pytest.raises(DataError, match=r"holds no data that are known: notes\.md"):
        loaders.auto(path=str(tmp_path))
