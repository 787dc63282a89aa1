"""What the configuration in a model file may name, read without Keras: loading a model runs what it names.

The layers are listed by hand, though Keras could list its own: the package runs with later versions of Keras too, and
layers of Keras have turned out to run code or read files. TorchModuleWrapper, new in 3.11, unpickled (CVE-2025-49655);
StringLookup reads any file as its vocabulary (CVE-2025-12058); TFSMLayer loads another model. A list of what is refused
would have let each of them in. With this one a new layer is refused until someone adds its name, and
tests/config/test_allow_list.py names those that are missing.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

# Layers that compute on tensors and nothing else.
LAYERS = frozenset(
    """
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
    AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add AdditiveAttention AlphaDropout Attention AugMix
    AutoContrast Average AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization Bidirectional
    CategoryEncoding CenterCrop Concatenate ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose Conv2D
    Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Cropping1D Cropping2D Cropping3D CutMix
    Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Equalization Flatten
    GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupedQueryAttention Identity
    InputLayer LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum
    MelSpectrogram Minimum MixUp MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization RNN
    RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
    RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
    RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear
    RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing STFTSpectrogram SeparableConv1D
    SeparableConv2D SimpleRNN SimpleRNNCell Softmax Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D
    SpectralNormalization StackedRNNCells Subtract TimeDistributed UnitNormalization UpSampling1D UpSampling2D
    UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """.split()  # noqa: SIM905
)
# Why these are refused, for the message.
DANGERS = {
    "Lambda": "holds code of its own",
    "TFSMLayer": "loads and runs another file",
    "TorchModuleWrapper": "unpickles code",
    "JaxLayer": "calls any function",
    "FlaxLayer": "calls any function",
    "StringLookup": "may read any file as its vocabulary",
    "IntegerLookup": "may read any file as its vocabulary",
    "TextVectorization": "may read any file as its vocabulary",
}
ACTIVATIONS = frozenset(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid
    log_softmax mish relu relu6 selu sigmoid silu softmax softplus softsign soft_shrink sparse_plus sparse_sigmoid
    sparsemax squareplus swish tanh tanh_shrink threshold
    """.split()  # noqa: SIM905
)
_MODELS = ("Sequential", "Functional", "Model")
_CLASSES = {  # The classes of these modules are small and plain; functions begin with a small letter.
    "keras.initializers": re.compile(r"[A-Z]\w*"),
    "keras.regularizers": re.compile(r"[A-Z]\w*"),
    "keras.constraints": re.compile(r"[A-Z]\w*"),
    "keras": re.compile("|".join((*_MODELS, "DTypePolicy", "FloatDTypePolicy"))),
    "keras.dtype_policies": re.compile("DTypePolicy|FloatDTypePolicy"),
    "keras.models": re.compile("|".join(_MODELS)),
    "keras.src.models.functional": re.compile("Functional"),
    "keras.src.applications.convnext": re.compile("LayerScale|StochasticDepth"),
    "keras.src.applications.inception_resnet_v2": re.compile("CustomScaleLayer"),
    "keras.random": re.compile("SeedGenerator"),
    **{f"keras.src.ops.{name}": re.compile(r"[A-Z]\w*") for name in ("image", "linalg", "math", "nn", "numpy")},
}
# What Keras writes for values that JSON cannot hold.
_VALUES = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__")
_DEEPEST = 100


class ForbiddenError(Exception):
    """A configuration names something that must not be loaded; the message says what and why."""


def without_training(node: Any) -> Any:
    """Return a configuration without optimizers, losses and metrics, which only training needs."""
    if isinstance(node, dict):
        return {k: None if k == "compile_config" else without_training(v) for k, v in node.items()}
    return [without_training(inner) for inner in node] if isinstance(node, list) else node


def check(config: Any, trusted: Sequence[str]) -> None:
    """Make sure that a configuration names only Keras's harmless classes, and classes of trusted modules.

    Args:
        config: parsed JSON.
        trusted: modules whose classes and functions it may name.
    Raises: ForbiddenError: it names something else.
    """
    if not isinstance(config, dict) or "class_name" not in config:
        raise ForbiddenError("its config.json describes no model")
    for node, where in _objects(config, "", 0):
        _check_object(node, where, trusted)


def modules(config: Any, trusted: Sequence[str]) -> list[str]:
    """Return the trusted modules that a configuration names as the homes of its classes and functions."""
    named = {node.get("module") for node, _ in _objects(config, "", 0)}
    return sorted(name for name in named if isinstance(name, str) and within(name, trusted))


def texts(node: Any) -> Iterator[str]:
    """Yield every text of a configuration: Keras may take any of them for a registered name."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from texts(inner)


def within(module: str, packages: Sequence[str]) -> bool:
    """Tell whether a module is one of some packages, or inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _objects(node: Any, where: str, depth: int) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield every part of a configuration that Keras would turn into an object, and the layer it belongs to."""
    if depth > _DEEPEST:
        raise ForbiddenError(f"its config.json is nested more than {_DEEPEST} deep")
    if isinstance(node, dict):
        if "class_name" in node:
            yield node, where
            inner = node.get("config")
            where = inner["name"] if isinstance(inner, dict) and isinstance(inner.get("name"), str) else where
        for value in node.values():
            yield from _objects(value, where, depth + 1)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value, where, depth + 1)


def _check_object(node: dict[str, Any], where: str, trusted: Sequence[str]) -> None:
    module, name, registered = node.get("module"), node["class_name"], node.get("registered_name")
    own = node.get("config")
    own_name = own.get("name") if isinstance(own, dict) else None
    described = f"{module}.{name}" if module else f"{name}"
    named = own_name or where
    what = f"{described} (layer {str(named)[:80]!r})" if named else described
    if not isinstance(name, str) or not isinstance(module, str | None) or not isinstance(registered, str | None):
        raise ForbiddenError(f"{str(what)[:200]} is no name of a class")
    if name in _VALUES and module is None and registered is None:
        return
    if name == "function":
        if module in ("builtins", "keras.activations") and own in ACTIVATIONS and registered in (None, name, own):
            return
        if not trusted:
            raise ForbiddenError(f"it names the function {own!r}: {_fix('the module that it is defined in')}")
        return  # `load` checks whose it is, once the trusted modules are imported.
    if name in DANGERS:  # Whatever its module is said to be: Keras finds some classes by their bare names.
        raise ForbiddenError(f"{what} {DANGERS[name]}, which no model file may: build the model without it")
    if module is not None and within(module, trusted):
        return
    allowed = LAYERS if module == "keras.layers" else None
    form = _CLASSES.get(module or "")
    known = name in allowed if allowed is not None else form is not None and form.fullmatch(name) is not None
    if known and registered in (None, name):
        return
    if not module or module.partition(".")[0] == "keras":
        raise ForbiddenError(f"{what} is not among the classes of Keras that a model file may name")
    raise ForbiddenError(f"{what} is code of your own or of someone else: {_fix(module.partition('.')[0])}")


def _fix(module: str) -> str:
    return f"if you know and trust it, name {module} in trusted_modules"
