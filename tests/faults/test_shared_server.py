"""A team's server: passwords, many jobs at once, servers that are killed, a search shared by processes."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import optuna
import pytest
import recording_jobs
import shared_server
from real_runs import SMALL, Running, assert_model_predicts, assert_whole, client_of, run

from mnist_exp.errors import TrackingError
from mnist_exp.tracking import store

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(bool(shared_server.missing()), reason=shared_server.missing() or "all is there"),
]

JOBS, EPOCHS, EPOCH_S = 64, 12, 1.0
LOST, BACK = "the tracking store does not take records", "the tracking store is back: "


@pytest.fixture(scope="module")
def one_server():
    server = shared_server.SharedServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(one_server, alone, monkeypatch):
    """A server with passwords; the runs of the test use it as a member of the team."""
    for name, value in one_server.environment.items():
        monkeypatch.setenv(name, value)
    return one_server


def recorded(server, experiment):
    """Return the runs of an experiment from the database."""
    return server.postgres.rows(
        "mlflow",
        "SELECT run_uuid, r.name, status FROM runs r JOIN experiments e USING (experiment_id) "
        f"WHERE e.name = '{experiment}' AND r.lifecycle_stage = 'active'",
    )


def wait_for(condition, seconds=90):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


class Crowd:
    """Processes that record at the same time."""

    def __init__(self, experiment):
        words = [str(Path(recording_jobs.__file__)), str(JOBS), str(EPOCHS), str(EPOCH_S), experiment]
        with Path("crowd.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words], stdout=log, stderr=log, env=os.environ | {"PYTHONUNBUFFERED": "1"}
            )

    @property
    def said(self):
        return Path("crowd.log").read_text()

    def wait_for_epoch(self, number, share):
        """Wait until this many processes have recorded an epoch."""
        wait_for(lambda: self.said.count(f"epoch {number}\n") >= share * JOBS)

    def end(self):
        assert self.process.wait(150) == 0, self.said[-5000:]


def test_many_jobs_lose_nothing_when_the_servers_are_killed(server):
    crowd = Crowd("crowd")
    crowd.wait_for_epoch(3, 0.3)
    server.mlflow.kill()
    server.mlflow.start()
    # What had to wait is being delivered, by all of them at once, when the database goes too.
    wait_for(lambda: crowd.said.count(BACK) >= 3)
    server.postgres.kill()
    assert crowd.said.count(BACK) < JOBS
    server.postgres.start()
    crowd.end()
    # The others were through in time with MLflow's own retries.
    assert crowd.said.count(LOST) >= JOBS / 2
    runs = recorded(server, "crowd")
    assert sorted(name for _, name, _ in runs) == sorted(f"job {number}" for number in range(JOBS))
    assert {status for _, _, status in runs} == {"FINISHED"}
    names = {run_id: int(name.split()[1]) for run_id, name, _ in runs}
    listed = "', '".join(names)
    points = server.postgres.rows(
        "mlflow", f"SELECT run_uuid, key, step, value FROM metrics WHERE run_uuid IN ('{listed}')"
    )
    assert sorted((names[run_id], key, step, value) for run_id, key, step, value in points) == sorted(
        (number, key, epoch, recording_jobs.value(number, key, epoch))
        for number in range(JOBS)
        for key in recording_jobs.METRICS
        for epoch in range(1, EPOCHS + 1)
    )
    assert not Path("unfinished").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"MLFLOW_TRACKING_PASSWORD": "not-the-password"}, "does not accept this user and password"),
        (
            {"MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_PASSWORD": ""},
            "asks for a user and a password; set MLFLOW_",
        ),
        ({"MLFLOW_TRACKING_PASSWORD": ""}, "asks for a password; set MLFLOW_TRACKING_USERNAME and"),
    ],
)
@pytest.mark.parametrize("sweep", [[], ["-m", "seed=1,2", "data.validation=100"]])
def test_unknown_user_is_refused_before_anything_runs(server, changed, message, sweep):
    said = run(*sweep, *SMALL, code=2, **changed)
    assert said.startswith("1 mistake in the configuration; nothing was run:\n")
    assert f"$MLFLOW_TRACKING_URI={server.mlflow.uri} {message}" in said
    assert "Traceback" not in said
    assert "not-the-password" not in said
    assert server.mlflow.password not in said
    assert recorded(server, "mnist_exp") == []


def test_other_commands_refuse_an_unknown_user(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "not-the-password")
    said = Running("mnist_exp.evaluate", "0" * 32).end_with(2)
    assert "does not accept this user and password" in said
    assert "not-the-password" not in said


def test_password_may_be_in_the_address_or_mlflows_file(server, alone, monkeypatch):
    password = server.mlflow.password
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    with_password = server.mlflow.uri.replace("://", f"://{shared_server.MEMBER}:{password}@")
    store.check(with_password)
    with pytest.raises(TrackingError) as error:
        store.check(server.mlflow.uri.replace("://", "://anna:wrong-word@"))
    assert "correct them in the address" in str(error.value)
    assert "wrong-word" not in str(error.value)
    monkeypatch.setenv("HOME", str(alone))
    (alone / ".mlflow").mkdir()
    kept = alone / ".mlflow" / "credentials"
    kept.write_text(
        f"[mlflow]\nmlflow_tracking_username = {shared_server.MEMBER}\nmlflow_tracking_password = {password}\n"
    )
    store.check(server.mlflow.uri)
    kept.write_text(f"[mlflow]\nmlflow_tracking_username = {shared_server.MEMBER}\nmlflow_tracking_password = wrong\n")
    with pytest.raises(TrackingError, match="does not accept this user and password"):
        store.check(server.mlflow.uri)


def test_unknown_host_name_of_the_server_is_refused(server, monkeypatch):
    address = server.mlflow.uri.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    said = run(*SMALL, code=2)
    assert f"{address}: the server refuses requests under the name {address[7:]}: add it to its --allowed-hosts" in said
    foreign = urllib.request.Request(f"{server.mlflow.uri}/api/2.0/mlflow/experiments/search?max_results=1")
    foreign.add_header("Host", "elsewhere.example")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(foreign)
    with refused.value as answer:
        assert answer.code == 403


def test_run_is_recorded_completely_through_the_server(server, digits):
    run(*SMALL, "trainer.epochs=2", "tracking.experiment=whole")
    ((run_id, _, _),) = recorded(server, "whole")
    found = assert_whole(run_id, 2, server.mlflow.uri)
    assert found.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert list(server.folder.joinpath("artifacts").rglob("model.keras")), "kept by the server"
    assert_model_predicts(found, digits, server.mlflow.uri)
    for file in Path().rglob("*"):
        assert file.is_dir() or server.mlflow.password.encode() not in file.read_bytes(), file


def search(server, experiment, *words):
    """Start one of several processes of a search, each as the leader of a process group, as in a shell."""
    storage = f"sweep.storage={server.postgres.address('optuna')}"
    options = ["data.validation=100", "model.dropout=interval(0.1,0.6)", f"tracking.experiment={experiment}"]
    with Path(f"{experiment}-{time.monotonic()}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "mnist_exp.run", "-m", *SMALL, *options, storage, *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(launched, experiment):
    """Wait until all launching processes have ended without an error, and return their output."""
    codes = [process.wait(150) for process in launched]
    said = "".join(file.read_text() for file in Path().glob(f"{experiment}-*.log"))
    assert codes == [0] * len(launched), said
    return said


def begun(count):
    """Return whether at least this many jobs have done an epoch, but not all of them."""
    return lambda: len({file.parent for file in Path("unfinished").glob("*/checkpoint-*")}) >= count


def assert_each_once(server, experiment, count):
    """Check that the search has exactly this many trials, each with one FINISHED run."""
    client = client_of(server.mlflow.uri)
    runs = [client.get_run(run_id) for run_id, _, _ in recorded(server, experiment)]
    assert {found.info.status for found in runs} == {"FINISHED"}
    (parent,) = [found for found in runs if "mnist_exp.sweep" in found.data.tags]
    jobs = [found for found in runs if found is not parent]
    assert {found.data.tags["mlflow.parentRunId"] for found in jobs} == {parent.info.run_id}
    assert len({found.data.params["model.dropout"] for found in jobs}) == len(jobs) == count
    kept = optuna.storages.RDBStorage(server.postgres.address("optuna"))
    study = optuna.load_study(study_name=parent.data.tags["mnist_exp.study"], storage=kept)
    trials = [trial for trial in study.trials if "mnist_exp.interrupted" not in trial.user_attrs]
    kept.remove_session()
    kept.engine.dispose()
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert {trial.user_attrs["mnist_exp.run_id"] for trial in trials} == {found.info.run_id for found in jobs}
    assert len(trials) == count
    for found in jobs:
        steps = [point.step for point in client.get_metric_history(found.info.run_id, "loss")]
        assert steps == list(range(1, int(found.data.params["trainer.epochs"]) + 1))
    return jobs


def test_two_processes_share_a_search_without_repeats(server):
    both = [search(server, "shared", "sweep.n_trials=5", "trainer.epochs=4") for _ in range(2)]
    end(both, "shared")
    jobs = assert_each_once(server, "shared", 5)
    owners = {found.data.tags["mnist_exp.process"] for found in jobs}
    assert len(owners) == 2, "one did all the work"


def test_trial_of_a_killed_process_goes_to_the_other(server):
    first, second = (
        search(server, "killed", "sweep.n_trials=3", "trainer.epochs=25", "sweep.pruner=none") for _ in range(2)
    )
    wait_for(begun(2))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    end([second], "killed")
    jobs = assert_each_once(server, "killed", 3)
    assert len([found for found in jobs if "mnist_exp.resumed" in found.data.tags]) == 1
    assert not Path("unfinished").exists()


def test_search_survives_killed_servers(server):
    search_of_all = search(
        server, "survives", "sweep.n_trials=4", "trainer.epochs=25", "sweep.pruner=none", "hydra.launcher.n_workers=2"
    )
    wait_for(begun(1))
    server.postgres.kill()
    time.sleep(3)
    server.postgres.start()
    wait_for(lambda: len(recorded(server, "survives")) >= 4)
    server.mlflow.kill()
    time.sleep(1)
    server.mlflow.start()
    end([search_of_all], "survives")
    assert_each_once(server, "survives", 4)
