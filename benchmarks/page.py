"""How soon the page of a report with many runs is there, in Chromium, and how quickly it answers.

    python benchmarks/page.py 2000 10000 --rounds 5

A store is filled with runs of one sweep that differ in 12 options; the page has the curves of 200 runs.
`paint` is the first contentful paint since the navigation began; `table` until the rows stand there; `sort`, `filter`
and `mark` (on an axis of the parallel coordinates) until the browser has drawn the answer. Medians and ranges.
"""

import argparse
import contextlib
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import mlflow
from many_runs import fill
from measuring import machine, versions
from real_browser import page, until

_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_DRAWN = "new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{machine()}; {versions('mnist_exp', 'mlflow')}\n")
    print(
        "| runs | report, s | page, MB | paint, s | table, s | sort, s | filter, s | mark, s |\n" + "| ---: " * 8 + "|"
    )
    for runs in options.runs:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            took = written(runs)
            file = Path("page/index.html")
            rounds = [looked_at(file) for _ in range(options.rounds)]
            cells = [shown([each[name] for each in rounds]) for name in ("paint", "table", "sort", "filter", "mark")]
            print(f"| {runs:,} | {took:.1f} | {file.stat().st_size / 1e6:.2f} | {' | '.join(cells)} |")
    return 0


def written(runs: int) -> float:
    """Fill a store, write the report on its sweep, and return how long that took."""
    uri = f"sqlite:///{Path.cwd()}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment("mnist_exp")
    (parent,) = fill(Path("mlflow.db"), runs + 1, jobs=runs, params=12, tags=4, epochs=20)
    with contextlib.closing(sqlite3.connect("mlflow.db")) as opened, opened:
        drawn, ids = random.Random(runs), [row[0] for row in opened.execute("SELECT run_uuid FROM runs")]
        options = " ".join(f"model.param_{i}={{}}" for i in range(12))
        commands_ = [
            (f"python -m mnist_exp.run {options}".format(*drawn.choices(range(7), k=12)), each) for each in ids
        ]
        opened.executemany("INSERT INTO tags (key, value, run_uuid) VALUES ('mnist_exp.command', ?, ?)", commands_)
    began = time.perf_counter()
    words = ["mnist_exp.report", "--sweep", parent, "--output", "page", "--tracking-uri", uri, "--json"]
    subprocess.run([sys.executable, "-m", *words], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def looked_at(file: Path) -> dict[str, float]:
    """Open the page in a new browser, sort, filter and mark, and return the seconds of each."""
    with page(viewport={"width": 1300, "height": 900}) as opened:
        opened.goto(file.absolute().as_uri())
        until(opened, "performance.getEntriesByName('table').length === 1")
        found = {
            "paint": opened.evaluate(_PAINTED),
            "table": opened.evaluate("performance.getEntriesByName('table')[0].startTime"),
        }
        opened.locator("#parallel").scroll_into_view_if_needed()
        opened.wait_for_timeout(500)
        opened.locator("#runs").scroll_into_view_if_needed()
        head = opened.locator("#runs .tabulator-col button").nth(1)
        found["sort"] = opened.evaluate(
            f"(head) => {{ const from = performance.now(); head.click(); return {_DRAWN}.then((to) => to - from); }}",
            head.element_handle(),
        )
        began = time.perf_counter()
        opened.locator("#runs .tabulator-header-filter input").nth(1).press_sequentially("3")
        until(opened, "!document.getElementById('clear').disabled")
        opened.evaluate(_DRAWN)
        found["filter"] = 1000 * (time.perf_counter() - began)
        opened.locator("#clear").click()
        opened.locator("#parallel").scroll_into_view_if_needed()
        opened.wait_for_timeout(300)
        box = opened.locator("#parallel").bounding_box()
        opened.mouse.move(box["x"] + 64, box["y"] + 80)
        opened.mouse.down()
        opened.mouse.move(box["x"] + 64, box["y"] + 180, steps=4)
        began = time.perf_counter()
        opened.mouse.up()
        until(opened, "!document.getElementById('clear').disabled")
        opened.evaluate(_DRAWN)
        found["mark"] = 1000 * (time.perf_counter() - began)
        assert opened.errors == [], opened.errors
    return {name: value / 1000 for name, value in found.items()}


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main())
