"""Read a builder's parameters without importing what it is built on.

Our own builder modules are light, so they are imported. Keras, and modules that a user trusts, may take
seconds to import: their source is parsed instead, following re-exports from file to file.

Why not griffe: it reads a package as a whole, Keras in 4.6 s of CPU time. Given single files, with the search for them
still ours, it adds 0.05 s to the 0.78 s of CPU time in which `python -m mnist_exp.run model.dorpout=1` tells a typo
(medians of 7, in turn): for 0.08 s of its import it would save the few lines that read a list of arguments.
"""

import ast
import functools
import importlib.util
import inspect
import re
import types
import typing
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

REQUIRED: Any = inspect.Parameter.empty


@dataclass(frozen=True)
class ReadsFile:
    """Metadata for `Annotated`: a text that may name a file, whose bytes then decide the result."""


InputFile = typing.Annotated[str, ReadsFile()]
_ANNOTATION_NAMES: dict[str, Any] = {
    "__builtins__": {},
    "pydantic": pydantic,
    "typing": typing,
    "Field": pydantic.Field,
    "InputFile": InputFile,
    "fields": types.SimpleNamespace(InputFile=InputFile),
    **{kind.__name__: kind for kind in (bool, int, float, str, list, tuple, dict)},
    **{name: getattr(typing, name) for name in ("Any", "Annotated", "Literal", "Optional", "Union")},
}


@dataclass(frozen=True)
class Parameter:
    """One argument of a builder; `annotation` is Any where nothing is known of its type."""

    annotation: Any
    default: Any = REQUIRED


@dataclass(frozen=True)
class Signature:
    """The parameters of a function, or of a class's constructor."""

    parameters: dict[str, Parameter]
    is_class: bool
    accepts_any: bool
    positional: tuple[str, ...] = ()
    docstring: str = ""

    def meaning(self, name: str) -> str:
        """Return what the docstring says of an argument, up to its first semicolon or full stop; empty if nothing."""
        found: list[str] = []
        indent = 0
        for line in self.docstring.partition("Args:\n")[2].splitlines():
            words = line.strip()
            if found and (not words or len(line) - len(line.lstrip()) <= indent):
                break
            if found:
                found.append(words)
            elif match := re.match(rf"{re.escape(name)}(?: \(.*?\))?: *(.*)", words):
                found, indent = [match[1]], len(line) - len(line.lstrip())
        return re.split(r";|\.(?:\s|$)", " ".join(found))[0]


@functools.cache
def of_function(function: types.FunctionType) -> Signature:
    """Return the signature of a function that is already imported. A sweep asks for it with each job."""
    raw = inspect.signature(function).parameters.values()
    named = {
        p.name: Parameter(Any if isinstance(p.annotation, str) or p.annotation is p.empty else p.annotation, p.default)
        for p in raw
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    positional = tuple(p.name for p in raw if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    return Signature(
        named, False, any(p.kind is p.VAR_KEYWORD for p in raw), positional, inspect.getdoc(function) or ""
    )


def from_source(target: str) -> Signature | None:
    """Return the signature of `package.module.name` from source alone, or None if it cannot be found there.

    Nothing is imported or run: only the top-level package is located, the rest is read as text.
    """
    found = _find(target.split("."), depth=0)
    if found is None:
        return None
    node, _ = found
    if isinstance(node, ast.FunctionDef):
        return _signature(node.args, ast.get_docstring(node), skip_first=False, is_class=False)
    constructor = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if constructor is None:
        return None
    docstring = ast.get_docstring(constructor) or ast.get_docstring(node)
    return _signature(constructor.args, docstring, skip_first=True, is_class=True)


def module_exists(dotted: str) -> bool:
    """Tell whether the top-level package of a dotted name can be found; imports nothing."""
    try:
        return importlib.util.find_spec(dotted.split(".", maxsplit=1)[0]) is not None
    except (ImportError, ValueError):
        return False


def _find(parts: list[str], depth: int) -> tuple[ast.FunctionDef | ast.ClassDef, Path] | None:
    if depth > 8 or not module_exists(parts[0]):
        return None
    spec = importlib.util.find_spec(parts[0])
    assert spec is not None
    folders = list(spec.submodule_search_locations or ())
    # A folder without an __init__.py is a package too.
    path = Path(folders[0]) / "__init__.py" if folders else Path(spec.origin or "")
    if path.suffix != ".py":
        return None
    for i, part in enumerate(parts[1:], start=1):
        inner = _submodule(path, part)
        if inner is None:
            return _find_in(path, parts[:i], part, depth) if i == len(parts) - 1 else None
        path = inner
    return None


def _submodule(path: Path, name: str) -> Path | None:
    if path.name != "__init__.py":
        return None
    for candidate in (path.parent / name / "__init__.py", path.parent / f"{name}.py"):
        if candidate.is_file():
            return candidate
    return None


def _find_in(
    path: Path, module: list[str], name: str, depth: int
) -> tuple[ast.FunctionDef | ast.ClassDef, Path] | None:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, OSError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node, path
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    package = module if path.name == "__init__.py" else module[:-1]
                    base = package[: len(package) - node.level + 1] if node.level else []
                    source = [*base, *(node.module.split(".") if node.module else [])]
                    return _find([*source, alias.name], depth + 1)
    return None


def _signature(arguments: ast.arguments, docstring: str | None, *, skip_first: bool, is_class: bool) -> Signature:
    named = dict(_parameters(arguments))
    if skip_first and named:
        del named[next(iter(named))]
    positional = tuple(a.arg for a in (*arguments.posonlyargs, *arguments.args))[skip_first:]
    return Signature(named, is_class, arguments.kwarg is not None, positional, docstring or "")


def _parameters(arguments: ast.arguments) -> Iterator[tuple[str, Parameter]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    for argument, default in zip(positional, [*missing, *arguments.defaults], strict=True):
        yield argument.arg, _parameter(argument, default)
    for argument, keyword_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield argument.arg, _parameter(argument, keyword_default)


def _parameter(argument: ast.arg, default: ast.expr | None) -> Parameter:
    value: Any = REQUIRED
    if default is not None:
        try:
            value = ast.literal_eval(default)
        except ValueError:
            value = ...
    if argument.annotation is None:
        guess = type(value) if isinstance(value, bool | float | str) else Any
        return Parameter(guess, value)
    try:
        # The text comes from Keras or from a module that the user trusts and that will be imported to train.
        code = compile(ast.Expression(argument.annotation), "<annotation>", "eval")
        annotation = eval(code, dict(_ANNOTATION_NAMES))  # noqa: S307
        # Pydantic would run the text of a quoted one.
        return Parameter(annotation if _is_usable(annotation) else Any, value)
    except Exception:
        return Parameter(Any, value)


def _is_usable(annotation: Any) -> bool:
    """Tell whether Pydantic can check values against an annotation, without a text left in it to be run."""
    if isinstance(annotation, str | typing.ForwardRef):
        return False
    if typing.get_origin(annotation) is typing.Literal:
        return True
    inner = typing.get_args(annotation)
    inner = inner[:1] if typing.get_origin(annotation) is typing.Annotated else inner
    if not all(_is_usable(kind) for kind in inner):
        return False
    try:
        hash(annotation)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pydantic.TypeAdapter(annotation, config={"arbitrary_types_allowed": True})
    except Exception:
        return False
    return True
