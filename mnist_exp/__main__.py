"""Tell which commands there are: `python -m mnist_exp`."""

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

import mnist_exp
from mnist_exp import commands
from mnist_exp.composition import flags
from mnist_exp.config import wording
from mnist_exp.config.argument_parser import Parser
from mnist_exp.errors import SettingsError

_FOLDER = Path(mnist_exp.__file__).parent


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: tell(sys.argv[1:]))


def tell(words: Sequence[str]) -> int:
    """Print the commands, or the version, and return the exit code."""
    parser = Parser(prog="python -m mnist_exp", add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="version", version=flags.version())
    _, others = parser.parse_known_args(words)
    if others:
        known = f"python -m mnist_exp.{others[0]}" if others[0] in commands.names() else "python -m mnist_exp.NAME"
        raise SettingsError(f"{wording.show(others[0])} is not understood: a command is called by {known}")
    print(text())
    return commands.DONE


def text() -> str:
    """Return the page: a line a command, and where to read on."""
    names = commands.names()
    width = max(map(len, names))
    lines = [f"  python -m mnist_exp.{name:<{width}}   {_purpose(name)}" for name in names]
    readme = _FOLDER.parent / "README.md"
    place = str(readme) if readme.is_file() else "the README and the docs of the project"
    head = (mnist_exp.__doc__ or "").partition("\n")[0]
    return "\n".join(
        [
            head,
            "",
            *lines,
            "",
            "Each tells more with --help. mnist-exp is python -m mnist_exp.run, mnist-exp NAME is each of the others;",
            "--version tells the version.",
            f"Read on in {place}",
        ]
    )


def _purpose(name: str) -> str:
    """Return what a command does: the begin of its module's docstring, read without importing it."""
    module = ast.parse((_FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(module) or "").partition(": `python")[0].partition("\n")[0]


if __name__ == "__main__":
    main()
