"""How often each length occurs, as bars."""

from __future__ import annotations

from collections.abc import Sequence

from afinador.figures import counted, span
from afinador.report.charts import HEIGHT, percent
from afinador.report.markup import Markup, element

_TOP, _BOTTOM = 30, 42
_GAP = 0.12
"""Between two bars, in percent of the width."""
_LEAST_BAR = 1.5
"""A bin of few records beside one of many is still seen."""
_RIGHT_PART = 60.0
"""What is written beside a line that stands this far to the right stands to its left."""
_FEWEST_LENGTHS = 12
"""The axis holds at least so many, lest a bar be as wide as the page."""
_MOST_MARKS = 6
_TAIL_BEGINS, _TAIL_GAP = 88.0, 4.0
"""Where the bar of the outliers stands, in percent of the width, and what parts it from the others."""
_TOPS = (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10)
"""Round ends of a scale, times a power of ten."""


def histogram(
    title: str, bins: Sequence[dict[str, int]], *, x_name: str, limit: int | None = None, limit_name: str = "limit"
) -> Markup | None:
    """Draw bins (``from``, ``to``, ``records``) over the lengths they hold, or return None where there is none.

    Args:
        title: Above the chart.
        bins: Of equal width, in order. A last one that is wider holds the outliers, and stands apart, not to scale.
        x_name: What the lengths count.
        limit: Drawn as a line where it lies between the bins; bins above it have another colour.
        limit_name: What sets it.
    """
    if not bins:
        return None
    axis = _Axis(bins)
    most = max(each["records"] for each in bins)
    top = _round_top(most)
    drawn = [_scale(top), *(_bar(each, axis, top, limit, x_name) for each in bins if each["records"])]
    if axis.tail is not None:
        drawn.append(_number_of_outliers(axis.tail["records"], top))
    if limit is not None and bins[0]["from"] <= limit < bins[-1]["to"]:
        drawn.append(_limit_line(axis.x(limit + 1), f"{limit_name} {limit:,}"))
    drawn.append(_x_axis(axis, x_name))
    fullest = next(each for each in bins if each["records"] == most)
    said = f"{title}: from {bins[0]['from']:,} to {bins[-1]['to']:,}; most records ({most:,}) have {_told(fullest)}."
    picture = element("svg", *drawn, height=HEIGHT, role="img", aria_label=said, class_="plot bars")
    return element("figure", element("figcaption", element("b", title)), picture)


class _Axis:
    """Where lengths lie over the width of the paper, in percent; a length takes up the room up to the next one."""

    def __init__(self, bins: Sequence[dict[str, int]]) -> None:
        has_tail = len(bins) > 1 and _width(bins[-1]) > _width(bins[0])
        self.tail = bins[-1] if has_tail else None
        self._end = _TAIL_BEGINS - _TAIL_GAP if has_tail else 100.0
        low, high = bins[0]["from"], bins[-2 if has_tail else -1]["to"] + 1
        spare = max(0, _FEWEST_LENGTHS - (high - low))
        low = max(0, low - spare // 2)
        high = max(high, low + _FEWEST_LENGTHS)
        self._step = _round_step(high - low)
        before = low % self._step
        self._low = low - before if before <= self._step / 2 else low
        self._high = high

    def x(self, length: int) -> float:
        """Return where a length begins; within the tail, which has no scale, the middle of it."""
        if self.tail is not None and length > self.tail["from"]:
            return 100.0 if length > self.tail["to"] else (_TAIL_BEGINS + 100) / 2
        return (length - self._low) / (self._high - self._low) * self._end

    def ends(self, each: dict[str, int]) -> tuple[float, float]:
        """Return where the bar of a bin begins and ends."""
        return (_TAIL_BEGINS, 100.0) if each is self.tail else (self.x(each["from"]), self.x(each["to"] + 1))

    def marks(self) -> list[tuple[int, float]]:
        """Return round lengths, and the places of their middles."""
        first = -(-self._low // self._step) * self._step
        places = [(at, (self.x(at) + self.x(at + 1)) / 2) for at in range(first, self._high, self._step)]
        return [(at, x) for at, x in places if self.tail is None or x < self._end - 2 * _TAIL_GAP]


def _bar(each: dict[str, int], axis: _Axis, top: int, limit: int | None, x_name: str) -> Markup:
    begin, end = axis.ends(each)
    height = _height(each["records"], top)
    return element(
        "rect",
        element("title", f"{_told(each)} {x_name}: {counted(each['records'], 'record')}"),
        x=percent(begin),
        y=round(HEIGHT - _BOTTOM - height, 1),
        width=percent(max(end - begin - _GAP, _GAP)),
        height=round(height, 1),
        class_="over" if limit is not None and each["from"] > limit else None,
    )


def _number_of_outliers(records: int, top: int) -> Markup:
    """Write how many they are above their bar, which is hardly seen where they are few."""
    y = HEIGHT - _BOTTOM - _height(records, top) - 5
    return element("text", f"{records:,}", x="100%", y=round(y, 1), text_anchor="end")


def _height(records: int, top: int) -> float:
    return max(_LEAST_BAR, records / top * (HEIGHT - _TOP - _BOTTOM))


def _scale(top: int) -> Markup:
    """Draw lines at none, at half and at the top of the scale, if half of it is a whole number."""
    marks = (0, top) if top % 2 else (0, top // 2, top)
    lines = [element("text", "records", x=-8, y=_TOP - 14, text_anchor="end")]
    for mark in marks:
        y = HEIGHT - _BOTTOM - mark / top * (HEIGHT - _TOP - _BOTTOM)
        lines.append(element("line", x1="0", y1=y, x2="100%", y2=y, class_="grid"))
        lines.append(element("text", _short(mark, top), x=-8, y=y + 4, text_anchor="end"))
    return element("g", *lines)


def _x_axis(axis: _Axis, x_name: str) -> Markup:
    y = HEIGHT - _BOTTOM + 17
    marks = axis.marks()
    most = max((at for at, _ in marks), default=0)
    words = [element("text", _short(at, most), x=percent(x), y=y, text_anchor="middle") for at, x in marks]
    words.append(element("text", x_name, x="50%", y=y + 18, text_anchor="middle"))
    if axis.tail is not None:
        last = axis.tail["from"] - 1
        middle = percent((_TAIL_BEGINS + 100) / 2)
        words.append(element("text", f"> {last:,}", x=middle, y=y, text_anchor="middle"))
        words.append(element("text", f"to {axis.tail['to']:,}", x="100%", y=y + 18, text_anchor="end"))
    return element("g", *words)


def _limit_line(x: float, said: str) -> Markup:
    is_right, place = x > _RIGHT_PART, percent(x)
    return element(
        "g",
        element("line", x1=place, y1=4, x2=place, y2=HEIGHT - _BOTTOM, class_="limit"),
        element("text", said, x=place, dx=-6 if is_right else 6, y=13, text_anchor="end" if is_right else "start"),
    )


def _round_top(most: int) -> int:
    """Return the least round number that is not below."""
    power = 10 ** (len(str(most)) - 1)
    return next(int(factor * power) for factor in _TOPS if factor * power >= most and factor * power % 1 == 0)


def _round_step(lengths: int) -> int:
    """Return the least round number of which so many lengths hold few enough to be written side by side."""
    power = 1
    while 5 * power * _MOST_MARKS < lengths:
        power *= 10
    return next(factor * power for factor in (1, 2, 5) if factor * power * _MOST_MARKS >= lengths)


def _short(number: int, most: int) -> str:
    """Return a mark of a scale in thousands or millions, where its greatest one has that many."""
    for least, unit, sign in ((1_000_000, 1_000_000, "M"), (10_000, 1_000, "k")):
        if number and most >= least:
            return f"{number / unit:g}{sign}"
    return f"{number:,}"


def _told(each: dict[str, int]) -> str:
    return span(each["from"], each["to"])


def _width(each: dict[str, int]) -> int:
    return each["to"] - each["from"] + 1
