"""What `python -m mnist_exp.report` does: compare recorded runs on one page, with intervals and tests."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mnist_exp import commands
from mnist_exp.comparison.groups import Grouping
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import RunError, SettingsError
from mnist_exp.reports import api, as_data, html, mattered
from mnist_exp.reports.page import Content
from mnist_exp.runtime import imports, local_server
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tracking import mlflow_log, mlflow_writes, references, run_files, store
from mnist_exp.tracking.runs import StoredRun

ARTIFACTS = "report"
_MOST_SHOWN = 20
_HOST = "127.0.0.1"
_LOOK_S = 2.0


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: report(read(sys.argv[1:])))


def read(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line."""
    return _parser().parse_args(list(words))


def report(options: argparse.Namespace) -> int:
    """Write a report on some runs.

    Args:
        options: the options of the command line.
    Returns: the exit code.
    Raises:
        SettingsError: the runs cannot be found or compared, or the folder cannot be written to.
        RunError: writing the report failed, or the tracking store refused it.
    """
    screen = Screen()
    settings = commands.tracking(options)
    if options.live:
        return _serve(screen, settings, options)
    if options.port is not None:
        raise SettingsError("--port goes with --live only: without it nothing is served")
    selected, grouping = api.compared(
        settings,
        options.run_id,
        sweeps=options.sweep,
        experiment=options.experiment,
        condition=options.filter,
        metric=options.metric,
        against=options.against,
    )
    log_to = selected.parent if options.log_to is None else references.find(settings, options.log_to)
    folder = commands.output_folder(options.output or str(Path("reports") / selected.short))
    files, made = api.write(folder, selected, grouping)
    if not options.json:
        _show(screen, grouping, made, folder)
    if log_to is not None:
        _log(log_to, files)
        if not options.json:
            screen.table({"logged": f"to run {log_to.run_id}, under {ARTIFACTS}/"})
    if options.json:
        page, found = str(folder / html.FILE), mattered.of(selected)
        said = as_data.of(made.title, grouping, made.verdict, made.cautions, page, found)
        print(json.dumps(said.to_dict(), ensure_ascii=False))
    return commands.DONE


def _serve(screen: Screen, settings: TrackingSettings, options: argparse.Namespace) -> NoReturn:
    """Serve the page of sweeps until a signal ends the process."""
    given = {"RUN_ID": options.run_id, "--sweep": options.sweep, "--experiment": options.experiment}
    given |= {"--filter": options.filter, "--output": options.output, "--log-to": options.log_to}
    given |= {"--json": options.json}
    if unfit := [name for name, value in given.items() if value]:
        raise SettingsError(f"--live serves a page of sweeps and writes none: leave out {' and '.join(unfit)}")
    with local_server.listener(_HOST, options.port or 0) as bound:
        against = references.find(settings, options.against).run_id if options.against else None
        with imports.quick_imports():
            from mnist_exp.reports.live import LiveReport
            from mnist_exp.reports.live_server import application
        live = LiveReport(settings, list(dict.fromkeys(options.live)), options.metric, against)
        with local_server.serving(application(live, _HOST), _HOST, bound) as address:
            told, ended = live.progress()
            screen.table({"sweep": told, "open": f"{address}   (Ctrl-C stops it)"})
            while not ended:
                time.sleep(_LOOK_S)
                told, ended = live.progress()
                if ended:
                    live.news("")  # What the last jobs came to, where no page asked for it.
                    told, _ = live.progress()
                    screen.out.print(told, markup=False)
            while True:
                time.sleep(3600)


def _show(screen: Screen, grouping: Grouping, made: Content, folder: Path) -> None:
    from mnist_exp.reports import tables

    head, rows = tables.for_screen(grouping, _MOST_SHOWN)
    screen.columns(head, rows, left=("family", *head[head.index("rank") + 1 : head.index("seeds")]))
    if len(grouping.groups) > _MOST_SHOWN:
        screen.out.print(f"… and {len(grouping.groups) - _MOST_SHOWN} more configurations; the page has all")
    screen.out.print()
    for caution in made.cautions:
        screen.warn(caution)
    left = {left.run.run_id: left.reason for left in grouping.left_out}
    for run_id, reason in list(left.items())[:_MOST_SHOWN]:
        screen.out.print(f"not compared: run {run_id} {reason}", markup=False)
    if len(left) > _MOST_SHOWN:
        screen.out.print(f"… and {len(left) - _MOST_SHOWN} more runs that are not compared; the page has all")
    for sentence in [*made.verdict, *(made.mattered.sentences if made.mattered is not None else ())]:
        screen.out.print(sentence, markup=False)
    screen.out.print()
    screen.table({"report": str(folder / html.FILE)})


def _log(run: StoredRun, files: Sequence[Path]) -> None:
    """Attach the report to a run, as artifacts. Raises: RunError: the tracking store refused it."""
    try:
        if not run_files.keep(run.uri, run.run_id, files, ARTIFACTS):
            client = store.client(run.uri)
            for file in files:
                client.log_artifact(run.run_id, str(file), ARTIFACTS)
    except mlflow_writes.write_errors() as error:
        raise RunError(
            f"{files[0]} was written, but could not be attached to run {run.run_id}: {mlflow_log.reason(error)}"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = commands.parser(
        "report",
        "Compare recorded runs: conclusions, tables and figures on one page, a single HTML file.",
        "0 done, 1 the tracking store refused the report, 2 the runs cannot be found or compared; "
        "with --live 130 Ctrl-C, 143 SIGTERM.",
        [
            "RUN_ID RUN_ID",
            "--sweep PARENT",
            "--sweep PARENT --sweep ANOTHER",
            "--live PARENT",
            "--experiment mnist_exp --filter 'params.`model.filters` = \"16\"'",
        ],
    )
    parser.add_argument("run_id", nargs="*", metavar="RUN_ID", help="id of a run, or models:/NAME@champion")
    parser.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="PARENT",
        help="all runs of a sweep, by the id of its parent run, to which the report is attached; several are compared",
    )
    parser.add_argument(
        "--live",
        action="append",
        default=[],
        metavar="PARENT",
        help="serve the page of a sweep to this machine's browser while it runs, and keep it up to date; several are "
        "compared",
    )
    parser.add_argument("--port", type=int, metavar="N", help="port of --live on 127.0.0.1; default: a free one")
    parser.add_argument(
        "--experiment", metavar="NAME", help="all runs of an experiment; default with --filter: mnist_exp"
    )
    parser.add_argument(
        "--filter",
        metavar="CONDITION",
        help="only the runs of the experiment that match, in MLflow's syntax: 'params.`model.filters` = \"16\"'",
    )
    commands.add_json(parser, "print the conclusions as one JSON object and nothing else; the page is written")
    parser.add_argument("--metric", metavar="NAME", help="metric to compare; default: the objective of the runs")
    parser.add_argument(
        "--against",
        metavar="RUN_ID",
        help="a run of the baseline: all others are compared with it only. Choose it before you see the results; "
        "default: compare all pairs",
    )
    parser.add_argument(
        "--output", metavar="FOLDER", help="folder for index.html and its figures; default: a folder in reports/"
    )
    parser.add_argument("--log-to", metavar="RUN_ID", help="attach the report to this run")
    commands.add_tracking(parser)
    return parser
