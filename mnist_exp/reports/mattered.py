"""What mattered in a sweep, on the page of its report: as the sweep's parent run has it, with its pictures."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from mnist_exp.analysis import stored, words
from mnist_exp.analysis.mattered import MEASURED, Mattered
from mnist_exp.config import wording
from mnist_exp.errors import SettingsError
from mnist_exp.reports import pictures
from mnist_exp.reports.selection import Selection
from mnist_exp.reports.tables import Cell, Table
from mnist_exp.search.space import brief, short_names
from mnist_exp.tracking import run_files

_PICTURES = {
    "objective_by_option.png": "The objective against each option: a point for each run, and the mean over all values "
    "of the other options with its band.",
    "best_so_far.png": "The best so far; of trials drawn at random also the band of the best of so many, drawn anew.",
}
_BEGINNINGS = {"mattered": "What mattered", "path": "From the defaults", "more": "More trials"}
_MOST_EFFECTS = 15


@dataclass(frozen=True)
class Section:
    """What mattered, as a part of the page.

    Args:
        sentences: conclusions.
        tables: of importance, and of the path from the defaults.
        pictures: caption and PNG in base64 of each.
    """

    sentences: Sequence[str]
    tables: Sequence[Table]
    pictures: Sequence[tuple[str, str]]


def of(selected: Selection) -> Mattered | None:
    """Return what mattered in the sweep of a report; None where that is not recorded, or several were chosen."""
    run = selected.parent
    if run is None or run.status == "RUNNING" or stored.FILE not in run_files.names(run.uri, run.run_id):
        return None
    try:
        return stored.of_run(run.uri, run.run_id)
    except SettingsError:  # Another's, or damaged: the rest of the page stands without it.
        return None


def section(selected: Selection, found: Mattered) -> Section:
    """Return what mattered as a part of the page."""
    assert selected.parent is not None
    sentences = [f"{_BEGINNINGS[name]}: {line}." for name, line in words.lines(found).items()]
    if found.no_path:
        sentences.append(f"There is no path from the defaults: {found.no_path}.")
    small = {name: pictures.small(selected.parent, name) for name in _PICTURES}
    shown = [
        (_PICTURES[name], base64.b64encode(content).decode()) for name, content in small.items() if content is not None
    ]
    return Section(sentences, [_importance(found), *([_path(found)] if len(found.path) > 1 else [])], shown)


def _importance(found: Mattered) -> Table:
    names = short_names(words.options(found))
    said = {True: "may be", False: "no", None: "not known"}
    rows = [
        [
            Cell(words.name(effect, names) + words.where(effect)),
            Cell(f"{effect.share:.0%}", effect.share),
            Cell(f"{effect.low:.0%} to {effect.high:.0%}", effect.low),
            Cell(wording.metric(effect.size), effect.size),
            Cell(said[effect.is_noise]),
        ]
        for effect in found.effects[:_MOST_EFFECTS]
    ]
    how = (
        "Of what was measured: every combination was tried."
        if found.method == MEASURED
        else f"By a random forest of {found.runs} runs; it explains {found.fit:.0%} of runs that it has not seen."
    )
    if found.noise is not None:
        how += f" The yardstick is chance: {wording.metric(found.noise.std)} a run, {found.noise.words}."
    head = ["options", "share of the variance", "90 % interval", "lowest to highest mean", "chance"]
    return Table("Importance", how, head, rows)


def _path(found: Mattered) -> Table:
    names = short_names(words.options(found))
    rows, before = [], found.path[0].objective
    for step in found.path:
        what = f"{names[step.option]}={brief(step.value)}" if step.option else "the defaults"
        gain = step.objective - before
        rows.append([Cell(what), Cell(wording.metric(step.objective), step.objective), Cell(f"{gain:+.4f}", gain)])
        before = step.objective
    note = "One option at a time, the most useful first" + (
        ", as measured." if found.method == MEASURED else ", as the forest predicts."
    )
    return Table("From the defaults to the best", note, ["changed", "objective", "gain"], rows)
