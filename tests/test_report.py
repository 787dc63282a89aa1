"""Reports on two real runs and on copies of them: grouping, conclusions, figures and error messages."""

import base64
import dataclasses
import html
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from PIL import Image
from real_browser import free_port, page, serving, until

import mnist_exp
from mnist_exp import report_command as report
from mnist_exp.analysis import mattered, stored
from mnist_exp.analysis.mattered import Request
from mnist_exp.analysis.observations import Observation
from mnist_exp.comparison import options, verdict
from mnist_exp.comparison.groups import group
from mnist_exp.comparison.metric import Metric as Compared
from mnist_exp.comparison.metric import choose_metric
from mnist_exp.errors import SettingsError
from mnist_exp.reports import content, figures, selection
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

SMALL = ["data=mnist_5k", "data.limit=600", "data.validation=0.2", "model.filters=2", "model.dense_units=8"]
SMALL += ["trainer.epochs=2", "trainer.batch_size=100"]
ACCURACY = Compared("objective", "val_accuracy", "maximize")
EVIL = "<script>alert(1)</script>$\\frac{}$\x1b[31m\u202e"


def client():
    return MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two real runs that differ by dropout, and a sweep whose runs are copies of them."""
    from mnist_exp import compose, run

    place, before = tmp_path_factory.mktemp("report"), Path.cwd()
    os.chdir(place)
    try:
        real = [run(compose([*SMALL, f"model.dropout={d}", "seed=1"])).run_id for d in (0.1, 0.5)]
        yield place, real, _sweep(real[0])
    finally:
        os.chdir(before)


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder[0])
    return folder


def copied(run_id, params=(), metrics=(), tags=(), status="FINISHED", leave_out=()):
    """Record a copy of a run with some changes; each metric has the same value in both epochs."""
    store = client()
    original = store.get_run(run_id)
    own = {k: v for k, v in original.data.tags.items() if k.startswith("mnist_exp.")}
    new = store.create_run(original.info.experiment_id, tags=own | dict(tags))
    values = {k: v for k, v in (original.data.metrics | dict(metrics)).items() if k not in leave_out}
    points = [Metric(k, v, 0, step) for k, v in values.items() for step in (1, 2)]
    store.log_batch(
        new.info.run_id,
        metrics=points,
        params=[Param(k, str(v)) for k, v in (original.data.params | dict(params)).items()],
        tags=[RunTag("mlflow.runName", dict(tags).get("mlflow.runName", "copy"))],
    )
    store.set_terminated(new.info.run_id, status)
    return new.info.run_id


def _sweep(run_id):
    """2 × 2 configurations with three seeds, filters=4 clearly better; and five runs that cannot be compared."""
    store = client()
    experiment = store.get_run(run_id).info.experiment_id
    parent = store.create_run(
        experiment, tags={"mnist_exp.sweep": "key", "mlflow.runName": f"sweep {EVIL}"}
    ).info.run_id
    store.set_terminated(parent, "FINISHED")
    of = {"mlflow.parentRunId": parent}
    for filters in (2, 4):
        for dropout in ("0.1", "0.5"):
            for seed in (1, 2, 3):
                score = (
                    0.5 + 0.05 * filters + 0.01 * seed + 0.001 * ((seed * filters) % 3) + 0.0001 * len(dropout) * seed
                )
                score += 0.0007 * (seed == 2) * (dropout == "0.5")
                params = {"model.filters": filters, "model.dropout": dropout, "seed": seed}
                copied(run_id, params, {"objective": score, "val_accuracy": score}, of)
    copied(run_id, {"seed": 4}, tags=of | {"mnist_exp.failure": f"no room {EVIL}"}, status="FAILED")
    copied(run_id, {"seed": 5}, tags=of | {"pruned": "true"})
    copied(run_id, {"seed": 6}, tags=of, leave_out=("objective",))
    copied(run_id, {"seed": 7}, {"objective": math.nan}, tags=of)
    copied(run_id, {"seed": 8}, tags=of, status="KILLED")
    return parent


def call(capfd, *words, code=0):
    """Call the command; return its output on stdout and stderr."""
    from mnist_exp import commands

    assert commands.code_of(lambda: report.report(report.read(words))) == code
    return capfd.readouterr()


def page_of(folder):
    return (Path(folder) / "index.html").read_text()


def test_report_of_a_sweep_is_written_shown_and_attached(here, capfd):
    parent = here[2]
    out = call(capfd, "--sweep", parent, "--output", "out").out
    assert re.search(
        r"^rank  filters  dropout  seeds  val_accuracy +± std +95 % interval  test_accuracy", out, re.MULTILINE
    )
    assert re.search(r"^ +1 +4 +0\.\d +3 +0\.7", out, re.MULTILINE)
    assert "is better than filters=2" in out
    assert re.search(
        r"do not differ significantly with 3 seeds \(difference .*Holm's correction of 6 comparisons\); about \d+", out
    )
    assert "report  out/index.html" in out
    assert f"to run {parent}, under report/" in out
    for reason in ("is FAILED: no room", "was pruned", "has no objective", "not a finite number", "is KILLED"):
        assert re.search(rf"not compared: run [0-9a-f]{{32}} .*{reason}", out), reason
    assert "\x1b[31m" not in out
    names = {"configurations", "learning_curves", "heat_map", "parallel_coordinates", "costs"}
    assert {file.stem for file in Path("out").glob("*.png")} == names
    attached = {Path(file.path).name for file in client().list_artifacts(parent, "report")}
    assert attached == {"index.html"} | {f"{name}.png" for name in names}


def test_the_page_has_everything_and_loads_nothing(here, capfd):
    call(capfd, "--sweep", here[2], "--output", "out2")
    page = page_of("out2")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert re.findall(r"<script[^>]*>", page) == [
        '<script type="application/json" id="data">',
        *["<script>"] * 2,
        '<script type="module">',
    ]
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "default-src 'none'" in page
    assert "unsafe-inline" not in page
    images = re.findall(r"data:image/png;base64,([\w+/=]+)", page)
    assert sorted(map(base64.b64decode, images)) == sorted(file.read_bytes() for file in Path("out2").glob("*.png"))
    for file in Path("out2").glob("*.png"):
        with Image.open(file) as picture:
            assert min(picture.size) > 200
    assert page.count("was pruned") == 2  # In the data, and in the table for whom no program may run.
    assert "model.filters" in page


def test_two_models_are_compared_on_the_same_images(here, capfd):
    first, second = here[1]
    out = call(capfd, first, second, "--output", "two").out
    match = re.search(
        r"on the same 1,000 test images: (\d+) only dropout=(\S+) predicts correctly, "
        r"(\d+) only dropout=(\S+) \(McNemar",
        out,
    )
    from mnist_exp.config.schema import TrackingSettings
    from mnist_exp.tracking import references

    read = {
        name: references.find(TrackingSettings(), run).predictions() for name, run in zip("ab", here[1], strict=True)
    }
    right = {name: each.labels == each.predicted for name, each in read.items()}
    counts = {"0.1": int((right["a"] & ~right["b"]).sum()), "0.5": int((right["b"] & ~right["a"]).sum())}
    assert {match[2]: int(match[1]), match[4]: int(match[3])} == counts
    assert "not about their configurations" in out
    assert "With 1 seed each there are no intervals" in out
    assert "better" not in out
    assert not Path("two/heat_map.png").exists()


def test_models_without_predictions_are_reported(here, capfd):
    bare = copied(here[1][0], {"model.dropout": 0.7})
    out = call(capfd, here[1][0], bare, "--output", "bare").out
    assert "were not compared on the test images: there is no test_predictions" in out


def test_one_run_has_a_page_without_comparison(here, capfd):
    call(capfd, here[1][0], "--output", "one")
    out = call(capfd, here[1][0], "--output", "one").out  # Again, into the same folder.
    assert re.search(
        r"^val_accuracy 0\.\d{4}\. With 1 seed there is no interval; run more, with -m 'seed=range\(1,6\)'\.$",
        out,
        re.MULTILINE,
    )
    assert {file.name for file in Path("one").iterdir()} == {"index.html", "learning_curves.png"}
    assert "Differences" not in page_of("one")
    assert re.search(r"<li>python 3\.\d+", page_of("one"))
    assert "report" not in {file.path for file in client().list_artifacts(here[1][0])}


def test_filter_metric_against_and_log_to(here, capfd):
    condition = f"tags.`mlflow.parentRunId` = '{here[2]}' and params.`model.dropout` = '0.1'"
    base = (
        client()
        .search_runs(["1"], f"{condition} and params.`model.filters` = '2' and params.seed = '2'")[0]
        .info.run_id
    )
    words = ("--filter", condition, "--metric", "val_loss", "--against", base, "--log-to", here[1][1])
    out = call(capfd, *words).out
    assert "filters=2 is the baseline: val_loss" in out
    (folder,) = re.findall(r"(reports/mnist_exp-[0-9a-f]{6})/index.html", out)
    assert "no difference on any of the 3 seeds" in out  # All are copies.
    assert "(minimize)" in page_of(folder)
    assert "report" in {file.path for file in client().list_artifacts(here[1][1])}


@pytest.mark.slow
def test_selection_on_the_test_images_gives_a_warning(here, capfd):
    assert "chosen on the test set" in call(capfd, *here[1], "--metric", "test_accuracy", "--output", "t").err
    assert "chosen on the test set" in page_of("t")
    watched = [copied(here[1][0], {"data.validation": "test", "seed": seed}) for seed in (1, 2)]
    assert "chosen on the test set" in call(capfd, *watched, "--output", "t").err
    assert "chosen on the test set" not in call(capfd, *here[1], "--output", "t").err


def test_different_data_are_not_compared(here, capfd):
    other = [
        copied(here[1][0], {"seed": seed}, {"objective": 0.9 + seed / 100}, {"mnist_exp.data_sha256": "f" * 64})
        for seed in (1, 2)
    ]
    own = [copied(here[1][0], {"seed": seed}, {"objective": 0.1 + seed / 90}) for seed in (1, 2)]
    said = call(capfd, *own, *other, "--output", "data")
    assert "used different data, so they form 2 families" in said.err
    assert "better" not in said.out
    assert "mnist_5k (ffffffff)" in said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "choose the runs in one way"),
        (["RUN", "--sweep", "SWEEP"], "RUN_ID and --sweep were given"),
        (["SWEEP"], "is a sweep: to report on its runs, use --sweep"),
        (["--sweep", "RUN"], "is a single run, not a sweep"),
        (["0" * 32], "there is no run 0000"),
        (["nonsense", "RUN"], "no run id"),
        (["RUN", "--metric", "val_acuracy"], "did you mean val_accuracy"),
        (["--filter", "params.seed = '99'"], "there is no run of mnist_exp in experiment mnist_exp where"),
        (["--filter", "what is this"], "no condition that MLflow understands"),
        (["--experiment", "mnist_exq"], "did you mean mnist_exp"),
        (["RUN", "--output", "mlflow.db"], "--output=mlflow.db cannot be written to"),
        (["RUN", "--output", "mlflow.db/x"], "cannot be written to"),
        (["RUN", "--against", "0" * 32], "there is no run 0000"),
        (["RUN", "--against", "SECOND"], "is not among the runs that are compared"),
        (["RUN", "--log-to", "0" * 32], "there is no run 0000"),
        (["--filter", "attributes.status = 'KILLED'"], "there is no run to report on: run"),
    ],
)
def test_mistakes_are_reported_and_nothing_is_written(here, capfd, words, message):
    names = {"RUN": here[1][0], "SECOND": here[1][1], "SWEEP": here[2]}
    before = set(Path().rglob("index.html"))
    err = call(capfd, *(names.get(word, word) for word in words), code=2).err
    assert message in err
    assert "Traceback" not in err
    assert set(Path().rglob("index.html")) == before


def test_sweep_counts_runs_reused_from_an_earlier_one(here, capfd):
    """The sweep's leaderboard lists them, though their parent run is another one."""
    parent = client().create_run("1", tags={"mnist_exp.sweep": "again", "mlflow.runName": "again"}).info.run_id
    call(capfd, "--sweep", parent, code=2)
    client().log_text(parent, f"rank,run_id\n1,{here[1][0]}\n2,{here[1][1]}\n3,../../etc\n4,\n", "leaderboard.csv")
    assert "of 2 configurations" in page_after(capfd, "--sweep", parent)
    client().log_text(parent, 'rank,run_id\n"1,\x00', "leaderboard.csv")
    call(capfd, "--sweep", parent, code=2)


def test_json_has_the_conclusions_and_holds_to_its_schema(here, capfd):
    printed = call(capfd, "--sweep", here[2], "--output", "data", "--json").out
    content = json.loads(printed)
    schema = resources.files("mnist_exp.results").joinpath("schemas", "report-1.json").read_text("utf-8")
    jsonschema.validate(content, json.loads(schema))
    assert content["schema"] == json.loads(schema)["title"]
    assert content["page"] == "data/index.html"
    assert any("is better than filters=2" in sentence for sentence in content["verdict"])
    (family,) = content["families"]
    best = family["configurations"][0]
    assert best["options"]["model.filters"] == 4
    assert len(best["runs"]) == 3
    assert best["mean"] == pytest.approx(sum(run["value"] for run in best["runs"]) / 3)
    assert len(family["comparisons"]) == 6
    assert {each["is_significant"] for each in family["comparisons"]} == {True, False}
    assert len(content["left_out"]) == 5


def test_page_says_what_mattered_as_the_sweep_recorded_it(here, capfd):
    runs = [Observation({"model.dropout": d, "model.filters": f}, 0.9 + 0.01 * (f == "4")) for d in "12" for f in "248"]
    found = mattered.of(
        Request(runs, maximize=True, images=1000, defaults={"model.dropout": "1", "model.filters": "2"})
    )
    client().log_text(here[2], stored.text(found), stored.FILE)
    text = page_after(capfd, "--sweep", here[2])
    assert "What mattered: " in text and "From the defaults: defaults 0.9000 → filters=4 +0.0100 → best 0.9100." in text
    assert "on 1,000 images; seeds add to it" in text
    told = json.loads(call(capfd, "--sweep", here[2], "--output", "data", "--json").out)
    schema = resources.files("mnist_exp.results").joinpath("schemas", "report-1.json").read_text("utf-8")
    jsonschema.validate(told, json.loads(schema))
    assert told["mattered"]["path"][-1] == {"option": "model.filters", "value": "4", "objective": pytest.approx(0.91)}
    assert mnist_exp.report(here[2]).mattered.runs == 6
    client().log_text(here[2], '{"method": "someone else\'s"}', stored.FILE)
    assert "What mattered" not in page_after(capfd, "--sweep", here[2]), "the rest of the page stands without it"
    client().log_text(here[2], "null", stored.FILE)


def test_report_in_python_is_what_the_command_prints(here, capfd):
    command = json.loads(call(capfd, "--sweep", here[2], "--output", "data", "--json").out)
    found = mnist_exp.report(here[2])
    said = json.loads(json.dumps(found.to_dict()))
    assert said | {"page": None} == command | {"page": None}
    assert found.families[0].configurations[0].options["model.filters"] == 4
    assert any(each.is_significant for each in found.families[0].comparisons)
    page = found._repr_html_()
    assert page.count("<tr>") == 5
    assert page.index(html.escape(found.verdict[0])) < page.index("<table>")
    assert mnist_exp.report(mnist_exp.runs(sweep=here[2]), output="own").page == "own/index.html"
    assert Path("own/index.html").is_file()
    with pytest.raises(SettingsError, match="there is no run"):
        mnist_exp.report(["0" * 32])


def test_several_sweeps_are_compared_with_each_other(here, capfd):
    other = client().create_run("1", tags={"mnist_exp.sweep": "other", "mlflow.runName": "another sweep"}).info.run_id
    for seed in (1, 2, 3):
        params = {"model.filters": 8, "model.dropout": "0.1", "seed": seed}
        copied(here[1][0], params, {"objective": 0.9 + 0.01 * seed}, {"mlflow.parentRunId": other})
    out = call(capfd, "--sweep", here[2], "--sweep", other, "--sweep", other, "--output", "both").out
    assert re.search(r"^ +1 +8 +0\.1 +3 +0\.92", out, re.MULTILINE)
    assert re.search(r"^ +5 +2 +0\.\d +3 +0\.6", out, re.MULTILINE)
    assert "filters=8 dropout=0.1 is better than" in out.replace(", ", " ")
    assert "another sweep" in page_of("both")
    assert not [file for file in client().list_artifacts(other) if file.path == "report"]


def test_sweeps_are_told_what_their_best_say_of_each_other(here, capfd):
    other = client().create_run("1", tags={"mnist_exp.sweep": "b", "mlflow.runName": "sweep B"}).info.run_id
    for seed in (1, 2, 3):
        params = {"model.filters": 16, "model.dropout": "0.1", "seed": seed}
        copied(here[1][0], params, {"objective": 0.9 + 0.01 * seed}, {"mlflow.parentRunId": other})
    out = call(capfd, "--sweep", here[2], "--sweep", other, "--output", "against").out
    told = re.search(
        r"^Best of sweep B: filters=16 dropout=0.1, val_accuracy 0.92\S+ ± 0.01\S+ over 3 seeds\. .*", out, re.M
    )
    assert told
    assert "The best of sweep B is better than the best of sweep <script>" in told[0]
    assert "after Holm's correction of 10 comparisons" in told[0]


@pytest.fixture
def live(here):
    """The page of a sweep that has just begun, served; its address, and the id of the sweep."""
    from mnist_exp.config.schema import TrackingSettings
    from mnist_exp.reports.live import LiveReport
    from mnist_exp.reports.live_server import application
    from mnist_exp.runtime import local_server

    tags = {"mnist_exp.sweep": "live", "mlflow.runName": "sweep now", "mnist_exp.planned_jobs": "4"}
    parent = client().create_run("1", tags=tags).info.run_id
    report_now = LiveReport(TrackingSettings(), [parent], None, None)
    with (
        local_server.listener("127.0.0.1", 0) as bound,
        local_server.serving(application(report_now, "127.0.0.1"), "127.0.0.1", bound) as address,
    ):
        yield address, parent
    client().set_terminated(parent, "FINISHED")


def asked(address, **headers):
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
        return answer.read().decode()


def news_when(address, is_so):
    """Ask until the news are so: after a look that took long, the next one waits."""
    until_then = time.monotonic() + 60
    while not is_so(news := json.loads(asked(f"{address}data.json"))):
        assert time.monotonic() < until_then, news["progress"]
        time.sleep(0.3)
    return news


def test_live_page_tells_what_is_new_and_when_the_sweep_has_ended(here, live):
    address, parent = live
    assert "No run has begun yet." in asked(address)
    assert json.loads(asked(f"{address}data.json"))["progress"] == "0 of 4 jobs done. None runs at the moment."
    of = {"mlflow.parentRunId": parent}
    ids = [copied(here[1][0], {"seed": seed, "model.filters": 4}, {"objective": 0.5 + seed / 9}, of) for seed in (1, 2)]
    running = copied(here[1][0], {"seed": 3}, tags=of | {"mlflow.runName": f"now {EVIL}"}, status="RUNNING")
    news = news_when(address, lambda news: "Running" in news["progress"])
    assert "2 of 4 jobs done. Running: now <script>" in news["progress"]
    assert ", epoch 2 of 2." in news["progress"]
    assert "over 2 seeds" in news["findings"]
    (of_runs,) = (column["values"] for column in news["data"]["columns"] if column["name"] == "run_id")
    assert set(of_runs) == {*ids, running}
    assert not news["ended"]
    assert json.loads(asked(f"{address}data.json?version={news['version']}")).keys() == {
        "version",
        "progress",
        "ended",
        "pause_s",
    }
    client().set_terminated(running, "FINISHED")
    client().set_terminated(parent, "FINISHED")
    news = news_when(address, lambda news: news["ended"])
    assert news["progress"] == "The sweep has ended: 3 of 4 jobs done."


def test_live_page_tells_of_a_metric_that_is_not_there_yet(here):
    from mnist_exp.config.schema import TrackingSettings
    from mnist_exp.reports.live import LiveReport

    experiment = client().get_run(here[1][0]).info.experiment_id
    parent = client().create_run(experiment, tags={"mnist_exp.sweep": "live"}).info.run_id
    job = copied(here[1][0], tags={"mlflow.parentRunId": parent}, leave_out=("test_accuracy",), status="RUNNING")
    arguments = TrackingSettings(), [parent], "test_accuracy", None
    live = LiveReport(*arguments)
    assert "The objective is shown, as --metric=test_accuracy is in none of the runs" in live.progress()[0]
    assert "--metric=test_accuracy" in live.news("")["progress"]
    client().set_terminated(job, "FINISHED")
    with pytest.raises(SettingsError, match="--metric=test_accuracy is in none of the runs"):
        LiveReport(*arguments)
    client().log_metric(job, "test_accuracy", 0.5)
    live.page()
    assert "objective is shown" not in live.progress()[0]
    client().set_terminated(parent, "FINISHED")


def test_live_page_answers_only_its_own(live):
    address, _ = live
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            asked(f"{address}data.json", **headers)
        refused.value.close()
        assert refused.value.code == 403
    for path in ("docs", "pictures/../../etc/passwd/x.png", f"pictures/{'0' * 32}/confusion_matrix.png"):
        with pytest.raises(urllib.error.HTTPError) as missing:
            asked(f"{address}{path}")
        missing.value.close()
        assert missing.value.code == 404


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--live", "SWEEP", "--sweep", "SWEEP"], "leave out --sweep"),
        (["--live", "SWEEP", "--output", "x", "--json"], "leave out --output and --json"),
        (["--live", "0" * 32], "there is no run 0000"),
        (["--live", "RUN"], "is a single run, not a sweep: for a report on it leave out --live"),
        (
            ["--live", "SWEEP", "--metric", "test_acuracy"],
            "metric=test_acuracy is in none of the runs: did you mean ",
        ),
        (["--sweep", "SWEEP", "--port", "8000"], "--port goes with --live only"),
        (["--live", "SWEEP", "--port", "70000"], "--port=70000 is not allowed"),
    ],
)
def test_mistakes_of_live_are_reported(here, capfd, words, message):
    names = {"RUN": here[1][0], "SWEEP": here[2]}
    assert message in call(capfd, *(names.get(word, word) for word in words), code=2).err


@pytest.mark.slow
@pytest.mark.services
def test_live_page_in_a_browser_while_a_sweep_runs(tmp_path, monkeypatch):
    """It grows without a reload; what the reader has filtered, sorted and scrolled to stays; Ctrl-C ends it."""
    monkeypatch.chdir(tmp_path)
    words = ["-m", *SMALL, "model.dropout=0.1,0.3", "seed=range(1,5)"]
    sweep = subprocess.Popen([sys.executable, "-m", "mnist_exp.run", *words], stdout=subprocess.DEVNULL)
    found = []
    while not found:
        assert sweep.poll() is None
        time.sleep(1)
        words = [sys.executable, "-m", "mnist_exp.runs", "--json"]
        told = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
        found = [run["run_id"] for run in json.loads(told or '{"runs": []}')["runs"] if run["kind"] == "sweep"]
    address = f"http://127.0.0.1:{(port := free_port())}/"
    with (
        serving(["mnist_exp.report", "--live", found[0], "--port", str(port)], address) as server,
        page(viewport={"width": 1300, "height": 900}) as opened,
    ):
        opened.goto(address)
        until(opened, "document.querySelectorAll('#runs .tabulator-row').length > 2", 120)
        opened.get_by_label("filter seed").press_sequentially("<3")
        opened.locator("#runs .tabulator-col button", has_text="seed").click()
        opened.evaluate("scrollTo(0, 300)")
        until(opened, "document.getElementById('progress').textContent.includes('has ended: 8 of 8 jobs done')", 240)
        assert opened.evaluate("scrollY") == 300
        assert opened.locator("#shown").inner_text() == "4 of 8 runs are shown"
        cells = opened.locator("#runs .tabulator-cell[tabulator-field='seed']").all_inner_texts()
        assert cells == ["1", "1", "2", "2"]
        opened.locator("#runs .tabulator-row button").first.click()
        until(opened, "[...document.querySelectorAll('dialog img')].some((image) => image.naturalWidth > 200)")
        assert opened.errors == []
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 130
    assert sweep.wait(120) == 0


def page_after(capfd, *words):
    call(capfd, *words, "--output", "after")
    return page_of("after")


# Without a store: grouping and conclusions.


def made(number, params=(), metrics=(), tags=(), status="FINISHED", objective=0.9):
    base = {"model._target_": "mnist_exp.models.cnn", "objective": "val_accuracy", "direction": "maximize"}
    base |= {"data.validation": "0.1", "seed": "1"}
    return StoredRun(
        f"{number:032x}",
        f"run {number}",
        "mnist_exp",
        status,
        base | {k: str(v) for k, v in dict(params).items()},
        {"objective": objective, **dict(metrics)},
        {"mnist_exp.data_sha256": "d" * 64, "mnist_exp.job_key": "k", **dict(tags)},
        "sqlite:///mlflow.db",
    )


def seeds(scores, first=0, **params):
    return [made(first + i, {**params, "seed": i}, objective=score) for i, score in enumerate(scores)]


def test_only_options_that_change_a_result_make_groups():
    runs = [
        made(1),
        made(2, {"seed": 2, "tracking.run_name": "x", "data.path": "/y", "trainer.threads": 2, "data.name": "z"}),
        made(
            3, {"seed": 3, "trainer.checkpoint_every": 5, "sweep.n_trials": 7, "trusted_modules": "[a]", "resume": "b"}
        ),
    ]
    grouping = group(runs, ACCURACY)
    assert [each.label for each in grouping.groups] == ["cnn"]
    assert grouping.groups[0].n == 3
    apart = group([*runs, made(4, {"data.limit": 100}), made(5, {"trainer.epochs": 3})], ACCURACY)
    assert sorted(each.n for each in apart.groups) == [1, 1, 3]


def test_one_and_one_point_zero_are_the_same():
    runs = [made(1, {"x.rate": "1"}), made(2, {"x.rate": "1.0", "seed": 2}), made(3, {"x.rate": "1e0", "seed": 3})]
    assert group(runs, ACCURACY).groups[0].n == 3


def test_the_same_seed_again_is_not_a_repetition():
    runs = [made(1, objective=0.1), made(2, objective=0.2), made(3, {"seed": 2}, objective=0.3)]
    grouping = group(runs, ACCURACY)
    assert grouping.groups[0].scores == {"1": 0.2, "2": 0.3}
    assert [(left.run.run_id[-1], "is repeated by run" in left.reason) for left in grouping.left_out] == [("1", True)]


def test_another_component_is_named_without_its_arguments():
    cnn = {"model.filters": 32, "model.dropout": 0.3}
    mlp = {"model._target_": "mnist_exp.models.mlp", "model.hidden_units": "[512]", "model.dropout": 0.2}
    grouping = group([made(1, cnn), made(2, mlp), made(3, cnn | {"model.filters": 16})], ACCURACY)
    assert {each.label for each in grouping.groups} == {"model=cnn filters=32", "model=cnn filters=16", "model=mlp"}
    assert {"model.hidden_units", "model.dropout"} <= set(grouping.differing)


def test_configurations_without_an_option_are_drawn_at_the_foot_of_its_axis():
    cnn = [made(n, {"model.filters": n, "model.dropout": n / 10}, objective=n / 20) for n in (8, 10, 4)]
    mlp = {"model._target_": "mnist_exp.models.mlp", "model.dropout": 0.2}
    grouping = group([*cnn, made(1, mlp)], ACCURACY)
    drawn = figures.parallel_coordinates(grouping.families[0], grouping)
    lines = drawn.axes[0].collections[0].get_segments()
    place = grouping.keys.index("model.filters")
    assert [round(float(line[place][1]), 3) for line in lines] == [0.15, 0.575, 1.0, 0.0], "the worst first"
    assert "–" in [text.get_text() for text in drawn.axes[0].texts]


def test_options_that_a_component_has_alone_are_all_named():
    cnn = [{"model.filters": n, "model.kernel_size": 5, "model.dropout": n / 10} for n in (4, 8)]
    mlp = [
        {"model._target_": "mnist_exp.models.mlp", "model.hidden_units": f"[{n}]", "model.dropout": n / 10}
        for n in (2, 3)
    ]
    grouping = group([made(n, params) for n, params in enumerate([*cnn, *mlp])], ACCURACY)
    assert grouping.keys == ["model._target_", "model.filters", "model.dropout", "model.hidden_units"]
    assert {each.label for each in grouping.groups} == {
        "model=cnn filters=4 dropout=0.4",
        "model=cnn filters=8 dropout=0.8",
        "model=mlp dropout=0.2 hidden_units=[2]",
        "model=mlp dropout=0.3 hidden_units=[3]",
    }


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.sampled_from(["model.a", "model.b", "model._target_"]), st.sampled_from(["1", "2", "x.y"])
            ),
            st.integers(1, 3),
            st.sampled_from([0.5, 0.75, 1.0, math.nan, math.inf, 1.8e308, None]),
            st.sampled_from(["FINISHED", "FAILED", "RUNNING"]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(["maximize", "minimize"]),
)
def test_every_run_is_compared_or_has_a_reason_why_not(drawn, direction):
    runs = []
    for place, (params, seed, score, status) in enumerate(drawn):
        run = made(place, params | {"seed": seed}, status=status, objective=score or 0.0)
        if score is None:
            del run.metrics["objective"]
        runs.append(run)
    metric = Compared("objective", "val_accuracy", direction)
    try:
        grouping = group(runs, metric)
    except SettingsError:
        assert all(s != "FINISHED" or score not in (0.5, 0.75, 1.0) for _, _, score, s in drawn)
        return
    compared = [run.run_id for each in grouping.groups for run in each.runs]
    assert sorted([*compared, *(left.run.run_id for left in grouping.left_out)]) == sorted(run.run_id for run in runs)
    assert all(left.reason for left in grouping.left_out)
    for each in grouping.groups:
        own = [{k: v for k, v in options.of(run).items() if k in grouping.differing} for run in each.runs]
        assert all(other == own[0] for other in own), "runs of one group have the same options"
    labels = [each.label for each in grouping.groups]
    assert len(set(labels)) == len(labels)
    (family,) = grouping.families
    ranks = [metric.sign * each.mean for each in family.groups]
    assert ranks == sorted(ranks, reverse=True)
    assert all(sentence for sentence in verdict.verdict(grouping, None))


def test_verdict_names_only_significant_differences():
    runs = [*seeds([0.90, 0.91, 0.92, 0.915], filters=2), *seeds([0.80, 0.815, 0.82, 0.81], 10, filters=4)]
    runs += [*seeds([0.90, 0.912, 0.918, 0.916], 20, filters=8), *seeds([0.99], 30, filters=16)]
    best, claim, open_one, single = verdict.verdict(group(runs, ACCURACY), None)
    assert best.startswith("filters=8 has the best mean of the 3 configurations that have several seeds: val_")
    assert " 0.9115 ± 0.0081 over 4 seeds;" in best
    assert claim.startswith("filters=8 is better than filters=4 (difference 0.1")
    assert claim.endswith("; p after Holm's correction of 3 comparisons.")
    assert open_one.startswith("filters=8 and filters=2 do not differ significantly with 4 seeds")
    assert "common seeds would be needed" in open_one
    assert (
        single
        == "No conclusion about filters=16: with 1 seed there is no interval; run more, with -m 'seed=range(1,6)'."
    )


def test_interval_without_zero_of_an_open_comparison_says_what_it_leaves_out():
    scores = {
        2: [0.90, 0.93, 0.95, 0.91],
        4: [0.88, 0.885, 0.92, 0.88],
        8: [0.7, 0.9, 0.6, 0.8],
        16: [0.5, 0.9, 0.6, 0.7],
    }
    runs = [run for filters, own in scores.items() for run in seeds(own, 10 * filters, filters=filters)]
    (sentence,) = [each for each in verdict.verdict(group(runs, ACCURACY), None) if "2 and filters=4 do not" in each]
    assert re.search(r"without correction 0\.0\d+ to ", sentence), "the interval of this pair has no 0 in it"
    assert "comparisons; the interval leaves out 0 only because it does not account for the 6 comparisons)" in sentence


def test_versions_of_the_code_are_told_by_its_digest_and_by_the_commit_without_one():
    def told(*tags):
        runs = [dataclasses.replace(run, tags=run.tags | own) for run, own in zip(seeds([0.9, 0.8]), tags, strict=True)]
        return [each for each in verdict.cautions(group(runs, ACCURACY)) if "made by" in each]

    one, other = {names.GIT_COMMIT: "a"}, {names.GIT_COMMIT: "b"}
    assert told(one | {names.CODE_SHA256: "c"}, other | {names.CODE_SHA256: "c"}) == []
    assert told(one, other) == ["The runs were made by 2 commits: a difference may come from that."]
    (said,) = told(one | {names.CODE_SHA256: "c"}, one | {names.CODE_SHA256: "d"})
    assert "by 2 versions of the code" in said


def test_one_seed_is_not_compared():
    runs = [*seeds([0.90, 0.91], filters=2), *seeds([0.99], 10, filters=4)]
    sentences = verdict.verdict(group(runs, ACCURACY), None)
    assert sentences[0].startswith(
        "filters=2 is the only configuration with several seeds: val_accuracy 0.9050 ± 0.0071"
    )
    assert sentences[1].startswith("No conclusion about filters=4: with 1 seed")
    (only,) = verdict.verdict(group(runs, ACCURACY, runs[2].run_id), None)
    assert only.startswith("filters=4 is the baseline: val_accuracy 0.9900. With 1 seed there is no interval and")


def test_links_have_no_password():
    address = content.address("https://me:secret@host:5000/a/?b=c", "7").format("f" * 32)
    assert address == f"https://host:5000/a/#/experiments/7/runs/{'f' * 32}"


def test_lower_is_better_if_the_metric_is_minimized():
    loss = Compared("objective", "val_loss", "minimize")
    runs = [*seeds([0.1, 0.11, 0.12], filters=2), *seeds([0.5, 0.52, 0.515], 10, filters=4)]
    sentences = verdict.verdict(group(runs, loss), None)
    assert sentences[0].startswith("filters=2 has the best mean")
    assert sentences[1].startswith("filters=2 is better than filters=4 (difference -0.4")


def test_losses_of_several_kinds_are_no_reason_for_a_conclusion():
    """Focal losses are smaller than cross-entropies: that says nothing of the models."""
    runs = [
        *seeds([0.1, 0.11, 0.12], **{"loss._target_": "mnist_exp.losses.focal"}),
        *seeds([0.5, 0.52, 0.515], 10, **{"loss._target_": "mnist_exp.losses.crossentropy"}),
    ]
    (sentence,) = verdict.verdict(group(runs, Compared("objective", "val_loss", "minimize")), None)
    assert sentence.startswith("No conclusion: the configurations differ in the loss itself, so their val_loss are")
    assert verdict.verdict(group(runs, ACCURACY), None)[0].startswith("loss=crossentropy has the best mean")


def test_equal_values_give_no_conclusion():
    sentences = verdict.verdict(group([*seeds([0.9] * 3, filters=2), *seeds([0.9] * 3, 10, filters=4)], ACCURACY), None)
    assert "all are equal, so there is no interval" in sentences[0]
    assert sentences[1].endswith("no difference on any of the 3 seeds: without spread there is no test; no conclusion.")


def test_equal_means_are_mentioned():
    runs = [run for n in range(5) for run in seeds([0.9] * 2, 10 * n, filters=n)]
    sentences = verdict.verdict(group(runs, ACCURACY), None)
    assert sentences[0].startswith("filters=0 has the best mean of the 5 configurations, as 4 others have: ")
    assert sentences[-1] == "There is no conclusion about filters=0 and 1 more either; see the table."
    (sentence,) = verdict.verdict(group([made(1), made(2, {"filters": 2})], ACCURACY), None)
    assert "val_accuracy is 0.9000, by cnn, as 1 other has; other seeds may change that." in sentence


def test_labels_are_short_and_all_different():
    close = [made(1, {"optimizer.learning_rate": "0.00012345601"}), made(2, {"optimizer.learning_rate": "0.000123456"})]
    labels = [each.label for each in group(close, ACCURACY).groups]
    assert labels == ["learning_rate=0.000123456", "learning_rate=0.00012345601"]
    long = [made(n, {"model.name": "x" * 250 + str(n)}) for n in (1, 2)]
    for n, each in enumerate(group(long, ACCURACY).groups, start=1):
        assert re.fullmatch(rf"name=x{{30}}…x{{28}}{n}", each.label)


def test_numbers_that_are_infinite_nan_or_zero():
    assert [verdict.figure(v) for v in (-0.0, math.inf, -1.797e308, math.nan)] == ["0.0000", "∞", "-∞", "–"]


def test_failed_write_is_reported(here, capfd):
    Path("taken/index.html").mkdir(parents=True)
    err = call(capfd, here[1][0], "--output", "taken", code=1).err
    assert "the report cannot be written to taken: " in err
    assert "Traceback" not in err


def test_different_objectives_need_a_metric():
    runs = [made(1), made(2, {"objective": "val_loss", "direction": "minimize"}, {"test_loss": 1.0})]
    with pytest.raises(
        SettingsError, match=r"val_accuracy \(maximize\) in 1, val_loss \(minimize\) in 1; name the metric"
    ):
        choose_metric(runs, None)
    assert choose_metric(runs, "test_loss").direction == "minimize"
    assert choose_metric(runs[1:], None) == Compared("objective", "val_loss", "minimize")


def test_too_many_configurations_are_not_compared_in_pairs():
    runs = [
        made(3 * i + s, {"filters": i, "seed": s}, objective=0.5 + i / 1000 + s / 777)
        for i in range(101)
        for s in (1, 2)
    ]
    grouping = group(runs, ACCURACY)
    assert grouping.families[0].comparisons == {}
    assert any("101 configurations are too many" in sentence for sentence in verdict.verdict(grouping, None))
    assert len(group(runs, ACCURACY, runs[0].run_id).families[0].comparisons) == 100


def test_texts_of_a_run_are_made_printable_and_short():
    run = selection.printable(made(1, {f"model.{EVIL}": EVIL * 500}, tags={"mnist_exp.failure": EVIL}))
    for text in [*run.params, *run.params.values(), *run.tags.values()]:
        assert text.isprintable()
        assert len(text) < 2000


@pytest.mark.services
def test_the_page_in_a_browser(here, capfd):
    """No error on the console; a click on a column's head sorts by its numbers, a second click reverses the order."""
    call(capfd, "--sweep", here[2], "--output", "seen")
    with page(viewport={"width": 390, "height": 800}) as opened:
        opened.goto(Path("seen/index.html").absolute().as_uri())
        head = opened.locator("table").first.locator("th button", has_text="val_accuracy")
        column = opened.locator("table").first.locator("tbody tr td:nth-child(5)")
        for order in (sorted, lambda values: sorted(values, reverse=True)):
            head.click()
            values = [float(text) for text in column.all_text_contents()]
            assert values == order(values)
        assert opened.evaluate("document.documentElement.scrollWidth") <= 390
        assert opened.evaluate("[...document.images].every(image => image.naturalWidth > 200)")
        assert opened.errors == []


def test_an_ablation_is_named_by_its_differences_from_the_common_configuration():
    names = {"model.filters": "filters", "trainer.epochs": "epochs", "trainer.precision": "precision"}
    common = {"model.filters": "8", "trainer.epochs": "1", "trainer.precision": "float32"}
    groups = [common, common | {"trainer.epochs": "2"}, common | {"trainer.precision": "mixed_bfloat16"}]
    groups.append(common | {"model.filters": "16", "trainer.epochs": "2"})
    groups.append(common | {"model.filters": "32"})
    labels = options.labels_of(groups, names)
    assert labels == [
        "the common configuration",
        "epochs=2",
        "precision=mixed_bfloat16",
        "filters=16 epochs=2",
        "filters=32",
    ]


def test_a_grid_is_named_by_all_that_differs():
    names = {"model.filters": "filters", "model.dropout": "dropout"}
    groups = [{"model.filters": f, "model.dropout": d} for f in ("8", "16") for d in ("0.1", "0.3")]
    assert options.labels_of(groups, names)[0] == "filters=8 dropout=0.1"


def test_groups_that_differ_by_an_option_that_some_lack_get_different_labels():
    names = {"a": "a", "c": "c"}
    groups = [{"a": "1", "c": "1"}, {"a": "1", "c": options.ABSENT}, {"a": "2", "c": "1"}]
    assert len(set(options.labels_of(groups, names))) == 3
