"""Modules that are put off are whole as soon as something of them is used."""

import importlib
import json
import subprocess
import sys
import threading
import time

import pytest

from mnist_exp.runtime import lazy_modules

SLOW = """
import time
first = 1
time.sleep(0.3)
last = 2
def both(): return first + last
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with modules that note when they are executed."""
    folder = tmp_path / "put_off"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("executed = []\nfrom put_off import late as late\n")
    (folder / "late.py").write_text("from put_off import executed\nexecuted.append('late')\nvalue = 5\n")
    (folder / "slow.py").write_text(SLOW)
    (folder / "broken.py").write_text("from put_off import executed\nexecuted.append('broken')\n1 / 0\n")
    (folder / "inner/__init__.py").write_text("from put_off.inner.part import number as number\n")
    (folder / "inner/part.py").write_text("number = 7\n")
    (folder / "needs.py").write_text("try:\n    import fractions_of_mine\nexcept ImportError:\n    found = False\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "put_off"]:
        del sys.modules[name]


def put_off(*names):
    return lazy_modules.imported_later(frozenset(f"put_off.{name}" for name in names))


def test_module_is_executed_when_it_is_used(package):
    with put_off("late"):
        import put_off as whole
    assert whole.executed == []
    assert whole.late.__name__ == "put_off.late" and whole.late.__file__.endswith("late.py")
    assert whole.executed == []
    assert whole.late.value == 5
    assert whole.executed == ["late"] and type(whole.late) is type(sys)
    assert "value" in dir(importlib.import_module("put_off.late"))
    with pytest.raises(AttributeError, match="nothing"):
        _ = whole.late.nothing
    assert whole.executed == ["late"]


def test_package_that_is_put_off_has_its_modules(package):
    with put_off("inner"):
        importlib.import_module("put_off.inner")
    from put_off.inner import part

    assert part.number == 7
    assert put_off_module("inner").number == 7


def put_off_module(name):
    return sys.modules[f"put_off.{name}"]


def test_threads_that_use_it_at_once_both_find_it_whole(package):
    with put_off("slow"):
        importlib.import_module("put_off.slow")
    found, module = [], put_off_module("slow")
    threads = [threading.Thread(target=lambda: found.append(module.both())) for _ in range(4)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert found == [3] * 4


def test_error_of_a_module_is_raised_at_each_use(package):
    with put_off("broken"):
        importlib.import_module("put_off.broken")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            _ = put_off_module("broken").anything
    assert put_off_module("late").value == 5


def test_absent_package_is_absent_for_libraries_alone(package, tmp_path, monkeypatch):
    (tmp_path / "fractions_of_mine.py").write_text("")
    (tmp_path / "put_off/of_mine.py").write_text("import fractions_of_mine\n")
    monkeypatch.setattr(lazy_modules, "_LIBRARIES", ("put_off",))
    with lazy_modules.imported_later(frozenset(), absent=["fractions_of_mine"]):
        importlib.import_module("put_off.needs")
        assert not put_off_module("needs").found
        assert importlib.import_module("fractions_of_mine").__name__ == "fractions_of_mine"
        importlib.import_module("put_off.of_mine")


NAMES = """
import json
with imports:
    import keras
    import tensorflow as tf
used = [tf.compat.v1.Session, tf.compat.v2.zeros, tf.feature_column, tf.__internal__.feature_column, keras.wrappers]
used += [tf.compat.v1.compat.v1.placeholder, tf.lite.TFLiteConverter, keras.visualization.plot_image_gallery]
used += [keras.wrappers.SKLearnClassifier, dir(tf.feature_column), dir(tf.__internal__.feature_column)]
spaces = {"tf": tf, "tf.compat": tf.compat, "v1": tf.compat.v1, "v2": tf.compat.v2, "keras": keras}
spaces |= {"wrappers": keras.wrappers, "pictures": keras.visualization, "columns": tf.feature_column}
names = {f"{at}.{name}": each for at, space in spaces.items() for name, each in vars(space).items() if name[0] != "_"}
print(json.dumps({name: getattr(each, "__name__", "") for name, each in names.items()}))
"""


def names(beginning):
    done = subprocess.run([sys.executable, "-c", beginning + NAMES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_nothing_of_tensorflow_and_keras_is_missing():
    """In processes of their own: here they are imported already."""
    late = names("from mnist_exp.runtime.imports import quick_imports\nimports = quick_imports()")
    assert late == names("import contextlib\nimports = contextlib.nullcontext()")
    assert len(late) > 1000


def test_what_is_put_off_is_not_imported():
    script = """
import sys
from mnist_exp.runtime import imports, lazy_modules
with imports.quick_imports():
    import keras
    import tensorflow
print(sorted({"sklearn", "matplotlib", "jax", "tensorflow._api.v2.compat.v1.app"} & set(sys.modules)))
print(sorted(lazy_modules.UNUSED - set(sys.modules)))  # Each name is one that they import still.
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"
