"""The steps of a model, in their order, made of the configuration and the weights of its file.

Models within models are taken apart: what is left is one list of layers and operations.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp.numpy_model import layers
from mnist_exp.numpy_model.archive import Part
from mnist_exp.numpy_model.weights import Compute, UnknownError, Weights

_OPERATIONS = "keras.src.ops.numpy"
_MODELS = ("Functional", "Sequential", "Model")
# Keras's classes that are computed here lie in these; a class of the same name elsewhere is another one.
_HOMES = ("keras.layers", "keras.src.applications.convnext", "keras.src.applications.inception_resnet_v2")
_SAME_IN_TRAINING = ("Resizing",)  # Keras says in some files that it is called so.


@dataclass(frozen=True)
class Value:
    """A result of a step, among the arguments of another one.

    Args:
        number: of it; 0 is the model's input.
    """

    number: int


@dataclass(frozen=True)
class Step:
    """One call of a layer, or of an operation.

    Args:
        name: of the layer, with those of the models that it is within.
        compute: what it computes.
        arguments: values, numbers, and lists of them.
        result: number of what it gives.
        weights: how many numbers the layer has learnt.
    """

    name: str
    compute: Compute
    arguments: tuple[Any, ...]
    result: int
    weights: int

    @property
    def inputs(self) -> list[int]:
        """Numbers of the values that it takes."""
        return list(_values(self.arguments))


class Graph:
    """All steps of a model with one input and one output.

    Args:
        config: of the model file.
        weights: of the model file.

    Attributes:
        input_name: name of the input.
        input_shape: of examples, None for the batch.
        steps: in an order in which each can be computed.
        output: number of the value that is the answer.
    Raises: UnknownError: something of it is not known here.
    """

    def __init__(self, config: Mapping[str, Any], weights: Part) -> None:
        self.steps: list[Step] = []
        self._count = 0
        if config.get("class_name") != "Functional":
            raise UnknownError(f"a model that is {str(config.get('class_name'))[:40]}")
        own = config["config"]
        names = _ends(own["input_layers"])
        inputs = [each for each in own["layers"] if each["name"] in {name for name, _, _ in names}]
        if len(inputs) != 1:
            raise UnknownError("several inputs")
        self.input_name = str(inputs[0]["name"])
        self.input_shape = tuple(inputs[0]["config"]["batch_shape"])
        self.output = self._functional(own, weights, Value(0), "").number

    def _functional(self, config: Mapping[str, Any], weights: Part, given: Value, where: str) -> Value:
        """Add the steps of a functional model, and return its answer."""
        (source,), (answer,) = _ends(config["input_layers"]), _ends(config["output_layers"])
        known: dict[tuple[str, int], Value] = {}
        parts = {part.name: part for part in weights.parts}
        waiting = []
        for layer in config["layers"]:
            if layer["class_name"] == "InputLayer":
                _check_input(layer["config"])
                if layer["name"] != source[0]:
                    raise UnknownError("several inputs")
                known[layer["name"], 0] = given
            else:
                waiting += [(layer, number, node) for number, node in enumerate(layer["inbound_nodes"])]
        made: dict[str, tuple[Compute, int]] = {}
        while waiting:
            left = []
            for layer, number, node in waiting:
                arguments = _arguments(str(layer["class_name"]), node, known)
                if arguments is None:
                    left.append((layer, number, node))
                else:
                    name = str(layer["name"])
                    known[name, number] = self._call(layer, parts.get(name), arguments, f"{where}{name}", made)
            if len(left) == len(waiting):
                raise UnknownError("layers without their inputs")
            waiting = left
        # Of a functional model Keras counts the call that made it, here and nowhere else.
        kinds = {layer["name"]: layer["class_name"] for layer in config["layers"]}
        return known[answer[0], answer[1] - (kinds[answer[0]] == "Functional")]

    def _sequential(self, config: Mapping[str, Any], weights: Part, given: Value, where: str) -> Value:
        parts = {part.name: part for part in weights.parts}
        made: dict[str, tuple[Compute, int]] = {}
        for layer in config["layers"]:
            if layer["class_name"] == "InputLayer":
                _check_input(layer["config"])
                continue
            name = str(layer["config"]["name"])
            given = self._call(layer, parts.get(name), (given,), f"{where}{name}", made)
        return given

    def _call(
        self,
        layer: Mapping[str, Any],
        part: Part | None,
        arguments: tuple[Any, ...],
        where: str,
        made: dict[str, tuple[Compute, int]],
    ) -> Value:
        kind, module, config = str(layer["class_name"]), str(layer["module"]), layer["config"]
        if kind in _MODELS and module.startswith("keras"):
            if part is None or len(arguments) != 1 or not isinstance(arguments[0], Value):
                raise UnknownError(f"the model {where}")
            if kind == "Sequential":
                return self._sequential(config, part, arguments[0], f"{where}/")
            if kind != "Functional":
                raise UnknownError("a model of one's own")
            return self._functional(config, part, arguments[0], f"{where}/")
        if where not in made:
            is_operation = module == _OPERATIONS
            if not is_operation and module not in _HOMES:
                raise UnknownError(f"{module}.{kind}"[:80])
            if not is_operation:
                _check_float32(config.get("dtype"))
            arrays = Weights(list(part.arrays) if part is not None and not is_operation else [])
            made[where] = layers.make(f"ops.{kind}" if is_operation else kind, config, arrays), arrays.size
        compute, size = made[where]
        self._count += 1
        self.steps.append(Step(where, compute, arguments, self._count, size))
        return Value(self._count)


def _ends(node: Any) -> list[tuple[str, int, int]]:
    """Return the inputs, or outputs, of a functional model: one, or a list of them."""
    found = [node] if node and isinstance(node[0], str) else node
    if not isinstance(found, list) or len(found) != 1:
        raise UnknownError("several inputs or outputs")
    return [(str(name), int(call), int(tensor)) for name, call, tensor in found]


def _check_input(config: Mapping[str, Any]) -> None:
    if config.get("dtype") != "float32" or config.get("sparse") or config.get("ragged"):
        raise UnknownError(f"an input of {str(config.get('dtype'))[:20]}")


def _check_float32(policy: Any) -> None:
    name = policy["config"].get("name") if isinstance(policy, dict) else policy
    if name not in ("float32", None):
        raise UnknownError(f"a precision of {str(name)[:40]}")


def _arguments(kind: str, node: Mapping[str, Any], known: Mapping[tuple[str, int], Value]) -> tuple[Any, ...] | None:
    """Return the arguments of a call; None while a value that it takes is not known yet."""
    named = {name: value for name, value in node["kwargs"].items() if value is not None}
    if (named.pop("training", False) and kind not in _SAME_IN_TRAINING) or named:
        raise UnknownError(f"a call with {', '.join(node['kwargs'])}"[:80])
    try:
        return tuple(_argument(each, known) for each in node["args"])
    except LookupError:
        return None


def _argument(node: Any, known: Mapping[tuple[str, int], Value]) -> Any:
    if isinstance(node, list):
        return [_argument(each, known) for each in node]
    if isinstance(node, int | float) or node is None:
        return node
    kind = node.get("class_name") if isinstance(node, dict) else None
    if kind == "__keras_tensor__":
        name, call, tensor = node["config"]["keras_history"]
        if tensor:
            raise UnknownError("a layer of several outputs")
        return known[name, call]
    if kind == "__ellipsis__":
        return Ellipsis
    if kind == "__slice__":
        return slice(*(node["config"][name] for name in ("start", "stop", "step")))
    raise UnknownError(f"an argument {str(kind or node)[:40]}")


def _values(arguments: Sequence[Any]) -> Iterator[int]:
    for each in arguments:
        if isinstance(each, Value):
            yield each.number
        elif isinstance(each, list):
            yield from _values(each)
