"""A search's database that is away, is being set up by another process, or cannot be used."""

import optuna
import pytest
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, ProgrammingError

from mnist_exp.errors import SettingsError
from mnist_exp.runtime import retries, signals
from mnist_exp.search import storage


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def broken(kind, wrapped=False):
    """Return an error of SQLAlchemy; if wrapped, inside an error of Optuna."""
    error = kind("SELECT 1", {}, Exception("the database says so"))
    if not wrapped:
        return error
    around = StorageInternalError("of Optuna's")
    around.__cause__ = error
    return around


def use_after(*errors):
    """Return a function that raises these errors in turn and then works, and the list of its calls."""
    left, calls = list(errors), []

    def use(made):
        calls.append(made)
        if left:
            raise left.pop(0)
        return "a study"

    return use, calls


@pytest.mark.parametrize("wrapped", [False, True])
def test_opening_waits_for_a_database_that_is_away(tmp_path, wrapped):
    use, calls = use_after(*[broken(OperationalError, wrapped)] * 9)
    assert storage.opened(str(tmp_path / "s.journal"), use, retries.PATIENCE_S, print) == "a study"
    assert len(calls) == 10


def test_without_patience_a_database_that_is_away_fails(tmp_path):
    use, calls = use_after(broken(OperationalError))
    with pytest.raises(SettingsError, match=r"sweep\.storage=.* cannot be used: .*the database says so"):
        storage.opened(str(tmp_path / "s.journal"), use, 0.0, print)
    assert len(calls) == 1


@pytest.mark.parametrize(("kind", "times", "works"), [(IntegrityError, 4, True), (ProgrammingError, 5, False)])
def test_opening_is_tried_again_while_another_process_creates_tables(tmp_path, kind, times, works):
    use, calls = use_after(*[broken(kind)] * times)
    if works:
        assert storage.opened(str(tmp_path / "s.journal"), use, 0.0, print) == "a study"
    else:
        with pytest.raises(SettingsError):
            storage.opened(str(tmp_path / "s.journal"), use, 0.0, print)
    assert len(calls) == 5


def test_any_other_error_is_raised_at_once(tmp_path):
    use, calls = use_after(ImportError("no module named psycopg"))
    with pytest.raises(SettingsError, match="no module named psycopg; install the database's driver"):
        storage.opened(str(tmp_path / "s.journal"), use, retries.PATIENCE_S, print)
    assert len(calls) == 1


@pytest.fixture
def away(monkeypatch, tmp_path):
    """A study in a database, and a list: each error put into it makes one call fail."""
    errors: list[Exception] = []
    storage._patient.cache_clear()

    def may_fail(name, real):
        def call(self, *arguments, **more):
            when, error = errors.pop(0) if errors else ("", None)
            if when == "before":
                raise error
            answer = real(self, *arguments, **more)
            if when == "after":  # It was done; the answer is lost.
                raise error
            return answer

        call.__name__ = name
        monkeypatch.setattr(RDBStorage, name, call)

    for name in ("set_trial_state_values", "set_trial_user_attr"):
        may_fail(name, getattr(RDBStorage, name))
    address = f"sqlite:///{tmp_path}/s.db"
    study = storage.opened(address, lambda made: optuna.create_study(storage=made), 0.0, print)
    yield study, errors
    storage.close(study)
    storage._patient.cache_clear()


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_call_is_repeated_while_the_database_is_away(away, kind):
    study, errors = away
    trial = study.ask()
    errors += [("before", broken(kind, wrapped=True))] * 5
    trial.set_user_attr("run", "abc")
    assert errors == []
    assert study.trials[0].user_attrs == {"run": "abc"}


def test_repeated_result_whose_answer_was_lost_is_no_error(away):
    study, errors = away
    trial = study.ask()
    errors.append(("after", broken(OperationalError, wrapped=True)))
    study.tell(trial, 0.5)
    assert study.best_value == 0.5


def test_second_result_of_a_trial_is_refused(away):
    study, _ = away
    trial = study.ask()
    study.tell(trial, 0.5)
    with pytest.raises(UpdateFinishedTrialError):
        study._storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.6])


def test_other_database_errors_are_not_retried(away):
    study, errors = away
    trial = study.ask()
    errors += [("before", broken(IntegrityError, wrapped=True)), ("before", ValueError("not asked for"))]
    with pytest.raises(StorageInternalError):
        trial.set_user_attr("run", "abc")
    assert len(errors) == 1


def test_after_a_signal_no_call_waits_for_a_database(away, monkeypatch):
    study, errors = away
    trial = study.ask()
    monkeypatch.setattr(signals, "is_asked", lambda: True)
    errors += [("before", broken(OperationalError, wrapped=True))] * 2
    with pytest.raises(StorageInternalError):
        trial.set_user_attr("run", "abc")
    assert len(errors) == 1


def test_database_that_appears_late_is_opened(tmp_path, monkeypatch):
    """The folder of the SQLite file is created between two attempts."""
    folder = tmp_path / "late"
    monkeypatch.setattr("time.sleep", lambda seconds: folder.mkdir())
    study = storage.opened(f"sqlite:///{folder}/s.db", lambda made: optuna.create_study(storage=made), 10.0, print)
    assert study.trials == []
    storage.close(study)


@pytest.mark.parametrize("address", ["sqlite:///{}/s.db", "{}/s.journal"])
def test_study_is_looked_for_without_creating_anything(tmp_path, address):
    (folder := tmp_path / "kept").mkdir()
    address = address.format(folder)
    assert not storage.has_study(address, "mine")
    assert list(folder.iterdir()) == []
    study = storage.opened(address, lambda made: optuna.create_study(storage=made, study_name="mine"), 0.0, print)
    storage.close(study)
    assert storage.has_study(address, "mine")


def test_database_without_the_study_or_that_cannot_be_reached_has_none(tmp_path):
    (tmp_path / "empty.db").touch()
    assert not storage.has_study(f"sqlite:///{tmp_path}/empty.db", "mine")
    assert (tmp_path / "empty.db").stat().st_size == 0
    address = f"sqlite:///{tmp_path}/s.db"
    storage.close(storage.opened(address, lambda made: optuna.create_study(storage=made, study_name="a"), 0.0, print))
    assert not storage.has_study(address, "mine")
    (tmp_path / "text.db").write_text("no database " * 100)
    for nowhere in (f"sqlite:///{tmp_path}/text.db", "postgresql://nobody@127.0.0.1:9/none", "none+such://x/y"):
        assert not storage.has_study(nowhere, "mine")
