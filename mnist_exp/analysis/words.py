"""What mattered, in sentences."""

from collections.abc import Sequence

from mnist_exp.analysis.effects import Effect
from mnist_exp.analysis.mattered import PREDICTED, Mattered
from mnist_exp.config.wording import metric
from mnist_exp.search.space import brief, short_names

_LEAST_SHARE = 0.02
_MOST_NAMED = 4


def lines(found: Mattered) -> dict[str, str]:
    """Return the lines of a summary, by their names."""
    said = {"mattered": importance(found)}
    if found.path:
        said["path"] = path(found)
    if found.more is not None:
        said["more"] = more(found)
    return said


def importance(found: Mattered) -> str:
    """Return which options mattered, and which no more than chance."""
    names = _names(found)
    if len(found.effects) == 1:
        (only,) = found.effects
        told = f"{name(only, names)} moves the objective by {metric(only.size)}"
        if found.noise is not None:
            less = ", which chance may do" if only.is_noise else ""
            told += f"{less}; chance is {metric(found.noise.std)} a run ({found.noise.words})"
        return told
    large = [effect for effect in found.effects if not effect.is_noise and effect.share >= _LEAST_SHARE]
    parts = [f"{name(effect, names)} {effect.share:.0%}{where(effect)}" for effect in large[:_MOST_NAMED]]
    told = f"{', '.join(parts)} of the variance" if parts else "no option more than chance"
    by_chance = [name(effect, names) for effect in found.effects if effect.is_noise and len(effect.options) == 1]
    if by_chance and parts:
        told += f"; within chance: {', '.join(by_chance)}"
    if found.method == PREDICTED:
        told += f" (by a forest of {found.runs} runs, which explains {found.fit:.0%} of runs it has not seen)"
    elif found.noise is None:
        told += "; what is chance only seeds can tell: add seed=1,2,3"
    return told


def path(found: Mattered) -> str:
    """Return the path from the defaults to the best point."""
    names = _names(found)
    start, *steps = found.path
    if not steps:
        return f"the defaults are the best, {metric(start.objective)}"
    now, parts = start.objective, [f"defaults {metric(start.objective)}"]
    for step in steps:
        parts.append(f"{names[step.option]}={brief(step.value)} {step.objective - now:+.4f}")
        now = step.objective
    return f"{' → '.join(parts)} → best {metric(now)}" + (", all predicted" if found.method == PREDICTED else "")


def more(found: Mattered) -> str:
    """Return whether more trials would help."""
    said = found.more
    assert said is not None
    if said.chance is not None:
        told = (
            f"{said.trials} more trials like these find a better one with a probability of {said.chance:.0%}, and gain "
            f"{metric(said.gain)} at the most on average"
        )
    else:
        told = f"the second half of the trials gained {metric(said.gain)}"
    if found.noise is None:
        return told
    std = found.noise.std
    hint = ": more seeds of the best say more than more trials" if said.gain < std else ""
    return f"{told}; chance alone is {metric(std)} ({found.noise.words}){hint}"


def name(effect: Effect, names: dict[str, str]) -> str:
    """Return the name of an effect: `filters × dropout`."""
    return " × ".join(names[option] for option in effect.options)


def _names(found: Mattered) -> dict[str, str]:
    return short_names(options(found))


def options(found: Mattered) -> Sequence[str]:
    """Return the options that were looked at."""
    return list(dict.fromkeys(option for effect in found.effects for option in effect.options))


def where(effect: Effect) -> str:
    """Return to how many runs the options of an effect apply, if not to all."""
    return "" if effect.applies_to is None else f" (of the {effect.applies_to} runs that have it)"
