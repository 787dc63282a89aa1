"""Networks of keras.applications: preprocessing, weights of files, what learns, and fine-tuning by commands."""

import sys

import keras
import numpy as np
import pytest

from mnist_exp import backbones, models
from mnist_exp.composition.compose import compose
from mnist_exp.composition.preflight import load_data
from mnist_exp.errors import SettingsError
from mnist_exp.runtime.start_folder import started_in

SIZE = (32, 32, 1)
# One of each way to preprocess.
KINDS = ["MobileNetV3Small", "MobileNetV2", "DenseNet121", "VGG16"]
SMALL = ["data=mnist_5k", "data.limit=120", "data.validation=40", "model=backbone", "trainer.batch_size=40"]


@pytest.fixture(autouse=True)
def fresh():
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The weights of one network, in each format."""
    folder = tmp_path_factory.mktemp("weights")
    keras.utils.set_random_seed(1)
    base = backbones.build("MobileNetV3Small", (32, 32), None)
    made = {suffix: str(folder / f"net{suffix}") for suffix in backbones.WEIGHTS_FILES}
    base.save_weights(made[".weights.h5"])
    base.save(made[".keras"])
    base.save(made[".h5"])
    return made, base.get_weights()


def test_there_is_a_name_for_each_network():
    import inspect

    known = [name for name, each in vars(keras.applications).items() if inspect.isfunction(each)]
    assert sorted(backbones.Name.__args__) == sorted(known)


@pytest.mark.parametrize("name", KINDS)
def test_pixels_come_as_the_network_wants_them(name):
    raw = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    inputs = keras.Input((32, 32, 3))
    made = keras.Model(inputs, backbones.preprocess(name, inputs))
    wanted = sys.modules[getattr(keras.applications, name).__module__].preprocess_input(raw.copy())
    np.testing.assert_allclose(made(raw / 255).numpy(), wanted, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("suffix", backbones.WEIGHTS_FILES)
def test_weights_of_each_format_come_to_the_same_bits(suffix, files):
    made, known = files
    network = models.backbone(SIZE, 10, weights=made[suffix])
    (base,) = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    for here, there in zip(base.get_weights(), known, strict=True):
        np.testing.assert_array_equal(here, there)


@pytest.mark.slow
@pytest.mark.parametrize("train_from", ["none", "expanded_conv_9_add"])
def test_what_is_frozen_keeps_its_bits_in_a_training(train_from):
    network = models.backbone(SIZE, 10, train_from=train_from)
    (base,) = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    names = [layer.name for layer in base.layers]
    first = len(names) if train_from == "none" else names.index(train_from)
    before = [layer.get_weights() for layer in base.layers]
    network.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).random((16, *SIZE), np.float32)
    network.fit(x, np.arange(16) % 10, verbose=0)
    changed = [
        any((a != b).any() for a, b in zip(then, layer.get_weights(), strict=True))
        for then, layer in zip(before, base.layers, strict=True)
    ]
    assert not any(changed[:first])  # BatchNorm's statistics too.
    assert any(changed[first:]) == (train_from != "none")


REFUSED = {
    "takes images of at least 32 pixels a side": ["model.size=20"],
    "is not allowed: it must be imagenet, or a file": ["model.weights=net.pkl"],
    "there is no such file": ["model.weights=lost.weights.h5"],
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_does_not_fit_is_told_before_keras_is_there(words):
    with pytest.raises(SettingsError, match=words):
        load_data(compose([*SMALL, *REFUSED[words]]))


def test_network_that_does_not_exist_is_told_with_the_nearest():
    with pytest.raises(SettingsError, match=r"did you mean model\.name=ResNet50V2"):
        compose([*SMALL, "model.name=ResNet50v2"])


def test_unknown_layer_is_told_with_the_nearest():
    with pytest.raises(SettingsError, match="train_from=conv_9 is no layer of MobileNetV3Small: did you mean conv_1"):
        models.backbone(SIZE, 10, train_from="conv_9")


def test_weights_lie_where_the_command_was_started_or_at_home(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "w.keras").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with started_in(tmp_path / "home"):
        for file in ("w.keras", "~/w.keras"):
            assert list(backbones.problems("MobileNetV3Small", SIZE, None, file)) == []
    for file in ("w.keras", "~nobody/w.keras", f"{'w' * 300}.keras"):
        assert list(backbones.problems("MobileNetV3Small", SIZE, None, file)) == [
            f"model.weights={file}: there is no such file"
        ]


@pytest.mark.slow
def test_weights_of_another_network_and_files_that_are_none_are_refused(tmp_path):
    other = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(other)
    nothing = tmp_path / "nothing.keras"
    nothing.write_bytes(b"no archive")
    for file in (other, nothing):
        with pytest.raises(SettingsError, match="does not fit MobileNetV3Small"):
            models.backbone(SIZE, 10, weights=str(file))


@pytest.mark.slow
def test_head_first_and_then_all_of_it(tmp_path):
    """The recipe of docs/fine-tuning.md: the second run begins with what the first one ended with."""
    from mnist_exp.experiment.runner import run

    words = [*SMALL, "tracking=none"]
    first = run(compose([*words, "model.train_from=none", "trainer.epochs=2"]))
    file = tmp_path / "first.keras"
    first.model.save(file)
    second = run(compose([*words, f"model.weights={file}", "optimizer.learning_rate=1e-12", "trainer.epochs=1"]))
    found = second.model.trainable_weights
    assert len(found) > 10
    kernels = [w.numpy() for w in second.model.trainable_weights if len(w.shape) == 2]
    wanted = [w.numpy() for w in first.model.weights if len(w.shape) == 2]
    for kernel in kernels:
        assert any(kernel.shape == each.shape and np.allclose(kernel, each, atol=1e-6) for each in wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["MobileNetV3Small", "EfficientNetB0"]
)  # The one has counts of steps among its weights.
def test_model_of_a_run_with_other_classes_gives_all_but_its_last_layer(name, tmp_path):
    first = models.backbone(SIZE, 10, name=name)
    pixels = keras.Input(SIZE)
    file = tmp_path / "first.keras"
    keras.Model(pixels, first(keras.layers.Rescaling(1 / 255)(pixels))).save(file)
    keras.utils.set_random_seed(2)
    new = models.backbone(SIZE, 3, name=name).get_weights()
    keras.utils.set_random_seed(2)
    found = models.backbone(SIZE, 3, name=name, weights=str(file)).get_weights()
    for here, there, other in zip(found, first.get_weights(), new, strict=True):
        np.testing.assert_array_equal(here, there if here.shape == there.shape else other)
    assert [each.shape[-1] for each in found[-2:]] == [3, 3]
    other = models.backbone(SIZE, 3, name="MobileNet")
    with pytest.raises(SettingsError, match="does not fit"):
        backbones.load(str(file), other, next(each for each in other.layers if isinstance(each, keras.Model)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in backbones.Name.__args__
        if name.endswith(("Tiny", "B0", "V2", "121", "50", "16", "V3", "Mobile", "Xception"))
    ],
)
def test_network_is_read_back_from_its_record(name):
    from mnist_exp.training import readable

    network = models.backbone((28, 28, 1), 3, name=name)
    readable.check(network, "mnist_exp.models.backbone", ())
    assert network.output_shape == (None, 3)
