"""What recorded models say of examples that they were not trained on."""

from collections.abc import Sequence

import numpy as np

from mnist_exp import data
from mnist_exp.data import Dataset, Split
from mnist_exp.data.lazy import Array, rows
from mnist_exp.errors import SettingsError
from mnist_exp.inference import labelled_images, load
from mnist_exp.inspection.look import Inspection
from mnist_exp.tasks.classification import Classification
from mnist_exp.tracking import names, runs
from mnist_exp.tracking.runs import StoredRun

_LARGEST_SEED = 2**32


def members(run: StoredRun) -> tuple[list[StoredRun], int]:
    """Return the runs whose models are asked: the run itself, or those of a sweep that have a model, oldest first.

    Returns: also how many models of the sweep are left out, as they were trained on other data than the first.
    Raises: SettingsError: there is no model.
    """
    if not run.is_sweep:
        load.check_has_model(run)
        return [run], 0
    found = [each for each in runs.of_sweep(run) if each.has_model]
    if not found:
        raise SettingsError(f"sweep {run.run_id} has no model yet: name one of its jobs, or issue it again")
    same = [each for each in found if each.tags.get(names.DATA_SHA256) == found[0].tags.get(names.DATA_SHA256)]
    return list({each.tags.get(names.JOB_KEY, each.run_id): each for each in same}.values()), len(found) - len(same)


def split_of(run: StoredRun, dataset: Dataset) -> Split:
    """Return what of a data set a run was trained and validated on. Raises: SettingsError: its record does not say it.

    Args:
        run: recorded.
        dataset: that it was trained on.
    """
    config = run.config()
    section = config.get("data")
    section = section if isinstance(section, dict) else {}
    limit, validation, seed = section.get("limit"), section.get("validation", "test"), config.get("seed", 7)
    reporting = section.get("reporting")
    is_seed = type(seed) is int and 0 <= seed < _LARGEST_SEED
    is_share = type(validation) in (str, int, float) and type(reporting) in (int, float, type(None))
    if not (is_seed and (limit is None or type(limit) is int) and is_share):
        raise SettingsError(
            f"config.yaml of run {run.run_id}: seed, data.limit, data.validation or data.reporting is no valid value"
        )
    return data.split(dataset, limit=limit, validation=validation, seed=seed, reporting=reporting)


def can_judge(dataset: Dataset) -> bool:
    """Tell whether models give the probabilities of classes, by which labels can be doubted."""
    return isinstance(dataset.task, Classification)


def probabilities(runs_asked: Sequence[StoredRun], inspection: Inspection, trusted: Sequence[str]) -> list[Array]:
    """Return for each part of an inspection the probabilities of its classes, (n, classes). Imports Keras.

    They are the mean over the models that were not trained on the example, nor on an equal one; NaN if none is.

    Args:
        runs_asked: of models for this data set.
        inspection: of it.
        trusted: modules whose code the models may use.
    Raises: SettingsError: a model cannot be loaded, or does not fit.
    """
    from mnist_exp.runtime import imports

    with imports.quick_imports():
        from mnist_exp.training.predict import predict

    dataset, parts = inspection.dataset, inspection.parts
    assert isinstance(dataset.task, Classification)
    total = [np.zeros((len(part), len(dataset.class_names))) for part in parts]
    asked = [np.zeros(len(part)) for part in parts]
    for run in runs_asked:
        model = load.of_run(run, trusted)
        labelled_images.check_fits(run, dataset, model)
        for number, new in enumerate(_unseen(inspection, split_of(run, dataset).trained)):
            if len(new):
                outputs = predict(model, rows(parts[number].x, new))
                total[number][new] += dataset.task.probabilities(outputs)
                asked[number][new] += 1
    with np.errstate(invalid="ignore"):
        return [found / count[:, np.newaxis] for found, count in zip(total, asked, strict=True)]


def _unseen(inspection: Inspection, trained: Array) -> list[Array]:
    """Return the rows of each part that differ from all training examples at these positions."""
    own = [part.array == "x_train" for part in inspection.parts]
    used = [
        np.isin(part.positions, trained) if is_own else np.zeros(len(part), bool)
        for part, is_own in zip(inspection.parts, own, strict=True)
    ]
    known = np.concatenate([each.digests[mask] for each, mask in zip(inspection.surveys, used, strict=True)])
    return [np.flatnonzero(~np.isin(each.digests, known)) for each in inspection.surveys]
