"""The front door: `python -m mnist_exp`, the versions, and what `mnist_exp.run` is."""

import ast
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import mnist_exp
from mnist_exp import commands

ROOT = Path(__file__).parents[1]
VERSION = f"mnist_exp {metadata.version('mnist_exp')} (Hydra {metadata.version('hydra-core')})\n"


def python(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120)


def test_every_command_has_a_line_that_says_what_it_does():
    done = python("-m", "mnist_exp")
    assert done.returncode == 0
    lines = [line.split(maxsplit=3) for line in done.stdout.splitlines() if line.startswith("  python -m")]
    told = {words[2]: words[3] for words in lines}
    scripts = {file.stem for file in (ROOT / "mnist_exp").glob("[!_]*.py") if "\n    main()\n" in file.read_text()}
    assert set(told) == {f"mnist_exp.{name}" for name in scripts} >= {"mnist_exp.run", "mnist_exp.deliver"}
    assert lines[0][2] == "mnist_exp.run"
    assert told["mnist_exp.run"] == "Train one experiment, or with -m a sweep of them"
    assert all(len(line) <= 120 for line in done.stdout.splitlines())
    place = Path(done.stdout.splitlines()[-1].removeprefix("Read on in "))
    assert place == ROOT / "README.md"
    assert python("-m", "mnist_exp", "--help").stdout == done.stdout


@pytest.mark.parametrize("words", [["mnist_exp"], ["mnist_exp.run"], ["mnist_exp.run", "model=mlp"]])
def test_version_is_ours(words):
    done = python("-m", *words, "--version")
    assert (done.returncode, done.stdout) == (0, VERSION)


def test_command_without_its_dot_is_told_how_to_be_written():
    done = python("-m", "mnist_exp", "predict", "abc")
    assert done.returncode == 2
    assert done.stderr.endswith("  predict is not understood: a command is called by python -m mnist_exp.predict\n")


def test_names_that_are_functions_stay_so_as_nothing_imports_their_scripts():
    check = "import mnist_exp.run_command, mnist_exp; print(mnist_exp.run.__module__, callable(mnist_exp.run))"
    assert python("-c", check).stdout == "mnist_exp.experiment.api True\n"
    scripts = {f"mnist_exp.{name}" for name in commands.names() if name in mnist_exp.__all__}
    assert scripts == {f"mnist_exp.{name}" for name in ("run", "runs", "report", "evaluate", "predict")}
    importers = []
    folders = ("mnist_exp", "hydra_plugins", "benchmarks", "tests", "docs")
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                named = [node.module] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
                importers += [file] if not scripts.isdisjoint(named) else []
    assert importers == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"mnist-exp": "mnist_exp.run_command:main"}


@pytest.mark.parametrize("words", [["mnist_exp"], ["mnist_exp.run", "--help"], ["mnist_exp.run", "--cfg", "job"]])
def test_output_that_nobody_reads_to_its_end_is_no_error(words):
    with subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # As `head` does, only sooner.
        assert process.stderr.read() == b""
    assert process.returncode == 0
