"""Small files of exactly the structure in which data sets are distributed; where that structure stands is beside each.

Each writer takes the folder and arrays of 28×28 digits, and returns the path that `data.path` names.
"""

import csv
import gzip
import struct
from pathlib import Path

import numpy as np

from mnist_exp.data.mnist import FASHION_COUNTS, FASHION_SUM

_IDX_TYPES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
# EMNIST letters: `label upper lower`, codes of ASCII, a line each (emnist-letters-mapping.txt of gzip.zip).
LETTERS = "".join(f"{label} {64 + label} {96 + label}\n" for label in range(1, 27))
# From kmnist_classmap.csv and k49_classmap.csv, codh.rois.ac.jp/kmnist: index,codepoint,char.
KANA = "おきすつなはまやれを"


def some_digits(digits, train=200, test=60):
    """Return (x_train, y_train), (x_test, y_test) of all classes alike."""
    (x_train, y_train), (x_test, y_test) = digits
    return (
        (x_train[:: len(x_train) // train], y_train[:: len(y_train) // train]),
        (x_test[:: len(x_test) // test], y_test[:: len(y_test) // test]),
    )


def write_idx(path, array):
    """LeCun, yann.lecun.com/exdb/mnist: 0, 0, a type, the number of dimensions, the sizes, the values, big endian."""
    kind = array.dtype.str[1:]
    head = struct.pack(f">HBB{array.ndim}I", 0, _IDX_TYPES[kind], array.ndim, *array.shape)
    content = head + array.astype(f">{kind}").tobytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def mnist_idx(folder, train, test):
    """torchvision keeps raw/ with the packed and the unpacked files side by side (torchvision/datasets/mnist.py)."""
    raw = Path(folder) / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for part, (x, y) in {"train": train, "t10k": test}.items():
        for suffix in ("", ".gz"):
            write_idx(raw / f"{part}-images-idx3-ubyte{suffix}", x)
            write_idx(raw / f"{part}-labels-idx1-ubyte{suffix}", y)
    return folder


def emnist(folder, train, test, split="letters", mapping=LETTERS, first=1):
    """Cohen et al. 2017, arXiv:1702.05373, gzip.zip: transposed images, labels of letters from 1, a mapping file."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, (x, y) in {"train": train, "test": test}.items():
        write_idx(folder / f"emnist-{split}-{part}-images-idx3-ubyte.gz", np.swapaxes(x, 1, 2))
        write_idx(folder / f"emnist-{split}-{part}-labels-idx1-ubyte.gz", y + np.uint8(first))
    (folder / f"emnist-{split}-mapping.txt").write_text(mapping)
    return folder


def qmnist(folder, train, test):
    """Yadav and Bottou 2019, github.com/facebookresearch/qmnist: int32 labels (n, 8), 0 the class, 2 the writer."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, (x, y) in {"train": train, "test": test}.items():
        columns = np.zeros((len(y), 8), np.int32)
        columns[:, 0], columns[:, 1], columns[:, 2] = y, 4, 2000 + np.arange(len(y)) // 5
        columns[:, 5] = np.arange(len(y)) + 300_000
        write_idx(folder / f"qmnist-{part}-images-idx3-ubyte.gz", x)
        write_idx(folder / f"qmnist-{part}-labels-idx2-int.gz", columns)
    return folder


def kmnist(folder, train, test, name="kmnist", kana=KANA):
    """Clanuwat et al. 2018, github.com/rois-codh/kmnist: an npz file for each array, called arr_0, and a class map."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, (x, y) in {"train": train, "test": test}.items():
        np.savez_compressed(folder / f"{name}-{part}-imgs.npz", x)
        np.savez_compressed(folder / f"{name}-{part}-labels.npz", y)
    with (folder / f"{name}_classmap.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["index", "codepoint", "char"])
        rows.writerows([index, f"U+{ord(char):04X}", char] for index, char in enumerate(kana))
    return folder


def medmnist(file, train, test, labels=lambda y: y.reshape(-1, 1)):
    """Yang et al. 2023, github.com/MedMNIST/MedMNIST, medmnist/dataset.py: six arrays, labels (n, 1) or (n, 14)."""
    val = tuple(each[1::4] for each in train)
    parts = {"train": train, "val": val, "test": test}
    np.savez_compressed(
        file,
        **{f"{part}_images": x for part, (x, _) in parts.items()},
        **{f"{part}_labels": labels(y).astype(np.uint8) for part, (_, y) in parts.items()},
    )
    return Path(file)


def kaggle_digits(folder, train, test=None):
    """kaggle.com/competitions/digit-recognizer: label,pixel0,…,pixel783; test.csv lacks the label."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pixels = [f"pixel{number}" for number in range(train[0][0].size)]
    _write_csv(folder / "train.csv", ["label", *pixels], train[1], train[0])
    if test is not None:
        _write_csv(folder / "test.csv", pixels, None, test[0])
        (folder / "sample_submission.csv").write_text("ImageId,Label\n1,0\n2,0\n")
    return folder


def kaggle_signs(folder, train, test):
    """kaggle.com/datasets/datamunge/sign-language-mnist: label,pixel1,…; labels 0 to 24 without 9 (J is a movement)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, (x, y) in {"train": train, "test": test}.items():
        names = ["label", *(f"pixel{number}" for number in range(1, x[0].size + 1))]
        _write_csv(folder / f"sign_mnist_{part}.csv", names, y + (y >= 9), x)
    return folder


def mnist_in_csv(file, train):
    """kaggle.com/datasets/oddrationale/mnist-in-csv: label,1x1,1x2,…,28x28."""
    side = range(1, train[0].shape[1] + 1)
    _write_csv(file, ["label", *(f"{row}x{column}" for row in side for column in side)], train[1], train[0])
    return Path(file)


def without_names(file, train, *, is_first):
    """Label first: emnist-….csv of kaggle.com/crawford/emnist; last: scikit-learn's datasets/data/digits.csv.gz."""
    x, y = train[0].reshape(len(train[1]), -1), train[1].reshape(-1, 1)
    rows = np.hstack([y, x] if is_first else [x, y])
    text = "".join(",".join(map(str, row)) + "\n" for row in rows.tolist())
    content = text.encode()
    Path(file).write_bytes(gzip.compress(content, 1) if str(file).endswith(".gz") else content)
    return Path(file)


def _write_csv(file, names, labels, x):
    rows = x.reshape(len(x), -1).tolist()
    if labels is not None:
        rows = [[label, *row] for label, row in zip(labels.tolist(), rows, strict=True)]
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(names)
        writer.writerows(rows)


def clothes():
    """Arrays with all that is published of Fashion-MNIST's: shapes, numbers of each class, the sum of the pixels."""
    x_train = np.full((60_000, 28, 28), FASHION_SUM // (60_000 * 28 * 28), np.uint8)
    x_train.ravel()[: FASHION_SUM % (60_000 * 28 * 28)] += 1
    y_train, y_test = ((np.arange(10 * count) % 10).astype(np.uint8) for count in FASHION_COUNTS)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_train[:10_000], "y_test": y_test}


def coloured(x):
    """Return images of 28×28 as 32×32 in colour; each plane is another one."""
    wide = np.pad(x, ((0, 0), (2, 2), (2, 2)))
    return np.stack([wide, wide // 2, 255 - wide], axis=-1)


def svhn(folder, train, test, version="5"):
    """Netzer et al. 2011, ufldl.stanford.edu/housenumbers: X (32, 32, 3, n), y (n, 1); 10 is the digit 0."""
    import scipy.io

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, (x, y) in {"train": train, "test": test}.items():
        labels = np.where(y == 0, 10, y).astype(np.uint8).reshape(-1, 1)
        images = np.moveaxis(coloured(x), 0, -1)
        file = folder / f"{part}_32x32.mat"
        if version == "5":
            scipy.io.savemat(file, {"X": images, "y": labels}, do_compression=True)
        else:
            # Version 7.3 is HDF5 behind 512 bytes of text, the axes the other way round (MATLAB's "MAT-File Versions").
            import h5py

            with h5py.File(file, "w", userblock_size=512) as opened:
                opened["X"], opened["y"] = images.T, labels.T
            with file.open("r+b") as opened:
                opened.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116))
    return folder


def usps(file, train, test):
    """Hull 1994 as kaggle.com/bistaumanga/usps-dataset has it: train/data (n, 256), floats of 0 to 1, train/target."""
    import h5py

    with h5py.File(file, "w") as opened:
        for part, (x, y) in {"train": train, "test": test}.items():
            small = x[:, 6:22, 6:22].reshape(len(x), 256) / np.float32(255)
            opened.create_dataset(f"{part}/data", data=small, compression="gzip")
            opened.create_dataset(f"{part}/target", data=y.astype(np.int64))
    return Path(file)


CIFAR_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar_10(folder, train, test):
    """Krizhevsky 2009, cs.toronto.edu/~kriz/cifar.html: records of a label and three planes, five files and a test."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"data_batch_{number + 1}.bin": tuple(each[number::5] for each in train) for number in range(5)}
    for name, (x, y) in (files | {"test_batch.bin": test}).items():
        planes = np.moveaxis(coloured(x), -1, 1).reshape(len(x), 3072)
        (folder / name).write_bytes(np.concatenate([y.astype(np.uint8)[:, None], planes], axis=1).tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CIFAR_10) + "\n\n")
    return folder


def cifar_100(folder, train, test):
    """The same page: records of a coarse and a fine label; here 20 fine classes, two of each of 10 coarse ones."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, (x, y) in {"train": train, "test": test}.items():
        planes = np.moveaxis(coloured(x), -1, 1).reshape(len(x), 3072)
        fine = 2 * y + (np.arange(len(y)) // 10 % 2).astype(y.dtype)
        labels = np.stack([y, fine], axis=1).astype(np.uint8)
        (folder / f"{part}.bin").write_bytes(np.concatenate([labels, planes], axis=1).tobytes())
    (folder / "coarse_label_names.txt").write_text("\n".join(f"coarse {n}" for n in range(10)) + "\n")
    (folder / "fine_label_names.txt").write_text("\n".join(f"fine {n}" for n in range(20)) + "\n")
    return folder


def npy(folder, train, test):
    """One's own: an array a file, as np.save writes it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, (x, y) in {"train": train, "test": test}.items():
        np.save(folder / f"x_{part}.npy", x)
        np.save(folder / f"y_{part}.npy", y)
    return folder


def png(image):
    """Return an image as the content of a PNG file."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def hugging_face(folder, train, test, shards=2, image="image", label="label", names=tuple("0123456789")):
    """huggingface.co/datasets/ylecun/mnist: structs of bytes and path, int64 labels, names in the schema's metadata."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Path(folder) / "mnist"
    folder.mkdir(parents=True, exist_ok=True)
    features = {image: {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([(image, kind), (label, pa.int64())], metadata=metadata)
    for part, (x, y), count in (("train", train, shards), ("test", test, 1)):
        for number, rows in enumerate(np.array_split(np.arange(len(y)), count)):
            images = [{"bytes": png(x[row]), "path": None} for row in rows]
            table = pa.table({image: images, label: y[rows].astype(np.int64)}, schema=schema)
            pq.write_table(table, folder / f"{part}-{number:05d}-of-{count:05d}.parquet")
    return folder.parent
