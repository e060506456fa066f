"""Writes records as Parquet or Arrow, and refuses what such a table cannot give back as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from afinador.data.files.plain_values import kind_of
from afinador.data.quoting import shortened
from afinador.data.records import Record
from afinador.errors import DataError

if TYPE_CHECKING:
    import pyarrow

ROWS_AT_ONCE = 1000

_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}
_LARGEST_INTEGER = 2**63


@dataclass
class _Column:
    """What all values at one place of the records have in common.

    Attributes:
        kind: None as long as none was seen.
        fields: Of objects.
        items: Of lists.
    """

    kind: type | None = None
    fields: dict[str, _Column] = field(default_factory=dict)
    items: _Column | None = None

    def take(self, value: Any, place: str, record: Record) -> None:
        """Note one more value.

        Raises:
            DataError: It is of another kind than those before, or one that a table does not give back.
        """
        kind = type(value)
        if kind not in _KINDS:
            if value is None:
                raise _refused(record, place, "null, which a table does not tell from a field that is left out")
            raise _refused(record, place, kind_of(value), "Leave the field out by a step remove, or make it a text")
        if kind is int and not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
            raise _refused(record, place, "a whole number of more than 64 bits")
        if kind is dict and not value:
            raise _refused(record, place, "an object without fields")
        if self.kind not in (None, kind):
            raise _refused(record, place, f"{_KINDS[kind]}, and {_KINDS[self.kind]} in a record before")  # type: ignore[index]
        self.kind = kind
        if kind is dict:
            for name, item in value.items():
                self.fields.setdefault(name, _Column()).take(item, f"{place}.{name}", record)
        elif kind is list:
            self.items = self.items or _Column()
            if self.items.kind is int and set(map(type, value)) == {int} and _fit(value):
                return  # token ids, of which there are many
            for number, item in enumerate(value):
                if item is not None:  # within a list there is no field that could be left out
                    self.items.take(item, f"{place}.{number}", record)

    def arrow_type(self) -> pyarrow.DataType:
        """Return the type of its column."""
        import pyarrow as pa

        if self.kind is dict:
            return pa.struct([(name, column.arrow_type()) for name, column in self.fields.items()])
        if self.kind is list:
            return pa.list_(self.items.arrow_type() if self.items else pa.null())
        simple = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
        return simple[self.kind] if self.kind else pa.null()


def write_table(records: Iterator[Record], path: Path, format: Literal["parquet", "arrow"]) -> None:
    """Write records into a table; twice their size lies on the disk meanwhile.

    Raises:
        DataError: A record does not fit: a place holds values of two kinds, null, or an object without fields; or
            ``pyarrow`` is missing.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            "Writing Parquet and Arrow needs the package 'pyarrow' (pip install afinador[train])."
        ) from error
    rows_path = path.with_name(f"{path.name}.rows")
    try:
        columns = _gather(records, rows_path)
        schema = pa.schema([(name, column.arrow_type()) for name, column in columns.items()])
        sink = parquet.ParquetWriter(path, schema) if format == "parquet" else pa.ipc.new_file(str(path), schema)
        with sink, rows_path.open(encoding="utf-8") as lines:
            while rows := [json.loads(line) for line in islice(lines, ROWS_AT_ONCE)]:
                sink.write(pa.RecordBatch.from_pylist(rows, schema=schema))
    finally:
        rows_path.unlink(missing_ok=True)


def _gather(records: Iterator[Record], path: Path) -> dict[str, _Column]:
    """Write the rows down for the second pass, and return the columns that hold them all."""
    columns: dict[str, _Column] = {}
    with path.open("w", encoding="utf-8") as rows:
        for record in records:
            for name, value in record.fields.items():
                columns.setdefault(name, _Column()).take(value, name, record)
            rows.write(json.dumps(record.fields, ensure_ascii=False) + "\n")
    if not columns and path.stat().st_size:
        raise DataError("The records have no fields, and a table without columns has no rows. Write JSONL.")
    return columns


def _fit(numbers: list[int]) -> bool:
    return min(numbers) >= -_LARGEST_INTEGER and max(numbers) < _LARGEST_INTEGER


def _refused(record: Record, place: str, what: str, remedy: str = "Write JSONL") -> DataError:
    return DataError(f"{record.place}: {shortened(place)} is {what}; a table cannot hold that. {remedy}.")
