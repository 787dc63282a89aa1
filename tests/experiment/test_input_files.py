"""Files that builders read are known by their bytes: in keys, records, reruns, resumptions, searches and reports."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from real_runs import client_of, kill_after_epoch, only_run, run

from mnist_exp import rerun
from mnist_exp import run as run_here
from mnist_exp.comparison import options
from mnist_exp.composition.compose import compose
from mnist_exp.config import input_files
from mnist_exp.config.components import Component
from mnist_exp.errors import SettingsError
from mnist_exp.experiment import recall
from mnist_exp.experiment.job_key import job_key, result_config
from mnist_exp.runtime.start_folder import started_in
from mnist_exp.tracking.runs import StoredRun

OWN = """
import keras
import numpy as np
from mnist_exp.config import fields
from mnist_exp.config.fields import InputFile

def net(input_shape, classes, weights: InputFile | None = None):
    made = keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(classes, "softmax")])
    if weights:
        made.set_weights([np.full(each.shape, np.load(weights).mean()) for each in made.get_weights()])
    return made

def by_default(input_shape, classes, *, weights: fields.InputFile = "a.npy"):
    return net(input_shape, classes, weights)

class Reads(keras.callbacks.Callback):
    def __init__(self, file: InputFile):
        super().__init__()
        self.file = file
"""
SMALL = ["data=mnist_5k", "data.limit=200", "data.validation=50", "model=own", "trusted_modules=[own_net]"]
COMMAND = ["--config-dir=own", *SMALL]


@pytest.fixture
def here(alone, monkeypatch):
    """A folder with a package of a user's own, and two files: copy.npy holds what a.npy does."""
    monkeypatch.syspath_prepend(str(alone))
    (alone / "own_net.py").write_text(OWN)
    (alone / "own" / "model").mkdir(parents=True)
    (alone / "own" / "model" / "own.yaml").write_text("_target_: own_net.net\nweights: null\n")
    np.save("a.npy", np.zeros(3))
    np.save("b.npy", np.full(3, 0.1))
    shutil.copy("a.npy", "copy.npy")
    return alone


def composed(here, *words):
    return compose([*SMALL, *words], config_dir=here / "own")


def sha256(name):
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def test_key_is_that_of_the_bytes_wherever_they_lie(here):
    def key(*words):
        return job_key(composed(here, *words), "0")

    keys = [key(), key("model.weights=a.npy"), key("model.weights=b.npy")]
    assert len({*keys}) == 3
    Path("elsewhere").mkdir()
    shutil.copy("a.npy", "elsewhere/other.name")
    assert key("model.weights=elsewhere/other.name") == key(f"model.weights={here}/copy.npy") == keys[1]
    shutil.copy("b.npy", "copy.npy")
    assert key("model.weights=copy.npy") == keys[2]
    assert key("model.weights=gone.npy") not in keys
    assert key(f"model.weights={'x' * 300}.npy") not in keys


def test_relative_path_is_of_the_folder_that_the_command_was_started_in(here, tmp_path, monkeypatch):
    (tmp_path / "job").mkdir()
    settings = composed(here, "model.weights=a.npy")
    with started_in(here):
        monkeypatch.chdir(tmp_path / "job")
        assert input_files.all_of(settings)["model.weights"].sha256 == sha256(here / "a.npy")


def test_default_counts_as_if_it_were_given(here):
    plain = composed(here)
    found = [
        result_config(dataclasses.replace(plain, model=Component("model", "own_net.by_default", given, ("own_net",))))[
            "model"
        ]
        for given in ({}, {"weights": "a.npy"})
    ]
    assert found[0] == found[1] == {"_target_": "own_net.by_default", "weights": f"sha256:{sha256('a.npy')}"}


def test_file_that_cannot_be_read_is_told(here, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(input_files, "_sha256_of", denied)
    with pytest.raises(SettingsError, match=r"model.weights=a.npy cannot be read: Permission denied"):
        job_key(composed(here, "model.weights=a.npy"), "0")


def stored(tag):
    return StoredRun("0" * 32, "n", "e", "FINISHED", {"model.weights": "a.npy"}, {}, tag, "")


@pytest.mark.parametrize("tag", ["x", "[]", "{}", '{"model.weights": "***"}', '{"model.weights": 3}', '["a"]'])
def test_tag_that_is_none_says_nothing(tag, here):
    run = stored({"mnist_exp.input_files": tag})
    assert recall.input_files_of(run) == {}
    recall.check_files(run, composed(here, "model.weights=a.npy"))


def test_report_keeps_runs_of_other_files_apart():
    tags = [{"mnist_exp.input_files": json.dumps({"model.weights": digit * 64})} for digit in "ab"]
    assert [options.of(stored(tag))["model.weights"] for tag in (*tags, {})] == [
        "a.npy (aaaaaaaa)",
        "a.npy (bbbbbbbb)",
        "a.npy",
    ]


@pytest.mark.slow
def test_rerun_takes_the_same_bytes_only_also_of_a_callback(here):
    words = ["model.weights=copy.npy", "trainer.epochs=1", "+callbacks.own={_target_: own_net.Reads, file: b.npy}"]
    first = run_here(composed(here, *words))
    tags = only_run().data.tags
    assert json.loads(tags["mnist_exp.input_files"]) == {
        "model.weights": sha256("a.npy"),
        "callbacks.own.file": sha256("b.npy"),
    }
    asked = rerun._parser().parse_args([first.run_id, "--trusted-modules", "own_net"])
    assert rerun.rerun(asked) == 0
    shutil.copy("b.npy", "copy.npy")
    with pytest.raises(SettingsError, match=r"model.weights=copy.npy has the SHA-256 .* put that one back"):
        rerun.rerun(asked)
    Path("copy.npy").unlink()
    with pytest.raises(
        SettingsError, match=r"model.weights=copy.npy: the file of the SHA-256 .* is gone: put that one back"
    ):
        rerun.rerun(asked)


@pytest.mark.slow
def test_resume_takes_the_same_bytes_only_wherever_they_lie(here):
    words = ["model.weights=copy.npy", "trainer.epochs=40", "trainer.batch_size=5"]
    whole = run_here(composed(here, *words, "tracking=none"))
    killed = kill_after_epoch(3, *COMMAND, *words)
    before = client_of().get_run(killed).data.tags
    again = ["--config-dir=own", f"resume={killed}", "trusted_modules=[own_net]"]
    shutil.copy("b.npy", "copy.npy")
    assert "began with a file of" in run(*again, code=2)
    shutil.move("a.npy", "moved.npy")
    run(*again, "model=own", "model.weights=moved.npy")
    after = client_of().get_run(killed).data.tags
    for name in ("mnist_exp.job_key", "mnist_exp.input_files"):
        assert after[name] == before[name]
    assert after["mnist_exp.weights_sha256"] == whole.weights_sha256
