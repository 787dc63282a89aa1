"""Real digits and a folder of its own for every test; no test sees the user's data, store or cache."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Half of Hypothesis's own: each run draws others, and `make test` is to end within five minutes.
settings.register_profile("half", max_examples=50)
settings.load_profile("half")
# Read once, when TensorFlow is first imported: the tests that import it must not each wait for a busy machine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# No fixture, of whatever scope, may see the user's choices; the workers that run the tests are told the folder.
if "MNIST_EXP_DATA" in os.environ:
    os.environ["MNIST_EXP_FULL_MNIST"] = os.environ.pop("MNIST_EXP_DATA")
os.environ.pop("MLFLOW_TRACKING_URI", None)
FULL_MNIST = Path(os.environ.get("MNIST_EXP_FULL_MNIST") or Path(__file__).parents[2] / "shared" / "data")


# A file goes to one worker as a whole, so a long one that begins last keeps the other worker waiting.
LONGEST_FIRST = [
    "test_every_choice",
    "test_run",
    "test_fit",
    "test_golden_losses",
    "test_sweep",
    "test_past_store",
    "test_models",
    "test_rerun",
]


def pytest_addoption(parser):
    parser.addoption("--part", metavar="K/N", help="run the tests of every Nth file only, from the Kth on")


def pytest_collection_modifyitems(config, items):
    if part := config.getoption("--part"):
        number, count = map(int, part.split("/"))
        chosen = set(sorted({item.path for item in items})[number - 1 :: count])
        left = [item for item in items if item.path not in chosen]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item.path in chosen]
    items.sort(key=lambda item: LONGEST_FIRST.index(item.path.stem) if item.path.stem in LONGEST_FIRST else 99)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A store without a run or an experiment: MLflow takes 4 s of CPU to make one."""
    file = tmp_path_factory.mktemp("empty") / "mlflow.db"
    subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{file}"], check=True, capture_output=True
    )
    return file


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory):
    """The Keras cache of fixtures of wider scope than a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        yield


@pytest.fixture(autouse=True)
def alone(request, tmp_path, monkeypatch):
    """Run each test in a folder of its own, with an empty Keras cache and no choices from the environment.

    The folder is empty, but for an empty store where the test is slow and not marked `new_store`.
    """
    for name in ("MNIST_EXP_DATA", "MLFLOW_TRACKING_URI", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    is_slow = request.node.get_closest_marker("slow") is not None
    if is_slow and request.node.get_closest_marker("new_store") is None:
        shutil.copyfile(request.getfixturevalue("empty_store"), work / "mlflow.db")
    return work


@pytest.fixture(scope="session")
def full_mnist():
    """The folder with the full mnist.npz; the test is skipped where there is none."""
    if not (FULL_MNIST / "mnist.npz").is_file():
        pytest.skip(f"no mnist.npz in {FULL_MNIST}; set MNIST_EXP_DATA")
    return FULL_MNIST


@pytest.fixture(scope="session")
def digits():
    """5,000 real digits: ((x_train, y_train), (x_test, y_test)), uint8, 4,000 and 1,000 of 28×28."""
    from mnist_exp.data.loaders import mnist_5k

    source = mnist_5k()
    return source.train, source.test
