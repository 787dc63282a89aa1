"""The leaderboard, the figures, the display of durations, and the events of jobs."""

import csv
import itertools
import math
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mnist_exp.analysis import mattered
from mnist_exp.analysis.mattered import Request
from mnist_exp.analysis.observations import Observation
from mnist_exp.config.wording import duration
from mnist_exp.jobs import events
from mnist_exp.sweeps.outcome import figures, option_figures
from mnist_exp.sweeps.outcome.leaderboard import (
    MOST_SHOWN,
    Row,
    front_in_words,
    in_order,
    pareto,
    ranked,
    table,
    write_csv,
)

NAN = math.nan


def row(objective=NAN, outcome="done", values=None, name="job", **given):
    return Row(name, values or {}, outcome=outcome, objective=objective, **given)


def test_ranked_sorts_done_jobs_best_first_then_by_name():
    rows = [row(0.5, name="a"), row(0.9, name="b"), row(NAN), row(0.5, name="c"), row(0.1, name="d")]
    rows += [row(1.0, outcome=outcome) for outcome in ("pruned", "failed", "killed", "left", "repeated", "running")]
    assert [each.name for each in ranked(rows, "maximize")] == ["b", "a", "c", "d"]
    assert [each.name for each in ranked(rows, "minimize")] == ["d", "a", "c", "b"]


# Few different numbers, so that many are equal.
scores = st.tuples(st.integers(-3, 3).map(float), st.integers(1, 5).map(float) | st.none())


@settings(max_examples=300)
@given(st.lists(scores, max_size=12), st.sampled_from(["maximize", "minimize"]))
def test_pareto_front_has_the_jobs_that_no_other_beats(found, direction):
    rows = [row(a, metrics={} if b is None else {"parameters": b}) for a, b in found]
    rows.append(row(99.0, outcome="pruned", metrics={"parameters": 0.0}))
    sign = 1 if direction == "maximize" else -1
    points = {(sign * a, -math.inf if b is None else -b) for a, b in found}  # More is better in both.

    def is_beaten(point):
        return any(other != point and all(o >= p for o, p in zip(other, point, strict=True)) for other in points)

    front = pareto(rows, direction, "parameters")
    assert {(sign * r.objective, -r.metrics.get("parameters", math.inf)) for r in front} == {
        point for point in points if not is_beaten(point)
    }
    assert len(front) == len({(r.objective, r.metrics.get("parameters")) for r in front}), "one of those that are equal"
    sizes = [r.metrics.get("parameters", math.inf) for r in front]
    assert sizes == sorted(sizes)


def test_front_is_told_by_its_ends():
    rows = [row(0.9, metrics={"parameters": 2482.0}), row(0.8, metrics={"parameters": 700.0}), row(0.5)]
    front = pareto(rows, "maximize", "parameters")[::-1]
    assert front_in_words(front, "val_accuracy", "parameters") == (
        "no job beats the first 2 in both objectives: from val_accuracy 0.8000 with parameters 700 "
        "to val_accuracy 0.9000 with parameters 2482"
    )
    assert front_in_words(front[:1], "val_accuracy", "parameters").startswith(
        "1 job is better than all others in both: "
    )
    assert front_in_words([], "val_accuracy", None) == ""


def test_table_shows_the_best_jobs_with_short_names_and_numbers():
    values = {"model.filters": "16", "optimizer.learning_rate": "0.00012345678"}
    rows = [row(0.98765, values=values, metrics={"test_accuracy": 0.9, "parameters": 1234567.0}, epochs=3, run_id="r1")]
    rows += [row(0.5) for _ in range(30)]
    head, lines = table(rows, list(values), "val_accuracy", "parameters")
    assert head == (
        ["rank", "filters", "learning_rate", "val_accuracy", "parameters", "test_accuracy", "epochs", "time", "run"]
    )
    assert lines[0] == ["1", "16", "0.0001235", "0.9877", "1.23457e+06", "0.9000", "3", "0.0 s", "r1"]
    assert lines[1] == ["2", "", "", "0.5000", "nan", "nan", "0", "0.0 s", "-"]
    assert len(lines) == MOST_SHOWN
    assert {len(line) for line in lines} == {len(head)}


def read_csv(file):
    with file.open(newline="", encoding="utf-8") as opened:
        head, *lines = csv.reader(opened)
    assert len(head) == len(set(head)), "no column twice"
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_csv_file_can_be_read_back(alone):
    metrics = {"test_accuracy": 0.8, "objective": 0.9, "best_epoch": 2.0, "epochs": 3.0, "fit_time_s": 1.5}
    # A run of an earlier call comes with all the store has of it.
    earlier = metrics | {"val_accuracy": 0.85, "val_loss": 0.1, "fit_time_s": 1234567.0}
    odd = {"data.name": "'a, \"b\"\nc'", "model.filters": "16"}
    rows = [
        row(0.912345678, values=odd, metrics=metrics, epochs=3, seconds=12.34, run_id="r1"),
        row(0.9, values={"model.filters": "32"}, metrics=earlier, epochs=3, run_id="r2", reused=True),
        row(NAN, "failed", reason="it broke,\nbadly; “é”"),
        row(0.5, "pruned", epochs=1),
    ]
    write_csv(alone / "x.csv", rows, ["model.filters", "data.name"], "val_accuracy")
    first, second, failed, pruned = read_csv(alone / "x.csv")
    assert list(first)[-3:] == ["fit_time_s", "val_loss", "reason"]
    assert first == {
        "rank": "1",
        "model.filters": "16",
        "data.name": odd["data.name"],
        "outcome": "done",
        "val_accuracy": "0.912345678",
        "test_accuracy": "0.8",
        "epochs": "3",
        "seconds": "12.3",
        "run_id": "r1",
        "fit_time_s": "1.5",
        "val_loss": "",
        "reason": "",
    }
    assert (second["rank"], second["val_accuracy"], second["val_loss"]) == ("2", "0.9", "0.1")
    assert (failed["rank"], failed["val_accuracy"], failed["reason"]) == ("", "", rows[2].reason)
    assert (pruned["rank"], pruned["outcome"], pruned["val_accuracy"], pruned["epochs"]) == ("", "pruned", "0.5", "1")


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_csv_file_keeps_every_digit(value, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "digits.csv"
    write_csv(file, [row(value, metrics={"test_accuracy": value, "fit_time_s": value})], [], "val_loss")
    (line,) = read_csv(file)
    assert [float(line[name]) for name in ("val_loss", "test_accuracy", "fit_time_s")] == [value] * 3


def test_csv_file_of_no_jobs_has_a_head(alone):
    write_csv(alone / "x.csv", [], ["seed"], "loss")
    assert (alone / "x.csv").read_text().startswith("rank,seed,outcome,loss,")


@pytest.mark.parametrize(
    ("values", "ordered"),
    [
        (["10", "9", "1e1", "-0.5", "9"], ["-0.5", "9", "10", "1e1"]),
        (["b", "a", "b", "10"], ["b", "a", "10"]),
        (["3", "null", "1"], ["3", "null", "1"]),
        (["2", "nan", "1"], ["2", "nan", "1"]),
        (["inf", "1"], ["inf", "1"]),
        ([], []),
    ],
)
def test_in_order_sorts_numbers_and_keeps_the_order_of_texts(values, ordered):
    assert in_order(values) == ordered


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (40.4, "40 s"), (89, "89 s"), (91, "2 min"), (720, "12 min"), (5399, "90 min"), (5401, "1.5 h")],
)
def test_duration_has_a_suitable_unit(seconds, words):
    assert duration(seconds) == words


def grid(down, across, objective=lambda i: 0.9 + 0.001 * i):
    pairs = enumerate(itertools.product(down, across))
    return [
        row(objective(i), values={"m.a": a, "m.b": b}, name=f"a={a} b={b}", metrics={"parameters": 100.0 * (i + 1)})
        for i, (a, b) in pairs
    ]


KEYS = ["m.a", "m.b"]
LONG = "/data/a/very/long/path/to/some/images/of/mine/" * 3
MATERIAL = {
    "plain": (grid(["1", "2"], ["0.1", "0.2"]), [("a=1", [0.1, 0.2]), ("a=2", [0.1, 0.3])]),
    "one job": (grid(["1"], ["2"]), [("", [0.1])]),
    "one job of one epoch": ([row(0.5, metrics={"parameters": 3.0})], [("a=1", [0.5])]),
    "one value": (grid(["1"], ["0.1", "0.2", "0.3"]), [("b=1", [0.1])]),
    "texts": (grid(["cnn", "null", "true"], ["'a b'", "[1,2]"]), [("a=null", [0.1]), ("a='a b'", [0.2])]),
    "dollars": (grid(["$x$", "$\\frac{$", "a$b"], ["$\\x{$", "\\$"]), [("a=$x$", [0.1]), ("a=$\\frac{$", [0.2])]),
    "names with _": (grid(["_a", "_b"], ["1"]), [("_target_=x", [0.1]), ("_b", [0.2])]),
    "long texts": (grid([f"{LONG}{i}" for i in range(3)], [f"{LONG}{i}" for i in range(3)]), [(LONG * 3, [0.1])] * 2),
    "foreign texts": (grid(["数字", "é"], ["😀", "x"]), [("数字=é", [0.1]), ("x", [0.2])]),
    "NaN objectives": (grid(["1", "2"], ["3", "4"], lambda i: NAN if i % 2 else 0.5), [("x", [NAN, 0.2])] * 2),
    "only NaN": (grid(["1", "2"], ["3", "4"], lambda i: NAN), [("x", [NAN, NAN]), ("y", [NAN])]),
    "endless curves": (grid(["1", "2"], ["3", "4"]), [("x", [math.inf, 3.0]), ("y", [1.0, math.inf])]),
    "negative": (grid(["-1", "-2", "0"], ["-0.5", "1e-9"], lambda i: -1000.0 * i), [("x", [-5.0, -3.0])] * 2),
    "log axes": (grid(["0.0001", "0.001", "0.01"], ["1", "100", "1e6"]), [("x", [1e-9, 1e9])] * 2),
    "odd numbers": (grid(["inf", "2", "nan"], ["1_0", "4"]), [("x", [0.1])] * 2),
    "equal objectives": (grid(["1", "2"], ["3", "4"], lambda i: 0.5), [("x", [0.5, 0.5])] * 2),
    "an option that some lack": ([*grid(["1", "2"], ["3"]), row(0.3, values={"m.a": "5"})], [("x", [0.1])]),
    "some failed": ([*grid(["1", "2"], ["3", "4"]), row(NAN, "failed", {"m.a": "x", "m.b": "y"})], []),
    "only pruned": ([row(0.1, "pruned", {"m.a": "1"})], [("x", [0.1])]),
    "nothing": ([], []),
    "200 jobs": (
        grid([str(i) for i in range(20)], [str(i) for i in range(10)]),
        [(f"a={i}", [0.001 * i, 0.002 * i, 0.004 * i]) for i in range(200)],
    ),
    "200 texts": ([row(0.1 * i, values={"m.a": f"text number {i}"}) for i in range(200)], []),
    "curves of unlike lengths": (grid(["1", "2"], ["3", "4"]), [(f"x{n}", [0.1] * n) for n in (1, 2, 7)]),
}


def is_picture(file):
    with Image.open(file) as opened:
        opened.load()
        return opened.format == "PNG" and min(opened.size) > 150


def looked_at(rows):
    runs = [Observation(each.values, each.objective) for each in rows if each.outcome == "done"]
    return mattered.of(Request(runs, maximize=True))


TURNED = ("plain", "only NaN", "endless curves")


@pytest.mark.slow
@pytest.mark.new_store
@pytest.mark.parametrize(
    ("name", "direction"), [*((name, "maximize") for name in MATERIAL), *((name, "minimize") for name in TURNED)]
)
def test_every_figure_is_drawn_from_any_set_of_jobs(name, direction, alone):
    rows, curves = MATERIAL[name]
    figures.draw_all(alone, rows, KEYS, "val_accuracy", direction, curves, looked_at(rows), "parameters")
    drawn = {file.name for file in alone.iterdir()}
    assert all(is_picture(alone / name) for name in drawn)

    done = [each for each in rows if each.outcome == "done" and not math.isnan(each.objective)]
    varied = [key for key in KEYS if len({each.values.get(key) for each in done}) > 1]
    expected = {"importance.png"} if looked_at(rows) is not None else set()
    expected |= {"objective_by_option.png"} if varied else set()
    expected |= {"learning_curves.png"} if curves else set()
    expected |= {"pareto_front.png"} if done else set()
    is_grid = varied == KEYS and all(key in each.values for each in done for key in KEYS)
    assert drawn == expected | ({"heat_map.png"} if is_grid else set())


def test_figures_without_data_are_not_drawn(alone):
    figures.draw_all(alone, grid(["1", "2"], ["3"]), KEYS, "loss", "minimize", [], None, None)
    assert {file.name for file in alone.iterdir()} == {"objective_by_option.png"}


def test_seed_is_no_axis_of_the_heat_map(alone):
    cells = [{"m.a": a, "m.b": b, "seed": seed} for a in "12" for b in "34" for seed in "567"]
    figures.draw_all(
        alone, [row(0.1, values=cell) for cell in cells], [*KEYS, "seed"], "loss", "minimize", [], None, None
    )
    assert {file.name for file in alone.iterdir()} == {"objective_by_option.png", "heat_map.png"}


@pytest.mark.slow
@pytest.mark.new_store
def test_many_options_are_drawn(alone):
    keys = [f"m.k{i}" for i in range(12)]
    rows = [row(0.1 * i, values={key: str(i * j) for j, key in enumerate(keys)}) for i in range(20)]
    figures.draw_all(alone, rows, keys, "loss", "minimize", [], looked_at(rows), None)
    assert {file.name for file in alone.iterdir()} == {"objective_by_option.png", "importance.png"}


@pytest.mark.parametrize(("direction", "best"), [("maximize", (1, 2)), ("minimize", (0, 1))])
def test_heat_map_frames_the_best_mean(direction, best):
    rows = grid(["16", "8"], ["0.1", "0.2", "0.3"], lambda i: [0.5, 0.5, 0.9, 0.6, 0.1, 0.6][i])
    rows.append(row(0.0, values={"m.a": "16", "m.b": "0.3"}))  # Its mean is 0.45.
    rows.append(row(0.99, values={"m.a": "16", "m.b": "0.3"}))  # 0.63 of three.
    figure = figures.heat_map(rows, "m.a", "m.b", "val_accuracy", direction, {"m.a": "a", "m.b": "b"})
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["8", "16"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.1", "0.2", "0.3"]
    (frame,) = axes.patches
    i, j = best
    assert frame.get_xy() == (j - 0.5, i - 0.5)
    assert axes.get_title() == "val_accuracy, mean of up to 3 runs"
    assert "0.6300" in {text.get_text() for text in axes.texts}


def test_learning_curves_name_the_best_jobs_in_order():
    curves = [(f"job {i}", [0.1, 0.01 * i]) for i in range(30)]
    figure = figures.learning_curves(curves, "val_accuracy", "maximize")
    figure.draw_without_rendering()
    named = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert named == [f"job {i}" for i in range(29, 17, -1)]
    figure = figures.learning_curves(curves, "val_loss", "minimize")
    assert figure.legends[0].get_texts()[0].get_text().strip() == "job 0"


def test_wide_range_of_numbers_gets_a_logarithmic_axis():
    names = {"m.a": "a", "m.b": "b"}
    rows = grid(["0.001", "0.01", "0.1"], ["1", "2", "3"])
    wide, narrow = option_figures.by_option(rows, KEYS, "loss", names).axes
    assert (wide.get_xscale(), narrow.get_xscale()) == ("log", "linear")
    (zero,) = option_figures.by_option(grid(["0", "1", "100"], ["1"]), ["m.a"], "loss", names).axes
    assert zero.get_xscale() == "linear"


def test_long_numbers_of_a_search_do_not_write_over_each_other():
    rows = grid(["0.005057020226496487", "0.0001689077669930", "0.05484"], ["1", "2"])
    figure = option_figures.by_option(rows, KEYS, "loss", {"m.a": "a", "m.b": "b"})
    figure.draw_without_rendering()
    long, short = [[text.get_text() for text in axes.get_xticklabels()] for axes in figure.axes]
    assert not any("5057" in text for text in long)
    assert short == ["1", "2"]


def test_drawing_gives_no_warning(alone, recwarn):
    warnings.simplefilter("always")
    rows, curves = MATERIAL["foreign texts"]
    figures.draw_all(alone, rows, KEYS, "loss", "minimize", curves, None, "parameters")
    assert not list(recwarn)


def test_reader_returns_each_event_once_and_in_order(alone):
    reader, writer = events.Reader(alone), events.Writer(alone, 3)
    assert list(reader.read()) == []
    writer.write("started", name="a=é\n", values={"a": NAN})
    writer.write("epoch", epoch=1)
    first, second = reader.read()
    assert (first["job"], first["event"], first["name"]) == (3, "started", "a=é\n")
    assert math.isnan(first["values"]["a"])
    assert (second["event"], second["epoch"]) == ("epoch", 1)
    assert second["time"] >= first["time"] > 0
    assert list(reader.read()) == []
    writer.write("done")
    assert [event["event"] for event in reader.read()] == ["done"]
    assert [event["event"] for event in events.Reader(alone).read()] == ["started", "epoch", "done"]


def test_half_written_line_is_read_when_it_is_complete(alone):
    reader = events.Reader(alone)
    whole = '{"job": 0, "event": "a"}\n{"job": 0, "event": "é"}\n'.encode()
    seen = []
    for size in range(len(whole) + 1):
        (alone / "one.jsonl").write_bytes(whole[:size])
        seen += [(size, event["event"]) for event in reader.read()]
    assert seen == [(whole.index(b"\n") + 1, "a"), (len(whole), "é")]


def test_events_of_several_processes_are_read(alone):
    reader = events.Reader(alone)
    lines = [f'{{"job": {job}, "event": "epoch", "epoch": {epoch}}}\n' for epoch in (1, 2, 3) for job in (0, 1)]
    seen = []
    for i, line in enumerate(lines):
        with (alone / f"host-{i % 2}.jsonl").open("a") as opened:
            opened.write(line)
        if i % 3 == 2:
            seen += reader.read()
    for job in (0, 1):
        assert [event["epoch"] for event in seen if event["job"] == job] == [1, 2, 3]
    (alone / "host-0.lock").write_text("not an event")
    assert list(reader.read()) == []


def test_sweep_is_given_up_with_a_reason(alone):
    assert not events.is_given_up(alone)
    events.give_up(alone, "3 jobs failed")
    assert events.is_given_up(alone)
    assert list(events.Reader(alone).read()) == []
