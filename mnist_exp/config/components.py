"""Which code a configuration may name, what arguments it takes, and how it is called.

A `_target_` is allowed when it is a builder of this package, a class of Keras of the group's kind, or stands in a
module that the user lists in `trusted_modules`. Everything is checked from the name and the source; nothing named is
imported before training needs it. Hydra's own `instantiate` is not used: it would call anything.
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

from mnist_exp.config import callbacks, fields, optimizers, signatures, wording
from mnist_exp.config.allow_list import within
from mnist_exp.config.signatures import REQUIRED, Parameter, Signature
from mnist_exp.errors import SettingsError
from mnist_exp.runtime import imports, start_folder


@dataclass(frozen=True)
class Kind:
    """A group whose choice is a builder, or several named ones.

    Args:
        group: the group's name in the configuration.
        home: the module of this package whose public functions are allowed; empty for none.
        given: arguments that the runner passes itself, by position and in this order; not to a class of the kind below.
        named: arguments that the runner passes itself, by name, to builders that have them.
        keras: the class of Keras whose subclasses, in its package, are allowed; empty for none.
        is_mapping: whether the section maps names to builders, as many as the user likes.
    """

    group: str
    home: str = ""
    given: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    keras: str = ""
    is_mapping: bool = False

    @property
    def package(self) -> str:
        """The package of Keras whose classes are allowed; empty for none."""
        return self.keras.rpartition(".")[0]

    def is_of_keras(self, target: str) -> bool:
        """Tell whether a name can only be a class of Keras, of this kind."""
        return bool(self.keras) and target.startswith(f"{self.package}.")


_OF_LOSSES = ("activation", "from_logits", "outputs", "is_mixed")
# By name: the builders import `config.fields`, so this package must not import them; it looks them up when asked.
KINDS = {
    kind.group: kind
    for kind in (
        Kind("model", "mnist_exp.models", ("input_shape", "classes")),
        Kind("optimizer", keras="keras.optimizers.Optimizer"),
        Kind("schedule", "mnist_exp.schedules", ("learning_rate", "steps")),
        Kind("augment", "mnist_exp.augmentation", named=("value_range",)),
        Kind("loss", "mnist_exp.losses", named=_OF_LOSSES, keras="keras.losses.Loss"),
        Kind("metrics", "mnist_exp.metrics", ("labels", "outputs"), keras="keras.metrics.Metric", is_mapping=True),
        Kind("callbacks", keras="keras.callbacks.Callback", is_mapping=True),
        Kind("task", "mnist_exp.tasks.builders"),
        Kind("data", "mnist_exp.data.loaders"),
    )
}


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")  # of one of several builders
_NAMED = "a name has letters, digits and _, and begins with a letter"
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

    @property
    def kind(self) -> Kind:
        """The kind of its group; the group of one of several is called `metrics.NAME`."""
        return KINDS[self.group.partition(".")[0]]

    @property
    def is_class(self) -> bool:
        """Whether it is a class of Keras's kind, and no function."""
        return inspect.isclass(self._resolve()) and bool(self.kind.keras)

    def takes(self, name: str) -> bool:
        """Tell whether the builder has an argument of a name. It is imported for that."""
        return name in inspect.signature(self._resolve()).parameters

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
        kind = self.kind
        if kind.is_of_keras(self.target):
            wanted = getattr(importlib.import_module(kind.package), kind.keras.rpartition(".")[2])
            allowed = inspect.isclass(builder) and issubclass(builder, wanted)
        else:
            homes = (*filter(None, [kind.home]), *self.trusted)
            allowed = within(getattr(builder, "__module__", None) or "", homes) and callable(builder)
        if not allowed:
            raise SettingsError(f"{self.group}._target_={self.target} is not a builder defined in a trusted module")
        return builder  # type: ignore[no-any-return]


def check(group: str, section: Mapping[str, Any], trusted: Sequence[str]) -> tuple[Component, list[str]]:
    """Check a section against the allow-list and its builder's signature.

    Args:
        group: one of KINDS; for one of several `metrics.NAME`.
        section: the section with its `_target_`.
        trusted: the modules that the user trusts.
    Returns: the component, and the problems found; with problems it must not be built.
    """
    kind = KINDS[group.partition(".")[0]]
    target = section.get("_target_")
    arguments = {name: value for name, value in section.items() if name != "_target_"}
    if target is None:
        guess = wording.nearest("_target_", arguments)
        hint = f", did you write {guess}?" if guess else ""
        example = f"{kind.home or kind.package}.NAME"
        return Component(group, ""), [f"{group}._target_ is missing: it names the builder, as {example}{hint}"]
    if not isinstance(target, str) or "." not in target or not _is_dotted_name(target):
        return Component(group, ""), [
            f"{group}._target_={wording.show(target)} is not allowed: it must be a dotted name"
        ]
    signature, problem = _signature(kind, target, trusted)
    if problem:
        return Component(group, ""), [f"{group}.{problem}"]
    problems: list[str] = []
    if signature is not None:
        arguments, problems = _check_arguments(kind, f"{group}.", target, arguments, signature)
    if kind.package == optimizers.PACKAGE:
        problems += optimizers.find_problems(_name_in_keras(target), arguments)
    return Component(group, target, arguments, tuple(trusted)), problems


def check_mapping(
    group: str, section: Mapping[str, Any], trusted: Sequence[str]
) -> tuple[dict[str, Component], list[str]]:
    """Check a section that maps names to builders, as `check` does one; a name with null is left out."""
    found, problems = {}, []
    for key, value in section.items():
        name = str(key)
        if not _NAME.fullmatch(name):
            problems.append(f"{group}.{name if name.isidentifier() else wording.show(name)} is not allowed: {_NAMED}")
        elif value is None:
            continue
        elif not isinstance(value, Mapping):
            example = f"+{group}.{name}={{_target_: {KINDS[group].package or KINDS[group].home}.NAME}}"
            problems.append(f"{group}.{name}={wording.show(value)} is not allowed: it must be a section, as {example}")
        else:
            found[name], own = check(f"{group}.{name}", value, trusted)
            problems += own
    return found, problems


def essential(component: Component) -> dict[str, Any]:
    """Return the arguments that differ from the builder's defaults: two components with the same ones are equal."""
    signature, _ = _signature(component.kind, component.target, component.trusted)
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
    if kind.keras and module == kind.package:
        if kind.package == optimizers.PACKAGE and (why := optimizers.why_not_chosen(name)):
            return None, f"_target_={target} is not allowed: {why}"
        if kind.package == callbacks.PACKAGE and (why := callbacks.instead_of(name)):
            return None, f"_target_={target} is not allowed: {why}"
        signature = _of_keras(target)
        return signature, None if signature and signature.is_class else _forbidden(kind, target)
    if kind.home and module == kind.home:
        builder = vars(importlib.import_module(module)).get(name)
        if not inspect.isfunction(builder) or builder.__module__ != module or name.startswith("check_"):
            return None, _forbidden(kind, target)
        return signatures.of_function(builder), None
    if not within(module, trusted):
        return None, _forbidden(kind, target)
    if not signatures.module_exists(target):
        where = "is it in the folder that the command runs in, or installed?"
        return None, f"_target_={target}: there is no module {target.split('.', maxsplit=1)[0]}; {where}"
    # What the source does not have is made at import time: only the call itself can check it.
    return signatures.from_source(target), None


@functools.cache
def _of_keras(target: str) -> Signature | None:
    """Return the signature of a class of Keras, whose source does not change: a sweep asks for it with each job."""
    return signatures.from_source(target)


def parameters(group: str, target: str) -> dict[str, Parameter]:
    """Return what a configuration may set of a builder of this package, or of Keras; empty where that is not known."""
    signature, problem = _signature(KINDS[group], target, ())
    return _settable(KINDS[group], target, signature) if signature and not problem else {}


def parameters_of(component: Component) -> dict[str, Parameter]:
    """Return what is known of the arguments of a component's builder; empty where its source does not tell."""
    signature, _ = _signature(component.kind, component.target, component.trusted)
    return signature.parameters if signature else {}


def _given(kind: Kind, signature: Signature) -> tuple[str, ...]:
    return () if kind.keras and signature.is_class else signature.positional[: len(kind.given)]


def _settable(kind: Kind, target: str, signature: Signature) -> dict[str, Parameter]:
    given = (*_given(kind, signature), *kind.named)
    own = {name: p for name, p in signature.parameters.items() if name not in given}
    if kind.package == optimizers.PACKAGE and kind.is_of_keras(target):
        ranges = {name: optimizers.range_of(_name_in_keras(target), name, p.annotation) for name, p in own.items()}
        own = {name: Parameter(ranges[name], p.default) for name, p in own.items()}
    return own


def _check_arguments(
    kind: Kind, prefix: str, target: str, arguments: dict[str, Any], signature: Signature
) -> tuple[dict[str, Any], list[str]]:
    own = _settable(kind, target, signature)
    if signature.accepts_any and not kind.is_of_keras(target):
        given = _given(kind, signature)
        own |= {name: Parameter(Any) for name in arguments if name not in (*own, *given)}
    taken = [name for name in arguments if name in kind.named and name in signature.parameters]
    checked, problems = fields.check_all(
        prefix, {n: v for n, v in arguments.items() if n not in taken}, own, signature.meaning
    )
    problems += [f"{prefix}{name} is set by the runner, as the model needs it: leave it out" for name in taken]
    return checked, problems


def _forbidden(kind: Kind, target: str) -> str:
    guess = wording.nearest(target, _own_builders(kind))
    hint = f"did you mean {guess}? " if guess and guess != target else ""
    return (
        f"_target_={target} is not allowed: {hint}it must be one of {', '.join(_own_builders(kind))}, "
        "or stand in a module listed in trusted_modules"
    )


def _own_builders(kind: Kind) -> list[str]:
    of_keras = [f"{kind.package}.* (a class)"] if kind.keras else []
    if not kind.home:
        return of_keras
    members = vars(importlib.import_module(kind.home)).items()
    public = [n for n, m in members if inspect.isfunction(m) and m.__module__ == kind.home]
    return [*(f"{kind.home}.{n}" for n in public if not n.startswith(("_", "check_"))), *of_keras]


def _name_in_keras(target: str) -> str:
    """Return the name of one of Keras's own optimizers; nothing for another one."""
    home, _, name = target.rpartition(".")
    return name if home == optimizers.PACKAGE else ""


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


def takes(group: str, target: str, name: str, trusted: Sequence[str] = ()) -> bool:
    """Tell whether a builder has an argument that a configuration may set; `trusted` are modules of the user's own."""
    kind = KINDS[group]
    signature, problem = _signature(kind, target, trusted) if "." in target else (None, None)
    return problem is None and signature is not None and name in signature.parameters and name not in kind.given


def check_sizes(component: Component, input_shape: tuple[int, ...], *, for_numbers: bool = False) -> list[str]:
    """Return why a component of this package does not fit the examples, by its function `check_NAME`.

    Args:
        component: of any group.
        input_shape: of an example.
        for_numbers: whether the task is to predict numbers, and not classes or labels.
    """
    module, _, name = component.target.rpartition(".")
    if module != component.kind.home:
        return []
    find_problems = getattr(importlib.import_module(module), f"check_{name}", None)
    if find_problems is None:
        return []
    return list(find_problems(input_shape, for_numbers=for_numbers, **component.arguments))
