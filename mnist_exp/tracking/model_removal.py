"""Remove the model of a recorded run, and free what it takes on disk; all else of the run stays.

MLflow's `delete_logged_model` only hides a model. Its artifact repository frees the files, as `mlflow gc` does.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnist_exp.tracking import mlflow_log, names, store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

MODEL_ADDRESS = re.compile(r"models:/(m-[0-9a-f]{32})")
# Where MLflow keeps the files of a model. A store may name any folder of this machine: no other one is emptied.
_PLACE = "/models/{}/artifacts"
_DEEPEST = 4  # folders in a model; a server may list folders that contain each other
_GONE = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True)
class Removal:
    """What became of a model that was to be removed.

    Args:
        freed: bytes.
        registered_as: name and version, if it is registered: then it stays.
        why_not_freed: why its files stay though it is hidden; empty if they are gone.
    """

    freed: int = 0
    registered_as: str = ""
    why_not_freed: str = ""


def remove(uri: str, run_id: str, why: str) -> Removal:
    """Remove the model of a run; a removal that was interrupted is completed. A registered model stays.

    The order is such that no moment of it leaves a run that promises a model which is gone: first the tag that says why
    there is none, then the files, then the model's entry, last the tag with its address.

    Args:
        uri: address of the store.
        run_id: of a run that has ended.
        why: what `names.NO_MODEL` is to say.
    Raises: one of `mlflow_writes.write_errors`: the store does not answer; call it again later.
    """
    from mlflow.entities import RunTag

    client = store.client(uri)
    tags = client.get_run(run_id).data.tags
    named = MODEL_ADDRESS.fullmatch(tags.get(names.MODEL_URI, ""))
    if named is None:
        return Removal()
    if registered_as := _registered(client, run_id):
        return Removal(registered_as=registered_as)
    place = _place(client, named[1])
    before = int(text) if (text := tags.get(names.MODEL_FREED, "")).isdecimal() else 0
    freed, problem = before, ""
    if place:
        freed = max(before, _size(_files(uri, place)))
    noted = {names.NO_MODEL: why, names.MODEL_FREED: str(freed)}
    client.log_batch(run_id, tags=[RunTag(name, text) for name, text in noted.items()])
    if place:
        problem = _delete(uri, place, named[1])
        with _missing_is_fine():
            client.delete_logged_model(named[1])
    if problem:
        freed = before
        client.set_tag(run_id, names.MODEL_FREED, str(freed))
    with _missing_is_fine():
        client.delete_tag(run_id, names.MODEL_URI)
    return Removal(freed, why_not_freed=problem)


def _registered(client: "MlflowClient", run_id: str) -> str:
    found = client.search_model_versions(f"run_id = '{run_id}'")
    return f"{found[0].name} version {found[0].version}" if found else ""


def _place(client: "MlflowClient", model_id: str) -> str:
    """Return the address of a model's files; empty if it was removed already."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_logged_model(model_id).artifact_location).rstrip("/")
    except MlflowException as error:
        if error.error_code != _GONE:
            raise
        return ""


def _files(uri: str, place: str) -> "ArtifactRepository":
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(place, tracking_uri=uri)


def _size(files: "ArtifactRepository", folder: str | None = None, depth: int = 0) -> int:
    found = files.list_artifacts(folder) if depth < _DEEPEST else []
    return sum(_size(files, each.path, depth + 1) if each.is_dir else each.file_size or 0 for each in found)


def _delete(uri: str, place: str, model_id: str) -> str:
    """Delete the files of a model; return why they stay, empty if they are gone."""
    if not place.endswith(_PLACE.format(model_id)):
        return "they are not where MLflow puts them"
    try:
        with mlflow_log.quiet():
            _files(uri, place).delete_artifacts()
    except Exception as error:  # Each kind of artifact store has its own errors.
        return mlflow_log.reason(error)
    return ""


@contextlib.contextmanager
def _missing_is_fine() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:  # Another process was quicker.
        if error.error_code != _GONE:
            raise
