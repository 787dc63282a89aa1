"""Mistakes in the command lines of all commands: what is written, and what is allowed, without argparse's usage."""

import pytest

from mnist_exp import (
    commands,
    deliver,
    evaluate_command,
    export,
    inspect,
    predict_command,
    relocate,
    report_command,
    rerun,
    runs_command,
)

MISTAKES = {
    "nothing": (
        export._parser().parse_args,
        [],
        "RUN_ID is missing: id of a run, as `mlflow ui` shows it, or models",
        "--format is missing: it must be onnx, litert, savedmodel or keras",
    ),
    "value of none": (
        export._parser().parse_args,
        ["abc", "--format=onnx", "--quantize=nope"],
        "--quantize=nope is not allowed: it must be dynamic, int8 or float16",
    ),
    "value nearly right": (
        export._parser().parse_args,
        ["abc", "--format", "saved_model"],
        "--format=saved_model is not allowed: did you mean savedmodel?",
    ),
    "typo in a flag that is needed": (
        export._parser().parse_args,
        ["abc", "--frmat", "onnx"],
        "--frmat does not exist: did you mean --format?",
    ),
    "typo beside a wrong value": (
        export._parser().parse_args,
        ["abc", "--format=onnx", "--max-drop=x", "--tolernce=1"],
        "--tolernce does not exist: did you mean --tolerance?",
        "--max-drop=x is not allowed: it must be a number",
    ),
    "shortened flag": (export._parser().parse_args, ["abc", "--format=onnx", "--js"], "did you mean --json?"),
    "no value": (export._parser().parse_args, ["abc", "--format"], "--format needs a value: it must be onnx"),
    "no image": (predict_command.read, ["abc"], "IMAGE is missing: file, folder (with its subfolders), quoted pattern"),
    "half a row": (
        predict_command.read,
        ["abc", "x", "--csv-start=1.5"],
        "--csv-start=1.5 is not allowed: it must be a w",
    ),
    "flag with a value": (deliver.launch, ["--json=3"], "--json takes no value: write --json"),
    "words too many": (relocate.launch, ["foo", "bar"], "foo is not understood", "bar is not understood"),
    "typo beside options of data": (
        evaluate_command.read,
        ["abc", "--splt", "test", "data.path=x"],
        "--splt does not exist: did you mean --split?",
    ),
    "typo beside words of run": (inspect.read, ["data=mnist", "--fst"], "--fst does not exist: did you mean --fast?"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_told_in_sentences(case, capsys):
    read, words, *sentences = MISTAKES[case]
    assert commands.code_of(lambda: read(words)) == commands.MISTAKE
    out, err = capsys.readouterr()
    head, *told = err.splitlines()
    assert head.endswith("in the command line; nothing was run:")
    assert len(told) == len(sentences)
    assert all(sentence in line for sentence, line in zip(sentences, told, strict=True))
    assert out == ""


ON_STDOUT = {
    "deliver": (deliver.launch, ["--json"], "--json"),
    "evaluate": (evaluate_command.read, ["abc", "--json"], "--json"),
    "export": (export.read, ["abc", "--json"], "--json"),
    "inspect": (inspect.read, ["data=mnist", "--json"], "--json"),
    "predict": (predict_command.read, ["abc", "x.png", "--json"], "--json"),
    "predict, a table": (
        lambda words: predict_command.predict(predict_command.read(words)),
        ["a", "x", "--csv=-"],
        "--csv=-",
    ),
    "report": (report_command.read, ["abc", "--json"], "--json"),
    "rerun": (rerun.read, ["abc", "--json"], "--json"),
    "runs": (runs_command.launch, ["--json"], "--json"),
    "runs, a table": (runs_command.launch, ["--csv"], "--csv"),
}


@pytest.mark.parametrize("command", ON_STDOUT)
def test_closed_stdout_is_told_before_the_work(command, capsys, monkeypatch):
    read, words, option = ON_STDOUT[command]
    monkeypatch.setattr("sys.stdout", None)
    assert commands.code_of(lambda: read(words)) == commands.MISTAKE
    assert f"standard output is closed, where {option} prints: " in capsys.readouterr().err


def test_words_behind_two_dashes_are_no_flags():
    options = predict_command.read(["abc", "--", "--odd.png"])
    assert options.images == ["--odd.png"]
