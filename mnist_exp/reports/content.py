"""What stands on the page of a report, from its runs: conclusions, tables, and the data of table and charts."""

import dataclasses
import urllib.parse
from collections.abc import Mapping, Sequence

from mnist_exp.comparison import between_sweeps, paired_models, verdict
from mnist_exp.comparison.groups import Grouping
from mnist_exp.comparison.paired_models import Models
from mnist_exp.comparison.selected import from_json
from mnist_exp.config.nested import flatten
from mnist_exp.errors import SettingsError, plural
from mnist_exp.experiment import provenance
from mnist_exp.reports import mattered, page_data, tables
from mnist_exp.reports.curves import Histories
from mnist_exp.reports.page import Content
from mnist_exp.reports.selection import Selection
from mnist_exp.reports.tables import Table
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import names, store

_MOST_ENVIRONMENTS = 10
_MOST_ROWS = 200  # of a table that is drawn at once; the table of runs draws what is seen of it
_PACKAGES = ("tensorflow", "keras", "numpy", "mnist_exp")


def of(
    selected: Selection,
    grouping: Grouping,
    histories: Histories,
    pictures: Mapping[str, Mapping[str, str]],
    figures: Sequence[str] = (),
) -> Content:
    """Return the content of a page.

    Args:
        selected: the runs.
        grouping: the same runs in groups.
        histories: of the runs whose curves are shown.
        pictures: of the runs, as `page_data.of` takes them.
        figures: file names of the figures that were drawn.
    """
    compared = paired_models.compare(grouping) if grouping.groups else None
    differences = [table for family in grouping.families if (table := tables.comparisons(family)) is not None]
    shown = [*([tables.configurations(grouping)] if grouping.groups else []), *differences]
    if compared and (compared.pairs or compared.of_numbers):
        shown.append(tables.models(compared))
    differing = tables.differing(grouping)
    several = {run_id: "; ".join(names) for run_id, names in selected.sweeps.items()}
    return Content(
        title=title(selected),
        summary=_summary(grouping),
        verdict=conclusions(selected, grouping, compared) or ["No run is done yet."],
        cautions=verdict.cautions(grouping),
        tables=[_bounded(table) for table in shown],
        plain=[
            _bounded(tables.runs(grouping, _links(selected))),
            _bounded(tables.provenance(grouping)),
        ],
        folded=[_bounded(differing)] if differing else [],
        versions=_versions(grouping),
        command=provenance.command(),
        data=page_data.of(grouping, several, histories, pictures),
        figures=figures,
        mattered=mattered.section(selected, found) if (found := mattered.of(selected)) is not None else None,
    )


def conclusions(selected: Selection, grouping: Grouping, models: Models | None) -> list[str]:
    """Return what may be concluded, in sentences.

    Args:
        selected: the runs.
        grouping: the same runs in groups.
        models: the trained models compared on the test images, if they are.
    """
    said = [*verdict.verdict(grouping, models), *between_sweeps.sentences(grouping, selected.sweeps)]
    found = selected.parent.tags.get(names.SELECTED) if selected.parent is not None else None
    best = from_json(found) if found and grouping.metric.key == names.OBJECTIVE else None
    return [*said, *(best.sentences if best else [])]


def empty(selected: Selection) -> Content:
    """Return the content of a page on sweeps that have no run yet."""
    waiting = ["No run has begun yet."]
    return Content(title(selected), "", waiting, (), (), (), (), {}, provenance.command())


def title(selected: Selection) -> str:
    """Return the title of a report."""
    return f"Report on {selected.title}"[:200]


def _bounded(table: Table) -> Table:
    more = len(table.rows) - _MOST_ROWS
    if more <= 0:
        return table
    note = f"The first {_MOST_ROWS} rows; {more:,} more are in what --json prints, and in python -m mnist_exp.runs."
    return dataclasses.replace(table, rows=table.rows[:_MOST_ROWS], note=f"{table.note} {note}".strip())


def _summary(grouping: Grouping) -> str:
    compared = sum(each.n for each in grouping.groups)
    groups, left = len(grouping.groups), len(grouping.left_out)
    summary = f"{plural(compared, 'run')} of {plural(groups, 'configuration')}, compared by {grouping.metric.name}"
    summary += f" ({grouping.metric.direction})"
    return f"{summary}; {plural(left, 'run')} listed but not compared" if left else summary


def _versions(grouping: Grouping) -> dict[str, str]:
    """Return the package versions of the first ten runs."""
    versions_of: dict[str, dict[str, None]] = {name: {} for name in ("python", *_PACKAGES)}
    for run in [run for g in grouping.groups for run in g.runs][:_MOST_ENVIRONMENTS]:
        try:
            environment = flatten(run.environment())
        except SettingsError:
            continue
        for name, versions in versions_of.items():
            version = environment.get(name if name == "python" else f"packages.{name}")
            if isinstance(version, str):
                versions[version[:40]] = None
    return {name: ", ".join(versions) for name, versions in versions_of.items() if versions}


def _links(selected: Selection) -> str:
    """Return the address of a run's page in the MLflow UI, with {} in place of its id; empty without a server."""
    if not selected.uri.startswith(("http://", "https://")):
        return ""
    experiment = store.client(selected.uri).get_experiment_by_name(selected.runs[0].experiment)
    return address(selected.uri, experiment.experiment_id) if experiment else ""


def address(uri: str, experiment_id: str) -> str:
    """Return the address of a run's page on a server of MLflow, without a password, with {} in place of its id."""
    parts = urllib.parse.urlsplit(uri)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/")
    plain = redact(plain).replace("{", "%7B").replace("}", "%7D")
    return f"{plain}/#/experiments/{experiment_id}/runs/{{}}"
