"""Checkpoints on disk: they load as saved, a good one is never lost, a damaged one is never used."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mnist_exp.training import checkpoints
from mnist_exp.training.checkpoints import Checkpoint, Position

SAVING = """
import sys
from pathlib import Path
import numpy as np
from mnist_exp.training import checkpoints
from mnist_exp.training.checkpoints import Checkpoint, Position
print("begins", flush=True)
for epoch in range(1, 10**6):
    checkpoints.save(Path(sys.argv[1]), Checkpoint(Position(epoch), {"a": np.full(500_000, epoch)}, {"of": epoch}))
"""


@pytest.fixture
def folder(alone):
    return alone


def made(epoch, step=0):
    arrays = {
        "model/a": np.arange(6, dtype="float32").reshape(2, 3) + epoch,
        "seed": np.array([1, 2**32 - 1], "uint32"),
    }
    return Checkpoint(Position(epoch, step), arrays | {"scalar": np.float32(0.1)}, {"history": {"loss": [0.1 + 0.2]}})


def same(one, other):
    assert (one.position, one.facts) == (other.position, other.facts)
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], strict=True)


def test_loaded_checkpoint_equals_the_saved_one(folder):
    saved = made(3, 17)
    checkpoints.save(folder / "new", saved)
    loaded, damaged = checkpoints.load(folder / "new")
    same(loaded, saved)
    assert damaged == []


def test_two_checkpoints_are_kept_and_the_latest_is_loaded(folder):
    for position in ((9, 0), (10, 5), (10, 12), (11, 0)):
        checkpoints.save(folder, made(*position))
    assert [file.name[:27] for file in sorted(folder.iterdir())] == [
        "checkpoint-000010-000000012",
        "checkpoint-000011-000000000",
    ]
    same(checkpoints.load(folder)[0], made(11))


def test_damaged_later_checkpoints_do_not_replace_good_ones(folder):
    for epoch in (8, 9):
        checkpoints.save(folder, made(epoch)).write_bytes(b"")
    for epoch in (1, 2, 3):
        checkpoints.save(folder, made(epoch))
    loaded, damaged = checkpoints.load(folder)
    same(loaded, made(3))
    assert damaged == []
    assert [file.name[:17] for file in sorted(folder.iterdir())] == ["checkpoint-000002", "checkpoint-000003"]


def test_empty_folder_has_no_checkpoint(folder):
    assert checkpoints.load(folder / "none") == (None, [])


@pytest.mark.parametrize("way", ["a bit is flipped", "cut off", "emptied", "swapped", "another epoch", "another step"])
def test_damaged_checkpoint_is_reported_and_the_previous_one_used(folder, way):
    older, newest = checkpoints.save(folder, made(1)), checkpoints.save(folder, made(2))
    content = bytearray(newest.read_bytes())
    if way == "a bit is flipped":
        for place in range(0, len(content), 97):
            content[place] ^= 1
            newest.write_bytes(content)
            assert checkpoints.load(folder)[1] == [newest], place
            content[place] ^= 1
        content[-1] ^= 128
        newest.write_bytes(content)
    elif way in ("cut off", "emptied"):
        os.truncate(newest, len(content) - 1 if way == "cut off" else 0)
    elif way == "swapped":
        newest.write_bytes(older.read_bytes())
    else:
        other = "checkpoint-000009-000000000" if way == "another epoch" else "checkpoint-000002-000000001"
        newest = newest.rename(folder / newest.name.replace("checkpoint-000002-000000000", other))
    loaded, damaged = checkpoints.load(folder)
    same(loaded, made(1))
    assert damaged == [newest]
    older.write_bytes(b"")
    assert checkpoints.load(folder) == (None, [newest, older])


def test_process_killed_while_saving_leaves_whole_checkpoints(folder):
    reached = 0
    for wait_s in (0.1, 0.17, 0.31):
        with subprocess.Popen(
            [sys.executable, "-c", SAVING, str(folder)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "begins\n"
            time.sleep(wait_s)
            process.send_signal(signal.SIGKILL)
        loaded, damaged = checkpoints.load(folder)
        assert damaged == []
        if loaded is not None:
            reached += loaded.position.epoch
            assert loaded.facts == {"of": loaded.position.epoch}
            assert (loaded.arrays["a"] == loaded.position.epoch).all()
    assert reached > 3
    checkpoints.remove(folder)
    assert list(folder.iterdir()) == []


def test_checkpoint_that_cannot_be_written_leaves_the_others(folder):
    saved = checkpoints.save(folder, made(1))
    folder.joinpath(".checkpoint.new").mkdir()
    with pytest.raises(OSError):
        checkpoints.save(folder, made(2))
    assert [file.name for file in folder.glob("checkpoint-*")] == [saved.name]
    same(checkpoints.load(folder)[0], made(1))
