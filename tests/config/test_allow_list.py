"""Every public layer of the installed Keras is either allowed or refused, and a new one is refused."""

import inspect
import re

import keras
import pytest

from mnist_exp.config import allow_list
from mnist_exp.config.allow_list import ACTIVATIONS, DANGERS, LAYERS, ForbiddenError

# By their own names: `MaxPool2D` and `MaxPooling2D` are one class.
PUBLIC = {
    found.__name__: found
    for found in vars(keras.layers).values()
    if isinstance(found, type) and issubclass(found, keras.layers.Layer)
}
# Harmless as far as we know, but nobody needs them here: bases, layers of text, and of boxes in images.
NOT_NEEDED = {"HashedCrossing", "Hashing", "Layer", "MaxNumBoundingBoxes", "Pipeline", "ReversibleEmbedding", "Wrapper"}
# What a layer would read files, unpickle, import or run code with.
RISKS = re.compile(
    r"\b(open\(|exec\(|eval\(|import_module|__import__|pickle|marshal|func_load|load_model|saved_model|torch\.load|gfile"
    r"|urlopen|requests|subprocess|read_bytes|read_text|h5py)"
)


def is_allowed(name, module="keras.layers", registered=None):
    node = {"module": module, "class_name": name, "config": {"name": "x"}, "registered_name": registered}
    try:
        allow_list.check(node, ())
    except ForbiddenError:
        return False
    return True


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_layer_is_decided(name):
    kinds = [name in LAYERS, name in DANGERS, name in NOT_NEEDED]
    assert sum(kinds) == 1, f"Keras {keras.__version__} has {name}: look at what it does, then list it"
    assert is_allowed(name) == (name in LAYERS)
    # Keras finds some layers by their bare names, and by those of the modules that they are defined in.
    assert not is_allowed(name, PUBLIC[name].__module__)
    assert not is_allowed(name, None)
    assert not is_allowed(name, registered=f"theirs>{name}")


def test_lists_hold_nothing_that_keras_does_not_have():
    assert LAYERS | set(DANGERS) | NOT_NEEDED == set(PUBLIC)
    assert {name for name in ACTIVATIONS if hasattr(keras.activations, name)} == ACTIVATIONS


def test_layer_of_a_later_keras_is_refused(monkeypatch):
    class Telepathy(keras.layers.Layer):
        """What nobody has looked at."""

    monkeypatch.setattr(keras.layers, "Telepathy", Telepathy, raising=False)
    assert not is_allowed("Telepathy")


def sources(layer):
    """The code of a layer and of those of Keras's that it is derived from, but for the base of all."""
    return "".join(
        inspect.getsource(base)
        for base in layer.__mro__
        if base.__module__.startswith("keras.src.layers.") and base is not keras.layers.Layer
    )


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_no_allowed_layer_reads_files_or_runs_code(name):
    assert RISKS.findall(sources(PUBLIC[name])) == []


@pytest.mark.parametrize("name", ["Lambda", "StringLookup", "IntegerLookup"])
def test_search_for_risks_finds_those_that_are_known(name):
    assert RISKS.findall(sources(PUBLIC[name]))
