"""How often searches and grids on noise alone claim a winner: the labels are shuffled, so no configuration is better.

    python benchmarks/noise_claims.py --points 40 --deals 2000 --sweeps 6 [--values values.json]

Trains small models on bundled digits whose labels are shuffled: so many points of a space, each with five seeds. Then
it deals these points at random into searches, many times: the race of `sweep.seeds` itself decides which seed of which
point is next, and the comparison of the sweep's own verdict what is claimed. The same for grids, and for made-up noise.
Any claim is false. Beside it, what the same tests would claim without the correction, of a search with its first seed.

Then it measures the expected luck of the best (`expected_optimism`) on digits with true labels: points are dealt into
searches, the best is chosen by 200 validation images, and how much it loses on 1,000 test images, more than all points
do, is compared with what was expected. Then how good the chosen points are with and without a race, by made-up values.
At last real sweeps from end to end, by the command, on shuffled labels, whose verdict is read.
"""

import argparse
import functools
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

SEEDS = 5
DIGITS = ["data=mnist_5k", "data.limit=600", "data.validation=200", "model=mlp", "model.hidden_units=[16]"]
DIGITS += ["trainer.epochs=2", "trainer.batch_size=50"]
SMALL = ["data=mnist_5k", "data._target_=shuffled_digits.shuffled", "trusted_modules=[shuffled_digits]"]
SMALL += ["data.limit=400", "data.validation=0.5", "model=mlp", "model.hidden_units=[8]"]
SMALL += ["trainer.epochs=1", "trainer.batch_size=50"]
LOADER = '''"""The bundled digits with shuffled labels."""
import numpy as np
from mnist_exp.data import loaders

def shuffled():
    (x_train, y_train), (x_test, y_test) = loaders.mnist_5k().train, loaders.mnist_5k().test
    chance = np.random.default_rng(5)
    return (x_train, chance.permutation(y_train)), (x_test, chance.permutation(y_test))
'''
CLAIM = re.compile(r" is (better|worse) than ")


def train(points: int) -> dict[str, list[list[float]]]:
    """Return the objective of each point with each seed on shuffled labels; of others with one, on true ones, and test.

    A pair of these is a point's validation and test accuracy.
    """
    from mnist_exp import compose, data
    from mnist_exp.experiment import runner
    from mnist_exp.experiment.record import Job
    from mnist_exp.runtime.terminal import Screen

    screen = Screen()
    screen.out = screen.err = Console(file=io.StringIO())
    jobs = {kind: Job(dataset=data.load(compose(words))) for kind, words in (("noise", SMALL), ("digits", DIGITS))}
    chance, noise, digits = np.random.default_rng(0), [], []
    for point in range(points):
        dropout, rate = chance.uniform(0, 0.5), 10 ** chance.uniform(-3, -2)
        drawn = [f"model.dropout={dropout:.3f}", f"optimizer.learning_rate={rate:.2e}", "tracking=none"]
        settings = [compose([*SMALL, *drawn, f"seed={seed}"]) for seed in range(7, 7 + SEEDS)]
        noise.append([runner.run(each, screen, jobs["noise"]).objective for each in settings])
        result = runner.run(compose([*DIGITS, *drawn]), screen, jobs["digits"])
        digits.append([result.objective, result.metrics["test_accuracy"]])
        print(f"point {point + 1} of {points}: {np.round(noise[-1], 3)}, {np.round(digits[-1], 3)}", flush=True)
    return {"noise": noise, "digits": digits}


def luck(digits: list[list[float]], deals: int, chance) -> None:
    """Print how much the best of some points is expected to lose, and loses."""
    from mnist_exp.evaluation import selection

    validated, tested = np.array(digits).T
    offset = np.mean(validated - tested)
    print(f"\nluck of the best by 200 images, {len(digits)} points on digits: {np.mean(validated):.4f} validated")
    print(f"{'of':<6} {'expected':>10} {'measured':>10}")
    for count in (5, 10, 20):
        rows = []
        for _ in range(deals):
            which = chance.permutation(len(digits))[:count]
            values = validated[which]
            best = int(values.argmax())
            told = selection.expected_optimism(values, selection.errors_of_shares(values, 200), best)
            rows.append((told, values[best] - tested[which][best] - offset))
        told, true = np.mean(rows, axis=0)
        print(f"{count:<6} {told:>10.4f} {true:>10.4f}", flush=True)


def search(value, points: int, budget: int, workers: int, chance) -> dict[int, dict[int, float]]:
    """Return the values by point and seed of a search whose race the package's own rule decides."""
    from mnist_exp.search.race import Race

    done, busy, begun, new = {}, [], 0, itertools.count()
    while begun < budget or busy:
        while begun < budget and len(busy) < workers:
            step = Race(range(SEEDS), done, frozenset(busy)).next(budget, budget - begun) or (next(new) % points, 0)
            busy.append(step)
            begun += 1
        point, seed = busy.pop(chance.integers(len(busy)))
        done.setdefault(point, {})[seed] = value(point, seed)
    return done


def claims(done: dict[int, dict[int, float]]) -> tuple[bool, bool]:
    """Tell whether a race claims a winner, and whether it would without the correction and with the first seed."""
    from mnist_exp.evaluation import statistical_tests
    from mnist_exp.search.race import seeds_of_final

    most = seeds_of_final([*map(len, done.values())])
    final = [{str(seed): value for seed, value in values.items()} for values in done.values() if len(values) >= most]
    fresh = [{seed: value for seed, value in values.items() if seed != "0"} for values in final]
    rule, plain = (statistical_tests.compare_all(each).values() for each in (fresh, final))
    return any(c.is_significant for c in rule), any(c.p is not None and c.p < 0.05 for c in plain)


def grid_claims(values, configurations: int, chance) -> tuple[bool, bool]:
    """Tell the same of a grid of so many configurations with all seeds."""
    from mnist_exp.evaluation import statistical_tests

    grid = [{str(seed): values(point, seed) for seed in range(SEEDS)} for point in range(configurations)]
    found = statistical_tests.compare_all(grid).values()
    return any(c.is_significant for c in found), any(c.p is not None and c.p < 0.05 for c in found)


def wilson(count: int, of: int) -> str:
    from scipy import stats

    ends = stats.binomtest(count, of).proportion_ci(method="wilson")
    return f"{count / of:.1%} (95 % interval {ends.low:.1%} to {ends.high:.1%})"


def made_up(kind: str, chance):
    """Return noise of a kind, in which a seed does the same to all points."""
    luck = chance.normal(size=SEEDS)
    drawn = {"normal": chance.normal, "heavy tails": lambda: chance.standard_t(3)}

    def value(_: int, seed: int) -> float:
        return luck[seed] + drawn[kind]() if kind in drawn else chance.binomial(200, 0.1) / 200

    return value


def share(name: str, draws) -> None:
    found = np.array([*draws])
    print(f"{name:<46} {wilson(int(found[:, 0].sum()), len(found)):<42} {found[:, 1].mean():>8.1%}", flush=True)


def dealt(values, points: int, chance):
    which = chance.permutation(len(values))[:points]
    return lambda point, seed: values[which[point]][seed]


def real_sweeps(count: int, folder: Path) -> None:
    """Run searches and grids by the command, on shuffled labels, and read their verdicts."""
    (folder / "shuffled_digits.py").write_text(LOADER)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    found = 0
    for number in range(count):
        how = [f"sweep.seed={number}", f"seed={100 + 10 * number}", "hydra.launcher.n_workers=2"]
        swept = ["model.dropout=interval(0,0.7)", "sweep.n_trials=12", "sweep.seeds=4"]
        if number % 2:
            swept, how = ["model.dropout=0.1,0.3,0.5", "sweep.seeds=4"], how[1:]
        command = [sys.executable, "-m", "mnist_exp.run", "--json", "-m", *SMALL, *swept, *how]
        out = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
        document = json.loads(out)
        verdict = document["tags"]["mnist_exp.verdict"]
        found += bool(CLAIM.search(verdict))
        print(
            f"sweep {number + 1} of {count}: {document['counts']['done']} jobs; {verdict.splitlines()[1]}", flush=True
        )
    print(f"real sweeps from end to end that claim a winner: {found} of {count}")


def _value_of(true, noise: float, chance, point: int, _: int) -> float:
    return true[point] + noise * chance.normal()


def regret(chance, searches: int = 2000) -> None:
    """Print how far the chosen point is below the best possible choice, in standard deviations of the points."""
    print("\nhow good the chosen point is, of 20 trials (in standard deviations of the points' true values)")
    print(f"{'noise of a run':<16} {'one seed, 20 points':>20} {'sweep.seeds=5':>14} {'five seeds, 4 points':>21}")
    for noise in (0.3, 1.0, 2.0):
        rows = []
        for _ in range(searches):
            true = chance.normal(size=20)
            value = functools.partial(_value_of, true, noise, chance)
            single = true[np.argmax([value(point, 0) for point in range(20)])]
            done = search(value, 20, 20, 1, chance)
            most = max(len(v) for v in done.values())
            final = {point: np.mean([*v.values()]) for point, v in done.items() if len(v) == most}
            four = true[np.argmax([np.mean([value(point, s) for s in range(5)]) for point in range(4)])]
            rows.append((single, true[max(final, key=lambda point: final[point])], four))
        one, raced, all_of_few = np.mean(rows, axis=0)
        print(f"{noise:<16} {one:>20.2f} {raced:>14.2f} {all_of_few:>21.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--deals", type=int, default=2000, help="searches of each kind")
    parser.add_argument("--sweeps", type=int, default=6, help="real ones, from end to end")
    parser.add_argument("--values", type=Path, help="JSON file that keeps the trained values")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shuffled_digits.py").write_text(LOADER)
        sys.path.insert(0, str(folder))
        if options.values and options.values.exists():
            kept = json.loads(options.values.read_text())
        else:
            kept = train(options.points)
            if options.values:
                options.values.write_text(json.dumps(kept))
        values = kept["noise"]
        spread = np.std(np.array(values) - np.mean(values, axis=0), ddof=1)
        print(f"\n{len(values)} points × {SEEDS} seeds: {np.mean(values):.4f} ± {spread:.4f} without what seeds share")
        chance = np.random.default_rng(1)
        print(f"\n{'share that claims a winner':<46} {'the rule':<42} {'without':>8}")
        deal = functools.partial(dealt, values, chance=chance)
        deals, points = range(options.deals), len(values)
        share("search, 20 trials, one worker", (claims(search(deal(20), 20, 20, 1, chance)) for _ in deals))
        share("search, 20 trials, four workers", (claims(search(deal(20), 20, 20, 4, chance)) for _ in deals))
        share(f"search, {points} trials", (claims(search(deal(points), points, points, 2, chance)) for _ in deals))
        share("grid, 4 configurations × 5 seeds", (grid_claims(deal(4), 4, chance) for _ in deals))
        share("grid, 8 configurations × 5 seeds", (grid_claims(deal(8), 8, chance) for _ in range(options.deals // 4)))
        for kind in ("normal", "heavy tails", "200 images"):
            made = (claims(search(made_up(kind, chance), 1000, 20, 2, chance)) for _ in deals)
            share(f"search, 20 trials, made-up noise: {kind}", made)
        luck(kept["digits"], 500, chance)
        regret(chance)
        if options.sweeps:
            print()
            real_sweeps(options.sweeps, folder)


if __name__ == "__main__":
    main()
