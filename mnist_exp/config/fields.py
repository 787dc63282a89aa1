"""Check one value against one annotation, and say in words what would have been allowed."""

import contextlib
import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import annotated_types
import pydantic
from pydantic.fields import FieldInfo

from mnist_exp.config import signatures
from mnist_exp.config.signatures import REQUIRED, Parameter
from mnist_exp.config.wording import nearest, show, unknown

_STRICT = pydantic.ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
MISSING = "???"  # what YAML says where a value must be given
_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
    list: "a list",
}


@dataclass(frozen=True)
class Allowed:
    """Metadata for `Annotated`: the words for what a field takes, where its type does not say it."""

    words: str


InputFile = signatures.InputFile
Count = Annotated[int, pydantic.Field(ge=1)]
Whole = Annotated[int, pydantic.Field(ge=0)]
Positive = Annotated[float, pydantic.Field(gt=0)]
NonNegative = Annotated[float, pydantic.Field(ge=0)]
Fraction = Annotated[float, pydantic.Field(ge=0, lt=1)]
Share = Annotated[float, pydantic.Field(gt=0, lt=1)]
Activation = Literal[
    "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "mish",
    "tanh", "sigmoid", "hard_sigmoid", "softplus", "softsign", "linear",
]  # fmt: skip


def describe(annotation: Any) -> str:
    """Return what an annotation allows, as words: `a number, at least 0 and below 1`."""
    if typing.get_origin(annotation) is Annotated:
        kind, *metadata = typing.get_args(annotation)
        for item in metadata:
            if isinstance(item, Allowed):
                return item.words
        limits = " and ".join(_limits(metadata))
        if typing.get_origin(kind) is list:
            return describe(kind).replace("a list", f"a list of {limits}" if limits else "a list", 1)
        comma = "," if limits.startswith("at ") else ""
        return f"{describe(kind)}{comma} {limits}" if limits else describe(kind)
    if typing.get_origin(annotation) is Literal:
        values = [str(value) for value in typing.get_args(annotation)]
        return "one of " + ", ".join(values) if len(values) > 1 else values[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(describe(kind) for kind in typing.get_args(annotation))
    if typing.get_origin(annotation) is list:
        return f"a list, [a,b], each {describe(typing.get_args(annotation)[0])}"
    if annotation is Any:
        return "any value"
    return _WORDS.get(typing.get_origin(annotation) or annotation, str(annotation))


def check(path: str, value: Any, annotation: Any) -> tuple[Any, str | None]:
    """Return the value as its type has it (1 as 1.0 for a float), and the problem with it, if any."""
    try:
        if _is_huge(value):
            return (
                value,
                f"{path}={show(value)} is not allowed: it must be {describe(annotation)}, of at most 18 digits",
            )
        return _adapter(annotation).validate_python(_as_tuple(value, annotation)), None
    except pydantic.ValidationError:
        guess = next((guess for guess in _guesses(value, annotation) if _fits(guess, annotation)), None)
        hint = f"did you mean {path}={show(guess)}? " if guess is not None else ""
        return value, f"{path}={show(value)} is not allowed: {hint}it must be {describe(annotation)}"
    except pydantic.PydanticUserError:
        return value, None


def _guesses(value: Any, annotation: Any) -> Iterable[Any]:
    """Yield what a value of the wrong type was probably meant to be."""
    if isinstance(value, float) and value.is_integer():
        yield int(value)
    if isinstance(value, str):
        yield from {
            "true": (True,),
            "yes": (True,),
            "on": (True,),
            "false": (False,),
            "no": (False,),
            "off": (False,),
        }.get(value.lower(), ())
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                yield kind(value)
        yield nearest(value, [name for name in _choices(annotation) if isinstance(name, str)])
    if isinstance(value, list) and len(value) == 1:
        yield value[0]
    if not isinstance(value, list | dict) and value is not None:
        yield [value]


def _choices(annotation: Any) -> Iterable[Any]:
    if typing.get_origin(annotation) is Literal:
        return typing.get_args(annotation)
    return [choice for inner in typing.get_args(annotation) for choice in _choices(inner)]


def _fits(value: Any, annotation: Any) -> bool:
    try:
        _adapter(annotation).validate_python(_as_tuple(value, annotation))
    except pydantic.ValidationError:
        return False
    return not _is_huge(value)


def _is_huge(value: Any) -> bool:
    """Tell whether a number does not fit into 64 bits, as TensorFlow, NumPy and SQLite have them."""
    return isinstance(value, int) and abs(value) >= 10**18


def check_all(
    prefix: str,
    values: Mapping[str, Any],
    parameters: Mapping[str, Parameter],
    meaning: Callable[[str], str] = lambda _: "",
) -> tuple[dict[str, Any], list[str]]:
    """Check a section of the configuration against the parameters that take it.

    Args:
        prefix: the section's name with its dot, for messages: `model.`
        values: the section, argument by argument.
        parameters: what its owner takes.
        meaning: returns what is known of an argument, for people; empty if nothing is.
    Returns: the values that are right, and the problems found: unknown names, wrong values, missing ones.
    """
    checked: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in values.items():
        name = str(key)
        if name not in parameters:
            problems.append(unknown(f"{prefix}{name}", name, parameters, prefix))
            continue
        if value == MISSING:
            problems += (
                [] if parameters[name].default is REQUIRED else [f"{prefix}{name} is left open (???): give it a value"]
            )
            continue
        valid, problem = check(f"{prefix}{name}", value, parameters[name].annotation)
        if problem:
            problems.append(problem)
        else:
            checked[name] = valid
    missing = [name for name, p in parameters.items() if p.default is REQUIRED and values.get(name, MISSING) == MISSING]
    for name in missing:
        what = f": {meant}" if (meant := meaning(name)) else ""
        problems.append(f"{prefix}{name} is missing: it must be {describe(parameters[name].annotation)}{what}")
    return checked, problems


def _limits(metadata: Iterable[Any]) -> Iterable[str]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _limits(item.metadata)
        elif isinstance(item, annotated_types.MinLen):
            yield f"at least {item.min_length}"
        elif isinstance(item, annotated_types.Ge):
            yield f"at least {item.ge}"
        elif isinstance(item, annotated_types.Gt):
            yield f"above {item.gt}"
        elif isinstance(item, annotated_types.Le):
            yield f"at most {item.le}"
        elif isinstance(item, annotated_types.Lt):
            yield f"below {item.lt}"


@functools.lru_cache(maxsize=512)
def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(annotation, config=_STRICT)


def _as_tuple(value: Any, annotation: Any) -> Any:
    """Return a list as a tuple where only a tuple will do: YAML has no tuples."""
    kinds = (
        typing.get_args(annotation)
        if typing.get_origin(annotation) in (typing.Union, types.UnionType)
        else (annotation,)
    )
    plain = [typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind for kind in kinds]
    origins = {typing.get_origin(kind) or kind for kind in plain}
    return tuple(value) if isinstance(value, list) and tuple in origins and list not in origins else value


def is_file(path: Path) -> bool:
    """Tell whether there is a file of that name, however odd the name."""
    try:
        return path.is_file()
    except OSError:  # A name that is too long, or a folder that may not be read.
        return False


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder of that name, however odd the name."""
    try:
        return path.is_dir()
    except OSError:  # A name that is too long.
        return False
