"""What a person sees of a run before its first epoch and after its last one."""

import shlex

from mnist_exp import data
from mnist_exp.config import callbacks, objectives, rules, wording
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset, Split
from mnist_exp.experiment import changes
from mnist_exp.experiment.resume import Resumption
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tracking import names, store, tracker
from mnist_exp.tracking.tracker import Tracker

_SHOWN = 10  # names of classes


def announce(
    screen: Screen,
    settings: Settings,
    dataset: Dataset,
    split: Split,
    parameters: int,
    resumption: Resumption | None,
) -> None:
    """Say what is about to be trained, and on what."""
    scaled = f", {words}" if (words := data.scaling_words(settings.data, dataset)) else ""
    tested = f"the {len(split.x_val):,} test {wording.kind(dataset.shape)}"
    watched = {
        "test": tested,
        "own": f"its own {len(split.x_val):,} validation {wording.kind(dataset.shape)}",
        "held out": f"{len(split.x_val):,} held out",
    }[split.validated_on]
    if len(split.reported):
        watched += f", {len(split.reported):,} set aside to report on"
    rate = settings.optimizer.arguments.get("learning_rate", "its own")
    augment = "" if settings.augment.name == "none" else f", augmented by {settings.augment.name}"
    trainer = settings.trainer
    resumed = {"resumes": f"run {resumption.run_id}, {resumption.where}"} if resumption else {}
    screen.table(
        resumed
        | {
            "model": f"{settings.model.name}, {parameters:,} parameters",
            "data": f"{settings.data.name}, {len(split.x_train):,} training {wording.examples(dataset.shape)}"
            f"{scaled}{augment}, validated on {watched}; from {dataset.place}",
        }
        | _classes(dataset)
        | {
            "optimizer": f"{settings.optimizer.name}, learning rate {rate} ({settings.schedule.name}), "
            f"{trainer.epochs} epoch{'s' * (trainer.epochs > 1)}, batch {trainer.batch_size}, seed {settings.seed}",
        }
        | _goal(settings, dataset)
        | changes.shown(settings)
    )
    if dataset.fallback:
        screen.warn(f"{_fallback_words(dataset)} {dataset.fallback}")
    warnings = [
        *dataset.warnings,
        *split.told,
        *rules.without_effect(settings),
        *rules.warnings_of_size(settings, len(split.y_train)),
    ]
    sets = {"training": split.y_train, "validation": split.y_val}
    for warning in [*warnings, *dataset.task.remarks(sets, dataset.class_names)]:
        screen.warn(warning)


def _classes(dataset: Dataset) -> dict[str, str]:
    """Return the names of the classes, or labels, as a row of the screen; none where they are just counted."""
    names = dataset.class_names
    if dataset.task.parts == "numbers" or names == tuple(map(str, range(len(names)))):
        return {}
    shown = names if len(names) <= _SHOWN else names[: _SHOWN - 1]
    more = f", … ({len(names):,} in all)" if len(shown) < len(names) else ""
    return {dataset.task.parts: ", ".join(map(wording.short_name, shown)) + more}


def _goal(settings: Settings, dataset: Dataset) -> dict[str, str]:
    """Return what is learnt, by which loss, and what selects, as rows of the screen; none for the usual."""
    found = _task(settings, dataset)
    if settings.objective != Settings.objective:
        better = {"maximize": "larger", "minimize": "smaller"}[settings.direction]
        found["objective"] = f"{settings.objective}, {better} is better"
        target = settings.metrics.get(settings.objective.removeprefix(objectives.VAL))
        if objectives.direction(settings.objective, target.target if target else "") is None:
            found["objective"] += ", as direction says: nothing else is known of this metric"
    return found


def _task(settings: Settings, dataset: Dataset) -> dict[str, str]:
    task, weights, loss = dataset.task, settings.trainer.class_weight, settings.loss.name
    if (task.name, loss, weights) == ("classification", "auto", None) and dataset.weights is None:
        return {}
    found = ", as the labels say" if settings.task.name == "auto" else ""
    weighted = ["images weighted by the data"] if dataset.weights is not None else []
    weighted += ["classes weighted"] if weights else []
    usual = {"linear": "mse"}.get(task.activation, "crossentropy")
    named = task.counted(dataset.class_names)
    return {"task": ", ".join([f"{task.name}{found}: {named}", f"loss {usual if loss == 'auto' else loss}", *weighted])}


def show_summary(
    screen: Screen, settings: Settings, dataset: Dataset, record: Tracker, metrics: dict[str, float]
) -> None:
    """Say what came of the run, and what to do next with it."""
    rows = {
        "test": f"{dataset.task.described(metrics)} on {len(dataset.y_test):,} {wording.kind(dataset.shape)}",
        **_reported(dataset, metrics),
        "time": f"{metrics[names.FIT_TIME_S]:.1f} s of training",
    }
    if record.run_id is not None:
        rows["run"] = f"{record.run_id} in experiment {settings.tracking.experiment}"
        if record.registered:
            rows["model"] = record.registered
        rows["next"] = _next(settings, record.run_id)
        rows["look"] = record.how_to_look
    screen.table(rows | board(settings))
    if dataset.fallback:
        screen.warn(_fallback_words(dataset))


def _reported(dataset: Dataset, metrics: dict[str, float]) -> dict[str, str]:
    """Return the scores on the images that nothing was selected on, as a row of the screen; none if there are none."""
    if names.REPORT_IMAGES not in metrics:
        return {}
    scores = {name: value for name, value in metrics.items() if name != names.REPORT_IMAGES}
    images = f"{metrics[names.REPORT_IMAGES]:,.0f} {wording.kind(dataset.shape)} that nothing was selected on"
    return {"report": f"{dataset.task.described(scores, prefix=names.reported(''))} on {images}"}


def _next(settings: Settings, run_id: str) -> str:
    """Return a command that shows more of the run: `report` where it recorded no model to evaluate."""
    uri = store.locate(settings.tracking.uri)
    if settings.tracking.keep_models == "none":
        return tracker.how_to("report", [run_id], uri)
    trusted = [f"--trusted-modules={','.join(settings.trusted_modules)}"] if settings.trusted_modules else []
    return tracker.how_to("evaluate", [run_id, *trusted], uri)


def board(settings: Settings) -> dict[str, str]:
    """Return the command that shows what was written for TensorBoard, as a row of the screen; none if nothing was."""
    folders = callbacks.tensorboard_folders(settings.callbacks) if settings.tracking.store == "mlflow" else []
    return {"board": shlex.join(["tensorboard", "--logdir", folders[0]])} if folders else {}


def _fallback_words(dataset: Dataset) -> str:
    return (
        f"these are not the data asked for, but {dataset.place}: {len(dataset.y_test):,} test "
        f"{wording.kind(dataset.shape)}, another accuracy."
    )
