"""Parquet files as Hugging Face distributes them, in shards, with other names of columns, and damaged ones."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from format_files import hugging_face, png, some_digits

from mnist_exp.data import loaders
from mnist_exp.data.checking import from_source
from mnist_exp.errors import DataError
from mnist_exp.tasks.builders import auto


@pytest.fixture(scope="module")
def parts(digits):
    return some_digits(digits)


def test_it_is_read_as_it_is_distributed(parts, tmp_path):
    folder = hugging_face(tmp_path, *parts, names=[f"digit {n}" for n in range(10)])
    for path in (folder, folder / "mnist"):
        data = from_source("parquet", loaders.parquet(path=str(path)), auto())
        np.testing.assert_array_equal(data.x_train[..., 0], parts[0][0])
        np.testing.assert_array_equal(data.y_train, parts[0][1])
        np.testing.assert_array_equal(data.x_test[..., 0], parts[1][0])
        assert data.class_names[3] == "digit 3"
        assert data.warnings == ()


def test_the_names_of_files_say_their_sets(parts, tmp_path):
    folder = hugging_face(tmp_path, *parts) / "mnist"
    (folder / "validation").mkdir()
    (folder / "test-00000-of-00001.parquet").rename(folder / "validation" / "0000.parquet")  # As its own branch has it.
    source = loaders.parquet(path=str(folder))
    np.testing.assert_array_equal(source.validation[1], parts[1][1])
    assert len(source.test[1]) == 40
    (folder / "more.parquet").write_bytes((folder / "validation" / "0000.parquet").read_bytes())
    with pytest.raises(DataError, match=r"has parquet files of train and val.*, and others: more\.parquet"):
        loaders.parquet(path=str(folder))


def test_one_file_gives_a_test_set(parts, tmp_path):
    folder = hugging_face(tmp_path, *parts, shards=1) / "mnist"
    source = loaders.parquet(path=str(folder / "train-00000-of-00001.parquet"), test_share=0.1)
    assert (len(source.train[1]), len(source.test[1])) == (180, 20)


def write(tmp_path, **columns):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    return str(tmp_path / "a.parquet")


def test_columns_of_other_names_are_found_or_said(parts, tmp_path):
    folder = hugging_face(tmp_path / "named", *parts, image="img", label="fine_label")
    assert len(loaders.parquet(path=str(folder)).train[1]) == 200
    x, y = parts[0]
    files = [png(image) for image in x]
    path = write(tmp_path, id=np.arange(200), front=files, back=files[::-1], kind=[f"k{n}" for n in y], other=y)
    with pytest.raises(DataError, match=r"has no column called label: say data\.label=, one of id, front, back"):
        loaders.parquet(path=path)
    with pytest.raises(DataError, match=r"several columns of images: say data\.image=, one of front, back"):
        loaders.parquet(path=path, label="kind")
    with pytest.raises(DataError, match=r"data\.label=kinds is no column of .* did you mean kind\?"):
        loaders.parquet(path=path, label="kinds")
    with pytest.raises(DataError, match=r"data\.image=id holds int64, no files of images"):
        loaders.parquet(path=path, label="kind", image="id")
    source = loaders.parquet(path=path, label="kind", image="back")
    data = from_source("parquet", source, auto())
    assert data.class_names[:2] == ("k0", "k1")
    assert "not used: id, front, other" in data.warnings[0]


def test_rows_of_one_group_stay_together(parts, tmp_path):
    x, y = parts[0]
    writers = [f"w{n}" for n in np.arange(200) // 20]
    path = write(tmp_path, image=[png(image) for image in x], label=y, writer=writers)
    source = loaders.parquet(path=path, group_by="writer")
    assert len(set(source.groups)) == 8


def test_size_and_colours_can_be_said(parts, tmp_path):
    folder = hugging_face(tmp_path, *parts)
    assert loaders.parquet(path=str(folder), size=[14, 20], channels=3).train[0].shape == (200, 14, 20, 3)


def test_tables_of_numbers_are_read(parts, tmp_path):
    x, y = parts[0]
    lists = write(tmp_path, image=x.tolist(), label=y)
    np.testing.assert_array_equal(
        np.sort(loaders.parquet(path=lists).train[0].sum(axis=(1, 2)))[-1], x.sum(axis=(1, 2)).max()
    )
    assert loaders.parquet(path=lists, shape=[784]).train[0].shape == (160, 784)
    columns = {f"pixel{n}": x.reshape(200, -1)[:, n] for n in range(784)}
    path = write(tmp_path, label=y, **columns)
    source = loaders.parquet(path=path)
    assert source.train[0].shape == (160, 28, 28)
    path = write(tmp_path, label=y, a=np.arange(200.0), b=np.arange(200))
    assert loaders.parquet(path=path).train[0].shape == (160, 2)


def test_deep_images_share_one_range(tmp_path):
    x = [np.full((8, 8), level, np.uint16) for level in (0, 1000, 4000, 2000)]
    path = write(tmp_path, image=list(map(png, x)), label=[0, 1, 0, 1])
    source = loaders.parquet(path=path, test_share=0.5)
    assert source.depth == (0, 4095)
    found = np.concatenate([source.train[0], source.test[0]])[:, 0, 0, 0]
    assert sorted(found.tolist()) == [0, 62, 125, 249]


def test_every_bad_image_is_named_with_its_row(parts, tmp_path):
    files = [png(image) for image in parts[0][0][:6]]
    files[2], files[4] = b"no image", None
    path = write(tmp_path, image=files, label=[0, 1] * 3)
    with pytest.raises(DataError) as error:
        loaders.parquet(path=path)
    assert error.value.problems == [
        f"{path}, row 2 is not an image that can be read",
        f"{path}, row 4: there is no image: its bytes are not in the file",
    ]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"label": [0, None, 1], "a": [1, 2, 3]}, "1 of 3 labels are missing"),
        ({"label": [0, 1, 1], "a": [1, None, 3]}, "1 values of a are missing"),
        ({"label": [0, 1, 1], "a": [[1], [1, 2], [3]]}, "the rows of a do not have one shape"),
        ({"label": [0, 1, 1]}, "has no column of images or numbers beside the label"),
    ],
)
def test_what_cannot_be_used_is_told(columns, words, tmp_path):
    with pytest.raises(DataError, match=words):
        loaders.parquet(path=write(tmp_path, **columns))


def test_damaged_and_other_files_are_refused(parts, tmp_path):
    folder = hugging_face(tmp_path, *parts, shards=1) / "mnist"
    file = folder / "train-00000-of-00001.parquet"
    content = file.read_bytes()
    for bad in (content[: len(content) // 2], b"no parquet", b"", content[:-8] + b"\xff\xff\xff\x7fPAR1"):
        file.write_bytes(bad)
        with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet is not a readable parquet file"):
            loaders.parquet(path=str(folder))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no parquet files"):
        loaders.parquet(path=str(tmp_path / "empty"))


def test_what_grows_beyond_measure_is_refused(tmp_path):
    """Twenty million equal labels take a few kilobytes."""
    labels = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000_000, np.int8)), pa.array([7]))
    pq.write_table(pa.table({"label": labels, "a": labels}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 500_000
    with pytest.raises(DataError, match=r"says that it holds [\d,]+: no data shrink so far"):
        loaders.parquet(path=str(tmp_path / "a.parquet"))
