"""What may be concluded from recorded runs, in a notebook or a script: `report`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.comparison import paired_models, verdict
from mnist_exp.comparison.groups import Grouping, group
from mnist_exp.comparison.metric import choose_metric
from mnist_exp.config import arguments
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import RunError, SettingsError, first_line
from mnist_exp.reports import as_data, html, mattered, selection
from mnist_exp.reports.as_data import Report
from mnist_exp.reports.selection import Selection
from mnist_exp.tracking import references

if TYPE_CHECKING:
    import pandas as pd

    from mnist_exp.experiment.runner import Result
    from mnist_exp.reports.page import Content
    from mnist_exp.sweeps.shown.result import Sweep

    Named = str | Result | Sweep


def report(
    of: "Named | Iterable[Named] | pd.DataFrame" = (),
    *,
    experiment: str | None = None,
    where: str | None = None,
    metric: str | None = None,
    against: str | None = None,
    output: str | Path | None = None,
    tracking_uri: str | None = None,
) -> Report:
    """Compare recorded runs, and return what may be concluded: what `python -m mnist_exp.report` says.

    Args:
        of: a sweep, or several, which are compared with each other; or runs, by id or as `run` returned them; or what
            `runs` returned. Ids may be their first six characters or more.
        experiment: all runs of an experiment instead.
        where: a filter in MLflow's language, for the runs of the experiment.
        metric: to compare by; None takes the objective of the runs.
        against: id of a run of the baseline: all others are compared with it only.
        output: a folder for the page, index.html and its figures; None writes none.
        tracking_uri: address of the store; None takes `$MLFLOW_TRACKING_URI`, else `mlflow.db` here.
    Raises: SettingsError: the runs cannot be found or compared.
        RunError: the page cannot be written.
    """
    settings = TrackingSettings(uri=tracking_uri)
    for name, value in (("experiment", experiment), ("where", where), ("metric", metric), ("against", against)):
        arguments.check_text(name, value, "a text, or None")
    run_ids, sweeps = _named(of, settings)
    _check_one_way(run_ids, sweeps, is_experiment=experiment is not None or where is not None)
    with arguments.named(sweep="of", experiment="experiment", filter="where", metric="metric", against="against"):
        selected, grouping = compared(
            settings, run_ids, sweeps=sweeps, experiment=experiment, condition=where, metric=metric, against=against
        )
    if output is None:
        from mnist_exp.reports import content

        said = content.conclusions(selected, grouping, paired_models.compare(grouping))
        return as_data.of(
            content.title(selected), grouping, said, verdict.cautions(grouping), mattered=mattered.of(selected)
        )
    folder = Path(output)
    _, made = write(folder, selected, grouping)
    return as_data.of(made.title, grouping, made.verdict, made.cautions, str(folder / html.FILE), mattered.of(selected))


def compared(
    settings: TrackingSettings,
    run_ids: Sequence[str],
    *,
    sweeps: Sequence[str] = (),
    experiment: str | None = None,
    condition: str | None = None,
    metric: str | None = None,
    against: str | None = None,
) -> tuple[Selection, Grouping]:
    """Return the runs that are meant, and the same in groups, compared. Args and raises: as `select` and `report`."""
    selected = selection.select(settings, run_ids, sweeps=sweeps, experiment=experiment, condition=condition)
    baseline = references.find(settings, against).run_id if against else None
    return selected, group(
        selected.runs, choose_metric(selected.runs, metric), baseline, raced_from=selected.raced_from
    )


def write(folder: Path, selected: Selection, grouping: Grouping) -> "tuple[list[Path], Content]":
    """Write the page and the figures; return the files, and what is on the page. Raises: RunError: it cannot."""
    from mnist_exp.reports import content, curves, figures, page, pictures

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in figures.NAMES:
            (folder / name).unlink(missing_ok=True)  # From an earlier report in the same folder.
        histories = curves.of(grouping)
        names = figures.draw_all(folder, grouping, histories)
        made = content.of(selected, grouping, histories, pictures.of(grouping), names)
        page.write(folder, made)
    except OSError as error:
        raise RunError(f"the report cannot be written to {folder}: {first_line(error)}") from error
    return [folder / html.FILE, *(folder / name for name in names)], made


def _check_one_way(run_ids: Sequence[str], sweeps: Sequence[str], *, is_experiment: bool) -> None:
    """Raise a SettingsError if runs are chosen in no way, or in several."""
    if not (run_ids or sweeps or is_experiment):
        raise SettingsError("no runs are given: name runs or sweeps with of, or all of one kind with experiment, where")
    if run_ids and sweeps:
        raise SettingsError("of names single runs and sweeps: it must be either runs or sweeps")
    if (run_ids or sweeps) and is_experiment:
        raise SettingsError("of names runs, and so do experiment and where: give only one of them")


def _named(of: "Named | Iterable[Named] | pd.DataFrame", settings: TrackingSettings) -> tuple[list[str], list[str]]:
    """Return the ids of the runs, and of the sweeps, that are named. Raises: SettingsError: one was not recorded."""
    import pandas as pd

    from mnist_exp.experiment.runner import Result
    from mnist_exp.sweeps import named
    from mnist_exp.sweeps.shown.result import Sweep

    if isinstance(of, pd.DataFrame):
        if "run_id" not in of:
            raise SettingsError("of is a table without the column run_id: give it as `runs` returned it")
        given: list[Any] = list(map(str, of["run_id"]))
    elif isinstance(of, str | Result | Sweep):
        given = [of]
    elif isinstance(of, Iterable):
        given = list(of)
    else:
        raise arguments.wrong("of", of, f"{named.RUN}; or several; or what `runs` returned")
    places = ["of"] if len(given) == 1 else [f"of[{number}]" for number in range(len(given))]
    found = [named.reference(each, place) for each, place in zip(given, places, strict=True)]
    stored = [references.find(settings, each) for each in found]
    sweeps = [run.run_id for run in stored if run.is_sweep]
    return [run.run_id for run in stored if not run.is_sweep], sweeps
