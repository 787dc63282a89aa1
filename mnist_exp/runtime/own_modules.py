"""The user's own modules that this process has imported: their files, and who imports whom.

A module is a user's own where its file lies neither in Python's library, nor among the installed packages, nor in this
package; an installed package is one's own if it is trusted.
"""

import ast
import functools
import hashlib
import importlib.util
import site
import sys
import sysconfig
import weakref
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import ModuleType

MISSING = "missing"

_THIS_PACKAGE = Path(__file__).resolve().parents[1]
# A file may be edited after it was imported: what counts is what it held when it was first asked for, just after.
_digests: weakref.WeakKeyDictionary[ModuleType, tuple[object, str]] = weakref.WeakKeyDictionary()
_starts_seen: set[str] = set()


def imported(starts: Iterable[str], trusted: Collection[str], *, all_named: bool = False) -> dict[str, str]:
    """Return the own modules that some modules need, and that are imported by now: SHA-256 of their files, in hex.

    Found by the import statements, from module to module. What was imported by a call (`importlib.import_module`) has
    no such statement: of the same folders, all that no other start explains is taken as well.

    Args:
        starts: names of modules. One that could not be imported is taken too, if it has a file.
        trusted: packages whose modules are one's own though they are installed.
        all_named: whether to take what import statements name though it is not imported: after an error, a module that
            raised it is not imported any more.
    """
    starts = list(starts)
    if not starts:
        return {}
    _starts_seen.update(starts)
    explained = _reached(_starts_seen, trusted)
    found = _reached(starts, trusted, all_named=all_named)
    folders = {_import_folder(name, file) for name, file in found.items()}
    for name, module in list(sys.modules.items()):
        file = _file(module)
        if file is None or name in explained or name == "__main__" or _import_folder(name, file) not in folders:
            continue
        if _is_own(name, file, trusted):
            found[name] = file
    return {name: _digest(name, file) for name, file in sorted(found.items())}


def digest_now(name: str) -> str:
    """Return the SHA-256, in hex, of a module's file as it is now; `MISSING` if there is none. Imports nothing."""
    file = source_file(name)
    return MISSING if file is None else hashlib.sha256(file.read_bytes()).hexdigest()


def source_file(name: str) -> Path | None:
    """Return the file of a module, found without importing it or its packages; None if there is none."""
    first, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not rest:
        return Path(spec.origin) if spec.origin and Path(spec.origin).is_file() else None
    *packages, last = rest
    for folder in (folder.joinpath(*packages) for folder in folders):
        for file in (folder / last / "__init__.py", folder / f"{last}.py", *sorted(folder.glob(f"{last}.*.so"))):
            if file.is_file():
                return file
    return None


def shown(name: str) -> str:
    """Return the file of a module as a person knows it: from its import folder, as `my_pkg/nets.py`."""
    file = source_file(name)
    path = name.replace(".", "/")
    if file is None:
        return f"{path}.py"
    return f"{path}/{file.name}" if file.name == "__init__.py" else f"{path}{file.suffix}"


def is_own_file(file: str) -> bool:
    """Tell whether a source file is the user's own; an installed package is not, also if it is trusted."""
    path = Path(file)
    return path.is_absolute() and path.is_file() and _is_own("", file, ())


def _reached(starts: Iterable[str], trusted: Collection[str], *, all_named: bool = False) -> dict[str, str]:
    """Return the files of own modules that are reached by import statements, by name."""
    found: dict[str, str] = {}
    left = [(name, True) for name in starts]
    while left:
        name, is_start = left.pop()
        if name in found:
            continue
        file = _file(sys.modules.get(name))
        if file is None and (is_start or all_named) and (source := source_file(name)) is not None:
            file = str(source)
        package = name.rpartition(".")[0]
        if package:
            left.append((package, False))
        if file is None or not _is_own(name, file, trusted):
            continue
        found[name] = file
        left += [(each, False) for each in _named(name, file)]
    return found


def _named(name: str, file: str) -> tuple[str, ...]:
    stat = Path(file).stat()
    return _imports_of(name, file, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=1024)
def _imports_of(name: str, file: str, *_state: int) -> tuple[str, ...]:
    """Return the modules that a file's import statements may name, wherever they stand in it."""
    if not file.endswith(".py"):
        return ()
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (SyntaxError, ValueError):
        return ()
    package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
    return tuple(dict.fromkeys(_statements(tree, package)))


def _statements(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            if source:
                yield source
                yield from (f"{source}.{alias.name}" for alias in node.names)


def _digest(name: str, file: str) -> str:
    module = sys.modules.get(name)
    if module is None:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    known = _digests.get(module)
    if known is None or known[0] is not module.__spec__:  # Reloaded, it has another one.
        known = _digests[module] = (module.__spec__, hashlib.sha256(Path(file).read_bytes()).hexdigest())
    return known[1]


def _file(module: object) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) and Path(file).is_file() else None


def _import_folder(name: str, file: str) -> Path:
    """Return the folder on the path of imports that a module was found in."""
    path = Path(file)
    return path.parents[name.count(".") + (path.name == "__init__.py")]


def _is_own(name: str, file: str, trusted: Collection[str]) -> bool:
    path = Path(file).resolve()
    if path.is_relative_to(_THIS_PACKAGE) or name.startswith("hydra_plugins."):
        return False
    is_trusted = any(name == package or name.startswith(f"{package}.") for package in trusted)
    return is_trusted or not any(path.is_relative_to(folder) for folder in _installed())


@functools.cache
def _installed() -> tuple[Path, ...]:
    """Return the folders of Python's library and of installed packages."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [*map(sysconfig.get_path, names), *site.getsitepackages(), site.getusersitepackages()]
    return tuple(dict.fromkeys(Path(folder).resolve() for folder in folders))
