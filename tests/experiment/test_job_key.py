"""Job keys: equal experiments have equal keys, and a new option changes no key of an earlier run."""

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mnist_exp import models
from mnist_exp.composition.compose import compose
from mnist_exp.composition.preflight import find_problems
from mnist_exp.config import parse, signatures
from mnist_exp.config.components import Component
from mnist_exp.config.schema import DataSettings, Settings, TrainerSettings
from mnist_exp.experiment.job_key import common, defaults_since, differences, job_key, result_config
from mnist_exp.experiment.resume import _changes

# As commit 5e05cfd computed them, with 64 zeros for the SHA-256 of the data; runs are recorded under such keys.
PINNED = [
    ([], "9af55dd97acc83237bce75a6a7a3094ff3b1c8002a32a54a10a44122100b15b2"),
    (["data=mnist_5k"], "9af55dd97acc83237bce75a6a7a3094ff3b1c8002a32a54a10a44122100b15b2"),
    (
        ["data=mnist_5k", "data.limit=500", "data.validation=0.2", "seed=3"],
        "a6b9ab20fb297edca4afd852b2786e9f0b4210ddf82c0df3113a013ab5c7e47a",
    ),
    (
        ["data=mnist_5k", "model=mlp", "model.hidden_units=[64,32]"],
        "67330cde8c0f2fcaa9d27f41f6e0c59253c2ad5728698d22bc72d505e6f815cf",
    ),
    (
        [
            "data=mnist_5k",
            "model=resnet",
            "augment=affine",
            "schedule=one_cycle",
            "optimizer=sgd",
            "optimizer.momentum=0.9",
        ],
        "cc46d501bbb206ac5a2110e1441b57856d908d2a67a0eea93150efb60f099b63",
    ),
    (
        ["data=mnist_5k", "trainer.checkpoint_every=null", "tracking.experiment=other", "tracking.run_name=n"],
        "9af55dd97acc83237bce75a6a7a3094ff3b1c8002a32a54a10a44122100b15b2",
    ),
    (
        [
            "data=mnist_5k",
            "data.validation=500",
            "trainer.early_stopping_patience=2",
            "trainer.restore_best=true",
            "trainer.plateau_patience=1",
            "trainer.plateau_factor=0.5",
            "trainer.precision=mixed_bfloat16",
            "trainer.threads=2",
        ],
        "58a2f3947f3911aeac0213ee674592e7e16b727e9e7c3308a9f04c9d06d20454",
    ),
    (
        ["data=mnist_5k", "trainer.backend=jax", "trainer.devices=2"],
        "4fac5e1ac5952a9350740b867bfb1fa4c70bd542c71531a795987e831b7e774a",
    ),
    (
        ["data=mnist_5k", "objective=val_loss", "direction=minimize", "trainer=smoke"],
        "8ffa2be5bbda0f726d45a0cb8348bf81de29f97a72ca1f103f27c88b98b119f0",
    ),
    (
        ["data=fashion_mnist", "model=lenet5", "optimizer=adamw", "optimizer.weight_decay=0.01", "schedule=cosine"],
        "4c82fb2ec6dc296f780d2c5135e0941e2c8b132d8ca15ec210e7990581fe3fcf",
    ),
]


@dataclass(frozen=True)
class LaterTrainer(TrainerSettings):
    warmup_epochs: int = 0


@dataclass(frozen=True)
class LaterData(DataSettings):
    folds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Loss:
    label_smoothing: float = 0.0


SHIFT = Component("augment", "mnist_exp.augmentation.shift")


@dataclass(frozen=True)
class LaterSettings(Settings):
    """Settings of a later version, with a new option in a section, a section, a group and a mapping, and at the top."""

    distillation: Loss = Loss()
    teacher: Component = SHIFT
    hooks: Mapping[str, Component] = field(default_factory=dict)
    marks: tuple[str, ...] = ()


def later(settings):
    values: dict[str, Any] = {each.name: getattr(settings, each.name) for each in dataclasses.fields(settings)}
    values["trainer"] = LaterTrainer(**dataclasses.asdict(settings.trainer))
    values["data"] = LaterData(**vars(settings.data))
    return LaterSettings(**values)


OTHER_TASK = Component("augment", "mnist_exp.augmentation.none")
CHANGES = {
    "option": lambda s: dataclasses.replace(s, trainer=dataclasses.replace(s.trainer, warmup_epochs=1)),
    "option of the data": lambda s: dataclasses.replace(s, data=dataclasses.replace(s.data, folds=(1, 2))),
    "section": lambda s: dataclasses.replace(s, distillation=Loss(label_smoothing=0.1)),
    "group": lambda s: dataclasses.replace(s, teacher=OTHER_TASK),
    "argument": lambda s: dataclasses.replace(s, teacher=dataclasses.replace(s.teacher, arguments={"height": 0.2})),
    "mapping": lambda s: dataclasses.replace(s, hooks={"mine": OTHER_TASK}),
    "top": lambda s: dataclasses.replace(s, marks=("auc",)),
}


@pytest.mark.parametrize(("overrides", "key_of_then"), PINNED, ids=[" ".join(overrides) for overrides, _ in PINNED])
def test_keys_of_recorded_runs_stay(overrides, key_of_then):
    settings = compose(overrides)
    assert job_key(settings, "0" * 64) == key_of_then
    assert job_key(later(settings), "0" * 64) == key_of_then


@pytest.mark.parametrize("change", CHANGES)
def test_new_option_changes_the_key_unless_at_its_default(change):
    before = later(compose(["data=mnist_5k"]))
    after = CHANGES[change](before)
    assert job_key(after, "0") != job_key(before, "0")
    assert common([after]) != common([before])
    assert len(differences(after, common([before]))) >= 1
    assert differences(before, common([after])) != []


def test_new_option_at_its_default_is_no_difference():
    before = compose(["data=mnist_5k"])
    assert common([later(before)]) == common([before])
    assert differences(later(before), common([before])) == []


def test_options_that_recorded_runs_lack_get_their_defaults():
    assert defaults_since() == {
        "data.reporting": None,
        "data.standardize": False,
        "trainer.backend": "tensorflow",
        "trainer.devices": 1,
        "trainer.class_weight": None,
        "loss._target_": "mnist_exp.losses.auto",
        "task._target_": "mnist_exp.tasks.builders.auto",
    }
    assert defaults_since(LaterSettings) == defaults_since() | {
        "distillation.label_smoothing": 0.0,
        "teacher._target_": "mnist_exp.augmentation.shift",
        "marks": [],
    }


def test_new_builder_argument_changes_the_key_unless_at_its_default(monkeypatch, request):
    before = compose(["data=mnist_5k"])
    known = job_key(before, "0")
    signature = inspect.signature(models.cnn)
    padding = inspect.Parameter("padding", inspect.Parameter.KEYWORD_ONLY, default="valid", annotation=str)
    changed = signature.replace(parameters=[*signature.parameters.values(), padding])
    monkeypatch.setattr(models.cnn, "__signature__", changed, raising=False)
    signatures.of_function.cache_clear()  # As in a process of the later version.
    request.addfinalizer(signatures.of_function.cache_clear)

    def key_with(**arguments):
        model = dataclasses.replace(before.model, arguments=before.model.arguments | arguments)
        return job_key(dataclasses.replace(before, model=model), "0")

    assert "padding" not in result_config(before)["model"]
    assert key_with() == key_with(padding="valid") == known
    assert key_with(padding="same") != known


def test_argument_of_a_new_group_at_its_default_is_no_difference():
    before = later(compose(["data=mnist_5k"]))
    written_out = dataclasses.replace(before, teacher=dataclasses.replace(SHIFT, arguments={"height": 0.08}))
    assert job_key(written_out, "0") == job_key(before, "0")


def test_run_recorded_before_an_option_may_be_resumed():
    before = compose(["data=mnist_5k"])
    assert _changes(before, later(before)) == []


def test_record_without_a_section_gets_its_default(monkeypatch):
    config = compose(["data=mnist_5k"]).to_config()
    monkeypatch.setattr(parse, "Settings", LaterSettings)
    monkeypatch.setattr(parse, "SECTIONS", parse.SECTIONS | {"distillation": Loss})
    monkeypatch.setattr(parse, "_NAMES", [*parse._NAMES, "distillation"])
    monkeypatch.setattr(parse, "_OPTIONAL", parse._OPTIONAL | {"distillation"})
    settings, problems = find_problems(config)
    assert problems == []
    assert settings.distillation == Loss()
    settings, problems = find_problems(config | {"distillation": {"label_smoothing": 0.1}})
    assert settings.distillation == Loss(label_smoothing=0.1)
    assert settings.to_config()["distillation"] == {"label_smoothing": 0.1}


def key(*overrides, sha="0"):
    return job_key(compose(["data=mnist_5k", *overrides]), sha)


SAME = [
    ["model=cnn", "seed=7", "trainer.epochs=10", "optimizer=adam", "augment=none"],
    ["optimizer.beta_1=0.9", "+optimizer.amsgrad=false"],
    ["+optimizer.weight_decay=null"],
    ["optimizer.learning_rate=1e-3"],
    ["tracking=none"],
    ["tracking.experiment=another", "tracking.run_name=x", "tracking.uri=sqlite:///other.db"],
    ["data.name=other"],
    ["trusted_modules=[my_pkg]"],
    ["sweep=grid", "data.validation=test"],
    ["sweep.n_trials=3", "sweep.points=[{seed:3}]"],
    ["data.limit=null", "objective=val_accuracy", "direction=maximize"],
    ["~trainer.restore_best"],
]
OTHER = [
    ["model=mlp"],
    ["model.filters=33"],
    ["model.dropout=0.31"],
    ["optimizer=sgd"],
    ["optimizer=adamw"],
    ["optimizer.learning_rate=0.002"],
    ["optimizer.beta_1=0.8"],
    ["+optimizer.clipnorm=1"],
    ["schedule=cosine"],
    ["augment=shift"],
    ["data.limit=1000"],
    ["data.validation=0.1"],
    ["data.validation=400"],
    ["trainer.epochs=3"],
    ["trainer.batch_size=100"],
    ["data.validation=0.1", "trainer.early_stopping_patience=3"],
    ["data.validation=0.1", "trainer.restore_best=true"],
    ["trainer.precision=mixed_bfloat16"],
    ["trainer.threads=1"],
    ["seed=8"],
    ["objective=val_loss", "direction=minimize"],
]


@pytest.mark.parametrize("overrides", SAME, ids=" ".join)
def test_options_without_effect_on_the_result_keep_the_key(overrides):
    assert key(*overrides) == key()


def test_options_with_effect_on_the_result_change_the_key():
    keys = [key(), *(key(*overrides) for overrides in OTHER), key(sha="1")]
    assert len(set(keys)) == len(keys)


def test_key_depends_on_the_bytes_of_data_not_their_place(tmp_path):
    def settings_for(*overrides):
        return compose(["data=npz", "data.validation=0.1", *overrides])

    here, there = (settings_for(f"data.path={tmp_path}/{name}.npz") for name in ("here", "there"))
    assert job_key(here, "0") == job_key(there, "0")
    assert job_key(here, "0") != job_key(here, "1")


def test_changed_builder_default_keeps_keys_with_written_values():
    """The record of a run holds every value, so a job composed from it has the same key."""
    for overrides in (["model=resnet"], ["optimizer=sgd", "schedule=one_cycle"], ["augment=affine"]):
        once = compose(["data=mnist_5k", *overrides])
        again, problems = find_problems(once.to_config())
        assert problems == []
        assert job_key(again, "0") == job_key(once, "0")
