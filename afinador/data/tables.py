"""Parquet and Arrow, row by row; labels that are kept as numbers get their names back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.data.compressed import MAX_UNPACKED_BYTES, Allowance
from afinador.data.delimited import MOST_COLUMNS
from afinador.data.quoting import described, shortened
from afinador.data.records import Record
from afinador.errors import DataError

if TYPE_CHECKING:
    import pyarrow

ROWS_AT_ONCE = 1000
_ARROW_FILE = b"ARROW1"

Labels = Mapping[str, list[str]]
"""By column the names of a ClassLabel, in the order of their ids."""


def read_parquet(path: Path, labels: Labels | None = None, first: int = 1) -> Iterator[Record]:
    """Yield the rows of a Parquet file; see ``read_arrow``."""
    with _faults_named("Parquet"):
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            groups = range(file.metadata.num_row_groups)
            if any(file.metadata.row_group(each).total_byte_size > MAX_UNPACKED_BYTES for each in groups):
                raise DataError(
                    f"A row group unpacks to more than {MAX_UNPACKED_BYTES / 2**30:.0f} GiB, the most that is unpacked. "
                    "Write smaller row groups."
                )
            yield from _rows(file.schema_arrow, _checked(file.iter_batches(ROWS_AT_ONCE), path), labels, first)


def read_arrow(path: Path, labels: Labels | None = None, first: int = 1) -> Iterator[Record]:
    """Yield the rows of an Arrow file or stream.

    Fields that are null are left out, those within objects too: where records differ in their fields, tables have null.

    Args:
        path: Where it lies.
        labels: Names of ClassLabels that are told elsewhere; those in the file itself come first.
        first: Number of the first row.

    Raises:
        DataError: It is damaged, too large, has two columns of one name, or ``pyarrow`` is missing.
    """
    with _faults_named("Arrow"):
        import pyarrow

        with pyarrow.memory_map(str(path)) as source:
            is_file = source.read(len(_ARROW_FILE)) == _ARROW_FILE
            source.seek(0)
            if is_file:
                file = pyarrow.ipc.open_file(source)
                batches: Iterable[Any] = (file.get_batch(number) for number in range(file.num_record_batches))
                yield from _rows(file.schema, _checked(batches, path), labels, first)
            else:
                stream = pyarrow.ipc.open_stream(source)
                yield from _rows(stream.schema, _checked(stream, path), labels, first)


def label_names(features: Any) -> dict[str, list[str]]:
    """Return the names of the ClassLabels among the features of ``datasets``, as its files describe them."""
    named = {}
    if isinstance(features, Mapping):
        for column, feature in features.items():
            names = feature.get("names") if isinstance(feature, Mapping) else None
            if isinstance(names, list) and feature.get("_type") == "ClassLabel":
                named[str(column)] = [str(name) for name in names]
    return named


def without_nulls(value: Any) -> Any:
    """Return a value without the fields of its objects that are null."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _checked(batches: Iterable[pyarrow.RecordBatch], path: Path) -> Iterator[pyarrow.RecordBatch]:
    """Yield batches that may be looked into: a forged one would take the process down, or go on for ever."""
    allowance = Allowance(path.stat().st_size)
    for batch in batches:
        allowance.take(max(batch.nbytes, batch.num_rows))
        batch.validate(full=True)
        yield batch


def _rows(
    schema: pyarrow.Schema, batches: Iterable[pyarrow.RecordBatch], labels: Labels | None, first: int
) -> Iterator[Record]:
    counted = Counter(schema.names)
    if len(counted) > MOST_COLUMNS:
        raise DataError(f"It has {len(counted)} columns; at most {MOST_COLUMNS} are read.")
    twice = next((name for name, count in counted.items() if count > 1), None)
    if twice is not None:
        raise DataError(f"Two columns are named {shortened(twice)}. Rename or remove one of them.")
    names = {**(labels or {}), **_labels_of(schema)}
    number = first
    for batch in batches:
        for part in range(0, batch.num_rows, ROWS_AT_ONCE):
            for row in batch.slice(part, ROWS_AT_ONCE).to_pylist():
                fields = without_nulls(row)
                for column in names.keys() & fields.keys():
                    fields[column] = _name_of(fields[column], names[column], column, number)
                yield Record(number, {name: value for name, value in fields.items() if value is not None}, "Record")
                number += 1


def _labels_of(schema: pyarrow.Schema) -> dict[str, list[str]]:
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return label_names(described["info"]["features"])
    except (ValueError, KeyError, TypeError):
        return {}


def _name_of(value: Any, names: list[str], column: str, number: int) -> Any:
    """Return the name of a label's id; None of -1, which means that there is no label."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if value == -1:
        return None
    if not 0 <= value < len(names):
        raise DataError(
            f"Record {number}: {shortened(column)} is {described(value)}, but the data set has names for the labels 0 to {len(names) - 1}. "
            "Correct the record or the names."
        )
    return names[value]


@contextmanager
def _faults_named(what: str) -> Iterator[None]:
    try:
        import pyarrow
    except ImportError as error:
        raise DataError(f"Reading {what} needs the package 'pyarrow' (pip install afinador[train]).") from error
    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        said = shortened(str(error).partition("\n")[0], 150)
        raise DataError(f"The file is no whole {what} file: {said}. Write it again.") from error
