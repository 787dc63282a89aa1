"""Records that wait on disk: they keep their order, are whole or absent, and damage is reported."""

import pytest

from mnist_exp.errors import RunError
from mnist_exp.tracking.spool import Record, Spool
from mnist_exp.tracking.uploader import Uploader

METRICS = Record("metrics", {"metrics": {"loss": 0.1 + 0.2}, "step": 1, "time": 5})
FILES = Record("files", {}, {"a.txt": b"one", "inner/b.bin": bytes(range(256))})
END = Record("end", {"status": "FINISHED", "time": 6})


def filled(folder, *records):
    spool = Spool(folder)
    for record in records:
        spool.put(record)
    spool.store()
    return spool


def test_records_are_read_back_unchanged_in_another_process(tmp_path):
    filled(tmp_path / "outbox", METRICS, FILES, END)
    again = Spool(tmp_path / "outbox")
    came = []
    while len(again):
        came.append(again.first())
        again.drop_first()
    assert came == [METRICS, FILES, END]
    assert len(Spool(tmp_path / "outbox")) == 0


def test_new_records_follow_waiting_ones(tmp_path):
    filled(tmp_path, METRICS, FILES).drop_first()
    filled(tmp_path, END)
    again = Spool(tmp_path)
    assert (len(again), again.first()) == (2, FILES)


def test_record_is_on_disk_only_after_store(tmp_path):
    spool = Spool(tmp_path / "outbox")
    spool.put(METRICS)
    assert spool.first() == METRICS
    assert spool.in_memory == 1
    spool.drop_first()
    assert not (tmp_path / "outbox").exists()


def test_records_stay_in_memory_while_the_disk_is_full(tmp_path):
    (tmp_path / "outbox").write_text("in the way")
    spool = filled(tmp_path / "outbox", METRICS, FILES)
    assert (len(spool), spool.in_memory) == (2, 2)
    assert spool.reason == "Not a directory"
    assert spool.first() == METRICS
    (tmp_path / "outbox").unlink()
    spool.store()
    assert (spool.in_memory, spool.reason) == (0, "")
    assert Spool(tmp_path / "outbox").first() == METRICS


def test_half_written_record_of_a_killed_process_is_ignored(tmp_path):
    (tmp_path / "000001.new").mkdir()
    (tmp_path / "000001.new" / "message.json").write_text('{"kind": "metr')
    assert len(Spool(tmp_path)) == 0
    filled(tmp_path, METRICS)
    assert Spool(tmp_path).first() == METRICS


@pytest.mark.parametrize("damage", ["cut off", "emptied", "file lost"])
def test_damaged_record_is_reported_and_later_ones_survive(tmp_path, damage):
    spool = filled(tmp_path, FILES, END)
    head = tmp_path / "000001" / "message.json"
    if damage == "file lost":
        (tmp_path / "000001" / "1").unlink()
    else:
        head.write_text(head.read_text()[:20] if damage == "cut off" else "")
    with pytest.raises(RunError, match=r"the record .*000001 is damaged .*: move it away"):
        spool.first()
    warnings = []
    uploader = Uploader("sqlite:///none.db", "0" * 32, Spool(tmp_path), warnings.append)
    assert not uploader.flush(patience_s=30)
    assert "is damaged" in uploader.reason
    assert len(warnings) == 1
    assert len(Spool(tmp_path)) == 2
