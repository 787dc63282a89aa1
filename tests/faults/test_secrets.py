"""Secrets are planted wherever a user may have them, then searched for in every byte that runs leave behind."""

import contextlib
import os
import signal
import subprocess
import sys
import uuid
import zipfile
from pathlib import Path

import pytest

# Not written here: the record has the repository's uncommitted changes.
NAMES = ("store", "mirror", "study", "option", "fromenv", "password", "token", "aws", "database", "error", "traceback")
SECRETS = {name: f"{name}X{uuid.uuid4().hex}" for name in NAMES}
ENVIRONMENT = {
    "MLFLOW_TRACKING_PASSWORD": SECRETS["password"],
    "MLFLOW_TRACKING_TOKEN": SECRETS["token"],
    "AWS_SECRET_ACCESS_KEY": SECRETS["aws"],
    "MY_SERVICE_TOKEN": SECRETS["fromenv"],
    "DATABASE_URL": f"postgresql://me:{SECRETS['database']}@nowhere/db",
}
NET = """
import os
import keras

def net(input_shape, classes, *, token: str = "", note: str = "", breaks: bool = False):
    print("built with", len(token))
    if breaks:
        url = f"https://me:{os.environ['THE_ERROR']}@host/x"
        try:
            raise ValueError("password=" + os.environ["THE_TRACEBACK"])
        except ValueError as error:
            raise RuntimeError(f"{url} refused {os.environ['AWS_SECRET_ACCESS_KEY']}") from error
    layers = [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(classes, activation="softmax")]
    return keras.Sequential(layers)
"""
SMALL = ["data=mnist_5k", "data.limit=400", "data.validation=0.2", "trainer.epochs=2", "optimizer=sgd"]


def own(folder):
    return [
        "--config-dir",
        "own",
        "model=theirs",
        f"model.token={SECRETS['option']}",
        "model.note=${oc.env:MY_SERVICE_TOKEN}",
        f'tracking.uri="sqlite:///{folder}/m.db?timeout=30&password={SECRETS["store"]}"',
    ]


def start(folder, *words):
    # Their names say nothing of a secret: these are found by where they stand.
    hidden = {"THE_ERROR": SECRETS["error"], "THE_TRACEBACK": SECRETS["traceback"]}
    return subprocess.Popen(
        [sys.executable, "-m", "mnist_exp.run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=os.environ | ENVIRONMENT | hidden | {"PYTHONUNBUFFERED": "1"},
    )


def finish(process, code):
    out = process.communicate(timeout=200)[0]
    assert process.returncode == code, out.decode()
    return out


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """The folder with the files of all kinds of runs, and what the runs printed."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "my_pkg.py").write_text(NET)
    (folder / "own" / "model").mkdir(parents=True)
    (folder / "own" / "model" / "theirs.yaml").write_text(
        "_target_: my_pkg.net\ntrusted_modules: [my_pkg]\ntoken: ''\nnote: ''\nbreaks: false\n"
    )
    words = own(folder)
    mirror = f"data.mirrors=[http://me:{SECRETS['mirror']}@127.0.0.1:9/mnist.npz]"
    stopped = start(folder, *words, *SMALL, "trainer.epochs=5000", "tracking.run_name=${oc.env:MY_SERVICE_TOKEN}")
    begun = b""
    for line in stopped.stdout:
        begun += line
        if line.startswith(b"epoch"):
            break
    stopped.send_signal(signal.SIGTERM)
    printed = {"stopped": begun + finish(stopped, 143)}
    printed["done"] = finish(start(folder, *words, mirror, "data.limit=400", "trainer.epochs=1"), 0)
    printed["failed"] = finish(start(folder, *words, *SMALL, "model.breaks=true"), 1)
    study = f'sweep.storage="sqlite:///{folder}/study.db?timeout=30&password={SECRETS["study"]}"'
    search = ["-m", *words, *SMALL, study, "optimizer.learning_rate=interval(0.01,0.1)", "sweep.n_trials=2"]
    printed["search"] = finish(start(folder, *search, "hydra.launcher.n_workers=2"), 0)
    grid = ["-m", *words, *SMALL, "model.breaks=true,false", "hydra.launcher.n_workers=2"]
    printed["grid"] = finish(start(folder, *grid), 1)
    nowhere = [*words[:-1], f"tracking.uri=http://me:{SECRETS['store']}@127.0.0.1:9", "model.dropuot=1", mirror]
    printed["mistaken"] = finish(start(folder, *nowhere), 2)
    return folder, printed


def contents(folder, printed):
    """Yield every text with its name: files, members of archives, and printed output."""
    yield from printed.items()
    for file in folder.rglob("*"):
        if file.is_file() and "own" not in file.parts and file.name != "my_pkg.py":
            yield str(file.relative_to(folder)), file.read_bytes()
            with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    yield f"{file.name}/{name}", archive.read(name)
        yield f"name of {file}", str(file).encode()


@pytest.mark.slow
def test_no_secret_is_anywhere(left):
    found = dict(contents(*left))
    assert [
        (name, place) for place, text in found.items() for name, secret in SECRETS.items() if secret.encode() in text
    ] == []


@pytest.mark.slow
def test_search_covers_every_kind_of_file(left):
    """Every kind of file exists, with the marks of hidden secrets; without them the search would prove nothing."""
    folder, printed = left
    names = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    for part in (
        "unfinished/",
        "multirun/",
        "outputs/",
        "mlartifacts/",
        "m.db",
        "study.db",
        "checkpoint-",
        "traceback.txt",
    ):
        assert [name for name in names if part in name], part
    tracebacks = [file.read_text() for file in folder.rglob("traceback.txt")]
    assert len(tracebacks) == 1, "the other one broke before it was recorded"
    for text in [*tracebacks, printed["failed"].decode()]:
        assert "https://***@host/x refused ***" in text
        assert "password=***" in text
    assert b"http://***@127.0.0.1:9/mnist.npz" in printed["done"]
    assert b"model.token" in (folder / "m.db").read_bytes()
    assert b"sqlite:" in printed["search"]
    assert Path(folder / "study.db").stat().st_size > 0
