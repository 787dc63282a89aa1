"""The page of a report in a real browser: it sorts, filters, marks, tells, prints, and fits at every width."""

import itertools
import json
import math
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from real_browser import browser, until

from mnist_exp.comparison import verdict
from mnist_exp.comparison.groups import group
from mnist_exp.comparison.metric import choose_metric
from mnist_exp.reports import html, page, page_data, tables
from mnist_exp.tracking.runs import StoredRun

EVIL = "</script><!--<script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}"
SEEDS, DROPOUTS, FILTERS = (1, 2, 3), ("0.1", "0.3", "0.5"), ("2", "4", "8")


def run(number, filters, dropout, seed, status="FINISHED"):
    score = 0.7 + 0.01 * int(filters) + 0.05 * float(dropout) + 0.013 * ((seed * number) % 5) / 5
    params = {"model._target_": "mnist_exp.models.cnn", "objective": "val_accuracy", "direction": "maximize"}
    params |= {"data.validation": "0.1", "seed": str(seed), "model.filters": filters, "model.dropout": dropout}
    metrics = {"objective": score, "val_accuracy": score, "test_accuracy": score - 0.01, "fit_time_s": 3.0 + number}
    command = f"python -m mnist_exp.run model.filters={filters} model.dropout={dropout} seed={seed}"
    tags = {"mnist_exp.data_sha256": "d" * 64, "mnist_exp.job_key": "k", "mnist_exp.command": command}
    return StoredRun(f"{number:032x}", f"run {number} {EVIL}", "mnist_exp", status, params, metrics, tags, "")


def grid():
    return [run(n + 16, *point) for n, point in enumerate(itertools.product(FILTERS, DROPOUTS, SEEDS))]


def written(folder, runs, sweeps=None):
    """Write the page of some runs without a store; return its address."""
    found = group(runs, choose_metric(runs, None))
    done = [each for each in runs if each.status == "FINISHED"][:200]
    names = ("val_accuracy", "val_loss", "loss")
    histories = {
        each.run_id: {
            name: {epoch: each.metrics["objective"] * epoch / 6 + 0.01 * place for epoch in range(1, 6)}
            for place, name in enumerate(names)
        }
        for each in done
    }
    content = page.Content(
        title=f"Report on {EVIL}",
        summary=f"{len(runs)} runs",
        verdict=verdict.verdict(found, None),
        cautions=[],
        tables=[tables.configurations(found), *filter(None, map(tables.comparisons, found.families))],
        plain=[tables.runs(found, "")],
        folded=[],
        versions={},
        command="python -m mnist_exp.report",
        data=page_data.of(found, sweeps or {}, histories, {}),
    )
    page.write(folder, content)
    return (folder / html.FILE).absolute().as_uri()


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return written(tmp_path_factory.mktemp("page"), [*grid(), run(99, "2", "0.1", 7, "FAILED")])


@pytest.fixture
def look(chromium, address):
    """Return a function that opens a page; nothing may be asked of any server, or said on the console as an error."""
    errors, requests, contexts = [], [], []

    def opened(to=address, width=1300, **options):
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.on("dialog", lambda asked: errors.append(f"{asked.message} was run"))
        shown.on("request", lambda request: requests.append(request.url))
        shown.goto(to)
        if options.get("java_script_enabled", True):
            until(shown, "performance.getEntriesByName('table').length === 1")
        return shown

    yield opened
    for context in contexts:
        context.close()
    assert errors == []
    assert [each for each in requests if not each.startswith(("file:", "data:"))] == []


def count(shown):
    return int(shown.locator("#shown").inner_text().split(" of ")[0].replace(",", ""))


def column(shown, name):
    """Return the texts of a column of the table of runs."""
    return shown.locator(f"#runs .tabulator-row .tabulator-cell[tabulator-field='{name}']").all_inner_texts()


def chart(shown, name):
    """Bring a chart into view, wait until it is drawn, and return where it is."""
    place = shown.locator(f"#{name}")
    place.scroll_into_view_if_needed()
    until(shown, f"document.querySelector('#{name} canvas') !== null")
    shown.wait_for_timeout(200)
    return place.bounding_box()


def pixels(shown, name):
    return shown.locator(f"#{name}").screenshot()


def drag(shown, start, end):
    shown.mouse.move(*start)
    shown.mouse.down()
    shown.mouse.move(*end, steps=5)
    shown.mouse.up()


def test_a_click_on_a_column_sorts_and_says_so(look):
    shown = look()
    shown.locator("#runs .tabulator-col button", has_text="objective").click()
    values = [float(text) for text in column(shown, "objective") if text != "–"]
    assert values == sorted(values, reverse=True)  # It is maximized: the best first.
    head = shown.get_by_role("columnheader", name="objective: val_accuracy")
    assert head.get_attribute("aria-sort") == "descending"
    shown.locator("#runs .tabulator-col button", has_text="objective").press("Enter")
    values = [float(text) for text in column(shown, "objective") if text != "–"]
    assert values == sorted(values)


def test_a_filter_of_a_column_holds_for_the_charts(look):
    shown = look()
    chart(shown, "scatter")
    field = shown.get_by_label("filter filters", exact=True)
    for words, kept in [("=4", 9), (">2", 18), ("2..4", 19), ("!=8", 19), ("<=2", 10), ("8", 9), (">= 4", 18)]:
        field.fill(words)
        field.press("End")
        until(shown, f"document.getElementById('shown').textContent.startsWith('{kept} of 28')")
        until(shown, f"document.getElementById('scatter').ariaLabel.includes(' of {kept} runs, coloured')")
    shown.get_by_role("button", name="Show all runs").click()
    assert count(shown) == 28
    assert field.input_value() == ""
    field.fill("> many")  # That is no filter: it is marked, and hides nothing.
    field.press("End")
    until(shown, "document.querySelector('[aria-invalid]') !== null")
    assert count(shown) == 28


@pytest.mark.slow
def test_a_mark_on_an_axis_keeps_the_runs_that_pass_there(look):
    shown = look()
    box = chart(shown, "parallel")
    drag(shown, (box["x"] + 64, box["y"] + 50), (box["x"] + 64, box["y"] + 130))  # The upper third: filters=8.
    until(shown, "!document.getElementById('clear').disabled")
    assert count(shown) == 9
    assert set(column(shown, "model.filters")) == {"8"}
    chart(shown, "scatter")
    assert " of 9 runs, coloured" in shown.locator("#scatter").get_attribute("aria-label")
    box = chart(shown, "parallel")
    shown.mouse.click(box["x"] + 64, box["y"] + 260)
    until(shown, "document.getElementById('clear').disabled")
    assert count(shown) == 28


@pytest.mark.slow
@pytest.mark.parametrize("count_of_values", [3, 20], ids=["places", "numbers"])
def test_runs_without_an_option_pass_at_the_foot_of_its_axis(look, tmp_path, count_of_values):
    runs = [run(n + 16, str(n + 2), "0.3", 1) for n in range(count_of_values)]
    for each in (others := [run(n + 64, "2", dropout, 1) for n, dropout in enumerate(DROPOUTS)]):
        each.params["model._target_"] = "mnist_exp.models.mlp"
        del each.params["model.filters"]
    shown = look(written(tmp_path, [*runs, *others]))
    box = chart(shown, "parallel")
    at = box["x"] + 64 + (box["width"] - 140) / 3  # Of the second axis, behind that of the model.
    foot = box["y"] + box["height"] - 24
    drag(shown, (at, foot - 20), (at, foot + 2)) if count_of_values > 12 else drag(shown, (at, foot - 50), (at, foot))
    until(shown, "!document.getElementById('clear').disabled")
    assert count(shown) == 3
    assert set(column(shown, "model._target_")) == {"mnist_exp.models.mlp"}
    assert set(column(shown, "model.filters")) == {"–"}


@pytest.mark.slow
def test_a_scatter_says_how_many_runs_it_cannot_draw(look):
    shown = look()
    chart(shown, "scatter")
    until(shown, "!document.getElementById('scatter-lacking').hidden")
    assert shown.locator("#scatter-lacking").inner_text() == "1 run has no filters or val_accuracy, and is not drawn."
    shown.get_by_label("filter dropout").press_sequentially("0.3")  # The one that failed has another.
    until(shown, "document.getElementById('scatter-lacking').hidden")


def test_a_scatter_of_any_columns_keeps_what_is_in_a_rectangle(look):
    shown = look()
    chart(shown, "scatter")
    shown.locator("#scatter-x").select_option("fit_time_s")
    shown.locator("#scatter-y").select_option("test_accuracy")
    shown.locator("#colour").select_option("model.dropout")
    box = chart(shown, "scatter")
    told = shown.locator("#scatter").get_attribute("aria-label")
    assert told.startswith("test_accuracy against fit_time_s of 28 runs, coloured by dropout")
    drag(shown, (box["x"] + 66, box["y"] + 16), (box["x"] + box["width"] / 2, box["y"] + box["height"] - 50))
    until(shown, "!document.getElementById('clear').disabled")
    kept = count(shown)
    assert 0 < kept < 28
    times = [float(text) for text in column(shown, "fit_time_s")]
    assert max(times) < 99 + 3.0 - 20
    shown.locator("#scatter-x").select_option("model.filters")
    assert count(shown) == 28


def test_a_cell_of_the_heat_map_keeps_its_runs(look):
    shown = look()
    box = chart(shown, "heat")
    shown.mouse.click(box["x"] + 120, box["y"] + 40)
    until(shown, "!document.getElementById('clear').disabled")
    assert count(shown) == 3
    shown.locator("summary", has_text="Heat map as a table").click()
    rows = shown.locator("#heat-table tbody tr").all_inner_texts()
    assert len(rows) == 3
    means = [float(text) for row in rows for text in row.split("\t")[1:]]
    assert all(math.isfinite(each) for each in means)


@pytest.mark.slow
def test_a_curve_stands_out_when_it_is_pointed_at_and_opens_its_run(look):
    shown = look()
    box = chart(shown, "curves")
    before = pixels(shown, "curves")
    middle = box["x"] + box["width"] / 2
    for height in range(30, 300, 4):
        shown.mouse.move(middle, box["y"] + height)
        if shown.evaluate("document.querySelector('#curves div').style.cursor") == "pointer":
            break
    shown.wait_for_timeout(200)
    assert pixels(shown, "curves") != before
    shown.mouse.click(middle, box["y"] + height)
    assert shown.get_by_role("dialog").is_visible()
    shown.keyboard.press("Escape")
    shown.locator("#curves-as").select_option("runs")
    assert shown.locator("#curves").get_attribute("aria-label").startswith("Learning curves of val_accuracy: 27 lines")


def test_the_lines_of_the_curves_are_named_and_one_comes_to_the_front(look):
    shown = look()
    chart(shown, "curves")
    buttons = shown.get_by_role("group", name="Lines of the learning curves").get_by_role("button")
    named = buttons.all_inner_texts()
    assert sorted(named) == sorted(
        f"filters={filters} dropout={dropout}" for filters in FILTERS for dropout in DROPOUTS
    )
    assert "The best 5 have theirs" in shown.locator("#curves-note").inner_text()
    before = pixels(shown, "curves")
    buttons.nth(6).click()
    assert buttons.nth(6).get_attribute("aria-pressed") == "true"
    assert pixels(shown, "curves") != before
    shown.keyboard.press("Enter")  # It keeps the focus.
    assert pixels(shown, "curves") == before


def test_the_key_says_what_the_colours_mean(look):
    shown = look()
    key = shown.locator("#choices .key")
    ends = [float(text) for text in key.inner_text().split()]
    best = max(float(text) for text in column(shown, "objective") if text != "–")
    assert ends == [pytest.approx(min(each.metrics["objective"] for each in grid()), abs=1e-4), best]
    shown.locator("#colour").select_option("model.filters")
    assert key.inner_text().split() == ["2", "8"]


@pytest.mark.slow
def test_a_run_opens_with_the_keyboard_and_gives_its_command(look):
    shown = look(permissions=["clipboard-read", "clipboard-write"])
    button = shown.locator("#runs .tabulator-row button").first
    button.focus()
    shown.keyboard.press("Enter")
    opened = shown.get_by_role("dialog")
    command = opened.locator("code").nth(1).inner_text()
    assert command.startswith("python -m mnist_exp.run model.filters=")
    opened.get_by_role("button", name="Copy command").click()
    assert shown.evaluate("navigator.clipboard.readText()") == command
    assert opened.locator("dt", has_text="model.dropout").first.is_visible()
    shown.keyboard.press("Escape")
    assert not opened.is_visible()
    assert button.evaluate("element => element === document.activeElement")
    shown.locator("#runs .tabulator-row .tabulator-cell").nth(2).click()
    assert opened.is_visible()


def test_a_hostile_name_is_shown_as_it_is(look):
    shown = look()
    assert EVIL in shown.locator("h1").inner_text()
    shown.locator("#runs .tabulator-row button").first.click()
    assert EVIL in shown.get_by_role("dialog").locator("h2").inner_text()
    assert shown.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_sweeps_have_a_column_and_a_colour(look, tmp_path):
    runs = grid()
    sweeps = {each.run_id: f"sweep {'A' if place < 9 else 'B'} {EVIL}" for place, each in enumerate(runs)}
    shown = look(written(tmp_path, runs, sweeps))
    assert shown.locator("#colour").input_value() == "sweep"
    assert {text.split()[1] for text in column(shown, "sweep")} == {"A", "B"}
    shown.get_by_label("filter sweep").press_sequentially("sweep a")
    until(shown, "document.getElementById('shown').textContent.startsWith('9 of 27')")
    assert [text.split()[1] for text in shown.locator("#choices .key > span").all_inner_texts()] == ["A", "B"]


def in_time(page, holds):
    """Wait until something holds, and tell whether it does: drawing takes as long as the machine is busy."""
    for _ in range(100):
        if holds():
            return True
        page.wait_for_timeout(100)
    return False


def test_dark_mode_is_followed_at_once(look):
    shown = look(color_scheme="light")
    chart(shown, "parallel")
    light = pixels(shown, "parallel")
    shown.emulate_media(color_scheme="dark")
    assert in_time(shown, lambda: pixels(shown, "parallel") != light)
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    shown.emulate_media(color_scheme="light")
    assert in_time(shown, lambda: pixels(shown, "parallel") == light)


_OVERLAPS = """() => {
  const boxes = [...document.querySelectorAll(
    "h1, h2, h3, #findings > *, #choices > *, .note, .chart, #runs, details, .bar label, #explore section > p"
  )].filter((element) => element.offsetParent !== null && !element.closest(".unseen"));
  const found = [];
  for (const [place, one] of boxes.entries()) for (const other of boxes.slice(place + 1)) {
    if (one.contains(other) || other.contains(one)) continue;
    const [a, b] = [one.getBoundingClientRect(), other.getBoundingClientRect()];
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 1 && down > 1) found.push(`${one.tagName}#${one.id} ${other.tagName}#${other.id}`);
  }
  const cut = boxes.filter((box) => box.getBoundingClientRect().right > innerWidth + 1 && !box.closest(".scroll"));
  found.push(...cut.map((box) => `cut ${box.tagName}#${box.id}`));
  return found;
}"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1300, 800, 400])
def test_nothing_is_cut_off_or_overlaps(look, width):
    shown = look(width=width)
    for name in ("parallel", "scatter", "heat", "curves"):
        chart(shown, name)
    shown.evaluate("scrollTo(0, 0)")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate(_OVERLAPS) == []
    shown.locator("#runs .tabulator-row button").first.click()
    assert shown.evaluate(
        "document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth"
    )


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is missing: apt install poppler-utils")
def test_paper_has_all_rows_and_the_charts(look, tmp_path):
    runs = [run(n + 16, str(n % 7), f"0.{n % 10}", n) for n in range(100)]
    shown = look(written(tmp_path, runs), color_scheme="dark")
    shown.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True, print_background=True)
    words = ["pdftotext", "-raw", tmp_path / "page.pdf", "-"]
    text = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert [each.run_id for each in runs if each.run_id not in text] == []
    assert "Runs: 100" in text
    assert "Drag a rectangle" not in text
    pages = text.split("\f")
    for name in ("Parallel coordinates", "Two columns", "Mean for two options", "Learning curves"):
        (number,) = [place for place, words in enumerate(pages, 1) if f"{name}\n" in words]
        assert coloured(tmp_path, number) > 0.003, name
    assert coloured(tmp_path, number - 1) > 0.15  # The cells of the heat map.
    assert "\nepoch\n" in text  # Of an axis of the curves: what a chart draws is text and lines on paper too.
    assert shown.locator("figure.on-paper").count() == 0


def coloured(folder, number):
    """Return the share of a printed page that is neither white, grey nor black."""
    words = ["pdftoppm", "-r", "40", "-f", str(number), "-singlefile", "-png", "page.pdf", "drawn"]
    subprocess.run(words, check=True, cwd=folder)
    values = np.asarray(Image.open(folder / "drawn.png").convert("RGB")).astype(int)
    return float((np.ptp(values, axis=-1) > 40).mean())


@pytest.mark.slow
def test_a_screen_reader_finds_landmarks_names_and_the_table(look):
    shown = look()
    for name in ("parallel", "scatter", "heat", "curves"):
        chart(shown, name)
    tree = shown.locator("body").aria_snapshot()
    for line in (
        "main:",
        'heading "Explore the runs" [level=2]',
        'heading "Runs" [level=3]',
        "28 of 28 runs are shown",
    ):
        assert line in tree, line
    for words in (
        "Parallel coordinates of 28 runs",
        "objective: val_accuracy against",
        "Learning curves of val_accuracy",
    ):
        assert f'img "{words}' in tree, words
    assert 'columnheader "objective: val_accuracy' in tree
    assert shown.locator("#runs [role=grid]").or_(shown.locator("#runs[role=grid]")).count() == 1
    unnamed = """[...document.querySelectorAll('select, input, button')].filter((each) =>
      each.offsetParent && !each.labels?.length && !each.ariaLabel && !each.textContent.trim()).length"""
    assert shown.evaluate(unnamed) == 0


@pytest.mark.slow
def test_without_a_program_the_conclusions_and_the_runs_are_there(look):
    shown = look(java_script_enabled=False)
    assert shown.get_by_role("region", name="verdict").is_visible()
    assert not shown.locator("#explore").is_visible()
    assert shown.get_by_role("heading", name="Runs", exact=True).is_visible()
    assert shown.locator("noscript table tbody tr").count() == 28


def test_texts_that_are_alike_are_kept_once(tmp_path):
    runs = grid()
    data = page_data.of(group(runs, choose_metric(runs, None)), {}, {}, {})
    columns = {each["name"]: each for each in data["columns"]}
    assert columns["model._target_"]["value"] == "mnist_exp.models.cnn"
    filters = columns["model.filters"]
    assert sorted(filters["levels"][code] for code in filters["codes"]) == [2] * 9 + [4] * 9 + [8] * 9
    command = columns["command"]
    lines = [" ".join(command["words"][word] for word in line) for line in command["lines"]]
    assert sorted(lines) == sorted(each.tags["mnist_exp.command"] for each in runs)
    assert len(json.dumps(command)) < sum(map(len, lines))
