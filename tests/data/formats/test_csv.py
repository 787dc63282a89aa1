"""Tables of text as Kaggle and scikit-learn distribute them, of one's own, and hostile ones."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from format_files import kaggle_digits, kaggle_signs, mnist_in_csv, some_digits, without_names

from mnist_exp.composition.compose import compose
from mnist_exp.data import load, loaders
from mnist_exp.errors import DataError


@pytest.fixture(scope="module")
def parts(digits):
    return some_digits(digits)


@pytest.fixture(scope="module")
def small(parts):
    """Digits of 14×14 pixels: less to write."""
    return tuple((x[:, ::2, ::2], y) for x, y in parts)


def refused(path, *words, **options):
    with pytest.raises(DataError) as error:
        loaders.csv(path=str(path), **options)
    for word in words:
        assert word in str(error.value), str(error.value)


def write(path, text):
    path.write_text(text)
    return path


FLOWERS = "length;width;kind\n" + "".join(
    f"{5 + number / 10};{number % 7}.5;{'iris' if number % 2 else 'rose'}\n" for number in range(40)
)


def test_digits_of_kaggle_are_images_and_the_table_without_labels_is_told(parts, tmp_path):
    folder = kaggle_digits(tmp_path, *parts)
    source = loaders.csv(path=str(folder))
    assert source.train[0].dtype == np.uint8 and source.train[0].shape == (160, 28, 28)
    assert len(source.test[1]) == 40
    order = np.argsort([x.tobytes() for x in parts[0][0]])
    both = np.concatenate([source.train[0], source.test[0]])
    np.testing.assert_array_equal(both[np.argsort([x.tobytes() for x in both])], parts[0][0][order])
    told = "\n".join(source.unread)
    for words in ("784 columns", "images 28×28", "test.csv has no labels", "sample_submission.csv"):
        assert words in told
    refused(folder / "train.csv", "test.csv has no column label", test_path=str(folder / "test.csv"))


def test_gap_of_the_sign_language_digits_is_a_name_less(small, tmp_path):
    folder = kaggle_signs(tmp_path, *small)
    source = loaders.csv(path=str(folder))
    np.testing.assert_array_equal(source.train[0], small[0][0])
    np.testing.assert_array_equal(source.test[1], small[1][1] + (small[1][1] >= 9))
    data = load(compose(["data=csv", f"data.path={folder}"]))
    assert data.class_names == (*"012345678", "10")
    np.testing.assert_array_equal(data.y_train, small[0][1])
    assert any("without 9" in each for each in data.warnings)
    other = loaders.csv(path=str(folder / "sign_mnist_train.csv"), test_path=str(folder / "sign_mnist_test.csv"))
    np.testing.assert_array_equal(other.test[0], source.test[0])


def test_tables_in_folders_of_their_own_are_found(small, tmp_path):
    """As the archive of the signs has them, beside pictures of hands."""
    folder = kaggle_signs(tmp_path, *small)
    for part in ("train", "test"):
        (folder / f"sign_mnist_{part}").mkdir()
        (folder / f"sign_mnist_{part}.csv").rename(folder / f"sign_mnist_{part}" / f"sign_mnist_{part}.csv")
    source = loaders.csv(path=str(folder))
    assert (len(source.train[1]), len(source.test[1])) == (200, len(small[1][1]))


def test_names_of_rows_and_columns_are_those_of_pixels(small, tmp_path):
    source = loaders.csv(path=str(mnist_in_csv(tmp_path / "mnist_train.csv", small[0])))
    assert source.train[0].shape == (160, 14, 14)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv"])
def test_without_names_the_label_is_the_end_that_varies(small, is_first, name, tmp_path):
    file = without_names(tmp_path / name, small[0], is_first=is_first)
    if name == "a.tsv":
        file.write_text(file.read_text().replace(",", "\t"))
    source = loaders.csv(path=str(file))
    assert sorted([*source.train[1], *source.test[1]]) == sorted(small[0][1])
    assert source.train[0].shape == (160, 14, 14)


def test_own_digits_of_scikit_learn_are_read():
    import sklearn

    file = Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"
    data = load(compose(["data=csv", f"data.path={file}"]))
    assert (data.shape, data.pixel_range, len(data.class_names)) == ((8, 8, 1), (0.0, 16.0), 10)
    assert len(data.y_train) + len(data.y_test) == 1797


def test_either_end_that_may_be_the_label_is_said(tmp_path):
    file = write(tmp_path / "a.csv", "".join(f"{number % 3},{number % 5},{number % 2}\n" for number in range(60)))
    refused(file, "either the first or the last column may be the label", "data.label=0 or data.label=-1")
    assert set(loaders.csv(path=str(file), label=0).train[1]) == {0, 1, 2}
    assert set(loaders.csv(path=str(file), label=-1).train[1]) == {0, 1}


def test_images_of_emnist_are_put_upright(small, tmp_path):
    transposed = (np.swapaxes(small[0][0], 1, 2), small[0][1])
    file = without_names(tmp_path / "emnist-letters-train.csv", transposed, is_first=True)
    upright, as_they_lie = (loaders.csv(path=str(file), transposed=value) for value in (None, False))
    np.testing.assert_array_equal(upright.train[0], np.swapaxes(as_they_lie.train[0], 1, 2))
    assert any("are put upright" in each for each in upright.unread)


def test_other_columns_are_features_and_labels_may_be_words(tmp_path):
    file = write(tmp_path / "flowers.csv", FLOWERS)
    refused(file, "has no column label or labels or class", "say data.label=, one of length, width, kind")
    refused(file, "data.label=knid is no column", "did you mean kind?", label="knid")
    refused(file, "data.label=7 is not there", label=7)
    source = loaders.csv(path=str(file), label="kind")
    assert source.train[0].dtype == np.float32 and source.train[0].shape == (32, 2)
    assert source.pixels is False
    assert set(source.train[1]) == {"iris", "rose"}
    data = load(compose(["data=csv", f"data.path={file}", "data.label=kind"]))
    assert (data.class_names, data.pixels) == (("iris", "rose"), False)


def test_small_whole_numbers_of_a_table_are_no_pixels(tmp_path):
    file = write(
        tmp_path / "a.csv", "id,age,children,label\n" + "".join(f"{n},{n % 90},{n % 4},{n % 2}\n" for n in range(50))
    )
    source = loaders.csv(path=str(file))
    assert source.train[0].dtype == np.float32 and source.train[0].shape[1] == 2 and source.pixels is False
    assert any("column of the table is not used: id" in each for each in source.unread)


def test_rows_of_one_group_stay_together(small, tmp_path):
    folder = kaggle_digits(tmp_path, small[0])
    lines = (folder / "train.csv").read_text().splitlines()
    writers = ["writer", *(f"w{number // 10}" for number in range(200))]
    write(folder / "train.csv", "\n".join(f"{writer},{line}" for writer, line in zip(writers, lines, strict=True)))
    source = loaders.csv(path=str(folder), group_by="writer")
    assert len(set(source.groups)) == 16 and len(source.train[1]) == 160
    assert source.train[0].shape == (160, 14, 14)


@pytest.mark.parametrize("shape", [[14, 14, 1], [7, 28], [196]])
def test_shape_is_the_users(small, shape, tmp_path):
    folder = kaggle_digits(tmp_path, small[0])
    assert loaders.csv(path=str(folder), shape=shape).train[0].shape == (160, *shape)
    refused(folder, "data.shape=[9, 9] is 9×9 = 81 values, but each row", "has 196", shape=[9, 9])


def test_share_of_the_test_set_is_the_users(small, tmp_path):
    source = loaders.csv(path=str(kaggle_digits(tmp_path, small[0])), test_share=0.5)
    assert np.bincount(source.test[1]).tolist() == [10] * 10


def test_colour_is_found_and_what_is_no_square_is_told(tmp_path):
    rng = np.random.default_rng(0)
    # kaggle.com/datasets/kmader/skin-cancer-mnist-ham10000, hmnist_8_8_RGB.csv: pixel0000,…,pixel0191,label.
    for count, shape in ((192, (8, 8, 3)), (50, (50,))):
        table = np.hstack([rng.integers(0, 256, (40, count)), np.arange(40).reshape(-1, 1) % 7])
        names = ",".join([*(f"pixel{number:04}" for number in range(count)), "label"])
        np.savetxt(tmp_path / "a.csv", table, "%d", ",", header=names, comments="")
        source = loaders.csv(path=str(tmp_path / "a.csv"))
        assert source.train[0].shape[1:] == shape
    assert any("50 columns of pixels" in each and "no square" in each for each in source.unread)


def test_values_that_are_no_bytes_are_numbers_too(small, tmp_path):
    x = small[0][0] / 256 - 0.25
    folder = kaggle_digits(tmp_path, (x, small[0][1]))
    source = loaders.csv(path=str(folder))
    assert source.train[0].dtype == np.float32
    assert source.train[0].shape == (160, 14, 14)
    assert source.train[1].dtype == np.int64


def test_bytes_and_other_numbers_in_two_tables_are_alike(small, tmp_path):
    folder = kaggle_signs(tmp_path, *small)
    kaggle_signs(tmp_path / "deep", *((x.astype(np.uint16) * 257, y) for x, y in small))
    source = loaders.csv(path=str(folder / "sign_mnist_train.csv"), test_path=f"{tmp_path}/deep/sign_mnist_test.csv")
    assert source.train[0].dtype == source.test[0].dtype == np.float32
    assert source.test[0].max() > 60_000


def test_quotes_spaces_windows_lines_and_marks_of_order_are_read(tmp_path):
    text = '\ufeff"label","a","b"\r\n"x", 1 ,2.5\r\n\r\n"y,z","3",4\r\n' * 1 + "".join(
        f'"{"xy"[n % 2]}",{n},{n}\r\n' for n in range(30)
    )
    (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
    source = loaders.csv(path=str(tmp_path / "a.csv"))
    assert set(source.train[1]) | set(source.test[1]) == {"x", "y", "y,z"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,2,=1+1", "row 4, column b: =1+1 is no number"),
        ("1,2,", "row 4, column b: an empty cell is no number"),
        ("1,x,3", "row 4, column a: x is no number"),
        ("1,2", "Row #4: Expected 3 columns, got 2"),
        ("1,2,3,4", "row 4 has 4 cells, and the line of names 3"),
        ('1,2,"3\n1,2,3', "row 4, column b: '3"),
    ],
)
def test_cell_that_is_no_number_is_named_by_row_and_column(row, words, tmp_path):
    refused(write(tmp_path / "a.csv", f"label,a,b\n0,1,2\n1,2,3\n{row}\n"), "a.csv", words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"label,a,b\n", "has no rows below the names"),
        (b"word\nword\n", "has no columns"),
        ("label,ä\n1,2\n".encode("latin-1"), "is no text in UTF-8"),
        ("label,a\n1,2\n".encode("utf-16"), "is no text in UTF-8"),
        (gzip.compress(b"label,a,b\n1,2,3\n", mtime=0)[:-9], "cannot be read"),
        (b"label\n1\n", "has no columns"),
        (b"label,y,a\n1,2,3\n0,1,2\n", "has the columns label and y: say data.label="),
        (b"label,name\n1,x\n0,y\n", "has no columns of examples beside the label"),
    ],
)
def test_what_is_no_table_is_told(content, words, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    refused(tmp_path / "a.csv", "a.csv", words)


def test_word_after_many_numbers_is_named(tmp_path):
    rows = ["1,2,3"] * 20_000 + ["1,2,oops"]
    refused(write(tmp_path / "a.csv", "label,a,b\n" + "\n".join(rows)), "row 20002, column b: oops is no number")


def test_folder_of_which_nobody_says_what_is_what_is_told(tmp_path):
    for name in ("a.csv", "b.csv"):
        write(tmp_path / name, "label,a\n0,1\n1,2\n")
    refused(tmp_path, "holds a.csv, b.csv: name the table")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds nothing: name the table")


@pytest.mark.parametrize("line", [b"0" * 50_000_000, b"0,1,2\n" * 15_000_000], ids=["one line", "many lines"])
def test_table_of_zeros_is_read_only_up_to_what_data_grow_to(line, tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"label,a,b\n1,2,3\n" + line, 1))
    tracemalloc.start()
    refused(tmp_path / "a.csv.gz", "more than")
    assert tracemalloc.get_traced_memory()[1] < 300_000_000
    tracemalloc.stop()


def test_table_larger_than_memory_is_refused(small, tmp_path, monkeypatch):
    import psutil

    folder = kaggle_digits(tmp_path, small[0])
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1_000})())
    refused(folder, "of memory")


def test_columns_of_pixels_are_taken_by_their_numbers(tmp_path):
    rows = [[label, *range(10 * label, 10 * label + 16)] for label in (0, 1) * 5]
    order = [0, *reversed(range(1, 17))]
    names = ["label", *(f"pixel{number}" for number in range(16))]
    text = "".join(",".join(str(row[position]) for position in order) + "\n" for row in [names, *rows])
    (tmp_path / "a.csv").write_text(text)
    source = loaders.csv(path=str(tmp_path / "a.csv"))
    np.testing.assert_array_equal(source.train[0].reshape(-1, 16)[0] % 10, np.arange(16) % 10)
    assert source.train[0].reshape(-1, 16)[0].tolist() == sorted(source.train[0].reshape(-1, 16)[0].tolist())


def test_rows_with_more_cells_than_names_are_refused(tmp_path):
    """As R's write.table has them: else all columns would be shifted by one."""
    (tmp_path / "a.csv").write_text("a,b,label\n" + "1,5,6,x\n2,7,8,y\n" * 5)
    with pytest.raises(
        DataError, match=r"row 2 has 4 cells, and the line of names 3: as R writes it.*row\.names=FALSE"
    ):
        loaders.csv(path=str(tmp_path / "a.csv"))


def test_blanks_around_labels_are_none_of_them(tmp_path):
    (tmp_path / "a.csv").write_text("a,label\n" + "1, cat\n2,cat \n3,dog\n4, dog\n" * 5)
    source = loaders.csv(path=str(tmp_path / "a.csv"))
    assert set(source.train[1].tolist()) == {"cat", "dog"}
