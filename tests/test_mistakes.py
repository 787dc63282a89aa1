"""Every mistake: exit code 2, told in words with its name, its value and the fix, no run, nothing heavy imported."""

import json
import subprocess
import sys

import numpy as np
import pytest

MISTAKES = {
    "dropout above its range": ("model.dropout=1.5", "model.dropout=1.5", "at least 0 and below 1"),
    "dropout below its range": ("model.dropout=-0.1", "model.dropout=-0.1", "at least 0 and below 1"),
    "typo in an option": ("model.dorpout=0.5", "model.dorpout does not exist", "did you mean model.dropout?"),
    "typo in an added option": ("+model.dorpout=0.5", "model.dorpout does not exist", "did you mean model.dropout?"),
    "typo in a trainer option": ("trainer.epoch=3", "trainer.epoch does not exist", "did you mean trainer.epochs?"),
    "typo in a section": ("trianer.epochs=3", "trianer.epochs does not exist", "did you mean trainer?"),
    "typo in a group": ("modle=mlp", "modle does not exist", "did you mean model?"),
    "added section": ("+foo.bar=1", "foo does not exist"),
    "text for a number": ("trainer.epochs=abc", "trainer.epochs=abc", "a whole number, at least 1"),
    "no epochs": ("trainer.epochs=0", "trainer.epochs=0", "at least 1"),
    "negative batch": ("trainer.batch_size=-1", "trainer.batch_size=-1", "at least 1"),
    "fraction of a filter": ("model.filters=2.5", "model.filters=2.5", "a whole number"),
    "true for a number": ("model.filters=true", "model.filters=true", "a whole number"),
    "null for a number": ("model.filters=null", "model.filters=null", "a whole number"),
    "nothing for a number": ("model.dropout=", "model.dropout=''", "a number"),
    "infinite rate": ("optimizer.learning_rate=inf", "optimizer.learning_rate=inf", "a number above 0"),
    "NaN rate": ("optimizer.learning_rate=nan", "optimizer.learning_rate=nan", "a number above 0"),
    "negative rate": ("optimizer.learning_rate=-1", "optimizer.learning_rate=-1", "a number above 0"),
    "argument not configured": ("optimizer.clipnorm=1", "add it with +optimizer.clipnorm=1"),
    "two kinds of clipping": (
        "+optimizer.clipnorm=1 optimizer.global_clipnorm=1",
        "optimizer.clipnorm=1.0 and optimizer.global_clipnorm=1.0",
    ),
    "kernel larger than the image": ("data=mnist_5k model.kernel_size=99", "model.kernel_size=99", "at most 28"),
    "pool larger than its input": ("data=mnist_5k model.pool_size=25", "model.pool_size=25", "at most 24"),
    "unknown activation": ("model.activation=rellu", "model.activation=rellu", "one of relu"),
    "empty list": ("model=mlp model.hidden_units=[]", "model.hidden_units=[]", "at least 1 of them"),
    "bad item of a list": ("model=mlp model.hidden_units=[0]", "model.hidden_units=[0]", "at least 1"),
    "unknown model": ("model=cnnn", "model=cnnn does not exist", "did you mean model=cnn?", "lenet5, mlp, resnet"),
    "unknown optimizer": ("optimizer=adamm", "optimizer=adamm does not exist", "did you mean optimizer=adam?"),
    "unknown experiment": ("experiment=foo", "experiment=foo does not exist", "overfit_one_batch"),
    "group set to null": ("model=null", "model=null", "one of cnn"),
    "group removed": ("~model", "model=null", "a section"),
    "group set to a value": ("+model.filters.x=1", "model.filters"),
    "forbidden target": ("model._target_=os.system", "model._target_=os.system is not allowed", "trusted_modules"),
    "forbidden optimizer": ("optimizer._target_=keras.saving.load_model", "is not allowed", "keras.optimizers.*"),
    "target of another kind": ("model._target_=keras.optimizers.Adam", "is not allowed"),
    "target that is no name": ("model._target_='a b'", "model._target_=a b is not allowed", "dotted name"),
    "trusted module that is missing": (
        "model._target_=no_such_pkg.net trusted_modules=[no_such_pkg]",
        "there is no module no_such_pkg",
    ),
    "negative seed": ("seed=-1", "seed=-1", "at least 0"),
    "unknown objective": ("objective=val_acc", "objective=val_acc", "one of val_accuracy"),
    "direction against the objective": ("objective=val_loss", "direction=maximize", "it must be minimize"),
    "selection on the test set": ("trainer.restore_best=true", "select on the test set", "data.validation=5000"),
    "stopping on the test set": ("trainer.early_stopping_patience=2", "select on the test set"),
    "unknown precision": ("trainer.precision=float8", "trainer.precision=float8", "mixed_bfloat16"),
    "validation that is no share": (
        "data.validation=5.5",
        "data.validation=5.5",
        "a share of them above 0 and below 1",
    ),
    "validation that takes all": ("data=mnist_5k data.validation=4000", "data.validation=4000", "one left"),
    "limit above the data": ("data=mnist_5k data.limit=4001", "data.limit=4001", "4,000 training images"),
    "no such file": ("data=npz data.path=/no/such", "data.path=/no/such does not exist"),
    "no file": ("data=npz", "data.path is missing"),
    "no data and no fallback": ("data.fallback=false data.mirrors=[]", "data=mnist was not found"),
    "no word": ("foo", "foo cannot be read", "option=value"),
    "open bracket": ("model.dropout=[1", "model.dropout=[1 cannot be read"),
    "sweep without -m": ("model.filters=16,32", "model.filters=16,32", "-m"),
    "no such folder of configurations": ("--config-dir /no/such", "--config-dir=/no/such is not a folder"),
    "another primary configuration": ("--config-name other", "--config-name is not supported", "--config-dir"),
    "callback of Hydra": ("+hydra.callbacks.x._target_=shutil.copy", "hydra.callbacks.x is not allowed"),
    "trusted module of Python's own": ("trusted_modules=[subprocess]", "'subprocess' is not allowed", "my_pkg"),
    "schedule without a rate": ("~optimizer.learning_rate schedule=cosine", "schedule=cosine has nothing to change"),
    "mistake with --cfg": ("--cfg job model=cnnn", "model=cnnn does not exist"),
    "mistake with --help": ("--help model=cnnn", "model=cnnn does not exist"),
    "mistake late in a sweep": ("-m model.filters=1,2,0", "job 3 of 3: model.filters=0 is not allowed"),
    "mistake in a range of a sweep": ("-m model.dropout=0.1,1.5", "job 2 of 2: model.dropout=1.5"),
    "unknown choice in a sweep": ("-m model=cnn,mlpp", "job 2 of 2: model=mlpp does not exist", "model=mlp"),
    "pruner without a search": ("-m model.filters=1,2 sweep.pruner=asha", "sweep.pruner=asha needs a search"),
    "time limit of a grid": ("-m model.filters=1,2 sweep.timeout_s=9", "sweep.timeout_s=9.0 needs a search"),
    "interval the wrong way": ("-m model.dropout=interval(0.5,0.1)", "its start 0.5 must be below its end 0.1"),
    "end of an interval": (
        "-m model.dropout=interval(0.1,1.5) data.validation=0.1",
        "corner 2 of 2: model.dropout=1.5",
    ),
    "search on the test set": (
        "-m model.dropout=interval(0.1,0.5)",
        "would select on the test set",
        "data.validation=0.1",
    ),
    "nothing to search": ("-m sweep.sampler=tpe", "sweep.sampler=tpe has nothing to search"),
    "two objectives and a pruner": (
        "-m model.filters=1,2 sweep.sampler=tpe sweep.pruner=asha sweep.minimize_too=parameters",
        "sweep.pruner=asha cannot tell poor trials by two objectives",
    ),
    "unknown sampler": ("-m model.filters=1,2 sweep.sampler=tpee", "sweep.sampler=tpee is not allowed", "tpe, random"),
    "unknown option of a sweep": (
        "-m model.filters=1,2 sweep.trials=3",
        "sweep.trials",
        "did you mean sweep.n_trials?",
    ),
    "unknown preset": ("-m sweep=serch", "did you mean sweep=search?"),
    "lists of different lengths zipped": (
        "-m seed=1,2 model.filters=1,2,3 sweep.zip=true",
        "seed has 2, model.filters has 3",
    ),
    "bad point": ("-m sweep.points=[{model.filters:0}]", "job 1 of 1: model.filters=0 is not allowed"),
    "points that are none": ("-m sweep.points=3", "sweep.points=3 is not allowed", "a list of combinations"),
    "sweep over the store": ("-m tracking.experiment=a,b", "tracking.experiment cannot be swept over"),
    "no worker": ("-m seed=1,2 hydra.launcher.n_workers=0", "hydra.launcher.n_workers=0 is not allowed", "at least 1"),
    "typo in a launcher's option": ("-m seed=1,2 hydra.launcher.n_worker=2", "did you mean hydra.launcher.n_workers?"),
    "launcher that is not installed": (
        "-m seed=1,2 hydra/launcher=slurmm",
        "hydra/launcher=slurmm does not exist",
        "local",
    ),
    "job time-out elsewhere": ("-m seed=1,2 hydra/launcher=basic sweep.job_timeout_s=9", "needs hydra/launcher=local"),
    "kernel too large late in a sweep": ("-m model.kernel_size=3,29", "kernel_size=29: model.kernel_size=29 is larger"),
    "limit too high late in a sweep": (
        "-m data=mnist_5k data.limit=10,4001",
        "limit=4001: data.limit=4001 is more than",
    ),
    "folder of a sweep that cannot be written": (
        "-m seed=1,2 data.validation=0.1 hydra.sweep.dir=/proc/x",
        "change it with hydra.sweep.dir",
    ),
    "study that cannot be opened": (
        "-m model.dropout=interval(0.1,0.5) data.validation=0.1 sweep.storage=nope://x",
        "sweep.storage=nope://x cannot be used",
    ),
    "output folder that cannot be written": ("hydra.run.dir=/proc/x", "output folder cannot be written", "/proc/x"),
    "server that does not answer": (
        "tracking.uri=http://127.0.0.1:9",
        "tracking.uri=http://127.0.0.1:9: nothing answers",
    ),
    "password in an address": ("tracking.uri=http://me:pass@127.0.0.1:9", "http://***@127.0.0.1:9: nothing answers"),
    "database that does not answer": ("tracking.uri=postgresql://127.0.0.1:9/x", "nothing answers"),
    "folder as a store": ("tracking.uri=/tmp/runs", "tracking.uri=/tmp/runs", "sqlite:///FILE.db"),
    "unknown kind of store": ("tracking.uri=ftp://x", "tracking.uri=ftp://x is not understood"),
    "store in a folder that is missing": ("tracking.uri=sqlite:////no/such/x.db", "there is no folder /no/such"),
    "store that cannot be written": ("tracking.uri=sqlite:////proc/x.db", "tracking.uri=sqlite:////proc/x.db"),
    "store that is no database": ("tracking.uri=sqlite:///text.db", "is not an SQLite database"),
    "experiment without a name": ("tracking.experiment=''", "tracking.experiment=''", "a name"),
}
WITH_DATA = {
    "images of a wrong shape": ("shape.npz", "x_train has the shape (100, 784)", "(n, height, width)"),
    "pixels as text": ("dtype.npz", "x_train holds <U1 values", "uint8"),
    "label out of range": ("range.npz", "y_test holds the label 12", "0 to 9"),
    "negative label": ("negative.npz", "y_train holds the label -1"),
    "NaN pixels": ("nan.npz", "x_train has NaN pixels, the first in image 3"),
    "empty class": ("empty.npz", "class 4 has no training image"),
    "missing array": ("missing.npz", "lacks the array y_test"),
    "pickled objects": ("pickle.npz", "Python objects"),
    "not an npz file": ("text.db", "not a readable npz file"),
}
SEVERAL = (
    "model.dropout=1.5 model.fliters=3 optimizer=adamm trainer.epochs=0 data=npz data.path=/no tracking.uri=/tmp/r"
)
WORKER = """
import contextlib, io, json, os, pathlib, sys
from mnist_exp.run import launch
results = []
for arguments, environment in json.load(sys.stdin):
    os.environ.update(environment)
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["run.py", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = launch()
        except SystemExit as leaving:
            code = leaving.code
    for name in environment:
        del os.environ[name]
    heavy = sorted({"tensorflow", "keras", "mlflow", "jax", "torch", "matplotlib", "pandas"} & set(sys.modules))
    results.append({"code": code, "out": out.getvalue(), "err": err.getvalue(), "heavy": heavy})
print("RESULTS" + json.dumps([results, sorted(p.name for p in pathlib.Path().iterdir())]))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory, digits):
    """What each command line prints, all told by one process that stays light."""
    folder = tmp_path_factory.mktemp("mistakes")
    _write_bad_arrays(folder, digits)
    lines = {name: (case[0].split(" ") if "'" not in case[0] else [case[0]], {}) for name, case in MISTAKES.items()}
    lines |= {name: (["data=npz", f"data.path={case[0]}"], {}) for name, case in WITH_DATA.items()}
    lines["several"] = (SEVERAL.split(), {})
    lines["bad MNIST_EXP_DATA"] = ([], {"MNIST_EXP_DATA": "/no/such"})
    lines["empty MNIST_EXP_DATA"] = ([], {"MNIST_EXP_DATA": str(folder)})
    lines["help"] = (["--help"], {})
    lines["configuration"] = (["--cfg", "job", "model=mlp"], {})
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        input=json.dumps(list(lines.values())),
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    results, files = json.loads(done.stdout.rpartition("RESULTS")[2])
    return dict(zip(lines, results, strict=True)) | {"files": files}


@pytest.mark.parametrize("name", [*MISTAKES, *WITH_DATA])
def test_mistake_is_told(told, name):
    result = told[name]
    assert result["code"] == 2
    for words in (MISTAKES | WITH_DATA)[name][1:]:
        assert words in result["err"]
    assert "Traceback" not in result["err"]
    assert len(result["err"].splitlines()) == 2
    assert result["heavy"] == []


def test_several_mistakes_are_told_together(told):
    result = told["several"]
    assert result["code"] == 2
    assert result["err"].splitlines()[0].startswith("6 mistakes")
    for name in (
        "model.dropout",
        "model.fliters",
        "optimizer=adamm",
        "trainer.epochs",
        "data.path=/no",
        "tracking.uri",
    ):
        assert name in result["err"]


@pytest.mark.parametrize("name", ["bad MNIST_EXP_DATA", "empty MNIST_EXP_DATA"])
def test_folder_of_data_that_has_none_is_a_mistake(told, name):
    assert told[name]["code"] == 2
    assert "$MNIST_EXP_DATA=" in told[name]["err"]
    assert told[name]["heavy"] == []


def test_nothing_was_recorded(told):
    assert not [name for name in told["files"] if name.startswith("ml")]


def test_help_shows_groups_options_and_meanings(told):
    page = told["help"]["out"]
    assert told["help"]["code"] == 0
    assert told["help"]["heavy"] == []
    assert "cnn*, lenet5, mlp, resnet" in page
    options = [line for line in page.splitlines() if line.startswith("  ") and "." in line.split()[0]]
    assert len([line for line in options if line.split()[0].partition(".")[0] in ("model", "trainer", "data")]) > 12
    assert all(len(line) > 54 for line in options if not line.startswith("  python")), "an option has no meaning"


def test_cfg_prints_the_configuration(told):
    assert told["configuration"]["code"] == 0
    assert "hidden_units" in told["configuration"]["out"]
    assert told["configuration"]["heavy"] == []


def _write_bad_arrays(folder, digits):
    (x, y), (x_test, y_test) = digits
    chosen = np.sort(np.concatenate([np.flatnonzero(y == label)[:10] for label in range(10)]))
    good = {"x_train": x[chosen], "y_train": y[chosen], "x_test": x_test[::10], "y_test": y_test[::10]}
    nan = good["x_train"].astype("float32")
    nan[3, 5, 5] = np.nan
    out_of_range, negative = good["y_test"].astype(int), good["y_train"].astype(int)
    out_of_range[7], negative[0] = 12, -1
    four = good["y_train"] == 4
    bad = {
        "shape": {"x_train": good["x_train"].reshape(100, 784)},
        "dtype": {"x_train": np.full((100, 28, 28), "a")},
        "range": {"y_test": out_of_range},
        "negative": {"y_train": negative},
        "nan": {"x_train": nan, "x_test": good["x_test"].astype("float32")},
        "empty": {"x_train": good["x_train"][~four], "y_train": good["y_train"][~four]},
        "pickle": {"x_train": np.array([{}, []], dtype=object)},
    }
    for name, change in bad.items():
        np.savez(folder / f"{name}.npz", **(good | change))
    np.savez(folder / "missing.npz", **{k: v for k, v in good.items() if k != "y_test"})
    (folder / "text.db").write_text("this is neither a database nor an archive")
