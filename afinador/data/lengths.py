"""How long things are, all together: percentiles and a histogram, exact, without keeping each."""

from __future__ import annotations

from collections import Counter
from typing import Any

BINS = 24
PERCENTILES = (50, 90, 95, 99)


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
        """Return least, mean, most, percentiles and at most ``BINS`` bins of equal width; None where nothing was counted.

        The p-th percentile is the smallest length that at least p % of all do not exceed.
        """
        if not self.count:
            return None
        return {
            "min": min(self._counts),
            "mean": round(self.sum / self.count, 2),
            **{f"p{percent}": self._percentile(percent) for percent in PERCENTILES},
            "max": max(self._counts),
            "histogram": self._histogram(),
        }

    def _percentile(self, percent: int) -> int:
        rank, seen = -(-percent * self.count // 100), 0
        for length, records in sorted(self._counts.items()):
            seen += records
            if seen >= rank:
                return length
        raise AssertionError("the ranks go up to the number of records")

    def _histogram(self) -> list[dict[str, int]]:
        """Return the bins from the least to the most; both ends belong to a bin."""
        low, high = min(self._counts), max(self._counts)
        width = -(-(high - low + 1) // BINS)
        bins = Counter({(length - low) // width: 0 for length in range(low, high + 1, width)})
        for length, records in self._counts.items():
            bins[(length - low) // width] += records
        return [
            {"from": low + place * width, "to": min(low + (place + 1) * width - 1, high), "records": bins[place]}
            for place in sorted(bins)
        ]
