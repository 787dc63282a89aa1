"""Folders of images as people have them: deeper ones, sets, tables beside them, codes as names, odd files."""

import csv

import numpy as np
import pytest
from PIL import Image

from mnist_exp.composition.compose import compose
from mnist_exp.data import load, split
from mnist_exp.errors import DataError


def get(folder, *words):
    return load(compose(["data=image_folder", f"data.path='{folder}'", *words]))


def refused(folder, *words):
    with pytest.raises(DataError) as error:
        get(folder, *words)
    return str(error.value)


def image(number, size=(8, 8)):
    """Return a grey image that no other number has."""
    return np.full(size, number, np.uint8)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def classes(folder, *, names=("cat", "dog"), each=5, first=0):
    """Write a folder with a subfolder for each class; each image has its own grey."""
    for label, name in enumerate(names):
        for number in range(each):
            write(folder / name / f"{number}.png", image(first + 10 * label + number))
    return folder


def table(file, header, rows):
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([header, *rows])


def greys(x):
    return sorted(x[:, 0, 0, 0].tolist())


def test_images_of_deeper_folders_belong_to_their_class(tmp_path):
    folder = classes(tmp_path / "a")
    for number in range(3):
        write(folder / "cat" / "more" / "deep" / f"{number}.png", image(200 + number))
    (folder / "cat" / "loop").symlink_to(folder)  # Followed, it would never end.
    data = get(folder)
    assert len(data.x_train) + len(data.x_test) == 13
    of_cats = [*data.x_train[data.y_train == 0], *data.x_test[data.y_test == 0]]
    assert {200, 201, 202} <= {int(each[0, 0, 0]) for each in of_cats}


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".avif"])
def test_images_of_less_usual_names_are_read(suffix, tmp_path):
    folder = classes(tmp_path / "a")
    for path in list(folder.rglob("*.png")):
        with Image.open(path) as opened:
            opened.save(path.with_suffix(".x"), "AVIF" if suffix == ".avif" else "JPEG", quality=100)
        path.with_suffix(".x").rename(path.with_suffix(suffix))
        path.unlink()
    assert len(get(folder).x_train) == 8
    assert get(folder).warnings == ()


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "dev"])
def test_the_folders_own_validation_set_is_used(name, tmp_path):
    folder = tmp_path / "a"
    classes(folder / "train"), classes(folder / "test", first=50, each=2), classes(folder / name, first=100, each=3)
    data = get(folder)
    assert data.warnings == ()
    found = split(data, limit=None, validation="test", seed=1)
    assert found.validated_on == "own"
    assert greys(found.x_val) == [100, 101, 102, 110, 111, 112]
    assert greys(data.x_test) == [50, 51, 60, 61]


def test_training_and_validation_alone_get_a_test_set_of_the_training(tmp_path):
    folder = tmp_path / "a"
    classes(folder / "train"), classes(folder / "val", first=100, each=3)
    data = get(folder)
    assert (len(data.x_train), len(data.x_test), len(data.x_val)) == (8, 2, 6)
    (warning,) = data.warnings
    assert "has val/ and no test/: val/ is the validation set, and data.test_share=0.2 of train/ became" in warning


def test_a_class_that_the_validation_set_lacks_is_none_of_its_images(tmp_path):
    folder = tmp_path / "a"
    names = ("a", "b", "c")
    classes(folder / "train", names=names), classes(folder / "test", names=names)
    classes(folder / "val", names=("a", "c"), each=2)
    data = get(folder)
    assert data.y_val.tolist() == [0, 0, 2, 2]
    words = data.task.remarks({"validation": data.y_val}, data.class_names)
    assert words == ["none of the 4 validation images is of the class b"]
    classes(folder / "val", names=("d",))
    assert "train and val must have the same classes; only one has b, d" in refused(folder)


def test_codes_in_hexadecimal_are_the_characters_that_they_stand_for(tmp_path):
    """As https://s3.amazonaws.com/nist-srd/SD19/by_class.zip has them: by_class/4a/hsf_0/hsf_0_00000.png."""
    for code in ("30", "39", "41", "4a", "7a"):
        for number in range(4):
            write(tmp_path / "by_class" / code / f"hsf_{number % 2}" / f"hsf_{number}.png", image(number))
    data = get(tmp_path / "by_class")
    assert data.class_names == ("0", "9", "A", "J", "z")
    assert len(data.x_train) + len(data.x_test) == 20
    assert "as those of NIST SD19: 30 is the class '0'" in data.warnings[0]


def test_other_names_are_no_codes(tmp_path):
    assert get(classes(tmp_path / "a", names=("30", "31", "99"))).class_names == ("30", "31", "99")


# ---- a table beside the images


@pytest.fixture
def beside(tmp_path):
    """Six images in one folder, and what a table of them is written with."""
    folder = tmp_path / "a"
    for number in range(6):
        write(folder / "images" / f"{number}.png", image(10 * number))

    def labels(header, rows, name="labels.csv"):
        table(folder / name, header, rows)
        return folder

    return labels


def test_a_table_says_which_images_are_of_which_class(beside):
    folder = beside(["filename", "label"], [[f"images/{n}.png", "odd" if n % 2 else "even"] for n in range(6)])
    data = get(folder, "data.test_share=0.4")
    assert data.class_names == ("even", "odd")
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        np.testing.assert_array_equal(x[:, 0, 0, 0] // 10 % 2, y)
    assert "by its columns filename and label" in data.warnings[0]


def test_a_table_may_leave_out_suffixes_and_images(beside):
    """As Kaggle's tables do: a column id. What the table leaves out is told."""
    folder = beside(["id", "target"], [[f"images/{n}", n % 2] for n in range(5)])
    data = get(folder)
    assert len(data.x_train) + len(data.x_test) == 5
    assert data.class_names == ("0", "1")
    assert "images/5.png (not named in labels.csv)" in data.warnings[1]


def test_a_table_may_name_the_sets(beside):
    parts = ["train", "Train", "test", "test", "valid", "validation"]
    rows = [[f"images/{n}.png", "ab"[n % 2], part] for n, part in enumerate(parts)]
    data = get(beside(["file_name", "label", "split"], rows, "metadata.csv"))
    assert [greys(x) for x in (data.x_train, data.x_test, data.x_val)] == [[0, 10], [20, 30], [40, 50]]


def test_the_column_of_the_labels_can_be_named(beside):
    folder = beside(["file", "animal", "colour"], [[f"images/{n}.png", "ab"[n % 2], "xyz"[n // 2]] for n in range(6)])
    assert get(folder, "data.label=colour", "data.test_share=0.4").class_names == ("x", "y", "z")
    words = refused(folder)
    assert "has no column of labels: it has file, animal, colour" in words
    assert "data.label=NAME says which" in words
    assert "did you mean data.label=colour" in refused(folder, "data.label=color")


def test_images_of_one_group_stay_together(tmp_path):
    folder = tmp_path / "a"
    rows = []
    for number in range(60):
        write(folder / f"{number}.png", image(number))
        rows.append([f"{number}.png", "ab"[number % 2], f"writer {number // 6}"])
    table(folder / "labels.csv", ["file", "label", "writer"], rows)
    data = get(folder, "data.group_by=writer")
    test = {grey // 6 for grey in greys(data.x_test)}
    assert len(data.x_test) == 12
    assert test.isdisjoint({grey // 6 for grey in greys(data.x_train)})
    found = split(data, limit=None, validation=0.25, seed=3)
    writers = [{grey // 6 for grey in greys(x)} for x in (found.x_train, found.x_val)]
    assert len(found.x_val) == 12
    assert writers[0].isdisjoint(writers[1])


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        (["file", "label"], [["images/9.png", "a"], ["images/0.png", "b"]], "1 files of 2 that are not in"),
        (["file", "label"], [["images/0.png", "a"], ["images/0.png", "b"]], "1 files more than once: images/0.png"),
        (["file", "label"], [["images/0.png", "a"], ["images/1.png"]], "row 3 has 1 cells, the first one 2"),
        (["file", "label"], [["images/0.png", "a"], ["images/1.png", " "]], "1 of 2 labels are empty texts"),
        (["file", "label"], [], "has 1 lines"),
        (["x", "label"], [["images/0.png", "a"]], "has no column of files: it has x, label"),
        (["file", "label", "split"], [["images/0.png", "a", "extra"]], "the sets are called extra"),
        (["file", "label"], [["../outside.png", "a"], ["images/0.png", "b"]], "not in"),
    ],
)
def test_a_table_that_cannot_be_used_is_told(header, rows, words, beside):
    folder = beside(header, rows)
    write(folder.parent / "outside.png", image(1))
    assert words in refused(folder)


def test_a_table_that_is_none_is_told(beside):
    folder = beside(["file", "label"], [["images/0.png", "a"]])
    (folder / "labels.csv").write_bytes(b"file,label\n\xff\xfe,a\n")
    assert "labels.csv cannot be read as CSV in UTF-8" in refused(folder)


def test_options_of_a_table_without_one_are_told(tmp_path):
    folder = classes(tmp_path / "a")
    assert "data.group_by=writer is a column of labels.csv or metadata.csv" in refused(folder, "data.group_by=writer")


# ---- what the files hold


def deep(values, dtype):
    return np.asarray(values).astype(dtype)


DEPTHS = {
    # What is saved, and the range that is measured.
    "12 in 16 bits": (lambda grey: deep(np.full((8, 8), grey * 4095 // 255), np.uint16), ".png", [0, 4095]),
    "16 bits": (lambda grey: deep(np.full((8, 8), grey * 257), np.uint16), ".png", [0, 65535]),
    "16 bits, TIFF": (lambda grey: deep(np.full((8, 8), grey * 257), np.uint16), ".tif", [0, 65535]),
    "32 bits": (lambda grey: deep(np.full((8, 8), grey * 16), np.int32), ".tif", [0, 4095]),
    "floats of 0 to 1": (lambda grey: deep(np.full((8, 8), grey / 255), np.float32), ".tif", [0, 1]),
    "floats of 0 to 255": (lambda grey: deep(np.full((8, 8), grey), np.float32), ".tif", [0, 255]),
}


@pytest.mark.parametrize("name", DEPTHS)
@pytest.mark.parametrize("lazy", [False, True])
def test_pixels_of_more_than_8_bits_keep_their_grey(name, lazy, tmp_path, monkeypatch):
    from mnist_exp.data.images import source as folders

    make, suffix, wanted = DEPTHS[name]
    written = [0, 60, 120, 180, 255, 30]
    for number, grey in enumerate(written):
        path = tmp_path / "a" / "xy"[number % 2] / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make(grey)).save(path)
    if lazy:
        monkeypatch.setattr(folders, "MB", 1)
    data = get(tmp_path / "a", "data.test_share=0.4", *(["data.in_memory_mb=1"] if lazy else []))
    found = greys(np.concatenate([data.x_train[:], data.x_test[:]]))
    assert np.abs(np.subtract(found, sorted(written))).max() <= 1
    assert data.depth == tuple(map(float, wanted))
    assert data.pixel_range == (0, 255)
    told = [each for each in data.warnings if "more than 8 bits" in each]
    assert len(told) == (wanted not in ([0, 65535], [0, 255]))


def test_deep_images_are_scaled_alike_whatever_is_on_each(tmp_path):
    """A dark one stays dark beside a light one."""
    for number, level in enumerate([100, 2000, 4000, 100]):
        write(tmp_path / "a" / "xy"[number % 2] / f"{number}.png", np.full((8, 8), level, np.uint16))
    data = get(tmp_path / "a", "data.test_share=0.5")
    found = greys(np.concatenate([data.x_train, data.x_test]))
    assert found == [6, 6, 125, 249]


def test_signed_values_of_a_float_file_keep_their_order(tmp_path):
    for number, level in enumerate([-1000.0, 0.0, 500.0, 3000.0]):
        path = tmp_path / "a" / "xy"[number % 2] / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), level, np.float32)).save(path)
    data = get(tmp_path / "a", "data.test_share=0.5")
    assert data.depth == (-1000, 3000)
    assert greys(np.concatenate([data.x_train, data.x_test])) == [0, 64, 96, 255]


def test_values_that_are_no_numbers_are_refused_with_the_file(tmp_path):
    folder = classes(tmp_path / "a")
    bad = np.full((8, 8), 0.5, np.float32)
    bad[3, 3] = np.nan
    Image.fromarray(bad).save(folder / "cat" / "bad.tif")
    assert "cat/bad.tif has values that are no finite numbers" in refused(folder)


def test_a_file_of_another_size_is_told(tmp_path):
    folder = classes(tmp_path / "a")
    write(folder / "dog" / "wide.png", image(99, (8, 30)))
    (warning,) = get(folder).warnings
    assert "1 image, dog/wide.png, has another size than 8×8" in warning
    assert "data.size=[height,width] decides" in warning
    assert get(folder, "data.size=[8,8]").warnings == ()


def test_colours_that_are_lost_are_told(tmp_path):
    folder = classes(tmp_path / "a")
    write(folder / "dog" / "red.png", np.full((8, 8, 3), [200, 10, 10], np.uint8))
    write(folder / "dog" / "grey.png", np.full((8, 8, 3), 50, np.uint8))
    (warning,) = get(folder).warnings
    assert "holds images in colour, as dog/red.png" in warning
    assert get(folder, "data.channels=3").warnings == ()


def test_of_several_pictures_in_a_file_the_first_is_read_and_that_is_told(tmp_path):
    folder = classes(tmp_path / "a")
    frames = [Image.fromarray(image(grey)) for grey in (77, 88, 99)]
    frames[0].save(folder / "cat" / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "cat" / "pages.tif", save_all=True, append_images=frames[1:])
    data = get(folder)
    (warning,) = data.warnings
    assert "2 images, as cat/moving.gif, have several pictures in one file: the first of each is read" in warning
    assert greys(np.concatenate([data.x_train, data.x_test])).count(77) == 2


def test_fractions_beside_whole_numbers_of_many_bits_are_refused(tmp_path):
    """One range for both would make the first ones black."""
    for number, level in enumerate([0.2, 0.9, 3000, 1000]):
        kind = np.float32 if level < 1 else np.uint16
        path = tmp_path / "a" / "xy"[number % 2] / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), level, kind)).save(path)
    assert "x/0.tif has values up to 1 and" in refused(tmp_path / "a", "data.test_share=0.5")


def test_groups_that_the_tables_own_sets_tear_apart_are_told(beside):
    parts = ["train", "train", "train", "train", "test", "test"]
    rows = [[f"images/{n}.png", "ab"[n % 2], part, f"patient {n % 3}"] for n, part in enumerate(parts)]
    folder = beside(["file", "label", "split", "patient"], rows)
    told = get(folder, "data.group_by=patient").warnings
    assert any("puts 2 groups into train and test, as patient 1" in each for each in told)
