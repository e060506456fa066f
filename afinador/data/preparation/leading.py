"""The leading steps of a pipeline, taken with a part of a large file, mostly in another process.

Who cannot bring a part to its end, for a record that is refused or for what becomes too large, says so and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from afinador.data.files.writers import json_line
from afinador.data.preparation.pipeline import Pipeline
from afinador.data.preparation.rows import Row, Tally
from afinador.data.preparation.sources import AnyPart, packed, records_of_part, size_of
from afinador.errors import AfinadorError

MOST_BYTES = 2**23
"""Of a part, and of what is made of it: some of each are held at a time."""


@dataclass(frozen=True)
class Outcome:
    """What became of a part.

    Attributes:
        made: Rows, each packed or as the line that is written; None if something stood in the way.
        read: Records of the part.
        tallies: What each step did.
        spent: Seconds that regular expressions took, by the step.
    """

    made: list[bytes] | None
    read: int
    tallies: list[Tally]
    spent: dict[str, float]


@dataclass(frozen=True)
class Leading:
    """Takes parts of a data set through steps that look at each row by itself.

    Attributes:
        path: Of its file.
        name: The data set's.
        steps: As they were written.
        makes_lines: Whether nothing follows but that rows are written, as JSON Lines.
    """

    path: Path
    name: str
    steps: list[Any]
    makes_lines: bool

    def __call__(self, part: AnyPart) -> Outcome:
        """Return what became of a part."""
        rows = self._pipeline.run(records_of_part(self.path, part), self.name)
        made: list[bytes] | None = None
        try:
            if size_of(part) <= MOST_BYTES:
                made = self._made(rows)
        except (AfinadorError, UnicodeEncodeError):
            pass  # said by who takes the part next, once all before it is done
        tallies = self._pipeline.tallies
        return Outcome(made, tallies[0].rows_in, tallies, dict(self._pipeline.spent))

    @cached_property
    def _pipeline(self) -> Pipeline:
        return Pipeline(self.steps)

    def _made(self, rows: Iterator[Row]) -> list[bytes] | None:
        made: list[bytes] = []
        size = 0
        for row in rows:
            made.append(json_line(row.record) if self.makes_lines else packed(row.record))
            size += len(made[-1])
            if size > MOST_BYTES:
                return None
        return made
