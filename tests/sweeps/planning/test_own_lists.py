"""`-m experiment=a,b`, each with a list of its own to sweep over."""

import re
from pathlib import Path

import pytest
from real_runs import Running

SWEEP = ["-m", "--config-dir=own", "data=mnist_5k", "data.validation=50", "sweep.dry_run=jobs"]
A = "hydra: {sweeper: {params: {model.dropout: '0.1,0.2'}}}\nmodel: {filters: 4}\n"
B = "defaults:\n  - override /model: mlp\nhydra: {sweeper: {params: {optimizer.learning_rate: '0.01,0.1'}}}\n"


@pytest.fixture(autouse=True)
def experiments():
    write(a=A, b=B)


def write(**experiments):
    Path("own/experiment").mkdir(parents=True, exist_ok=True)
    for name, content in experiments.items():
        Path(f"own/experiment/{name}.yaml").write_text(f"# @package _global_\n{content}")


def plan_of(*words):
    """What differs in each job of the plan."""
    running = Running("mnist_exp.run", *SWEEP, *words)
    running.end_with(0)
    return re.findall(r"^ *\d+ +(.*?) +to do  +-", "".join(running.out), re.MULTILINE)


def refusal(*words):
    return Running("mnist_exp.run", *SWEEP, *words).end_with(2)


def test_each_choice_is_combined_with_its_own_list():
    assert plan_of("experiment=a,b", "seed=1,2") == [
        "experiment=a dropout=0.1 seed=1",
        "experiment=a dropout=0.1 seed=2",
        "experiment=a dropout=0.2 seed=1",
        "experiment=a dropout=0.2 seed=2",
        "experiment=b learning_rate=0.01 seed=1",
        "experiment=b learning_rate=0.01 seed=2",
        "experiment=b learning_rate=0.1 seed=1",
        "experiment=b learning_rate=0.1 seed=2",
    ]


def test_list_on_the_command_line_stands_for_all():
    assert plan_of("experiment=a,b", "model.dropout=0.3", "optimizer.learning_rate=0.5,0.6") == [
        f"experiment={name} learning_rate={rate}" for name in "ab" for rate in (0.5, 0.6)
    ]


def test_own_list_stands_in_place_of_that_of_the_preset():
    write(c="hydra: {sweeper: {params: {seed: '8,9'}}}\n", d="seed: 3\n")
    assert plan_of("sweep=seeds", "experiment=c,d") == [
        *(f"experiment=c seed={seed}" for seed in (8, 9)),
        *(f"experiment=d seed={seed}" for seed in (1, 2, 3, 4, 5)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["experiment=a,b", "seed=1,2", "sweep.zip=true"],
        ["sweep.points=[{experiment: a}, {experiment: b}]"],
    ],
    ids=["zip", "points"],
)
def test_lists_that_cannot_be_used_are_refused(words):
    told = refusal(*words)
    assert "experiment=a has values of its own for model.dropout; sweep.zip and sweep.points" in told
    assert "experiment=b has values of its own for optimizer.learning_rate;" in told


def test_interval_of_one_choice_makes_a_search():
    write(c="hydra: {sweeper: {params: {model.dropout: 'interval(0, 0.5)'}}}\n")
    running = Running("mnist_exp.run", *SWEEP, "experiment=a,c")
    running.end_with(0)
    assert "experiment a,c × dropout 0.1,0.2 (experiment=a) × dropout 0.0…0.5 (experiment=c)" in "".join(running.out)


def test_list_of_the_preset_is_left_out_of_a_choice_that_lacks_its_option():
    write(c="hydra: {sweeper: {params: {model.filters: '5,6'}}}\n", d="defaults:\n  - override /model: mlp\n")
    assert plan_of("sweep=filters", "experiment=c,d") == [
        "experiment=c filters=5",
        "experiment=c filters=6",
        "experiment=d",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "content, option",
    [
        ("sweep: {sampler: random, n_trials: 3}", "sweep.sampler=random"),
        ("hydra: {launcher: {n_workers: 2}}", "hydra.launcher.n_workers=2"),
    ],
)
def test_choice_that_says_how_the_sweep_goes_is_refused(content, option):
    write(c=content + "\n", d=content + "\n")
    told = refusal("experiment=c,d")
    assert f"experiment=c sets {option}, which must be the same in all jobs of a sweep: give it on the command" in told
    assert f"experiment=d sets {option}," in told


@pytest.mark.slow
def test_what_one_choice_says_of_the_sweep_is_used_if_it_is_the_only_one():
    write(c="hydra: {launcher: {n_workers: 2}}\n")
    assert plan_of("experiment=c", "seed=1,2") == ["seed=1", "seed=2"]
    assert plan_of("experiment=a,c", "hydra.launcher.n_workers=2")[-1] == "experiment=c"
