"""Learning curves as a drawing in a notebook: quick to make, since it is made anew while the training runs."""

import html
import math
from collections.abc import Mapping, Sequence

from mnist_exp.config import wording
from mnist_exp.tracking import names

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 330, 190, 52, 22, 22  # of one panel, and its margins, in pixels
_MOST_POINTS = 200  # of one curve: more cannot be told apart
# Blue and orange, which all eyes tell apart, on white and on black.
_COLOURS = ("#3b82c4", "#d9730d")
_STYLE = "max-width:100%;font:12px system-ui,sans-serif;fill:currentColor"


def svg(history: Mapping[str, Sequence[float]], epochs: int) -> str:
    """Return the curves of the losses, and of the first metric that is both trained and validated, as SVG.

    Args:
        history: each metric's values, epoch by epoch.
        epochs: how many are planned: the width of the drawing.
    """
    panels = [(names.LOSS, names.VAL_LOSS)]
    panels += [(name, f"val_{name}") for name in history if f"val_{name}" in history and name != names.LOSS][:1]
    drawn = [_panel(pair, history, epochs, _WIDTH * number) for number, pair in enumerate(panels)]
    size = f"{_WIDTH * len(panels)} {_HEIGHT}"
    words = html.escape(f"Learning curves: {', '.join(name for pair in panels for name in pair if name in history)}")
    return (
        f'<svg viewBox="0 0 {size}" width="{_WIDTH * len(panels)}" role="img" style="{_STYLE}">'
        f"<title>{words}</title>{''.join(drawn)}</svg>"
    )


def _panel(pair: Sequence[str], history: Mapping[str, Sequence[float]], epochs: int, left: int) -> str:
    known = {name: list(history[name]) for name in pair if name in history}
    finite = [value for values in known.values() for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    bottom, top = low - pad, high + pad
    x0, y1 = left + _LEFT, _HEIGHT - _BOTTOM
    across, up = (_WIDTH - _LEFT - 12) / max(epochs - 1, 1), (y1 - _TOP) / (top - bottom)
    parts = [
        f'<path d="M{x0} {_TOP}V{y1}H{left + _WIDTH - 12}" fill="none" stroke="currentColor" stroke-opacity=".4"/>',
        *(_text(x0 - 5, y1 - (value - bottom) * up + 4, wording.metric(value), "end") for value in {low, high}),
        _text(x0, _HEIGHT - 6, "1", "middle"),
        _text(left + _WIDTH - 12, _HEIGHT - 6, f"{epochs}", "end") if epochs > 1 else "",
        _text((x0 + left + _WIDTH - 12) / 2, _HEIGHT - 6, "epoch", "middle"),
    ]
    for number, (name, values) in enumerate(known.items()):
        points = [(x0 + across * i, y1 - (v - bottom) * up) for i, v in _thinned(values) if math.isfinite(v)]
        parts.append(_curve(points, _COLOURS[number]))
        parts.append(_text(x0 + 6 + 130 * number, 14, name, "start", _COLOURS[number]))
    return "".join(parts)


def _thinned(values: Sequence[float]) -> list[tuple[int, float]]:
    """Return values with their places, at most as many as can be told apart, the last one among them."""
    step = max(1, math.ceil(len(values) / _MOST_POINTS))
    chosen = [*range(0, len(values), step)]
    chosen += [len(values) - 1] if values and chosen[-1] != len(values) - 1 else []
    return [(place, values[place]) for place in chosen]


def _curve(points: Sequence[tuple[float, float]], colour: str) -> str:
    if not points:
        return ""
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str, colour: str = "") -> str:
    style = f' style="fill:{colour}"' if colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{html.escape(text)}</text>'
