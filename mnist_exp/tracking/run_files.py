"""Read the files that a run recorded. Each is checked first: it may be damaged, or come from someone else."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mnist_exp.errors import SettingsError, first_line
from mnist_exp.evaluation import confidence, predictions
from mnist_exp.evaluation.confidence import Confidence
from mnist_exp.evaluation.predictions import Predictions
from mnist_exp.runtime import redacted_files
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import mlflow_writes, sqlite_reads, store
from mnist_exp.training import digests
from mnist_exp.training.digests import Digests

_NEVER = "its process ended before it was recorded, or it was made by an older version"
_LARGEST_FILE, _LARGEST_BOARD, _LARGEST_PICTURE = 1_000_000, 20_000_000, 5_000_000  # bytes


def read_sections(uri: str, run_id: str, name: str) -> dict[str, Any]:
    """Return the sections of a run's YAML file, unchecked.

    Args:
        uri: address of the store.
        run_id: of the run.
        name: of the file.
    Raises: SettingsError: there is none, or it is not what mnist_exp writes.
    """
    return parse(_text(uri, run_id, name, _LARGEST_FILE), f"{name} of run {run_id}")


def read_predictions(uri: str, run_id: str) -> Predictions:
    """Return the predictions of a run for the test set. Raises: SettingsError: there are none, or they are damaged."""
    text = _text(uri, run_id, predictions.FILE, predictions.LARGEST)
    return predictions.parse(text, f"{predictions.FILE} of run {run_id}")


def read_confidence(uri: str, run_id: str) -> Confidence:
    """Return how far a run's model is to be trusted. Raises: SettingsError: there is no record, or it is damaged."""
    text = _text(uri, run_id, confidence.FILE, confidence.LARGEST)
    return confidence.parse(text, f"{confidence.FILE} of run {run_id}")


def read_digests(uri: str, run_id: str) -> Digests:
    """Return the digests of a run's weights. Raises: SettingsError: there are none, or they are damaged."""
    return digests.parse(_text(uri, run_id, digests.FILE, digests.LARGEST), f"{digests.FILE} of run {run_id}")


def read_leaderboard(uri: str, run_id: str) -> str:
    """Return the leaderboard of a sweep as CSV. Raises: SettingsError: the run has none."""
    return _text(uri, run_id, "leaderboard.csv", _LARGEST_BOARD)


def read_text(uri: str, run_id: str, name: str, largest: int) -> str:
    """Return a file of a run, unchecked. Raises: SettingsError: there is none, or it is larger than that, in bytes."""
    return _text(uri, run_id, name, largest)


def read_own_code(uri: str, run_id: str) -> str:
    """Return the list of the user's own modules that took part. Raises: SettingsError: the run has none."""
    return _text(uri, run_id, "own_code.txt", _LARGEST_FILE)


def read_picture(uri: str, run_id: str, name: str) -> bytes:
    """Return a picture that a run recorded, unchecked. Raises: SettingsError: there is none, or it is too large."""
    return _bytes(uri, run_id, name, _LARGEST_PICTURE)


def names(uri: str, run_id: str) -> list[str]:
    """Return the names of a run's files; none where the store does not answer."""
    database = store.sqlite_file(uri)
    folder = sqlite_reads.run_files(database, run_id) if database is not None else None
    if folder is not None:
        return [path.name for path in folder.iterdir()]
    try:
        return [file.path for file in store.client(uri).list_artifacts(run_id)]
    except mlflow_writes.read_errors():
        return []


def keep(uri: str, run_id: str, files: Sequence[Path], below: str) -> bool:
    """Add files to those of a run that lie on this machine, as MLflow does; return False where MLflow must do it.

    Args:
        uri: address of the store.
        run_id: of the run.
        files: to add, without their secrets.
        below: folder of the run in which they are put.
    Raises: OSError: they cannot be written.
    """
    database = store.sqlite_file(uri)
    folder = sqlite_reads.run_files(database, run_id) if database is not None else None
    if folder is None:
        return False
    (folder / below).mkdir(exist_ok=True)
    for file in files:
        redacted_files.copy(file, folder / below / file.name)
    return True


def parse(text: str, what: str) -> dict[str, Any]:
    """Return the sections of a YAML file that may come from someone else.

    Args:
        text: of the file.
        what: name of the file in an error message.
    Raises: SettingsError: it is not what mnist_exp writes.
    """
    try:
        content = yaml.load(text, Loader=_PlainLoader)  # noqa: S506  a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SettingsError(f"{what} cannot be read: {reason}") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise SettingsError(f"{what} is not a configuration: it must be sections with names")
    if "${" in text:
        raise SettingsError(f"{what} has interpolations (${{…}}): mnist_exp writes none, so they are not resolved")
    return content


class _PlainLoader(yaml.SafeLoader):
    """Reads plain values; refuses aliases, because a small file with aliases can fill the memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def _text(uri: str, run_id: str, name: str, largest: int) -> str:
    return _bytes(uri, run_id, name, largest).decode("utf-8", errors="replace")


def _bytes(uri: str, run_id: str, name: str, largest: int) -> bytes:
    what = f"{name} of run {run_id}"
    database = store.sqlite_file(uri)
    try:
        here = sqlite_reads.run_file(database, run_id, name) if database is not None else None
    except FileNotFoundError as error:
        raise SettingsError(f"there is no {what}: {_NEVER}") from error
    if here is not None:
        content = _content(here, largest)
    else:
        with tempfile.TemporaryDirectory(prefix="mnist_exp-") as folder:
            try:
                content = _content(Path(store.client(uri).download_artifacts(run_id, name, folder)), largest)
            except mlflow_writes.read_errors() as error:
                raise SettingsError(f"there is no {what}: {_why_missing(uri, run_id, name, error)}") from error
    if content is None:
        raise SettingsError(f"{what} has more than {largest:,} bytes: it was not written by mnist_exp")
    return content


def _content(file: Path, largest: int) -> bytes | None:
    """Return what a file holds; None if it is too large. Raises: OSError: it cannot be read."""
    return file.read_bytes() if file.stat().st_size <= largest else None


def _why_missing(uri: str, run_id: str, name: str, error: Exception) -> str:
    """Say why a file cannot be read: the run has none, or the store does not answer."""
    try:
        names = [file.path for file in store.client(uri).list_artifacts(run_id)]
        info = store.client(uri).get_run(run_id).info
    except mlflow_writes.read_errors() as again:
        return f"the store does not deliver it: {redact(first_line(again))}"
    if name in names:
        return f"the store does not deliver it: {redact(first_line(error))}"
    if not names and info.status == "FINISHED":
        return f"no file of the run is at {redact(info.artifact_uri)} any more; it was removed, or moved elsewhere"
    return _NEVER
