"""Any text as an override gives settings or a message: no other exception, no heavy import, no record."""

import contextlib
import io
import os
import sys
import unicodedata
import warnings
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from mnist_exp.composition import overrides
from mnist_exp.composition.compose import compose
from mnist_exp.composition.preflight import check
from mnist_exp.config import wording
from mnist_exp.errors import SettingsError
from mnist_exp.run_command import launch

FEW = int(os.environ.get("MNIST_EXP_EXAMPLES", "0"))
HEAVY = ("tensorflow", "keras", "mlflow", "matplotlib", "pandas")


def examples(count):
    """Set the number of examples, the same at each call; MNIST_EXP_EXAMPLES=2000 draws other ones at random."""
    return profile(
        max_examples=FEW or count,
        derandomize=not FEW,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


CHOICES = {
    "model": ["cnn", "convnet", "mlp", "lenet5", "resnet"],
    "optimizer": ["adam", "adamw", "sgd", "rmsprop", "nadam", "lion"],
    "schedule": ["constant", "cosine", "one_cycle", "exponential"],
    "data": ["mnist", "mnist_5k", "fashion_mnist", "npz", "image_folder"],
    "augment": ["none", "shift", "affine"],
    "trainer": ["default", "gpu", "smoke"],
    "tracking": ["mlflow", "none"],
    "sweep": ["default", "dropout", "search"],
    "experiment": ["overfit_one_batch", "null"],
    "hydra/launcher": ["local", "basic"],
}
KEYS = [
    *CHOICES, "model.filters", "model.dropout", "model.hidden_units", "model.blocks", "model.activation",
    "model._target_", "optimizer.learning_rate", "optimizer.clipnorm", "optimizer._target_", "schedule.final",
    "data.path", "data.limit", "data.validation", "data.mirrors", "data.name", "augment.height", "trainer.epochs",
    "trainer.restore_best", "trainer.precision", "tracking.uri", "tracking.experiment", "tracking.local_dir",
    "sweep.points", "sweep.sampler", "sweep.n_trials", "sweep.zip", "seed", "objective", "direction", "resume",
    "trusted_modules", "model.trusted_modules", "hydra.run.dir", "hydra.sweep.dir", "hydra.verbose", "hydra.mode",
    "hydra.searchpath", "hydra.launcher", "hydra.launcher.n_workers", "hydra.sweeper", "hydra.sweeper.params",
    "hydra.job.chdir", "hydra.job.env_set", "hydra.job.env_copy", "hydra.job_logging", "hydra.callbacks",
    "hydra.output_subdir", "hydra.job.name", "hydra", "model.fliters", "trianer.epochs", "modle", "model@net", "foo",
]  # fmt: skip
PLAIN = [
    "16", "0", "-1", "0.5", "1e400", "-1e-3", "1_000", "nan", "inf", "true", "null", "''", "relu", "a b", "???", "~",
    "'a, b'", "\"x\"", "[1,2]", "[]", "{}", "{a:1}", "{a:{b:[1,{c:2}]}}", "[[[]]]", "[cnn,mlp]", "1,2", "0.1,1.5",
    "a,b", "cnn,mlp", "range(1,4)", "range(1,0)", "range(0,3,0)", "range(0,1e9)", "interval(0,1)", "interval(1,0)",
    "choice(1,2)", "choice()", "glob(*)", "glob([a*,b*],exclude=c*)", "shuffle(1,2)", "sort(3,1)",
    "tag(log,interval(1,2))",
    "int(3.7)", "str([1])", "bool(3)", "float(nan)", "nope(1)", "${seed}", "${foo}", "${seed", "${oc.env:NOWHERE}",
    "${oc.env:HOME}", "${oc.decode:'['}", "${now:%Y}", "${model}", "${model.filters}", "$x", "\\", "\\,", "a=b", "=",
    "/no/such", "../..", "os.system", "keras.optimizers.Adam", "mnist_exp.models.cnn", "http://[::1", "sqlite:///", "é",
    "−1", "\u00a0", "\x00", "\x1b[2J", "\n", "\u202e", "\ud800", "🙂", "x" * 5000, "9" * 5000,
    "[" * 99, "(" * 99, "1," * 99 + "1",
]  # fmt: skip
TEXTS = st.text(max_size=40)
VALUES = st.recursive(
    st.sampled_from(PLAIN) | st.floats().map(str) | st.integers().map(str) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.dictionaries(st.sampled_from(["a", "model.filters", "1"]), inner, max_size=2).map(
            lambda items: "{" + ",".join(f"{k}:{v}" for k, v in items.items()) + "}"
        )
        | st.tuples(inner, inner).map(",".join)
    ),
    max_leaves=4,
)
GRAMMAR = st.tuples(
    st.sampled_from(["", "", "", "+", "++", "~", "~~", "-", "--", " "]),
    st.sampled_from(KEYS) | TEXTS,
    st.sampled_from(["=", "=", "=", "=", "", ":", " = ", "=="]),
    VALUES,
).map("".join)
VALID = st.sampled_from([f"{key}={choice}" for key, choices in CHOICES.items() for choice in choices])


@st.composite
def mutations(draw):
    """Draw a valid override and change one or two of its characters."""
    text = draw(VALID | st.sampled_from(["model.filters=16,32", "seed=range(1,4)", "data.validation=0.1"]))
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(text)))
        inserted = draw(st.sampled_from([*" .,=+~@/:[]{}()'\"\\${}_-0aA", "\u00a0", "\n", ""]))
        text = text[:position] + inserted + text[position + draw(st.integers(0, 2)) :]
    return text


ANYTHING = st.lists(TEXTS | GRAMMAR | mutations() | VALID, min_size=1, max_size=3)


@pytest.fixture(scope="module", autouse=True)
def alone(tmp_path_factory):
    """Work in a folder without data, store and cache, and check that nothing heavy is imported."""
    before = {name for name in HEAVY if name in sys.modules}
    folder = tmp_path_factory.mktemp("overrides")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KERAS_HOME", str(folder / "keras"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("MNIST_EXP_DATA", str(folder / "nowhere"))  # A mistake that is found at once.
        yield folder
    assert {name for name in HEAVY if name in sys.modules} == before
    assert not [path for path in folder.rglob("*") if path.name.startswith(("mlflow", "mlruns", "mlartifacts"))]


def is_sentence(text):
    return len(text) > 10 and text == text.strip() and all(unicodedata.category(c)[0] != "C" for c in text)


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["run.py", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            code = launch()
    finally:
        sys.argv = before[0]
    return code, err.getvalue()


@examples(400)
@given(TEXTS | GRAMMAR | mutations())
@example("seed=" + "9" * 5000)
@example("seed=" + "[" * 900)
@example("=1")
@example("model.filters=range(1,0)")
@example("seed=range(0,1e400)")
def test_any_text_is_parsed_or_explained(text):
    try:
        override = overrides.read(text)
        first = overrides.first_value(override)
        values = overrides.values(override) if override.is_discrete_sweep() else []
    except SettingsError as error:
        assert len(error.problems) == 1
        assert is_sentence(error.problems[0]), error.problems
    else:
        assert override.key_or_group
        assert len(values) <= overrides.MOST_VALUES
        assert first == text or override.is_sweep_override()


@pytest.mark.slow
@examples(35)
@given(ANYTHING)
def test_any_overrides_give_settings_or_messages(texts):
    try:
        made = compose(texts)
    except SettingsError as error:
        assert error.problems
        assert all(map(is_sentence, error.problems)), error.problems
    else:
        assert check(made.to_config()) == replace(made, overrides=())


@pytest.mark.slow
@examples(25)
@given(ANYTHING, st.sampled_from([[], ["-m"]]))
@example(["hydra.verbose=3"], [])
@example(["hydra.verbose=[3]"], [])
@example(["hydra.launcher=local", "seed=1,2"], ["-m"])
@example(["~sweep"], ["-m"])
@example(["hydra.job.env_copy=[NOWHERE]"], [])
def test_command_line_with_a_mistake_exits_with_2(texts, flags):
    code, output = run(*flags, *(text for text in texts if not text.startswith("-")), "model.no_such_option=1")
    head, *sentences = output.splitlines()
    assert code == 2
    assert head.endswith("nothing was run:")
    assert sentences
    assert all(is_sentence(sentence.removeprefix("  ")) for sentence in sentences), sentences


@pytest.mark.slow
@examples(20)
@given(
    st.lists(
        TEXTS | GRAMMAR | VALID | st.sampled_from(["-m", "-x", "--cfg", "job", "--info", "-sc", "--help"]), max_size=3
    )
)
def test_any_words_with_cfg_exit_with_0_or_2(words):
    code, output = run("--cfg", "job", *words)
    assert code in (0, 2)
    assert "Traceback" not in output
    assert (code == 0) == (output == "")


FRACTIONS = st.floats(0, 0.99)
SHARES = st.floats(0.01, 0.99)
COUNTS = st.integers(1, 500)
OPTIONS = {
    "model=cnn": {
        "filters": COUNTS,
        "kernel_size": COUNTS,
        "pool_size": COUNTS,
        "dropout": FRACTIONS,
        "dense_units": COUNTS,
    },
    "model=mlp": {"hidden_units": st.lists(COUNTS, min_size=1, max_size=4), "dropout": FRACTIONS},
    "model=lenet5": {"dropout": FRACTIONS, "activation": st.sampled_from(["relu", "tanh", "gelu"])},
    "model=resnet": {"filters": COUNTS, "blocks": st.lists(COUNTS, min_size=1, max_size=4), "dropout": FRACTIONS},
    "optimizer=adam": {"learning_rate": SHARES, "beta_1": FRACTIONS, "+clipnorm": SHARES, "+amsgrad": st.booleans()},
    "optimizer=adamw": {"weight_decay": FRACTIONS, "+use_ema": st.booleans()},
    "optimizer=sgd": {"momentum": FRACTIONS, "nesterov": st.booleans(), "global_clipnorm": SHARES},
    "optimizer=rmsprop": {"rho": FRACTIONS, "+centered": st.booleans()},
    "optimizer=nadam": {"beta_2": FRACTIONS, "+epsilon": SHARES},
    "optimizer=lion": {"beta_2": FRACTIONS, "weight_decay": st.none() | FRACTIONS},
    "schedule=constant": {},
    "schedule=cosine": {"warmup": FRACTIONS, "final": FRACTIONS},
    "schedule=one_cycle": {"warmup": SHARES, "initial": SHARES, "final": FRACTIONS},
    "schedule=exponential": {"final": SHARES},
    "augment=none": {},
    "augment=shift": {"height": FRACTIONS, "width": FRACTIONS},
    "augment=affine": {"rotation": FRACTIONS, "shift": FRACTIONS, "zoom": FRACTIONS, "shear": FRACTIONS},
    "data=mnist": {"limit": st.none() | COUNTS, "validation": COUNTS | SHARES, "fallback": st.booleans()},
    "data=image_folder": {
        "path": st.just("x"),
        "size": st.lists(COUNTS, min_size=2, max_size=2),
        "channels": st.sampled_from([1, 3]),
    },
    "trainer=default": {"epochs": COUNTS, "batch_size": COUNTS, "checkpoint_every": st.none() | COUNTS},
    "trainer=smoke": {"threads": st.none() | COUNTS, "precision": st.sampled_from(["float32", "mixed_bfloat16"])},
    "tracking=mlflow": {"run_name": st.none() | st.text("abc _-", min_size=1).map(repr), "experiment": st.just("e")},
    "tracking=none": {},
    "sweep=default": {"n_trials": COUNTS, "sampler": st.sampled_from(["tpe", "qmc", None]), "zip": st.booleans()},
}
GROUPS = sorted({choice.partition("=")[0] for choice in OPTIONS})


@st.composite
def valid_overrides(draw):
    """Draw a choice of each group, and set some of its options."""
    written = [f"seed={draw(st.integers(0, 2**32 - 1))}"]
    for group in GROUPS:
        choice = draw(st.sampled_from([each for each in OPTIONS if each.startswith(f"{group}=")]))
        written.append(choice)
        for name, values in OPTIONS[choice].items():
            if draw(st.booleans()) or name == "path":
                plus, name = ("+", name[1:]) if name.startswith("+") else ("", name)
                value = draw(values)
                shown = value if isinstance(value, str) else wording.text(value)
                written.append(f"{plus}{group}.{name}={shown}".replace(", ", ","))
    return written


@pytest.mark.slow
@examples(35)
@given(valid_overrides())
def test_valid_settings_survive_their_configuration_unchanged(texts):
    try:
        made = compose(texts)
    except SettingsError as error:
        # Of two options that exclude each other one was drawn.
        assert all("exclude each other" in problem for problem in error.problems), error.problems
    else:
        again = check(made.to_config())
        assert again == replace(made, overrides=())
        assert again.to_config() == made.to_config()


@pytest.mark.slow
@examples(400)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    )
)
@example(10**5000)
@example([10**5000])
def test_any_value_is_shown_on_one_line(value):
    assert wording.show(value)
    assert len(wording.show(value)) <= 2000
    assert wording.show(value).isprintable()


@examples(35)
@given(st.lists(st.text(), min_size=1))
@example(["\n"])
@example(["a\r\nb", ""])
def test_problems_are_sentences_of_one_line(texts):
    for problem in SettingsError(texts).problems:
        assert problem
        assert problem.isprintable()
