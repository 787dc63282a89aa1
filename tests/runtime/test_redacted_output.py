"""Whatever prints, no secret is seen, and what another program reads stays readable."""

import io
import json
import os
import subprocess
import sys

import pytest

from mnist_exp.runtime.redacted_output import RedactedStream, redacted_output
from mnist_exp.runtime.terminal import Screen

SECRET = "plantedX0123456789"
ADDRESS = f"https://me:{SECRET}@host/x"
PRINTS = f"""
import json, sys, traceback
from mnist_exp import commands
from mnist_exp.runtime.terminal import Screen

def new_command():
    print("a new line", "{ADDRESS}")
    print("password=", "in_two_pieces", sep="")
    print(json.dumps({{"place": "{ADDRESS}", "my_token": "by its name", "tokens": 5, "value": float("nan")}}))
    sys.stderr.write("half a line {SECRET}")
    screen = Screen()
    screen.out.print("from a console {ADDRESS}")
    screen.columns(["place"], [["{ADDRESS}"]])
    screen.table({{"place": "{ADDRESS}"}})
    raise ValueError("token={SECRET}")

commands.leave_with(new_command)
"""


def test_new_print_of_a_command_is_redacted():
    done = subprocess.run(
        [sys.executable, "-c", PRINTS], capture_output=True, text=True, env=os.environ | {"MY_SERVICE_TOKEN": SECRET}
    )
    assert done.returncode == 1
    output = done.stdout + done.stderr
    assert SECRET not in output
    assert "in_two_pieces" not in output
    assert "half a line" not in done.stdout
    assert "a new line https://***@host/x" in done.stdout
    assert output.count("https://***@host/x") == 5
    assert "ValueError: token=***" in done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert str(json.loads(line)) == str(
        {"place": "https://***@host/x", "my_token": "***", "tokens": 5, "value": float("nan")}
    )


@pytest.fixture
def stream():
    kept = io.StringIO()
    return RedactedStream(kept), kept


def test_half_a_line_is_held_until_it_is_whole_or_flushed(stream):
    redacted, kept = stream
    redacted.write("--token ")
    assert kept.getvalue() == ""
    redacted.write("abcdef\nnext")
    assert kept.getvalue() == "--token ***\n"
    redacted.flush()
    assert kept.getvalue() == "--token ***\nnext"


def test_lines_of_json_stay_json_and_what_is_no_secret_stays_as_it_is(stream):
    redacted, kept = stream
    plain = '{"a":1,   "token": 5}\n'
    redacted.write(plain)
    redacted.write('{"deep": "{\\"token\\": \\"abcdef\\", \\"b\\": 1}", "c": 2}\n')
    first, second = kept.getvalue().splitlines(keepends=True)
    assert first == plain
    assert json.loads(json.loads(second)["deep"]) == {"token": "***", "b": 1}


def test_streams_are_put_back(capsys):
    before = sys.stdout, sys.stderr
    with redacted_output():
        print("password=abcdef", end="")
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "password=***"


def test_screen_of_a_notebook_is_redacted_without_a_command(capsys, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", SECRET)
    screen = Screen()
    screen.warn(f"from {ADDRESS}")
    screen.out.print(SECRET)
    screen.error(SECRET)
    output = capsys.readouterr()
    assert output.err == "warning: from https://***@host/x\n***\n"
    assert output.out == "***\n"


def test_absl_does_not_close_the_stderr_that_is_redacted(monkeypatch, tmp_path):
    """absl-py 2.5 closes its stream unless that equals sys.stderr: findings/absl-closes-a-replaced-stderr.sh."""
    from absl.logging import PythonHandler

    with (tmp_path / "stderr").open("w") as own:
        monkeypatch.setattr("sys.stderr", own)
        handler = PythonHandler()
        with redacted_output():
            handler.close()
            assert not own.closed
        assert handler.stream is own
