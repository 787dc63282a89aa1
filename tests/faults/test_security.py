"""Attacks by configuration: published ways around Hydra's blocklist and their like, from wherever they may come.

Each would leave a file PROOF if it were run. All are reported as mistakes, without heavy imports.
"""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from mnist_exp import compose
from mnist_exp.config import components
from mnist_exp.config.components import KINDS
from mnist_exp.errors import SettingsError
from mnist_exp.experiment import recall
from mnist_exp.tracking import run_files
from mnist_exp.tracking.runs import StoredRun

TOUCH = "touch PROOF"
WRITE = "open('PROOF', 'w')"
# Each with arguments by which it would do its harm.
ATTACKS = {
    "os.system": {"command": TOUCH},
    "posix.system": {"command": TOUCH},
    "os.popen": {"cmd": TOUCH},
    "logging.os.system": {"command": TOUCH},  # GHSA-37p2-j732-x8pj: an attribute of a module that looks harmless
    "json.codecs.sys.modules": {},
    "subprocess.Popen": {"args": ["touch", "PROOF"]},
    "subprocess.run": {"args": ["touch", "PROOF"]},
    "asyncio.subprocess.subprocess.run": {"args": ["touch", "PROOF"]},
    "shutil.copy": {"src": "here", "dst": "PROOF"},
    "shutil.os.rename": {"src": "here", "dst": "PROOF"},
    "builtins.eval": {"source": WRITE},
    "builtins.exec": {"source": WRITE},
    "builtins.open": {"file": "PROOF", "mode": "w"},
    "timeit.timeit": {"stmt": WRITE, "number": 1},
    "cProfile.run": {"statement": WRITE},
    "pdb.run": {"statement": WRITE},
    "runpy.run_path": {"path_name": "evil.py"},
    "importlib.import_module": {"name": "evil"},
    "pydoc.locate": {"path": "evil"},
    "pkgutil.resolve_name": {"name": "evil"},
    "logging.config.dictConfig": {"config": {"version": 1, "formatters": {"a": {"()": "evil.run"}}}},
    "functools.partial": {"func": {"_target_": "os.system", "command": TOUCH}},
    "functools.reduce": {"function": {"_target_": "os.system"}},
    "operator.methodcaller": {"name": "system"},
    "hydra.utils.instantiate": {"config": {"_target_": "os.system", "command": TOUCH}},
    "hydra.utils.call": {"config": {"_target_": "os.system", "command": TOUCH}},
    "hydra.utils.get_method": {"path": "evil.run"},
    "hydra.utils.get_class": {"path": "evil.Run"},
    "hydra.utils.get_object": {"path": "evil.run"},
    "hydra._internal.utils._locate": {"path": "evil.run"},
    "omegaconf.OmegaConf.register_new_resolver": {"name": "x", "resolver": "os.system"},
    "joblib.load": {"filename": "evil.pkl"},
    "pickle.load": {"file": "evil.pkl"},
    "cloudpickle.loads": {"data": "x"},
    "pandas.read_pickle": {"filepath_or_buffer": "evil.pkl"},
    "numpy.load": {"file": "evil.npy", "allow_pickle": True},
    "numpy.savetxt": {"fname": "PROOF", "X": [1]},
    "numpy.ctypeslib.load_library": {"libname": "evil", "loader_path": "."},
    "ctypes.CDLL": {"name": "evil.so"},
    "keras.saving.load_model": {"filepath": "evil.keras", "safe_mode": False},
    "keras.models.load_model": {"filepath": "evil.keras", "safe_mode": False},
    "keras.utils.get_file": {"fname": "PROOF", "origin": "file:here"},
    "keras.config.enable_unsafe_deserialization": {},
    "keras.layers.Lambda": {"function": "x"},
    "keras.optimizers.legacy.os.system": {"command": TOUCH},
    "tensorflow.io.write_file": {"filename": "PROOF", "contents": "x"},
    "tensorflow.keras.models.load_model": {"filepath": "evil.keras"},
    "mlflow.pyfunc.load_model": {"model_uri": "evil"},
    "mlflow.projects.run": {"uri": "evil"},
    # This package's own modules, and what they import.
    "mnist_exp.models.keras.saving.load_model": {"filepath": "evil.keras"},
    "mnist_exp.data.loaders.importlib.import_module": {"name": "evil"},
    "mnist_exp.data.loaders.np.load": {"file": "evil.npy", "allow_pickle": True},
    "mnist_exp.data.mnist.os.system": {"command": TOUCH},
    "mnist_exp.experiment.provenance.subprocess.run": {"args": ["touch", "PROOF"]},
    "mnist_exp.config.components.import_trusted": {"module": "evil"},
    "mnist_exp.experiment.runner.run": {"settings": None},
    # Names that look like others.
    "mnist_exp.data.loaders.ｍnist": {},
    "mnist_exp.data.lоaders.mnist": {},
    "mnist_exp.data.loaders.mnist\u200b": {},
    "ｏs.system": {"command": TOUCH},
    "evil.run": {},
    "evil": {},
}
# What a package that the user trusts has imported, or re-exports under another name.
IN_TRUSTED = {
    "my_pkg.os.system": {"command": TOUCH},
    "my_pkg.inner.sp.Popen": {"args": ["touch", "PROOF"]},
    "my_pkg.run": {"command": TOUCH},
    "my_pkg.Opened": {"args": ["touch", "PROOF"]},
    "my_pkg.prepared": {},
    "my_pkg.on_demand": {"command": TOUCH},
    "my_pkg.net.__globals__.get": {"key": "os"},
    "my_pkg.net.__call__": {},
    "my_pkg._own": {},
    "my_pkg.inner": {},
    "my_pkg.value": {},
}
MY_PKG = {
    "__init__.py": "import functools\nimport os\nfrom os import system as run\nfrom subprocess import Popen as Opened\n"
    "from . import inner\nprepared = functools.partial(run, 'touch PROOF')\nvalue = 3\n"
    "def net(*given, **options):\n    raise SystemExit('called')\n"
    "def _own():\n    open('PROOF', 'w')\n"
    "def __getattr__(name):\n    if name == 'on_demand':\n        return os.system\n    raise AttributeError(name)\n",
    "inner.py": "import subprocess as sp\n",
}
EVIL = "open('PROOF', 'w')\ndef run(*given, **options):\n    open('PROOF', 'w')\nRun = run\n"


NUMBERS = {target: number for number, target in enumerate(ATTACKS | IN_TRUSTED)}


class Evil:
    def __reduce__(self):
        return os.system, (TOUCH,)


def evil_section(target, arguments):
    return {"name": "theirs", "_target_": target, **arguments}


HYDRA = {
    "callback": {"callbacks": {"x": {"_target_": "shutil.copy", "src": "here", "dst": "PROOF"}}},
    "callbacks from elsewhere": {"callbacks": "${model}"},
    "launcher": {"launcher": {"_target_": "shutil.copy", "src": "here", "dst": "PROOF"}},
    "nested in the launcher": {"launcher": {"x": {"_target_": "shutil.copy", "src": "here", "dst": "PROOF"}}},
    "nested in a list of the launcher": {
        "launcher": {"x": [[{"_target_": "shutil.copy", "src": "here", "dst": "PROOF"}]]}
    },
    "sweeper": {"sweeper": {"_target_": "shutil.copy", "src": "here", "dst": "PROOF"}},
    "nested in the sweeper": {
        "sweeper": {"params": {"seed": {"_target_": "shutil.copy", "src": "here", "dst": "PROOF"}}}
    },
    "sweeper that borrows": {"sweeper": {"params": "${augment}"}},
    "sweeper that borrows deeper": {"sweeper": {"params": {"seed": "${augment.evil}"}}},
    "sweeper that makes one": {"sweeper": {"params": {"seed": "${oc.create:${oc.decode:'{_target_: shutil.copy}'}}"}}},
    "whole launcher that borrows": {"launcher": "${augment.evil}"},
    "formatter": {"job_logging": {"formatters": {"x": {"()": "shutil.copy", "src": "here", "dst": "PROOF"}}}},
    "formatter of Hydra's own log": {"hydra_logging": {"formatters": {"x": {"()": "shutil.copy"}}}},
    "handler": {"job_logging": {"handlers": {"x": {"class": "evil.run"}}}},
    "handler of the standard library": {
        "job_logging": {"handlers": {"x": {"class": "logging.handlers.SocketHandler"}}}
    },
    "filter": {"job_logging": {"filters": {"x": {"()": "evil.run"}}}},
    "stream": {"job_logging": {"handlers": {"console": {"stream": "ext://evil.run"}}}},
    "stream that borrows": {"job_logging": {"handlers": {"console": {"stream": "${augment.evil}"}}}},
    "logging that borrows": {"job_logging": "${augment.evil}"},
    "variable": {"job": {"env_set": {"PYTHONPATH": "theirs"}}},
    "library": {"job": {"env_set": {"LD_PRELOAD": "evil.so"}}},
    "variables that borrow": {"job": {"env_set": "${augment.evil}"}},
    "search path": {"searchpath": ["pkg://evil"]},
}
EVIL_ELSEWHERE = {"evil": {"_target_": "shutil.copy", "src": "here", "dst": "PROOF"}}
TAGS = ["!!python/object/apply:os.system ['touch PROOF']", "!!python/name:os.system", "!!python/module:evil", "!evil x"]
RESOLVERS = [
    "${evil:x}",
    "${eval:1}",
    "${oc.create:{_target_:os.system}}",
    "${oc.decode:os.system}",
    "${oc.env:NO_SUCH_VARIABLE_IS_SET}",
    "${model}",
]
WORKER = """
import contextlib, io, json, os, pathlib, sys, traceback
from mnist_exp.run_command import launch
results = []
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["run.py", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = launch()
        except SystemExit as leaving:
            code = leaving.code
        except BaseException:
            code = traceback.format_exc()
    heavy = sorted({"tensorflow", "keras", "mlflow", "jax", "torch", "pandas", "joblib.memory"} & set(sys.modules))
    evil = sorted({"evil", "hydra_plugins.evil"} & set(sys.modules))
    proof = pathlib.Path("PROOF").exists()
    pathlib.Path("PROOF").unlink(missing_ok=True)
    results.append({"code": code, "err": err.getvalue(), "heavy": heavy + evil, "proof": proof})
print("RESULTS" + json.dumps(results))
"""
QUICK = ["data=mnist_5k", "data.limit=300", "trainer=smoke", "tracking=none"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with files that an attacker may look for, and with the user's own configuration folder."""
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "here").touch()
    (folder / "evil.py").write_text(EVIL)
    (folder / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    np.save(folder / "evil.npy", np.array([Evil()], object), allow_pickle=True)
    (folder / "my_pkg").mkdir()
    for name, text in MY_PKG.items():
        (folder / "my_pkg" / name).write_text(text)
    own = folder / "own"
    for group in (
        *KINDS,
        "experiment",
        "hydra/launcher",
        "hydra/sweeper",
        "hydra/job_logging",
        "hydra_plugins",
    ):
        (own / group).mkdir(parents=True)
    for target, arguments in (ATTACKS | IN_TRUSTED).items():
        trusted = {"trusted_modules": ["my_pkg"]} if target in IN_TRUSTED else {}
        for group, kind in KINDS.items():
            section = evil_section(target, arguments)
            text = yaml.safe_dump(({"mine": section} if kind.is_mapping else section) | trusted, allow_unicode=True)
            (own / group / f"theirs{NUMBERS[target]}.yaml").write_text(text)
    for number, section in enumerate(HYDRA.values()):
        recipe = {"hydra": section, "augment": EVIL_ELSEWHERE}
        (own / "experiment" / f"hydra{number}.yaml").write_text("# @package _global_\n" + yaml.safe_dump(recipe))
    preset = {"defaults": ["default@sweep"], "hydra": {"sweeper": {"params": {"experiment": "null,hydra11"}}}}
    (own / "sweep").mkdir()
    (own / "sweep" / "theirs.yaml").write_text("# @package _global_\n" + yaml.safe_dump(preset))
    for number, tag in enumerate(TAGS):
        (own / "model" / f"tag{number}.yaml").write_text(f"_target_: mnist_exp.models.cnn\nfilters: {tag}\n")
    shadows = folder / "shadows"
    for name in ("launcher", "sweeper", "job_logging"):
        (shadows / "hydra" / name).mkdir(parents=True)
    for place, name in [(own, "launcher/theirs"), (own, "sweeper/theirs")] + [
        (shadows, name) for name in ("launcher/local", "sweeper/mnist_exp")
    ]:
        (place / "hydra" / f"{name}.yaml").write_text("_target_: shutil.copy\nsrc: here\ndst: PROOF\n")
    formatter = {"version": 1, "formatters": {"x": {"()": "shutil.copy", "src": "here", "dst": "PROOF"}}}
    for place, name in ((shadows, "default"), (own, "default"), (own, "theirs")):
        (place / "hydra" / "job_logging" / f"{name}.yaml").write_text(yaml.safe_dump(formatter))
    (shadows / "config.yaml").write_text("defaults:\n  - _self_\nhydra:\n  callbacks: {x: {_target_: evil.run}}\n")
    (own / "hydra_plugins" / "evil.py").write_text(EVIL)
    return folder


def fives():
    """Yield five targets at a time, one for each group, with the modules that must be trusted for them."""
    for attacks, trusted in ((ATTACKS, []), (IN_TRUSTED, ["my_pkg"])):
        targets = list(attacks)
        for start in range(0, len(targets), len(KINDS)):
            row = targets[start : start + len(KINDS)]
            # The last ones have their turn as data too, where a call would need nothing more.
            yield dict(zip(reversed(KINDS), row, strict=False)), trusted


def section_of(group):
    """Return where a group has its target: itself, or one of several builders of it."""
    return f"{group}.mine" if KINDS[group].is_mapping else group


def lines():
    """Return every command line that must be refused, by a name."""
    found = {}
    for row, trusted in fives():
        words = [
            f"trusted_modules={json.dumps(trusted)}",
            *(f"++{section_of(g)}._target_={json.dumps(t)}" for g, t in row.items()),
        ]
        words += [
            f"+{section_of(group)}.{n}={_value(v)}"
            for group, t in row.items()
            for n, v in (ATTACKS | IN_TRUSTED)[t].items()
        ]
        found[f"overrides {', '.join(row.values())}"] = words
        files = [f"{group}=theirs{NUMBERS[target]}" for group, target in row.items()]
        found[f"files {', '.join(row.values())}"] = ["--config-dir", "own", *files]
    every = ",".join(json.dumps(target) for target in ATTACKS)
    found["sweep over targets"] = ["-m", f"data._target_={every}"]
    found["search with a target"] = ["-m", "model.dropout=interval(0,0.5)", "model._target_=os.system"]
    points = ",".join(f"{{model._target_:{json.dumps(target)}}}" for target in list(ATTACKS)[:9])
    found["points"] = ["-m", f"sweep.points=[{points}]"]
    found["points of files"] = ["-m", "--config-dir", "own", "sweep.points=[{data: theirs0}, {data: theirs1}]"]
    recipes = [f"hydra{number}" for number in range(len(HYDRA))]
    for name, recipe in zip(HYDRA, recipes, strict=True):
        found[f"recipe {name}"] = ["--config-dir", "own", f"experiment={recipe}"]
    found["sweep over recipes"] = ["-m", "--config-dir", "own", f"experiment=null,{','.join(recipes)}", *QUICK]
    points = ",".join(f"{{experiment:{recipe}}}" for recipe in recipes if recipe != f"hydra{len(HYDRA) - 1}")
    found["points of recipes"] = ["-m", "--config-dir", "own", f"sweep.points=[{points}]", *QUICK]
    found["preset over recipes"] = ["-m", "--config-dir", "own", "sweep=theirs", *QUICK]
    for number in range(len(TAGS)):
        found[f"tag {number}"] = ["--config-dir", "own", f"model=tag{number}"]
    for text in RESOLVERS:
        found[f"resolver {text}"] = [f"model._target_='{text}'", f"model.filters='{text}'"]
    for name in ("_partial_", "_args_", "_recursive_", "_convert_"):
        found[f"{name}"] = [f"+model.{name}=true"]
        found[f"{name} in a launcher"] = ["-m", f"+hydra.launcher.{name}=all", "seed=1,2"]
    found["nested"] = ["model.activation={_target_:os.system,command:ls}"]
    found["nested in a list"] = ["model=mlp", "model.hidden_units=[{_target_:os.system,command:ls}]"]
    found["launcher of theirs"] = ["-m", "--config-dir", "own", "hydra/launcher=theirs", "seed=1,2", *QUICK]
    found["sweeper of theirs"] = ["-m", "--config-dir", "own", "hydra/sweeper=theirs", "seed=1,2", *QUICK]
    found["logging of theirs"] = ["--config-dir", "own", "hydra/job_logging=theirs", "model.dropout=9"]
    found["launcher on the command line"] = ["-m", "hydra.launcher._target_=shutil.copy", "seed=1,2"]
    found["sweeper on the command line"] = ["-m", "hydra.sweeper._target_=shutil.copy", "seed=1,2"]
    found["callback on the command line"] = ["+hydra.callbacks.x._target_=evil.run"]
    found["another primary file"] = ["--config-dir", "own", "--config-name", "config"]
    found["another folder"] = ["--config-path", "own"]
    found["an earlier run"] = ["--experimental-rerun", "own/config.pickle"]
    found["standard library trusted"] = ["trusted_modules=[os]", "data._target_=os.popen", "+data.cmd=touch PROOF"]
    refused = "keras,hydra.utils,numpy,joblib,mnist_exp,mlflow.pyfunc,tensorflow,pandas"
    found["what others need trusted"] = [f"trusted_modules=[{refused}]"]
    return {
        name: line if "-m" in line and QUICK[0] in line else [*line, "trainer=smoke"] for name, line in found.items()
    }


def _value(value):
    """Return a value written in Hydra's grammar."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_value(name)}:{_value(inner)}" for name, inner in value.items()) + "}"
    return json.dumps([_plain(inner) for inner in value]) if isinstance(value, list) else json.dumps(value)


def _plain(value):
    return value if isinstance(value, str | int) else str(value)


LINES = lines()


@pytest.fixture(scope="module")
def results(place):
    """The result of each command line; one process runs all of them."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        input=json.dumps(list(LINES.values())),
        capture_output=True,
        text=True,
        cwd=place,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(LINES, json.loads(done.stdout.rpartition("RESULTS")[2]), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", LINES)
def test_attack_is_reported_as_a_mistake(results, name):
    result = results[name]
    assert not result["proof"]
    assert result["code"] == 2, f"{result['code']}\n{result['err']}"
    assert result["heavy"] == []
    assert "Traceback" not in result["err"]
    assert "nothing was run" in result["err"]


@pytest.mark.slow
def test_attacks_are_refused_because_of_their_target(results):
    """They must not be refused because of another mistake on the line."""
    for row, trusted in fives():
        for kind in ("overrides", "files"):
            error = results[f"{kind} {', '.join(row.values())}"]["err"]
            for group in row:
                # Mistakes that only an import shows are not reported if there are others already.
                is_late = group == "data" or trusted
                name = section_of(group)
                assert f"{name}._target_=" in error or f"{name}: " in error or is_late, name
    assert results["sweep over targets"]["err"].count("_target_=") >= 10  # Then no further job is checked.
    assert results["points"]["err"].count("_target_=") >= 9
    sections = [next(iter(section)) for section in HYDRA.values()]
    for name, section in zip(HYDRA, sections, strict=True):
        assert f"hydra.{section}" in results[f"recipe {name}"]["err"], name
    for name in ("sweep over recipes", "points of recipes"):
        assert sum("hydra." in line and "not allowed" in line for line in results[name]["err"].splitlines()) >= 10
    assert "hydra.job_logging.formatters" in results["preset over recipes"]["err"]


def test_config_dir_changes_only_groups_it_names(place):
    """Files of the folder named as Hydra's own choices, and its plug-ins, are not used."""
    line = [sys.executable, "-m", "mnist_exp.run", "--config-dir", "own", "--cfg", "hydra"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "shutil.copy" not in done.stdout
    assert "evil" not in done.stdout
    assert not (place / "PROOF").exists()


def test_config_dir_cannot_replace_the_package_folder(place):
    line = [sys.executable, "-m", "mnist_exp.run", "--config-dir", "shadows", "--cfg", "hydra"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=place)
    assert done.returncode == 2
    for name in ("config.yaml", "hydra/launcher/local.yaml", "hydra/sweeper/mnist_exp.yaml"):
        assert f"shadows/{name} would not be used: mnist_exp has a {name}" in done.stderr
    assert not (place / "PROOF").exists()


LOGGED = compose(["data=mnist_5k"])


@pytest.fixture
def logged():
    """The configuration of a recorded run."""
    return LOGGED.to_config()


def run_of(uri="sqlite:///mlflow.db"):
    return StoredRun("0" * 32, "theirs", "mnist_exp", "FINISHED", {}, {}, {}, uri)


def checked(config, trusted=()):
    """Check a configuration as that of a recorded run."""
    text = yaml.safe_dump(config, allow_unicode=True)
    return recall.check_config(run_files.parse(text, "config.yaml of run 0"), set(trusted), run_of(), LOGGED.tracking)


def test_recorded_configuration_is_checked(logged):
    assert checked(logged).to_config() == logged


# One rule checks all groups: each target in two of them, so that all of both are there.
ROTATED = [
    (group, target)
    for number, target in enumerate(ATTACKS | IN_TRUSTED)
    for group in (list(KINDS)[number % len(KINDS)], list(KINDS)[(number + 3) % len(KINDS)])
]


@pytest.mark.parametrize(("group", "target"), ROTATED)
def test_recorded_run_cannot_name_code(logged, group, target):
    config = copy.deepcopy(logged)
    section = evil_section(target, (ATTACKS | IN_TRUSTED)[target])
    config[group] = {"mine": section} if KINDS[group].is_mapping else section
    with pytest.raises(SettingsError, match="_target_="):
        checked(config)
    for section in (config, config[group]):  # It asks for trust itself, for all or in one group.
        asking = copy.deepcopy(config)
        (asking if section is config else asking[group])["trusted_modules"] = [target.partition(".")[0]]
        with pytest.raises(SettingsError, match=r"if you trust it|is not allowed"):
            checked(asking)


@pytest.mark.parametrize("name", HYDRA)
def test_hydra_section_of_a_recorded_run_is_ignored(logged, name):
    theirs = logged | {"hydra": HYDRA[name], "sweep": {"points": 1}, "tracking": {"uri": "evil://"}}
    if "${" in str(theirs):
        with pytest.raises(SettingsError, match="interpolations"):
            checked(theirs)
    else:
        assert checked(theirs) == checked(logged)


@pytest.mark.parametrize("tag", TAGS)
def test_yaml_tags_of_a_recorded_run_are_refused(tag, alone):
    for text in (f"model: {tag}\n", f"{tag}\n", f"? {tag}\n: 1\n"):
        with pytest.raises(SettingsError, match=r"cannot be read|not a configuration"):
            run_files.parse(text, "config.yaml")
    assert not list(alone.iterdir())


@pytest.mark.parametrize(
    "text", ["a: ${oc.env:HOME}", "a: &x [1]\nb: *x", "<<: {a: 1}\nb: ${x}", "[1, 2]", "a", "1: 2", "a: {b: [" * 2000]
)
def test_odd_texts_of_a_recorded_run_are_refused(text):
    with pytest.raises(SettingsError):
        run_files.parse(text, "config.yaml")


def test_yaml_bomb_is_refused_at_once():
    """A "billion laughs" file: ten lines of aliases that expand to a billion items."""
    laughs = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))]
    with pytest.raises(SettingsError, match="aliases are not allowed"):
        run_files.parse("\n".join(laughs), "config.yaml")


@pytest.mark.parametrize("target", IN_TRUSTED)
@pytest.mark.parametrize("group", KINDS)
def test_imports_of_a_trusted_package_are_not_trusted(place, group, target, monkeypatch):
    monkeypatch.syspath_prepend(place)
    try:
        component, problems = components.check(group, {"_target_": target, **IN_TRUSTED[target]}, ("my_pkg",))
        if not problems:
            with pytest.raises(SettingsError, match=r"not a builder defined in a trusted module|cannot be imported"):
                component.build()
        assert not Path("PROOF").exists()
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "my_pkg"]:
            del sys.modules[name]


def test_modules_of_the_user_may_be_trusted():
    for name in ("my_pkg", "my_pkg.nets", "keras_hub", "timm", "osx", "numpyro"):
        assert components.may_be_trusted(name)
    for name in ("os", "os.path", "keras", "keras.layers", "mnist_exp.models", "", "a b", "ｏs", "1a", "a..b"):
        assert not components.may_be_trusted(name) or name == "ｏs"
