"""Sweeps on a real Slurm of one node, which listens on loopback only."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from conformance import applications, launcher
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite
from real_runs import assert_whole, recorded, wait_for, with_checkpoints

SMALL = ["data=mnist_5k", "data.limit=2000", "data.validation=500", "model.filters=8", "model.dense_units=16"]
DAEMONS = ("munged", "slurmctld", "slurmd")

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(os.geteuid() != 0 or not all(map(shutil.which, DAEMONS)), reason="needs Slurm, munge and root"),
]

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CommunicationParameters=NoInAddrAny
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
SlurmdParameters=config_overrides
SlurmdTimeout=10
ReturnToService=2
KillWait=15
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000
PartitionName=low Nodes={host} Default=YES PriorityTier=1 GraceTime=10
PartitionName=high Nodes={host} PriorityTier=2
"""


class Slurm:
    """A controller and one node of two CPUs, with two partitions; jobs of one preempt jobs of the other."""

    def __init__(self, folder):
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = {"key-file": key, "socket": folder / "munge.sock", "pid-file": folder / "munged.pid"}
        files |= {"log-file": folder / "munged.log", "seed-file": folder / "munge.seed"}
        subprocess.run(["munged", "--force", *(f"--{name}={file}" for name, file in files.items())], check=True)
        self._folder = folder
        host = socket.gethostname().partition(".")[0]
        configuration = CONFIGURATION.format(host=host, folder=folder, ports=free_ports(2))
        (folder / "slurm.conf").write_text(configuration)
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        subprocess.run(["slurmctld"], check=True)
        subprocess.run(["slurmd"], check=True)
        wait_for(lambda: slurm("sinfo", "--noheader", "--format=%t").startswith(("idle", "mix")), 60)

    def stop(self):
        subprocess.run(["scancel", "--me"], capture_output=True)
        for name in ("slurmd", "slurmctld", "munged"):
            with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
                process = psutil.Process(int((self._folder / f"{name}.pid").read_text()))
                process.terminate()
                process.wait(20)
        del os.environ["SLURM_CONF"]


def slurm(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def free_ports(count):
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture(scope="module")
def started():
    pytest.importorskip("submitit")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = Slurm(folder)
    yield cluster
    cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(alone, started):
    yield started
    subprocess.run(["scancel", "--me"], capture_output=True)
    wait_for(lambda: not queue(), 60)


def queue():
    """Return the state of each running or waiting job, by its id."""
    lines = slurm("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
    return dict(line.split() for line in lines)


def hurry():
    """Start requeued jobs at once; Slurm would let them wait for two minutes."""
    for line in slurm("squeue", "--noheader", "--array", "--format=%i %r").splitlines():
        if line.endswith("BeginTime"):
            subprocess.run(["scontrol", "update", f"JobId={line.split()[0]}", "StartTime=now"], capture_output=True)


def go_first(seconds):
    """Occupy the whole node for some seconds, so that the jobs of the sweep are preempted."""
    slurm("sbatch", "--partition=high", "--cpus-per-task=2", "--output=/dev/null", f"--wrap=sleep {seconds}")


def sweep(*words):
    command = [sys.executable, "-m", "mnist_exp.run", "-m", *SMALL, "hydra/launcher=slurm", *words]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def end_of(running, code=0, seconds=240):
    until = time.monotonic() + seconds
    while running.poll() is None and time.monotonic() < until:
        if shutil.which("squeue") and "SLURM_CONF" in os.environ:
            hurry()
        time.sleep(0.5)
    running.kill()
    output, _ = running.communicate()
    assert running.returncode == code, output
    return output


def wait_for_epochs(running, jobs):
    """Wait until this many jobs have finished an epoch."""
    wait_for(lambda: len(with_checkpoints()) >= jobs or running.poll() is not None)
    assert running.poll() is None, running.communicate()[0]


def assert_all_whole(count, epochs):
    _, (parent,), jobs = recorded()
    assert parent.info.status == "FINISHED"
    assert len(jobs) == count
    for job in jobs:
        assert_whole(job.info.run_id, epochs)
    return jobs


def test_job_over_its_time_limit_is_requeued_and_resumes(cluster):
    limits = ["hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=59"]  # Told after 30 to 60 s.
    running = sweep("seed=1,2", "trainer.epochs=650", *limits)
    wait_for_epochs(running, 2)
    _, _, begun = recorded()
    assert "2 done" in end_of(running)
    jobs = assert_all_whole(2, epochs=650)
    assert {job.info.run_id for job in jobs} == {job.info.run_id for job in begun}
    for job in jobs:
        assert '"from": "epoch 1"' not in job.data.tags["mnist_exp.resumption.1"]
    assert not list(Path("multirun").rglob("*.pkl"))


def test_preempted_job_resumes_later(cluster):
    running = sweep("seed=1,2", "trainer.epochs=40", "hydra.launcher.mem_gb=1.5", "hydra.launcher.account=null")
    wait_for_epochs(running, 2)
    go_first(3)
    wait_for(lambda: [job.info.status for job in recorded()[2]] == ["KILLED"] * 2)
    assert "2 done" in end_of(running)
    assert all("mnist_exp.resumed" in job.data.tags for job in assert_all_whole(2, epochs=40))


def test_search_resumes_the_trial_of_a_preempted_job(cluster):
    running = sweep("model.dropout=interval(0.1,0.6)", "sweep.n_trials=3", "trainer.epochs=20", "sweep.pruner=none")
    wait_for_epochs(running, 2)
    go_first(3)
    assert "3 done" in end_of(running)
    assert len({job.data.params["model.dropout"] for job in assert_all_whole(3, epochs=20)}) == 3


def test_held_job_is_reported(cluster):
    go_first(60)
    wait_for(lambda: list(queue().values()) == ["RUNNING"])
    running = sweep("seed=1", "trainer.epochs=1")
    wait_for(lambda: "PENDING" in queue().values())
    job = next(job for job, state in queue().items() if state == "PENDING")
    slurm("scontrol", "hold", job)
    time.sleep(15)
    slurm("scontrol", "release", job)
    slurm("scancel", "--state=RUNNING", "--me")
    output = end_of(running)
    assert f"warning: Slurm holds job {job} (JobHeldAdmin): `scontrol release {job}` lets it go" in output, output


def test_scancel_kills_jobs_and_the_same_command_resumes_them(cluster):
    words = ["seed=1,2,3", "trainer.epochs=30"]
    running = sweep(*words)
    wait_for_epochs(running, 2)
    states = queue()
    slurm("scancel", next(job for job, state in states.items() if state == "PENDING"))
    slurm("scancel", next(job for job in states if job.endswith("_0")))
    output = end_of(running, code=1)
    assert "1 done, 2 killed" in output
    assert "2 of 3 jobs were killed" in output
    _, (parent,), jobs = recorded()
    assert parent.info.status == "KILLED"
    assert sorted(job.info.status for job in jobs) == ["FINISHED", "KILLED"]
    assert "3 done; 1 of them done before" in end_of(sweep(*words))
    assert_all_whole(3, epochs=30)


def test_ctrl_c_removes_the_jobs_from_the_queue(cluster):
    words = ["seed=1,2,3", "trainer.epochs=30"]
    running = sweep(*words)
    wait_for_epochs(running, 2)
    os.kill(running.pid, signal.SIGINT)
    end_of(running, code=130)
    assert not queue()
    assert [job.info.status for job in recorded()[2]] == ["KILLED"] * 2
    assert "3 done" in end_of(sweep(*words))
    assert_all_whole(3, epochs=30)


def test_jobs_outlive_the_command_and_are_not_queued_twice(cluster):
    words = ["seed=1,2,3", "trainer.epochs=60"]
    running = sweep(*words)
    wait_for_epochs(running, 2)
    running.kill()
    running.communicate()
    output = end_of(sweep(*words), code=75)
    assert "this sweep runs already (run " in output or "still in Slurm's queue" in output
    wait_for(lambda: not queue())
    assert "3 done; 3 of them done before" in end_of(sweep(*words))
    assert_all_whole(3, epochs=60)


def test_waiting_jobs_are_not_queued_twice(cluster):
    go_first(60)
    running = sweep("seed=1,2")
    wait_for(lambda: list(queue().values()).count("PENDING") == 2)
    running.kill()
    running.communicate()
    assert "still in Slurm's queue" in end_of(sweep("seed=1,2"), code=75)


def test_job_whose_process_is_killed_is_reported_with_its_log(cluster):
    running = sweep("seed=1,2", "trainer.epochs=30")
    wait_for_epochs(running, 2)
    (process,) = [each for each in processes_of_jobs() if each.environ().get("SLURM_ARRAY_TASK_ID") == "0"]
    process.kill()
    output = end_of(running, code=1)
    assert "Slurm ended it as FAILED; see" in output
    (failed,) = [job for job in recorded()[2] if job.info.status == "FAILED"]
    assert "Slurm ended it as FAILED" in failed.data.tags["mnist_exp.failure"]


def processes_of_jobs():
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() != "srun" and "submitit.core._submit" in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_options_that_slurm_refuses_are_reported(cluster):
    output = end_of(sweep("seed=1,2", "hydra.launcher.partition=none"), code=2)
    assert "Slurm does not take these jobs: sbatch: error: invalid partition specified: none" in output


def test_time_limit_too_short_for_the_signal_delay_is_refused(alone):
    limits = ["hydra.launcher.timeout_min=3", "hydra.launcher.signal_delay_s=120"]
    output = end_of(sweep("seed=1,2", *limits), code=2)
    assert "hydra.launcher.timeout_min=3 is not allowed with hydra.launcher.signal_delay_s=120" in output


def test_options_cannot_inject_lines_into_the_script(cluster):
    output = end_of(sweep("seed=1,2", "'hydra.launcher.account=\"a\ntouch here\"'"), code=2)
    assert "hydra.launcher.account" in output
    assert not Path("here").exists()


def test_missing_slurm_is_reported(alone, monkeypatch):
    monkeypatch.setenv("PATH", str(alone))
    assert "there is no command sbatch here" in end_of(sweep("seed=1,2"), code=2)


@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore::UserWarning")
@launcher("slurm")
class TestConformance(LauncherTestSuite):
    """Hydra's own tests of launchers: closures, resolvers and configuration sources travel with the jobs."""


@pytest.mark.usefixtures("cluster")
@applications("slurm")
class TestConformanceOfApplications(IntegrationTestSuite):
    """Hydra's own tests: names, folders and working folders of jobs."""
