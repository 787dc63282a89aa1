"""Tables and arrays that `predict` reads: what is chosen is told, and what is too much is not read."""

import gzip
import io
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mnist_exp.errors import DataError
from mnist_exp.inference.inputs import array_files
from mnist_exp.inference.inputs import arrays as array_inputs
from mnist_exp.inference.preprocessing import Reader

SHAPE = (4, 4, 1)
READER = Reader(SHAPE, "plain", None)


def pictures(count=3):
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def png(image):
    file = io.BytesIO()
    Image.fromarray(image[..., 0]).save(file, "PNG")
    return file.getvalue()


def examples(name, **options):
    told = []
    found = list(array_inputs.all_of([str(name)], SHAPE, True, reader=READER, tell=told.append, **options))
    return found, [sentence.removeprefix(f"{name}: ") for sentence in told]


def test_images_of_hugging_face_are_read_from_their_bytes(tmp_path):
    x = pictures()
    column = pa.array([{"bytes": png(image), "path": None} for image in x])
    pq.write_table(pa.table({"image": column, "label": [1, 2, 3]}), tmp_path / "test-00000-of-00001.parquet")
    found, told = examples(tmp_path / "test-00000-of-00001.parquet")
    np.testing.assert_array_equal([each.values for each in found], x)
    assert [each.path.rpartition(":")[2] for each in found] == ["0", "1", "2"]
    assert told == ["its column image is taken, not label"]


def test_a_row_without_an_image_is_named_and_the_others_are_read(tmp_path):
    x = pictures()
    pq.write_table(pa.table({"photo": [png(x[0]), None, b"no image", png(x[2])]}), tmp_path / "x.parquet")
    found, _ = examples(tmp_path / "x.parquet")
    errors = [str(each.values) if isinstance(each.values, DataError) else "" for each in found]
    assert [bool(error) for error in errors] == [False, True, True, False]
    assert errors[1] == f"{tmp_path}/x.parquet:1: there is no image: its bytes are not in the file"
    assert errors[2] == f"{tmp_path}/x.parquet:2 is not an image that can be read"


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv", "tsv.gz", "parquet"])
def test_every_table_gives_the_same_rows(suffix, tmp_path):
    x = pictures()
    rows = np.column_stack([np.arange(3), x.reshape(3, -1)])
    names = ["label", *(f"pixel{number}" for number in range(16))]
    file = tmp_path / f"x.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({name: rows[:, i] for i, name in enumerate(names)}), file)
    else:
        delimiter = "\t" if "tsv" in suffix else ","
        lines = [delimiter.join(names), *(delimiter.join(map(str, row)) for row in rows)]
        content = "\n".join(lines).encode()
        file.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    found, told = examples(file)
    np.testing.assert_array_equal([each.values for each in found], x)
    assert told == ["the column label is left out: the others are the values"]


def test_array_of_medmnist_and_of_kmnist_are_found(tmp_path):
    x = pictures()
    np.savez(tmp_path / "pneumoniamnist.npz", train_images=x, test_images=x[:1], test_labels=np.zeros((1, 1)))
    np.savez(tmp_path / "kmnist-test-imgs.npz", x)
    found, told = examples(tmp_path / "pneumoniamnist.npz")
    assert (len(found), told) == (1, ["its array test_images is taken, not train_images, test_labels"])
    assert examples(tmp_path / "kmnist-test-imgs.npz")[1] == []


def zeros(path, size):
    """Write an npz file whose array of zeros is packed to a thousandth."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w", force_zip64=True) as f:
        np.lib.format.write_array_header_1_0(f, {"descr": "|u1", "fortran_order": False, "shape": (size // 16, *SHAPE)})
        for _ in range(size // 1_000_000):
            f.write(bytes(1_000_000))


def packed_table(path, size):
    with gzip.open(path, "wb") as file:
        for _ in range(size // 1_000_000):
            file.write(b"0," * 499_999 + b"0\n")


def packed_parquet(path, size):
    pq.write_table(pa.table({"x": pa.array(np.zeros(size // 8))}), path, compression="zstd", use_dictionary=False)


@pytest.mark.parametrize(
    ("name", "write"), [("x.npz", zeros), ("x.csv.gz", packed_table), ("x.parquet", packed_parquet)]
)
def test_files_that_grow_beyond_measure_are_not_read(name, write, tmp_path):
    write(tmp_path / name, 200_000_000)
    assert (tmp_path / name).stat().st_size < 1_000_000
    with pytest.raises(DataError, match="no data shrink"):
        array_files.read(str(tmp_path / name), 16)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", b"a,b\n=1+1,2\n", "it cannot be read: ValueError: could not convert string '=1+1'"),
        ("x.csv", b"\xff\xfe", "it cannot be read"),
        ("x.csv.gz", b"\x1f\x8b\x08\0", "it cannot be read"),
        ("x.parquet", b"PAR1", "it is not a readable parquet file"),
        ("x.csv", b"a,b\n", "it has no rows of numbers"),
    ],
)
def test_damaged_tables_are_told(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        array_files.read(str(tmp_path / name), 2)
    assert words in str(caught.value)


def test_rows_with_more_cells_than_names_are_refused(tmp_path):
    """As R writes them: the values would be those of the column before."""
    (tmp_path / "a.csv").write_text("a,b\n1,2\n1,5,6\n")
    with pytest.raises(DataError, match="row 1 has 3 cells, and the line of names 2"):
        array_files.read(str(tmp_path / "a.csv"), 2)


def test_quoted_cells_are_read(tmp_path):
    (tmp_path / "a.csv").write_text('"a","b","text"\n"1","2","q, r"\n"3","4","s"\n')
    found = array_files.read(str(tmp_path / "a.csv"), 2, record=Known(["a", "b"]))
    assert found.values.tolist() == [[1, 2], [3, 4]]


class Known:
    """What a run recorded of its table."""

    def __init__(self, columns):
        self.columns = columns
