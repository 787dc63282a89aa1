"""Write a Keras model in the formats of other runtimes, and open it there."""

import contextlib
import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np

from mnist_exp.data.dataset import Array
from mnist_exp.data.features import FEATURES
from mnist_exp.errors import SettingsError
from mnist_exp.inference import pixel_record
from mnist_exp.tasks.task import Task

if TYPE_CHECKING:
    import keras

INPUT = "pixels"
_NAMED = "by its task"  # the output is "probabilities", or "values"
Reader = Callable[[Array], Array]


class Opener(Protocol):
    """Opens an exported model in its runtime."""

    def __call__(self, path: Path, trusted: Sequence[str], threads: int = 0, /) -> Reader:
        """Return what reads float32 images (n, height, width, channels) as probabilities.

        Args:
            path: of the file or the folder.
            trusted: modules of the user's that a Keras file may name.
            threads: of ONNX Runtime and LiteRT; 0 leaves it to them. TensorFlow takes those of its process.
        """


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        suffix: of its file; empty for a folder.
        packages: modules that it needs beside Keras.
        runtime: what reads it, for people.
        output: what it calls the output.
        write: writes a model to a path.
        open: opens it in its runtime.
        is_float32: whether its runtime knows no 16-bit operations.
    """

    suffix: str
    packages: tuple[str, ...]
    runtime: str
    output: str
    write: "Callable[[keras.Model, Path, str], None]"
    open: Opener
    is_float32: bool = False


def output_name(form: str, task: Task) -> str:
    """Return what a format calls the output of a model."""
    if FORMATS[form].output != _NAMED:
        return FORMATS[form].output
    return "values" if task.activation == "linear" else "probabilities"


def input_name(pixels: bool) -> str:
    """Return what an exported model calls its input: `pixels` where it takes these, else `features`."""
    return INPUT if pixels else FEATURES


def check_packages(name: str) -> None:
    """Make sure that the packages of a format are installed. Raises: SettingsError: they are not."""
    missing = [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]
    if missing:
        raise SettingsError(f"--format={name} needs {', '.join(missing)}: pip install 'mnist_exp[export]'")


def in_float32(model: "keras.Model") -> "keras.Model":
    """Return a model that computes in float32, with the same weights; the same model if it does so already."""
    import keras

    layers = model._flatten_layers()  # `model.layers` leaves out those within others, as in Bidirectional.
    if not any(layer.compute_dtype in ("bfloat16", "float16") for layer in layers):
        return model

    def clone(layer: "keras.Layer") -> "keras.Layer":
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    twin = keras.models.clone_model(model, clone_function=clone, recursive=True)
    twin.set_weights(model.get_weights())
    return twin


@contextlib.contextmanager
def held_output() -> Iterator[None]:
    """Hide what libraries print, native ones too, unless they fail."""
    with tempfile.TemporaryFile("w+", errors="replace") as held, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _descriptors_to(held), contextlib.redirect_stdout(held), contextlib.redirect_stderr(held):
                yield
        except Exception:
            held.seek(0)
            sys.stderr.write(held.read())
            raise


@contextlib.contextmanager
def _descriptors_to(file: IO[str]) -> Iterator[None]:
    """Redirect the descriptors of stdout and stderr, which native code writes to, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as after:
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            after.callback(os.close, saved)
            after.callback(os.dup2, saved, descriptor)
            os.dup2(file.fileno(), descriptor)
        # What holds the streams from before, as handlers of logs do, may not have written all of it yet.
        after.callback(sys.stdout.flush)
        after.callback(sys.stderr.flush)
        yield
        file.flush()


def _as_predicting(model: "keras.Model") -> "keras.Model":
    """Return a model whose layers know that they do not train.

    These two formats call the model without saying so, and a Resizing or CenterCrop in it then makes Keras 3.15 compute
    each BatchNormalization behind it as in a training: findings/keras-resizing-makes-batch-normalization-train.sh.
    """
    import keras

    (taken,) = model.inputs
    inputs = keras.Input(batch_shape=taken.shape, dtype=taken.dtype, name=taken.name)
    predicting = keras.Model(inputs, model(inputs, training=False))
    predicting(np.zeros((1, *taken.shape[1:]), taken.dtype))  # One that was never called is not exported as ONNX.
    return predicting


def _write_onnx(model: "keras.Model", path: Path, name: str) -> None:
    import keras
    import onnx

    for layer in model._flatten_layers():  # Those within others too.
        # Tensors outside the graph, as this layer keeps its mean, become further inputs of the file:
        # findings/keras-normalization-becomes-inputs-in-onnx.sh.
        if isinstance(layer, keras.layers.Normalization):
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
    _as_predicting(model).export(path, format="onnx", verbose=False)
    graph = (written := onnx.load(path)).graph
    (pixels,), (output,) = graph.input, graph.output
    inputs = input_name(pixel_record.takes_pixels(model))
    named = {pixels.name: inputs, output.name: name}  # tf2onnx calls it Identity:0.
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [named.get(name, name) for name in names]
    for tensor in (pixels, output):
        tensor.name = named[tensor.name]
        tensor.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.checker.check_model(written, full_check=True)
    onnx.save(written, path)


def _open_onnx(path: Path, trusted: Sequence[str], threads: int = 0, /) -> Reader:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda x: np.asarray(session.run(None, {given.name: x})[0])


def _write_litert(model: "keras.Model", path: Path, name: str) -> None:
    model.export(path, format="litert", verbose=False)


def _open_litert(path: Path, trusted: Sequence[str], threads: int = 0, /) -> Reader:
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(path), num_threads=threads or None).get_signature_runner()
    (pixels,), (output,) = run.get_input_details(), run.get_output_details()
    return lambda x: np.asarray(run(**{pixels: x})[output])


def _write_savedmodel(model: "keras.Model", path: Path, name: str) -> None:
    _as_predicting(model).export(path, format="tf_saved_model", verbose=False)


def _open_savedmodel(path: Path, trusted: Sequence[str], threads: int = 0, /) -> Reader:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda x: np.asarray(loaded.serve(tf.constant(x)))


def _write_keras(model: "keras.Model", path: Path, name: str) -> None:
    model.save(path)


def _open_keras(path: Path, trusted: Sequence[str], threads: int = 0, /) -> Reader:
    from mnist_exp.inference import load

    return reader_of(load.load_model(path, trusted_modules=trusted))


def reader_of(model: "keras.Model") -> Reader:
    """Return a function that classifies images by a Keras model, in one compiled call a batch."""
    return lambda x: np.asarray(model.predict_on_batch(x))


FORMATS = {
    "onnx": Format(".onnx", ("tf2onnx", "onnx", "onnxruntime"), "ONNX Runtime", _NAMED, _write_onnx, _open_onnx, True),
    "litert": Format(".tflite", ("ai_edge_litert",), "LiteRT", "output_0", _write_litert, _open_litert, True),
    "savedmodel": Format("", (), "TensorFlow", "output_0", _write_savedmodel, _open_savedmodel),
    "keras": Format(".keras", (), "Keras", _NAMED, _write_keras, _open_keras),
}
