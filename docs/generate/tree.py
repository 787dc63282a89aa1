"""The architecture page: every package and module with the first sentence of its docstring."""

import ast
from pathlib import Path

from generate.links import ROOT
from generate.markdown import code, flags, table


def text() -> str:
    """Return a section a package, those of the repository's root first."""
    package = ROOT / "mnist_exp"
    parts = ["## mnist_exp\n", _modules(package)]
    for folder in sorted(file.parent for file in package.rglob("*/__init__.py") if file.parent != package):
        name = ".".join(folder.relative_to(package.parent).parts)
        parts += [f"## {name}\n", f"{_docstring(folder / '__init__.py')}\n", _modules(folder)]
    return "\n".join(parts)


def _modules(folder: Path) -> str:
    files = sorted(file for file in folder.glob("*.py") if file.stem != "__init__")
    return table(("module", "what it holds"), [[code(file.stem), _docstring(file).split("\n\n")[0]] for file in files])


def _docstring(file: Path) -> str:
    return flags(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "")
