"""What may be concluded from recorded runs, in a notebook or a script: `report`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.comparison import paired_models, verdict
from mnist_exp.comparison.groups import Grouping, group
from mnist_exp.comparison.metric import choose_metric
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import RunError, SettingsError, first_line
from mnist_exp.reports import as_data, html, selection
from mnist_exp.reports.as_data import Report
from mnist_exp.reports.selection import Selection
from mnist_exp.tracking import references

if TYPE_CHECKING:
    import pandas as pd

    from mnist_exp.experiment.runner import Result
    from mnist_exp.reports.page import Content
    from mnist_exp.sweeps.result import Sweep

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
    run_ids, sweeps = _named(of, settings)
    selected, grouping = compared(
        settings, run_ids, sweeps=sweeps, experiment=experiment, condition=where, metric=metric, against=against
    )
    if output is None:
        from mnist_exp.reports import content

        said = content.conclusions(selected, grouping, paired_models.compare(grouping))
        return as_data.of(content.title(selected), grouping, said, verdict.cautions(grouping))
    folder = Path(output)
    _, made = write(folder, selected, grouping)
    return as_data.of(made.title, grouping, made.verdict, made.cautions, str(folder / html.FILE))


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
    return selected, group(selected.runs, choose_metric(selected.runs, metric), baseline)


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


def _named(of: "Named | Iterable[Named] | pd.DataFrame", settings: TrackingSettings) -> tuple[list[str], list[str]]:
    """Return the ids of the runs, and of the sweeps, that are named. Raises: SettingsError: one was not recorded."""
    import pandas as pd

    from mnist_exp.experiment.runner import Result
    from mnist_exp.sweeps.result import Sweep

    if isinstance(of, pd.DataFrame):
        named: list[Named] = list(of["run_id"])
    else:
        named = [of] if isinstance(of, str | Result | Sweep) else list(of)
    found = [each if isinstance(each, str) else each.run_id for each in named]
    if None in found:
        raise SettingsError("one of them was not recorded (tracking=none, or sweep.dry_run): there is nothing to read")
    stored = [references.find(settings, str(each)) for each in found]
    sweeps = [run.run_id for run in stored if run.is_sweep]
    return [run.run_id for run in stored if not run.is_sweep], sweeps
