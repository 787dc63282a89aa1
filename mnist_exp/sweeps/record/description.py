"""The description of a sweep's parent run, which MLflow's page renders: verdict, best job, leaderboard, picture."""

import html
import re
from collections.abc import Mapping, Sequence

from mnist_exp.sweeps.outcome import configurations, leaderboard
from mnist_exp.sweeps.outcome.outcome import Outcome
from mnist_exp.tracking import names

_MOST_NOTED = (10, 3, 1)  # rows, as many as the length allows
_LONGEST = 7900  # characters: MLflow keeps 8,000 of a tag
_LONGEST_COMMAND = 1500
_MARKS = re.compile(r"([\\`*_\[\]|~])")


def note(outcome: Outcome, concluded: Mapping[str, str], experiment_id: str) -> str:
    """Return the description, Markdown; empty if no job is done.

    Args:
        outcome: of the sweep.
        concluded: the tags of the conclusion; see `conclusion.tags`.
        experiment_id: of the sweep's runs.
    """
    settings, ranked = outcome.plan.settings, outcome.ranked
    if not ranked:
        return ""
    best, runs_at = ranked[0], f"#/experiments/{experiment_id}/runs"
    head = [settings.tracking.description] if settings.tracking.description else []
    if text := concluded.get(names.VERDICT):
        head += ["**What may be concluded**", "\n".join(f"- {_plain(sentence)}" for sentence in text.splitlines())]
    if means := outcome.configurations:
        best = means[0].jobs[0]
        words = _plain(means[0].words(settings.objective))
        run = _run(best.name, best.run_id, runs_at)
        head.append(f"Best of {len(means)} configurations: {words}; one of its runs is {run}:")
    else:
        head.append(f"Best of {len(ranked)}: {_run(best.name, best.run_id, runs_at)}, "
                    f"{_plain(settings.objective)} {best.objective:.4f} (run {best.run_id})")  # fmt: skip
    if sentence := leaderboard.front_in_words(outcome.front, outcome.objective, outcome.how.minimize_too):
        head.append(f"Front: {_plain(sentence)}.")
    if len(best.command) <= _LONGEST_COMMAND:
        head.append(f"    {best.command}")
    if names.BEST_CONFIGURATION not in concluded and (close := outcome.within_chance):
        head.append(f"Chance: {_plain(close)}.")
    for rows in _MOST_NOTED:
        board = _means(outcome, rows) if outcome.configurations else _board(outcome, rows, runs_at)
        text = "\n\n".join([*head, board, *_picture(outcome)])
        if len(text) <= _LONGEST:
            return text
    return "\n\n".join(head)[:_LONGEST]


def _board(outcome: Outcome, most: int, runs_at: str) -> str:
    """Return the best jobs as a table whose names of runs lead to their pages; without times, which differ."""
    rows, minimized = outcome.ranked[:most], outcome.how.minimize_too
    head, lines = leaderboard.table(rows, outcome.plan.space.keys, outcome.objective, minimized)
    kept = [place for place, name in enumerate(head) if name not in ("time", "run")]
    cells = [[_plain(line[place]) for place in kept] for line in lines]
    for row, line in zip(rows, cells, strict=True):
        marked = " \\*" if row.by_other_code else ""
        line.append(_run((row.run_id or "-")[:8], row.run_id, runs_at) + marked)
    return _marked([*(_plain(head[place]) for place in kept), "run"], cells)


def _means(outcome: Outcome, most: int) -> str:
    """Return the best configurations as a table, without times, which differ."""
    head, lines = configurations.table(outcome.configurations[:most], outcome.plan.space.keys, outcome.objective)
    return _marked([_plain(name) for name in head[:-1]], [[_plain(text) for text in line[:-1]] for line in lines])


def _marked(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown of cells that are Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def _picture(outcome: Outcome) -> list[str]:
    """Return the picture that says most, which the parent run has as a file."""
    done, keys = outcome.ranked, outcome.plan.space.keys
    if outcome.how.minimize_too:
        name = "pareto_front.png"
    elif leaderboard.grid_options(done, keys) is not None:
        name = "heat_map.png"
    elif leaderboard.varied(done, keys):
        name = "objective_by_option.png"
    else:
        return []
    title = name.removesuffix(".png").replace("_", " ")
    return [f"![{title}](get-artifact?path={name}&run_uuid={outcome.parent})"]


def _run(text: str, run_id: str | None, runs_at: str) -> str:
    return _plain(text) if run_id is None else f"[{_plain(text)}]({runs_at}/{run_id})"


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line."""
    return _MARKS.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))
