"""`python -m mnist_exp.evaluate` on a run with the user's own arrays, trained once for this file."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image
from real_runs import client_of
from schemas import validate

from mnist_exp import commands, compose, load_model, run
from mnist_exp import evaluate as evaluate_in_python
from mnist_exp import evaluate_command as evaluate
from mnist_exp.data import Dataset
from mnist_exp.errors import SettingsError
from mnist_exp.inference import labelled_images
from mnist_exp.tasks.classification import Classification

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FILES = {"reliability.png", "confusion_matrix.png", "confident_mistakes.png", "per_class.csv", "evaluation.json"}
SMALL = ["model.filters=4", "model.dense_units=16", "trainer.epochs=2", "optimizer.learning_rate=0.005"]


def save(file, x_train, y_train, x_test, y_test, names=NAMES):
    np.savez(file, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, class_names=names)
    return file


@pytest.fixture(scope="module")
def trained(tmp_path_factory, digits):
    """A run on 600 digits, 100 of them held out, with its store, folder and arrays."""
    place, before = tmp_path_factory.mktemp("evaluate"), Path.cwd()
    (x, y), (x_test, y_test) = digits
    chosen = np.arange(len(y)) % 7 == 0
    arrays = x[chosen][:560], y[chosen][:560], x_test[::5], y_test[::5]
    os.chdir(place)
    try:
        save("digits.npz", *arrays)
        result = run(compose(["data=npz", f"data.path={place}/digits.npz", "data.validation=100", *SMALL]))
        return SimpleNamespace(place=place, run_id=result.run_id, result=result, arrays=arrays, digits=digits)
    finally:
        os.chdir(before)


@pytest.fixture
def here(trained, monkeypatch):
    monkeypatch.chdir(trained.place)
    return trained


def call(*words):
    """Call the command in this process; returns exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = commands.code_of(lambda: evaluate.evaluate(evaluate.read(words)))
    return code, out.getvalue(), err.getvalue()


def report_of(*words):
    code, out, err = call(*words, "--json")
    assert code == 0, err
    validate(json.loads(out), "evaluation-1")
    return json.loads(out), err


def test_own_test_set_gives_the_recorded_metrics(here):
    code, out, err = call(here.run_id)
    assert code == 0, err
    assert err == ""
    metrics = here.result.metrics
    assert "check        accuracy and loss are as the run recorded them" in out
    assert re.search(
        rf"^accuracy     {metrics['test_accuracy']:.4f}, 95% interval 0\.\d+ to 0\.\d+ \(bootstrap", out, re.M
    )
    assert re.search(r"^seven +\d\.\d{4} ", out, re.M)
    folder = Path("evaluations") / f"{here.run_id[:8]}-npz-test"
    assert {file.name for file in folder.iterdir()} == FILES
    report = json.loads((folder / "evaluation.json").read_text())
    assert report["loss"] == pytest.approx(metrics["test_loss"], abs=1e-6)
    assert report["accuracy"] == metrics["test_accuracy"]
    assert report["trained_on"] == 0
    assert np.sum(report["confusion"]) == report["images"] == len(here.arrays[3])
    assert np.trace(report["confusion"]) / report["images"] == pytest.approx(report["accuracy"])
    with (folder / "per_class.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(NAMES)
    assert [int(row["images"]) for row in rows] == np.bincount(here.arrays[3]).tolist()
    for name in FILES:
        if name.endswith(".png"):
            Image.open(folder / name).verify()


@pytest.mark.slow
def test_metric_that_selected_is_shown(here):
    """It was in --json alone, and named as checked."""
    words = ["data=npz", f"data.path={here.place}/digits.npz", "data.validation=100", "objective=val_macro_f1", *SMALL]
    result = run(compose([*words, "trainer.epochs=1"]))
    code, out, err = call(result.run_id)
    assert (code, err) == (0, "")
    row = re.search(r"^macro_f1 +(0\.\d{4}), which selected$", out, re.M)
    assert row is not None, out
    assert float(row[1]) == pytest.approx(result.metrics["test_macro_f1"], abs=1e-4)
    assert len(re.findall(r"^accuracy  ", out, re.M)) == 1
    assert "which selected" not in call(here.run_id)[1]


@pytest.mark.slow
def test_difference_from_the_recorded_metrics_gives_a_warning(here):
    store = client_of()
    store.log_metric(here.run_id, "test_accuracy", 0.123, step=9)
    try:
        code, out, err = call(here.run_id)
    finally:
        store.log_metric(here.run_id, "test_accuracy", here.result.metrics["test_accuracy"], step=10)
    assert code == 0
    assert "as the run recorded" not in out
    assert re.search(r"the results differ from the recorded ones: accuracy 0\.\d+ against 0\.123, \+0\.\d+", err)


def test_validation_split_is_the_hold_out_of_the_training(here):
    report, err = report_of(here.run_id, "--split", "validation")
    assert report["images"] == 100
    assert report["accuracy"] == here.result.history["val_accuracy"][-1]
    assert report["loss"] == pytest.approx(here.result.history["val_loss"][-1], abs=1e-5)
    assert (report["trained_on"], err) == (0, "")


def test_training_images_give_a_warning(here):
    report, err = report_of(here.run_id, "--split", "train")
    assert report["images"] == report["trained_on"] == 460
    assert report["accuracy_of_new"] is None
    assert "trained on all 460 of these images" in err
    report, err = report_of(here.run_id, "--split", "all")
    assert (report["images"], report["trained_on"]) == (760, 460)
    assert "trained on 460 of these 760 images" in err
    assert f"the accuracy on the 300 others is {report['accuracy_of_new']:.4f}" in err


def test_training_images_in_another_data_set_are_recognised(here):
    x, y, x_test, y_test = here.arrays
    split = labelled_images.data.split
    dataset = Dataset("npz", Classification(), x, y, x_test, y_test, (), "", "")
    used = split(dataset, limit=None, validation=100, seed=7)
    mixed = np.concatenate([used.x_train[:30], x_test[:70]]), np.concatenate([used.y_train[:30], y_test[:70]])
    save("mixed.npz", x_test, y_test, *mixed)
    report, err = report_of(here.run_id, "--data", "npz", "data.path=mixed.npz", "data.name=mixed")
    assert (report["images"], report["trained_on"], report["data"]) == (100, 30, "mixed")
    assert "logged" not in report
    own = report_of(here.run_id)[0]
    predicted_right = own["accuracy"] * own["images"]
    assert 0 <= report["accuracy_of_new"] * 70 <= predicted_right
    assert "trained on 30 of these 100 images: the results are too good for new images" in err


def test_images_are_recognised_as_floats_too(digits):
    (x, _), _ = digits
    x, among = x[:40, ..., None], labelled_images.among
    assert among(x[:8], x[4:]).tolist() == [False] * 4 + [True] * 4
    assert among(x[:8].astype(np.float32), x).all()
    assert among(x[:8], x.astype(np.float32)).all()
    assert not among(x[:8] + np.float32(0.25), x).any()
    assert not among(x[:, :20], x).any()
    assert among(x[:0], x).shape == (0,)


def test_unknown_training_images_give_a_warning(here, tmp_path):
    x, y, x_test, y_test = here.arrays
    save("other.npz", x_test, y_test, x, y)
    Path("digits.npz").rename(tmp_path / "away.npz")
    try:
        report, err = report_of(here.run_id, "--data", "npz", "data.path=other.npz")
        assert report["trained_on"] is None
        assert "it is not known whether the run was trained on some of these images: data.path=" in err
        code, _, err = call(here.run_id)
        assert code == 2
        assert "digits.npz does not exist" in err
        assert "data.path=/folder" in err
        # The record says where they were on the machine of the training; they may lie elsewhere.
        report, err = report_of(here.run_id, f"data.path={tmp_path}/away.npz", "--split", "validation")
        assert report["accuracy"] == here.result.history["val_accuracy"][-1]
        # By another name they are still the run's own.
        words = (here.run_id, "--data", "npz", f"data.path={tmp_path}/away.npz")
        assert report_of(*words)[0]["logged"]["accuracy"] == here.result.metrics["test_accuracy"]
        code, _, err = call(here.run_id, "data.path=other.npz")
        assert code == 2
        assert "is not what run" in err
    finally:
        (tmp_path / "away.npz").rename("digits.npz")


def test_logging_keeps_status_and_end_time(here):
    store = client_of()
    before = store.get_run(here.run_id)
    for _ in range(2):
        report, _ = report_of(here.run_id, "--log", "--output", "mine")
    after = store.get_run(here.run_id)
    assert (after.info.status, after.info.end_time) == (before.info.status, before.info.end_time)
    for name in ("accuracy", "loss", "ece", "images"):
        assert after.data.metrics[f"evaluation.npz.test.{name}"] == report[name]
    assert after.data.metrics["evaluation.npz.test.accuracy_low"] == report["interval"]["low"]
    assert set(before.data.metrics) <= set(after.data.metrics)
    Path("mine/notes.txt").write_text("of the user")
    logged = {file.path for file in store.list_artifacts(here.run_id, "evaluation/npz-test")}
    assert logged == {f"evaluation/npz-test/{name}" for name in FILES}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "npz", "data.path=wide.npz"], "has images 20×28×1, but the model of run RUN takes images 28×28×1"),
        (["--data", "npz", "data.path=few.npz"], "has 5 classes, but the model of run RUN knows 10"),
        (["--data", "npz", "data.path=turned.npz"], "has the classes in another order than run RUN: nine, eight, sev"),
        (["--data", "npz", "data.path=digits.npz", "data.pth=3"], "data.pth does not exist: did you mean data.path?"),
        (["--data", "mnst"], "data=mnst does not exist: did you mean data=mnist?"),
        (["--data", "npz,mnist"], "--data=npz,mnist is no data set"),
        (["--data", "npz"], "data.path is missing"),
        (["--data", "mnist_5k", "--split", "validation"], "data=mnist_5k has none; there are test, train and all"),
        (["--data", "fashion_mnist", "data.path=/nowhere"], "data.path=/nowhere does not exist"),
        (["data.pth=/x"], "data.pth does not exist: did you mean data.path?"),
        (["data.validation=test"], "data.validation=test is for training: say with --split"),
        (["data.path=a,b"], "data.path=a,b has several values: give one"),
        (["data.path=[1"], "data.path=[1 cannot be read"),
        (["data.path=3"], "data.path=3 is not allowed"),
        (["model.filters=3"], "model.filters=3 is not understood"),
        (["data._target_=os.system"], "data._target_ does not exist"),
        (["data.trusted_modules=[os]"], "data.trusted_modules does not exist"),
        (["--shifts", "-1"], "--shifts=-1 is not allowed: it must be a number of pixels, 0 for none"),
        (["--shifts", "28"], "--shifts=28 moves images out of sight: data=npz has images 28×28×1, so it must be less"),
        (["--output", "digits.npz"], "--output=digits.npz cannot be written"),
        (["--output", "a" * 300], "cannot be written: File name too long"),
    ],
)
def test_mistake_gives_a_message_without_traceback(here, words, said):
    x, y, x_test, y_test = here.arrays
    save("wide.npz", x[:, :20], y, x_test[:, :20], y_test)
    few, few_test = y < 5, y_test < 5
    save("few.npz", x[few], y[few], x_test[few_test], y_test[few_test], NAMES[:5])
    save("turned.npz", x, y, x_test, y_test, NAMES[::-1])
    code, out, err = call(here.run_id, *words)
    assert (code, out) == (2, "")
    assert said.replace("RUN", here.run_id) in err
    assert "Traceback" not in err
    assert "config.yaml of run" not in err  # What the user wrote is no mistake of the record.


@pytest.mark.slow
def test_classes_with_other_names_are_matched_by_order_with_a_warning(here):
    report, err = report_of(here.run_id, "--data", "mnist_5k")
    assert report["images"] == 1000
    assert "the classes have other names here: the run knew zero, one, two, …, data=mnist_5k has 0, 1, 2, …" in err


@pytest.fixture(scope="module")
def strange(trained):
    """Unusual runs in a store, by name."""
    store = client_of(f"sqlite:///{trained.place}/mlflow.db")
    good = store.get_run(trained.run_id)
    folder = Path(good.info.artifact_uri.removeprefix("file://"))
    config = yaml.safe_load((folder / "config.yaml").read_text())

    def forged(status="FINISHED", without=(), section=None, **tags):
        kept = {key: value for key, value in good.data.tags.items() if key not in without}
        made = store.create_run(good.info.experiment_id, tags=kept | tags).info.run_id
        store.log_text(made, yaml.safe_dump(config | {"data": config["data"] | (section or {})}), "config.yaml")
        if status != "RUNNING":
            store.set_terminated(made, status)
        return made

    model = "mnist_exp.model_uri"
    return {
        "sweep": forged(**{"mnist_exp.sweep": "x"}),
        "not ours": store.create_run(good.info.experiment_id).info.run_id,
        "pruned": forged(without=[model], pruned="true"),
        "killed": forged("KILLED", without=[model]),
        "running": forged("RUNNING", without=[model]),
        "hostile name": forged(section={"name": "../../../\x1b[31mevil"}),
        "code": forged(section={"_target_": "os.system"}),
        "other limits": forged(section={"validation": "test"}),
        "hidden": forged(section={"path": "https://***@x"}),
    }


@pytest.mark.parametrize(
    ("case", "words", "said"),
    [
        ("sweep", [], "is a sweep, which has no model: name one of its jobs"),
        ("not ours", [], "is not a run of mnist_exp"),
        ("pruned", [], "has no model: its sweep stopped it early"),
        ("killed", [], "has no model: it is KILLED; finish it with resume="),
        ("running", [], "has no model: it is RUNNING; wait for it"),
        ("code", [], "data._target_=os.system is not allowed"),
        ("other limits", ["--split=validation"], "held no training images out (data.validation=test)"),
        ("hidden", [], "data.path was hidden when run"),
    ],
)
def test_run_that_cannot_be_evaluated_is_refused(here, strange, case, words, said):
    code, out, err = call(strange[case], *words)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_deleted_model_is_told_and_is_no_mistake_of_the_command_line(here, tmp_path):
    shutil.copy("mlflow.db", tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    model = client_of(uri).get_run(here.run_id).data.tags["mnist_exp.model_uri"]
    client_of(uri).delete_logged_model(model.removeprefix("models:/"))
    code, out, err = call(here.run_id, "--tracking-uri", uri)
    assert (code, out) == (2, "")
    assert err == (
        "nothing was run:\n"
        f"  the model of run {here.run_id} was deleted in MLflow ({model}); the run itself is still there: "
        f"`python -m mnist_exp.rerun {here.run_id}` trains it again\n"
    )


@pytest.mark.slow
def test_place_that_was_hidden_can_be_given_again(here, strange):
    assert report_of(strange["hidden"], "data.path=digits.npz")[0]["images"] == 200


@pytest.mark.slow
def test_names_of_a_record_are_safe_in_paths_and_on_the_terminal(here, strange):
    code, out, err = call(strange["hostile name"], "--log")
    assert code == 0, err
    assert "\x1b" not in out + err
    (folder,) = Path("evaluations").glob(f"{strange['hostile name'][:8]}*")
    assert folder.name.endswith("-31mevil-test")
    assert {file.name for file in folder.iterdir()} == FILES


@pytest.mark.slow
def test_images_in_a_folder(here, tmp_path):
    _, _, x, y = here.arrays
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        file = tmp_path / "own" / f"{label}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((56, 56), Image.Resampling.NEAREST).save(file)
    words = (here.run_id, "--data", "image_folder", f"data.path={tmp_path}/own")
    code, _, err = call(*words)
    assert code == 2
    assert "data.size=[28,28] scales them" in err
    own = report_of(here.run_id)[0]["accuracy"]
    report, _ = report_of(*words, "data.size=[28,28]", "--split", "all")
    assert report["images"] == 200
    assert report["accuracy"] == pytest.approx(own, abs=0.1)


def test_fallback_is_not_used_in_place_of_the_named_data(here, monkeypatch):
    settings = compose(["data=mnist", "data.mirrors=[]"])
    words = [here.run_id, "--data", "mnist", "data.mirrors=[]"]
    code, _, err = call(*words)
    assert settings.data.name == "mnist"
    assert code == 2
    assert "--data=mnist cannot be found" in err


def test_data_options_may_stand_before_and_after_flags(here):
    read = evaluate.read(["--split", "all", "id", "--data", "npz", "data.path=x", "--json", "data.name=y"])
    assert (read.run_id, read.options, read.split, read.json) == ("id", ["data.path=x", "data.name=y"], "all", True)
    with pytest.raises(SettingsError, match="x=1 is not understood"):
        evaluate.read(["id", "x=1"])


@pytest.mark.slow
def test_command_prints_only_its_results(here):
    done = subprocess.run(
        [sys.executable, "-m", "mnist_exp.evaluate", here.run_id, "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run_id"] == here.run_id
    assert done.stderr == ""


@pytest.mark.slow
def test_full_mnist(alone, full_mnist, monkeypatch):
    """Metrics are equal to the recorded ones, and the bundled digits are recognised as training images."""
    monkeypatch.setenv("MNIST_EXP_DATA", str(full_mnist))
    options = ["trainer.epochs=1", "data.limit=12000", "data.validation=2000", "model.filters=4"]
    result = run(compose(options))
    report, err = report_of(result.run_id)
    assert (report["images"], report["trained_on"], err) == (10_000, 0, "")
    assert report["accuracy"] == result.metrics["test_accuracy"]
    report, err = report_of(result.run_id, "--data", "mnist_5k", "--split", "all")
    assert 700 < report["trained_on"] < 970  # 10 of 60, of 5,000
    assert f"trained on {report['trained_on']:,} of these 5,000 images: the results are too good for new images" in err


def test_shifts_evaluate_the_mean_prediction_of_moved_images(here):
    _, _, x, y = here.arrays
    padded, model = np.pad(x[..., None], [(0, 0), (1, 1), (1, 1), (0, 0)]), load_model(f"runs:/{here.run_id}")
    places = [(row, column) for row in range(3) for column in range(3)]
    mean = sum(model.predict(padded[:, i : i + 28, j : j + 28], verbose=0) for i, j in places) / 9
    found = evaluate_in_python(here.run_id, shifts=1)
    np.testing.assert_allclose(found.outputs, mean, atol=1e-6)
    assert found.metrics["accuracy"] == (mean.argmax(axis=1) == y).mean()
    assert found.metrics["loss"] == pytest.approx(-np.log(mean[np.arange(len(y)), y]).mean(), rel=1e-5)
    code, out, err = call(here.run_id, "--shifts=1", "--log")
    assert (code, err) == (0, "")
    assert "shifts       the mean probabilities of 9: each image, and moved by up to 1 pixel" in out
    assert "as the run recorded them" not in out
    assert "evaluation.npz.test_shifts_1.*" in out
    logged = client_of().get_run(here.run_id).data.metrics
    assert logged["evaluation.npz.test_shifts_1.accuracy"] == found.metrics["accuracy"]
    assert (Path("evaluations") / f"{here.run_id[:8]}-npz-test_shifts_1" / "evaluation.json").exists()
    assert report_of(here.run_id, "--shifts=1")[0]["shifts"] == 1


@pytest.fixture(scope="module")
def seeds(trained):
    """The parent of a sweep over two seeds, and its runs."""
    words = ["data=npz", f"data.path={trained.place}/digits.npz", "data.validation=100", *SMALL, "seed=1,2"]
    subprocess.run(
        [sys.executable, "-m", "mnist_exp.run", "-m", *words, "tracking.experiment=seeds"],
        cwd=trained.place,
        check=True,
        capture_output=True,
    )
    client = client_of(f"sqlite:///{trained.place}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("seeds").experiment_id])
    (parent,) = [each for each in runs if "mlflow.parentRunId" not in each.data.tags]
    return parent.info.run_id, [each for each in runs if "mlflow.parentRunId" in each.data.tags]


@pytest.mark.slow
def test_ensemble_is_the_mean_of_its_models(here, seeds):
    parent, runs = seeds
    report, err = report_of(parent, "--ensemble", "--log")
    assert err == ""
    assert report["members"] == {each.info.run_id: each.data.metrics["test_accuracy"] for each in runs}
    _, _, x, y = here.arrays
    mean = sum(load_model(f"runs:/{each.info.run_id}").predict(x[..., None], verbose=0) for each in runs) / 2
    assert report["accuracy"] == (mean.argmax(axis=1) == y).mean()
    logged = client_of().get_run(parent).data.metrics
    assert logged["evaluation.npz.test.accuracy"] == report["accuracy"]
    code, out, _ = call(parent, "--ensemble")
    assert code == 0
    assert re.search(
        r"^ensemble +the mean probabilities of 2 models; each alone has an accuracy of 0\.\d{4} ± 0\.\d{4} ", out, re.M
    )


@pytest.mark.slow
def test_many_models_in_a_process_say_nothing_of_retracing(here):
    ask = f"load_model({here.run_id!r}).predict(np.zeros((4, 28, 28, 1), 'uint8'), verbose=0)"
    lines = ["import numpy as np", "from mnist_exp import load_model", f"for _ in range(8): {ask}", "print('asked')"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("asked\n")
    assert "retracing" not in done.stderr


@pytest.mark.slow
def test_training_images_of_any_model_of_an_ensemble_give_a_warning(here, seeds):
    parent, _ = seeds
    report, err = report_of(parent, "--ensemble", "--split=all")
    assert report["trained_on"] > 460  # The two hold-outs are not the same.
    assert "the ensemble was trained on" in err
    code, _, err = call(parent, "--ensemble", "--split=validation")
    assert code == 2
    assert "--split=validation: the runs do not have the same images there" in err


@pytest.mark.slow
def test_jobs_of_an_earlier_sweep_and_second_attempts_belong_to_an_ensemble(here, seeds):
    _, runs = seeds
    client = client_of()
    experiment = client.get_experiment_by_name("seeds").experiment_id
    parent = client.create_run(experiment, tags={"mnist_exp.sweep": "x"}).info.run_id
    lost = {"mlflow.parentRunId": parent, "mnist_exp.job_key": runs[1].data.tags["mnist_exp.job_key"]}
    client.set_terminated(client.create_run(experiment, tags=lost).info.run_id, "FAILED")
    board = "rank,run_id\n" + "".join(f"{rank},{each.info.run_id}\n" for rank, each in enumerate(runs))
    client.log_text(parent, board, "leaderboard.csv")
    code, _, err = call(parent, "--ensemble")
    assert code == 2
    assert "is RUNNING: issue it again, which finishes what is left" in err
    client.set_terminated(parent)
    report, _ = report_of(parent, "--ensemble")
    assert sorted(report["members"]) == sorted(each.info.run_id for each in runs)


@pytest.mark.slow
def test_ensemble_with_a_model_missing_is_refused(here, seeds):
    parent, runs = seeds
    client, name = client_of(), "mnist_exp.model_uri"
    model = runs[0].data.tags[name]
    client.delete_tag(runs[0].info.run_id, name)
    try:
        code, _, err = call(parent, "--ensemble")
    finally:
        client.set_tag(runs[0].info.run_id, name, model)
    assert code == 2
    assert f"run {runs[0].info.run_id} has no model" in err


def test_ensemble_of_a_single_run_is_refused(here):
    code, _, err = call(here.run_id, "--ensemble")
    assert code == 2
    assert f"--ensemble: run {here.run_id} is no sweep" in err
