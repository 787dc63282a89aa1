"""A path from one point to another, one option at a time, the most useful first.

Source: Fawcett & Hoos 2016, Analysing differences between algorithm configurations through ablation.
"""

from collections.abc import Callable, Sequence

from mnist_exp.analysis.effects import Step

Predict = Callable[[Sequence[str]], float]


def between(
    start: Sequence[str],
    end: Sequence[str],
    keys: Sequence[str],
    predict: Predict,
    *,
    maximize: bool,
) -> list[Step]:
    """Return the path: its start, and a step for each option that differs.

    Args:
        start: values of the options.
        end: values of the options.
        keys: the options.
        predict: returns the objective of a point.
        maximize: whether more of it is better.
    """
    now = list(start)
    steps = [Step("", "", predict(now))]
    left = [i for i in range(len(keys)) if start[i] != end[i]]
    sign = 1 if maximize else -1
    while left:
        reached = {i: predict([*now[:i], end[i], *now[i + 1 :]]) for i in left}
        chosen = max(left, key=lambda i: sign * reached[i])
        now[chosen] = end[chosen]
        steps.append(Step(keys[chosen], end[chosen], reached[chosen]))
        left.remove(chosen)
    return steps
