"""Every option has an effect that is shown here, or a named test that shows it: who adds an option adds it here.

The options come from the code itself: the sections of `config/schema.py` and the signatures of the builders. For each
there is another value that changes what is built or trained, or a value that is refused, or a test of what it changes
elsewhere. An option that is in none of these tables makes `test_every_option_is_in_one_table` fail.
"""

import ast
import dataclasses
import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from mnist_exp import augmentation, losses, metrics, models, schedules
from mnist_exp.composition.compose import CONF, compose
from mnist_exp.config import components, schema
from mnist_exp.config.components import KINDS, Component
from mnist_exp.config.rules import without_effect
from mnist_exp.config.schema import BUILDER_GROUPS, MAPPING_GROUPS, SECTIONS, TOP_LEVEL, DataSettings
from mnist_exp.data import loaders
from mnist_exp.errors import SettingsError
from mnist_exp.mixing import Mixing
from mnist_exp.tasks import builders as builders_of_tasks

TESTS = Path(__file__).parent
OPTIMIZERS = tuple(yaml.safe_load(file.read_text())["_target_"] for file in sorted((CONF / "optimizer").glob("*.yaml")))

# ---- Another value for each option of a builder.

MODELS = {
    "cnn.filters": 4,
    "cnn.kernel_size": 3,
    "cnn.pool_size": 3,
    "cnn.dropout": 0.5,
    "cnn.dense_units": 5,
    "cnn.activation": "tanh",
    "mlp.hidden_units": [5],
    "mlp.dropout": 0.5,
    "mlp.activation": "tanh",
    "lenet5.activation": "relu",
    "lenet5.dropout": 0.5,
    "convnet.filters": [4, 5],
    "convnet.kernel_sizes": [3, 3],
    "convnet.depths": [2, 1],
    "convnet.padding": "same",
    "convnet.dense_units": [],
    "convnet.dropout": 0.5,
    "convnet.batch_norm": True,
    "convnet.activation": "tanh",
    "resnet.filters": 4,
    "resnet.blocks": [1],
    "resnet.dropout": 0.5,
    "resnet.activation": "tanh",
    "backbone.name": "MobileNet",
    "backbone.train_from": "none",
    "backbone.size": 40,
    "backbone.dropout": 0.5,
}
SCHEDULES = {
    "cosine.warmup": 0.5,
    "cosine.final": 0.5,
    "one_cycle.warmup": 0.6,
    "one_cycle.initial": 0.5,
    "one_cycle.final": 0.5,
    "exponential.final": 0.5,
}
AUGMENTATIONS = {
    "shift.height": 0.5,
    "shift.width": 0.5,
    "affine.rotation": 0.3,
    "affine.shift": 0.5,
    "affine.zoom": 0.5,
    "affine.shear": 0.5,
    "elastic.strength": 0.3,
    "elastic.smoothness": 0.5,
    "elastic.probability": 0.3,
    "affine_elastic.rotation": 0.3,
    "affine_elastic.shift": 0.5,
    "affine_elastic.zoom": 0.5,
    "affine_elastic.shear": 0.5,
    "affine_elastic.strength": 0.9,
    "affine_elastic.smoothness": 0.5,
    "affine_elastic.probability": 0.3,
    "rand_augment.operations": 4,
    "rand_augment.strength": 0.6,
    "random_erasing.probability": 0.1,
    "random_erasing.smallest": 0.3,
    "random_erasing.largest": 0.9,
    "random_erasing.fill": "noise",
    "mixup.alpha": 1.0,
    "cutmix.alpha": 0.1,
}
LOSSES = {
    "crossentropy.label_smoothing": 0.1,
    "focal.gamma": 0.5,
    "focal.alpha": 0.7,
    "huber.delta": 0.1,
}
METRICS = {"top_k_accuracy.k": 2}
# Keras names them alike in all its optimizers.
OF_OPTIMIZERS = {
    "learning_rate": 0.5,
    "beta_1": 0.3,
    "beta_2": 0.3,
    "rho": 0.3,
    "momentum": 0.7,
    "nesterov": True,
    "epsilon": 0.1,
    "amsgrad": True,
    "centered": True,
    "weight_decay": 0.5,
    "clipnorm": 0.01,
    "clipvalue": 0.01,
    "global_clipnorm": 0.01,
    "use_ema": True,
    "ema_momentum": 0.5,
    "ema_overwrite_frequency": 2,
    "gradient_accumulation_steps": 2,
    "loss_scale_factor": 64.0,
    "name": "another",
    "beta_2_decay": -0.5,
    "epsilon_1": 1e-3,
    "epsilon_2": 0.5,
    "clip_threshold": 0.1,
    "adam_beta_1": 0.3,
    "adam_beta_2": 0.3,
    "adam_weight_decay": 0.5,
    "adam_lr_ratio": 0.5,
    "exclude_layers": ["dense"],
    "muon_a": 3.0,
    "muon_b": -4.5,
    "muon_c": 2.2,
    "ns_steps": 3,
    "rms_rate": 0.5,
    "warmup_steps": 3,
}
# Another value for one of an optimizer whose default is that of the table.
OF_ONE_OPTIMIZER = {("keras.optimizers.Muon", "nesterov"): False}
# What another option must be, so that one has an effect; without it a warning says that it has none.
ONLY_WITH = {
    "ema_momentum": {"use_ema": True},
    "ema_overwrite_frequency": {"use_ema": True},
    "nesterov": {"momentum": 0.7},
}

# ---- Other values of what a training is made of: the overrides that are the same, and the option's own value.

CONSTANT_ACCURACY = "optimizer.learning_rate=1e-6"
TRAINED = {
    "seed": ([], "1"),
    "data.limit": ([], "150"),
    "data.validation": ([], "20"),
    "data.reporting": (["data.validation=20"], "20"),
    "data.standardize": ([], "true"),
    "trainer.epochs": ([], "3"),
    "trainer.batch_size": ([], "10"),
    "trainer.precision": ([], "mixed_bfloat16"),
    "trainer.early_stopping_patience": (["trainer.epochs=3", CONSTANT_ACCURACY], "1"),
    "trainer.restore_best": ([CONSTANT_ACCURACY], "true"),
    "trainer.plateau_patience": (["trainer.epochs=3", CONSTANT_ACCURACY], "1"),
    "trainer.plateau_factor": (["trainer.epochs=3", CONSTANT_ACCURACY, "trainer.plateau_patience=1"], "0.5"),
    "trainer.class_weight": ([], "{0: 3.0}"),
    "objective": (["trainer.restore_best=true"], "accuracy"),
}
REFUSED = {"direction": ("minimize", "direction=minimize does not fit objective=val_accuracy: it must be maximize")}

# ---- What has its effect elsewhere: the test that shows it.

_LOADERS, _SWEEP, _STUDY = "data/test_loaders.py", "sweeps/test_sweep.py", "search/test_study.py"
_KEPT = "search/test_kept.py"
_OF_ARRAYS = (
    *((name, "path", "test_it_is_read_as_it_is_distributed") for name in ("npy", "hdf5", "mat", "cifar")),
    *((name, "shape", "test_the_shape_of_one_example_can_be_said") for name in ("npy", "hdf5", "mat")),
    *((name, "pixels", "test_the_values_of_black_and_white_can_be_said") for name in ("npy", "hdf5", "mat")),
    *((name, "test_share", "test_the_share_of_the_test_set_can_be_said") for name in ("npy", "hdf5", "mat", "cifar")),
    ("auto", "path", "test_every_format_is_found_out"),
    ("auto", "test_share", "test_the_share_of_the_test_set_can_be_said"),
    ("parquet", "path", "test_it_is_read_as_it_is_distributed"),
    ("parquet", "image", "test_columns_of_other_names_are_found_or_said"),
    ("parquet", "label", "test_columns_of_other_names_are_found_or_said"),
    ("parquet", "group_by", "test_rows_of_one_group_stay_together"),
    ("parquet", "size", "test_size_and_colours_can_be_said"),
    ("parquet", "channels", "test_size_and_colours_can_be_said"),
    ("parquet", "shape", "test_tables_of_numbers_are_read"),
    ("parquet", "test_share", "test_one_file_gives_a_test_set"),
    ("cifar", "labels", "test_labels_of_cifar_100_are_fine_or_coarse"),
)
_CSV, _IDX, _NPZ = (f"data/formats/test_{name}.py" for name in ("csv", "idx", "npz"))
_OPTIMIZERS = "training/test_optimizers.py"
_BACKENDS, _RUN = "training/test_backends.py", "test_run.py"
ELSEWHERE = {
    "optimizer.exclude_embeddings": (_OPTIMIZERS, "test_exclude_embeddings_decides_who_updates_an_embedding"),
    "optimizer.relative_step": (_OPTIMIZERS, "test_relative_step_changes_nothing_and_is_told"),
    "model.backbone.weights": ("test_backbones.py", "test_weights_of_each_format_come_to_the_same_bits"),
    "resume": ("experiment/test_resume.py", "test_killed_run_resumes_equal_to_the_last_bit"),
    "trusted_modules": (_LOADERS, "test_a_loader_of_the_users_own_must_be_trusted"),
    "data.name": (_RUN, "test_data_set_is_logged_as_input_with_its_digest"),
    "data.mnist.path": (_LOADERS, "test_mnist_is_the_same_in_every_container"),
    "data.mnist.fallback": (_LOADERS, "test_without_fallback_a_missing_mnist_is_an_error_that_says_what_to_do"),
    "data.mnist.mirrors": (_LOADERS, "test_without_fallback_a_missing_mnist_is_an_error_that_says_what_to_do"),
    "data.fashion_mnist.path": (_LOADERS, "test_fashion_mnist_is_read_from_idx_files_with_its_own_class_names"),
    "data.fashion_mnist.mirrors": (_LOADERS, "test_fashion_mnist_has_no_fallback"),
    "data.npz.path": (_LOADERS, "test_npz_is_read_unchanged"),
    "data.npz.split": (_NPZ, "test_of_kmnist_and_kuzushiji_49_in_one_folder_one_is_said"),
    "data.npz.test_share": (_NPZ, "test_examples_that_are_not_divided_are"),
    **{f"data.{name}.{option}": (f"data/formats/test_{name}.py", test) for name, option, test in _OF_ARRAYS},
    "data.csv.path": (_CSV, "test_digits_of_kaggle_are_images_and_the_table_without_labels_is_told"),
    "data.csv.test_path": (_CSV, "test_gap_of_the_sign_language_digits_is_a_name_less"),
    "data.csv.label": (_CSV, "test_other_columns_are_features_and_labels_may_be_words"),
    "data.csv.group_by": (_CSV, "test_rows_of_one_group_stay_together"),
    "data.csv.shape": (_CSV, "test_shape_is_the_users"),
    "data.csv.transposed": (_CSV, "test_images_of_emnist_are_put_upright"),
    "data.csv.test_share": (_CSV, "test_share_of_the_test_set_is_the_users"),
    "data.idx.path": (_IDX, "test_raw_folder_of_torchvision_is_read"),
    "data.idx.split": (_IDX, "test_of_several_splits_of_emnist_one_is_said"),
    "data.idx.transposed": (_IDX, "test_rows_and_columns_are_exchanged_where_it_is_asked_for"),
    "data.idx.test_share": (_IDX, "test_training_files_alone_give_a_test_set_of_each_class"),
    "data.npz.pixels": (_LOADERS, "test_npz_of_fractions_may_hold_images_or_series"),
    "data.image_folder.path": (_LOADERS, "test_an_image_folder_is_read_by_class_and_divided_by_class"),
    "data.image_folder.size": (_LOADERS, "test_images_are_scaled_and_coloured_as_asked"),
    "data.image_folder.channels": (_LOADERS, "test_images_are_scaled_and_coloured_as_asked"),
    "data.image_folder.in_memory_mb": (
        "data/images/test_lazy_folder.py",
        "test_in_memory_mb_decides_what_is_read_as_needed",
    ),
    "data.image_folder.label": ("data/images/test_source.py", "test_the_column_of_the_labels_can_be_named"),
    "data.image_folder.group_by": ("data/images/test_source.py", "test_images_of_one_group_stay_together"),
    "data.image_folder.test_share": (_LOADERS, "test_the_share_of_the_test_set_can_be_chosen"),
    "trainer.backend": (_BACKENDS, "test_run_records_its_backend_and_tensorflow_predicts_the_same"),
    "trainer.devices": (_BACKENDS, "test_two_devices_train_as_one_does"),
    "trainer.threads": ("training/test_fit.py", "test_thread_count_set_in_time_is_used"),
    "trainer.checkpoint_every": ("training/test_resume.py", "test_training_killed_between_epochs_is_the_same"),
    "tracking.store": (_RUN, "test_no_tracking_records_nothing_and_needs_no_mlflow"),
    "tracking.uri": (_SWEEP, "test_password_of_the_store_is_nowhere_recorded"),
    "tracking.experiment": (_RUN, "test_deleted_experiment_is_a_mistake"),
    "tracking.run_name": (
        "sweeps/planning/test_run_names.py",
        "test_name_that_is_the_same_in_all_jobs_names_the_sweep",
    ),
    "tracking.description": ("experiment/test_own_tags.py", "test_tags_and_description_are_recorded_and_in_no_job_key"),
    "tags": ("experiment/test_own_tags.py", "test_tags_and_description_are_recorded_and_in_no_job_key"),
    "tracking.local_dir": ("faults/test_disk.py", "test_full_or_read_only_disk_at_the_start_is_a_mistake"),
    "tracking.notify": ("experiment/test_notification.py", "test_run_is_told_once_and_its_command_is_recorded_nowhere"),
    "tracking.keep_models": (
        "sweeps/record/test_kept_models.py",
        "test_while_jobs_end_the_best_stay_and_what_the_others_took_is_freed",
    ),
    "tracking.system_metrics": (
        "tracking/test_system_metrics.py",
        "test_short_run_has_metrics_of_the_machine_in_the_names_of_mlflow",
    ),
    "tracking.register_as": ("tracking/test_registry.py", "test_only_a_better_comparable_model_becomes_champion"),
    "sweep.sampler": (_STUDY, "test_each_sampler_stays_inside_the_space"),
    "sweep.n_trials": (_SWEEP, "test_search_prunes_continues_and_is_shared"),
    "sweep.timeout_s": (_SWEEP, "test_search_starts_no_trial_after_its_time"),
    "sweep.budget_epochs": ("sweeps/test_budget.py", "test_budget_of_epochs_ends_a_search_and_more_goes_on"),
    "sweep.budget_s": ("search/test_budget.py", "test_seconds_of_all_trials_count"),
    "sweep.seed": (_STUDY, "test_another_seed_draws_other_trials"),
    "sweep.pruner": (_STUDY, "test_pruners_are_made_from_the_settings"),
    "sweep.keep_paused": (_KEPT, "test_as_many_paused_trials_keep_their_checkpoint_as_asked_for"),
    "sweep.finish_best": (_KEPT, "test_the_best_see_all_epochs_after_the_search"),
    "sweep.prune_after": (_STUDY, "test_pruners_stop_no_trial_before_its_first_epochs"),
    "sweep.minimize_too": (_SWEEP, "test_search_for_two_objectives_draws_the_pareto_front"),
    "sweep.storage": ("faults/test_working_folder.py", "test_search_keeps_one_study_where_it_was_started"),
    "sweep.study": ("faults/test_working_folder.py", "test_search_keeps_one_study_where_it_was_started"),
    "sweep.together": ("training/test_vectorized.py", "test_sweep_trains_in_groups_with_a_whole_run_each"),
    "sweep.zip": (_SWEEP, "test_points_and_zip"),
    "sweep.points": (_SWEEP, "test_points_and_zip"),
    "sweep.where": ("sweeps/planning/test_choices.py", "test_choice_has_values_of_its_own_for_an_option_of_all"),
    "sweep.start_from": ("sweeps/planning/test_start.py", "test_results_of_a_grid_and_of_a_search_are_known"),
    "sweep.try_first": ("sweeps/planning/test_start.py", "test_points_outside_the_space_are_refused_by_name"),
    "sweep.reuse": ("sweeps/planning/test_identity.py", "test_search_without_reuse_gets_a_new_study"),
    "sweep.retry_failed": ("sweeps/calls/test_reuse.py", "test_which_of_several_runs_counts_for_a_job"),
    "sweep.fail_fast": (_SWEEP, "test_sweep_stops_after_too_many_failures"),
    "sweep.max_failure_rate": (_SWEEP, "test_sweep_stops_after_too_many_failures"),
    "sweep.job_timeout_s": (_SWEEP, "test_failed_jobs_are_reported_and_the_others_go_on"),
    "sweep.seeds": ("search/test_seeds.py", "test_promising_points_get_the_seeds_in_turn"),
    "sweep.dry_run": (_SWEEP, "test_dry_run_shows_the_jobs_of_a_larger_sweep"),
}


def builders(module):
    """Return the builders of a module of ours, by name."""
    own = [name for name, each in inspect.getmembers(module, inspect.isfunction) if each.__module__ == module.__name__]
    return [name for name in own if not name.startswith(("_", "check_"))]


def options_of(group, module):
    home = KINDS[group].home
    found = {name: components.parameters(group, f"{home}.{name}") for name in builders(module)}
    return {f"{name}.{option}" for name, parameters in found.items() for option in parameters}


def options_of_optimizers():
    return {(target, option) for target in OPTIMIZERS for option in components.parameters("optimizer", target)}


def all_options():
    """Return every option by its name; those of builders with the builder's name, but for optimizers."""
    found = set(TOP_LEVEL) | {"resume"}
    found |= {f"{name}.{option}" for name, section in SECTIONS.items() for option in schema.parameters(section)}
    found |= {f"data.{option}" for option in schema.parameters(DataSettings) if option != "loader"}
    modules = {"model": models, "schedule": schedules, "augment": augmentation, "data": loaders, "loss": losses}
    modules |= {"metrics": metrics, "task": builders_of_tasks}
    for group, module in modules.items():
        found |= {f"{group}.{option}" for option in options_of(group, module)}
    return found | {f"optimizer.{option}" for _, option in options_of_optimizers()}


def test_every_option_is_in_one_table():
    tables = [
        {f"model.{option}" for option in MODELS},
        {f"schedule.{option}" for option in SCHEDULES},
        {f"augment.{option}" for option in AUGMENTATIONS},
        {f"loss.{option}" for option in LOSSES},
        {f"metrics.{option}" for option in METRICS},
        {f"optimizer.{option}" for option in OF_OPTIMIZERS},
        set(TRAINED),
        set(REFUSED),
        set(ELSEWHERE),
    ]
    shown = set().union(*tables)
    assert shown == all_options()
    assert len(shown) == sum(map(len, tables)), "no option twice"


def test_every_group_and_key_of_the_configuration_is_known_here():
    """A new group or section of options needs a table here too."""
    groups = {"model", "optimizer", "schedule", "augment", "data", "task", "loss", "metrics", "callbacks"}
    assert {*BUILDER_GROUPS, *MAPPING_GROUPS, "data"} == set(KINDS) == groups
    assert set(SECTIONS) == {"trainer", "tracking", "sweep"}
    keys = set(yaml.safe_load((CONF / "config.yaml").read_text())) - {"defaults", "hydra"}
    assert keys == set(TOP_LEVEL) | {"resume"}


def test_option_that_is_given_twice_is_told():
    words = ["augment=mixup", "model.dropout=0.1", "augment=shift", "++model.dropout=0.2", "seed=3"]
    assert without_effect(compose(words)) == [
        "augment=mixup has no effect: augment=shift comes after it",
        "model.dropout=0.1 has no effect: ++model.dropout=0.2 comes after it",
    ]


@pytest.mark.parametrize("option", ELSEWHERE)
def test_test_that_shows_an_option_exists_and_names_it(option):
    file, test = ELSEWHERE[option]
    text = (TESTS / file).read_text(encoding="utf-8")
    assert option.rpartition(".")[2] in text
    assert test in {each.name for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef)}


@pytest.fixture(scope="module")
def keras():
    import keras

    return keras


def built_model(keras, name, /, **arguments):
    keras.utils.clear_session(free_memory=False)
    return json.loads(Component("model", f"mnist_exp.models.{name}", arguments).build((28, 28, 1), 10).to_json())


@pytest.mark.slow
@pytest.mark.parametrize("name", builders(models))
def test_each_option_of_a_model_changes_what_is_built(name, keras):
    plain = built_model(keras, name)
    assert built_model(keras, name) == plain
    for option, value in MODELS.items():
        if option.startswith(f"{name}."):
            changed = built_model(keras, name, **{option.removeprefix(f"{name}."): value})
            assert changed != plain, option


def rates(keras, name, **arguments):
    schedule = Component("schedule", f"mnist_exp.schedules.{name}", arguments).build(0.1, 20)
    return [float(schedule(step)) for step in range(20)]


@pytest.mark.parametrize("option", SCHEDULES)
def test_option_of_a_schedule_changes_the_rates(option, keras):
    name, _, argument = option.partition(".")
    assert rates(keras, name, **{argument: SCHEDULES[option]}) != rates(keras, name)


def augmented(keras, name, **arguments):
    keras.utils.set_random_seed(3)
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    for layer in Component("augment", f"mnist_exp.augmentation.{name}", arguments).build():
        if isinstance(layer, Mixing):
            images, _ = layer.mix(np.random.default_rng(3), images, np.eye(4, dtype=np.float32))
        else:
            images = layer(images, training=True)
    return np.asarray(images)


@pytest.mark.parametrize("option", AUGMENTATIONS)
def test_option_of_an_augmentation_changes_the_images(option, keras):
    name, _, argument = option.partition(".")
    np.testing.assert_array_equal(augmented(keras, name), augmented(keras, name))
    assert (augmented(keras, name, **{argument: AUGMENTATIONS[option]}) != augmented(keras, name)).any()


def loss_of(name, **arguments):
    from mnist_exp.training import loss

    rng = np.random.default_rng(0)
    made = loss.make(Component("loss", f"mnist_exp.losses.{name}", arguments), "softmax", 3, from_logits=True)
    return loss.mean(made, rng.integers(3, size=20), rng.normal(size=(20, 3)).astype(np.float32))


@pytest.mark.parametrize("option", LOSSES)
def test_option_of_a_loss_changes_it(option, keras):
    name, _, argument = option.partition(".")
    assert loss_of(name, **{argument: LOSSES[option]}) != loss_of(name)


@pytest.mark.parametrize("option", METRICS)
def test_option_of_a_metric_changes_it(option):
    name, _, argument = option.partition(".")
    rng = np.random.default_rng(0)
    labels, outputs = rng.integers(9, size=50), rng.random((50, 9))
    metric = getattr(metrics, name)
    assert metric(labels, outputs, **{argument: METRICS[option]}) != metric(labels, outputs)


def optimized(keras, settings, target, arguments):
    """Return all that an optimizer may change: the weights after four steps, the scale of the loss, and its name."""
    from mnist_exp.tasks.classification import Classification
    from mnist_exp.training.build import build

    keras.utils.set_random_seed(3)
    settings = dataclasses.replace(settings, optimizer=Component("optimizer", target, arguments))
    model = build(settings, (5, 5, 1), Classification(), 3, 100).training_model
    optimizer, rng = model.optimizer, np.random.default_rng(0)
    for _ in range(4):
        steps = [rng.normal(size=v.shape).astype(np.float32) * rng.random() for v in model.trainable_variables]
        optimizer.apply([keras.ops.convert_to_tensor(step) for step in steps])
    optimizer.finalize_variable_values(model.trainable_variables)
    weights = np.concatenate([np.asarray(v).ravel() for v in model.trainable_variables])
    return weights, float(optimizer.scale_loss(1.0)), optimizer.name


@pytest.fixture(scope="module")
def of_default(keras):
    """What each optimizer does with some arguments, computed once."""
    settings = compose(["data=mnist_5k", "model=mlp", "model.hidden_units=[6]"])
    known = {}

    def find(target, arguments):
        key = json.dumps([target, arguments])
        if key not in known:
            known[key] = optimized(keras, settings, target, arguments)
        return known[key]

    return find


# It averages the weights itself, and Keras's averages are refused.
AVERAGES_ITSELF = {("keras.optimizers.ScheduleFreeAdamW", option) for option in OF_OPTIMIZERS if "ema" in option}
OF_KERAS = [
    (target, option)
    for target, option in sorted(options_of_optimizers() - AVERAGES_ITSELF)
    if f"optimizer.{option}" not in ELSEWHERE
]


@pytest.mark.slow
@pytest.mark.parametrize(("target", "option"), OF_KERAS)
def test_option_of_an_optimizer_changes_the_weights(target, option, of_default):
    known = components.parameters("optimizer", target)
    needed = {name: value for name, value in ONLY_WITH.get(option, {}).items() if name in known}
    weights, scale, name = of_default(target, needed)
    value = OF_ONE_OPTIMIZER.get((target, option), OF_OPTIMIZERS[option])
    changed, other_scale, other_name = of_default(target, needed | {option: value})
    assert np.isfinite(changed).all()
    if option == "name":
        assert other_name != name
    elif option == "loss_scale_factor":
        # The gradients of the scaled loss are divided by it again.
        assert other_scale == scale * OF_OPTIMIZERS[option]
    else:
        assert (changed != weights).any()


def trained(overrides):
    from mnist_exp.experiment.runner import run

    small = ["data=mnist_5k", "data.limit=200", "data.validation=40", "model=mlp", "model.hidden_units=[8]"]
    result = run(compose([*small, "trainer.epochs=2", "trainer.batch_size=80", "tracking=none", *overrides]))
    times = ("epoch_time_s", "images_per_s")
    history = {name: values for name, values in result.history.items() if name not in times}
    return result.weights_sha256, history, result.objective


@pytest.fixture(scope="module")
def of_overrides():
    known = {}

    def find(overrides):
        key = " ".join(overrides)
        if key not in known:
            known[key] = trained(overrides)
        return known[key]

    return find


@pytest.mark.slow
@pytest.mark.parametrize("option", TRAINED)
def test_option_of_a_training_changes_its_result(option, of_overrides):
    same, value = TRAINED[option]
    assert of_overrides([*same, f"{option}={value}"]) != of_overrides(same)


@pytest.mark.slow
def test_equal_trainings_have_equal_results():
    assert trained([]) == trained([])


@pytest.mark.parametrize("option", REFUSED)
def test_value_without_effect_is_refused(option):
    value, sentence = REFUSED[option]
    with pytest.raises(SettingsError) as error:
        compose(["data=mnist_5k", f"{option}={value}"])
    assert sentence in error.value.problems


UNUSED = {
    "trainer.plateau_factor=0.5": "trainer.plateau_patience",
    "+optimizer.ema_momentum=0.5": "optimizer.use_ema=true",
    "+optimizer.ema_overwrite_frequency=5": "optimizer.use_ema=true",
    "tracking.uri=sqlite:///x.db": "a store (tracking=mlflow)",
    "tracking.experiment=x": "a store (tracking=mlflow)",
    "tracking.description=x": "a store (tracking=mlflow)",
    "tracking.local_dir=x": "a store (tracking=mlflow)",
    "tracking.run_name=x": "a store (tracking=mlflow)",
    "tracking.register_as=x": "a store (tracking=mlflow)",
    "trainer.checkpoint_every=5": "a store (tracking=mlflow)",
}
USED = ["trainer.plateau_patience=2", "+optimizer.use_ema=true", "tracking=mlflow"]


@pytest.mark.parametrize("override", UNUSED)
def test_option_that_another_one_makes_useless_is_told(override):
    words = ["data=mnist_5k", "data.validation=0.1"]
    assert without_effect(compose([*words, "tracking=none"])) == []
    assert without_effect(compose([*words, "tracking=none", override])) == [
        f"{override.lstrip('+')} has no effect without {UNUSED[override]}"
    ]
    assert without_effect(compose([*words, *USED, override])) == []


def test_nesterov_without_momentum_is_told():
    words = ["data=mnist_5k", "optimizer=sgd"]
    assert without_effect(compose([*words, "optimizer.momentum=0"])) == [
        "optimizer.nesterov=true has no effect without optimizer.momentum"
    ]
    assert without_effect(compose(words)) == []
    assert without_effect(compose([*words, "optimizer.momentum=0", "optimizer.nesterov=false"])) == []


def test_scale_of_the_loss_that_is_divided_out_again_is_told():
    for precision in ("float32", "mixed_float16"):
        (told,) = without_effect(
            compose(["data=mnist_5k", "+optimizer.loss_scale_factor=64", f"trainer.precision={precision}"])
        )
        assert told.startswith("optimizer.loss_scale_factor=64.0 has no effect: the gradients are divided by it again")
