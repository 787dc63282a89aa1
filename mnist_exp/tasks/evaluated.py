"""What a model is worth on a set of images, in the form in which `evaluate` shows, logs and writes it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_exp import metrics
from mnist_exp.config import wording
from mnist_exp.evaluation import metrics as measures
from mnist_exp.tasks.answers import Answers, Array

if TYPE_CHECKING:
    from mnist_exp.evaluation.figures import Picture

Figures = Callable[[], "Mapping[str, Picture]"]
_SHOWN = 20  # rows of the table on the screen


@dataclass(frozen=True)
class Evaluated:
    """The results of one model on one set of images.

    Args:
        facts: all of them as plain values, for JSON.
        logged: those that `--log` adds to the run, by name.
        rows: for the screen: what, and its words.
        file: name of the table's file.
        table: rows of the table, each a value by its column.
        shown: head of the table on the screen, and its rows.
        note: what to say above it; empty for nothing.
        draw: returns the figures by file name.
    """

    facts: Mapping[str, Any]
    logged: Mapping[str, float]
    rows: Mapping[str, str]
    file: str
    table: Sequence[Mapping[str, Any]]
    shown: tuple[list[str], list[list[str]]]
    note: str
    draw: Figures


def of_classes(probabilities: Array, answers: Answers, loss: float, figures: Figures) -> Evaluated:
    """Return what is known of predictions of classes.

    Args:
        probabilities: of the classes, float32 (n, classes).
        answers: for the images.
        loss: mean loss.
        figures: returns the pictures of them.
    """
    measured = measures.measure(probabilities, answers.y, answers.names, loss)
    low, high = measured.interval.low, measured.interval.high
    gap = measured.confidence - measured.accuracy
    classes, note = list(measured.classes), ""
    if len(classes) > _SHOWN:
        classes = sorted(classes, key=lambda score: -1.0 if score.f1 is None else score.f1)[:_SHOWN]
        note = f"the {_SHOWN} classes with the lowest F1, of {len(measured.classes)}; per_class.csv has all"
    cells = []
    for each in classes:
        numbers = ["-" if value is None else f"{value:.4f}" for value in (each.precision, each.recall, each.f1)]
        taken_for = "-" if each.taken_for is None else f"{wording.short_name(each.taken_for)} ({each.times:,})"
        cells.append([wording.short_name(each.name), *numbers, f"{each.images:,}", taken_for])

    def draw() -> "Mapping[str, Picture]":
        from mnist_exp.evaluation.figures import reliability

        return {"reliability.png": reliability(measured.bins, measured.ece, answers.words), **figures()}

    return Evaluated(
        facts=dataclasses.asdict(measured),
        logged={
            "accuracy": measured.accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
            "loss": loss,
            "ece": measured.ece,
            "images": measured.images,
        },
        rows={
            "accuracy": f"{measured.accuracy:.4f}, {_interval(measured.interval)}",
            "loss": f"{loss:.4f}",
            "calibration": f"expected error (ECE) {measured.ece:.4f} in {len(measured.bins)} bins; "
            f"the confidence is {abs(gap) * 100:.1f} points {'above' if gap > 0 else 'below'} the accuracy",
        },
        file="per_class.csv",
        table=[dataclasses.asdict(each) for each in measured.classes],
        shown=(["class", "precision", "recall", "F1", "images", "most often taken for"], cells),
        note=note,
        draw=draw,
    )


def of_labels(answers: Answers, loss: float, figures: Figures) -> Evaluated:
    """Return what is known of predictions of several labels; arguments as of `of_classes`."""
    y, probabilities, names = answers.y, answers.outputs, answers.names
    said = probabilities > 0.5
    scores = [_of_label(y[:, i] > 0, said[:, i], name) for i, name in enumerate(names)]
    right = (said == (y > 0)).all(axis=1)
    interval = measures.accuracy_interval(right)
    values = {
        "accuracy": metrics.accuracy(y, probabilities),
        "exact_match": float(right.mean()),
        "macro_f1": metrics.macro_f1(y, probabilities),
    }
    cells = [
        [
            wording.short_name(each["name"]),
            *(_cell(each[n]) for n in ("precision", "recall", "f1")),
            f"{each['images']:,}",
        ]
        for each in scores[:_SHOWN]
    ]

    return Evaluated(
        facts={"images": len(y), "loss": loss, **values, "interval": dataclasses.asdict(interval), "labels": scores},
        logged={**values, "exact_match_low": interval.low, "exact_match_high": interval.high}
        | {"loss": loss, "images": len(y)},
        rows={
            "exact match": f"{values['exact_match']:.4f}, {_interval(interval)}: every label of an image is right",
            "accuracy": f"{values['accuracy']:.4f} of all labels",
            "macro F1": f"{values['macro_f1']:.4f}",
            "loss": f"{loss:.4f}",
        },
        file="per_label.csv",
        table=scores,
        shown=(["label", "precision", "recall", "F1", "images"], cells),
        note=_first(names, "per_label.csv"),
        draw=figures,
    )


def of_numbers(answers: Answers, loss: float, figures: Figures) -> Evaluated:
    """Return what is known of predicted numbers; arguments as of `of_classes`."""
    y, predicted, names = answers.y, answers.outputs, answers.names
    errors = np.abs(predicted.astype(np.float64) - y)
    interval = measures.mean_interval(errors.mean(axis=1))
    values = {name: getattr(metrics, name)(y, predicted) for name in ("mae", "rmse", "r2")}
    scores = [
        {"name": name, **{each: getattr(metrics, each)(y[:, [i]], predicted[:, [i]]) for each in values}}
        | {"mean_error": float((predicted[:, i].astype(np.float64) - y[:, i]).mean())}
        for i, name in enumerate(names)
    ]
    cells = [
        [wording.short_name(each["name"]), *(f"{each[n]:.6g}" for n in list(each)[1:])] for each in scores[:_SHOWN]
    ]

    return Evaluated(
        facts={"images": len(y), "loss": loss, **values, "interval": dataclasses.asdict(interval), "numbers": scores},
        logged={**values, "mae_low": interval.low, "mae_high": interval.high, "loss": loss, "images": len(y)},
        rows={
            "mae": f"{values['mae']:.6g}, {_interval(interval, '.6g')}",
            "rmse": f"{values['rmse']:.6g}",
            "r2": f"{values['r2']:.4f}",
            "loss": f"{loss:.6g}",
        },
        file="per_number.csv",
        table=scores,
        shown=(["number", "mae", "rmse", "r2", "mean error"], cells),
        note=_first(names, "per_number.csv"),
        draw=figures,
    )


def _of_label(is_there: Array, said: Array, name: str) -> dict[str, Any]:
    found, there, claimed = int((is_there & said).sum()), int(is_there.sum()), int(said.sum())
    return {
        "name": name,
        "precision": found / claimed if claimed else None,
        "recall": found / there if there else None,
        "f1": 2 * found / (there + claimed) if there + claimed else None,
        "images": there,
    }


def _interval(interval: measures.Interval, form: str = ".4f") -> str:
    return f"{interval.level:.0%} interval {interval.low:{form}} to {interval.high:{form}} ({interval.method})"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _first(names: Sequence[str], file: str) -> str:
    return f"the first {_SHOWN} of {len(names)}; {file} has all" if len(names) > _SHOWN else ""
