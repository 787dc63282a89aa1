"""Which code a configuration may name, what arguments it takes, and how it is called.

A `_target_` is allowed when it is a builder of this package, a Keras optimizer, or stands in a module that the
user lists in `trusted_modules`. Everything is checked from the name and the source; nothing named is imported
before training needs it. Hydra's own `instantiate` is not used: it would call anything.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import inspect
import keyword
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mnist_exp.config import fields, optimizers, signatures, wording
from mnist_exp.config.allow_list import within
from mnist_exp.config.signatures import REQUIRED, Parameter, Signature
from mnist_exp.errors import SettingsError
from mnist_exp.runtime import imports, start_folder


@dataclass(frozen=True)
class Kind:
    """A group whose choice is a builder.

    Args:
        group: the group's name in the configuration.
        home: the module of this package, or the Keras package, whose public names are allowed.
        given: arguments that the runner passes itself, by position and in this order.
    """

    group: str
    home: str
    given: tuple[str, ...] = ()


# By name: the builders import `config.fields`, so this package must not import them; it looks them up when asked.
KINDS = {
    kind.group: kind
    for kind in (
        Kind("model", "mnist_exp.models", ("input_shape", "classes")),
        Kind("optimizer", optimizers.PACKAGE),
        Kind("schedule", "mnist_exp.schedules", ("learning_rate", "steps")),
        Kind("augment", "mnist_exp.augmentation"),
        Kind("data", "mnist_exp.data.loaders"),
    )
}


# Readers of pickles, loaders of libraries, dispatchers to any other function, which nothing required here brings along.
_NEVER_TRUSTED = frozenset(
    ("cv2", "dill", "hydra_plugins", "mnist_exp", "pip", "pkg_resources", "setuptools", "tensorboard", "tf_keras")
)


@dataclass(frozen=True)
class Component:
    """A builder and its arguments, as the configuration names them.

    Args:
        group: which group of the configuration it came from.
        target: dotted name of the builder.
        arguments: keyword arguments, checked against its signature.
        trusted: the modules that the user trusts.
    """

    group: str
    target: str
    arguments: dict[str, Any] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The builder's own name, without its module."""
        return self.target.rpartition(".")[2]

    def build(self, *given: Any, **extra: Any) -> Any:
        """Import the builder and call it: `given` by position, `extra` in place of configured arguments.

        It is called in the folder that the command was started in, so that it finds what a relative path names.

        Raises: SettingsError: it cannot be imported, or is not what its group takes, or refuses its arguments.
        """
        with start_folder.working_there():
            return self._call(self._resolve(), given, self.arguments | extra)

    def _call(self, builder: Callable[..., Any], given: Sequence[Any], arguments: Mapping[str, Any]) -> Any:
        try:
            return builder(*given, **arguments)
        except (TypeError, ValueError) as error:
            # Keras refuses arguments with ValueErrors from deep inside; in a user's own code these may be bugs.
            refused = isinstance(error, ValueError) and not within(self.target, self.trusted)
            if not refused and not _raised_at_call(error):
                raise
            raise SettingsError(f"{self.group}: {self.target} refuses its arguments: {error}") from error

    def _resolve(self) -> Callable[..., Any]:
        module, _, name = self.target.rpartition(".")
        # A package of the user's may import Keras, whose libraries say much at their start.
        quietly = imports.quick_imports() if within(module, self.trusted) else contextlib.nullcontext()
        try:
            with quietly:
                builder = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise SettingsError(f"{self.group}._target_={self.target} cannot be imported: {error}") from error
        home = KINDS[self.group].home
        if home == optimizers.PACKAGE and self.target.startswith(home + "."):
            import keras

            allowed = inspect.isclass(builder) and issubclass(builder, keras.optimizers.Optimizer)
        else:
            allowed = within(getattr(builder, "__module__", None) or "", (home, *self.trusted)) and callable(builder)
        if not allowed:
            raise SettingsError(f"{self.group}._target_={self.target} is not a builder defined in a trusted module")
        return builder  # type: ignore[no-any-return]


def check(group: str, section: Mapping[str, Any], trusted: Sequence[str]) -> tuple[Component, list[str]]:
    """Check a section against the allow-list and its builder's signature.

    Args:
        group: one of KINDS.
        section: the section with its `_target_`.
        trusted: the modules that the user trusts.
    Returns: the component, and the problems found; with problems it must not be built.
    """
    kind = KINDS[group]
    target = section.get("_target_")
    arguments = {name: value for name, value in section.items() if name != "_target_"}
    if target is None:
        guess = wording.nearest("_target_", arguments)
        hint = f", did you write {guess}?" if guess else ""
        return Component(group, ""), [f"{group}._target_ is missing: it names the builder, as {kind.home}.NAME{hint}"]
    if not isinstance(target, str) or "." not in target or not _is_dotted_name(target):
        return Component(group, ""), [
            f"{group}._target_={wording.show(target)} is not allowed: it must be a dotted name"
        ]
    signature, problem = _signature(kind, target, trusted)
    if problem:
        return Component(group, ""), [problem]
    problems: list[str] = []
    if signature is not None:
        arguments, problems = _check_arguments(kind, target, arguments, signature)
    if kind.home == optimizers.PACKAGE:
        problems += optimizers.check_clipping(arguments)
    return Component(group, target, arguments, tuple(trusted)), problems


def essential(component: Component) -> dict[str, Any]:
    """Return the arguments that differ from the builder's defaults: two components with the same ones are equal."""
    kind = KINDS[component.group]
    signature, _ = _signature(kind, component.target, component.trusted)
    defaults = {name: p.default for name, p in signature.parameters.items()} if signature else {}
    return {
        name: value
        for name, value in component.arguments.items()
        if name not in defaults or defaults[name] is REQUIRED or _as_list(defaults[name]) != _as_list(value)
    }


def _signature(kind: Kind, target: str, trusted: Sequence[str]) -> tuple[Signature | None, str | None]:
    module, _, name = target.rpartition(".")
    if name.startswith("_"):
        return None, _forbidden(kind, target)
    if module == kind.home and not kind.home.startswith("mnist_exp"):
        signature = signatures.from_source(target)
        return signature, None if signature and signature.is_class else _forbidden(kind, target)
    if module == kind.home:
        builder = vars(importlib.import_module(module)).get(name)
        if not inspect.isfunction(builder) or builder.__module__ != module or name.startswith("check_"):
            return None, _forbidden(kind, target)
        return signatures.of_function(builder), None
    if not within(module, trusted):
        return None, _forbidden(kind, target)
    if not signatures.module_exists(target):
        where = "is it in the folder that the command runs in, or installed?"
        return None, f"{kind.group}._target_={target}: there is no module {target.split('.', maxsplit=1)[0]}; {where}"
    # What the source does not have is made at import time: only the call itself can check it.
    return signatures.from_source(target), None


def parameters(group: str, target: str) -> dict[str, Parameter]:
    """Return what a configuration may set of a builder of this package, or of Keras; empty where that is not known."""
    signature, problem = _signature(KINDS[group], target, ())
    return _settable(KINDS[group], target, signature) if signature and not problem else {}


def _settable(kind: Kind, target: str, signature: Signature) -> dict[str, Parameter]:
    given = signature.positional[: len(kind.given)]
    own = {name: p for name, p in signature.parameters.items() if name not in given}
    if kind.home == optimizers.PACKAGE and target.startswith(kind.home + "."):
        own = {name: Parameter(optimizers.RANGES.get(name, p.annotation), p.default) for name, p in own.items()}
    return own


def _check_arguments(
    kind: Kind, target: str, arguments: dict[str, Any], signature: Signature
) -> tuple[dict[str, Any], list[str]]:
    own = _settable(kind, target, signature)
    if signature.accepts_any and not (kind.home == optimizers.PACKAGE and target.startswith(kind.home + ".")):
        given = signature.positional[: len(kind.given)]
        own |= {name: Parameter(Any) for name in arguments if name not in (*own, *given)}
    return fields.check_all(f"{kind.group}.", arguments, own)


def _forbidden(kind: Kind, target: str) -> str:
    guess = wording.nearest(target, _own_builders(kind))
    hint = f"did you mean {guess}? " if guess and guess != target else ""
    return (
        f"{kind.group}._target_={target} is not allowed: {hint}it must be one of {', '.join(_own_builders(kind))}, "
        "or stand in a module listed in trusted_modules"
    )


def _own_builders(kind: Kind) -> list[str]:
    if not kind.home.startswith("mnist_exp"):
        return [f"{kind.home}.* (an optimizer class)"]
    members = vars(importlib.import_module(kind.home)).items()
    public = [n for n, m in members if inspect.isfunction(m) and m.__module__ == kind.home]
    return [f"{kind.home}.{n}" for n in public if not n.startswith(("_", "check_"))]


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _is_dotted_name(text: str) -> bool:
    # Letters of other alphabets look the same: оs is not os.
    return text.isascii() and all(part.isidentifier() and not keyword.iskeyword(part) for part in text.split("."))


def _raised_at_call(error: Exception) -> bool:
    """Tell a call that does not fit the signature from an error inside the builder."""
    called = error.__traceback__ is not None and error.__traceback__.tb_next is None
    return called and isinstance(error, TypeError)


def is_of_libraries(target: str) -> bool:
    """Tell whether a builder is one of this package or of Keras, and not of a user's own."""
    return within(target, ("mnist_exp", "keras"))


def may_be_trusted(module: str) -> bool:
    """Tell whether a module can be one of a user's own.

    Python's own modules, and those that this package stands on, hold no builders, but much else that can be called:
    pandas.read_pickle, keras.utils.get_file.
    """
    package = module.partition(".")[0]
    if not _is_dotted_name(module) or package in sys.stdlib_module_names or package in _NEVER_TRUSTED:
        return False
    return package not in _required_packages()


@functools.cache
def _required_packages() -> frozenset[str]:
    """Return the packages, by the names that one imports, of all that this one requires and that those require.

    Read from what is installed, 0.2 s: a list kept by hand named 40 of 130. Our own extras count; those of others do
    not, for they name packages of builders that a user may well trust, as timm.
    """
    required: set[str] = set()
    left = ["mnist-exp"]
    while left:
        name = left.pop()
        if name in required:
            continue
        required.add(name)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # An extra that is not installed.
            for line in importlib.metadata.requires(name) or ():
                if name == "mnist-exp" or "extra ==" not in line:
                    left.append(_distribution(re.split(r"[^\w.-]", line, maxsplit=1)[0]))
    installed = importlib.metadata.packages_distributions().items()
    return frozenset(package for package, owners in installed if any(_distribution(o) in required for o in owners))


def _distribution(name: str) -> str:
    """Return a distribution's name as it is compared: scikit_learn is scikit-learn."""
    return re.sub(r"[-_.]+", "-", name).lower()


def import_trusted(module: str) -> None:
    """Import a module that the user trusts. Raises: SettingsError: it cannot be imported."""
    try:
        with imports.quick_imports():
            importlib.import_module(module)
    except ImportError as error:
        raise SettingsError(f"trusted_modules: {module} cannot be imported: {error}") from error


def takes(group: str, target: str, name: str) -> bool:
    """Tell whether a builder has an argument that a configuration may set."""
    kind = KINDS[group]
    signature, problem = _signature(kind, target, ()) if "." in target else (None, None)
    return problem is None and signature is not None and name in signature.parameters and name not in kind.given


def check_sizes(component: Component, input_shape: tuple[int, int, int]) -> list[str]:
    """Return why a component of this package does not fit images of a shape, by its function `check_NAME`."""
    module, _, name = component.target.rpartition(".")
    if module != KINDS[component.group].home:
        return []
    find_problems = getattr(importlib.import_module(module), f"check_{name}", None)
    return list(find_problems(input_shape, **component.arguments)) if find_problems else []
