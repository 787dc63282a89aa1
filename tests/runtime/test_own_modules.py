"""Which modules are a user's own, and which of them a start needs: by import statements, and by what else is loaded."""

import importlib
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from mnist_exp.runtime import own_modules

FILES = {
    "shop/__init__.py": "",
    "shop/nets.py": "import json, numpy, beside\nfrom shop import parts\nfrom shop.deep.layers import x\n",
    "shop/parts.py": "def lazily():\n    from . import late\n",
    "shop/late.py": "",
    "shop/other.py": "",
    "shop/dynamic.py": "import importlib\nimportlib.import_module('shop.called')\n",
    "shop/called.py": "",
    "shop/deep/layers.py": "from ..parts import lazily as x\n",
    "beside.py": "import mnist_exp.errors\n",
    "spare/__init__.py": "",
}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder on the path of imports with a package, a helper module beside it, and a package that nothing needs."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(own_modules, "_starts_seen", set())
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("shop", "beside", "spare")]:
        del sys.modules[name]


def names(*starts):
    for start in starts:
        importlib.import_module(start)
    return list(own_modules.imported(starts, ["shop"]))


def test_own_modules_are_those_that_were_imported_wherever_they_lie(shop):
    expected = [
        "beside",
        "shop",
        "shop.deep.layers",
        "shop.nets",
        "shop.parts",
    ]  # No libraries, nothing of this package.
    assert names("shop.nets") == expected
    sys.modules["shop.parts"].lazily()
    assert names("shop.nets") == sorted([*expected, "shop.late"])


def test_what_other_starts_imported_is_not_counted(shop):
    assert names("shop.other") == ["shop", "shop.other"]
    assert "shop.nets" in names("shop.nets")
    assert names("shop.other") == ["shop", "shop.other"]


def test_module_that_a_call_imported_counts_for_every_start_of_its_folder(shop):
    assert names("shop.dynamic") == ["shop", "shop.called", "shop.dynamic"]
    assert names("shop.other") == ["shop", "shop.called", "shop.other"]


def test_digest_is_of_the_file_as_it_was_imported(shop):
    names("shop.other")
    (shop / "shop/other.py").write_text("X = 1\n")
    assert own_modules.imported(["shop.other"], ["shop"])["shop.other"] == sha256(b"").hexdigest()
    assert own_modules.digest_now("shop.other") == sha256(b"X = 1\n").hexdigest()
    importlib.reload(sys.modules["shop.other"])
    assert own_modules.imported(["shop.other"], ["shop"])["shop.other"] == sha256(b"X = 1\n").hexdigest()


def test_start_that_cannot_be_imported_counts_by_its_file(shop):
    (shop / "shop/broken.py").write_text("def f(:\n")
    assert own_modules.imported(["shop.broken"], ["shop"]) == {"shop.broken": sha256(b"def f(:\n").hexdigest()}
    assert own_modules.imported(["shop.none"], ["shop"]) == {}
    (shop / "shop/user.py").write_text("import shop.broken\nimport yaml\n")
    assert list(own_modules.imported(["shop.user"], ["shop"])) == ["shop.user"]
    assert list(own_modules.imported(["shop.user"], ["shop"], all_named=True)) == ["shop", "shop.broken", "shop.user"]


def test_files_are_found_without_an_import(shop):
    assert own_modules.digest_now("shop.gone") == own_modules.digest_now("nowhere.at_all") == own_modules.MISSING
    shown = {name: own_modules.shown(name) for name in ("shop", "shop.deep.layers", "beside", "shop.gone")}
    assert shown == {
        "shop": "shop/__init__.py",
        "shop.deep.layers": "shop/deep/layers.py",
        "beside": "beside.py",
        "shop.gone": "shop/gone.py",
    }
    assert not {"shop", "shop.deep.layers", "beside"} & sys.modules.keys()


def test_installed_package_is_ones_own_if_it_is_trusted():
    import yaml

    assert own_modules.imported(["yaml"], []) == {}
    found = own_modules.imported(["yaml"], ["yaml"])
    assert found["yaml"] == sha256(Path(yaml.__file__).read_bytes()).hexdigest()
    assert all(name.startswith("yaml") for name in found)
