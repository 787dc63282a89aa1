"""Modules that are imported when something of them is used first, and not before.

TensorFlow and Keras import parts of theirs that a training never uses, and with them scikit-learn, matplotlib and,
where it is installed, JAX: 1.5 s of 3.7 and 220 MB of 840 (docs/decisions/0002-start-and-exit.md).
"""

import contextlib
import importlib.abc
import importlib.machinery
import inspect
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from typing import Any

# Not `tensorflow._api.v2.lite`: importing it late puts the package `tensorflow.lite` in the place of `tf.lite`.
UNUSED = frozenset(
    (
        "keras.src.visualization",  # matplotlib
        "keras.visualization",
        "keras.wrappers",  # scikit-learn
        "tensorflow._api.v2.__internal__.feature_column",
        "tensorflow._api.v2.compat.v1",
        "tensorflow._api.v2.compat.v2",
        "tensorflow._api.v2.feature_column",
    )
)
# Python asks these of every module; those that a module has are there before it is executed.
_OF_PYTHON = frozenset(("__cached__", "__file__", "__loader__", "__package__", "__path__", "__spec__", "__wrapped__"))
_loading = threading.RLock()


_LIBRARIES = ("keras", "mlflow", "tensorflow")


@contextlib.contextmanager
def imported_later(names: frozenset[str] = UNUSED, absent: Sequence[str] = ()) -> Iterator[None]:
    """Put modules off that are imported in a `with` block, until something of them is used.

    Args:
        names: of these modules.
        absent: packages that Keras, MLflow and TensorFlow, which can do without, do not find in the block; others do.
    """
    finder = _Finder(names, absent)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, names: frozenset[str], absent: Sequence[str]) -> None:
        self._names, self._absent = names, absent

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a module that is put off; None for any other. Raises: ModuleNotFoundError: it is to be absent."""
        if name in self._absent and _importer().partition(".")[0] in _LIBRARIES:
            raise ModuleNotFoundError(f"{name} is not looked for here", name=name)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name in self._names else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Later(spec.loader)
        return spec


def _importer() -> str:
    """Return the name of the module whose import statement is being executed."""
    frame, name = inspect.currentframe(), __name__
    while frame is not None and (name == __name__ or name.startswith("importlib.")):
        frame = frame.f_back
        name = str(frame.f_globals.get("__name__", "")) if frame is not None else ""
    return name


class _Later(importlib.abc.Loader):
    """Makes a module and leaves it empty; the module has its own loader then."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return the empty module."""
        return _Unloaded(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Execute nothing yet."""
        assert module.__spec__ is not None
        module.__loader__ = module.__spec__.loader = self._loader


class _Unloaded(types.ModuleType):
    """A module that executes its file when something is asked of it that only that has."""

    def __getattr__(self, name: str) -> Any:
        if name in _OF_PYTHON:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        _load(self)
        return getattr(self, name)

    def __dir__(self) -> list[str]:
        _load(self)
        return dir(self)


class _Loading(types.ModuleType):
    """A module whose file is being executed; another thread waits for the end of that."""

    def __getattr__(self, name: str) -> Any:
        with _loading:
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _load(module: types.ModuleType) -> None:
    with _loading:
        if type(module) is not _Unloaded:  # Another thread was quicker.
            return
        spec = module.__spec__
        assert spec is not None and spec.loader is not None
        module.__class__ = _Loading  # type: ignore[assignment]
        try:
            spec.loader.exec_module(module)
        except BaseException:
            module.__class__ = _Unloaded
            raise
        module.__class__ = types.ModuleType  # type: ignore[assignment]
