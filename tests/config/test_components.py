"""The allow-list: which targets a configuration may name, from whatever source; and the files in conf/."""

import json
import subprocess
import sys

import pytest
import yaml

from mnist_exp.composition.compose import CONF, compose
from mnist_exp.config import components, signatures
from mnist_exp.config.components import KINDS
from mnist_exp.errors import SettingsError

HOSTILE = [
    # Published ways around Hydra's blocklist, and what pickles and archives run.
    "os.system",
    "posix.system",
    "builtins.eval",
    "builtins.exec",
    "logging.os.system",
    "subprocess.Popen",
    "subprocess.run",
    "shutil.rmtree",
    "runpy.run_path",
    "importlib.import_module",
    "hydra.utils.instantiate",
    "joblib.load",
    "pickle.loads",
    "numpy.load",
    "keras.saving.load_model",
    "keras.models.load_model",
    "keras.layers.Lambda",
    "keras.optimizers.legacy",
    "keras.optimizers.deserialize",
    "keras.optimizers.get",
    "keras.optimizers.schedules.CosineDecay",
    "keras.optimizers.Adam.from_config",
    "keras.src.optimizers.adam.Adam",
    # This package's own modules hold more than builders.
    "mnist_exp.models.Field",
    "mnist_exp.models.cnn.__globals__",
    "mnist_exp.models.cnn.__call__",
    "mnist_exp.models.check_cnn",
    "mnist_exp.models.Iterator",
    "mnist_exp.models._private",
    "mnist_exp.models",
    "mnist_exp.data.loaders.Path",
    "mnist_exp.data.loaders._existing",
    "mnist_exp.data.loaders.read_npz",
    "mnist_exp.data.mnist.find_mnist",
    "mnist_exp.config.signatures.importlib.import_module",
    "mnist_exp.run.main",
    "mnist_exp.run_command.main",
    # What begins like something trusted.
    "mnist_exp_evil.models.cnn",
    "mnist_exp.models_evil.cnn",
    "my_pkg_evil.x",
    "my_pkgx",
    # What is no dotted name.
    "mnist_exp.models.cnn()",
    "mnist_exp.models.cnn ",
    "mnist_exp..models.cnn",
    ".mnist_exp.models.cnn",
    "mnist_exp/models.cnn",
    "mnist_exp.models.ｃnn",
    "mnist_exp.models.class",
    "cnn",
    "__main__",
    "",
    5,
    None,
    ["os.system"],
]


def refused(group, target, trusted=()):
    """Return whether the check names the group's target as a mistake."""
    component, problems = components.check(group, {"_target_": target}, trusted)
    return component.arguments == {} and any(p.startswith(f"{group}._target_") for p in problems)


def is_told(problems, groups=tuple(KINDS)):
    return all(any(p.startswith(f"{group}._target_") for p in problems) for group in groups)


@pytest.mark.parametrize("target", HOSTILE, ids=repr)
@pytest.mark.parametrize("group", KINDS)
def test_hostile_targets_are_refused(group, target):
    assert refused(group, target)
    assert refused(group, target, ("my_pkg",))


@pytest.mark.parametrize("group", KINDS)
def test_builder_of_another_group_is_refused(group):
    own = {
        "model": "mnist_exp.models.cnn",
        "optimizer": "keras.optimizers.Adam",
        "data": "mnist_exp.data.loaders.mnist_5k",
    }
    own |= {"schedule": "mnist_exp.schedules.cosine", "augment": "mnist_exp.augmentation.shift"}
    own |= {"loss": "keras.losses.Huber", "metrics": "keras.metrics.Mean", "task": "mnist_exp.tasks.builders.binary"}
    for other, target in own.items():
        assert refused(group, target) == (group != other)


@pytest.mark.parametrize("start", range(0, len(HOSTILE), len(KINDS)))
def test_hostile_targets_are_refused_from_the_command_line(start):
    """Each in one of the groups, all groups at once: to say so takes a second."""
    targets = [HOSTILE[(start + number) % len(HOSTILE)] for number in range(len(KINDS))]
    words = [json.dumps(target, ensure_ascii=False) for target in targets]
    with pytest.raises(SettingsError) as error:
        compose([f"{group}._target_={word}" for group, word in zip(KINDS, words, strict=True)])
    assert is_told(error.value.problems)


@pytest.mark.parametrize("target", HOSTILE, ids=repr)
def test_hostile_targets_are_refused_from_a_yaml_file(target, tmp_path):
    for group in KINDS:
        (tmp_path / group).mkdir()
        (tmp_path / group / "theirs.yaml").write_text(yaml.safe_dump({"_target_": target}))
    (tmp_path / "data" / "theirs.yaml").write_text(yaml.safe_dump({"_target_": target, "name": "theirs"}))
    with pytest.raises(SettingsError) as error:
        compose([f"{group}=theirs" for group in KINDS], config_dir=tmp_path)
    assert is_told(error.value.problems)


def test_nested_target_is_a_plain_value():
    with pytest.raises(SettingsError, match=r"model\.activation=.* is not allowed"):
        compose(["model.activation={_target_: os.system, command: ls}"])
    for name in ("_partial_", "_args_", "_recursive_"):
        with pytest.raises(SettingsError, match=rf"model\.{name} does not exist"):
            compose([f"+model.{name}=[1]"])


@pytest.fixture
def my_pkg(tmp_path, monkeypatch):
    """A package that the user trusts, which imports functions that nobody should call."""
    (tmp_path / "my_pkg").mkdir()
    (tmp_path / "my_pkg" / "__init__.py").write_text(
        "import os\nfrom os import system\nfrom random import random\nfrom subprocess import Popen\n"
        "from .nets import net\nvalue = 3\n"
    )
    (tmp_path / "my_pkg" / "nets.py").write_text("def net(*given, **options):\n    return given, options\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_pkg"
    for name in [n for n in sys.modules if n.partition(".")[0] == "my_pkg"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name", ["os.system", "system", "random", "Popen", "nets.os.system", "value", "missing", "net.__call__"]
)
@pytest.mark.parametrize("group", KINDS)
def test_imports_of_a_trusted_module_are_not_trusted(group, name, my_pkg, alone):
    component, problems = components.check(group, {"_target_": f"{my_pkg}.{name}"}, (my_pkg,))
    # What only the import can tell, the import must.
    if not problems:
        with pytest.raises(SettingsError, match=rf"{group}\._target_=my_pkg\.{name}"):
            component.build("touch ran")
    assert not (alone / "ran").exists()


@pytest.mark.parametrize("target", ["my_pkg.net", "my_pkg.nets.net"])
@pytest.mark.parametrize("group", KINDS)
def test_builder_of_a_trusted_module_is_built(group, target, my_pkg):
    assert refused(group, target)
    component, problems = components.check(group, {"_target_": target, "a": 1}, (my_pkg,))
    assert problems == []
    assert "my_pkg" not in sys.modules, "checking must not import it"
    assert component.build(2, b=3) == ((2,), {"a": 1, "b": 3})


@pytest.mark.parametrize("group", [group for group, kind in KINDS.items() if kind.given])
def test_positional_arguments_of_the_runner_may_have_any_name(group, my_pkg, tmp_path):
    (tmp_path / my_pkg / "named.py").write_text(
        "def build(first, second, *, depth: int = 3):\n    return first, second, depth\n"
    )
    component, problems = components.check(group, {"_target_": f"{my_pkg}.named.build", "depth": 4}, (my_pkg,))
    assert problems == []
    assert component.build(1, 2) == (1, 2, 4)
    _, problems = components.check(group, {"_target_": f"{my_pkg}.named.build", "first": 4}, (my_pkg,))
    assert problems, "it would be given twice"


@pytest.mark.parametrize("trusted", ["", ".", "my", "my_", "my_pkg.", "my_pkg.nets.net", "nets", "*"])
def test_only_a_whole_module_name_is_trusted(trusted, my_pkg):
    assert refused("model", "my_pkg.net", (trusted,))
    assert refused("model", "net", (trusted,))


def test_standard_library_is_never_trusted(tmp_path):
    """A folder given by --config-dir may name modules, but the standard library has no builders, only risks."""
    (tmp_path / "experiment").mkdir()
    recipe = {"trusted_modules": ["subprocess"], "augment": {"_target_": "subprocess.Popen", "args": ["touch", "ran"]}}
    (tmp_path / "experiment" / "theirs.yaml").write_text("# @package _global_\n" + yaml.safe_dump(recipe))
    with pytest.raises(SettingsError):
        compose(["experiment=theirs"], config_dir=tmp_path)


CALLBACK = {"callbacks": {"theirs": {"_target_": "shutil.copy", "src": "here", "dst": "ran"}}}
FORMATTER = {"version": 1, "formatters": {"theirs": {"()": "shutil.copy", "src": "here", "dst": "ran"}}}


@pytest.mark.parametrize(
    "section", [CALLBACK, {"job_logging": FORMATTER}, {"hydra_logging": FORMATTER}], ids=lambda s: next(iter(s))
)
def test_hydra_section_runs_no_target(section, tmp_path, alone):
    """Hydra creates its callbacks, and `logging` its formatters, before the run is checked."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "theirs.yaml").write_text("# @package _global_\n" + yaml.safe_dump({"hydra": section}))
    (alone / "here").touch()
    # The other mistake keeps the run from starting where this one is not seen.
    command = ["-m", "mnist_exp.run", "--config-dir", str(tmp_path), "experiment=theirs", "model.dropout=9"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert not (alone / "ran").exists()


# Where a file chooses another value than its builder's default.
CHOSEN = {
    "keras.optimizers.SGD": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},  # Keras: plain, at 0.01
    "keras.optimizers.Lion": {"learning_rate": 0.0003},  # Keras: 0.001, too fast for a sign
    "keras.optimizers.Muon": {"learning_rate": 0.002},  # Keras: 0.001, slower than Adam at it
    "keras.optimizers.Lamb": {"learning_rate": 0.01},  # Keras: 0.001, which is a share of the weights
    "keras.optimizers.Adafactor": {"learning_rate": 0.01, "epsilon_1": 1e-16},  # Keras: 0.001 as above; 1e-30, NaN
    "mnist_exp.data.loaders.mnist": {"mirrors": ...},
    "mnist_exp.data.loaders.fashion_mnist": {"mirrors": ...},
    "mnist_exp.data.loaders.npz": {"path": "???"},
    "mnist_exp.data.loaders.idx": {"path": "???"},
    **{
        f"mnist_exp.data.loaders.{name}": {"path": "???"}
        for name in ("npy", "hdf5", "mat", "cifar", "parquet", "auto", "csv")
    },
    "mnist_exp.data.loaders.image_folder": {"path": "???"},
}
DATA_OPTIONS = {"name", "limit", "validation", "reporting", "standardize", "trusted_modules"}
FILES = sorted(CONF.glob("*/*.yaml"))
BUILDER_FILES = [file for file in FILES if file.parent.name in KINDS]


def name_of(file):
    return f"{file.parent.name}/{file.stem}"


@pytest.mark.parametrize("file", BUILDER_FILES, ids=name_of)
def test_config_file_names_an_allowed_builder_and_its_defaults(file):
    group = file.parent.name
    section = yaml.safe_load(file.read_text())
    if KINDS[group].is_mapping:
        _, problems = components.check_mapping(group, section, ())
        assert problems == []
        return
    target = section.pop("_target_")
    given = {name: value for name, value in section.items() if group != "data" or name not in DATA_OPTIONS}
    filled = {name: "text" if value == "???" else value for name, value in given.items()}
    _, problems = components.check(group, {"_target_": target, **filled}, ())
    assert problems == []

    parameters = signatures.from_source(target).parameters
    defaults = {n: p.default for n, p in parameters.items() if n not in (*KINDS[group].given, *KINDS[group].named)}
    chosen = CHOSEN.get(target, {})
    for name, value in given.items():
        expected = chosen.get(name, defaults[name])
        assert expected is ... or (value == expected and type(value) is type(expected)), name
        assert name not in chosen or value != defaults[name], f"{name} is listed as different, but is the default"
    if group != "optimizer":  # Keras's have dozens
        assert list(given) == list(defaults)


def _options(node):
    """Yield the keys of a YAML mapping that hold a value, with their lines."""
    for key, value in node.value:
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _options(value)
        elif key.value not in ("_target_", "defaults"):
            yield key.value, key.start_mark.line


@pytest.mark.parametrize("file", [CONF / "config.yaml", *FILES], ids=name_of)
def test_every_config_file_and_option_has_a_comment(file):
    lines = file.read_text().splitlines()
    opening = next(line for line in lines if not line.startswith("# @package"))
    assert opening.startswith("# ")
    options = list(_options(yaml.compose(file.read_text())))
    if file.stem == "config":
        options = [(name, line) for name, line in options if not lines[line].startswith(" ")]  # but for Hydra's own
    assert [name for name, line in options if "  # " not in lines[line]] == []


@pytest.mark.parametrize(
    "name", ["pandas", "joblib", "cloudpickle", "numpy", "PIL", "yaml", "sklearn", "pyarrow", "dill", "cv2", "tf_keras"]
)
def test_required_packages_are_not_trusted(name):
    assert not components.may_be_trusted(name)
    assert not components.may_be_trusted(f"{name}.inner")
