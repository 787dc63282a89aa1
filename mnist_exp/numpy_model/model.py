"""A model that NumPy computes: predictions for examples, and what its last layer is given."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import threadpoolctl

from mnist_exp.errors import first_line
from mnist_exp.numpy_model import archive
from mnist_exp.numpy_model.activations import Array
from mnist_exp.numpy_model.graph import Graph, Step, Value
from mnist_exp.numpy_model.weights import UnknownError

_AT_ONCE = (
    100_000  # raw values of the examples that are computed together; what layers make of them is many times as much
)


@dataclass(frozen=True)
class Input:
    """The input of a model, as a model of Keras tells it.

    Args:
        name: of it.
    """

    name: str


class NumpyModel:
    """A model read from the content of its file. It has those attributes of a model of Keras that predicting needs.

    Args:
        content: of a .keras file.

    Attributes:
        operations: multiplications and additions of matrices for one example.
        has_features: whether it is known what its last layer with weights is given, a row an example.
    Raises: UnknownError: it has what is not known here, is damaged, or is not to be trusted: Keras's way says which.
    """

    def __init__(self, content: bytes) -> None:
        try:
            config, weights = archive.read(content)
            self._graph = Graph(config, weights)
            self.name = str(config["config"]["name"])
            self.inputs = [Input(self._graph.input_name)]
            self.input_shape = self._graph.input_shape
            if not all(isinstance(size, int) for size in self.input_shape[1:]):
                raise UnknownError(f"an input of shape {self.input_shape}")
            self._head = _head(self._graph)
            self._free = _last_uses(self._graph, self._head)
            self._parameters = _count(weights)
            features, answer, self.operations = self._run(np.zeros((1, *self.input_shape[1:]), np.float32))
        except UnknownError:
            raise
        except Exception as error:  # Whatever a file that is damaged, or made to do harm, may cause on the way.
            raise UnknownError(first_line(error)) from error
        self.has_features = self._head is not None and features.ndim == 2
        self.output_shape: tuple[Any, ...] = (None, *answer.shape[1:])

    def count_params(self) -> int:
        """Return how many numbers the model has."""
        return self._parameters

    def predict(self, x: Array) -> Array:
        """Return predictions, float32 (n, outputs), of raw values (n, …)."""
        return self.predict_both(x)[1]

    def predict_both(self, x: Array) -> tuple[Array, Array]:
        """Return features, and predictions, float32 (n, …) each, of raw values (n, …); no features are predictions."""
        step = max(1, _AT_ONCE // math.prod(x.shape[1:]))
        # Such small products are faster in one thread, many times where other processes keep the cores busy.
        with _libraries().limit(limits=1, user_api="blas"):
            parts = [self._run(x[start : start + step].astype(np.float32))[:2] for start in range(0, len(x), step)]
        first, second = (np.concatenate(each) for each in zip(*parts, strict=True))
        return first, second

    def _run(self, x: Array) -> tuple[Array, Array, int]:
        """Return features, predictions, and how many multiplications and additions of matrices it took."""
        values, operations = {0: x}, 0
        with np.errstate(all="ignore"):  # As Keras: what overflows is infinite.
            for step in self._graph.steps:
                found = step.compute(*_given(step.arguments, values))
                values[step.result] = found
                if found.ndim > 1:
                    operations += 2 * step.weights * math.prod(found.shape[:-1])
                for number in self._free[step.result]:
                    del values[number]
        answer = values[self._graph.output]
        features = values[self._head] if self._head is not None else answer
        return features, np.asarray(answer, np.float32), operations


def _given(arguments: Sequence[Any], values: dict[int, Array]) -> list[Any]:
    return [
        values[each.number] if isinstance(each, Value) else _given(each, values) if isinstance(each, list) else each
        for each in arguments
    ]


def _head(graph: Graph) -> int | None:
    """Return the number of what the last layer with weights is given; None if that is no row of numbers.

    As `training.outputs.with_features` finds it, by whose features images are told that are unlike all others.
    """
    made_by = {step.result: step for step in graph.steps}
    step: Step | None = made_by.get(graph.output)
    while step is not None:
        if sum(each.name == step.name for each in graph.steps) != 1 or len(step.inputs) != 1:
            return None
        if step.weights:
            return step.inputs[0]
        step = made_by.get(step.inputs[0])
    return None


def _last_uses(graph: Graph, kept: int | None) -> dict[int, list[int]]:
    """Return, for each step by its result, the numbers of the values that no later one takes."""
    last: dict[int, int] = {}
    for step in graph.steps:
        for number in step.inputs:
            last[number] = step.result
    free: dict[int, list[int]] = {step.result: [] for step in graph.steps}
    for number, result in last.items():
        if number not in (kept, graph.output):
            free[result].append(number)
    return free


def _count(part: archive.Part) -> int:
    return sum(each.size for each in part.arrays) + sum(map(_count, part.parts))


@functools.cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    """Return what sets the threads of the libraries that this process has loaded; looking for them takes 3 ms."""
    return threadpoolctl.ThreadpoolController()
