"""`python -m mnist_exp.inspect`: real digits with planted faults, real runs, a real browser."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from real_browser import page
from schemas import validate

from mnist_exp import commands, compose, data, inspect
from mnist_exp.composition.preflight import load_data
from mnist_exp.data.lazy import LazyArray
from mnist_exp.errors import DataError

EVIL = "<script>alert(1)</script>\x1b[31m\u202e"
SMALL = ["model=mlp", "trainer.epochs=6", "trainer.batch_size=100"]
NAMES = [*map(str, range(9)), EVIL]


def planted(digits):
    """Digits with two equal images within a set, five across, two nearly equal ones, four of one colour, few sevens."""
    (x, y), (u, v) = ((each.copy() for each in part) for part in digits)
    u[:5], v[:5] = x[[10, 500, 900, 1300, 1700]], y[[10, 500, 900, 1300, 1700]]
    v[3] = 9
    x[20] = x[21]
    x[30], y[30] = x[31], 8
    u[10], v[10] = np.roll(x[700], 1, axis=1), y[700]
    u[11], v[11] = (x[750] * 0.7).astype(np.uint8), 3
    x[77], x[78], u[50], u[51] = 0, 255, 0, 0
    kept = np.ones(len(x), bool)
    kept[np.flatnonzero(y == 7)[20:]] = False
    return {"x_train": x[kept], "y_train": y[kept], "x_test": u, "y_test": v}


def wrongly_labelled(digits):
    """Digits, of which ten test images have a wrong label, and one is a training image."""
    (x, y), (u, v) = digits
    u, v = u.copy(), v.copy()
    u[3], v[3] = x[11], y[11]
    wrong = np.arange(7, 1000, 100)
    v[wrong] = (v[wrong] + 5) % 10
    return {"x_train": x, "y_train": y, "x_test": u, "y_test": v}, wrong


@pytest.fixture(scope="module")
def folder(tmp_path_factory, digits):
    """A folder with the files, and a run on the second."""
    from mnist_exp import run

    place, before = tmp_path_factory.mktemp("inspect"), Path.cwd()
    os.chdir(place)
    try:
        np.savez("planted.npz", **planted(digits), class_names=np.array(NAMES))
        arrays, wrong = wrongly_labelled(digits)
        np.savez("wrong.npz", **arrays)
        done = run(compose(["data=npz", f"data.path={place}/wrong.npz", *SMALL]))
        yield place, done.run_id, wrong
    finally:
        os.chdir(before)


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder[0])
    return folder


def call(capfd, *words, code=0):
    """Call the command; return what it said on stdout and stderr."""
    assert commands.code_of(lambda: inspect.inspect(inspect.read(words))) == code
    return capfd.readouterr()


def values(capfd, *words):
    found = json.loads(call(capfd, *words, "--json").out)
    validate(found, "inspection-1")
    return found


def by_kind(found):
    return {finding["kind"]: finding for finding in found["findings"]}


def places(finding):
    return [[(each["array"], each["index"]) for each in group] for group in finding["examples"]]


def test_planted_faults_are_all_found_gravest_first(here, capfd):
    found = values(capfd, "data=npz", "data.path=planted.npz", "--output", "o")
    assert found["schema"] == "mnist_exp.inspection/1"
    assert [finding["kind"] for finding in found["findings"]] == [
        "in_two_sets_with_other_label",
        "equal_with_other_label",
        "nearly_in_two_sets_with_other_label",
        "equal",
        "one_colour",
        "imbalance",
    ]
    kinds = by_kind(found)
    seen = kinds["in_two_sets_with_other_label"]
    assert (seen["count"], seen["gravity"], seen["sets"]) == (5, "grave", ["test", "train"])
    assert seen["text"].startswith("5 of the 1,000 test images are equal to training images, 1 with another label")
    assert places(seen)[0] == [("x_train", 1300), ("x_test", 3)]
    assert {tuple(group) for group in places(seen)} >= {(("x_train", 10), ("x_test", 0))}
    assert [each["label"] for each in seen["examples"][0]] == ["3", EVIL]
    assert kinds["equal_with_other_label"]["text"] == (
        "2 images are equal to another one of their set, with another label, in 1 group: a label of each group is wrong"
    )
    assert places(kinds["equal_with_other_label"]) == [[("x_train", 30), ("x_train", 31)]]
    assert places(kinds["equal"]) == [[("x_train", 20), ("x_train", 21)]]
    near = kinds["nearly_in_two_sets_with_other_label"]
    assert sorted(places(near)) == [[("x_train", 700), ("x_test", 10)], [("x_train", 750), ("x_test", 11)]]
    assert places(kinds["one_colour"]) == [[("x_train", 77)], [("x_train", 78)], [("x_test", 50)], [("x_test", 51)]]
    assert "7 has 20 training images" in kinds["imbalance"]["text"]
    assert json.loads(Path("o/inspection.json").read_text()) == {**found, "seconds": pytest.approx(found["seconds"])}


def test_screen_shows_counts_and_names_examples(here, capfd):
    out = call(capfd, "data=npz", "data.path=planted.npz", "--fast", "--output", "o").out
    assert "data  npz, 4,620 images 28×28×1, pixels from 0 to 255; classification: 10 classes; from planted.npz" in out
    assert re.search(r"^train +3,620 +28×28×1 +uint8 +0 to 255 +2$", out, re.MULTILINE)
    assert re.search(r"^7 +20 +100$", out, re.MULTILINE)
    assert "grave: 5 of the 1,000 test images are equal to training images" in out
    assert "    x_train[1300] (train, 3) = x_test[3] (test, <script>" in out
    assert "note: nearly equal images were not looked for: --fast" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_clean_data_have_no_findings(here, capfd):
    assert values(capfd, "data=mnist_5k", "data.validation=0.2")["findings"] == []
    assert [path.name for path in sorted(Path("inspections/mnist_5k").iterdir())] == ["index.html", "inspection.json"]


def test_validation_images_are_named_by_their_place_in_the_training_set(here, capfd):
    found = values(capfd, "data=npz", "data.path=planted.npz", "data.validation=0.5", "seed=3", "--fast")
    assert [(each["name"], each["count"]) for each in found["splits"]] == [
        ("train", 1810),
        ("validation", 1810),
        ("test", 1000),
    ]
    named = {tuple(each) for finding in found["findings"] for group in places(finding) for each in group}
    assert {("x_train", index) for index in (10, 500, 900, 1300, 1700, 20, 21, 30, 31)} <= named


def test_equal_images_are_found_whatever_their_numbers_are_stored_as(here, capfd, digits):
    (x, y), (u, v) = digits
    np.savez("floats.npz", x_train=x.astype(np.float64), y_train=y, x_test=np.r_[u, x[:3]].astype(np.float32),
             y_test=np.r_[v, y[:3]])  # fmt: skip
    found = by_kind(values(capfd, "data=npz", "data.path=floats.npz", "--fast"))
    assert found["in_two_sets"]["count"] == 3


def test_other_tasks_are_looked_at_too(here, capfd, digits):
    (x, y), (u, v) = digits
    labels, numbers = np.eye(10)[:, :4], np.linspace(0, 1, 10)
    for name, of, task in (("several", labels, "multilabel"), ("numbers", numbers, "regression")):
        np.savez(f"{name}.npz", x_train=x, y_train=of[y], x_test=np.r_[u[1:], x[:1]], y_test=of[np.r_[v[1:], y[:1]]])
        found = values(capfd, "data=npz", f"data.path={name}.npz", f"task={task}", "--fast", "--output", name)
        assert by_kind(found)["in_two_sets"]["count"] == 1
        assert found["task"] == task
        assert (Path(name) / "index.html").is_file()
    rows = np.random.default_rng(0).normal(size=(200, 30))
    np.savez("rows.npz", x_train=rows, y_train=np.arange(200) % 3, x_test=rows[:50] + 1, y_test=np.arange(50) % 3)
    found = values(capfd, "data=npz", "data.path=rows.npz")
    assert found["findings"] == []
    assert found["notes"] == ["nearly equal examples are looked for in images only"]


@pytest.mark.slow
def test_run_shows_wrong_labels_and_what_it_judged(here, capfd):
    _, run_id, wrong = here
    found = values(capfd, run_id, "--fast")
    assert found["likely_wrong_labels"]["judged"] == {"train": 0, "test": 999}  # One it was trained on.
    listed = found["likely_wrong_labels"]["listed"]
    assert {each["array"] for each in listed} == {"x_test"}
    assert len({each["index"] for each in listed[:15]} & set(wrong.tolist())) >= 8
    assert all(each["probability"] > each["probability_of_label"] for each in listed)
    finding = by_kind(found)["likely_wrong_label"]
    assert finding["count"] == len(listed)
    out = call(capfd, run_id, "data.path=wrong.npz", "--fast").out
    assert "judged  0 of 4,000 train images, 999 of 1,000 test images, by models that were not trained on them" in out
    assert re.search(r"^    x_test\[\d+\] \(test, \d\) → \d 0\.\d{4}$", out, re.MULTILINE)


@pytest.mark.slow
def test_sweep_judges_what_each_model_held_out(digits, capfd):
    from mlflow import MlflowClient

    np.savez("wrong.npz", **wrongly_labelled(digits)[0])
    words = ["-m", "data=npz", "data.path=wrong.npz", *SMALL, "seed=1,2", "data.validation=0.4"]
    done = subprocess.run([sys.executable, "-m", "mnist_exp.run", *words], check=True, capture_output=True, text=True)
    assert done.stderr.count("1 of the 1,000 test images is equal to training images") == 1
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")
    (experiment,) = [each.experiment_id for each in client.search_experiments() if each.name == "mnist_exp"]
    (parent,) = client.search_runs([experiment], "tags.`mnist_exp.sweep` != ''")
    found = values(capfd, parent.info.run_id, "--fast")
    judged = found["likely_wrong_labels"]["judged"]
    assert judged["test"] in (999, 1000)  # One is a training image, which both may have been trained on.
    assert 1600 < judged["train"] < 3200  # Two hold-outs of 1,600, drawn by two seeds.
    assert {each["array"] for each in found["likely_wrong_labels"]["listed"]} == {"x_train", "x_test"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=npz"], "data.path is missing: it must be text"),
        (["data=nowhere"], "data=nowhere does not exist"),
        (["data=mnist_5k,npz"], "several values"),
        (["data=mnist_5k", "data.limit=9999"], "data.limit=9999 is more than the 4,000 training images"),
        (["0" * 32], "there is no run"),
        (["0" * 32, "data.path=a,b"], "data.path=a,b has several values: give one"),
        (["0" * 32, "seed=3"], "seed=3 is not understood: beside a run there are data.OPTION=VALUE"),
        (["data=mnist_5k", "--output", "planted.npz"], "--output=planted.npz cannot be written to"),
    ],
)
def test_mistakes_are_told_and_exit_with_2(here, capfd, words, message):
    assert message in call(capfd, *words, code=2).err


@pytest.mark.slow
def test_page_stands_by_itself_in_a_browser(here, capfd):
    call(capfd, "data=npz", "data.path=planted.npz", "--output", "shown")
    text = Path("shown/index.html").read_text()
    assert "<script" not in text
    with page(java_script_enabled=True) as shown:
        asked = []
        shown.on("request", lambda request: asked.append(request.url))
        for scheme in ("light", "dark"):
            shown.emulate_media(color_scheme=scheme)
            for width in (400, 800, 1300):
                shown.set_viewport_size({"width": width, "height": 900})
                shown.goto(Path("shown/index.html").absolute().as_uri())
                assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        assert shown.errors == []
        assert shown.locator("img").count() > 100
        assert shown.evaluate("[...document.images].every(each => each.naturalWidth > 0 && each.alt)")
        first = shown.locator("section p").first
        assert first.inner_text().startswith("grave 5 of the 1,000 test images are equal to training images")
        assert "<script>alert(1)</script>" in shown.locator("body").inner_text()


def test_mnist_exp_inspect_is_the_command(here):
    words = ["import sys; sys.argv = ['mnist-exp', *sys.argv[1:]]; from mnist_exp.run_command import main; main()"]
    done = subprocess.run(
        [sys.executable, "-c", *words, "inspect", "data=mnist_5k", "--fast", "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"] == "mnist_5k"


@pytest.mark.slow
def test_run_warns_in_one_line_of_test_images_in_two_sets(here, capfd):
    from mnist_exp import run

    words = ["data=npz", "data.path=planted.npz", "model=mlp", "trainer.epochs=1", "tracking.store=none"]
    run(compose(words))
    warnings = [line for line in capfd.readouterr().err.splitlines() if "equal to training images" in line]
    assert warnings == [
        "warning: 5 of the 1,000 test images are equal to training images: a score on them says nothing about new "
        "ones; `python -m mnist_exp.inspect` shows them"
    ]


@pytest.fixture
def photos(here, digits, tmp_path):
    """A folder of images: one is there twice with two labels, one is in both sets, two cannot be read."""
    (x, y), _ = digits
    folder = tmp_path / "photos"
    for part, first in (("train", 0), ("test", 40)):
        for label in range(3):
            (folder / part / f"cat{label}").mkdir(parents=True)
            for number, position in enumerate(np.flatnonzero(y == label)[first : first + 30]):
                Image.fromarray(x[position]).save(folder / part / f"cat{label}" / f"{number:02}.png")
    shutil.copy(folder / "train/cat0/03.png", folder / "train/cat1/twice.png")
    shutil.copy(folder / "train/cat2/10.png", folder / "test/cat2/10.png")
    (folder / "train/cat0/zz.png").write_bytes(b"nonsense")
    (folder / "test/cat2/cut.png").write_bytes((folder / "train/cat2/01.png").read_bytes()[:100])
    (folder / "notes.txt").write_text("mine")
    return folder


@pytest.mark.parametrize("more", [[], ["data.size=[112,112]", "data.in_memory_mb=1"]], ids=["in memory", "lazy"])
def test_unreadable_files_are_named_all_at_once_and_the_others_are_looked_at(photos, capfd, more):
    words = ["data=image_folder", f"data.path={photos}", *more]
    kinds = by_kind(values(capfd, *words, "--output", "o"))
    assert [kinds[kind]["count"] for kind in ("unreadable", "in_two_sets", "equal_with_other_label")] == [2, 1, 2]
    assert sorted(line.partition(" is ")[0] for line in kinds["unreadable"]["details"]) == [
        f"{photos}/test/cat2/cut.png",
        f"{photos}/train/cat0/zz.png",
    ]
    files = [[each["file"] for each in group] for group in kinds["equal_with_other_label"]["examples"]]
    assert files == [[f"{photos}/train/cat0/03.png", f"{photos}/train/cat1/twice.png"]]
    assert "notes.txt" in kinds["remark"]["text"]
    assert "cut.png" in Path("o/index.html").read_text()
    with pytest.raises(DataError) as refused:  # A run still refuses them.
        data.load(compose(words))
    assert len(refused.value.problems) == 2


def test_lazy_data_are_not_read_for_the_warning_but_the_last_inspection_is_remembered(photos, capfd):
    (photos / "train/cat0/zz.png").unlink()
    (photos / "test/cat2/cut.png").unlink()
    words = ["data=image_folder", f"data.path={photos}", "data.size=[112,112]", "data.in_memory_mb=1"]

    def warnings():
        dataset, _ = load_data(compose(words))
        assert isinstance(dataset.x_train, LazyArray)
        return [text for text in dataset.warnings if "equal to training images" in text]

    assert warnings() == []
    values(capfd, *words, "--fast")
    assert [text.partition(":")[0] for text in warnings()] == ["1 of the 90 test images is equal to training images"]


def test_class_that_a_set_lacks_is_told(here, capfd, digits):
    (x, y), (u, v) = digits
    np.savez("lacking.npz", x_train=x, y_train=y, x_test=u[v != 4], y_test=v[v != 4])
    found = by_kind(values(capfd, "data=npz", "data.path=lacking.npz", "--fast"))
    assert found["missing_class"]["text"] == "none of the 900 test images is of the class '4'"


def test_own_validation_set_is_a_set_of_its_own_and_the_test_set_comes_first(here, capfd, digits):
    (x, y), (u, v) = digits
    np.savez("own.npz", x_train=x[::2], y_train=y[::2], x_val=np.r_[x[1::8], x[:4]], y_val=np.r_[y[1::8], y[:4]],
             x_test=np.r_[u, x[1:2], x[4:5]], y_test=np.r_[v, y[1:2], y[4:5]])  # fmt: skip
    found = values(capfd, "data=npz", "data.path=own.npz", "--fast")
    assert [(each["sets"], each["count"]) for each in found["findings"]] == [
        (["test", "train"], 1),
        (["test", "validation"], 1),
        (["validation", "train"], 2),
    ]
    assert ("x_val", 500) in places(found["findings"][2])[0]


def test_names_of_files_and_folders_may_hold_any_bytes(here, capfd, digits, tmp_path):
    (x, _), _ = digits
    odd = os.fsdecode(b"caf\xe9\n\x1b[31m<b>")
    for name in (odd, "plain"):
        (tmp_path / "odd" / name).mkdir(parents=True)
        for number in range(8):
            Image.fromarray(x[number + 20 * len(name)]).save(tmp_path / "odd" / name / f"{number}.png")
    shutil.copy(tmp_path / "odd" / odd / "0.png", tmp_path / "odd/plain" / (odd + ".png"))
    (tmp_path / "odd" / odd / (odd + ".png")).write_bytes(b"")
    words = ["data=image_folder", f"data.path={tmp_path}/odd", "--output", "odd"]
    out = call(capfd, *words).out
    assert "\x1b" not in out
    assert "\\udce9" in out
    kinds = by_kind(values(capfd, *words))
    assert kinds["unreadable"]["count"] == 1
    page = Path("odd/index.html").read_text()
    assert "\\udce9" in page
    assert "<b></b>" not in page
    assert "<b>/" not in page


@pytest.mark.parametrize("sets", [["train", "test"], ["all"]])
def test_rows_of_a_parquet_file_that_cannot_be_read_are_left_out(here, capfd, digits, tmp_path, sets):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (x, y), _ = digits
    for number, name in enumerate(sets):
        chosen = range(number, 4000, 100)
        files = []
        for i in chosen:
            file = io.BytesIO()
            Image.fromarray(x[i]).save(file, "PNG")
            files.append({"bytes": file.getvalue(), "path": None})
        files[3] = {"bytes": b"nonsense", "path": None}
        files[12] = files[30]
        pq.write_table(pa.table({"image": files, "label": y[list(chosen)]}), tmp_path / f"{name}.parquet")
    kinds = by_kind(values(capfd, "data=parquet", f"data.path={tmp_path}", "--fast"))
    told = kinds["unreadable"]["details"]
    assert [text.partition(" is ")[0] for text in told] == [f"{tmp_path}/{name}.parquet, row 3" for name in sets]
    equal = [finding for kind, finding in kinds.items() if "other_label" in kind]
    named = sorted(each["file"].rpartition(", ")[2] for finding in equal for each in finding["examples"][0])
    assert named == ["row 12", "row 30"]
