"""Write an exported model with numbers of 8 or 16 bits in place of 32.

What each choice leaves in 32 bits was measured: docs/decisions/0025-quantized-exports.md.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_exp.data.dataset import Array
from mnist_exp.data.lazy import Examples, rows
from mnist_exp.errors import SettingsError
from mnist_exp.inference.exporting.formats import FORMATS

if TYPE_CHECKING:
    import keras

INT8 = "int8"
# What is done, for people.
MEANINGS: Mapping[str, str] = {
    "dynamic": "weights in 8 bits; what the layers compute is scaled to 8 bits as it comes",
    INT8: "weights, and what the layers compute, in 8 bits; scales measured beforehand",
    "float16": "weights in 16 bits; computed in 32",
}
CALIBRATED_ON = 500  # images; 2,000 were no better: docs/decisions/0025-quantized-exports.md
_SEED = 0
_AT_A_TIME = 50
_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
# Where LiteRT would scale values of different sizes alike, the columns of a table, or round probabilities to 1/256.
_LITERT_IN_FLOAT = ["MUL", "SUB", "DIV", "SOFTMAX", "LOGISTIC"]
_ONNX_IN_8_BITS = ["Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool"]
_ONNX_IN_8_BITS += ["Reshape", "Transpose", "Concat", "Squeeze", "Unsqueeze", "Pad"]
_ONNX_WITH_WEIGHTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Source:
    """What is made small.

    Args:
        model: in float32.
        file: the same, exported in the format without quantization.
        calibration: training images that the scales are measured on, float32 (n, …); none unless `INT8`.
    """

    model: "keras.Model"
    file: Path
    calibration: Array


def check(form: str, choice: str) -> None:
    """Make sure that a format can be quantized so. Raises: SettingsError: it cannot."""
    if (form, choice) not in _WRITERS:
        known = list(dict.fromkeys(name for name, _ in _WRITERS))
        raise SettingsError(
            f"--quantize={choice} is not for --format={form}: --format={' and --format='.join(known)} can be quantized"
        )


def write(form: str, choice: str, source: Source, path: Path) -> None:
    """Write a model in fewer bits; it takes and returns float32 as before.

    Args:
        form: onnx or litert.
        choice: one of `MEANINGS`.
        source: the model.
        path: to write to.
    """
    _WRITERS[form, choice](source, path)


def calibration(x: Examples, count: int) -> Array:
    """Return some of the training images, always the same ones: float32 (count, …)."""
    chosen = np.random.default_rng(_SEED).choice(len(x), count, replace=False)
    return np.asarray(rows(x, np.sort(chosen))[:], np.float32)


def _litert_dynamic(source: Source, path: Path) -> None:
    import tensorflow as tf

    source.model.export(path, format="litert", verbose=False, optimizations=[tf.lite.Optimize.DEFAULT])


def _litert_float16(source: Source, path: Path) -> None:
    import tensorflow as tf

    types = {"supported_types": [tf.float16]}
    optimizations = [tf.lite.Optimize.DEFAULT]
    source.model.export(path, format="litert", verbose=False, optimizations=optimizations, target_spec=types)


def _litert_int8(source: Source, path: Path) -> None:
    """Quantize by what TensorFlow calls the debugger: the one way to leave single operations in float32.

    Source: https://ai.google.dev/edge/litert/models/quantization_debugger, "Selective quantization".
    """
    import tensorflow as tf

    def examples() -> Iterator[list[Array]]:
        return ([source.calibration[i : i + 1]] for i in range(len(source.calibration)))

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        FORMATS["savedmodel"].write(source.model, Path(folder), "")
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = examples
        options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=_LITERT_IN_FLOAT)
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=examples, debug_options=options
        )
        path.write_bytes(debugger.get_nondebug_quantized_model())


def _onnx_dynamic(source: Source, path: Path) -> None:
    from onnxruntime import quantization

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared = _prepared(source.file, Path(folder))
        # Convolutions with signed weights take twice the time.
        quantization.quantize_dynamic(prepared, path, weight_type=quantization.QuantType.QUInt8)


def _onnx_int8(source: Source, path: Path) -> None:
    import onnx
    from onnxruntime import quantization

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared = _prepared(source.file, Path(folder))
        graph = onnx.load(prepared).graph
        # Unsigned weights: for signed ones processors without VNNI cut sums off at 16 bits, and answer otherwise.
        quantization.quantize_static(
            prepared,
            path,
            _batches(graph.input[0].name, source.calibration),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QUInt8,
            op_types_to_quantize=_ONNX_IN_8_BITS,
            nodes_to_exclude=_before_the_weights(graph),
        )


def _onnx_float16(source: Source, path: Path) -> None:
    """Keep weights in float16 and compute in float32, as LiteRT does.

    ONNX Runtime's own converter sends what the model takes through float16, also where the first layers stay in
    float32: columns of a table above 65,504 become infinite. And its CPU computes in float32 anyway.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source.file)
    graph = model.graph
    weights, nodes = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim > 1 and np.abs(values).max() <= _LARGEST_FLOAT16:
            small = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}/float16")
            nodes.append(onnx.helper.make_node("Cast", [small.name], [tensor.name], to=onnx.TensorProto.FLOAT))
            weights.append(small)
        else:
            weights.append(tensor)
    nodes += graph.node
    for field, content in ((graph.initializer, weights), (graph.node, nodes)):
        del field[:]
        field.extend(content)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _prepared(file: Path, folder: Path) -> Path:
    """Return a file of the same model, with normalizations folded into the layers before them."""
    from onnxruntime.quantization import shape_inference

    prepared = folder / "prepared.onnx"
    # The symbolic inference is for transformers, and needs sympy.
    shape_inference.quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)
    return prepared


def _batches(name: str, images: Array) -> Any:
    """Return images as ONNX Runtime asks for them when it calibrates."""
    from onnxruntime.quantization import CalibrationDataReader

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter([images[i : i + _AT_A_TIME] for i in range(0, len(images), _AT_A_TIME)])

        def get_next(self) -> dict[str, Array] | None:
            batch = next(self.left, None)
            return None if batch is None else {name: batch}

    return Batches()


def _before_the_weights(graph: Any) -> list[str]:
    """Return the names of the nodes that only prepare the input: rescaling and normalization."""
    constant = {tensor.name for tensor in graph.initializer} | {""}
    reached = {graph.input[0].name}
    names = []
    for node in graph.node:  # They are in the order in which they are computed.
        if node.op_type == "Constant":
            constant.update(node.output)
        elif set(node.input) <= reached | constant and node.op_type not in _ONNX_WITH_WEIGHTS:
            reached.update(node.output)
            names.append(node.name)
    return names


_WRITERS: Mapping[tuple[str, str], Callable[[Source, Path], None]] = {
    ("litert", "dynamic"): _litert_dynamic,
    ("litert", INT8): _litert_int8,
    ("litert", "float16"): _litert_float16,
    ("onnx", "dynamic"): _onnx_dynamic,
    ("onnx", INT8): _onnx_int8,
    ("onnx", "float16"): _onnx_float16,
}
