"""Make the README's pictures from real runs: `python docs/pictures/make.py`, 7 minutes on two cores, with Chromium.

It trains in a folder of its own (--folder), goes on there when it is called again, and writes beside itself.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "support"))
BASELINE = "trainer.epochs=5 data.validation=5000 tracking.register_as=digits"
SWEEP = (
    "-m model.filters=8,32 model.dropout=0.1,0.5 seed=range(1,9) data.limit=12000 trainer.epochs=4 data.validation=5000"
)
SMALL = "data.limit=6000 trainer.epochs=4 data.validation=2000"
SEARCH = "'model.filters=range(4,33)' 'model.dropout=interval(0.1,0.7)' "
SEARCH += "'optimizer.learning_rate=tag(log,interval(1e-4,1e-1))' "
SEARCH += "sweep.n_trials=16 sweep.pruner=median"
# Without the address of a font on the web, which Rich would put in.
SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
text {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px; white-space: pre; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""
# What a hand does for a 3, in shares of its own side; it is drawn small and off the middle.
THREE = [(0.30, 0.22), (0.45, 0.15), (0.62, 0.20), (0.66, 0.33), (0.58, 0.44), (0.45, 0.48)]
THREE += [(0.60, 0.52), (0.70, 0.64), (0.66, 0.78), (0.50, 0.86), (0.32, 0.80)]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "mnist_exp-pictures")
    parser.add_argument("--only", nargs="*", default=[*MAKERS])
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    os.chdir(options.folder)
    run_id, parent = trained(), swept()
    for name in options.only:
        MAKERS[name](run_id, parent)


def said(words: str, keep: str) -> str:
    """Return what a command says; it is run once, and remembered."""
    kept = Path(keep)
    if not kept.exists():
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(words)], stdout=subprocess.PIPE, text=True, check=True
        )
        kept.write_text(done.stdout)
    return kept.read_text()


def trained() -> str:
    """Return the id of a run on all of MNIST."""
    return run_id_in(said(f"mnist_exp.run {BASELINE}", "baseline.txt"), "run")


def swept() -> str:
    """Return the id of a sweep of 32 jobs."""
    return run_id_in(said(f"mnist_exp.run {SWEEP}", "sweep.txt"), "parent")


def run_id_in(text: str, row: str) -> str:
    """Return the id in the last row of that name."""
    return [line.split()[1] for line in text.splitlines() if line.split()[:1] == [row]][-1]


def terminal(run_id: str, parent: str) -> None:
    """Draw a run as a terminal shows it."""
    text = Path("baseline.txt").read_text().rstrip()
    if "MNIST_EXP_DATA" in os.environ:  # Nobody's folders.
        text = text.replace(os.environ["MNIST_EXP_DATA"], "/data")
    lines = ["$ python -m mnist_exp.run " + BASELINE, *text.splitlines()]
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=max(map(len, lines)) + 1, file=nowhere)
        for line in lines:
            name, rest = line.split(" ", 1) if " " in line else (line, "")
            console.print(
                Text(name, style="bold green" if name == "$" else "bold").append(f" {rest}", style="not bold")
            )
        console.save_svg(str(HERE / "run.svg"), title="a run", theme=DIMMED_MONOKAI, code_format=SVG, unique_id="run")


def mlflow_ui(run_id: str, parent: str) -> None:
    """Look at the sweep in MLflow, and take its heat map."""
    from mlflow import MlflowClient
    from real_browser import free_port, page, serving

    client = MlflowClient("sqlite:///mlflow.db")
    experiment = client.get_run(parent).info.experiment_id
    runs = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    base = f"http://127.0.0.1:{(port := free_port())}"
    words = ["mlflow", "ui", "--port", str(port), "--workers", "1"]
    ids = quote(json.dumps([run.info.run_id for run in runs]))
    with (
        serving(words, f"{base}/health", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
        page(viewport={"width": 1280, "height": 800}) as opened,
    ):
        opened.goto(f"{base}/#/compare-runs?runs={ids}&experiments={quote(json.dumps([experiment]))}")
        opened.locator(".parcoords").first.wait_for(timeout=60_000)
        opened.get_by_role("button", name="Close").last.click()  # An assistant that has nothing to do with it.
        opened.get_by_role("combobox").nth(1).click()
        opened.keyboard.press("Backspace")
        opened.keyboard.type("val_accuracy")
        opened.keyboard.press("Enter")
        opened.keyboard.press("Escape")
        opened.wait_for_timeout(2000)
        opened.screenshot(path="mlflow.png")
    save("mlflow.png")
    client.download_artifacts(parent, "heat_map.png", ".")
    save("heat_map.png")


def view(run_id: str, parent: str) -> None:
    """Look at the page of MLflow that the sweep printed: its table, and its charts."""
    from real_browser import free_port, page, serving

    (line,) = [line for line in Path("sweep.txt").read_text().splitlines() if line.startswith("look")]
    base = f"http://127.0.0.1:{(port := free_port())}"
    address = base + line.split("http://127.0.0.1:5000")[1]
    with (
        serving(
            ["mlflow", "ui", "--port", str(port), "--workers", "1"],
            f"{base}/health",
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        ),
        page(viewport={"width": 1280, "height": 700}) as opened,
    ):
        opened.goto(address)
        opened.locator("[col-id='params.`model.filters`']").first.wait_for(timeout=60_000)
        opened.get_by_role("button", name="Close").last.click()  # An assistant that has nothing to do with it.
        opened.wait_for_timeout(2000)
        opened.screenshot(path="mlflow_table.png")
        opened.set_viewport_size({"width": 1280, "height": 780})
        opened.goto("about:blank")
        opened.goto(f"{address}&compareRunsMode=CHART")
        opened.locator(".parcoords").first.wait_for(timeout=60_000)
        opened.wait_for_timeout(3000)
        opened.screenshot(path="mlflow_charts.png")
        opened.set_viewport_size({"width": 1280, "height": 1060})
        opened.goto(f"{address.partition('?')[0]}/{parent}?workflowType=machine_learning")
        opened.get_by_text("Show more").click()
        opened.locator("img[src*='heat_map']").wait_for()  # MLflow drops its alternative text.
        opened.wait_for_timeout(2000)
        opened.screenshot(path="mlflow_verdict.png")
    save("mlflow_table.png")
    save("mlflow_charts.png")
    save("mlflow_verdict.png")


def report(run_id: str, parent: str) -> None:
    """Look at the report of the sweep."""
    from real_browser import page

    said(f"mnist_exp.report --sweep {parent} --output report", "report.txt")
    with page(viewport={"width": 1200, "height": 1050}) as opened:
        opened.goto(Path("report/index.html").absolute().as_uri())
        opened.screenshot(path="report.png")
        opened.set_viewport_size({"width": 1200, "height": 1250})
        opened.locator("#parallel").scroll_into_view_if_needed()
        opened.wait_for_timeout(500)
        box = opened.locator("#parallel").bounding_box()
        across, down = box["x"] + 64, box["y"] + 50  # The first axis: its upper half is marked.
        opened.mouse.move(across, down)
        opened.mouse.down()
        opened.mouse.move(across, down + 120, steps=5)
        opened.mouse.up()
        for name in ("scatter", "curves"):
            opened.locator(f"#{name}").scroll_into_view_if_needed()
            opened.wait_for_timeout(500)
        opened.evaluate("document.getElementById('parallel-name').scrollIntoView(); scrollBy(0, -60)")
        opened.wait_for_timeout(500)
        opened.screenshot(path="report_explore.png")
    save("report.png")
    save("report_explore.png")


def demo(run_id: str, parent: str) -> None:
    """Draw a digit in the demo."""
    from real_browser import free_port, page, serving

    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with (
        serving(["mnist_exp.demo", run_id, "--port", str(port)], base),
        page(viewport={"width": 1100, "height": 800}) as opened,
    ):
        opened.goto(base)
        pad = opened.locator("canvas").first.bounding_box()
        for number, (x, y) in enumerate(THREE):
            across, down = (0.5 * x + 0.42) * pad["width"], (0.5 * y + 0.45) * pad["height"]
            opened.mouse.move(pad["x"] + across, pad["y"] + down, steps=6)
            if number == 0:
                opened.mouse.down()
        opened.mouse.up()
        opened.wait_for_timeout(2500)
        opened.screenshot(path="demo.png")
    save("demo.png")


def tensorboard(run_id: str, parent: str) -> None:
    """Look at a sweep in TensorBoard."""
    from real_browser import free_port, page, serving

    said(f"mnist_exp.run -m callbacks=tensorboard model.filters=8,32 {SMALL}", "board.txt")
    base = f"http://127.0.0.1:{(port := free_port())}"
    with (
        serving(["tensorboard.main", "--logdir", "logs", "--port", str(port)], base),
        page(viewport={"width": 1280, "height": 620}) as opened,
    ):
        opened.goto(base)
        opened.get_by_text("epoch_accuracy").first.wait_for(timeout=60_000)
        opened.wait_for_timeout(5000)
        opened.screenshot(path="tensorboard.png")
    save("tensorboard.png")


def optuna_dashboard(run_id: str, parent: str) -> None:
    """Look at a search in optuna-dashboard."""
    from real_browser import free_port, page, serving

    text = said(f"mnist_exp.run -m {SEARCH} {SMALL}", "search.txt")
    (study,) = [line.split()[-1] for line in text.splitlines() if line.startswith("study")]
    base = f"http://127.0.0.1:{(port := free_port())}"
    with (
        serving(["optuna_dashboard._cli", study, "--port", str(port)], f"{base}/dashboard"),
        page(viewport={"width": 1280, "height": 1150}) as opened,
    ):
        opened.goto(f"{base}/dashboard/studies/0")
        opened.get_by_text("Timeline").first.wait_for(timeout=60_000)
        opened.wait_for_timeout(5000)
        opened.screenshot(path="optuna_dashboard.png")
    save("optuna_dashboard.png")


MAKERS = {
    "terminal": terminal,
    "mlflow": mlflow_ui,
    "view": view,
    "report": report,
    "demo": demo,
    "tensorboard": tensorboard,
    "optuna": optuna_dashboard,
}


def save(name: str) -> None:
    """Put a picture here with 128 colours, a third of its bytes."""
    picture = Image.open(name).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(HERE / name, optimize=True)
    print(f"{name}: {(HERE / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
