"""An export for people and for other programs: lines for the screen, plain values, and a page for a quantized one."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.config import wording
from mnist_exp.data import pixels
from mnist_exp.errors import plural
from mnist_exp.experiment import provenance
from mnist_exp.inference.exporting import formats, quantizing
from mnist_exp.inference.exporting.cost import THREADS, Changed, Cost
from mnist_exp.inference.exporting.exported import Exported
from mnist_exp.inference.exporting.formats import FORMATS
from mnist_exp.inference.exporting.parity import Parity
from mnist_exp.inspection import pictures
from mnist_exp.reports import html
from mnist_exp.reports.inspection import Table
from mnist_exp.runtime import backends, redacted_files
from mnist_exp.runtime.redaction import redact_record

SCHEMA = "mnist_exp.export/1"
PAGE, RECORD = ".html", ".json"  # behind the name of a quantized file
_ON_SCREEN, _ON_PAGE = 5, 200  # changed answers
_PER_OUTPUT = {"softmax": ", each row adds up to 1", "sigmoid": ", each from 0 to 1", "linear": ""}


def rows(exported: Exported, target: Path) -> dict[str, str]:
    """Return what the screen says: names and values."""
    cost, runtime = exported.cost, FORMATS[exported.form].runtime
    not_written = ", not written" if exported.why_not else ""
    made = exported.size if cost is None else cost.after.size
    found = {
        "run": f"{exported.run.run_id}, {wording.short_name(exported.run.name)}",
        "file": f"{target}, {made / 1e6:.3g} MB{not_written}",
        **_ends(exported),
        "parity": f"{_agreement(exported.parity)}; {exported.images.words()}",
    }
    if exported.own_parity is not None:
        found["precision"] = f"float32 here; against the 16 bits of the training: {_agreement(exported.own_parity)}"
    if cost is None:
        for n, there, here in exported.latencies:
            found[plural(n, "image")] = f"{there:.3g} ms in {runtime}, {here:.3g} ms in Keras (median)"
        return found
    found["parity"] = f"before it was quantized: {found['parity']}"
    found["quantized"] = quantization(exported)
    smaller = cost.after.size / cost.before.size
    found["size"] = f"{cost.after.size / 1e6:.3g} MB, {cost.before.size / 1e6:.3g} MB before: {smaller:.0%} of it"
    for n, (before, after) in _times(cost):
        found[plural(n, "image")] = (
            f"{after:.3g} ms in {runtime}, {before:.3g} ms before (median, {plural(THREADS, 'thread')})"
        )
    found[cost.metric.replace("_", " ")] = score(cost)
    found["drop"] = drop(cost, exported.max_drop)
    found["changed"] = _changes(cost)
    found["batches"] = batches(cost)
    if not exported.why_not:
        found["look"] = str(target.with_name(target.name + PAGE))
    return found


def quantization(exported: Exported) -> str:
    """Return how the model was quantized, in words."""
    assert exported.choice is not None and exported.cost is not None
    count = exported.cost.calibrated_on
    on = f", on {count:,} {_training(exported)}" if count else ""
    return f"{exported.choice}: {quantizing.MEANINGS[exported.choice]}{on}"


def score(cost: Cost) -> str:
    """Return the metric before and after with its intervals."""
    before, after = (
        f"{side.score:{_form(cost)}} ({side.interval.low:{_form(cost)}} to {side.interval.high:{_form(cost)}})"
        for side in (cost.before, cost.after)
    )
    return f"{after}, {before} before; 95 % intervals, on {cost.images:,} test images"


def drop(cost: Cost, max_drop: float | None) -> str:
    """Return what is lost, whether that may be chance, and what the test images cannot rule out."""
    return f"{_step(cost, cost.drop.value)}, {_evidence(cost, max_drop)}"


def _step(cost: Cost, value: float) -> str:
    if value == 0:
        return "none"
    better, worse = ("a fall", "a rise") if cost.metric == "mae" else ("a gain", "a drop")
    return f"{better if value < 0 else worse} of {abs(value):{_form(cost)}}"


def _sentence(cost: Cost, max_drop: float | None) -> str:
    does = f"{cost.change} by {abs(cost.drop.value):{_form(cost)}}" if cost.drop.value else "stays the same"
    return f"The {cost.metric.replace('_', ' ')} {does}, {_evidence(cost, max_drop)}."


def _evidence(cost: Cost, max_drop: float | None) -> str:
    found = cost.drop
    words = f"95 % interval from {_step(cost, found.low)} to {_step(cost, found.high)}"
    words += "; no test, as there is no spread" if found.test == "none" else f"; {found.test}: p = {found.p:.2g}"
    if found.only_before is not None:
        words += f"; {found.only_before:,} right only before, {found.only_after:,} only after"
    if max_drop is not None and found.value <= max_drop < found.high:
        words += f"; within --max-drop={max_drop:g}, but {cost.images:,} images do not show that all others are"
    return words


def batches(cost: Cost) -> str:
    """Return whether the answers depend on what is asked about together."""
    if not cost.depends_on_batch:
        return f"the same answers alone and {cost.batch_size} at a time, to {cost.batch_difference:.2g}"
    return (
        f"the answer for an image depends on those beside it: {cost.batch_size} at a time it differs by up to "
        f"{cost.batch_difference:.2g}, which changes {plural(len(cost.by_batch), 'label')}"
        f"{_listing(cost.by_batch)}. Ask about one image at a time; all figures here are of that"
    )


def plain(exported: Exported, target: Path) -> dict[str, Any]:
    """Return an export as values that JSON has; `results/schemas/export-1.json` says what they are."""
    dataset, cost = exported.images.dataset, exported.cost
    content: dict[str, Any] = redact_record(
        {
            "schema": SCHEMA,
            "run_id": exported.run.run_id,
            "format": exported.form,
            "quantize": exported.choice,
            "file": None if exported.why_not else str(target),
            "why_not_written": exported.why_not or None,
            "size": exported.size if cost is None else cost.after.size,
            "input": {
                "name": formats.input_name(dataset.pixels),
                "dtype": "float32",
                "shape": [None, *dataset.shape],
                "range": list(dataset.pixel_range) if dataset.pixel_range else None,
            },
            "output": {
                "name": formats.output_name(exported.form, dataset.task),
                "dtype": "float32",
                "shape": [None, dataset.outputs],
            },
            "data": {"name": dataset.name, "split": exported.images.split, "sha256": dataset.sha256},
            "parity": _parity(exported.parity),
            "own_parity": None if exported.own_parity is None else _parity(exported.own_parity),
            "times": [{"images": n, "ms": there, "keras_ms": here} for n, there, here in exported.latencies],
            "cost": None if cost is None else _cost(cost, exported.max_drop),
            "versions": versions(exported),
            "machine": provenance.environment()["cpu"],
            "command": provenance.command(),
        }
    )
    return content


def versions(exported: Exported) -> dict[str, str]:
    """Return the versions of what converts and reads the file."""
    return backends.versions(["mnist_exp", "tensorflow", "keras", *FORMATS[exported.form].packages])


def write(folder: Path, target: Path, exported: Exported) -> list[Path]:
    """Write the page and the record of a quantized export, and return their files.

    Args:
        folder: to write to.
        target: where the model will be.
        exported: with its cost.
    """
    cost = exported.cost
    assert cost is not None
    facts = plain(exported, target)
    record, page = folder / f"{target.name}{RECORD}", folder / f"{target.name}{PAGE}"
    redacted_files.write(record, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    listed = [
        ("Labels that changed", ("before", "after"), cost.changed),
        (f"Labels that change in a batch of {cost.batch_size}", ("alone", "in a batch"), cost.by_batch),
    ]
    html.write(
        folder,
        "exported.html.j2",
        ("page.css", "inspection.css"),
        file=page.name,
        title=f"{target.name}: run {exported.run.run_id[:8]} as {exported.form}, {exported.choice}",
        summary=f"{wording.short_name(exported.run.name)}; {quantization(exported)}",
        drop=_sentence(cost, exported.max_drop),
        is_worse=cost.drop.is_significant,
        batches=batches(cost),
        depends_on_batch=cost.depends_on_batch,
        table=_table(exported, cost),
        changes=[
            (name, when, len(changed), _pictured(exported, changed[:_ON_PAGE]))
            for name, when, changed in listed
            if changed
        ],
        notes=_notes(exported, cost),
        command=facts["command"],
    )
    return [page, record]


def _table(exported: Exported, cost: Cost) -> Table:
    form, sides = _form(cost), (cost.before, cost.after)
    found = [["size, MB", *(f"{side.size / 1e6:.3f}" for side in sides)]]
    found += [[f"{plural(n, 'image')} at a time, ms", *(f"{ms:.3g}" for ms in both)] for n, both in _times(cost)]
    found += [[cost.metric.replace("_", " "), *(f"{side.score:{form}}" for side in sides)]]
    intervals = [f"{side.interval.low:{form}} to {side.interval.high:{form}}" for side in sides]
    found += [["95 % interval", *intervals]]
    return Table("Before and after", ["", "float32", exported.choice or ""], found)


def _pictured(exported: Exported, changed: Sequence[Changed]) -> list[tuple[Changed, str]]:
    """Return changed answers with the picture of the image, which is empty where it cannot be shown."""
    images = exported.images
    shown = images.dataset.pictures(images.x[np.array([each.row for each in changed])])
    if shown is None:
        return [(each, "") for each in changed]
    return [(each, pictures.address(image)) for each, image in zip(changed, shown, strict=True)]


def _notes(exported: Exported, cost: Cost) -> list[str]:
    ends = [f"{name}: {words}" for name, words in _ends(exported).items()]
    used = ", ".join(f"{name} {version}" for name, version in versions(exported).items())
    return [
        *ends,
        f"Before it was quantized: {_agreement(exported.parity)}.",
        f"Largest difference of an output: {cost.difference:.3g}.",
        f"Times are medians, on {plural(THREADS, 'thread')} of {provenance.environment()['cpu']}; before and after "
        "took turns.",
        "The interval of the drop is Tango's score interval: every drop that a test on these pairs of answers, before "
        "and after, would not refute at 5 %. The test compares the same pairs."
        if cost.metric != "mae"
        else "The test and the interval are those of a paired t-test of the absolute errors.",
        used,
    ]


def _changes(cost: Cost) -> str:
    if cost.metric == "mae":
        return f"largest difference of a value {cost.difference:.3g}"
    which = f"{plural(len(cost.changed), 'label')}{_listing(cost.changed)}"
    return f"{which}; largest difference of a probability {cost.difference:.2g}"


def _listing(changed: Sequence[Changed]) -> str:
    listed = "; ".join(_words(each) for each in changed[:_ON_SCREEN])
    more = f"; and {len(changed) - _ON_SCREEN:,} more" if len(changed) > _ON_SCREEN else ""
    return f" ({listed}{more})" if listed else ""


def _words(each: Changed) -> str:
    part = "" if each.part is None else f" {wording.short_name(each.part)}"
    before, after, label = map(wording.short_name, (each.before, each.after, each.label))
    return f"row {each.row}{part}: {before} → {after}, is {label}"


def _ends(exported: Exported) -> dict[str, str]:
    dataset = exported.images.dataset
    shape = ", ".join(["n", *map(str, dataset.shape)])
    called, range_ = formats.output_name(exported.form, dataset.task), dataset.pixel_range
    values = f"raw, {pixels.words(range_)}" if range_ else "as the data set has them"
    return {
        "input": f"{formats.input_name(dataset.pixels)}, float32 ({shape}), {values}",
        "output": f"{called}, float32 (n, {dataset.outputs}){_PER_OUTPUT[dataset.task.activation]}",
    }


def _agreement(parity: Parity) -> str:
    ties = f" and {parity.ties} ties" if parity.ties else ""
    return (
        f"{parity.agreeing:,} of {parity.images:,} predictions equal to those of Keras{ties}; largest difference "
        f"{parity.difference:.2g}"
    )


def _training(exported: Exported) -> str:
    return f"training {wording.kind(exported.images.dataset.shape)}"


def _times(cost: Cost) -> list[tuple[int, tuple[float, float]]]:
    sizes = (1, cost.batch_size)
    return [(n, (before, after)) for n, before, after in zip(sizes, cost.before.ms, cost.after.ms, strict=True)]


def _form(cost: Cost) -> str:
    return ".6g" if cost.metric == "mae" else ".4f"


def _parity(parity: Parity) -> dict[str, Any]:
    difference = parity.difference if math.isfinite(parity.difference) else None
    return dataclasses.asdict(parity) | {"difference": difference, "agrees": parity.is_kept}


def _cost(cost: Cost, max_drop: float | None) -> dict[str, Any]:
    facts = dataclasses.asdict(cost) | {"max_drop": max_drop, "threads": THREADS}
    for name in ("before", "after"):
        alone, together = facts[name].pop("ms")
        facts[name] |= {"ms_alone": alone, "ms_batch": together}
    return facts
