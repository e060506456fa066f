"""How often each length occurs, as bars."""

from __future__ import annotations

from collections.abc import Sequence

from afinador.report.charts import HEIGHT, WIDTH
from afinador.report.markup import Markup, element

_LEFT, _RIGHT, _TOP, _BOTTOM = 12, 12, 22, 44
_GAP = 1.0
_LEAST_BAR = 1.5
"""A bin of few records beside one of many is still seen."""
_LABEL_ROOM = 120


def histogram(title: str, bins: Sequence[dict[str, int]], *, x_name: str, limit: int | None = None) -> Markup | None:
    """Draw bins (``from``, ``to``, ``records``) over the lengths they hold, or return None where there is none.

    Args:
        title: Above the chart.
        bins: Of equal width, in order.
        x_name: What the lengths count.
        limit: Drawn as a line where it lies between the bins; bins above it have another colour.
    """
    if not bins:
        return None
    low, high = bins[0]["from"], bins[-1]["to"] + 1
    most = max(each["records"] for each in bins)
    drawn = [_bar(each, low, high, most, limit, x_name) for each in bins if each["records"]]
    if limit is not None and low < limit < high:
        drawn.append(_limit_line(_x(limit, low, high), limit))
    y = HEIGHT - _BOTTOM + 16
    axis = element(
        "g",
        element("text", f"{low:,}", x=_LEFT, y=y),
        element("text", x_name, x=WIDTH / 2, y=y + 16, text_anchor="middle"),
        element("text", f"{high - 1:,}", x=WIDTH - _RIGHT, y=y, text_anchor="end") if high - 1 > low else None,
    )
    fullest = next(each for each in bins if each["records"] == most)
    said = f"{title}: from {low} to {high - 1}; most records ({most}) have {fullest['from']} to {fullest['to']}."
    picture = element("svg", *drawn, axis, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=said, class_="bars")
    return element("figure", element("figcaption", element("b", title)), picture)


def _bar(each: dict[str, int], low: int, high: int, most: int, limit: int | None, x_name: str) -> Markup:
    begin, end = _x(each["from"], low, high), _x(each["to"] + 1, low, high)
    height = max(_LEAST_BAR, each["records"] / most * (HEIGHT - _TOP - _BOTTOM))
    hint = element("title", f"{each['from']:,} to {each['to']:,} {x_name}: {each['records']:,}")
    return element(
        "rect",
        hint,
        x=round(begin, 1),
        y=round(HEIGHT - _BOTTOM - height, 1),
        width=round(max(end - begin - _GAP, 0.8), 1),
        height=round(height, 1),
        class_="over" if limit is not None and each["from"] > limit else None,
    )


def _limit_line(x: float, limit: int) -> Markup:
    is_right = x > WIDTH - _LABEL_ROOM
    anchor = "end" if is_right else "start"
    return element(
        "g",
        element("line", x1=round(x, 1), y1=_TOP - 8, x2=round(x, 1), y2=HEIGHT - _BOTTOM, class_="limit"),
        element(
            "text", f"max_length {limit:,}", x=round(x + (-5 if is_right else 5), 1), y=_TOP - 8, text_anchor=anchor
        ),
    )


def _x(length: int, low: int, high: int) -> float:
    return _LEFT + (length - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)
