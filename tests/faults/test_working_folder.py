"""With hydra.job.chdir=true each job works in its output folder; relative paths mean the folder of the command."""

from pathlib import Path

import numpy as np
import optuna
import pytest
import yaml
from real_runs import client_of, kill_after_epoch, only_run, recorded, run

CHDIR = ["hydra.job.chdir=true", "trainer.epochs=1", "model.filters=2", "model.dense_units=8"]
OWN_CODE = """
from pathlib import Path

import keras
import numpy as np

SIZES = Path("sizes.txt").read_text().split()

def digits(path: str):
    with np.load(path) as file:
        return (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])

def net(input_shape, classes, *, layers: str):
    sizes = [int(size) for size in Path(layers).read_text().split()]
    hidden = [keras.layers.Dense(size) for size in sizes]
    last = keras.layers.Dense(classes, activation="softmax", dtype="float32")
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), *hidden, last])
"""


@pytest.fixture
def files(digits):
    """Arrays, code and settings of one's own, all in the folder of the command."""
    (x, y), (x_test, y_test) = digits
    np.savez("digits.npz", x_train=x[::20], y_train=y[::20], x_test=x_test[::5], y_test=y_test[::5])
    Path("mine.py").write_text(OWN_CODE)
    Path("sizes.txt").write_text("8 8")
    Path("records").mkdir()
    for group, content in {
        "data/mine": {
            "_target_": "mine.digits",
            "name": "mine",
            "path": "digits.npz",
            "validation": "test",
            "trusted_modules": ["mine"],
        },
        "model/mine": {"_target_": "mine.net", "layers": "sizes.txt", "trusted_modules": ["mine"]},
    }.items():
        file = Path(f"groups/{group}.yaml")
        file.parent.mkdir(parents=True)
        file.write_text(yaml.safe_dump(content))


def stores():
    return sorted(str(file) for file in Path().rglob("*.db"))


@pytest.mark.new_store
@pytest.mark.slow
def test_single_run_finds_and_records_where_it_was_started(files):
    run("data=npz", "data.path=digits.npz", "tracking.uri=sqlite:///records/runs.db", *CHDIR)
    assert stores() == ["records/runs.db"]
    found = only_run(f"sqlite:///{Path.cwd()}/records/runs.db")
    assert found.info.artifact_uri.startswith((Path.cwd() / "records" / "mlartifacts").as_uri())
    client = client_of(f"sqlite:///{Path.cwd()}/records/runs.db")
    environment = yaml.safe_load(Path(client.download_artifacts(found.info.run_id, "environment.yaml")).read_text())
    assert environment["working_folder"] == str(Path.cwd())


@pytest.mark.slow
def test_killed_run_keeps_its_checkpoint_where_it_was_started(files):
    run_id = kill_after_epoch(1, "--config-dir=groups", "model=mine", "data=mine", *CHDIR[:1], "trainer.epochs=400")
    assert (Path("unfinished") / run_id).is_dir()
    options = ["--config-dir=groups", f"resume={run_id}", "model=mine", "data=mine"]
    told = run(*options, *CHDIR[:1], "trainer.epochs=1", code=2)
    assert "trainer.epochs=1 was 400: a resumed run may have more epochs, not fewer" in told


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["local", "basic"])
def test_sweep_issued_again_finds_its_jobs(files, launcher):
    words = ["-m", "--config-dir=groups", "data=mine", "model=mine", "seed=1,2", f"hydra/launcher={launcher}"]
    words += CHDIR[:2]
    for _ in range(2):
        run(*words)
    assert stores() == ["mlflow.db"]
    _, parents, children = recorded()
    assert (len(parents), len(children)) == (1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["studies/own.journal", "sqlite:///records/study.db"])
def test_search_keeps_one_study_where_it_was_started(files, storage):
    words = ["-m", "--config-dir=groups", "data=mine", "model.dropout=interval(0,0.5)", "data.validation=20"]
    words += ["sweep.n_trials=2", f"sweep.storage={storage}", "sweep.study=own", *CHDIR]
    run(*words)
    assert len(recorded()[2]) == 2
    backend = optuna.storages.journal.JournalFileBackend
    kept = storage if "://" in storage else optuna.storages.JournalStorage(backend(storage))
    assert len(optuna.load_study(study_name="own", storage=kept).trials) == 2


@pytest.mark.slow
def test_own_code_trains_in_the_output_folder_of_its_job(files):
    """What Hydra promises: a file that one's own layer writes in the training lands there."""
    Path("writes.py").write_text(
        "import keras\n"
        "from pathlib import Path\n"
        "class Writes(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        Path('seen.txt').write_text('')\n"
        "        return x\n"
        "def net(input_shape, classes):\n"
        "    last = keras.layers.Dense(classes, activation='softmax', dtype='float32')\n"
        "    return keras.Sequential([Writes(), keras.layers.Flatten(), last])\n"
    )
    Path("groups/model/writes.yaml").write_text("_target_: writes.net\ntrusted_modules: [writes]\n")
    run("--config-dir=groups", "model=writes", "data=mine", "tracking=none", *CHDIR[:2])
    assert list(Path("outputs").rglob("seen.txt"))
