"""Serve a page to draw digits on, read by a run's model: `python -m mnist_exp.demo RUN_ID`."""

import argparse
import contextlib
import socket
import time
from typing import TYPE_CHECKING

from mnist_exp import commands
from mnist_exp.errors import SettingsError
from mnist_exp.experiment import recall
from mnist_exp.inference import doubt, recorded_task
from mnist_exp.runtime import imports, local_server
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tasks.classification import Classification
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    from mnist_exp.config.schema import Settings
    from mnist_exp.demo_page.session import DemoSession

PORT = 7860
_EXAMPLES = 10 * 26 * 26  # of a short visit: for each map of what the model looks at it is asked so often


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: demo(_parser().parse_args()))


def demo(options: argparse.Namespace) -> int:
    """Serve the page of a run's model until a signal ends the process.

    Args:
        options: the options of the command line.
    Raises: SettingsError: there is no such run, it has no model, or the address is in use. Nothing was served.
    """
    screen = Screen()
    with local_server.listener(options.host, options.port) as bound:
        run = commands.find(options)
        session = load(run, options)
        with serving(session, options.host, bound) as address:
            _announce(screen, run, session, options.host, address)
            while True:
                time.sleep(3600)


def load(run: StoredRun, options: argparse.Namespace) -> "DemoSession":
    """Return the session of a run, ready to answer. Imports Keras where NumPy does not compute its model.

    Args:
        run: the run.
        options: the options of the command line.
    Raises: SettingsError: the run has no model for images.
    """
    from mnist_exp.inference.load import check_has_model, to_answer

    check_has_model(run)  # A sweep has no task of its own either.
    task = recorded_task.of_run(run, commands.trusted(options))
    if not isinstance(task, Classification):
        raise SettingsError(
            f"run {run.run_id} is of the task {task.name}: the page shows classes; predict and evaluate show the rest"
        )
    with imports.quick_imports():
        model = to_answer(run, commands.trusted(options), _EXAMPLES)
        from mnist_exp.demo_page.session import DemoSession, mistakes_or_why_none
    mistakes = mistakes_or_why_none(run, _settings(run, options))
    session = DemoSession(run, model, task, mistakes, doubt.of_run(run, task))
    session.warm_up()
    return session


def serving(session: "DemoSession", host: str, bound: socket.socket) -> "contextlib.AbstractContextManager[str]":
    """Serve a session in a thread. The context gives the page's address as soon as the server answers.

    Args:
        session: the run and the model that answer.
        host: the address that the socket is bound to.
        bound: the socket.
    """
    with imports.quick_imports():
        from mnist_exp.demo_page.server import application
    return local_server.serving(application(session, host), host, bound)


def _announce(screen: Screen, run: StoredRun, session: "DemoSession", host: str, address: str) -> None:
    accuracy = run.metrics.get(names.TEST_ACCURACY)
    tested = f", test accuracy {accuracy:.4f}" if accuracy is not None else ""
    rows = {"run": f"{run.run_id}, {run.name}{tested}"}
    mistakes = session.mistakes
    shown = f"{len(mistakes.labels)} of {mistakes.count} in {mistakes.tested:,} test images"
    rows["mistakes"] = f"not shown: {mistakes.why_none}" if mistakes.why_none else shown
    for sentence in session.doubt.told():
        rows["note"] = sentence
    rows["open"] = f"{address}   (Ctrl-C stops it)"
    if not host.strip("0.:"):  # 0.0.0.0 and :: mean all addresses of this machine; a browser cannot open them.
        port = address.rpartition(":")[2]
        rows["open"] = f"http://localhost:{port}   (Ctrl-C stops it)"
        rows["elsewhere"] = f"http://{socket.gethostname()}:{port}, or this machine's IP address instead of its name"
    screen.table(rows)
    if not local_server.is_loopback(host):
        screen.warn(
            f"--host={host} lets everyone who can reach this machine use the page, without a password or encryption; "
            "without --host only this machine can"
        )


def _settings(run: StoredRun, options: argparse.Namespace) -> "Settings | SettingsError":
    """Return a run's settings, to find its test set, or why they cannot be used. Without mirrors: no download."""
    try:
        config = run.config()
        section = config.get("data")
        if isinstance(section, dict):
            if options.data_path is not None:
                section["path"] = options.data_path
            if "mirrors" in section:
                section["mirrors"] = []
        trusted = set(commands.trusted(options))
        tracking = commands.tracking(options, run.experiment)
        return recall.check_config(config, trusted, run, tracking, "--trusted-modules={}")
    except SettingsError as error:
        return error


def _parser() -> argparse.ArgumentParser:
    parser = commands.parser(
        "demo",
        "Serve a page where you draw a digit or drop an image, and the model of a run predicts its class.",
        "130 Ctrl-C, 143 SIGTERM, 2 there is no such run or the address is in use.",
        [
            "RUN_ID",
            "models:/digits@champion --port 0",
        ],
    )
    commands.add_run(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; default 127.0.0.1: only this machine can use the page",
    )
    parser.add_argument(
        "--port", type=int, default=PORT, metavar="N", help=f"port to listen on; default {PORT}; 0 takes a free one"
    )
    parser.add_argument(
        "--data-path", metavar="PATH", help="where the run's data are on this machine, to show its mistakes"
    )
    return parser


if __name__ == "__main__":
    main()
