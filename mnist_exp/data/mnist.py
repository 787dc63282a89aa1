"""Find the full MNIST and Fashion-MNIST: in a given place, the user's folder, Keras's cache, or by a download."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data.dataset import SPLITS, Pair, Source
from mnist_exp.data.download import fetch, keras_cache
from mnist_exp.data.formats.idx import find_idx, missing_idx, read_idx_files
from mnist_exp.data.formats.npz import read_npz
from mnist_exp.errors import DataError
from mnist_exp.runtime.start_folder import expand

FOLDER_VARIABLE = "MNIST_EXP_DATA"
MNIST_SHA256 = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
# MD5 of the four gzipped files, as their authors publish them (github.com/zalandoresearch/fashion-mnist).
FASHION_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
# The sum of its training pixels: their published mean, 72.94035223214286, times 60,000 × 28 × 28 is this whole number.
FASHION_SUM = 3_431_114_169
FASHION_COUNTS = (6_000, 1_000)  # images of each of the ten classes, to train and to test


def find_mnist(path: str | None, mirrors: Sequence[str]) -> Source:
    """Return the full MNIST, verified by the SHA-256 of its arrays.

    Args:
        path: an npz file, or a folder with mnist.npz or the four IDX files; None looks in the usual places.
        mirrors: addresses of an mnist.npz to download.
    Raises: DataError: a place that the user named holds no MNIST, or no place does.
    """
    if named := _named(path, "mnist"):
        option, place = named
        return _read_mnist(place, option)
    cached = keras_cache() / "mnist.npz"
    damage = ""
    if cached.is_file():
        try:
            return _read_mnist(cached, f"the Keras cache, {cached}")
        except DataError as error:
            damage = f"the copy in the Keras cache is damaged ({error}); "
    try:
        fetch(mirrors, cached, _verify_mnist_file)
    except DataError as error:
        raise DataError(
            f"data=mnist was not found in data.path, ${FOLDER_VARIABLE} or {cached}; {damage}{error}"
        ) from error
    return _read_mnist(cached, f"a download, now in {cached}")


def find_fashion_mnist(path: str | None, mirrors: Sequence[str]) -> Source:
    """Return Fashion-MNIST from its four IDX files, or an npz file.

    A download is verified by the published MD5 of the files. The arrays of any place must have the shapes, the numbers
    of images of each class, and the sum of training pixels that are published; there is no published digest of them.

    Args:
        path: a folder with the four files, or an npz file; None looks in the usual places.
        mirrors: addresses of folders that hold the four gzipped files.
    Raises: DataError: a place that the user named does not hold it, or no place does.
    """
    if named := _named(path, "fashion-mnist"):
        option, place = named
        source = _read(place, "fashion_mnist.npz", option)
        if hashlib.sha256(source.test[1].tobytes()).hexdigest() == MNIST_SHA256["y_test"]:
            raise DataError(
                f"{option} holds the digits of MNIST, not Fashion-MNIST, whose files have the same names; "
                "put them into its subfolder fashion-mnist, or set data.path"
            )
        _verify_fashion(source, option)
        return source
    folder = keras_cache() / "fashion-mnist"
    where = f"the Keras cache, {folder}"
    if find_idx(folder) is None:
        where = f"a download, now in {folder}"
        for name, md5 in FASHION_MD5.items():
            try:
                urls = [f"{mirror.rstrip('/')}/{name}" for mirror in mirrors]
                fetch(urls, folder / name, lambda file, md5=md5: _verify_md5(file, md5))  # type: ignore[misc]
            except DataError as error:
                usual = f"data.path, ${FOLDER_VARIABLE} or {folder}"
                raise DataError(f"data=fashion_mnist was not found in {usual}; {error}") from error
    source = _read(folder, "fashion_mnist.npz", where)
    _verify_fashion(source, where)
    return source


def exists(path: Path) -> bool:
    """Tell whether a file or folder exists."""
    try:
        return path.exists()
    except OSError:  # A name that is too long, or a folder that may not be read.
        return False


def is_named(path: str | None) -> bool:
    """Tell whether the user gave a place of the data."""
    return path is not None or bool(os.environ.get(FOLDER_VARIABLE))


def _named(path: str | None, subfolder: str) -> tuple[str, Path] | None:
    """Return the option that names the place, for messages, and the place; None if the user gave none."""
    if path is not None:
        option, place = f"data.path={show(path)}", expand(path)
    elif variable := os.environ.get(FOLDER_VARIABLE):
        option, place = f"${FOLDER_VARIABLE}={variable}", expand(variable)
        if not (exists(place) and place.is_dir()):
            raise DataError(f"{option} is not a folder; set it to one that holds the data, or unset it")
        place = place / subfolder if (place / subfolder).is_dir() else place
    else:
        return None
    if path == "" or not exists(place):
        raise DataError(f"{option} does not exist")
    return option, place


def _read_mnist(place: Path, words: str) -> Source:
    source = _read(place, "mnist.npz", words)
    _verify_mnist(source.train, source.test, words)
    return source


def _read(place: Path, npz_name: str, words: str) -> Source:
    for file in (place, place / npz_name):
        if file.is_file():
            parts = read_npz(file, SPLITS)
            assert parts.test is not None
            return Source(parts.train, parts.test, words, unread=parts.told)
    files = find_idx(place)
    if files is None:
        lacks = ", ".join(missing_idx(place))
        raise DataError(f"{words} holds neither {npz_name} nor the four IDX files; of these it lacks {lacks}")
    return Source(*read_idx_files(files), words)


def _verify_mnist_file(file: Path) -> None:
    try:
        parts = read_npz(file, SPLITS)
        assert parts.test is not None
        _verify_mnist(parts.train, parts.test, "the file there")
    except DataError as error:
        raise DataError(str(error).replace(str(file), "the file there")) from error


def _verify_mnist(train: Pair, test: Pair, words: str) -> None:
    for split, array in zip(SPLITS, (*train, *test), strict=True):
        if hashlib.sha256(np.ascontiguousarray(array).data).hexdigest() != MNIST_SHA256[split]:
            raise DataError(
                f"{words} is not the MNIST that was published: {split} has another SHA-256; "
                "use data=npz for arrays of your own"
            )


def _verify_fashion(source: Source, words: str) -> None:
    """Make sure that arrays are those of Fashion-MNIST: any data set may have files of these names."""
    problem = ""
    for (x, y), count, split in zip((source.train, source.test), FASHION_COUNTS, ("training", "test"), strict=True):
        labels, counts = np.unique(y, return_counts=True)
        if x.shape != (10 * count, 28, 28) or y.shape != x.shape[:1]:
            problem = f"its {split} images have the shape {x.shape}, not {(10 * count, 28, 28)}"
        elif labels.tolist() != list(range(10)) or set(counts.tolist()) != {count}:
            problem = f"not each of the classes 0 to 9 has {count:,} {split} images"
        if problem:
            break
    total = 0 if problem else int(source.train[0].sum(dtype=np.int64))
    if not problem and total != FASHION_SUM:
        problem = f"the sum of its training pixels is {total:,}, not {FASHION_SUM:,}"
    if problem:
        raise DataError(
            f"{words} is not the Fashion-MNIST that was published: {problem}; use data=idx or data=npz for a data set "
            "of your own, whose classes are not called T-shirt, Trouser, …"
        )


def _verify_md5(file: Path, md5: str) -> None:
    if hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() != md5:
        raise DataError("the content has another MD5 than the published file")
