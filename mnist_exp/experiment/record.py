"""What a run records of itself: as it begins, and once it has been tested."""

import contextlib
import functools
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import yaml
from omegaconf import OmegaConf

from mnist_exp.config import input_files, wording
from mnist_exp.config.nested import flatten
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset
from mnist_exp.evaluation import confidence, predictions
from mnist_exp.evaluation.confidence import Confidence
from mnist_exp.experiment import own_code, provenance
from mnist_exp.experiment.as_data import Listener
from mnist_exp.experiment.job_key import code_sha256, job_key
from mnist_exp.experiment.provenance import Commit
from mnist_exp.experiment.resume import Origin, Resumption
from mnist_exp.numpy_model import agreement
from mnist_exp.runtime import imports, processes, retries
from mnist_exp.runtime.redaction import redact
from mnist_exp.tasks.answers import Answers
from mnist_exp.tasks.task import Array
from mnist_exp.tracking import names, tracker
from mnist_exp.tracking.tracker import Tracker
from mnist_exp.training import digests as weight_digests
from mnist_exp.training.checkpoints import Checkpoint
from mnist_exp.training.digests import Digests


@dataclass(frozen=True)
class Job:
    """The part of a run in a sweep. A run of its own has the defaults.

    Args:
        name: of the run; None makes one from the overrides.
        command: that runs it alone.
        tags: further tags.
        dataset: if it is loaded already.
        on_start: called with the run's id.
        on_epoch: called with each epoch's number, from 1, and its metrics; false stops the run as pruned.
        wants_model: asked with the objective whether the model is to be recorded, where a sweep keeps its best ones
            only.
        resumption: the interrupted run to resume; None begins a new run.
        origin: a run of fewer epochs from whose end a new run starts; None starts with the first epoch.
        patience_s: seconds to wait at the end for a store that does not answer.
        claimed: the run is created in this context, which raises an error if another process has the job.
        on_end: called with what came of the run, as `as_data.of_run` has it, once its record is closed.
        shares_graph: whether it is one of several that this process does one after the other, and nobody keeps their
            models.
        keeps_checkpoint: whether a checkpoint of where the training ended stays, since its search may go on from there.
        commit: returns the commit of the code that runs; the jobs of a sweep in one process run the same.
    """

    name: str | None = None
    command: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: Dataset | None = None
    on_start: Callable[[str | None], None] | None = None
    on_epoch: Callable[[int, dict[str, float]], bool] | None = None
    on_end: Listener | None = None
    wants_model: Callable[[float], bool] | None = None
    resumption: Resumption | None = None
    origin: Origin | None = None
    patience_s: float = retries.PATIENCE_S
    claimed: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    commit: Callable[[], Commit | None] = provenance.commit
    shares_graph: bool = False
    keeps_checkpoint: bool = False

    @property
    def start(self) -> Checkpoint | None:
        """The checkpoint to start from; None starts with the first epoch."""
        kept = self.resumption.checkpoint if self.resumption else None
        return kept or (self.origin.checkpoint if self.origin else None)

    @property
    def epochs_done(self) -> list[dict[str, float]]:
        """The metrics of each epoch that is done before it starts."""
        return self.start.epochs() if self.start else []

    @property
    def own_code(self) -> Mapping[str, str] | None:
        """The own code that took part before the run is resumed; None for a new run."""
        return self.resumption.own_code if self.resumption else None


def begin(record: Tracker, settings: Settings, dataset: Dataset, job: Job) -> None:
    """Begin a run, or resume one, and record all that is known before its first epoch."""
    own = own_code.record(settings, job.own_code)
    config = provenance.config_without_secrets(settings)
    # Tags of the user's own are tags, and no options to compare runs by.
    params = flatten({name: section for name, section in config.items() if name != "tags"} | _weights(config))
    commit = job.commit()
    tags = {
        **config["tags"],
        names.JOB_KEY: job_key(settings, dataset.sha256),
        names.DATA_SHA256: dataset.sha256,
        **_code_tags(settings, own),
        names.TASK: dataset.task.name,
        names.PROCESS: processes.identify(),
        **_image_tags(dataset),
        **job.tags,
    }
    if files := input_files.all_of(settings):
        tags[names.INPUT_FILES] = json.dumps({name: file.sha256 for name, file in files.items()})
    if job.origin is not None:
        tags[names.STARTED_FROM] = job.origin.run_id
    if settings.tracking.description:
        tags[names.NOTE] = settings.tracking.description
    if dataset.fallback:
        tags[names.DATA_FALLBACK] = dataset.fallback
    with job.claimed():
        if job.resumption is not None:
            record.resume(job.resumption.folder, params, tags | job.resumption.tags())
        else:
            tags |= {
                names.COMMAND: job.command or provenance.command(settings.overrides),
                names.OVERRIDES: " ".join(map(redact, settings.overrides)),
                **provenance.commit_tags(commit),
            }
            record.start(job.name or run_name(settings), params, tags)
    if job.on_start is not None:
        job.on_start(record.run_id)
    suffix = f"-resumed-{job.resumption.number}" if job.resumption else ""
    with tracker.folder() as folder:
        written = {"config": OmegaConf.to_yaml(OmegaConf.create(config))}
        written[f"environment{suffix}"] = _as_yaml(json.dumps(provenance.environment()))
        for name, text in written.items():
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        # Not by OmegaConf: names of classes may look like interpolations.
        classes = yaml.safe_dump({"classes": list(dataset.class_names)}, allow_unicode=True)
        (folder / "classes.yaml").write_text(classes, encoding="utf-8")
        if dataset.columns is not None:
            names_of = yaml.safe_dump({"columns": list(dataset.columns)}, allow_unicode=True)
            (folder / "columns.yaml").write_text(names_of, encoding="utf-8")
        own_code.write(own, folder)
        if commit and commit.is_dirty:
            (folder / f"uncommitted{suffix}.diff").write_text(commit.diff, encoding="utf-8")
        record.log_files(folder)
    record.log_data(dataset)
    for epoch, metrics in enumerate(job.epochs_done, start=1):
        record.log_metrics(metrics, step=epoch)


@functools.lru_cache(maxsize=1)
def _as_yaml(content: str) -> str:
    """Return what is given as JSON as a file has it; the environment is the same from job to job."""
    text: str = OmegaConf.to_yaml(OmegaConf.create(json.loads(content)))
    return text


def _image_tags(dataset: Dataset) -> dict[str, str]:
    """Return what must be known of the training images to make new ones alike."""
    tags = {}
    if dataset.pixel_range is not None:
        tags[names.PIXEL_RANGE] = json.dumps(list(dataset.pixel_range))
        if dataset.appearance is not None:
            tags[names.APPEARANCE] = dataset.appearance.as_json()
    if dataset.depth is not None:
        tags[names.IMAGE_DEPTH] = json.dumps(list(dataset.depth))
    return tags


def _weights(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the trainer's section with the weights of classes as one text: MLflow refuses some names of classes."""
    trainer = config["trainer"]
    given = trainer["class_weight"]
    return {"trainer": trainer | {"class_weight": json.dumps(given)}} if isinstance(given, dict) else {}


def own_code_again(record: Tracker, settings: Settings, job: Job) -> None:
    """Record the user's own code once more, for what the training imported after the run had begun."""
    own = own_code.record(settings, job.own_code)
    if own:
        with tracker.folder() as folder:
            own_code.write(own, folder)
            record.log_files(folder)
        record.log_tags(_code_tags(settings, own))


def _code_tags(settings: Settings, own: Mapping[str, str]) -> dict[str, str]:
    # Without own code, as `recall.drift` compares it: such a run has no record of it.
    return {names.CODE_SHA256: code_sha256(settings, own or None), **own_code.tags(own)}


def digests(record: Tracker, found: Digests) -> None:
    """Record the digests of a training's weights, of a run that is not tested."""
    with tracker.folder() as folder:
        (folder / weight_digests.FILE).write_text(found.to_json(), encoding="utf-8")
        record.log_files(folder)


def results(record: Tracker, history: dict[str, list[float]], dataset: Dataset, outputs: Any, digests: Digests) -> None:
    """Record the predictions on the test set, as a table and in pictures, and the digests of the training's weights."""
    if record.run_id is None:
        return
    # Drawing makes many objects and little garbage: the collector would take a third of the time.
    with imports.paused_collection(), tracker.folder() as folder:
        x, words = dataset.pictures(dataset.x_test), f"test {wording.kind(dataset.shape)}"
        answers = Answers(x, dataset.y_test, outputs, dataset.class_names, words)
        dataset.task.predictions(answers).write(folder / predictions.FILE)
        dataset.task.draw(folder, history, answers)
        (folder / weight_digests.FILE).write_text(digests.to_json(), encoding="utf-8")
        record.log_files(folder)


def numpy_model(dataset: Dataset, outputs: Array, content: bytes) -> dict[str, str]:
    """Return the tag that says whether NumPy computes a model as Keras does, which predicts for the test examples.

    Args:
        dataset: of the run.
        outputs: what Keras predicts for its test examples.
        content: of the model's file.
    """
    found = agreement.measure(content, dataset.x_test, outputs, dataset.task.activation)
    return {names.NUMPY_MODEL: found.to_json()}


def trust(record: Tracker, found: Confidence) -> None:
    """Record how far the model's confidence is to be trusted, for `predict` and `demo`."""
    record.log_tags({names.CALIBRATION: json.dumps(found.summary())})
    with tracker.folder() as folder:
        (folder / confidence.FILE).write_text(found.to_json() + "\n", encoding="utf-8")
        record.log_files(folder)


def run_name(settings: Settings) -> str:
    """Return the configured name, else the overrides (`dropout=0.5`), else the name of the model."""
    shown = [o for o in settings.overrides if not o.startswith(("hydra", "tracking", "~"))]
    named = " ".join(o.lstrip("+").removeprefix("model.") for o in shown)
    return redact(settings.tracking.run_name or named)[:200] or settings.model.name
