"""Draw for the model of a run: `python -m mnist_exp.demo RUN_ID` serves a page on this machine."""

import argparse
import contextlib
import errno
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mnist_exp import commands
from mnist_exp.errors import RunError, SettingsError
from mnist_exp.experiment import recall
from mnist_exp.runtime import imports
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    from mnist_exp.config.schema import Settings
    from mnist_exp.demo_page.session import Exhibit

PORT = 7860


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: demo(_parser().parse_args()))


def demo(options: argparse.Namespace) -> int:
    """Serve the page of a run's model until a signal ends this.

    Raises: SettingsError: there is no such run, it has no model, or the address is not free; nothing is served.
    """
    screen = Screen()
    with _listener(options.host, options.port) as listener:
        run = commands.find(options)
        exhibit = load(run, options)
        with serving(exhibit, options.host, listener) as address:
            _announce(screen, run, exhibit, options.host, address)
            while True:
                time.sleep(3600)


def load(run: StoredRun, options: argparse.Namespace) -> "Exhibit":
    """Return what the page shows of a run, ready to answer. Imports Keras.

    Raises: SettingsError: the run has no model that takes images.
    """
    from mnist_exp.inference.load import of_run

    with imports.quick_imports():
        model = of_run(run, commands.trusted(options))
        from mnist_exp.demo_page import session
    shown = session.Exhibit(run, model, session.mistakes_or_why_none(run, _settings(run, options)))
    shown.warm_up()
    return shown


@contextlib.contextmanager
def serving(exhibit: "Exhibit", host: str, listener: socket.socket) -> Iterator[str]:
    """Serve an exhibit in a thread while this lasts; gives the page's address, once it answers.

    Args:
        exhibit: what is shown.
        host: that the listener is bound to.
        listener: bound, not yet listening.
    Raises: RunError: the server does not start.
    """
    with imports.quick_imports():
        import uvicorn

        from mnist_exp.demo_page.server import application
    # In a thread, as a server in the main one takes the signals for itself and waits for open connections.
    app = application(exhibit, host)
    config = uvicorn.Config(app, ws="none", lifespan="off", log_level="warning", server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RunError("the server ended before it had begun")
            time.sleep(0.01)
        port = listener.getsockname()[1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    finally:
        server.should_exit = True
        thread.join(timeout=1)


def _announce(screen: Screen, run: StoredRun, exhibit: "Exhibit", host: str, address: str) -> None:
    from mnist_exp.demo_page.server import is_loopback

    accuracy = run.metrics.get(names.TEST_ACCURACY)
    tested = f", test accuracy {accuracy:.4f}" if accuracy is not None else ""
    rows = {"run": f"{run.run_id}, {run.name}{tested}"}
    mistakes = exhibit.mistakes
    shown = f"{len(mistakes.labels)} of {mistakes.count} in {mistakes.tested:,} test images"
    rows["mistakes"] = f"not shown: {mistakes.why_none}" if mistakes.why_none else shown
    rows["open"] = f"{address}   (Ctrl-C ends it)"
    if not host.strip("0.:"):  # 0.0.0.0 and :: are all addresses of this machine, and none to open.
        port = address.rpartition(":")[2]
        rows["open"] = f"http://localhost:{port}   (Ctrl-C ends it)"
        rows["elsewhere"] = f"http://{socket.gethostname()}:{port}, or this machine's address in place of its name"
    screen.table(rows)
    if not is_loopback(host):
        screen.warn(
            f"--host={host} lets everyone who reaches this machine use the page, without a password or encryption; "
            "without --host only this machine does"
        )


def _listener(host: str, port: int) -> socket.socket:
    """Return a socket that holds an address, so that it is free once all is loaded; who comes early waits.

    Raises: SettingsError: the address is not free, or not of this machine.
    """
    if not 0 <= port <= 65535:
        raise SettingsError(f"--port={port} is not allowed: it must be 0, for a free one, to 65535")
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(
            f"--host={host[:200]} is not known: use 127.0.0.1, or an address of this machine"
        ) from error
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise SettingsError(_why_not(host, port, error)) from error
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port={port} is in use by another program: choose another, as --port={port % 65535 + 1}, or --port=0"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host={host} is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all of its addresses"
    return f"--host={host} --port={port} cannot be used: {error.strerror}; choose another with --port, or --port=0"


def _settings(run: StoredRun, options: argparse.Namespace) -> "Settings | SettingsError":
    """Return what a run was made of, to find its test set, or why that is not known. Nothing is ever downloaded."""
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
        "Serve a page on which you draw a digit, or drop an image, for the model of a run.",
        "130 Ctrl-C, 143 SIGTERM, 2 there is no such run or the address is not free.",
        [
            "RUN_ID",
            "models:/digits@champion --port 0",
        ],
    )
    commands.add_run(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default 127.0.0.1: this machine")
    parser.add_argument(
        "--port", type=int, default=PORT, metavar="N", help=f"port to listen on; default {PORT}; 0 takes a free one"
    )
    parser.add_argument("--data-path", metavar="PATH", help="where the run's data lie here, to show its mistakes")
    return parser


if __name__ == "__main__":
    main()
