"""Where the records of a folder or an archive come from, by their numbers."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable

RECORDS_KEPT = 1_000_000
"""So many records are known by their places, which takes 16 MB; of later ones the number alone is told."""


class Origins:
    """File and line of each record, a number each beside the names of the files."""

    def __init__(self) -> None:
        self._numbers, self._lines = array("Q"), array("Q")
        self._firsts: list[int] = []
        self._files: list[str] = []

    def take(self, origins: Iterable[tuple[int, str]]) -> None:
        """Remember records of the next part: the number of each, and its origin as ``Record`` has it."""
        for number, origin in origins:
            if len(self._numbers) >= RECORDS_KEPT:
                return
            file, _, line = origin.rpartition(" ")
            if not self._files or self._files[-1] != file:
                self._firsts.append(len(self._numbers))
                self._files.append(file)
            self._numbers.append(number)
            self._lines.append(int(line))

    def with_origin(self, number: int) -> str:
        """Return the number of a record, with its file and line where they are known: ``17 (a.jsonl, line 3)``."""
        at = bisect_right(self._numbers, number) - 1
        if at < 0 or self._numbers[at] != number:
            return str(number)
        return f"{number} ({self._files[bisect_right(self._firsts, at) - 1]} {self._lines[at]})"
