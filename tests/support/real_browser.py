"""A real Chromium without a window, and servers for it to look at."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextlib.contextmanager
def browser():
    """Yield a browser; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: one of {', '.join(NAMES)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextlib.contextmanager
def page(**options):
    """Yield a page; its `errors` are what was said on the console as an error, and exceptions."""
    with browser() as opened:
        shown = opened.new_page(**options)
        shown.errors = []
        shown.on("console", lambda said: shown.errors.append(said.text) if said.type == "error" else None)
        shown.on("pageerror", lambda error: shown.errors.append(str(error)))
        yield shown


def until(opened, expression, seconds=15):
    """Wait until an expression is true on a page; `wait_for_function` is forbidden by a policy without `eval`."""
    end = time.monotonic() + seconds
    while not opened.evaluate(expression):
        assert time.monotonic() < end, f"not within {seconds} s: {expression}"
        time.sleep(0.02)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def serving(words, address, seconds=90, **environment):
    """Yield while a server runs, once it answers at an address; nothing of it is left afterwards."""
    log = tempfile.TemporaryFile()  # noqa: SIM115  a pipe that nobody reads would hold it up.
    process = subprocess.Popen(
        [sys.executable, "-m", *words], stdout=log, stderr=log, env=os.environ | environment, start_new_session=True
    )

    def said():
        log.seek(0)
        return log.read().decode()

    try:
        until = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(address, timeout=5):
                    break
            except urllib.error.HTTPError:
                break
            except OSError:
                assert process.poll() is None, said()
                assert time.monotonic() < until, f"nothing answers at {address}: {said()}"
                time.sleep(0.1)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()
