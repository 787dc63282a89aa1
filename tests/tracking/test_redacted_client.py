"""What goes to MLflow has no secrets, whoever writes it and whatever it is called."""

from pathlib import Path

import pytest
from mlflow.entities import Metric, Param, RunTag

from mnist_exp.tracking import store
from mnist_exp.tracking.spool import Record, Spool

SECRET = "plantedX0123456789"
ADDRESS = f"postgresql://me:{SECRET}@host/db"
PICTURE = b"\x89PNG" + SECRET.encode()


@pytest.fixture
def client(alone, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", SECRET)
    return store.client(f"sqlite:///{alone}/m.db")


@pytest.fixture
def run_id(client):
    experiment = store.experiment(client.tracking_uri, "here").experiment_id
    return client.create_run(experiment, run_name=f"a run of {ADDRESS}", tags={"new": SECRET}).info.run_id


def planted(folder):
    """Write text files of every kind and a picture, each with the secret, and yield them."""
    for name in ("a.yaml", "a.csv", "a.json", "a.txt", "a.diff", "a.md", "a.html"):
        text = f'{{"at": "{ADDRESS}", "value": 1}}' if name == "a.json" else f"at: {ADDRESS}\n"
        (folder / name).write_text(text)
    (folder / "inner").mkdir()
    (folder / "inner" / "deep.txt").write_text(SECRET)
    (folder / "picture.png").write_bytes(PICTURE)


def test_new_kinds_of_records_are_redacted_without_asking_for_it(client, run_id, tmp_path, alone):
    client.set_tag(run_id, "mnist_exp.invented", f"see {ADDRESS}")
    client.set_tag(run_id, "my.password", "by its name")
    client.log_param(run_id, "invented", SECRET)
    params = [Param("model.note", SECRET), Param("model.token", "another"), Param("model.max_token", "5")]
    tags = [RunTag("mnist_exp.other", SECRET)]
    client.log_batch(run_id, params=params, tags=tags, metrics=[Metric("loss", 0.5, 0, 1)])
    client.log_text(run_id, f"a\n{SECRET}\n", "note.txt")
    client.log_dict(run_id, {"a": {"b": [ADDRESS]}}, "note.json")
    planted(tmp_path)
    client.log_artifacts(run_id, str(tmp_path), "new")
    client.log_artifact(run_id, str(tmp_path / "a.txt"))
    client.update_run(run_id, name=SECRET)
    client.create_registered_model("digits", tags={"new": SECRET}, description=ADDRESS)
    client.set_registered_model_tag("digits", "newer", SECRET)

    found = client.get_run(run_id)
    assert found.data.tags["mnist_exp.invented"] == "see postgresql://***@host/db"
    assert found.data.tags["my.password"] == "***"
    assert found.data.params == {
        "invented": "***", "model.note": "***", "model.token": "***", "model.max_token": "5"
    }  # fmt: skip
    assert found.data.metrics == {"loss": 0.5}
    files = {path: path.read_bytes() for path in alone.rglob("*") if path.is_file()}
    assert [path.name for path, content in files.items() if SECRET.encode() in content] == ["picture.png"]
    assert {"a.yaml", "a.csv", "a.html", "deep.txt", "note.txt", "note.json", "m.db"} <= {path.name for path in files}
    assert (tmp_path / "a.txt").read_text() == f"at: {ADDRESS}\n", "the user's own file is left as it is"


def test_what_is_no_secret_is_left_as_it_is(client, run_id):
    sha256, uri = "a" * 64, "models:/m-0123456789abcdef"
    client.log_batch(run_id, tags=[RunTag("mnist_exp.job_key", sha256), RunTag("mnist_exp.model_uri", uri)])
    tags = client.get_run(run_id).data.tags
    assert (tags["mnist_exp.job_key"], tags["mnist_exp.model_uri"]) == (sha256, uri)


def test_records_that_wait_on_disk_are_redacted(alone, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", SECRET)
    spool = Spool(alone / "waiting")
    spool.put(Record("tags", {"new": ADDRESS, "my.token": "by its name"}, {"a.txt": SECRET.encode(), "p.png": PICTURE}))
    spool.put(Record("invented", {"deep": [{"er": SECRET}]}))
    spool.put(Record("metrics", {"metrics": {"token": 0.5}, "step": 1, "time": 2}))
    spool.store()
    content = b"".join(file.read_bytes() for file in Path("waiting").rglob("*") if file.is_file())
    assert content.count(SECRET.encode()) == 1, "in the picture"
    first = spool.first()
    assert first.facts == {"new": "postgresql://***@host/db", "my.token": "***"}
    assert first.files == {"a.txt": b"***", "p.png": PICTURE}
    for _ in range(2):
        spool.drop_first()
    assert spool.first().facts == {"metrics": {"token": 0.5}, "step": 1, "time": 2}


def test_there_is_one_place_that_makes_a_client():
    package = Path(store.__file__).parents[1]
    makers = [file.name for file in package.rglob("*.py") if "MlflowClient(" in file.read_text(encoding="utf-8")]
    assert makers == ["store.py"]
