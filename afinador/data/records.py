"""What readers yield: a record, or the problem that stands where a record should be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from afinador.schemas.dataset_formats import Encoding, Format

__all__ = ["WHOLE_FILE_CODES", "Encoding", "Format", "FurtherProblem", "Problem", "Record"]

WHOLE_FILE_CODES = frozenset(
    {
        "unknown_columns",
        "unknown_column",
        "unknown_shape",
        "unusable_mapping",
        "duplicate_column",
        "json_structure",
        "records_elsewhere",
        "file_encoding",
        "unreadable_file",
        "loader_failed",
    }
)
"""Codes of problems that stand for the whole file, not for one record."""


@dataclass(frozen=True)
class Record:
    """One record of a file, not yet judged.

    Attributes:
        line: Line on which it starts, from 1; where there are no lines the number of the record, from 1.
        unit: What ``line`` counts, as a message says it.
        origin: Of a folder or an archive the file that it is of, and where in it: ``notes/a.jsonl, line 3``.
        columns: Of a row of Parquet or Arrow those of its table; a column that is not among the fields is null in the row.
    """

    line: int
    fields: dict[str, Any]
    unit: Literal["Line", "Record"] = "Line"
    origin: str | None = None
    columns: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it is, as the beginning of a sentence: ``Line 17``, ``Record 17 (notes/a.jsonl, line 3)``."""
        return f"{self.unit} {self.line}" + (f" ({self.origin})" if self.origin else "")

    def problem(self, code: str, said: str, field: str) -> Problem:
        """Return a fault of one of its fields; ``said`` goes on from its place."""
        return Problem(code, f"{self.place}: {said}", self.line, field)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or doubtful.

    Attributes:
        code: Stable word for programs, e.g. ``missing_field``.
        message: Full sentences that name the line, the field, what was allowed and the remedy.
        line: As in ``Record``; None where the whole file is meant.
        field: The field to blame, None where there is no single one.
        ends_reading: Whether nothing behind it was read, so that it stands for an unknown number of records.
    """

    code: str
    message: str
    line: int | None = None
    field: str | None = None
    ends_reading: bool = dataclasses.field(default=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return what is told of it as plain JSON values."""
        return {"code": self.code, "message": self.message, "line": self.line, "field": self.field}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Problem:
        """Return what ``to_json`` has told of."""
        return cls(**told)

    @property
    def stands_for_a_record(self) -> bool:
        """Whether it is what was read in the place of a record: there is one such problem of each record."""
        return self.code not in WHOLE_FILE_CODES


class FurtherProblem(Problem):
    """One more thing that is wrong with a record of which a problem has been read already."""

    @property
    def stands_for_a_record(self) -> bool:
        """Never."""
        return False
