"""`tracking.notify`: the command gets the JSON of a run, whatever becomes of either; no record can name one."""

import json
import shlex
import signal
import sys
import time
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml
from real_runs import SMALL, Running, client_of, kill_after_epoch, only_run, recorded, run

from mnist_exp import SettingsError, compose, sweep
from mnist_exp.experiment import notification
from mnist_exp.runtime.redaction import redact

DOCUMENT = {"schema": "mnist_exp.run/1", "status": "FINISHED", "name": "Grüße"}
SECRET = "T0KEN-in-a-path-4711"
TO_FILE = "tracking.notify='tee -a told.jsonl'"


def notified(command, document=DOCUMENT):
    """Return what is warned of."""
    said = []
    with notification.sent(command, None, said.append) as listen:
        before = [*said]
        listen(document)
        assert said == before
    return said


def told(file="told.jsonl"):
    """The documents that the command got, each of which holds to its schema."""
    documents = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    for each in documents:
        name = each["schema"].removeprefix("mnist_exp.").replace("/", "-")
        schema = json.loads(resources.files("mnist_exp.results").joinpath(f"schemas/{name}.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(each)
    return documents


def test_command_gets_the_document_on_its_standard_input(capfd):
    assert notified("tee -a told.jsonl") == notified("tee -a told.jsonl") == []
    assert [json.loads(line) for line in Path("told.jsonl").read_text("utf-8").splitlines()] == [DOCUMENT, DOCUMENT]
    assert capfd.readouterr() == ("", "")


def test_words_are_divided_but_no_shell_is_asked(monkeypatch):
    monkeypatch.setenv("FILE", "by-a-shell.json")
    assert notified("tee '$FILE;touch pwned'") == []
    assert [each.name for each in Path.cwd().iterdir() if each.is_file()] == ["$FILE;touch pwned"]
    assert notified("sh -c 'cat > $FILE'") == []
    assert json.loads(Path("by-a-shell.json").read_text(encoding="utf-8")) == DOCUMENT


def test_command_that_fails_in_any_way_is_a_warning():
    told = " is not found, or cannot be run: put that right before the end"
    assert notified("no-such-program-1 x") == [
        f"tracking.notify: no-such-program-1{told}",
        "tracking.notify: no-such-program-1 cannot be called: No such file or directory",
    ]
    Path("file").write_text("")
    assert notified("./file") == [
        f"tracking.notify: ./file{told}",
        "tracking.notify: ./file cannot be called: Permission denied",
    ]
    assert notified("false") == ["tracking.notify: false ended with exit code 1"]
    assert notified("sh -c 'kill -9 $$'") == ["tracking.notify: sh ended with exit code -9"]
    assert notified("sh -c 'echo; echo first >&2; echo second >&2; exit 3'") == [
        "tracking.notify: sh ended with exit code 3: first"
    ]
    # It does not read what it gets.
    assert notified("true", DOCUMENT | {"history": ["x" * 1_000_000]}) == []


def test_own_words_of_the_command_are_not_repeated():
    code = "import sys; sys.exit('no host ' + sys.argv[1] + chr(27))"
    (warning,) = notified(shlex.join([sys.executable, "-c", code, f"https://hooks.example/{SECRET}"]))
    assert warning == f"tracking.notify: {sys.executable} ended with exit code 1: no host …\\x1b"


def test_nothing_is_called_where_nothing_came_of_it():
    with pytest.raises(KeyError), notification.sent("touch called", None, print):
        raise KeyError
    assert not Path("called").exists()


def test_it_must_be_a_command():
    def problem(command):
        with pytest.raises(SettingsError) as raised:
            compose([f"tracking.notify={command}"])
        return "\n".join(raised.value.problems)

    assert problem('"tee \'x"') == "tracking.notify is not a command: No closing quotation"
    assert problem("' '") == problem("""'"" x'""") == "tracking.notify is not a command: it has no word"
    said = "tracking.notify=*** is not allowed: it must be a command as one text: 'notify-send done'"
    assert redact(problem("[a,b]")).startswith(said)
    assert "was hidden when it was recorded: write the command again" in problem("'***'")


def test_no_configuration_file_names_a_command():
    """Also where it is one of several files of a folder that someone else has made."""
    Path("own/tracking").mkdir(parents=True)
    Path("own/tracking/theirs.yaml").write_text("defaults: [mlflow]\nnotify: touch pwned\n")
    with pytest.raises(SettingsError, match="is a command, which a configuration file cannot name: give it on the com"):
        compose(["tracking=theirs"], config_dir="own")
    words = ["tracking=theirs", "tracking.notify='tee mine'"]
    assert compose(words, config_dir="own").tracking.notify == "tee mine"


@pytest.mark.parametrize(
    "content",
    [
        {"hydra": {"sweeper": {"params": {"tracking.notify": "touch pwned", "seed": "1,2"}}}},
        {"hydra": {"sweeper": {"params": {"+tracking.notify": "touch pwned", "seed": "1,2"}}}},
        {"hydra": {"overrides": {"task": ["tracking.notify=touch pwned"]}}, "tracking": {"notify": "touch pwned"}},
        {"sweep": {"points": [{"tracking.notify": "touch pwned", "seed": seed} for seed in (1, 2)]}},
    ],
    ids=["a list to sweep over", "one with a sign", "what was typed, they say", "points"],
)
def test_no_file_makes_a_command_look_like_one_that_was_typed(content):
    Path("own/experiment").mkdir(parents=True)
    Path("own/experiment/theirs.yaml").write_text("# @package _global_\n" + yaml.safe_dump(content))
    with pytest.raises(SettingsError, match=r"tracking\.notify|hydra\.overrides"):
        sweep(["experiment=theirs", "seed=1,2", *SMALL, "tracking=none"], config_dir="own")
    assert not Path("pwned").exists()


def test_command_is_hidden_wherever_an_override_is_written():
    assert redact(f"tracking.notify=curl -d @- https://x.example/{SECRET}") == "tracking.notify=***"
    line = f"sweep: +tracking.notify='curl https://x.example/{SECRET}' seed=1"
    assert SECRET not in redact(line)
    assert redact("x 'tracking.notify=***' seed=1") == "x 'tracking.notify=***' seed=1"


@pytest.mark.slow
def test_run_is_told_once_and_its_command_is_recorded_nowhere(alone):
    run(*SMALL, "trainer.epochs=1", f"tracking.notify='sh -c \"tee told.jsonl; : {SECRET}\"'")
    (document,) = told()
    assert document["status"] == "FINISHED"
    assert document["run_id"] == only_run().info.run_id
    assert document["params"]["tracking.notify"] == "***"
    assert "notify" not in document["tags"]["mnist_exp.command"]
    assert SECRET.encode() not in b"".join(each.read_bytes() for each in alone.rglob("*") if each.is_file())


@pytest.mark.slow
def test_status_and_exit_code_stay_what_they_are(alone):
    said = run(*SMALL, "trainer.epochs=1", "tracking.notify='false'")
    assert "warning: tracking.notify: false ended with exit code 1" in said
    assert only_run().info.status == "FINISHED"
    run(*SMALL, "trainer.epochs=1", "optimizer.learning_rate=1e30", TO_FILE, code=1)
    assert [(each["status"], bool(each["errors"])) for each in told()] == [("FAILED", True)]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_is_told_and_a_command_that_hangs_is_stopped(alone, number, code):
    hangs = "tracking.notify='sh -c \"tee -a told.jsonl; echo $$ > pid; sleep 1000\"'"
    running = Running("mnist_exp.run", *SMALL, "trainer.epochs=200", hangs)
    running.wait_for_epoch(2)
    said = running.stop_with(number, code, seconds=20)
    assert [each["status"] for each in told()] == ["KILLED"]
    assert "warning: tracking.notify: sh was stopped, as it took longer than 3 s" in said
    time.sleep(0.5)
    assert not Path(f"/proc/{Path('pid').read_text().strip()}").exists()


@pytest.mark.slow
def test_sweep_is_told_once_as_a_whole(alone):
    words = ["-m", *SMALL, "data.validation=0.2", "trainer.epochs=1", "seed=1,2", "hydra.launcher.n_workers=2", TO_FILE]
    run(*words)
    (document,) = told()
    assert (document["schema"], document["status"]) == ("mnist_exp.sweep/1", "FINISHED")
    assert [job["outcome"] for job in document["jobs"]] == ["done", "done"]
    run(*words, "sweep.dry_run=jobs")
    assert len(told()) == 1
    _, _, jobs = recorded()
    assert not any("notify" in job.data.tags["mnist_exp.command"] for job in jobs)


@pytest.mark.slow
def test_no_record_can_name_a_command(alone):
    """Of a run that someone else may have recorded: `rerun`, `resume` and `evaluate` take no command from it."""
    run_id = kill_after_epoch(2, *SMALL, "trainer.epochs=4")
    file = next(Path("mlartifacts").rglob("config.yaml"))
    config = yaml.safe_load(file.read_text())
    config["tracking"]["notify"] = f"touch {alone}/pwned"
    file.write_text(yaml.safe_dump(config))
    client_of().set_tag(run_id, "mnist_exp.overrides", f"tracking.notify=touch\\ {alone}/pwned")
    Path("own/tracking").mkdir(parents=True)
    Path("own/tracking/theirs.yaml").write_text("defaults: [mlflow]\nnotify: touch pwned\n")
    said = run("--config-dir", "own", "tracking=theirs", f"resume={run_id}", code=2)
    assert "a configuration file cannot name" in " ".join(said.split())
    run(f"resume={run_id}", TO_FILE)
    assert only_run().info.status == "FINISHED"
    assert [each["status"] for each in told()] == ["FINISHED"]
    Running("mnist_exp.evaluate", run_id).end_with(0)
    Running("mnist_exp.rerun", run_id).end_with(0)
    assert not Path("pwned").exists()
    run(f"resume={run_id}", TO_FILE, code=2)  # It is finished: nothing came of this.
    assert len(told()) == 1
