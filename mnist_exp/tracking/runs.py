"""Find a run that was recorded before, and read what it was made of; nothing that it says is believed unchecked."""

import copy
import csv
import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mnist_exp import data
from mnist_exp.config import fields
from mnist_exp.config.schema import Settings, TrackingSettings, check
from mnist_exp.data import Dataset
from mnist_exp.errors import SettingsError, first_line
from mnist_exp.evaluation import predictions
from mnist_exp.evaluation.predictions import Predictions
from mnist_exp.experiment import provenance
from mnist_exp.runtime import backends, imports, threads
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import mlflow_writes, names, references, run_folder, store
from mnist_exp.tracking import tracker as tracking

if TYPE_CHECKING:
    import mlflow

# Parts of a configuration that say how a run is recorded, not what it is.
OF_THE_COMMAND = ("resume", "tracking", "sweep", "hydra")
_LARGEST_FILE, _LARGEST_BOARD = 1_000_000, 20_000_000  # bytes
_AT_ONCE = 500  # runs asked for by their ids


@dataclass(frozen=True)
class RecordedRun:
    """What the store says of one run.

    Args:
        run_id: of the run.
        name: of the run.
        experiment: its name.
        status: RUNNING, FINISHED, FAILED or KILLED.
        params: as logged.
        metrics: last value of each.
        tags: all of them.
        uri: address of the store.
    """

    run_id: str
    name: str
    experiment: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    uri: str

    @property
    def is_pruned(self) -> bool:
        """Whether a sweep stopped it early."""
        return names.PRUNED in self.tags

    @property
    def is_sweep(self) -> bool:
        """Whether it is the parent of a sweep's runs."""
        return names.SWEEP in self.tags

    def config(self) -> dict[str, Any]:
        """Return its configuration as nested plain values, unchecked. Raises: SettingsError: it has none."""
        return self._read("config.yaml")

    def environment(self) -> dict[str, Any]:
        """Return the machine, versions and threads that it began with. Raises: SettingsError: it has none."""
        return self._read("environment.yaml")

    def history(self, metric: str) -> dict[int, float]:
        """Return a metric's values by their steps."""
        with tracking.understood(self.uri):
            points = _client(self.uri).get_metric_history(self.run_id, metric)
        return {point.step: point.value for point in points}

    def class_names(self) -> tuple[str, ...] | None:
        """Return one name a class, by label; None where it did not come to record them."""
        try:
            names = self._read("classes.yaml").get("classes")
        except SettingsError:
            return None
        return tuple(map(str, names)) if isinstance(names, list) and names else None

    def predictions(self) -> Predictions:
        """Return what it read on the test set. Raises: SettingsError: it has not been tested, or that is damaged."""
        text = self._text(predictions.FILE, predictions.LARGEST)
        return predictions.parse(text, f"{predictions.FILE} of run {self.run_id}")

    def leaderboard(self) -> str:
        """Return a sweep's table. Raises: SettingsError: it has none."""
        return self._text("leaderboard.csv", _LARGEST_BOARD)

    def _read(self, name: str) -> dict[str, Any]:
        return parse(self._text(name, _LARGEST_FILE), f"{name} of run {self.run_id}")

    def _text(self, name: str, largest: int) -> str:
        what = f"{name} of run {self.run_id}"
        with tracking.folder() as folder:
            try:
                file = Path(_client(self.uri).download_artifacts(self.run_id, name, str(folder)))
                content = file.read_bytes() if file.stat().st_size <= largest else None
            except mlflow_writes.unfetched() as error:
                raise SettingsError(f"there is no {what}: {self._why_missing(name, error)}") from error
        if content is None:
            raise SettingsError(f"{what} has more than {largest:,} bytes: it was not written by mnist_exp")
        return content.decode("utf-8", errors="replace")

    def _why_missing(self, name: str, error: Exception) -> str:
        """Say why a file cannot be had: an answer that does not come is no answer."""
        try:
            names = [file.path for file in _client(self.uri).list_artifacts(self.run_id)]
        except mlflow_writes.unfetched() as again:
            return f"the store does not give it: {redact(first_line(again))}"
        if name in names:
            return f"the store does not give it: {redact(first_line(error))}"
        return "its process ended before it was recorded, or it was made by an older version"


def find(settings: TrackingSettings, reference: str) -> RecordedRun:
    """Return a run. Imports MLflow.

    Args:
        settings: which store.
        reference: a run's id, `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
    Raises: SettingsError: it names no run of the store; with the one that may have been meant.
    """
    uri = store.locate(settings.uri)
    store.check(uri)
    file = store.sqlite_file(uri)
    missing = f"there is no run {reference} in {redact(uri)}: see the ids with `mlflow ui`, or name another store"
    if file is not None and not file.exists():
        references.check(reference)
        raise SettingsError(missing)
    with imports.quick_imports():
        mlflow_writes.be_brief()
        from mlflow.exceptions import MlflowException
    client = _client(uri)
    try:
        run_id = references.run_id(client, reference)
        run = client.get_run(run_id)
        experiment = client.get_experiment(run.info.experiment_id).name
    except MlflowException as error:
        if error.get_http_status_code() == 404:
            hint = references.nearest(client, reference)
            raise SettingsError(f"{missing}; {hint}" if hint else missing) from error
        with tracking.understood(uri):
            raise
    if run.info.lifecycle_stage != "active":
        raise SettingsError(f"run {run_id} was deleted: `mlflow runs restore --run-id {run_id}` brings it back")
    return _recorded(run, experiment, uri)


def of_sweep(parent: RecordedRun) -> list[RecordedRun]:
    """Return the runs of a sweep, its own oldest first, then those of earlier sweeps that it counts."""
    with tracking.understood(parent.uri):
        runs = _search(parent.uri, parent.experiment, f"tags.`{names.PARENT}` = '{parent.run_id}'")
        missing = sorted(_on_board(parent) - {run.run_id for run in runs})
        for start in range(0, len(missing), _AT_ONCE):
            listed = ", ".join(f"'{run_id}'" for run_id in missing[start : start + _AT_ONCE])
            runs += _search(parent.uri, parent.experiment, f"attributes.run_id IN ({listed})")
    return runs


def _on_board(parent: RecordedRun) -> set[str]:
    """Return the ids on a sweep's leaderboard; none while it has no such table."""
    try:
        found = {row.get("run_id") or "" for row in csv.DictReader(io.StringIO(parent.leaderboard()))}
    except (csv.Error, SettingsError):
        return set()
    return {run_id for run_id in found if run_folder.is_run_id(run_id)}


def search(settings: TrackingSettings, condition: str) -> list[RecordedRun]:
    """Return the runs of the experiment that meet a condition in MLflow's words, oldest first, without sweeps' parents.

    Raises: SettingsError: there is no such experiment, or the condition is not understood.
    """
    uri = store.locate(settings.uri)
    store.check(uri)
    file = store.sqlite_file(uri)
    if file is not None and not file.exists():
        raise SettingsError(f"there is no store {redact(uri)}: name the one that has the runs")
    with imports.quick_imports():
        mlflow_writes.be_brief()
        from mlflow.exceptions import MlflowException
    try:
        found = _search(uri, settings.experiment, condition)
    except MlflowException as error:
        if error.get_http_status_code() != 400:
            with tracking.understood(uri):
                raise
        raise SettingsError(f"{condition!r} is no condition that MLflow understands: {first_line(error)}") from error
    return [run for run in found if not run.is_sweep]


def _search(uri: str, experiment: str, condition: str) -> list[RecordedRun]:
    client = _client(uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        names = [each.name for each in client.search_experiments(max_results=1000)]
        guess = fields.nearest(experiment, names)
        hint = f"did you mean {guess}?" if guess else f"there are {', '.join(sorted(names)[:20])}"
        raise SettingsError(f"there is no experiment {experiment!r} in {redact(uri)}: {hint}")
    runs: list[RecordedRun] = []
    token = None
    while True:
        order = ["attributes.start_time ASC"]
        page = client.search_runs([found.experiment_id], condition, max_results=1000, order_by=order, page_token=token)
        runs += [_recorded(run, experiment, uri) for run in page]
        token = page.token
        if not token:
            return runs


def _recorded(run: "mlflow.entities.Run", experiment: str, uri: str) -> RecordedRun:
    info, data = run.info, run.data
    name = info.run_name or info.run_id
    return RecordedRun(
        info.run_id, name, experiment, info.status, dict(data.params), dict(data.metrics), dict(data.tags), uri
    )


def check_config(
    config: Mapping[str, Any],
    trusted: set[str],
    run: RecordedRun,
    tracking: TrackingSettings,
    how_to_trust: str = "trusted_modules=[{}]",
) -> Settings:
    """Return the settings of a recorded configuration, which may come from someone else.

    Args:
        config: nested plain values.
        trusted: modules whose code the user lets it name.
        run: that it is of.
        tracking: of this command, in the place of the recorded one.
        how_to_trust: modules, with {} for their names.
    Raises: SettingsError: it is mistaken, or names code that this command does not trust.
    """
    sections = [config, *(section for section in config.values() if isinstance(section, dict))]
    named = [name for section in sections for name in _listed(section.get("trusted_modules"))]
    foreign = [name for name in dict.fromkeys(map(str, named)) if name not in trusted]
    if foreign:
        raise SettingsError(
            f"run {run.run_id} uses code of {', '.join(foreign)}, which runs only if you trust it: add "
            + how_to_trust.format(",".join(foreign))
        )
    own = {name: copy.deepcopy(section) for name, section in config.items() if name not in OF_THE_COMMAND}
    hidden = [key for key, value in provenance.flatten(own).items() if "***" in str(value)]
    if hidden:
        raise SettingsError([f"{key} was hidden when run {run.run_id} was recorded: give it again" for key in hidden])
    if isinstance(own.get("trainer"), dict):
        own["trainer"].setdefault("backend", backends.DEFAULT)  # Runs of before there was a choice.
    try:
        return check(own | {"tracking": dataclasses.asdict(tracking)})
    except SettingsError as error:
        raise SettingsError([f"config.yaml of run {run.run_id}: {problem}" for problem in error.problems]) from error


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def load_data(run: RecordedRun, settings: Settings) -> Dataset:
    """Return the data set of a recorded run. Raises: SettingsError: what is found now is another one."""
    dataset = data.load(settings.data)
    recorded_sha256 = run.tags.get(names.DATA_SHA256)
    if dataset.sha256 != recorded_sha256:
        raise SettingsError(
            f"data={settings.data.name} has the SHA-256 {dataset.sha256}, from {dataset.place}, but run {run.run_id} "
            f"was trained on {recorded_sha256}: point data.path or $MNIST_EXP_DATA to the same data"
        )
    return dataset


def drift(run: RecordedRun, settings: Settings) -> list[str]:
    """Take the thread counts that the run began with, and return what is different all the same."""
    try:
        environment = run.environment()
    except SettingsError:
        return []
    different = provenance.drift(environment, settings.trainer.backend)
    if settings.trainer.threads is None:
        different += threads.adopt(environment.get("threads"), settings.trainer.backend or backends.DEFAULT)
    if run.tags.get(names.CODE_SHA256) != provenance.code_sha256(settings):
        different.append("the code was changed since")
    return different


def parse(text: str, what: str) -> dict[str, Any]:
    """Return the sections of a YAML file that may come from someone else.

    Args:
        text: of the file.
        what: it is called in an error.
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
        raise SettingsError(f"{what} has interpolations (${{…}}), which a recorded run has not: they are not resolved")
    return content


class _PlainLoader(yaml.SafeLoader):
    """Reads plain values; refuses aliases, with which a small text can become a giant one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def _client(uri: str) -> "mlflow.MlflowClient":

    return store.client(uri)
