"""Jobs are composed as Hydra's loader composes them, whatever is chosen."""

import os

import pytest
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from mnist_exp.composition.compose import composer
from mnist_exp.composition.job_configs import JobConfigs

SWEEP = ["seed=1,2", "model=mlp", "hydra.sweep.subdir=${hydra.job.override_dirname}", "+hydra.job.env_set.A=b"]
JOBS = [
    [],
    ["seed=1"],
    ["seed=2", "model=mlp", "model.hidden_units=[1]", "trainer.epochs=1"],
    ["seed=3", "model=mlp", "model.hidden_units=[1,2]"],
    ["model=cnn", "seed=3", "optimizer=sgd", "optimizer.learning_rate=0.1"],
    ["model=cnn", "+schedule@schedule=cosine"],
    ["schedule=cosine", "data=mnist_5k", "data.validation=0.2"],
    ["experiment=fast", "seed=4"],
    ["model={_target_: mnist_exp.models.mlp, hidden_units: [3]}"],
    ["+tags.mine=a b", "++tags.other=${hydra:job.num}", "tags.mine=c"],
    ["tracking.run_name='${now:%Y}-${seed}'"],
    ["~model.dropout", "model=mlp"],
    ["+callbacks.stop={_target_: keras.callbacks.TerminateOnNaN}"],
]
WRONG = [["model=nonsense"], ["model.dorpout=1"], ["seed=1,2"], ["+model=mlp"], ["seed"]]


def as_text(config):
    return OmegaConf.to_yaml(config, resolve=False), config.hydra.overrides.task, dict(config._metadata.flags)


@pytest.fixture
def loader():
    with composer(None) as loader:
        yield loader


def test_each_job_is_as_hydra_composes_it(loader):
    sweep = loader.load_configuration("config", SWEEP, RunMode.MULTIRUN)
    jobs = JobConfigs(loader, sweep)
    for overrides in [*JOBS, *reversed(JOBS)]:
        try:
            expected = loader.load_sweep_config(sweep, list(overrides))
        except HydraException as error:
            with pytest.raises(type(error)):
                jobs.compose(overrides)
            continue
        composed = jobs.compose(overrides)
        assert as_text(composed) == as_text(expected), overrides
        composed.hydra.job.num = 5  # What a job changes is its own.
        with pytest.raises(Exception, match="not in struct"):
            composed.nonsense = 1


@pytest.mark.parametrize("overrides", WRONG, ids=str)
def test_what_cannot_be_composed_is_told_by_hydra(loader, overrides):
    sweep = loader.load_configuration("config", SWEEP, RunMode.MULTIRUN)
    with pytest.raises(HydraException) as expected:
        loader.load_sweep_config(sweep, list(overrides))
    with pytest.raises(type(expected.value)) as told:
        JobConfigs(loader, sweep).compose(overrides)
    assert str(told.value) == str(expected.value)


def test_overrides_of_hydra_itself_are_left_to_hydra(loader):
    sweep = loader.load_configuration("config", SWEEP, RunMode.MULTIRUN)
    expected = loader.load_sweep_config(sweep, ["hydra.job.num=3", "seed=2"])
    assert as_text(JobConfigs(loader, sweep).compose(["hydra.job.num=3", "seed=2"])) == as_text(expected)


def test_groups_of_a_search_path_are_chosen(loader, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.yaml").write_text("# @package tags\nmine: a\n")
    sweep = loader.load_configuration("config", [*SWEEP, f"hydra.searchpath=[{tmp_path}]"], RunMode.MULTIRUN)
    config = JobConfigs(loader, sweep).compose(["+mine=a"])
    assert config.tags == {"mine": "a"}
    assert "mine" not in config


def test_changed_files_are_composed_anew(tmp_path):
    own = tmp_path / "model"
    own.mkdir()
    (own / "mine.yaml").write_text("_target_: mnist_exp.models.mlp\nhidden_units: [3]\n")
    with composer(tmp_path) as loader:
        sweep = loader.load_configuration("config", ["seed=1,2", "model=mine"], RunMode.MULTIRUN)
        jobs, overrides = JobConfigs(loader, sweep), ["seed=1", "model=mine"]
        assert jobs.compose(overrides).model.hidden_units == [3]
        (own / "mine.yaml").write_text("_target_: mnist_exp.models.mlp\nhidden_units: [4]\n")
        os.utime(own / "mine.yaml", ns=(1, 1))
        assert jobs.compose(overrides).model.hidden_units == [4]
        (own / "mine.yaml").unlink()
        with pytest.raises(HydraException):
            jobs.compose(overrides)


def test_a_choice_of_groups_is_composed_once(loader, monkeypatch):
    sweep = loader.load_configuration("config", SWEEP, RunMode.MULTIRUN)
    jobs, calls = JobConfigs(loader, sweep), []
    whole = type(loader).load_sweep_config
    monkeypatch.setattr(type(loader), "load_sweep_config", lambda *values: calls.append(1) or whole(*values))
    for seed in range(5):
        for model in ("mlp", "cnn"):
            config = jobs.compose([f"seed={seed}", f"model={model}"])
            assert (config.seed, config.hydra.runtime.choices.model) == (seed, model)
    assert len(calls) == 2
