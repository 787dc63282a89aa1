"""`import mnist_exp` offers all that it names, and imports it only when it is asked for."""

import subprocess
import sys

import pytest

import mnist_exp
from mnist_exp.composition.compose import compose
from mnist_exp.experiment.api import run


def test_every_name_that_is_offered_is_there():
    assert {*mnist_exp.__all__, "__version__"} <= set(dir(mnist_exp))
    assert all(getattr(mnist_exp, name) is not None for name in [*mnist_exp.__all__, "__version__"])
    assert (mnist_exp.compose, mnist_exp.run) == (compose, run)


def test_other_names_are_modules_or_not_there():
    from mnist_exp import data

    assert data.__name__ == "mnist_exp.data"
    with pytest.raises(AttributeError, match="module 'mnist_exp' has no attribute 'rnu'"):
        mnist_exp.rnu  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'rnu'"):
        from mnist_exp import rnu  # noqa: F401


def test_import_alone_imports_nothing_else():
    words = (
        "import sys; before = set(sys.modules); import mnist_exp; print([name for name in ('hydra', 'numpy', 'yaml') "
    )
    words += "if name in set(sys.modules) - before], callable(mnist_exp.run))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"
