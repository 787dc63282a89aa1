"""The storage of a study: a journal file or a database. No trial is lost while a database does not answer."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.errors import SettingsError, first_line
from mnist_exp.runtime import retries, signals, start_folder
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import store

if TYPE_CHECKING:
    import optuna


def default(store_file: Path | None, name: str) -> str:
    """Return the journal file of a study.

    Args:
        store_file: file of the runs' SQLite store; None for any other store.
        name: of the study.
    Returns: a path in the folder `studies`, beside the SQLite store, else in the working folder.
    """
    folder = (store_file.parent if store_file else start_folder.start_folder()) / "studies"
    return str(folder / f"{name}.journal")


def journal_file(address: str) -> Path | None:
    """Return the absolute path of a journal file; None for a database."""
    return None if "://" in address else start_folder.absolute(address)


def has_study(address: str, name: str) -> bool:
    """Tell whether a study is there, without creating anything; of a database that does not answer, it is not.

    Args:
        address: a journal file, which belongs to one study, or the address of a database.
        name: of the study.
    """
    import sqlalchemy

    if (journal := journal_file(address)) is not None:
        return journal.exists()
    whole = store.absolute(address)
    if store.missing_file(whole) is not None:
        return False
    try:
        engine = sqlalchemy.create_engine(whole)
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("studies"):
                return False
            found = sqlalchemy.text("SELECT 1 FROM studies WHERE study_name = :name")
            return connection.execute(found, {"name": name}).first() is not None
    except (sqlalchemy.exc.SQLAlchemyError, ImportError):  # An ImportError of a driver that is not installed.
        return False


def opened(
    address: str,
    use: "Callable[[optuna.storages.BaseStorage], optuna.Study]",
    patience_s: float,
    tell: Callable[[str], None],
    *,
    reads_on: bool = False,
) -> Any:
    """Open a storage, call a function with it, and return the result.

    Args:
        address: a journal file, or the address of a database.
        use: called with the storage.
        patience_s: how long to wait for a database that does not answer.
        tell: called with a sentence when the end of a journal file was mended, now or at a later record.
        reads_on: whether this process will open it again; of a journal file it then reads only what is new.
    Raises: SettingsError: the storage cannot be used. DamagedError: it is a journal file that Optuna cannot read.
    """
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

    def is_away(error: BaseException) -> bool:
        return isinstance(error.__cause__ if _is_away(error) else error, OperationalError)

    def is_lost(error: BaseException) -> bool:  # Another process created the same tables first.
        return isinstance(error, IntegrityError | ProgrammingError)

    def once() -> "optuna.Study":
        return retries.after_race(5, (0.1, 1.0), is_lost)(lambda: use(_storage(address, tell, reads_on)))

    try:
        return retries.while_away(patience_s, is_away)(once)
    except SettingsError:
        raise
    except Exception as error:  # Each database driver has its own exceptions.
        driver = "; install the database's driver, such as psycopg[binary]" if isinstance(error, ImportError) else ""
        reason = redact(first_line(error)) + driver
        raise SettingsError(f"sweep.storage={redact(address)} cannot be used: {reason}") from error


def close(study: "optuna.Study") -> None:
    """Close the database connections of a study that is no longer needed: each job opens its own."""
    # Optuna has no public way to close them.
    engine = getattr(getattr(study._storage, "_backend", None), "engine", None)
    if engine is not None:  # A journal file has no engine.
        study._storage.remove_session()
        engine.dispose()


def _storage(address: str, tell: Callable[[str], None], reads_on: bool) -> "optuna.storages.BaseStorage":
    import optuna

    from mnist_exp.search import journal

    if (file := journal_file(address)) is not None:
        return journal.opened(file, tell, reads_on=reads_on)
    # A connection that was open before the database was restarted does not work any more.
    return optuna.storages.get_storage(_patient()(store.absolute(address), engine_kwargs={"pool_pre_ping": True}))


@functools.cache
def _patient() -> Any:
    """Return Optuna's storage class for databases, with calls that are tried again while the database is away."""
    from optuna.storages import RDBStorage

    calls = {
        name: _tried_again(call)
        for name, call in vars(RDBStorage).items()
        if inspect.isfunction(call) and not name.startswith("__")
    }
    return type("PatientStorage", (RDBStorage,), calls)


def _tried_again(call: Callable[..., Any]) -> Callable[..., Any]:
    from optuna.exceptions import UpdateFinishedTrialError

    @functools.wraps(call)
    def patient(*args: Any, **kwargs: Any) -> Any:
        loop = retries.while_away(retries.PATIENCE_S, lambda error: _is_away(error) and not signals.is_asked())

        def once() -> Any:
            try:
                return call(*args, **kwargs)
            except UpdateFinishedTrialError:
                if loop.statistics["attempt_number"] == 1 or call.__name__ != "set_trial_state_values":
                    raise
                return True  # The first call had succeeded; only its answer was lost.

        return loop(once)

    return patient


def _is_away(error: BaseException) -> bool:
    """Tell whether Optuna raised an error because the database does not answer or has closed the connection."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import InterfaceError, OperationalError

    return isinstance(error, StorageInternalError) and isinstance(error.__cause__, OperationalError | InterfaceError)
