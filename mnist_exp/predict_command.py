"""What `python -m mnist_exp.predict` does: predict images, or rows of arrays, with a run's model."""

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Sequence

from mnist_exp import commands
from mnist_exp.errors import SettingsError, printable
from mnist_exp.inference import answer_table, asking, counting, doubt, preprocessing
from mnist_exp.inference.answers import Answer
from mnist_exp.inference.doubt import Doubt
from mnist_exp.inference.inputs import images as image_inputs
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tasks.task import Task

_WIDEST = 40  # characters of a column of paths
NO_ANSWER = "no answer"


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: predict(read(sys.argv[1:])))


def read(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line."""
    return _parser().parse_args(list(words))


def predict(options: argparse.Namespace) -> int:
    """Print the predictions of a run's model for images.

    Args:
        options: the options of the command line.
    Returns: the exit code: 0 if there is a prediction for each image, otherwise 1.
    Raises: SettingsError: there is no such run, it has no model, or no image was named. Nothing was predicted.
    """
    _check(options)
    images = image_inputs.find(options.images)
    run = commands.find(options)
    screen = Screen()
    asked = asking.of_files(
        run,
        images,
        options.images,
        trusted=commands.trusted(options),
        way=options.preprocess,
        abstain=options.abstain,
        tell=lambda sentence: screen.error(printable(sentence)),
    )
    task, known, names = asked.task, asked.known, asked.names
    columns = answer_table.columns_of(options.csv_columns, task, names, asked.outputs)
    for sentence in known.told():
        screen.error(f"note: {sentence}")
    wide = min(max((len(printable(path)) for path in asked.paths), default=1), _WIDEST)
    show = _shown(options, task, names, known, wide)
    count = failed = unanswered = unlike = 0
    with contextlib.ExitStack() as stack:
        write = stack.enter_context(answer_table.writer(options.csv, columns)) if options.csv else None
        step = stack.enter_context(
            counting.bar(screen, asked.total, is_quiet=options.csv not in (None, answer_table.STDOUT))
        )
        for answer in asked.answers:
            step()
            if answer.error:
                failed += 1
                sys.stdout.flush()
                screen.error(printable(answer.error))
            elif answer.output is not None:
                unanswered += not known.is_answered(answer.output)
                unlike += bool(answer.is_unlike)
            if write is not None:
                write(answer_table.row(answer, count + options.csv_start, task, names, known))
            if text := show(answer):
                print(text)
            count += 1
    for sentence in known.summed_up(unanswered, unlike, count - failed):
        screen.error(f"note: {sentence}")
    return commands.FAILED if failed else commands.DONE


def _check(options: argparse.Namespace) -> None:
    """Make sure that the options make sense. Raises: SettingsError: with every reason why not."""
    problems = []
    if options.top < 1:
        problems.append(f"--top={options.top} is not allowed: it must be at least 1")
    if options.json and options.csv == answer_table.STDOUT:
        problems.append("--json and --csv=- both write to standard output: name a file, --csv=answers.csv")
    if options.csv_columns and options.csv is None:
        problems.append("--csv-columns is for --csv=FILE, which is not given")
    for check, words in ((doubt.check, [options.abstain]), (answer_table.check, [options.csv, options.images])):
        try:
            check(*words)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)


def _shown(
    options: argparse.Namespace, task: Task, names: Sequence[str] | None, known: Doubt, wide: int
) -> Callable[[Answer], str]:
    """Return what is printed of an answer; an empty text is not printed."""
    if options.json:
        return lambda answer: json.dumps(asking.as_json(answer, task, names, known))
    if options.csv:
        return lambda _: ""
    return lambda answer: "" if answer.error else line(answer, task, names, options.top, wide, known)


def line(answer: Answer, task: Task, names: Sequence[str] | None, top: int, wide: int, known: Doubt) -> str:
    """Return a prediction for people: path, label, probability, the next classes, notes.

    Args:
        answer: a prediction without an error.
        task: of the model.
        names: names of the classes, labels or numbers; None counts them.
        top: number of classes to show.
        wide: width of the column of paths, in characters.
        known: of the answers of the run's model.
    """
    assert answer.output is not None
    words = task.as_words(answer.output, names, top)
    if not known.is_answered(answer.output):
        words = f"{NO_ANSWER}: {words}"
    text = f"{printable(answer.path):<{wide}}  {words}"
    added = known.notes(answer.output, answer.is_unlike, names)
    return "   ".join([text, *added, *(["; ".join(answer.notes)] if answer.notes else [])])


def _parser() -> argparse.ArgumentParser:
    parser = commands.parser(
        "predict",
        "Predict images, or rows of tables and arrays, with the model of a run: one line each, in order.",
        "0 all predicted, 1 some images could not be read, 2 there is no such run or no image was named.",
        [
            "RUN_ID scan.jpg photos/ 'more/*.png'",
            "RUN_ID --json - < digit.png",
            "RUN_ID test.csv --csv submission.csv --csv-columns ImageId=number,Label=label",
            "RUN_ID photos/ --abstain 0.99",
        ],
    )
    commands.add_run(parser)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="file, folder (with its subfolders), quoted pattern, or - for standard input: an image, or one path per "
        "line; PNG, JPEG and others, of any size and colour, dark on light or light on dark; .csv, .npy, .npz and "
        ".parquet files of examples. For a model that takes no images only these, or - for rows of numbers",
    )
    commands.add_json(
        parser,
        "print one JSON object per line: path, label, probability, probabilities by class, preprocessing, the "
        "calibrated probabilities, whether it is unlike all training images; or path and error",
    )
    parser.add_argument(
        "--csv",
        metavar="FILE",
        help="write a table of all answers in place of the lines; - for standard output",
    )
    parser.add_argument(
        "--csv-columns",
        default="",
        metavar="A,B",
        help="the table's columns: number, path, label, probability and others, NAME=WHAT for another name; a "
        "submission to Kaggle has ImageId=number,Label=label",
    )
    parser.add_argument("--csv-start", type=int, default=1, metavar="N", help="the number of the first row; default 1")
    parser.add_argument(
        "--abstain",
        type=float,
        metavar="ACCURACY",
        help="give no answer where the model is not sure enough: those that are given have this accuracy, 0.99, as "
        "measured on the images that the run held out",
    )
    parser.add_argument(
        "--top", type=int, default=3, metavar="N", help="number of classes in a line, most probable first; default 3"
    )
    parser.add_argument(
        "--preprocess",
        choices=preprocessing.WAYS,
        default="auto",
        help="mnist: as in MNIST, the digit scaled to 20×20 and centred by its mass in 28×28; plain: scaled to the "
        "model's input size; auto, the default: mnist for a model trained on images of that style, else plain",
    )
    return parser
