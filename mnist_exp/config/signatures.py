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
from typing import Any, NamedTuple

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
# Whose names an annotation may use; they are imported here anyway, or cost next to nothing.
_TYPE_MODULES = (
    "annotated_types",
    "collections.abc",
    "mnist_exp.config.fields",
    "pydantic",
    "typing",
    "typing_extensions",
)
# What types, and their limits, are assigned as.
_ALIASED = (ast.Subscript, ast.Name, ast.Attribute, ast.BinOp, ast.Constant)
_MOST_STEPS = 8  # from file to file, and from alias to alias


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
    node, module = found
    if isinstance(node, ast.FunctionDef):
        return _signature(node.args, ast.get_docstring(node), module, is_class=False)
    if not isinstance(node, ast.ClassDef):
        return None
    constructor = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if constructor is None:
        return None
    docstring = ast.get_docstring(constructor) or ast.get_docstring(node)
    return _signature(constructor.args, docstring, module, is_class=True)


def module_exists(dotted: str) -> bool:
    """Tell whether the top-level package of a dotted name can be found; imports nothing."""
    try:
        return importlib.util.find_spec(dotted.split(".", maxsplit=1)[0]) is not None
    except (ImportError, ValueError):
        return False


class _Module(NamedTuple):
    """A file of source: its dotted name in parts, and what stands in it."""

    path: Path
    parts: list[str]
    body: list[ast.stmt]

    def full_name(self, node: ast.ImportFrom) -> list[str]:
        """Return the dotted name, in parts, of the module that a line imports from."""
        package = self.parts if self.path.name == "__init__.py" else self.parts[:-1]
        base = package[: len(package) - node.level + 1] if node.level else []
        return [*base, *(node.module.split(".") if node.module else [])]


def _find(parts: list[str], depth: int) -> tuple[ast.stmt, _Module] | None:
    """Return the statement that defines a function, a class or another name of a module, and that module."""
    if depth > _MOST_STEPS or not module_exists(parts[0]):
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


def _find_in(path: Path, parts: list[str], name: str, depth: int) -> tuple[ast.stmt, _Module] | None:
    try:
        module = _Module(path, parts, ast.parse(path.read_text(encoding="utf-8")).body)
    except (SyntaxError, UnicodeDecodeError, OSError):
        return None
    return _defined(name, module, depth)


def _defined(name: str, module: _Module, depth: int) -> tuple[ast.stmt, _Module] | None:
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node, module
        if name in _names_given_in(node):
            return node, module
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _find([*module.full_name(node), alias.name], depth + 1)
    return None


def _names_given_in(node: ast.stmt) -> set[str]:
    """Return the names that a statement gives a value: `Width = …`, `Width: TypeAlias = …` or `type Width = …`."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    elif type(node).__name__ == "TypeAlias":  # From Python 3.12.
        targets = [node.name]  # type: ignore[attr-defined]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _signature(arguments: ast.arguments, docstring: str | None, module: _Module, *, is_class: bool) -> Signature:
    named = dict(_parameters(arguments, module))
    if is_class and named:
        del named[next(iter(named))]
    positional = tuple(a.arg for a in (*arguments.posonlyargs, *arguments.args))[is_class:]
    return Signature(named, is_class, arguments.kwarg is not None, positional, docstring or "")


def _parameters(arguments: ast.arguments, module: _Module) -> Iterator[tuple[str, Parameter]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    for argument, default in zip(positional, [*missing, *arguments.defaults], strict=True):
        yield argument.arg, _parameter(argument, default, module)
    for argument, keyword_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield argument.arg, _parameter(argument, keyword_default, module)


def _parameter(argument: ast.arg, default: ast.expr | None, module: _Module) -> Parameter:
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
        annotation = _evaluated(argument.annotation, module, depth=0)
        # Pydantic would run the text of a quoted one.
        return Parameter(annotation if _is_usable(annotation) else Any, value)
    except Exception:
        return Parameter(Any, value)


def _evaluated(expression: ast.expr, module: _Module, depth: int) -> Any:
    """Return the value of an annotation, whose names may be aliases of the module or of another one.

    Raises: NameError, or whatever the expression raises, where it cannot be told without running the module.
    """
    names = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    known = {name: _value_of(name, module, depth) for name in names}
    # The text comes from Keras or from a module that the user trusts and that will be imported to train.
    code = compile(ast.Expression(expression), "<annotation>", "eval")
    return eval(code, {"__builtins__": {}} | known)  # noqa: S307


def _value_of(name: str, module: _Module, depth: int) -> Any:
    if name in _ANNOTATION_NAMES:
        return _ANNOTATION_NAMES[name]
    for node in module.body:
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            if (alias.asname or alias.name) != name:
                continue
            if isinstance(node, ast.Import) and alias.name in _TYPE_MODULES:
                return importlib.import_module(alias.name)
            if isinstance(node, ast.ImportFrom) and (source := ".".join(module.full_name(node))) in _TYPE_MODULES:
                return getattr(importlib.import_module(source), alias.name)
    found = _defined(name, module, depth)
    value = getattr(found[0], "value", None) if found else None
    if found is None or depth > _MOST_STEPS or not isinstance(value, _ALIASED):
        raise NameError(name)
    return _evaluated(value, found[1], depth + 1)


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
