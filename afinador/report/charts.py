"""Curves and bars as inline SVG, coloured by the page's stylesheet.

Over the width all places are in percent, for words and strokes shall be of one size however wide a chart is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from afinador.figures import text
from afinador.report.markup import Markup, element

HEIGHT = 220
"""Of a chart, in pixels."""
_TOP, _BOTTOM = 12, 30
_WIDE = 1000
"""A path knows no percent: so many units are the whole width."""
MAX_POINTS = 300
"""Of a curve; a longer one is thinned, its first and last point stay."""
_MARKED_POINTS = 40
"""A curve of at most so many points shows each as a dot."""
COLOURS = 8
_LOGARITHMIC_RATIO = 30.0
"""Positive values that differ by more than this factor are drawn over powers of ten."""


@dataclass(frozen=True)
class Curve:
    """A named row of points, by x; a point that is no number is a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]


def chart(
    title: str,
    curves: Sequence[Curve],
    *,
    x_name: str,
    shown: Callable[[float], str] = text,
    may_be_logarithmic: bool = False,
) -> Markup | None:
    """Draw curves over one scale, or return None where there is no point to draw.

    Args:
        title: Above the chart.
        curves: At most ``COLOURS``.
        x_name: What the points are ordered by.
        shown: How values are written.
        may_be_logarithmic: Over powers of ten where the values differ much.
    """
    kept = [Curve(curve.name, _thinned(curve.points)) for curve in curves if _numbers(curve)]
    if not kept:
        return None
    ys = [y for curve in kept for _, y in _numbers(curve)]
    xs = [x for curve in kept for x, _ in _numbers(curve)]
    is_logarithmic = may_be_logarithmic and min(ys) > 0 and max(ys) / min(ys) > _LOGARITHMIC_RATIO
    ticks = _powers_of_ten(ys) if is_logarithmic else _ticks(ys)
    frame = _Frame(min(xs), max(xs), ticks[0], ticks[-1], is_logarithmic)
    drawn = [_grid(frame, ticks, shown), _x_axis(frame, x_name)]
    drawn += [_drawn(curve, number, frame, x_name, shown) for number, curve in enumerate(kept, start=1)]
    legend = [element("span", curve.name, class_=f"key c{number}") for number, curve in enumerate(kept, start=1)]
    said = f"{title}: " + "; ".join(f"{curve.name} ends at {shown(_numbers(curve)[-1][1])}" for curve in kept)
    picture = element("svg", *drawn, height=HEIGHT, role="img", aria_label=said, class_="plot")
    told = element("span", *legend, class_="legend") if len(kept) > 1 else None
    return element("figure", element("figcaption", element("b", title), told), picture)


def shares(parts: Sequence[tuple[str, float]], shown: Callable[[float], str]) -> Markup | None:
    """Draw the parts of a whole as one bar with a legend, or return None where there is nothing to divide."""
    parts = [(name, value) for name, value in parts if value > 0]
    whole = sum(value for _, value in parts)
    if not whole:
        return None
    bars, begin = [], 0.0
    for number, (name, value) in enumerate(parts, start=1):
        width = 1000 * value / whole
        hint = element("title", f"{name}: {shown(value)}")
        bars.append(
            element(
                "rect", hint, x=round(begin, 2), y=0, width=round(max(width - 2, 1), 2), height=22, class_=f"f{number}"
            )
        )
        begin += width
    picture = element("svg", *bars, viewBox="0 0 1000 22", preserveAspectRatio="none", class_="bar", role="img")
    legend = [
        element("span", f"{name} ", element("b", shown(value)), class_=f"key c{number}")
        for number, (name, value) in enumerate(parts, start=1)
    ]
    return element("figure", picture, element("figcaption", element("span", *legend, class_="legend")))


def share(part: float) -> Markup:
    """Draw a part of a whole, from 0 to 1, beside the figure that tells it."""
    bar = element("rect", x=0, y=0, width=percent(100 * part), height="100%", class_="f1")
    return element("svg", bar, class_="share", aria_hidden="true")


@dataclass(frozen=True)
class _Frame:
    """Where values lie on the paper."""

    first_x: float
    last_x: float
    low: float
    high: float
    is_logarithmic: bool

    def x(self, value: float) -> float:
        """Return the place over the width, from 0 to 1."""
        span = self.last_x - self.first_x or 1.0
        return (value - self.first_x) / span

    def y(self, value: float) -> float:
        low, high, at = (math.log10(each) if self.is_logarithmic else each for each in (self.low, self.high, value))
        return round(HEIGHT - _BOTTOM - (at - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)


def _drawn(curve: Curve, number: int, frame: _Frame, x_name: str, shown: Callable[[float], str]) -> Markup:
    points = _numbers(curve)
    way = " ".join(f"{'L' if at else 'M'}{frame.x(x) * _WIDE:.1f} {frame.y(y)}" for at, (x, y) in enumerate(points))
    radius = 2.5 if len(points) <= _MARKED_POINTS else 0
    dots = [
        element(
            "g",
            element("title", f"{x_name} {text(x)}: {curve.name} {shown(y)}"),
            element("circle", cx=percent(100 * frame.x(x)), cy=frame.y(y), r=7, class_="hit"),
            element("circle", cx=percent(100 * frame.x(x)), cy=frame.y(y), r=radius, class_=f"f{number}")
            if radius
            else None,
        )
        for x, y in points
    ]
    path = element("path", d=way, class_=f"line s{number}")
    box = f"0 0 {_WIDE} {HEIGHT}"
    return element("g", element("svg", path, viewBox=box, height=HEIGHT, preserveAspectRatio="none"), *dots)


def _grid(frame: _Frame, ticks: Sequence[float], shown: Callable[[float], str]) -> Markup:
    lines = []
    for value in ticks:
        y = frame.y(value)
        lines.append(element("line", x1=0, y1=y, x2="100%", y2=y, class_="grid"))
        lines.append(element("text", shown(value), x=-8, y=y + 4, text_anchor="end"))
    return element("g", *lines)


def _x_axis(frame: _Frame, x_name: str) -> Markup:
    y = HEIGHT - 10
    first, last = text(round(frame.first_x, 1)), text(round(frame.last_x, 1))
    return element(
        "g",
        element("text", first, x=0, y=y),
        element("text", x_name, x="50%", y=y, text_anchor="middle"),
        element("text", last, x="100%", y=y, text_anchor="end") if last != first else None,
    )


def percent(share: float) -> str:
    """Return a length as attributes of SVG take it."""
    return f"{round(share, 2):g}%"


def _ticks(values: Sequence[float]) -> list[float]:
    """Return round numbers, about five, that hold all values between them."""
    low, high = min(values), max(values)
    if low == high:
        low, high = (0.0, high * 2) if high > 0 else (low - 1, high + 1)
    if low > 0 and low < 0.5 * high:
        low = 0.0
    rough = (high - low) / 4
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]


def _powers_of_ten(values: Sequence[float]) -> list[float]:
    """Return the powers of ten that hold all values between them."""
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(first, last + 1)]


def _numbers(curve: Curve) -> list[tuple[float, float]]:
    return [(x, y) for x, y in curve.points if y is not None and math.isfinite(y)]


def _thinned(points: Sequence[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    stride = -(-len(points) // MAX_POINTS) or 1
    kept = list(points[::stride])
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]
