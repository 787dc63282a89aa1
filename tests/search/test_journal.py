"""A search's journal that ends within a line, as after a kill or on a full disk, or is damaged elsewhere."""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import BusyError, SettingsError
from mnist_exp.runtime import processes
from mnist_exp.search import journal
from mnist_exp.search.attributes import note_run
from mnist_exp.search.journal import DamagedError
from mnist_exp.search.parsing import parse
from mnist_exp.search.study import Study


def search(file="study.journal"):
    axes = parse({}, ["model.dropout=interval(0,0.7)", "model.activation=relu,tanh"], SweepSettings()).axes
    return Study("s", str(file), axes, SweepSettings(sampler="random"), ("maximize",), 5, Path("unfinished"))


def run_trials(count, file="study.journal"):
    searched = search(file)
    opened = searched.open()
    for number in range(count):
        trial, _ = searched.ask(opened)
        note_run(trial, f"{number:032x}")
        trial.report(0.5, 1)
        opened.tell(trial, number / 10)
    return Path(file).read_bytes()


def facts(study):
    return [(t.number, t.state.name, t.params, t.values, t.intermediate_values, t.user_attrs) for t in study.trials]


def replayed(lines, file):
    """Return what Optuna makes of these lines."""
    file.write_bytes(lines)
    found = JournalStorage(JournalFileBackend(str(file))).get_all_trials(0)
    return [(t.number, t.state.name, t.params, t.values, t.intermediate_values, t.user_attrs) for t in found]


@pytest.mark.slow
def test_journal_cut_at_any_byte_of_its_last_three_lines_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda file: None)  # Thousands of them take minutes.
    whole = run_trials(3)
    lines = whole.splitlines(keepends=True)
    ends = [len(whole) - sum(map(len, lines[count:])) for count in range(len(lines) - 3, len(lines) + 1)]
    file = tmp_path / "cut.journal"
    expected = {end: replayed(whole[:end], tmp_path / "expected.journal") for end in ends}
    for size in range(ends[0], len(whole) + 1):
        file.write_bytes(whole[:size])
        told = []
        searched = search(file)
        opened = searched.open(tell=told.append)
        # A line that lacks nothing but its end is a record all the same.
        kept = max(end for end in ends if end <= size or end == size + 1)
        assert facts(opened) == expected[kept], size
        assert len(told) == (size not in ends), (size, told)
        trial, _ = searched.ask(opened)
        opened.tell(trial, 0.9)
        again = searched.open(tell=told.append)
        assert facts(again)[:-1] == expected[kept], size
        assert again.trials[-1].values == [0.9]
        assert len(told) == (size not in ends), told


def test_message_says_what_was_done(tmp_path):
    whole = run_trials(1)
    file, told = tmp_path / "cut.journal", []
    for cut in (1, 2):
        file.write_bytes(whole[:-cut])
        search(file).open(tell=told.append)
    last = len(whole.splitlines()[-1])
    assert told == [
        f"the study in {file} ended within a line, as it does when its writer is killed or the disk is full: {done}; "
        "the search goes on"
        for done in (
            "its last record was whole, and is kept",
            f"the {last - 1} bytes of a record that was not whole are removed",
        )
    ]


def test_last_line_longer_than_a_block_is_found(tmp_path):
    whole = run_trials(1)
    long = json.dumps({"op_code": 8, "worker_id": "x", "trial_id": 0, "user_attr": {"a": "b" * 200_000}}).encode()
    file = tmp_path / "cut.journal"
    file.write_bytes(whole + long[:-1])
    search(file).open(tell=lambda text: None)
    assert file.read_bytes().startswith(whole + b'{"op_code":0')


WRITER = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_journal import search

searched = search()
opened = searched.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (Path("study.journal").stat().st_size + 20,) * 2)
try:
    searched.ask(opened)
except OSError as error:
    print(error.strerror)
"""


def test_line_torn_by_another_process_is_mended_before_the_next_record():
    """The other process really writes 20 bytes of its record: it may not write more."""
    searched, told = search(), []
    opened = searched.open(tell=told.append)
    code = WRITER.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert not Path("study.journal").read_bytes().endswith(b"\n")
    trial, _ = searched.ask(opened)
    opened.tell(trial, 0.5)
    assert [text.partition(": ")[2] for text in told] == [
        "the 20 bytes of a record that was not whole are removed; the search goes on"
    ]
    assert [trial.values for trial in searched.open().trials] == [[0.5]]


def test_next_job_of_a_process_reads_only_what_is_new(monkeypatch):
    run_trials(30)
    searched, read, loads = search(), [], json.loads
    searched.open(in_job=True)
    monkeypatch.setattr(json, "loads", lambda text: read.append(text) or loads(text))
    run_trials(1)  # By another storage, as of another process: it reads all.
    assert len(read) > 30
    read.clear()
    opened = searched.open(in_job=True)
    new = len(read)
    assert [trial.number for trial in opened.trials] == list(range(31))
    assert new < 25
    trial, _ = searched.ask(opened)
    opened.tell(trial, 0.5)
    assert facts(searched.open()) == facts(opened)


STATES = [None, *((state,) for state in TrialState), (TrialState.WAITING, TrialState.RUNNING), (TrialState.COMPLETE,)]


def listed(storage, study_id):
    """Return what a storage lists, in each selection of states, with all that a trial has."""
    return [
        [(t.number, t.state, t.params, t.values, t.user_attrs) for t in storage.get_all_trials(study_id, states=states)]
        for states in STATES
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["queue", "ask", "end", "fail", "note", "study"]), st.integers(0, 5))))
def test_trials_are_listed_as_optuna_lists_them(steps):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "two.journal")
        one, other = (journal.opened(file, print) for _ in range(2))
        names = [one.create_new_study([StudyDirection.MINIMIZE])]
        for number, (step, which) in enumerate(steps):
            writer, study_id = (one, other)[number % 2], names[which % len(names)]
            open_ones = [t for t in one.get_all_trials(study_id) if not t.state.is_finished()]
            some = open_ones[which % len(open_ones)]._trial_id if open_ones else None
            if step == "study":
                names.append(writer.create_new_study([StudyDirection.MINIMIZE]))
            elif step in ("queue", "ask"):
                state = TrialState.WAITING if step == "queue" else TrialState.RUNNING
                writer.create_new_trial(study_id, create_trial(state=state))
            elif some is not None and step == "note":
                writer.set_trial_user_attr(some, "n", number)
            elif some is not None:
                is_ended = step == "end"
                state = TrialState.COMPLETE if is_ended else TrialState.FAIL
                writer.set_trial_state_values(some, state, [float(number)] if is_ended else None)
        fresh = JournalStorage(JournalFileBackend(str(file)))
        for study_id in names:
            assert listed(one, study_id) == listed(other, study_id) == listed(fresh, study_id)


def test_list_of_trials_can_be_changed_by_who_asked_for_it():
    storage = journal.opened(Path("study.journal").absolute(), print)
    study_id = storage.create_new_study([StudyDirection.MINIMIZE])
    trial = storage.create_new_trial(study_id, create_trial(state=TrialState.RUNNING))
    storage.get_all_trials(study_id, deepcopy=False).clear()
    storage.get_all_trials(study_id)[0].user_attrs["mine"] = 1
    storage.set_trial_state_values(trial, TrialState.FAIL)
    assert [(t.state.name, t.user_attrs) for t in storage.get_all_trials(study_id)] == [("FAIL", {})]
    with pytest.raises(KeyError):
        storage.get_all_trials(study_id + 1)


def test_journal_that_another_file_took_the_place_of_is_read_anew():
    run_trials(3)
    search().open(in_job=True)
    Path("study.journal").rename("kept.journal")
    run_trials(1)
    assert [trial.number for trial in search().open(in_job=True).trials] == [0]
    Path("study.journal").unlink()
    assert search().open(in_job=True).trials == []


def test_other_journal_in_the_same_file_is_read_anew():
    """As where a removed file's number on the disk is given to the next one."""
    run_trials(2, "other.journal")
    longer = run_trials(4, "other.journal")
    run_trials(3)
    search().open(in_job=True)
    before = Path("study.journal").stat().st_ino
    Path("study.journal").write_bytes(longer)
    assert Path("study.journal").stat().st_ino == before
    assert facts(search().open(in_job=True)) == facts(search("other.journal").open())


def test_storage_that_another_process_gets_reads_the_file_anew():
    run_trials(3)
    storage = journal.opened(Path("study.journal").absolute(), print)
    storage.get_all_trials(0)
    sent = pickle.dumps(storage)
    Path("study.journal").unlink()
    run_trials(1)
    assert len(pickle.loads(sent).get_all_trials(0)) == 1


def test_forked_process_does_not_write_as_its_parent():
    run_trials(1)
    searched = search()
    parent = searched.open(in_job=True)
    if (child := os.fork()) == 0:
        opened = searched.open(in_job=True)
        opened.tell(searched.ask(opened)[0], 0.25)
        os._exit(0 if opened._storage is not parent._storage else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [trial.values for trial in searched.open(in_job=True).trials] == [[0.0], [0.25]]


def broken(whole, how):
    lines = whole.splitlines(keepends=True)
    return {
        "glued": b"".join([*lines[:-2], lines[-2][:-1], lines[-1]]),  # As earlier versions left a torn line.
        "half": b"".join([*lines[:3], lines[3][:20], b"\n", *lines[4:]]),
        "zeros": b"".join([*lines[:3], b"\0" * len(lines[3]), *lines[4:]]),
        "bytes": b"".join([*lines[:3], b"\xff\xfe\n", *lines[4:]]),
        "number": b"".join([*lines[:3], b"5\n", *lines[4:]]),
        "keys": b"".join([*lines[:3], b'{"op_code":4}\n', *lines[4:]]),
        "last": whole + b"{}{}\n",
    }[how]


@pytest.mark.parametrize("content", [b"SQLite format 3\0...", b"notes\nof mine", b"{}\n", b"\0" * 50])
def test_file_that_is_no_journal_is_left_alone(content):
    """Optuna would append its records to a file of one line."""
    file = Path("notes.txt").absolute()
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"^sweep.storage={file} cannot be used: the file is no journal of Optuna$"):
        search(file).open()
    assert file.read_bytes() == content
    file = file.rename("notes.journal")
    with pytest.raises(DamagedError, match="is damaged \\(it does not begin with a record\\)"):
        search(file).open()
    assert file.read_bytes() == content


@pytest.mark.parametrize("how", ["glued", "half", "zeros", "bytes", "number", "keys", "last"])
def test_journal_damaged_elsewhere_is_told_and_left_alone(how):
    whole = broken(run_trials(2), how)
    file = Path("study.journal").absolute()
    file.write_bytes(whole)
    with pytest.raises(DamagedError) as caught:
        search().open()
    assert str(caught.value).startswith(f"the study in {file} is damaged (")
    assert file.read_bytes() == whole
    assert not Path("study.journal.lock").is_symlink()


def test_damaged_journal_is_kept_unless_its_process_lives():
    whole = run_trials(1)
    file = Path("study.journal").absolute()
    with pytest.raises(BusyError, match=f"process {processes.identify()} still works with it"):
        journal.set_aside(file)
    gone = whole.replace(processes.identify().encode(), processes.identify().rpartition("/")[0].encode() + b"/1.00")
    file.write_bytes(gone)
    kept = journal.set_aside(file)
    assert not file.exists()
    assert kept.parent == file.parent
    assert kept.name.startswith("study.journal.damaged-")
    assert kept.read_bytes() == gone


def test_lock_of_a_relative_path_is_a_link_to_the_file():
    """Optuna asks the file behind the link how old the lock is, and waits for ever where there is none."""
    searched = search("folder/study.journal")
    opened = searched.open()
    lock = opened._storage._backend._lock
    lock.acquire()
    try:
        assert Path("folder/study.journal.lock").resolve() == Path("folder/study.journal").absolute()
    finally:
        lock.release()
