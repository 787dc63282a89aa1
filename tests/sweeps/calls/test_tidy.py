"""The folders of runs that were replaced are removed, once the job is done; nothing that may still be wanted is."""

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.sweeps.calls import tidy
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.tracking import names, run_folder
from mnist_exp.tracking.runs import StoredRun
from mnist_exp.tracking.spool import Record, Spool

NEW, OLD = "a" * 32, "b" * 32


def run(run_id, status="KILLED", key="k", tags=None):
    tags = {names.JOB_KEY: key, names.POINT: "{}"} if tags is None else tags
    return StoredRun(run_id, "", "mnist_exp", status, {}, {}, tags, "sqlite:///none.db")


def left(tmp_path, runs, rows, before=lambda folder: None):
    settings = TrackingSettings(local_dir=str(tmp_path))
    folder = run_folder.folder_of(settings, OLD)
    folder.path.mkdir()
    before(folder)
    removed = tidy.remove_superseded(settings, rows, runs)
    assert removed == (not folder.path.exists())
    return folder.path.exists()


def test_folder_of_a_replaced_run_is_removed(tmp_path):
    assert not left(tmp_path, [run(OLD)], [Row("", key="k", outcome="done", run_id=NEW)])


def test_folder_that_may_be_wanted_stays(tmp_path):
    done = Row("", key="k", outcome="done", run_id=NEW)
    cases = {
        "the job is not done": ([run(OLD)], [Row("", key="k", outcome="failed", run_id=NEW)]),
        "another job": ([run(OLD, key="other")], [done]),
        "no job of a sweep": ([run(OLD, tags={names.JOB_KEY: "k"})], [done]),
        "it runs": ([run(OLD, "RUNNING")], [done]),
        "newer than what is done": ([run(OLD), run(NEW, "FINISHED")], [done]),
    }
    for number, (name, (runs, rows)) in enumerate(cases.items()):
        (tmp_path / str(number)).mkdir()
        assert left(tmp_path / str(number), runs, rows), name


def test_folder_with_records_that_wait_stays(tmp_path):
    def spool(folder):
        waiting = Spool(folder.spool)
        waiting.put(Record("tags", {"a": "b"}))
        waiting.store()

    assert left(tmp_path, [run(OLD)], [Row("", key="k", outcome="done", run_id=NEW)], spool)


def test_folder_that_another_process_has_stays(tmp_path):
    claimed = run_folder.folder_of(TrackingSettings(local_dir=str(tmp_path)), OLD)

    def claim(_):
        claimed.claim()

    assert left(tmp_path, [run(OLD)], [Row("", key="k", outcome="done", run_id=NEW)], claim)
    claimed.release()
