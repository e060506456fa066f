"""Records of a file that are the same, or nearly: compared with those before them, and with those of another file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import nsmallest
from typing import Any

from afinador.data.checks.findings import Findings
from afinador.data.checks.near_duplicates import NearDuplicates
from afinador.data.records import Problem

RECORDS_COMPARED = 1_000_000
"""So many records are remembered, which takes about 140 MB; later ones are not compared."""

DIGESTS_IN_SKETCH = 512


class Repetitions:
    """The records of a file, as far as they are remembered.

    Attributes:
        unit: What their places count: ``Line`` or ``Record``.
    """

    def __init__(self) -> None:
        self.unit = "Line"
        self._line_of: dict[int, int] = {}
        self._near = NearDuplicates()
        self._near_lines: list[tuple[int, bytes]] = []
        self.compared = 0

    @property
    def compared_nearly(self) -> int:
        """Records that were compared with each other for near likeness."""
        return len(self._near_lines)

    def take(self, findings: Findings) -> Iterator[Problem]:
        """Remember the records of the next part of the file; yield a warning for each that there was before."""
        again: set[int] = set()
        for place, (line, digest) in enumerate(zip(findings.lines, findings.digests, strict=True)):
            if len(self._line_of) >= RECORDS_COMPARED:
                break
            self.compared += 1
            first = self._line_of.setdefault(digest, line)
            if first != line:
                again.add(place)
                said = f"{self.unit} {line} repeats {self.unit.lower()} {first}. Remove one, unless it is meant to count twice."
                yield Problem("duplicate", said, line)
        for place, signature in findings.signatures:
            if place in again or self._near.is_full:
                continue
            line = findings.lines[place]
            like = self._near.add(line, signature)
            self._near_lines.append((line, signature))
            if like is not None:
                said = f"{self.unit} {line} is nearly the same as {self.unit.lower()} {like}. Remove one, if they teach the same."
                yield Problem("near_duplicate", said, line)

    def shared_with(self, training: Repetitions, name: str) -> Iterator[Problem]:
        """Yield a warning for each record that the file with the training data holds too, or nearly so.

        Args:
            training: The records of that file.
            name: Its name.
        """
        same: set[int] = set()
        for digest, line in self._line_of.items():
            other = training._line_of.get(digest)
            if other is not None:
                same.add(line)
                said = (
                    f"{self.unit} {line} is also {training.unit.lower()} {other} of {name}: what was trained on measures "
                    "nothing. Remove it from one of the two files."
                )
                yield Problem("overlap", said, line)
        for line, signature in self._near_lines:
            other = None if line in same else training._near.find(signature)
            if other is not None:
                said = (
                    f"{self.unit} {line} is nearly {training.unit.lower()} {other} of {name}: the measure will look better "
                    "than it is. Remove it from one of the two files."
                )
                yield Problem("near_overlap", said, line)

    def sketch(self) -> dict[str, Any]:
        """Return the lowest digests as plain JSON values, a sample that is the same of the same records."""
        lowest = nsmallest(DIGESTS_IN_SKETCH, self._line_of)
        return {"distinct": len(self._line_of), "lowest": [f"{digest:016x}" for digest in lowest]}


def overlap_of_sketches(training: Mapping[str, Any], validation: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many records of a sample of the validation data are in the training data too, and how many the sample has.

    Args:
        training: A sketch of its records.
        validation: Another one; where neither file has more records than a sketch, the sample is the whole file.
    """
    seen, asked = set(training["lowest"]), validation["lowest"]
    for sketch in (training, validation):
        if sketch["distinct"] > len(sketch["lowest"]) and sketch["lowest"]:
            # Digests above the highest of a sketch that left some out may be in its file all the same.
            highest = sketch["lowest"][-1]
            asked = [digest for digest in asked if digest <= highest]
    return sum(digest in seen for digest in asked), len(asked)
