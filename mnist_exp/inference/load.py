"""Load a model from a run or a file, without running code that the file names.

A model file is checked before Keras sees it, and Keras gets a copy made of nothing but what was checked.
"""

import json
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mnist_exp.config import allow_list, components
from mnist_exp.config.allow_list import ForbiddenError
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import GoneError, SettingsError, first_line
from mnist_exp.experiment import own_code
from mnist_exp.runtime import backends, imports
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tracking import mlflow_log, mlflow_writes, names, references, store, tracker
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import h5py
    import keras

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LARGEST = {CONFIG: 20_000_000, METADATA: 100_000, WEIGHTS: 4_000_000_000}  # bytes
_MODEL_URI = re.compile(r"models:/(m-[0-9a-f]{32})")
_FILE = "data/model.keras"  # where MLflow puts it, below the model
_NUMBERS = "biuf"  # kinds of dtypes
_BFLOAT16 = "|V2"
_MOST_OBJECTS = 1_000_000
_DAMAGE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)


def load_model(
    run_id_or_path: str | Path, tracking_uri: str | None = None, trusted_modules: Sequence[str] = ()
) -> "keras.Model":
    """Return the model of a run, or of a `.keras` file. It takes raw pixels and returns probabilities.

    Classes that the file names must be harmless ones of Keras, or of `trusted_modules`; anything else is refused.

    Args:
        run_id_or_path: a run's id, `models:/NAME@champion`, or a file.
        tracking_uri: address of the store that has the run; None takes `$MLFLOW_TRACKING_URI`, else `mlflow.db` here.
        trusted_modules: modules of your own, whose registered layers and functions it may use; they are imported.
    Raises: SettingsError: there is no such run or file, it has no model, or the file is damaged or not to be trusted.
    """
    trusted = (trusted_modules,) if isinstance(trusted_modules, str) else tuple(trusted_modules)
    if isinstance(run_id_or_path, str) and references.is_reference(run_id_or_path):
        return of_run(references.find(TrackingSettings(uri=tracking_uri), run_id_or_path), trusted)
    path = Path(run_id_or_path)
    if not path.is_file():
        raise SettingsError(f"{path} is neither a run id (32 characters of 0-9 and a-f) nor a file")
    _check_trusted(trusted)
    with tracker.folder() as folder:
        return _load(path, folder, trusted, str(path))


def of_run(run: StoredRun, trusted_modules: Sequence[str] = ()) -> "keras.Model":
    """Return the model of a run, as `load_model` does. Raises: SettingsError: as there."""
    check_has_model(run)
    _check_trusted(trusted_modules)
    files = own_code.Changes().since(run) if trusted_modules else ()
    if files:
        Screen().warn(f"{own_code.words(files)}: the model of run {run.run_id} was trained by it as it was then")
    with tracker.folder() as folder:
        return _load(_download(run, folder), folder, trusted_modules, f"the model of run {run.run_id}")


def check_has_model(run: StoredRun) -> None:
    """Make sure that a run has a model to load. Raises: SettingsError: it has none, and why."""
    if run.is_sweep:
        raise SettingsError(
            f"run {run.run_id} is a sweep, which has no model: name one of its jobs; evaluate --ensemble asks all"
        )
    if names.MODEL_URI in run.tags:
        return
    if run.is_pruned:
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
        config = copy_checked(path, clean, trusted)
    except ForbiddenError as error:
        raise SettingsError(f"{what} is not loaded: {error}") from error
    except _DAMAGE as error:
        raise SettingsError(f"{what} cannot be read: {first_line(error)}") from error
    return _load_checked(clean, config, trusted, what)


def copy_checked(path: Path, copy: Path, trusted: Sequence[str] = ()) -> dict[str, Any]:
    """Check a model file, copy the parts that prediction needs, and return its configuration.

    Args:
        path: of the file.
        copy: where the copy goes.
        trusted: modules whose classes and functions it may name.
    Raises: ForbiddenError: it holds what it must not.
        OSError, ValueError, BadZipFile and their like: it is damaged.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise ForbiddenError(
                "it is no .keras archive; old .h5 files and SavedModels run code when they are loaded, and are not "
                "read: save it again with model.save('NAME.keras')"
            )
        with zipfile.ZipFile(file) as archive:
            members = _members(archive)
            config = _json(archive, members[CONFIG])
            allow_list.check(config := allow_list.without_training(config), trusted)
            _json(archive, members[METADATA])
            weights = copy.with_suffix(".h5")
            with archive.open(members[WEIGHTS]) as source, weights.open("wb") as target:
                _copy(source, target, LARGEST[WEIGHTS])
            _check_weights(weights)
            with zipfile.ZipFile(copy, "w") as clean:
                clean.writestr(CONFIG, json.dumps(config))
                clean.writestr(METADATA, "{}")
                clean.write(weights, WEIGHTS)
            weights.unlink()
    return dict(config)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the three members of an archive. Raises: ForbiddenError: there are others, or they are odd."""
    found = archive.infolist()
    names = [info.filename for info in found]
    if sorted(names) != sorted(LARGEST):
        others = [name for name in names if name not in LARGEST] or sorted(set(names))
        shown = ", ".join(repr(name[:80]) for name in others[:5])
        raise ForbiddenError(f"it must hold {', '.join(LARGEST)}, each once, and nothing else, but holds {shown}")
    for info in found:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.flag_bits & 0x1:
            raise ForbiddenError(f"its {info.filename} is no plain file, but a link, a device or encrypted")
        if info.file_size > LARGEST[info.filename]:
            raise ForbiddenError(
                f"its {info.filename} has {info.file_size:,} bytes; at most {LARGEST[info.filename]:,} are read"
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ForbiddenError(f"its {info.filename} is compressed in a way that Keras does not use")
        # Deflate makes nothing but a bomb a hundred times smaller: weights are noise.
        if info.filename == WEIGHTS and info.file_size > 100 * info.compress_size + 1_000_000:
            raise ForbiddenError(
                f"its {info.filename} would grow from {info.compress_size:,} to {info.file_size:,} bytes"
            )
    return {info.filename: info for info in found}


def _json(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    with archive.open(member) as opened:
        content = opened.read(LARGEST[member.filename])
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ForbiddenError(f"its {member.filename} is no JSON: {first_line(error)}") from error


def _copy(source: IO[bytes], target: IO[bytes], most: int) -> None:
    copied = 0
    while block := source.read(1 << 20):
        copied += len(block)
        if copied > most:
            raise ForbiddenError(f"it grows beyond {most:,} bytes")
        target.write(block)


def _check_weights(path: Path) -> None:
    """Make sure that an HDF5 file holds plain arrays, all within itself.

    Raises: ForbiddenError: it points to other files, or its arrays would grow.
    """
    import h5py

    with h5py.File(path, "r") as file:
        for count, (name, item) in enumerate(_items(file, "")):
            what = f"its weights' {name[:80]}"
            if count > _MOST_OBJECTS:
                raise ForbiddenError(f"its weights have more than {_MOST_OBJECTS:,} parts")
            if isinstance(item, h5py.Group):
                continue
            if not isinstance(item, h5py.Dataset):
                raise ForbiddenError(f"{what} is no array")
            if item.external or item.is_virtual:
                raise ForbiddenError(f"{what} is taken from another file")
            if item.dtype.kind not in _NUMBERS and item.dtype.str != _BFLOAT16:
                raise ForbiddenError(f"{what} holds {item.dtype}, not numbers")
            if item.id.get_create_plist().get_nfilters() or item.id.get_storage_size() < item.nbytes:
                raise ForbiddenError(f"{what} is compressed, or larger than what is stored of it")


def _items(group: "h5py.Group", path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    import h5py

    if depth > 100:
        raise ForbiddenError("its weights are nested without an end")
    for name in group:
        inner = f"{path}/{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ForbiddenError(f"its weights' {inner[:80]} is a link, maybe to another file")
        item = group[name]
        yield inner, item
        if isinstance(item, h5py.Group):
            yield from _items(item, inner, depth + 1)


def _download(run: StoredRun, folder: Path) -> Path:
    run_id = run.run_id
    uri = run.tags[names.MODEL_URI]
    named = _MODEL_URI.fullmatch(uri)
    if named is None:  # Any other address might be anything: a file of this machine, a server.
        raise SettingsError(f"run {run_id} has the model {uri[:80]!r}, which is no address that mnist_exp writes")
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
