"""What the tags and the description of a parent run say of its sweep."""

import json
from types import SimpleNamespace

import pytest
from real_runs import SMALL, Running, client_of

from mnist_exp.sweeps.outcome import configurations
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.record import conclusion, description
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

GRID = ["-m", *SMALL, "data.limit=300", "trainer.epochs=1", "data.validation=0.2", "model.filters=1,4"]


def said(*words):
    """Run a sweep to its end, and return what it printed."""
    running = Running("mnist_exp.run", *words)
    running.end_with(0)
    return "\n".join(running.out)


def jobs(*scores, objective="val_accuracy"):
    """Return rows and runs of jobs with these options, seeds and scores."""
    rows, runs = [], []
    for number, (filters, seed, score) in enumerate(scores):
        run_id = f"{number:032x}"
        values = {"model.filters": filters, "seed": seed}
        name = f"filters={filters} seed={seed}"
        rows.append(Row(name, values, outcome="done", run_id=run_id, objective=score, command=f"run seed={seed}"))
        params = {"objective": objective, "data.validation": "0.1", **values}
        facts = ("mnist_exp", "FINISHED", params, {"objective": score}, {names.DATA_SHA256: "d"}, "sqlite:///x.db")
        runs.append(StoredRun(run_id, name, *facts, started_ms=number))
    return sorted(rows, key=lambda row: -row.objective), runs


def outcome(ranked, keys=("model.filters", "seed"), described=None, within_chance=""):
    settings = SimpleNamespace(objective="val_accuracy", tracking=SimpleNamespace(description=described))
    plan = SimpleNamespace(settings=settings, space=SimpleNamespace(keys=list(keys)))
    return SimpleNamespace(
        plan=plan, ranked=ranked, objective="val_accuracy", how=SimpleNamespace(minimize_too=None),
        parent="f" * 32, within_chance=within_chance, front=[],
        configurations=configurations.by_mean(ranked, keys, "maximize"),
    )  # fmt: skip


def test_several_seeds_have_a_best_configuration_and_its_interval():
    ranked, runs = jobs(("4", "1", 0.9), ("4", "2", 0.92), ("8", "1", 0.5), ("8", "2", 0.95))
    found = conclusion.tags(ranked, runs, "val_accuracy", "maximize")
    assert found[names.BEST_CONFIGURATION] == "filters=4"
    low, high = json.loads(found[names.BEST_INTERVAL])
    assert low < 0.91 < high
    assert found[names.BEST_RUN] == ranked[0].run_id != runs[0].run_id, "the best job is of the other configuration"
    first, second = found[names.VERDICT].splitlines()
    assert first.startswith("filters=4 has the best mean of the 2 configurations: val_accuracy 0.9100")
    assert "do not differ significantly" in second


def test_final_of_a_race_is_compared_without_the_seed_that_chose_it():
    lucky = [("2", "7", 0.99)]
    final = [("4", seed, score) for seed, score in zip("789", (0.9, 0.911, 0.921), strict=True)]
    final += [("8", seed, score) for seed, score in zip("789", (0.1, 0.901, 0.910), strict=True)]
    found = conclusion.tags(*jobs(*lucky, *final), "val_accuracy", "maximize", "7")
    assert found[names.BEST_CONFIGURATION] == "filters=4"
    first, second, third = found[names.VERDICT].splitlines()
    assert first.startswith("filters=4 has the best mean of the 2 in the final of the race: val_accuracy 0.9107")
    assert second.startswith("filters=4 is better than filters=8 (difference 0.0105")
    assert third == (
        "The 2 configurations of the race's final are compared on the seeds after the first (7), which chose them. "
        "Nothing is claimed of the other one, which left the race with fewer seeds."
    )


def test_one_seed_allows_no_conclusion_and_says_so():
    ranked, runs = jobs(("4", "1", 0.9), ("8", "1", 0.5))
    found = conclusion.tags(ranked, runs, "val_accuracy", "maximize")
    assert set(found) == {names.VERDICT, names.BEST_RUN}
    assert "it is unknown which of the 2 configurations is best" in found[names.VERDICT]


@pytest.mark.parametrize("missing", [0, 2])
def test_nothing_is_concluded_from_a_part_of_the_jobs(missing):
    ranked, runs = jobs(("4", "1", 0.9), ("8", "1", 0.5))
    assert conclusion.tags(ranked if missing else [], runs[missing:], "val_accuracy", "maximize") == {}


def test_description_has_verdict_links_leaderboard_and_picture():
    ranked, runs = jobs(*((filters, seed, 0.9) for filters in ("4", "8") for seed in "123"))
    concluded = conclusion.tags(ranked, runs, "val_accuracy", "maximize")
    text = description.note(outcome(ranked, described="mine, *as it is*"), concluded, "7")
    parts = text.split("\n\n")
    assert parts[:2] == ["mine, *as it is*", "**What may be concluded**"]
    assert parts[2].startswith("- ")
    assert parts[3].startswith("Best of 2 configurations: filters=4: mean val\\_accuracy 0.9000 ± 0.0000 over 3 seeds")
    assert parts[4] == "    run seed=1"
    head, rule, *lines = parts[5].split("\n")
    assert head == r"| rank | filters | seeds | val\_accuracy | ± std | 95 % interval | test\_accuracy |"
    assert rule == "| --- | --- | --- | --- | --- | --- | --- |"
    assert len(lines) == 2
    assert parts[6] == f"![heat map](get-artifact?path=heat_map.png&run_uuid={'f' * 32})"


def test_description_of_one_seed_names_its_jobs():
    ranked, runs = jobs(("4", "1", 0.9), ("8", "1", 0.5))
    text = description.note(outcome(ranked), conclusion.tags(ranked, runs, "val_accuracy", "maximize"), "7")
    assert f"Best of 2: [filters=4 seed=1](#/experiments/7/runs/{ranked[0].run_id})" in text
    assert r"| rank | filters | seed | val\_accuracy | test\_accuracy | epochs | run |" in text


def test_description_shows_names_as_they_are():
    row = Row("a=<b>|*[x](y)*\n# z", {"m.a": "<img src=x>|`c`"}, outcome="done", run_id="0" * 32, objective=0.5)
    text = description.note(outcome([row], keys=["m.a"]), {names.VERDICT: "<script> wins"}, "1")
    assert "<script>" not in text and "<img" not in text and "<b>" not in text
    assert r"[a=&lt;b&gt;\|\*\[x\](y)\* # z](#/experiments/1/runs/" in text
    assert r"| 1 | &lt;img src=x&gt;\|\`c\` |" in text


def test_description_of_any_length_fits_into_a_tag():
    values = {f"model.option_{number}": "x" * 300 for number in range(30)}
    rows = [Row("n" * 900, values, command="c" * 9000, outcome="done", run_id=f"{i:032x}", objective=0.5)
            for i in range(40)]  # fmt: skip
    text = description.note(outcome(rows, keys=[*values]), {names.VERDICT: "v" * 3000}, "1")
    assert len(text) < 8000
    assert text.startswith("**What may be concluded**")


@pytest.mark.slow
def test_extended_sweep_concludes_anew(alone):
    def parents():
        found = client_of().search_runs(["1"], f"tags.`{names.SWEEP}` LIKE '%'")
        return {each.info.run_id: each.data for each in found}

    (first,) = (said(*GRID), parents())[1].items()
    assert "unknown which of the 2" in first[1].tags[names.VERDICT]
    assert names.BEST_CONFIGURATION not in first[1].tags
    printed = said(*GRID, "seed=1,7")
    assert "verdict " in printed
    (run_id,) = parents().keys() - {first[0]}
    tags = parents()[run_id].tags
    assert tags[names.BEST_CONFIGURATION] in ("filters=1", "filters=4")
    best, second = tags[names.VERDICT].split("\n")[:2]
    assert second in printed and best not in printed
    assert f"{tags[names.BEST_CONFIGURATION]}: mean val_accuracy" in printed
    assert "means over the seeds" in printed
    assert client_of().get_run(tags[names.BEST_RUN]).data.metrics["objective"] == max(
        each.data.metrics["objective"] for each in client_of().search_runs(["1"]) if "objective" in each.data.metrics
    )
    # An older version recorded no conclusion: it is added when the sweep is issued again, and nothing is run.
    client_of().delete_tag(run_id, names.VERDICT)
    assert "4 of them done before" in said(*GRID, "seed=1,7")
    assert parents()[run_id].tags[names.VERDICT] == tags[names.VERDICT]
