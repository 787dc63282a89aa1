"""Whether a model can be read back from a file: asked before it is trained, not after."""

import json
import random
import warnings
from collections.abc import Sequence
from typing import Any

import keras

from mnist_exp.config import allow_list, components
from mnist_exp.config.allow_list import ForbiddenError
from mnist_exp.errors import SettingsError, first_line

REGISTER = "a class or function of your own must be registered by keras.saving.register_keras_serializable"


def check(model: keras.Model, target: str, trusted: Sequence[str]) -> None:
    """Make sure that a model can be read back from its configuration, as those who use the run will do.

    For builders of one's own a second model is made of it, and thrown away: 17 ms for a small one. Those of this
    package need no such try.

    Args:
        model: that will be saved.
        target: dotted name of the builder of its network, for messages.
        trusted: modules whose classes and functions it may have.
    Raises: SettingsError: it cannot, and why.
    """
    is_own = not components.is_of_libraries(target)
    what = f"model: what {target} returns could not be read back once it is recorded"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of a lambda, which is refused below.
            config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
        allow_list.check(config, trusted)
        if is_own:
            check_names(config, trusted)
    except ForbiddenError as error:
        raise SettingsError(f"{what}: {error}") from error
    except Exception as error:
        raise SettingsError(f"{what}: {first_line(error)}; {REGISTER}, with a get_config()") from error
    if is_own:
        before = random.getstate()  # Keras draws seeds of it.
        try:
            keras.saving.deserialize_keras_object(config, safe_mode=True)
        except Exception as error:
            raise SettingsError(f"{what}: {first_line(error)}; {REGISTER}") from error
        finally:
            random.setstate(before)


def check_names(config: Any, trusted: Sequence[str]) -> None:
    """Check that no text of a configuration is the registered name of code that is not trusted.

    Args:
        config: of a model, checked by `allow_list`.
        trusted: modules, imported; what lies in a package of these is trusted too.
    Raises: ForbiddenError: a name is of other code.
    """
    for text in set(allow_list.texts(config)):
        found = keras.saving.get_registered_object(text)
        module = getattr(found, "__module__", None) or "unknown"
        if found is not None and not allow_list.within(module, trusted):
            raise ForbiddenError(
                f"it names {text!r}, which is code of {module}: if you know and trust it, "
                f"name {module} in trusted_modules"
            )
