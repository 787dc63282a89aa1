"""Load a model from a run or a file, without running code that the file names.

A model file is checked before Keras sees it, and Keras gets a copy made of nothing but what was checked.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.config import allow_list, arguments, components
from mnist_exp.config.allow_list import ForbiddenError
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import GoneError, SettingsError, first_line
from mnist_exp.experiment import own_code
from mnist_exp.numpy_model import agreement, archive
from mnist_exp.numpy_model.model import NumpyModel
from mnist_exp.numpy_model.weights import UnknownError
from mnist_exp.runtime import backends, imports
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tracking import mlflow_log, mlflow_writes, names, references, sqlite_reads, store, tracker
from mnist_exp.tracking.model_removal import MODEL_ADDRESS
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import keras

_FILE = "data/model.keras"  # where MLflow puts it, below the model
_LARGEST_BY_NUMPY = 500_000_000  # bytes of a model file that is read at once
# Multiplications and additions of all examples: NumPy takes as long for them as the imports of Keras and TensorFlow.
MOST_OPERATIONS = 20_000_000_000


def load_model(
    run_id_or_path: str | Path, tracking_uri: str | None = None, trusted_modules: Sequence[str] = ()
) -> "keras.Model":
    """Return the model of a run, or of a `.keras` file. It takes raw pixels and returns probabilities.

    Classes that the file names must be harmless ones of Keras, or of `trusted_modules`; anything else is refused.

    Args:
        run_id_or_path: a run's id or its first 6 characters or more, `models:/NAME@champion`, or a file.
        tracking_uri: address of the store that has the run; None takes `$MLFLOW_TRACKING_URI`, else `mlflow.db` here.
        trusted_modules: modules of your own, whose registered layers and functions it may use; they are imported.
    Raises: SettingsError: there is no such run or file, it has no model, or the file is damaged or not to be trusted.
    """
    if not isinstance(run_id_or_path, str | Path):
        raise arguments.wrong(
            "run_id_or_path", run_id_or_path, "a run's id, result.run_id, or models:/NAME@champion, or a .keras file"
        )
    trusted = (trusted_modules,) if isinstance(trusted_modules, str) else tuple(trusted_modules)
    path = Path(run_id_or_path)
    if isinstance(run_id_or_path, str) and (
        references.is_reference(run_id_or_path) or (references.is_start(run_id_or_path) and not path.is_file())
    ):
        return of_run(references.find(TrackingSettings(uri=tracking_uri), run_id_or_path), trusted)
    if not path.is_file():
        raise SettingsError(
            f"{path} is neither a run id (32 characters of 0-9 and a-f, or at least the first 6 of them) nor a file"
        )
    _check_trusted(trusted)
    with tracker.folder() as folder:
        return _load(path, folder, trusted, str(path))


def of_run(run: StoredRun, trusted_modules: Sequence[str] = ()) -> "keras.Model":
    """Return the model of a run, as `load_model` does. Raises: SettingsError: as there."""
    _check_run(run, trusted_modules)
    return by_keras(run, trusted_modules)


def to_answer(
    run: StoredRun, trusted_modules: Sequence[str] = (), examples: int | None = None
) -> "keras.Model | NumpyModel":
    """Return the model of a run for answers alone: NumPy's where that is as good and sooner there, else Keras's.

    Args:
        run: recorded.
        trusted_modules: as `load_model` has them.
        examples: how many there will be; None if that is not known.
    Raises: SettingsError: as `load_model` does.
    """
    _check_run(run, trusted_modules)
    found = _by_numpy(run)
    if found is None or found.operations * (examples or 1) > MOST_OPERATIONS:
        return by_keras(run, trusted_modules)
    return found


def _check_run(run: StoredRun, trusted_modules: Sequence[str]) -> None:
    check_has_model(run)
    _check_trusted(trusted_modules)
    files = own_code.Changes().since(run) if trusted_modules else ()
    if files:
        Screen().warn(f"{own_code.words(files)}: the model of run {run.run_id} was trained by it as it was then")


def by_keras(run: StoredRun, trusted_modules: Sequence[str]) -> "keras.Model":
    """Return the model of a run that `of_run`, or `to_answer`, has checked. Raises: as there."""
    with tracker.folder() as folder:
        return _load(_fetched(run, folder), folder, trusted_modules, f"the model of run {run.run_id}")


def _by_numpy(run: StoredRun) -> NumpyModel | None:
    """Return the model of a run as NumPy computes it; None where that was not found equal, or the file is another."""
    tag = run.tags.get(names.NUMPY_MODEL, "")
    if not agreement.may_be_kept(tag):
        return None
    with tracker.folder() as folder:
        path = _fetched(run, folder)
        content = path.read_bytes() if path.stat().st_size <= _LARGEST_BY_NUMPY else b""
    if not agreement.is_kept(tag, content):
        return None
    try:
        return NumpyModel(content)
    except UnknownError:
        return None


def check_has_model(run: StoredRun) -> None:
    """Make sure that a run has a model to load. Raises: SettingsError: it has none, and why."""
    if run.is_sweep:
        best = f"; the best is {run.tags[names.BEST_RUN]}" if names.BEST_RUN in run.tags else ""
        raise SettingsError(
            f"run {run.run_id} is a sweep, which has no model: name one of its jobs{best}; evaluate --ensemble asks all"
        )
    if run.has_model:
        return
    if names.NO_MODEL in run.tags:
        why = f"{run.tags[names.NO_MODEL]}; `python -m mnist_exp.rerun {run.run_id}` trains it again, with a model"
    elif run.is_pruned:
        why = "its sweep stopped it early; repeat it alone to have one: " + run.tags.get(names.COMMAND, "")
    elif names.JOB_KEY not in run.tags:
        why = "it is not a run of mnist_exp"
    else:
        why = f"it is {run.status}; " + (
            "wait for it" if run.status == "RUNNING" else f"finish it with resume={run.run_id}"
        )
    raise SettingsError(f"run {run.run_id} has no model: {why}")


def _check_trusted(names: Sequence[str]) -> None:
    for name in names:
        if not components.may_be_trusted(name):
            raise SettingsError(
                f"trusted_modules: {name!r} is not allowed: it must be a package of your own, as my_pkg"
            )


def _load(path: Path, folder: Path, trusted: Sequence[str], what: str) -> "keras.Model":
    clean = folder / "checked.keras"
    try:
        config = archive.copy_checked(path, clean, trusted)
    except ForbiddenError as error:
        raise SettingsError(f"{what} is not loaded: {error}") from error
    except archive.DAMAGE as error:
        raise SettingsError(f"{what} cannot be read: {first_line(error)}") from error
    return _load_checked(clean, config, trusted, what)


def _fetched(run: StoredRun, folder: Path) -> Path:
    """Return the file of a run's model: where it lies, if that is on this machine, else a copy in a folder.

    Raises: SettingsError: the run names no model, or the store does not give it.
    """
    run_id = run.run_id
    uri = run.tags[names.MODEL_URI]
    named = MODEL_ADDRESS.fullmatch(uri)
    if named is None:  # Any other address might be anything: a file of this machine, a server.
        raise SettingsError(f"run {run_id} has the model {uri[:80]!r}, which is no address that mnist_exp writes")
    database = store.sqlite_file(run.uri)
    here = sqlite_reads.model_file(database, named[1], _FILE) if database is not None else None
    if here is not None:
        return here
    with imports.quick_imports():
        import mlflow.artifacts

    try:
        # Not by the address itself: MLflow would look it up in its default store, and make that if there is none.
        place = store.client(run.uri).get_logged_model(named[1]).artifact_location
        address = f"{place.rstrip('/')}/{_FILE}"
        path = Path(mlflow.artifacts.download_artifacts(address, dst_path=str(folder), tracking_uri=run.uri))
    except mlflow_writes.read_errors() as error:
        if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            raise GoneError(
                f"the model of run {run_id} was deleted in MLflow ({uri}); the run itself is still there: "
                f"`python -m mnist_exp.rerun {run_id}` trains it again"
            ) from error
        raise GoneError(f"the model of run {run_id} cannot be fetched: {mlflow_log.reason(error)}") from error
    if path.is_symlink() or not path.is_file() or folder.resolve() not in path.resolve().parents:
        raise SettingsError(f"the model of run {run_id} cannot be fetched: the store gives no file for it")
    return path


def _load_checked(path: Path, config: dict[str, Any], trusted: Sequence[str], what: str) -> "keras.Model":
    if problems := backends.problems(None):
        raise SettingsError(problems)
    backends.expect_many_models()
    with imports.quick_imports():
        import keras

        from mnist_exp.training import readable
    # A package need not import all of its modules.
    for name in (*trusted, *allow_list.modules(config, trusted)):
        components.import_trusted(name)
    try:
        readable.check_names(config, trusted)
    except ForbiddenError as error:
        raise SettingsError(f"{what} is not loaded: {error}") from error
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        hint = f"; {readable.REGISTER}" if trusted else ""
        problem = f"{what} cannot be loaded by Keras {keras.__version__}: {first_line(error)}{hint}"
        raise SettingsError(problem) from error
