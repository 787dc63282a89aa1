"""The price of jobs: by earlier runs of the kind; what does not fit, is not known or is only likely is said."""

import dataclasses
from types import SimpleNamespace

import pytest

from mnist_exp import compose
from mnist_exp.config.nested import flatten
from mnist_exp.config.wording import text
from mnist_exp.jobs.crew import Crew
from mnist_exp.pricing import disk, earlier, price
from mnist_exp.pricing.difference import Distinguishable
from mnist_exp.pricing.disk import Disk
from mnist_exp.pricing.likeness import Job
from mnist_exp.pricing.price import Known, Price, Time
from mnist_exp.pricing.rates import Rates, Seen, Size
from mnist_exp.runtime import processes
from mnist_exp.sweeps.shown import preview
from mnist_exp.tracking.runs import StoredRun

DATA = ["data=mnist_5k", "data.validation=0.2", "trainer.epochs=4"]
TWO = Crew(2, 1, "2 workers")


def job(*overrides, epochs=4):
    return Job(compose([*DATA, *overrides]), 4000, 1000, 1000, "sha", epochs)


def recorded(*overrides, images_per_s=1000.0, threads=1, **tags):
    params = {key: text(value) for key, value in flatten(compose([*DATA, *overrides]).to_config()).items()}
    metrics = {
        "images_per_s": images_per_s, "epoch_time_s": 4000 / images_per_s + 0.5, "fit_time_s": 20.0, "epochs": 4.0,
        "parameters": 1000.0, "flops_per_image": 1e6, "objective": 0.9,
    }  # fmt: skip
    known = {"mnist_exp.data_sha256": "sha", "mnist_exp.process": processes.identify()} | tags
    run = StoredRun("r", "", "", "FINISHED", params, metrics, known, "", seconds=23.0)

    class Here(StoredRun):
        def environment(self):
            return {"threads": {"intra_op": threads}}

    return Here(**{field.name: getattr(run, field.name) for field in dataclasses.fields(run)})


def test_earlier_runs_of_the_kind_tell_time_and_size():
    found = earlier.look([job()], [recorded(), recorded("seed=8", images_per_s=500.0)], 1)
    assert found.sizes == {job().model_key: Size(1000, 1_000_000)}
    assert [seen.image_s for seen in found.seen] == [0.001, 0.002]
    first = found.seen[0]
    assert (first.val_image_s, first.begin_s, first.around_s) == pytest.approx((0.0005, 2.0, 3.0))


@pytest.mark.parametrize(
    "other",
    [
        recorded("trainer.batch_size=7"),
        recorded("augment=shift"),
        recorded("optimizer=sgd"),
        recorded("trainer.precision=mixed_float16"),
        recorded(threads=2),
        recorded(**{"mnist_exp.together": "2"}),
        recorded(**{"mnist_exp.data_sha256": "of others"}),
        recorded(**{"mnist_exp.process": "another_machine/1/1"}),
    ],
)
def test_runs_of_another_kind_tell_no_time(other):
    assert earlier.look([job()], [other], 1).seen == []


def test_other_numbers_and_sizes_tell_the_time_but_not_the_size():
    run = recorded("optimizer.learning_rate=0.1", "model.filters=3", "data.limit=1000")
    found = earlier.look([job()], [run], 1)
    assert found.sizes == {}
    assert found.seen[0].val_image_s is None  # Of other images it is not known.


def test_likely_epochs_share_the_time_among_the_workers():
    what = Known(
        {job().model_key: Size(1000, 1_000_000)}, Rates([Seen(1e6, 0.001, 0.0, 0.0, 2.0)], 9.0), runs=1, start_s=5
    )
    time = price.time_of([job()] * 4, 1.0, what, 2)
    assert time.seconds == pytest.approx(5 + 2 * 18.0)
    assert time.compute_s == pytest.approx(4 * 18.0)
    assert time.low < time.seconds < time.high
    assert price.time_of([job()] * 4, 0.5, what, 2).compute_s == pytest.approx(2 * 18.0)
    busy = price.time_of([job()] * 4, 1.0, what, 2, load=4.0)
    assert (busy.seconds, busy.high) == pytest.approx((time.seconds, 4 * time.high))


def test_workers_elsewhere_have_no_time():
    found = price.known([job()], [recorded(), recorded()], None, print)
    assert found.rates is None
    assert found.sizes
    assert price.time_of([job()], 1.0, found, 1) is None
    assert "other machines" in found.problem


def test_two_runs_of_about_the_size_are_enough_and_nothing_is_measured(monkeypatch):
    monkeypatch.setattr("mnist_exp.pricing.measured.measure", None)
    found = price.known([job(), job("seed=3")], [recorded(), recorded()], TWO, print)
    assert found.runs == 2
    assert found.basis.startswith("2 earlier runs of the kind here, ± 0%")


def test_models_kept_are_what_takes_disk(tmp_path, monkeypatch):
    jobs, sizes = [job()] * 10, {job().model_key: Size(1_000_000, None)}
    tracking = job().settings.tracking
    tracking = dataclasses.replace(tracking, uri=f"sqlite:///{tmp_path}/mlflow.db")
    found = {
        kept: disk.look(jobs, sizes, [], 2, dataclasses.replace(tracking, keep_models=kept))
        for kept in ("all", "best:2", "none")
    }
    assert [each.bytes_of_models for each in found.values()] == [40_150_000, 8_030_000, 0]
    assert found["all"].bytes_meanwhile == 24_000_000
    assert found["all"].free > 0
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=50_000_000))
    assert not disk.look(jobs, sizes, [], 2, tracking).fits
    assert disk.look(jobs, sizes, [], 2, dataclasses.replace(tracking, keep_models="best:2")).fits


def made(**changed):
    facts = {
        "jobs": 3, "epochs": 12, "likely_epochs": 12, "why_fewer": "", "workers": 2, "problem": "",
        "time": Time(100, 60, 200, 180, "4 earlier runs", 4), "disk": Disk(5_000_000, 1000, 4_000_000, 10**9, False),
        "distinguishable": Distinguishable(0.01, "0.01 in val_accuracy", 1, 3),
    }  # fmt: skip
    return Price(**facts | changed)


def test_words_say_what_is_likely_and_what_is_not_known():
    assert made().words["price"] == "3 jobs, 12 epochs"
    assert made().words["time"] == "about 2 min by 2 workers (likely 60 s to 3 min)"
    pruned = made(likely_epochs=5, why_fewer="with asha").words["price"]
    assert pruned == "3 jobs, at most 12 epochs; about 5 with asha"
    unknown = made(time=None, problem="no worker", distinguishable=Distinguishable(None, "not known", 1, 3)).words
    assert (unknown["time"], unknown["tells"]) == ("not known: no worker", "not known")
    assert "but" not in made(load=0.5).words
    assert "busy with 4.0 threads" in made(load=4.0).words["but"]
    assert made(disk=Disk(0, 0, 0, None, True)).words["disk"] == "none: nothing is recorded"


def test_what_does_not_fit_is_warned_of_with_the_fix(capsys):
    from mnist_exp.runtime.terminal import Screen

    preview.show_price(Screen(), made(disk=Disk(5_000_000, 0, 4_000_000, 1_000_000, False)))
    told = capsys.readouterr().err
    assert "they take 5 MB, and 1 MB are free: tracking.keep_models=best:5 keeps the best models only" in told
