"""Upload the records that wait on disk, for all runs, once the store answers again."""

import contextlib
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import BusyError, SettingsError, TrackingError, first_line
from mnist_exp.runtime import imports
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import mlflow_writes, names, run_folder, store
from mnist_exp.tracking.run_folder import RunFolder
from mnist_exp.tracking.spool import Spool, count_records
from mnist_exp.tracking.uploader import Uploader


@dataclass(frozen=True)
class UploadResult:
    """The result of uploading the records of one run.

    Args:
        run_id: of the run.
        uploaded: number of records that the store took.
        waiting: number of records that still wait.
        reason: why they still wait; empty if none does.
        status: status of the run in the store once no record waits; empty if it is not known.
        is_claimed: whether another process works on the run; that process will upload the records.
    """

    run_id: str
    uploaded: int
    waiting: int
    reason: str = ""
    status: str = ""
    is_claimed: bool = False

    def __str__(self) -> str:
        """Return the result as a sentence."""
        parts = [f"{count_records(self.uploaded)} delivered"] if self.uploaded else []
        if self.waiting:
            parts.append(f"{count_records(self.waiting)} still wait: {self.reason}")
        elif not self.uploaded:
            parts.append("nothing waits")
        if self.status:
            go_on = "" if self.status == "FINISHED" else f"; resume={self.run_id} goes on with it"
            parts.append(f"it is {self.status}{go_on}")
        return f"run {self.run_id}: {', '.join(parts)}"


def upload_waiting(
    settings: TrackingSettings, warn: Callable[[str], None], run_ids: Sequence[str] | None = None
) -> list[UploadResult]:
    """Upload the waiting records of runs on which no process works. MLflow is imported only if records wait.

    Args:
        settings: name the store and the folder of unfinished runs.
        warn: called with a sentence for each run whose records still wait, unless another process works on it.
        run_ids: of the runs; None uploads the records of all runs.
    Returns: one result for each run.
    Raises: SettingsError: a run has no folder here. TrackingError: the store does not answer.
    """
    folders = _waiting(settings) if run_ids is None else [_existing(settings, run_id) for run_id in run_ids]
    if not any(len(Spool(folder.spool)) for folder in folders):
        return [UploadResult(folder.path.name, 0, 0) for folder in folders]
    uri = store.locate(settings.uri)
    _check(uri)
    with imports.quick_imports():
        import mlflow.models  # noqa: F401

        mlflow_writes.limit_waits()
    done: list[UploadResult] = []
    why = ""
    for folder in folders:
        if why:  # The store is away: each of the other runs would fail too, after some seconds.
            done.append(UploadResult(folder.path.name, 0, len(Spool(folder.spool)), why))
        else:
            each, why = _upload(folder, uri)
            done.append(each)
        if done[-1].waiting and not done[-1].is_claimed:
            warn(str(done[-1]))
    return done


def tidy(settings: TrackingSettings, finished: Callable[[Sequence[str]], Container[str]]) -> None:
    """Remove the folders of runs that are FINISHED, from which nothing waits: their processes could not do so.

    Args:
        settings: name the folder of unfinished runs.
        finished: returns which of some runs are FINISHED, by their ids.
    """
    folders = [folder for folder in run_folder.folders(settings) if not run_folder.is_kept(folder.path)]
    ended = finished([folder.path.name for folder in folders])
    for folder in folders:
        if folder.path.name in ended and not len(Spool(folder.spool)):
            with contextlib.suppress(SettingsError):  # Another process works on it.
                folder.claim()
                folder.remove()


def _waiting(settings: TrackingSettings) -> list[RunFolder]:
    return [folder for folder in run_folder.folders(settings) if len(Spool(folder.spool))]


def _existing(settings: TrackingSettings, run_id: str) -> RunFolder:
    folder = run_folder.folder_of(settings, run_id)
    if not folder.path.is_dir():
        raise SettingsError(
            f"there is no folder {folder.path}, so no record of that run waits here: go to the folder in which the run "
            "was started, or name the folder of unfinished runs with --local-dir"
        )
    return folder


def _check(uri: str) -> None:
    store.check(uri)
    if (file := store.missing_file(uri)) is not None:
        raise TrackingError(f"--tracking-uri={redact(uri)}: there is no file {file}; name the store of the runs")


def _upload(folder: RunFolder, uri: str) -> tuple[UploadResult, str]:
    """Upload the waiting records of one run.

    Returns: the result, and the reason if the store takes no records of any run; else an empty text.
    """
    run_id = folder.path.name
    try:
        folder.claim()
    except SettingsError as error:
        waiting, is_claimed = len(Spool(folder.spool)), isinstance(error, BusyError)
        return UploadResult(run_id, 0, waiting, error.problems[0], is_claimed=is_claimed), ""
    try:
        uploader = Uploader(uri, run_id, Spool(folder.spool), _say_nothing)
        why = ""
        try:
            uploader.flush()
            why = uploader.reason if uploader.is_transient else ""
        except Exception as error:  # An error of this run only, such as a model with a user's layer that is missing.
            uploader.reason = first_line(error)
        status = "" if len(uploader.spool) else _status(uri, run_id)
        if status == "FINISHED":
            folder.finish()
        return UploadResult(run_id, uploader.uploaded, len(uploader.spool), uploader.reason, status), why
    finally:
        folder.release()


def _status(uri: str, run_id: str) -> str:
    client = store.client(uri)
    try:
        run = client.get_run(run_id)
        if run.info.status == "FINISHED" and names.FAILURE in run.data.tags:  # As of a sweep that missed its end.
            client.delete_tag(run_id, names.FAILURE)
        return str(run.info.status)
    except mlflow_writes.write_errors():
        return ""


def _say_nothing(text: str) -> None:
    """Print nothing: the line of each run says the same."""
