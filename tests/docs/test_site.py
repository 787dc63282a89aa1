"""The site: what is made from the code, where links lead, and that Sphinx finds nothing to warn of."""

import ast
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

from generate import commands, docstrings, links, options, tree  # noqa: E402


@pytest.mark.slow
def test_every_choice_and_option_is_in_the_reference():
    page = options.text()
    for file in [*(ROOT / "conf").glob("[!h]*/*.yaml"), *(ROOT / "experiments").glob("*/*.yaml")]:
        if (file.parent.name, file.stem) != ("sweep", "default"):
            assert f"### {file.parent.name}={file.stem}" in page
    assert "| `model.dropout` | `0.3` | a number, at least 0 and below 1 | share of the pooled values" in page
    assert "| `data.path` | must be given | text | the folder |" in page
    assert "| `hydra.launcher.max_restarts` | `3` |" in page


@pytest.mark.slow
def test_every_command_is_in_the_reference_with_its_options():
    page = commands.text()
    for name in ("run", "inspect", "rerun", "evaluate", "predict", "demo", "export", "report", "deliver"):
        assert f"## {name}\n" in page
    assert "--tolerance X" in page
    assert "exit codes: 0 equal, 1 not equal or failed" in page
    assert "model.dropout=0.5" in page


def test_the_exit_codes_are_those_that_a_shell_sees():
    from mnist_exp.runtime.signals import Terminated

    page = commands.exit_codes()
    assert [line.split()[1] for line in page.splitlines()[2:]] == ["0", "1", "2", "75", "130", "143"]
    assert f"| {Terminated(128 + signal.SIGTERM).code} | SIGTERM" in page
    assert f"| {128 + signal.SIGINT} | Ctrl-C" in page


def test_every_module_is_in_the_architecture_with_a_sentence():
    page = tree.text()
    for file in (ROOT / "mnist_exp").rglob("*.py"):
        if file.stem != "__init__":
            assert f"| `{file.stem}` |" in page
    assert "|  |" not in page


def names_in(tree):
    """The functions, classes, methods and fields that a module or a class defines."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{name}" for name in names_in(node))


def test_the_walks_name_what_there_is():
    names = set(re.findall(r"`([a-z]\w*(?:\.\w+)+)`", (ROOT / "docs" / "walks.md").read_text()))
    # Options, params, and code of other packages.
    names -= {"model.filters", "model.fit", "mnist_exp.models.cnn"}
    assert len(names) > 50
    for name in sorted(names):
        parts = name.split(".")
        files = [ROOT.joinpath("mnist_exp", *parts[:n]).with_suffix(".py") for n in (1, 2, 3)]
        place = next(number for number, file in enumerate(files, start=1) if file.is_file())
        assert ".".join(parts[place:]) in names_in(ast.parse(files[place - 1].read_text())), name


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[S](../SECURITY.md)", "[S](generated/security.md)"),
        ("[f](../experiments/findings/fast.md#how)", "[f](generated/findings/fast.md#how)"),
        ("[t](tutorials/first_run.py)", "[t](generated/tutorials/first_run.rst)"),
        ("[d](decisions)", "[d](decisions/index.md)"),
        ("[h](https://hydra.cc)", "[h](https://hydra.cc)"),
        ("![p](pictures/demo.png)", "![p](pictures/demo.png)"),
        ("[a script](../benchmarks/bench.py)", "a script"),
        ("```\n[S](../SECURITY.md)\n```", "```\n[S](../SECURITY.md)\n```"),
    ],
)
def test_links_lead_to_the_pages_of_the_site(written, shown):
    page = ROOT / "docs" / "some.md"
    assert links.rewrite(written, page, page) == shown


def test_no_page_has_the_name_of_one_that_sphinx_makes():
    assert not {"search", "genindex", "modindex", "py-modindex"} & {page.stem for page in (ROOT / "docs").glob("*.md")}


def test_sections_of_one_line_are_given_a_name_of_their_own():
    lines = ["Do it. Raises: DataError: why.", "", "Returns: a sum", "of all.", "Source: a book.", "", "More."]
    docstrings.split_sections(None, "function", "f", None, None, lines)
    assert [line for line in lines if line] == [
        "Do it.",
        "Raises:",
        "    DataError: why.",
        "Returns:",
        "    a sum",
        "    of all.",
        "Source:",
        "    a book.",
        "More.",
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("(n: Annotated[int, FieldInfo(annotation=NoneType, metadata=[Ge(ge=1)])] = 32)", "(n: int = 32)"),
        ("(n: Annotated[list[int], FieldInfo(metadata=[MinLen(min_length=1)])] = [5, 3])", "(n: list[int] = [5, 3])"),
        ("(n: Annotated[list[Annotated[int, F(m=[Ge(1)])]], F(m=[MinLen(1)])] = [5])", "(n: list[int] = [5])"),
        ("(n: dict[str, Annotated[~int, Allowed(words='a, [28, 28]')] | None])", "(n: dict[str, ~int | None])"),
        ("(n: list = <factory>)", "(n: list = ...)"),
    ],
)
def test_signatures_are_shown_without_ranges(written, shown):
    assert docstrings.readable_defaults(None, "function", "f", None, None, written, None) == (shown, None)


@pytest.mark.slow
def test_sphinx_builds_the_site_without_warnings(tmp_path):
    pytest.importorskip("sphinx")
    repository = tmp_path / "repository"
    shutil.copytree(ROOT / "docs", repository / "docs", ignore=shutil.ignore_patterns("_build", "generated"))
    for name in ("mnist_exp", "conf", "benchmarks", "experiments"):
        shutil.copytree(ROOT / name, repository / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.glob("*.md"):
        shutil.copy(file, repository)
    # The tutorials run when the site is built for its readers, which CI does too.
    words = ["--fail-on-warning", "--quiet", "-D", "sphinx_gallery_conf.plot_gallery=0", "docs", "site"]
    done = subprocess.run([sys.executable, "-m", "sphinx", *words], cwd=repository, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mnist_exp.compose" in (repository / "site" / "reference" / "api.html").read_text()
