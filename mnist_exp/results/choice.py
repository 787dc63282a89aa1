"""Which runs are meant, and how they are found."""

import dataclasses
from dataclasses import dataclass

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import SettingsError
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import names, references, run_folder, runs, store
from mnist_exp.tracking.runs import StoredRun
from mnist_exp.tracking.wanted import Wanted


@dataclass(frozen=True)
class Choice:
    """The runs that are meant: those of an experiment, or of one sweep, for which all of this holds.

    Args:
        experiment: its name.
        sweep: id of the parent run of a sweep, whose runs are meant; None for the runs of the experiment.
        condition: a filter in MLflow's syntax; empty for none.
        status: of the runs; empty for any.
        is_top: whether the jobs of sweeps are left out, and only their parent runs stand for them.
        most: at most so many, the newest; None for all.
    """

    experiment: str = "mnist_exp"
    sweep: str | None = None
    condition: str = ""
    status: str = ""
    is_top: bool = False
    most: int | None = None


def find(settings: TrackingSettings, choice: Choice) -> list[StoredRun]:
    """Return the runs, newest first. MLflow is imported for a condition, or where the store is no SQLite file.

    Args:
        settings: name the store.
        choice: says which runs.
    Raises: SettingsError: there is no such store, experiment or sweep, or the condition is not understood.
        TrackingError: the store does not answer.
    """
    settings = dataclasses.replace(settings, experiment=choice.experiment)
    uri = runs.checked_store(settings, f"there is no store {redact(store.locate(settings.uri))}: nothing was run there")
    if choice.sweep is None and not choice.condition:
        wanted = Wanted(status=choice.status, is_top=choice.is_top, most=choice.most)
        with store.understood(uri):
            return runs.find(uri, choice.experiment, wanted, folders=run_folder.root(settings))
    found = _of_sweep(settings, choice.sweep) if choice.sweep is not None else []
    if choice.condition:
        matching = runs.search(settings, choice.condition, sweeps=True)
        ids = {run.run_id for run in matching}
        found = [run for run in found if run.run_id in ids] if choice.sweep is not None else matching
    kept = [run for run in reversed(found) if _is_meant(run, choice)]
    return kept[: choice.most]


def _of_sweep(settings: TrackingSettings, sweep: str) -> list[StoredRun]:
    parent = references.find(settings, sweep)
    if not parent.is_sweep:
        raise SettingsError(f"{sweep} is a single run, not a sweep: leave out the choice of a sweep")
    return runs.of_sweep(parent)


def _is_meant(run: StoredRun, choice: Choice) -> bool:
    is_job = names.PARENT in run.tags
    return (not choice.status or run.status == choice.status) and not (choice.is_top and is_job and not choice.sweep)
