"""A hostile tracking server: nothing is written outside its folder, and every answer is checked."""

import contextlib
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mnist_exp import load_model
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import mlflow_writes, references, run_folder
from mnist_exp.tracking.spool import Record, Spool

RUN_ID, MODEL_ID = "a" * 32, "m-" + "b" * 32


@pytest.fixture
def server(monkeypatch):
    """A server with its answers in `says`: the list of each folder, the content of each file, the facts of a run."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    says = {
        "files": [],
        "content": b"",
        "artifact_uri": "mlflow-artifacts:/1/x/artifacts",
        "status": "KILLED",
        "tags": {},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = urllib.parse.urlsplit(self.path).path
            tags = {"mnist_exp.model_uri": f"models:/{MODEL_ID}"} | says["tags"]
            named = [{"key": key, "value": value} for key, value in tags.items()]
            info = {"run_id": RUN_ID, "run_name": "x", "experiment_id": "1", "status": says["status"], "start_time": 1}
            info |= {"artifact_uri": says["artifact_uri"], "lifecycle_stage": "active"}
            model = {"model_id": MODEL_ID, "experiment_id": "1", "name": "model", "artifact_uri": says["artifact_uri"]}
            model |= {"creation_timestamp_ms": 1, "last_updated_timestamp_ms": 1, "status": "LOGGED_MODEL_READY"}
            answers = {
                "/api/2.0/mlflow/runs/get": {"run": {"info": info, "data": {"tags": named}}},
                f"/api/2.0/mlflow/logged-models/{MODEL_ID}": {"model": {"info": model, "data": {}}},
                "/api/2.0/mlflow-artifacts/artifacts": {"files": says["files"]},
                "/api/2.0/mlflow/experiments/get": {"experiment": {"experiment_id": "1", "name": "theirs"}},
                "/health": {},
            }
            body = json.dumps(answers[path]).encode() if path in answers else says["content"]
            self.send_response(200)
            self.send_header("Content-Type", "application/json" if path in answers else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    answering = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=answering.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{answering.server_port}", says
    answering.shutdown()
    thread.join()
    answering.server_close()


def find(uri):
    return references.find(TrackingSettings(uri=uri), RUN_ID)


def test_answers_of_a_good_server_are_read(server):
    uri, says = server
    says["content"] = b"model: {filters: 3}\n"
    assert find(uri).config() == {"model": {"filters": 3}}


ESCAPES = [
    "../PROOF",
    "../../../../../../tmp/PROOF",
    "a/../../PROOF",
    "/tmp/PROOF",
    "..\\PROOF",
    "%2e%2e/PROOF",
    "%252e%252e/PROOF",
]
ESCAPES += ["file:///tmp/PROOF", "..", "config.yaml/../../PROOF", "\u2024\u2024/PROOF", "C:\\PROOF"]


# What MLflow takes for the name of a folder it asks for the folders in, for ever: only those that it does not.
FOLDERS = ["../PROOF", "a/../../PROOF", "..", "%2e%2e/PROOF"]


@pytest.mark.slow
@pytest.mark.new_store
@pytest.mark.parametrize(
    ("path", "is_dir"), [*((path, False) for path in ESCAPES), *((path, True) for path in FOLDERS)]
)
def test_no_answer_writes_outside_its_folder(server, path, is_dir, tmp_path, monkeypatch):
    """The server may call the artifact a folder; the folder for downloads and those around it are checked."""
    uri, says = server
    around = tmp_path / "around" / "temporary"
    around.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(around))
    proof = Path("/tmp/PROOF")
    assert not proof.exists()
    says["content"] = b"model: 1\n"
    for listing in (path, f"config.yaml/{path}"):
        says["files"] = [{"path": listing, "is_dir": is_dir}, {"path": "second", "is_dir": False}]
        run = find(uri)
        with contextlib.suppress(SettingsError):
            run.config()
        with contextlib.suppress(SettingsError):
            load_model(RUN_ID, uri)
    assert not proof.exists()
    assert [p for p in (tmp_path / "around").rglob("*") if p != around] == []
    assert list(Path.cwd().iterdir()) == []


def test_too_long_answers_are_refused(server):
    uri, says = server
    says["content"] = b"a: " + b"x" * 2_000_000
    with pytest.raises(SettingsError, match="more than 1,000,000 bytes"):
        find(uri).config()


def test_model_from_a_server_is_checked(server):
    uri, says = server
    says["content"] = b"\x80\x04cos\nsystem\n(S'touch PROOF'\ntR."
    with pytest.raises(SettingsError, match=r"no \.keras archive"):
        load_model(RUN_ID, uri)
    says["tags"] = {"mnist_exp.model_uri": "file:///etc"}
    with pytest.raises(SettingsError, match="no address that mnist_exp writes"):
        load_model(RUN_ID, uri)
    assert not Path("PROOF").exists()


BAD_IDS = [
    "",
    "..",
    "../x",
    "/",
    "a" * 31,
    "a" * 33,
    "A" * 32,
    "g" * 32,
    "a" * 31 + "/",
    "a" * 32 + "\n",
    "../" + "a" * 29,
    "*" * 32,
]


@pytest.mark.parametrize("run_id", BAD_IDS)
def test_run_ids_cannot_be_paths(run_id, alone):
    settings = TrackingSettings()
    for use in (
        run_folder.checked_run_id,
        lambda i: run_folder.folder_of(settings, i),
        lambda i: references.find(settings, i),
    ):
        with pytest.raises(SettingsError, match=r"no run id|there is no run"):
            use(run_id)
    assert list(alone.iterdir()) == []


def test_other_folders_among_unfinished_runs_are_ignored():
    settings = TrackingSettings(local_dir="u")
    for name in ("a" * 32, "not_a_run", "A" * 32, "..."):
        (Path("u") / name).mkdir(parents=True)
    assert [folder.path.name for folder in run_folder.folders(settings)] == ["a" * 32]


NAMES = ["../PROOF", "/tmp/PROOF", "a/../../../PROOF", "x" * 300, "..", "\0", "a\nb"]


@pytest.mark.parametrize("name", NAMES)
def test_artifact_names_are_no_paths_in_the_spool(name, tmp_path):
    """On the disk the files have numbers; their names are only sent to the store."""
    box = Spool(tmp_path / "around" / "outbox")
    box.put(Record("files", {}, {name: b"content"}))
    box.store()
    assert Spool(box.folder).first().files == {name: b"content"}
    inside = sorted(str(p.relative_to(tmp_path / "around")) for p in (tmp_path / "around").rglob("*"))
    assert inside == ["outbox", "outbox/000001", "outbox/000001/0", "outbox/000001/message.json"]


def test_artifacts_keep_their_names_below_the_folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.txt").write_bytes(b"a")
    files = mlflow_writes.packed(tmp_path)
    with mlflow_writes.unpacked(files) as folder:
        assert (folder / "inner" / "a.txt").read_bytes() == b"a"
