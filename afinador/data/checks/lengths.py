"""How long the records of a file are, in characters."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import Any

from afinador.data.lengths import histogram_of, median_of

BARS = 20


def distribution(counted: Counter[int]) -> dict[str, Any] | None:
    """Return the distribution of lengths as plain JSON values; None where there are no records.

    Args:
        counted: How many records have each length. As the lengths of all records add up to at most a file's size, there
            are few different ones however many records there are.

    Returns:
        ``minimum``, ``median``, ``p90``, ``p99``, ``maximum``, ``mean``, and a ``histogram`` (see
        ``afinador.data.lengths.histogram_of``).
    """
    if not counted:
        return None
    lengths = sorted(counted)
    up_to = list(accumulate(counted[length] for length in lengths))
    records = up_to[-1]

    def quantile(share: float) -> int:
        return lengths[bisect_left(up_to, share * records)]

    return {
        "unit": "characters",
        "minimum": lengths[0],
        "median": median_of(counted),
        "p90": quantile(0.9),
        "p99": quantile(0.99),
        "maximum": lengths[-1],
        "mean": round(sum(length * counted[length] for length in lengths) / records, 1),
        "histogram": histogram_of(counted, BARS),
    }
