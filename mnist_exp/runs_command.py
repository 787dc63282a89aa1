"""What `python -m mnist_exp.runs` does: list recorded runs and sweeps, on the screen or for other programs."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mnist_exp import commands
from mnist_exp.errors import SettingsError, first_line
from mnist_exp.results import choice, frame, listing
from mnist_exp.results.choice import Choice
from mnist_exp.runtime.terminal import Screen, check_stdout
from mnist_exp.tracking import plain
from mnist_exp.tracking.runs import StoredRun

SCHEMA = "mnist_exp.runs/1"
_PAGE = 20
_STDOUT = "-"
_EXAMPLES = [
    "",
    "--sweep 4dd0a1c2 --columns name,model.dropout,val_accuracy",
    "--filter 'metrics.test_accuracy > 0.99'",
    "--running",
    "--all --csv runs.csv",
    "--json | jq '.runs[0].metrics'",
]


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: launch(sys.argv[1:]))


def launch(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code. Raises: SettingsError: what is asked for is not there."""
    options = _parser().parse_args(arguments)
    columns = _columns(options.columns)
    forms = {name: place for name in _WRITERS if (place := getattr(options, name)) is not None}
    if options.most is not None and options.most < 1:
        raise SettingsError(f"--most={options.most} is not allowed: it must be a whole number, at least 1")
    for name, place in forms.items():
        if place == _STDOUT:
            check_stdout(f"--{name}")
    if len(forms) > 1:
        raise SettingsError(f"one form at a time: --{' or --'.join(forms)}")
    most = options.most if options.most is not None else (None if forms else _PAGE)
    asked = Choice(
        experiment=options.experiment,
        sweep=options.sweep,
        condition=options.filter or "",
        status="FAILED" if options.failed else "RUNNING" if options.running else "",
        is_top=not (options.all or options.sweep or options.filter or options.failed or options.running),
        most=None if most is None else most + 1,
    )
    found = choice.find(commands.tracking(options), asked)
    is_more, found = most is not None and len(found) > most, found[:most]
    if forms:
        ((name, place),) = forms.items()
        _write(place, lambda: _WRITERS[name](found, columns), name)
        if place != _STDOUT:
            Screen().table({"written": f"{place}: {len(found):,} run{'s' * (len(found) != 1)}"})
    else:
        _show(Screen(), found, columns, is_more)
    return commands.DONE


def _show(screen: Screen, found: Sequence[StoredRun], columns: Sequence[str] | None, is_more: bool) -> None:
    if not found:
        screen.out.print("no run is like that")
        return
    if columns is None:
        head, lines = listing.rows(found)
        left: Sequence[str] = listing.LEFT
    else:
        frame.content(found, columns)  # It says which column is not there.
        head, lines = list(columns), listing.chosen(found, columns)
        left = plain.FACTS
    screen.columns(head, lines, left)
    if is_more:
        screen.out.print(f"\nthe newest {len(found)}; more with --most {10 * len(found)}")


def _write(place: str, content: Callable[[], str | bytes], form: str) -> None:
    """Write to a file, or to stdout for `-`."""
    made = content()
    if place == _STDOUT:
        assert isinstance(made, str)
        sys.stdout.write(made)
        return
    try:
        Path(place).write_bytes(made.encode() if isinstance(made, str) else made)
    except OSError as error:
        raise SettingsError(f"--{form}={place} cannot be written: {first_line(error)}") from error


def _as_json(found: Sequence[StoredRun], columns: Sequence[str] | None) -> str:
    if columns is not None:
        raise SettingsError("--json has all of each run; --columns is for the screen, --csv, --parquet and --latex")
    content: dict[str, Any] = {"schema": SCHEMA, "runs": [plain.of_run(run) for run in found]}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _as_csv(found: Sequence[StoredRun], columns: Sequence[str] | None) -> str:
    return str(frame.of_runs(found, columns).to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S.%f%z"))


def _as_latex(found: Sequence[StoredRun], columns: Sequence[str] | None) -> str:
    import pandas as pd

    if columns is None:  # All of them would fit no page.
        head, lines = listing.rows(found)
        table = pd.DataFrame(lines, columns=head)
    else:
        table = frame.of_runs(found, columns)
    return str(table.to_latex(index=False, escape=True, na_rep="", float_format="%.4f"))


def _as_parquet(found: Sequence[StoredRun], columns: Sequence[str] | None) -> bytes:
    return bytes(frame.of_runs(found, columns).to_parquet(index=False))


_WRITERS: dict[str, Callable[[Sequence[StoredRun], Sequence[str] | None], Any]] = {
    "json": _as_json,
    "csv": _as_csv,
    "parquet": _as_parquet,
    "latex": _as_latex,
}


def _columns(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise SettingsError("--columns names no column")
    return list(dict.fromkeys(names))


def _parser() -> argparse.ArgumentParser:
    parser = commands.parser(
        "runs",
        "List recorded runs, the newest first: single runs and sweeps, or the jobs of one sweep.",
        "0 listed, also if there is none; 2 there is no such store, experiment, sweep or column",
        _EXAMPLES,
    )
    parser.add_argument("--experiment", default="mnist_exp", metavar="NAME", help="whose runs; default: mnist_exp")
    parser.add_argument("--sweep", metavar="PARENT", help="the runs of this sweep")
    parser.add_argument("--filter", metavar="CONDITION", help="only runs that meet it, in MLflow's language")
    status = parser.add_mutually_exclusive_group()
    status.add_argument("--failed", action="store_true", help="only runs that failed, jobs of sweeps too")
    status.add_argument("--running", action="store_true", help="only runs that are at work, with their progress")
    parser.add_argument("--all", action="store_true", help="the jobs of sweeps too")
    parser.add_argument("--columns", metavar="A,B", help="these columns: params and metrics by name, tags.NAME")
    parser.add_argument("--most", type=int, metavar="N", help=f"at most so many; default: {_PAGE}, or all in a file")
    for name, meaning in (("json", "all of each run"), ("csv", "a table"), ("latex", "a table")):
        parser.add_argument(
            f"--{name}", nargs="?", const=_STDOUT, metavar="FILE", help=f"{meaning}, to a file or to stdout"
        )
    parser.add_argument("--parquet", metavar="FILE", help="a table, to a file")
    commands.add_tracking(parser)
    return parser
