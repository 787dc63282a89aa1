"""How often a report claims a difference that does not exist: runs that differ only by their seeds, split at random.

    python benchmarks/false_positives.py --runs 60 --splits 2000 [--values values.json]

Trains small models on the bundled digits, one configuration with one seed after the other, then deals the runs at
random into "configurations", many times, and asks the report's own comparison. Any claim is false; at least one claim
on a page should come 5 times of 100 or less. Beside it, what other rules would claim: no correction; the best one
against each other, corrected for these comparisons alone; and McNemar's test between two models, which answers another
question. With --values the trained values are kept in, or read from, a file.
"""

import argparse
import io
import itertools
import json
import random
from pathlib import Path

import numpy as np
from rich.console import Console

RUN = ["data=mnist_5k", "data.limit=600", "data.validation=0.2", "model.filters=4", "model.dense_units=16"]
RUN += ["trainer.epochs=2", "trainer.batch_size=50", "tracking=none"]
METRICS = ("objective", "test_accuracy", "test_loss")
DEALS = [(2, 3), (2, 5), (2, 10), (4, 5), (6, 5), (12, 5)]  # configurations, seeds of each


def train(runs: int) -> dict[str, list]:
    """Return the metrics of runs with seeds 1, 2, …, and which test images each run classified correctly."""
    from mnist_exp import compose, data
    from mnist_exp.evaluation import predictions
    from mnist_exp.experiment import runner
    from mnist_exp.runtime.terminal import Screen

    screen = Screen()
    screen.out = Console(file=io.StringIO())
    values: dict[str, list] = {name: [] for name in (*METRICS, "right")}
    for seed in range(1, runs + 1):
        settings = compose([*RUN, f"seed={seed}"])
        result = runner.run(settings, screen)
        for name in METRICS:
            values[name].append(result.metrics[name])
        test = data.load(settings)
        read = predictions.of(result.model.predict(test.x_test, verbose=0), test.y_test)
        values["right"].append((read.labels == read.predicted).astype(int).tolist())
        print(f"run {seed} of {runs}: {result.metrics['objective']:.4f}", flush=True)
    return values


def deal(values: list[float], configurations: int, seeds: int, *, paired: bool, chance: random.Random) -> list[dict]:
    """Deal values into configurations, with common seeds (paired) or with different ones."""
    cards = chance.sample(values, configurations * seeds)
    groups = [cards[i * seeds : (i + 1) * seeds] for i in range(configurations)]
    return [{str(i if paired else (place, i)): v for i, v in enumerate(group)} for place, group in enumerate(groups)]


def claims(groups: list[dict], sign: int) -> tuple[bool, bool, bool]:
    """Tell which rules claim a difference: the report's, no correction, and a correction for the best one alone."""
    from mnist_exp.evaluation import statistical_tests

    compared = statistical_tests.compare_all(groups)
    raw = [1.0 if c.p is None else c.p for c in compared.values()]
    best = max(range(len(groups)), key=lambda i: sign * np.mean([*groups[i].values()]))
    with_best = [1.0 if c.p is None else c.p for pair, c in compared.items() if best in pair]
    report = any(c.is_significant for c in compared.values())
    return report, min(raw) < 0.05, min(statistical_tests.holm(with_best)) < 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--splits", type=int, default=2000, help="of each kind")
    parser.add_argument("--values", type=Path, help="JSON file")
    options = parser.parse_args()
    if options.values and options.values.exists():
        values = json.loads(options.values.read_text())
    else:
        values = train(options.runs)
        if options.values:
            options.values.write_text(json.dumps(values))
    runs = len(values["objective"])
    for name in METRICS:
        print(f"{name}: {np.mean(values[name]):.4f} ± {np.std(values[name], ddof=1):.4f} over {runs} seeds")
    print("\nshare of pages with at least one claim, all of them false")
    head = f"{'metric':<14} {'test':<7} {'configurations':>14} {'seeds':>6}"
    print(f"{head} {'report':>8} {'uncorrected':>12} {'best alone':>11}")
    for name, (configurations, seeds), paired in itertools.product(METRICS, DEALS, (False, True)):
        if configurations * seeds > runs:
            continue
        chance = random.Random(f"{name} {configurations} {seeds} {paired}")
        sign = -1 if name == "test_loss" else 1
        splits = max(options.splits // max(configurations // 4, 1), 1)
        deals = (deal(values[name], configurations, seeds, paired=paired, chance=chance) for _ in range(splits))
        found = np.mean([claims(groups, sign) for groups in deals], axis=0)
        test = "paired" if paired else "Welch"
        shares = f"{found[0]:>8.1%} {found[1]:>12.1%} {found[2]:>11.1%}"
        print(f"{name:<14} {test:<7} {configurations:>14} {seeds:>6} {shares}", flush=True)

    from mnist_exp.evaluation import statistical_tests

    right = np.array(values["right"], bool)
    pairs = list(itertools.combinations(range(runs), 2))
    differ = np.mean([statistical_tests.mcnemar(right[i], right[j]).p < 0.05 for i, j in pairs])
    print(f"\nMcNemar's test between two runs that differ by the seed: p < 0.05 in {differ:.1%} of {len(pairs)} pairs")


if __name__ == "__main__":
    main()
