"""Parquet and Arrow, row by row; labels that are kept as numbers get their names back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from afinador.data.files import table_process
from afinador.data.quoting import described, shortened
from afinador.data.records import Record
from afinador.errors import DataError

Labels = Mapping[str, list[str]]
"""By column the names of a ClassLabel, in the order of their ids."""

_PARQUET = b"PAR1"
_ARROW_FILE, _ARROW_STREAM = b"ARROW1", b"\xff\xff\xff\xff"


def read_parquet(path: Path, labels: Labels | None = None, first: int = 1) -> Iterator[Record]:
    """Yield the rows of a Parquet file; see ``read_arrow``."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, path.stat().st_size - 4))
        if start != _PARQUET or file.read() != _PARQUET:
            raise _foreign("Parquet", "it does not begin and end with PAR1")
    yield from _records("Parquet", path, labels, first)


def read_arrow(path: Path, labels: Labels | None = None, first: int = 1) -> Iterator[Record]:
    """Yield the rows of an Arrow file or stream.

    Fields that are null are left out, those within objects too: where records differ in their fields, tables have null.
    The ``columns`` of a record tell which could have been there.

    Args:
        path: Where it lies.
        labels: Names of ClassLabels that are told elsewhere; those in the file itself come first.
        first: Number of the first row.

    Raises:
        DataError: It is damaged, too large, has two columns of one name, or ``pyarrow`` is missing.
    """
    with path.open("rb") as file:
        start = file.read(6)
    # A stream of before 2019 begins with the length of its schema.
    is_old_stream = 0 < int.from_bytes(start[:4], "little") < path.stat().st_size
    if start != _ARROW_FILE and not start.startswith(_ARROW_STREAM) and not is_old_stream:
        raise _foreign("Arrow", "it does not begin as such files do")
    yield from _records("Arrow", path, labels, first)


def label_names(features: Any) -> dict[str, list[str]]:
    """Return the names of the ClassLabels among the features of ``datasets``, as its files describe them."""
    named = {}
    if isinstance(features, Mapping):
        for column, feature in features.items():
            names = feature.get("names") if isinstance(feature, Mapping) else None
            if isinstance(names, list) and feature.get("_type") == "ClassLabel":
                named[str(column)] = [str(name) for name in names]
    return named


def _records(what: table_process.TableFormat, path: Path, labels: Labels | None, first: int) -> Iterator[Record]:
    if find_spec("pyarrow") is None:
        raise DataError(f"Reading {what} needs the package 'pyarrow' (pip install afinador[train]).")
    with closing(table_process.answers(what, path)) as answers:
        table = next(answers)
        columns, names = tuple(table["columns"]), {**(labels or {}), **label_names(table["features"])}
        number = first
        for rows in answers:
            for fields in rows:
                for column in names.keys() & fields.keys():
                    fields[column] = _name_of(fields[column], names[column], column, number)
                    if fields[column] is None:
                        del fields[column]
                yield Record(number, fields, "Record", columns=columns)
                number += 1


def _name_of(value: Any, names: list[str], column: str, number: int) -> Any:
    """Return the name of a label's id; None of -1, which means that there is no label."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if value == -1:
        return None
    if not 0 <= value < len(names):
        raise DataError(
            f"Record {number}: {shortened(column)} is {described(value)}, but the data set has names for the labels 0 to "
            f"{len(names) - 1}. Correct the record or the names."
        )
    return names[value]


def _foreign(what: str, why: str) -> DataError:
    return DataError(f"The file is no whole {what} file: {why}. Write it again.")
