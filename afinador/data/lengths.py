"""How long things are, all together: percentiles and a histogram, exact, without keeping each."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

BINS = 24
PERCENTILES = (90, 95, 99)
_FAR = 10
"""So many times as far from the least length as the median is, lengths may be outliers."""


class Lengths:
    """Counts lengths as they come; there are far fewer different ones than records."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.sum = 0

    def add(self, length: int) -> None:
        """Count one."""
        self._counts[length] += 1
        self.count += 1
        self.sum += length

    def to_json(self) -> dict[str, Any] | None:
        """Return least, mean, most, percentiles and ``histogram_of`` them; None where nothing was counted.

        The p-th percentile is the smallest length that at least p % of all do not exceed; ``p50`` is ``median_of`` them.
        """
        if not self.count:
            return None
        return {
            "min": min(self._counts),
            "mean": round(self.sum / self.count, 2),
            "p50": median_of(self._counts),
            **{f"p{percent}": self._percentile(percent) for percent in PERCENTILES},
            "max": max(self._counts),
            "histogram": histogram_of(self._counts, BINS),
        }

    def _percentile(self, percent: int) -> int:
        rank, seen = -(-percent * self.count // 100), 0
        for length, records in sorted(self._counts.items()):
            seen += records
            if seen >= rank:
                return length
        raise AssertionError("the ranks go up to the number of records")


def median_of(counted: Mapping[int, int]) -> int | float:
    """Return the length in the middle; of an even number the mean of the two in the middle, whole where it can be.

    Args:
        counted: How many records have each length; not empty.
    """
    lengths = sorted(counted)
    up_to = list(accumulate(counted[length] for length in lengths))
    below, above = (lengths[bisect_left(up_to, rank)] for rank in ((up_to[-1] + 1) // 2, up_to[-1] // 2 + 1))
    middle = (below + above) / 2
    return int(middle) if middle.is_integer() else middle


def histogram_of(counted: Mapping[int, int], most_bins: int) -> list[dict[str, int]]:
    """Return bins ``from`` a length ``to`` another one with their ``records``, from the least to the most, without a gap.

    They are equally wide, and the last one perhaps narrower. Where at most a tenth of all are so long that the others
    would share less than half of the width, the last bin is wider than all others together, and holds these few.

    Args:
        counted: How many records have each length; not empty.
        most_bins: At least 2.
    """
    low, high = min(counted), max(counted)
    end = _end_of_most(counted) if high - low >= most_bins else high
    width = -(-(end - low + 1) // (most_bins - (end < high)))
    bins = [{"from": begin, "to": min(begin + width - 1, end), "records": 0} for begin in range(low, end + 1, width)]
    if end < high:
        bins.append({"from": end + 1, "to": high, "records": 0})
    for length, records in counted.items():
        bins[(length - low) // width if length <= end else -1]["records"] += records
    return bins


def _end_of_most(counted: Mapping[int, int]) -> int:
    """Return the length above which there are only outliers; the longest where there are none."""
    lengths = sorted(counted)
    up_to = list(accumulate(counted[length] for length in lengths))
    low, high = lengths[0], lengths[-1]
    median, most = (lengths[bisect_left(up_to, share * up_to[-1])] for share in (0.5, 0.9))
    fence = max(most, low + _FAR * (median - low + 1))
    end = max(length for length in lengths if length <= fence)
    return end if high - end > end - low else high
