"""The reference of the record: every param, metric and tag, from the one table that the code takes its names from."""

from generate.markdown import code, prose, table
from mnist_exp.tracking import names

_WHEN = {
    "epoch": ("Metrics of each epoch", "The step is the epoch, from 1."),
    "end": ("Metrics of the end", "Logged once; the step is the last epoch."),
    "sweep": ("Metrics of a sweep", "On the parent run, at the end of the sweep."),
    "evaluation": ("Metrics of an evaluation", "`evaluate --log` adds them to a finished run."),
}
_BETTER = {"yes": "more", "no": "less", "": ""}


def text() -> str:
    """Return metrics by the moment they are logged at, then tags, then params."""
    rows = names.rows()
    parts = []
    for moment, (title, words) in _WHEN.items():
        found = [row for row in rows if row["kind"] == "metric" and row["when"] == moment]
        cells = [[code(r["name"]), r["unit"], _BETTER[r["more_is_better"]], _meaning(r)] for r in found]
        parts += [f"## {title}\n", f"{words}\n", table(("metric", "unit", "better is", "meaning"), cells)]
    tags = [[code(r["name"]), r["unit"], r["when"], _meaning(r)] for r in rows if r["kind"] == "tag"]
    parts += ["## Tags\n", table(("tag", "form", "set", "meaning"), tags)]
    params = [[code(r["name"]), _meaning(r)] for r in rows if r["kind"] == "param"]
    parts += [
        "## Params\n",
        "Every option of the run is a param, named by dots as on the command line: [Options](options.md) has them all. "
        "These are the ones that the program itself reads again, or that are no options:\n",
        table(("param", "meaning"), params),
    ]
    return "\n".join(parts)


def _meaning(row: dict[str, str]) -> str:
    condition = f" Only if {row['only_if']}." if row["only_if"] else ""
    return prose(row["meaning"] + condition)
