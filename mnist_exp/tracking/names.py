"""Every tag, metric and param name that this package writes to MLflow, in one table.

Other programs and older records rely on these names: new ones may be added, but none is changed. Code uses the
constants (`names.JOB_KEY`), which are plain texts. Keras names the metrics of each epoch, in `training`; the entries
here say what they mean.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Moment = Literal["epoch", "end", "sweep", "evaluation"]


@dataclass(frozen=True)
class Tag:
    """A tag.

    Args:
        name: in MLflow; a part in capitals stands for what differs.
        meaning: in a sentence.
        when: it is set.
        unit: of its text.
        only_if: the condition under which it is set; empty if it always is.
    """

    name: str
    meaning: str
    when: str
    unit: str = "text"
    only_if: str = ""


@dataclass(frozen=True)
class Metric:
    """A metric.

    Args:
        name: in MLflow; a part in capitals stands for what differs.
        meaning: in a sentence.
        when: `epoch`: after each one, step from 1. `end`: of a run, step the last epoch. `sweep`: at the end of a
            sweep, on its parent run. `evaluation`: added to a finished run by `evaluate --log`.
        unit: of its number.
        more_is_better: None where neither more nor less is better.
        varies: whether a repeated run differs, as in times and memory; then `rerun` does not compare it.
        only_if: the condition under which it is logged; empty if it always is.
    """

    name: str
    meaning: str
    when: Moment
    unit: str
    more_is_better: bool | None = None
    varies: bool = False
    only_if: str = ""


@dataclass(frozen=True)
class Param:
    """A param that the code reads by its name, or that is not an option. All other params are options.

    Args:
        name: in MLflow.
        meaning: in a sentence.
        only_if: the condition under which it is logged; empty if it always is.
    """

    name: str
    meaning: str
    only_if: str = ""


TAGS: dict[str, Tag] = {}
METRICS: dict[str, Metric] = {}
PARAMS: dict[str, Param] = {}

_BEGIN, _END = "begin of a run", "end of a run"
_SWEEP = "begin of a sweep, on its parent run"
_VAL, _TEST, _REPORT = "val_", "test_", "report_"
_OF_CLASSES = "the task is one of classes or labels"
_A_TIME, _A_SHARE, _A_COUNT = "seconds", "share, 0 to 1", "count"


def _tag(name: str, meaning: str, when: str, unit: str = "text", only_if: str = "") -> str:
    TAGS[name] = Tag(name, meaning, when, unit, only_if)
    return name


def _metric(
    name: str,
    meaning: str,
    when: Moment,
    unit: str,
    more_is_better: bool | None = None,
    *,
    varies: bool = False,
    only_if: str = "",
) -> str:
    METRICS[name] = Metric(name, meaning, when, unit, more_is_better, varies, only_if)
    return name


def _param(name: str, meaning: str, only_if: str = "") -> str:
    PARAMS[name] = Param(name, meaning, only_if)
    return name


# Tags of runs.
JOB_KEY = _tag(
    "mnist_exp.job_key",
    "Digest of all that decides the result: equal keys mean equal experiments.",
    _BEGIN,
    "SHA-256, hex",
)
DATA_SHA256 = _tag(
    "mnist_exp.data_sha256",
    "Digest of the bytes of the data set's arrays.",
    f"{_BEGIN} or sweep; a registered model's version has it too",
    "SHA-256, hex",
)
CODE_SHA256 = _tag(
    "mnist_exp.code_sha256",
    "Digest of this package's code, of the user's own code that took part, and of the version of Keras.",
    _BEGIN,
    "SHA-256, hex",
)
TASK = _tag(
    "mnist_exp.task",
    "What was learnt: classification, binary, multilabel, regression, or a task of the user's own.",
    _BEGIN,
)
OWN_CODE = _tag(
    "mnist_exp.own_code",
    "Digest of the user's own files that the run imported; own_code.txt has their names and digests.",
    f"{_BEGIN}, and at its end if it imported more",
    "SHA-256, hex",
    only_if="a builder of the user's own took part",
)
PIXEL_RANGE = _tag(
    "mnist_exp.pixel_range",
    "The raw values of black and white, between which the model scales.",
    _BEGIN,
    "JSON, [0, 255]",
    only_if="the examples are pixels",
)
IMAGE_DEPTH = _tag(
    "mnist_exp.image_depth",
    "The values that became 0 and 255, of image files with more than 8 bits a pixel.",
    _BEGIN,
    "JSON, [0, 4095]",
    only_if="such files were trained on",
)
INPUT_FILES = _tag(
    "mnist_exp.input_files",
    "Digest of each file that a builder read, as weights to begin with, by the option that names it.",
    _BEGIN,
    "JSON of SHA-256, hex",
    only_if="a builder reads a file",
)
PROCESS = _tag(
    "mnist_exp.process",
    "The machine and the process that run it.",
    f"{_BEGIN} or sweep, again at each resumption",
    "host/process id/start in seconds",
)
COMMAND = _tag("mnist_exp.command", "The command line that runs it again.", f"{_BEGIN} or sweep", "shell command")
OVERRIDES = _tag("mnist_exp.overrides", "The options changed on the command line.", _BEGIN, "Hydra overrides")
GIT_COMMIT = _tag(
    "mnist_exp.git_commit", "The commit of the code; `none` outside a repository.", f"{_BEGIN} or sweep", "SHA-1, hex"
)
GIT_DIRTY = _tag(
    "mnist_exp.git_dirty",
    "Whether the code had changes that were not committed.",
    f"{_BEGIN} or sweep",
    "true, false or unknown",
)
WEIGHTS_SHA256 = _tag(
    "mnist_exp.weights_sha256",
    "Digest of all weights of the trained model, in order.",
    "after training",
    "SHA-256, hex",
)
MODEL_URI = _tag(
    "mnist_exp.model_uri",
    "The address of the logged model.",
    "when the model is logged",
    "models:/ID",
)
NO_MODEL = _tag(
    "mnist_exp.no_model",
    "Why the run has no model: it was not recorded, or removed, by tracking.keep_models.",
    f"{_END}, or while its sweep goes on",
    only_if="tracking.keep_models is none or best:N",
)
MODEL_FREED = _tag(
    "mnist_exp.model_freed",
    "How much the removal of the model has freed; 0 if its files could not be removed.",
    "when the model is removed",
    "bytes",
    only_if="tracking.keep_models has removed a model that was recorded",
)
NUMPY_MODEL = _tag(
    "mnist_exp.numpy_model",
    "Whether NumPy alone computes the model as Keras does, so that `predict` and `demo` need no TensorFlow: the digest "
    "of the model's file, how many examples both computed, the largest difference; or why it does not.",
    "when the model is logged",
    "JSON: sha256, examples, difference; or why_not",
    only_if="the store took the model at once",
)
DATA_FALLBACK = _tag(
    "mnist_exp.data_fallback",
    "Why other data were used than those asked for.",
    _BEGIN,
    only_if="the bundled digits stand in for data that could not be found",
)
APPEARANCE = _tag(
    "mnist_exp.appearance",
    "How the training images look, measured: light on dark, dark on light or neither; whether drawn in MNIST's style. "
    "`predict` and `demo` make a new image alike.",
    _BEGIN,
    "JSON: ink, style, box in shares of the side",
    only_if="the examples are images",
)
CALIBRATION = _tag(
    "mnist_exp.calibration",
    "What the held-out images tell of the confidence: the temperature that calibrates the probabilities (null where "
    "all were answered correctly), how many images there were, loss and calibration error (ECE) before and after. "
    "confidence.json has the rest.",
    _END,
    "JSON: temperature, images, loss, ece",
    only_if="the data brought validation images, or training images were held out",
)
FAILURE = _tag("mnist_exp.failure", "The first line of the error.", _END, only_if="the run failed")
PRUNED = _tag("pruned", "A sweep stopped the run early.", _END, "true", only_if="it was stopped early")
RESUMED = _tag(
    "mnist_exp.resumed", "How often the run was resumed.", "at each resumption", _A_COUNT, only_if="it was resumed"
)
PROMOTED = _tag(
    "mnist_exp.promoted",
    "The epochs at which its search had paused the run and let it go on.",
    "at each promotion",
    "numbers with commas",
    only_if="it was promoted",
)
STARTED_FROM = _tag(
    "mnist_exp.started_from",
    "The run of a search of fewer epochs from whose checkpoint the run started.",
    "start",
    "a run id",
    only_if="`sweep.finish_best` goes on with that search",
)
FINISHES = _tag(
    "mnist_exp.finishes",
    "The parent run of the search of fewer epochs whose best trials go on.",
    "start",
    "a run id",
    only_if="`sweep.finish_best` goes on with that search",
)
_RESUMPTION = "mnist_exp.resumption."
_tag(
    f"{_RESUMPTION}NUMBER",
    "Time, process, epoch, commit and changes of one resumption.",
    "at each resumption",
    "JSON",
    only_if="it was resumed",
)
RERUN_OF = _tag("mnist_exp.rerun_of", "The run that this one repeats.", _BEGIN, "run id", only_if="`rerun` started it")
RERUN_EQUAL = _tag(
    "mnist_exp.rerun_equal",
    "Whether the repetition is equal to the last bit; only then a sweep counts it.",
    "after the comparison",
    "true or false",
    only_if="`rerun` started it",
)
REGISTERED = _tag(
    "mnist_exp.registered",
    "The registered version of the model, and whether it became the champion.",
    "when the model is registered",
    only_if="tracking.register_as is given",
)

# Tags of sweeps and their jobs.
SWEEP = _tag(
    "mnist_exp.sweep",
    "The key of the sweep: the same command has the same key.",
    _SWEEP,
    "SHA-256, hex",
    "the run is a sweep",
)
PLANNED_JOBS = _tag(
    "mnist_exp.planned_jobs", "How many jobs the sweep is to have.", _SWEEP, _A_COUNT, "the run is a sweep"
)
STUDY = _tag("mnist_exp.study", "The name of the Optuna study.", _SWEEP, only_if="the sweep is a search")
SELECTED = _tag(
    "mnist_exp.selected",
    "Of the best of several configurations: by what it was chosen, how much of that is expected to be luck, and its "
    "value on the images of data.reporting with the 95 % interval.",
    "end of a sweep, on its parent run",
    "JSON",
    only_if="its objective is an accuracy, or there are several seeds",
)
RACED_FROM = _tag(
    "mnist_exp.raced_from_seed",
    "The first seed of a search that races its points over seeds: it chooses, the others compare.",
    _SWEEP,
    "a whole number",
    only_if="the sweep is a search with sweep.seeds above 1",
)
POINT = _tag(
    "mnist_exp.point", "The options that differ between the jobs, with their values.", _BEGIN, "JSON", "it is a job"
)
TOGETHER = _tag(
    "mnist_exp.together",
    "How many jobs were trained as one program.",
    "before training",
    _A_COUNT,
    only_if="sweep.together is above 1",
)

_CONCLUDED = "end of a sweep, on its parent run, and again when it is issued again"
_SEVERAL = "a configuration has several seeds, and all jobs the same data"
VERDICT = _tag(
    "mnist_exp.verdict",
    "What may be concluded from the jobs that are done, in the words of a report.",
    _CONCLUDED,
    "a sentence or two a line",
    only_if="a job is done",
)
BEST_RUN = _tag("mnist_exp.best_run", "The run of the best job.", _CONCLUDED, "run id", only_if="a job is done")
BEST_CONFIGURATION = _tag(
    "mnist_exp.best_configuration",
    "The options of the configuration with the best mean of the objective, of those with several seeds.",
    _CONCLUDED,
    only_if=_SEVERAL,
)
BEST_INTERVAL = _tag(
    "mnist_exp.best_interval",
    "The 95 % interval of that mean.",
    _CONCLUDED,
    "JSON: [low, high]",
    only_if=f"{_SEVERAL}, and their objectives differ",
)
CONCLUSION = (VERDICT, BEST_RUN, BEST_CONFIGURATION, BEST_INTERVAL)

# Tags that MLflow's own pages read.
PARENT = _tag("mlflow.parentRunId", "The sweep that the run is a job of.", _BEGIN, "run id", "it is a job")
RUN_NAME = _tag("mlflow.runName", "The name of the run.", f"{_BEGIN} or sweep")
NOTE = _tag(
    "mlflow.note.content",
    "The text of tracking.description; on a sweep's parent run also verdict, best job, leaderboard and a picture.",
    f"{_BEGIN}; end of a sweep, on its parent run",
    "Markdown",
    only_if="tracking.description is given, or the run is a sweep with a job that is done",
)
CONTEXT = "mlflow.data.context"  # A tag of a data set, not of a run: training or testing.

# Metrics of each epoch.
LOSS = _metric("loss", "The mean loss of the training images.", "epoch", "nats", more_is_better=False)
ACCURACY = _metric(
    "accuracy",
    "The share of training images classified correctly; of several labels, of all labels.",
    "epoch",
    _A_SHARE,
    more_is_better=True,
    only_if=_OF_CLASSES,
)
VAL_LOSS = _metric("val_loss", "The mean loss of the validation images.", "epoch", "nats", more_is_better=False)
VAL_ACCURACY = _metric(
    "val_accuracy",
    "The share of validation images classified correctly; of several labels, of all labels.",
    "epoch",
    _A_SHARE,
    more_is_better=True,
    only_if=_OF_CLASSES,
)
PENALTY = _metric(
    "penalty",
    "What regularizers and layers add to the loss, at the end of the epoch.",
    "epoch",
    "nats",
    more_is_better=False,
    only_if="the model has any",
)
LEARNING_RATE = _metric("learning_rate", "The learning rate at the end of the epoch.", "epoch", "1")
EPOCH_TIME_S = _metric(
    "epoch_time_s",
    "How long the epoch took, with validation.",
    "epoch",
    _A_TIME,
    more_is_better=False,
    varies=True,
)
IMAGES_PER_S = _metric(
    "images_per_s",
    "How many images were trained on in a second.",
    "epoch",
    "images per second",
    more_is_better=True,
    varies=True,
)

# Metrics at the end of a run.
OBJECTIVE = _metric(
    "objective", "The metric that selects, at the epoch whose weights are kept.", "end", "that of the metric it names"
)
BEST_VAL_ACCURACY = _metric(
    "best_val_accuracy", "The highest val_accuracy of all epochs.", "end", _A_SHARE, more_is_better=True
)
BEST_EPOCH = _metric("best_epoch", "The epoch in which the objective was best.", "end", "epoch, from 1")
EPOCHS = _metric("epochs", "How many epochs were trained.", "end", _A_COUNT)
FIT_TIME_S = _metric("fit_time_s", "How long the training took.", "end", _A_TIME, more_is_better=False, varies=True)
MEMORY_PEAK_MB = _metric(
    "memory_peak_mb",
    "The most memory that the process had at once during the run; elsewhere than on Linux, since it began.",
    "end",
    "MB",
    more_is_better=False,
    varies=True,
)
PARAMETERS = _metric("parameters", "The number of weights of the model.", "end", _A_COUNT, more_is_better=False)
FLOPS_PER_IMAGE = _metric(
    "flops_per_image",
    "The floating-point operations of one image's forward pass.",
    "end",
    _A_COUNT,
    more_is_better=False,
    only_if="all layers of the model can be counted",
)
_UNPRUNED = "it was not stopped early"
TEST_LOSS = _metric(
    "test_loss", "The mean loss of the test images.", "end", "nats", more_is_better=False, only_if=_UNPRUNED
)
TEST_ACCURACY = _metric(
    "test_accuracy",
    "The share of test images classified correctly.",
    "end",
    _A_SHARE,
    more_is_better=True,
    only_if=_UNPRUNED,
)


_OF_REPORT = "of the images that nothing was selected on"
_IF_REPORT = "data.reporting sets images aside, and it was not stopped early"
_metric(f"{_REPORT}loss", f"The mean loss {_OF_REPORT}.", "end", "nats", more_is_better=False, only_if=_IF_REPORT)
_metric(
    f"{_REPORT}accuracy",
    f"The share {_OF_REPORT} that are classified correctly.",
    "end",
    _A_SHARE,
    more_is_better=True,
    only_if=_IF_REPORT,
)
REPORT_IMAGES = _metric(f"{_REPORT}images", f"The number {_OF_REPORT}.", "end", _A_COUNT, only_if=_IF_REPORT)
_ADDED = "the task or the group metrics has it"
# Of predictions, by task and by the presets of the group `metrics`; the module `metrics` defines them.
for _name, _meaning, _unit, _more in (
    ("exact_match", "The share of images of which every label is right", _A_SHARE, True),
    ("macro_f1", "The mean of the classes' F1", _A_SHARE, True),
    ("balanced_accuracy", "The mean of the classes' recall", _A_SHARE, True),
    ("mcc", "Matthews's correlation coefficient", "-1 to 1", True),
    ("top_5_accuracy", "The share of images whose class is among the five most probable ones", _A_SHARE, True),
    ("auc", "The area under the ROC curve, the mean of each class against the rest", _A_SHARE, True),
    ("mae", "The mean absolute error", "that of the target", False),
    ("rmse", "The root of the mean squared error", "that of the target", False),
    ("r2", "The coefficient of determination", "1 at most", True),
):
    _metric(f"{_VAL}{_name}", f"{_meaning}, of the validation images.", "epoch", _unit, _more, only_if=_ADDED)
    _metric(f"{_TEST}{_name}", f"{_meaning}, of the test images.", "end", _unit, _more, only_if=_ADDED)
    _metric(f"{_REPORT}{_name}", f"{_meaning}, {_OF_REPORT}.", "end", _unit, _more, only_if=f"{_ADDED}; data.reporting")
_metric(
    "mae",
    "The mean absolute error of the training images.",
    "epoch",
    "that of the target",
    more_is_better=False,
    only_if="task=regression",
)

# Metrics of a sweep, on its parent run.
_JOBS = {
    "done": "are done",
    "repeated": "had the values of an earlier trial and reused its result",
    "paused": "were stopped early and may go on",
    "pruned": "were stopped early",
    "failed": "failed",
    "killed": "were interrupted",
    "left": "were not started",
}
for _outcome, _words in _JOBS.items():
    _metric(f"jobs_{_outcome}", f"How many jobs {_words}.", "sweep", _A_COUNT)
EXPECTED_OPTIMISM = _metric(
    "expected_optimism",
    "How far the best objective is expected to lie on the better side of the true one, as the best of many; at most, "
    "where it comes from the number of validation images, which all jobs share.",
    "sweep",
    "that of the objective",
    only_if="its objective is an accuracy, or there are several seeds",
)
BEST_REPORTED = _metric(
    "best_reported",
    "What the best job, or configuration, has on the images that nothing was selected on.",
    "sweep",
    "that of the objective",
    only_if="data.reporting sets images aside",
)
EPOCHS_SPENT = _metric("epochs_spent", "How many epochs all jobs were trained.", "sweep", _A_COUNT)
EPOCHS_SAVED = _metric("epochs_saved", "How many planned epochs were saved by stopping early.", "sweep", _A_COUNT)
COMPUTE_TIME_S = _metric(
    "compute_time_s", "How long all jobs took, added up.", "sweep", _A_TIME, more_is_better=False, varies=True
)
BEST_OBJECTIVE = _metric(
    "best_objective", "The objective of the best job.", "sweep", "that of the metric it names", only_if="a job is done"
)

_KEPT = "tracking.keep_models is not all"
MODELS_KEPT = _metric("models_kept", "How many models of its own jobs there are.", "sweep", _A_COUNT, only_if=_KEPT)
MODELS_FREED_MB = _metric(
    "models_freed_mb", "How much disk the removal of models has freed, in all calls.", "sweep", "MB", only_if=_KEPT
)

# MLflow's own metrics of the machine begin so.
SYSTEM = "system/"

# Metrics that `evaluate --log` adds to a finished run.
EVALUATION = "evaluation."
_EVALUATED = f"{EVALUATION}DATA.SPLIT."
for _metric_of, _meaning, _unit, _is_good, _whose in (
    ("accuracy", "The share of the images classified correctly; of several labels, of all labels.", _A_SHARE, True, ""),
    ("accuracy_low", "The lower end of the accuracy's interval.", _A_SHARE, True, ""),
    ("accuracy_high", "The upper end of the accuracy's interval.", _A_SHARE, True, ""),
    ("loss", "The mean loss of the images.", "nats", False, ""),
    ("ece", "The expected calibration error.", _A_SHARE, False, ""),
    ("images", "How many images were evaluated.", _A_COUNT, None, ""),
    ("exact_match", "The share of the images of which every label is right.", _A_SHARE, True, "multilabel"),
    ("exact_match_low", "The lower end of the interval of exact_match.", _A_SHARE, True, "multilabel"),
    ("exact_match_high", "The upper end of the interval of exact_match.", _A_SHARE, True, "multilabel"),
    ("macro_f1", "The mean of the labels' F1.", _A_SHARE, True, "multilabel"),
    ("mae", "The mean absolute error.", "that of the target", False, "regression"),
    ("mae_low", "The lower end of the interval of mae.", "that of the target", False, "regression"),
    ("mae_high", "The upper end of the interval of mae.", "that of the target", False, "regression"),
    ("rmse", "The root of the mean squared error.", "that of the target", False, "regression"),
    ("r2", "The coefficient of determination.", "1 at most", True, "regression"),
):
    _only = f"task={_whose}" if _whose else ""
    _metric(f"{_EVALUATED}{_metric_of}", _meaning, "evaluation", _unit, _is_good, only_if=_only)
_metric(
    f"{_EVALUATED}trained_on",
    "How many of the images the model was trained on.",
    "evaluation",
    _A_COUNT,
    only_if="the training images are known",
)

# Params.
SEED = _param("seed", "The seed of all random numbers.")
SELECTED_BY = _param("objective", "The name of the metric that selects.")
DIRECTION = _param("direction", "Whether more or less of the objective is better: maximize or minimize.")
DATA_NAME = _param("data.name", "The name of the data set.")
VALIDATION = _param("data.validation", "How many images, or which share, are held out for validation.")
REPORTING = _param("data.reporting", "How many images, or which share, only report on what was chosen.")
MODEL_TARGET = _param("model._target_", "The function that builds the model.")
PLANNED_EPOCHS = _param("trainer.epochs", "How many epochs the run trains at the most.")
SAMPLER = _param("sweep.sampler", "How a search chooses the values of its trials.", "the run is a search")
PRUNER = _param("sweep.pruner", "How a search stops poor trials early.", "the run is a search")


def resumption(number: int) -> str:
    """Return the name of the tag of a resumption; the first has number 1."""
    return f"{_RESUMPTION}{number}"


def tested(name: str) -> str:
    """Return the name of a metric of the test set."""
    return f"{_TEST}{name}"


def reported(name: str) -> str:
    """Return the name of a metric of the images that nothing was selected on."""
    return f"{_REPORT}{name}"


def reported_by(objective: str) -> str:
    """Return the metric of the images that nothing was selected on that goes with an objective."""
    return reported(objective.removeprefix(_VAL))


def tested_by(objective: str, known: Iterable[str]) -> str:
    """Return the metric of the test set that tables show beside an objective.

    Args:
        objective: what selects.
        known: names of all metrics of the runs.
    """
    own, there = tested(objective.removeprefix(_VAL)), set(known)
    candidates = [*([own] if own != TEST_LOSS else []), TEST_ACCURACY, tested("mae"), TEST_LOSS]
    return next((name for name in candidates if name in there), TEST_ACCURACY)


def jobs(outcome: str) -> str:
    """Return the name of the metric that counts the jobs with an outcome."""
    return f"jobs_{outcome}"


def evaluated(images: str, name: str) -> str:
    """Return the name of a metric of an evaluation: `evaluation.mnist.test.accuracy` for the images `mnist.test`."""
    return f"{EVALUATION}{images}.{name}"


def is_compared(name: str) -> bool:
    """Tell whether a rerun must have the same value of a metric; times, evaluations and the machine may differ."""
    known = METRICS.get(name)
    return not (name.startswith((EVALUATION, SYSTEM)) or (known is not None and known.varies))


def is_of_epochs(name: str) -> bool:
    """Tell whether a metric is logged after each epoch."""
    return name in METRICS and METRICS[name].when == "epoch"


def rows() -> list[dict[str, str]]:
    """Return the table for the documentation: one row for each entry, with its kind and its fields as texts."""
    entries: list[Tag | Metric | Param] = [*TAGS.values(), *METRICS.values(), *PARAMS.values()]
    words = {None: "", True: "yes", False: "no"}
    return [
        {"kind": type(entry).__name__.lower()}
        | {key: words[value] if value is None or isinstance(value, bool) else value for key, value in fields.items()}
        for entry in entries
        for fields in [dataclasses.asdict(entry)]
    ]
