"""What composes alone composes in a sweep: `${hydra:…}`, `${now:…}`, and what the section `hydra` says of every job."""

import shlex
import signal
from pathlib import Path

import numpy as np
import pytest
from format_files import clothes
from hydra import compose as hydra_compose
from hydra.core.hydra_config import HydraConfig
from real_runs import Running, recorded, run, with_checkpoints

from mnist_exp import compose
from mnist_exp.composition import explain, hydra_section
from mnist_exp.composition.compose import composer

SMALL = ["data=mnist_5k", "data.limit=200", "trainer.epochs=1"]
ASKS = "${hydra:runtime.cwd} ${hydra:runtime.choices.model} ${hydra:job.num} ${hydra:runtime.output_dir} ${now:%f}"


def names_of(children):
    """The words of each job's name, in the order of its number."""
    return sorted((child.data.params["tracking.run_name"].split() for child in children), key=lambda words: words[2])


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["local", "basic"])
def test_grid_resolves_what_its_jobs_resolve(launcher):
    words = ["-m", *SMALL, "model=mlp,cnn,lenet5", "seed=${hydra:job.num}", f"tracking.run_name='{ASKS}'"]
    run(*words, f"hydra/launcher={launcher}")
    client, _, children = recorded()
    named = names_of(children)
    assert [words[:3] for words in named] == [
        [str(Path.cwd()), m, n] for m, n in (("mlp", "0"), ("cnn", "1"), ("lenet5", "2"))
    ]
    assert len({words[4] for words in named}) == 1
    folders = [Path(words[3]) for words in named]
    assert [(folder.name, folder.is_dir()) for folder in folders] == [("0", True), ("1", True), ("2", True)]
    assert sorted(child.data.params["seed"] for child in children) == ["0", "1", "2"]
    # What is done is left out of a call: the number of a job stays that of its point.
    lost = next(child for child in children if child.data.params["seed"] == "1")
    client.delete_run(lost.info.run_id)
    run(*words, f"hydra/launcher={launcher}")
    assert lost.data.tags["mnist_exp.command"].endswith("model=cnn hydra.job.num=1")
    again = next(child for child in recorded()[2] if child.data.params["seed"] == "1")
    for name in ("job_key", "weights_sha256"):
        assert again.data.tags[f"mnist_exp.{name}"] == lost.data.tags[f"mnist_exp.{name}"]


@pytest.mark.slow
def test_trials_of_a_search_resolve_their_own_choices():
    search = ["sweep.sampler=random", "sweep.n_trials=4", "data.validation=50", "model=mlp,lenet5"]
    run("-m", *SMALL, *search, f"tracking.run_name='{ASKS}'")
    named = names_of(recorded()[2])
    targets = {child.data.params["tracking.run_name"]: child.data.params["model._target_"] for child in recorded()[2]}
    assert all(target.endswith(name.split()[1]) for name, target in targets.items())
    assert len({words[1] for words in named}) == len(named) == 2


@pytest.mark.slow
def test_trial_that_goes_on_keeps_its_number():
    words = ["-m", *SMALL[:2], "model=mlp", "trainer.epochs=80", "seed=${hydra:job.num}", "data.validation=50"]
    words += ["model.dropout=interval(0,0.5)", "sweep.n_trials=1"]
    running = Running("mnist_exp.run", *words)
    running.wait_until(with_checkpoints)
    running.process.send_signal(signal.SIGTERM)
    running.end_with(143)
    run(*words)
    (child,) = recorded()[2]
    assert child.data.tags["mnist_exp.resumed"] == "1"
    assert (child.data.params["seed"], child.info.status) == ("0", "FINISHED")


@pytest.mark.slow
def test_section_hydra_of_the_command_line_holds_for_every_job():
    """A folder of groups, and the variable that says where the data are."""
    Path("arrays").mkdir()
    np.savez_compressed("arrays/fashion_mnist.npz", **clothes())
    Path("groups/model").mkdir(parents=True)
    Path("groups/model/tiny.yaml").write_text("_target_: mnist_exp.models.mlp\nhidden_units: [4]\n")
    of_hydra = ["hydra.searchpath=[groups]", "+hydra.job.env_set.MNIST_EXP_DATA=arrays"]
    run("-m", *of_hydra, "data=fashion_mnist", "data.limit=200", "model=tiny", "trainer.epochs=1", "seed=1,2")
    client, _, children = recorded()
    assert {child.data.params["model.hidden_units"] for child in children} == {"[4]"}
    job = children[0]
    client.delete_run(job.info.run_id)
    run(*shlex.split(job.data.tags["mnist_exp.command"])[3:])
    again = next(child for child in recorded()[2] if child.data.params["seed"] == job.data.params["seed"])
    assert again.data.tags["mnist_exp.weights_sha256"] == job.data.tags["mnist_exp.weights_sha256"]


def test_composed_in_python_as_on_the_command_line():
    settings = compose(
        [*SMALL, "model=mlp", "tracking.run_name=${hydra:runtime.choices.model} in ${hydra:runtime.cwd}"]
    )
    assert settings.tracking.run_name == f"mlp in {Path.cwd()}"
    assert not HydraConfig.initialized()


def test_only_what_is_wrong_is_told():
    """Beside another mistake, a value of the section `hydra` is none."""
    with composer(None):
        told = explain.find(["model.dropuot=1", "tracking.run_name=${hydra:runtime.cwd}"], multirun=False)
    assert told == ["model.dropuot does not exist: did you mean model.dropout?"]


def test_job_has_its_number_also_as_text():
    with composer(None):
        config = hydra_compose("config", ["seed=3"], return_hydra_config=True)
        with hydra_section.resolving(config, 2):
            assert (HydraConfig.get().job.num, HydraConfig.get().job.id) == (2, "2")
