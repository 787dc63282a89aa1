"""A name that begins with `_` is its module's own: no other module uses it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("mnist_exp", "hydra_plugins", "benchmarks", "experiments")
FILES = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
PRIVATE = re.compile(r"_[^_]\w*(?<!_)")
REASON = re.compile(r"# (?!type:|noqa)")
DOCUMENTED = {"_exit", "_replace"}  # Of `os` and of named tuples: private by their looks only.
THEIRS = {"_storage"}  # Of Optuna's studies, too: there, a reason is enough.


def private_uses(source: str, own: frozenset[str] = frozenset()) -> list[str]:
    """Return the uses of private names of other modules, but for those of other projects that a comment says why of.

    One comment is enough for a function.

    Args:
        source: of a module.
        own: the private names that this project's modules define.
    """
    tree, lines = ast.parse(source), source.splitlines()
    here = defined(tree)
    uses = [(place, line, name) for place, line, name in named(tree) if name not in here | DOCUMENTED]
    explained = {place for place, line, _ in uses if any(map(REASON.search, lines[max(line - 2, 0) : line]))}
    return [f"line {line}: {name}" for place, line, name in uses if name in own or place not in explained]


def named(node: ast.AST, function: str = "") -> Iterator[tuple[str, int, str]]:
    """Yield (function that it is in, line, name) of each private name that is imported, or read from an object."""
    for child in ast.iter_child_nodes(node):
        place = f"{child.name} {child.lineno}" if isinstance(child, ast.FunctionDef) else function
        if isinstance(child, ast.ImportFrom):
            yield from ((place, child.lineno, each.name) for each in child.names if PRIVATE.fullmatch(each.name))
        elif isinstance(child, ast.Attribute) and PRIVATE.fullmatch(child.attr) and not is_self(child.value):
            yield place, child.lineno, child.attr
        yield from named(child, place)


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def defined(tree: ast.AST) -> set[str]:
    """Return the private names that a module defines, of its own and of its classes."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            names.add(node.attr)
    return {name for name in names if PRIVATE.fullmatch(name)}


@pytest.fixture(scope="module")
def own():
    names = frozenset(name for file in FILES for name in defined(ast.parse(file.read_text(encoding="utf-8"))))
    return names - THEIRS


@pytest.mark.parametrize("file", [str(file.relative_to(ROOT)) for file in FILES])
def test_module_uses_no_private_name_of_another(file, own):
    assert private_uses((ROOT / file).read_text(encoding="utf-8"), own) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from mnist_exp.data.mnist import _read", ["line 1: _read"]),
        ("from mnist_exp.data import mnist\nmnist._read()", ["line 2: _read"]),
        ("mnist._read()  # A reason makes it no better.", ["line 1: _read"]),
        ("study._trial", ["line 1: _trial"]),
        ("study._trial  # type: ignore[attr-defined]", ["line 1: _trial"]),
        ("study._trial  # Optuna has no other way.", []),
        ("# Optuna has no other way.\nstudy._trial", []),
        ("def f(study):\n    # No other way.\n    study._a\n    pass\n    study._b", []),
        ("study._a  # No other way.\ndef f(study):\n    pass\n    study._b", ["line 4: _b"]),
        ("class A:\n    def _b(self):\n        return self._c", []),
        ("class A:\n    def _b(self, other):\n        return other._b", []),
        ("import os\nos._exit(1)\nconfig._target_\na.__class__", []),
    ],
)
def test_what_counts_as_a_private_name_of_another_module(source, found):
    assert private_uses(source, frozenset({"_read"})) == found
