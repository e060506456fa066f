"""What goes through a pipeline: a record and the part of the data set that it belongs to; and what a step is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from afinador.data.preparation.settings import Settings
from afinador.data.records import Record


@dataclass(frozen=True)
class Row:
    """A record on its way.

    Attributes:
        part: ``train``, ``validation`` or ``test`` once a step has split the data set.
    """

    record: Record
    part: str | None = None


@dataclass
class Tally:
    """What one step has done so far.

    Attributes:
        type: The step's.
        rows_in: Rows that came, those of other parts than its own not counted.
        rows_out: Rows that went on.
        changed: Of these, those that are not as they came.
        parts: Of a split: rows of each part.
    """

    type: str
    rows_in: int = 0
    rows_out: int = 0
    changed: int = 0
    parts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Means:
    """What steps need beside the records.

    Attributes:
        count_tokens: Tokens of a text by the tokenizer of a base model, None where none is named.
        read_documents: Reads another data set by its name; None where there is no other.
    """

    count_tokens: Callable[[str], int] | None = None
    read_documents: Callable[[str], Iterable[Record]] | None = None


Work = Callable[[Iterator[Row], Tally], Iterator[Row]]
"""One step at work: takes rows, counts what it changes, gives rows."""


@dataclass(frozen=True)
class StepKind:
    """A kind of step.

    Attributes:
        name: Its ``type``.
        keys: What it takes, each with what it means.
        description: One sentence.
        make: Reads the settings of one step, at once, and gives what does the work.
    """

    name: str
    description: str
    keys: Mapping[str, str]
    make: Callable[[Settings, Means], Work]


def with_fields(row: Row, fields: dict[str, Any]) -> Row:
    """Return a row with other fields."""
    return Row(Record(row.record.line, fields, row.record.unit), row.part)
