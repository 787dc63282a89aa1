"""Signatures parsed from source code equal those that Python itself reports."""

import inspect
import json
import subprocess
import sys
import typing
from pathlib import Path

import keras
import pytest

from mnist_exp.config import components, optimizers, signatures, wording
from mnist_exp.config.signatures import REQUIRED

OPTIMIZERS = sorted(
    name
    for name, member in vars(keras.optimizers).items()
    if inspect.isclass(member)
    and issubclass(member, keras.optimizers.Optimizer)
    and member is not keras.optimizers.Optimizer
)


def constructor(name):
    """Return the names and defaults of the arguments of a Keras optimizer, read from the imported class."""
    named = list(inspect.signature(getattr(keras.optimizers, name).__init__).parameters.values())[1:]
    return {p.name: p.default for p in named if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


@pytest.fixture
def package(tmp_path, monkeypatch, request):
    """Return a function that writes the files of a new package and returns its name."""
    name = "".join(c if c.isalnum() else "_" for c in f"own_{request.node.name}")
    monkeypatch.syspath_prepend(tmp_path)

    def write(**files):
        for file, text in {"__init__": "", **files}.items():
            path = tmp_path / name / f"{file.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("PACKAGE", name))
        return name

    yield write
    assert name not in sys.modules, "reading a signature must not import it"


def test_there_are_optimizers_to_test():
    assert {"Adam", "AdamW", "SGD", "Lion", "Muon"} < set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_has_the_names_and_defaults_of_the_class(name):
    signature = signatures.from_source(f"keras.optimizers.{name}")
    expected = constructor(name)
    if name == "LossScaleOptimizer":
        expected["initial_scale"] = ...  # written 2.0**15, which is not a literal
    assert {n: p.default for n, p in signature.parameters.items()} == expected
    assert list(signature.parameters) == list(expected)
    assert signature.is_class


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if optimizers.why_not_chosen(name) is None])
def test_optimizer_may_be_given_its_own_defaults(name):
    given = {n: default for n, default in constructor(name).items() if default is not REQUIRED}
    target = {"_target_": f"keras.optimizers.{name}"}
    _, problems = components.check("optimizer", target | given, ())
    assert [p for p in problems if "is missing" not in p] == []


def test_reading_optimizers_imports_neither_keras_nor_a_backend():
    script = """
import json, sys
from mnist_exp.config import signatures
found = {name: list(signatures.from_source("keras.optimizers." + name).parameters) for name in sys.argv[1:]}
heavy = [name for name in ("keras", "tensorflow", "jax", "torch", "mlflow") if name in sys.modules]
print(json.dumps([found, heavy]))
"""
    command = [sys.executable, "-c", script, *OPTIMIZERS]
    found, heavy = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert heavy == []
    assert found == {name: list(constructor(name)) for name in OPTIMIZERS}


@pytest.mark.parametrize(
    "target",
    [
        "keras.optimizers.legacy",
        "keras.optimizers.schedules",
        "keras.optimizers.Adamm",
        "keras.optimizers",
        "keras",
        "no_such_package.thing",
        "sys.exit",
        "math.sqrt",
        "",
    ],
)
def test_only_functions_and_classes_in_the_source_have_signatures(target):
    assert signatures.from_source(target) is None


def test_signature_of_a_users_function(package):
    name = package(nets="def net(input_shape, classes, /, depth=3, *, wide: bool, names=('a',), rate=1e-3): ...")
    signature = signatures.from_source(f"{name}.nets.net")
    assert not signature.is_class
    assert not signature.accepts_any
    assert {n: p.default for n, p in signature.parameters.items()} == {
        "input_shape": REQUIRED,
        "classes": REQUIRED,
        "depth": 3,
        "wide": REQUIRED,
        "names": ("a",),
        "rate": 0.001,
    }
    assert signature.parameters["wide"].annotation is bool
    assert signature.parameters["rate"].annotation is float


def test_signature_of_a_users_class(package):
    name = package(nets="class Net:\n    def __init__(self, depth: int = 2): ...\n    def call(self, x): ...")
    signature = signatures.from_source(f"{name}.nets.Net")
    assert signature.is_class
    assert list(signature.parameters) == ["depth"]


def test_inherited_constructor_is_not_guessed(package):
    assert signatures.from_source(f"{package(nets='class Net(dict): ...')}.nets.Net") is None


def test_default_that_is_an_expression_is_unknown(package):
    signature = signatures.from_source(f"{package(nets='def net(a=2 * WIDTH): ...')}.nets.net")
    assert signature.parameters["a"].default is ...


def test_of_function_agrees_with_from_source():
    from mnist_exp import models

    for name in ("cnn", "convnet", "mlp", "lenet5", "resnet"):
        imported = signatures.of_function(getattr(models, name))
        read = signatures.from_source(f"mnist_exp.models.{name}")
        defaults = {n: p.default for n, p in imported.parameters.items()}
        assert {n: p.default for n, p in read.parameters.items()} == defaults


NET = "def net(a, b=1): ..."


@pytest.mark.parametrize(
    "files",
    [
        {"__init__": "from PACKAGE.deep import net"},
        {"__init__": "from .deep import net"},
        {"__init__": "from .deep import original as net", "deep": "def original(a, b=1): ..."},
        {"__init__": "from .middle import net", "middle": "from .deep import net"},
        {"__init__": "from .inner import net", "inner__in____init__": "from ..deep import net"},
        {
            "__init__": "from .inner.leaf import net",
            "inner__in____init__": "",
            "inner__in__leaf": "from ..deep import net",
        },
        {"__init__": "from .inner import net", "inner__in____init__": "from .leaf import net", "inner__in__leaf": NET},
    ],
    ids=["absolute", "relative", "renamed", "twice", "parent", "parent_of_a_module", "nested"],
)
def test_re_exports_are_followed(package, files):
    name = package(**{"deep": NET} | files)
    assert list(signatures.from_source(f"{name}.net").parameters) == ["a", "b"]


def test_circular_re_exports_end(package):
    name = package(__init__="from .a import net", a="from .b import net", b="from .a import net")
    assert signatures.from_source(f"{name}.net") is None


def test_source_is_never_executed(package, tmp_path):
    ran = tmp_path / "ran"
    source = f"open({str(ran)!r}, 'w')\ndef net(a: open({str(ran)!r}, 'w') = open({str(ran)!r}, 'w')): ..."
    signature = signatures.from_source(f"{package(nets=source)}.nets.net")
    assert list(signature.parameters) == ["a"]
    assert not ran.exists()


@pytest.mark.parametrize("text", ["__import__('pathlib').Path('ran').touch()", "NoSuchName", "list['NoSuchName']"])
def test_quoted_annotation_is_not_executed_and_allows_anything(package, text):
    name = package(nets=f'def net(input_shape, classes, a: "{text}" = 1): ...')
    component, problems = components.check("model", {"_target_": f"{name}.nets.net", "a": 2}, (name,))
    assert problems == []
    assert component.arguments == {"a": 2}
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "annotation", ["Annotated[int, []]", "Annotated[int, Field(gt='a')]", "3", "NoSuchName", "np.ndarray"]
)
def test_annotation_unknown_to_pydantic_allows_anything(package, annotation):
    name = package(nets=f"def net(input_shape, classes, a: {annotation} = 1): ...")
    _, problems = components.check("model", {"_target_": f"{name}.nets.net", "a": 2}, (name,))
    assert problems == []


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("Annotated[int, Field(ge=1, le=4)]", 4, 5),
        ("Annotated[float, pydantic.Field(gt=0)]", 1, 0.0),
        ("typing.Literal['a', 'b']", "a", "c"),
        ("int | None", None, 1.5),
        ("Optional[bool]", True, 1),
        ("list[int]", [1, 2], [1, "x"]),
        ("tuple[int, int]", [3, 3], [3]),
    ],
)
def test_annotations_of_a_users_builder_are_checked(package, annotation, good, bad):
    name = package(nets=f"def net(input_shape, classes, *, a: {annotation}): ...")
    section = {"_target_": f"{name}.nets.net"}
    assert components.check("model", section | {"a": good}, (name,))[1] == []
    (problem,) = components.check("model", section | {"a": bad}, (name,))[1]
    assert problem.startswith(f"model.a={wording.show(bad)} is not allowed: it must be ")


ALIAS = "from pydantic import Field\nfrom typing import Annotated\n"


@pytest.mark.parametrize(
    "files",
    [
        {"nets": ALIAS + "Width = Annotated[int, Field(ge=1)]"},
        {"nets": ALIAS + "LEAST = 1\nWidth = Annotated[int, Field(ge=LEAST)]"},
        {"nets": ALIAS + "Size = Annotated[int, Field(ge=1)]\nWidth = Size | None"},
        {"nets": "import typing\nfrom annotated_types import Ge\nWidth: typing.Any = typing.Annotated[int, Ge(1)]"},
        {"nets": "import typing as t, pydantic as p\nWidth = t.Annotated[int, p.Field(ge=1)]"},
        {"nets": "from pydantic import PositiveInt as Width"},
        {"nets": "from mnist_exp.config.fields import Count as Width"},
        {"nets": "from .kinds import Size as Width", "kinds": ALIAS + "Size = Annotated[int, Field(ge=1)]"},
        {"nets": "from PACKAGE.kinds import Width", "kinds": "from pydantic import PositiveInt\nWidth = PositiveInt"},
    ],
    ids=["alias", "limit", "of_an_alias", "annotated", "modules", "pydantic", "ours", "another_file", "absolute"],
)
def test_named_types_of_a_users_builder_are_checked(package, files):
    files["nets"] += "\ndef net(input_shape, classes, *, a: Width = 2, b: list[Width] = [2]): ..."
    name = package(**files)
    section = {"_target_": f"{name}.nets.net"}
    assert components.check("model", section | {"a": 1, "b": [3]}, (name,))[1] == []
    assert len(components.check("model", section | {"a": 0, "b": [0]}, (name,))[1]) == 2


@pytest.mark.parametrize(
    "alias",
    ["Width = Width", "Width = Size\nSize = Width", "Width = make()", "from .absent import Width", "Width: int"],
)
def test_a_named_type_that_cannot_be_read_allows_anything(package, alias):
    name = package(nets=f"{alias}\ndef net(input_shape, classes, a: Width = 1): ...")
    assert components.check("model", {"_target_": f"{name}.nets.net", "a": "x"}, (name,))[1] == []


def test_accepts_any_allows_undeclared_arguments(package):
    given = "input_shape, classes, *, a: int = 1"
    name = package(nets=f"def net({given}, **rest): ...\ndef strict({given}): ...")
    assert signatures.from_source(f"{name}.nets.net").accepts_any
    section = {"a": 1, "b": [1, 2]}
    component, problems = components.check("model", {"_target_": f"{name}.nets.net", **section}, (name,))
    assert problems == []
    assert component.arguments == section
    (problem,) = components.check("model", {"_target_": f"{name}.nets.strict", **section}, (name,))[1]
    assert problem.startswith("model.b does not exist")


def test_missing_or_broken_source_leaves_the_check_to_the_call(package):
    name = package(broken="def net(:", empty="")
    for target in (f"{name}.broken.net", f"{name}.empty.net", f"{name}.absent.net"):
        assert signatures.from_source(target) is None
        assert components.check("model", {"_target_": target, "anything": 1}, (name,))[1] == []


def test_module_exists():
    assert signatures.module_exists("keras.optimizers.Adam")
    assert not signatures.module_exists("no_such_package.thing")
    assert not signatures.module_exists("")


def test_types_of_untyped_keras_arguments_come_from_their_defaults():
    parameters = signatures.from_source("keras.optimizers.SGD").parameters
    assert (parameters["nesterov"].annotation, parameters["learning_rate"].annotation) == (bool, float)
    assert parameters["clipnorm"].annotation is typing.Any


def documented(path, *, size=1, **others):
    """Do it.

    Args:
        path: the file, plain or
            packed; never a folder.
        size (int): how large. Not more.
        **others: are passed on
    Returns: path: not this one.
    """


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("path", "the file, plain or packed"), ("size", "how large"), ("others", ""), ("none", ""), ("packed", "")],
)
def test_meaning_of_an_argument_is_that_of_the_docstring(name, meaning):
    assert signatures.of_function(documented).meaning(name) == meaning


def test_meaning_is_found_without_importing():
    assert signatures.from_source("mnist_exp.data.loaders.image_folder").meaning("path") == "the folder"
    assert signatures.from_source("keras.layers.Dense").meaning("units") != ""
