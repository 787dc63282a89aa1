"""What a run's model is worth on labelled images: what `evaluate` shows, writes and returns."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnist_exp.errors import DataError, RunError, TrainingError
from mnist_exp.inference import ensemble, labelled_images, load, shifted
from mnist_exp.inference.ensemble import Prediction
from mnist_exp.inference.labelled_images import Images
from mnist_exp.runtime import imports
from mnist_exp.tasks.answers import Answers
from mnist_exp.tasks.evaluated import Evaluated
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

SCHEMA = "mnist_exp.evaluation/1"
_ROUNDING = 1e-6  # Another number of threads sums in another order.


@dataclass(frozen=True)
class Scored:
    """The results of one model, or of several as one, on labelled images.

    Args:
        prediction: for the images.
        tested: each metric by its name, as the run computes those of its test set.
        measured: all of the task's results, as they are shown, logged and written.
        report: the same as plain values, for JSON.
    """

    prediction: Prediction
    tested: Mapping[str, float]
    measured: Evaluated
    report: dict[str, Any]


def members(run: StoredRun, *, is_ensemble: bool) -> tuple[list[StoredRun], list[str]]:
    """Return the runs whose models are asked: one, or those of a sweep, and a warning if some of these have none.

    Raises: SettingsError: a model is missing.
    """
    if is_ensemble:
        return ensemble.members(run)
    load.check_has_model(run)
    return [run], []


def images_of(
    members: Sequence[StoredRun],
    split: str,
    data: str | None,
    words: Sequence[str],
    trusted: Sequence[str],
    config_dir: str | None,
    shifts: int = 0,
) -> Images:
    """Return the labelled images on which models are evaluated.

    Args:
        members: the runs whose models are asked.
        split: test, train, validation, reporting or all.
        data: name of another data set; None for that of the runs.
        words: options of the data set, `data.path=/folder`.
        trusted: modules whose code the record of a run may name.
        config_dir: the user's own folder of configuration files.
        shifts: pixels by which they are moved in each direction, too; the mean prediction counts.
    Raises: SettingsError: they cannot be found, cannot be moved, or are not the same for all models.
    """
    shifted.check(shifts)
    images = ensemble.common([_images(run, split, data, words, trusted, config_dir) for run in members])
    shifted.check_fits(shifts, images.dataset)
    return replace(images, shifts=shifts)


def _images(
    run: StoredRun, split: str, data: str | None, words: Sequence[str], trusted: Sequence[str], config_dir: str | None
) -> Images:
    if data is not None:
        return labelled_images.other(run, split, data, words, trusted, config_dir)
    try:
        return labelled_images.own(run, split, labelled_images.values(words), trusted)
    except DataError as error:
        fix = "say where the run's data are with data.path=/folder, or choose another data set with --data=NAME"
        raise DataError([*error.problems, fix]) from error


def score(run: StoredRun, asked: Sequence[StoredRun], images: Images, trusted: Sequence[str]) -> Scored:
    """Return what models are worth on labelled images. Imports Keras.

    Args:
        run: a run, or the parent run of a sweep.
        asked: the run, or those of the sweep, whose mean prediction counts.
        images: that all of them know how to take.
        trusted: modules whose code the models may use.
    Raises:
        SettingsError: a model cannot be loaded, or has another input shape or other classes.
        RunError: a model's output is no prediction of its task.
    """
    predicted = [predict(each, images, trusted) for each in asked]
    prediction = predicted[0] if len(predicted) == 1 else ensemble.mean(predicted)
    tested = measure(prediction, images, run)
    dataset = images.dataset
    answers = Answers(dataset.pictures(images.x), images.y, prediction.outputs, dataset.class_names, images.words())
    measured = dataset.task.evaluated(answers, tested["loss"])
    report = _report(run, images, measured, prediction, tested)
    if run.is_sweep:
        each = [measure(own, images, run)[dataset.task.running] for own in predicted]
        report["members"] = dict(zip([member.run_id for member in asked], each, strict=True))
    return Scored(prediction, tested, measured, report)


def predict(run: StoredRun, images: Images, trusted: Sequence[str]) -> Prediction:
    """Return the predictions of a run's model for labelled images, and moved ones. Imports Keras.

    Args:
        run: the run.
        images: the images.
        trusted: modules whose code the model may use.
    Raises:
        SettingsError: the model cannot be loaded, or has another input shape or other classes.
        RunError: the model's output is no prediction of its task.
    """
    with imports.quick_imports():
        from mnist_exp.training import outputs
        from mnist_exp.training.predict import predict_raw

        model = load.of_run(run, trusted)
    task = images.dataset.task
    images = labelled_images.fitted(run, images, model)
    twin = outputs.raw_twin(model, task.activation)
    black = 0.0 if images.dataset.pixel_range is None else images.dataset.pixel_range[0]
    moved = (shifted.moved(images.x, *move, black) for move in shifted.moves(images.shifts))
    predicted = [Prediction(*predict_raw(model, twin, task.activation, x)) for x in moved]
    prediction = predicted[0] if len(predicted) == 1 else ensemble.mean(predicted)
    if problem := task.check_outputs(prediction.outputs, f"the model of run {run.run_id}"):
        raise RunError(problem)
    return prediction


def measure(prediction: Prediction, images: Images, run: StoredRun) -> dict[str, float]:
    """Return each metric of predictions by its name, as the run computes those of its test set.

    Args:
        prediction: for the images.
        images: labelled.
        run: whose model predicted.
    """
    from mnist_exp.training import loss, testing
    from mnist_exp.training.scores import Scores

    dataset, settings = images.dataset, images.settings
    made = loss.make(settings.loss, dataset.task.activation, dataset.outputs, from_logits=prediction.is_raw)
    objective = run.params.get(names.SELECTED_BY, "")
    scores = Scores(dataset.task, settings.metrics, len(dataset.class_names), objective)
    try:
        return testing.measured(prediction.outputs, prediction.raw, made, dataset.task, scores, images.y)
    except TrainingError as error:
        raise RunError(str(error)) from error


def _report(
    run: StoredRun, images: Images, measured: Evaluated, prediction: Prediction, tested: Mapping[str, float]
) -> dict[str, Any]:
    """Return all results as plain values, for JSON."""
    running = images.dataset.task.running
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "run_id": run.run_id,
        "data": images.dataset.name,
        "split": images.split,
        "shifts": images.shifts,
        "data_sha256": images.dataset.sha256,
        "place": images.dataset.place,
        "trained_on": None,
        f"{running}_of_new": None,
        **{name: value if math.isfinite(value) else None for name, value in tested.items()},
        **measured.facts,
    }
    if images.seen is not None:
        new = ~images.seen
        report["trained_on"] = int(images.seen.sum())
        if new.any():
            report[f"{running}_of_new"] = measure(prediction.of(new), images.of(new), run)[running]
    if images.is_own and images.split == "test" and not run.is_sweep and not images.shifts:
        report["logged"] = {name: run.metrics.get(names.tested(name)) for name in tested}
    return report


def warnings(members: Sequence[StoredRun], images: Images, report: Mapping[str, Any]) -> list[str]:
    """Return warnings: the images were used for training, or the results differ from the recorded ones."""
    found = []
    total, trained_on = report["images"], report["trained_on"]
    what = "the run" if len(members) == 1 else "the ensemble"
    running = images.dataset.task.running
    if trained_on is None:
        found.append(f"it is not known whether {what} was trained on some of these images: {images.why_unknown}")
    elif trained_on == total:
        found.append(f"{what} was trained on all {total:,} of these images: the results say nothing about new images")
    elif trained_on:
        assert images.seen is not None
        found.append(
            f"{what} was trained on {trained_on:,} of these {total:,} images: the results are too good for new images; "
            f"the {running} on the {total - trained_on:,} others is {report[f'{running}_of_new']:.4f}"
        )
    found += images.dataset.warnings
    for words in (f(members[0], images.dataset) for f in (labelled_images.renamed, labelled_images.rescaled)):
        if words:
            found.append(words)
    if others := differences(report):
        found.append(f"the results differ from the recorded ones: {'; '.join(others)}")
    return found


def differences(report: Mapping[str, Any]) -> list[str]:
    """Return how the results differ from those that the run recorded."""
    found = []
    for name, value in report.get("logged", {}).items():
        if value is None:
            found.append(f"it has no {names.tested(name)}")
        elif report[name] is None:  # It is not a number; so it was then, or MLflow would not have kept it.
            continue
        elif not math.isclose(value, report[name], rel_tol=_ROUNDING, abs_tol=_ROUNDING):
            found.append(f"{name} {report[name]:.6g} against {value:.6g}, {report[name] - value:+.2g}")
    return found
