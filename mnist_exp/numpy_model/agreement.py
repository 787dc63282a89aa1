"""Whether NumPy computes a model as Keras does: tried as the model is recorded, and kept with its file's digest."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mnist_exp.errors import first_line
from mnist_exp.numpy_model.activations import Array
from mnist_exp.numpy_model.model import NumpyModel
from mnist_exp.numpy_model.weights import UnknownError

TOLERANCE = 1e-5  # of a probability, of which four digits are shown
_MOST, _LEAST = 50, 4  # examples
_OPERATIONS = 50_000_000  # of all of them: of large models fewer are tried
Activation = Literal["softmax", "sigmoid", "linear"]


@dataclass(frozen=True)
class Agreement:
    """What was found of a model file.

    Args:
        sha256: of the file, in hex.
        examples: how many both computed.
        difference: the largest between both.
        why_not: why Keras must compute it; empty if NumPy may.
    """

    sha256: str
    examples: int = 0
    difference: float = 0.0
    why_not: str = ""

    def to_json(self) -> str:
        """Return it as the text of a tag."""
        if self.why_not:
            return json.dumps({"why_not": self.why_not})
        return json.dumps({"sha256": self.sha256, "examples": self.examples, "difference": self.difference})


def measure(content: bytes, x: Any, outputs: Array, activation: Activation) -> Agreement:
    """Compare NumPy with Keras.

    Args:
        content: of the model's file.
        x: raw values of examples, (n, …), in memory or lazy.
        outputs: what Keras predicts for them, (n, outputs).
        activation: that makes predictions.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    if activation == "linear":
        return Agreement(sha256, why_not="its numbers are shown to six digits, to which sums in another order differ")
    try:
        model = NumpyModel(content)
        count = min(len(outputs), max(_LEAST, min(_MOST, _OPERATIONS // max(model.operations, 1))))
        found, meant = model.predict(np.asarray(x[:count])), outputs[:count]
    except UnknownError as error:
        return Agreement(sha256, why_not=f"NumPy does not compute {error}"[:200])
    except Exception as error:  # Of arrays that do not fit together as was expected: the run is whole without this.
        return Agreement(sha256, why_not=f"NumPy does not compute it: {first_line(error)}"[:200])
    if found.shape != meant.shape or not np.isfinite(meant).all():
        return Agreement(sha256, why_not="its answers are no finite numbers")
    far = float(np.abs(found.astype(np.float64) - meant).max())
    is_softmax = activation == "softmax"
    labels = [each.argmax(axis=1) if is_softmax else each > 0.5 for each in (found, meant)]
    if not far <= TOLERANCE or not np.array_equal(labels[0], labels[1]):
        return Agreement(sha256, count, far, f"NumPy's answers are up to {far:.2g} from Keras's")
    return Agreement(sha256, count, float(f"{far:.2g}"))


def may_be_kept(text: str) -> bool:
    """Tell whether a run found its model equal, by the text of its tag; empty if it has none."""
    return _digest(text) != ""


def is_kept(text: str, content: bytes) -> bool:
    """Tell whether a file is the one that a run found equal, by the text of its tag."""
    return _digest(text) == hashlib.sha256(content).hexdigest()


def _digest(text: str) -> str:
    """Return the digest of the file that a tag is about; empty if it is not equal, or the tag is damaged."""
    try:
        return str(json.loads(text).get("sha256", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""
