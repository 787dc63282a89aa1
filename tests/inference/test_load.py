"""Model files: what this package wrote loads and predicts the same; what could run or read anything else is refused."""

import contextlib
import io
import json
import os
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from mnist_exp import load_model, models
from mnist_exp.errors import SettingsError
from mnist_exp.numpy_model.archive import CONFIG, METADATA, WEIGHTS

SHIPPED = ["cnn", "convnet", "mlp", "lenet5", "resnet"]
SECRET = b"what only the user may read, 64 bytes of it and more, and more again"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of the members of a small good file."""
    file = tmp_path_factory.mktemp("good") / "good.keras"
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(3, activation="relu", name="one"),
        keras.layers.Dense(2, name="two"),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    model.save(file)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(members, path="evil.keras", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return Path(path)


def refused(path, *words, **options):
    """Check that a file is refused with these words, and that Keras never saw it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("Keras was given the file"))
        with pytest.raises(SettingsError) as error:
            load_model(path, **options)
    (problem,) = error.value.problems
    for word in words:
        assert word in problem
    assert not Path("PROOF").exists()
    return problem


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_loads_and_predicts_the_same(name, digits):
    model = getattr(models, name)((28, 28, 1), 10)
    model.compile("adam", "categorical_crossentropy")
    model.save("m.keras")
    loaded = load_model("m.keras")
    x = digits[1][0][:20, ..., np.newaxis] / 255
    assert np.array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert not loaded.compiled


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "bfloat16", "float16"])
def test_layers_of_every_kind_load(policy):
    layers = keras.layers
    inner = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization()])
    inner.compile("adam", "mse")
    x = start = keras.Input((6, 6, 1))
    x = layers.RandomTranslation(0.1, 0.1)(layers.Rescaling(2.0)(x))
    x = inner(layers.Conv2D(4, 3, padding="same", kernel_regularizer="l2", bias_constraint="non_neg", dtype=policy)(x))
    x = layers.Add()([x, layers.SpatialDropout2D(0.1)(x)])
    x = keras.ops.sqrt(keras.ops.abs(x * 2 + 1))
    x = layers.Bidirectional(layers.GRU(3))(layers.TimeDistributed(layers.Flatten())(x))
    x = layers.Dense(2, activation=keras.activations.mish, kernel_initializer=keras.initializers.HeNormal(seed=3))(x)
    keras.Model(start, layers.Activation("softmax")(x)).save("m.keras")
    assert load_model(Path("m.keras")).output_shape == (None, 2)


def dense(good):
    config = json.loads(good[CONFIG])
    return config, config["config"]["layers"][1]


def with_layer(good, change):
    """Return the members of a file whose first layer is changed."""
    config, layer = dense(good)
    change(layer)
    return good | {CONFIG: json.dumps(config)}


def call(module, name, registered=None, /, **config):
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


LAMBDA = {"function": {"class_name": "__lambda__", "config": {"code": "4wAAAA==", "defaults": None, "closure": None}}}
OBJECTS = {
    "CVE-2025-1550, any function of any module": call("os", "system", command="touch PROOF"),
    "CVE-2025-1550, as a function": call("os", "function") | {"config": "system", "registered_name": "system"},
    "CVE-2025-8747, Keras's own download": call("keras.utils", "get_file", fname="PROOF", origin="file:///etc/hosts"),
    "unsafe mode from within": call("keras.config", "enable_unsafe_deserialization"),
    "CVE-2025-9906, the same as a function": call("keras.config", "function")
    | {"config": "enable_unsafe_deserialization", "registered_name": "enable_unsafe_deserialization"},
    "another model": call("keras.saving", "load_model", filepath="other.keras", safe_mode=False),
    "CVE-2025-12058, a vocabulary from a file": call("keras.layers", "StringLookup", vocabulary="/etc/passwd"),
    "a vocabulary of numbers": call("keras.layers", "IntegerLookup", vocabulary="/etc/passwd"),
    "a vocabulary of texts": call("keras.layers", "TextVectorization", vocabulary="/etc/passwd"),
    "CVE-2026-1462, a SavedModel": call("keras.layers", "TFSMLayer", filepath="/tmp/model"),
    "a pickle of torch": call("keras.layers", "TorchModuleWrapper", module="gASV"),
    "a layer of JAX": call("keras.layers", "JaxLayer", call_fn="x"),
    "a lambda": call("keras.layers", "Lambda", **LAMBDA),
    "a lambda by its real module": call("keras.src.layers.core.lambda_layer", "Lambda", **LAMBDA),
    "a lambda without a module": {"class_name": "Lambda", "config": LAMBDA},
    "a lambda with an empty module": call("", "Lambda", **LAMBDA),
    "a lambda under another name": call("keras.layers", "Dense", "Lambda", **LAMBDA),
    "a bare lambda": LAMBDA["function"],
    "a type of TensorFlow": {"class_name": "__typespec__", "config": [], "module": "os", "spec_name": "system"},
    "what is made of what is imported": call("keras.src.ops.numpy", "backend.config"),
    "a private module": call("keras.src.utils.file_utils", "get_file", fname="PROOF"),
    "a hub": call("keras_hub.models", "Backbone"),
    "an attribute chain": call("keras.layers.os", "system"),
    "a module that looks like Keras": call("keras_evil.layers", "Dense", units=3),
    "a letter that looks like another": call("keras.layers", "Dеnse", units=3),
    "a name that is none": {"module": "keras.layers", "class_name": ["Dense"], "config": {}},
    "a module that is none": {"module": {"a": 1}, "class_name": "Dense", "config": {}},
    "a registered name": call("keras.layers", "Dense", "theirs>Dense", units=3),
    "an optimizer": call("keras.optimizers", "Adam"),
    "a function": {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"},
    "a getter": {"module": "keras.activations", "class_name": "function", "config": "deserialize"},
}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_named_object_is_refused_wherever_it_stands(name, good):
    evil = OBJECTS[name]
    places = {
        "as a layer": lambda layer: (layer.clear(), layer.update(evil)),
        "in a layer": lambda layer: layer["config"].update(kernel_initializer=evil),
        "in a list in a layer": lambda layer: layer["config"].update(extra=[[{"a": evil}]]),
        "in how it is built": lambda layer: layer.update(build_config={"input_shape": evil}),
        "beside the layer": lambda layer: layer.update(inbound_nodes=[{"args": [evil]}]),
    }
    for change in places.values():
        refused(write(with_layer(good, change)))
    refused(write(good | {CONFIG: json.dumps(evil)}))


def test_a_refusal_names_the_layer_and_what_to_do(good):
    lambda_layer = call("keras.layers", "Lambda", name="scale", **LAMBDA)
    told = refused(write(with_layer(good, lambda layer: (layer.clear(), layer.update(lambda_layer)))))
    assert told == (
        "evil.keras is not loaded: keras.layers.Lambda (layer 'scale') holds code of its own, which no model file may: "
        "build the model without it"
    )
    theirs = call("their_pkg.nets", "Block", "their_pkg>Block")
    told = refused(write(with_layer(good, lambda layer: (layer.clear(), layer.update(theirs)))))
    assert "their_pkg.nets.Block" in told
    assert "name their_pkg in trusted_modules" in told


def test_a_real_lambda_model_is_refused():
    start = keras.Input((4,))
    keras.Model(start, keras.layers.Lambda(lambda x: __import__("os").system("touch PROOF") or x)(start)).save(
        "l.keras"
    )
    Path("PROOF").unlink(missing_ok=True)
    refused("l.keras", "keras.layers.Lambda", "holds code of its own")


def test_what_is_only_for_training_is_left_out(good):
    """Also that of an inner model, which Keras would compile."""
    config = json.loads(good[CONFIG])
    evil = {"optimizer": OBJECTS["CVE-2025-8747, Keras's own download"], "loss": call("os", "system")}
    config["compile_config"] = config["config"]["layers"][1]["compile_config"] = evil
    assert load_model(write(good | {CONFIG: json.dumps(config)})).count_params() == 23
    assert not Path("PROOF").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "5", '{"a": 1}', "[" * 100_000, '{"a":' * 5_000, "\ud800"])
def test_a_configuration_that_is_none_is_refused(content, good):
    refused(write(good | {CONFIG: content.encode("utf-8", "surrogatepass")}))


def test_a_configuration_nested_too_deep_is_refused(good):
    config, layer = dense(good)
    for _ in range(150):
        layer["config"]["extra"] = dict(layer["config"])
        layer = {"config": layer["config"]["extra"]}
    refused(write(good | {CONFIG: json.dumps(config)}), "deep")


def test_archives_with_anything_else_in_them_are_refused(good):
    for name in ("../PROOF", "/tmp/PROOF", "assets/vocabulary.txt", "model.weights.npz", "x/../config.json", "PROOF"):
        refused(write(good | {name: b"x"}), "nothing else", repr(name))
    refused(write({n: c for n, c in good.items() if n != WEIGHTS}), "model.weights.h5")
    refused(write({n: c for n, c in good.items() if n != METADATA}), "metadata.json")
    refused(write({}), "no .keras archive")


def test_a_member_that_stands_twice_is_refused(good):
    with zipfile.ZipFile("evil.keras", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name, content in [*good.items(), (CONFIG, json.dumps(OBJECTS["a lambda"]))]:
            archive.writestr(name, content)
    refused("evil.keras", "each once")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR])
def test_a_member_that_is_no_plain_file_is_refused(kind, good):
    with zipfile.ZipFile("evil.keras", "w") as archive:
        for name, content in good.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind | 0o777 if name == WEIGHTS else stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    refused("evil.keras", "no plain file")


def test_bombs_are_refused(good):
    zeros = bytes(200_000_000)
    refused(write(good | {WEIGHTS: zeros}, compression=zipfile.ZIP_DEFLATED), "would grow")
    refused(write(good | {CONFIG: zeros}, compression=zipfile.ZIP_DEFLATED), "at most")
    refused(write(good, compression=zipfile.ZIP_BZIP2), "compressed in a way")


def test_a_bomb_that_lies_of_its_size_is_refused(good):
    path = write(good | {CONFIG: bytes(30_000_000)}, compression=zipfile.ZIP_DEFLATED)
    content = path.read_bytes().replace(struct.pack("<I", 30_000_000), struct.pack("<I", 1000))
    path.write_bytes(content)
    refused(path)


def test_good_file_packed_again_loads(good):
    assert load_model(write(good, compression=zipfile.ZIP_DEFLATED)).count_params() == 23


def with_weights(good, change):
    held = io.BytesIO(good[WEIGHTS])
    with h5py.File(held, "r+") as file:
        change(file, file["layers/dense/vars"])
    return write(good | {WEIGHTS: held.getvalue()})


def test_weights_that_point_elsewhere_are_refused(good):
    Path("secret").write_bytes(SECRET)
    with h5py.File("other.h5", "w") as other:
        other["0"] = np.ones((4, 3), np.float32)

    def external_storage(file, group):
        del group["0"]
        group.create_dataset("0", (4, 3), np.float32, external=[("secret", 0, 48)])

    def virtual(file, group):
        del group["0"]
        layout = h5py.VirtualLayout((4, 3), np.float32)
        layout[:] = h5py.VirtualSource("other.h5", "0", (4, 3))
        group.create_virtual_dataset("0", layout)

    def external_link(file, group):
        del group["0"]
        group["0"] = h5py.ExternalLink("other.h5", "0")

    def external_group(file, group):
        file["layers/more"] = h5py.ExternalLink("other.h5", "/")

    def soft_link(file, group):
        del group["0"]
        group["0"] = h5py.SoftLink("/layers/dense/vars/1")

    for change, word in (
        (external_storage, "another file"),
        (virtual, "another file"),
        (external_link, "link"),
        (external_group, "link"),
        (soft_link, "link"),
    ):
        refused(with_weights(good, change), word)


def test_weights_that_are_no_plain_numbers_are_refused(good):
    def compressed(file, group):
        del group["0"]
        group.create_dataset("0", (4, 3), np.float32, compression="gzip")

    def giant(file, group):
        del group["0"]
        group.create_dataset("0", (10**12,), np.float32, chunks=(100,))

    def texts(file, group):
        group["9"] = ["a", "b"]

    def reference(file, group):
        group.create_dataset("9", data=file.ref, dtype=h5py.ref_dtype)

    def named_type(file, group):
        file["type"] = np.dtype("f4")

    def circle(file, group):
        group["again"] = file["layers"]

    words = ["compressed", "larger than what is stored", "not numbers", "not numbers", "no array", "without an end"]
    for change, word in zip((compressed, giant, texts, reference, named_type, circle), words, strict=True):
        refused(with_weights(good, change), word)


def test_damaged_files_are_refused_in_words(good):
    whole = write(good).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(whole)
        for position in rng.integers(0, len(content), 4):
            content[position] = rng.integers(256)
        Path("d.keras").write_bytes(bytes(content[: rng.integers(10, len(content))] if rng.random() < 0.3 else content))
        with contextlib.suppress(SettingsError):
            load_model("d.keras")


def test_other_formats_are_refused(good):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).export("saved", verbose=False)
    for name, content in {
        "old.h5": good[WEIGHTS],
        "pickle.keras": b"\x80\x04cos\nsystem\n",
        "text.keras": b"x",
    }.items():
        Path(name).write_bytes(content)
        refused(name, "no .keras archive", "save it again")
    for name in ("saved", "nothing.keras", "", "0" * 33, "hf://me/model", "/dev/null"):
        refused(name, "neither a run id")
    refused("0" * 31, "there is no run")  # It may be the beginning of an id.


OWN = """
import os
import keras

@keras.saving.register_keras_serializable(package="own_pkg")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x

@keras.saving.register_keras_serializable(package="own_pkg")
def steep(x):
    return keras.ops.relu(3 * x)

@keras.saving.register_keras_serializable(package="own_pkg", name="run")
class System(keras.layers.Layer):
    pass

System.__module__ = "elsewhere"
"""


def test_own_layers_load_if_their_module_is_trusted(monkeypatch, tmp_path):
    (tmp_path / "own_pkg.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    import own_pkg

    start = keras.Input((4,))
    model = keras.Model(start, keras.layers.Dense(2, activation=own_pkg.steep)(own_pkg.Twice(name="twice")(start)))
    model.save("own.keras")
    refused("own.keras", "own_pkg.Twice (layer 'twice')", "trusted_modules")
    refused("own.keras", "trusted_modules", trusted_modules=["other_pkg"])
    refused("own.keras", "'os' is not allowed", trusted_modules=["os"])
    refused("own.keras", "'keras' is not allowed", trusted_modules="keras")
    x = np.ones((3, 4), np.float32)
    loaded = load_model("own.keras", trusted_modules=["own_pkg"])
    assert np.array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    with zipfile.ZipFile("own.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    # What a trusted module has registered is not trusted where it was not defined there.
    evil = write(members | {CONFIG: members[CONFIG].replace(b'"own_pkg>Twice"', b'"own_pkg>run"')})
    refused(evil, "own_pkg>run", "code of elsewhere", trusted_modules=["own_pkg"])
    evil = write(members | {CONFIG: members[CONFIG].replace(b'"own_pkg>Twice"', b'"own_pkg>nothing"')})
    with pytest.raises(SettingsError, match="cannot be loaded by Keras"):
        load_model(evil, trusted_modules=["own_pkg"])


def test_what_this_process_has_registered_is_not_trusted_by_its_bare_name(good, monkeypatch, tmp_path):
    (tmp_path / "bystander.py").write_text(OWN.replace("own_pkg", "bystander"))
    monkeypatch.syspath_prepend(tmp_path)
    import bystander  # noqa: F401

    evil = write(with_layer(good, lambda layer: layer["config"].update(activation="bystander>steep")))
    refused(evil, "'bystander>steep'", "code of bystander")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A store with a run that has a model, one without, and one whose model is said to be elsewhere."""
    folder = tmp_path_factory.mktemp("store")
    script = """
import mlflow
from mnist_exp import compose, run
result = run(compose(["data=mnist_5k", "data.limit=300", "trainer.epochs=1", "model=mlp", "model.hidden_units=[8]"]))
client = mlflow.MlflowClient("sqlite:///mlflow.db")
tag = client.get_run(result.run_id).data.tags["mnist_exp.model_uri"]
experiment = client.get_run(result.run_id).info.experiment_id
ids = [result.run_id, client.create_run(experiment).info.run_id]
for uri in ("file:///etc", "runs:/" + ids[0] + "/model", tag + "/../..", "models:/m-" + 32 * "0"):
    ids.append(client.create_run(experiment, tags={"mnist_exp.model_uri": uri}).info.run_id)
import numpy as np
np.save("probabilities.npy", result.model.predict(np.zeros((3, 28, 28, 1), "uint8"), verbose=0))
print("IDS", *ids)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, env=os.environ)
    assert "IDS" in done.stdout, done.stderr
    return folder, done.stdout.rpartition("IDS")[2].split()


def test_model_of_a_run_loads_and_predicts_the_same(recorded):
    folder, ids = recorded
    model = load_model(ids[0], f"sqlite:///{folder}/mlflow.db")
    probabilities = model.predict(np.zeros((3, 28, 28, 1), np.uint8), verbose=0)
    assert np.array_equal(probabilities, np.load(folder / "probabilities.npy"))
    assert not list(Path.cwd().iterdir()), "nothing is left behind"


def test_runs_without_a_good_model_are_refused(recorded):
    folder, ids = recorded
    uri = f"sqlite:///{folder}/mlflow.db"
    refused(ids[1], f"run {ids[1]} has no model: it is not a run of mnist_exp", tracking_uri=uri)
    for run_id in ids[2:5]:
        refused(run_id, "no address that mnist_exp writes", tracking_uri=uri)
    refused(ids[5], "was deleted in MLflow", tracking_uri=uri)
    refused("0" * 32, "there is no run", tracking_uri=uri)
    refused("0" * 32, "there is no run", tracking_uri=f"sqlite:///{Path.cwd()}/none.db")
    refused("0" * 32, "nothing answers", tracking_uri="http://127.0.0.1:9")
