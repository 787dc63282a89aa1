"""References to recorded runs: a run id, its first characters, or a registered model; with hints for typing errors."""

import difflib
import itertools
import re
from typing import TYPE_CHECKING

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import SettingsError
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import run_folder, runs, sqlite_reads, store
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCHEME = "models:/"
_LOGGED = re.compile(r"models:/(m-[0-9a-f]{32})")
_VERSION = re.compile(r"models:/([^/:@]+)/(\d{1,9})")
_ALIAS = re.compile(r"models:/([^/:@]+)@([\w.-]+)")
_OF_A_RUN = re.compile(r"runs:/([0-9a-f]{32})(/model)?")
_START = re.compile(r"[0-9a-f]{6,31}")
_MOST_RUNS = 5000  # runs that are compared with a wrong reference to find a similar one
_LONGEST = 200  # characters; a longer reference is not compared


def is_start(text: str) -> bool:
    """Tell whether a text has the form of the beginning of a run id."""
    return _START.fullmatch(text) is not None


def is_reference(text: str) -> bool:
    """Tell whether a text has the form of a reference to a run; any other text may be the name of a file."""
    return run_folder.is_run_id(text) or text.startswith((SCHEME, "runs:/"))


def find(settings: TrackingSettings, reference: str) -> StoredRun:
    """Return the run that a reference names. Imports MLflow where the file of the store does not tell it.

    Args:
        settings: name the store.
        reference: a run id or its first characters, `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or an address that
            MLflow shows.
    Raises: SettingsError: it names no run of the store; the message names a similar one if there is one.
    """
    shown = redact(store.locate(settings.uri))
    missing = f"there is no run {reference} in {shown}: see the ids with `mlflow ui`, or name another store"
    no_store = missing if is_reference(reference) or is_start(reference) else _no_id(reference)
    if (found := _in_file(runs.checked_store(settings, no_store), reference)) is not None:
        return found
    uri = runs.open_store(settings, no_store)
    from mlflow.exceptions import MlflowException

    client = store.client(uri)
    try:
        run_id = _run_id(client, reference)
        run = client.get_run(run_id)
        experiment = client.get_experiment(run.info.experiment_id).name
    except MlflowException as error:
        if error.get_http_status_code() == 404:
            hint = _nearest(client, reference)
            raise SettingsError(f"{missing}; {hint}" if hint else missing) from error
        with store.understood(uri):
            raise
    if run.info.lifecycle_stage != "active":
        raise SettingsError(f"run {run_id} was deleted: `mlflow runs restore --run-id {run_id}` brings it back")
    return runs.stored(run, experiment, uri)


def _in_file(uri: str, reference: str) -> StoredRun | None:
    """Return the run of an SQLite store, read without MLflow; None where MLflow must be asked, as for what is wrong."""
    file = store.sqlite_file(uri)
    if file is None:
        return None
    run_id: str | None = reference
    if match := _OF_A_RUN.fullmatch(reference):
        run_id = match[1]
    elif match := _VERSION.fullmatch(reference):
        run_id = sqlite_reads.id_of_version(file, match[1], match[2])
    elif match := _ALIAS.fullmatch(reference):
        run_id = sqlite_reads.id_of_alias(file, match[1], match[2])
    elif _START.fullmatch(reference):
        run_id = sqlite_reads.id_of(file, reference)
    return runs.in_file(file, run_id, uri) if run_id is not None and run_folder.is_run_id(run_id) else None


def _run_id(client: "MlflowClient", reference: str) -> str:
    """Return the run id of a reference. Raises: SettingsError: it names no run; with a similar one if there is one."""
    if match := _OF_A_RUN.fullmatch(reference):
        return match[1]
    if reference.startswith(SCHEME):
        return _of_model(client, reference)
    return reference if run_folder.is_run_id(reference) else _of_start(client, reference)


def _nearest(client: "MlflowClient", wanted: str) -> str:
    """Return a question that names a similar run; empty if no run is similar, or the store does not answer."""
    from mlflow.exceptions import MlflowException

    if not 1 <= len(wanted) <= _LONGEST:
        return ""
    try:
        names = _names(client)
    except MlflowException:  # The error that led here is the one to report.
        return ""
    # People copy the start of an id, give the run's name, or mistype a character.
    similar = [each for each, name in names.items() if each.startswith(wanted.lower()) or name == wanted]
    similar = similar or difflib.get_close_matches(wanted.lower(), names, n=1)
    return f"did you mean {similar[0]} ({names[similar[0]][:80]})?" if similar else ""


def _names(client: "MlflowClient", condition: str = "") -> dict[str, str]:
    """Return the names of the runs that meet a condition, by run id; only the newest 5,000."""
    from mlflow.entities import ViewType

    experiments = [experiment.experiment_id for experiment in client.search_experiments(ViewType.ACTIVE_ONLY)]
    newest = itertools.islice(runs.each_run(client, experiments, condition), _MOST_RUNS)
    return {run.info.run_id: run.info.run_name or "" for run in newest}


def _of_start(client: "MlflowClient", start: str) -> str:
    """Return the run id that begins with these characters; files and folders are named by the first 8 of an id.

    Raises: SettingsError: no run id begins so, or several do.
    """
    ids = list(_names(client, f"attributes.run_id LIKE '{start}%'")) if _START.fullmatch(start) else []
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise SettingsError(f"{start!r} begins the ids of {len(ids)} runs: {', '.join(ids[:5])}; write more of it")
    hint = _nearest(client, start)
    raise SettingsError(_no_id(start) + (f"; {hint}" if hint else ""))


def _no_id(reference: str) -> str:
    return (
        f"{reference[:_LONGEST]!r} is no run id: it must be 32 characters of 0-9 and a-f, or at least the first 6 of "
        "them, as `python -m mnist_exp.runs` shows them"
    )


def _of_model(client: "MlflowClient", reference: str) -> str:
    from mlflow.exceptions import MlflowException

    shown = repr(reference[:_LONGEST])
    try:
        if match := _LOGGED.fullmatch(reference):
            named = client.get_logged_model(match[1]).source_run_id
        elif match := _VERSION.fullmatch(reference):
            named = client.get_model_version(match[1], match[2]).run_id
        elif match := _ALIAS.fullmatch(reference):
            named = client.get_model_version_by_alias(match[1], match[2]).run_id
        else:
            raise SettingsError(f"{shown} names no model: write {SCHEME}NAME@champion or {SCHEME}NAME/VERSION")
    except MlflowException as error:
        if error.get_http_status_code() not in (400, 404):
            raise
        raise SettingsError(f"there is no model {shown}: {_there_is(client, reference)}") from error
    if not run_folder.is_run_id(named or ""):
        raise SettingsError(f"{shown} was not registered from a run, so its run cannot be found")
    return str(named)


def _there_is(client: "MlflowClient", reference: str) -> str:
    """Say which registered models there are, or which aliases the model has."""
    models = {model.name: model for model in client.search_registered_models(max_results=100)}
    name = re.split("[@/]", reference.removeprefix(SCHEME))[0]
    if name in models:
        alias = difflib.get_close_matches(reference.rpartition("@")[2], models[name].aliases, n=1)
        if alias:
            return f"did you mean {SCHEME}{name}@{alias[0]}?"
        aliases = ", ".join(sorted(models[name].aliases)) or "none"
        return f"{name} has the aliases {aliases} and the versions 1, 2, … that `mlflow ui` shows"
    close = difflib.get_close_matches(name, models, n=1)
    if close:
        return f"did you mean {SCHEME}{close[0]}{reference.removeprefix(SCHEME)[len(name) :]}?"
    known = ", ".join(sorted(models)[:10]) or "none yet"
    return f"registered are {known}; register a run's model with tracking.register_as=NAME"
